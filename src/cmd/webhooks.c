#include "cmd/webhooks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/journals.h"
#include "hubspot/seal.h"

enum { STATE_MAX = 4 << 20, ANSWER_MS = 60 * 1000 };

/* ---- the state file ---- */

static int read_state(hl_hooks *x, hl_error *err) {
  hl_buf text;
  char chunk[4096];
  ssize_t n = 0;
  hl_buf_init(&text, STATE_MAX);
  int fd = open(x->state_path, O_RDONLY | O_CLOEXEC), rc = 0;
  if (fd < 0 && errno != ENOENT) rc = hl_fail(err, HL_EIO, "cannot read %s: %s", x->state_path, strerror(errno));
  while (fd >= 0 && !rc && (n = read(fd, chunk, sizeof chunk)) > 0) rc = hl_buf_append(&text, chunk, (size_t)n);
  if (fd >= 0) close(fd);
  if (!rc && text.n) rc = hl_json_parse(hl_buf_str(&text), &x->state, err) ? hl_fail_in(err, "%s", x->state_path) : 0;
  if (!rc && text.n && !cJSON_IsObject(x->state)) rc = hl_fail(err, HL_EINVAL, "%s: it is no file of hubloop webhooks", x->state_path);
  if (!x->state) x->state = cJSON_CreateObject();
  hl_buf_deinit(&text);
  return rc;
}

/* The folder of the store may not be there yet. */
static void make_folder(const char *path) {
  char *folder = hl_strdup(path), *slash = strrchr(folder, '/');
  if (slash && slash != folder) {
    *slash = 0;
    mkdir(folder, 0700);
  }
  hl_free(folder);
}

