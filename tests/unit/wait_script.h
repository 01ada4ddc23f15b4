/* Handlers written out as a list of steps and waits, and lives of an engine over
 * one file, for tests of waits. */
#ifndef HL_TESTS_WAIT_SCRIPT_H
#define HL_TESTS_WAIT_SCRIPT_H

#include <unistd.h>

#include "engine/wait.h"
#include "engine_util.h"

static int64_t clock_ms;
static size_t wait_spare;

static inline void open_life(world *w) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  int rc = hl_engine_new(w->loop, &(hl_engine_options){.store = "waits.db", .wait_spare = wait_spare}, &w->e, &w->err);
  if (rc) print_error("%s\n", w->err.text);
  assert_int_equal(rc, 0);
}

static inline void end_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  world_end(w);
}

static inline void drop_hung(void);
/* As if killed: what is not with the writer is lost. */
static inline void kill_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  hl_engine_abandon(w->e);
  drop_hung();
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

static inline void fresh(void) {
  unlink("waits.db");
  unlink("waits.db-wal");
  clock_ms = INT64_C(1800000000000);
  wait_spare = 0;
}

static inline void calm(world *w) {
  for (int i = 0; i < 20000; i++) {
    pass(w, 1);
    if (hl_engine_idle(w->e)) return;
  }
  fail_msg("the engine does not become idle");
}

/* While a run is held. */
static inline void some_time(world *w) {
  for (int i = 0; i < 100; i++) pass(w, 1);
}

/* ---- a handler written out: steps and waits, one after the other ---- */

enum { MAX_ACTIONS = 8 };
typedef struct action {
  const char *name;
  bool wait;
  const char *type, *match;        /* of a wait; type NULL: a time */
  int64_t ms;                      /* 0: without end */
} action;
#define STEP(name) {name, false, NULL, NULL, 0}
#define WAIT(name, type, match, ms) {name, true, type, match, ms}

typedef struct script {
  action actions[MAX_ACTIONS];
  int n, runs, finished, done[MAX_ACTIONS];
  bool stops;                      /* hangs before `stop_at` */
  bool writes, step_writes;        /* to the deal: before action 1, or in the step that is action 0 */
  bool write_kept;                 /* in step `kept_at`, which raises once its answer is there, and has it then */
  int kept_at, stop_at, fail_at, fail_times;/* raises before this action, that often */
  char results[MAX_ACTIONS][200];  /* as the handler saw them last */
  unsigned attempt;
  world *w;
} script;

typedef struct act {
  script *s;
  hl_run *run;
  hl_step *step;
  hl_write *write;
  int at;
  struct act *next;                /* hung */
} act;
static act *hung;

static inline void go_on(act *a);

static inline void on_ready(void *arg, int code) {
  assert_int_equal(code, 0);
  go_on(arg);
}

static inline void on_committed(void *arg, int code) {
  act *a = arg;
  assert_int_equal(code, 0);
  a->s->done[a->at]++;
  go_on(a);
}

static inline void end(act *a, hl_outcome outcome) {
  hl_run *run = a->run;
  if (outcome == HL_RUN_DONE && !hl_run_is_over(run)) a->s->finished++;
  hl_free(a);
  hl_run_finish(run, outcome, HL_STR("told to"));
}

static inline int ask(act *a, const action *x) {
  hl_error err;
  cJSON *match = NULL;
  if (!x->wait) return hl_run_step(a->run, hl_str_of(x->name), &a->step, &err);
  if (x->match) assert_int_equal(hl_json_parse(hl_str_of(x->match), &match, &err), 0);
  hl_wait_for what = {x->type, match, x->ms ? hl_loop_now(a->s->w->loop) + x->ms : HL_WAIT_FOREVER};
  int rc = hl_run_wait(a->run, hl_str_of(x->name), &what, &a->step, &err);
  cJSON_Delete(match);
  return rc;
}

static inline void keep_result(act *a, const action *x) {
  char *out = a->s->results[a->at];
  size_t size = sizeof a->s->results[0];
  hl_wait_event event;
  if (!x->wait) {
    snprintf(out, size, HL_STR_FMT, HL_STR_ARG(hl_step_result(a->step)));
  } else if (!hl_wait_result(a->step, &event)) {
    snprintf(out, size, "nothing");
  } else {
    snprintf(out, size, "%s %s", event.event.object_id, hl_json_str(event.event.json, "propertyValue", "-"));
    hl_wait_event_deinit(&event);
  }
}

static inline void write_deal(act *a) {
  hl_run_wrote(a->run, HL_WRITE_UPDATE, "main", "deals", "17", HL_STR("{\"properties\":{\"dealstage\":\"ours\",\"amount\":5}}"));
}

