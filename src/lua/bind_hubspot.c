/* host.api{…}: one HubSpot call through the account's queue; stdlib/hubspot.lua
 * is what people use. */
#include "base/mem.h"
#include "base/siphash.h"
#include "hubspot/held.h"
#include "lua/script.h"

enum { BODY_MAX = 16 * 1024 * 1024, PROPERTIES_MAX = 2000 };

typedef struct call_op {
  hl_task *task;
  hl_api_op *op;
  bool null_as_nil;
  const hl_api_result *result;
  hl_api_kind kind;
  hl_run *run;            /* of a handler, that a write belongs to; NULL: none */
  hl_engine *engine;
  hl_own_mark mark;       /* remembered when it was sent */
  char *account, *type;   /* not NULL: remembered when the answer tells the id */
  char *body;
  hl_write *write;       /* a step's, intended; or NULL */
  hl_replay *replay;     /* that counts it; NULL: none */
} call_op;

static void free_call(call_op *c) {
  if (!c) return;
  if (c->replay) c->replay->out--;
  hl_free(c->account);
  hl_free(c->type);
  hl_free(c->body);
  hl_free(c);
}

/* Own writes (SEMANTICS 11): before the write leaves if the id is known, since its
 * event may be here before its answer. */
static void remember_write(call_op *c, const hl_api_call *call, const char *account) {
  bool by_id = call->id && (!call->id_property || strcmp(call->id_property, "hs_object_id") == 0);
  switch (call->kind) {
    case HL_API_UPDATE:
      if (by_id) c->mark = hl_run_wrote(c->run, HL_WRITE_UPDATE, account, call->type, call->id, call->body);
      break;
    case HL_API_ARCHIVE:
      if (by_id) c->mark = hl_run_wrote(c->run, HL_WRITE_DELETE, account, call->type, call->id, call->body);
      return;
    case HL_API_CREATE:
    case HL_API_UPSERT: by_id = false; break;
    default: return;
  }
  if (by_id) return;
  c->account = hl_strdup(account);
  c->type = hl_strdup(call->type);
  c->body = hl_strndup(call->body.p ? call->body.p : "", call->body.n);
}

static void remember_answer(call_op *c, const hl_api_result *result) {
  cJSON *tree = NULL;
  if (result->error) {
    hl_engine_not_written(c->engine, c->mark);
    return;
  }
  if (!c->type) return;
  const cJSON *json = result->json;
  if (result->text.n && !hl_json_parse(result->text, &tree, NULL)) json = tree;
  char id[32];
  const char *text = hl_json_str(json, "id", "");
  int64_t number = *text ? 0 : hl_json_int(json, "id", 0);
  if (number) {
    snprintf(id, sizeof id, "%lld", (long long)number);
    text = id;
  }
  const cJSON *made = cJSON_GetObjectItemCaseSensitive(json, "new");
  hl_write_kind kind = c->kind == HL_API_CREATE || cJSON_IsTrue(made) ? HL_WRITE_CREATE : HL_WRITE_UPDATE;
  if (*text) hl_run_wrote(c->run, kind, c->account, c->type, text, hl_str_of(c->body));
  cJSON_Delete(tree);
}

static void call_cancel(void *arg) {
  call_op *c = arg;
  if (c->write && hl_api_unsent(c->op)) hl_write_refused(c->write);
  hl_api_cancel(c->op);
  free_call(c);
}

/* Returns the answer and its status, or raises HubSpot's error. */
static int push_answer(lua_State *L, void *arg) {
  call_op *c = arg;
  const hl_api_error *e = c->result->error;
  if (e) {
    hl_lua_push_error(L, e->kind, e->message, e->status, e->category, e->correlation_id, e->retryable);
    if (e->context) {
      hl_lua_push_json(L, e->context, true);
      lua_setfield(L, -2, "context");
    }
    return -1;
  }
  if (c->result->text.n) hl_lua_push_json_text(L, c->result->text, c->null_as_nil);
  else if (c->result->json) hl_lua_push_json(L, c->result->json, c->null_as_nil);
  else lua_pushnil(L);
  lua_pushinteger(L, c->result->status);
  return 2;
}

