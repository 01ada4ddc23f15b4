#include "cmd/reload.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/accounts.h"
#include "cmd/fit.h"

enum { LOAD_MS = 30 * 1000 };  /* a script that takes longer at a reload is not taken */

typedef struct batch batch;

typedef struct item {
  batch *batch;
  const char *path;            /* the project's */
  hl_script *script;           /* staged; NULL: it could not even begin */
  hl_error err;
} item;

/* Scripts that load beside one another. */
struct batch {
  hl_runtime *rt;
  item *v;
  size_t n, open;
  void (*done)(void *arg);     /* all have ended; not from inside hl_script_on_end */
  void *arg;
  hl_defer defer;
};

static const char *name_of(const item *it) {
  const char *slash = strrchr(it->path, '/');
  return it->script ? hl_script_name(it->script) : slash ? slash + 1 : it->path;
}

static hl_script *running(const hl_runtime *rt, const char *name) {
  hl_script *s = hl_host_scripts(rt->host);
  while (s && strcmp(hl_script_name(s), name) != 0) s = hl_script_next(s);
  return s;
}

static void on_all(hl_defer *d, void *arg) {
  batch *b = arg;
  (void)d;
  if (b->done) b->done(b->arg);
}

static void close_one(batch *b) {
  if (--b->open == 0) hl_defer_start(b->rt->loop, &b->defer, on_all, b);
}

static void script_ended(void *arg, int code, hl_str text) {
  item *it = arg;
  if (code) hl_fail(&it->err, code, HL_STR_FMT, HL_STR_ARG(text));
  close_one(it->batch);
}

/* An editor that has emptied a file is about to fill it. */
static bool is_emptied(const batch *b, const item *it) {
  struct stat st;
  return running(b->rt, name_of(it)) && stat(it->path, &st) == 0 && st.st_size == 0;
}

/* p: what they are permitted; NULL: nothing. */
static void load(batch *b, char *const *scripts, size_t n, const hl_project *p, int64_t timeout_ms) {
  b->v = hl_alloc(n * sizeof *b->v);
  b->n = n;
  b->open = 1;                 /* ours */
  for (size_t i = 0; i < b->n; i++) {
    item *it = &b->v[i];
    hl_permissions q = p ? hl_project_permissions(p, scripts[i]) : (hl_permissions){0};
    *it = (item){.batch = b, .path = scripts[i]};
    if (is_emptied(b, it)) {
      hl_fail(&it->err, HL_ESCRIPT, "%s: the file is empty", name_of(it));
      continue;
    }
    if (hl_host_stage(b->rt->host, it->path, &q, timeout_ms, &it->script, &it->err)) continue;
    b->open++;
    hl_script_on_end(it->script, script_ended, it);
  }
  close_one(b);
}

static bool has(const batch *b, const char *name) {
  for (size_t i = 0; i < b->n; i++)
    if (strcmp(name_of(&b->v[i]), name) == 0) return true;
  return false;
}

/* All that loaded well become the scripts; those that the project has no more go. Afterwards an item has no
 * script, and an error when it was not taken. Gives how many went. */
static size_t take(batch *b, int64_t drain_ms) {
  size_t n = 0, first_gone;
  const char *absent;
  for (size_t i = 0; hl_engine_absent_script(b->rt->engine, i); i++) n++;
  for (hl_script *s = hl_host_scripts(b->rt->host); s; s = hl_script_next(s)) n++;
  hl_change *changes = hl_alloc((b->n + n) * sizeof *changes);
  item **from = hl_alloc(b->n * sizeof *from);
  n = 0;
  for (size_t i = 0; i < b->n; i++) {
    item *it = &b->v[i];
    if (it->script && it->err.code) hl_script_drop(it->script);
    else if (it->script) {
      from[n] = it;
      changes[n++] = (hl_change){.name = hl_script_name(it->script), .script = it->script};
    }
  }
  first_gone = n;
  for (hl_script *s = hl_host_scripts(b->rt->host); s; s = hl_script_next(s))
    if (!has(b, hl_script_name(s))) changes[n++] = (hl_change){.name = hl_script_name(s)};
  for (size_t i = 0; (absent = hl_engine_absent_script(b->rt->engine, i)); i++)
    if (!has(b, absent)) changes[n++] = (hl_change){.name = absent};
  for (size_t i = first_gone; i < n; i++)
    hl_log_write(b->rt->log, HL_LOG_WARN, changes[i].name, "it is gone from the project, and with it its handlers and routes");
  hl_host_swap(b->rt->host, changes, n, drain_ms);
  for (size_t i = 0; i < first_gone && b->rt->fit; i++)
    if (!changes[i].err.code) hl_fit_taken(b->rt->fit, changes[i].name, from[i]->path);
  for (size_t i = 0; i < first_gone; i++) from[i]->err = changes[i].err;
  for (size_t i = 0; i < b->n; i++) b->v[i].script = NULL;
  hl_free(changes);
  hl_free(from);
  return n - first_gone;
}

