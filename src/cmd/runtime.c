#include "cmd/runtime.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/accounts.h"
#include "cmd/fit.h"
#include "cmd/journals.h"

/* ---- the simulator's webhooks, delivered in process ---- */

typedef struct door {
  hl_transport base;
  hl_runtime *rt;
} door;

struct hl_http_op {        /* of the door only: each transport defines its own */
  hl_http_cb cb;
  void *arg;
  bool cancelled;
};

static void delivered(void *arg, int status, const char *text) {
  hl_http_op *op = arg;
  hl_http_response response = {.status = status, .body = hl_str_of(text)};
  if (!op->cancelled) op->cb(op->arg, &response);
  hl_free(op);
}

static int door_send(hl_transport *t, const hl_http_request *q, hl_http_cb cb, void *arg, hl_http_op **out, hl_error *err) {
  hl_runtime *rt = HL_CONTAINER(t, door, base)->rt;
  (void)err;
  const char *host = strstr(q->url, "://");
  host = host ? host + 3 : q->url;
  const char *target = strchr(host, '/');
  char *name = target ? hl_strndup(host, (size_t)(target - host)) : hl_strdup(host);
  hl_http_op *op = HL_NEW(hl_http_op);
  *op = (hl_http_op){.cb = cb, .arg = arg};
  hl_delivery d = {.method = q->method, .target = target ? target : "/", .host = name, .body = q->body};
  if (q->headers) {
    d.signature_v3 = hl_headers_get(q->headers, "X-HubSpot-Signature-v3");
    d.timestamp = hl_headers_get(q->headers, "X-HubSpot-Request-Timestamp");
    d.signature = hl_headers_get(q->headers, "X-HubSpot-Signature");
    d.signature_version = hl_headers_get(q->headers, "X-HubSpot-Signature-Version");
  }
  hl_webhook_deliver(rt->webhook, &d, delivered, op);
  hl_free(name);
  *out = op;
  return 0;
}

static void door_cancel(hl_transport *t, hl_http_op *op) {
  (void)t;
  op->cancelled = true;
}

static void door_free(hl_transport *t) { hl_free(HL_CONTAINER(t, door, base)); }

static hl_transport *door_new(hl_runtime *rt) {
  door *d = HL_NEW(door);
  d->base = (hl_transport){.send = door_send, .cancel = door_cancel, .free = door_free};
  d->rt = rt;
  return &d->base;
}

/* ---- assembly ---- */

/* With the simulator the token and secret are made here, for this run. */
static int sim_new(hl_runtime *rt, const hl_runtime_options *o, char token[64], hl_error *err) {
  char id[37];
  hl_rng_uuid(hl_loop_rng(rt->loop), id);
  snprintf(token, 64, "pat-%s-%s", "na1", id);
  cJSON *json = NULL;
  if (o->sim_json) {
    int rc = hl_json_parse(hl_str_of(o->sim_json), &json, err);
    if (rc) return rc;
  } else {
    json = cJSON_CreateObject();
  }
  cJSON_AddStringToObject(json, "token", token);
  cJSON_AddStringToObject(json, "client_secret", id);
  cJSON_AddStringToObject(json, "webhook_url", "http://hubloop.localhost/hubspot");
  char *text = hl_json_print(json);
  cJSON_Delete(json);
  rt->deliver = door_new(rt);
  hl_sim_options so = {.json = text, .deliver = rt->deliver};
  int rc = hl_sim_new(rt->loop, &so, &rt->sim, err);
  hl_free(text);
  if (rc) return rc;
  rt->hubspot_transport = hl_sim_transport(rt->sim);
  hl_str secret = hl_str_of(id);
  hl_account_options a = {.name = "main", .token = token, .base_url = "http://127.0.0.1", .tier = "professional",
                          .portal = 0, .client_secrets = &secret, .n_client_secrets = 1};
  rt->hubspot = hl_hubspot_new(rt->loop, rt->hubspot_transport);
  return hl_hubspot_add_account(rt->hubspot, &a, NULL, err);
}

static char *folder_of(const char *path) {
  char full[PATH_MAX];
  if (!realpath(path, full)) return hl_strdup(".");
  char *slash = strrchr(full, '/');
  return slash == full ? hl_strdup("/") : hl_strndup(full, (size_t)(slash - full));
}

