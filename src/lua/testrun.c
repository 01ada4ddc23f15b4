#include "lua/testrun.h"

#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hubspot/secrets.h"
#include "loop/clock.h"
#include "lua/coverage.h"
#include "lua/testbed.h"

enum { LOG_MAX = 4 * 1024 * 1024, LOG_SHOWN = 30, PORTAL = 62515 };
#define HOOKS_URL "https://hooks.test/hubspot"
#define TEST_LIMIT_MS (366 * HL_DAY)  /* virtual */

/* ---- the API transport: the simulator, started at the first call ---- */
typedef struct api_call {
  hl_testbed *bed;
  hl_http_cb cb;             /* NULL: cancelled */
  void *arg;
  hl_http_op *inner;         /* NULL: it has been answered */
} api_call;

static bool crashes_at(hl_testbed *bed, const hl_http_request *r) {
  if (!bed->crash_in || (bed->crash_method && strcmp(bed->crash_method, r->method) != 0)) return false;
  if (bed->crash_path && !strstr(r->url, bed->crash_path)) return false;
  return --bed->crash_in == 0;
}

static void api_answered(void *arg, const hl_http_response *r) {
  api_call *c = arg;
  c->inner = NULL;
  if (c->cb) c->cb(c->arg, r);
  hl_free(c);
}

/* HubSpot has done it, and who asked is no more: the queue may hear of it, a script does not. */
static void api_unheard(void *arg, const hl_http_response *r) {
  api_call *c = arg;
  c->inner = NULL;
  hl_testbed_crash(c->bed);
  api_answered(c, r);
}

static int api_send(hl_transport *t, const hl_http_request *r, hl_http_cb cb, void *arg, hl_http_op **op,
                    hl_error *err) {
  hl_testbed *bed = HL_CONTAINER(t, hl_testbed, api);
  int rc = hl_testbed_sim(bed, NULL, err);
  if (rc) return rc;
  hl_transport *sim = hl_sim_transport(bed->sim);
  api_call *c = HL_NEW(api_call);
  *c = (api_call){.bed = bed, .cb = cb, .arg = arg};
  rc = sim->send(sim, r, crashes_at(bed, r) ? api_unheard : api_answered, c, &c->inner, err);
  if (rc) hl_free(c);
  else *op = (hl_http_op *)(void *)c;
  return rc;
}

static void api_cancel(hl_transport *t, hl_http_op *op) {
  api_call *c = (api_call *)(void *)op;
  c->cb = NULL;
  if (!c->inner) return; /* inside its answer, which frees it */
  hl_transport *sim = hl_sim_transport(HL_CONTAINER(t, hl_testbed, api)->sim);
  sim->cancel(sim, c->inner);
  hl_free(c);
}

static void transport_nothing(hl_transport *t) { (void)t; }

/* ---- the webhook door as a transport ---- */
typedef struct knock { hl_http_cb cb; void *arg; } knock;

static void knocked(void *arg, int status, const char *text) {
  knock *k = arg;
  hl_http_response r = {.status = status, .body = hl_str_of(text), .sent = true};
  if (k->cb) k->cb(k->arg, &r);
  hl_free(k);
}

static int door_send(hl_transport *t, const hl_http_request *r, hl_http_cb cb, void *arg, hl_http_op **op,
                     hl_error *err) {
  hl_testbed *bed = HL_CONTAINER(t, hl_testbed, door);
  if (bed->down) return hl_fail(err, HL_ENET, "nobody listens");
  const char *host = strstr(r->url, "://");
  if (!host) return hl_fail(err, HL_EINVAL, "not an absolute URL: %s", r->url);
  host += 3;
  const char *path = strchr(host, '/');
  char name[256];
  snprintf(name, sizeof name, "%.*s", path ? (int)(path - host) : (int)strlen(host), host);
  static const hl_headers none;
  const hl_headers *h = r->headers ? r->headers : &none;
  hl_delivery d = {.method = r->method, .target = path ? path : "/", .host = name,
                   .signature_v3 = hl_headers_get(h, "X-HubSpot-Signature-v3"),
                   .timestamp = hl_headers_get(h, "X-HubSpot-Request-Timestamp"),
                   .signature = hl_headers_get(h, "X-HubSpot-Signature"),
                   .signature_version = hl_headers_get(h, "X-HubSpot-Signature-Version"),
                   .body = r->body};
  knock *k = HL_NEW(knock);
  k->cb = cb;
  k->arg = arg;
  *op = (hl_http_op *)(void *)k;
  hl_webhook_deliver(bed->webhook, &d, knocked, k);
  return 0;
}

