/* Random arrivals, failures, commit faults, delays and restarts, seeded: every
 * acknowledged event is in exactly one state, always; none is lost; none that
 * was finished in a commit runs again. */
#include <unistd.h>

#include "engine_util.h"

enum { EVENTS = 5000 };

typedef struct model {
  world w;
  hl_rng r;
  int done[2][EVENTS];           /* runs that finished, by handler and event */
  bool known[EVENTS];            /* acknowledged */
  bool dead[2][EVENTS];
  hl_run *held[4096];
  int held_event[4096], held_handler[4096], n_held;
  bool gap;                      /* the process was cut: what had not committed may run again */
} model;

typedef struct part { model *m; int handler; } part;

static void finish(model *m, int k) {
  hl_run *run = m->held[k];
  int event = m->held_event[k], handler = m->held_handler[k];
  m->n_held--;
  m->held[k] = m->held[m->n_held];
  m->held_event[k] = m->held_event[m->n_held];
  m->held_handler[k] = m->held_handler[m->n_held];
  uint64_t dice = hl_rng_below(&m->r, 20);
  if (dice < 3) {
    hl_run_finish(run, HL_RUN_FAILED, HL_STR("dice"));
  } else if (dice < 4) {
    m->dead[handler][event] = true;
    hl_run_finish(run, HL_RUN_DEAD, HL_STR("dice"));
  } else {
    m->done[handler][event]++;
    hl_run_finish(run, dice < 6 ? HL_RUN_FILTERED : HL_RUN_DONE, HL_STR(""));
  }
}

static void on_run(void *arg, hl_run *run, const hl_event *event) {
  part *p = arg;
  model *m = p->m;
  int n = (int)hl_json_int(event->json, "eventId", -1);
  assert_in_range(n, 0, EVENTS - 1);
  assert_false(m->dead[p->handler][n]);
  assert_int_equal(m->done[p->handler][n], 0);
  m->held[m->n_held] = run;
  m->held_event[m->n_held] = n;
  m->held_handler[m->n_held++] = p->handler;
}

typedef struct sent { model *m; int first, n; bool fresh[20]; } sent;

static void on_stored(void *arg, const hl_receipt *r) {
  sent *s = arg;
  if (r->code == 0) {
    assert_int_equal(r->accepted + r->duplicates, s->n);
    for (int i = 0; i < s->n; i++) s->m->known[s->first + i] = true;
  }
  hl_free(s);
}

static void send_some(model *m, int first, int n) {
  hl_buf b;
  hl_buf_init(&b, 1 << 16);
  sent *s = HL_NEW(sent);
  *s = (sent){.m = m, .first = first, .n = n};
  for (int i = 0; i < n; i++)
    hl_buf_printf(&b, "%c{\"subscriptionType\":\"%s\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}", i ? ',' : '[',
                  (first + i) % 5 ? "contact.creation" : "deal.creation", first + i, (first + i) % 50, (first + i) / 3);
  hl_buf_puts(&b, "]");
  hl_engine_receive(m->w.e, "push", "main", hl_buf_str(&b), on_stored, s);
  hl_buf_deinit(&b);
}

static void check_sum(model *m) { stats_of(&m->w); }

static part parts[2];

static void listen_both(model *m) {
  for (int i = 0; i < 2; i++) {
    parts[i] = (part){m, i};
    hl_handler_options o = {.script = i ? "b.lua" : "a.lua", .concurrency = 40, .retries = 50};
    assert_int_equal(hl_engine_on(m->w.e, "contact.creation", false, &o, on_run, &parts[i], NULL, &m->w.err), 0);
  }
  hl_handler_options o = {.script = "a.lua", .concurrency = 40, .retries = 50};
  assert_int_equal(hl_engine_on(m->w.e, "deal.creation", false, &o, on_run, &parts[0], NULL, &m->w.err), 0);
}

