/* Which call leaves next, and when.
 *
 * Classes: a ready live call leaves before any normal one, that before any bulk
 * one; a class that waits long because of this is named in the log. Inside a
 * class the scripts take turns, inside a script calls keep their order. Each
 * stream has a window of its own and does not wait for another. Nothing leaves
 * before the end of the turn in which it was asked for, so that what one turn
 * asks for can travel together. */
#include <assert.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/identity.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"

enum {
  PROBE_POLL_MS = 1000, REFUSE_MS = 200,
  LIVE_IN_FLIGHT = 2,    /* of those that may be out are left for live calls */
  IN_FLIGHT_TOP = 64,    /* for HubSpot answers slowly */
  STARVED_MS = 60 * 1000, STARVED_TELL_MS = 10 * 60 * 1000,
  DAY_TELL_MS = 60 * 60 * 1000
};

static const char *const class_names[HL_CLASSES] = {"live", "normal", "bulk"};

static bool has_work(const hl_stream *s, int k) {
  return !hl_link_alone(&s->again[k]) || !hl_link_alone(&s->lanes[k]);
}

hl_stream_kind hl_stream_kind_of(const char *method, hl_str path) {
  static const struct { const char *prefix; hl_journal_part part; } journals[] = {
    {"/webhooks-journal/subscriptions/", HL_JOURNAL_SUBSCRIPTIONS},
    {"/webhooks-journal/snapshots/", HL_JOURNAL_SNAPSHOTS},
    {"/webhooks-journal/", HL_JOURNAL_EVENTS},
  };
  for (size_t i = 0; i < HL_COUNT(journals); i++)
    if (hl_str_starts(path, journals[i].prefix)) return (hl_stream_kind)(HL_STREAM_JOURNAL + (int)journals[i].part);
  return hl_path_is_search(method, path) ? HL_STREAM_SEARCH : HL_STREAM_MAIN;
}

static void leave(hl_queue *q, hl_stream *s, int k) {
  if (!hl_link_alone(&s->again[k])) {
    hl_call *c = HL_LINKED(s->again[k].next, hl_call, link);
    hl_link_remove(&c->link);
    s->ready--;
    hl_call_send(c);
    return;
  }
  hl_lane *lane = HL_LINKED(s->lanes[k].next, hl_lane, ring);
  hl_link_remove(&lane->ring); /* its turn is taken: to the end of the ring */
  hl_link_before(&s->lanes[k], &lane->ring);
  hl_call_send(hl_batch_gather(q, HL_LINKED(lane->ops.next, hl_api_op, link)));
}

/* ---- the day ---- */

static const char *account_of(const hl_queue *q) {
  const hl_account *a = q->hubspot->accounts;
  while (a && a->queue != q) a = a->next;
  return a ? a->name : "";
}

static int64_t closed(hl_queue *q, hl_rank rank) {
  hl_loop *loop = q->hubspot->loop;
  return hl_day_closed(q->day, hl_loop_mono(loop), hl_loop_now(loop), rank);
}

/* Once an hour: a line in the log, the first of a day an alert. */
static bool may_say_day(hl_queue *q) {
  int64_t now = hl_loop_mono(q->hubspot->loop);
  return !q->day->told || now - q->day->told >= DAY_TELL_MS;
}

