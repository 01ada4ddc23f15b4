/* http: requests to the hosts that the script may reach (SEMANTICS 24, 39). The
 * HubSpot token is never here: it belongs to the account's queue alone.
 *
 * In a step one that changes something is stored as intended before it leaves,
 * and its answer when it comes (SEMANTICS 16), as writes to HubSpot are. */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "hubspot/seal.h"
#include "hubspot/retry.h"
#include "hubspot/seal.h"
#include "lua/script.h"
#include "net/libcurl.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

typedef struct http_op {
  hl_task *task;
  hl_transport *transport;
  hl_http_op *op;
  char **hosts;              /* the script's, borrowed: it outlives its tasks */
  hl_net_policy policy;
  char *hidden;              /* method and address, when that is secret and `what` has its name; else NULL */
  hl_replay *replay;         /* that counts it; NULL: none */
  const hl_http_response *response;
  char *what;                /* "GET https://host/path" without the query */
  bool makes;                /* made twice it does twice as much */
  hl_write *write;           /* a step's; NULL: not stored */
  hl_step_op *intent;        /* until that is committed */
  /* the request, until it is out */
  char *method, *url;
  hl_headers headers;
  hl_buf body;
  int64_t timeout;
  unsigned redirects;
  hl_error err;              /* why it could not go out */
} http_op;

typedef enum { NOT_ALLOWED, ALLOWED, NAMED } permit;

static bool get_part(CURLU *u, CURLUPart part, char *out, size_t size) {
  char *s = NULL;
  if (curl_url_get(u, part, &s, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK) return false;
  bool fits = strlen(s) < size;
  if (fits) memcpy(out, s, strlen(s) + 1);
  curl_free(s);
  return fits;
}

/* A pattern is "host", "host:port" or "*.domain". Without a port it means the
 * scheme's own. Only a host that is named in full may lie in a private network. */
static permit match(const char *pattern, const char *host, const char *port, bool own_port) {
  hl_str p = hl_str_of(pattern), h = hl_str_of(host);
  /* The port is what follows the last colon, unless it belongs to an IPv6 address. */
  const char *colon = strrchr(pattern, ':'), *bracket = strrchr(pattern, ']');
  if (colon && (!bracket || colon > bracket) && (bracket || strchr(pattern, ':') == colon)) {
    if (strcmp(colon + 1, port) != 0) return NOT_ALLOWED;
    p.n = (size_t)(colon - pattern);
  } else if (!own_port) {
    return NOT_ALLOWED;
  }
  char lower[256];
  if (p.n >= sizeof lower) return NOT_ALLOWED;
  memcpy(lower, p.p, p.n);
  lower[p.n] = 0;
  if (hl_str_ieqz(h, lower)) return NAMED;
  if (p.n > 2 && lower[0] == '*' && lower[1] == '.') {
    hl_str tail = {lower + 1, p.n - 1};
    if (h.n > tail.n && hl_str_ieqz((hl_str){h.p + h.n - tail.n, tail.n}, lower + 1)) return ALLOWED;
  }
  return NOT_ALLOWED;
}

/* Fills host:port for messages. */
static permit permitted(const char *script, char **hosts, const char *url, char *where, size_t size, hl_error *err) {
  permit best = NOT_ALLOWED;
  if (hl_curl_load(err)) return best;
  CURLU *u = curl_url();
  char scheme[16], host[256], port[8], user[8];
  if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
      !get_part(u, CURLUPART_SCHEME, scheme, sizeof scheme) || !get_part(u, CURLUPART_HOST, host, sizeof host) ||
      !get_part(u, CURLUPART_PORT, port, sizeof port)) {
    hl_fail(err, HL_EINVAL, "not an absolute http(s) URL");
  } else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
    hl_fail(err, HL_EDENIED, "only http and https are possible, not %s", scheme);
  } else if (get_part(u, CURLUPART_USER, user, sizeof user)) {
    hl_fail(err, HL_EINVAL, "a URL cannot carry a user name; use a header with secret \"NAME\"");
  } else {
    bool own = strcmp(port, strcmp(scheme, "http") == 0 ? "80" : "443") == 0;
    snprintf(where, size, own ? "%s" : "%s:%s", host, port);
    for (; hosts && *hosts && best != NAMED; hosts++) {
      permit p = match(*hosts, host, port, own);
      if (p > best) best = p;
    }
    if (best == NOT_ALLOWED)
      hl_fail(err, HL_EDENIED,
              "this script may not reach %s: permit it with permissions = { [\"%s\"] = { hosts = { \"%s\" } } } "
              "in hubloop.lua, or --allow-host %s for a lone script, which reads no hubloop.lua", where, script, where, where);
  }
  curl_url_cleanup(u);
  return best;
}