static void random_life(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 5; seed++) {
    static model m;
    memset(&m, 0, sizeof m);
    hl_rng_init(&m.r, seed);
    world_loop(&m.w, true);
    world_engine(&m.w, NULL);
    listen_both(&m);
    world_start(&m.w);
    int next = 0;
    while (next < EVENTS || m.n_held) {
      uint64_t dice = hl_rng_below(&m.r, 100);
      if (dice < 20 && next < EVENTS) {
        int n = 1 + (int)hl_rng_below(&m.r, 20);
        if (n > EVENTS - next) n = EVENTS - next;
        send_some(&m, next, n);
        next += n;
      } else if (dice < 30 && next) {
        int first = (int)hl_rng_below(&m.r, (uint64_t)next);
        int n = next - first < 20 ? next - first : 20;
        send_some(&m, first, n); /* again, or what was refused */
      } else if (dice < 31) {
        hl_store_fault(hl_engine_store(m.w.e), "commit", hl_rng_below(&m.r, 2) ? HL_EIO : HL_EFULL, 1 + (unsigned)hl_rng_below(&m.r, 3));
      } else if (dice < 34) {
        pass(&m.w, (int64_t)hl_rng_below(&m.r, 5000));
      } else if (m.n_held) {
        finish(&m, (int)hl_rng_below(&m.r, (uint64_t)m.n_held));
      } else {
        pass(&m.w, 1);
      }
      if (dice % 8 == 0) pass(&m.w, 0);
      check_sum(&m);
    }
    /* Whatever was refused is sent again, as HubSpot would. */
    for (int round = 0; round < 200; round++) {
      pass(&m.w, HL_MINUTE);
      for (int i = 0; i < EVENTS; i++)
        if (!m.known[i]) send_some(&m, i, 1);
      while (m.n_held) finish(&m, 0);
    }
    for (int i = 0; i < 1000 && (m.n_held || !hl_engine_idle(m.w.e) || stats_of(&m.w).waiting); i++) {
      pass(&m.w, HL_MINUTE);
      while (m.n_held) finish(&m, 0);
    }
    hl_engine_stats s = stats_of(&m.w);
    assert_int_equal(s.pending, 0);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.acknowledged - s.duplicate, EVENTS);
    uint64_t dead = 0;
    for (int i = 0; i < EVENTS; i++) {
      bool deal = i % 5 == 0;
      assert_true(m.known[i]);
      assert_int_equal(m.done[0][i] + m.dead[0][i], 1);
      assert_int_equal(m.done[1][i] + m.dead[1][i], deal ? 0 : 1);
      dead += m.dead[0][i] || m.dead[1][i];
    }
    assert_int_equal(s.dead, dead);
    world_end(&m.w);
  }
}

/* With a file, cut at random moments. Between lives only counts are compared:
 * what finished in a commit may not come back. */
static void random_lives(void **state) {
  (void)state;
  static model m;
  int next = 0;
  memset(&m, 0, sizeof m);
  hl_rng_init(&m.r, 99);
  for (int life = 0; life < 12; life++) {
    world_loop(&m.w, false);
    world_engine(&m.w, "lives.db");
    hl_engine_stats before = stats_of(&m.w);
    m.n_held = 0;
    memset(m.done, 0, sizeof m.done);
    memset(m.dead, 0, sizeof m.dead);
    listen_both(&m);
    world_start(&m.w);
    for (int step = 0; step < 300; step++) {
      uint64_t dice = hl_rng_below(&m.r, 10);
      if (dice < 3 && next < EVENTS - 20) {
        send_some(&m, next, 10);
        next += 10;
      } else if (m.n_held) {
        finish(&m, (int)hl_rng_below(&m.r, (uint64_t)m.n_held));
      }
      pass(&m.w, 0);
      check_sum(&m);
    }
    /* Answered means there: wait for all answers before the cut. */
    bool all = false;
    while (!all) {
      pass(&m.w, 1);
      all = true;
      for (int i = 0; i < next; i++) all &= m.known[i];
    }
    hl_engine_stats s = stats_of(&m.w);
    assert_int_equal(s.acknowledged, next);
    assert_true(s.pending + s.waiting <= (uint64_t)next);
    uint64_t over = s.ran + s.filtered + s.dead;
    assert_true(over >= before.ran + before.filtered + before.dead);
    hl_engine_abandon(m.w.e);
    hl_loop_free(m.w.loop);
    hl_log_free(m.w.log);
    world_loop(&m.w, false);
    world_engine(&m.w, "lives.db");
    hl_engine_stats after = stats_of(&m.w);
    assert_int_equal(after.acknowledged, next);
    assert_true(after.ran + after.filtered + after.dead >= over);
    world_end(&m.w);
  }
  unlink("lives.db");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_life), cmocka_unit_test(random_lives)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
