#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/target.h"

/* `hubloop backup FILE`: a copy of the store, made while it is in use. */

enum { LOOK_MS = 50 };

static const hl_flag flags[] = {
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static cJSON *request_of(const char *action) {
  cJSON *q = cJSON_CreateObject();
  cJSON_AddStringToObject(q, "do", action);
  return q;
}

/* `serve` may run in another folder. */
static int whole_path(const char *file, char out[2 * PATH_MAX], hl_error *err) {
  char here[PATH_MAX] = "";
  if (file[0] != '/' && !getcwd(here, sizeof here)) return hl_fail(err, HL_EIO, "cannot tell which folder this is: %s", strerror(errno));
  if (snprintf(out, 2 * PATH_MAX, "%s%s%s", here, here[0] ? "/" : "", file) >= 2 * PATH_MAX) return hl_fail(err, HL_EINVAL, "%.60s…: the path is too long", file);
  return 0;
}

static void set_flag(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void interrupt(void *arg, int signum) {
  (void)signum;
  *(bool *)arg = true;
}

/* Looks until it is done. */
static int follow(hl_target *t, const bool *stop, cJSON **answer, hl_error *err) {
  for (;;) {
    bool passed = false;
    hl_timer timer = {0};
    cJSON *q = request_of("backup.look");
    if (*stop) cJSON_AddTrueToObject(q, "stop");
    int rc = hl_target_ask(t, q, answer, err);
    if (rc) return rc;
    if (*stop) return hl_fail(err, HL_ECANCELLED, "ended; nothing was kept of the backup");
    const char *phase = hl_json_str(*answer, "phase", "");
    if (strcmp(phase, "done") == 0) return 0;
    int64_t of = hl_json_int(*answer, "of", 0);
    if (strcmp(phase, "copying") == 0 && of) hl_target_progress(t, "copying ", hl_json_int(*answer, "pages", 0), of + 1);
    else if (of) hl_target_progress(t, "checking", of, of + 1);
    cJSON_Delete(*answer);
    *answer = NULL;
    hl_timer_start(t->loop, &timer, LOOK_MS, set_flag, &passed);
    hl_loop_run_until(t->loop, &passed);
  }
}

static int run(const hl_args *a) {
  hl_target t = {0};
  hl_error err = {0};
  char path[2 * PATH_MAX];
  cJSON *answer = NULL;
  bool stop = false;
  int rc;
  if ((rc = hl_target_find(&t, a, &err)) || (rc = whole_path(a->positional[0], path, &err)) || (rc = hl_target_open(&t, HL_TARGET_LOOKS, &err))) goto out;
  hl_loop_on_signal(t.loop, SIGINT, interrupt, &stop, NULL);
  hl_loop_on_signal(t.loop, SIGTERM, interrupt, &stop, NULL);
  cJSON *q = request_of("backup.start");
  cJSON_AddStringToObject(q, "to", path);
  if ((rc = hl_target_ask(&t, q, &answer, &err))) goto out;
  cJSON_Delete(answer);
  answer = NULL;
  rc = follow(&t, &stop, &answer, &err);
  hl_target_progress(&t, "", 1, 1);
  if (rc) goto out;
  long long bytes = hl_json_int(answer, "bytes", 0);
  if (hl_args_has(a, "json")) {
    cJSON_AddStringToObject(answer, "file", path);
    char *text = hl_json_print(answer);
    puts(text);
    hl_free(text);
  } else printf("%s: %.1f MB, checked\n", a->positional[0], (double)bytes / 1e6);
out:
  if (rc) rc = hl_cmd_error(&err);
  cJSON_Delete(answer);
  hl_target_close(&t);
  return rc;
}

const hl_command hl_cmd_backup = {
    .name = "backup", .operands = "FILE", .summary = "a checked copy of the store, also while serve runs", .flags = flags, .min = 1, .max = 1, .run = run,
    .examples = "  hubloop backup backups/hubloop-$(date +%F).db\n"
                "  hubloop backup /mnt/copy.db --project my-automations\n",
};
