/* The call log, read: line by line through the segments, also while they are
 * written, across rotation, pruning and torn lines. Blocking file access: for
 * commands, never on the loop of a running project. */
#ifndef HL_HUBSPOT_CALL_READ_H
#define HL_HUBSPOT_CALL_READ_H

#include "base/json.h"

typedef struct hl_calls hl_calls;

/* The log may begin later; `since` (epoch ms, 0: all) leaves out segments that ended before. */
hl_calls *hl_calls_open(const char *base, int64_t since);
void hl_calls_close(hl_calls *c);
/* 1 and the next whole line without its break, borrowed until the next call; 0
 * when there is none yet; or an error. */
int hl_calls_next(hl_calls *c, hl_str *line, hl_error *err);
/* Goes to the end: what is there now is not given. */
int hl_calls_skip(hl_calls *c, hl_error *err);

typedef struct hl_call_entry { /* texts are never NULL, of one line, without what steers a terminal; borrowed from `json` */
  cJSON *json;
  int64_t at;                  /* epoch ms */
  uint64_t gap;                /* so many calls were not recorded here; the rest is empty */
  const char *time, *script, *account, *klass, *method, *path, *id, *by, *request, *correlation_id;
  const char *kind, *category, *message;  /* of the error; kind "": well */
  const char *sent;            /* the body, where it is kept */
  bool simulator;
  int status;
  int64_t wait, latency, total, attempts, limited, batch;
} hl_call_entry;

/* False for what is no line of a call log (a torn one). Free with _deinit. */
bool hl_call_entry_read(hl_str line, hl_call_entry *e);
void hl_call_entry_deinit(hl_call_entry *e);

/* "/crm/objects/2026-09/contacts/151" to "/crm/objects/2026-09/contacts/{id}". */
int hl_call_path_shape(hl_str path, hl_buf *out);

#endif