/* Beside the store; with a store in memory, in memory, for the script itself. */
static void keep_calls(hl_runtime *rt, const hl_runtime_options *o, const char *store) {
  const hl_project *p = rt->project;
  if (p && p->no_calls) return;
  hl_buf base;
  hl_buf_init(&base, PATH_MAX);
  if (!store || !hl_call_log_base(store, &base)) {
    hl_call_log_options co = {.base = store ? base.p : NULL, .max = p ? p->calls_max : 0, .bodies = p && p->call_bodies, .simulator = o->simulator};
    rt->calls = hl_call_log_new(rt->loop, &co);
    hl_hubspot_set_call_log(rt->hubspot, rt->calls);
  }
  hl_buf_deinit(&base);
}

int hl_runtime_new(const hl_runtime_options *o, hl_runtime **out, hl_error *err) {
  hl_runtime *rt = HL_NEW(hl_runtime);
  char token[64];
  struct stat st;
  int rc;
  rt->serving = o->serving;
  rt->log = hl_log_new(o->log_level, o->log_json);
  if ((rc = hl_loop_new(&(hl_loop_options){.is_virtual = o->is_virtual, .seed = 1}, rt->log, &rt->loop, err))) goto out;

  bool folder = o->path && stat(o->path, &st) == 0 && S_ISDIR(st.st_mode);
  if (folder) {
    if ((rc = hl_project_load(o->path, &rt->project, err))) goto out;
    rt->root = hl_strdup(rt->project->root);
  } else if (o->path) {
    if (access(o->path, R_OK)) {
      rc = hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s; name a script (.lua) or a folder of scripts", o->path, strerror(errno));
      goto out;
    }
    rt->script = hl_strdup(o->path);
    rt->root = folder_of(o->path);
  }

  if ((rc = hl_client_new(rt->loop, &rt->client, err)) || (rc = hl_accounts_open(rt, err))) goto out;
  if (o->simulator) {
    if ((rc = sim_new(rt, o, token, err))) goto out;
  } else {
    rt->hubspot = hl_hubspot_new(rt->loop, rt->client);
    if (o->path && (rc = hl_accounts_add(rt, o->account, err))) goto out;
  }

  hl_engine_options eo = {.page = o->page, .store = o->store ? o->store : rt->project && !o->simulator && !o->offline ? rt->project->store : NULL,
                          .retention_ms = rt->project ? rt->project->retention_ms : 0,
                          .audit_ms = rt->project ? rt->project->audit_ms : 0};
  if ((rc = hl_engine_new(rt->loop, &eo, &rt->engine, err))) goto out;
  keep_calls(rt, o, eo.store);
  if (rt->project) rt->secret_names = hl_project_secrets(rt->project);
  size_t n_own = 0;
  if (rt->project && rt->project->store) rt->own[n_own++] = rt->project->store;
  if (eo.store && (!n_own || strcmp(eo.store, rt->own[0]) != 0)) rt->own[n_own++] = eo.store;
  hl_webhook_options wo = {.public_url = rt->project && !o->simulator ? rt->project->public_url : NULL,
                           .accept_v2 = rt->project && rt->project->accept_v2};
  rt->webhook = hl_webhook_new(rt->engine, rt->hubspot, &wo);
  hl_host_options ho = {.loop = rt->loop, .engine = rt->engine, .hubspot = rt->hubspot,
                        .http = o->is_virtual ? hl_sim_elsewhere(rt->sim) : rt->client,
                        .root = rt->root, .serving = o->serving,
                        .secret = o->is_virtual ? hl_secrets_made_up : hl_secrets_get, .secret_arg = rt->secrets, .own = rt->own,
                        .secret_names = rt->secret_names,
                        .print = o->print, .print_arg = o->print_arg};
  rc = hl_host_new(&ho, &rt->host, err);
out:
  if (rc) hl_runtime_free(rt);
  else *out = rt;
  return rc;
}

