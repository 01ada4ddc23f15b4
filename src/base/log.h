/* The log: one line a record on stderr (or a FILE), with redaction of every
 * secret it has been told of and of what looks like a token. Loop thread and
 * worker threads (a mutex inside). Writes are small; never call it in a loop
 * over data. Text: "12:04:05.123 warn  store: …". JSON lines when `json`. */
#ifndef HL_BASE_LOG_H
#define HL_BASE_LOG_H

#include "base/str.h"

typedef enum { HL_LOG_DEBUG, HL_LOG_INFO, HL_LOG_WARN, HL_LOG_ERROR, HL_LOG_OFF } hl_log_level;

typedef struct hl_log hl_log;

hl_log *hl_log_new(hl_log_level min, bool json);   /* to stderr */
void hl_log_free(hl_log *log);
void hl_log_set_level(hl_log *log, hl_log_level min);
/* In virtual time the host gives the clock (epoch ms); NULL: the real one. */
void hl_log_set_clock(hl_log *log, int64_t (*now_ms)(void *arg), void *arg);
/* Takes each finished line instead of stderr; NULL restores it. */
void hl_log_set_sink(hl_log *log, void (*sink)(void *arg, const char *line, size_t n), void *arg);
/* `room` is a short constant: "store", "http", a script's name. */
void hl_log_write(hl_log *log, hl_log_level level, const char *room, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* From now on `value` (4 bytes or more) is printed as [secret] wherever it is
 * passed through hl_log_write or hl_log_redact. Kept until the log is freed, or
 * forgotten: one that opens nothing any more. */
void hl_log_add_secret(hl_log *log, hl_str value);
void hl_log_forget_secret(hl_log *log, hl_str value);
/* Appends s to out with secrets and token shapes (pat-na1-…, Bearer …,
 * hapikey=…) replaced. Returns what hl_buf_append does. */
int hl_log_redact(hl_log *log, hl_str s, hl_buf *out);

#endif
