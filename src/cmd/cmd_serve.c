#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/fit.h"
#include "cmd/journals.h"
#include "cmd/reload.h"
#include "cmd/runtime.h"
#include "cmd/supervisor.h"
#include "loop/files.h"
#include "loop/stop.h"

/* `hubloop serve`: webhooks, timers and routes for good. Two listeners: the
 * public one (webhooks and the scripts' routes) and the operators' one, on
 * loopback by default, which answers /status; commands use the control socket. SIGTERM and SIGINT drain. */

enum { DRAIN_MS = 30 * 1000, DRAIN_MAX_MS = 24 * 60 * 60 * 1000, BEAT_MS = 1000, BUSY_TRIES = 20, BUSY_MS = 50 };

static const hl_flag flags[] = {
    {"listen", "ADDR:PORT", "webhooks and routes; default http.listen of the settings, or 127.0.0.1:8480"},
    {"admin", "ADDR:PORT", "status for operators; default admin.listen, or 127.0.0.1:8481; \"off\": none"},
    {"account", "NAME", "without settings: call HubSpot with this stored account (hubloop auth list)"},
    {"store", "FILE", "the database; default the settings' store, or data/hubloop.db"},
    {"drain", "TIME", "after SIGTERM running handlers get so long to end; default 30s"},
    {"watch", NULL, "load scripts again when a Lua file of the folder changes"},
    {"no-supervisor", NULL, "one process: a call that does not return, or a crash, ends it"},
    {"json", NULL, "log as JSON lines"},
    {"verbose", NULL, "log what the host does"},
    {NULL, NULL, NULL},
};

typedef struct serving {
  hl_runtime *rt;
  hl_server *server, *admin;
  hl_page *page;             /* NULL: nobody supervises */
  hl_timer beat;
  hl_reload *reload;         /* NULL: not yet, or no more */
  hl_files *files;           /* with --watch */
  size_t failed;             /* scripts of the last load */
  int64_t drain_ms;
  bool stop, drained, hangup;
} serving;

static void deliver_done(void *arg, int status, const char *text) {
  hl_request *request = arg;
  hl_request_reply(request, status, NULL, hl_str_of(status == 204 ? "" : text));
}

static void on_request(void *arg, hl_request *q) {
  serving *s = arg;
  if (hl_str_eqz(hl_request_path(q), hl_webhook_path(s->rt->webhook))) {
    hl_delivery d = {
        .method = hl_request_method(q), .target = hl_request_target(q), .host = hl_request_header(q, "Host"),
        .signature_v3 = hl_request_header(q, "X-HubSpot-Signature-v3"),
        .timestamp = hl_request_header(q, "X-HubSpot-Request-Timestamp"),
        .signature = hl_request_header(q, "X-HubSpot-Signature"),
        .signature_version = hl_request_header(q, "X-HubSpot-Signature-Version"), .body = hl_request_body(q),
    };
    hl_webhook_deliver(s->rt->webhook, &d, deliver_done, q);
  } else if (!hl_host_route(s->rt->host, q)) {
    hl_request_reply(q, 404, NULL, HL_STR("nothing listens on this path\n"));
  }
}

/* This version has no login, so the operators' listener stays on this machine:
 * a loopback address, and a Host that names it (a page of another site, made to
 * point here by its name server, sends its own name). */
static bool is_loopback(const char *host) {
  static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
  for (size_t i = 0; host && i < HL_COUNT(names); i++) {
    size_t n = strlen(names[i]);
    if (strncmp(host, names[i], n) == 0 && (host[n] == 0 || host[n] == ':')) return true;
  }
  return false;
}

static void reply_json(hl_request *q, hl_str body) {
  hl_headers headers = {0};
  hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/json"));
  hl_request_reply(q, 200, &headers, body);
  hl_headers_deinit(&headers);
}

static void on_admin(void *arg, hl_request *q) {
  serving *s = arg;
  if (!is_loopback(hl_request_header(q, "Host"))) {
    hl_request_reply(q, 421, NULL, HL_STR("this listener answers to localhost only\n"));
    return;
  }
  if (!hl_str_eqz(hl_request_path(q), "/status")) {
    hl_request_reply(q, 404, NULL, HL_STR("try /status\n"));
    return;
  }
  hl_buf body;
  hl_buf_init(&body, 1 << 20);
  hl_runtime_status(s->rt, &body);
  reply_json(q, hl_buf_str(&body));
  hl_buf_deinit(&body);
}

static void on_stop(void *arg, int signum) {
  serving *s = arg;
  (void)signum;
  if (s->stop) return;
  hl_log_write(s->rt->log, HL_LOG_INFO, "serve", "stopping: no new requests, running handlers end within %g s; a second signal does not wait",
               (double)s->drain_ms / 1000);
  s->stop = true;
}

