#include <limits.h>

#include "base/mem.h"
#include "cmd/accounts.h"
#include "cmd/webhooks.h"
#include "hubspot/signature.h"

/* `hubloop webhooks test`: a signed sample event, sent to the running `serve` as
 * HubSpot would send it, and what came of it. The sample's type is one that nobody
 * listens to, unless --type names another. */

static const hl_flag flags[] = {
    {"type", "TYPE", "send an event of this type, which handlers run; default hubloop.test, which none does"},
    {"object", "ID", "its objectId; default 1"},
    {"property", "NAME=VALUE", "what a propertyChange is of"},
    {"account", "NAME", "whose secret signs it; default the only account"},
    {"local", NULL, "to http.listen on this machine, not by way of webhooks.public_url"},
    {"to", "URL", "to this address instead"},
    {"json", NULL, "for programs"},
    {NULL, NULL, NULL},
};

enum { SAMPLE_MS = 10 * 1000 };

static char *sample(const hl_args *a, int64_t portal, int64_t now) {
  const char *type = hl_args_get(a, "type"), *object = hl_args_get(a, "object"), *property = hl_args_get(a, "property");
  const char *eq = property ? strchr(property, '=') : NULL;
  int64_t id = 1;
  cJSON *array = cJSON_CreateArray(), *e = cJSON_CreateObject();
  cJSON_AddItemToArray(array, e);
  cJSON_AddItemToObject(e, "eventId", hl_json_int64(now));
  cJSON_AddNumberToObject(e, "subscriptionId", 0);
  cJSON_AddItemToObject(e, "portalId", hl_json_int64(portal));
  cJSON_AddNumberToObject(e, "appId", 0);
  cJSON_AddItemToObject(e, "occurredAt", hl_json_int64(now));
  cJSON_AddStringToObject(e, "subscriptionType", type ? type : "hubloop.test");
  cJSON_AddNumberToObject(e, "attemptNumber", 0);
  if (object && hl_str_int64(hl_str_of(object), &id)) cJSON_AddStringToObject(e, "objectId", object);
  else cJSON_AddItemToObject(e, "objectId", hl_json_int64(id));
  cJSON_AddStringToObject(e, "changeSource", "CRM_UI");
  if (property) {
    char *name = hl_strndup(property, eq ? (size_t)(eq - property) : strlen(property));
    cJSON_AddStringToObject(e, "propertyName", name);
    cJSON_AddStringToObject(e, "propertyValue", eq ? eq + 1 : "");
    hl_free(name);
  }
  char *text = hl_json_print(array);
  cJSON_Delete(array);
  return text;
}

/* Where it goes, and the URL that is signed, which is the public one when there is one. */
static void addresses(const hl_args *a, const hl_project *p, char to[PATH_MAX], char sign[PATH_MAX]) {
  const char *given = hl_args_get(a, "to"), *path = "/hubspot", *host = p->public_url ? strstr(p->public_url, "://") : NULL;
  if (host && strchr(host + 3, '/')) path = strchr(host + 3, '/');
  snprintf(sign, PATH_MAX, "%s", p->public_url ? p->public_url : "");
  if (given) snprintf(to, PATH_MAX, "%s", given);
  else if (p->public_url && !hl_args_has(a, "local")) snprintf(to, PATH_MAX, "%s", p->public_url);
  else snprintf(to, PATH_MAX, "http://%s%s", p->listen, path);
  if (!sign[0]) snprintf(sign, PATH_MAX, "%s", to);
}

static const char *meaning(int status, bool public_url, bool listened) {
  switch (status) {
    case 204: return listened ? "accepted and stored; its handlers run" : "accepted and stored; nobody listens to it, so nothing runs";
    case 401: return public_url ? "not accepted: the serve that answers has another client secret, or another webhooks.public_url"
                                : "not accepted: the serve that answers has another client secret, or HubSpot's address of it is not this one "
                                  "(webhooks.public_url)";
    case 404: return "the server that answers is no hubloop serve, or its webhooks are at another path";
    case 503: return "serve cannot store at the moment; HubSpot would send it again";
    default: return "that is no answer of hubloop serve: what stands between?";
  }
}

