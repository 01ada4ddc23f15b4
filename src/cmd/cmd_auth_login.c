#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/auth.h"
#include "hubspot/seal.h"
#include "net/server.h"

/* `hubloop auth login`: OAuth's authorization code, with state and PKCE. The
 * browser comes back to a listener on this machine's loopback address, which
 * answers one path and is gone when the command ends. */

static const hl_flag flags[] = {
    {"client-id", "ID", "the app's client id (its Auth page); its client secret is asked for"},
    {"scopes", "LIST", "what the app requires, with spaces between; hubloop scopes PATH lists what scripts need"},
    {"optional-scopes", "LIST", "what it takes where an account has it"},
    {"portal", "N", "only this HubSpot account"},
    {"port", "N", "where the browser comes back: http://localhost:N/callback; default 8483"},
    {"no-browser", NULL, "print the address only"},
    {"timeout", "SECONDS", "how long to wait for consent; default 300"},
    HL_AUTH_ENV_FLAG,
    {"region", "NAME", "eu1, na1, …"},
    {"base-url", "URL", "another address than HubSpot's; default HUBSPOT_BASE_URL"},
    HL_AUTH_VAULT_FLAG,
    {NULL, NULL, NULL},
};

static const char path[] = "/callback";

typedef struct login {
  hl_auth x;
  hl_stored s;
  hl_server *server;
  char state[HL_OAUTH_VERIFIER + 1], verifier[HL_OAUTH_VERIFIER + 1], code[1024];
  hl_error err;
  bool came, done, foreign; /* an answer with another state came */
  uv_process_t browser;
  bool opened, browser_closed;
} login;

/* ---- the callback ---- */

static void page(hl_request *q, int status, const char *title, const char *text) {
  hl_headers h = {0};
  hl_buf body;
  hl_buf_init(&body, 8192);
  hl_headers_add(&h, HL_STR("Content-Type"), HL_STR("text/html; charset=utf-8"));
  hl_headers_add(&h, HL_STR("Cache-Control"), HL_STR("no-store"));
  hl_headers_add(&h, HL_STR("Referrer-Policy"), HL_STR("no-referrer"));
  hl_headers_add(&h, HL_STR("Content-Security-Policy"), HL_STR("default-src 'none'; frame-ancestors 'none'"));
  hl_buf_printf(&body,
                "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>hubloop: "
                "%s</title>\n<h1>%s</h1>\n<p>%s</p>\n</html>\n",
                title, title, text);
  hl_request_reply(q, status, &h, hl_buf_str(&body));
  hl_headers_deinit(&h);
  hl_buf_deinit(&body);
}

/* A page of another site could be made to point here by its name server; it sends its own name. */
static bool is_ours(const char *host) {
  return host && (strncmp(host, "localhost:", 10) == 0 || strncmp(host, "127.0.0.1:", 10) == 0);
}

static void on_request(void *arg, hl_request *q) {
  login *l = arg;
  if (!is_ours(hl_request_header(q, "Host"))) {
    page(q, 421, "Not here", "This listener answers to localhost only.");
  } else if (!hl_str_eqz(hl_request_path(q), path) || strcmp(hl_request_method(q), "GET") != 0 || l->came) {
    page(q, 404, "Nothing here", "This address takes the answer of one login.");
  } else {
    int rc = hl_oauth_callback(hl_request_query(q), l->state, l->code, sizeof l->code, &l->err);
    if (rc == HL_EDENIED) {
      /* Any page in any browser here can send such a one: it must not end the login. */
      if (!l->foreign) hl_cmd_fail(0, "%s. Waiting for the right one", l->err.text);
      l->foreign = true;
      l->err = (hl_error){0};
      page(q, 400, "Not connected", "This answer is of another login. The terminal says which page to open.");
      return;
    }
    l->came = true;
    if (rc) page(q, 400, "Not connected", "The terminal says why.");
    else page(q, 200, "Connected", "You can close this window and go back to the terminal.");
    l->done = true;
  }
}

