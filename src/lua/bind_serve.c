/* serve("POST /path", options, fn): routes. They run directly: no inbox and no
 * retry; what they write or emit is committed before the answer leaves
 * (SEMANTICS 28). */
#include "base/mem.h"
#include "lua/script.h"

enum { TIMEOUT_MS = 30 * 1000, ANSWER_MAX = 16 * 1024 * 1024 };

struct hl_route {
  hl_route *next;
  hl_script *script;
  char *method, *path, *account;
  char *where;             /* "form.lua:12: ", for messages */
  size_t path_n;
  bool tail;               /* the path ended in a star: path_n bytes are its prefix */
  int fn_ref;
  int auth_ref;            /* a secret, or LUA_NOREF: auth = false */
  int64_t timeout_ms;
  hl_api_class klass;
};

typedef struct answer {
  int status;
  hl_headers headers;
  hl_buf body;
} answer;

typedef struct routed {    /* one request in a route's hands */
  hl_route *route;
  hl_request *request;
  hl_run *run;
  answer a;
} routed;

static void reply_text(hl_request *r, int status, const char *text) {
  hl_headers h = {0};
  hl_headers_add(&h, HL_STR("Content-Type"), HL_STR("text/plain; charset=utf-8"));
  hl_request_reply(r, status, &h, hl_str_of(text));
  hl_headers_deinit(&h);
}

static void routed_free(routed *r) {
  hl_headers_deinit(&r->a.headers);
  hl_buf_deinit(&r->a.body);
  hl_free(r);
}

/* ---- the request as a table ---- */
static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 32);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void push_decoded(lua_State *L, hl_str s) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] == '+') {
      luaL_addchar(&b, ' ');
    } else if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
      luaL_addchar(&b, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
      i += 2;
    } else {
      luaL_addchar(&b, s.p[i]);
    }
  }
  luaL_pushresult(&b);
}

static void push_query(lua_State *L, hl_str q) {
  lua_newtable(L);
  size_t at = 0;
  while (at < q.n) {
    size_t end = at;
    while (end < q.n && q.p[end] != '&') end++;
    hl_str pair = {q.p + at, end - at};
    const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
    hl_str key = eq ? (hl_str){pair.p, (size_t)(eq - pair.p)} : pair;
    hl_str value = eq ? (hl_str){eq + 1, pair.n - key.n - 1} : (hl_str){"", 0};
    if (pair.n) {
      push_decoded(L, key);
      push_decoded(L, value);
      lua_rawset(L, -3);
    }
    at = end + 1;
  }
}

static void add_header(void *arg, const char *name, const char *value) {
  lua_State *L = arg;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; *name; name++) luaL_addchar(&b, (char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name));
  luaL_pushresult(&b);
  lua_pushstring(L, value);
  lua_rawset(L, -3);
}

static int push_request(lua_State *L) {
  routed *r = lua_touserdata(L, 1);
  hl_str body = hl_request_body(r->request), path = hl_request_path(r->request);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->route->fn_ref);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, hl_request_method(r->request));
  lua_setfield(L, -2, "method");
  lua_pushlstring(L, path.p, path.n);
  lua_setfield(L, -2, "path");
  push_query(L, hl_request_query(r->request));
  lua_setfield(L, -2, "query");
  lua_newtable(L);
  hl_request_headers(r->request, add_header, L);
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, body.p ? body.p : "", body.n);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "body");
  hl_lua_push_json_fn(L);
  lua_setfield(L, -2, "json");
  lua_pushstring(L, hl_request_peer(r->request));
  lua_setfield(L, -2, "peer");
  return 2;
}

/* ---- the answer ---- */
static const char *const answer_known[] = {"status", "headers", "json", "body", NULL};

static void set_type(answer *a, const char *type) {
  if (!hl_headers_get(&a->headers, "content-type"))
    hl_headers_add(&a->headers, HL_STR("Content-Type"), hl_str_of(type));
}

