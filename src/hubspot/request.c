/* One HTTP exchange: sending, what its answer teaches the budgets, whether it is
 * repeated (retry.h), and who gets the result. */
#include <assert.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"
#include "hubspot/retry.h"

enum {
  BODY_MAX = 64 << 20, ANSWER_MAX = 64 << 20, URL_MAX_BYTES = 64 << 10,
  LATE_MS = 5000,        /* without an answer for so long: said aloud, */
  TELL_MS = 30 * 1000,   /* once in this time for an account */
  CLOCK_MS = 60 * 1000,  /* how often the clocks are compared, */
  CLOCK_TELL_MS = 60 * 60 * 1000, /* and said to differ, */
  CLOCK_OFF_MS = 5 * 60 * 1000, /* by as much as signatures allow */
};

hl_call *hl_call_new(hl_queue *q, hl_account *account, hl_stream *stream) {
  hl_call *c = HL_NEW(hl_call);
  c->queue = q;
  c->account = account;
  c->stream = stream;
  c->klass = HL_CLASS_BULK;
  hl_link_init(&c->link);
  hl_link_init(&c->ops);
  hl_buf_init(&c->body, BODY_MAX);
  return c;
}

void hl_call_free(hl_call *c) {
  assert(hl_link_alone(&c->ops) && !c->out);
  hl_timer_stop(c->queue->hubspot->loop, &c->timer);
  hl_link_remove(&c->link);
  hl_free(c->method_own);
  hl_free(c->path);
  hl_free(c->query);
  hl_free(c->content_type);
  hl_buf_deinit(&c->body);
  hl_free(c);
}

void hl_call_fail(hl_call *c, int status, const hl_api_error *error) {
  hl_queue *q = c->queue;
  hl_link_remove(&c->link);
  while (!hl_link_alone(&c->ops))
    hl_queue_finish(q, HL_LINKED(c->ops.next, hl_api_op, link), status, NULL, error);
  hl_call_free(c);
}

static bool wanted(const hl_call *c) {
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next)
    if (HL_LINKED(l, const hl_api_op, link)->cb) return true;
  return false;
}

static int64_t header_int(const hl_headers *h, const char *name) {
  int64_t v;
  const char *text = hl_headers_get(h, name);
  return text && hl_str_int64(hl_str_of(text), &v) == 0 && v >= 0 ? v : -1;
}

static void learn(hl_call *c, const hl_http_response *r) {
  for (size_t i = 0; r->connect_ms > 0 && i < HL_STREAMS; i++) hl_window_way(c->queue->streams[i].window, r->connect_ms);
  int64_t now = hl_loop_mono(c->queue->hubspot->loop);
  if (c->stream == &c->queue->streams[HL_STREAM_MAIN])
    hl_window_learn(c->window, c->slot, now, header_int(&r->headers, "X-HubSpot-RateLimit-Max"),
                    header_int(&r->headers, "X-HubSpot-RateLimit-Remaining"),
                    header_int(&r->headers, "X-HubSpot-RateLimit-Interval-Milliseconds"));
  hl_day_learn(c->queue->day, now, hl_loop_now(c->queue->hubspot->loop),
               header_int(&r->headers, "X-HubSpot-RateLimit-Daily"),
               header_int(&r->headers, "X-HubSpot-RateLimit-Daily-Remaining"));
}

/* The window that a policy names. NULL: one that is not known here. */
static hl_window *named_window(hl_call *c, const char *policy) {
  hl_queue *q = c->queue;
  if (strncmp(policy, "TEN_SECONDLY", 12) == 0) return &q->bucket->window;
  if (strcmp(policy, "SECONDLY") != 0) return c->window; /* none, or an unknown one */
  return c->window->interval <= HL_SECOND ? c->window : NULL;
}

/* What a person is told of an address or a failure: without e-mail addresses. The caller frees it. */
static char *masked(const char *text) {
  hl_buf b;
  hl_buf_init(&b, 64 * 1024);
  hl_mask(&b, hl_str_of(text), (hl_str){NULL, 0});
  return b.p ? hl_buf_detach(&b, NULL) : hl_strdup("");
}

