/* Tasks: start, wait, resume, cancel, end.
 *
 * A task is new until its deferred start, then runs or waits. It ends when its
 * main function returned or raised, when it is cancelled, or when a child's
 * error ends it; its children end before it. on_end is a deferred call, so
 * nothing that ends a task is ever inside the task's own end. While a task or
 * one of its descendants runs, cancelling it is deferred too: a thread cannot be
 * closed under its own feet. */
#include <assert.h>

#include "lua/core.h"

struct hl_account_name {
  struct hl_account_name *next;   /* first: state.c frees the list by it */
  char name[];
};

enum { MAX_CANCEL_DEPTH = 50 };

static void end_now(hl_task *t, int code, const char *why, lua_State *from, hl_str text);
static void finish(hl_task *t);

/* ---- getters ---- */

hl_task *hl_task_current(lua_State *L) { return hl_state_of(L)->current; }
hl_run *hl_task_run(const hl_task *t) { return t->run; }
const char *hl_task_account(const hl_task *t) { return t->account ? t->account : ""; }
hl_api_class hl_task_class(const hl_task *t) { return t->klass; }
bool hl_task_offline(const hl_task *t) { return t->offline; }
hl_state *hl_task_state(const hl_task *t) { return t->state; }
unsigned hl_task_writer(const hl_task *t) { return t->writer; }
hl_step *hl_task_step(const hl_task *t) { return t->step && hl_step_active(t->step) ? t->step : NULL; }
void hl_task_set_step(hl_task *t, hl_step *step) { t->step = step; }

static const char *intern_account(hl_state *s, const char *name) {
  if (!name || !*name) return NULL;
  for (struct hl_account_name *a = s->accounts; a; a = a->next)
    if (strcmp(a->name, name) == 0) return a->name;
  size_t n = strlen(name) + 1;
  struct hl_account_name *a = hl_alloc(sizeof *a + n);
  memcpy(a->name, name, n);
  a->next = s->accounts;
  s->accounts = a;
  return a->name;
}

void hl_task_set_account(hl_task *t, const char *name) { t->account = intern_account(t->state, name); }

/* ---- threads ---- */

/* May raise a memory error in limited code; nothing is lost then. */
static lua_State *take_thread(hl_state *s, lua_State *L, int *ref) {
  if (s->n_pool > 0) {
    hl_pooled p = s->pool[--s->n_pool];
    *ref = p.ref;
    return p.co;
  }
  luaL_checkstack(L, 3, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_State *co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0);
  *ref = luaL_ref(L, -2);
  lua_pop(L, 1);
  hl_thread_set_busy(co, true);
  return co;
}

static void give_thread(hl_task *t) {
  hl_state *s = t->state;
  lua_State *co = t->threads.main;
  hl_free(t->threads.v);
  if (!t->exposed && !hl_thread_deaf(co) && s->n_pool < HL_POOL_MAX && lua_resetthread(co) == LUA_OK) {
    lua_settop(co, 0);
    s->pool[s->n_pool++] = (hl_pooled){co, t->ref};
    return;
  }
  lua_settop(co, 0);
  hl_thread_set_busy(co, false);
  lua_rawgeti(s->L, LUA_REGISTRYINDEX, s->anchors);
  luaL_unref(s->L, -1, t->ref);
  lua_pop(s->L, 1);
}

/* ---- the end ---- */

static hl_task **siblings(hl_task *t) { return t->parent ? &t->parent->child : &t->state->roots; }

static void end_cb(hl_defer *defer, void *arg) {
  (void)defer;
  hl_task *t = arg, *parent = t->parent;
  hl_state *s = t->state;
  assert(t->phase == HL_TASK_ENDED && !t->child);
  if (t->on_end)
    t->on_end(t->end_arg, t, t->code, t->threads.main, t->nresults, (hl_str){t->text, t->text_n});
  if (t->prev) t->prev->next = t->next; else *siblings(t) = t->next;
  if (t->next) t->next->prev = t->prev;
  give_thread(t);
  s->live--;
  hl_free(t->text);
  hl_free(t->cancel_why);
  hl_free(t);
  if (parent && parent->phase == HL_TASK_DRAINING && !parent->child) {
    finish(parent);
  }
}