/* What the store keeps of a step's write. An error of a write means that it was not
 * made, unless it says that nobody knows, or the process is ending. */
static void note_write(hl_write *w, const hl_api_result *r) {
  char *text = NULL;
  if (r->error) {
    if (strcmp(r->error->kind, hl_err_name(HL_EUNCERTAIN)) == 0) hl_write_uncertain(w);
    else if (strcmp(r->error->kind, hl_err_name(HL_ECANCELLED)) != 0) hl_write_refused(w);
    return;
  }
  hl_str answer = r->text;
  if (!answer.n) answer = r->json ? hl_str_of(text = hl_json_print(r->json)) : HL_STR("null");
  if (answer.n <= HL_STEP_RESULT_MAX) hl_write_answered(w, answer);
  hl_free(text);
}

static void answered(void *arg, const hl_api_result *result) {
  call_op *c = arg;
  c->result = result;
  if (c->run) remember_answer(c, result);
  if (c->write) note_write(c->write, result);
  hl_task_resume(c->task, push_answer, c);
  free_call(c);
}

static const char *need(lua_State *L, const char *key) {
  const char *s = hl_lua_opt_str(L, 1, key, NULL);
  if (!s) luaL_error(L, "host.api: '%s' is missing", key);
  return s;
}

/* The list stays on the stack; its strings are held by the options' table. */
static const char *const *read_properties(lua_State *L) {
  if (lua_getfield(L, 1, "properties") == LUA_TNIL) return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  if (n > PROPERTIES_MAX) luaL_error(L, "at most %d properties can be asked for", PROPERTIES_MAX);
  const char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, -2, i) != LUA_TSTRING) luaL_error(L, "properties are names: #%d is no string", (int)i);
    list[i - 1] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

/* In a replay a write is not sent, but told and answered. */
static int hold_call(lua_State *L, const hl_api_call *call, hl_account *account, hl_run *run, hl_write *write, bool null_as_nil, hl_buf *body) {
  hl_host *host = hl_script_of(L)->host;
  char id[80];
  cJSON *answer = NULL;
  int status;
  hl_error err;
  hl_replay_id(host, run, call, id);
  int rc = hl_api_hold(account, call, id, hl_loop_now(host->o.loop), &answer, &status, &err);
  if (!rc) {
    bool by_id = call->id && (!call->id_property || strcmp(call->id_property, "hs_object_id") == 0);
    char *text = answer ? hl_json_print(answer) : NULL;
    hl_replay_call(host, run, call, id);
    if (run && by_id && (call->kind == HL_API_UPDATE || call->kind == HL_API_ARCHIVE))
      hl_run_wrote(run, call->kind == HL_API_UPDATE ? HL_WRITE_UPDATE : HL_WRITE_DELETE, hl_account_name(account), call->type, call->id, call->body);
    if (write) {
      hl_write_sent(write);
      if (!text || strlen(text) <= HL_STEP_RESULT_MAX) hl_write_answered(write, text ? hl_str_of(text) : HL_STR("null"));
    }
    hl_free(text);
  }
  hl_buf_deinit(body);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  if (answer) hl_lua_push_json_take(L, answer, null_as_nil);
  else lua_pushnil(L);
  lua_pushinteger(L, status);
  return 2;
}