void hl_runtime_control(hl_runtime *rt, const char *store) {
  hl_account *account;
  hl_error err;
  const char *name = hl_hubspot_account(rt->hubspot, NULL, &account, NULL) == 0 ? hl_account_name(account) : "";
  rt->actions = hl_actions_new(rt->engine, name);
  if (hl_control_new(rt->loop, rt->actions, store, &rt->control, &err))
    hl_log_write(rt->log, HL_LOG_WARN, "serve", "%s; until then hubloop events and the like cannot reach this process", err.text);
}

typedef struct idling {
  hl_runtime *rt;
  const bool *stop;
} idling;

static bool is_busy(void *arg) {
  const idling *i = arg;
  return !(i->stop && *i->stop) && (hl_host_live_tasks(i->rt->host) > 0 || !hl_engine_idle(i->rt->engine));
}

void hl_runtime_run_idle(hl_runtime *rt, const bool *stop) {
  idling i = {rt, stop};
  hl_loop_run_while(rt->loop, is_busy, &i);
}

static void set_flag(void *arg) { *(bool *)arg = true; }

enum { RENEWAL_MS = 5000 };

typedef struct draining {
  hl_runtime *rt;
  int64_t until;
} draining;

static bool is_renewing(void *arg) {
  const draining *d = arg;
  return hl_hubspot_renewing(d->rt->hubspot) && hl_loop_mono(d->rt->loop) < d->until;
}

static void woken(hl_timer *timer, void *arg) { (void)timer, (void)arg; }

void hl_runtime_drain(hl_runtime *rt, int64_t deadline_ms) {
  bool done = false;
  hl_engine_drain(rt->engine, deadline_ms, set_flag, &done);
  hl_loop_run_until(rt->loop, &done);
  /* A token that HubSpot may have sent already is not dropped on the way to the store. */
  draining d = {rt, hl_loop_mono(rt->loop) + (deadline_ms < RENEWAL_MS ? RENEWAL_MS : deadline_ms)};
  hl_timer wake = {.unref = true};
  hl_timer_start(rt->loop, &wake, d.until - hl_loop_mono(rt->loop), woken, NULL);
  hl_loop_run_while(rt->loop, is_renewing, &d);
  hl_timer_stop(rt->loop, &wake);
}

void hl_runtime_free(hl_runtime *rt) {
  if (!rt) return;
  hl_fit_free(rt->fit);
  hl_host_free(rt->host);
  hl_journals_free(rt->journals);
  hl_webhook_free(rt->webhook);
  hl_engine_free(rt->engine);
  hl_control_free(rt->control);
  hl_actions_free(rt->actions);
  hl_hubspot_free(rt->hubspot);
  hl_call_log_free(rt->calls);
  if (rt->hubspot_transport) rt->hubspot_transport->free(rt->hubspot_transport);
  hl_sim_free(rt->sim);
  if (rt->deliver) rt->deliver->free(rt->deliver);
  if (rt->client) rt->client->free(rt->client);
  hl_free(rt->secret_names);
  hl_project_free(rt->project);
  hl_secrets_free(rt->secrets);
  hl_vault_free(rt->vault);
  hl_loop_free(rt->loop);
  hl_log_free(rt->log);
  hl_free(rt->script);
  hl_free(rt->root);
  hl_free(rt);
}

int hl_runtime_state_path(const char *script, hl_buf *out, hl_error *err) {
  char full[PATH_MAX];
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (!realpath(script, full)) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s", script, strerror(errno));
  if (state && state[0] == '/') hl_buf_printf(out, "%s/hubloop/", state);
  else if (home && home[0]) hl_buf_printf(out, "%s/.local/state/hubloop/", home);
  else return hl_fail(err, HL_EINVAL, "neither XDG_STATE_HOME nor HOME is set; say where to keep the state: --store FILE");
  for (const char *c = full + 1; *c; c++) hl_buf_append(out, *c == '/' ? "%" : c, 1);
  hl_buf_puts(out, ".db");
  return 0;
}

