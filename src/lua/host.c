/* Loading scripts: from a path to a state whose main chunk runs as a task. */
#include "lua/host.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lua/awaits.h"
#include "lua/coverage.h"
#include "lua/script.h"
#include "net/sql.h"

enum { SCRIPT_MAX = 8 * 1024 * 1024, NEAR_MAX = 200 };

static void day_ends_early(void *engine, const char *text, cJSON *details) {
  hl_engine_alert(engine, "budget_ending", text, details);
}

int hl_host_new(const hl_host_options *o, hl_host **out, hl_error *err) {
  char *root = realpath(o->root ? o->root : ".", NULL);
  if (!root) return hl_fail(err, HL_ENOTFOUND, "the folder %s: %s", o->root ? o->root : ".", strerror(errno));
  hl_host *host = HL_NEW(hl_host);
  host->o = *o;
  host->root = hl_strdup(root);
  free(root);
  if (o->hubspot && o->engine) hl_hubspot_on_day_ending(o->hubspot, day_ends_early, o->engine);
  *out = host;
  return 0;
}

static char **copy_list(const char *const *list) {
  if (!list) return NULL;
  size_t n = 0;
  while (list[n]) n++;
  char **copy = hl_alloc((n + 1) * sizeof *copy);
  for (size_t i = 0; i < n; i++) copy[i] = hl_strdup(list[i]);
  return copy;
}

static void free_list(char **list) {
  for (size_t i = 0; list && list[i]; i++) hl_free(list[i]);
  hl_free(list);
}

static void script_free(hl_script *s) {
  if (s->state) {
    hl_works_cut(s);
    hl_state_free(s->state);
  }
  hl_works_free(s);
  hl_timer_stop(s->host->o.loop, &s->drain);
  hl_defer_stop(s->host->o.loop, &s->reap);
  hl_swap_free(s->swap);
  hl_routes_free(s);
  hl_handler_fns_free(s);
  free_list(s->types);
  free_list(s->hosts);
  free_list(s->fs);
  free_list(s->env);
  free_list(s->sql);
  hl_free(s->name);
  hl_free(s->http_origin);
  hl_free(s->end_text);
  hl_free(s);
}

void hl_host_free(hl_host *host) {
  if (!host) return;
  if (host->o.hubspot) hl_hubspot_on_day_ending(host->o.hubspot, NULL, NULL);
  hl_script **lists[] = {&host->scripts, &host->apart};
  for (size_t i = 0; i < HL_COUNT(lists); i++) {
    while (*lists[i]) {
      hl_script *s = *lists[i];
      *lists[i] = s->next;
      script_free(s);
    }
  }
  hl_sqls_free(host->sqls);
  hl_free(host->types);
  free_list(host->locks);
  free_list(host->secrets);
  hl_free(host->root);
  hl_free(host);
}

static hl_script *find_script(const hl_host *host, const char *name) {
  hl_script *s = host->scripts;
  while (s && strcmp(s->name, name) != 0) s = s->next;
  return s;
}

/* ---- finding ---- */
static int not_found(const char *path, hl_error *err) {
  const char *slash = strrchr(path, '/');
  char dir[PATH_MAX];
  snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
  if (slash == path) snprintf(dir, sizeof dir, "/");
  const char *base = slash ? slash + 1 : path;
  char *names[NEAR_MAX + 1];
  size_t n = 0;
  DIR *d = opendir(dir);
  for (struct dirent *e; d && n < NEAR_MAX && (e = readdir(d)) != NULL;) {
    size_t len = strlen(e->d_name);
    if (len > 4 && strcmp(e->d_name + len - 4, ".lua") == 0) names[n++] = hl_strdup(e->d_name);
  }
  names[n] = NULL;
  const char *near = hl_str_nearest(hl_str_of(base), (const char *const *)names);
  if (!d) hl_fail(err, HL_ENOTFOUND, "cannot find the script %s: there is no folder %s", path, dir);
  else if (near) hl_fail(err, HL_ENOTFOUND, "cannot find the script %s; did you mean %s%s%s?", path,
                         slash ? dir : "", slash ? "/" : "", near);
  else if (n == 0) hl_fail(err, HL_ENOTFOUND, "cannot find the script %s: there is no *.lua file in %s", path,
                           slash ? dir : "this folder");
  else hl_fail(err, HL_ENOTFOUND, "cannot find the script %s; %s holds %s%s%s", path, slash ? dir : "this folder",
               names[0], n > 1 ? ", " : "", n > 1 ? names[1] : "");
  if (d) closedir(d);
  for (size_t i = 0; i < n; i++) hl_free(names[i]);
  return HL_ENOTFOUND;
}

