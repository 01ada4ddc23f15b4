#include "hubspot/call_read.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/call_log.h"

enum { CHUNK = 64 << 10, LINE_MAX_BYTES = 4 << 20, NAME_MAX_BYTES = 4096 };

struct hl_calls {
  char *base;
  uint64_t segment;        /* 0: none opened yet */
  int fd;
  bool ended;              /* a newer segment exists: this one is read out, then left */
  bool skipping;           /* within a line that is longer than any of ours */
  int64_t offset;          /* of the file: what `buf` ends with */
  hl_buf buf;
  size_t from;             /* in buf: the first byte not given */
};

/* The first segment after `after`; false when there is none. */
static bool next_segment(const char *base, uint64_t after, uint64_t *out) {
  uint64_t *v;
  size_t n, i = 0;
  if (hl_call_log_segments(base, &v, &n)) return false;
  while (i < n && v[i] <= after) i++;
  bool found = i < n;
  if (found) *out = v[i];
  hl_free(v);
  return found;
}

static const char *name_of(const hl_calls *c, uint64_t segment, char out[NAME_MAX_BYTES]) {
  snprintf(out, NAME_MAX_BYTES, "%s.%llu", c->base, (unsigned long long)segment);
  return out;
}

/* Opens the first readable segment after the present one. 0 also when there is none. */
static int advance(hl_calls *c, hl_error *err) {
  char name[NAME_MAX_BYTES];
  uint64_t number;
  while (next_segment(c->base, c->segment, &number)) {
    int fd = open(name_of(c, number, name), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) return hl_fail(err, HL_EIO, "cannot read the call log %s: %s", name, strerror(errno));
    c->segment = number;
    if (fd < 0) continue; /* pruned meanwhile */
    if (c->fd >= 0) close(c->fd);
    c->fd = fd;
    c->offset = 0;
    c->from = 0;
    c->ended = c->skipping = false;
    hl_buf_clear(&c->buf);
    return 0;
  }
  return 0;
}

hl_calls *hl_calls_open(const char *base, int64_t since) {
  char name[NAME_MAX_BYTES];
  uint64_t number = 0, first = 0;
  struct stat st;
  hl_calls *c = HL_NEW(hl_calls);
  c->base = hl_strdup(base);
  c->fd = -1;
  hl_buf_init(&c->buf, LINE_MAX_BYTES + CHUNK);
  while (next_segment(base, first, &number) && stat(name_of(c, number, name), &st) == 0 && st.st_mtime * HL_SECOND < since)
    first = number;
  c->segment = first;
  return c;
}

void hl_calls_close(hl_calls *c) {
  if (!c) return;
  if (c->fd >= 0) close(c->fd);
  hl_buf_deinit(&c->buf);
  hl_free(c->base);
  hl_free(c);
}

/* The writer takes back what it could not write whole: nothing given is given
 * again, and a half line that is gone is forgotten. */
static void follow_truncation(hl_calls *c) {
  struct stat st;
  if (fstat(c->fd, &st) || st.st_size >= c->offset) return;
  int64_t given = c->offset - (int64_t)(c->buf.n - c->from);
  hl_buf_clear(&c->buf);
  c->from = 0;
  c->skipping = false;
  c->offset = given < st.st_size ? given : st.st_size;
}

/* Reads more into buf. 1, 0 at the end of the file, or an error. */
static int fill(hl_calls *c, hl_error *err) {
  char chunk[CHUNK];
  if (c->from) {
    c->buf.n -= c->from;
    memmove(c->buf.p, c->buf.p + c->from, c->buf.n + 1);
    c->from = 0;
  }
  if (c->buf.n > LINE_MAX_BYTES) {
    hl_buf_clear(&c->buf);
    c->skipping = true;
  }
  ssize_t n;
  do n = pread(c->fd, chunk, sizeof chunk, c->offset);
  while (n < 0 && errno == EINTR);
  if (n < 0) return hl_fail(err, HL_EIO, "cannot read the call log %s: %s", c->base, strerror(errno));
  if (n == 0) return 0;
  int rc = hl_buf_append(&c->buf, chunk, (size_t)n);
  if (rc) return hl_fail(err, rc, "no memory to read the call log");
  c->offset += n;
  return 1;
}

