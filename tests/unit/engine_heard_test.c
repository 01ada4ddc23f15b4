/* Pieces of the log that may hold what a wait waits for: nothing is ever missed, and little is read. */
#include <unistd.h>

#include "engine/heard.h"
#include "engine/wait.h"
#include "engine_util.h"

/* ---- against a model that keeps every mark ---- */

enum { ROWS = 6000, KINDS = 3, PER_ROW = 4 };
typedef struct model {
  hl_rng r;
  uint32_t marks[ROWS + 1][PER_ROW];
  unsigned kinds[ROWS + 1][PER_ROW];    /* 0: no mark */
  bool seen[ROWS + 1];                  /* as it came; else it can only be read */
  unsigned n_kinds;
  int64_t last;
} model;

static bool in_row(const model *m, int64_t row, uint32_t mark) {
  for (int k = 0; k < PER_ROW; k++)
    if (m->kinds[row][k] && m->kinds[row][k] <= m->n_kinds && m->marks[row][k] == mark) return true;
  return false;
}

static void row_comes(model *m, hl_heard *h) {
  int64_t row = ++m->last;
  m->seen[row] = hl_rng_below(&m->r, 50) != 0 && m->n_kinds > 0;
  for (int k = 0; k < PER_ROW; k++) {
    if (hl_rng_below(&m->r, 2) == 0) continue;
    m->kinds[row][k] = 1 + (unsigned)hl_rng_below(&m->r, KINDS);
    m->marks[row][k] = (uint32_t)hl_rng_below(&m->r, 5000);
  }
  if (m->seen[row]) hl_heard_row(h, row);
  for (int k = 0; k < PER_ROW; k++)
    if (m->seen[row] && m->kinds[row][k] && m->kinds[row][k] <= m->n_kinds) hl_heard_mark(h, m->marks[row][k]);
  if (!m->seen[row])
    for (int k = 0; k < PER_ROW; k++) m->kinds[row][k] = 0; /* nothing in it that could be waited for */
}

/* As a wait looks: the number of rows that it read. */
static int64_t look(model *m, hl_heard *h, int64_t from, int64_t to, uint32_t *marks, size_t n) {
  static uint32_t found[ROWS * PER_ROW];
  int64_t read = 0, a, b, at = from;
  hl_heard_sort(marks, n);
  for (;;) {
    hl_heard_what what = hl_heard_next(h, at, to, marks, n, &a, &b);
    int64_t clean = what == HL_HEARD_NOTHING ? to : a - 1;
    for (int64_t row = at; row <= clean; row++)
      for (size_t i = 0; i < n; i++)
        if (in_row(m, row, marks[i])) fail_msg("mark %u of row %lld is missed", marks[i], (long long)row);
    if (what == HL_HEARD_NOTHING) return read;
    assert_true(a >= at);
    at = a;
    if (what == HL_HEARD_LATER) continue;
    assert_true(b >= a && b <= to);
    if (b - a > 255) b = a + 255; /* the store answers in parts */
    size_t n_found = 0;
    for (int64_t row = a; row <= b; row++)
      for (int k = 0; k < PER_ROW; k++)
        if (m->kinds[row][k] && m->kinds[row][k] <= m->n_kinds) found[n_found++] = m->marks[row][k];
    if (what == HL_HEARD_UNKNOWN) hl_heard_read(h, a, b, found, n_found);
    read += b - a + 1;
    at = b + 1;
  }
}

static void nothing_is_missed(void **state) {
  (void)state;
  for (int turn = 0; turn < 12; turn++) {
    static model m;
    hl_heard *h = hl_heard_new(turn % 3 == 0 ? 600 : turn % 3 == 1 ? 4000 : 0);
    memset(&m, 0, sizeof m);
    hl_rng_init(&m.r, (uint64_t)turn);
    m.last = (int64_t)hl_rng_below(&m.r, 1000); /* of an earlier life */
    for (int64_t row = 1; row <= m.last; row++)
      for (int k = 0; k < PER_ROW; k++) m.kinds[row][k] = 1 + (unsigned)hl_rng_below(&m.r, KINDS), m.marks[row][k] = (uint32_t)hl_rng_below(&m.r, 5000);
    while (m.last < ROWS) {
      uint64_t what = hl_rng_below(&m.r, 300);
      if (what == 0 && m.n_kinds < KINDS) {
        m.n_kinds++;
        hl_heard_kind(h);
      } else if (what < 4 && m.last && m.n_kinds) {
        uint32_t marks[300];
        size_t n = what < 3 ? 1 : 1 + hl_rng_below(&m.r, HL_COUNT(marks));
        for (size_t i = 0; i < n; i++) marks[i] = (uint32_t)hl_rng_below(&m.r, 5000);
        look(&m, h, 1 + (int64_t)hl_rng_below(&m.r, (uint64_t)m.last), m.last, marks, n);
      } else {
        row_comes(&m, h);
      }
    }
    hl_heard_free(h);
  }
}

static void little_is_read(void **state) {
  (void)state;
  static model m;
  uint32_t mark = 5001, *one = &mark;
  hl_heard *h = hl_heard_new(0);
  memset(&m, 0, sizeof m);
  hl_rng_init(&m.r, 3);
  m.n_kinds = 1;
  hl_heard_kind(h);
  while (m.last < ROWS - 1) row_comes(&m, h);
  look(&m, h, 1, m.last, one, 1); /* rows that did not come */
  assert_int_equal(look(&m, h, 1, m.last, one, 1), 0);
  m.n_kinds = 2;
  hl_heard_kind(h);
  assert_int_equal(look(&m, h, 1, m.last, one, 1), m.last); /* all say nothing of the new kind */
  assert_int_equal(look(&m, h, 1, m.last, one, 1), 0);
  hl_heard_row(h, ++m.last);
  hl_heard_mark(h, mark);
  m.kinds[m.last][0] = 1, m.marks[m.last][0] = mark;
  int64_t read = look(&m, h, 1, m.last, one, 1);
  assert_in_range(read, 1, 256);
  hl_heard_free(h);
}