/* The origin of the last permitted URL is remembered: a script asks the same host
 * thousands of times, and scheme and authority alone decide. */
static permit permitted_again(hl_script *s, const char *url, char *where, size_t size, hl_error *err) {
  if (s->http_origin && strncmp(url, s->http_origin, s->http_origin_n) == 0 && url[s->http_origin_n] == '/')
    return s->http_named ? NAMED : ALLOWED;
  permit p = permitted(s->name, s->hosts, url, where, size, err);
  size_t n = hl_url_origin(url);
  if (p == NOT_ALLOWED || !n) return p;
  hl_free(s->http_origin);
  s->http_origin_n = n;
  s->http_origin = hl_strndup(url, n);
  s->http_named = p == NAMED;
  return p;
}

static bool allow_redirect(void *arg, const char *url) {
  http_op *o = arg;
  char where[300];
  hl_error err;
  permit p = permitted("", o->hosts, url, where, sizeof where, &err);
  /* The request's policy was set by its first host. */
  return p == NAMED || (p == ALLOWED && o->policy == HL_NET_PUBLIC);
}

static void drop_request(http_op *o) {
  hl_free(o->method);
  hl_free(o->url);
  o->method = o->url = NULL;
  hl_headers_deinit(&o->headers);
  hl_buf_deinit(&o->body);
}

static void op_free(http_op *o) {
  if (o->replay) o->replay->out--;
  drop_request(o);
  hl_free(o->what);
  hl_free(o->hidden);
  hl_free(o);
}

static void op_cancel(void *arg) {
  http_op *o = arg;
  if (o->write && (o->intent || (o->transport->sent && !o->transport->sent(o->op)))) hl_write_refused(o->write);
  if (o->intent) hl_step_op_drop(o->intent);
  else o->transport->cancel(o->transport, o->op);
  op_free(o);
}

static void push_lower(lua_State *L, const char *s) {
  char lower[64];
  size_t n = 0;
  for (; s[n] && n < sizeof lower; n++) lower[n] = (char)(s[n] >= 'A' && s[n] <= 'Z' ? s[n] + 32 : s[n]);
  if (!s[n]) {
    lua_pushlstring(L, lower, n);
    return;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; *s; s++) luaL_addchar(&b, (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s));
  luaL_pushresult(&b);
}

/* The table on top has a body; its json() is added. */
static void add_json_fn(lua_State *L) {
  lua_getfield(L, -1, "body");
  hl_lua_push_json_fn(L);
  lua_setfield(L, -2, "json");
}

/* What the store keeps of the answer on top. One that it cannot keep counts all the same. */
static void keep_answer(lua_State *L, const http_op *o) {
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, HL_STEP_RESULT_MAX);
  if (!hl_lua_to_json(L, -1, &json, &err)) hl_write_answered(o->write, hl_buf_str(&json));
  else if (o->makes) hl_write_answered(o->write, HL_STR("null"));
  hl_buf_deinit(&json);
}

/* Made by an earlier attempt: what it kept. */
static int push_kept(lua_State *L, const http_op *o) {
  hl_lua_push_json_text(L, hl_write_answer(o->write), true);
  if (!lua_istable(L, -1)) {
    lua_pushfstring(L, "%s: an earlier attempt has made this request, and its answer could not be kept: only text of up to 256 KB can; "
                    "end the step behind it", o->what);
    hl_lua_push_error(L, "unstorable", lua_tostring(L, -1), 0, NULL, NULL, false);
    return -1;
  }
  add_json_fn(L);
  return 1;
}

/* `why` on top. */
static int push_uncertain(lua_State *L, const char *advice) {
  lua_pushfstring(L, "%s; nobody can tell whether it was carried out: %s", lua_tostring(L, -1), advice);
  hl_lua_push_error(L, hl_err_name(HL_EUNCERTAIN), lua_tostring(L, -1), 0, NULL, NULL, false);
  return -1;
}

