/* The call log's writing side (call_log.h): lines are made on the loop thread
 * into `pending`; a job takes them all, writes them, and reports. While it is
 * out, the file belongs to it and `pending` grows to its bound.
 *
 * Segments are numbered and never renamed, so a reader goes from one to the next
 * without a race. A program appends to the newest one if no other holds it, else
 * it begins a new one; a line cut off by the end of a program is closed with a
 * line break, and readers skip it.
 *
 * Without a file (base NULL: tests, and runs that keep no store) lines stay in `pending`, the newest of them. */
#include "hubspot/call_log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/errors.h"

enum {
  PENDING_MAX = 4 << 20, MEMORY_MAX = 2 << 20, FLUSH_BYTES = 64 << 10, FLUSH_MS = 200, RETRY_MS = 2000,
  SEGMENTS = 8, MESSAGE_MAX = 2048, TEXT_MAX = 64 << 10, LINE_MAX_BYTES = 1 << 20, NAME_MAX_BYTES = 4096,
};

struct hl_call_log {
  hl_loop *loop;
  char *base;
  int64_t max;
  bool bodies, simulator;
  char run[9];               /* tells the requests of two runs apart */
  int64_t iso_at;            /* what `iso` is of: many calls end in one millisecond */
  char iso[25];
  char *raw_path, *safe_path;   /* the last raw path, and what is kept of it */
  hl_timer timer;
  hl_buf pending;
  size_t n_pending;
  uint64_t lost, dropped;    /* calls whose lines could not be written; or had no room after `pending` */
  bool told, busy, failing;
  uint64_t gap_before, gap_after; /* what the gap lines around those in `writing` stand for */
  size_t n_writing;          /* between them */
  /* The job's while busy. */
  hl_buf writing;
  size_t n_written;          /* lines, gap lines too */
  int fd, error;
  uint64_t segment;
  int64_t size;
};

/* ---- segments ---- */

int hl_call_log_base(const char *store, hl_buf *out) {
  hl_str s = hl_str_of(store), tail = HL_STR(".db"), usual = HL_STR("hubloop");
  if (s.n > tail.n && memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0) s.n -= tail.n;
  size_t name = s.n;
  while (name && s.p[name - 1] != '/') name--;
  if (hl_str_eq((hl_str){s.p + name, s.n - name}, usual)) s.n = name;
  int rc = hl_buf_append(out, s.p, s.n);
  return rc ? rc : hl_buf_puts(out, s.n > name ? ".calls.log" : "calls.log");
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

int hl_call_log_segments(const char *base, uint64_t **out, size_t *count) {
  const char *slash = strrchr(base, '/'), *name = slash ? slash + 1 : base;
  char *folder = slash ? hl_strndup(base, (size_t)(slash - base) + 1) : hl_strdup(".");
  size_t n = strlen(name);
  uint64_t *v = NULL;
  *out = NULL;
  *count = 0;
  DIR *d = opendir(folder);
  hl_free(folder);
  if (!d) return HL_EIO;
  for (struct dirent *e; (e = readdir(d));) {
    int64_t number;
    if (strncmp(e->d_name, name, n) != 0 || e->d_name[n] != '.') continue;
    if (hl_str_int64(hl_str_of(e->d_name + n + 1), &number) || number <= 0) continue;
    v = hl_realloc(v, (*count + 1) * sizeof *v);
    v[(*count)++] = (uint64_t)number;
  }
  closedir(d);
  if (*count) qsort(v, *count, sizeof *v, by_number);
  *out = v;
  return 0;
}

static const char *segment_name(const hl_call_log *l, uint64_t number, char out[NAME_MAX_BYTES]) {
  snprintf(out, NAME_MAX_BYTES, "%s.%llu", l->base, (unsigned long long)number);
  return out;
}

static int64_t segment_max(const hl_call_log *l) { return l->max / SEGMENTS; }

/* Oldest first, until a whole segment more fits. */
static void prune(const hl_call_log *l) {
  char name[NAME_MAX_BYTES];
  uint64_t *v;
  size_t n;
  struct stat st;
  int64_t total = 0;
  if (hl_call_log_segments(l->base, &v, &n)) return;
  for (size_t i = 0; i < n; i++)
    if (stat(segment_name(l, v[i], name), &st) == 0) total += st.st_size;
  for (size_t i = 0; i < n && total + segment_max(l) > l->max; i++)
    if (stat(segment_name(l, v[i], name), &st) == 0 && unlink(name) == 0) total -= st.st_size;
  hl_free(v);
}

static void close_segment(hl_call_log *l) {
  if (l->fd >= 0) close(l->fd);
  l->fd = -1;
}

/* Takes `fd` if nobody else writes there. */
static bool adopt(hl_call_log *l, int fd, uint64_t number) {
  struct stat st;
  char last = '\n';
  if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size >= segment_max(l)) return false;
  if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1) return false;
  if (last != '\n' && write(fd, "\n", 1) != 1) return false;
  l->fd = fd;
  l->segment = number;
  l->size = st.st_size + (last != '\n');
  return true;
}