static int write_state(const hl_hooks *x, hl_error *err) {
  char *text = cJSON_Print(x->state);
  hl_buf next;
  hl_buf_init(&next, 8192);
  int rc = hl_buf_printf(&next, "%s.new", x->state_path);
  make_folder(x->state_path);
  int fd = rc ? -1 : open(next.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  size_t n = strlen(text);
  bool well = fd >= 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
  if (fd >= 0) well = close(fd) == 0 && well;
  if (!well || rename(next.p, x->state_path)) {
    rc = hl_fail(err, HL_EIO, "cannot write %s, where it is kept which subscriptions are ours: %s", x->state_path, strerror(errno));
    if (next.p) unlink(next.p);
  }
  hl_buf_deinit(&next);
  cJSON_free(text);
  return rc;
}

/* state[…] = value, or nothing any more. `key` "id": the id that the answer gives. */
static int remember(hl_hooks *x, const cJSON *action, const cJSON *answer, hl_error *err) {
  const cJSON *path = hl_json_get(action, "state"), *part, *value = hl_json_get(action, "value");
  const char *key = hl_json_str(action, "key", NULL);
  char id[40];
  cJSON *at = x->state;
  if (!cJSON_IsArray(path) || !key) return 0;
  if (strcmp(key, "id") == 0) {
    if (!hl_json_id(answer, "id", id, sizeof id)) return hl_fail(err, HL_EPROTOCOL, "HubSpot's answer names no id");
    key = id;
  }
  cJSON_ArrayForEach(part, path) {
    cJSON *next = cJSON_GetObjectItemCaseSensitive(at, part->valuestring);
    at = cJSON_IsObject(next) ? next : cJSON_AddObjectToObject(at, part->valuestring);
    if (!at) return hl_fail(err, HL_EINVAL, "%s: it is no file of hubloop webhooks", x->state_path);
  }
  cJSON_DeleteItemFromObjectCaseSensitive(at, key);
  if (value) cJSON_AddItemToObject(at, key, cJSON_Duplicate(value, true));
  return write_state(x, err);
}

/* ---- life ---- */

static int open_base(hl_hooks *x, hl_error *err) {
  const hl_project *p = x->rt->project;
  const char *base = getenv("HUBSPOT_BASE_URL");
  for (size_t i = 0; i < p->n_accounts; i++)
    if (p->accounts[i].base_url) base = p->accounts[i].base_url;
  hl_buf_init(&x->key, 4096);
  int rc = hl_base_url_check("webhooks.app", base && *base ? base : "https://api.hubapi.com", &x->base, err);
  if (!rc) rc = hl_secrets_get(x->rt->secrets, p->developer_key, &x->key, err);
  if (!rc) hl_log_add_secret(x->rt->log, hl_buf_str(&x->key));
  return rc;
}

int hl_hooks_open(hl_hooks *x, const char *dir, hl_error *err) {
  hl_load_result loaded;
  hl_buf path;
  hl_runtime_options o = {.path = dir, .serving = true, .offline = true, .log_level = HL_LOG_ERROR};
  int rc = hl_runtime_new(&o, &x->rt, err);
  if (rc) return rc;
  if (!x->rt->project) return hl_fail(err, HL_EINVAL, "webhooks takes a project's folder, not %s", dir);
  hl_runtime_load(x->rt, NULL, &loaded);
  if (loaded.failed) {
    *err = loaded.first;
    return hl_fail_in(err, "what the scripts listen to is known when all of them load");
  }
  hl_buf_init(&path, 8192);
  if (hl_buf_printf(&path, "%s-webhooks.json", x->rt->project->store)) hl_mem_ended();
  x->state_path = hl_buf_detach(&path, NULL);
  rc = read_state(x, err);
  if (!rc && x->rt->project->webhook_app) rc = open_base(x, err);
  x->apps = hl_hubspot_new(x->rt->loop, x->rt->client);
  return rc;
}

void hl_hooks_close(hl_hooks *x) {
  hl_hubspot_free(x->apps);
  hl_runtime_free(x->rt);
  hl_buf_wipe(&x->key);
  hl_free(x->base);
  hl_free(x->state_path);
  cJSON_Delete(x->state);
}

/* ---- asking ---- */

typedef struct asking {
  bool done;
  int status;
  cJSON *json;
  hl_error err;
} asking;

static void came(void *arg, const hl_http_response *r) {
  asking *q = arg;
  hl_error ignored;
  q->done = true;
  q->status = r->status;
  if (!r->status) q->err = r->err;
  else if (r->body.n && hl_json_parse(r->body, &q->json, &ignored)) q->json = NULL;
}

int hl_hooks_send(hl_runtime *rt, const hl_http_request *q, int *status, cJSON **json, hl_error *err) {
  asking a = {0};
  hl_http_op *op;
  int rc = rt->client->send(rt->client, q, came, &a, &op, err);
  if (rc) return rc;
  hl_loop_run_until(rt->loop, &a.done);
  if (!a.status) {
    *err = a.err;
    return err->code;
  }
  *status = a.status;
  *json = a.json;
  return 0;
}

/* With the developer key, which has a place in the query and nowhere else. */
static int ask_app(hl_hooks *x, const char *method, const char *path, const cJSON *body, int *status, cJSON **json, hl_error *err) {
  hl_buf url;
  hl_headers headers = {0};
  char *text = body ? hl_json_print(body) : NULL;
  hl_buf_init(&url, 16384);
  int rc = hl_buf_printf(&url, "%s%s?hapikey=", x->base, path);
  if (!rc) rc = hl_buf_urlencode(&url, hl_buf_str(&x->key));
  hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/json"));
  hl_http_request q = {.method = method, .url = url.p, .headers = &headers, .body = hl_str_of(text), .timeout_ms = ANSWER_MS,
                       .policy = strncmp(x->base, "http://", 7) == 0 ? HL_NET_NAMED : HL_NET_PUBLIC};
  if (!rc) rc = hl_hooks_send(x->rt, &q, status, json, err);
  if (!rc && *status == 401)
    rc = hl_fail(err, HL_EAUTH, "HubSpot does not accept webhooks.developer_key for app %lld: it is the developer API key of the account that owns it",
                 (long long)x->rt->project->webhook_app);
  hl_headers_deinit(&headers);
  hl_buf_wipe(&url);
  hl_free(text);
  return rc;
}

static void answered(void *arg, const hl_api_result *r) {
  asking *q = arg;
  q->done = true;
  q->status = r->status;
  if (r->error) hl_fail(&q->err, HL_EHUBSPOT, "%s", r->error->message);
  else q->json = cJSON_Duplicate(r->json, true);
}

static int ask_journal(hl_hooks *x, const char *name, const char *method, const char *path, const cJSON *body, cJSON **json, hl_error *err) {
  asking a = {0};
  hl_account *account;
  hl_error none;
  bool loopback;
  int rc = hl_hubspot_account(x->apps, name, &account, &none) ? hl_journals_account(x->rt, x->apps, name, &account, &loopback, err) : 0;
  if (rc) return rc;
  char *text = body ? hl_json_print(body) : NULL;
  hl_api_call call = {.kind = HL_API_RAW, .klass = HL_CLASS_LIVE, .script = "hubloop", .no_batch = true, .method = method, .path = path,
                      .body = hl_str_of(text)};
  if (!(rc = hl_api_send(account, &call, answered, &a, NULL, err))) hl_loop_run_until(x->rt->loop, &a.done);
  hl_free(text);
  if (rc) return rc;
  if (a.err.code) *err = a.err;
  else *json = a.json;
  return a.err.code;
}

typedef struct portal_of {
  bool done;
  int64_t portal;
  hl_error err;
} portal_of;

static void identified(void *arg, const hl_identity *id, const hl_api_error *error) {
  portal_of *p = arg;
  p->done = true;
  if (id) p->portal = id->portal;
  else hl_fail(&p->err, HL_EHUBSPOT, "%s", error->message);
}

static int find_portal(hl_hooks *x, hl_account *a, int64_t *out, hl_error *err) {
  portal_of p = {0};
  *out = hl_account_portal(a);
  if (*out) return 0;
  int rc = hl_account_identify(a, identified, &p, err);
  if (rc) return rc;
  hl_loop_run_until(x->rt->loop, &p.done);
  if (!p.portal) return hl_fail(err, HL_EHUBSPOT, "which portal account %s is must be known; set portal in hubloop.lua (%s)", hl_account_name(a),
                                p.err.text);
  *out = p.portal;
  return 0;
}

/* ---- what there is ---- */

static void add_listener(void *arg, const hl_listener *l) {
  cJSON *one = cJSON_CreateObject();
  cJSON_AddStringToObject(one, "type", l->type);
  cJSON_AddStringToObject(one, "script", l->script);
  if (l->account) cJSON_AddStringToObject(one, "account", l->account);
  if (l->property) cJSON_AddStringToObject(one, "property", l->property);
  cJSON_AddItemToArray(arg, one);
}

static int add_results(cJSON *into, cJSON *answer, hl_error *err) {
  cJSON *results = cJSON_DetachItemFromObjectCaseSensitive(answer, "results");
  cJSON_Delete(answer);
  if (!cJSON_IsArray(results)) {
    cJSON_Delete(results);
    return hl_fail(err, HL_EPROTOCOL, "HubSpot's answer holds no list of subscriptions");
  }
  cJSON_AddItemToObject(into, "subscriptions", results);
  return 0;
}

static int add_push(hl_hooks *x, cJSON *request, hl_error *err) {
  char path[128];
  int status;
  long long app = (long long)x->rt->project->webhook_app;
  cJSON *push = cJSON_AddObjectToObject(request, "push"), *json = NULL;
  cJSON_AddItemToObject(push, "app", hl_json_int64(app));
  snprintf(path, sizeof path, "/app-webhooks/2026-09/%lld/settings", app);
  int rc = ask_app(x, "GET", path, NULL, &status, &json, err);
  if (rc) return rc;
  if (status == 200 && json) cJSON_AddItemToObject(push, "settings", json);
  else cJSON_Delete(json);
  if (status != 200 && status != 404) return hl_fail(err, HL_EHUBSPOT, "app %lld: HubSpot answers %d to the question for its webhook settings", app, status);
  snprintf(path, sizeof path, "/app-webhooks/2026-09/%lld/subscriptions", app);
  json = NULL;
  if ((rc = ask_app(x, "GET", path, NULL, &status, &json, err))) return rc;
  if (status == 200) return add_results(push, json, err);
  cJSON_Delete(json);
  return hl_fail(err, HL_EHUBSPOT, "app %lld: HubSpot answers %d to the question for its subscriptions", app, status);
}

static int add_journal(hl_hooks *x, cJSON *journals, const char *name, hl_error *err) {
  const cJSON *one;
  cJSON_ArrayForEach(one, journals)
    if (strcmp(hl_json_str(one, "name", ""), name) == 0) return 0;
  cJSON *journal = cJSON_CreateObject(), *json = NULL;
  cJSON_AddItemToArray(journals, journal);
  cJSON_AddStringToObject(journal, "name", name);
  int rc = ask_journal(x, name, "GET", "/webhooks-journal/subscriptions/2026-03", NULL, &json, err);
  return rc ? rc : add_results(journal, json, err);
}

int hl_hooks_request(hl_hooks *x, cJSON **out, hl_error *err) {
  const hl_project *p = x->rt->project;
  cJSON *request = cJSON_CreateObject(), *accounts = cJSON_AddArrayToObject(request, "accounts");
  cJSON *journals = cJSON_AddArrayToObject(request, "journals");
  hl_account *all[64];
  size_t n = hl_hubspot_accounts(x->rt->hubspot, all, HL_COUNT(all));
  int rc = 0;
  *out = request;
  hl_engine_listeners(x->rt->engine, add_listener, cJSON_AddArrayToObject(request, "listeners"));
  if (p->public_url) cJSON_AddStringToObject(request, "public_url", p->public_url);
  cJSON_AddItemToObject(request, "state", cJSON_Duplicate(x->state, true));
  for (size_t i = 0; i < n && i < HL_COUNT(all) && !rc; i++) {
    cJSON *a = cJSON_CreateObject();
    cJSON_AddItemToArray(accounts, a);
    cJSON_AddStringToObject(a, "name", hl_account_name(all[i]));
    cJSON_AddStringToObject(a, "kind", hl_credential_kind_name(hl_credential_kind_get(hl_account_credential(all[i]))));
    for (size_t k = 0; k < p->n_accounts && !rc; k++) {
      int64_t portal;
      if (strcmp(p->accounts[k].name, hl_account_name(all[i])) != 0 || !p->accounts[k].journal) continue;
      if ((rc = find_portal(x, all[i], &portal, err))) break;
      cJSON_AddItemToObject(a, "portal", hl_json_int64(portal));
      cJSON_AddStringToObject(a, "journal", p->accounts[k].journal);
      rc = add_journal(x, journals, p->accounts[k].journal, err);
    }
  }
  if (!rc && p->webhook_app) rc = add_push(x, request, err);
  return rc;
}

int hl_hooks_do(hl_hooks *x, const cJSON *action, hl_error *err) {
  const char *method = hl_json_str(action, "method", ""), *path = hl_json_str(action, "path", "");
  const cJSON *body = hl_json_get(action, "body");
  cJSON *json = NULL;
  int status = 0, rc;
  if (strcmp(hl_json_str(action, "where", ""), "push") == 0) {
    rc = ask_app(x, method, path, body, &status, &json, err);
    /* What is gone already is what was wanted. */
    bool gone = status == 404 && strcmp(method, "DELETE") == 0;
    if (!rc && !gone && (status < 200 || status > 299))
      rc = hl_fail(err, HL_EHUBSPOT, "HubSpot answers %d: %s", status, hl_json_str(json, "message", "it does not say why"));
  } else {
    rc = ask_journal(x, hl_json_str(action, "journal", ""), method, path, body, &json, err);
  }
  if (!rc) rc = remember(x, action, json, err);
  cJSON_Delete(json);
  return rc;
}
