#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "cmd/calls.h"
#include "cmd/cmd.h"
#include "cmd/runtime.h"

/* `hubloop calls`: the API call log of a project or a script. It reads files that
 * a running `serve` appends to, and asks nobody. */

static const hl_flag flags[] = {
    {"script", "NAME", "calls of this script only"},
    {"path", "TEXT", "calls whose path holds this"},
    {"status", "WHAT", "429, 4xx, 5xx, ok, or error (every call that failed)"},
    {"account", "NAME", "calls of this account only"},
    {"since", "TIME", "15m, 1h, 2d ago or later; or an ISO time"},
    {"limit", "N", "so many rows and errors; default 10"},
    {"slow", NULL, "the slowest calls, one a line"},
    {"follow", NULL, "new calls as they come, until Ctrl-C"},
    {"json", NULL, "the stored lines, oldest first"},
    {"store", "FILE", "the log beside this database, as with run and serve --store"},
    {NULL, NULL, NULL},
};

enum { FOLLOW_MS = 200, LIMIT = 10, LIMIT_MAX = 10000 };

/* ---- which log ---- */

static int base_of_store(const char *store, hl_buf *out) {
  hl_buf_clear(out);
  return hl_call_log_base(store, out);
}

static bool there(const char *base) {
  uint64_t *v;
  size_t n;
  if (hl_call_log_segments(base, &v, &n)) return false;
  hl_free(v);
  return n > 0;
}

static int beside_store(const char *store, bool later, hl_buf *out, hl_error *err) {
  base_of_store(store, out);
  if (there(out->p) || later) return 0;
  return hl_fail(err, HL_ENOTFOUND, "there is no call log %s.1 beside %s", out->p, store);
}

/* A project's calls are beside its store; those of `run` in the state folder.
 * `later`: a log that is to come will do. */
static int find_log(const char *path, bool later, hl_buf *out, hl_error *err) {
  struct stat st;
  hl_buf state;
  hl_buf_init(&state, PATH_MAX);
  if (stat(path, &st)) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s; name the project's folder, or the script that ran", path, strerror(errno));
  int rc = 0;
  char beside[PATH_MAX] = "";
  if (S_ISDIR(st.st_mode)) {
    hl_project *project = NULL;
    if ((rc = hl_project_load(path, &project, err))) goto out;
    bool off = project->no_calls;
    base_of_store(project->store, out);
    hl_project_free(project);
    if (there(out->p) || (later && !off)) goto out;
    if (off) {
      rc = hl_fail(err, HL_ENOTFOUND, "%s/hubloop.lua says calls = false, so no call log is kept; remove that, and calls are recorded from the next start", path);
      goto out;
    }
    snprintf(beside, sizeof beside, "%s", out->p);
  }
  if ((rc = hl_runtime_state_path(path, &state, err))) goto out;
  base_of_store(state.p, out);
  if (there(out->p) || later) goto out;
  rc = hl_fail(err, HL_ENOTFOUND, "no call has been recorded for %s: looked for %s%s%s.1 …; hubloop serve and hubloop run leave a call log "
               "(not run --sim without --store); with --store FILE it lies beside that", path, beside, *beside ? ".1 and " : "", out->p);
out:
  hl_buf_deinit(&state);
  return rc;
}

/* ---- filters ---- */

static int status_of(const char *text, hl_calls_filter *f) {
  hl_str s = hl_str_of(text);
  int64_t exact;
  if (hl_str_eqz(s, "error")) f->what = HL_CALLS_ERRORS;
  else if (hl_str_eqz(s, "ok")) f->what = HL_CALLS_WELL;
  else if (s.n == 3 && s.p[0] >= '1' && s.p[0] <= '5' && s.p[1] == 'x' && s.p[2] == 'x') f->status_class = s.p[0] - '0';
  else if (!hl_str_int64(s, &exact) && exact >= 100 && exact < 600) f->status = (int)exact;
  else return hl_cmd_fail(HL_EXIT_MISUSE, "--status takes a status such as 429, a class such as 4xx, ok, or error, not “%s”", text);
  return 0;
}

static int since_of(const char *text, int64_t now, hl_calls_filter *f) {
  int64_t ms;
  if (!hl_duration_parse(hl_str_of(text), &ms, NULL)) f->since = now - ms;
  else if (hl_time_parse(hl_str_of(text), &f->since, NULL))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--since takes a duration such as 15m, 1h or 2d, or a time such as 2026-09-01T08:00Z, not “%s”", text);
  return 0;
}

/* ---- reading ---- */

typedef struct reading {
  hl_log *log;
  hl_loop *loop;
  hl_calls *calls;
  hl_calls_filter filter;
  bool json, stop;
  hl_timer timer;
  hl_error err;
} reading;