/* The call at 1, which is all there is. `write`: NULL outside of a step. */
static int send_call(lua_State *L, hl_write *write) {
  hl_script *s = hl_script_of(L);
  hl_task *t = hl_task_current(L);
  if (t && hl_task_offline(t))
    return luaL_error(L, "API calls are not possible while the script loads: "
                         "move this into a handler, or into every() or cron()");
  if (!s->host->o.hubspot) return luaL_error(L, "there is no HubSpot account here");
  const char *kind = need(L, "kind");
  hl_api_call call = {.script = s->name, .readable = hl_lua_reads_json, .klass = t ? hl_task_class(t) : HL_CLASS_NORMAL};
  call.klass = hl_lua_opt_class(L, 1, "priority", call.klass);
  lua_getfield(L, 1, "batch");
  call.no_batch = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_getfield(L, 1, "nulls");
  bool null_as_nil = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  if (!hl_api_kind_of(kind, &call.kind)) return luaL_error(L, "host.api: there is no kind \"%s\"", kind);
  if (call.kind == HL_API_RAW) {
    call.method = need(L, "method");
    call.path = need(L, "path");
    call.query = hl_lua_opt_str(L, 1, "query", NULL);
    call.content_type = hl_lua_opt_str(L, 1, "content_type", NULL);
  } else {
    call.type = need(L, "type");
    call.id = hl_lua_opt_str(L, 1, "id", NULL);
    call.to_type = hl_lua_opt_str(L, 1, "to_type", NULL);
    call.to_id = hl_lua_opt_str(L, 1, "to_id", NULL);
    call.after = hl_lua_opt_str(L, 1, "after", NULL);
    call.id_property = hl_lua_opt_str(L, 1, "id_property", NULL);
    if (call.kind == HL_API_GET) call.properties = read_properties(L);
  }
  const char *name = hl_lua_opt_str(L, 1, "account", NULL);
  if (!name && t && *hl_task_account(t)) name = hl_task_account(t);
  hl_error err;
  hl_account *account;
  int rc = hl_hubspot_account(s->host->o.hubspot, name, &account, &err);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  t = hl_task_check_wait(L);

  hl_buf body;
  hl_buf_init(&body, BODY_MAX);
  if (lua_getfield(L, 1, "body") == LUA_TSTRING) {
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    rc = hl_buf_append(&body, p, n);
    if (rc) hl_fail(&err, rc, "the body is larger than %d bytes", BODY_MAX);
  } else if (!lua_isnil(L, -1)) {
    rc = hl_lua_to_json(L, -1, &body, &err);
  }
  call.body = hl_buf_str(&body);
  call_op *c = NULL;
  if (!rc && s->host->o.replay) {
    if (hl_api_changes(call.kind, call.method, call.path)) return hold_call(L, &call, account, hl_task_run(t), write, null_as_nil, &body);
    hl_replay_call(s->host, hl_task_run(t), &call, NULL);
  }
  if (!rc) {
    c = HL_NEW(call_op);
    c->task = t;
    c->null_as_nil = null_as_nil;
    c->kind = call.kind;
    c->engine = s->host->o.engine;
    c->run = call.kind == HL_API_RAW || call.kind == HL_API_GET ? NULL : hl_task_run(t);
    c->write = write;
    rc = hl_api_send(account, &call, answered, c, &c->op, &err);
    if (!rc && c->run) remember_write(c, &call, hl_account_name(account));
    if (!rc && (c->replay = s->host->o.replay)) c->replay->out++;
  }
  hl_buf_deinit(&body);
  if (rc) {
    free_call(c);
    return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  }
  if (write) hl_write_sent(write);
  hl_task_wait(t, call_cancel, c);
  return hl_task_yield(L);
}

/* ---- writes inside a step (SEMANTICS 16) ---- */

/* True when the call at 1 changes something; *makes: and a second one would change it again. */
static bool writes(lua_State *L, bool *makes) {
  hl_api_kind kind;
  *makes = false;
  if (!hl_api_kind_of(hl_lua_opt_str(L, 1, "kind", ""), &kind)) return false;
  const char *method = hl_lua_opt_str(L, 1, "method", "");
  *makes = kind == HL_API_CREATE || (kind == HL_API_RAW && strcmp(method, "POST") == 0);
  return hl_api_changes(kind, method, hl_lua_opt_str(L, 1, "path", ""));
}

typedef struct intent_op {
  hl_task *task;
  hl_step_op *op;
  hl_write *write;
} intent_op;

static void intent_dropped(void *arg) {
  intent_op *i = arg;
  hl_step_op_drop(i->op);
  hl_write_refused(i->write); /* nothing has gone out */
  hl_free(i);
}

static int push_intended(lua_State *L, void *arg) {
  intent_op *i = arg;
  lua_pushliteral(L, "new");
  lua_pushlightuserdata(L, i->write);
  return 2;
}

static void intended(void *arg, int code) {
  intent_op *i = arg;
  (void)code;
  hl_task_resume(i->task, push_intended, i);
  hl_free(i);
}

