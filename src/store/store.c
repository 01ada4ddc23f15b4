/* The queue in front of the database. With a file, one writer thread takes jobs
 * in order, and finished jobs come back to the loop in the same order, several
 * with one wake-up. In memory a job is executed when it is submitted and
 * answered through the loop's deferred calls, so that order and "never from
 * inside" are the same.
 *
 * Checkpoints are the writer's: never inside a commit, in the gaps between jobs
 * once the log has WAL_IDLE_BYTES, and between two jobs under load at
 * WAL_MAX_BYTES, which bounds both the file and the pause: with 100 events a
 * request the 99th percentile was 106-150 ms at 4 MB, 266-294 ms at 16 MB,
 * and no less was received (two loaded cores, sides alternating). */
#include <assert.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/lanes.h"
#include "store/sqlite.h"

enum {
  WAL_IDLE_BYTES = 2 << 20,
  WAL_MAX_BYTES = 4 << 20,
};
static const int64_t EXPIRE_EVERY_MS = 60 * 1000;

typedef enum job_kind { JOB_COMMIT, JOB_LOG, JOB_DUE, JOB_KV_GET, JOB_KV_LIST, JOB_AUDITS, JOB_STEPS, JOB_WAITS, JOB_WAIT_INDEX, JOB_CALL } job_kind;

typedef struct job {
  struct job *next;
  job_kind kind;
  void *arg;
  union {
    hl_commit_cb commit;
    void (*log)(void *, const hl_store_rows *);
    void (*due)(void *, const hl_store_due *);
    void (*kv_get)(void *, int, hl_str, int64_t);
    void (*kv_list)(void *, int, const hl_str *, size_t);
    hl_audits_cb audits;
    hl_steps_cb steps;
    hl_waits_cb waits;
    hl_wait_index_cb wait_index;
    const hl_store_call_type *call;
  } cb;
  /* asked */
  hl_tx *tx;
  int64_t a, b;
  size_t max, max_bytes;
  char *script, *account;
  hl_str key;                /* in the bag */
  /* answered */
  int code;
  hl_error err;
  hl_store_counts counts;
  hl_store_rows rows;
  hl_store_due due;
  hl_str value, *keys;
  size_t n_keys;
  hl_audit *audits;
  hl_step_row *steps;
  hl_wait_row *waits;
  hl_wait_index wait_index;
  int64_t expires;
  hl_bag bag;
} job;

/* A posted call cannot be taken back, so it holds this and not the store. */
typedef struct wake {
  hl_store *store;           /* NULL: gone */
} wake;

struct hl_store {
  hl_loop *loop;
  hl_db *db;                 /* under `db_lock` */
  bool threaded;
  hl_retention keep;
  wake *wake;
  uv_thread_t thread;
  uv_mutex_t lock, db_lock;
  uv_cond_t cond;
  /* under `lock` */
  job *queue, **queue_tail, *done, **done_tail;
  bool stopping;
  bool woken;                /* a wake-up is posted or being handled, and frees `wake` at the end */
  unsigned fault_times, read_fault_times, paused;
  int fault_code, read_fault_code;
  hl_defer answer;           /* in memory */
};

static void free_job(job *j) {
  if (j->kind == JOB_CALL && j->arg) j->cb.call->drop(j->arg);
  hl_tx_free(j->tx);
  hl_free(j->script);
  hl_free(j->account);
  hl_bag_deinit(&j->bag);
  hl_free(j);
}

static int take_fault(hl_store *s, unsigned *times, const int *codes) {
  int code = 0;
  uv_mutex_lock(&s->lock);
  if (*times) {
    --*times;
    code = *codes;
  }
  uv_mutex_unlock(&s->lock);
  return code;
}