static void say_day(hl_queue *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say_day(hl_queue *q, const char *fmt, ...) {
  hl_hubspot *h = q->hubspot;
  int64_t now = hl_loop_mono(h->loop);
  char text[1000];
  va_list ap;
  q->day->told = now > 0 ? now : 1;
  int n = snprintf(text, sizeof text, "account %.128s: ", account_of(q));
  va_start(ap, fmt);
  vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
  va_end(ap);
  if (!h->day_ending || !hl_day_warns(q->day, hl_loop_now(h->loop))) {
    hl_log_write(hl_loop_log(h->loop), HL_LOG_WARN, "hubspot", "%s", text);
    return;
  }
  hl_api_stats s;
  hl_queue_budgets(q, &s);
  cJSON *details = cJSON_CreateObject();
  const struct { const char *name; int64_t v; } rows[] = {{"day_limit", s.day_limit}, {"day_remaining", s.day_remaining},
    {"day_reserved", s.day_reserved}, {"day_ends", s.day_ends}, {"day_runs_out", s.day_runs_out}};
  cJSON_AddStringToObject(details, "account", account_of(q));
  for (size_t i = 0; i < HL_COUNT(rows); i++) cJSON_AddItemToObject(details, rows[i].name, hl_json_int64(rows[i].v));
  h->day_ending(h->day_ending_arg, text, details);
}

static void refuse_day(hl_queue *q, int64_t until, hl_api_class from) {
  hl_loop *loop = q->hubspot->loop;
  const hl_day *day = q->day;
  char limit[64] = "", iso[25];
  if (day->limit > 0) snprintf(limit, sizeof limit, " of %lld calls", (long long)day->limit);
  hl_time_iso(hl_loop_now(loop) + until - hl_loop_mono(loop), iso);
  hl_fault f;
  if (from == HL_CLASS_LIVE)
    hl_fault_plain(&f, "hubspot", "RATE_LIMITS", true,
                   "the account's daily limit%s is used up; HubSpot resets it at midnight in the account's time zone. "
                   "No call is sent before %s, then one tries again", limit, iso);
  else
    hl_fault_plain(&f, "hubspot", "RATE_LIMITS", true,
                   "the %lld calls that are left of the account's daily limit%s are kept for live calls (webhook handlers and "
                   "routes). No other is sent before %s; day_reserve of the account in hubloop.lua says how many percent are kept",
                   (long long)day->remaining, limit, iso);
  f.e.status = 429;
  if (may_say_day(q)) say_day(q, "%s", f.e.message);
  hl_queue_refuse(q, from, &f.e);
  hl_fault_deinit(&f);
}

static bool work_from(const hl_queue *q, hl_api_class from) {
  for (size_t i = 0; i < HL_STREAMS; i++)
    for (int k = (int)from; k < HL_CLASSES; k++)
      if (has_work(&q->streams[i], k)) return true;
  return false;
}

/* On a timer, so that a script which asks again at once cannot keep the loop in one turn. */
static void refuse_due(hl_timer *timer, void *arg) {
  (void)timer;
  hl_queue *q = arg;
  for (hl_api_class from = HL_CLASS_LIVE; from <= HL_CLASS_NORMAL; from++) {
    int64_t until = closed(q, (hl_rank)from);
    if (!until) continue;
    refuse_day(q, until, from);
    break;
  }
  hl_queue_kick(q);
}

/* The classes from which on the day is closed; HL_CLASSES: none is. */
static hl_api_class close_day(hl_queue *q) {
  hl_api_class from = HL_CLASS_LIVE;
  while (from < HL_CLASS_BULK && !closed(q, (hl_rank)from)) from++;
  if (from == HL_CLASS_BULK) from = (hl_api_class)HL_CLASSES;
  if (!work_from(q, from)) hl_timer_stop(q->hubspot->loop, &q->day_timer);
  else if (!hl_timer_armed(&q->day_timer)) hl_timer_start(q->hubspot->loop, &q->day_timer, REFUSE_MS, refuse_due, q);
  return from;
}

/* Says when the day's budget will be used up, if that is before the day ends. */
static void tell_day(hl_queue *q) {
  hl_loop *loop = q->hubspot->loop;
  hl_day *day = q->day;
  int64_t out = may_say_day(q) ? hl_day_runs_out(day, hl_loop_mono(loop), hl_loop_now(loop)) : 0;
  if (!out) return;
  hl_identity_want(q); /* which tells when the day ends */
  if (hl_identity_asks(q)) return;
  char at[25], end[25] = "";
  hl_time_iso(out, at);
  if (day->ends) hl_time_iso(day->ends, end);
  say_day(q, "at the rate of the last hour, what is left of the day's %lld calls (%lld, of which %lld are kept for live ones) ends "
          "at %s, before the day does (%s): bulk calls are slowed down", (long long)day->limit, (long long)day->remaining,
          (long long)hl_day_reserved(day), at, day->ends ? end : "midnight in the account's time zone");
}

void hl_queue_budgets(hl_queue *q, hl_api_stats *out) {
  hl_loop *loop = q->hubspot->loop;
  hl_day *day = q->day;
  const hl_window *w = &q->bucket->window;
  int64_t wall = hl_loop_now(loop);
  out->day_runs_out = hl_day_runs_out(day, hl_loop_mono(loop), wall);
  out->day_limit = day->limit;
  out->day_remaining = day->remaining;
  out->day_reserved = hl_day_reserved(day);
  out->day_ends = day->ends;
  out->limit = w->limit;
  out->used = (int64_t)w->held;
  out->others = w->foreign;
}

/* ---- leaving ---- */

static void woken(hl_timer *timer, void *arg) {
  (void)timer;
  hl_queue_kick(arg);
}

static void token_came(void *arg, const hl_error *err) {
  hl_queue *q = arg;
  if (err) {
    hl_fault f;
    hl_fault_plain(&f, hl_err_name(err->code), NULL, err->code != HL_EAUTH, "%s", err->text);
    hl_queue_refuse(q, HL_CLASS_LIVE, &f.e);
    hl_fault_deinit(&f);
  }
  hl_queue_kick(q);
}

/* The token first: a call that waits for one holds no slot and nothing of the day. */
static bool has_token(hl_queue *q) {
  hl_token token;
  if (!hl_queue_ready(q) || hl_credential_token(q->credential, &token)) return true;
  hl_credential_wait_start(q->credential, &q->token_wait, token_came, q);
  return false;
}

/* Where answers take long, more must be out at once to use the whole window. */
static size_t in_flight_max(const hl_queue *q, int k) {
  const hl_window *w = &q->bucket->window;
  double needed = 2 * w->latency * w->limit / (double)w->interval;
  size_t max = HL_IN_FLIGHT_MAX;
  if (needed > HL_IN_FLIGHT_MAX) max = needed > IN_FLIGHT_TOP ? IN_FLIGHT_TOP : (size_t)needed;
  return k == HL_CLASS_LIVE ? max : max - LIVE_IN_FLIGHT;
}

/* Strict order can keep a class waiting for as long as there is work above it.
 * That is meant; it is not meant to go unnoticed. */
static void tell_starved(hl_queue *q, hl_stream *s, int64_t now) {
  for (int k = HL_CLASS_NORMAL; k < HL_CLASSES; k++) {
    if (!has_work(s, k)) s->waits_since[k] = 0;
    else if (!s->waits_since[k]) s->waits_since[k] = now > 0 ? now : 1;
    else if (now - s->waits_since[k] >= STARVED_MS && (!s->told_at || now - s->told_at >= STARVED_TELL_MS)) {
      bool above = has_work(s, HL_CLASS_LIVE) || (k == HL_CLASS_BULK && has_work(s, HL_CLASS_NORMAL));
      if (!above && now - s->above_at >= STARVED_MS) continue; /* the limit alone, or HubSpot, holds it */
      s->told_at = now;
      hl_log_write(hl_loop_log(q->hubspot->loop), HL_LOG_WARN, "hubspot",
                   "no %s call has left for %lld s, because calls of a higher class use the whole limit; %zu calls wait",
                   class_names[k], (long long)((now - s->waits_since[k]) / 1000), s->ready);
    }
  }
}

/* Sends what may leave of the classes before `end`; the time of the next that may. */
static int64_t serve(hl_queue *q, hl_stream *s, hl_api_class end) {
  hl_loop *loop = q->hubspot->loop;
  hl_day *day = q->day;
  while (s->ready) {
    int64_t now = hl_loop_mono(loop);
    hl_api_op *first;
    if (hl_outage_holds(q, s, &first)) break; /* its tick kicks */
    int k = first ? (int)first->klass : 0;
    while (k < (int)end && !has_work(s, k)) k++;
    if (k >= (int)end) break;
    if (q->in_flight >= in_flight_max(q, k)) break; /* an answer kicks */
    int64_t at = hl_window_free_at(s->window, now, (hl_rank)k);
    if (at == now) at = hl_day_free_at(day, now, hl_loop_now(loop), (hl_rank)k);
    /* The answer waited for may be that of another queue of this portal. */
    if (at > now) return at == INT64_MAX ? now + PROBE_POLL_MS : at;
    hl_day_take(day, now, (hl_rank)k);
    s->waits_since[k] = 0;
    if (k < HL_CLASS_BULK) s->above_at = now;
    if (first) hl_call_send(hl_batch_gather(q, first));
    else leave(q, s, k);
    if (closed(q, (hl_rank)k)) {
      hl_queue_kick(q);
      break;
    }
  }
  return INT64_MAX;
}

void hl_queue_turn(hl_defer *defer, void *arg) {
  (void)defer;
  hl_queue *q = arg;
  hl_loop *loop = q->hubspot->loop;
  int64_t wake = INT64_MAX;
  hl_api_class end = close_day(q);
  if (end == HL_CLASS_LIVE) {
    hl_timer_stop(loop, &q->timer);
    return;
  }
  if (!has_token(q)) return;
  if (hl_queue_ready(q)) hl_identity_want(q);
  for (size_t i = 0; i < HL_STREAMS; i++) {
    int64_t at = serve(q, &q->streams[i], end);
    if (at < wake) wake = at;
    tell_starved(q, &q->streams[i], hl_loop_mono(loop));
  }
  tell_day(q);
  if (wake == INT64_MAX) hl_timer_stop(loop, &q->timer);
  else hl_timer_start(loop, &q->timer, wake - hl_loop_mono(loop), woken, q);
}