static void finish(hl_task *t) {
  hl_loop *loop = t->state->loop;
  t->phase = HL_TASK_ENDED;
  hl_timer_stop(loop, &t->timer);
  if (t->deadline) {
    hl_timer_stop(loop, &t->deadline->timer);
    hl_free(t->deadline);
    t->deadline = NULL;
  }
  hl_defer_stop(loop, &t->defer);
  for (hl_held *h; (h = t->held) != NULL;) {
    hl_task_unhold(h);
    h->drop(h);
  }
  hl_defer_start(loop, &t->defer, end_cb, t);
}

static void cancel_children(hl_task *t) {
  for (hl_task *c = t->child; c; c = c->next) hl_task_cancel(c, HL_ECANCELLED, "its parent has ended");
}

static void set_text(hl_task *t, lua_State *L, int idx, lua_State *traced) {
  hl_free(t->text);
  t->text = hl_error_text(t->state, L, idx, traced, &t->text_n);
}

/* The main function returned or raised; the results or the error are on its thread. */
static void main_done(hl_task *t, int status, int nresults) {
  hl_state *s = t->state;
  lua_State *co = t->threads.main;
  if (t->cancel_code) {
    end_now(t, t->cancel_code, t->cancel_why, NULL, (hl_str){NULL, 0});
    return;
  }
  if (status == LUA_OK) {
    t->nresults = nresults;
    if (t->wait_children && t->child) {
      t->phase = HL_TASK_DRAINING;
      return;
    }
    t->phase = HL_TASK_ENDING;
    cancel_children(t);
    finish(t);
    return;
  }
  t->phase = HL_TASK_ENDING;
  hl_error_adapt(s, co, status);
  t->code = hl_error_code(co, -1);
  lua_pushvalue(co, -1);
  lua_xmove(co, s->L, 1);
  set_text(t, s->L, -1, co);
  cancel_children(t);
  s->current = t;
  hl_watch saved;
  hl_watch_begin(s->cpu_ms, &saved);
  (void)hl_thread_close(s, co); /* runs what waits to be closed */
  hl_watch_end(&saved);
  s->current = NULL;
  lua_settop(co, 0);
  lua_xmove(s->L, co, 1);
  if (status == LUA_ERRMEM) lua_gc(s->L, LUA_GCCOLLECT);
  finish(t);
}

/* Ends a task that does not run: the cleanup, children, then its threads from the
 * innermost out. */
static void end_now(hl_task *t, int code, const char *why, lua_State *from, hl_str text) {
  hl_state *s = t->state;
  hl_loop *loop = s->loop;
  hl_task *current = s->current;
  unsigned limited = s->limited;
  hl_request_kind request = s->request;
  lua_State *co = t->threads.main;
  hl_threads *th = &t->threads;
  hl_watch saved;
  s->limited = 0;
  s->cancel_depth++;
  hl_defer_stop(loop, &t->defer);
  bool waited = t->phase == HL_TASK_WAITING || t->phase == HL_TASK_RUNNING;
  t->phase = HL_TASK_ENDING;
  t->code = code;
  t->nresults = 0;
  cancel_children(t);
  if (t->cleanup) {
    void (*cleanup)(void *) = t->cleanup;
    t->cleanup = NULL;
    cleanup(t->cleanup_arg);
  }
  luaL_checkstack(s->L, 4, NULL);
  if (from) {
    luaL_checkstack(from, 1, NULL);
    lua_pushvalue(from, -1);
    lua_xmove(from, s->L, from == s->L ? 0 : 1);
    hl_free(t->text);
    t->text = hl_strndup(text.p, text.n);
    t->text_n = text.n;
  } else {
    hl_lua_push_error(s->L, hl_err_name(code), why, 0, NULL, NULL, false);
    set_text(t, s->L, -1, waited && code != HL_ECANCELLED ? (th->n ? th->v[th->n - 1] : co) : NULL);
  }
  s->current = t;
  hl_watch_begin(s->cpu_ms, &saved);
  while (th->n > 0) {
    lua_State *inner = th->v[--th->n];
    hl_thread_set_busy(inner, false);
    (void)hl_thread_close(s, inner);
    lua_settop(inner, 0);
  }
  (void)hl_thread_close(s, co);
  hl_watch_end(&saved);
  lua_settop(co, 0);
  lua_xmove(s->L, co, 1);
  s->current = current;
  s->request = request;
  s->limited = limited;
  s->cancel_depth--;
  finish(t);
}

static void cancel_later(hl_defer *defer, void *arg) {
  (void)defer;
  hl_task *t = arg;
  end_now(t, t->cancel_code, t->cancel_why, NULL, (hl_str){NULL, 0});
}

