/* A HubSpot for the tests of the API queue: a transport in virtual time whose
 * limiter counts arrivals exactly as HubSpot does, with random latency, and whose
 * answers a test's own function gives. */
#ifndef HL_TESTS_HUBSPOT_MODEL_H
#define HL_TESTS_HUBSPOT_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "hubspot/api.h"

typedef struct model model;
typedef struct model_request { /* what an answering function sees, and fills in */
  const char *method, *path, *query, *auth;
  const cJSON *body;
  hl_str raw;          /* the body's bytes */
  int status;
  hl_buf answer;
  bool lost;           /* the connection ends without an answer */
  bool unsent;         /* ... before anything was sent */
  hl_headers headers;
} model_request;

struct hl_http_op {
  model *m;
  hl_http_cb cb;
  void *arg;
  char *method, *url, *auth;
  char *body;
  size_t body_n;
  hl_timer timer;
  int64_t down;
  model_request r;
  hl_http_op *next;
};

struct model {
  hl_transport t;
  hl_log *log;
  hl_loop *loop;
  hl_hubspot *hubspot;
  hl_account *account;
  hl_rng rng;
  void (*answer)(model *m, model_request *r);
  void (*sent)(model *m, const char *query); /* at the moment of sending */
  unsigned limit, search_limit;   /* 0: not limited */
  int64_t latency;                /* most, each way */
  int64_t way;                    /* of it, at least so much each way; told as the time of connecting */
  bool headers;                   /* of the window */
  int64_t *arrivals, *searches;
  size_t n_arrivals, n_searches;
  size_t requests, refused, out, most_out;
  int64_t daily, daily_remaining; /* headers when daily > 0 */
  hl_http_op *ops;
  char lines[1 << 16];            /* "METHOD path?query body\n" of each arrival */
  size_t lines_n;
  /* what came back */
  size_t done, failed;
};

static inline size_t in_window(const int64_t *at, size_t n, int64_t now, int64_t interval) {
  size_t in = 0;
  while (in < n && at[n - 1 - in] > now - interval) in++;
  return in;
}

static inline void model_foreign(model *m) {
  m->arrivals = hl_realloc(m->arrivals, (m->n_arrivals + 1) * sizeof *m->arrivals);
  m->arrivals[m->n_arrivals++] = hl_loop_mono(m->loop);
}

/* A call of somebody else with the same token; false when it is refused. */
static inline bool model_others(model *m) {
  if (in_window(m->arrivals, m->n_arrivals, hl_loop_mono(m->loop), 10000) >= m->limit) return false;
  model_foreign(m);
  return true;
}

static inline void model_head(model_request *r, const char *name, int64_t v) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)v);
  hl_headers_add(&r->headers, hl_str_of(name), hl_str_of(text));
}

static inline void model_op_free(hl_http_op *op) {
  hl_http_op **at = &op->m->ops;
  while (*at != op) at = &(*at)->next;
  *at = op->next;
  hl_timer_stop(op->m->loop, &op->timer);
  hl_headers_deinit(&op->r.headers);
  hl_buf_deinit(&op->r.answer);
  hl_free(op->method);
  hl_free(op->url);
  hl_free(op->auth);
  hl_free(op->body);
  hl_free(op);
}

static inline int64_t model_way(model *m) {
  return m->way + (int64_t)hl_rng_below(&m->rng, (uint64_t)(m->latency - m->way) + 1);
}

static inline void model_deliver(hl_timer *timer, void *arg) {
  (void)timer;
  hl_http_op *op = arg;
  op->m->out--;
  hl_http_response res = {.status = op->r.status, .headers = op->r.headers, .body = hl_buf_str(&op->r.answer)};
  if (op->m->way) res.connect_ms = model_way(op->m) + model_way(op->m);
  if (op->r.lost || op->r.unsent) {
    res = (hl_http_response){.sent = op->r.lost};
    hl_fail(&res.err, HL_ENET, "connection reset by peer");
  }
  op->cb(op->arg, &res);
  model_op_free(op);
}

