/* Shared by the engine's tests: a loop, an engine, and handlers that count. */
#ifndef HL_TESTS_ENGINE_UTIL_H
#define HL_TESTS_ENGINE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "store/store.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_engine *e;
  hl_error err;
} world;

static inline void world_loop(world *w, bool is_virtual) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = is_virtual, .seed = 7}, w->log, &w->loop, &w->err), 0);
}

static inline void world_engine(world *w, const char *path) {
  int rc = hl_engine_new(w->loop, &(hl_engine_options){.store = path}, &w->e, &w->err);
  if (rc) print_error("%s\n", w->err.text);
  assert_int_equal(rc, 0);
}

static inline void world_start(world *w) { assert_int_equal(hl_engine_start(w->e, &w->err), 0); }

static inline void world_end(world *w) {
  hl_engine_free(w->e);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

static inline void on_tick(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

/* Lets `ms` pass (virtual: the clock jumps). A real loop gets a millisecond at
 * least, so that it looks at other threads too. */
static inline void pass(world *w, int64_t ms) {
  if (ms < 1 && !hl_loop_is_virtual(w->loop)) ms = 1;
  hl_timer t = {0};
  bool flag = false;
  hl_timer_start(w->loop, &t, ms, on_tick, &flag);
  assert_int_equal(hl_loop_run_until(w->loop, &flag), 0);
}

/* Turns until the engine has nothing left to do. */
static inline void settle_down(world *w) {
  for (int i = 0; i < 100000; i++) {
    if (hl_engine_idle(w->e)) return;
    pass(w, 0);
  }
  fail_msg("the engine does not become idle");
}

typedef struct answer {
  int calls;
  hl_receipt r;
} answer;

static inline void on_answer(void *arg, const hl_receipt *r) {
  answer *a = arg;
  a->calls++;
  a->r = *r;
}

static inline void receive(world *w, const char *body, answer *a) {
  hl_engine_receive(w->e, "push", "main", hl_str_of(body), on_answer, a);
}

/* receive, then wait for the answer. */
static inline hl_receipt received(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  assert_int_equal(a.calls, 0); /* never from inside */
  for (int i = 0; i < 100000 && !a.calls; i++) pass(w, 0);
  assert_int_equal(a.calls, 1);
  return a.r;
}

static inline hl_engine_stats stats_of(world *w) {
  hl_engine_stats s;
  hl_engine_stats_get(w->e, &s);
  assert_int_equal(s.acknowledged,
                   s.pending + s.ran + s.filtered + s.duplicate + s.waiting + s.dead + s.unhandled + s.orphaned + s.own + s.debounced + s.removed);
  return s;
}

/* A handler that notes what it sees and finishes as told. */
enum { SEEN = 4096 };
typedef struct probe {
  world *w;
  int calls;
  int fail_first;              /* that many fail */
  bool hold;                   /* keep the runs for later */
  hl_run *held[SEEN];
  int n_held;
  char ids[SEEN][40];
  char objects[SEEN][24];
  unsigned attempts[SEEN];
  int64_t occurred[SEEN];
  void (*work)(struct probe *p, hl_run *run, const hl_event *event);
  void *arg;
} probe;

static inline void on_event(void *arg, hl_run *run, const hl_event *event) {
  probe *p = arg;
  int k = p->calls++ % SEEN;
  snprintf(p->ids[k], sizeof p->ids[k], "%s", event->id);
  snprintf(p->objects[k], sizeof p->objects[k], "%s", event->object_id);
  p->attempts[k] = event->attempt;
  p->occurred[k] = event->occurred_at;
  if (p->work) p->work(p, run, event);
  if (p->hold) {
    p->held[p->n_held++] = run;
    return;
  }
  if (p->fail_first > 0) {
    p->fail_first--;
    hl_run_finish(run, HL_RUN_FAILED, HL_STR("told to fail"));
  } else {
    hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  }
}

static inline hl_handler *listen_with(world *w, const char *type, bool own, hl_handler_options o, probe *p) {
  hl_handler *h = NULL;
  p->w = w;
  int rc = hl_engine_on(w->e, type, own, &o, on_event, p, &h, &w->err);
  if (rc) print_error("%s\n", w->err.text);
  assert_int_equal(rc, 0);
  return h;
}
static inline hl_handler *listen_to(world *w, const char *type, probe *p) {
  return listen_with(w, type, false, (hl_handler_options){.script = "t.lua", .retries = 3}, p);
}

#define CREATED(id, object, at) \
  "{\"eventId\":" #id ",\"subscriptionId\":1,\"portalId\":62515,\"occurredAt\":" #at \
  ",\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":" #object "}"

#endif
