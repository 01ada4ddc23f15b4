/* The simulator's state and its doors. stdlib/sim/server.lua does the work:
 * S:handle(request) runs as a task (it may sleep for latency), S:control(name,
 * args) at once. */
#include "lua/sim.h"

#include <errno.h>

#include "base/mem.h"
#include "lua/task.h"

enum { CPU_MS = 120 * 1000, TASKS_MAX = 200000, FIXTURE_MAX = 256 << 20 };

typedef struct sim_call sim_call;

struct hl_sim {
  hl_transport transport;    /* hl_sim_transport gives this out */
  hl_transport elsewhere;    /* and hl_sim_elsewhere this */
  hl_loop *loop;
  hl_state *state;
  int server_ref;
  hl_transport *deliver;
  void (*progress)(void *arg, int64_t done, int64_t total);
  void *progress_arg;
  FILE *record;
  char *dir;
  sim_call *calls;
};

/* A request that S:handle works on. Also the transport's operation. */
struct sim_call {
  sim_call *next, *prev;
  hl_sim *sim;
  hl_task *task;
  hl_timer timeout;
  hl_http_cb cb;             /* of the transport, or */
  hl_sim_cb door;            /* of hl_sim_handle; both NULL: cancelled, or timed out and answered */
  void *arg;
  char *method, *target, *body; /* kept for the record only */
  size_t body_n;
};

static hl_sim *sim_of(lua_State *L) { return hl_state_owner(hl_state_of(L)); }

/* ---- host functions of the simulator ---- */
static int h_now(lua_State *L) {
  lua_pushinteger(L, hl_loop_now(sim_of(L)->loop));
  return 1;
}

static int h_random(lua_State *L) {
  lua_pushnumber(L, hl_rng_unit(hl_loop_rng(sim_of(L)->loop)));
  return 1;
}

static void spawned_ended(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text) {
  hl_sim *sim = arg;
  (void)t;
  (void)L;
  (void)nresults;
  if (code && code != HL_ECANCELLED)
    hl_log_write(hl_loop_log(sim->loop), HL_LOG_ERROR, "sim", HL_STR_FMT, HL_STR_ARG(text));
}

/* host.spawn(fn, …): a task of its own, which outlives the one that started it. */
static int h_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  hl_task_options o = {.klass = HL_CLASS_NORMAL};
  hl_error err;
  if (hl_task_start(L, lua_gettop(L) - 1, &o, spawned_ended, sim_of(L), NULL, &err))
    return luaL_error(L, "%s", err.text);
  return 0;
}

/* host.progress(done, total), while the account is being made */
static int h_progress(lua_State *L) {
  hl_sim *sim = sim_of(L);
  if (sim->progress) sim->progress(sim->progress_arg, luaL_checkinteger(L, 1), luaL_checkinteger(L, 2));
  return 0;
}

typedef struct delivery {
  hl_task *task;
  hl_transport *transport;
  hl_http_op *op;
  const hl_http_response *response;
} delivery;

static void delivery_cancel(void *arg) {
  delivery *d = arg;
  d->transport->cancel(d->transport, d->op);
  hl_free(d);
}

static int push_delivered(lua_State *L, void *arg) {
  delivery *d = arg;
  const hl_http_response *r = d->response;
  if (r->status == 0) {
    hl_lua_push_error(L, hl_err_name(r->err.code), r->err.text, 0, NULL, NULL, true);
    return -1;
  }
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, r->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, r->body.p ? r->body.p : "", r->body.n);
  lua_setfield(L, -2, "body");
  return 1;
}

static void delivered(void *arg, const hl_http_response *r) {
  delivery *d = arg;
  d->response = r;
  hl_task_resume(d->task, push_delivered, d);
  hl_free(d);
}

static const char *text_field(lua_State *L, int idx, const char *key, const char *fallback, size_t *n) {
  const char *s = lua_getfield(L, idx, key) == LUA_TNIL ? NULL : luaL_checklstring(L, -1, n);
  lua_pop(L, 1); /* the table holds it */
  if (!s && n) *n = strlen(fallback);
  return s ? s : fallback;
}

