/* Lanes under load: holds, limits, floods, a backlog in the store. Virtual time. */
#include <unistd.h>

#include "engine_util.h"

/* Runs that take a while: one timer each. */
typedef struct slow {
  world *w;
  int64_t ms;                  /* of a run */
  int starts, done;
  bool stuck;                  /* runs do not end */
} slow;

typedef struct work { struct work *prev, *next; hl_timer timer; slow *s; hl_run *run; } work;
static work works = {.prev = &works, .next = &works};

static void work_free(work *k) {
  k->prev->next = k->next;
  k->next->prev = k->prev;
  hl_timer_stop(k->s->w->loop, &k->timer);
  hl_free(k);
}

static void work_ends(hl_timer *t, void *arg) {
  (void)t;
  work *k = arg;
  k->s->done++;
  hl_run_finish(k->run, HL_RUN_DONE, HL_STR(""));
  work_free(k);
}

static void slow_run(void *arg, hl_run *run, const hl_event *event) {
  slow *s = arg;
  (void)event;
  s->starts++;
  if (s->stuck) return;
  work *k = HL_NEW(work);
  k->next = &works;
  k->prev = works.prev;
  k->prev->next = works.prev = k;
  k->s = s;
  k->run = run;
  hl_timer_start(s->w->loop, &k->timer, s->ms, work_ends, k);
}

static void on_slowly(world *w, const char *type, hl_handler_options o, slow *s) {
  s->w = w;
  if (!o.script) o.script = "slow.lua";
  assert_int_equal(hl_engine_on(w->e, type, false, &o, slow_run, s, NULL, &w->err), 0);
}

static void open_small(world *w, const char *path, size_t max_events) {
  world_loop(w, true);
  assert_int_equal(hl_engine_new(w->loop, &(hl_engine_options){.store = path, .max_events = max_events}, &w->e, &w->err), 0);
}

static int64_t tick; /* what a body takes; with a file the clock stands while it is written */

/* `n` events of objects from `object` on (one object: step 0), a hundred a body. */
static void flood(world *w, const char *type, int n, int object, int step, const char *source) {
  static int id;
  hl_buf b;
  for (int i = 0; i < n;) {
    hl_buf_init(&b, 1 << 20);
    for (int k = 0; k < 100 && i < n; k++, i++, id++)
      hl_buf_printf(&b, "%s{\"subscriptionType\":\"%s\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d,\"changeSource\":\"%s\",\"sourceId\":\"7\"}",
                    k ? "," : "[", type, id, object + i * step, id + 1, source);
    hl_buf_puts(&b, "]");
    answer a = {0};
    receive(w, b.p, &a);
    while (!a.calls) pass(w, tick);
    assert_int_equal(a.r.code, 0);
    hl_buf_deinit(&b);
    assert_true(stats_of(w).in_memory <= 25000);
  }
}

/* ---- hold ---- */

static void a_straggler_goes_first(void **state) {
  (void)state;
  world w;
  static probe p;
  p = (probe){0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .hold_ms = 5000}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 7, 300) "," CREATED(2, 8, 100) "]");
  pass(&w, 3000);
  received(&w, "[" CREATED(3, 7, 200) "]"); /* earlier than the first, and later here */
  pass(&w, 1900);
  assert_int_equal(p.calls, 0);
  assert_int_equal(stats_of(&w).pending, 3);
  pass(&w, 200);
  assert_int_equal(p.calls, 3); /* none waits for longer than the first */
  int at[3], k = 0;
  for (int i = 0; i < 3; i++)
    if (strcmp(p.objects[i], "7") == 0) at[k++] = (int)p.occurred[i];
  assert_int_equal(at[0], 200);
  assert_int_equal(at[1], 300);
  /* Each event has its own time. */
  received(&w, "[" CREATED(4, 7, 400) "]");
  pass(&w, 4000);
  received(&w, "[" CREATED(5, 7, 500) "]");
  pass(&w, 1100);
  assert_int_equal(p.calls, 4);
  pass(&w, 3800);
  assert_int_equal(p.calls, 4);
  pass(&w, 200);
  assert_int_equal(p.calls, 5);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 5);
  world_end(&w);
}

