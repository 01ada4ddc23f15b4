#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "loop/loop.h"

typedef struct seen {
  hl_loop *loop;
  char text[256];
  int64_t times[16];
  size_t n;
} seen;

typedef struct mark {
  seen *seen;
  const char *name;
  hl_timer timer;
  hl_defer defer;
  struct mark *then;
  int64_t then_ms;
} mark;

static void note(mark *m) {
  seen *s = m->seen;
  s->times[s->n++] = hl_loop_mono(s->loop);
  strncat(s->text, m->name, sizeof s->text - strlen(s->text) - 1);
}

static void fire(hl_timer *timer, void *arg) {
  (void)timer;
  mark *m = arg;
  note(m);
  if (m->then) hl_timer_start(m->seen->loop, &m->then->timer, m->then_ms, fire, m->then);
}

static hl_loop *loop_of(bool is_virtual, hl_log **log) {
  hl_loop *loop;
  *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop_options o = {.is_virtual = is_virtual, .seed = 1};
  assert_int_equal(hl_loop_new(&o, *log, &loop, NULL), 0);
  return loop;
}

static void virtual_time_jumps_in_order(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(true, &log)};
  mark d = {&s, "d", {0}, {0}, NULL, 0}, a = {&s, "a", {0}, {0}, &d, 5 * HL_DAY}, b = {&s, "b", {0}, {0}, NULL, 0}, c = {&s, "c", {0}, {0}, NULL, 0};
  int64_t start = hl_loop_now(s.loop);
  hl_timer_start(s.loop, &c.timer, 30 * HL_DAY, fire, &c);
  hl_timer_start(s.loop, &a.timer, 1000, fire, &a);
  hl_timer_start(s.loop, &b.timer, 1000, fire, &b);
  hl_loop_run(s.loop);
  assert_string_equal(s.text, "abdc");
  assert_int_equal(s.times[0], 1000);
  assert_int_equal(s.times[2], 1000 + 5 * HL_DAY);
  assert_true(hl_loop_now(s.loop) - start == 30 * HL_DAY);
  assert_int_equal(hl_loop_need_real(s.loop, "http", NULL), HL_EDENIED);
  hl_loop_free(s.loop);
  hl_log_free(log);
}

static void stopped_and_unref_timers_do_not_run(void **state) {
  (void)state;
  for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
    hl_log *log;
    seen s = {.loop = loop_of(is_virtual, &log)};
    mark a = {&s, "a", {0}, {0}, NULL, 0}, b = {&s, "b", {0}, {0}, NULL, 0}, c = {&s, "c", {.unref = true}, {0}, NULL, 0};
    hl_timer_start(s.loop, &a.timer, 5, fire, &a);
    hl_timer_start(s.loop, &b.timer, 1, fire, &b);
    hl_timer_start(s.loop, &c.timer, HL_DAY, fire, &c);
    hl_timer_stop(s.loop, &a.timer);
    hl_loop_run(s.loop); /* ends although c is armed */
    assert_string_equal(s.text, "b");
    hl_timer_stop(s.loop, &c.timer);
    hl_loop_free(s.loop);
    hl_log_free(log);
  }
}

/* By the wall clock: in one order with the others; a step calls them early, to look. */
static void timers_by_the_wall_clock(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(true, &log)};
  mark a = {&s, "a", {0}, {0}, NULL, 0}, b = {&s, "b", {0}, {0}, NULL, 0}, c = {&s, "c", {0}, {0}, NULL, 0},
       d = {&s, "d", {0}, {0}, NULL, 0};
  int64_t start = hl_loop_now(s.loop);
  hl_timer_start_at(s.loop, &b.timer, start + 1000, fire, &b);
  hl_timer_start(s.loop, &c.timer, 1000, fire, &c);
  hl_timer_start_at(s.loop, &d.timer, start + HL_DAY, fire, &d);
  hl_timer_start_at(s.loop, &a.timer, start + 500, fire, &a);
  hl_timer_start_at(s.loop, &a.timer, start + 2000, fire, &a);
  hl_timer_start(s.loop, &a.timer, 10, fire, &a); /* from one clock to the other and back */
  hl_loop_run(s.loop);
  assert_string_equal(s.text, "abcd");
  assert_int_equal(s.times[0], 10);
  assert_int_equal(s.times[1], 1000);
  assert_int_equal(s.times[3], HL_DAY);
  for (int back = 0; back < 2; back++) {
    int64_t mono = hl_loop_mono(s.loop);
    hl_timer_start_at(s.loop, &b.timer, hl_loop_now(s.loop) + 9 * HL_HOUR, fire, &b);
    hl_timer_start_at(s.loop, &a.timer, hl_loop_now(s.loop) + 8 * HL_HOUR, fire, &a);
    hl_timer_start(s.loop, &c.timer, HL_DAY, fire, &c);
    s.text[0] = '\0';
    s.n = 0;
    hl_loop_step_wall(s.loop, back ? -HL_HOUR : HL_HOUR);
    hl_loop_run(s.loop);
    assert_string_equal(s.text, "abc");
    assert_int_equal(s.times[0], mono);
    assert_int_equal(s.times[1], mono);
    assert_int_equal(s.times[2], mono + HL_DAY);
  }
  /* A drift that one sees between two looks is no step. */
  hl_timer_start_at(s.loop, &a.timer, hl_loop_now(s.loop) + HL_HOUR, fire, &a);
  s.n = 0;
  int64_t mono = hl_loop_mono(s.loop);
  hl_loop_step_wall(s.loop, 900);
  hl_loop_run(s.loop);
  assert_int_equal(s.times[0], mono + HL_HOUR - 900);
  hl_loop_free(s.loop);
  hl_log_free(log);
}

