#include <limits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "cmd/events.h"
#include "cmd/target.h"
#include "store/restore.h"

/* `hubloop restore FILE`: a backup becomes the project's store; the one that was there is kept beside it. */

static const hl_flag flags[] = {
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static void on_progress(void *arg, int64_t done, int64_t total) { hl_target_progress(arg, "copying", done, total + 1); }

/* One that runs and cannot be found by its socket is found by its lock. */
static int refuse_if_served(const hl_target *t, hl_error *err) {
  hl_buf path;
  hl_error none;
  int fd = -1;
  hl_buf_init(&path, 1 << 16);
  if (!hl_control_path(t->store, &path, &none)) (void)hl_control_connect(path.p, &fd, &none);
  hl_buf_deinit(&path);
  if (fd < 0) return 0;
  close(fd);
  return hl_fail(err, HL_EBUSY, "hubloop serve runs on %s: stop it, restore, and start it again", t->store);
}

static void tell(const hl_restore *r, bool json) {
  char when[24];
  const int64_t *n = r->summary.counts.state;
  if (json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "store", r->store);
    cJSON_AddItemToObject(o, "kept", r->kept ? cJSON_CreateString(r->aside) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "acknowledged", hl_json_int64(r->summary.counts.acknowledged));
    cJSON_AddItemToObject(o, "last_received", hl_json_int64(r->summary.last_received));
    char *text = hl_json_print(o);
    puts(text);
    hl_free(text);
    cJSON_Delete(o);
    return;
  }
  printf("%s is as it was backed up: %lld events, the last one received %s UTC, %lld still to do\n", r->store,
         (long long)r->summary.counts.acknowledged, hl_events_time(r->summary.last_received, when),
         (long long)(n[HL_ST_PENDING] + n[HL_ST_WAITING]));
  if (r->kept) printf("what was there is kept as %s\n", r->aside);
  puts("What came after the backup is not in it. What was handled after it, and was there to be handled, is handled again.");
}

static int run(const hl_args *a) {
  hl_target t = {0};
  hl_error err = {0};
  char when[25], aside[PATH_MAX];
  int rc = hl_target_find(&t, a, &err);
  if (!rc) rc = refuse_if_served(&t, &err);
  if (rc) goto out;
  hl_time_iso(hl_loop_now(t.loop), when);
  snprintf(aside, sizeof aside, "%.*s.before-%.10sT%.2s%.2s%.2s", PATH_MAX - 48, t.store, when, when + 11, when + 14, when + 17);
  hl_restore r = {.from = a->positional[0], .store = t.store, .aside = aside, .progress = on_progress, .arg = &t};
  rc = hl_store_restore(&r, &err);
  hl_target_progress(&t, "", 1, 1);
  if (!rc) tell(&r, hl_args_has(a, "json"));
out:
  if (rc) rc = hl_cmd_error(&err);
  hl_target_close(&t);
  return rc;
}

const hl_command hl_cmd_restore = {
    .name = "restore", .operands = "FILE", .summary = "a backup becomes the store; what was there is kept beside it", .flags = flags, .min = 1, .max = 1,
    .run = run,
    .examples = "  hubloop restore backups/hubloop-2026-09-01.db\n"
                "  hubloop restore copy.db --project my-automations\n",
};