static void a_hold_goes_on_after_a_restart(void **state) {
  (void)state;
  int64_t clock = INT64_C(1800000000000);
  unlink("hold.db");
  unlink("hold.db-wal");
  for (int life = 0; life < 2; life++) {
    world w = {.log = hl_log_new(HL_LOG_OFF, false)};
    static probe p;
    p = (probe){0};
    assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock, .seed = 7}, w.log, &w.loop, &w.err), 0);
    world_engine(&w, "hold.db");
    listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .hold_ms = 60000}, &p);
    world_start(&w);
    if (!life) {
      answer a = {0};
      receive(&w, "[" CREATED(1, 7, 300) "]", &a);
      while (!a.calls) pass(&w, 1);
      pass(&w, 30000);
      assert_int_equal(p.calls, 0);
    } else {
      pass(&w, 29000); /* the rest of it */
      assert_int_equal(p.calls, 0);
      pass(&w, 1100);
      assert_int_equal(p.calls, 1);
    }
    clock = hl_loop_now(w.loop);
    world_end(&w);
  }
}

/* ---- limits ---- */

static void a_script_has_a_limit(void **state) {
  (void)state;
  world w;
  static slow a, b, c;
  a = b = c = (slow){.ms = 100};
  world_loop(&w, true);
  world_engine(&w, NULL);
  hl_engine_limit(w.e, "one.lua", 10);
  on_slowly(&w, "contact.creation", (hl_handler_options){.script = "one.lua"}, &a);
  on_slowly(&w, "company.creation", (hl_handler_options){.script = "one.lua"}, &b);
  on_slowly(&w, "deal.creation", (hl_handler_options){.script = "two.lua"}, &c);
  world_start(&w);
  flood(&w, "contact.creation", 30, 1, 1, "CRM");
  flood(&w, "company.creation", 30, 1, 1, "CRM");
  flood(&w, "deal.creation", 30, 1, 1, "CRM");
  assert_int_equal(a.starts + b.starts, 10);
  assert_int_equal(c.starts, 30); /* another script's is its own */
  for (int i = 0; i < 80; i++) {
    pass(&w, 10);
    assert_true(a.starts - a.done + b.starts - b.done <= 10);
  }
  assert_int_equal(a.done, 30);
  assert_int_equal(b.done, 30); /* and both had their turn */
  world_end(&w);
}

static void live_goes_before_bulk(void **state) {
  (void)state;
  world w;
  static slow s;
  static probe q;
  s = (slow){.ms = 100};
  q = (probe){0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  on_slowly(&w, "contact.propertyChange", (hl_handler_options){.concurrency = 8}, &s);
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "q.lua", .live = true, .concurrency = 8}, &q);
  world_start(&w);
  flood(&w, "contact.propertyChange", 100, 1, 1, "IMPORT");
  pass(&w, 5 * 1000);
  settle_down(&w);
  assert_int_equal(s.done, 100);
  /* More than a hundred a minute of one source: bulk, and a quarter of the slots is not for them. */
  flood(&w, "contact.propertyChange", 1000, 1000, 1, "IMPORT");
  pass(&w, 350);
  assert_int_equal(s.starts - s.done, 6);
  int before = s.starts;
  flood(&w, "contact.propertyChange", 2, 5000, 1, "CRM_UI");
  assert_int_equal(s.starts, before + 2);
  flood(&w, "contact.propertyChange", 20, 6000, 1, "CRM_UI"); /* these wait for slots, and go before what waits longer */
  before = s.starts;
  pass(&w, 410);
  assert_true(s.starts - before >= 20 + 2 && s.starts - before <= 20 + 12);
  pass(&w, 20 * 1000);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 1122);
  world_end(&w);
}

/* ---- floods ---- */