static void clear(batch *b) {
  for (size_t i = 0; i < b->n; i++)
    if (b->v[i].script) hl_script_drop(b->v[i].script);
  hl_defer_stop(b->rt->loop, &b->defer);
  hl_free(b->v);
  b->v = NULL;
  b->n = b->open = 0;
}

/* ---- at the start ---- */

typedef struct starting {
  batch b;
  const bool *stop;
  bool done;
} starting;

static void all_loaded(void *arg) { ((starting *)arg)->done = true; }

static bool is_loading(void *arg) {
  const starting *s = arg;
  return !s->done && !(s->stop && *s->stop);
}

void hl_runtime_load(hl_runtime *rt, const bool *stop, hl_load_result *out) {
  starting s = {.b = {.rt = rt, .done = all_loaded, .arg = &s}, .stop = stop};
  *out = (hl_load_result){0};
  if (rt->project) load(&s.b, rt->project->scripts, rt->project->n_scripts, rt->project, 0);
  else load(&s.b, &rt->script, 1, NULL, 0);
  hl_loop_run_while(rt->loop, is_loading, &s);
  if (!s.done) {
    clear(&s.b);
    return;
  }
  take(&s.b, 0);
  for (size_t i = 0; i < s.b.n; i++) {
    const hl_error *err = &s.b.v[i].err;
    if (!err->code) {
      out->loaded++;
      continue;
    }
    out->failed++;
    hl_log_write(rt->log, HL_LOG_ERROR, "script", "%s%s", err->text,
                 rt->serving ? "\nevents for what it listened to before, and those that nobody else listens to, are kept until it loads" : "");
    if (rt->serving) hl_engine_absent(rt->engine, name_of(&s.b.v[i])); /* nothing is kept for the next `run` */
    if (!out->first.code) out->first = *err;
  }
  clear(&s.b);
}

/* ---- again ---- */

typedef struct waiter {
  struct waiter *next;
  hl_reload_cb cb;
  void *arg;
} waiter;

struct hl_reload {
  batch b;
  int64_t drain_ms;
  hl_project *fresh;           /* being loaded */
  waiter *now, *next;          /* who hears of this one, and of the one after it */
  bool again, person;
  cJSON *messages;
  hl_defer start;
};

static void begin(hl_reload *r);

hl_reload *hl_reload_new(hl_runtime *rt, int64_t drain_ms) {
  hl_reload *r = HL_NEW(hl_reload);
  r->b.rt = rt;
  r->drain_ms = drain_ms;
  return r;
}

static void free_waiters(waiter *w) {
  while (w) {
    waiter *next = w->next;
    hl_free(w);
    w = next;
  }
}

void hl_reload_free(hl_reload *r) {
  if (!r) return;
  clear(&r->b);
  hl_defer_stop(r->b.rt->loop, &r->start);
  hl_project_free(r->fresh);
  free_waiters(r->now);
  free_waiters(r->next);
  cJSON_Delete(r->messages);
  hl_free(r);
}

static void tell(hl_reload *r, hl_log_level level, const char *who, const char *text) {
  hl_log_write(r->b.rt->log, level, who, "%s", text);
  cJSON_AddItemToArray(r->messages, cJSON_CreateString(text));
}

static void on_start(hl_defer *d, void *arg) {
  (void)d;
  begin(arg);
}

static void over(hl_reload *r, hl_reload_result *result) {
  waiter *w = r->now;
  result->messages = r->messages;
  clear(&r->b);
  r->now = NULL;
  while (w) {
    waiter *next = w->next;
    w->cb(w->arg, result);
    hl_free(w);
    w = next;
  }
  cJSON_Delete(r->messages);
  r->messages = NULL;
  if (r->again) hl_defer_start(r->b.rt->loop, &r->start, on_start, r);
}