static bool runs_now(const hl_task *t) {
  for (const hl_task *c = t->state->current; c; c = c->parent)
    if (c == t) return true;
  return false;
}

void hl_task_cancel(hl_task *t, int code, const char *why) {
  if (t->phase == HL_TASK_ENDING || t->phase == HL_TASK_ENDED || t->cancel_code) return;
  if (!runs_now(t) && t->state->cancel_depth < MAX_CANCEL_DEPTH) {
    end_now(t, code, why, NULL, (hl_str){NULL, 0});
    return;
  }
  t->cancel_code = code;
  t->cancel_why = hl_strdup(why);
  hl_defer_stop(t->state->loop, &t->defer);
  hl_defer_start(t->state->loop, &t->defer, cancel_later, t);
}

void hl_task_fail(hl_task *t, int code, lua_State *from, hl_str text) {
  if (t->phase != HL_TASK_ENDING && t->phase != HL_TASK_ENDED && !t->cancel_code && !runs_now(t))
    end_now(t, code, NULL, from, text);
  lua_pop(from, 1);
}

void hl_tasks_end_all(hl_state *s) {
  assert(!s->current);
  for (hl_task *t = s->roots; t; t = t->next) hl_task_cancel(t, HL_ECANCELLED, "the script ends");
  while (s->roots) {
    hl_task *t = s->roots;
    while (t->child) t = t->child;
    if (t->phase != HL_TASK_ENDED) hl_task_cancel(t, HL_ECANCELLED, "the script ends");
    hl_defer_stop(s->loop, &t->defer);
    if (t->phase != HL_TASK_ENDED) { /* too deep to be cancelled at once above */
      end_now(t, t->cancel_code, t->cancel_why, NULL, (hl_str){NULL, 0});
      hl_defer_stop(s->loop, &t->defer);
    }
    end_cb(&t->defer, t);
  }
}

/* ---- running ---- */

static void go(hl_task *t, int nargs) {
  hl_state *s = t->state;
  assert(!s->current && !s->limited);
  hl_watch saved;
  int n = 0;
  struct hl_page *page = t->run ? hl_run_enter(t->run) : NULL;
  s->current = t;
  t->phase = HL_TASK_RUNNING;
  hl_watch_begin(s->cpu_ms, &saved);
  int status = hl_threads_spin(s, &t->threads, 0, NULL, nargs, &n);
  hl_watch_end(&saved);
  s->current = NULL;
  if (status == LUA_YIELD && s->request == HL_REQ_LIMIT) {
    end_now(t, HL_ELIMIT, s->limit_text, NULL, (hl_str){NULL, 0});
  } else if (status == LUA_YIELD) {
    assert(t->cleanup && "a binding yields after hl_task_wait");
    t->phase = HL_TASK_WAITING;
  } else {
    main_done(t, status, n);
  }
  hl_run_leave(page);
}

static void start_cb(hl_defer *defer, void *arg) {
  (void)defer;
  hl_task *t = arg;
  go(t, t->nresults);
}

static void deadline_cb(hl_timer *timer, void *arg) {
  hl_task *t = arg;
  char why[64];
  snprintf(why, sizeof why, "timed out after %g s", (double)HL_CONTAINER(timer, hl_deadline, timer)->ms / 1000);
  hl_task_cancel(t, HL_ETIMEOUT, why);
}

int hl_task_spawn(lua_State *L, hl_task *parent, int nargs, const hl_task_options *o,
                  hl_task_end_cb on_end, void *arg, hl_task **out, hl_error *err) {
  hl_state *s = hl_state_of(L);
  if (s->live >= s->max_tasks) {
    lua_pop(L, nargs + 1);
    return hl_fail(err, HL_ELIMIT,
                   "%s has %u live tasks, which is its limit: start fewer at a time (task.map has `concurrency`)",
                   s->name, s->live);
  }
  int ref;
  lua_State *co = take_thread(s, L, &ref);
  if (!lua_checkstack(co, nargs + 1)) {
    s->pool[s->n_pool++] = (hl_pooled){co, ref};
    lua_pop(L, nargs + 1);
    return hl_fail(err, HL_ELIMIT, "too many arguments for a task");
  }
  lua_xmove(L, co, nargs + 1);
  hl_task *t = HL_NEW(hl_task);
  t->state = s;
  t->threads.main = co;
  t->ref = ref;
  t->nresults = nargs;
  t->on_end = on_end;
  t->end_arg = arg;
  t->parent = parent;
  if (parent) {
    t->run = parent->run;
    t->step = parent->step;
    t->writer = ++s->writers ? s->writers : ++s->writers;
    t->account = parent->account;
    t->klass = parent->klass;
    t->offline = parent->offline;
  } else if (o) {
    t->run = o->run;
    t->account = intern_account(s, o->account);
    t->klass = o->klass;
    t->offline = o->offline;
    t->wait_children = o->wait_children;
  }
  hl_task **list = siblings(t);
  t->next = *list;
  if (t->next) t->next->prev = t;
  *list = t;
  s->live++;
  if (o && o->timeout_ms > 0) {
    t->deadline = HL_NEW(hl_deadline);
    t->deadline->ms = o->timeout_ms;
    hl_timer_start(s->loop, &t->deadline->timer, o->timeout_ms, deadline_cb, t);
  }
  hl_defer_start(s->loop, &t->defer, start_cb, t);
  if (out) *out = t;
  return 0;
}