/* ---- in the engine: each signal comes once, before its wait or behind it, in this life or another ---- */

enum { EVENTS = 120, TYPES = 3 };
static const char *const types[TYPES] = {"deal.creation", "ticket.creation", "signal"};
static struct { int64_t signal_at; bool signalled; int ended; } plans[EVENTS];

static void go(void *arg, int code);
typedef struct act { hl_run *run; hl_step *step; int event, at; struct act *next; } act;
static act *acts;
static world *clock_of;

static void go(void *arg, int code) {
  act *a = arg;
  hl_error err;
  assert_int_equal(code, 0);
  for (; a->at < 2; a->at++, a->step = NULL) {
    cJSON *match = NULL;
    int at = a->at;
    hl_wait_for what = {.until = hl_loop_now(clock_of->loop) + a->event % TYPES * HL_HOUR / 2 + (a->event * 7919) % HL_HOUR};
    if (at == 1) {
      match = cJSON_CreateObject();
      cJSON_AddNumberToObject(match, "objectId", a->event);
      what = (hl_wait_for){types[a->event % TYPES], match, HL_WAIT_FOREVER};
    }
    int rc = a->step ? 0 : hl_run_wait(a->run, at ? HL_STR("signal") : HL_STR("cool"), &what, &a->step, &err);
    cJSON_Delete(match);
    if (rc == HL_EBUSY) {
      hl_run_steps_load(a->run, go, a);
      return;
    }
    assert_int_equal(rc, 0);
    hl_wait_state is = hl_wait_is(a->step);
    if (is == HL_WAIT_DUE) {
      hl_wait_settle(a->step, go, a);
      return;
    }
    if (is == HL_WAIT_BEGINS) {
      hl_wait_end(a->step);
      break;
    }
    hl_wait_event event;
    if (at == 1) {
      assert_true(hl_wait_result(a->step, &event));
      assert_int_equal(hl_json_int(event.event.json, "eventId", 0), 1000 + a->event);
      hl_wait_event_deinit(&event);
      plans[a->event].ended++;
    }
  }
  hl_run *run = a->run;
  for (act **p = &acts; *p; p = &(*p)->next) {
    if (*p != a) continue;
    *p = a->next;
    break;
  }
  hl_free(a);
  hl_run_finish(run, HL_RUN_DONE, (hl_str){0});
}

static void on_contact(void *arg, hl_run *run, const hl_event *event) {
  (void)arg;
  act *a = HL_NEW(act);
  *a = (act){.run = run, .event = (int)hl_json_int(event->json, "eventId", 0), .next = acts};
  acts = a;
  go(a, 0);
}

static void tell(world *w, const char *type, int event, int object) {
  char body[200];
  snprintf(body, sizeof body, "[{\"subscriptionType\":\"%s\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":5}]", type, event, object);
  hl_engine_receive(w->e, "push", "main", hl_str_of(body), NULL, NULL);
}

static void each_signal_ends_its_wait(void **state) {
  (void)state;
  hl_rng r;
  int64_t start = INT64_C(1800000000000), now = start;
  hl_rng_init(&r, 5);
  unlink("h.db");
  unlink("h.db-wal");
  memset(plans, 0, sizeof plans);
  for (int i = 0; i < EVENTS; i++) plans[i].signal_at = start + 60000 + (int64_t)hl_rng_below(&r, 2 * HL_HOUR);
  for (int life = 0; life < 5; life++) {
    world w = {.log = hl_log_new(HL_LOG_OFF, false)};
    assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = now, .seed = 7}, w.log, &w.loop, &w.err), 0);
    assert_int_equal(hl_engine_new(w.loop, &(hl_engine_options){.store = "h.db"}, &w.e, &w.err), 0);
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &(hl_handler_options){.script = "s.lua", .concurrency = 50}, on_contact, NULL, NULL, &w.err), 0);
    clock_of = &w;
    world_start(&w);
    for (int i = 0; life == 0 && i < EVENTS; i++) tell(&w, "contact.creation", i, i);
    int64_t until = life == 4 ? start + 4 * HL_HOUR : now + (life ? HL_HOUR / 4 : 2 * HL_HOUR);
    while (now < until) {
      for (int i = 0; i < EVENTS; i++) {
        if (plans[i].signalled || plans[i].signal_at > now) continue;
        plans[i].signalled = true;
        tell(&w, types[i % TYPES], 1000 + i, i);
      }
      for (int i = 0; i < 6; i++) tell(&w, types[hl_rng_below(&r, TYPES)], (int)hl_rng_below(&r, 1 << 30), 100000 + (int)hl_rng_below(&r, 1000));
      pass(&w, 20000);
      now = hl_loop_now(w.loop);
    }
    for (int i = 0; i < 200 && !hl_engine_idle(w.e); i++) pass(&w, 1);
    if (life == 4) {
      for (int i = 0; i < EVENTS; i++)
        if (!plans[i].ended) fail_msg("event %d did not hear its signal", i);
      assert_int_equal(stats_of(&w).waiting, 0);
    }
    now = hl_loop_now(w.loop);
    world_end(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_missed),
      cmocka_unit_test(little_is_read),
      cmocka_unit_test(each_signal_ends_its_wait),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
