/* Durable steps at the engine's door: done once, results kept, effects with them. */
#include <unistd.h>

#include "engine/step.h"
#include "engine_util.h"

static int64_t clock_ms;

static void open_life(world *w) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  world_engine(w, "steps.db");
}

/* As if killed: what is not with the writer is lost. */
static void kill_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  hl_engine_abandon(w->e);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

static void fresh(void) {
  unlink("steps.db");
  unlink("steps.db-wal");
  clock_ms = INT64_C(1800000000000);
}

static void store_one(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  assert_int_equal(a.r.code, 0);
}

/* ---- a handler written out: numbered actions one after the other ---- */

enum { MAX_ACTIONS = 8 };
typedef struct act {
  struct script *s;
  hl_run *run;
  hl_step *step;
  int at;
} act;

typedef struct script {
  world *w;
  act acts[16];                    /* of the attempts */
  const char *names[MAX_ACTIONS];  /* of its steps, in order */
  int n, done[MAX_ACTIONS];        /* effects of each step */
  char results[MAX_ACTIONS][32];   /* as the handler saw them, last */
  int stop_at;                     /* hangs before this step; -1: never */
  int fail_at, fail_times;         /* raises before this step, that often */
  int attempts, finished;
  bool unstorable, misuse;
} script;

static void go_on(act *a);

static void on_loaded(void *arg, int code) {
  assert_int_equal(code, 0);
  go_on(arg);
}

static void on_committed(void *arg, int code) {
  act *a = arg;
  assert_int_equal(code, 0);
  hl_str r = hl_step_result(a->step);
  snprintf(a->s->results[a->at], sizeof a->s->results[0], HL_STR_FMT, HL_STR_ARG(r));
  a->at++;
  go_on(a);
}

static void end(act *a, hl_outcome outcome) {
  if (outcome == HL_RUN_DONE) a->s->finished++;
  hl_run_finish(a->run, outcome, HL_STR("told to"));
}

static void go_on(act *a) {
  script *s = a->s;
  hl_error err;
  for (; a->at < s->n; a->at++) {
    if (a->at == s->stop_at) return;
    if (a->at == s->fail_at && s->fail_times > 0) {
      s->fail_times--;
      end(a, HL_RUN_FAILED);
      return;
    }
    assert_int_equal(hl_run_emit(a->run, "noted", HL_STR("1"), 0, NULL, NULL, &err), 0);
    int rc = hl_run_step(a->run, hl_str_of(s->names[a->at]), &a->step, &err);
    if (rc == HL_EBUSY) {
      hl_run_steps_load(a->run, on_loaded, a);
      return;
    }
    if (rc) {
      s->misuse = true;
      end(a, HL_RUN_DEAD);
      return;
    }
    if (hl_step_active(a->step)) {
      char result[32];
      s->done[a->at]++;
      int n = snprintf(result, sizeof result, "{\"a\":%d,\"t\":%d}", a->at, s->attempts);
      hl_step_finish(a->step, (hl_str){result, (size_t)n}, s->unstorable, on_committed, a);
      return;
    }
    hl_str r = hl_step_result(a->step);
    snprintf(s->results[a->at], sizeof s->results[0], HL_STR_FMT, HL_STR_ARG(r));
    if (hl_step_is(a->step) == HL_STEP_IS_UNSTORABLE) {
      end(a, HL_RUN_FAILED);
      return;
    }
  }
  end(a, HL_RUN_DONE);
}

static void on_script(void *arg, hl_run *run, const hl_event *event) {
  (void)event;
  script *s = arg;
  assert_true(s->attempts < (int)HL_COUNT(s->acts));
  act *a = &s->acts[s->attempts++];
  *a = (act){.s = s, .run = run};
  go_on(a);
}

static void listen_steps(world *w, script *s, probe *noted) {
  hl_handler_options o = {.script = "s.lua", .retries = 5};
  assert_int_equal(hl_engine_on(w->e, "contact.creation", false, &o, on_script, s, NULL, &w->err), 0);
  noted->w = w;
  assert_int_equal(hl_engine_on(w->e, "noted", true, &(hl_handler_options){.script = "s.lua"}, on_event, noted, NULL, &w->err), 0);
  world_start(w);
}

