#include <unistd.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/target.h"
#include "lua/check.h"

/* `hubloop migrate`: API keys and old paths of HubSpot in programs of any language. What is looked for,
 * and where, is stdlib/migrate; this walks it on piece by piece and draws the bar. */

static const hl_flag flags[] = {
    {"write", NULL, "rewrite the paths whose dated form takes the same body; the old file stays as FILE.orig"},
    {"json", NULL, "one object: findings with file, line, kind, path, replacement, scopes"},
    {"markdown", "FILE", "write a report for who must approve it"},
    {"html", "FILE", "the same as one HTML page"},
    {NULL, NULL, NULL},
};

enum { CPU_MS = 30 * 60 * 1000 }; /* of one piece of the tree: a large machine-made file takes its time */

static int walk(hl_check *c, cJSON **answer, hl_error *err) {
  hl_target bar = {0};
  for (;;) {
    int rc = hl_check_ask(c, "walk", NULL, answer, err);
    if (rc) return rc;
    int64_t done = hl_json_int(*answer, "done", 0);
    hl_target_progress(&bar, "reading", done, 1000);
    if (done >= 1000) return 0;
    cJSON_Delete(*answer);
    *answer = NULL;
  }
}

static int run(const hl_args *a) {
  hl_error err = {0};
  hl_loop *loop = NULL;
  hl_check *c = NULL;
  cJSON *request = cJSON_CreateObject(), *paths = cJSON_AddArrayToObject(request, "paths"), *answer = NULL;
  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  int code = HL_EXIT_OK;
  for (size_t i = 0; i < a->n; i++) cJSON_AddItemToArray(paths, cJSON_CreateString(a->positional[i]));
  cJSON_AddBoolToObject(request, "write", hl_args_has(a, "write"));
  cJSON_AddBoolToObject(request, "json", hl_args_has(a, "json"));
  if (hl_args_get(a, "markdown")) cJSON_AddStringToObject(request, "markdown", hl_args_get(a, "markdown"));
  if (hl_args_get(a, "html")) cJSON_AddStringToObject(request, "html", hl_args_get(a, "html"));
  int rc = hl_loop_new(NULL, log, &loop, &err);
  if (!rc) rc = hl_check_new(loop, "migrate.report", CPU_MS, &c, &err);
  if (!rc && !(rc = hl_check_ask(c, "begin", request, &answer, &err))) {
    cJSON_Delete(answer);
    answer = NULL;
    rc = walk(c, &answer, &err);
    cJSON_Delete(answer);
    answer = NULL;
  }
  if (!rc) rc = hl_check_ask(c, "finish", NULL, &answer, &err);
  bool cut = fflush(stdout) || ferror(stdout);
  if (!rc) {
    const char *notes = hl_json_str(answer, "notes", "");
    if (*notes) hl_cmd_fail(0, "%s", notes);
    code = (int)hl_json_int(answer, "code", HL_EXIT_FAILED);
    if (cut) code = hl_cmd_fail(HL_EXIT_SOME, "not all could be printed: standard output cannot be written");
  } else {
    code = hl_cmd_error(&err);
  }
  cJSON_Delete(request);
  cJSON_Delete(answer);
  hl_check_free(c);
  hl_loop_free(loop);
  hl_log_free(log);
  return code;
}

const hl_command hl_cmd_migrate = {
    .name = "migrate", .operands = "PATH…", .summary = "API keys and v1-v4 paths in code of any language, and what each becomes",
    .flags = flags, .min = 1, .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop migrate src workflows         what there is, scopes and next steps\n"
                "  hubloop migrate . --html report.html  for the person who must approve it\n"
                "  hubloop migrate . --write             rewrite what is safe; FILE.orig stays\n",
};