static void read_headers(lua_State *L, int idx, hl_headers *out) {
  if (lua_getfield(L, idx, "headers") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      lua_pushvalue(L, -1); /* a number would be turned into text in place */
      const char *value = lua_tostring(L, -1);
      if (lua_type(L, -3) == LUA_TSTRING && value) hl_headers_add(out, hl_str_of(lua_tostring(L, -3)), hl_str_of(value));
      lua_pop(L, 2);
    }
  }
  lua_pop(L, 1);
}

/* host.deliver{method, url, headers, body, timeout} -> {status, body} */
static int h_deliver(lua_State *L) {
  hl_sim *sim = sim_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (!sim->deliver) return luaL_error(L, "webhooks are not delivered here");
  size_t n = 0;
  const char *body = text_field(L, 1, "body", "", &n);
  const char *url = text_field(L, 1, "url", "", NULL);
  const char *method = text_field(L, 1, "method", "POST", NULL);
  int64_t timeout = 5000;
  if (lua_getfield(L, 1, "timeout") != LUA_TNIL) timeout = hl_lua_check_duration(L, lua_gettop(L));
  hl_task *t = hl_task_check_wait(L);
  delivery *d = HL_NEW(delivery);
  d->task = t;
  d->transport = sim->deliver;
  hl_headers headers = {0};
  read_headers(L, 1, &headers);
  /* The receiver was named by whoever started the simulator. */
  hl_http_request r = {.method = method, .url = url, .headers = &headers, .body = {body, n},
                       .timeout_ms = timeout, .policy = HL_NET_NAMED};
  hl_error err;
  int rc = d->transport->send(d->transport, &r, delivered, d, &d->op, &err);
  hl_headers_deinit(&headers);
  if (rc) {
    hl_free(d);
    return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  }
  hl_task_wait(t, delivery_cancel, d);
  return hl_task_yield(L);
}

/* host.read(path) -> text */
static int h_read(lua_State *L) {
  hl_sim *sim = sim_of(L);
  const char *path = luaL_checkstring(L, 1);
  if (sim->dir && (path[0] == '/' || strstr(path, "..")))
    return luaL_error(L, "%s: a fixture lies in the folder of its test", path);
  const char *full = sim->dir ? lua_pushfstring(L, "%s/%s", sim->dir, path) : path;
  FILE *f = fopen(full, "rb");
  if (!f) return luaL_error(L, "cannot read %s: %s", path, strerror(errno));
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t n = 1, total = 0; n && total <= FIXTURE_MAX; total += n) {
    n = fread(luaL_prepbuffer(&b), 1, LUAL_BUFFERSIZE, f);
    luaL_addsize(&b, n);
  }
  int error = ferror(f) ? errno : 0;
  bool more = !error && fgetc(f) != EOF;
  fclose(f);
  if (error) return luaL_error(L, "cannot read %s: %s", path, strerror(error));
  if (more) return luaL_error(L, "%s is larger than %d MiB", path, FIXTURE_MAX >> 20);
  luaL_pushresult(&b);
  return 1;
}

/* ---- life ---- */
static int parse_args(lua_State *L, hl_str json, hl_error *err) {
  if (!json.n) {
    lua_newtable(L);
    return 0;
  }
  cJSON *tree;
  int rc = hl_json_parse(json, &tree, err);
  if (rc) return rc;
  hl_lua_push_json(L, tree, true);
  cJSON_Delete(tree);
  return 0;
}

static int sim_send(hl_transport *t, const hl_http_request *request, hl_http_cb cb, void *arg, hl_http_op **op,
                    hl_error *err);
static void sim_cancel(hl_transport *t, hl_http_op *op);
static void sim_transport_free(hl_transport *t);
static int elsewhere_send(hl_transport *t, const hl_http_request *request, hl_http_cb cb, void *arg, hl_http_op **op,
                          hl_error *err);
static void elsewhere_free(hl_transport *t);