static int64_t steps_left(void) {
  hl_loop *loop;
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_store *store;
  hl_store_state state;
  hl_error err;
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true}, log, &loop, &err), 0);
  assert_int_equal(hl_store_open(loop, "steps.db", &(hl_retention){HL_DAY, HL_DAY}, &store, &err), 0);
  hl_store_state_get(store, &state);
  hl_store_free(store);
  hl_loop_free(loop);
  hl_log_free(log);
  return state.steps;
}

static void a_retry_goes_on_behind_the_finished_steps(void **state) {
  (void)state;
  world w;
  static probe noted;
  script s = {.names = {"a", "b", "c"}, .n = 3, .stop_at = -1, .fail_at = 2, .fail_times = 2};
  fresh();
  memset(&noted, 0, sizeof noted);
  open_life(&w);
  listen_steps(&w, &s, &noted);
  store_one(&w, "[" CREATED(1, 10, 100) "]");
  for (int i = 0; i < 1000 && !s.finished; i++) pass(&w, 100);
  for (int i = 0; i < 10000 && !hl_engine_idle(w.e); i++) pass(&w, 1);
  assert_int_equal(s.finished, 1);
  assert_int_equal(s.attempts, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(s.done[i], 1);
  assert_string_equal(s.results[0], "{\"a\":0,\"t\":1}");
  assert_string_equal(s.results[2], "{\"a\":2,\"t\":3}");
  /* Effects commit with the step behind them, once. */
  assert_int_equal(noted.calls, 3);
  world_end(&w);
  assert_int_equal(steps_left(), 0);
}

static void a_killed_handler_keeps_its_steps(void **state) {
  (void)state;
  world w;
  static probe noted;
  script s = {.names = {"a", "b", "c"}, .n = 3, .stop_at = 2, .fail_at = -1};
  fresh();
  memset(&noted, 0, sizeof noted);
  for (int life = 0; life < 3; life++) {
    if (life == 2) s.stop_at = -1;
    open_life(&w);
    listen_steps(&w, &s, &noted);
    if (life == 0) store_one(&w, "[" CREATED(1, 10, 100) "]");
    for (int i = 0; i < 200; i++) pass(&w, 5);
    kill_life(&w);
    assert_int_equal(s.done[0], 1);
    assert_int_equal(s.done[1], 1);
    assert_int_equal(steps_left(), life < 2);
  }
  assert_int_equal(s.finished, 1);
  assert_int_equal(s.done[2], 1);
  assert_string_equal(s.results[1], "{\"a\":1,\"t\":1}");
  assert_int_equal(noted.calls, 3);
}

static void a_dead_letter_keeps_its_steps(void **state) {
  (void)state;
  world w;
  static probe noted;
  script s = {.names = {"a", "b"}, .n = 2, .stop_at = -1, .fail_at = 1, .fail_times = 100};
  fresh();
  memset(&noted, 0, sizeof noted);
  open_life(&w);
  listen_steps(&w, &s, &noted);
  store_one(&w, "[" CREATED(1, 10, 100) "]");
  for (int i = 0; i < 1000 && !stats_of(&w).dead; i++) pass(&w, 1000);
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(s.done[0], 1);
  kill_life(&w);
  assert_int_equal(steps_left(), 1);
}

static void a_name_is_used_once(void **state) {
  (void)state;
  world w;
  static probe noted;
  script s = {.names = {"a", "a"}, .n = 2, .stop_at = -1, .fail_at = -1};
  fresh();
  memset(&noted, 0, sizeof noted);
  open_life(&w);
  listen_steps(&w, &s, &noted);
  store_one(&w, "[" CREATED(1, 10, 100) "]");
  for (int i = 0; i < 100; i++) pass(&w, 1);
  assert_true(s.misuse);
  assert_int_equal(s.done[0], 1);
  assert_int_equal(s.done[1], 0);
  world_end(&w);
}

static void what_cannot_be_stored_is_never_repeated(void **state) {
  (void)state;
  world w;
  static probe noted;
  script s = {.names = {"a"}, .n = 1, .stop_at = -1, .fail_at = 1, .unstorable = true};
  fresh();
  memset(&noted, 0, sizeof noted);
  open_life(&w);
  /* The first attempt does not look at it; it is killed behind the step. */
  s.n = 2;
  s.names[1] = "b";
  s.stop_at = 1;
  listen_steps(&w, &s, &noted);
  store_one(&w, "[" CREATED(1, 10, 100) "]");
  for (int i = 0; i < 100; i++) pass(&w, 1);
  assert_int_equal(s.done[0], 1);
  kill_life(&w);
  open_life(&w);
  listen_steps(&w, &s, &noted);
  for (int i = 0; i < 1000 && !stats_of(&w).dead; i++) pass(&w, 1000);
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(s.done[0], 1);
  assert_int_equal(s.done[1], 0);
  world_end(&w);
}

/* ---- writes ---- */

#define HEAD "{\"kind\":\"create\",\"type\":\"deals\","
#define CREATE HL_STR(HEAD "\"digest\":\"1\"}")
#define OTHER HL_STR(HEAD "\"digest\":\"2\"}")

static void on_flag(void *arg, int code) {
  assert_int_equal(code, 0);
  *(bool *)arg = true;
}

typedef struct writer_run { hl_run *run; } writer_run;
static void on_writer(void *arg, hl_run *run, const hl_event *event) {
  (void)event;
  ((writer_run *)arg)->run = run;
}

static hl_step *begin(world *w, writer_run *r, const char *name) {
  hl_step *step = NULL;
  hl_error err;
  for (int i = 0; i < 100 && !r->run; i++) pass(w, 1);
  assert_non_null(r->run);
  int rc = hl_run_step(r->run, hl_str_of(name), &step, &err);
  if (rc == HL_EBUSY) {
    bool loaded = false;
    hl_run_steps_load(r->run, on_flag, &loaded);
    while (!loaded) pass(w, 1);
    rc = hl_run_step(r->run, hl_str_of(name), &step, &err);
  }
  assert_int_equal(rc, 0);
  return step;
}

static void a_write_is_intended_before_it_is_made(void **state) {
  (void)state;
  world w;
  hl_write_state ws;
  fresh();
  /* Lives: intend, killed; answer, killed; finish. */
  for (int life = 0; life < 3; life++) {
    writer_run r = {0};
    bool committed = false;
    open_life(&w);
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &(hl_handler_options){.script = "s.lua"}, on_writer, &r, NULL, &w.err), 0);
    world_start(&w);
    if (life == 0) store_one(&w, "[" CREATED(1, 10, 100) "]");
    hl_step *step = begin(&w, &r, "make a deal");
    assert_true(hl_step_active(step));
    hl_write *x = hl_step_write(step, CREATE, HL_STR(HEAD), &ws);
    if (life == 0) {
      assert_int_equal(ws, HL_WRITE_NEW);
      hl_write_intend(x, on_flag, &committed);
      assert_false(committed);
      while (!committed) pass(&w, 1);
    } else if (life == 1) {
      assert_int_equal(ws, HL_WRITE_LOST);
      hl_write_answered(x, HL_STR("{\"id\":\"7\"}"));
      for (int i = 0; i < 10; i++) pass(&w, 1);
    } else {
      assert_int_equal(ws, HL_WRITE_ANSWERED);
      hl_str said = hl_write_answer(x);
      assert_true(hl_str_eqz(said, "{\"id\":\"7\"}"));
      /* The same create with another body is still that create; a third one is new. */
      hl_write *y = hl_step_write(step, OTHER, HL_STR(HEAD), &ws);
      assert_int_equal(ws, HL_WRITE_NEW);
      hl_write_refused(y);
      hl_step_finish(step, HL_STR("null"), false, on_flag, &committed);
      while (!committed) pass(&w, 1);
      hl_run_finish(r.run, HL_RUN_DONE, HL_STR(""));
      for (int i = 0; i < 10; i++) pass(&w, 1);
    }
    kill_life(&w);
    assert_int_equal(steps_left(), life < 2);
  }
}