static void on_reloaded(void *arg, const hl_reload_result *result) { ((serving *)arg)->failed = result->failed; }

static void reload(serving *s) {
  if (s->reload) hl_reload_start(s->reload, true, on_reloaded, s);
  else s->hangup = true; /* it is starting, or stopping */
}

static void on_changed(void *arg) {
  serving *s = arg;
  if (s->reload) hl_reload_start(s->reload, false, on_reloaded, s);
  else s->hangup = true;
}

/* The store's folder is written to all the time. */
static int watch(serving *s, hl_error *err) {
  const char *store = s->rt->project->store;
  char *folder = hl_strndup(store, (size_t)(strrchr(store, '/') - store));
  int rc = hl_files_new(s->rt->loop, &(hl_files_options){.root = s->rt->root, .except = folder}, on_changed, s, &s->files, err);
  hl_free(folder);
  if (!rc) hl_log_write(s->rt->log, HL_LOG_INFO, "serve", "watching %s: changed scripts are loaded again", s->rt->root);
  return rc;
}

static void on_hangup(void *arg, int signum) {
  (void)signum;
  reload(arg);
}

static void set_flag(void *arg) { *(bool *)arg = true; }

static int listen_on(serving *s, const char *address, hl_request_cb cb, hl_server **out, hl_error *err) {
  hl_server_options o = {.listen = address};
  return hl_server_new(s->rt->loop, &o, cb, s, out, err);
}

static bool has_journal(const hl_project *p, const char *account) {
  for (size_t i = 0; i < p->n_accounts; i++)
    if (p->accounts[i].journal && strcmp(p->accounts[i].name, account) == 0) return true;
  return false;
}

static void warn_without_secrets(const serving *s) {
  hl_account *accounts[64];
  size_t n = hl_hubspot_accounts(s->rt->hubspot, accounts, HL_COUNT(accounts));
  for (size_t i = 0; i < n && i < HL_COUNT(accounts); i++) {
    const hl_str *secrets;
    if (hl_account_secrets(accounts[i], &secrets) == 0 && !has_journal(s->rt->project, hl_account_name(accounts[i])))
      hl_log_write(s->rt->log, HL_LOG_WARN, "serve",
                   "account %s has no client secret: its webhooks are refused (401); export HUBSPOT_CLIENT_SECRET or set client_secret in hubloop.lua",
                   hl_account_name(accounts[i]));
  }
}

static void on_beat(hl_timer *timer, void *arg) {
  serving *s = arg;
  s->page->beats++;
  hl_timer_start(s->rt->loop, timer, BEAT_MS, on_beat, s);
}

static void watched(serving *s, bool yes) {
  if (s->page) s->page->watched = yes;
}

/* A process that was killed a moment ago may still be on its way out of the store. */
static int open_runtime(const hl_runtime_options *o, hl_runtime **out, hl_error *err) {
  int rc = hl_runtime_new(o, out, err);
  for (int i = 0; rc == HL_EBUSY && i < BUSY_TRIES; i++) {
    nanosleep(&(struct timespec){0, BUSY_MS * 1000000L}, NULL);
    rc = hl_runtime_new(o, out, err);
  }
  return rc;
}