int hl_task_start(lua_State *L, int nargs, const hl_task_options *o, hl_task_end_cb on_end, void *arg,
                  hl_task **out, hl_error *err) {
  return hl_task_spawn(L, NULL, nargs, o, on_end, arg, out, err);
}

/* ---- what a task holds ---- */

void hl_task_hold(hl_task *t, hl_held *h) {
  h->next = t->held;
  h->at = &t->held;
  if (h->next) h->next->at = &h->next;
  t->held = h;
}

void hl_task_unhold(hl_held *h) {
  if (!h->at) return;
  *h->at = h->next;
  if (h->next) h->next->at = h->at;
  h->at = NULL;
}

bool hl_task_is_within(const hl_task *t, const hl_task *of) {
  while (t && t != of) t = t->parent;
  return t != NULL;
}

/* ---- waiting ---- */

/* The C function between this code and its task that does not let it yield. */
static const char *blocker(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sn", &ar);
    if (ar.what[0] != 'C' || !ar.name) continue;
    if (strcmp(ar.name, "pcall") == 0 || strcmp(ar.name, "xpcall") == 0) continue;
    lua_pushstring(L, ar.name);
    return lua_tostring(L, -1);
  }
  return NULL;
}

hl_task *hl_task_check_wait(lua_State *L) {
  hl_task *t = hl_state_of(L)->current;
  if (!t) {
    hl_lua_raise(L, "misuse", "cannot wait here: this code does not run in a task");
  } else if (t->phase == HL_TASK_ENDING) {
    hl_lua_raise(L, "cancelled", "cannot wait here: the task is being ended");
  } else if (!lua_isyieldable(L) || t->threads.nested > 0) {
    const char *in = blocker(L);
    if (in)
      hl_lua_raise(L, "misuse", "cannot wait inside '%s': call it with values that are there already", in);
    else
      hl_lua_raise(L, "misuse", "cannot wait here: a function that cannot be suspended is running "
                                "(a metamethod, an iterator of it, or a message handler)");
  }
  return t;
}

void hl_task_wait(hl_task *t, void (*cleanup)(void *arg), void *arg) {
  assert(t == t->state->current && !t->cleanup);
  t->cleanup = cleanup;
  t->cleanup_arg = arg;
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  hl_state *s = hl_state_of(L);
  hl_push_fn push = s->push;
  void *arg = s->push_arg;
  s->push = NULL;
  if (!push) return 0;
  luaL_checkstack(L, 20, "results");
  int n = push(L, arg);
  return n < 0 ? lua_error(L) : n;
}

int hl_task_yield(lua_State *L) {
  hl_state_of(L)->request = HL_REQ_WAIT;
  return lua_yieldk(L, 0, 0, wait_k);
}

void hl_task_resume(hl_task *t, hl_push_fn push, void *arg) {
  hl_state *s = t->state;
  assert(t->phase == HL_TASK_WAITING && t->cleanup);
  t->cleanup = NULL;
  s->push = push;
  s->push_arg = arg;
  go(t, 0);
}

static void sleep_cancel(void *arg) {
  hl_task *t = arg;
  hl_timer_stop(t->state->loop, &t->timer);
}
static void sleep_done(hl_timer *timer, void *arg) {
  (void)timer;
  hl_task_resume(arg, NULL, NULL);
}
void hl_task_sleep(hl_task *t, int64_t ms) {
  hl_task_wait(t, sleep_cancel, t);
  hl_timer_start(t->state->loop, &t->timer, ms, sleep_done, t);
}
