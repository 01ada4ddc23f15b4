/* sim.http: what other hosts answer in a test. The http module's transport there;
 * a host's function runs as a task of the test's state and may wait. */
#include "base/mem.h"
#include "lua/testbed.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

typedef struct web_call {
  hl_testbed *bed;
  hl_timer timeout;
  hl_work *work;
  hl_http_cb cb;             /* NULL: cancelled */
  void *arg;
  const hl_http_request *request; /* only while it is being pushed */
  char host[256];
  hl_buf body;
  hl_http_response response;
} web_call;

static const char hosts_key;

/* A test that says what a host answers may ask it itself; the scripts under test need their permission. */
static void permit(hl_script *s, const char *host) {
  size_t n = 0;
  while (s->hosts && s->hosts[n]) {
    if (strcmp(s->hosts[n++], host) == 0) return;
  }
  s->hosts = hl_realloc(s->hosts, (n + 2) * sizeof *s->hosts);
  s->hosts[n] = hl_strdup(host);
  s->hosts[n + 1] = NULL;
}

/* http(host, fn): registers; a nil function makes the host unreachable again. */
int hl_testweb_register(lua_State *L) {
  permit(hl_script_of(L), luaL_checkstring(L, 1));
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hosts_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hosts_key);
  }
  lua_insert(L, 1);
  lua_rawset(L, 1);
  return 0;
}

/* Leaves the host's function (or nil) and the request. */
static int push_call(lua_State *L) {
  web_call *c = lua_touserdata(L, 1);
  const hl_http_request *r = c->request;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hosts_key) == LUA_TTABLE) lua_getfield(L, -1, c->host);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, r->method);
  lua_setfield(L, -2, "method");
  lua_pushstring(L, r->url);
  lua_setfield(L, -2, "url");
  lua_pushlstring(L, r->body.p ? r->body.p : "", r->body.n);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "body");
  hl_lua_push_json_fn(L);
  lua_setfield(L, -2, "json");
  lua_newtable(L);
  for (size_t i = 0; r->headers && i < r->headers->n; i++) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *p = r->headers->v[i].name; *p; p++)
      luaL_addchar(&b, (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p));
    luaL_pushresult(&b);
    lua_pushstring(L, r->headers->v[i].value);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "headers");
  return 2;
}

/* Arguments: call, what the function returned. */
static int read_response(lua_State *L) {
  static const char *const known[] = {"status", "headers", "body", "json", NULL};
  web_call *c = lua_touserdata(L, 1);
  hl_http_response *r = &c->response;
  size_t n = 0;
  const char *text = NULL;
  lua_settop(L, 2);
  r->status = 200;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    r->status = (int)luaL_checkinteger(L, 2);
  } else if (lua_type(L, 2) == LUA_TSTRING) {
    text = lua_tolstring(L, 2, &n);
  } else {
    luaL_checktype(L, 2, LUA_TTABLE);
    hl_lua_check_options(L, 2, "sim.http", known);
    r->status = (int)hl_lua_opt_int(L, 2, "status", 100, 599, 200);
    if (lua_getfield(L, 2, "headers") == LUA_TTABLE) {
      lua_pushnil(L);
      while (lua_next(L, -2)) {
        hl_headers_add(&r->headers, hl_str_of(luaL_checkstring(L, -2)), hl_str_of(luaL_checkstring(L, -1)));
        lua_pop(L, 1);
      }
    }
    if (lua_getfield(L, 2, "json") != LUA_TNIL) {
      hl_error err;
      if (hl_lua_to_json(L, -1, &c->body, &err)) return luaL_error(L, "sim.http: %s", err.text);
    } else if (lua_getfield(L, 2, "body") != LUA_TNIL) {
      text = luaL_checklstring(L, -1, &n);
    }
  }
  if (text && hl_buf_append(&c->body, text, n)) return luaL_error(L, "sim.http: the body is too large");
  return 0;
}

