#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "cmd/cmd.h"
#include "cmd/population.h"
#include "cmd/runtime.h"
#include "cmd/sources.h"
#include "lua/check.h"
#include "loop/clock.h"
#include "loop/stop.h"

/* `hubloop run`: a script's main task, and what it emits, until nothing is left
 * to do. Its store lies in the user's state folder (SEMANTICS 29). It has no
 * supervisor: one C call that does not return is ended by the second signal. */

static const hl_flag flags[] = {
    {"sim", NULL, "HubSpot is the built-in simulator; nothing leaves this machine"},
    {"for", "TIME", "with --sim: so long in virtual time, timers and all, such as 7d; then it ends"},
    {"activity", "N", "with --for: so many things a day happen in the account; default 48, 0: none"},
    {"sim-http", "HOST=FILE", "with --for: this Lua file answers for another host (hubloop help sim)"},
    {"account", "NAME", "call HubSpot with this stored account (hubloop auth list)"},
    {"store", "FILE", "keep kv and pending events here instead of the state folder"},
    {"allow-host", "HOST", "the script may reach this host with http (several: a,b)"},
    {"allow-fs", "DIR", "the script may read and write files in this folder"},
    {"allow-env", "NAME", "the script may read this environment variable"},
    {"allow-sql", "DB", "the script may use this database: an SQLite file, or postgres://HOST/DATABASE"},
    {"verbose", NULL, "log what the host does"},
    HL_POPULATION_FLAGS,
    {NULL, NULL, NULL},
};

typedef struct running {
  hl_runtime *rt;
  bool main_ended, interrupted;
  int code;
} running;

static void main_ended(void *arg, int code, hl_str text) {
  running *r = arg;
  r->main_ended = true;
  if (!code || r->interrupted) return;
  r->code = HL_EXIT_FAILED;
  hl_buf safe;
  hl_buf_init(&safe, 64 * 1024);
  hl_log_redact(r->rt->log, text, &safe);
  hl_cmd_fail(0, "%s", safe.p ? safe.p : "the script failed");
  hl_buf_deinit(&safe);
}

static void interrupt(void *arg, int signum) {
  running *r = arg;
  r->interrupted = true;
  r->code = 128 + signum;
}

/* "a,b" to a NULL-terminated list, of each time that the flag is given; the text is kept in `copy`. */
static const char *const *split(const hl_args *a, const char *flag, char **copy, const char *list[], size_t max) {
  size_t n = 0;
  hl_buf all;
  hl_buf_init(&all, SIZE_MAX / 4);
  for (size_t i = 0; i < a->n_flags; i++)
    if (strcmp(a->flag[i], flag) == 0) hl_buf_printf(&all, "%s%s", all.n ? "," : "", a->value[i]);
  *copy = hl_buf_detach(&all, NULL);
  if (!*copy) return NULL;
  for (char *p = *copy; p && n + 1 < max;) {
    char *comma = strchr(p, ',');
    if (comma) *comma++ = 0;
    if (*p) list[n++] = p;
    p = comma;
  }
  list[n] = NULL;
  return list;
}

/* ---- trying a script: so long, in virtual time ---- */

enum { MEET_CPU_MS = 1000, ACTIVITY = 48, TRY_MAX_DAYS = 3660 };

typedef struct trying {
  const hl_args *args;
  int64_t ms, activity;      /* ms 0: it is not tried */
  char *sim_json;
  running *r;
  bool over;
} trying;

/* 0, or the exit code after saying why. */
static int read_trial(const hl_args *a, trying *t) {
  bool sim = hl_args_has(a, "sim");
  const char *text = hl_args_get(a, "for");
  for (size_t i = 0; i < a->n_flags; i++)
    if (!sim && (strcmp(a->flag[i], "for") == 0 || hl_population_flag(a->flag[i])))
      return hl_cmd_fail(HL_EXIT_MISUSE, "--%s is about the simulator: it needs --sim", a->flag[i]);
  if (!text && (hl_args_has(a, "activity") || hl_args_has(a, "sim-http")))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--activity and --sim-http need --for: in virtual time only");
  if (text && (hl_duration_parse(hl_str_of(text), &t->ms, NULL) || t->ms <= 0 || t->ms > TRY_MAX_DAYS * HL_DAY))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--for takes a duration such as 12h, 7d or 30d, not “%s”", text);
  int rc = hl_args_int(a, "activity", 0, 1000000, ACTIVITY, &t->activity);
  if (rc || !sim) return rc;
  cJSON *json = cJSON_CreateObject();
  if (t->ms) cJSON_AddArrayToObject(json, "subscriptions");
  if (!(rc = hl_population_options(a, json))) t->sim_json = hl_json_print(json);
  cJSON_Delete(json);
  return rc;
}

static int control(hl_sim *sim, const char *name, cJSON *args, hl_error *err) {
  char *text = hl_json_print(args), *out = NULL;
  int rc = hl_sim_control(sim, name, hl_str_of(text), &out, err);
  cJSON_Delete(args);
  hl_free(text);
  hl_free(out);
  return rc;
}

