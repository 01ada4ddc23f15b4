#include "loop/loop.h"

#include <assert.h>
#include <signal.h>
#include <time.h>

#include "base/mem.h"

/* One turn: the due timers, then what was deferred, then (real mode) one pass of
 * libuv, which brings sockets, finished jobs and posts. Deferred calls made by
 * deferred calls run in the same turn, in order.
 *
 * In real mode libuv's pass blocks until the next timer of ours, through the one
 * uv timer; in virtual mode it never blocks unless a job or hold is out, and
 * when nothing at all is runnable the clock jumps. */

typedef struct post {
  struct post *next;
  hl_job_cb cb;
  void *arg;
} post;

typedef struct signal_watch {
  struct signal_watch *next;
  uv_signal_t handle;
  hl_signal_cb cb;
  void *arg;
} signal_watch;

struct hl_job { /* queued on libuv's pool */
  uv_work_t request;
  hl_loop *loop;
  hl_job_cb work, done;
  void *arg;
  hl_job *next;
  bool finished;
};

typedef struct heap {
  hl_timer **v;
  size_t n, cap;
} heap;

struct hl_loop {
  uv_loop_t uv;
  uv_timer_t timer;
  uv_async_t async;
  uv_mutex_t posts_mutex;
  post *posts, **posts_tail;
  heap timers, walls;       /* armed, by monotonic and by wall time */
  size_t n_ref;             /* of them, those that keep the loop alive */
  int64_t ahead;            /* of the monotonic clock is the wall clock, as seen last */
  uint64_t next_seq;
  hl_defer deferred;        /* list head */
  signal_watch *signals;
  hl_job *jobs, **jobs_tail; /* in the order of submission */
  size_t holds;
  hl_log *log;
  hl_rng rng;
  bool is_virtual, stopped;
  int64_t virtual_us;       /* since start */
  int64_t virtual_start;    /* epoch ms */
};

/* The wall clock may be set, or slewed by 0.05 %: it is looked at so often while a timer goes by it. */
static const int64_t WALL_LOOK_MS = 1000, WALL_STEP_MS = 1000;
static const int64_t DEFAULT_START_MS = INT64_C(1788249600000); /* 2026-09-01T08:00:00Z */