static int push_failure(lua_State *L, const http_op *o) {
  const hl_error *err = &o->response->err;
  /* The client's own texts begin with the request. */
  const char *text = err->text;
  if (o->hidden && strncmp(text, o->hidden, strlen(o->hidden)) == 0) text += strlen(o->hidden) + strspn(text + strlen(o->hidden), ": ");
  bool named = strncmp(text, o->what, strlen(o->what)) == 0;
  bool again = err->code == HL_ENET || err->code == HL_ETIMEOUT;
  lua_pushfstring(L, "%s%s%s", named ? "" : o->what, named ? "" : ": ", text);
  if (o->response->sent && o->makes && (again || err->code == HL_EPROTOCOL))
    return push_uncertain(L, "look before it is made again, or say idempotent = true if a second one changes nothing more");
  hl_lua_push_error(L, hl_err_name(err->code), lua_tostring(L, -1), 0, NULL, NULL, again);
  return -1;
}

static int push_response(lua_State *L, void *arg) {
  http_op *o = arg;
  const hl_http_response *r = o->response;
  if (r->status == 0) return push_failure(L, o);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, r->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, r->body.p ? r->body.p : "", r->body.n);
  lua_setfield(L, -2, "body");
  lua_createtable(L, 0, (int)r->headers.n);
  for (size_t i = 0; i < r->headers.n; i++) {
    push_lower(L, r->headers.v[i].name);
    lua_pushvalue(L, -1);
    /* A header that comes twice is one value, joined as HTTP says. */
    if (lua_rawget(L, -3) == LUA_TSTRING) {
      lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), r->headers.v[i].value);
      lua_remove(L, -2);
    } else {
      lua_pop(L, 1);
      lua_pushstring(L, r->headers.v[i].value);
    }
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "headers");
  if (o->write && r->status < 400) keep_answer(L, o);
  add_json_fn(L);
  return 1;
}

/* A refusal means that nothing was done; who never answered may have done it. */
static void note_failure(const http_op *o, const hl_http_response *r) {
  if (hl_retry_decide(r->status, r->err.code, r->sent, !o->makes) == HL_RETRY_UNCERTAIN) hl_write_uncertain(o->write);
  else if (r->status || !r->sent) hl_write_refused(o->write);
}

static void answered(void *arg, const hl_http_response *r) {
  http_op *o = arg;
  o->response = r;
  if (o->write && (r->status == 0 || r->status >= 400)) note_failure(o, r);
  hl_task_resume(o->task, push_response, o);
  op_free(o);
}

/* Its request goes out, and is held no longer. */
static int send_request(http_op *o, hl_error *err) {
  hl_http_request r = {.method = o->method, .url = o->url, .headers = &o->headers, .body = hl_buf_str(&o->body),
                       .timeout_ms = o->timeout, .max_redirects = o->redirects, .policy = o->policy,
                       .allow = allow_redirect, .allow_arg = o};
  int rc = o->transport->send(o->transport, &r, answered, o, &o->op, err);
  drop_request(o);
  return rc;
}

/* An earlier attempt was about to make it. */
static int push_lost(lua_State *L, const http_op *o) {
  hl_write_uncertain(o->write);
  lua_pushfstring(L, "%s: an earlier attempt was ended while it made this request", o->what);
  return push_uncertain(L, "look, then settle it: hubloop help steps");
}

static int push_unsent(lua_State *L, void *arg) {
  const http_op *o = arg;
  lua_pushfstring(L, "http: %s", o->err.text);
  hl_lua_push_error(L, hl_err_name(o->err.code), lua_tostring(L, -1), 0, NULL, NULL, false);
  return -1;
}

static void intended(void *arg, int code) {
  http_op *o = arg;
  (void)code;
  o->intent = NULL;
  if (!send_request(o, &o->err)) return;
  hl_write_refused(o->write);
  hl_task_resume(o->task, push_unsent, o);
  op_free(o);
}

static bool header_ok(hl_str s, bool is_name) {
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c < 32 || c == 127 || (is_name && (c == ':' || c == ' '))) return false;
  }
  return !is_name || s.n > 0;
}

/* Adds the value at the top of the stack (popped); a secret is resolved here. */
static int add_header(lua_State *L, hl_headers *h, hl_str name, hl_error *err) {
  int rc = 0;
  hl_buf value;
  hl_buf_init(&value, 64 * 1024);
  if (hl_secret_is(L, -1)) {
    rc = hl_secret_resolve(L, -1, &value, err);
  } else if (lua_isstring(L, -1)) {
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    rc = hl_buf_append(&value, p, n);
    if (rc) hl_fail(err, rc, "header " HL_STR_FMT " is too long", HL_STR_ARG(name));
  } else {
    rc = hl_fail(err, HL_EINVAL, "header " HL_STR_FMT " must be a string or a secret", HL_STR_ARG(name));
  }
  if (!rc && (!header_ok(name, true) || !header_ok(hl_buf_str(&value), false)))
    rc = hl_fail(err, HL_EINVAL, "header " HL_STR_FMT " holds bytes that are not allowed", HL_STR_ARG(name));
  if (!rc) hl_headers_add(h, name, hl_buf_str(&value));
  hl_buf_deinit(&value);
  lua_pop(L, 1);
  return rc;
}

