/* Loading scripts: from a path to a state whose main chunk runs as a task. */
#include "lua/host.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lua/script.h"

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
  hl_handler_fns_free(s);
  free_list(s->hosts);
  free_list(s->fs);
  free_list(s->env);
  hl_free(s->name);
  hl_free(s->dir);
  hl_free(s->http_origin);
  hl_free(s->end_text);
  hl_free(s);
}

void hl_host_free(hl_host *host) {
  if (!host) return;
  if (host->o.hubspot) hl_hubspot_on_day_ending(host->o.hubspot, NULL, NULL);
  hl_routes_free(host);
  while (host->scripts) {
    hl_script *s = host->scripts;
    host->scripts = s->next;
    script_free(s);
  }
  free_list(host->types);
  hl_free(host->root);
  hl_free(host);
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
  hl_bind_step(L);
  hl_bind_serve(L);
  hl_bind_kv(L);
  hl_bind_http(L);
  hl_bind_hubspot(L);
}

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
  return 1;
}

int hl_host_load_with(hl_host *host, const char *path, const hl_permissions *p, lua_CFunction extend,
                      hl_script **out, hl_error *err) {
  int rc;
  char *full = NULL;
  hl_buf text;
  hl_script *s = HL_NEW(hl_script);
  s->host = host;
  hl_buf_init(&text, SCRIPT_MAX);
  if ((rc = read_script(path, &text, err)) != 0) goto fail;
  full = realpath(path, NULL);
  if (!full) {
    rc = hl_fail(err, HL_EIO, "%s: %s", path, strerror(errno));
    goto fail;
  }
  size_t root_n = strlen(host->root);
  bool inside = strncmp(full, host->root, root_n) == 0 && full[root_n] == '/';
  const char *slash = strrchr(full, '/');
  s->name = hl_strdup(inside ? full + root_n + 1 : slash + 1);
  s->dir = hl_strndup(full, (size_t)(slash - full));
  for (hl_script *other = host->scripts; other; other = other->next) {
    if (strcmp(other->name, s->name) != 0) continue;
    rc = hl_fail(err, HL_EINVAL, "%s is loaded already", path);
    goto fail;
  }
  const char *ended = hl_engine_ended_loading(host->o.engine, s->name);
  if (ended) {
    rc = hl_fail(err, HL_ESCRIPT, "%s: skipped, because while it loaded %s; correct it and restart", s->name, ended);
    goto fail;
  }
  if (p) {
    s->hosts = copy_list(p->hosts);
    s->fs = copy_list(p->fs);
    s->env = copy_list(p->env);
  }
  s->loading = true;
  hl_state_options so = {.loop = host->o.loop, .name = s->name, .root = host->root,
                         .memory_limit = host->o.memory_limit, .cpu_ms = host->o.cpu_ms,
                         .max_tasks = host->o.max_tasks, .print = host->o.print,
                         .print_arg = host->o.print_arg, .owner = s};
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
                       .offline = host->o.serving, .wait_children = true};
  rc = hl_work_start(s, 0, &o, main_ended, s, NULL, err);
  if (rc) {
    hl_run_finish(s->main_run, HL_RUN_CUT, (hl_str){NULL, 0});
    s->main_run = NULL;
    goto fail;
  }
  hl_script **at = &host->scripts;
  while (*at) at = &(*at)->next;
  *at = s;
  *out = s;
  s = NULL;
fail:
  free(full);
  hl_buf_deinit(&text);
  if (s) script_free(s);
  return rc;
}

int hl_host_load(hl_host *host, const char *path, const hl_permissions *p, hl_script **out, hl_error *err) {
  return hl_host_load_with(host, path, p, NULL, out, err);
}

const char *hl_script_name(const hl_script *s) { return s->name; }

size_t hl_host_live_tasks(const hl_host *host) {
  size_t n = 0;
  for (const hl_script *s = host->scripts; s; s = s->next) n += hl_state_live_tasks(s->state);
  return n;
}

size_t hl_host_handlers(const hl_host *host) { return host->handlers; }

const char *const *hl_host_event_types(const hl_host *host) {
  static const char *const none[] = {NULL};
  return host->types ? (const char *const *)host->types : none;
}

void hl_host_cancel_all(hl_host *host) {
  for (hl_script *s = host->scripts; s; s = s->next) hl_works_cancel(s);
}