static inline bool model_limit(model *m, model_request *r) {
  int64_t now = hl_loop_mono(m->loop);
  size_t n = strlen(r->path);
  bool search = n > 7 && strcmp(r->path + n - 7, "/search") == 0;
  int64_t **at = search ? &m->searches : &m->arrivals;
  size_t *count = search ? &m->n_searches : &m->n_arrivals;
  unsigned limit = search ? m->search_limit : m->limit;
  size_t in = in_window(*at, *count, now, search ? 1000 : 10000);
  bool over = limit && in >= limit;
  if (!over) {
    *at = hl_realloc(*at, (*count + 1) * sizeof **at);
    (*at)[(*count)++] = now;
    in++;
  }
  if (m->headers && !search) {
    model_head(r, "x-hubspot-ratelimit-max", limit);
    model_head(r, "X-HubSpot-RateLimit-Remaining", (int64_t)limit - (int64_t)in);
    model_head(r, "X-HubSpot-RateLimit-Interval-Milliseconds", 10000);
  }
  if (m->daily) {
    model_head(r, "X-HubSpot-RateLimit-Daily", m->daily);
    model_head(r, "X-HubSpot-RateLimit-Daily-Remaining", m->daily_remaining);
  }
  if (!over) return true;
  m->refused++;
  r->status = 429;
  hl_buf_printf(&r->answer, "{\"status\":\"error\",\"message\":\"You have reached your %s limit.\","
                "\"errorType\":\"RATE_LIMIT\",\"correlationId\":\"c\",\"policyName\":\"%s\"}",
                search ? "secondly" : "ten_secondly_rolling", search ? "SECONDLY" : "TEN_SECONDLY_ROLLING");
  return false;
}

static inline void model_arrive(hl_timer *timer, void *arg) {
  (void)timer;
  hl_http_op *op = arg;
  model *m = op->m;
  m->requests++;
  char *path = hl_strdup(strstr(op->url, "://") + 3);
  char *from = strchr(path, '/');
  char *query = strchr(from, '?');
  if (query) *query++ = 0;
  cJSON *body = NULL;
  if (op->body_n) hl_json_parse((hl_str){op->body, op->body_n}, &body, NULL);
  op->r = (model_request){.method = op->method, .path = from, .query = query ? query : "", .auth = op->auth,
                          .body = body, .raw = {op->body, op->body_n}, .status = 200};
  hl_buf_init(&op->r.answer, 1 << 22);
  int n = snprintf(m->lines + m->lines_n, sizeof m->lines - m->lines_n, "%s %s%s%s %.*s\n", op->method, from,
                   query ? "?" : "", query ? query : "", (int)op->body_n, op->body ? op->body : "");
  if (n > 0 && (size_t)n < sizeof m->lines - m->lines_n) m->lines_n += (size_t)n;
  if (model_limit(m, &op->r)) {
    if (m->answer) m->answer(m, &op->r);
    else hl_buf_puts(&op->r.answer, "{}");
  }
  cJSON_Delete(body);
  hl_free(path);
  op->r.path = op->r.query = NULL;
  op->r.body = NULL;
  hl_timer_start(m->loop, &op->timer, op->down, model_deliver, op);
}

static inline int model_send(hl_transport *t, const hl_http_request *q, hl_http_cb cb, void *arg, hl_http_op **out,
                             hl_error *err) {
  (void)err;
  model *m = HL_CONTAINER(t, model, t);
  hl_http_op *op = HL_NEW(hl_http_op);
  op->m = m;
  op->cb = cb;
  op->arg = arg;
  op->method = hl_strdup(q->method);
  op->url = hl_strdup(q->url);
  op->auth = hl_strdup(hl_headers_get(q->headers, "Authorization"));
  op->body = q->body.n ? hl_strndup(q->body.p, q->body.n) : NULL;
  op->body_n = q->body.n;
  op->down = model_way(m);
  op->next = m->ops;
  m->ops = op;
  if (m->sent) m->sent(m, strchr(q->url, '?') ? strchr(q->url, '?') + 1 : "");
  if (++m->out > m->most_out) m->most_out = m->out;
  hl_timer_start(m->loop, &op->timer, model_way(m), model_arrive, op);
  *out = op;
  return 0;
}

static inline void model_cancel(hl_transport *t, hl_http_op *op) {
  HL_CONTAINER(t, model, t)->out--;
  model_op_free(op);
}