static void a_create_with_another_body_is_the_same_create(void **state) {
  (void)state;
  world w;
  hl_write_state ws;
  fresh();
  for (int life = 0; life < 2; life++) {
    writer_run r = {0};
    bool committed = false;
    open_life(&w);
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &(hl_handler_options){.script = "s.lua"}, on_writer, &r, NULL, &w.err), 0);
    world_start(&w);
    if (life == 0) store_one(&w, "[" CREATED(1, 10, 100) "]");
    hl_step *step = begin(&w, &r, "s");
    hl_str what = life ? OTHER : CREATE;
    hl_write *x = hl_step_write(step, what, HL_STR(HEAD), &ws);
    assert_int_equal(ws, life ? HL_WRITE_LOST : HL_WRITE_NEW);
    if (!life) {
      hl_write_intend(x, on_flag, &committed);
      while (!committed) pass(&w, 1);
    }
    kill_life(&w);
  }
}

/* A person settles it: the write is made again, or its step counts as done. */
static void an_uncertain_step_waits_for_a_person(void **state) {
  (void)state;
  for (int again = 0; again < 2; again++) {
    world w;
    writer_run r = {0};
    hl_write_state ws;
    bool committed = false;
    fresh();
    open_life(&w);
    hl_handler_options o = {.script = "s.lua", .retries = 5};
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_writer, &r, NULL, &w.err), 0);
    world_start(&w);
    store_one(&w, "[" CREATED(1, 10, 100) "]");
    hl_step *step = begin(&w, &r, "make");
    hl_write *x = hl_step_write(step, CREATE, HL_STR(HEAD), &ws);
    hl_write_intend(x, on_flag, &committed);
    while (!committed) pass(&w, 1);
    hl_write_uncertain(x);
    hl_step_leave(step, (hl_str){0});
    hl_run_finish(r.run, HL_RUN_FAILED, HL_STR("who knows"));
    for (int i = 0; i < 10; i++) pass(&w, 1);
    assert_int_equal(stats_of(&w).dead, 1); /* at once, although it has retries */
    kill_life(&w);

    open_life(&w);
    r.run = NULL;
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_writer, &r, NULL, &w.err), 0);
    world_start(&w);
    for (int i = 0; i < 10; i++) pass(&w, 1);
    assert_null(r.run);
    hl_engine_settle_uncertain(w.e, 1, again != 0);
    step = begin(&w, &r, "make");
    assert_int_equal(hl_step_active(step), again != 0);
    if (again) {
      hl_step_write(step, CREATE, HL_STR(HEAD), &ws);
      assert_int_equal(ws, HL_WRITE_NEW);
    } else {
      assert_true(hl_str_eqz(hl_step_result(step), "null"));
    }
    hl_run_finish(r.run, HL_RUN_DONE, HL_STR(""));
    for (int i = 0; i < 10; i++) pass(&w, 1);
    assert_int_equal(stats_of(&w).ran, 1);
    kill_life(&w);
    assert_int_equal(steps_left(), 0);
  }
}

