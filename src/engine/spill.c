#include "engine/spill.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/inside.h"
#include "engine/segment.h"

static const int64_t RETRY_MIN_MS = 1000, RETRY_MAX_MS = 60 * 1000;

typedef struct write_job {
  hl_spill *sp;              /* NULL: the engine has gone */
  char *path;
  unsigned char key[HL_SEGMENT_KEY_BYTES];
  hl_generation g;
  hl_segment *segment;
  hl_error err;
} write_job;

/* A hash of the log at the start. The table is far larger than a cache, so its lines
 * are asked for this many hashes ahead. */
enum { AHEAD = 32, COPY_A_TURN = 1 << 14 };
typedef struct logged {
  hl_hash hash;
  int64_t row, received;
} logged;

struct hl_spill {
  hl_engine *e;
  char *stem;                /* of the files; NULL: in memory, nothing is written */
  int64_t window_ms;
  size_t generation, high;   /* high: held in memory, from which on one is written */
  hl_segment **v;            /* by first row */
  size_t n, cap;
  hl_generation g;           /* v: being copied out of memory */
  write_job *out;
  hl_timer retry;
  int64_t retry_ms;          /* 0: the last one was written */
  int64_t looked_at;         /* for old ones, mono ms */
  logged ahead[AHEAD];       /* at the start: in a ring */
  uint64_t n_ahead, n_added;
  int64_t row;               /* of the last one added */
};

static bool is_old(const hl_spill *sp, const hl_segment *s, int64_t now) {
  return hl_segment_last_at(s) <= now - sp->window_ms - HL_DEDUPE_MARK_MS;
}

static bool has(void *arg, hl_hash h, int64_t after) {
  hl_spill *sp = arg;
  for (size_t i = sp->n; i-- > 0;)
    if (hl_segment_has(sp->v[i], h, after)) return true;
  return false;
}

static void insert(hl_spill *sp, hl_segment *s) {
  size_t i = sp->n;
  if (sp->n == sp->cap) {
    sp->cap = sp->cap ? 2 * sp->cap : 16;
    sp->v = hl_realloc(sp->v, sp->cap * sizeof(hl_segment *));
  }
  for (; i && hl_segment_first_row(sp->v[i - 1]) > hl_segment_first_row(s); i--) sp->v[i] = sp->v[i - 1];
  sp->v[i] = s;
  sp->n++;
}

static void take_out(hl_spill *sp, size_t i) {
  hl_segment_free(sp->v[i]);
  sp->n--;
  memmove(sp->v + i, sp->v + i + 1, (sp->n - i) * sizeof(hl_segment *));
}

/* ---- writing ---- */

static void free_job(write_job *job) {
  hl_free(job->g.v);
  hl_free(job->path);
  hl_free(job);
}

/* Sorting, writing and reading back: a tenth of a second for a million, so not on the loop. */
static void work(void *arg) {
  write_job *job = arg;
  if (!hl_segment_write(job->path, job->key, &job->g, &job->err))
    hl_segment_open(job->path, job->key, &job->segment, &job->err);
}

static void on_retry(hl_timer *t, void *arg) {
  (void)t;
  hl_spill_check(arg);
}

static void take(hl_spill *sp, write_job *job) {
  if (job->segment) {
    insert(sp, job->segment);
    hl_dedupe_saved(sp->e->dedupe, job->g.end);
    sp->retry_ms = 0;
    return;
  }
  if (!sp->retry_ms)
    hl_log_write(sp->e->log, HL_LOG_WARN, "store", "%s; until it can be, duplicates are known for a shorter time", job->err.text);
  sp->retry_ms = sp->retry_ms ? 2 * sp->retry_ms : RETRY_MIN_MS;
  if (sp->retry_ms > RETRY_MAX_MS) sp->retry_ms = RETRY_MAX_MS;
}

static void done(void *arg) {
  write_job *job = arg;
  hl_spill *sp = job->sp;
  if (!sp) {
    hl_segment_free(job->segment);
  } else {
    sp->out = NULL;
    take(sp, job);
    if (sp->retry_ms) hl_timer_start(sp->e->loop, &sp->retry, sp->retry_ms, on_retry, sp);
    else hl_spill_check(sp);
  }
  free_job(job);
}

