/* every and cron. The last firing is in the store and moves in the commit of the
 * run's completion, so that a crash repeats a run and never loses one.
 *
 * Times are the wall clock's, which may step. A cron time does not come twice when
 * it steps back by three hours or less; more than that is taken for the correction
 * of a clock that was wrong (both as in Debian's cron(8)). An interval begins anew.
 * After a step forward, or while the machine slept, times have passed as they do
 * while the program is down. */
#include <assert.h>

#include "base/mem.h"
#include "engine/inside.h"

enum { MAX_CATCH_UP = 1000 };
static const int64_t LATE_MS = 60 * 1000;             /* a time that long ago was missed */
static const int64_t CORRECTION_MS = 3 * 60 * 60 * 1000;

struct hl_fired {
  hl_fired *next;
  int64_t last;
  char name[];
};

void hl_schedule_remember(hl_engine *e, const char *name, int64_t last) {
  size_t n = strlen(name) + 1;
  hl_fired *f = hl_alloc(sizeof *f + n);
  f->last = last;
  memcpy(f->name, name, n);
  f->next = e->fired;
  e->fired = f;
}

static int64_t forget(hl_engine *e, const char *name) {
  for (hl_fired **p = &e->fired; *p; p = &(*p)->next) {
    hl_fired *f = *p;
    if (strcmp(f->name, name) != 0) continue;
    int64_t last = f->last;
    *p = f->next;
    hl_free(f);
    return last;
  }
  return 0;
}

void hl_schedule_deinit(hl_engine *e) {
  while (e->fired) {
    hl_fired *f = e->fired;
    e->fired = f->next;
    hl_free(f);
  }
}

static int64_t next_after(const hl_handler *h, int64_t ms) {
  if (h->every_ms) return ms + h->every_ms;
  return hl_cron_next(&h->cron, h->tz, ms);
}

/* The first of the newest `most` times from `due` to `now`. A cron's are looked for backwards,
 * so that a year's minutes are not walked. */
static int64_t newest(const hl_handler *h, int64_t due, int64_t now, int64_t most) {
  if (h->every_ms) {
    int64_t n = (now - due) / h->every_ms + 1;
    return n > most ? due + (n - most) * h->every_ms : due;
  }
  for (int64_t back = HL_HOUR;; back *= 8) {
    int64_t first = now - back > due ? next_after(h, now - back - 1) : due, n = 0;
    for (int64_t at = first; at <= now; at = next_after(h, at)) n++;
    if (n < most && first > due) continue;
    for (; n > most; n--) first = next_after(h, first);
    return first;
  }
}

static void record(hl_handler *h, int64_t at) {
  hl_buf name;
  h->last = at;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_tx_fired(h->e->tx, name.p, at);
  hl_buf_deinit(&name);
  hl_touch(h->e);
}

/* What comes after the last run, and of what was missed the part that is run. */
static void plan(hl_handler *h, int64_t now) {
  int64_t from;
  if (h->last > now && (h->every_ms || h->last - now > CORRECTION_MS)) record(h, now);
  h->due = next_after(h, h->last);
  if (h->due > now) return;
  switch (h->catchup) {
    case HL_CATCHUP_ONCE: h->due = newest(h, h->due, now, 1); break;
    case HL_CATCHUP_ALL:
      from = newest(h, h->due, now, MAX_CATCH_UP);
      if (from > h->due)
        hl_log_write(h->e->log, HL_LOG_WARN, "engine", "%s “%s”: of the times that were missed the newest %d are run", h->script,
                     h->text, MAX_CATCH_UP);
      h->due = from;
      h->catch_until = now;
      break;
    case HL_CATCHUP_SKIP:
      h->due = newest(h, h->due, now, 1);
      if (now - h->due <= LATE_MS) break;
      record(h, h->due);
      h->due = next_after(h, h->last);
      break;
  }
}

static void on_timer(hl_timer *t, void *arg);