/* ---- random lives ---- */

/* Events with handlers of 1 to 6 steps; killed at random instants. Each step's work is
 * done once, or again only when the kill came before its commit had been answered. */
enum { EVENTS = 30, LIVES = 25 };
typedef struct random_handler {
  world *w;
  hl_rng r;
  int steps[EVENTS], done[EVENTS][6], answered[EVENTS][6], finished[EVENTS], value[EVENTS][6];
  int cut;   /* commits that a kill may have swallowed */
} random_handler;

typedef struct random_act {
  random_handler *h;
  hl_run *run;
  hl_step *step;
  int event, at, value;
  hl_timer pause;
  struct random_act *next;
} random_act;
static random_act *acts;

static void random_go(random_act *a);
static void random_loaded(void *arg, int code) {
  assert_int_equal(code, 0);
  random_go(arg);
}
static void random_committed(void *arg, int code) {
  random_act *a = arg;
  assert_int_equal(code, 0);
  a->h->answered[a->event][a->at] = 1;
  a->h->value[a->event][a->at] = a->value;
  a->at++;
  random_go(a);
}
static void random_paused(hl_timer *t, void *arg) {
  (void)t;
  random_act *a = arg;
  char text[16];
  int n = snprintf(text, sizeof text, "%d", a->value);
  hl_step_finish(a->step, (hl_str){text, (size_t)n}, false, random_committed, a);
}

static void random_end(random_act *a, hl_outcome outcome) {
  random_act **p = &acts;
  while (*p != a) p = &(*p)->next;
  *p = a->next;
  if (outcome == HL_RUN_DONE) a->h->finished[a->event]++;
  hl_run_finish(a->run, outcome, HL_STR("dice"));
  hl_free(a);
}