static void one_live_event_in_a_flood(void **state) {
  (void)state;
  world w;
  static slow s, other;
  s = (slow){.ms = 100};
  other = (slow){.ms = 100};
  open_small(&w, NULL, 0);
  on_slowly(&w, "contact.propertyChange", (hl_handler_options){0}, &s);
  on_slowly(&w, "deal.creation", (hl_handler_options){.script = "other.lua"}, &other);
  world_start(&w);
  flood(&w, "contact.propertyChange", 100000, 1, 1, "IMPORT");
  int64_t at = hl_loop_now(w.loop);
  int flooded = s.starts;
  /* Another type, and one of the flooded handler by somebody else. */
  flood(&w, "deal.creation", 1, 1, 1, "CRM_UI");
  flood(&w, "contact.propertyChange", 1, 500000, 1, "CRM_UI");
  while (!other.starts) pass(&w, 10);
  assert_true(hl_loop_now(w.loop) - at <= 1500);
  assert_true(s.starts - flooded <= 800);
  assert_int_equal(stats_of(&w).acknowledged, 100002);
  assert_true(stats_of(&w).in_memory <= 20000);
  /* From now on it does not even cost that second. */
  at = hl_loop_now(w.loop);
  flooded = s.starts;
  flood(&w, "deal.creation", 1, 2, 1, "CRM_UI");
  pass(&w, 0);
  assert_int_equal(other.starts, 2);
  flooded = s.starts;
  for (int i = 0; i < 60; i++) {
    pass(&w, 1000);
    assert_true(stats_of(&w).in_memory <= 20000);
  }
  assert_in_range(s.starts - flooded, 60 * 370, 60 * 380); /* 38 slots, 10 runs a second each: all of them at work */
  assert_int_equal(stats_of(&w).acknowledged, 100003);
  while (works.next != &works) work_free(works.next);
  world_end(&w);
}

/* One object with more events than there is memory, and a handler that hangs. */
static void a_stuck_object_blocks_nobody(void **state) {
  (void)state;
  world w;
  static slow s, other, hangs;
  s = (slow){.stuck = true};
  other = (slow){.ms = 1};
  hangs = (slow){.stuck = true};
  open_small(&w, NULL, 400);
  on_slowly(&w, "contact.propertyChange", (hl_handler_options){0}, &s);
  on_slowly(&w, "deal.creation", (hl_handler_options){.script = "other.lua"}, &other);
  on_slowly(&w, "ticket.creation", (hl_handler_options){.script = "hangs.lua", .concurrency = 1}, &hangs);
  world_start(&w);
  flood(&w, "contact.propertyChange", 5000, 9, 0, "CRM_UI");
  flood(&w, "deal.creation", 10, 1, 1, "CRM_UI");
  pass(&w, 1100);
  assert_int_equal(other.done, 10);
  assert_int_equal(s.starts, 1);
  assert_true(stats_of(&w).in_memory <= 500);
  flood(&w, "ticket.creation", 5000, 1, 1, "CRM_UI");
  flood(&w, "contact.propertyChange", 10, 10, 1, "CRM_UI"); /* other objects of the stuck handler */
  flood(&w, "deal.creation", 10, 11, 1, "CRM_UI");
  pass(&w, 2500);
  assert_int_equal(other.done, 20);
  assert_int_equal(s.starts, 11);
  assert_int_equal(stats_of(&w).acknowledged, 10030);
  world_end(&w);
}

/* While rows of a lane are read, one arrives that occurred before them: it goes first. */
static void a_straggler_while_its_lane_is_read(void **state) {
  (void)state;
  world w;
  static probe p;
  answer a = {0};
  p = (probe){.hold = true};
  unlink("late.db");
  unlink("late.db-wal");
  open_small(&w, "late.db", 40);
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "t.lua"}, &p);
  world_start(&w);
  tick = 1;
  flood(&w, "contact.propertyChange", 300, 9, 0, "CRM_UI");
  tick = 0;
  pass(&w, 1100);
  for (int i = 0; i < 100 && stats_of(&w).waiting < 299; i++) pass(&w, 1);
  assert_int_equal(p.calls, 1);
  assert_int_equal(stats_of(&w).waiting, 299);
  hl_store_fault(hl_engine_store(w.e), "pause", 0, 1);
  receive(&w, "[{\"subscriptionType\":\"contact.propertyChange\",\"eventId\":7777777,\"objectId\":9,\"occurredAt\":1}]", &a);
  pass(&w, 0); /* its commit is out */
  hl_run_finish(p.held[p.n_held - 1], HL_RUN_DONE, HL_STR("")); /* the next ones are asked for now */
  hl_store_fault(hl_engine_store(w.e), "pause", 0, 0);
  int calls = p.calls;
  for (int i = 0; i < 200 && p.calls == calls; i++) pass(&w, 1);
  assert_int_equal(p.occurred[calls % SEEN], 1);
  world_end(&w);
}