static void drop_copy(hl_spill *sp) {
  hl_free(sp->g.v);
  sp->g = (hl_generation){0};
}

/* What is to be written, once it has been copied; `most` of that are copied now. */
static write_job *next_job(hl_spill *sp, size_t most) {
  hl_dedupe *d = sp->e->dedupe;
  hl_buf path;
  if (!sp->g.v && (!sp->stem || hl_dedupe_held(d) < sp->high || !hl_dedupe_oldest(d, sp->generation, &sp->g))) return NULL;
  if (!hl_dedupe_copy(d, &sp->g, most)) drop_copy(sp);
  if (!sp->g.v || sp->g.next < sp->g.end) return NULL;
  hl_buf_init(&path, 1 << 16);
  if (hl_buf_printf(&path, "%s%lld", sp->stem, (long long)sp->g.first_row)) {
    drop_copy(sp); /* it stays in memory */
    return NULL;
  }
  write_job *job = HL_NEW(write_job);
  *job = (write_job){.sp = sp, .path = hl_buf_detach(&path, NULL), .g = sp->g};
  sp->g = (hl_generation){0};
  memcpy(job->key, sp->e->key, sizeof job->key);
  return job;
}

/* ---- deleting ---- */

static void unlink_work(void *arg) { unlink(arg); }
static void unlink_done(void *arg) { hl_free(arg); }

static void drop_old(hl_spill *sp) {
  int64_t mono = hl_loop_mono(sp->e->loop), now = hl_loop_now(sp->e->loop);
  if (mono - sp->looked_at < HL_DEDUPE_MARK_MS) return;
  sp->looked_at = mono;
  for (size_t i = sp->n; i-- > 0;) {
    if (!is_old(sp, sp->v[i], now)) continue;
    hl_loop_work(sp->e->loop, unlink_work, unlink_done, hl_strdup(hl_segment_path(sp->v[i])));
    take_out(sp, i);
  }
}

void hl_spill_check(hl_spill *sp) {
  if (sp->n) drop_old(sp);
  if (sp->out || hl_timer_armed(&sp->retry)) return;
  sp->out = next_job(sp, COPY_A_TURN);
  if (sp->out) hl_loop_work(sp->e->loop, work, done, sp->out);
}

/* ---- at start ---- */

/* Opens what is usable and deletes the rest: it is made again. */
static void open_one(hl_spill *sp, const char *path, int64_t now, int64_t last_row) {
  hl_segment *s = NULL;
  hl_error err;
  int rc = hl_segment_open(path, sp->e->key, &s, &err);
  if (rc) hl_log_write(sp->e->log, HL_LOG_WARN, "store", "%s; it is made again from the log", err.text);
  /* Rows that the store does not have: it was put back from a backup, and their ids will come again. */
  if (!rc && (is_old(sp, s, now) || hl_segment_last_row(s) > last_row)) rc = HL_ECORRUPT;
  if (!rc) {
    insert(sp, s);
    return;
  }
  hl_segment_free(s);
  unlink(path);
}

static void open_all(hl_spill *sp, int64_t now, int64_t last_row) {
  const char *slash = strrchr(sp->stem, '/'), *name = slash ? slash + 1 : sp->stem;
  char *folder = slash ? hl_strndup(sp->stem, (size_t)(slash - sp->stem) + 1) : hl_strdup("./");
  DIR *dir = opendir(folder);
  struct dirent *entry;
  hl_buf path;
  hl_buf_init(&path, 1 << 16);
  while (dir && (entry = readdir(dir))) {
    if (!hl_str_starts(hl_str_of(entry->d_name), name)) continue;
    size_t len = strlen(entry->d_name);
    hl_buf_clear(&path);
    if (hl_buf_printf(&path, "%s%s", folder, entry->d_name)) continue;
    if (len > 4 && strcmp(entry->d_name + len - 4, ".tmp") == 0) unlink(path.p);
    else open_one(sp, path.p, now, last_row);
  }
  if (dir) closedir(dir);
  hl_buf_deinit(&path);
  hl_free(folder);
}

