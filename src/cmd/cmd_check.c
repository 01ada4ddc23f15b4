#include "base/mem.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/sources.h"
#include "lua/check.h"

/* `hubloop check`: what is wrong in scripts, read out of their text. */

static const hl_flag flags[] = {
    {"properties", NULL, "ask HubSpot which properties, values, stages and owners there are, too"},
    {"account", "NAME", "the same of this one of several accounts, or one stored by hubloop auth"},
    {"sim", NULL, "the same of the built-in simulator"},
    {"json", NULL, "one object: findings with rule, level, file, line, column, message"},
    {"sarif", NULL, "as SARIF 2.1.0, for code hosts and editors"},
    {NULL, NULL, NULL},
};

/* What the account has of what the scripts name, which a first look has told. */
static int ask(const hl_args *a, cJSON *request, const cJSON *first, hl_error *err) {
  hl_buf notes;
  hl_ask_where where = {.path = a->n ? a->positional[0] : ".", .account = hl_args_get(a, "account"), .simulator = hl_args_has(a, "sim")};
  hl_buf_init(&notes, 64 * 1024);
  int rc = hl_ask_now(&where, cJSON_GetObjectItemCaseSensitive(first, "questions"), cJSON_AddObjectToObject(request, "answers"), &notes, err);
  fputs(notes.p ? notes.p : "", stderr);
  hl_buf_deinit(&notes);
  return rc;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  hl_loop *loop = NULL;
  hl_project *project = NULL;
  cJSON *request = cJSON_CreateObject(), *answer = NULL, *files = cJSON_AddArrayToObject(request, "files");
  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  int rc = 0, code = HL_EXIT_OK;
  bool as_json = hl_args_has(a, "json"), sarif = hl_args_has(a, "sarif");
  if (as_json && sarif) {
    rc = hl_fail(&err, HL_EINVAL, "check: --json and --sarif are two forms of one answer; give one of them");
    goto out;
  }
  if ((rc = hl_loop_new(NULL, log, &loop, &err))) goto out;
  for (size_t i = 0; !rc && i < (a->n ? a->n : 1); i++) {
    rc = hl_sources_add(files, a->n ? a->positional[i] : ".", true, &project, &err);
    hl_project_free(project);
    project = NULL;
  }
  if (rc) goto out;
  cJSON_AddStringToObject(request, "as", as_json ? "json" : sarif ? "sarif" : "people");
  cJSON_AddStringToObject(request, "version", HL_VERSION);
  if ((rc = hl_check_call(loop, "check", 0, request, &answer, &err))) goto out;
  if (hl_args_has(a, "properties") || hl_args_has(a, "account") || hl_args_has(a, "sim")) {
    if ((rc = ask(a, request, answer, &err))) goto out;
    cJSON_Delete(answer);
    answer = NULL;
    if ((rc = hl_check_call(loop, "check", 0, request, &answer, &err))) goto out;
  }
  fputs(hl_json_str(answer, "text", ""), stdout);
  fflush(stdout);
  if (hl_json_int(answer, "findings", 0) > 0) code = HL_EXIT_SOME;
out:
  if (rc) code = rc == HL_ENOTFOUND ? hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text) : hl_cmd_error(&err);
  cJSON_Delete(request);
  cJSON_Delete(answer);
  hl_loop_free(loop);
  hl_log_free(log);
  return code;
}

const hl_command hl_cmd_check = {
    .name = "check", .operands = "[PATH…]", .summary = "what is wrong in the scripts, without running them", .flags = flags,
    .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop check                         the project in this folder\n"
                "  hubloop check lead_routing.lua\n"
                "  hubloop check --properties            as the account has them, too\n"
                "  hubloop check --sarif > check.sarif\n",
};