int hl_calls_next(hl_calls *c, hl_str *line, hl_error *err) {
  uint64_t newer;
  if (c->fd < 0) {
    int rc = advance(c, err);
    if (rc || c->fd < 0) return rc;
  }
  for (;;) {
    char *at = c->buf.n > c->from ? memchr(c->buf.p + c->from, '\n', c->buf.n - c->from) : NULL;
    if (at) {
      *line = (hl_str){c->buf.p + c->from, (size_t)(at - c->buf.p) - c->from};
      c->from += line->n + 1;
      if (!c->skipping) return 1;
      c->skipping = false;
      continue;
    }
    follow_truncation(c);
    int rc = fill(c, err);
    if (rc < 0) return rc;
    if (rc) continue;
    if (c->ended) {
      if ((rc = advance(c, err))) return rc;
      if (c->ended) return 0; /* the newer one was pruned */
    } else if (next_segment(c->base, c->segment, &newer)) {
      c->ended = true; /* once more to the end: it was written to until the newer one began */
    } else {
      return 0;
    }
  }
}

int hl_calls_skip(hl_calls *c, hl_error *err) {
  hl_str line;
  int rc;
  while ((rc = hl_calls_next(c, &line, err)) > 0) {}
  return rc;
}

/* ---- lines ---- */

static int64_t number(const cJSON *o, const char *key) {
  int64_t v = hl_json_int(o, key, 0);
  return v < 0 ? 0 : v;
}

/* Blanks in place of control characters, C1 (U+0080-9F) too. */
static const char *cleaned(const cJSON *object, const char *key) {
  const cJSON *item = hl_json_get(object, key);
  if (!cJSON_IsString(item)) return "";
  for (char *p = item->valuestring; *p; p++) {
    unsigned char c = (unsigned char)*p;
    bool c1 = c == 0xC2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xA0;
    if (c < ' ' || c == 0x7f || c1) *p = ' ';
    if (c1) *++p = ' ';
  }
  return item->valuestring;
}

bool hl_call_entry_read(hl_str line, hl_call_entry *e) {
  cJSON *json = NULL;
  *e = (hl_call_entry){0};
  if (line.n < 2 || line.p[0] != '{' || hl_json_parse(line, &json, NULL)) return false;
  const cJSON *error = hl_json_get(json, "error");
  const struct { const char **to, *key; const cJSON *from; } texts[] = {
      {&e->time, "time", json},     {&e->script, "script", json},   {&e->account, "account", json}, {&e->klass, "class", json},
      {&e->method, "method", json}, {&e->path, "path", json},       {&e->id, "id", json},           {&e->by, "by", json},
      {&e->request, "request", json}, {&e->sent, "sent", json},
      {&e->correlation_id, "correlation_id", json},
      {&e->kind, "kind", error},    {&e->category, "category", error}, {&e->message, "message", error},
  };
  for (size_t i = 0; i < HL_COUNT(texts); i++) *texts[i].to = cleaned(texts[i].from, texts[i].key);
  if (!cJSON_IsObject(json) || hl_time_parse(hl_str_of(e->time), &e->at, NULL)) {
    cJSON_Delete(json);
    *e = (hl_call_entry){0};
    return false;
  }
  e->json = json;
  e->gap = (uint64_t)number(json, "gap");
  e->simulator = hl_json_bool(json, "simulator", false);
  int64_t status = number(json, "status");
  e->status = status < 1000 ? (int)status : 0;
  e->wait = number(json, "wait");
  e->latency = number(json, "latency");
  e->total = number(json, "total");
  e->attempts = number(json, "attempts");
  e->limited = number(json, "limited");
  e->batch = number(json, "batch");
  return true;
}

void hl_call_entry_deinit(hl_call_entry *e) {
  cJSON_Delete(e->json);
  *e = (hl_call_entry){0};
}

/* Digits with dashes ("151", "0-1" apart), or hexadecimal of 16 and more: an id. */
static bool is_id(hl_str s) {
  size_t digits = 0, hex = 0, dashes = 0;
  for (size_t i = 0; i < s.n; i++) {
    digits += isdigit((unsigned char)s.p[i]) != 0;
    hex += isxdigit((unsigned char)s.p[i]) != 0;
    dashes += s.p[i] == '-';
  }
  if (digits == s.n) return s.n > 0;
  return s.n >= 16 && hex + dashes == s.n;
}

int hl_call_path_shape(hl_str path, hl_buf *out) {
  int rc = 0;
  for (size_t from = 0; from < path.n && !rc;) {
    size_t to = from + 1;
    while (to < path.n && path.p[to] != '/') to++;
    hl_str segment = {path.p + from + 1, to - from - 1};
    if (path.p[from] == '/' && is_id(segment)) rc = hl_buf_puts(out, "/{id}");
    else rc = hl_buf_append(out, path.p + from, to - from);
    from = to;
  }
  return rc;
}
