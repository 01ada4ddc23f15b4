#include "hubspot/identity.h"

#include "base/mem.h"
#include "hubspot/seal.h"

typedef struct waiter { struct waiter *next; hl_identity_cb cb; void *arg; } waiter;
typedef enum { DETAILS, INTROSPECTION, OLD_INTROSPECTION, KNOWN } step;

struct hl_whose {
  hl_queue *queue;
  hl_account *account;  /* that asks */
  step step;
  hl_identity id;
  char *time_zone;
  bool told;            /* either answer told something */
  bool failed;
  hl_fault fault;       /* the first error, when nothing was told */
  waiter *waiters;
  hl_defer answer;
};

static void ask(hl_whose *w);

/* ---- what follows from it ---- */

static hl_queue *sharer(const hl_queue *q, bool app, bool portal) {
  for (hl_queue *o = q->hubspot->queues; o; o = o->next) {
    if (o == q || !o->whose || o->whose->step != KNOWN || strcmp(o->base_url, q->base_url) != 0) continue;
    const hl_identity *a = &q->whose->id, *b = &o->whose->id;
    if (app && (!a->app_id || a->app_id != b->app_id)) continue;
    if (portal && (!a->portal || a->portal != b->portal)) continue;
    return o;
  }
  return NULL;
}

static void share_window(hl_stream *s, hl_window *with, int64_t now) {
  hl_window_absorb(with, s->window, now);
  s->window = with;
}

static void use_zone(hl_whose *w) {
  hl_loop *loop = w->queue->hubspot->loop;
  hl_tz *zone;
  hl_error err;
  if (!w->time_zone || w->queue->day->zone) return;
  if (hl_tz_load(w->time_zone, &zone, &err) == 0) hl_day_zone(w->queue->day, zone, hl_loop_now(loop));
  else
    hl_log_write(hl_loop_log(loop), HL_LOG_WARN, "hubspot", "account %s: the end of its day is not known: %s", w->account->name,
                 err.text);
}

static void apply(hl_whose *w) {
  hl_queue *q = w->queue, *o;
  int64_t now = hl_loop_mono(q->hubspot->loop);
  if (w->account->portal && w->id.portal && w->account->portal != w->id.portal)
    hl_log_write(hl_loop_log(q->hubspot->loop), HL_LOG_ERROR, "hubspot",
                 "account %s: the settings say portal %lld, but its token is of portal %lld: correct one of the two",
                 w->account->name, (long long)w->account->portal, (long long)w->id.portal);
  if ((o = sharer(q, false, true)) && o->portal != q->portal) {
    int64_t remaining = q->day->remaining;
    hl_queue_use_portal(q, o->portal);
    if (remaining >= 0 && (q->day->remaining < 0 || remaining < q->day->remaining)) q->day->remaining = remaining;
    share_window(&q->streams[HL_STREAM_SEARCH], &o->portal->search, now);
  }
  if ((o = sharer(q, true, true)) && o->bucket != q->bucket) {
    q->bucket = o->bucket;
    share_window(&q->streams[HL_STREAM_MAIN], &o->bucket->window, now);
  }
  if ((o = sharer(q, true, false)) && o->app != q->app) {
    q->app = o->app;
    for (int i = 0; i < HL_JOURNALS; i++) share_window(&q->streams[HL_STREAM_JOURNAL + i], &o->app->journal[i], now);
  }
  use_zone(w);
  hl_queue_kick(q);
}

/* ---- asking ---- */

/* A callback that asks again after an error ends `w`: what it needs is taken out first. */
static void answer(hl_defer *defer, void *arg) {
  (void)defer;
  hl_whose *w = arg;
  waiter *first = w->waiters;
  hl_fault fault = w->fault;
  const hl_identity *id = w->told ? &w->id : NULL;
  w->waiters = NULL;
  w->fault = (hl_fault){0};
  while (first) {
    waiter *next = first->next;
    first->cb(first->arg, id, id ? NULL : &fault.e);
    hl_free(first);
    first = next;
  }
  hl_fault_deinit(&fault);
}

static void free_scopes(hl_whose *w) {
  for (char **s = w->id.scopes; s && *s; s++) hl_free(*s);
  hl_free(w->id.scopes);
  w->id.scopes = NULL;
}