static inline void model_quiet(void *arg, const char *line, size_t n) { (void)arg; (void)line; (void)n; }

/* A token in the right shape, made when it is needed. */
static inline void model_token(char out[64]) {
  snprintf(out, 64, "%s-%s-%s", "pat", "na1", "0a1b2c3d-test");
}

static inline model *model_new(const char *tier, uint64_t seed) {
  model *m = HL_NEW(model);
  hl_error err = {0};
  char token[64];
  model_token(token);
  m->t = (hl_transport){.send = model_send, .cancel = model_cancel};
  m->latency = 50;
  hl_rng_init(&m->rng, seed);
  m->log = hl_log_new(HL_LOG_DEBUG, false);
  hl_log_set_sink(m->log, model_quiet, NULL);
  hl_loop_options o = {.is_virtual = true, .seed = seed};
  assert_int_equal(hl_loop_new(&o, m->log, &m->loop, &err), 0);
  m->hubspot = hl_hubspot_new(m->loop, &m->t);
  hl_account_options ao = {.name = "main", .token = token, .tier = tier, .portal = 62515};
  if (hl_hubspot_add_account(m->hubspot, &ao, &m->account, &err)) fail_msg("%s", err.text);
  return m;
}

static inline void model_free(model *m) {
  if (m->hubspot) hl_hubspot_free(m->hubspot);
  assert_null(m->ops);
  hl_loop_free(m->loop);
  hl_log_free(m->log);
  hl_free(m->arrivals);
  hl_free(m->searches);
  hl_free(m);
}

/* One call and what came of it. */
typedef struct asked {
  model *m;
  bool done;
  int status;
  char *json, *kind, *message, *category;
  bool retryable;
  int64_t at;
  size_t order;
} asked;

static inline void asked_done(void *arg, const hl_api_result *r) {
  asked *a = arg;
  assert_false(a->done);
  a->done = true;
  a->status = r->status;
  a->at = hl_loop_mono(a->m->loop);
  a->order = a->m->done++;
  if (r->json) a->json = hl_json_print(r->json);
  if (!r->error) return;
  a->m->failed++;
  a->kind = hl_strdup(r->error->kind);
  a->message = hl_strdup(r->error->message);
  a->category = hl_strdup(r->error->category);
  a->retryable = r->error->retryable;
}

static inline void asked_free(asked *a) {
  hl_free(a->json);
  hl_free(a->kind);
  hl_free(a->message);
  hl_free(a->category);
  *a = (asked){0};
}

static inline hl_api_op *ask(model *m, asked *a, const hl_api_call *call) {
  hl_error err = {0};
  hl_api_op *op = NULL;
  *a = (asked){.m = m};
  if (hl_api_send(m->account, call, asked_done, a, &op, &err)) fail_msg("%s", err.text);
  assert_false(a->done); /* never from inside */
  return op;
}

static inline hl_api_op *ask_get(model *m, asked *a, const char *id, const char *const *properties) {
  return ask(m, a, &(hl_api_call){.kind = HL_API_GET, .script = "a.lua", .type = "contacts", .id = id,
                                  .properties = properties});
}

static inline hl_api_op *ask_update(model *m, asked *a, const char *id, const char *body) {
  return ask(m, a, &(hl_api_call){.kind = HL_API_UPDATE, .script = "a.lua", .type = "contacts", .id = id,
                                  .body = hl_str_of(body)});
}

static inline hl_api_op *ask_raw(model *m, asked *a, const char *method, const char *path, const char *body) {
  return ask(m, a, &(hl_api_call){.kind = HL_API_RAW, .script = "a.lua", .method = method, .path = path,
                                  .body = hl_str_of(body)});
}

/* The first call of all goes ahead alone: it has been. */
static inline void model_greet(model *m) {
  asked a;
  ask_raw(m, &a, "GET", "/x", "");
  hl_loop_run(m->loop);
  asked_free(&a);
  m->requests = m->lines_n = m->done = m->most_out = 0;
}

static inline void has(const char *text, const char *part) {
  if (!text || !strstr(text, part)) fail_msg("\"%s\" does not hold \"%s\"", text ? text : "(null)", part);
}

#endif
