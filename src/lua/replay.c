#include "lua/replay.h"

#include "base/mem.h"
#include "hubspot/held.h"
#include "lua/script.h"

enum { ACTIONS_MAX = 1000, TEXT_MAX = 16 << 10, ANSWER_MAX = 64 << 20 };

typedef struct action {
  struct action *next;
  cJSON *json;
  bool open;                 /* dropped when the run fails */
} action;

struct hl_tale {
  hl_tale *next;
  hl_run *run;               /* NULL: while the script loads */
  cJSON *head;
  char event[40];
  action *first, **last;
  size_t n, more;
  unsigned made;
};

static hl_tale *find(const hl_replay *r, const hl_run *run) {
  hl_tale *t = r->tales;
  while (t && t->run != run) t = t->next;
  return t;
}

static hl_tale *begin(hl_replay *r, hl_run *run, const char *handler) {
  hl_tale *t = HL_NEW(hl_tale);
  t->next = r->tales;
  t->run = run;
  t->head = cJSON_CreateObject();
  t->last = &t->first;
  cJSON_AddStringToObject(t->head, "handler", handler);
  return r->tales = t;
}

/* What runs without an event does so while its script loads. */
static hl_tale *tale_of(hl_replay *r, hl_run *run) {
  hl_tale *t = find(r, run);
  if (!t) t = find(r, NULL);
  return t ? t : begin(r, NULL, "(loading)");
}

static void free_tale(hl_replay *r, hl_tale *t) {
  hl_tale **p = &r->tales;
  while (*p != t) p = &(*p)->next;
  *p = t->next;
  while (t->first) {
    action *a = t->first;
    t->first = a->next;
    cJSON_Delete(a->json);
    hl_free(a);
  }
  cJSON_Delete(t->head);
  hl_free(t);
}

static void tell(hl_replay *r, hl_tale *t, const char *outcome, hl_str error) {
  cJSON *tale = t->head, *does;
  t->head = NULL;
  cJSON_AddStringToObject(tale, "outcome", outcome);
  if (error.n) {
    char *text = hl_strndup(error.p, error.n);
    cJSON_AddStringToObject(tale, "error", text);
    hl_free(text);
  }
  does = cJSON_AddArrayToObject(tale, "does");
  for (action *a = t->first; a; a = a->next) {
    cJSON_AddItemToArray(does, a->json);
    a->json = NULL;
  }
  if (t->more) {
    char text[64];
    cJSON *a = cJSON_CreateObject();
    snprintf(text, sizeof text, "%zu more", t->more);
    cJSON_AddStringToObject(a, "what", "and");
    cJSON_AddStringToObject(a, "on", text);
    cJSON_AddItemToArray(does, a);
  }
  free_tale(r, t);
  r->told(r->arg, tale);
}

void hl_replay_loaded(hl_replay *r) {
  hl_tale *t = find(r, NULL);
  if (t) tell(r, t, "ran", (hl_str){0});
}

void hl_replay_deinit(hl_replay *r) {
  while (r->tales) free_tale(r, r->tales);
}

int hl_replay_ask(hl_script *s, const char *module, const char *name, const cJSON *request, cJSON **answer, hl_error *err) {
  lua_State *L = hl_state_lua(s->state);
  hl_buf text;
  hl_buf_init(&text, ANSWER_MAX);
  int top = lua_gettop(L);
  /* A chunk of ours, because scripts may not require inner parts. */
  static const char load[] = "return require(...)";
  int rc = luaL_loadbufferx(L, load, sizeof load - 1, "@stdlib/ask", "t") ? hl_fail(err, HL_ELIMIT, "%s: out of memory", s->name) : 0;
  lua_pushstring(L, module);
  if (!rc) rc = hl_state_call(L, 1, 1, err);
  if (!rc) {
    lua_getfield(L, -1, name);
    hl_lua_push_json(L, request, true);
    rc = hl_state_call(L, 1, 1, err);
  }
  if (!rc) rc = hl_lua_to_json(L, -1, &text, err);
  if (!rc) rc = hl_json_parse(hl_buf_str(&text), answer, err);
  if (rc == HL_ESCRIPT) err->code = rc = HL_EINVAL;
  lua_settop(L, top);
  hl_buf_deinit(&text);
  return rc;
}

/* ---- for the bind files ---- */

void hl_replay_began(hl_host *host, hl_run *run, const char *handler, const hl_event *e) {
  hl_replay *r = host->o.replay;
  if (!r) return;
  hl_tale *t = begin(r, run, handler);
  const struct { const char *name, *text; } texts[] = {{"event", e->id}, {"type", e->type}, {"object", e->object_id}, {"account", e->account}};
  memcpy(t->event, e->id, sizeof t->event);
  for (size_t i = 0; i < HL_COUNT(texts); i++)
    if (texts[i].text && *texts[i].text) cJSON_AddStringToObject(t->head, texts[i].name, texts[i].text);
  cJSON_AddItemToObject(t->head, "occurred", hl_json_int64(e->occurred_at));
  cJSON_AddItemToObject(t->head, "received", hl_json_int64(e->received_at));
  if (e->n_batch) cJSON_AddNumberToObject(t->head, "events", (double)e->n_batch);
}