static void on_late(hl_timer *timer, void *arg) {
  (void)timer;
  login *l = arg;
  hl_fail(&l->err, HL_ETIMEOUT,
          "nobody gave consent in time; nothing was stored. Run it again, or give it longer: --timeout SECONDS");
  l->done = true;
}

static void stop_waiting(void *arg, int signum) {
  login *l = arg;
  (void)signum;
  hl_fail(&l->err, HL_ECANCELLED, "stopped; nothing was stored");
  l->done = true;
}

/* ---- the browser ---- */

static void on_browser_closed(uv_handle_t *handle) { ((login *)handle->data)->browser_closed = true; }

static void on_browser_exit(uv_process_t *p, int64_t status, int sig) {
  (void)status, (void)sig;
  uv_close((uv_handle_t *)p, on_browser_closed);
}

/* The browser needs none of our secrets. */
static bool is_private(const char *variable, const char *secret) {
  size_t n = secret ? strlen(secret) : 0;
  return strncmp(variable, "HUBSPOT_", 8) == 0 || strncmp(variable, "HUBLOOP_", 8) == 0 ||
         (n && strncmp(variable, secret, n) == 0 && variable[n] == '=');
}

static bool open_browser(login *l, const hl_args *a, char *url) {
  char name[] = "xdg-open", *args[] = {name, url, NULL}, *env[1024];
  size_t n = 0;
  if (hl_args_has(a, "no-browser") || (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))) return false;
  for (char **v = environ; *v && n + 1 < HL_COUNT(env); v++)
    if (!is_private(*v, hl_args_get(a, "env"))) env[n++] = *v;
  env[n] = NULL;
  uv_process_options_t o = {.file = name, .args = args, .env = env, .exit_cb = on_browser_exit, .flags = UV_PROCESS_DETACHED};
  l->browser.data = l;
  bool started = uv_spawn(hl_loop_uv(l->x.loop), &l->browser, &o) == 0;
  l->opened = true; /* a failed spawn leaves a handle to be closed too */
  if (started) uv_unref((uv_handle_t *)&l->browser);
  else uv_close((uv_handle_t *)&l->browser, on_browser_closed);
  return started;
}

static void leave_browser(login *l) {
  if (!l->opened) return;
  if (!l->browser_closed && !uv_is_closing((uv_handle_t *)&l->browser)) uv_close((uv_handle_t *)&l->browser, on_browser_closed);
  hl_loop_run_until(l->x.loop, &l->browser_closed);
}

/* ---- the exchange ---- */

static void on_tokens(void *arg, const hl_oauth_result *r) {
  login *l = arg;
  l->done = true;
  if (r->outcome != HL_OAUTH_WELL) {
    l->err = r->err;
    return;
  }
  const hl_oauth_tokens *t = r->tokens;
  if (!t->refresh) {
    hl_fail(&l->err, HL_EPROTOCOL, "HubSpot gave no refresh token, so the access would end soon: is the app an OAuth app?");
    return;
  }
  int64_t now = hl_loop_now(l->x.loop);
  l->s.grant = (hl_grant){.access = hl_strdup(t->access),
                          .refresh = hl_strdup(t->refresh),
                          .scopes = hl_strdup(t->scopes),
                          .portal = t->portal,
                          .user_id = t->user_id,
                          .life_ms = t->expires_in * 1000,
                          .expires_at = now + t->expires_in * 1000};
  l->s.added_at = now;
}

static int exchange(login *l, const char *base, const char *redirect, hl_error *err) {
  const char *const form[] = {"grant_type", "authorization_code", "code",      l->code, "redirect_uri",
                              redirect,     "code_verifier",      l->verifier, NULL};
  hl_oauth_app app = {.base_url = base,
                      .version = "2026-09",
                      .policy = l->s.base_url ? HL_NET_NAMED : HL_NET_PUBLIC,
                      .client_id = l->s.client_id,
                      .client_secret = l->s.client_secret};
  hl_oauth_op *op;
  l->done = false;
  int rc = hl_oauth_ask(l->x.loop, l->x.client, &app, form, on_tokens, l, &op, err);
  if (rc) return rc;
  hl_loop_run_until(l->x.loop, &l->done);
  *err = l->err;
  return err->code;
}

