/* Backup: begun by one request and looked at by others. One that nobody looks at any more is ended. */
#include "admin/inside.h"
#include "base/mem.h"

enum { LOOK_MS = 15 * 1000 };

void hl_backup_forget(hl_actions *a) {
  hl_timer_stop(a->loop, &a->backup_watch);
  hl_backup_free(a->backup);
  a->backup = NULL;
}

static void on_watch(hl_timer *t, void *arg) {
  (void)t;
  hl_backup_forget(arg);
}

static void watch(hl_actions *a) {
  a->backup_watch.unref = true;
  hl_timer_start(a->loop, &a->backup_watch, LOOK_MS, on_watch, a);
}

void hl_do_backup(hl_act *c) {
  hl_actions *a = c->a;
  const char *to = hl_act_text(c, "to");
  hl_backup_state s;
  hl_error err;
  if (a->backup) {
    hl_backup_look(a->backup, &s);
    if (s.phase == HL_BACKUP_DONE || s.phase == HL_BACKUP_FAILED) hl_backup_forget(a);
  }
  if (!to || to[0] != '/') {
    hl_act_fail(c, HL_EINVAL, "backup needs the whole path of a file");
  } else if (a->backup) {
    hl_act_fail(c, HL_EBUSY, "another backup is under way");
  } else if (hl_backup_new(a->loop, hl_act_store(c), to, &a->backup, &err)) {
    hl_act_refuse(c, &err);
  } else {
    watch(a);
    hl_act_answer(c, cJSON_CreateObject());
  }
}

void hl_do_backup_look(hl_act *c) {
  static const char *const phases[] = {[HL_BACKUP_COPIES] = "copying", [HL_BACKUP_CHECKS] = "checking", [HL_BACKUP_DONE] = "done"};
  hl_actions *a = c->a;
  hl_backup_state s;
  if (!a->backup) {
    hl_act_fail(c, HL_ENOTFOUND, "no backup is under way");
    return;
  }
  hl_backup_look(a->backup, &s);
  watch(a);
  if (hl_json_bool(c->request, "stop", false)) {
    hl_backup_forget(a);
    hl_act_answer(c, cJSON_CreateObject());
  } else if (s.phase == HL_BACKUP_FAILED) {
    hl_backup_forget(a);
    hl_act_refuse(c, &s.err);
  } else {
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "phase", phases[s.phase]);
    cJSON_AddItemToObject(answer, "pages", hl_json_int64(s.pages));
    cJSON_AddItemToObject(answer, "of", hl_json_int64(s.of));
    cJSON_AddItemToObject(answer, "bytes", hl_json_int64(s.bytes));
    if (s.phase == HL_BACKUP_DONE) hl_backup_forget(a);
    hl_act_answer(c, answer);
  }
}