static int stand_in(hl_sim *sim, const char *spec, hl_error *err) {
  const char *equals = strchr(spec, '=');
  if (!equals || equals == spec || !equals[1]) return hl_fail(err, HL_EINVAL, "--sim-http takes HOST=FILE, such as api.example.com=api.lua, not “%s”", spec);
  char *host = hl_strndup(spec, (size_t)(equals - spec));
  cJSON *args = cJSON_CreateObject();
  cJSON_AddStringToObject(args, "host", host);
  cJSON_AddStringToObject(args, "file", equals + 1);
  hl_free(host);
  int rc = control(sim, "stand_in", args, err);
  if (rc == HL_ESCRIPT) err->code = rc = HL_EINVAL;
  return rc;
}

/* The people that the scripts name are users of the simulated account; what says that is on *made. What cannot be read
 * fails as it loads. */
static int meet(hl_runtime *rt, const char *path, hl_buf *made, hl_error *err) {
  cJSON *request = cJSON_CreateObject(), *answer = NULL;
  const cJSON *one;
  hl_project *project = NULL;
  int rc = 0;
  if (hl_sources_add(cJSON_AddArrayToObject(request, "files"), path, false, &project, err) ||
      hl_check_call(rt->loop, "owners", MEET_CPU_MS, request, &answer, err))
    goto out;
  cJSON_ArrayForEach(one, hl_json_get(answer, "owners")) {
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "email", one->valuestring);
    char *text = hl_json_print(args), *owner = NULL;
    cJSON_Delete(args);
    rc = hl_sim_control(rt->sim, "owner", hl_str_of(text), &owner, err);
    if (!rc && strstr(owner, "\"made\":true")) (void)hl_buf_printf(made, "%s%s", made->n ? ", " : "", one->valuestring);
    hl_free(text);
    hl_free(owner);
    if (rc) break;
  }
out:
  hl_project_free(project);
  cJSON_Delete(answer);
  cJSON_Delete(request);
  return rc;
}

static void time_is_over(hl_timer *timer, void *arg) {
  (void)timer;
  ((trying *)arg)->over = true;
}

static bool goes_on(void *arg) {
  const trying *t = arg;
  return !t->over && !t->r->interrupted && !(t->r->main_ended && t->r->code);
}

/* What the scripts listen to is subscribed to, as `hubloop webhooks apply` does it. */
static int subscribe(hl_runtime *rt, hl_error *err) {
  cJSON *args = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(args, "types");
  for (const char *const *type = hl_host_event_types(rt->host); *type; type++) cJSON_AddItemToArray(list, cJSON_CreateString(*type));
  return control(rt->sim, "subscribe", args, err);
}

static void run_for(trying *t, int64_t ms) {
  hl_timer end = {0};
  t->over = false;
  hl_timer_start(t->r->rt->loop, &end, ms, time_is_over, t);
  hl_loop_run_while(t->r->rt->loop, goes_on, t);
  hl_timer_stop(t->r->rt->loop, &end);
}