static int read_app(const hl_args *a, login *l, const char *name, hl_error *err) {
  hl_stored old = {0};
  hl_buf secret;
  char what[200];
  int rc = hl_auth_place(a, &l->s, err);
  if (rc) return rc;
  l->s.kind = HL_CREDENTIAL_OAUTH;
  l->s.name = hl_strdup(name);
  l->s.client_id = hl_strdup(hl_args_get(a, "client-id"));
  l->s.asked = hl_strdup(hl_args_get(a, "scopes"));
  /* Connecting again takes the app from what is stored. */
  rc = hl_stored_get(l->x.vault, name, &old, err);
  if (rc && rc != HL_ENOTFOUND) return rc;
  if (!rc && (old.secret || old.kind != HL_CREDENTIAL_OAUTH)) {
    rc = hl_fail(err, HL_EINVAL,
                 "there is a credential %s of kind %s already: choose another name, or hubloop auth remove %s first",
                 name, hl_stored_kind(&old), name);
    goto out;
  }
  bool known = !rc && (!l->s.client_id || strcmp(l->s.client_id, old.client_id) == 0);
  rc = 0;
  *err = (hl_error){0};
  if (known) {
    if (!l->s.client_id) l->s.client_id = hl_strdup(old.client_id);
    if (!l->s.asked) l->s.asked = hl_strdup(old.asked ? old.asked : old.grant.scopes);
    if (!l->s.region && !l->s.base_url) {
      l->s.region = hl_strdup(old.region);
      l->s.base_url = hl_strdup(old.base_url);
    }
    if (!hl_args_has(a, "env")) l->s.client_secret = hl_strdup(old.client_secret);
  }
  if (!l->s.client_id) rc = hl_fail(err, HL_EINVAL, "auth login needs --client-id ID: the client id of your app, on its Auth page");
  else if (!l->s.asked)
    rc = hl_fail(
        err, HL_EINVAL,
        "auth login needs --scopes LIST: those that the app requires, as in \"oauth crm.objects.contacts.read\"");
  if (rc || l->s.client_secret) goto out;
  snprintf(what, sizeof what, "client secret of %s", name);
  rc = hl_auth_secret(a, what, &secret, err);
  if (!rc) l->s.client_secret = hl_strdup(secret.p);
  hl_buf_wipe(&secret);
out:
  hl_stored_wipe(&old);
  return rc;
}

