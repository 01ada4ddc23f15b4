#include <signal.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/population.h"
#include "cmd/runtime.h"
#include "cmd/target.h"
#include "hubspot/seal.h"
#include "loop/clock.h"

/* `hubloop sim`: the simulator over HTTP on loopback. The token and the secrets
 * that it accepts come from the environment (arguments would show in the
 * process list), or are made for this run and printed. */

static const hl_flag flags[] = {
    {"port", "N", "port on 127.0.0.1; default 8482, 0: any"},
    HL_POPULATION_FLAGS,
    {"webhook-url", "URL", "deliver webhooks here (subscriptions are set through /_sim/subscribe)"},
    {"oauth-app", "CLIENT_ID", "an OAuth app for /oauth/authorize and /oauth/2026-09/token; its secret: HUBSPOT_APP_SECRET"},
    {"oauth-scopes", "LIST", "the scopes that the app requires, with spaces between; default: any that are asked for"},
    {"oauth-redirect", "URL", "where consent may lead back; default /callback on this machine, at any port"},
    {"oauth-expires", "SECONDS", "how long its access tokens hold; default 1800"},
    {"oauth-rotate", "WHEN", "a refresh ends the old refresh token: now, on_use, or never (default)"},
    {"record", "FILE", "append every request and answer as JSON lines"},
    {NULL, NULL, NULL},
};

/* What hubloop auth login asks for, and what people write in its place. */
#define REDIRECTS "http://localhost/callback http://127.0.0.1/callback"

typedef struct simulating {
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;
  hl_sim *sim;
  hl_server *server;
  bool stop;
} simulating;

static void answered(void *arg, const hl_http_response *r, const hl_sim_way *way) {
  size_t cut = way->half ? r->body.n / 2 : r->body.n;
  if (!r->status || (way->half && !cut)) hl_request_drop(arg); /* a fault: the connection breaks */
  else if (way->half || way->trickle_ms) hl_request_reply_badly(arg, r->status, &r->headers, r->body, way->trickle_ms, cut);
  else hl_request_reply(arg, r->status, &r->headers, r->body);
}

static void copy_header(void *arg, const char *name, const char *value) {
  hl_headers_add(arg, hl_str_of(name), hl_str_of(value));
}

static void control(simulating *s, hl_request *q, const char *name) {
  hl_error err = {0};
  char *out = NULL;
  hl_headers headers = {0};
  hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/json"));
  hl_str body = hl_request_body(q);
  int rc = hl_sim_control(s->sim, name, body.n ? body : HL_STR("{}"), &out, &err);
  if (rc) hl_request_reply(q, 400, NULL, hl_str_of(err.text));
  else hl_request_reply(q, 200, &headers, hl_str_of(out));
  hl_free(out);
  hl_headers_deinit(&headers);
}

static void on_request(void *arg, hl_request *q) {
  simulating *s = arg;
  hl_str path = hl_request_path(q);
  static const char prefix[] = "/_sim/";
  if (hl_str_starts(path, prefix)) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(path.n - (sizeof prefix - 1)), path.p + sizeof prefix - 1);
    control(s, q, name);
    return;
  }
  hl_headers headers = {0};
  hl_request_headers(q, copy_header, &headers);
  hl_sim_handle(s->sim, hl_request_method(q), hl_request_target(q), &headers, hl_request_body(q), answered, q);
  hl_headers_deinit(&headers);
}

typedef struct making { hl_target bar; int64_t began; } making;

/* A small account is there before a bar would be read. */
static void on_progress(void *arg, int64_t done, int64_t total) {
  making *m = arg;
  if (hl_clock_mono() - m->began > HL_SECOND) hl_target_progress(&m->bar, "making the account", done, total + 1);
}

static void on_stop(void *arg, int signum) {
  (void)signum;
  ((simulating *)arg)->stop = true;
}

/* Takes a credential from the environment, or makes one and adds its line to `exports`. */
static void credential(cJSON *json, const char *key, const char *variable, hl_rng *rng, const char *prefix, hl_buf *exports) {
  const char *value = getenv(variable);
  if (value && value[0]) {
    cJSON_AddStringToObject(json, key, value);
    return;
  }
  char id[37], text[64];
  hl_rng_uuid(rng, id);
  snprintf(text, sizeof text, "%s%s", prefix, id);
  cJSON_AddStringToObject(json, key, text);
  hl_buf_printf(exports, "export %s=%s\n", variable, text);
}

static cJSON *word_list(const char *words) {
  cJSON *list = cJSON_CreateArray();
  while (*words) {
    size_t n = strcspn(words, " ");
    char *word = hl_strndup(words, n);
    if (n) cJSON_AddItemToArray(list, cJSON_CreateString(word));
    hl_free(word);
    words += n + (words[n] == ' ');
  }
  return list;
}