static int serve_project(const hl_args *a, int64_t drain_ms, hl_page *page) {
  serving s = {.drain_ms = drain_ms, .page = page, .beat.unref = true};
  hl_error err = {0};
  hl_load_result loaded = {0};
  int rc;
  hl_runtime_options o = {
      .path = a->n ? a->positional[0] : ".", .store = hl_args_get(a, "store"),
      .account = hl_args_get(a, "account"), .serving = true, .page = page,
      .log_level = hl_args_has(a, "verbose") ? HL_LOG_DEBUG : HL_LOG_INFO, .log_json = hl_args_has(a, "json"),
  };
  if ((rc = open_runtime(&o, &s.rt, &err))) goto out;
  if (!s.rt->project) {
    rc = hl_fail(&err, HL_EINVAL, "serve takes a folder of scripts, not %s; a single script runs with hubloop run", o.path);
    goto out;
  }
  if ((rc = hl_stop_watch(s.rt->loop, page ? getppid() : 0, on_stop, &s, &err)) ||
      (rc = hl_loop_on_signal(s.rt->loop, SIGHUP, on_hangup, &s, &err)))
    goto out;
  if (page) on_beat(&s.beat, &s);
  watched(&s, true);
  if (hl_args_has(a, "watch") && (rc = watch(&s, &err))) goto out;
  s.rt->fit = hl_fit_new(s.rt);
  hl_runtime_load(s.rt, &s.stop, &loaded);
  if (s.stop) goto stopped;
  s.failed = loaded.failed;
  if (loaded.loaded == 0) {
    rc = hl_fail(&err, HL_ESCRIPT, "no script of %s could be loaded", s.rt->root);
    goto out;
  }
  watched(&s, false); /* it may wait for the disk */
  if ((rc = hl_engine_start(s.rt->engine, &err))) goto out;
  hl_runtime_control(s.rt, o.store ? o.store : s.rt->project->store);
  watched(&s, true);
  if (page && !page->told) {
    page->told = true;
    hl_engine_alert(s.rt->engine, "supervisor_restart", page->why, NULL);
  }
  const char *listen = hl_args_has(a, "listen") ? hl_args_get(a, "listen") : s.rt->project->listen;
  const char *admin = hl_args_has(a, "admin") ? hl_args_get(a, "admin") : s.rt->project->admin;
  if (strcmp(admin, "off") != 0 && !is_loopback(admin)) {
    rc = hl_fail(&err, HL_EINVAL, "the admin address %s is not on this machine: this version has no login, so name 127.0.0.1:PORT, or off", admin);
    goto out;
  }
  if ((rc = listen_on(&s, listen, on_request, &s.server, &err))) goto out;
  if (strcmp(admin, "off") != 0 && (rc = listen_on(&s, admin, on_admin, &s.admin, &err))) goto out;
  warn_without_secrets(&s);
  if ((rc = hl_journals_start(s.rt, &err))) goto out;
  /* The address may have named port 0. */
  int host_len = (int)(strrchr(listen, ':') - listen);
  hl_log_write(s.rt->log, HL_LOG_INFO, "serve", "%zu script%s, %zu handler%s", loaded.loaded, loaded.loaded == 1 ? "" : "s",
               hl_host_handlers(s.rt->host), hl_host_handlers(s.rt->host) == 1 ? "" : "s");
  hl_log_write(s.rt->log, HL_LOG_INFO, "serve", "listening on http://%.*s:%u (webhooks at %s)", host_len, listen,
               hl_server_port(s.server), hl_webhook_path(s.rt->webhook));
  if (s.admin)
    hl_log_write(s.rt->log, HL_LOG_INFO, "serve", "status on http://%.*s:%u/status", (int)(strrchr(admin, ':') - admin), admin,
                 hl_server_port(s.admin));
  hl_fit_start(s.rt->fit);
  s.reload = hl_reload_new(s.rt, drain_ms);
  if (s.hangup) reload(&s);
  hl_loop_run_until(s.rt->loop, &s.stop);
  hl_reload_free(s.reload);
  s.reload = NULL;
  /* Both at once, so that no handler starts while requests in hand are answered. What
   * arrives until the listener has closed is stored as ever. */
  int64_t until = hl_loop_mono(s.rt->loop) + s.drain_ms;
  bool idle = false;
  hl_journals_stop(s.rt);
  hl_engine_drain(s.rt->engine, s.drain_ms, set_flag, &idle);
  hl_server_drain(s.server, s.drain_ms, set_flag, &s.drained);
  hl_loop_run_until(s.rt->loop, &s.drained);
  hl_loop_run_until(s.rt->loop, &idle);
  int64_t left = until - hl_loop_mono(s.rt->loop);
  hl_runtime_drain(s.rt, left > 0 ? left : 0);
stopped:
  hl_log_write(s.rt->log, HL_LOG_INFO, "serve", "stopped");
out:
  watched(&s, false);
  if (s.rt) hl_timer_stop(s.rt->loop, &s.beat);
  if (rc) rc = hl_cmd_error(&err);
  else if (s.failed) rc = HL_EXIT_SOME;
  hl_files_free(s.files);
  hl_server_free(s.server);
  hl_server_free(s.admin);
  hl_runtime_free(s.rt);
  return rc;
}

static int run(const hl_args *a) {
  int64_t drain_ms = DRAIN_MS;
  hl_page *page = NULL;
  int code;
  if (hl_args_has(a, "drain") && (hl_duration_parse(hl_str_of(hl_args_get(a, "drain")), &drain_ms, NULL) || drain_ms < 0 ||
                                  drain_ms > DRAIN_MAX_MS))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--drain takes a time of at most a day, such as 30s, not “%s”", hl_args_get(a, "drain"));
  if (hl_args_has(a, "no-supervisor")) return serve_project(a, drain_ms, NULL);
  hl_log *log = hl_log_new(HL_LOG_INFO, hl_args_has(a, "json"));
  bool child = hl_supervise(log, &page, &code);
  hl_log_free(log);
  return child ? serve_project(a, drain_ms, page) : code;
}

const hl_command hl_cmd_serve = {
    .name = "serve", .operands = "[DIR]", .summary = "run a folder of scripts for good: webhooks, timers, routes",
    .flags = flags, .max = 1, .run = run,
    .examples = "  hubloop serve                        the folder you are in\n"
                "  hubloop serve my-automations --listen 127.0.0.1:9000\n",
};
