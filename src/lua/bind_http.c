/* http: requests to the hosts that the script may reach (SEMANTICS 24, 39). The
 * HubSpot token is never here: it belongs to the account's queue alone. */
#include "base/mem.h"
#include "lua/script.h"
#include "net/libcurl.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

typedef struct http_op {
  hl_task *task;
  hl_transport *transport;
  hl_http_op *op;
  char **hosts;              /* the script's, borrowed: it outlives its tasks */
  hl_net_policy policy;
  const hl_http_response *response;
  char *what;                /* "GET https://host/path" without the query */
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
              "in hubloop.lua, or --allow-host %s", where, script, where, where);
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

static void op_free(http_op *o) {
  hl_free(o->what);
  hl_free(o);
}

static void op_cancel(void *arg) {
  http_op *o = arg;
  o->transport->cancel(o->transport, o->op);
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

static int push_response(lua_State *L, void *arg) {
  http_op *o = arg;
  const hl_http_response *r = o->response;
  if (r->status == 0) {
    int code = r->err.code;
    /* The client's own texts begin with the request. */
    bool named = strncmp(r->err.text, o->what, strlen(o->what)) == 0;
    lua_pushfstring(L, "%s%s%s", named ? "" : o->what, named ? "" : ": ", r->err.text);
    hl_lua_push_error(L, hl_err_name(code), lua_tostring(L, -1), 0, NULL, NULL,
                      code == HL_ENET || code == HL_ETIMEOUT);
    return -1;
  }
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, r->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, r->body.p ? r->body.p : "", r->body.n);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "body");
  hl_lua_push_json_fn(L);
  lua_setfield(L, -2, "json");
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
  return 1;
}

static void answered(void *arg, const hl_http_response *r) {
  http_op *o = arg;
  o->response = r;
  hl_task_resume(o->task, push_response, o);
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
    /* auth = secret "NAME": a bearer token. */
    hl_buf b;
    hl_buf_init(&b, 64 * 1024);
    rc = hl_buf_puts(&b, "Bearer ");
    if (!rc) rc = hl_secret_is(L, -1) ? hl_secret_resolve(L, -1, &b, err)
                                      : hl_fail(err, HL_EINVAL, "auth must be secret \"NAME\"");
    if (!rc) hl_headers_add(h, HL_STR("Authorization"), hl_buf_str(&b));
    hl_buf_deinit(&b);
  }
  return rc;
}

static int do_request(lua_State *L, const char *method, hl_str address, int opts) {
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

  hl_headers headers = {0};
  hl_buf body;
  hl_buf_init(&body, BODY_MAX);
  http_op *o = HL_NEW(http_op);
  int rc = read_headers(L, opts, &headers, &err);
  if (!rc && lua_getfield(L, opts, "json") != LUA_TNIL) {
    rc = hl_lua_to_json(L, -1, &body, &err);
    if (!rc && !hl_headers_get(&headers, "content-type"))
      hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/json"));
  } else if (!rc && lua_getfield(L, opts, "body") != LUA_TNIL) {
    size_t n;
    const char *b = lua_tolstring(L, -1, &n);
    if (!b) rc = hl_fail(&err, HL_EINVAL, "body must be a string; use json= for a table");
    else if ((rc = hl_buf_append(&body, b, n)) != 0) hl_fail(&err, rc, "the body is larger than %d bytes", BODY_MAX);
  }
  if (!rc) {
    o->task = t;
    o->transport = s->host->o.http;
    o->hosts = s->hosts;
    o->policy = p == NAMED ? HL_NET_NAMED : HL_NET_PUBLIC;
    hl_buf what;
    hl_buf_init(&what, 4096);
    if (hl_buf_printf(&what, "%s %.*s", method, (int)strcspn(url, "?#"), url)) hl_buf_puts(&what, method);
    o->what = hl_buf_detach(&what, NULL);
    hl_http_request r = {.method = method, .url = url, .headers = &headers, .body = hl_buf_str(&body),
                         .timeout_ms = timeout, .max_redirects = redirects, .policy = o->policy,
                         .allow = allow_redirect, .allow_arg = o};
    rc = o->transport->send(o->transport, &r, answered, o, &o->op, &err);
  }
  hl_headers_deinit(&headers);
  hl_buf_deinit(&body);
  if (rc) {
    op_free(o);
    return hl_lua_raise(L, hl_err_name(rc), "http: %s", err.text);
  }
  hl_task_wait(t, op_cancel, o);
  return hl_task_yield(L);
}

static const char *const known[] = {"url", "method", "headers", "json", "body", "timeout", "max_redirects",
                                    "auth", NULL};

static const char *check_method(lua_State *L, const char *m) {
  for (const char *c = m; *c; c++)
    if (*c < 'A' || *c > 'Z') luaL_error(L, "http: '%s' is no method; methods are upper-case, such as 'GET'", m);
  return m;
}

/* http.request{url=, method=, …} */
static int l_request(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  hl_lua_check_options(L, 1, "http.request", known);
  hl_str url = {hl_lua_opt_str(L, 1, "url", NULL), 0};
  if (!url.p) return luaL_error(L, "http.request: 'url' is missing");
  lua_getfield(L, 1, "url");
  url.p = lua_tolstring(L, -1, &url.n);
  return do_request(L, check_method(L, hl_lua_opt_str(L, 1, "method", "GET")), url, 1);
}

/* http.get(url, [options]); upvalue: the method. */
static int l_method(lua_State *L) {
  hl_str url;
  url.p = luaL_checklstring(L, 1, &url.n);
  lua_settop(L, 2);
  hl_lua_check_options(L, 2, "http", known);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  return do_request(L, lua_tostring(L, lua_upvalueindex(1)), url, 2);
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
}