static void execute(hl_store *s, job *j) {
  uv_mutex_lock(&s->db_lock);
  switch (j->kind) {
    case JOB_COMMIT: {
      hl_store_state state;
      j->code = take_fault(s, &s->fault_times, &s->fault_code);
      if (j->code) hl_fail(&j->err, j->code, "store: fault point “commit”");
      else j->code = hl_db_apply(s->db, j->tx, &j->err);
      hl_db_state(s->db, &state);
      j->counts = state.counts;
      break;
    }
    case JOB_LOG:
      j->code = take_fault(s, &s->read_fault_times, &s->read_fault_code);
      if (!j->code) j->code = hl_db_read_log(s->db, j->a, j->b, j->max, j->max_bytes, &j->bag, &j->rows);
      j->rows.code = j->code;
      break;
    case JOB_DUE:
      j->code = take_fault(s, &s->read_fault_times, &s->read_fault_code);
      if (!j->code) j->code = hl_db_read_due(s->db, j->a, j->b, j->max, &j->bag, &j->due);
      j->due.code = j->code;
      break;
    case JOB_KV_GET:
      j->code = hl_db_kv_get(s->db, j->script, j->account, j->key, j->a, &j->bag, &j->value, &j->expires);
      break;
    case JOB_KV_LIST:
      j->code = hl_db_kv_list(s->db, j->script, j->account, j->key, j->max, j->a, &j->bag, &j->keys, &j->n_keys);
      break;
    case JOB_AUDITS:
      j->code = hl_db_read_audits(s->db, j->script, j->key, j->max, &j->bag, &j->audits, &j->n_keys);
      break;
    case JOB_STEPS:
      j->code = hl_db_read_steps(s->db, j->a, j->b, j->key, &j->bag, &j->steps, &j->n_keys);
      break;
    case JOB_WAITS:
      j->code = take_fault(s, &s->read_fault_times, &s->read_fault_code);
      if (!j->code) j->code = hl_db_read_waits(s->db, j->max, &j->bag, &j->waits, &j->n_keys);
      break;
    case JOB_WAIT_INDEX:
      j->code = hl_db_wait_index(s->db, &j->bag, &j->wait_index, NULL);
      break;
    case JOB_CALL: j->cb.call->work(s->db, j->arg); break;
  }
  uv_mutex_unlock(&s->db_lock);
}

/* The callback may free the store; nothing of it is touched afterwards. */
static void answer(job *j) {
  hl_tx *tx = j->tx;
  void *arg = j->arg;
  j->tx = NULL;
  j->arg = NULL;
  switch (j->kind) {
    case JOB_COMMIT: j->cb.commit(arg, tx, j->code, &j->counts, j->err.text); break;
    case JOB_LOG: j->cb.log(arg, &j->rows); break;
    case JOB_DUE: j->cb.due(arg, &j->due); break;
    case JOB_KV_GET: j->cb.kv_get(arg, j->code, j->value, j->expires); break;
    case JOB_KV_LIST: j->cb.kv_list(arg, j->code, j->keys, j->n_keys); break;
    case JOB_AUDITS: j->cb.audits(arg, j->code, j->audits, j->n_keys); break;
    case JOB_STEPS: j->cb.steps(arg, j->code, j->steps, j->n_keys); break;
    case JOB_WAITS: j->cb.waits(arg, j->code, j->waits, j->n_keys); break;
    case JOB_WAIT_INDEX: j->cb.wait_index(arg, j->code, &j->wait_index); break;
    case JOB_CALL: j->cb.call->done(arg); break;
  }
  free_job(j);
}

static job *take_done(hl_store *s) {
  uv_mutex_lock(&s->lock);
  job *j = s->done;
  if (j) {
    s->done = j->next;
    if (!s->done) s->done_tail = &s->done;
  } else {
    s->woken = false;
  }
  uv_mutex_unlock(&s->lock);
  return j;
}

static void on_wake(void *arg) {
  wake *w = arg;
  while (w->store) {
    job *j = take_done(w->store);
    if (!j) return;
    hl_loop_release(w->store->loop);
    answer(j);
  }
  hl_free(w);
}

static void push_done(hl_store *s, job *j) {
  uv_mutex_lock(&s->lock);
  *s->done_tail = j;
  s->done_tail = &j->next;
  bool post = !s->woken;
  s->woken = true;
  uv_mutex_unlock(&s->lock);
  if (post) hl_loop_post(s->loop, on_wake, s->wake);
}