/* ---- at random ---- */

enum { OBJECTS = 40, HANDLERS = 4, MOST_OUT = 100 };

typedef struct one { int64_t occurred; int object; int left; bool dead; } one;

typedef struct life {
  world w;
  hl_rng r;
  one *v;                       /* by eventId */
  int n, cap;
  int clock;                    /* of occurredAt */
  int64_t now;
  bool in_order;
  const char *path;
  struct lane {                 /* of a handler and an object */
    struct out { hl_run *run; int event, attempt; } out[MOST_OUT];
    int n;
    int64_t last;
  } lanes[HANDLERS][OBJECTS];
  unsigned char *ran;           /* n * HANDLERS */
  int alive;                    /* runs that are out */
  int steps;
} life;

static life L;

typedef struct run_of { int h; } run_of;
static run_of ids[HANDLERS] = {{0}, {1}, {2}, {3}};

static void random_run(void *arg, hl_run *run, const hl_event *event) {
  int h = ((run_of *)arg)->h, id = (int)hl_json_int(event->json, "eventId", -1);
  assert_in_range(id, 0, L.n - 1);
  one *ev = &L.v[id];
  struct lane *lane = &L.lanes[h][ev->object];
  /* One at a time; a retry whose lane has not waited for it goes alone. */
  for (int i = 0; i < lane->n; i++) assert_true(event->attempt > 1 || lane->out[i].attempt > 1);
  assert_int_equal(L.ran[id * HANDLERS + h], 0);      /* none twice */
  if (L.in_order && event->attempt == 1) {
    assert_true(event->occurred_at >= lane->last);    /* none out of order; one that a restart cut begins again */
    lane->last = event->occurred_at;
  }
  assert_true(lane->n < MOST_OUT);
  lane->out[lane->n++] = (struct out){run, id, (int)event->attempt};
  L.alive++;
}

static void end_one(int h, int object) {
  struct lane *lane = &L.lanes[h][object];
  if (!lane->n) return;
  struct out out = lane->out[--lane->n];
  hl_run *run = out.run;
  L.alive--;
  /* Every 97th never ends well, others fail now and then. */
  bool never = out.event % 97 == 96;
  if (never || hl_rng_below(&L.r, 40) == 0) {
    hl_run_finish(run, HL_RUN_FAILED, HL_STR("told to"));
    return;
  }
  L.ran[out.event * HANDLERS + h] = 1;
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

static void send_some(void) {
  hl_buf b;
  hl_buf_init(&b, 1 << 20);
  int n = 1 + (int)hl_rng_below(&L.r, 100);
  bool mass = hl_rng_below(&L.r, 2);
  for (int k = 0; k < n; k++) {
    if (L.n == L.cap) {
      L.cap = L.cap ? 2 * L.cap : 1024;
      L.v = hl_realloc(L.v, (size_t)L.cap * sizeof *L.v);
      L.ran = hl_realloc(L.ran, (size_t)L.cap * HANDLERS);
    }
    /* Half of them for three objects. */
    int object = (int)(hl_rng_below(&L.r, 2) ? hl_rng_below(&L.r, 3) : hl_rng_below(&L.r, OBJECTS));
    int64_t occurred = L.in_order ? ++L.clock : 1 + (int64_t)hl_rng_below(&L.r, 100000);
    L.v[L.n] = (one){.occurred = occurred, .object = object};
    memset(L.ran + L.n * HANDLERS, 0, HANDLERS);
    hl_buf_printf(&b, "%s{\"subscriptionType\":\"contact.propertyChange\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%lld,\"changeSource\":\"%s\"}",
                  k ? "," : "[", L.n++, object, (long long)occurred, mass ? "IMPORT" : "CRM_UI");
  }
  hl_buf_puts(&b, "]");
  answer a = {0};
  receive(&L.w, b.p, &a);
  while (!a.calls) pass(&L.w, 1);
  assert_int_equal(a.r.code, 0);
  hl_buf_deinit(&b);
}

static void begin_life(void) {
  L.w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = L.now, .seed = 7}, L.w.log, &L.w.loop, &L.w.err), 0);
  assert_int_equal(hl_engine_new(L.w.loop, &(hl_engine_options){.store = L.path, .max_events = 300}, &L.w.e, &L.w.err), 0);
  static const hl_handler_options how[HANDLERS] = {
      {.script = "a.lua", .retries = 4}, {.script = "b.lua", .retries = 4, .concurrency = 3},
      {.script = "c.lua", .retries = 4, .live = true}, {.script = "d.lua", .retries = 4, .hold_ms = 50}};
  for (int h = 0; h < HANDLERS; h++)
    assert_int_equal(hl_engine_on(L.w.e, "contact.propertyChange", false, &how[h], random_run, &ids[h], NULL, &L.w.err), 0);
  world_start(&L.w);
}