/* "Basic …" of the table on top, { user, secret }. */
static int add_basic(lua_State *L, hl_buf *out, hl_error *err) {
  hl_buf b;
  char text[(8 * 1024 + 2) / 3 * 4 + 8];
  hl_buf_init(&b, 8 * 1024);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  const char *user = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
  int rc = user && !strchr(user, ':') && hl_secret_is(L, -1)
               ? hl_buf_printf(&b, "%s:", user)
               : hl_fail(err, HL_EINVAL, "auth must be secret \"NAME\", or { \"user\", secret \"NAME\" }");
  if (!rc) rc = hl_secret_resolve(L, -1, &b, err);
  lua_pop(L, 2);
  if (!rc) {
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)b.p, (int)b.n);
    rc = hl_buf_puts(out, "Basic ");
    if (!rc) rc = hl_buf_puts(out, text);
    OPENSSL_cleanse(text, sizeof text);
  }
  hl_buf_wipe(&b);
  return rc;
}

static int read_headers(lua_State *L, int opts, hl_headers *h, hl_error *err) {
  int rc = 0;
  if (lua_getfield(L, opts, "headers") == LUA_TTABLE) {
    lua_pushnil(L);
    while (!rc && lua_next(L, -2)) {
      if (lua_type(L, -2) != LUA_TSTRING) return hl_fail(err, HL_EINVAL, "headers are { name = value }");
      hl_str name;
      name.p = lua_tolstring(L, -2, &name.n);
      rc = add_header(L, h, name, err);
    }
  } else if (!lua_isnil(L, -1)) {
    rc = hl_fail(err, HL_EINVAL, "headers must be a table");
  }
  if (!rc && lua_getfield(L, opts, "auth") != LUA_TNIL) {
    /* auth = secret "NAME": a bearer token; { "user", secret "NAME" }: a name and its password. */
    hl_buf b;
    hl_buf_init(&b, 64 * 1024);
    if (lua_type(L, -1) == LUA_TTABLE) {
      rc = add_basic(L, &b, err);
    } else {
      rc = hl_buf_puts(&b, "Bearer ");
      if (!rc) rc = hl_secret_is(L, -1) ? hl_secret_resolve(L, -1, &b, err)
                                        : hl_fail(err, HL_EINVAL, "auth must be secret \"NAME\", or { \"user\", secret \"NAME\" }");
    }
    if (!rc) hl_headers_add(h, HL_STR("Authorization"), hl_buf_str(&b));
    hl_buf_wipe(&b);
  }
  return rc;
}

static int read_body(lua_State *L, int opts, http_op *o, hl_error *err) {
  if (lua_getfield(L, opts, "json") != LUA_TNIL) {
    int rc = hl_lua_to_json(L, -1, &o->body, err);
    if (!rc && !hl_headers_get(&o->headers, "content-type"))
      hl_headers_add(&o->headers, HL_STR("Content-Type"), HL_STR("application/json"));
    return rc;
  }
  if (lua_getfield(L, opts, "body") == LUA_TNIL) return 0;
  size_t n;
  const char *b = lua_tolstring(L, -1, &n);
  if (!b) return hl_fail(err, HL_EINVAL, "body must be a string; use json= for a table");
  int rc = hl_buf_append(&o->body, b, n);
  return rc ? hl_fail(err, rc, "the body is larger than %d bytes", BODY_MAX) : 0;
}

static bool one_of(const char *method, const char *const *list) {
  while (*list && strcmp(*list, method) != 0) list++;
  return *list != NULL;
}

