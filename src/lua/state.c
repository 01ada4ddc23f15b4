/* States: one lua_State a script, its memory limit, and what is in it from the
 * start. */
#include "base/embed.h"
#include "lua/core.h"

enum { MAX_SCRATCH = 64 << 20, KEEP_SCRATCH = 64 << 10 };

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 16384 /* bytes of a class; none where a sanitizer watches what is freed */
#endif

/* Small blocks that Lua gave back wait here for its next ones: glibc's cache of
 * seven of a size is soon empty or full, and its slow way takes five times as
 * long. A class is what glibc rounds a size up to: 24, 40, 56, ... bytes. */
static size_t class_of(size_t n) { return n <= 24 ? 0 : (n - 9) / 16; }
static size_t kept_size(size_t n) { return KEEPS && class_of(n) < HL_KEPT_CLASSES ? class_of(n) * 16 + 24 : n; }

static void *kept_take(hl_state *s, size_t n) {
  size_t k = class_of(n);
  if (k >= HL_KEPT_CLASSES || !s->kept[k].first) return NULL;
  void *p = s->kept[k].first;
  memcpy(&s->kept[k].first, p, sizeof p);
  s->kept[k].bytes -= kept_size(n);
  return p;
}

static void kept_give(hl_state *s, void *p, size_t n) {
  size_t k = class_of(n);
  if (k >= HL_KEPT_CLASSES || s->kept[k].bytes + kept_size(n) > KEEPS) {
    hl_free(p);
    return;
  }
  memcpy(p, &s->kept[k].first, sizeof p);
  s->kept[k].first = p;
  s->kept[k].bytes += kept_size(n);
}

static void kept_free(hl_state *s) {
  for (size_t k = 0; k < HL_KEPT_CLASSES; k++)
    for (void *p; (p = kept_take(s, k * 16 + 24)) != NULL;) hl_free(p);
}

/* Host code (unlimited) is never refused; limited code is, beyond the limit, and
 * Lua then collects and tries once more. Giving memory back never fails. */
static void *allocate(void *ud, void *p, size_t osize, size_t nsize) {
  hl_state *s = ud;
  size_t old = p ? osize : 0;
  if (nsize == 0) {
    if (p) kept_give(s, p, old);
    s->used -= old;
    return NULL;
  }
  bool refusable = nsize > old && s->limited;
  if (refusable) {
    if (s->fail_at && --s->fail_at == 0) s->fail_left = 2; /* Lua collects and tries once more */
    if (s->fail_left) {
      s->fail_left--;
      return NULL;
    }
    if (s->used - old + nsize > s->limit) return NULL;
  }
  void *q = p ? NULL : kept_take(s, nsize);
  if (!q) q = refusable ? hl_try_realloc(p, kept_size(nsize)) : hl_realloc(p, kept_size(nsize));
  if (!q) return NULL;
  s->used = s->used - old + nsize;
  return q;
}

static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "hubloop: error outside a protected call: %s\n", text ? text : "?");
  abort();
}

hl_state *hl_state_of(lua_State *L) {
  return (hl_state *)(*hl_thread_word(L) & ~(uintptr_t)HL_THREAD_MARKS);
}
lua_State *hl_state_lua(hl_state *s) { return s->L; }
void *hl_state_owner(hl_state *s) { return s->owner; }
hl_loop *hl_state_loop(hl_state *s) { return s->loop; }
const char *hl_state_name(const hl_state *s) { return s->name; }
size_t hl_state_live_tasks(const hl_state *s) { return s->live; }

hl_buf *hl_state_scratch(lua_State *L) {
  hl_buf *b = &hl_state_of(L)->scratch;
  if (b->cap > KEEP_SCRATCH) {
    hl_buf_deinit(b);
    hl_buf_init(b, MAX_SCRATCH);
  }
  hl_buf_clear(b);
  return b;
}

void hl_state_push_host(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "hl.host");
}

void hl_state_add_module(lua_State *L, const char *name, bool global) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
  if (global)
    lua_setglobal(L, name);
  else
    lua_pop(L, 1);
}

int hl_state_new(const hl_state_options *o, hl_state **out, hl_error *err) {
  if (hl_watch_init(err) != 0) return err ? err->code : HL_EIO;
  hl_state *s = HL_NEW(hl_state);
  s->loop = o->loop;
  s->name = hl_strdup(o->name ? o->name : "script");
  s->root = hl_strdup(o->root);
  s->owner = o->owner;
  s->print = o->print;
  s->print_arg = o->print_arg;
  s->heard = o->heard;
  s->coverage = o->coverage;
  s->module = o->module;
  s->limit = o->memory_limit ? o->memory_limit : (size_t)256 << 20;
  s->cpu_ms = o->cpu_ms ? o->cpu_ms : 1000;
  s->max_tasks = o->max_tasks ? o->max_tasks : 10000;
  if (hl_loop_is_virtual(s->loop))
    hl_rng_init(&s->rng, hl_rng_next(hl_loop_rng(s->loop)));
  else
    hl_rng_init_system(&s->rng);
  hl_buf_init(&s->scratch, MAX_SCRATCH);
  lua_State *L = lua_newstate(allocate, s);
  if (!L) {
    kept_free(s);
    hl_watch_deinit();
    hl_free(s->name);
    hl_free(s->root);
    hl_free(s);
    return hl_fail(err, HL_ENOMEM, "cannot create a Lua state for %s", o->name);
  }
  s->L = L;
  s->outer.main = L;
  lua_atpanic(L, panic);
  /* New threads copy this word: every thread knows its state. */
  *hl_thread_word(L) = (uintptr_t)s;
  lua_newtable(L);
  s->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  hl_sandbox_open(L);
  hl_doors_open(L);
  hl_error_open(L);
  hl_coroutine_open(L);
  hl_bind_task(L);
  hl_bind_json(L);
  hl_bind_log(L);
  hl_bind_time(L);
  hl_bind_crypto(L);
  hl_bind_operations(L);
  hl_bind_csv(L);

  *out = s;
  return 0;
}

void hl_state_free(hl_state *s) {
  if (!s) return;
  hl_tasks_end_all(s);
  lua_close(s->L);
  kept_free(s);
  hl_watch_deinit();
  while (s->accounts) {
    void *next = *(void **)s->accounts;
    hl_free(s->accounts);
    s->accounts = next;
  }
  hl_buf_deinit(&s->scratch);
  hl_free(s->outer.v);
  hl_free(s->name);
  hl_free(s->root);
  hl_free(s);
}

int hl_state_call(lua_State *L, int nargs, int nresults, hl_error *err) {
  hl_state *s = hl_state_of(L);
  hl_watch saved;
  hl_watch_begin(s->cpu_ms, &saved);
  lua_State *before = hl_watch_enter(L);
  s->limited++;
  int status = lua_pcall(L, nargs, nresults, 0);
  s->limited--;
  hl_watch_leave(L, before);
  hl_watch_end(&saved);
  if (status == LUA_OK) return 0;
  hl_error_adapt(s, L, status);
  int code = hl_error_code(L, -1);
  size_t n;
  char *text = hl_error_text(s, L, -1, NULL, &n);
  lua_pop(L, 1);
  hl_fail(err, code, "%s", text);
  hl_free(text);
  return code;
}