static int read_script(const char *path, hl_buf *out, hl_error *err) {
  struct stat st;
  if (stat(path, &st) != 0)
    return errno == ENOENT || errno == ENOTDIR ? not_found(path, err)
                                               : hl_fail(err, HL_EIO, "%s: %s", path, strerror(errno));
  if (S_ISDIR(st.st_mode))
    return hl_fail(err, HL_EINVAL, "%s is a folder; name the script in it", path);
  FILE *f = fopen(path, "rb");
  if (!f) return hl_fail(err, HL_EIO, "cannot read %s: %s", path, strerror(errno));
  char piece[16384];
  size_t n;
  int rc = 0;
  while (!rc && (n = fread(piece, 1, sizeof piece, f)) > 0)
    if (hl_buf_append(out, piece, n)) rc = hl_fail(err, HL_ELIMIT, "%s: a script has at most 8 MiB", path);
  if (!rc && ferror(f)) rc = hl_fail(err, HL_EIO, "cannot read %s: %s", path, strerror(errno));
  fclose(f);
  return rc;
}

/* Its name is that of the path, also when that is a link: where a link leads may change, a durable name may not. */
static int place_script(hl_script *s, const char *path, hl_error *err) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *root = s->host->root;
  char folder[PATH_MAX], dir[PATH_MAX];
  size_t n = strlen(root);
  snprintf(folder, sizeof folder, "%.*s/.", slash ? (int)(slash - path) : 1, slash ? path : ".");
  if (!realpath(folder, dir)) return hl_fail(err, HL_EIO, "%s: %s", path, strerror(errno));
  bool below = strncmp(dir, root, n) == 0 && dir[n] == '/';
  snprintf(folder, sizeof folder, "%s%s%s", below ? dir + n + 1 : "", below ? "/" : "", base);
  s->name = hl_strdup(folder);
  return 0;
}

/* Puts the source line under a message that begins with "name:LINE:". */
static void add_source_line(const hl_script *s, hl_str text, const char *message, hl_error *err) {
  size_t n = strlen(s->name);
  long line = strncmp(message, s->name, n) == 0 && message[n] == ':' ? strtol(message + n + 1, NULL, 10) : 0;
  const char *p = text.p, *end = text.p + text.n;
  for (long i = 1; i < line && p; i++) {
    p = memchr(p, '\n', (size_t)(end - p));
    if (p) p++;
  }
  if (line <= 0 || !p || p >= end) {
    hl_fail(err, HL_ESCRIPT, "%s", message);
    return;
  }
  const char *stop = memchr(p, '\n', (size_t)(end - p));
  int len = (int)((stop ? stop : end) - p);
  while (len > 0 && (p[len - 1] == '\r')) len--;
  hl_fail(err, HL_ESCRIPT, "%s\n  %ld | %.*s%s", message, line, len > 200 ? 200 : len, p, len > 200 ? "…" : "");
}

/* ---- the main task ---- */
static void main_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  hl_script *s = arg;
  (void)L;
  (void)nresults;
  if (s->main_run) {
    hl_run *run = s->main_run;
    s->main_run = NULL;
    hl_testbed_run_ended(s->host, run, true);
    /* What the main task stored has been committed on the way. */
    hl_run_finish(run, code == HL_ECANCELLED ? HL_RUN_CUT : code ? HL_RUN_FAILED : HL_RUN_DONE, text);
  }
  s->loading = s->stays_loading;
  s->ended = true;
  s->end_code = code;
  s->end_text = hl_strndup(text.p ? text.p : "", text.n);
  if (s->on_end) s->on_end(s->on_end_arg, code == 0 || code == HL_ECANCELLED ? code : HL_ESCRIPT,
                           hl_str_of(s->end_text));
}