/* Pauses only what the 429 names; the ms that this call waits in any case. */
static int64_t limited(hl_call *c, const hl_http_response *r, const cJSON *body) {
  hl_queue *q = c->queue;
  hl_log *log = hl_loop_log(q->hubspot->loop);
  int64_t now = hl_loop_mono(q->hubspot->loop), wait = 0;
  const char *policy = hl_json_str(body, "policyName", "");
  int64_t after = hl_retry_after_ms(429, hl_headers_get(&r->headers, "Retry-After"));
  c->account->stats.limited++;
  if (strcmp(policy, "DAILY") == 0) {
    hl_window_answered(c->window, c->slot, now);
    hl_day_limited(q->day, now, hl_loop_now(q->hubspot->loop));
  } else {
    hl_window *w = named_window(c, policy);
    if (w == c->window) {
      hl_window_limited(w, c->slot, now, after);
    } else {
      /* Its own window has not run out, so it must not be asked again at once. */
      wait = after ? after : w ? w->interval / 4 : HL_SECOND;
      hl_window_answered(c->window, c->slot, now);
      if (w) hl_window_pause(w, now, wait);
    }
  }
  char *path = masked(c->path);
  hl_log_write(log, HL_LOG_WARN, "hubspot", "account %s: 429 %s for %s: waiting until calls are free again",
               c->account->name, *policy ? policy : "(no policy named)", path);
  hl_free(path);
  return wait;
}

/* Repetition is silent to the script and lasts for minutes: whoever watches must
 * learn that nothing hangs, without a line for each of a thousand calls. */
static bool may_tell(hl_call *c) {
  int64_t now = hl_loop_mono(c->queue->hubspot->loop);
  hl_account *a = c->account;
  if (a->told_at && now - a->told_at < TELL_MS) return false;
  a->told_at = now > 0 ? now : 1;
  return true;
}

static void tell_retry(hl_call *c, const hl_http_response *r) {
  hl_log *log = hl_loop_log(c->queue->hubspot->loop);
  if (r->status == 429 || hl_outage_on(c->queue) || !may_tell(c)) return; /* that has been said */
  if (r->status) {
    hl_log_write(log, HL_LOG_WARN, "hubspot", "%s: HubSpot answers %d; trying again for up to %d minutes",
                 c->account->name, r->status, HL_RETRY_DEADLINE_MS / 60000);
    return;
  }
  char *why = masked(r->err.text);
  hl_log_write(log, HL_LOG_WARN, "hubspot", "%s: HubSpot does not answer (%s); trying again for up to %d minutes",
               c->account->name, why, HL_RETRY_DEADLINE_MS / 60000);
  hl_free(why);
}

/* A wrong clock lets tokens expire unseen, timers fire at the wrong hour and every
 * webhook be refused: HubSpot's Date tells it, to a second or so. */
static void check_clock(hl_call *c, const hl_http_response *r) {
  hl_hubspot *h = c->queue->hubspot;
  int64_t mono = hl_loop_mono(h->loop), now = hl_loop_now(h->loop), there;
  const char *date = r->status ? hl_headers_get(&r->headers, "Date") : NULL;
  if (!date || mono < h->clock_due || hl_time_parse_http(hl_str_of(date), &there)) return;
  int64_t ahead = now - there;
  h->clock_ahead = ahead;
  h->clock_due = mono + CLOCK_MS;
  if (ahead < CLOCK_OFF_MS && ahead > -CLOCK_OFF_MS) return;
  h->clock_due = mono + CLOCK_TELL_MS;
  long long minutes = (ahead < 0 ? -ahead : ahead) / HL_MINUTE;
  hl_log_write(hl_loop_log(h->loop), HL_LOG_WARN, "hubspot", "this machine's clock is %lld minutes %s HubSpot's (%s): webhooks are "
               "refused and timers are off until it is right; set it, as with timedatectl set-ntp true", minutes,
               ahead < 0 ? "behind" : "ahead of", date);
}

static void late(hl_timer *timer, void *arg) {
  (void)timer;
  hl_call *c = arg;
  if (!hl_outage_on(c->queue) && may_tell(c))
    hl_log_write(hl_loop_log(c->queue->hubspot->loop), HL_LOG_WARN, "hubspot",
                 "%s: HubSpot does not answer (nothing for %d seconds); still waiting", c->account->name, LATE_MS / 1000);
}

static void retry_due(hl_timer *timer, void *arg) {
  (void)timer;
  hl_call *c = arg;
  hl_link_remove(&c->link);
  hl_queue_again(c->queue, c);
}

/* False when the deadline does not allow it. */
static bool retry(hl_call *c, int status, int64_t after, int64_t wait) {
  hl_queue *q = c->queue;
  hl_loop *loop = q->hubspot->loop;
  double unit = hl_rng_unit(hl_loop_rng(loop));
  int64_t delay = status == 429 ? wait + (int64_t)((double)wait * unit) : hl_retry_delay(c->attempts - c->limited, status, after, unit);
  if (hl_loop_mono(loop) + delay + (status == 429 ? after : 0) > c->first_sent + HL_RETRY_DEADLINE_MS) return false;
  /* Nor one that could only be made too late. */
  int64_t free_at = hl_outage_free_at(c);
  if (free_at != INT64_MAX && free_at > c->first_sent + HL_RETRY_DEADLINE_MS) return false;
  c->account->stats.retries++;
  if (!delay) { /* the window's pause is its delay, so nobody comes as a herd */
    hl_link_remove(&c->link);
    hl_queue_again(q, c);
  } else {
    c->timer.unref = false;
    hl_timer_start(loop, &c->timer, delay, retry_due, c);
  }
  return true;
}