void hl_runtime_status(const hl_runtime *rt, hl_buf *out) {
  hl_engine_stats e;
  hl_webhook_stats w;
  hl_engine_stats_get(rt->engine, &e);
  hl_webhook_stats_get(rt->webhook, &w);
  cJSON *root = cJSON_CreateObject(), *engine = cJSON_AddObjectToObject(root, "engine"),
        *webhook = cJSON_AddObjectToObject(root, "webhook"), *api = cJSON_AddObjectToObject(root, "api");
  const struct { const char *name; uint64_t v; } engine_rows[] = {
      {"acknowledged", e.acknowledged}, {"pending", e.pending},     {"ran", e.ran},
      {"filtered", e.filtered},         {"duplicate", e.duplicate}, {"waiting", e.waiting},
      {"dead", e.dead},                 {"unhandled", e.unhandled}, {"orphaned", e.orphaned},
      {"own", e.own}, {"debounced", e.debounced}, {"removed", e.removed},
      {"running", e.running},           {"retried", e.retried},     {"runs_failed", e.runs_failed},
      {"commits", e.commits},           {"gaps", e.gaps},           {"near_misses", e.near_misses},
  };
  const struct { const char *name; uint64_t v; } webhook_rows[] = {
      {"requests", w.requests},           {"accepted", w.accepted_requests}, {"forged", w.forged},
      {"malformed", w.malformed_bodies},  {"foreign_portal", w.foreign_portal}, {"unavailable", w.unavailable},
  };
  for (size_t i = 0; i < HL_COUNT(engine_rows); i++)
    cJSON_AddItemToObject(engine, engine_rows[i].name, hl_json_int64((int64_t)engine_rows[i].v));
  cJSON_AddBoolToObject(engine, "stalled", e.stalled);
  cJSON *dispatch = cJSON_AddArrayToObject(engine, "dispatch_us"), *start = cJSON_AddArrayToObject(engine, "start_us");
  for (size_t i = 0; i < HL_COUNT(e.dispatch_us); i++) {
    cJSON_AddItemToArray(dispatch, hl_json_int64((int64_t)e.dispatch_us[i]));
    cJSON_AddItemToArray(start, hl_json_int64((int64_t)e.start_us[i]));
  }
  for (size_t i = 0; i < HL_COUNT(webhook_rows); i++)
    cJSON_AddItemToObject(webhook, webhook_rows[i].name, hl_json_int64((int64_t)webhook_rows[i].v));
  hl_journals_status(rt->journals, cJSON_AddObjectToObject(root, "journal"));
  cJSON *halted = cJSON_AddObjectToObject(root, "halted");
  for (hl_script *s = hl_host_scripts(rt->host); s; s = hl_script_next(s)) {
    const char *why = hl_engine_halted(rt->engine, hl_script_name(s));
    if (why) cJSON_AddStringToObject(halted, hl_script_name(s), why);
  }
  hl_account *accounts[64];
  size_t n = hl_hubspot_accounts(rt->hubspot, accounts, HL_COUNT(accounts));
  for (size_t i = 0; i < n && i < HL_COUNT(accounts); i++) {
    hl_api_stats a;
    hl_account_stats(accounts[i], &a);
    const struct { const char *name; int64_t v; } budgets[] = {
        {"limit", a.limit}, {"used", a.used}, {"others", a.others}, {"day_limit", a.day_limit}, {"day_remaining", a.day_remaining},
        {"day_reserved", a.day_reserved}, {"day_ends", a.day_ends}, {"day_runs_out", a.day_runs_out},
    };
    const struct { const char *name; uint64_t v; } rows[] = {
        {"calls", a.calls},   {"requests", a.requests}, {"batched", a.batched}, {"retries", a.retries},
        {"errors", a.errors}, {"limited", a.limited},   {"queued", a.queued},   {"in_flight", a.in_flight},
        {"outages", a.outages}, {"unavailable", a.unavailable}, {"outage", a.outage},
    };
    cJSON *account = cJSON_AddObjectToObject(api, hl_account_name(accounts[i]));
    for (size_t k = 0; k < HL_COUNT(rows); k++) cJSON_AddItemToObject(account, rows[k].name, hl_json_int64((int64_t)rows[k].v));
    cJSON *budget = cJSON_AddObjectToObject(account, "budget");
    for (size_t k = 0; k < HL_COUNT(budgets); k++) cJSON_AddItemToObject(budget, budgets[k].name, hl_json_int64(budgets[k].v));
  }
  hl_json_print_to(root, out);
  cJSON_Delete(root);
}
