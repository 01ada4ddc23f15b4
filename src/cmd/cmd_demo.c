#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/runtime.h"
#include "cmd/shipped.h"

/* `hubloop demo`: the whole product on this machine. Starts `hubloop sim` and
 * `hubloop serve DIR` as processes of their own with a token made for the
 * occasion, then runs stdlib/demo.lua, which plays HubSpot's account and its
 * users and prints the summary. */

static const hl_flag flags[] = {
    {"contacts", "N", "how many contacts are created; default 5000"},
    {"companies", "N", "how many companies there are; default 800"},
    {"once", NULL, "end after the summary also on a terminal"},
    {"seed", "N", "another seed, another population; default 7"},
    {NULL, NULL, NULL},
};

enum { START_MS = 15000, CHECK_MS = 20, CHILDREN = 2 };

typedef struct child {
  pid_t pid;
  char log[PATH_MAX + 16];
  char url[64], status_url[80];
} child;

typedef struct demo {
  char folder[PATH_MAX];
  child sim, serve;
  hl_runtime *rt;
  int code;
  bool ended, stop;
} demo;

extern char **environ;

static int start(child *c, const char *const *argv, const char *folder, hl_error *err) {
  posix_spawn_file_actions_t actions;
  snprintf(c->log, sizeof c->log, "%s/%s.log", folder, argv[1]);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, c->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int rc = posix_spawn(&c->pid, "/proc/self/exe", &actions, NULL, (char *const *)(uintptr_t)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  return rc ? hl_fail(err, HL_EIO, "cannot start hubloop %s: %s", argv[1], strerror(rc)) : 0;
}

static char *read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  char *text = hl_alloc(64 * 1024);
  if (f) {
    size_t n = fread(text, 1, 64 * 1024 - 1, f);
    text[n] = 0;
    fclose(f);
  }
  return text;
}

/* The URL after `mark` in the child's log, once the line is complete. */
static bool find_url(const char *text, const char *mark, char *out, size_t size) {
  const char *p = strstr(text, mark);
  if (!p || !strchr(p, '\n')) return false;
  p += strlen(mark);
  snprintf(out, size, "%.*s", (int)strcspn(p, " \n"), p);
  return true;
}

typedef struct waiting {
  hl_loop *loop;
  child *c;
  bool serve, done;
  int64_t deadline;
  hl_timer timer;
} waiting;

static void look(hl_timer *timer, void *arg) {
  waiting *w = arg;
  char *text = read_file(w->c->log);
  w->done = find_url(text, "listening on ", w->c->url, sizeof w->c->url) &&
            (!w->serve || find_url(text, "status on ", w->c->status_url, sizeof w->c->status_url));
  hl_free(text);
  int status;
  if (!w->done && waitpid(w->c->pid, &status, WNOHANG) == w->c->pid) {
    w->c->pid = 0;
    w->done = true;
  }
  if (hl_loop_mono(w->loop) > w->deadline) w->done = true;
  if (!w->done) hl_timer_start(w->loop, timer, CHECK_MS, look, w);
}

static int await(hl_loop *loop, child *c, bool serve, hl_error *err) {
  waiting w = {.loop = loop, .c = c, .serve = serve, .deadline = hl_loop_mono(loop) + START_MS};
  hl_timer_start(loop, &w.timer, CHECK_MS, look, &w);
  hl_loop_run_until(loop, &w.done);
  hl_timer_stop(loop, &w.timer);
  if (c->pid && c->url[0]) return 0;
  char *text = read_file(c->log);
  int rc = hl_fail(err, HL_EIO, "hubloop %s did not start:\n%.700s", serve ? "serve" : "sim", text);
  hl_free(text);
  return rc;
}

static void end(child *c) {
  int status;
  if (!c->pid) return;
  kill(c->pid, SIGTERM);
  waitpid(c->pid, &status, 0);
  c->pid = 0;
}