static void loaded(void *arg) {
  hl_reload *r = arg;
  hl_runtime *rt = r->b.rt;
  hl_reload_result result = {0};
  char text[2 * sizeof(hl_error)];
  bool *was = hl_alloc(r->b.n * sizeof *was);
  for (size_t i = 0; i < r->b.n; i++) was[i] = running(rt, name_of(&r->b.v[i])) != NULL;
  result.gone = take(&r->b, r->drain_ms);
  for (size_t i = 0; i < r->b.n; i++) {
    const hl_error *err = &r->b.v[i].err;
    if (!err->code) {
      result.taken++;
      continue;
    }
    result.failed++;
    if (!was[i]) hl_engine_absent(rt->engine, name_of(&r->b.v[i]));
    snprintf(text, sizeof text, "%s\n%s", err->text, was[i] ? "the version before keeps running" : "it does not run; events that nobody else listens to are kept until it loads");
    tell(r, HL_LOG_ERROR, "script", text);
  }
  hl_free(was);
  hl_project_free(rt->project);
  rt->project = r->fresh;
  r->fresh = NULL;
  if (rt->fit) hl_fit_start(rt->fit);
  size_t handlers = hl_host_handlers(rt->host);
  snprintf(text, sizeof text, "reloaded: %zu script%s, %zu handler%s", result.taken, result.taken == 1 ? "" : "s", handlers, handlers == 1 ? "" : "s");
  tell(r, result.failed ? HL_LOG_WARN : HL_LOG_INFO, "serve", text);
  over(r, &result);
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* What can be, is taken up now; the rest is named in `later`. */
static int take_settings(hl_reload *r, hl_buf *later, hl_error *err) {
  hl_runtime *rt = r->b.rt;
  const hl_project *p = rt->project, *q = r->fresh;
  int rc = hl_accounts_again(rt, q, later, err);
  const struct { const char *name; bool differs; } fixed[] = {
      {"store", !same(p->store, q->store)},
      {"http.listen", !same(p->listen, q->listen)},
      {"admin.listen", !same(p->admin, q->admin)},
      {"retention", p->retention_ms != q->retention_ms},
      {"audit_retention", p->audit_ms != q->audit_ms},
      {"calls", p->no_calls != q->no_calls || p->call_bodies != q->call_bodies || p->calls_max != q->calls_max},
  };
  if (rc) return rc;
  for (size_t i = 0; i < HL_COUNT(fixed); i++)
    if (fixed[i].differs) (void)hl_buf_printf(later, "%s%s", later->n ? ", " : "", fixed[i].name);
  hl_webhook_set(rt->webhook, &(hl_webhook_options){.public_url = q->public_url, .accept_v2 = q->accept_v2});
  return 0;
}

static void begin(hl_reload *r) {
  hl_runtime *rt = r->b.rt;
  hl_error err = {0};
  hl_buf later;
  char text[2 * sizeof err];
  hl_buf_init(&later, sizeof text / 2);
  r->again = false;
  r->now = r->next;
  r->next = NULL;
  r->messages = cJSON_CreateArray();
  int rc = hl_project_load(rt->root, &r->fresh, &err);
  if (!rc && (rc = take_settings(r, &later, &err))) {
    hl_project_free(r->fresh);
    r->fresh = NULL;
  }
  if (later.n) {
    snprintf(text, sizeof text, "settings: %s changed, which counts from the next start", later.p);
    tell(r, HL_LOG_WARN, "serve", text);
  }
  hl_buf_deinit(&later);
  if (rc) {
    hl_reload_result result = {.failed = rt->project->n_scripts};
    snprintf(text, sizeof text, "%s\neverything keeps running as it was", err.text);
    tell(r, HL_LOG_ERROR, "serve", text);
    over(r, &result);
    return;
  }
  r->b.done = loaded;
  r->b.arg = r;
  for (size_t i = 0; r->person && i < r->fresh->n_scripts; i++)
    hl_engine_forgive_loading(rt->engine, strrchr(r->fresh->scripts[i], '/') + 1);
  r->person = false;
  load(&r->b, r->fresh->scripts, r->fresh->n_scripts, r->fresh, LOAD_MS);
}

void hl_reload_start(hl_reload *r, bool person, hl_reload_cb cb, void *arg) {
  waiter **at = &r->next;
  while (*at) at = &(*at)->next;
  if (cb) {
    *at = HL_NEW(waiter);
    **at = (waiter){.cb = cb, .arg = arg};
  }
  r->again = true;
  if (person) r->person = true;
  if (!r->messages) hl_defer_start(r->b.rt->loop, &r->start, on_start, r);
}