/* RFC 9110, 9.2.2, unless the script knows better. -1: the option is no boolean. */
static int read_makes(lua_State *L, int opts, const http_op *o) {
  static const char *const twice_is_once[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", NULL};
  int type = lua_getfield(L, opts, "idempotent");
  if (type == LUA_TBOOLEAN) return !lua_toboolean(L, -1);
  if (type != LUA_TNIL) return -1;
  return !one_of(o->method, twice_is_once) && !hl_headers_get(&o->headers, "idempotency-key");
}

static void add_hash(cJSON *json, const char *name, hl_str text) {
  static const unsigned char key[HL_SIPHASH_KEY_BYTES];
  uint64_t h[2];
  char letters[2 * sizeof h + 1];
  hl_siphash128(key, text.p, text.n, h);
  hl_letters(h, sizeof h, letters);
  cJSON_AddStringToObject(json, name, letters);
}

/* What tells it from other requests of its step. A URL may hold what is secret, so of that there are hashes. */
static hl_write *find_write(hl_step *step, const http_op *o, hl_write_state *state) {
  size_t path = strcspn(o->url, "?#");
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "kind", "http");
  cJSON_AddStringToObject(json, "method", o->method);
  char *origin = hl_strndup(o->url, hl_url_origin(o->url));
  cJSON_AddStringToObject(json, "host", origin);
  hl_free(origin);
  add_hash(json, "path", (hl_str){o->url, path});
  char *head = hl_json_print(json);
  add_hash(json, "query", hl_str_of(o->url + path));
  add_hash(json, "body", hl_buf_str(&o->body));
  char *all = hl_json_print(json);
  hl_write *w = hl_step_write(step, hl_str_of(all), (hl_str){all, o->makes ? strlen(head) - 1 : 0}, state);
  cJSON_Delete(json);
  hl_free(head);
  hl_free(all);
  return w;
}

/* label: what messages say instead of an address that is secret, or NULL. */
static int do_request(lua_State *L, const char *method, hl_str address, const char *label, int opts) {
  static const char *const reads[] = {"GET", "HEAD", "OPTIONS", "TRACE", NULL};
  const char *url = address.p;
  hl_script *s = hl_script_of(L);
  hl_task *t = hl_task_current(L);
  if (t && hl_task_offline(t))
    return luaL_error(L, "http requests are not possible while the script loads: move this into a handler");
  if (!s->host->o.http) return luaL_error(L, "http is not available here");
  if (strlen(url) != address.n) return hl_lua_raise(L, "invalid", "http: the URL holds a NUL character");
  char where[300];
  hl_error err;
  permit p = permitted_again(s, url, where, sizeof where, &err);
  if (p == NOT_ALLOWED) return hl_lua_raise(L, hl_err_name(err.code), "http: %s", err.text);
  int64_t timeout = hl_lua_opt_duration(L, opts, "timeout", 30 * HL_SECOND);
  unsigned redirects = (unsigned)hl_lua_opt_int(L, opts, "max_redirects", 0, 20, 5);
  t = hl_task_check_wait(L);

  http_op *o = HL_NEW(http_op);
  *o = (http_op){.task = t, .transport = s->host->o.http, .hosts = s->hosts, .policy = p == NAMED ? HL_NET_NAMED : HL_NET_PUBLIC,
                 .method = hl_strdup(method), .url = hl_strdup(url), .timeout = timeout, .redirects = redirects};
  hl_buf what;
  hl_buf_init(&what, 4096);
  if (label) {
    if (!hl_buf_printf(&what, "%s %.*s", method, (int)strcspn(url, "?#"), url)) o->hidden = hl_buf_detach(&what, NULL);
    hl_buf_clear(&what);
    (void)hl_buf_printf(&what, "%s %s", method, label);
  } else if (hl_buf_printf(&what, "%s %.*s", method, (int)strcspn(url, "?#"), url)) hl_buf_puts(&what, method);
  o->what = hl_buf_detach(&what, NULL);
  hl_buf_init(&o->body, BODY_MAX);
  int rc = read_headers(L, opts, &o->headers, &err);
  if (!rc) rc = read_body(L, opts, o, &err);
  int makes = rc ? 0 : read_makes(L, opts, o);
  if (makes < 0) rc = hl_fail(&err, HL_EINVAL, "idempotent must be true or false");
  o->makes = makes > 0;
  hl_write_state state = HL_WRITE_LOST;
  if (!rc && hl_task_step(t) && !one_of(method, reads)) o->write = find_write(hl_task_step(t), o, &state);
  if (!rc && o->write && (state == HL_WRITE_ANSWERED || (state == HL_WRITE_LOST && o->makes))) {
    int n = state == HL_WRITE_ANSWERED ? push_kept(L, o) : push_lost(L, o);
    op_free(o);
    return n < 0 ? lua_error(L) : n;
  }
  bool held = s->host->o.replay && !one_of(method, reads);
  if (!rc && s->host->o.replay && (held || s->host->o.replay->reads))
    hl_replay_did(s->host, hl_task_run(t), false, "http", o->what, hl_buf_str(&o->body), NULL);
  if (!rc && held) { /* in a replay nothing is sent that may change something */
    const hl_http_response accepted = {.status = 202};
    o->response = &accepted;
    int n = push_response(L, o);
    op_free(o);
    return n;
  }
  if (!rc && state == HL_WRITE_NEW) o->intent = hl_write_intend(o->write, intended, o);
  else if (!rc) rc = send_request(o, &err);
  if (rc) {
    if (o->write) hl_write_refused(o->write);
    op_free(o);
    return hl_lua_raise(L, hl_err_name(rc), "http: %s", err.text);
  }
  if ((o->replay = s->host->o.replay)) o->replay->out++;
  hl_task_wait(t, op_cancel, o);
  return hl_task_yield(L);
}

