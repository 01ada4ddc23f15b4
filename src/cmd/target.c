#include "cmd/target.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/runtime.h"
#include "loop/clock.h"

enum { TRIES = 40, TRY_MS = 50, BAR = 30, BAR_EVERY_MS = 100 };

int hl_target_find(hl_target *t, const hl_args *a, hl_error *err) {
  const char *store = hl_args_get(a, "store"), *dir = hl_args_get(a, "project");
  struct stat st;
  hl_buf path;
  t->fd = -1;
  t->account = "";
  t->log = hl_log_new(HL_LOG_WARN, false);
  int rc = hl_loop_new(NULL, t->log, &t->loop, err);
  if (rc) return rc;
  if (store) {
    if (dir) return hl_fail(err, HL_EINVAL, "%s: --project and --store are two ways to name one thing; take one", a->command->name);
    t->store = hl_strdup(store);
    return 0;
  }
  if (!dir) dir = ".";
  if (stat(dir, &st)) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s; --project names the project's folder", dir, strerror(errno));
  if (S_ISDIR(st.st_mode)) {
    if ((rc = hl_project_load(dir, &t->project, err))) return rc;
    t->store = hl_strdup(t->project->store);
    /* Without settings it is HUBSPOT_TOKEN's, which is called so. */
    t->account = t->project->n_accounts == 1 ? t->project->accounts[0].name : t->project->n_accounts ? "" : "main";
    return 0;
  }
  hl_buf_init(&path, PATH_MAX);
  rc = hl_runtime_state_path(dir, &path, err);
  if (!rc) t->store = hl_strdup(path.p);
  hl_buf_deinit(&path);
  t->account = "main";
  return rc;
}

static int look_at_store(const hl_target *t, hl_error *err) {
  struct stat st;
  if (stat(t->store, &st))
    return hl_fail(err, HL_ENOTFOUND, "no store at %s: %s; --project names the project's folder, --store the database", t->store, strerror(errno));
  if (!S_ISREG(st.st_mode) || st.st_size == 0) return hl_fail(err, HL_ECORRUPT, "%s is no hubloop store", t->store);
  return 0;
}

static int open_store(hl_target *t, hl_target_use use, hl_error *err) {
  hl_engine_options o = {.store = t->store, .retention_ms = INT64_MAX / 4, .audit_ms = INT64_MAX / 4, .no_receipt = use != HL_TARGET_INJECTS};
  int rc = look_at_store(t, err);
  if (!rc) rc = hl_engine_new(t->loop, &o, &t->engine, err);
  if (!rc) t->actions = hl_actions_new(t->engine, t->account);
  return rc;
}

int hl_target_open(hl_target *t, hl_target_use use, hl_error *err) {
  hl_buf path;
  hl_error why = {0};
  hl_buf_init(&path, 1 << 16);
  int rc = 0, named = hl_control_path(t->store, &path, &why);
  /* One that starts or ends at this moment holds the store and does not listen. */
  for (int i = 0; !rc && i < TRIES; i++) {
    if (!named && (rc = hl_control_connect(path.p, &t->fd, &why)) != HL_ENOTFOUND) {
      if (rc) *err = why;
      goto out;
    }
    rc = open_store(t, use, err);
    if (rc != HL_EBUSY) goto out;
    if (named) break; /* it cannot listen */
    rc = 0;
    nanosleep(&(struct timespec){0, TRY_MS * 1000000L}, NULL);
  }
  if (!rc || rc == HL_EBUSY) rc = hl_fail(err, HL_EBUSY, "store %s: a hubloop has it open, and cannot be asked: %s", t->store, why.text);
out:
  if (rc) t->fd = -1;
  hl_buf_deinit(&path);
  return rc;
}

void hl_target_close(hl_target *t) {
  if (t->fd >= 0) close(t->fd);
  hl_engine_free(t->engine);
  hl_actions_free(t->actions);
  hl_loop_free(t->loop);
  hl_log_free(t->log);
  hl_project_free(t->project);
  hl_free(t->store);
  *t = (hl_target){.fd = -1};
}

typedef struct answered {
  cJSON *json;
  bool done;
} answered;

static void on_answer(void *arg, const cJSON *json) {
  answered *a = arg;
  a->done = true;
  a->json = cJSON_Duplicate(json, true);
  if (!a->json) hl_mem_ended();
}

int hl_target_ask(hl_target *t, cJSON *request, cJSON **answer, hl_error *err) {
  if (t->fd >= 0) {
    int rc = hl_control_ask(t->fd, request, answer, err);
    cJSON_Delete(request);
    return rc;
  }
  answered a = {0};
  hl_actions_do(t->actions, request, on_answer, &a);
  hl_loop_run_until(t->loop, &a.done);
  int rc = hl_answer_error(a.json, err);
  if (rc) cJSON_Delete(a.json);
  else *answer = a.json;
  return rc;
}

void hl_target_progress(hl_target *t, const char *what, int64_t done, int64_t total) {
  int64_t now = hl_clock_mono();
  bool end = done >= total;
  if (!hl_cmd_is_tty(STDERR_FILENO) || (end ? !t->bar_at : t->bar_at && now - t->bar_at < BAR_EVERY_MS)) return;
  t->bar_at = end ? 0 : now;
  if (end) {
    fputs("\r\033[K", stderr);
    return;
  }
  int filled = (int)(done * BAR / total);
  fprintf(stderr, "\r\033[K%s ", what);
  for (int i = 0; i < BAR; i++) fputs(i < filled ? "█" : "░", stderr);
  fprintf(stderr, " %3d%%", (int)(done * 100 / total));
}