static void make_credentials(void) {
  hl_rng rng;
  char id[37], token[64];
  hl_rng_init_system(&rng);
  hl_rng_uuid(&rng, id);
  snprintf(token, sizeof token, "pat-%s-%s", "na1", id);
  setenv("HUBSPOT_TOKEN", token, 1);
  hl_rng_uuid(&rng, id);
  setenv("HUBSPOT_CLIENT_SECRET", id, 1);
  setenv("HUBSPOT_TIER", "professional", 1);
}

static void script_ended(void *arg, int code, hl_str text) {
  demo *d = arg;
  d->ended = true;
  if (code) {
    d->code = HL_EXIT_FAILED;
    hl_cmd_fail(0, HL_STR_FMT, HL_STR_ARG(text));
  }
}

static void on_signal(void *arg, int signum) {
  (void)signum;
  ((demo *)arg)->stop = true;
}

/* The driver is a script like any other; this file hands it the URLs. */
static int write_driver(const demo *d, const char *path, int64_t contacts, hl_error *err) {
  FILE *f = fopen(path, "w");
  if (!f) return hl_fail(err, HL_EIO, "cannot write %s: %s", path, strerror(errno));
  fprintf(f,
          "local result = require(\"demo\").run {\n  sim_url = \"%s\", hook_url = \"%s/hubspot\", status_url = \"%s\",\n"
          "  contacts = %lld, tty = %s, columns = %d,\n}\nif not result.ok then error(\"the demo found problems\", 0) end\n",
          d->sim.url, d->serve.url, d->serve.status_url, (long long)contacts,
          hl_cmd_is_tty(STDOUT_FILENO) ? "true" : "false", hl_cmd_columns());
  return fclose(f) ? hl_fail(err, HL_EFULL, "cannot write %s: %s", path, strerror(errno)) : 0;
}

/* The project that is shown when none is named: the lead routing that travels in the binary. */
static int write_project(const char *folder, hl_error *err) {
  static const char *const files[] = {"scripts/hubloop.lua", "scripts/lead_routing.lua"};
  bool kept;
  int rc = mkdir(folder, 0700) ? hl_fail(err, HL_EIO, "cannot make the folder %s: %s", folder, strerror(errno)) : 0;
  for (size_t i = 0; !rc && i < HL_COUNT(files); i++) rc = hl_shipped_write(hl_embedded_find(files[i]), folder, &kept, err);
  return rc;
}

static const char *address(const char *url) { return url + strlen("http://"); }

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

static void print_next_steps(const demo *d, const char *folder) {
  printf("\nStill running. Try next:\n"
         "  curl %s\n"
         "  curl -X POST %s/_sim/create -d '{\"type\":\"contacts\",\"properties\":{\"email\":\"new@example.com\",\"country\":\"Germany\"}}'\n"
         "  curl -X POST %s/_sim/get -d '{\"type\":\"contacts\",\"id\":\"ID FROM THE ANSWER\"}'      it has an owner now\n"
         "  build/hubloop route explain 100001 --store %s/hubloop.db      why a contact went where it went\n"
         "The rules are in %s/lead_routing.lua (hubloop new my-automations lead_routing copies them). Ctrl-C ends the demo.\n",
         d->serve.status_url, d->sim.url, d->sim.url, d->folder, folder);
  fflush(stdout);
}