/* ---- the writer ---- */

/* Work for a moment without jobs. True: there is more. */
static bool housekeeping(hl_store *s, int64_t *expired_at) {
  bool more = false;
  int64_t mono = hl_loop_mono(s->loop), now = hl_loop_now(s->loop);
  uv_mutex_lock(&s->db_lock);
  if (hl_db_wal_bytes(s->db) >= WAL_IDLE_BYTES) {
    hl_db_checkpoint(s->db);
  } else if (mono - *expired_at >= EXPIRE_EVERY_MS) {
    more = hl_db_expire(s->db, now - s->keep.events_ms, now - s->keep.audits_ms, now);
    if (!more) *expired_at = mono;
  }
  uv_mutex_unlock(&s->db_lock);
  return more;
}

static void writer(void *arg) {
  hl_store *s = arg;
  int64_t expired_at = hl_loop_mono(s->loop);
  bool more = false;
  uv_mutex_lock(&s->lock);
  for (;;) {
    bool ready = s->queue && (!s->paused || s->stopping);
    if (ready) {
      job *j = s->queue;
      s->queue = j->next;
      if (!s->queue) s->queue_tail = &s->queue;
      j->next = NULL;
      uv_mutex_unlock(&s->lock);
      execute(s, j);
      push_done(s, j);
      uv_mutex_lock(&s->db_lock);
      if (hl_db_wal_bytes(s->db) >= WAL_MAX_BYTES) hl_db_checkpoint(s->db);
      uv_mutex_unlock(&s->db_lock);
      uv_mutex_lock(&s->lock);
    } else if (s->stopping) {
      break;
    } else if (more || uv_cond_timedwait(&s->cond, &s->lock, UINT64_C(20) * 1000 * 1000) != 0) {
      uv_mutex_unlock(&s->lock);
      more = housekeeping(s, &expired_at);
      uv_mutex_lock(&s->lock);
    }
  }
  uv_mutex_unlock(&s->lock);
}

static void on_answer(hl_defer *d, void *arg) {
  (void)d;
  wake *w = arg;
  w->store->woken = true;    /* so that freeing the store in here leaves `w` to us */
  while (w->store) {
    job *j = take_done(w->store);
    if (!j) return;
    answer(j);
  }
  hl_free(w);
}

/* In memory: everything that may run, now. */
static void run_queue(hl_store *s) {
  while (s->queue && !s->paused) {
    job *j = s->queue;
    s->queue = j->next;
    if (!s->queue) s->queue_tail = &s->queue;
    j->next = NULL;
    execute(s, j);
    *s->done_tail = j;
    s->done_tail = &j->next;
  }
  if (s->done) hl_defer_start(s->loop, &s->answer, on_answer, s->wake);
}

static void submit(hl_store *s, job *j) {
  if (s->threaded) hl_loop_hold(s->loop);
  uv_mutex_lock(&s->lock);
  *s->queue_tail = j;
  s->queue_tail = &j->next;
  uv_cond_signal(&s->cond);
  uv_mutex_unlock(&s->lock);
  if (!s->threaded) run_queue(s);
}

static job *new_job(job_kind kind, void *arg) {
  job *j = HL_NEW(job);
  j->kind = kind;
  j->arg = arg;
  return j;
}

/* ---- the door ---- */

int hl_store_open(hl_loop *loop, const char *path, const hl_retention *keep, hl_store **out, hl_error *err) {
  unsigned char key[HL_STORE_KEY_BYTES];
  uint64_t r[2] = {hl_rng_next(hl_loop_rng(loop)), hl_rng_next(hl_loop_rng(loop))};
  hl_db *db;
  memcpy(key, r, sizeof key);
  int rc = hl_db_open(path, key, &db, err);
  if (rc) return rc;
  hl_store *s = HL_NEW(hl_store);
  s->loop = loop;
  s->db = db;
  s->keep = *keep;
  s->queue_tail = &s->queue;
  s->done_tail = &s->done;
  s->wake = HL_NEW(wake);
  s->wake->store = s;
  uv_mutex_init(&s->lock);
  uv_mutex_init(&s->db_lock);
  uv_cond_init(&s->cond);
  s->threaded = path != NULL;
  if (s->threaded && (rc = uv_thread_create(&s->thread, writer, s)) != 0) {
    s->threaded = false;
    hl_store_free(s);
    return hl_fail(err, HL_EIO, "store %s: cannot start its thread: %s", path, uv_strerror(rc));
  }
  *out = s;
  return 0;
}

