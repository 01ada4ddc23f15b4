/* A loop in virtual time, a state, and scripts in it: what the lua_*_test.c share. */
#ifndef HL_LUA_FIXTURE_H
#define HL_LUA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/core.h"

typedef struct fixture {
  hl_log *log;
  hl_loop *loop;
  hl_state *s;
  hl_buf out;                  /* print()ed lines */
  bool ended;
  unsigned ends;
  int code;
  char text[4096];             /* of the error */
  char result[1024];           /* first result, as text */
} fixture;

static void fx_print(void *arg, const char *line, size_t n) {
  fixture *f = arg;
  (void)hl_buf_append(&f->out, line, n);
  (void)hl_buf_append(&f->out, "\n", 1);
}

static void fx_end(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text) {
  fixture *f = arg;
  (void)t;
  f->ended = true;
  f->ends++;
  f->code = code;
  snprintf(f->text, sizeof f->text, HL_STR_FMT, HL_STR_ARG(text));
  f->result[0] = '\0';
  if (code == 0 && nresults > 0) {
    snprintf(f->result, sizeof f->result, "%s", luaL_tolstring(L, -nresults, NULL));
    lua_pop(L, 1);
  }
}

static inline void fx_open(fixture *f, hl_state_options o, bool is_virtual) {
  hl_error err;
  *f = (fixture){0};
  hl_buf_init(&f->out, 1 << 20);
  hl_loop_options lo = {.is_virtual = is_virtual, .seed = 7};
  f->log = hl_log_new(HL_LOG_WARN, false);
  assert_int_equal(hl_loop_new(&lo, f->log, &f->loop, &err), 0);
  o.loop = f->loop;
  if (!o.name) o.name = "test.lua";
  o.print = fx_print;
  o.print_arg = f;
  if (hl_state_new(&o, &f->s, &err) != 0) fail_msg("%s", err.text);
}

static inline void fx_close(fixture *f) {
  hl_state_free(f->s);
  hl_loop_free(f->loop);
  hl_log_free(f->log);
  hl_buf_deinit(&f->out);
}

static inline hl_task *fx_start_with(fixture *f, const char *code, hl_task_options o) {
  lua_State *L = hl_state_lua(f->s);
  hl_error err;
  hl_task *t = NULL;
  if (luaL_loadbufferx(L, code, strlen(code), "@test.lua", "t") != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  f->ended = false;
  if (hl_task_start(L, 0, &o, fx_end, f, &t, &err) != 0) fail_msg("%s", err.text);
  return t;
}
static inline hl_task *fx_start(fixture *f, const char *code) { return fx_start_with(f, code, (hl_task_options){0}); }

/* Runs the script as a task to its end. */
static inline void fx_run(fixture *f, const char *code) {
  fx_start_with(f, code, (hl_task_options){.wait_children = true});
  hl_loop_run(f->loop);
  assert_true(f->ended);
}

#define fx_gives(f, code_text, expected)                             \
  do {                                                               \
    fx_run(f, code_text);                                            \
    if ((f)->code != 0) fail_msg("%s", (f)->text);                   \
    assert_string_equal((f)->result, expected);                      \
  } while (0)
#define fx_raises(f, code_text, part)                                \
  do {                                                               \
    fx_run(f, code_text);                                            \
    assert_int_not_equal((f)->code, 0);                              \
    if (!strstr((f)->text, part)) fail_msg("no '%s' in: %s", part, (f)->text); \
  } while (0)

#endif