static void print_line(const reading *r, hl_str line, const hl_call_entry *e) {
  if (r->json) printf(HL_STR_FMT "\n", HL_STR_ARG(line));
  else hl_calls_print(stdout, e, hl_cmd_columns(), hl_cmd_is_tty(STDOUT_FILENO));
}

/* All that is there now. */
static int read_all(reading *r, hl_calls_summary *into) {
  hl_str line;
  hl_call_entry e;
  int rc;
  while (!r->stop && (rc = hl_calls_next(r->calls, &line, &r->err)) != 0) {
    if (rc < 0) return rc;
    if (!hl_call_entry_read(line, &e)) continue;
    if (hl_calls_match(&r->filter, &e)) {
      if (into) hl_calls_summary_add(into, &e);
      else print_line(r, line, &e);
    }
    hl_call_entry_deinit(&e);
  }
  return 0;
}

static void look(hl_timer *timer, void *arg) {
  reading *r = arg;
  if (read_all(r, NULL) || ferror(stdout)) r->stop = true;
  else hl_timer_start(r->loop, timer, FOLLOW_MS, look, r);
}

static void interrupt(void *arg, int signum) {
  (void)signum;
  ((reading *)arg)->stop = true;
}

static int follow(reading *r) {
  hl_loop_on_signal(r->loop, SIGINT, interrupt, r, NULL);
  hl_loop_on_signal(r->loop, SIGTERM, interrupt, r, NULL);
  int rc = hl_calls_skip(r->calls, &r->err);
  if (rc) return rc;
  fputs("new calls, until Ctrl-C\n", stderr);
  hl_timer_start(r->loop, &r->timer, 0, look, r);
  hl_loop_run_until(r->loop, &r->stop);
  hl_timer_stop(r->loop, &r->timer);
  return r->err.code;
}

static int run(const hl_args *a) {
  reading r = {.json = hl_args_has(a, "json")};
  const char *status = hl_args_get(a, "status"), *since = hl_args_get(a, "since");
  int64_t limit;
  hl_buf base;
  hl_buf_init(&base, PATH_MAX);
  int rc = hl_args_int(a, "limit", 1, LIMIT_MAX, LIMIT, &limit);
  r.log = hl_log_new(HL_LOG_WARN, false);
  if (!rc && (rc = hl_loop_new(NULL, r.log, &r.loop, &r.err))) rc = hl_cmd_error(&r.err);
  if (!rc && status) rc = status_of(status, &r.filter);
  if (!rc && since) rc = since_of(since, hl_loop_now(r.loop), &r.filter);
  if (!rc && hl_args_has(a, "slow") && (hl_args_has(a, "follow") || r.json))
    rc = hl_cmd_fail(HL_EXIT_MISUSE, "calls: --slow is a list of its own; it goes with neither --follow nor --json");
  if (rc) goto out;
  r.filter.script = hl_args_get(a, "script");
  r.filter.path = hl_args_get(a, "path");
  r.filter.account = hl_args_get(a, "account");
  if (hl_args_has(a, "store")) rc = beside_store(hl_args_get(a, "store"), hl_args_has(a, "follow"), &base, &r.err);
  else rc = find_log(a->n ? a->positional[0] : ".", hl_args_has(a, "follow"), &base, &r.err);
  if (!rc) r.calls = hl_calls_open(base.p, r.filter.since);
  if (!rc && hl_args_has(a, "follow")) {
    rc = follow(&r);
  } else if (!rc && r.json) {
    rc = read_all(&r, NULL);
  } else if (!rc) {
    hl_calls_summary *s = hl_calls_summary_new((size_t)limit, hl_args_has(a, "slow"));
    if (!(rc = read_all(&r, s))) hl_calls_summary_print(stdout, s, hl_cmd_columns(), hl_cmd_is_tty(STDOUT_FILENO));
    hl_calls_summary_free(s);
  }
  if (rc) rc = hl_cmd_error(&r.err);
out:
  hl_calls_close(r.calls);
  hl_loop_free(r.loop);
  hl_log_free(r.log);
  hl_buf_deinit(&base);
  return rc;
}

const hl_command hl_cmd_calls = {
    .name = "calls", .operands = "[DIR|FILE]", .summary = "the API call log: by script and path, errors first", .flags = flags,
    .max = 1, .run = run,
    .examples = "  hubloop calls                          what the project in this folder asked of HubSpot\n"
                "  hubloop calls --status 400 --since 1h  why HubSpot refused\n"
                "  hubloop calls --slow --limit 20\n"
                "  hubloop calls --follow --status error\n"
                "  hubloop calls hello.lua --json         calls of hubloop run hello.lua, one JSON object a line\n",
};