static int64_t clock_us(clockid_t id) {
  struct timespec ts;
  clock_gettime(id, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t hl_loop_mono_us(const hl_loop *l) { return l->is_virtual ? l->virtual_us : clock_us(CLOCK_MONOTONIC); }
int64_t hl_loop_mono(const hl_loop *l) { return hl_loop_mono_us(l) / 1000; }
int64_t hl_loop_now(const hl_loop *l) {
  return l->is_virtual ? l->virtual_start + l->virtual_us / 1000 : clock_us(CLOCK_REALTIME) / 1000;
}
static int64_t log_clock(void *arg) { return hl_loop_now(arg); }

uv_loop_t *hl_loop_uv(hl_loop *l) { return &l->uv; }
hl_log *hl_loop_log(hl_loop *l) { return l->log; }
hl_rng *hl_loop_rng(hl_loop *l) { return &l->rng; }
bool hl_loop_is_virtual(const hl_loop *l) { return l->is_virtual; }

/* ---- the heap of timers ---- */

static bool sooner(const hl_timer *a, const hl_timer *b) {
  return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void put(heap *h, size_t i, hl_timer *t) {
  h->v[i] = t;
  t->at = i + 1;
}

static void sift(heap *h, size_t i, hl_timer *t) {
  while (i > 0 && sooner(t, h->v[(i - 1) / 2])) {
    put(h, i, h->v[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * i + 1;
    if (child + 1 < h->n && sooner(h->v[child + 1], h->v[child])) child++;
    if (child >= h->n || !sooner(h->v[child], t)) break;
    put(h, i, h->v[child]);
    i = child;
  }
  put(h, i, t);
}

void hl_timer_stop(hl_loop *l, hl_timer *t) {
  if (!t->at) return;
  heap *h = t->wall ? &l->walls : &l->timers;
  size_t i = t->at - 1;
  t->at = 0;
  if (!t->unref) l->n_ref--;
  hl_timer *last = h->v[--h->n];
  if (last != t) sift(h, i, last);
}

static void start(hl_loop *l, heap *h, hl_timer *t, hl_timer_cb cb, void *arg) {
  if (h->n == h->cap) {
    h->cap = h->cap ? h->cap * 2 : 64;
    h->v = hl_realloc(h->v, h->cap * sizeof *h->v);
  }
  t->seq = l->next_seq++;
  t->cb = cb;
  t->arg = arg;
  if (!t->unref) l->n_ref++;
  h->n++;
  sift(h, h->n - 1, t);
}

void hl_timer_start(hl_loop *l, hl_timer *t, int64_t ms, hl_timer_cb cb, void *arg) {
  hl_timer_stop(l, t);
  t->wall = false;
  /* A begun millisecond is rounded up: a timer is never early. */
  int64_t now_us = hl_loop_mono_us(l);
  t->due = ms <= 0 ? now_us / 1000 : (now_us + 999) / 1000 + ms;
  start(l, &l->timers, t, cb, arg);
}

static int64_t wall_ahead(const hl_loop *l) { return hl_loop_now(l) - hl_loop_mono(l); }

void hl_timer_start_at(hl_loop *l, hl_timer *t, int64_t epoch_ms, hl_timer_cb cb, void *arg) {
  hl_timer_stop(l, t);
  if (!l->walls.n) l->ahead = wall_ahead(l);
  t->wall = true;
  t->due = epoch_ms;
  start(l, &l->walls, t, cb, arg);
}

/* After a step of the wall clock every timer that goes by it is called, to look for itself. */
static void look_at_wall(hl_loop *l) {
  if (!l->walls.n) return;
  int64_t ahead = wall_ahead(l), step = ahead - l->ahead;
  l->ahead = ahead;
  if (step < WALL_STEP_MS && step > -WALL_STEP_MS) return;
  for (size_t i = 0; i < l->walls.n; i++) { /* ascending: still a heap */
    l->walls.v[i]->due = INT64_MIN;
    l->walls.v[i]->seq = l->next_seq++;
  }
}

/* The timer that is due first, and when on the monotonic clock. NULL: none. */
static hl_timer *first(const hl_loop *l, int64_t *due) {
  hl_timer *t = l->timers.n ? l->timers.v[0] : NULL, *w = l->walls.n ? l->walls.v[0] : NULL;
  if (t) *due = t->due;
  if (!w) return t;
  int64_t at = w->due == INT64_MIN ? INT64_MIN : w->due - wall_ahead(l);
  if (t && (t->due < at || (t->due == at && t->seq < w->seq))) return t;
  *due = at;
  return w;
}

static bool any_due(const hl_loop *l) {
  int64_t due;
  return first(l, &due) && due <= hl_loop_mono(l);
}

/* Timers armed by these callbacks wait for the next turn, so that a timer of
 * zero cannot starve the rest. */
static void run_timers(hl_loop *l) {
  hl_timer *t;
  int64_t due, now = hl_loop_mono(l);
  look_at_wall(l);
  uint64_t horizon = l->next_seq;
  while ((t = first(l, &due)) && due <= now && t->seq < horizon && !l->stopped) {
    hl_timer_stop(l, t);
    t->cb(t, t->arg);
  }
}

/* ---- deferred calls ---- */

void hl_defer_start(hl_loop *l, hl_defer *d, hl_defer_cb cb, void *arg) {
  if (d->next) return;
  d->cb = cb;
  d->arg = arg;
  d->next = &l->deferred;
  d->prev = l->deferred.prev;
  d->prev->next = d;
  l->deferred.prev = d;
}

void hl_defer_stop(hl_loop *l, hl_defer *d) {
  (void)l;
  if (!d->next) return;
  d->prev->next = d->next;
  d->next->prev = d->prev;
  d->next = d->prev = NULL;
}

static bool any_deferred(const hl_loop *l) { return l->deferred.next != &l->deferred; }

static void run_deferred(hl_loop *l) {
  while (any_deferred(l)) {
    hl_defer *d = l->deferred.next;
    hl_defer_stop(l, d);
    d->cb(d, d->arg);
  }
}

/* ---- other threads ---- */

/* libuv may run this before it polls, when the timer comes due on the way there.
 * Nothing would then end the poll: it must not wait. */
static void on_timer(uv_timer_t *handle) { uv_stop(handle->loop); }

static void on_async(uv_async_t *handle) {
  hl_loop *l = handle->data;
  uv_mutex_lock(&l->posts_mutex);
  post *p = l->posts;
  l->posts = NULL;
  l->posts_tail = &l->posts;
  uv_mutex_unlock(&l->posts_mutex);
  while (p) {
    post *next = p->next;
    p->cb(p->arg);
    hl_free(p);
    p = next;
  }
}

void hl_loop_post(hl_loop *l, hl_job_cb cb, void *arg) {
  post *p = HL_NEW(post);
  p->cb = cb;
  p->arg = arg;
  uv_mutex_lock(&l->posts_mutex);
  *l->posts_tail = p;
  l->posts_tail = &p->next;
  uv_mutex_unlock(&l->posts_mutex);
  uv_async_send(&l->async);
}

void hl_loop_hold(hl_loop *l) {
  if (l->holds++ == 0) uv_ref((uv_handle_t *)&l->async);
}
void hl_loop_release(hl_loop *l) {
  assert(l->holds > 0);
  if (--l->holds == 0) uv_unref((uv_handle_t *)&l->async);
}

static void run_work(uv_work_t *request) {
  hl_job *job = request->data;
  job->work(job->arg);
}

/* Virtual mode delivers in the order of submission, so that a run is the same
 * twice; real mode as they come. */
static void work_done(uv_work_t *request, int status) {
  (void)status;
  hl_job *job = request->data;
  hl_loop *l = job->loop;
  job->finished = true;
  if (!l->is_virtual) {
    hl_job **p = &l->jobs;
    while (*p != job) p = &(*p)->next;
    *p = job->next;
    if (!*p) l->jobs_tail = p;
    job->done(job->arg);
    hl_free(job);
    return;
  }
  while (l->jobs && l->jobs->finished) {
    hl_job *first = l->jobs;
    l->jobs = first->next;
    if (!l->jobs) l->jobs_tail = &l->jobs;
    first->done(first->arg);
    hl_free(first);
  }
}

void hl_loop_work(hl_loop *l, hl_job_cb work, hl_job_cb done, void *arg) {
  hl_job *job = HL_NEW(hl_job);
  *job = (hl_job){.loop = l, .work = work, .done = done, .arg = arg};
  job->request.data = job;
  *l->jobs_tail = job;
  l->jobs_tail = &job->next;
  int rc = uv_queue_work(&l->uv, &job->request, run_work, work_done);
  assert(rc == 0);
  (void)rc;
}

/* ---- life ---- */

int hl_loop_new(const hl_loop_options *o, hl_log *log, hl_loop **out, hl_error *err) {
  hl_loop *l = HL_NEW(hl_loop);
  int rc = uv_loop_init(&l->uv);
  if (rc) {
    hl_free(l);
    return hl_fail(err, HL_EIO, "cannot start the event loop: %s", uv_strerror(rc));
  }
  l->log = log;
  l->is_virtual = o && o->is_virtual;
  l->virtual_start = o && o->start_ms ? o->start_ms : DEFAULT_START_MS;
  if (l->is_virtual) {
    hl_rng_init(&l->rng, o->seed);
    hl_log_set_clock(log, log_clock, l);
  } else {
    hl_rng_init_system(&l->rng);
  }
  l->deferred.next = l->deferred.prev = &l->deferred;
  l->posts_tail = &l->posts;
  l->jobs_tail = &l->jobs;
  uv_mutex_init(&l->posts_mutex);
  uv_timer_init(&l->uv, &l->timer);
  uv_unref((uv_handle_t *)&l->timer);
  uv_async_init(&l->uv, &l->async, on_async);
  uv_unref((uv_handle_t *)&l->async);
  l->async.data = l;
  *out = l;
  return 0;
}

static void free_signal_watch(uv_handle_t *handle) { hl_free(handle->data); }

void hl_loop_free(hl_loop *l) {
  if (!l) return;
  while (l->signals) {
    signal_watch *w = l->signals;
    l->signals = w->next;
    uv_close((uv_handle_t *)&w->handle, free_signal_watch);
  }
  on_async(&l->async); /* what was posted and not yet delivered: its owner frees it there */
  uv_close((uv_handle_t *)&l->timer, NULL);
  uv_close((uv_handle_t *)&l->async, NULL);
  uv_run(&l->uv, UV_RUN_DEFAULT);
  assert(l->timers.n + l->walls.n == 0 && "a timer outlives the loop");
  assert(!any_deferred(l) && "a deferred call outlives the loop");
  assert(l->holds == 0 && "a hold outlives the loop");
  int rc = uv_loop_close(&l->uv);
  assert(rc == 0 && "a handle outlives the loop");
  (void)rc;
  if (l->is_virtual) hl_log_set_clock(l->log, NULL, NULL);
  uv_mutex_destroy(&l->posts_mutex);
  hl_free(l->timers.v);
  hl_free(l->walls.v);
  hl_free(l);
}

void hl_loop_stop(hl_loop *l) { l->stopped = true; }

/* One turn. False when nothing is left that could ever run. What a timer or a
 * deferred call has made true is seen before the pass that may block. */
static bool turn(hl_loop *l, bool (*more)(void *arg), void *arg) {
  run_timers(l);
  run_deferred(l);
  if (l->stopped || (more && !more(arg))) return true;

  bool due = any_due(l);
  if (l->is_virtual) {
    bool out = l->jobs || l->holds > 0;
    uv_run(&l->uv, out && !due && !any_deferred(l) ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    if (any_deferred(l) || due || out) return true;
    if (l->n_ref == 0) return uv_loop_alive(&l->uv);
    int64_t at;
    if (first(l, &at) && at > hl_loop_mono(l)) l->virtual_us = at * 1000;
    return true;
  }

  bool alive = due || any_deferred(l) || l->n_ref > 0 || uv_loop_alive(&l->uv);
  if (!alive) return false;
  if (due || any_deferred(l)) {
    uv_run(&l->uv, UV_RUN_NOWAIT);
  } else {
    int64_t at;
    if (first(l, &at)) {
      int64_t wait = at - hl_loop_mono(l);
      if (l->walls.n && wait > WALL_LOOK_MS) wait = WALL_LOOK_MS;
      uv_update_time(&l->uv);
      uv_timer_start(&l->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
    } else {
      uv_timer_stop(&l->timer);
    }
    /* libuv counts referenced handles only; timers of ours keep it waiting. */
    if (l->n_ref) uv_ref((uv_handle_t *)&l->timer);
    uv_run(&l->uv, UV_RUN_ONCE);
    if (l->n_ref || uv_has_ref((uv_handle_t *)&l->timer)) uv_unref((uv_handle_t *)&l->timer);
  }
  return true;
}

void hl_loop_run(hl_loop *l) {
  l->stopped = false;
  while (!l->stopped && turn(l, NULL, NULL)) {}
}

int hl_loop_run_while(hl_loop *l, bool (*more)(void *arg), void *arg) {
  l->stopped = false;
  while (more(arg))
    if (!turn(l, more, arg)) return more(arg) ? HL_ETIMEOUT : 0;
  return 0;
}

static bool is_unset(void *arg) { return !*(const bool *)arg; }

int hl_loop_run_until(hl_loop *l, const bool *flag) {
  return hl_loop_run_while(l, is_unset, (void *)(uintptr_t)flag);
}

void hl_loop_step_wall(hl_loop *l, int64_t ms) {
  assert(l->is_virtual);
  l->virtual_start += ms;
}

int hl_loop_need_real(hl_loop *l, const char *what, hl_error *err) {
  if (!l->is_virtual) return 0;
  return hl_fail(err, HL_EDENIED, "%s: no real network in virtual time; answer it with the simulator", what);
}

static void on_signal(uv_signal_t *handle, int signum) {
  signal_watch *w = handle->data;
  w->cb(w->arg, signum);
}

int hl_loop_on_signal(hl_loop *l, int signum, hl_signal_cb cb, void *arg, hl_error *err) {
  signal_watch *w = HL_NEW(signal_watch);
  w->cb = cb;
  w->arg = arg;
  uv_signal_init(&l->uv, &w->handle);
  w->handle.data = w;
  w->next = l->signals;
  l->signals = w;
  uv_unref((uv_handle_t *)&w->handle);
  int rc = uv_signal_start(&w->handle, on_signal, signum);
  return rc ? hl_fail(err, HL_EIO, "cannot watch signal %d: %s", signum, uv_strerror(rc)) : 0;
}