static void door_cancel(hl_transport *t, hl_http_op *op) {
  (void)t;
  ((knock *)(void *)op)->cb = NULL;
}

/* ---- the bed ---- */
int hl_testbed_sim(hl_testbed *bed, const char *json, hl_error *err) {
  if (bed->sim) return json ? hl_fail(err, HL_EINVAL, "the simulator runs already: sim.start comes first") : 0;
  cJSON *o = NULL;
  int rc = hl_json_parse(json ? hl_str_of(json) : HL_STR("{}"), &o, err);
  if (rc) return rc;
  /* What ties it to this runtime is ours to say. */
  static const char *const ours[] = {"token", "client_secret", "webhook_url", "portal"};
  for (size_t i = 0; i < HL_COUNT(ours); i++) cJSON_DeleteItemFromObjectCaseSensitive(o, ours[i]);
  cJSON_AddStringToObject(o, "token", bed->token);
  cJSON_AddStringToObject(o, "client_secret", bed->secret);
  cJSON_AddStringToObject(o, "webhook_url", HOOKS_URL);
  cJSON_AddNumberToObject(o, "portal", PORTAL);
  /* Only what handlers listen to is delivered (subscribe()). */
  if (!hl_json_get(o, "subscriptions")) cJSON_AddItemToObject(o, "subscriptions", cJSON_CreateArray());
  if (!hl_json_get(o, "seed")) cJSON_AddNumberToObject(o, "seed", (double)bed->seed);
  char *text = hl_json_print(o);
  hl_sim_options so = {.json = text, .deliver = &bed->door, .dir = bed->dir};
  rc = hl_sim_new(bed->loop, &so, &bed->sim, err);
  hl_free(text);
  cJSON_Delete(o);
  return rc;
}

static int subscribe(hl_testbed *bed, hl_error *err) {
  const char *const *types = hl_host_event_types(bed->host);
  size_t n = 0;
  while (types[n]) n++;
  if (n == bed->subscribed) return 0;
  int rc = hl_testbed_sim(bed, NULL, err);
  if (rc) return rc;
  cJSON *args = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(args, "types");
  for (size_t i = bed->subscribed; i < n; i++) cJSON_AddItemToArray(list, cJSON_CreateString(types[i]));
  char *json = hl_json_print(args), *out = NULL;
  cJSON_Delete(args);
  rc = hl_sim_control(bed->sim, "subscribe", hl_str_of(json), &out, err);
  hl_free(json);
  hl_free(out);
  if (!rc) bed->subscribed = n;
  return rc;
}

int hl_testbed_ready(hl_testbed *bed, hl_error *err) {
  if (!bed->started) {
    int rc = hl_engine_start(bed->engine, err);
    if (rc) return rc;
    bed->started = true;
  }
  return subscribe(bed, err);
}

bool hl_testbed_idle(hl_testbed *bed, char *why, size_t size) {
  if (!hl_engine_idle(bed->engine)) {
    hl_engine_stats s;
    hl_engine_stats_get(bed->engine, &s);
    snprintf(why, size, "%u handlers run, %u events are pending", (unsigned)s.running, (unsigned)s.pending);
    return false;
  }
  hl_api_stats a;
  hl_account_stats(bed->account, &a);
  if (a.queued + a.in_flight > 0) {
    snprintf(why, size, "%u API calls are out", (unsigned)(a.queued + a.in_flight));
    return false;
  }
  if (!bed->sim) return true;
  char *out = NULL;
  hl_error err;
  int64_t pending = 0;
  cJSON *stats = NULL;
  if (hl_sim_control(bed->sim, "stats", HL_STR("{}"), &out, &err) == 0 &&
      hl_json_parse(hl_str_of(out), &stats, &err) == 0)
    pending = hl_json_int(hl_json_get(stats, "webhooks"), "pending", 0) +
              hl_json_int(hl_json_get(stats, "webhooks"), "in_flight", 0);
  cJSON_Delete(stats);
  hl_free(out);
  if (pending > 0) snprintf(why, size, "%u webhook events are not delivered", (unsigned)pending);
  return pending == 0;
}