void hl_script_on_end(hl_script *s, void (*cb)(void *arg, int code, hl_str text), void *arg) {
  s->on_end = cb;
  s->on_end_arg = arg;
}

void hl_bind_script(lua_State *L) {
  hl_bind_effects(L);
  hl_bind_secret(L);
  hl_bind_engine(L);
  hl_bind_on(L);
  hl_bind_derived(L);
  hl_bind_step(L);
  hl_bind_wait(L);
  hl_bind_serve(L);
  hl_bind_kv(L);
  hl_bind_http(L);
  hl_bind_fs(L);
  hl_bind_sql(L);
  hl_bind_env(L);
  hl_bind_hubspot(L);
  hl_bind_calls(L);
}

static void await_type(void *arg, hl_str type, hl_str property) {
  hl_script *s = arg;
  char *t = hl_strndup(type.p, type.n), *p = property.p ? hl_strndup(property.p, property.n) : NULL;
  if (hl_event_type_known(t, NULL)) {
    hl_script_note_type(s, t);
    hl_engine_awaits(s->host->o.engine, s->name, t, p);
  }
  hl_free(t);
  hl_free(p);
}

/* What the script's text, or that of its modules, waits for is subscribed to like what it listens to. */
static void read_awaits(void *arg, hl_str text) { hl_awaited_types(text, await_type, arg); }

typedef struct compile_args { hl_script *script; hl_str text; lua_CFunction extend; int rc; } compile_args;

/* Binds the modules, then leaves the compiled chunk, or its message. */
static int bind_and_compile(lua_State *L) {
  compile_args *a = lua_touserdata(L, 1);
  hl_bind_script(L);
  if (a->extend) a->extend(L);
  hl_str t = a->text;
  if (hl_str_starts(t, "\xef\xbb\xbf")) t = (hl_str){t.p + 3, t.n - 3};
  if (hl_str_starts(t, "#")) /* "#!/usr/bin/env hubloop": its newline stays, for the line numbers */
    while (t.n && *t.p != '\n') t = (hl_str){t.p + 1, t.n - 1};
  lua_pushfstring(L, "@%s", a->script->name);
  a->rc = luaL_loadbufferx(L, t.n ? t.p : "", t.n, lua_tostring(L, -1), "t");
  if (a->rc == LUA_OK && a->script->host->o.coverage) hl_coverage_chunk(a->script->host->o.coverage, L);
  return 1;
}

/* In a replay: what a script says belongs to the tale. */
static void heard(lua_State *L, const char *level, hl_str line) {
  hl_task *t = hl_task_current(L);
  hl_replay_did(hl_script_of(L)->host, t ? hl_task_run(t) : NULL, false, "log", level, line, NULL);
}