static void a_wall_timer_is_never_early(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(false, &log)};
  mark a = {&s, "a", {0}, {0}, NULL, 0};
  for (int i = 0; i < 20; i++) {
    int64_t due = hl_loop_now(s.loop) + 1 + i % 4;
    s.n = 0;
    hl_timer_start_at(s.loop, &a.timer, due, fire, &a);
    hl_loop_run(s.loop);
    assert_true(hl_loop_now(s.loop) >= due);
    assert_int_equal(s.n, 1);
  }
  hl_loop_free(s.loop);
  hl_log_free(log);
}

/* Random starts and stops: what fires is what is armed, in order of due time. */
static void heap_property(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(true, &log)};
  hl_rng rng;
  hl_rng_init(&rng, 42);
  enum { N = 500 };
  mark *m = hl_alloc(N * sizeof *m);
  for (int round = 0; round < 5000; round++) {
    size_t i = hl_rng_below(&rng, N);
    m[i].seen = &s;
    m[i].name = "";
    if (hl_rng_below(&rng, 3)) hl_timer_start(s.loop, &m[i].timer, (int64_t)hl_rng_below(&rng, 1000), fire, &m[i]);
    else hl_timer_stop(s.loop, &m[i].timer);
  }
  size_t armed = 0;
  for (int i = 0; i < N; i++) armed += hl_timer_armed(&m[i].timer);
  int64_t last = 0;
  while (armed > 0) {
    size_t before = 0;
    s.n = 0;
    bool some = false;
    int64_t due = INT64_MAX;
    for (int i = 0; i < N; i++)
      if (hl_timer_armed(&m[i].timer) && m[i].timer.due < due) due = m[i].timer.due;
    for (int i = 0; i < N; i++) before += hl_timer_armed(&m[i].timer) && m[i].timer.due == due;
    (void)some;
    /* Stop all later ones, run, and start them again: those of `due` fire, only those. */
    int64_t *later = hl_alloc(N * sizeof *later);
    for (int i = 0; i < N; i++)
      if (hl_timer_armed(&m[i].timer) && m[i].timer.due != due) {
        later[i] = m[i].timer.due;
        hl_timer_stop(s.loop, &m[i].timer);
      }
    if (before > 16) before = 16, assert_true(false);
    hl_loop_run(s.loop);
    assert_int_equal(s.n, before);
    assert_true(hl_loop_mono(s.loop) >= last);
    last = hl_loop_mono(s.loop);
    armed = 0;
    for (int i = 0; i < N; i++)
      if (later[i]) {
        hl_timer_start(s.loop, &m[i].timer, later[i] - last, fire, &m[i]);
        armed++;
      }
    hl_free(later);
  }
  hl_free(m);
  hl_loop_free(s.loop);
  hl_log_free(log);
}

static void on_defer(hl_defer *defer, void *arg) {
  (void)defer;
  mark *m = arg;
  note(m);
  if (m->then) hl_defer_start(m->seen->loop, &m->then->defer, on_defer, m->then);
}

static void deferred_calls_run_once_in_order(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(true, &log)};
  mark c = {&s, "c", {0}, {0}, NULL, 0}, a = {&s, "a", {0}, {0}, &c, 0}, b = {&s, "b", {0}, {0}, NULL, 0}, x = {&s, "x", {0}, {0}, NULL, 0};
  hl_defer_start(s.loop, &a.defer, on_defer, &a);
  hl_defer_start(s.loop, &x.defer, on_defer, &x);
  hl_defer_start(s.loop, &b.defer, on_defer, &b);
  hl_defer_start(s.loop, &b.defer, on_defer, &b);
  hl_defer_stop(s.loop, &x.defer);
  hl_loop_run(s.loop);
  assert_string_equal(s.text, "abc");
  hl_loop_free(s.loop);
  hl_log_free(log);
}