static void make_folder(const char *base) {
  char *path = hl_strdup(base);
  for (char *p = path + 1; (p = strchr(p, '/')); p++) {
    *p = 0;
    (void)mkdir(path, 0700); /* opening the folder says what is wrong */
    *p = '/';
  }
  hl_free(path);
}

static int open_segment(hl_call_log *l) {
  char name[NAME_MAX_BYTES];
  uint64_t *v, newest;
  size_t n;
  if (hl_call_log_segments(l->base, &v, &n)) {
    make_folder(l->base);
    if (hl_call_log_segments(l->base, &v, &n)) return errno ? errno : EIO;
  }
  newest = n ? v[n - 1] : 0;
  hl_free(v);
  if (newest && newest != l->segment) {
    int fd = open(segment_name(l, newest, name), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && adopt(l, fd, newest)) return 0;
    if (fd >= 0) close(fd);
  }
  prune(l);
  for (uint64_t number = newest + 1; number < newest + 100; number++) {
    int fd = open(segment_name(l, number, name), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && adopt(l, fd, number)) return 0;
    if (fd >= 0) close(fd);
    else if (errno != EEXIST) return errno;
  }
  return EBUSY;
}

static int write_all(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t w = write(fd, p, n);
    if (w < 0 && errno == EINTR) continue;
    if (w <= 0) return w ? errno : EIO;
    p += w;
    n -= (size_t)w;
  }
  return 0;
}

/* On a pool thread. Stops at the first error; whole lines or nothing of them. */
static void write_lines(void *arg) {
  hl_call_log *l = arg;
  struct stat st;
  const char *p = l->writing.p, *end = p + l->writing.n;
  l->n_written = 0;
  l->error = 0;
  if (l->fd >= 0 && (fstat(l->fd, &st) || st.st_nlink == 0)) close_segment(l); /* somebody removed it */
  while (p < end && !l->error) {
    if (l->fd < 0 && (l->error = open_segment(l))) break;
    const char *to = p;
    size_t lines = 0;
    while (to < end) {
      const char *next = memchr(to, '\n', (size_t)(end - to));
      next = next ? next + 1 : end;
      if (l->size + (next - p) > segment_max(l) && (lines || l->size)) break;
      to = next;
      lines++;
    }
    if (!lines) {
      close_segment(l);
      continue;
    }
    l->error = write_all(l->fd, p, (size_t)(to - p));
    if (l->error) {
      if (ftruncate(l->fd, l->size)) close_segment(l); /* a torn line: the next opening closes it */
      break;
    }
    l->size += to - p;
    l->n_written += lines;
    p = to;
  }
}

/* ---- lines ---- */

static void put(hl_buf *b, const char *z) { hl_buf_append(b, z, strlen(z)); }

static void put_int(hl_buf *b, int64_t v) {
  char text[24], *p = text + sizeof text;
  uint64_t u = v < 0 ? (uint64_t)-v : (uint64_t)v;
  do *--p = (char)('0' + u % 10);
  while (u /= 10);
  if (v < 0) *--p = '-';
  hl_buf_append(b, p, (size_t)(text + sizeof text - p));
}