/* Scopes are shown to people and joined by blanks. */
static bool is_word(const char *s) {
  const char *p = s;
  while (*p > ' ' && *p < 0x7f) p++;
  return p > s && !*p;
}

static void take_scopes(hl_whose *w, const cJSON *list) {
  if (!cJSON_IsArray(list) || w->id.scopes) return;
  const cJSON *item;
  size_t n = 0;
  w->id.scopes = hl_alloc(((size_t)cJSON_GetArraySize(list) + 1) * sizeof *w->id.scopes);
  cJSON_ArrayForEach(item, list) if (cJSON_IsString(item) && is_word(item->valuestring)) w->id.scopes[n++] = hl_strdup(item->valuestring);
  w->id.scopes[n] = NULL;
}

static void take_number(int64_t *to, const cJSON *json, const char *key) {
  int64_t v = hl_json_int(json, key, 0);
  if (v > 0) *to = v;
}

/* True when it told whose token it is. */
static bool take_introspection(hl_whose *w, const cJSON *json) {
  if (w->step == OLD_INTROSPECTION) {
    take_number(&w->id.app_id, json, "appId");
    take_number(&w->id.portal, json, "hubId");
    take_number(&w->id.user_id, json, "userId");
  } else {
    if (!cJSON_IsTrue(hl_json_get(json, "active"))) return false;
    int64_t in = hl_json_int(json, "expires_in", 0);
    take_number(&w->id.app_id, json, "app_id");
    take_number(&w->id.portal, json, "hub_id");
    take_number(&w->id.user_id, json, "user_id");
    if (in > 0) w->id.expires_at = hl_loop_now(w->queue->hubspot->loop) + in * HL_SECOND;
  }
  take_scopes(w, hl_json_get(json, "scopes"));
  return w->id.app_id > 0;
}

static void done(hl_whose *w) {
  w->step = KNOWN;
  if (w->told) {
    hl_fault_deinit(&w->fault);
    w->failed = false;
  } else if (!w->failed) {
    hl_fault_plain(&w->fault, hl_err_name(HL_EPROTOCOL), NULL, false,
                   "account \"%s\": HubSpot answered, but not whose token it is: is base_url HubSpot's?", w->account->name);
    w->failed = true;
  }
  if (w->queue->hubspot->closing) {
    answer(NULL, w);
    return;
  }
  apply(w);
  hl_defer_start(w->queue->hubspot->loop, &w->answer, answer, w);
}

static void came(void *arg, const hl_api_result *r) {
  hl_whose *w = arg;
  if (r->error) {
    if (!w->failed) hl_fault_copy(&w->fault, r->error);
    w->failed = true;
    /* A refused token is refused again, and a queue that ends takes no more calls. */
    if (r->error->status == 401 || w->queue->hubspot->closing) {
      done(w);
      return;
    }
  } else if (w->step == DETAILS) {
    const char *zone = hl_json_str(r->json, "timeZone", "");
    take_number(&w->id.portal, r->json, "portalId");
    if (*zone && strlen(zone) < 64) w->id.time_zone = w->time_zone = hl_strdup(zone);
    w->told = w->id.portal > 0;
  } else if (take_introspection(w, r->json)) {
    w->told = true;
    done(w);
    return;
  }
  w->step++;
  if (w->step == OLD_INTROSPECTION && hl_credential_app(w->queue->credential)) w->step = KNOWN; /* it is of private apps */
  ask(w);
}