int hl_sim_new(hl_loop *loop, const hl_sim_options *o, hl_sim **out, hl_error *err) {
  static const luaL_Reg fns[] = {{"now", h_now}, {"random", h_random}, {"spawn", h_spawn},
                                 {"deliver", h_deliver}, {"read", h_read}, {"progress", h_progress}, {NULL, NULL}};
  hl_sim *sim = HL_NEW(hl_sim);
  sim->loop = loop;
  sim->deliver = o->deliver;
  sim->progress = o->progress;
  sim->progress_arg = o->progress_arg;
  sim->dir = hl_strdup(o->dir);
  sim->transport = (hl_transport){sim_send, sim_cancel, sim_transport_free, NULL};
  sim->elsewhere = (hl_transport){elsewhere_send, sim_cancel, elsewhere_free, NULL};
  hl_state_options so = {.loop = loop, .name = "sim", .memory_limit = (size_t)4 << 30, .cpu_ms = CPU_MS,
                         .max_tasks = TASKS_MAX, .owner = sim};
  int rc = hl_state_new(&so, &sim->state, err);
  if (rc) goto fail;
  if (o->record && !(sim->record = fopen(o->record, "a"))) {
    rc = hl_fail(err, HL_EIO, "cannot write the record %s: %s", o->record, strerror(errno));
    goto fail;
  }
  lua_State *L = hl_state_lua(sim->state);
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "sim.server");
  if ((rc = hl_state_call(L, 1, 1, err)) != 0) goto fail;
  lua_getfield(L, -1, "new");
  lua_remove(L, -2);
  if ((rc = parse_args(L, hl_str_of(o->json), err)) != 0) {
    hl_fail_in(err, "simulator options");
    goto fail;
  }
  hl_state_push_host(L);
  if ((rc = hl_state_call(L, 2, 1, err)) != 0) {
    if (rc == HL_ESCRIPT) err->code = rc = HL_EINVAL; /* what it refuses are the options */
    goto fail;
  }
  sim->server_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  *out = sim;
  return 0;
fail:
  hl_sim_free(sim);
  return rc;
}

static void forget(sim_call *c) {
  c->cb = NULL;
  c->door = NULL;
}

static void call_free(sim_call *c) {
  if (c->prev) c->prev->next = c->next;
  else c->sim->calls = c->next;
  if (c->next) c->next->prev = c->prev;
  hl_timer_stop(c->sim->loop, &c->timeout);
  hl_free(c->method);
  hl_free(c->target);
  hl_free(c->body);
  hl_free(c);
}

void hl_sim_free(hl_sim *sim) {
  if (!sim) return;
  for (sim_call *c = sim->calls; c; c = c->next) forget(c);
  hl_state_free(sim->state); /* its tasks end, and with them the calls */
  if (sim->record) fclose(sim->record);
  hl_free(sim->dir);
  hl_free(sim);
}

/* ---- requests ---- */
/* broken: a fault left no answer that a reader could take for one of HubSpot's. */
static void record(sim_call *c, const hl_http_response *r, bool broken) {
  FILE *f = c->sim->record;
  if (!f || !c->method) return;
  const char *q = strchr(c->target, '?');
  cJSON *line = cJSON_CreateObject(), *headers = cJSON_CreateObject();
  char *path = hl_strndup(c->target, q ? (size_t)(q - c->target) : strlen(c->target));
  char *body = hl_strndup(r->body.p ? r->body.p : "", r->body.n);
  cJSON_AddStringToObject(line, "method", c->method);
  cJSON_AddStringToObject(line, "path", path);
  cJSON_AddStringToObject(line, "query", q ? q + 1 : "");
  cJSON_AddStringToObject(line, "requestBody", c->body);
  cJSON_AddNumberToObject(line, "status", r->status);
  for (size_t i = 0; i < r->headers.n; i++)
    cJSON_AddStringToObject(headers, r->headers.v[i].name, r->headers.v[i].value);
  cJSON_AddItemToObject(line, "responseHeaders", headers);
  cJSON_AddStringToObject(line, "responseBody", body);
  if (broken) cJSON_AddTrueToObject(line, "broken");
  char *text = hl_json_print(line);
  fprintf(f, "%s\n", text);
  fflush(f);
  hl_free(text);
  hl_free(body);
  hl_free(path);
  cJSON_Delete(line);
}