static int report(const hl_args *a, const char *to, int status, const char *text, bool well) {
  if (hl_args_has(a, "json")) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "url", to);
    cJSON_AddNumberToObject(json, "status", status);
    cJSON_AddBoolToObject(json, "accepted", well);
    cJSON_AddStringToObject(json, "text", text);
    char *out = hl_json_print(json);
    puts(out);
    hl_free(out);
    cJSON_Delete(json);
  } else if (well) {
    printf("%s answers %d: %s\n", to, status, text);
  } else if (status) {
    hl_cmd_fail(HL_EXIT_FAILED, "%s answers %d: %s", to, status, text);
  } else {
    hl_cmd_fail(HL_EXIT_FAILED, "%s: does serve run there, and is it reached?", text);
  }
  return well ? HL_EXIT_OK : HL_EXIT_FAILED;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  hl_runtime *rt = HL_NEW(hl_runtime);
  hl_account *account;
  const hl_str *secrets;
  hl_headers headers = {0};
  char to[PATH_MAX], sign[PATH_MAX], signature[45], at[24], *body = NULL;
  cJSON *json = NULL;
  int status = 0, code = HL_EXIT_OK, rc;
  rt->log = hl_log_new(HL_LOG_ERROR, false);
  if ((rc = hl_loop_new(NULL, rt->log, &rt->loop, &err)) || (rc = hl_project_load(a->n ? a->positional[0] : ".", &rt->project, &err)) ||
      (rc = hl_client_new(rt->loop, &rt->client, &err)) || (rc = hl_accounts_open(rt, &err)))
    goto out;
  rt->hubspot = hl_hubspot_new(rt->loop, rt->client);
  if ((rc = hl_accounts_add(rt, NULL, &err)) || (rc = hl_hubspot_account(rt->hubspot, hl_args_get(a, "account"), &account, &err))) goto out;
  if (!hl_account_secrets(account, &secrets)) {
    rc = hl_fail(&err, HL_EINVAL, "account %s has no client secret, so its webhooks cannot be signed: export HUBSPOT_CLIENT_SECRET, or set client_secret "
                 "in hubloop.lua", hl_account_name(account));
    goto out;
  }
  addresses(a, rt->project, to, sign);
  snprintf(at, sizeof at, "%lld", (long long)hl_loop_now(rt->loop));
  body = sample(a, hl_account_portal(account), hl_loop_now(rt->loop));
  hl_signature_v3(secrets[0], "POST", sign, hl_str_of(body), at, signature);
  hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/json"));
  hl_headers_add(&headers, HL_STR("X-HubSpot-Signature-v3"), hl_str_of(signature));
  hl_headers_add(&headers, HL_STR("X-HubSpot-Request-Timestamp"), hl_str_of(at));
  hl_http_request q = {.method = "POST", .url = to, .headers = &headers, .body = hl_str_of(body), .timeout_ms = SAMPLE_MS, .policy = HL_NET_NAMED};
  if ((rc = hl_hooks_send(rt, &q, &status, &json, &err)) && rc != HL_ENET && rc != HL_ETIMEOUT && rc != HL_EPROTOCOL) goto out;
  code = report(a, to, status, status ? meaning(status, rt->project->public_url, hl_args_has(a, "type")) : err.text, status == 204);
  rc = 0;
out:
  if (rc) code = rc == HL_ENOTFOUND ? hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text) : hl_cmd_error(&err);
  hl_headers_deinit(&headers);
  cJSON_Delete(json);
  hl_free(body);
  hl_runtime_free(rt);
  return code;
}

const hl_command hl_webhooks_test = {
    .name = "webhooks test", .operands = "[DIR]", .summary = "send a signed sample event to the running serve", .flags = flags, .max = 1, .run = run,
    .examples = "  hubloop webhooks test\n"
                "  hubloop webhooks test --local\n"
                "  hubloop webhooks test --type contact.creation --object 151\n",
};
