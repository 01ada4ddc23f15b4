/* The loop and the one clock. Everything that thinks runs on this thread: Lua,
 * queues, HTTP. Nothing else in the tree reads a clock or starts a libuv timer.
 *
 * Real mode: one uv timer drives a heap of hl_timer. Virtual mode: when nothing
 * is runnable and no off-loop operation is out, the clock jumps to the next
 * timer; completions are delivered in the order of submission (SEMANTICS 46).
 *
 * All calls are for the loop thread, except hl_loop_post. None blocks but
 * hl_loop_run. Callbacks may start, stop and free anything, themselves included
 * where said. */
#ifndef HL_LOOP_LOOP_H
#define HL_LOOP_LOOP_H

#include <uv.h>

#include "base/err.h"
#include "base/id.h"
#include "base/log.h"

typedef struct hl_loop hl_loop;

typedef struct hl_loop_options {
  bool is_virtual;
  int64_t start_ms;   /* virtual: epoch ms of the first instant; 0: 2026-09-01T08:00Z */
  uint64_t seed;      /* virtual: seeds hl_loop_rng */
} hl_loop_options;

int hl_loop_new(const hl_loop_options *options, hl_log *log, hl_loop **out, hl_error *err);
/* Every handle, timer and job must be gone; asserts it. */
void hl_loop_free(hl_loop *loop);
/* Runs until hl_loop_stop, or until nothing is left to do (no referenced
 * handle, timer, deferred call or job). */
void hl_loop_run(hl_loop *loop);
void hl_loop_stop(hl_loop *loop);
/* Runs turns until *flag is true; HL_ETIMEOUT if nothing is left to do first. */
int hl_loop_run_until(hl_loop *loop, const bool *flag);
/* The same while more() is true; it is asked after each turn's callbacks, so it must be cheap. */
int hl_loop_run_while(hl_loop *loop, bool (*more)(void *arg), void *arg);

uv_loop_t *hl_loop_uv(hl_loop *loop);
hl_log *hl_loop_log(hl_loop *loop);
hl_rng *hl_loop_rng(hl_loop *loop);
bool hl_loop_is_virtual(const hl_loop *loop);

/* Monotonic milliseconds and microseconds; for durations and timers. */
int64_t hl_loop_mono(const hl_loop *loop);
int64_t hl_loop_mono_us(const hl_loop *loop);
/* Epoch milliseconds: for records, cron, signatures. May step. */
int64_t hl_loop_now(const hl_loop *loop);

/* ---- timers: embed the struct in yours, zero it first ---- */
typedef struct hl_timer hl_timer;
typedef void (*hl_timer_cb)(hl_timer *timer, void *arg); /* may free its owner */
struct hl_timer {
  int64_t due;      /* hl_loop_mono ms, or with `wall` epoch ms; meaningful while armed */
  uint64_t seq;     /* equal dues fire in the order they were armed */
  size_t at;        /* place in the heap + 1; 0: not armed */
  hl_timer_cb cb;
  void *arg;
  bool unref;       /* set before start: does not keep hl_loop_run alive */
  bool wall;
};
/* Arms (or re-arms) to fire once, `ms` from now (0 or less: next turn). */
void hl_timer_start(hl_loop *loop, hl_timer *timer, int64_t ms, hl_timer_cb cb, void *arg);
/* The same at a time of the wall clock. It fires early when that clock steps by more than a second, either
 * way, or the machine was suspended (noticed within a second): the callback looks and arms it again. */
void hl_timer_start_at(hl_loop *loop, hl_timer *timer, int64_t epoch_ms, hl_timer_cb cb, void *arg);
void hl_timer_stop(hl_loop *loop, hl_timer *timer);   /* not armed: nothing */
static inline bool hl_timer_armed(const hl_timer *t) { return t->at != 0; }

/* ---- deferred calls: run at the end of the current turn, in order ---- */
typedef struct hl_defer hl_defer;
typedef void (*hl_defer_cb)(hl_defer *defer, void *arg); /* may free its owner */
struct hl_defer {
  hl_defer *next, *prev;   /* NULL: not queued */
  hl_defer_cb cb;
  void *arg;
};
void hl_defer_start(hl_loop *loop, hl_defer *defer, hl_defer_cb cb, void *arg); /* queued: nothing */
void hl_defer_stop(hl_loop *loop, hl_defer *defer);

/* ---- work on other threads ---- */
typedef struct hl_job hl_job;
typedef void (*hl_job_cb)(void *arg);
/* Runs `work` on a pool thread and `done` on the loop afterwards. Copies in,
 * copies back. In virtual mode the clock stands meanwhile. Cannot be cancelled. */
void hl_loop_work(hl_loop *loop, hl_job_cb work, hl_job_cb done, void *arg);
/* From any thread: `cb` runs on the loop soon. The poster must have called
 * hl_loop_hold before its thread could post, and cb's owner calls
 * hl_loop_release: a hold keeps the loop alive and the virtual clock standing. */
void hl_loop_post(hl_loop *loop, hl_job_cb cb, void *arg);
void hl_loop_hold(hl_loop *loop);
void hl_loop_release(hl_loop *loop);

/* For tests, in virtual time: the wall clock steps, the monotonic one does not. */
void hl_loop_step_wall(hl_loop *loop, int64_t ms);

/* Real sockets call this first; in virtual mode it fails ("real network in virtual time"). */
int hl_loop_need_real(hl_loop *loop, const char *what, hl_error *err);

/* ---- signals ---- */
typedef void (*hl_signal_cb)(void *arg, int signum);
/* Does not keep the loop alive. One handler a signal. */
int hl_loop_on_signal(hl_loop *loop, int signum, hl_signal_cb cb, void *arg, hl_error *err);

#endif