void hl_testbed_audited(hl_host *host, hl_run *run, const char *kind, const char *key, hl_str json) {
  hl_testbed *bed = host->bed;
  if (!bed) return;
  hl_audit_record *a = HL_NEW(hl_audit_record), **at = &bed->audits;
  a->run = run;
  a->kind = hl_strdup(kind);
  a->key = hl_strdup(key);
  a->json = hl_strndup(json.p, json.n);
  a->at = hl_loop_now(bed->loop);
  while (*at) at = &(*at)->next;
  *at = a;
}

static void audit_free(hl_audit_record *a) {
  hl_free(a->kind);
  hl_free(a->key);
  hl_free(a->json);
  hl_free(a);
}

void hl_testbed_run_ended(hl_host *host, hl_run *run, bool stored) {
  hl_replay_settled(host, run, stored);
  if (!host->bed) return;
  for (hl_audit_record **at = &host->bed->audits; *at;) {
    hl_audit_record *a = *at;
    if (a->run == run && !stored) {
      *at = a->next;
      audit_free(a);
      continue;
    }
    if (a->run == run) a->run = NULL;
    at = &a->next;
  }
}

void hl_testbed_crash(hl_testbed *bed) {
  bed->down = true;
  bed->crash_in = 0;
  for (hl_script *s = bed->host->scripts; s; s = s->next)
    if (s != bed->script) hl_engine_hold(bed->engine, s->name, true);
  for (hl_script *s = bed->host->scripts; s; s = s->next)
    if (s != bed->script) hl_works_cancel(s, "the process was killed");
}

void hl_testbed_up(hl_testbed *bed) {
  bed->down = false;
  for (hl_script *s = bed->host->scripts; s; s = s->next)
    if (s != bed->script) hl_engine_hold(bed->engine, s->name, false);
}

/* What is too long is cut short: its beginning says most. */
static void keep(hl_buf *out, const char *line, size_t n) {
  if (hl_buf_append(out, line, n) == 0 && n && line[n - 1] != '\n') (void)hl_buf_puts(out, "\n");
}
static void keep_line(void *arg, const char *line, size_t n) { keep(&((hl_testbed *)arg)->logged, line, n); }
static void keep_printed(void *arg, const char *line, size_t n) { keep(&((hl_testbed *)arg)->printed, line, n); }

static int64_t bed_now(void *arg) { return hl_loop_now(((hl_testbed *)arg)->loop); }

int hl_testbed_files(hl_testbed *bed, const char **out, hl_error *err) {
  if (!bed->files) {
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/hubloop-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) return hl_fail(err, HL_EIO, "cannot make a folder for the test's files, %s: %s", path, strerror(errno));
    bed->files = hl_strdup(path);
  }
  *out = bed->files;
  return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at) {
  (void)st;
  (void)flag;
  (void)at;
  return remove(path);
}