typedef struct job {
  mark mark;
  int64_t spin;
} job;

static void work(void *arg) {
  job *j = arg;
  for (volatile int64_t i = 0; i < j->spin; i++) {}
}
static void done(void *arg) { note(&((job *)arg)->mark); }

static void virtual_clock_stands_and_jobs_keep_order(void **state) {
  (void)state;
  hl_log *log;
  seen s = {.loop = loop_of(true, &log)};
  mark t = {&s, "t", {0}, {0}, NULL, 0};
  job slow = {{&s, "1", {0}, {0}, NULL, 0}, 20000000}, quick = {{&s, "2", {0}, {0}, NULL, 0}, 0};
  hl_timer_start(s.loop, &t.timer, 1, fire, &t);
  hl_loop_work(s.loop, work, done, &slow);
  hl_loop_work(s.loop, work, done, &quick);
  hl_loop_run(s.loop);
  assert_string_equal(s.text, "12t");
  assert_int_equal(s.times[0], 0);
  assert_int_equal(s.times[1], 0);
  hl_loop_free(s.loop);
  hl_log_free(log);
}

typedef struct poster {
  mark mark;
  hl_loop *loop;
} poster;

static void posted(void *arg) {
  poster *p = arg;
  note(&p->mark);
  hl_loop_release(p->loop);
}
static void post_thread(void *arg) {
  poster *p = arg;
  hl_loop_post(p->loop, posted, p);
}

static void posts_arrive(void **state) {
  (void)state;
  for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
    hl_log *log;
    seen s = {.loop = loop_of(is_virtual, &log)};
    poster p = {{&s, "p", {0}, {0}, NULL, 0}, s.loop};
    uv_thread_t thread;
    hl_loop_hold(s.loop);
    assert_int_equal(uv_thread_create(&thread, post_thread, &p), 0);
    hl_loop_run(s.loop);
    assert_string_equal(s.text, "p");
    uv_thread_join(&thread);
    hl_loop_free(s.loop);
    hl_log_free(log);
  }
}

static void run_until_says_when_nothing_is_left(void **state) {
  (void)state;
  hl_log *log;
  hl_loop *loop = loop_of(true, &log);
  bool flag = false;
  assert_int_equal(hl_loop_run_until(loop, &flag), HL_ETIMEOUT);
  hl_loop_free(loop);
  hl_log_free(log);
}

typedef struct edge {
  hl_loop *loop;
  hl_timer timer;
  int64_t before_us;
  bool fired, lost;
} edge;

static void on_edge(hl_timer *timer, void *arg) {
  (void)timer;
  ((edge *)arg)->fired = true;
}

static void on_rescue(uv_timer_t *timer) { ((edge *)timer->data)->lost = true; }

/* Lets the turn go on a few microseconds before the timer is due. */
static bool not_yet(void *arg) {
  edge *e = arg;
  while (hl_timer_armed(&e->timer) && hl_loop_mono_us(e->loop) < e->timer.due * 1000 - e->before_us) {}
  return !e->fired && !e->lost;
}

/* A timer that comes due between the look at the heap and the poll must not be
 * slept over: libuv runs its timers before it polls, and would then wait for ever. */
static void a_timer_at_the_edge_of_the_poll_is_not_lost(void **state) {
  (void)state;
  hl_log *log;
  edge e = {.loop = loop_of(false, &log)};
  uv_timer_t rescue = {.data = &e}; /* also a handle that is alive, as a server's is */
  uv_timer_init(hl_loop_uv(e.loop), &rescue);
  for (unsigned i = 0; i < 500 && !e.lost; i++) {
    e.fired = false;
    e.before_us = i % 50;
    uv_timer_start(&rescue, on_rescue, 20000, 0);
    hl_timer_start(e.loop, &e.timer, 1, on_edge, &e);
    (void)hl_loop_run_while(e.loop, not_yet, &e);
  }
  assert_false(e.lost);
  uv_close((uv_handle_t *)&rescue, NULL);
  hl_loop_free(e.loop);
  hl_log_free(log);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(virtual_time_jumps_in_order), cmocka_unit_test(stopped_and_unref_timers_do_not_run),
      cmocka_unit_test(timers_by_the_wall_clock), cmocka_unit_test(a_wall_timer_is_never_early), cmocka_unit_test(heap_property), cmocka_unit_test(deferred_calls_run_once_in_order),
      cmocka_unit_test(virtual_clock_stands_and_jobs_keep_order), cmocka_unit_test(posts_arrive),
      cmocka_unit_test(run_until_says_when_nothing_is_left),
      cmocka_unit_test(a_timer_at_the_edge_of_the_poll_is_not_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