/* Pushes what tells this write from others as JSON text; its head's length. */
static size_t push_what(lua_State *L) {
  static const char *const parts[] = {"kind", "method", "type", "path", "query", "id", "id_property", "to_type", "to_id", NULL};
  static const unsigned char key[HL_SIPHASH_KEY_BYTES];
  enum { HEAD = 4 };
  cJSON *head = cJSON_CreateObject(), *all = cJSON_CreateObject();
  hl_buf body;
  uint64_t digest[2];
  char letters[2 * sizeof digest + 1];
  hl_buf_init(&body, BODY_MAX);
  cJSON_AddStringToObject(all, "account", hl_script_account(L));
  cJSON_AddStringToObject(head, "account", hl_script_account(L));
  for (int i = 0; parts[i]; i++) {
    if (lua_getfield(L, 1, parts[i]) == LUA_TSTRING) {
      cJSON_AddStringToObject(all, parts[i], lua_tostring(L, -1));
      if (i < HEAD) cJSON_AddStringToObject(head, parts[i], lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
  if (lua_getfield(L, 1, "body") == LUA_TSTRING) {
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    (void)hl_buf_append(&body, p, n);
  } else if (!lua_isnil(L, -1)) {
    (void)hl_lua_to_json(L, -1, &body, NULL); /* sending it will say what is wrong */
  }
  lua_pop(L, 1);
  hl_siphash128(key, body.p, body.n, digest);
  hl_buf_deinit(&body);
  hl_letters(digest, sizeof digest, letters);
  cJSON_AddStringToObject(all, "body", letters);
  char *text = hl_json_print(all), *start = hl_json_print(head);
  size_t n = strlen(start) - 1; /* without its closing brace */
  cJSON_Delete(all);
  cJSON_Delete(head);
  lua_pushstring(L, text);
  hl_free(text);
  hl_free(start);
  return n;
}

/* host.step.intend(call, makes) -> "new", write; "lost", write, since when (epoch ms); "answered", write, the answer. */
static int l_intend(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  hl_task *t = hl_task_check_wait(L);
  hl_step *step = hl_task_step(t);
  bool makes = lua_toboolean(L, 2);
  if (!step) return hl_lua_raise(L, "misuse", "this step is over");
  lua_getfield(L, 1, "nulls");
  bool null_as_nil = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  size_t head = push_what(L), n;
  const char *what = lua_tolstring(L, -1, &n);
  hl_write_state state;
  hl_write *w = hl_step_write(step, (hl_str){what, n}, (hl_str){what, makes ? head : 0}, &state);
  if (state == HL_WRITE_NEW) {
    intent_op *i = HL_NEW(intent_op);
    *i = (intent_op){.task = t, .write = w};
    hl_task_wait(t, intent_dropped, i);
    i->op = hl_write_intend(w, intended, i);
    return hl_task_yield(L);
  }
  hl_str answer = hl_write_answer(w);
  int64_t at = 0;
  lua_pushstring(L, state == HL_WRITE_ANSWERED ? "answered" : "lost");
  lua_pushlightuserdata(L, w);
  if (state == HL_WRITE_ANSWERED) hl_lua_push_json_text(L, answer, null_as_nil);
  else lua_pushinteger(L, hl_str_int64(answer, &at) == 0 ? at : 0);
  return 3;
}

/* host.step.send(call, write) -> answer, status */
static int l_send(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  hl_write *w = lua_touserdata(L, 2);
  lua_settop(L, 1);
  return send_call(L, w);
}

/* host.step.found(write, record): a lost create was made after all. */
static int l_found(lua_State *L) {
  hl_buf json;
  hl_error err;
  hl_buf_init(&json, HL_STEP_RESULT_MAX);
  if (!hl_lua_to_json(L, 2, &json, &err)) hl_write_answered(lua_touserdata(L, 1), hl_buf_str(&json));
  hl_buf_deinit(&json);
  return 0;
}

/* host.step.failed(write): an error came; if the call did not even reach the queue, nothing has happened. */
static int l_failed(lua_State *L) {
  hl_write *w = lua_touserdata(L, 1);
  if (!hl_write_is_sent(w)) hl_write_refused(w);
  return 0;
}

/* host.step.uncertain(write) */
static int l_uncertain(lua_State *L) {
  hl_write_uncertain(lua_touserdata(L, 1));
  return 0;
}

static int after_write(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - 1;
}

/* host.api{…} -> answer, status */
static int l_api(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  hl_task *t = hl_task_current(L);
  bool makes;
  if (!t || !hl_task_step(t) || !writes(L, &makes)) {
    lua_settop(L, 1);
    return send_call(L, NULL);
  }
  lua_settop(L, 1);
  hl_state_push_host(L);
  lua_getfield(L, -1, "step");
  lua_getfield(L, -1, "write");
  lua_replace(L, 2);
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  lua_pushboolean(L, makes);
  lua_callk(L, 2, LUA_MULTRET, 0, after_write);
  return after_write(L, LUA_OK, 0);
}

/* host.error{kind=, message=, status=, category=, correlation_id=, retryable=, context=}: an error value to raise. */
static int l_error(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "retryable");
  hl_lua_push_error(L, hl_lua_opt_str(L, 1, "kind", "error"), hl_lua_opt_str(L, 1, "message", ""),
                    (int)hl_lua_opt_int(L, 1, "status", 0, 999, 0), hl_lua_opt_str(L, 1, "category", NULL),
                    hl_lua_opt_str(L, 1, "correlation_id", NULL), lua_toboolean(L, 2));
  if (lua_getfield(L, 1, "context") != LUA_TNIL) lua_setfield(L, -2, "context");
  else lua_pop(L, 1);
  return 1;
}

/* host.accounts(): the names of the known ones. */
static int l_accounts(lua_State *L) {
  hl_host *host = hl_script_of(L)->host;
  hl_account *list[64];
  size_t n = host->o.hubspot ? hl_hubspot_accounts(host->o.hubspot, list, HL_COUNT(list)) : 0;
  lua_newtable(L);
  for (size_t i = 0; i < n && i < HL_COUNT(list); i++) {
    lua_pushstring(L, hl_account_name(list[i]));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* host.url(text): percent-encoded for a path segment or a query value. */
static int l_url(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  hl_buf b;
  hl_buf_init(&b, 64 * 1024);
  if (hl_buf_urlencode(&b, (hl_str){p, n})) {
    hl_buf_deinit(&b);
    return luaL_error(L, "too long for a URL");
  }
  lua_pushlstring(L, b.p ? b.p : "", b.n);
  hl_buf_deinit(&b);
  return 1;
}

/* host.api_version(account): the account's dated API version; nil: the task's account. */
static int l_api_version(lua_State *L) {
  hl_script *s = hl_script_of(L);
  hl_task *t = hl_task_current(L);
  if (!s->host->o.hubspot) return luaL_error(L, "there is no HubSpot account here");
  const char *name = luaL_optstring(L, 1, NULL);
  if (!name && t && *hl_task_account(t)) name = hl_task_account(t);
  hl_error err;
  hl_account *account;
  int rc = hl_hubspot_account(s->host->o.hubspot, name, &account, &err);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  lua_pushstring(L, hl_account_version(account));
  return 1;
}

/* host.nearest(word, names): the name that was probably meant, or nil. */
static int l_nearest(lua_State *L) {
  size_t n;
  const char *word = luaL_checklstring(L, 1, &n);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer count = luaL_len(L, 2);
  if (count > PROPERTIES_MAX) return luaL_error(L, "at most %d names", PROPERTIES_MAX);
  const char **list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(L, 2, i) != LUA_TSTRING) return luaL_error(L, "name %d is no string", (int)i);
    list[i - 1] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[count] = NULL;
  lua_pushstring(L, hl_str_nearest((hl_str){word, n}, list));
  return 1;
}

void hl_bind_writes(lua_State *L) {
  static const luaL_Reg fns[] = {{"intend", l_intend}, {"send", l_send}, {"found", l_found}, {"failed", l_failed}, {"uncertain", l_uncertain},
                                 {NULL, NULL}};
  luaL_setfuncs(L, fns, 0);
}

void hl_bind_hubspot(lua_State *L) {
  static const luaL_Reg fns[] = {{"api", l_api}, {"accounts", l_accounts}, {"url", l_url}, {"error", l_error},
                                 {"api_version", l_api_version}, {"nearest", l_nearest}, {NULL, NULL}};
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
}