static int load(hl_host *host, const char *path, const hl_permissions *p, lua_CFunction extend, bool staged, int64_t timeout_ms,
                hl_script **out, hl_error *err) {
  int rc;
  hl_buf text;
  hl_script *s = HL_NEW(hl_script);
  s->host = host;
  hl_buf_init(&text, SCRIPT_MAX);
  if ((rc = read_script(path, &text, err)) != 0) goto fail;
  if ((rc = place_script(s, path, err)) != 0) goto fail;
  if (!staged && find_script(host, s->name)) {
    rc = hl_fail(err, HL_EINVAL, "%s is loaded already", path);
    goto fail;
  }
  const char *ended = hl_engine_ended_loading(host->o.engine, s->name);
  if (ended) {
    rc = hl_fail(err, HL_ESCRIPT, "%s: skipped, because while it loaded %s; correct it and send SIGHUP", s->name, ended);
    goto fail;
  }
  if (staged) s->swap = hl_swap_new(host->o.engine, s->name);
  if (p) {
    s->hosts = copy_list(p->hosts);
    s->fs = copy_list(p->fs);
    s->env = copy_list(p->env);
    s->sql = copy_list(p->sql);
  }
  hl_engine_limit(host->o.engine, s->name, p ? p->concurrency : 0);
  s->loading = true;
  hl_state_options so = {.loop = host->o.loop, .name = s->name, .root = host->root,
                         .memory_limit = host->o.memory_limit, .cpu_ms = host->o.cpu_ms,
                         .max_tasks = host->o.max_tasks, .print = host->o.print,
                         .print_arg = host->o.print_arg, .heard = host->o.replay ? heard : NULL, .owner = s, .coverage = host->o.coverage, .module = read_awaits};
  if ((rc = hl_state_new(&so, &s->state, err)) != 0) goto fail;
  lua_State *L = hl_state_lua(s->state);
  compile_args a = {s, hl_buf_str(&text), extend, 0};
  lua_pushcfunction(L, bind_and_compile);
  lua_pushlightuserdata(L, &a);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    const char *m = lua_tostring(L, -1);
    rc = hl_fail(err, HL_ELIMIT, "%s: %s", s->name, m ? m : "out of memory");
    goto fail;
  }
  read_awaits(s, hl_buf_str(&text));
  if (a.rc != LUA_OK) {
    const char *m = lua_tostring(L, -1);
    add_source_line(s, a.text, m ? m : "out of memory", err);
    rc = HL_ESCRIPT;
    goto fail;
  }
  const char *account = hl_host_default_account(host);
  s->main_run = hl_engine_begin(host->o.engine, s->name, account);
  hl_run_loads(s->main_run);
  hl_task_options o = {.run = s->main_run, .account = account, .klass = HL_CLASS_NORMAL,
                       .offline = host->o.serving, .wait_children = true, .timeout_ms = timeout_ms};
  rc = hl_work_start(s, 0, &o, main_ended, s, NULL, err);
  if (rc) {
    hl_run_finish(s->main_run, HL_RUN_CUT, (hl_str){NULL, 0});
    s->main_run = NULL;
    goto fail;
  }
  hl_script **at = staged ? &host->apart : &host->scripts;
  while (*at) at = &(*at)->next;
  *at = s;
  *out = s;
  s = NULL;
fail:
  hl_buf_deinit(&text);
  if (s) script_free(s);
  return rc;
}

int hl_host_load_with(hl_host *host, const char *path, const hl_permissions *p, lua_CFunction extend,
                      hl_script **out, hl_error *err) {
  return load(host, path, p, extend, false, 0, out, err);
}

int hl_host_load(hl_host *host, const char *path, const hl_permissions *p, hl_script **out, hl_error *err) {
  return load(host, path, p, NULL, false, 0, out, err);
}

/* ---- exchanging scripts (SEMANTICS 27) ---- */

int hl_host_stage(hl_host *host, const char *path, const hl_permissions *p, int64_t timeout_ms, hl_script **out, hl_error *err) {
  return load(host, path, p, NULL, true, timeout_ms, out, err);
}

static void unlink_script(hl_script **list, hl_script *s) {
  while (*list != s) list = &(*list)->next;
  *list = s->next;
  s->next = NULL;
}

/* Not from inside the end of its last task, which still looks at the state. */
static void on_reap(hl_defer *d, void *arg) {
  (void)d;
  hl_script *s = arg;
  unlink_script(&s->host->apart, s);
  script_free(s);
}

void hl_script_idle(hl_script *s) {
  if (s->retired) hl_defer_start(s->host->o.loop, &s->reap, on_reap, s);
}