static void bed_free(hl_testbed *bed) {
  if (!bed) return;
  if (bed->host) hl_host_free(bed->host);
  if (bed->hubspot) hl_hubspot_free(bed->hubspot);
  hl_call_log_free(bed->calls);
  hl_sim_free(bed->sim);
  if (bed->webhook) hl_webhook_free(bed->webhook);
  if (bed->engine) hl_engine_free(bed->engine);
  if (bed->loop) {
    hl_loop_run(bed->loop); /* what is deferred or closing comes to its end */
    hl_loop_free(bed->loop);
  }
  while (bed->audits) {
    hl_audit_record *a = bed->audits;
    bed->audits = a->next;
    audit_free(a);
  }
  hl_log_free(bed->log);
  hl_buf_deinit(&bed->logged);
  hl_buf_deinit(&bed->printed);
  if (bed->files) (void)nftw(bed->files, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  hl_free(bed->files);
  hl_free(bed->crash_method);
  hl_free(bed->crash_path);
  hl_free(bed->dir);
  hl_free(bed->text);
  hl_free(bed);
}

static void main_ended(void *arg, int code, hl_str text) {
  hl_testbed *bed = arg;
  bed->main_done = true;
  bed->code = code;
  hl_free(bed->text);
  bed->text = hl_strndup(text.p ? text.p : "", text.n);
}

/* A bed whose test file has been loaded and has declared its tests. */
static int bed_new(const char *path, const hl_testrun_options *o, hl_testbed **out, hl_error *err) {
  hl_testbed *bed = HL_NEW(hl_testbed);
  hl_buf_init(&bed->logged, LOG_MAX);
  hl_buf_init(&bed->printed, LOG_MAX);
  bed->seed = o->seed ? o->seed : 1;
  bed->api = (hl_transport){api_send, api_cancel, transport_nothing, NULL};
  hl_testweb_init(bed);
  bed->door = (hl_transport){door_send, door_cancel, transport_nothing, NULL};
  char copy[PATH_MAX], full[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", realpath(path, full) ? full : path);
  bed->dir = hl_strdup(dirname(copy));
  bed->log = hl_log_new(HL_LOG_INFO, false);
  hl_log_set_sink(bed->log, keep_line, bed);
  hl_loop_options lo = {.is_virtual = true, .seed = bed->seed};
  int rc = hl_loop_new(&lo, bed->log, &bed->loop, err);
  if (rc) goto fail;
  hl_log_set_clock(bed->log, bed_now, bed);
  char uuid[37];
  hl_rng_uuid(hl_loop_rng(bed->loop), uuid);
  /* The shape of a token is never in a file of ours. */
  snprintf(bed->token, sizeof bed->token, "%s%s%s", "pat-", "na1-", uuid);
  hl_rng_uuid(hl_loop_rng(bed->loop), uuid);
  snprintf(bed->secret, sizeof bed->secret, "%s", uuid);
  hl_str secret = hl_str_of(bed->secret);
  bed->calls = hl_call_log_new(bed->loop, &(hl_call_log_options){.simulator = true});
  bed->hubspot = hl_hubspot_new(bed->loop, &bed->api);
  hl_hubspot_set_call_log(bed->hubspot, bed->calls);
  hl_account_options ao = {.name = "main", .token = bed->token, .tier = "professional", .portal = PORTAL,
                           .client_secrets = &secret, .n_client_secrets = 1};
  if ((rc = hl_hubspot_add_account(bed->hubspot, &ao, &bed->account, err)) != 0) goto fail;
  hl_engine_options eo = {.store = NULL};
  if ((rc = hl_engine_new(bed->loop, &eo, &bed->engine, err)) != 0) goto fail;
  hl_webhook_options wo = {.public_url = HOOKS_URL};
  bed->webhook = hl_webhook_new(bed->engine, bed->hubspot, &wo);
  hl_host_options ho = {.loop = bed->loop, .engine = bed->engine, .hubspot = bed->hubspot, .http = &bed->web,
                        .root = o->root ? o->root : bed->dir, .coverage = o->coverage, .secret = hl_secrets_made_up,
                        .print = keep_printed, .print_arg = bed};
  if ((rc = hl_host_new(&ho, &bed->host, err)) != 0) goto fail;
  bed->host->bed = bed;
  rc = hl_host_load_with(bed->host, path, o->permissions, hl_bind_test_entry, &bed->script, err);
  if (rc) goto fail;
  bed->script->stays_loading = true;
  hl_script_on_end(bed->script, main_ended, bed);
  if ((rc = hl_loop_run_until(bed->loop, &bed->main_done)) != 0) {
    rc = hl_fail(err, HL_ESCRIPT, "%s: its top level waits for something that never comes", path);
    goto fail;
  }
  if (bed->code) {
    rc = hl_fail(err, HL_ESCRIPT, "%s", bed->text);
    goto fail;
  }
  *out = bed;
  return 0;
fail:
  bed_free(bed);
  return rc;
}

/* ---- one test ---- */
static void test_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  hl_testbed *bed = arg;
  bed->done = true;
  hl_free(bed->text);
  if (code == 0 && nresults == 1 && lua_type(L, -1) == LUA_TSTRING) { /* test.run tells what failed */
    code = HL_ESCRIPT;
    text.p = lua_tolstring(L, -1, &text.n);
  }
  bed->code = code;
  bed->text = hl_strndup(text.p ? text.p : "", text.n);
  hl_run *run = bed->script->main_run;
  bed->script->main_run = NULL;
  hl_testbed_run_ended(bed->host, run, true);
  hl_run_finish(run, code ? HL_RUN_FAILED : HL_RUN_DONE, text);
}

/* Pushes test.run and the index. */
static void push_test_fn(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "test");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

typedef struct test_names { size_t n; struct { char *name; int line; bool skip; } *v; } test_names;

static int collect(lua_State *L) {
  test_names *t = lua_touserdata(L, 1);
  push_test_fn(L, "list");
  lua_call(L, 0, 1);
  t->n = (size_t)luaL_len(L, -1);
  t->v = hl_alloc(t->n * sizeof *t->v);
  for (size_t i = 0; i < t->n; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "line");
    lua_getfield(L, -3, "skip");
    t->v[i].name = hl_strdup(lua_tostring(L, -3));
    t->v[i].line = (int)lua_tointeger(L, -2);
    t->v[i].skip = lua_toboolean(L, -1);
    lua_pop(L, 4);
  }
  return 0;
}