static void put_quoted(hl_buf *b, hl_str s) {
  static const char hex[] = "0123456789abcdef";
  size_t from = 0;
  hl_buf_append(b, "\"", 1);
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    hl_buf_append(b, s.p + from, i - from);
    if (c == '"' || c == '\\') hl_buf_append(b, (char[]){'\\', (char)c}, 2);
    else hl_buf_append(b, escape, 6);
    from = i + 1;
  }
  hl_buf_append(b, s.p + from, s.n - from);
  hl_buf_append(b, "\"", 1);
}

static void put_text(hl_buf *b, const char *key, const char *value) {
  if (!value || !*value) return;
  hl_buf_append(b, ",\"", 2);
  put(b, key);
  hl_buf_append(b, "\":", 2);
  put_quoted(b, hl_str_of(value));
}

static void put_number(hl_buf *b, const char *key, int64_t v) {
  hl_buf_append(b, ",\"", 2);
  put(b, key);
  hl_buf_append(b, "\":", 2);
  put_int(b, v);
}

static bool holds_at(hl_str s) { return s.n && (memchr(s.p, '@', s.n) || memmem(s.p, s.n, "%40", 3)); }

/* The path with what may name a person left out: a segment that holds an e-mail
 * address, and the value of an id_property, which is the last segment. */
static void mask_path(hl_buf *out, hl_str path, const char *by) {
  for (size_t from = 0; from < path.n;) {
    size_t to = from + 1;
    while (to < path.n && path.p[to] != '/') to++;
    hl_str segment = {path.p + from, to - from};
    if (by && to == path.n) hl_buf_printf(out, "/{%s}", by);
    else if (holds_at(segment)) put(out, "/{email}");
    else hl_buf_append(out, segment.p, segment.n);
    from = to;
  }
}

/* A script's own path may hold a token (oauth/…/access-tokens/…). */
static const char *raw_path(hl_call_log *l, const char *path, const char *by) {
  if (!by && l->raw_path && strcmp(path, l->raw_path) == 0) return l->safe_path;
  hl_buf masked, safe;
  hl_buf_init(&masked, TEXT_MAX);
  hl_buf_init(&safe, TEXT_MAX);
  mask_path(&masked, hl_str_of(path), by);
  hl_log_redact(hl_loop_log(l->loop), hl_buf_str(&masked), &safe);
  hl_free(l->raw_path);
  hl_free(l->safe_path);
  l->raw_path = by ? NULL : hl_strdup(path);
  l->safe_path = safe.p ? hl_buf_detach(&safe, NULL) : hl_strdup("");
  hl_buf_deinit(&masked);
  hl_buf_deinit(&safe);
  return l->safe_path;
}

static void put_path(hl_call_log *l, hl_buf *b, const hl_call_record *r) {
  if (!r->path) return;
  const char *by = r->single ? r->by : NULL;
  if (r->raw) {
    put_text(b, "path", raw_path(l, r->path, by));
  } else if (!by && !holds_at(hl_str_of(r->path))) {
    put_text(b, "path", r->path);
  } else {
    hl_buf masked;
    hl_buf_init(&masked, TEXT_MAX);
    mask_path(&masked, hl_str_of(r->path), by);
    put_text(b, "path", masked.p);
    hl_buf_deinit(&masked);
  }
}

static void put_error(hl_call_log *l, hl_buf *b, const hl_call_record *r) {
  if (!r->kind) return;
  hl_buf masked, safe;
  hl_buf_init(&masked, TEXT_MAX);
  hl_buf_init(&safe, TEXT_MAX);
  hl_str message = hl_str_of(r->message);
  if (message.n > MESSAGE_MAX) {
    message.n = MESSAGE_MAX;
    while (message.n && ((unsigned char)message.p[message.n] & 0xC0) == 0x80) message.n--;
  }
  hl_mask(&masked, message, r->by ? hl_str_of(r->id) : (hl_str){NULL, 0});
  hl_log_redact(hl_loop_log(l->loop), hl_buf_str(&masked), &safe);
  put(b, ",\"error\":{\"kind\":");
  put_quoted(b, hl_str_of(r->kind));
  put_text(b, "category", r->category);
  put_text(b, "message", safe.p);
  put(b, "}");
  hl_buf_deinit(&masked);
  hl_buf_deinit(&safe);
}

