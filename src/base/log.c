#include "base/log.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/time.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

struct hl_log {
  pthread_mutex_t mutex;
  hl_log_level min;
  bool json;
  int64_t (*clock)(void *arg);
  void *clock_arg;
  void (*sink)(void *arg, const char *line, size_t n);
  void *sink_arg;
  char **secrets;
  size_t n_secrets;
};

hl_log *hl_log_new(hl_log_level min, bool json) {
  hl_log *log = HL_NEW(hl_log);
  pthread_mutex_init(&log->mutex, NULL);
  log->min = min;
  log->json = json;
  return log;
}

void hl_log_free(hl_log *log) {
  if (!log) return;
  for (size_t i = 0; i < log->n_secrets; i++) {
    explicit_bzero(log->secrets[i], strlen(log->secrets[i]));
    hl_free(log->secrets[i]);
  }
  hl_free(log->secrets);
  pthread_mutex_destroy(&log->mutex);
  hl_free(log);
}

void hl_log_set_level(hl_log *log, hl_log_level min) { log->min = min; }

void hl_log_set_clock(hl_log *log, int64_t (*now_ms)(void *arg), void *arg) {
  log->clock = now_ms;
  log->clock_arg = arg;
}

void hl_log_set_sink(hl_log *log, void (*sink)(void *arg, const char *line, size_t n), void *arg) {
  log->sink = sink;
  log->sink_arg = arg;
}

void hl_log_add_secret(hl_log *log, hl_str value) {
  if (value.n < 4 || memchr(value.p, 0, value.n)) return;
  pthread_mutex_lock(&log->mutex);
  bool known = false;
  for (size_t i = 0; i < log->n_secrets && !known; i++) known = hl_str_eqz(value, log->secrets[i]);
  if (!known) {
    log->secrets = hl_realloc(log->secrets, (log->n_secrets + 1) * sizeof *log->secrets);
    log->secrets[log->n_secrets++] = hl_strndup(value.p, value.n);
  }
  pthread_mutex_unlock(&log->mutex);
}

void hl_log_forget_secret(hl_log *log, hl_str value) {
  pthread_mutex_lock(&log->mutex);
  for (size_t i = 0; i < log->n_secrets; i++) {
    if (!hl_str_eqz(value, log->secrets[i])) continue;
    explicit_bzero(log->secrets[i], value.n);
    hl_free(log->secrets[i]);
    log->secrets[i] = log->secrets[--log->n_secrets];
    break;
  }
  pthread_mutex_unlock(&log->mutex);
}

static bool is_token_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

/* Token shapes: what follows these marks, as far as a token's bytes reach. */
static size_t shape_at(hl_str s, size_t i, size_t *keep) {
  static const struct { const char *mark; size_t least; bool keep; } shapes[] = {
      {"pat-", 12, false}, {"Bearer ", 8, true}, {"bearer ", 8, true}, {"hapikey=", 8, true},
      {"access_token=", 8, true}, {"refresh_token=", 8, true}, {"client_secret=", 8, true},
  };
  hl_str rest = {s.p + i, s.n - i};
  for (size_t k = 0; k < HL_COUNT(shapes); k++) {
    if (!hl_str_starts(rest, shapes[k].mark)) continue;
    size_t mark = strlen(shapes[k].mark), n = mark;
    while (n < rest.n && is_token_byte(rest.p[n])) n++;
    if (n - mark < shapes[k].least) continue;
    *keep = shapes[k].keep ? mark : 0;
    return n;
  }
  return 0;
}

static int redact_locked(hl_log *log, hl_str s, hl_buf *out) {
  size_t from = 0;
  for (size_t i = 0; i < s.n;) {
    size_t hit = 0, keep = 0;
    for (size_t k = 0; k < log->n_secrets; k++) {
      size_t n = strlen(log->secrets[k]);
      if (n > hit && n <= s.n - i && s.p[i] == log->secrets[k][0] &&
          memcmp(s.p + i, log->secrets[k], n) == 0)
        hit = n;
    }
    if (!hit) hit = shape_at(s, i, &keep);
    if (!hit) {
      i++;
      continue;
    }
    int rc = hl_buf_append(out, s.p + from, i + keep - from);
    if (!rc) rc = hl_buf_puts(out, "[secret]");
    if (rc) return rc;
    i += hit;
    from = i;
  }
  return hl_buf_append(out, s.p + from, s.n - from);
}

int hl_log_redact(hl_log *log, hl_str s, hl_buf *out) {
  pthread_mutex_lock(&log->mutex);
  int rc = redact_locked(log, s, out);
  pthread_mutex_unlock(&log->mutex);
  return rc;
}

static void json_escape(hl_buf *out, hl_str s) {
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '"' || c == '\\') hl_buf_printf(out, "\\%c", c);
    else if (c < 0x20) hl_buf_printf(out, "\\u%04x", c);
    else hl_buf_append(out, &c, 1);
  }
}

void hl_log_write(hl_log *log, hl_log_level level, const char *room, const char *fmt, ...) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  if (!log || level < log->min || level >= HL_LOG_OFF) return;
  hl_buf raw, line;
  hl_buf_init(&raw, LINE_MAX_BYTES);
  hl_buf_init(&line, 4 * LINE_MAX_BYTES);
  char text[8192];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);

  pthread_mutex_lock(&log->mutex);
  redact_locked(log, hl_str_of(text), &raw);
  int64_t now;
  if (log->clock) {
    now = log->clock(log->clock_arg);
  } else {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    now = ts.tv_sec * HL_SECOND + ts.tv_nsec / 1000000;
  }
  char iso[25];
  hl_time_iso(now, iso);
  if (log->json) {
    hl_buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"room\":\"", iso, names[level]);
    json_escape(&line, hl_str_of(room));
    hl_buf_puts(&line, "\",\"text\":\"");
    json_escape(&line, hl_buf_str(&raw));
    hl_buf_puts(&line, "\"}\n");
  } else {
    /* Virtual time goes by in days. */
    if (log->clock) hl_buf_printf(&line, "%.10s %.8s", iso, iso + 11);
    else hl_buf_printf(&line, "%.12s", iso + 11);
    hl_buf_printf(&line, " %-5s %s: ", names[level], room);
    /* A traceback's lines are set in, where no line of ours begins: text cannot pass for one. */
    hl_buf_plain(&line, hl_buf_str(&raw), "\n    ");
    hl_buf_puts(&line, "\n");
  }
  hl_str s = hl_buf_str(&line);
  if (log->sink) {
    log->sink(log->sink_arg, s.p, s.n);
  } else {
    /* A log that cannot be written has nowhere to complain. */
    ssize_t ignored = write(STDERR_FILENO, s.p, s.n);
    (void)ignored;
  }
  pthread_mutex_unlock(&log->mutex);
  hl_buf_deinit(&raw);
  hl_buf_deinit(&line);
}