static const char *const known[] = {"url", "method", "headers", "json", "body", "timeout", "max_redirects",
                                    "auth", "idempotent", NULL};

static const char *check_method(lua_State *L, const char *m) {
  for (const char *c = m; *c; c++)
    if (*c < 'A' || *c > 'Z') luaL_error(L, "http: '%s' is no method; methods are upper-case, such as 'GET'", m);
  return m;
}

/* The address at idx, which secret "NAME" may stand for. It lies on the stack, where no script sees it. */
static hl_str address_at(lua_State *L, int idx, const char **label) {
  hl_str url = {NULL, 0};
  hl_buf value;
  hl_error err;
  *label = NULL;
  if (!hl_secret_is(L, idx)) {
    url.p = luaL_checklstring(L, idx, &url.n);
    return url;
  }
  luaL_checkstack(L, 4, NULL);
  *label = luaL_tolstring(L, idx, NULL);
  hl_buf_init(&value, 64 * 1024);
  int rc = hl_secret_resolve(L, idx, &value, &err);
  if (!rc) lua_pushlstring(L, value.p ? value.p : "", value.n);
  hl_buf_wipe(&value);
  if (rc) hl_lua_raise(L, hl_err_name(rc), "http: %s", err.text);
  url.p = lua_tolstring(L, -1, &url.n);
  return url;
}

/* http.request{url=, method=, …} */
static int l_request(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  hl_lua_check_options(L, 1, "http.request", known);
  const char *label;
  if (lua_getfield(L, 1, "url") == LUA_TNIL) return luaL_error(L, "http.request: 'url' is missing");
  if (lua_type(L, 2) != LUA_TSTRING && !hl_secret_is(L, 2)) return luaL_error(L, "http.request: 'url' must be a string or secret \"NAME\"");
  hl_str url = address_at(L, 2, &label);
  return do_request(L, check_method(L, hl_lua_opt_str(L, 1, "method", "GET")), url, label, 1);
}

/* http.get(url, [options]); upvalue: the method. */
static int l_method(lua_State *L) {
  const char *label;
  lua_settop(L, 2);
  hl_lua_check_options(L, 2, "http", known);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  hl_str url = address_at(L, 1, &label);
  return do_request(L, lua_tostring(L, lua_upvalueindex(1)), url, label, 2);
}

/* host.may_reach(url) -> nil, or why this script may not. */
static int l_may_reach(lua_State *L) {
  const hl_script *s = hl_script_of(L); /* NULL: a state that only looks at scripts */
  char where[300];
  hl_error err;
  if (!s || permitted(s->name, s->hosts, luaL_checkstring(L, 1), where, sizeof where, &err) != NOT_ALLOWED) return 0;
  lua_pushstring(L, err.text);
  return 1;
}

void hl_bind_http(lua_State *L) {
  static const char *const methods[][2] = {
      {"get", "GET"}, {"post", "POST"}, {"put", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}};
  lua_newtable(L);
  for (size_t i = 0; i < HL_COUNT(methods); i++) {
    lua_pushstring(L, methods[i][1]);
    lua_pushcclosure(L, l_method, 1);
    lua_setfield(L, -2, methods[i][0]);
  }
  lua_pushcfunction(L, l_request);
  lua_setfield(L, -2, "request");
  hl_state_add_module(L, "http", true);
  hl_state_push_host(L);
  lua_pushcfunction(L, l_may_reach);
  lua_setfield(L, -2, "may_reach");
  lua_pop(L, 1);
}