static void arm(hl_handler *h) {
  hl_engine *e = h->e;
  int64_t now = hl_loop_now(e->loop);
  if (e->freeing || h->gone) return;
  if (!h->again && h->last > now) plan(h, now); /* the clock was set back */
  if (h->due == INT64_MAX) return;
  hl_timer_start_at(e->loop, &h->timer, h->again ? h->again : h->due, on_timer, h);
}

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  hl_handler *h = arg;
  hl_engine *e = h->e;
  int64_t now = hl_loop_now(e->loop);
  if (h->firing || !hl_may_dispatch(e) || hl_handler_stands(h)) return; /* hl_schedule_finish or _resume arms again */
  if (!h->again && now - h->due > LATE_MS && h->due > h->catch_until) plan(h, now);
  if (now < (h->again ? h->again : h->due)) {
    arm(h);
    return;
  }
  hl_run *run = hl_run_new(e, RUN_SCHEDULE, h);
  run->fired_at = h->due;
  run->attempt = h->tried;
  h->again = 0;
  h->firing = true;
  hl_run_start(run);
}

void hl_schedule_start(hl_engine *e, hl_handler *h) {
  int64_t now = hl_loop_now(e->loop);
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  if (!h->last) h->last = forget(e, name.p);
  hl_buf_deinit(&name);
  if (!h->last) record(h, now);
  plan(h, now);
  arm(h);
}

/* A run that failed is tried again while its next time has not come. */
static bool try_again(hl_handler *h, int64_t now) {
  hl_engine *e = h->e;
  if (h->tried >= h->retries) return false;
  int64_t at = now + hl_run_backoff(h, h->tried + 1);
  if (at >= next_after(h, h->due)) return false;
  h->tried++;
  h->again = at;
  e->retried++;
  return true;
}

/* A run that failed and is not tried again. */
static void report_failed(const hl_run *run, hl_str error) {
  const hl_handler *h = run->h;
  char text[1024], due[25];
  cJSON *details = cJSON_CreateObject();
  hl_time_iso(run->fired_at, due);
  snprintf(text, sizeof text, "%s “%s” failed for %s%s; it goes on at its next time: " HL_STR_FMT, h->script, h->text, due,
           run->uncertain ? ", and a write of it may or may not be made" : "", (int)(error.n > 300 ? 300 : error.n), error.p ? error.p : "");
  cJSON_AddStringToObject(details, "script", h->script);
  cJSON_AddStringToObject(details, "handler", h->name);
  cJSON_AddItemToObject(details, "due", hl_json_int64(run->fired_at));
  cJSON_AddNumberToObject(details, "attempts", run->attempt + 1);
  hl_engine_alert(h->e, run->uncertain ? "uncertain_step" : "schedule_failed", text, details);
}

void hl_schedule_finish(hl_run *run, hl_outcome outcome, hl_str error) {
  hl_handler *h = run->h;
  hl_engine *e = run->e;
  int64_t now = hl_loop_now(e->loop);
  bool failed = outcome == HL_RUN_FAILED || outcome == HL_RUN_AGAIN || outcome == HL_RUN_DEAD, again = false;
  h->firing = false;
  if (failed) {
    e->failed_runs++;
    again = outcome != HL_RUN_DEAD && !run->uncertain && try_again(h, now);
    if (!again) report_failed(run, error);
    else hl_log_write(e->log, HL_LOG_WARN, "engine", "%s “%s” failed; it is tried again: " HL_STR_FMT, h->script, h->text,
                      (int)(error.n > 300 ? 300 : error.n), error.p ? error.p : "");
  }
  if (outcome != HL_RUN_CUT && !again) {
    hl_steps_leave(run);
    h->tried = 0;
    record(h, run->fired_at);
    h->due = next_after(h, h->last);
    /* Times that passed while it ran are skipped, except those it is catching up on. */
    if (h->due <= now && h->due > h->catch_until) h->due = next_after(h, newest(h, h->due, now, 1));
  }
  hl_run_free(run);
  if (h->gone) hl_schedule_gone(h);
  arm(h);
}

void hl_schedule_changed(hl_handler *h, const hl_handler *before) {
  if (!h->e->started || next_after(h, h->last) == next_after(before, h->last)) return; /* a time that is due stays so */
  h->catch_until = h->again = 0;
  h->tried = 0;
  if (!h->firing) hl_schedule_start(h->e, h);
}

void hl_schedule_gone(hl_handler *h) {
  hl_buf name;
  hl_timer_stop(h->e->loop, &h->timer);
  if (h->firing || !h->last) return;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_schedule_remember(h->e, name.p, h->last);
  hl_buf_deinit(&name);
}

void hl_schedule_resume(hl_engine *e) {
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->scheduled && !h->firing && !hl_timer_armed(&h->timer)) arm(h);
}