/* Arguments: answer (light userdata), what the route returned. Raises on a wrong answer. */
static int read_answer(lua_State *L) {
  answer *a = lua_touserdata(L, 1);
  lua_settop(L, 2);
  switch (lua_type(L, 2)) {
    case LUA_TNIL:
      a->status = 204;
      return 0;
    case LUA_TNUMBER:
      a->status = (int)luaL_checkinteger(L, 2);
      break;
    case LUA_TSTRING: {
      size_t n;
      const char *p = lua_tolstring(L, 2, &n);
      if (hl_buf_append(&a->body, p, n)) return luaL_error(L, "the answer is larger than 16 MiB");
      set_type(a, "text/plain; charset=utf-8");
      break;
    }
    case LUA_TTABLE: {
      hl_lua_check_options(L, 2, "a route's answer", answer_known);
      a->status = (int)hl_lua_opt_int(L, 2, "status", 100, 599, 200);
      if (lua_getfield(L, 2, "headers") == LUA_TTABLE) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
          if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            return luaL_error(L, "a route's headers are { name = text }");
          const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1);
          if (strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
            return luaL_error(L, "the header '%s' holds bytes that are not allowed", name);
          hl_headers_add(&a->headers, hl_str_of(name), hl_str_of(value));
          lua_pop(L, 1);
        }
      }
      if (lua_getfield(L, 2, "json") != LUA_TNIL) {
        hl_error err;
        if (hl_lua_to_json(L, -1, &a->body, &err)) return luaL_error(L, "a route's json: %s", err.text);
        set_type(a, "application/json");
      } else if (lua_getfield(L, 2, "body") != LUA_TNIL) {
        size_t n;
        const char *p = luaL_checklstring(L, -1, &n);
        if (hl_buf_append(&a->body, p, n)) return luaL_error(L, "the answer is larger than 16 MiB");
        set_type(a, "text/plain; charset=utf-8");
      }
      break;
    }
    default:
      return luaL_error(L, "a route returns a status, a text or a table, not a %s", luaL_typename(L, 2));
  }
  if (a->status < 100 || a->status > 599) return luaL_error(L, "%d is no HTTP status", a->status);
  return 0;
}

static void fail_request(routed *r, const char *what) {
  char id[37], text[128];
  hl_loop *loop = r->route->script->host->o.loop;
  hl_rng_uuid(hl_loop_rng(loop), id);
  hl_log_write(hl_loop_log(loop), HL_LOG_ERROR, r->route->script->name, "%s %s, failure %s: %s",
               r->route->method, r->route->path, id, what);
  snprintf(text, sizeof text, "internal error %s\n", id);
  reply_text(r->request, 500, text);
}

static void route_committed(void *arg, int code) {
  routed *r = arg;
  if (code) reply_text(r->request, 503, "not stored, try again later\n");
  else hl_request_reply(r->request, r->a.status, &r->a.headers, hl_buf_str(&r->a.body));
  hl_run_finish(r->run, code ? HL_RUN_FAILED : HL_RUN_DONE, (hl_str){NULL, 0});
  routed_free(r);
}

static void route_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  routed *r = arg;
  if (code == 0) {
    if (nresults == 0) lua_pushnil(L);
    else lua_pushvalue(L, -nresults);
    lua_pushcfunction(L, read_answer);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &r->a);
    lua_insert(L, -2);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) {
      hl_run_commit(r->run, route_committed, r);
      return;
    }
    const char *why = lua_tostring(L, -1);
    fail_request(r, why ? why : "out of memory");
    lua_pop(L, 1);
  } else if (code == HL_ECANCELLED) {
    reply_text(r->request, 503, "cut short, try again\n");
  } else {
    char *why = hl_strndup(text.p, text.n);
    fail_request(r, why);
    hl_free(why);
  }
  hl_run_finish(r->run, code == HL_ECANCELLED ? HL_RUN_CUT : HL_RUN_FAILED, text);
  routed_free(r);
}

/* ---- finding and starting ---- */
static bool path_matches(const hl_route *route, hl_str path) {
  if (!route->tail) return path.n == route->path_n && memcmp(path.p, route->path, path.n) == 0;
  return path.n >= route->path_n && memcmp(path.p, route->path, route->path_n) == 0;
}

