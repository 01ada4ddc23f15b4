#include "cmd/webhooks.h"

#include <string.h>

#include "base/mem.h"
#include "lua/check.h"

/* `hubloop webhooks`: the subscriptions that the scripts' own on() calls need, for
 * push and for the journal. What is compared and printed is decided in
 * stdlib/check/webhooks.lua. */

#define OBJECT_TYPES {"object-types", "LIST", "the types that object.… handlers are for, as in 0-27,2-77"}
#define SET_TARGET {"set-target", NULL, "change a target URL that hubloop did not set"}
#define HSMETA {"hsmeta", NULL, "as the webhooks component of an app on HubSpot's developer platform"}
#define JSON {"json", NULL, "for programs"}

static const hl_flag plan_flags[] = {JSON, HSMETA, OBJECT_TYPES, SET_TARGET, {NULL, NULL, NULL}};
static const hl_flag apply_flags[] = {JSON, OBJECT_TYPES, SET_TARGET, {NULL, NULL, NULL}};
static const hl_flag list_flags[] = {JSON, {NULL, NULL, NULL}};

static void add_words(cJSON *list, const char *words) {
  while (words && *words) {
    size_t n = strcspn(words, ", ");
    char *word = hl_strndup(words, n);
    if (n) cJSON_AddItemToArray(list, cJSON_CreateString(word));
    hl_free(word);
    words += n + (words[n] != 0);
  }
}

static void print_problems(const cJSON *answer) {
  const cJSON *one;
  fflush(stdout);
  cJSON_ArrayForEach(one, hl_json_get(answer, "problems")) fprintf(stderr, "hubloop: %s\n", one->valuestring);
}

static int apply(hl_hooks *x, const cJSON *answer, bool json) {
  static const struct { const char *verb, *past; } verbs[] = {{"create", "created"}, {"change", "changed"}, {"delete", "deleted"}};
  size_t done = 0, failed = 0;
  cJSON *report = cJSON_CreateArray();
  const cJSON *action;
  cJSON_ArrayForEach(action, hl_json_get(answer, "actions")) {
    const char *verb = hl_json_str(action, "verb", ""), *what = hl_json_str(action, "what", ""), *past = verb;
    hl_error err = {0};
    for (size_t i = 0; i < HL_COUNT(verbs); i++)
      if (strcmp(verbs[i].verb, verb) == 0) past = verbs[i].past;
    int rc = hl_hooks_do(x, action, &err);
    *(rc ? &failed : &done) += 1;
    if (rc) hl_cmd_fail(HL_EXIT_FAILED, "could not %s %s: %s", verb, what, err.text);
    else if (!json) printf("%s %s\n", past, what);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "verb", verb);
    cJSON_AddStringToObject(row, "what", what);
    cJSON_AddBoolToObject(row, "done", !rc);
    if (rc) cJSON_AddStringToObject(row, "error", err.text);
    cJSON_AddItemToArray(report, row);
  }
  if (json) {
    char *text = cJSON_Print(report);
    puts(text);
    cJSON_free(text);
  }
  cJSON_Delete(report);
  return !failed ? HL_EXIT_OK : done ? HL_EXIT_SOME : HL_EXIT_FAILED;
}

static int run(const hl_args *a, const char *function, bool applying) {
  hl_hooks x = {0};
  hl_error err = {0};
  cJSON *request = NULL, *answer = NULL;
  bool json = hl_args_has(a, "json");
  int code = HL_EXIT_OK, rc = hl_hooks_open(&x, a->n ? a->positional[0] : ".", &err);
  if (!rc) rc = hl_hooks_request(&x, &request, &err);
  if (rc) goto out;
  add_words(cJSON_AddArrayToObject(request, "object_types"), hl_args_get(a, "object-types"));
  cJSON_AddBoolToObject(request, "set_target", hl_args_has(a, "set-target"));
  cJSON_AddBoolToObject(request, "applying", applying);
  cJSON_AddNumberToObject(request, "columns", hl_cmd_columns());
  cJSON_AddStringToObject(request, "as", hl_args_has(a, "hsmeta") ? "hsmeta" : json && !applying ? "json" : "table");
  if ((rc = hl_check_call(x.rt->loop, function, 0, request, &answer, &err))) goto out;
  if (!applying || !json) fputs(hl_json_str(answer, "text", ""), stdout);
  if (applying) code = apply(&x, answer, json);
  print_problems(answer);
  if (applying && !code && cJSON_GetArraySize(hl_json_get(answer, "problems"))) code = HL_EXIT_SOME;
out:
  if (rc) code = rc == HL_ENOTFOUND ? hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text) : hl_cmd_error(&err);
  cJSON_Delete(request);
  cJSON_Delete(answer);
  hl_hooks_close(&x);
  return code;
}

static int run_plan(const hl_args *a) { return run(a, "webhooks_plan", false); }
static int run_apply(const hl_args *a) { return run(a, "webhooks_plan", true); }
static int run_list(const hl_args *a) { return run(a, "webhooks_list", false); }

static const hl_command plan = {
    .name = "webhooks plan", .operands = "[DIR]", .summary = "what apply would do, and what is to be set by hand", .flags = plan_flags, .max = 1,
    .run = run_plan, .examples = "  hubloop webhooks plan\n  hubloop webhooks plan --hsmeta >src/app/webhooks/webhooks-hsmeta.json\n",
};
static const hl_command apply_command = {
    .name = "webhooks apply", .operands = "[DIR]", .summary = "make them so; what hubloop did not make stays", .flags = apply_flags, .max = 1,
    .run = run_apply, .examples = "  hubloop webhooks apply\n",
};
static const hl_command list = {
    .name = "webhooks list", .operands = "[DIR]", .summary = "the subscriptions that there are, and which are ours", .flags = list_flags, .max = 1,
    .run = run_list, .examples = "  hubloop webhooks list --json\n",
};

static const hl_command *const subs[] = {&plan, &apply_command, &list, &hl_webhooks_test, NULL};

const hl_command hl_cmd_webhooks = {
    .name = "webhooks", .operands = "COMMAND", .summary = "subscriptions from the scripts' own on() calls", .subs = subs,
    .examples = "  hubloop webhooks plan                 the project in this folder\n"
                "  hubloop webhooks apply\n"
                "  hubloop webhooks test\n",
};