static void answer(sim_call *c, const hl_http_response *r, const hl_sim_way *way) {
  sim_call was = *c;
  forget(c);
  hl_timer_stop(c->sim->loop, &c->timeout);
  if (was.cb) was.cb(was.arg, r);
  else if (was.door) was.door(was.arg, r, way);
}

static bool flag_field(lua_State *L, int idx, const char *key) {
  lua_getfield(L, idx, key);
  bool set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

static void call_ended(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text) {
  sim_call *c = arg;
  (void)t;
  hl_http_response r = {.sent = true};
  hl_sim_way way = {0};
  if (code == 0 && nresults >= 1 && lua_istable(L, -nresults)) {
    int at = lua_absindex(L, -nresults);
    int top = lua_gettop(L);
    lua_getfield(L, at, "status");
    r.status = (int)lua_tointeger(L, -1);
    lua_getfield(L, at, "body");
    if (lua_type(L, -1) == LUA_TSTRING) r.body.p = lua_tolstring(L, -1, &r.body.n);
    read_headers(L, at, &r.headers);
    way.half = flag_field(L, at, "half");
    lua_getfield(L, at, "trickle_ms");
    way.trickle_ms = lua_tointeger(L, -1);
    if (r.status == 0) hl_fail(&r.err, HL_ENET, "%s", text_field(L, at, "why", "the simulator dropped the connection", NULL));
    record(c, &r, way.half || flag_field(L, at, "broken"));
    answer(c, &r, &way);
    lua_settop(L, top);
  } else if (c->cb || c->door) {
    static const char failed[] = "{\"status\":\"error\",\"message\":\"the simulator failed\"}";
    hl_log_write(hl_loop_log(c->sim->loop), HL_LOG_ERROR, "sim", HL_STR_FMT,
                 HL_STR_ARG(code ? text : HL_STR("the answer is no table")));
    r.status = 500;
    r.body = HL_STR(failed);
    answer(c, &r, &way);
  }
  hl_headers_deinit(&r.headers);
  call_free(c);
}

static void call_timeout(hl_timer *timer, void *arg) {
  sim_call *c = arg;
  (void)timer;
  hl_http_response r = {.sent = true};
  hl_fail(&r.err, HL_ETIMEOUT, "no answer within the time limit");
  hl_task_cancel(c->task, HL_ECANCELLED, "nobody waits for the answer any more");
  answer(c, &r, &(hl_sim_way){0});
}

static void push_lower(lua_State *L, const char *s) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; *s; s++) luaL_addchar(&b, (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s));
  luaL_pushresult(&b);
}

/* url: NULL, or it goes elsewhere. */
static sim_call *start_call(hl_sim *sim, const char *method, const char *target, const char *url, const hl_headers *headers,
                            hl_str body, bool in_process, hl_error *err) {
  lua_State *L = hl_state_lua(sim->state);
  const char *q = strchr(target, '?');
  lua_rawgeti(L, LUA_REGISTRYINDEX, sim->server_ref);
  lua_getfield(L, -1, url ? "elsewhere" : "handle");
  lua_insert(L, -2);
  lua_createtable(L, 0, 7);
  lua_pushstring(L, url);
  lua_setfield(L, -2, "url");
  lua_pushboolean(L, in_process);
  lua_setfield(L, -2, "in_process");
  lua_pushstring(L, method);
  lua_setfield(L, -2, "method");
  lua_pushlstring(L, target, q ? (size_t)(q - target) : strlen(target));
  lua_setfield(L, -2, "path");
  lua_pushstring(L, q ? q + 1 : "");
  lua_setfield(L, -2, "query");
  lua_createtable(L, 0, headers ? (int)headers->n : 0);
  for (size_t i = 0; headers && i < headers->n; i++) {
    push_lower(L, headers->v[i].name);
    lua_pushstring(L, headers->v[i].value);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, body.p ? body.p : "", body.n);
  lua_setfield(L, -2, "body");

  sim_call *c = HL_NEW(sim_call);
  c->sim = sim;
  if (sim->record && !url) {
    c->method = hl_strdup(method);
    c->target = hl_strdup(target);
    c->body = hl_strndup(body.p ? body.p : "", body.n);
  }
  c->next = sim->calls;
  if (c->next) c->next->prev = c;
  sim->calls = c;
  hl_task_options o = {.klass = HL_CLASS_NORMAL};
  if (hl_task_start(L, 2, &o, call_ended, c, &c->task, err)) {
    call_free(c);
    return NULL;
  }
  return c;
}