static void fail(hl_call *c, hl_fault *f) {
  hl_call_fail(c, f->e.status, &f->e);
  hl_fault_deinit(f);
}

/* 4xx that speak of a row, not of the token, the path or the moment. */
static bool blames_a_row(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 && status != 405 &&
         status != 408 && status != 423 && status != 429 && status != 477;
}

static void succeed(hl_call *c, int status, const cJSON *json, const hl_http_response *r,
                    const hl_fault_place *at) {
  if (c->inputs) {
    if (hl_batch_take_apart(c, status, json)) {
      hl_call_free(c);
      return;
    }
    hl_fault f;
    hl_fault_protocol(&f, at, status, r->body, false);
    fail(c, &f);
    return;
  }
  hl_batch_give_all(c, status, json);
  hl_call_free(c);
}

/* Creates that may have been carried out: each on its own. */
static void lose(hl_call *c, int status, const char *why) {
  hl_link_remove(&c->link);
  while (!hl_link_alone(&c->ops))
    hl_lost_create(c->queue, HL_LINKED(c->ops.next, hl_api_op, link), status, why, c->first_sent);
  hl_call_free(c);
}

/* The usual case: one read that travelled alone, whose caller needs no tree. */
static bool reads_itself(const hl_call *c, const hl_http_response *r) {
  if (r->status != 200 || c->inputs || (c->kind != HL_API_GET && c->kind != HL_API_RAW)) return false;
  if (hl_link_alone(&c->ops) || c->ops.next != c->ops.prev) return false;
  const hl_api_op *op = HL_LINKED(c->ops.next, const hl_api_op, link);
  return op->readable && !op->id_property && op->readable(r->body);
}

static void answered(void *arg, const hl_http_response *r) {
  hl_call *c = arg;
  hl_queue *q = c->queue;
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop);
  const char *correlation_id = hl_headers_get(&r->headers, "X-HubSpot-Correlation-Id");
  hl_fault_place at = {.account = c->account->name, .method = c->method, .path = c->path, .log = hl_loop_log(loop),
                       .correlation_id = correlation_id, .attempts = c->attempts, .tried_ms = now - c->first_sent};
  hl_fault f;
  cJSON *json = NULL;
  hl_error bad = {0};
  bool sent = r->status != 0 || r->sent;
  c->out = false;
  c->http = NULL;
  c->answered = now;
  if (r->status == 429) c->limited++;
  snprintf(c->correlation_id, sizeof c->correlation_id, "%s", correlation_id ? correlation_id : "");
  check_clock(c, r);
  hl_timer_stop(loop, &c->timer);
  q->in_flight--;
  c->account->stats.in_flight--;
  hl_queue_kick(q);

  bool itself = reads_itself(c, r);
  if (r->status && r->body.n && !itself) hl_json_parse(r->body, &json, &bad);
  learn(c, r);
  int64_t wait = 0;
  if (r->status == 429) wait = limited(c, r, json);
  else if (!sent) hl_window_drop(c->window, c->slot);
  else hl_window_answered(c->window, c->slot, now);
  hl_outage_answer(c, r->status, &r->err);

  if (r->status == 401 && !c->renewed && hl_credential_refused(q->credential, c->token_no)) {
    c->renewed = true;
    c->account->stats.retries++;
    hl_link_remove(&c->link);
    hl_queue_again(q, c);
    goto out;
  }
  if (r->status >= 200 && r->status < 500 && r->status != 401) hl_credential_worked(q->credential, c->token_no);

  hl_retry decision = hl_retry_decide(r->status, r->err.code, sent, c->safe);
  if (decision == HL_RETRY_AGAIN && r->final) decision = HL_RETRY_NEVER;
  if (decision == HL_RETRY_AGAIN) {
    int64_t after = hl_retry_after_ms(r->status, hl_headers_get(&r->headers, "Retry-After"));
    if (!wanted(c) && (c->kind == HL_API_RAW || hl_kinds[c->kind].read)) decision = HL_RETRY_NEVER;
    else if (retry(c, r->status, after, wait)) {
      tell_retry(c, r);
      goto out;
    }
  }
  bool retryable = decision == HL_RETRY_AGAIN;
  bool carried_out = r->status >= 200 && r->status < 300, answerless = bad.code || (!json && c->kind == HL_API_CREATE);
  if (c->kind == HL_API_CREATE && (decision == HL_RETRY_UNCERTAIN || (carried_out && answerless))) {
    char why[64];
    snprintf(why, sizeof why, "HubSpot answered %d%s", r->status, carried_out ? ", but the answer is no JSON" : "");
    lose(c, r->status, r->status ? why : r->err.text);
    goto out;
  }
  if (decision == HL_RETRY_UNCERTAIN) {
    hl_fault_uncertain(&f, &at, r->status, &r->err);
  } else if (r->status == 0) {
    hl_fault_transport(&f, &at, &r->err, retryable);
  } else if (r->status >= 200 && r->status < 300 && !bad.code &&
             (json || itself || r->status != 200 || strcmp(c->method, "GET") != 0)) {
    if (itself) c->text = r->body;
    succeed(c, r->status, json, r, &at);
    goto out;
  } else if (r->status < 300 && !c->safe) {
    /* It was carried out, but its answer is lost. */
    hl_error lost;
    hl_fail(&lost, HL_EPROTOCOL, "HubSpot answered %d, but the answer is no JSON", r->status);
    hl_fault_uncertain(&f, &at, 0, &lost);
    f.e.status = r->status;
  } else if (r->status < 300 || (bad.code && r->status != 401) || (!json && r->status < 400)) {
    hl_fault_protocol(&f, &at, r->status, r->body, retryable);
  } else {
    if (c->inputs > 1 && blames_a_row(r->status)) {
      hl_batch_halve(c);
      hl_call_free(c);
      goto out;
    }
    hl_buf remedy;
    hl_buf_init(&remedy, 1024);
    if (r->status == 401) hl_credential_remedy(q->credential, c->account->name, q->base_url, &remedy);
    at.remedy = remedy.p;
    hl_fault_hubspot(&f, &at, r->status, json, retryable);
    hl_buf_deinit(&remedy);
  }
  fail(c, &f);