void hl_replay_ended(hl_host *host, hl_run *run, const char *outcome, hl_str error) {
  hl_replay *r = host->o.replay;
  hl_tale *t = r ? find(r, run) : NULL;
  if (t) tell(r, t, outcome, error);
}

void hl_replay_settled(hl_host *host, hl_run *run, bool stored) {
  hl_tale *t = host->o.replay ? find(host->o.replay, run) : NULL;
  action **p = t ? &t->first : NULL;
  while (p && *p) {
    action *a = *p;
    if (!a->open || stored) {
      a->open = false;
      p = &a->next;
      continue;
    }
    *p = a->next;
    cJSON_Delete(a->json);
    hl_free(a);
    t->n--;
  }
  if (t) t->last = p;
}

static cJSON *value_of(hl_str text) {
  cJSON *json = NULL;
  if (text.n <= TEXT_MAX && !hl_json_parse(text, &json, NULL)) return json;
  hl_buf b;
  hl_buf_init(&b, TEXT_MAX + 8);
  hl_buf_append(&b, text.p, text.n <= TEXT_MAX ? text.n : TEXT_MAX);
  if (text.n > TEXT_MAX) hl_buf_puts(&b, "…");
  json = cJSON_CreateString(b.p ? b.p : "");
  hl_buf_deinit(&b);
  return json;
}

void hl_replay_did(hl_host *host, hl_run *run, bool local, const char *what, const char *on, hl_str with, const char *held) {
  if (!host->o.replay) return;
  hl_tale *t = tale_of(host->o.replay, run);
  if (t->n == ACTIONS_MAX) {
    t->more++;
    return;
  }
  action *a = HL_NEW(action);
  a->open = local && t->run;
  a->json = cJSON_CreateObject();
  cJSON_AddStringToObject(a->json, "what", what);
  if (on && *on) cJSON_AddStringToObject(a->json, "on", on);
  if (with.p && with.n) cJSON_AddItemToObject(a->json, "with", value_of(with));
  if (held) cJSON_AddStringToObject(a->json, "held", held);
  *t->last = a;
  t->last = &a->next;
  t->n++;
}

/* It makes a thing, or finds one by a property. */
static bool has_new_id(const hl_api_call *call) {
  if (call->kind == HL_API_RAW) return strcmp(call->method, "POST") == 0;
  return call->kind == HL_API_CREATE || (call->id_property && strcmp(call->id_property, "hs_object_id") != 0);
}

void hl_replay_id(hl_host *host, const hl_run *run, const hl_api_call *call, char out[80]) {
  hl_tale *t = find(host->o.replay, run);
  if (t && has_new_id(call)) t->made++;
  snprintf(out, 80, "held-%s-%u", t ? t->event : "", t ? t->made : 0);
}

/* What is around the properties is nearly always the same. */
static const cJSON *only_properties(const cJSON *body) {
  for (const cJSON *m = body ? body->child : NULL; m; m = m->next)
    if (strcmp(m->string, "properties") != 0 && !(cJSON_IsArray(m) && !m->child)) return NULL;
  return hl_json_get(body, "properties");
}

void hl_replay_call(hl_host *host, hl_run *run, const hl_api_call *call, const char *held) {
  hl_replay *r = host->o.replay;
  hl_buf on;
  if (!r || (!held && !r->reads)) return;
  hl_buf_init(&on, 16 << 10);
  bool raw = call->kind == HL_API_RAW, pair = call->to_id && *call->to_id;
  (void)hl_buf_printf(&on, "%s%s%s", raw ? call->method : call->type, raw ? " " : call->id ? " " : "", raw ? call->path : call->id ? call->id : "");
  if (!raw && call->id_property && call->id) (void)hl_buf_printf(&on, " (%s)", call->id_property);
  if (!raw && call->to_type) (void)hl_buf_printf(&on, " → %s%s%s", call->to_type, pair ? " " : "", pair ? call->to_id : "");
  cJSON *body = NULL;
  const cJSON *properties = call->body.n && !raw && !hl_json_parse(call->body, &body, NULL) ? only_properties(body) : NULL;
  char *text = properties ? hl_json_print(properties) : NULL;
  hl_replay_did(host, run, false, raw ? "call" : hl_api_kind_name(call->kind), on.p, text ? hl_str_of(text) : call->body,
                held && has_new_id(call) ? held : NULL);
  hl_free(text);
  cJSON_Delete(body);
  hl_buf_deinit(&on);
}
