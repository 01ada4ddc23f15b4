#include "base/mem.h"
#include "base/person.h"
#include "cmd/target.h"

/* `hubloop forget ID`: takes a person out of everything that hubloop keeps. */

enum { LOOK_MS = 50 };

static const hl_flag flags[] = {
    {"email", "ADDRESS", "and whatever holds this address"},
    {"account", "NAME", "of this account only: ids of two accounts may be equal"},
    {"dry-run", NULL, "only say what there is"},
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static void set_flag(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static int follow(hl_target *t, cJSON **answer, hl_error *err) {
  for (;;) {
    bool passed = false;
    hl_timer timer = {0};
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "do", "forget.look");
    int rc = hl_target_ask(t, q, answer, err);
    if (rc || hl_json_bool(*answer, "done", false)) return rc;
    int64_t of = hl_json_int(*answer, "of", 0);
    hl_target_progress(t, hl_json_str(*answer, "phase", ""), hl_json_int(*answer, "at", 0), (of ? of : 1) + 1);
    cJSON_Delete(*answer);
    *answer = NULL;
    hl_timer_start(t->loop, &timer, LOOK_MS, set_flag, &passed);
    hl_loop_run_until(t->loop, &passed);
  }
}

static void tell(const cJSON *answer, bool dry_run) {
  static const struct { const char *key, *one, *many; } rows[] = {
      {"events", "event", "events"}, {"parked", "dead letter, or waiting event", "dead letters and waiting events"}, {"steps", "step", "steps"},
      {"records", "audit record", "audit records"}, {"keys", "kv key", "kv keys"}, {"calls", "line of the call log", "lines of the call log"},
  };
  bool any = false;
  for (size_t i = 0; i < HL_COUNT(rows); i++) {
    long long n = hl_json_int(answer, rows[i].key, 0);
    if (n) printf("%8lld %s\n", n, n == 1 ? rows[i].one : rows[i].many);
    any = any || n;
  }
  if (!any) puts("nothing");
  else puts(dry_run ? "would be removed, or cleaned of it" : "removed, or cleaned of it");
}

static int run(const hl_args *a) {
  hl_target t = {0};
  hl_error err = {0};
  cJSON *answer = NULL;
  bool dry_run = hl_args_has(a, "dry-run");
  hl_person who = {a->positional[0], hl_args_get(a, "email")};
  int rc = hl_person_check(&who, &err);
  if (rc) return hl_cmd_error(&err);
  if ((rc = hl_target_find(&t, a, &err)) || (rc = hl_target_open(&t, HL_TARGET_LOOKS, &err))) goto out;
  cJSON *q = cJSON_CreateObject();
  cJSON_AddStringToObject(q, "do", "forget.start");
  cJSON_AddStringToObject(q, "id", who.id);
  if (who.email) cJSON_AddStringToObject(q, "email", who.email);
  if (hl_args_has(a, "account")) cJSON_AddStringToObject(q, "account", hl_args_get(a, "account"));
  if (dry_run) cJSON_AddTrueToObject(q, "dry_run");
  if ((rc = hl_target_ask(&t, q, &answer, &err))) goto out;
  cJSON_Delete(answer);
  answer = NULL;
  rc = follow(&t, &answer, &err);
  hl_target_progress(&t, "", 1, 1);
  if (rc) goto out;
  long long in_hand = hl_json_int(answer, "in_hand", 0);
  if (hl_args_has(a, "json")) {
    char *text = hl_json_print(answer);
    puts(text);
    hl_free(text);
  } else {
    tell(answer, dry_run);
  }
  if (hl_json_bool(answer, "residue", false))
    fprintf(stderr, "The file is large and in use, so it was not written anew: its unused space may hold copies. Run this once while serve is stopped.\n");
  if (hl_json_int(answer, "synced", 0))
    fprintf(stderr, "A sync has carried this person. Tables and files, such as its source and its quarantine, are not cleaned: take the person out of "
                    "them, or a run may bring it back.\n");
  if (in_hand) rc = hl_cmd_fail(HL_EXIT_SOME, "%lld event%s still in the hands of handlers; run this again when they have ended", in_hand, in_hand == 1 ? " is" : "s are");
out:
  if (err.code && rc) rc = hl_cmd_error(&err);
  cJSON_Delete(answer);
  hl_target_close(&t);
  return rc;
}

const hl_command hl_cmd_forget = {
    .name = "forget", .operands = "ID", .summary = "takes a person out of events, steps, kv, audit records and the call log", .flags = flags, .min = 1,
    .max = 1, .run = run,
    .examples = "  hubloop forget 151 --dry-run                 what there is about contact 151\n"
                "  hubloop forget 151 --email ana@example.com\n",
};