static int push_run(lua_State *L) {
  size_t *index = lua_touserdata(L, 1);
  push_test_fn(L, "run");
  lua_pushinteger(L, (lua_Integer)*index + 1);
  return 2;
}

static void run_test(hl_testbed *bed, size_t index, hl_buf *message) {
  hl_error err;
  if (!hl_script_protected(bed->script, push_run, &index, 2, &err)) {
    hl_buf_puts(message, err.text);
    return;
  }
  const char *account = hl_account_name(bed->account);
  bed->script->main_run = hl_engine_begin(bed->engine, bed->script->name, account);
  hl_task_options o = {.run = bed->script->main_run, .account = account, .klass = HL_CLASS_NORMAL,
                       .timeout_ms = TEST_LIMIT_MS};
  hl_work *w;
  if (hl_work_start(bed->script, 1, &o, test_ended, bed, &w, &err)) {
    hl_run_finish(bed->script->main_run, HL_RUN_CUT, (hl_str){NULL, 0});
    bed->script->main_run = NULL;
    hl_buf_puts(message, err.text);
    return;
  }
  if (hl_loop_run_until(bed->loop, &bed->done)) {
    hl_work_cancel(w, HL_ETIMEOUT, "it waits for something that never comes");
    hl_loop_run_until(bed->loop, &bed->done);
  }
  if (bed->code == 0) return;
  if (bed->code == HL_ETIMEOUT) hl_buf_puts(message, "the test waits for something that never comes: ");
  hl_buf_puts(message, bed->text && *bed->text ? bed->text : hl_err_name(bed->code));
  if (!bed->logged.n) return;
  /* The end of the log says most about how it came to this. */
  const char *from = bed->logged.p + bed->logged.n;
  for (unsigned lines = 0; from > bed->logged.p && lines <= LOG_SHOWN; from--)
    if (from[-1] == '\n') lines++;
  if (from > bed->logged.p) from += 2;
  hl_buf_printf(message, "\nlog%s:\n%s", from > bed->logged.p ? " (its last lines)" : "", from);
}

int hl_testrun_file(const char *path, const hl_testrun_options *o, const hl_test_reporter *reporter,
                    hl_test_counts *counts, hl_error *err) {
  hl_testbed *bed = NULL;
  test_names t = {0};
  if (o->coverage) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    hl_coverage_set_root(o->coverage, o->root ? o->root : dirname(copy));
  }
  int rc = bed_new(path, o, &bed, err);
  if (rc) return rc;
  if (!hl_script_protected(bed->script, collect, &t, 0, err)) rc = HL_ESCRIPT;
  for (size_t i = 0; !rc && i < t.n; i++) {
    if (o->filter && !strstr(t.v[i].name, o->filter)) continue;
    hl_test_result r = {.file = path, .name = t.v[i].name, .line = t.v[i].line, .message = "", .printed = "",
                        .seed = o->seed ? o->seed : 1};
    hl_buf message, printed;
    hl_buf_init(&message, 1024 * 1024);
    hl_buf_init(&printed, LOG_MAX);
    if (t.v[i].skip) {
      r.outcome = HL_TEST_SKIPPED;
      counts->skipped++;
    } else {
      int64_t began = hl_clock_mono();
      /* The first test has the bed in which the file was listed: nothing has run in it yet. */
      if (!bed) rc = bed_new(path, o, &bed, err);
      if (rc) {
        hl_buf_deinit(&message);
        break;
      }
      run_test(bed, i, &message);
      printed = bed->printed; /* taken over */
      hl_buf_init(&bed->printed, LOG_MAX);
      if (printed.n) r.printed = printed.p;
      bed_free(bed);
      bed = NULL;
      r.ms = hl_clock_mono() - began;
      r.outcome = message.n ? HL_TEST_FAILED : HL_TEST_PASSED;
      if (message.n) {
        counts->failed++;
        r.message = message.p;
      } else {
        counts->passed++;
      }
    }
    if (reporter && reporter->result) reporter->result(reporter->arg, &r);
    hl_buf_deinit(&message);
    hl_buf_deinit(&printed);
  }
  bed_free(bed);
  for (size_t i = 0; i < t.n; i++) hl_free(t.v[i].name);
  hl_free(t.v);
  return rc;
}