static void ask(hl_whose *w) {
  hl_api_call call = {.kind = HL_API_RAW, .klass = HL_CLASS_LIVE, .script = "hubloop", .no_batch = true, .method = "POST"};
  hl_token token;
  const hl_oauth_app *app;
  hl_error err;
  hl_buf body;
  hl_buf_init(&body, 32 * 1024);
  hl_credential_token(w->queue->credential, &token); /* there is one: the details were answered */
  switch (w->step) {
  case DETAILS:
    call.method = "GET";
    call.path = "/account-info/{version}/details";
    break;
  case INTROSPECTION:
    call.path = "/oauth/{version}/token/introspect";
    call.content_type = "application/x-www-form-urlencoded";
    hl_buf_puts(&body, "token=");
    hl_buf_urlencode(&body, token.text);
    app = hl_credential_app(w->queue->credential);
    if (!app) break;
    hl_buf_puts(&body, "&client_id="); /* an app's tokens are told about to that app */
    hl_buf_urlencode(&body, hl_str_of(app->client_id));
    hl_buf_puts(&body, "&client_secret=");
    hl_buf_urlencode(&body, hl_str_of(app->client_secret));
    break;
  case OLD_INTROSPECTION: /* what private apps have had before */
    call.path = "/oauth/v2/private-apps/get/access-token-info";
    hl_buf_puts(&body, "{\"tokenKey\":\"");
    hl_buf_append(&body, token.text.p, token.text.n);
    hl_buf_puts(&body, "\"}");
    break;
  case KNOWN:
    done(w);
    hl_buf_wipe(&body);
    return;
  }
  call.body = hl_buf_str(&body);
  int rc = hl_api_send(w->account, &call, came, w, NULL, &err);
  hl_buf_wipe(&body);
  if (rc) {
    if (!w->failed) hl_fault_plain(&w->fault, hl_err_name(err.code), NULL, false, "%s", err.text);
    w->failed = true;
    done(w);
  }
}

static hl_whose *begin(hl_account *a) {
  hl_queue *q = a->queue;
  hl_whose *w = HL_NEW(hl_whose);
  w->queue = q;
  w->account = a;
  w->id.kind = hl_credential_kind_name(hl_credential_kind_get(q->credential));
  if (hl_credential_kind_get(q->credential) == HL_CREDENTIAL_CLIENT) w->step = INTROSPECTION; /* an app's own token is of no account */
  q->whose = w;
  ask(w);
  return w;
}

int hl_account_identify(hl_account *a, hl_identity_cb cb, void *arg, hl_error *err) {
  hl_queue *q = a->queue;
  if (q->hubspot->closing) return hl_fail(err, HL_ECANCELLED, "no calls are taken: hubloop is stopping");
  if (q->whose && q->whose->step == KNOWN && !q->whose->told && !q->whose->waiters) hl_identity_free(q); /* asked again */
  hl_whose *w = q->whose ? q->whose : begin(a);
  waiter *mine = HL_NEW(waiter), **at = &w->waiters;
  *mine = (waiter){.cb = cb, .arg = arg};
  while (*at) at = &(*at)->next;
  *at = mine;
  if (w->step == KNOWN) hl_defer_start(q->hubspot->loop, &w->answer, answer, w);
  return 0;
}

void hl_account_forget_identity(hl_account *a) {
  hl_whose *w = a->queue->whose;
  if (w && w->step == KNOWN && !w->waiters) hl_identity_free(a->queue);
}

static bool may_share(const hl_queue *q) {
  for (const hl_queue *o = q->hubspot->queues; o; o = o->next)
    if (o != q && strcmp(o->base_url, q->base_url) == 0 && (!o->portal->id || !q->portal->id || o->portal->id == q->portal->id)) return true;
  return false;
}

void hl_identity_want(hl_queue *q) {
  hl_loop *loop = q->hubspot->loop;
  if (q->whose || q->hubspot->closing) return;
  bool end = !q->day->zone && hl_day_runs_out(q->day, hl_loop_mono(loop), hl_loop_now(loop));
  if (!end && !may_share(q)) return;
  hl_account *a = q->hubspot->accounts;
  while (a && a->queue != q) a = a->next;
  if (a) begin(a);
}

bool hl_identity_asks(const hl_queue *q) { return q->whose && q->whose->step != KNOWN; }

void hl_identity_free(hl_queue *q) {
  hl_whose *w = q->whose;
  if (!w) return;
  q->whose = NULL;
  hl_defer_stop(q->hubspot->loop, &w->answer);
  if (q->hubspot->closing && w->step == KNOWN) answer(NULL, w);
  w->told = false;
  while (w->waiters) {
    waiter *next = w->waiters->next;
    hl_free(w->waiters);
    w->waiters = next;
  }
  free_scopes(w);
  hl_free(w->time_zone);
  hl_fault_deinit(&w->fault);
  hl_free(w);
}