/* The app of --oauth-app, as stdlib/sim/oauth.lua wants it. */
static int add_app(const hl_args *a, int64_t expires, cJSON *json, hl_rng *rng, hl_buf *exports, hl_error *err) {
  const char *id = hl_args_get(a, "oauth-app"), *rotate = hl_args_get(a, "oauth-rotate");
  const char *redirect = hl_args_get(a, "oauth-redirect");
  if (!id) {
    for (size_t i = 0; flags[i].name; i++)
      if (strncmp(flags[i].name, "oauth-", 6) == 0 && hl_args_has(a, flags[i].name))
        return hl_fail(err, HL_EINVAL, "--%s needs --oauth-app CLIENT_ID", flags[i].name);
    return 0;
  }
  cJSON *app = cJSON_CreateObject();
  cJSON_AddItemToArray(cJSON_AddArrayToObject(json, "oauth_apps"), app);
  cJSON_AddStringToObject(app, "client_id", id);
  credential(app, "client_secret", "HUBSPOT_APP_SECRET", rng, "", exports);
  cJSON_AddNumberToObject(app, "expires_in", (double)expires);
  if (hl_args_has(a, "oauth-scopes")) cJSON_AddItemToObject(app, "scopes", word_list(hl_args_get(a, "oauth-scopes")));
  cJSON_AddItemToObject(app, "redirect_uris", word_list(redirect ? redirect : REDIRECTS));
  if (rotate && strcmp(rotate, "now") == 0) cJSON_AddTrueToObject(app, "rotate");
  else if (rotate && strcmp(rotate, "on_use") == 0) cJSON_AddStringToObject(app, "rotate", rotate);
  else if (rotate && strcmp(rotate, "never") != 0)
    return hl_fail(err, HL_EINVAL, "--oauth-rotate takes now, on_use or never, not \"%s\"", rotate);
  return 0;
}

static int run(const hl_args *a) {
  simulating s = {0};
  hl_error err = {0};
  int64_t port, expires;
  int rc = hl_args_int(a, "port", 0, 65535, 8482, &port);
  if (!rc) rc = hl_args_int(a, "oauth-expires", 1, 86400, 1800, &expires);
  if (rc) return rc;
  cJSON *json = cJSON_CreateObject();
  char *text = NULL;
  hl_buf exports;
  hl_buf_init(&exports, 4096);
  if ((rc = hl_population_options(a, json))) {
    cJSON_Delete(json);
    return rc;
  }
  if (hl_args_has(a, "webhook-url")) cJSON_AddStringToObject(json, "webhook_url", hl_args_get(a, "webhook-url"));
  s.log = hl_log_new(HL_LOG_INFO, false);
  if ((rc = hl_loop_new(NULL, s.log, &s.loop, &err))) goto out;
  credential(json, "token", "HUBSPOT_TOKEN", hl_loop_rng(s.loop), "pat-na1-", &exports);
  credential(json, "client_secret", "HUBSPOT_CLIENT_SECRET", hl_loop_rng(s.loop), "", &exports);
  const char *key = getenv("HUBSPOT_DEVELOPER_KEY");
  if (key && key[0]) cJSON_AddStringToObject(json, "developer_key", key);
  if ((rc = add_app(a, expires, json, hl_loop_rng(s.loop), &exports, &err))) goto out;
  text = hl_json_print(json);
  if ((rc = hl_client_new(s.loop, &s.client, &err))) goto out;
  making m = {.began = hl_clock_mono()};
  hl_sim_options so = {.json = text, .deliver = s.client, .record = hl_args_get(a, "record"), .progress = on_progress, .progress_arg = &m};
  rc = hl_sim_new(s.loop, &so, &s.sim, &err);
  hl_target_progress(&m.bar, "", 1, 1);
  if (rc) goto out;
  char address[32];
  snprintf(address, sizeof address, "127.0.0.1:%d", (int)port);
  hl_server_options vo = {.listen = address, .max_body = 16u << 20};
  if ((rc = hl_server_new(s.loop, &vo, on_request, &s, &s.server, &err))) goto out;
  hl_loop_on_signal(s.loop, SIGTERM, on_stop, &s, NULL);
  hl_loop_on_signal(s.loop, SIGINT, on_stop, &s, NULL);
  printf("%sexport HUBSPOT_BASE_URL=http://127.0.0.1:%u\n", exports.p ? exports.p : "", hl_server_port(s.server));
  fflush(stdout);
  hl_log_write(s.log, HL_LOG_INFO, "sim", "listening on http://127.0.0.1:%u", hl_server_port(s.server));
  hl_loop_run_until(s.loop, &s.stop);
out:
  if (rc) rc = hl_cmd_error(&err);
  hl_server_free(s.server);
  hl_sim_free(s.sim);
  if (s.client) s.client->free(s.client);
  hl_loop_free(s.loop);
  hl_log_free(s.log);
  cJSON_Delete(json);
  hl_free(text);
  hl_buf_wipe(&exports);
  return rc;
}

const hl_command hl_cmd_sim = {
    .name = "sim", .operands = "", .summary = "serve the HubSpot simulator on this machine", .flags = flags, .run = run,
    .examples = "  hubloop sim --contacts 1000 --owners 12\n"
                "  hubloop sim --contacts 100000 --fault \"status=503 share=0.01\" --latency p50:80,p99:900\n"
                "  hubloop sim --port 0 --record traffic.jsonl\n"
                "  hubloop sim --oauth-app my-app --oauth-scopes \"oauth crm.objects.contacts.read\"\n",
};
