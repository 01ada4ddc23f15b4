#include "base/mem.h"
#include "cmd/accounts.h"
#include "cmd/cmd.h"
#include "cmd/sources.h"
#include "lua/check.h"

/* `hubloop scopes`: the scopes that scripts need, read out of their text, and with
 * --compare those that the account's token has. */

static const hl_flag flags[] = {
    {"json", NULL, "with every call, its file and line"},
    {"app", NULL, "as the scope settings of an app on HubSpot's developer platform"},
    {"compare", NULL, "tell what the account's token lacks and has in excess; exit code 3 when it lacks some"},
    {"account", "NAME", "of the settings, or as stored by hubloop auth; default the only one"},
    {NULL, NULL, NULL},
};

enum { IDENTIFY_MS = 30 * 1000 };

typedef struct asking {
  cJSON *token;
  const char *account;
  hl_error err;
  bool done;
} asking;

static void identified(void *arg, const hl_identity *id, const hl_api_error *error) {
  asking *q = arg;
  if (q->done) return; /* cut after it was late */
  q->done = true;
  if (error) {
    hl_fail(&q->err, HL_EAUTH, "%s", error->message);
    return;
  }
  if (!id->scopes) {
    hl_fail(&q->err, HL_EAUTH, "HubSpot does not tell the scopes of the token of account “%s”; look in the app's or key's own settings", q->account);
    return;
  }
  char name[256], portal[32] = "";
  if (id->portal) snprintf(portal, sizeof portal, "%sportal %lld", id->kind ? ", " : "", (long long)id->portal);
  snprintf(name, sizeof name, "The token of account “%s” (%s%s)", q->account, id->kind ? id->kind : "", portal);
  cJSON_AddStringToObject(q->token, "name", name);
  cJSON *scopes = cJSON_AddArrayToObject(q->token, "scopes");
  for (char **s = id->scopes; *s; s++) cJSON_AddItemToArray(scopes, cJSON_CreateString(*s));
}

static void late(hl_timer *timer, void *arg) {
  asking *q = arg;
  (void)timer;
  q->done = true;
  hl_fail(&q->err, HL_ETIMEOUT, "HubSpot did not tell the scopes of account “%s” within %d s", q->account, IDENTIFY_MS / 1000);
}

/* What the account's token may do, into `token`. */
static int ask_token(hl_runtime *rt, const char *name, cJSON *token, hl_error *err) {
  asking q = {.token = token};
  hl_account *account;
  hl_timer timer = {0};
  bool settings = rt->project && rt->project->n_accounts > 0;
  int rc = hl_client_new(rt->loop, &rt->client, err);
  if (!rc) rc = hl_accounts_open(rt, err);
  if (rc) return rc;
  rt->hubspot = hl_hubspot_new(rt->loop, rt->client);
  if ((rc = hl_accounts_add(rt, settings ? NULL : name, err))) return rc;
  if (!name && rt->project && rt->project->n_accounts > 1)
    return hl_fail(err, HL_EINVAL, "the settings have several accounts: name one with --account NAME");
  if ((rc = hl_hubspot_account(rt->hubspot, name, &account, err))) return rc;
  q.account = hl_account_name(account);
  if ((rc = hl_account_identify(account, identified, &q, err))) return rc;
  hl_timer_start(rt->loop, &timer, IDENTIFY_MS, late, &q);
  hl_loop_run_until(rt->loop, &q.done);
  hl_timer_stop(rt->loop, &timer);
  if (!q.err.code) return 0;
  /* A late answer finds nobody: the account goes while `q` lives. */
  hl_hubspot_free(rt->hubspot);
  rt->hubspot = NULL;
  *err = q.err;
  return err->code;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  hl_runtime *rt = HL_NEW(hl_runtime);
  cJSON *request = cJSON_CreateObject(), *answer = NULL, *files = cJSON_AddArrayToObject(request, "files");
  int rc = 0, code = HL_EXIT_OK;
  rt->log = hl_log_new(HL_LOG_WARN, false);
  if (hl_args_has(a, "account") && !hl_args_has(a, "compare")) {
    rc = hl_fail(&err, HL_EINVAL, "scopes: --account names whose token --compare looks at; give both");
    goto out;
  }
  if ((rc = hl_loop_new(NULL, rt->log, &rt->loop, &err))) goto out;
  for (size_t i = 0; !rc && i < (a->n ? a->n : 1); i++) rc = hl_sources_add(files, a->n ? a->positional[i] : ".", false, &rt->project, &err);
  if (rc) goto out;
  if (hl_args_has(a, "compare") &&
      (rc = ask_token(rt, hl_args_get(a, "account"), cJSON_AddObjectToObject(request, "token"), &err)))
    goto out;
  cJSON_AddStringToObject(request, "as", hl_args_has(a, "json") ? "json" : hl_args_has(a, "app") ? "app" : "table");
  cJSON_AddNumberToObject(request, "columns", hl_cmd_columns());
  if ((rc = hl_check_call(rt->loop, "scopes", 0, request, &answer, &err))) goto out;
  fputs(hl_json_str(answer, "text", ""), stdout);
  fflush(stdout);
  fputs(hl_json_str(answer, "notes", ""), stderr);
  if (hl_json_int(answer, "lacks", 0) > 0) code = HL_EXIT_SOME;
out:
  if (rc) code = rc == HL_ENOTFOUND ? hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text) : hl_cmd_error(&err);
  cJSON_Delete(request);
  cJSON_Delete(answer);
  hl_runtime_free(rt);
  return code;
}

const hl_command hl_cmd_scopes = {
    .name = "scopes", .operands = "[PATH…]", .summary = "the scopes that the scripts need, and the token's", .flags = flags,
    .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop scopes                        the project in this folder\n"
                "  hubloop scopes lead_routing.lua --app\n"
                "  hubloop scopes --compare --account shop\n",
};
