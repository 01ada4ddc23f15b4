#include "lua/check.h"

#include "base/mem.h"
#include "lua/script.h"

enum { CPU_MS = 120 * 1000, ANSWER_MAX = 64 << 20, MEMORY_MAX = 1 << 30, MODULE = 1 };

struct hl_check { hl_state *state; };

static int answer_of(lua_State *L, cJSON **out, hl_error *err) {
  hl_buf text;
  hl_buf_init(&text, ANSWER_MAX);
  int rc = hl_lua_to_json(L, -1, &text, err);
  if (!rc) rc = hl_json_parse(hl_buf_str(&text), out, err);
  hl_buf_deinit(&text);
  return rc;
}

int hl_check_new(hl_loop *loop, const char *module, int64_t cpu_ms, hl_check **out, hl_error *err) {
  hl_state *s;
  hl_state_options o = {.loop = loop, .name = "check", .cpu_ms = cpu_ms ? cpu_ms : CPU_MS, .memory_limit = MEMORY_MAX};
  int rc = hl_state_new(&o, &s, err);
  if (rc) return rc;
  lua_State *L = hl_state_lua(s);
  hl_bind_script(L); /* what scripts have is what they may name; nothing of it is called */
  hl_bind_files(L);
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  if ((rc = hl_state_call(L, 1, 1, err))) {
    hl_state_free(s);
    return rc;
  }
  *out = HL_NEW(hl_check);
  (*out)->state = s; /* the module stays on its stack, at MODULE */
  return 0;
}

void hl_check_free(hl_check *c) {
  if (!c) return;
  hl_state_free(c->state);
  hl_free(c);
}

int hl_check_ask(hl_check *c, const char *name, const cJSON *request, cJSON **out, hl_error *err) {
  lua_State *L = hl_state_lua(c->state);
  lua_getfield(L, MODULE, name);
  hl_lua_push_json(L, request, true);
  int rc = hl_state_call(L, 1, 1, err);
  if (!rc) rc = answer_of(L, out, err);
  else if (rc == HL_ESCRIPT) err->code = rc = HL_EINVAL;
  lua_settop(L, MODULE);
  return rc;
}

int hl_check_call(hl_loop *loop, const char *name, int64_t cpu_ms, const cJSON *request, cJSON **out, hl_error *err) {
  hl_check *c = NULL;
  int rc = hl_check_new(loop, "check.report", cpu_ms, &c, err);
  if (!rc) rc = hl_check_ask(c, name, request, out, err);
  hl_check_free(c);
  return rc;
}