static void end_life(void) {
  for (int h = 0; h < HANDLERS; h++)
    for (int i = 0; i < OBJECTS; i++) L.lanes[h][i] = (struct lane){.last = L.lanes[h][i].last};
  L.alive = 0;
  L.now = hl_loop_now(L.w.loop);
  world_end(&L.w);
}

static void a_random_life(const char *path, bool in_order, uint64_t seed, int most) {
  memset(&L, 0, sizeof L);
  L.now = INT64_C(1800000000000);
  L.path = path;
  L.in_order = in_order;
  hl_rng_init(&L.r, seed);
  begin_life();
  int quiet = 0;
  while (quiet < 200) {
    switch (hl_rng_below(&L.r, 8)) {
      case 0: case 1:
        if (L.n < most) send_some();
        break;
      case 2: pass(&L.w, (int64_t)hl_rng_below(&L.r, L.n < most ? 400 : 20000)); break;
      case 3:
        if (path && L.n < most && hl_rng_below(&L.r, 30) == 0) {
          end_life();
          begin_life();
        }
        break;
      default:
        for (int k = 0; k < 60; k++) end_one((int)hl_rng_below(&L.r, HANDLERS), (int)hl_rng_below(&L.r, OBJECTS));
        pass(&L.w, 1);
    }
    hl_engine_stats s = stats_of(&L.w);
    assert_int_equal(s.acknowledged, L.n);
    assert_true(s.in_memory < 2000);
    if (++L.steps > 40000) fail_msg("seed %d does not end", (int)seed);
    quiet = L.n >= most && !s.pending && !s.waiting && !L.alive ? quiet + 1 : 0;
  }
  int never = 0;
  for (int i = 0; i < L.n; i++) {
    for (int h = 0; h < HANDLERS; h++) assert_true(L.ran[i * HANDLERS + h] == (i % 97 != 96) || i % 97 != 96);
    never += i % 97 == 96;
  }
  hl_engine_stats s = stats_of(&L.w);
  assert_true((int)s.dead >= never);
  assert_int_equal(s.dead + s.ran, L.n);
  end_life();
  hl_free(L.v);
  hl_free(L.ran);
}

static void random_lives(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 4; seed++) a_random_life(NULL, seed % 2, seed, 2000);
}

static void random_lives_with_restarts(void **state) {
  (void)state;
  unlink("lanes.db");
  unlink("lanes.db-wal");
  a_random_life("lanes.db", true, 1, 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_straggler_goes_first),
      cmocka_unit_test(a_hold_goes_on_after_a_restart),
      cmocka_unit_test(a_script_has_a_limit),
      cmocka_unit_test(live_goes_before_bulk),
      cmocka_unit_test(one_live_event_in_a_flood),
      cmocka_unit_test(a_stuck_object_blocks_nobody),
      cmocka_unit_test(a_straggler_while_its_lane_is_read),
      cmocka_unit_test(random_lives),
      cmocka_unit_test(random_lives_with_restarts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
