#include "base/mem.h"
#include "cmd/audit.h"
#include "cmd/target.h"

/* `hubloop route`; and `hubloop route explain ID`: why a contact went where it went, out of the audit
 * records that routing pools leave. */

static const hl_flag flags[] = {
    {"json", NULL, "the stored record, one JSON object a line"},
    {"max", "N", "the newest N decisions about this contact; default 1"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

enum { MAX = 100 };

static int print(const cJSON *records, bool json) {
  hl_buf out;
  hl_buf_init(&out, 64u << 20);
  for (const cJSON *r = records->child; r; r = r->next) {
    if (json) hl_json_print_to(r, &out);
    else hl_audit_explain(r, &out);
    if (json || r->next) hl_buf_puts(&out, "\n");
  }
  fwrite(out.p, 1, out.n, stdout);
  hl_buf_deinit(&out);
  return HL_EXIT_OK;
}

static int explain(const hl_args *args, const char *id) {
  hl_target t = {0};
  hl_error err = {0};
  cJSON *answer = NULL;
  char key[256];
  int64_t max;
  int rc = hl_args_int(args, "max", 1, MAX, 1, &max);
  if (rc) return rc;
  if (snprintf(key, sizeof key, "contact %s", id) >= (int)sizeof key) return hl_cmd_fail(HL_EXIT_MISUSE, "route: “%.40s…” is no contact's id", id);
  if ((rc = hl_target_find(&t, args, &err)) || (rc = hl_target_open(&t, HL_TARGET_LOOKS, &err))) goto out;
  cJSON *q = cJSON_CreateObject();
  cJSON_AddStringToObject(q, "do", "audits");
  cJSON_AddStringToObject(q, "kind", "routing");
  cJSON_AddStringToObject(q, "key", key);
  cJSON_AddNumberToObject(q, "max", (double)max);
  if ((rc = hl_target_ask(&t, q, &answer, &err))) goto out;
  const cJSON *records = hl_json_get(answer, "records");
  if (records && records->child) rc = print(records, hl_args_has(args, "json"));
  else
    rc = hl_cmd_fail(HL_EXIT_FAILED, "no routing decision about contact %s in %s\n"
                     "  - is it the contact's record id (digits), and the right project folder?\n"
                     "  - did its event arrive, and has its handler finished? A record is stored with the handler's completion\n"
                     "  - did that handler ask a routing pool? Only pool:assign leaves a record",
                     id, t.store);
out:
  if (err.code && rc) rc = hl_cmd_error(&err);
  cJSON_Delete(answer);
  hl_target_close(&t);
  return rc;
}

static int run(const hl_args *a) { return explain(a, a->positional[0]); }

static const hl_command explain_command = {
    .name = "route explain", .operands = "ID", .summary = "why a contact went to the owner it went to",
    .flags = flags, .min = 1, .max = 1, .run = run,
    .examples = "  hubloop route explain 151                       the project in this folder, running or not\n"
                "  hubloop route explain 151 --project my-automations --max 5\n"
                "  hubloop route explain 151 --json\n",
};

static const hl_command *const subs[] = {&explain_command, &hl_cmd_route_simulate, NULL};

const hl_command hl_cmd_route = {
    .name = "route", .operands = "COMMAND", .summary = "who gets which lead: why, and what other pools would do", .subs = subs,
    .examples = "  hubloop route explain 151\n"
                "  hubloop route simulate --last 90d --pool new.lua\n",
};