static inline void on_intended(void *arg, int code) {
  act *a = arg;
  assert_int_equal(code, 0);
  write_deal(a);
  hl_write_answered(a->write, HL_STR("1"));
  hl_step_leave(a->step, (hl_str){0});
  end(a, HL_RUN_FAILED);
}

static inline void go_on(act *a) {
  script *s = a->s;
  for (; a->at < s->n; a->at++, a->step = NULL) {
    const action *x = &s->actions[a->at];
    if (!a->step) {
      if (s->stops && a->at == s->stop_at) {
        a->next = hung;
        hung = a;
        return;
      }
      if (a->at == s->fail_at && s->fail_times > 0) {
        s->fail_times--;
        end(a, HL_RUN_FAILED);
        return;
      }
      hl_error err;
      assert_int_equal(hl_run_emit(a->run, "noted", HL_STR("1"), 0, NULL, NULL, &err), 0);
      if (s->writes && a->at == 1) write_deal(a);
      int rc = ask(a, x);
      if (rc == HL_EBUSY) {
        hl_run_steps_load(a->run, on_ready, a);
        return;
      }
      if (rc) {
        assert_int_equal(rc, HL_ECANCELLED);
        end(a, HL_RUN_CUT);
        return;
      }
    }
    if (!x->wait && hl_step_active(a->step)) {
      if (s->step_writes && a->at == 0) write_deal(a);
      if (s->write_kept && a->at == s->kept_at) {
        hl_write_state is;
        a->write = hl_step_write(a->step, HL_STR("{\"to\":\"a wrote b\"}"), (hl_str){0}, &is);
        if (is == HL_WRITE_NEW) {
          hl_write_intend(a->write, on_intended, a);
          return;
        }
        assert_int_equal(is, HL_WRITE_ANSWERED);
        assert_true(hl_str_eqz(hl_write_answer(a->write), "1"));
      }
      hl_step_finish(a->step, HL_STR("1"), false, on_committed, a);
      return;
    }
    if (x->wait && hl_wait_is(a->step) == HL_WAIT_DUE) {
      hl_wait_settle(a->step, on_ready, a);
      return;
    }
    if (x->wait && hl_wait_is(a->step) == HL_WAIT_BEGINS) {
      hl_wait_end(a->step);
      hl_error err; /* what comes behind it goes */
      assert_int_equal(hl_run_emit(a->run, "noted", HL_STR("2"), 0, NULL, NULL, &err), 0);
      end(a, HL_RUN_DONE); /* whatever it says */
      return;
    }
    keep_result(a, x);
  }
  end(a, HL_RUN_DONE);
}

static inline void drop_hung(void) {
  while (hung) {
    act *a = hung;
    hung = a->next;
    hl_free(a);
  }
}

static inline void let_go(void) {
  while (hung) {
    act *a = hung;
    hung = a->next;
    go_on(a);
  }
}

static inline void on_script(void *arg, hl_run *run, const hl_event *event) {
  script *s = arg;
  act *a = HL_NEW(act);
  *a = (act){.s = s, .run = run};
  s->runs++;
  s->attempt = event->attempt;
  go_on(a);
}

static probe noted;

static inline void listen_script(world *w, script *s) {
  hl_handler_options o = {.script = "s.lua", .retries = 5};
  s->w = noted.w = w;
  assert_int_equal(hl_engine_on(w->e, "contact.creation", false, &o, on_script, s, NULL, &w->err), 0);
  assert_int_equal(hl_engine_on(w->e, "noted", true, &(hl_handler_options){.script = "s.lua"}, on_event, &noted, NULL, &w->err), 0);
}

static inline void begin_life(world *w, script *s) {
  open_life(w);
  listen_script(w, s);
  world_start(w);
}

static inline hl_receipt put(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  return a.r;
}

#define CHANGED(event, object, value) \
  "{\"eventId\":" #event ",\"subscriptionId\":2,\"portalId\":62515,\"occurredAt\":5,\"subscriptionType\":\"deal.propertyChange\"" \
  ",\"objectId\":" #object ",\"propertyName\":\"dealstage\",\"propertyValue\":\"" value "\"}"
#define DEAL(object) "{\"objectId\":" #object "}"

static inline script wait_script(void) {
  memset(&noted, 0, sizeof noted);
  return (script){.actions = {STEP("a"), WAIT("signed", "deal.propertyChange", DEAL(17), 3 * HL_DAY), STEP("b")}, .n = 3, .fail_at = -1};
}

#endif