static bool authorised(hl_route *route, hl_request *request) {
  if (route->auth_ref == LUA_NOREF) return true;
  const char *given = hl_request_header(request, "Authorization");
  if (given && hl_str_ieqz((hl_str){given, strlen(given) < 7 ? strlen(given) : 7}, "bearer ")) given += 7;
  else given = hl_request_header(request, "X-Api-Key");
  lua_State *L = hl_state_lua(route->script->state);
  hl_buf want;
  hl_error err;
  hl_buf_init(&want, 64 * 1024);
  lua_rawgeti(L, LUA_REGISTRYINDEX, route->auth_ref);
  int rc = hl_secret_resolve(L, -1, &want, &err);
  lua_pop(L, 1);
  if (rc) hl_log_write(hl_loop_log(route->script->host->o.loop), HL_LOG_ERROR, route->script->name,
                       "%s %s: %s", route->method, route->path, err.text);
  bool same = !rc && want.n > 0 && given && hl_str_same_secret(hl_str_of(given), hl_buf_str(&want));
  hl_buf_deinit(&want);
  return same;
}

static void start_route(hl_route *route, hl_request *request) {
  hl_script *s = route->script;
  routed *r = HL_NEW(routed);
  r->route = route;
  r->request = request;
  r->a.status = 200;
  hl_buf_init(&r->a.body, ANSWER_MAX);
  hl_error err;
  if (!hl_script_protected(s, push_request, r, 2, &err)) {
    fail_request(r, err.text);
    routed_free(r);
    return;
  }
  const char *account = route->account ? route->account : hl_host_default_account(s->host);
  r->run = hl_engine_begin(s->host->o.engine, s->name, account);
  hl_task_options o = {.run = r->run, .account = account, .klass = route->klass, .timeout_ms = route->timeout_ms};
  if (hl_work_start(s, 1, &o, route_ended, r, NULL, &err)) {
    hl_run_finish(r->run, HL_RUN_FAILED, hl_str_of(err.text));
    reply_text(request, 503, "too busy, try again later\n");
    routed_free(r);
  }
}

bool hl_host_route(hl_host *host, hl_request *request) {
  hl_str path = hl_request_path(request);
  const char *method = hl_request_method(request);
  hl_buf allow;
  bool known_path = false;
  hl_buf_init(&allow, 1024);
  for (hl_script *s = host->scripts; s; s = s->next) {
    for (hl_route *route = s->routes; route; route = route->next) {
      if (!path_matches(route, path)) continue;
      if (strcmp(route->method, method) != 0) {
        /* A full list is cut short: Allow is a hint. */
        if (hl_buf_printf(&allow, "%s%s", known_path ? ", " : "", route->method) == 0) known_path = true;
        continue;
      }
      if (authorised(route, request)) start_route(route, request);
      else reply_text(request, 401, "this route wants its key as 'Authorization: Bearer …' or 'X-Api-Key: …'\n");
      hl_buf_deinit(&allow);
      return true;
    }
  }
  if (known_path) {
    hl_headers h = {0};
    hl_headers_add(&h, HL_STR("Allow"), hl_buf_str(&allow));
    hl_request_reply(request, 405, &h, HL_STR("method not allowed\n"));
    hl_headers_deinit(&h);
  }
  hl_buf_deinit(&allow);
  return known_path;
}

/* ---- registration ---- */
static const char *const known[] = {"auth", "account", "timeout", "priority", NULL};

static const hl_route *same_route(const hl_script *s, const char *method, const char *path) {
  const hl_route *r = s->routes;
  while (r && (strcmp(r->method, method) != 0 || strcmp(r->path, path) != 0)) r = r->next;
  return r;
}

int hl_routes_clash(const hl_script *fresh, const hl_script *other, hl_error *err) {
  for (const hl_route *r = fresh->routes; r; r = r->next)
    if (same_route(other, r->method, r->path))
      return hl_fail(err, HL_EINVAL, "%sserve(\"%s %s\"): %s already serves it", r->where, r->method, r->path, other->name);
  return 0;
}