static void add_logged(hl_spill *sp) {
  const logged *x = &sp->ahead[sp->n_added++ % AHEAD];
  hl_dedupe *d = sp->e->dedupe;
  write_job *job;
  if (x->row != sp->row) {
    hl_dedupe_settle(d, hl_dedupe_end(d));
    while (!sp->retry_ms && (job = next_job(sp, SIZE_MAX))) {
      work(job);
      take(sp, job);
      free_job(job);
    }
    hl_dedupe_row(d, x->row);
    sp->row = x->row;
  }
  hl_dedupe_add(d, x->hash, x->received);
}

static void remember(void *arg, int64_t row, int64_t received, hl_str hashes) {
  hl_spill *sp = arg;
  for (size_t i = 0; i + HL_HASH_BYTES <= hashes.n; i += HL_HASH_BYTES) {
    hl_hash h;
    memcpy(&h, hashes.p + i, sizeof h);
    if (!h.a && !h.b) continue;
    hl_dedupe_prefetch(sp->e->dedupe, h);
    if (sp->n_ahead - sp->n_added == AHEAD) add_logged(sp);
    sp->ahead[sp->n_ahead++ % AHEAD] = (logged){h, row, received};
  }
}

static int read_rows(hl_spill *sp, int64_t after, int64_t upto, int64_t since, hl_error *err) {
  int rc = hl_store_each_hash(sp->e->store, after, upto, since, remember, sp, err);
  while (sp->n_added < sp->n_ahead) add_logged(sp);
  hl_dedupe_settle(sp->e->dedupe, hl_dedupe_end(sp->e->dedupe));
  return rc;
}

/* Rows in the order of the log, without those that a segment holds. */
static int fill(hl_spill *sp, int64_t now, int64_t last_row, hl_error *err) {
  int64_t after = 0, since = now - sp->window_ms - HL_DEDUPE_MARK_MS;
  int rc = 0;
  size_t n = sp->n;
  /* What is written meanwhile comes into the list too, so it walks a copy. */
  struct range { int64_t first, last; } *ranges = hl_alloc((n + 1) * sizeof *ranges);
  for (size_t i = 0; i < n; i++) ranges[i] = (struct range){hl_segment_first_row(sp->v[i]), hl_segment_last_row(sp->v[i])};
  for (size_t i = 0; i < n && !rc; i++) {
    if (ranges[i].first - 1 > after) rc = read_rows(sp, after, ranges[i].first - 1, since, err);
    if (ranges[i].last > after) after = ranges[i].last;
    hl_dedupe_cut(sp->e->dedupe);
  }
  if (!rc) rc = read_rows(sp, after, last_row, since, err);
  hl_free(ranges);
  return rc;
}

int hl_spill_new(hl_engine *e, int64_t window_ms, size_t memory, size_t generation, hl_spill **out, hl_error *err) {
  hl_spill *sp = HL_NEW(hl_spill);
  int64_t now = hl_loop_now(e->loop);
  hl_buf stem;
  sp->e = e;
  sp->window_ms = window_ms;
  sp->generation = generation < memory / 2 ? generation : memory / 2;
  sp->high = memory - sp->generation;
  sp->retry.unref = true;
  sp->looked_at = hl_loop_mono(e->loop);
  if (e->path) {
    hl_buf_init(&stem, 1 << 16);
    hl_buf_printf(&stem, "%s-dedupe-", e->path);
    sp->stem = hl_buf_detach(&stem, NULL);
    hl_dedupe_beyond(e->dedupe, has, sp);
    open_all(sp, now, e->committed);
  }
  int rc = fill(sp, now, e->committed, err);
  /* A disk that was full then may not be so now. */
  if (sp->retry_ms) hl_timer_start(e->loop, &sp->retry, sp->retry_ms, on_retry, sp);
  if (rc) hl_spill_free(sp);
  else *out = sp;
  return rc;
}

void hl_spill_free(hl_spill *sp) {
  if (!sp) return;
  if (sp->out) sp->out->sp = NULL;
  hl_timer_stop(sp->e->loop, &sp->retry);
  hl_dedupe_beyond(sp->e->dedupe, NULL, NULL);
  while (sp->n) take_out(sp, sp->n - 1);
  drop_copy(sp);
  hl_free(sp->v);
  hl_free(sp->stem);
  hl_free(sp);
}

size_t hl_spill_segments(const hl_spill *sp) { return sp->n; }