static void on_drained(hl_timer *t, void *arg) {
  (void)t;
  hl_script *s = arg;
  size_t n = 0;
  for (const hl_work *w = s->works; w; w = hl_work_next(w)) n++;
  hl_log_write(hl_loop_log(s->host->o.loop), HL_LOG_WARN, s->name,
               "%zu task%s of its earlier version had not ended in time and %s cut; events go back to the inbox", n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
  hl_works_cancel(s, "the script was reloaded");
}

/* It lies in host->apart. */
static void retire(hl_script *s, int64_t drain_ms) {
  s->retired = true;
  s->drain.unref = true;
  if (s->works) hl_timer_start(s->host->o.loop, &s->drain, drain_ms, on_drained, s);
  else hl_script_idle(s);
}

void hl_script_drop(hl_script *s) {
  s->on_end = NULL;
  s->retired = true;
  if (s->works) hl_works_cancel(s, "its load was called off");
  else hl_script_idle(s);
}

/* Which of the scripts as they will be serves what `c` serves too. An earlier change goes before a later one. */
static void check_routes(hl_host *host, hl_change *v, size_t n, hl_change *c) {
  for (hl_script *s = host->scripts; s && !c->err.code; s = s->next) {
    bool stays = true;
    for (size_t i = 0; i < n && stays; i++) stays = v[i].err.code || strcmp(v[i].name, s->name) != 0;
    if (stays) hl_routes_clash(c->script, s, &c->err);
  }
  for (hl_change *o = v; o < c && !c->err.code; o++)
    if (o->script && !o->err.code) hl_routes_clash(c->script, o->script, &c->err);
}

/* A change that is not taken leaves the old script, which may clash in its turn. */
static void refuse_clashes(hl_host *host, hl_change *v, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!v[i].script || v[i].err.code) continue;
    check_routes(host, v, n, &v[i]);
    if (!v[i].err.code) continue;
    hl_script_drop(v[i].script);
    v[i].script = NULL;
    i = (size_t)-1; /* from the beginning */
  }
}

static void take_over(hl_host *host, hl_change *c, int64_t drain_ms) {
  hl_script *old = find_script(host, c->name);
  if (old) {
    unlink_script(&host->scripts, old);
    old->next = host->apart;
    host->apart = old;
    retire(old, drain_ms);
  }
  if (!c->script) return;
  unlink_script(&host->apart, c->script);
  hl_script **at = &host->scripts;
  while (*at && strcmp((*at)->name, c->name) < 0) at = &(*at)->next;
  c->script->next = *at;
  *at = c->script;
}

void hl_host_swap(hl_host *host, hl_change *v, size_t n, int64_t drain_ms) {
  hl_swap **swaps = hl_alloc(n * sizeof *swaps);
  size_t taken = 0;
  refuse_clashes(host, v, n);
  for (size_t i = 0; i < n; i++) {
    if (v[i].err.code) continue;
    hl_script *s = v[i].script;
    swaps[taken++] = s ? s->swap : hl_swap_new(host->o.engine, v[i].name);
    if (s) s->swap = NULL;
  }
  for (size_t i = 0; i < n; i++)
    if (!v[i].err.code) take_over(host, &v[i], drain_ms);
  hl_engine_swap(host->o.engine, swaps, taken);
  hl_free(swaps);
}

const char *hl_script_name(const hl_script *s) { return s->name; }

hl_script *hl_host_scripts(const hl_host *host) { return host->scripts; }
hl_script *hl_script_next(const hl_script *s) { return s->next; }

size_t hl_host_live_tasks(const hl_host *host) {
  size_t n = 0;
  for (const hl_script *s = host->scripts; s; s = s->next) n += hl_state_live_tasks(s->state);
  for (const hl_script *s = host->apart; s; s = s->next) n += hl_state_live_tasks(s->state);
  return n;
}

size_t hl_host_handlers(const hl_host *host) {
  size_t n = 0;
  for (const hl_script *s = host->scripts; s; s = s->next) n += s->registered;
  return n;
}

const char *const *hl_host_event_types(hl_host *host) {
  size_t n = 0, all = 0;
  for (const hl_script *s = host->scripts; s; s = s->next) all += s->n_types;
  host->types = hl_realloc(host->types, (all + 1) * sizeof *host->types);
  for (const hl_script *s = host->scripts; s; s = s->next) {
    for (size_t i = 0; i < s->n_types; i++) {
      size_t k = 0;
      while (k < n && strcmp(host->types[k], s->types[i]) != 0) k++;
      if (k == n) host->types[n++] = s->types[i];
    }
  }
  host->types[n] = NULL;
  return (const char *const *)host->types;
}

void hl_host_cancel_all(hl_host *host) {
  for (hl_script *s = host->scripts; s; s = s->next) hl_works_cancel(s, "the host is stopping");
  for (hl_script *s = host->apart; s; s = s->next) hl_works_cancel(s, "the host is stopping");
}