static int l_serve(lua_State *L) {
  static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", NULL};
  const char *what = luaL_checkstring(L, 1);
  hl_script_check_loading(L, "serve()");
  lua_settop(L, 3);
  if (lua_isfunction(L, 2) && lua_isnil(L, 3))
    return luaL_error(L, "serve(\"%s\"): say who may call it: { auth = secret \"NAME\" }, or { auth = false } for everybody", what);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  hl_lua_check_options(L, 2, "serve()", known);
  const char *space = strchr(what, ' ');
  const char *path = space ? space + 1 : "";
  const char *method = NULL;
  for (size_t i = 0; methods[i] && !method; i++)
    if (hl_str_eqz((hl_str){what, space ? (size_t)(space - what) : strlen(what)}, methods[i])) method = methods[i];
  if (!method || path[0] != '/' || strpbrk(path, " ?#"))
    return luaL_error(L, "serve(): expects a method and a path, such as \"POST /form\", not '%s'", what);
  size_t n = strlen(path);
  bool tail = n >= 2 && strcmp(path + n - 2, "/*") == 0;
  if (strchr(path, '*') && !(tail && strchr(path, '*') == path + n - 1))
    return luaL_error(L, "serve(): '*' is possible only as the path's last part, as in \"GET /files/*\"");
  int auth = lua_getfield(L, 2, "auth");
  if (!hl_secret_is(L, -1) && !(auth == LUA_TBOOLEAN && !lua_toboolean(L, -1)))
    return luaL_error(L, "serve(\"%s\"): auth must be secret \"NAME\", or false for everybody", what);
  int auth_ref = LUA_NOREF;
  if (hl_secret_is(L, -1)) {
    /* A secret that is not set fails now, not at the first request. */
    hl_buf probe;
    hl_error err;
    hl_buf_init(&probe, 64 * 1024);
    int rc = hl_secret_resolve(L, -1, &probe, &err);
    hl_buf_deinit(&probe);
    if (rc) return luaL_error(L, "serve(\"%s\"): %s", what, err.text);
    auth_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  hl_script *s = hl_script_of(L);
  int64_t timeout = hl_lua_opt_duration(L, 2, "timeout", TIMEOUT_MS);
  hl_api_class klass = hl_lua_opt_class(L, 2, "priority", HL_CLASS_LIVE);
  const char *account = hl_lua_opt_str(L, 2, "account", NULL);
  const hl_script *owner = same_route(s, method, path) ? s : NULL;
  if (!s->swap) /* staged: hl_host_swap looks */
    for (const hl_script *other = s->host->scripts; other && !owner; other = other->next)
      if (same_route(other, method, path)) owner = other;
  if (owner) return luaL_error(L, "serve(\"%s\"): %s already serves it", what, owner->name);
  luaL_where(L, 1);
  const char *where = lua_tostring(L, -1);
  lua_pushvalue(L, 3);
  int fn_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  hl_route *route = HL_NEW(hl_route);
  route->script = s;
  route->method = hl_strdup(method);
  route->where = hl_strdup(where);
  route->path = hl_strdup(path);
  route->path_n = tail ? n - 1 : n;
  route->tail = tail;
  route->account = hl_strdup(account);
  route->fn_ref = fn_ref;
  route->auth_ref = auth_ref;
  route->timeout_ms = timeout;
  route->klass = klass;
  hl_route **at = &s->routes;
  while (*at) at = &(*at)->next;
  *at = route;
  s->registered++;
  return 0;
}

void hl_routes_free(hl_script *s) {
  while (s->routes) {
    hl_route *r = s->routes;
    s->routes = r->next;
    hl_free(r->method);
    hl_free(r->path);
    hl_free(r->where);
    hl_free(r->account);
    hl_free(r);
  }
}

void hl_bind_serve(lua_State *L) { lua_register(L, "serve", l_serve); }