static void put_body(hl_call_log *l, hl_buf *b, const char *key, hl_str body) {
  if (!body.n) return;
  hl_buf safe;
  hl_buf_init(&safe, TEXT_MAX);
  bool cut = body.n > HL_CALL_BODY_MAX;
  if (cut) body.n = HL_CALL_BODY_MAX;
  while (cut && body.n && ((unsigned char)body.p[body.n] & 0xC0) == 0x80) body.n--;
  hl_log_redact(hl_loop_log(l->loop), body, &safe);
  if (cut) put(&safe, "…");
  put_text(b, key, safe.p);
  hl_buf_deinit(&safe);
}

static void put_time(hl_call_log *l, hl_buf *b) {
  int64_t now = hl_loop_now(l->loop);
  if (now != l->iso_at) hl_time_iso(l->iso_at = now, l->iso);
  hl_buf_append(b, "{\"time\":\"", 9);
  hl_buf_append(b, l->iso, 24);
  hl_buf_append(b, "\"", 1);
}

static void put_call(hl_call_log *l, hl_buf *b, const hl_call_record *r) {
  put_time(l, b);
  put_text(b, "script", r->script);
  put_text(b, "account", r->account);
  if (l->simulator) put(b, ",\"simulator\":true");
  put_text(b, "class", r->klass);
  put_text(b, "method", r->method);
  put_path(l, b, r);
  if (r->by) put_text(b, "by", r->by);
  else if (r->id && !holds_at(hl_str_of(r->id))) put_text(b, "id", r->id);
  if (r->status) put_number(b, "status", r->status);
  put_number(b, "wait", r->wait);
  put_number(b, "latency", r->latency);
  put_number(b, "total", r->total);
  put_number(b, "attempts", r->attempts);
  if (r->limited) put_number(b, "limited", r->limited);
  if (r->request) {
    put(b, ",\"request\":\"");
    put(b, l->run);
    put_int(b, (int64_t)r->request);
    put(b, "\"");
    put_number(b, "batch", (int64_t)r->batch);
  }
  put_text(b, "correlation_id", r->correlation_id);
  put_error(l, b, r);
  if (l->bodies) {
    put_body(l, b, "sent", r->sent);
    put_body(l, b, "answer", r->answer);
  }
  put(b, "}\n");
}

/* `n` calls are missing here. */
static void put_gap(hl_call_log *l, hl_buf *b, uint64_t n) {
  put_time(l, b);
  put_number(b, "gap", (int64_t)n);
  put(b, "}\n");
}

/* ---- the way to the file ---- */

static void flush_due(hl_timer *timer, void *arg);

static void flush_later(hl_call_log *l) {
  if (!l->base || l->busy || !(l->n_pending || l->lost || l->dropped)) return;
  bool full = l->pending.n >= FLUSH_BYTES && !l->failing;
  if (!full && hl_timer_armed(&l->timer)) return;
  l->timer.unref = true;
  hl_timer_start(l->loop, &l->timer, full ? 0 : l->failing ? RETRY_MS : FLUSH_MS, flush_due, l);
}

/* A gap line is one line and stands for many calls. */
static uint64_t calls_in(const hl_call_log *l, size_t lines) {
  uint64_t n = 0;
  if (lines && l->gap_before) n += l->gap_before, lines--;
  n += lines < l->n_writing ? lines : l->n_writing;
  if (lines > l->n_writing) n += l->gap_after;
  return n;
}

static void take(hl_call_log *l) {
  hl_timer_stop(l->loop, &l->timer);
  hl_buf_clear(&l->writing);
  l->gap_before = l->lost;
  l->gap_after = l->dropped;
  l->n_writing = l->n_pending;
  if (l->lost) {
    put_gap(l, &l->writing, l->lost);
    hl_buf_append(&l->writing, l->pending.p ? l->pending.p : "", l->pending.n);
    hl_buf_clear(&l->pending);
  } else {
    hl_buf other = l->writing;
    l->writing = l->pending;
    l->pending = other;
  }
  if (l->dropped) put_gap(l, &l->writing, l->dropped);
  l->n_pending = 0;
  l->lost = l->dropped = 0;
}