static int try_out(trying *t, hl_error *err) {
  hl_runtime *rt = t->r->rt;
  run_for(t, 0);             /* until the scripts have registered, which they do before they first wait */
  int rc = subscribe(rt, err);
  if (rc) return rc;
  int64_t began = hl_clock_mono();
  if (t->activity) {
    cJSON *args = cJSON_CreateObject();
    cJSON_AddNumberToObject(args, "per_day", (double)t->activity);
    if ((rc = control(rt->sim, "activity", args, err))) return rc;
  }
  run_for(t, t->ms);
  if (t->r->main_ended && t->r->code) return 0; /* it has not loaded */
  hl_engine_stats e;
  hl_api_stats api = {0};
  hl_account *account;
  hl_engine_stats_get(rt->engine, &e);
  if (hl_hubspot_account(rt->hubspot, NULL, &account, NULL) == 0) hl_account_stats(account, &api);
  fprintf(stderr, "%s in %.1f s: %llu events, %llu handled", hl_args_get(t->args, "for"), (double)(hl_clock_mono() - began) / 1000,
          (unsigned long long)e.acknowledged, (unsigned long long)e.ran);
  const struct { uint64_t n; const char *what; } others[] = {{e.own, "own"}, {e.filtered, "filtered"}, {e.debounced, "debounced"},
      {e.duplicate, "duplicate"}, {e.waiting, "waiting"}, {e.pending, "pending"}, {e.unhandled, "unhandled"}};
  for (size_t i = 0; i < HL_COUNT(others); i++)
    if (others[i].n) fprintf(stderr, ", %llu %s", (unsigned long long)others[i].n, others[i].what);
  fprintf(stderr, "; %llu runs failed, %llu events parked; %llu calls in %llu requests, %llu x 429\n", (unsigned long long)e.runs_failed,
          (unsigned long long)e.dead, (unsigned long long)api.calls, (unsigned long long)api.requests, (unsigned long long)api.limited);
  return 0;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  running r = {0};
  hl_buf store, made;
  char *copies[4] = {NULL};
  const char *hosts[32], *fs[32], *env[32], *sql[32];
  hl_script *script;
  hl_buf_init(&store, 4096);
  hl_buf_init(&made, 64 * 1024);
  trying t = {.args = a, .r = &r};
  int rc = read_trial(a, &t);
  if (rc) return rc;
  const char *path = a->positional[0];
  if (access(path, R_OK) == 0 && !hl_args_has(a, "store") && (rc = hl_runtime_state_path(path, &store, &err))) goto failed;
  hl_runtime_options o = {
      .path = path, .store = hl_args_has(a, "store") ? hl_args_get(a, "store") : hl_args_has(a, "sim") ? NULL : store.p,
      .account = hl_args_get(a, "account"), .simulator = hl_args_has(a, "sim"), .sim_json = t.sim_json, .is_virtual = t.ms > 0,
      .log_level = hl_args_has(a, "verbose") ? HL_LOG_DEBUG : t.ms ? HL_LOG_INFO : HL_LOG_WARN,
  };
  if ((rc = hl_runtime_new(&o, &r.rt, &err))) goto failed;
  for (size_t i = 0; i < a->n_flags; i++)
    if (strcmp(a->flag[i], "sim-http") == 0 && (rc = stand_in(r.rt->sim, a->value[i], &err))) goto failed;
  if (t.ms && (rc = meet(r.rt, path, &made, &err))) goto failed;
  if (made.n) hl_log_write(r.rt->log, HL_LOG_INFO, "sim", "the scripts name owners that the account had not, and has now: %s", made.p);
  if ((rc = hl_stop_watch(r.rt->loop, 0, interrupt, &r, &err))) goto failed;
  if (r.rt->project) {
    for (const hl_flag *f = flags; f->name; f++)
      if (strncmp(f->name, "allow-", 6) == 0 && hl_args_has(a, f->name)) {
        rc = hl_fail(&err, HL_EINVAL, "--%s is for a lone script; those of a project are permitted in hubloop.lua: "
                     "permissions = { [\"x.lua\"] = { %s = { \"%s\" } } }",
                     f->name, strcmp(f->name, "allow-host") == 0 ? "hosts" : f->name + 6, hl_args_get(a, f->name));
        goto failed;
      }
    hl_load_result loaded;
    hl_runtime_load(r.rt, &r.interrupted, &loaded);
    if (loaded.failed && !r.interrupted) r.code = loaded.loaded ? HL_EXIT_SOME : HL_EXIT_FAILED;
  } else {
    hl_permissions p = {.hosts = split(a, "allow-host", &copies[0], hosts, HL_COUNT(hosts)),
                        .fs = split(a, "allow-fs", &copies[1], fs, HL_COUNT(fs)),
                        .env = split(a, "allow-env", &copies[2], env, HL_COUNT(env)),
                        .sql = split(a, "allow-sql", &copies[3], sql, HL_COUNT(sql))};
    if ((rc = hl_host_load(r.rt->host, path, &p, &script, &err))) goto failed;
    hl_script_on_end(script, main_ended, &r);
  }
  /* Registration ends with the main task's first wait or its end; events that a
   * finished main task emitted are handled before the program ends. */
  if (!r.interrupted && (rc = hl_engine_start(r.rt->engine, &err))) goto failed;
  if (!t.ms) hl_runtime_run_idle(r.rt, &r.interrupted);
  else if ((rc = try_out(&t, &err))) goto failed;
  if (r.interrupted || t.ms) hl_host_cancel_all(r.rt->host);
  hl_runtime_drain(r.rt, r.interrupted || t.ms ? 0 : 10 * 1000);
  hl_engine_stats stats;
  hl_engine_stats_get(r.rt->engine, &stats);
  if (!r.code && stats.dead) {
    hl_cmd_fail(0, "%llu event%s could not be handled and %s parked", (unsigned long long)stats.dead,
                stats.dead == 1 ? "" : "s", stats.dead == 1 ? "is" : "are");
    r.code = HL_EXIT_SOME;
  }
failed:
  if (rc) r.code = err.code == HL_EINVAL || err.code == HL_ENOTFOUND ? HL_EXIT_MISUSE : HL_EXIT_FAILED;
  if (rc) hl_cmd_fail(0, "%s", err.text);
  hl_runtime_free(r.rt);
  for (size_t i = 0; i < HL_COUNT(copies); i++) hl_free(copies[i]);
  hl_buf_deinit(&store);
  hl_buf_deinit(&made);
  hl_free(t.sim_json);
  return r.code;
}

const hl_command hl_cmd_run = {
    .name = "run", .operands = "FILE|DIR", .summary = "run a script until nothing is left to do", .flags = flags,
    .min = 1, .max = 1, .run = run,
    .examples = "  hubloop run hello.lua --sim          against the built-in simulator\n"
                "  HUBSPOT_TOKEN=… hubloop run hello.lua\n"
                "  hubloop run hello.lua --account shop a stored account: hubloop auth login shop\n"
                "  hubloop run lead_scoring.lua --sim --contacts 500 --for 30d    a month of an account's life\n"
                "  hubloop run enrich.lua --sim --allow-host api.example.com\n",
};