void hl_store_free(hl_store *s) {
  if (!s) return;
  if (s->threaded) {
    uv_mutex_lock(&s->lock);
    s->stopping = true;
    uv_cond_signal(&s->cond);
    uv_mutex_unlock(&s->lock);
    uv_thread_join(&s->thread);
  } else {
    s->paused = 0;
    run_queue(s);
    hl_defer_stop(s->loop, &s->answer);
  }
  while (s->done) {
    job *j = s->done;
    s->done = j->next;
    if (s->threaded) hl_loop_release(s->loop);
    free_job(j);
  }
  /* The wake-up is freed by the callback that is still to come, or here. */
  s->wake->store = NULL;
  if (!s->woken) hl_free(s->wake);
  hl_db_close(s->db);
  uv_mutex_destroy(&s->lock);
  uv_mutex_destroy(&s->db_lock);
  uv_cond_destroy(&s->cond);
  hl_free(s);
}

void hl_store_state_get(hl_store *s, hl_store_state *out) {
  uv_mutex_lock(&s->db_lock);
  hl_db_state(s->db, out);
  uv_mutex_unlock(&s->db_lock);
}

int hl_store_each_hash(hl_store *s, int64_t after, int64_t upto, int64_t since,
                       void (*each)(void *arg, int64_t row, int64_t received, hl_str hashes), void *arg, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_hash(s->db, after, upto, since, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_schedule(hl_store *s, void (*each)(void *arg, const char *name, int64_t last), void *arg,
                           hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_schedule(s->db, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_place(hl_store *s, const char *source, hl_buf *out, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_place(s->db, source, out, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_own(hl_store *s, void (*each)(void *arg, const hl_own_row *row), void *arg, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_own(s->db, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_debounce(hl_store *s, void (*each)(void *arg, const hl_debounce_row *row), void *arg, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_debounce(s->db, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_start(hl_store *s, int64_t now, void (*each)(void *arg, const char *handler, hl_str lane, int64_t at), void *arg,
                        hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_start(s->db, now, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_held(hl_store *s, int64_t since, int64_t hold_ms, void (*each)(void *arg, const hl_parked *p), void *arg,
                       hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_held(s->db, since, hold_ms, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_wait_index(hl_store *s, hl_wait_index_cb cb, void *arg, hl_error *err) {
  hl_bag bag = {0};
  hl_wait_index index;
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_wait_index(s->db, &bag, &index, err);
  uv_mutex_unlock(&s->db_lock);
  if (!rc) cb(arg, 0, &index);
  hl_bag_deinit(&bag);
  return rc;
}

int hl_store_each_halted(hl_store *s, void (*each)(void *arg, const char *script, const char *why), void *arg, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_halted(s->db, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_each_listened(hl_store *s, void (*each)(void *arg, const hl_listened *l), void *arg, hl_error *err) {
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_each_listened(s->db, each, arg, err);
  uv_mutex_unlock(&s->db_lock);
  return rc;
}

int hl_store_reconcile(hl_store *s, hl_state (*fate)(void *arg, const char *handler), void *arg,
                       hl_store_counts *counts, hl_error *err) {
  hl_store_state state;
  uv_mutex_lock(&s->db_lock);
  int rc = hl_db_reconcile(s->db, fate, arg, err);
  hl_db_state(s->db, &state);
  uv_mutex_unlock(&s->db_lock);
  *counts = state.counts;
  return rc;
}

void hl_store_commit(hl_store *s, hl_tx *tx, hl_commit_cb cb, void *arg) {
  job *j = new_job(JOB_COMMIT, arg);
  j->tx = tx;
  j->cb.commit = cb;
  submit(s, j);
}

void hl_store_read_log(hl_store *s, int64_t after, int64_t upto, size_t max_rows, size_t max_bytes,
                       void (*cb)(void *arg, const hl_store_rows *rows), void *arg) {
  job *j = new_job(JOB_LOG, arg);
  j->a = after;
  j->b = upto;
  j->max = max_rows;
  j->max_bytes = max_bytes;
  j->cb.log = cb;
  submit(s, j);
}

void hl_store_read_due(hl_store *s, int64_t until, int64_t early, size_t max, void (*cb)(void *arg, const hl_store_due *due),
                       void *arg) {
  job *j = new_job(JOB_DUE, arg);
  j->a = until;
  j->b = early;
  j->max = max;
  j->cb.due = cb;
  submit(s, j);
}

static job *kv_job(job_kind kind, const char *script, const char *account, hl_str key, int64_t now, void *arg) {
  job *j = new_job(kind, arg);
  j->script = hl_strdup(script);
  j->account = hl_strdup(account);
  j->key = hl_bag_copy(&j->bag, key.p, key.n);
  j->a = now;
  return j;
}

void hl_store_kv_get(hl_store *s, const char *script, const char *account, hl_str key, int64_t now,
                     void (*cb)(void *arg, int code, hl_str value, int64_t expires), void *arg) {
  job *j = kv_job(JOB_KV_GET, script, account, key, now, arg);
  j->cb.kv_get = cb;
  submit(s, j);
}

void hl_store_kv_list(hl_store *s, const char *script, const char *account, hl_str prefix, size_t max, int64_t now,
                      void (*cb)(void *arg, int code, const hl_str *keys, size_t n), void *arg) {
  job *j = kv_job(JOB_KV_LIST, script, account, prefix, now, arg);
  j->max = max;
  j->cb.kv_list = cb;
  submit(s, j);
}

void hl_store_read_audits(hl_store *s, const char *kind, const char *key, size_t max, hl_audits_cb cb, void *arg) {
  job *j = kv_job(JOB_AUDITS, kind, "", hl_str_of(key), 0, arg);
  j->max = max;
  j->cb.audits = cb;
  submit(s, j);
}

void hl_store_read_steps(hl_store *s, const hl_step_key *key, hl_steps_cb cb, void *arg) {
  job *j = new_job(JOB_STEPS, arg);
  j->key = hl_bag_copy(&j->bag, key->handler, strlen(key->handler));
  j->a = key->row;
  j->b = key->index;
  j->cb.steps = cb;
  submit(s, j);
}

void hl_store_read_waits(hl_store *s, size_t max, hl_waits_cb cb, void *arg) {
  job *j = new_job(JOB_WAITS, arg);
  j->max = max;
  j->cb.waits = cb;
  submit(s, j);
}

void hl_store_read_wait_index(hl_store *s, hl_wait_index_cb cb, void *arg) {
  job *j = new_job(JOB_WAIT_INDEX, arg);
  j->cb.wait_index = cb;
  submit(s, j);
}

void hl_store_call(hl_store *s, const hl_store_call_type *type, void *arg) {
  job *j = new_job(JOB_CALL, arg);
  j->cb.call = type;
  submit(s, j);
}

void hl_store_fault(hl_store *s, const char *point, int code, unsigned times) {
  uv_mutex_lock(&s->lock);
  if (strcmp(point, "pause") == 0) {
    s->paused = times;
    uv_cond_signal(&s->cond);
  } else if (strcmp(point, "read") == 0) {
    s->read_fault_times = times;
    s->read_fault_code = code;
  } else {
    assert(strcmp(point, "commit") == 0);
    s->fault_times = times;
    s->fault_code = code;
  }
  uv_mutex_unlock(&s->lock);
  if (!s->threaded) run_queue(s);
}