static int run(const hl_args *a) {
  demo d = {0};
  hl_error err = {0};
  hl_script *script;
  int64_t contacts, companies, seed;
  char driver[PATH_MAX + 32], n_companies[24], n_seed[24], store[PATH_MAX + 32];
  char project[PATH_MAX + 32];
  const char *folder = a->n ? a->positional[0] : project;
  int rc;
  if ((rc = hl_args_int(a, "contacts", 1, 1000000, 5000, &contacts)) ||
      (rc = hl_args_int(a, "companies", 0, 1000000, 800, &companies)) || (rc = hl_args_int(a, "seed", 0, INT32_MAX, 7, &seed)))
    return rc;
  const char *tmp = getenv("TMPDIR");
  snprintf(d.folder, sizeof d.folder, "%s/hubloop-demo-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
  if (!mkdtemp(d.folder)) return hl_cmd_fail(HL_EXIT_FAILED, "cannot make a folder in %s: %s", d.folder, strerror(errno));
  make_credentials();
  snprintf(n_companies, sizeof n_companies, "%lld", (long long)companies);
  snprintf(n_seed, sizeof n_seed, "%lld", (long long)seed);
  snprintf(driver, sizeof driver, "%s/driver.lua", d.folder);
  snprintf(store, sizeof store, "%s/hubloop.db", d.folder);
  snprintf(project, sizeof project, "%s/project", d.folder);

  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  hl_loop *loop = NULL;
  if (!a->n && (rc = write_project(project, &err))) goto out;
  if ((rc = hl_loop_new(NULL, log, &loop, &err))) goto out;
  const char *sim_argv[] = {"hubloop", "sim", "--port", "0", "--companies", n_companies, "--owners", "12", "--seed", n_seed, NULL};
  if ((rc = start(&d.sim, sim_argv, d.folder, &err)) || (rc = await(loop, &d.sim, false, &err))) goto out;
  setenv("HUBSPOT_BASE_URL", d.sim.url, 1);
  const char *serve_argv[] = {"hubloop", "serve", folder, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--store", store, NULL};
  if ((rc = start(&d.serve, serve_argv, d.folder, &err)) || (rc = await(loop, &d.serve, true, &err))) goto out;

  if ((rc = write_driver(&d, driver, contacts, &err))) goto out;
  hl_runtime_options o = {.path = driver, .log_level = HL_LOG_WARN};
  if ((rc = hl_runtime_new(&o, &d.rt, &err))) goto out;
  const char *hosts[] = {address(d.sim.url), address(d.serve.url), NULL, NULL};
  char *status_host = hl_strndup(address(d.serve.status_url), strcspn(address(d.serve.status_url), "/"));
  hosts[2] = status_host;
  hl_permissions p = {.hosts = hosts};
  rc = hl_host_load(d.rt->host, driver, &p, &script, &err);
  hl_free(status_host);
  if (rc) goto out;
  hl_script_on_end(script, script_ended, &d);
  hl_loop_on_signal(d.rt->loop, SIGINT, on_signal, &d, NULL);
  hl_loop_on_signal(d.rt->loop, SIGTERM, on_signal, &d, NULL);
  hl_runtime_run_idle(d.rt, &d.stop);
  if (d.stop) d.code = 130;
  const char *once = getenv("ONCE");
  if (!d.stop && !d.code && isatty(STDIN_FILENO) && !hl_args_has(a, "once") && !(once && once[0] == '1')) {
    print_next_steps(&d, folder);
    hl_loop_hold(d.rt->loop); /* nothing else keeps it waiting for the signal */
    hl_loop_run_until(d.rt->loop, &d.stop);
    hl_loop_release(d.rt->loop);
  }
out:
  if (rc) d.code = hl_cmd_error(&err);
  hl_runtime_free(d.rt);
  end(&d.serve);
  end(&d.sim);
  hl_loop_free(loop);
  hl_log_free(log);
  if (d.code == HL_EXIT_FAILED) fprintf(stderr, "The logs are kept in %s\n", d.folder);
  else nftw(d.folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  return d.code;
}

const hl_command hl_cmd_demo = {
    .name = "demo", .operands = "[DIR]", .summary = "simulator, webhooks and lead routing at work, on this machine",
    .flags = flags, .max = 1, .run = run,
    .examples = "  hubloop demo                         5,000 contacts through the lead routing that is shipped\n"
                "  hubloop demo my-automations --contacts 500 --once\n",
};