static void random_go(random_act *a) {
  random_handler *h = a->h;
  for (; a->at < h->steps[a->event]; a->at++) {
    char name[16];
    hl_error err;
    if (hl_rng_below(&h->r, 12) == 0) {
      random_end(a, HL_RUN_FAILED);
      return;
    }
    snprintf(name, sizeof name, "s%d", a->at);
    int rc = hl_run_step(a->run, hl_str_of(name), &a->step, &err);
    if (rc == HL_EBUSY) {
      hl_run_steps_load(a->run, random_loaded, a);
      return;
    }
    assert_int_equal(rc, 0);
    if (hl_step_active(a->step)) {
      assert_false(h->answered[a->event][a->at]); /* never again */
      a->value = ++h->done[a->event][a->at] * 1000 + a->event;
      hl_timer_start(h->w->loop, &a->pause, (int64_t)hl_rng_below(&h->r, 5), random_paused, a);
      return;
    }
    int64_t value;
    assert_int_equal(hl_str_int64(hl_step_result(a->step), &value), 0);
    if (h->answered[a->event][a->at]) assert_int_equal(value, h->value[a->event][a->at]);
    else h->answered[a->event][a->at] = 1, h->value[a->event][a->at] = (int)value; /* committed, its answer was cut off */
  }
  random_end(a, HL_RUN_DONE);
}

static void random_run(void *arg, hl_run *run, const hl_event *event) {
  random_handler *h = arg;
  random_act *a = HL_NEW(random_act);
  *a = (random_act){.h = h, .run = run, .event = (int)hl_json_int(event->json, "eventId", 0), .next = acts};
  acts = a;
  random_go(a);
}

static void random_lives(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    world w;
    static random_handler h;
    memset(&h, 0, sizeof h);
    hl_rng_init(&h.r, seed);
    for (int i = 0; i < EVENTS; i++) h.steps[i] = 1 + (int)hl_rng_below(&h.r, 6);
    fresh();
    for (int life = 0; life <= LIVES; life++) {
      open_life(&w);
      h.w = &w;
      hl_handler_options o = {.script = "s.lua", .retries = 1000, .concurrency = 8};
      assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, random_run, &h, NULL, &w.err), 0);
      world_start(&w);
      if (life == 0) {
        hl_buf b;
        hl_buf_init(&b, 1 << 16);
        for (int i = 0; i < EVENTS; i++)
          hl_buf_printf(&b, "%c{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}",
                        i ? ',' : '[', i, i % 7, i);
        hl_buf_puts(&b, "]");
        store_one(&w, b.p);
        hl_buf_deinit(&b);
      }
      int turns = life == LIVES ? 0 : (int)hl_rng_below(&h.r, 60);
      for (int i = 0; i < turns; i++) pass(&w, (int64_t)hl_rng_below(&h.r, 200));
      for (int i = 0; life == LIVES && i < 100000 && stats_of(&w).ran < EVENTS; i++) pass(&w, 1000);
      while (acts) {
        random_act *a = acts;
        acts = a->next;
        hl_timer_stop(w.loop, &a->pause);
        if (life == LIVES) fail_msg("a handler is left");
        hl_free(a);
      }
      for (int i = 0; life == LIVES && i < 10000 && !hl_engine_idle(w.e); i++) pass(&w, 1);
      kill_life(&w);
    }
    for (int i = 0; i < EVENTS; i++) {
      assert_true(h.finished[i] >= 1);
      for (int k = 0; k < h.steps[i]; k++) assert_int_equal(h.answered[i][k], 1);
    }
    assert_int_equal(steps_left(), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_retry_goes_on_behind_the_finished_steps),
      cmocka_unit_test(a_killed_handler_keeps_its_steps),
      cmocka_unit_test(a_dead_letter_keeps_its_steps),
      cmocka_unit_test(a_name_is_used_once),
      cmocka_unit_test(what_cannot_be_stored_is_never_repeated),
      cmocka_unit_test(a_write_is_intended_before_it_is_made),
      cmocka_unit_test(a_create_with_another_body_is_the_same_create),
      cmocka_unit_test(an_uncertain_step_waits_for_a_person),
      cmocka_unit_test(random_lives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