static void web_timeout(hl_timer *timer, void *arg) {
  web_call *c = arg;
  hl_http_cb cb = c->cb;
  hl_http_response r = {.sent = true};
  (void)timer;
  hl_fail(&r.err, HL_ETIMEOUT, "%s gave no answer within the time limit", c->host);
  c->cb = NULL;
  hl_work_cancel(c->work, HL_ECANCELLED, "nobody waits for the answer any more");
  cb(c->arg, &r);
}

static void web_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  web_call *c = arg;
  hl_http_response *r = &c->response;
  hl_timer_stop(c->bed->loop, &c->timeout);
  if (!L && c->cb) { /* the host is closing: who waits is cancelled next, and frees it */
    c->work = NULL;
    return;
  }
  if (code == 0) {
    if (nresults == 0) lua_pushinteger(L, 204);
    else lua_pushvalue(L, -nresults);
    lua_pushcfunction(L, read_response);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, c);
    lua_insert(L, -2);
    hl_error err;
    if (hl_state_call(L, 2, 0, &err)) {
      r->status = 0;
      hl_fail(&r->err, HL_EPROTOCOL, "%s", err.text);
    }
  } else {
    /* A function that raises is a connection that breaks. */
    hl_fail(&r->err, HL_ENET, HL_STR_FMT, HL_STR_ARG(text));
  }
  r->sent = true;
  r->body = hl_buf_str(&c->body);
  if (c->cb) c->cb(c->arg, r);
  hl_headers_deinit(&r->headers);
  hl_buf_deinit(&c->body);
  hl_free(c);
}

static int web_send(hl_transport *t, const hl_http_request *r, hl_http_cb cb, void *arg, hl_http_op **op,
                    hl_error *err) {
  hl_testbed *bed = HL_CONTAINER(t, hl_testbed, web);
  const char *host = strstr(r->url, "://");
  if (!host) return hl_fail(err, HL_EINVAL, "not an absolute URL: %s", r->url);
  host += 3;
  web_call *c = HL_NEW(web_call);
  c->bed = bed;
  c->request = r;
  snprintf(c->host, sizeof c->host, "%.*s", (int)strcspn(host, "/?#"), host);
  if (!hl_script_protected(bed->script, push_call, c, 2, err)) {
    hl_free(c);
    return HL_ELIMIT;
  }
  lua_State *L = hl_state_lua(bed->script->state);
  int rc;
  if (!lua_isfunction(L, -2)) {
    lua_pop(L, 2);
    rc = hl_fail(err, HL_ENET, "a test has no network: say what it answers with sim.http(\"%s\", function(request) … end)",
                 c->host);
  } else {
    hl_task_options o = {.klass = HL_CLASS_NORMAL};
    c->cb = cb;
    c->arg = arg;
    hl_buf_init(&c->body, BODY_MAX);
    rc = hl_work_start(bed->script, 1, &o, web_ended, c, &c->work, err);
  }
  if (rc) {
    hl_free(c);
    return rc;
  }
  hl_timer_start(bed->loop, &c->timeout, r->timeout_ms ? r->timeout_ms : 30 * HL_SECOND, web_timeout, c);
  *op = (hl_http_op *)(void *)c;
  return 0;
}

static void web_cancel(hl_transport *t, hl_http_op *op) {
  web_call *c = (web_call *)(void *)op;
  (void)t;
  c->cb = NULL;
  hl_timer_stop(c->bed->loop, &c->timeout);
  if (!c->work) {
    hl_buf_deinit(&c->body);
    hl_free(c);
    return;
  }
  hl_work_cancel(c->work, HL_ECANCELLED, "nobody waits for the answer any more");
}

static void web_free(hl_transport *t) { (void)t; }

void hl_testweb_init(hl_testbed *bed) { bed->web = (hl_transport){web_send, web_cancel, web_free, NULL}; }