out:
  cJSON_Delete(json);
}

static int headers_of(hl_call *c, hl_headers *h) {
  hl_buf bearer;
  hl_token token;
  /* The queue asked in this turn; one that ran out since then still answers, or is renewed by its 401. */
  hl_credential_token(c->queue->credential, &token);
  c->token_no = token.no;
  hl_buf_init(&bearer, 8192);
  int rc = hl_buf_puts(&bearer, "Bearer ");
  if (!rc) rc = hl_buf_append(&bearer, token.text.p, token.text.n);
  hl_headers_add(h, HL_STR("Authorization"), hl_buf_str(&bearer));
  if (bearer.p) explicit_bzero(bearer.p, bearer.n);
  hl_buf_deinit(&bearer);
  hl_headers_add(h, HL_STR("Accept"), HL_STR("application/json"));
  if (c->body.n)
    hl_headers_add(h, HL_STR("Content-Type"), hl_str_of(c->content_type ? c->content_type : "application/json"));
  return rc;
}

void hl_call_send(hl_call *c) {
  hl_queue *q = c->queue;
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop);
  hl_headers headers = {0};
  hl_error err = {0};
  hl_buf url;
  hl_buf_init(&url, URL_MAX_BYTES);
  int rc = hl_buf_puts(&url, q->base_url);
  if (!rc) rc = hl_buf_puts(&url, c->path);
  if (!rc && c->query && *c->query) rc = hl_buf_puts(&url, "?");
  if (!rc && c->query) rc = hl_buf_puts(&url, c->query);
  if (!rc) rc = headers_of(c, &headers);
  if (rc) {
    if (rc == HL_ENOMEM) hl_fail(&err, rc, "no memory for the URL and the headers");
    else hl_fail(&err, rc, "the URL is longer than %d bytes: ask for less in one call", URL_MAX_BYTES);
    goto out;
  }
  hl_http_request request = {.method = c->method, .url = url.p, .headers = &headers, .body = hl_buf_str(&c->body),
                             .max_body = ANSWER_MAX, .policy = q->policy};
  if (!c->attempts) c->first_sent = now;
  hl_link_before(&q->calls, &c->link);
  rc = q->hubspot->transport->send(q->hubspot->transport, &request, answered, c, &c->http, &err);
  if (rc) goto out;
  hl_outage_sent(c);
  c->attempts++;
  c->sent = c->answered = now;
  if (!c->number) c->number = ++q->hubspot->requests;
  c->window = c->stream->window;
  c->slot = hl_window_take(c->window, now, (hl_rank)c->klass);
  c->out = true;
  c->timer.unref = true; /* the transport keeps the loop alive */
  hl_timer_start(loop, &c->timer, LATE_MS, late, c);
  q->in_flight++;
  c->account->stats.in_flight++;
  c->account->stats.requests++;
out:
  hl_buf_deinit(&url);
  hl_headers_deinit(&headers);
  if (rc) {
    hl_fault f;
    hl_fault_place at = {.account = c->account->name, .method = c->method, .path = c->path, .log = hl_loop_log(loop)};
    hl_fault_transport(&f, &at, &err, false);
    fail(c, &f);
  }
}