static void account_for(hl_call_log *l) {
  l->lost = calls_in(l, SIZE_MAX / 2) - calls_in(l, l->n_written);
  l->failing = l->error != 0;
  if (!l->error || l->told) return;
  l->told = true;
  hl_log_write(hl_loop_log(l->loop), HL_LOG_WARN, "calls", "the call log %s cannot be written (%s): calls go on, but are not "
               "recorded until it can; make room there, or set calls = false in hubloop.lua", l->base, strerror(l->error));
}

static void written(void *arg) {
  hl_call_log *l = arg;
  l->busy = false;
  account_for(l);
  flush_later(l);
}

static void flush_due(hl_timer *timer, void *arg) {
  (void)timer;
  hl_call_log *l = arg;
  take(l);
  l->busy = true;
  hl_loop_work(l->loop, write_lines, written, l);
}

/* In memory: the older half goes, with the line in the middle. */
static void forget_half(hl_call_log *l) {
  const char *end = memchr(l->pending.p + l->pending.n / 2, '\n', l->pending.n - l->pending.n / 2);
  if (!end) return;
  size_t gone = (size_t)(end + 1 - l->pending.p);
  l->pending.n -= gone;
  memmove(l->pending.p, l->pending.p + gone, l->pending.n + 1);
}

void hl_call_log_add(hl_call_log *l, const hl_call_record *r) {
  if (!l->base && l->pending.n >= MEMORY_MAX) forget_half(l);
  size_t before = l->pending.n;
  if (!l->dropped && before < PENDING_MAX) {
    put_call(l, &l->pending, r);
    if (l->pending.n > before && l->pending.p[l->pending.n - 1] == '\n') l->n_pending++;
    else l->pending.n = before, l->dropped++; /* no memory */
  } else {
    l->dropped++; /* until the next writing, so that the gap is one */
  }
  flush_later(l);
}

/* ---- life ---- */

hl_call_log *hl_call_log_new(hl_loop *loop, const hl_call_log_options *o) {
  hl_call_log *l = HL_NEW(hl_call_log);
  l->loop = loop;
  if (o->base) l->base = hl_strdup(o->base);
  l->max = !o->max ? HL_CALL_LOG_MAX : o->max < HL_CALL_LOG_LEAST ? HL_CALL_LOG_LEAST : o->max;
  l->bodies = o->bodies;
  l->simulator = o->simulator;
  l->fd = -1;
  l->iso_at = INT64_MIN;
  if (o->base) snprintf(l->run, sizeof l->run, "%06llx-", (unsigned long long)(hl_rng_next(hl_loop_rng(loop)) & 0xffffff));
  hl_buf_init(&l->pending, PENDING_MAX + 2 * LINE_MAX_BYTES);
  hl_buf_init(&l->writing, PENDING_MAX + 2 * LINE_MAX_BYTES);
  return l;
}

static bool is_busy(void *arg) { return ((hl_call_log *)arg)->busy; }

void hl_call_log_free(hl_call_log *l) {
  if (!l) return;
  (void)hl_loop_run_while(l->loop, is_busy, l);
  if (l->base && (l->n_pending || l->lost || l->dropped)) {
    take(l);
    write_lines(l);
    account_for(l);
  }
  hl_timer_stop(l->loop, &l->timer);
  close_segment(l);
  hl_buf_deinit(&l->pending);
  hl_buf_deinit(&l->writing);
  hl_free(l->raw_path);
  hl_free(l->safe_path);
  hl_free(l->base);
  hl_free(l);
}

bool hl_call_log_bodies(const hl_call_log *l) { return l->bodies; }
const char *hl_call_log_path(const hl_call_log *l) { return l->base; }
hl_str hl_call_log_kept(const hl_call_log *l) { return l->base ? (hl_str){NULL, 0} : hl_buf_str(&l->pending); }