static int wait_for_consent(login *l, const hl_args *a, char *redirect, size_t size, hl_error *err) {
  char listen[32], pages[256], challenge[HL_OAUTH_VERIFIER + 1];
  int64_t port, portal, seconds;
  hl_timer timer = {0};
  hl_buf url;
  hl_buf_init(&url, 64 * 1024);
  int rc;
  if (hl_args_int(a, "port", 0, 65535, 8483, &port) || hl_args_int(a, "portal", 1, INT64_MAX / 2, 0, &portal) ||
      hl_args_int(a, "timeout", 1, 86400, 300, &seconds))
    return hl_fail(err, HL_EINVAL, "nothing was stored");
  snprintf(listen, sizeof listen, "127.0.0.1:%d", (int)port);
  hl_server_options so = {.listen = listen, .max_body = 1024, .max_connections = 16};
  if ((rc = hl_server_new(l->x.loop, &so, on_request, l, &l->server, err))) {
    if (rc == HL_EBUSY)
      hl_fail(err, rc,
              "port %d is in use on this machine: choose another with --port N, and add http://localhost:N%s to the "
              "app's redirect URLs",
              (int)port, path);
    goto out;
  }
  snprintf(redirect, size, "http://localhost:%u%s", hl_server_port(l->server), path);
  if ((rc = hl_oauth_random(l->state, err)) || (rc = hl_oauth_random(l->verifier, err))) goto out;
  hl_oauth_challenge(l->verifier, challenge);
  if (l->s.base_url) snprintf(pages, sizeof pages, "%s", l->s.base_url);
  else if ((rc = hl_region_pages(l->s.region, pages, sizeof pages, err))) goto out;
  rc = hl_oauth_page(&url, pages, portal, l->s.client_id, redirect, l->s.asked, hl_args_get(a, "optional-scopes"),
                     l->state, challenge);
  if (rc) {
    hl_fail(err, rc, "the list of scopes is too long for an address");
    goto out;
  }
  bool opened = open_browser(l, a, url.p);
  fprintf(stderr, "%s\n  %s\n",
          opened ? "Your browser opens this page; choose the account and give consent:"
                 : "Open this page in a browser on this machine, choose the account and give consent:",
          url.p);
  hl_loop_on_signal(l->x.loop, SIGINT, stop_waiting, l, NULL);
  hl_timer_start(l->x.loop, &timer, seconds * 1000, on_late, l);
  hl_loop_run_until(l->x.loop, &l->done);
  hl_timer_stop(l->x.loop, &timer);
  *err = l->err;
  rc = err->code;
out:
  hl_buf_deinit(&url);
  return rc;
}

static void set_flag(void *arg) { *(bool *)arg = true; }

static int run(const hl_args *a) {
  hl_error err = {0};
  login l = {0};
  char redirect[128], base[256], what[200];
  const char *name;
  int64_t portal = 0;
  int rc = hl_auth_one_name(a, &name, &err);
  if (!rc) rc = hl_auth_open(&l.x, a, &err);
  if (!rc) rc = read_app(a, &l, name, &err);
  if (!rc) rc = hl_stored_base(&l.s, base, sizeof base, &err);
  if (!rc) rc = wait_for_consent(&l, a, redirect, sizeof redirect, &err);
  if (!rc && (rc = exchange(&l, base, redirect, &err))) hl_fail_in(&err, "consent was given, but no token came");
  if (!rc) hl_args_int(a, "portal", 1, INT64_MAX / 2, 0, &portal);
  if (!rc && portal && l.s.grant.portal && portal != l.s.grant.portal)
    rc = hl_fail(&err, HL_EINVAL, "consent was given for portal %lld, not %lld: nothing was stored",
                 (long long)l.s.grant.portal, (long long)portal);
  if (!rc) rc = hl_stored_put(l.x.vault, &l.s, &err);
  if (!rc) {
    hl_auth_identity id = {.portal = l.s.grant.portal};
    hl_auth_describe(&l.s, &id, what, sizeof what);
    printf("connected %s: %s, in %s\n", name, what, hl_vault_path(l.x.vault));
    printf("hubloop.lua: accounts = { %s = { oauth = \"%s\" } }; without settings it is used when HUBSPOT_TOKEN is not "
           "set.\n",
           "main", name);
  }
  if (l.server) { /* the browser gets its page first */
    bool drained = false;
    hl_server_drain(l.server, 2000, set_flag, &drained);
    hl_loop_run_until(l.x.loop, &drained);
    hl_server_free(l.server);
  }
  leave_browser(&l);
  explicit_bzero(l.code, sizeof l.code);
  explicit_bzero(l.verifier, sizeof l.verifier);
  hl_stored_wipe(&l.s);
  hl_auth_close(&l.x);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_login = {
    .name = "auth login",
    .operands = "NAME",
    .summary = "connect a HubSpot account in a browser (OAuth)",
    .flags = flags,
    .min = 1,
    .max = HL_ARGS_MAX,
    .run = run,
    .examples = "  hubloop auth login shop --client-id ID --scopes \"oauth crm.objects.contacts.read\"\n"
                "  hubloop auth login shop                       again, with the same app\n"
                "The app's redirect URLs must hold http://localhost:8483/callback.\n",
};