typedef struct refused_call { hl_defer defer; hl_sim_cb cb; void *arg; } refused_call;

static void refuse(hl_defer *defer, void *arg) {
  refused_call *c = arg;
  (void)defer;
  hl_http_response r = {.status = 503, .body = HL_STR("the simulator is too busy")};
  c->cb(c->arg, &r, &(hl_sim_way){0});
  hl_free(c);
}

void hl_sim_handle(hl_sim *sim, const char *method, const char *target, const hl_headers *headers,
                   hl_str body, hl_sim_cb cb, void *arg) {
  hl_error err;
  sim_call *call = start_call(sim, method, target, NULL, headers, body, false, &err);
  if (call) {
    call->door = cb;
    call->arg = arg;
    return;
  }
  refused_call *c = HL_NEW(refused_call);
  c->cb = cb;
  c->arg = arg;
  hl_defer_start(sim->loop, &c->defer, refuse, c);
}

int hl_sim_control(hl_sim *sim, const char *name, hl_str json_args, char **out, hl_error *err) {
  lua_State *L = hl_state_lua(sim->state);
  int top = lua_gettop(L), rc;
  lua_rawgeti(L, LUA_REGISTRYINDEX, sim->server_ref);
  lua_getfield(L, -1, "control_text");
  lua_insert(L, -2);
  lua_pushstring(L, name);
  if ((rc = parse_args(L, json_args, err)) != 0) goto out;
  if ((rc = hl_state_call(L, 3, 1, err)) != 0) goto out;
  *out = hl_strdup(lua_tostring(L, -1));
out:
  lua_settop(L, top);
  return rc;
}

/* ---- the transport ---- */
static int transport_send(hl_sim *sim, const hl_http_request *request, const char *url, hl_http_cb cb, void *arg, hl_http_op **op,
                          hl_error *err) {
  const char *host = strstr(request->url, "://");
  if (!host) return hl_fail(err, HL_EINVAL, "not an absolute URL: %s", request->url);
  const char *target = strchr(host + 3, '/');
  sim_call *c = start_call(sim, request->method, target ? target : "/", url, request->headers, request->body, true, err);
  if (!c) return HL_ELIMIT;
  c->cb = cb;
  c->arg = arg;
  hl_timer_start(sim->loop, &c->timeout, request->timeout_ms ? request->timeout_ms : 30 * 1000, call_timeout, c);
  *op = (hl_http_op *)(void *)c;
  return 0;
}

static void sim_cancel(hl_transport *t, hl_http_op *op) {
  sim_call *c = (sim_call *)(void *)op;
  (void)t;
  forget(c);
  hl_timer_stop(c->sim->loop, &c->timeout);
  hl_task_cancel(c->task, HL_ECANCELLED, "nobody waits for the answer any more");
}

static int sim_send(hl_transport *t, const hl_http_request *request, hl_http_cb cb, void *arg, hl_http_op **op,
                    hl_error *err) {
  return transport_send(HL_CONTAINER(t, hl_sim, transport), request, NULL, cb, arg, op, err);
}

static int elsewhere_send(hl_transport *t, const hl_http_request *request, hl_http_cb cb, void *arg, hl_http_op **op,
                          hl_error *err) {
  return transport_send(HL_CONTAINER(t, hl_sim, elsewhere), request, request->url, cb, arg, op, err);
}

static void elsewhere_free(hl_transport *t) { (void)t; }

static void sim_transport_free(hl_transport *t) {
  hl_sim *sim = HL_CONTAINER(t, hl_sim, transport);
  for (sim_call *c = sim->calls; c; c = c->next) forget(c);
}

hl_transport *hl_sim_transport(hl_sim *sim) { return &sim->transport; }
hl_transport *hl_sim_elsewhere(hl_sim *sim) { return &sim->elsewhere; }
