#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/replay.h"
#include "cmd/target.h"

/* `hubloop route simulate`: what pools would have done with the leads of the past, or do with made-up ones. The script is
 * loaded as for a replay; stdlib/routing/simulate.lua decides in its state, a page of records at a time. */

enum { DAYS = 90, LEADS = 5000, LEADS_MAX = 1000 * 1000, ARRIVE = 200 };
static const char MODULE[] = "routing.simulate";

static const hl_flag flags[] = {
    {"pool", "FILE", "the script whose pools are tried; needed"},
    {"against", "FILE", "compare with the pools of this script, instead of what was recorded"},
    {"last", "TIME", "leads since: 90d, 12h ago; or an ISO time; default 90d"},
    {"sim", NULL, "made-up leads instead of recorded ones"},
    {"leads", "N", "how many of those; default 5000"},
    {"seed", "N", "other ones; default 1"},
    {"json", NULL, "one JSON object"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

typedef struct simulation {
  const hl_args *a;
  hl_error err;
  hl_target t;
  hl_runtime *rt;
  hl_replayer *r;
  size_t n;                    /* scripts */
  int64_t since, until, leads, seed;
} simulation;

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool is_sim(const simulation *x) { return hl_args_has(x->a, "sim"); }

/* `request` is taken over. out NULL: the answer is of no interest. */
static int ask(simulation *x, size_t i, const char *name, cJSON *request, cJSON **out) {
  cJSON *answer = NULL;
  int rc = hl_replayer_ask(x->r, i, MODULE, name, request, &answer, &x->err);
  cJSON_Delete(request);
  if (!rc && out) *out = answer;
  else cJSON_Delete(answer);
  return rc;
}

static cJSON *sim_json(const simulation *x) {
  cJSON *sim = cJSON_CreateObject();
  cJSON_AddItemToObject(sim, "leads", hl_json_int64(x->leads));
  cJSON_AddItemToObject(sim, "seed", hl_json_int64(x->seed));
  cJSON_AddItemToObject(sim, "until_ms", hl_json_int64(x->until));
  return sim;
}

static int load(simulation *x) {
  const char *script = hl_args_get(x->a, "pool"), *project = hl_args_get(x->a, "project"), *against = hl_args_get(x->a, "against");
  hl_runtime_options o = {.path = hl_args_has(x->a, "store") ? script : project ? project : ".", .simulator = true, .offline = true, .log_level = HL_LOG_WARN};
  int rc = hl_runtime_new(&o, &x->rt, &x->err);
  if (rc) return rc;
  hl_replayer_options ro = {.rt = x->rt, .scripts = {script, against}, .start_ms = x->since, .asks = true};
  if ((rc = hl_replayer_new(&ro, &x->r, &x->err))) return rc;
  x->n = against ? 2 : 1;
  for (size_t i = 0; !rc && i < x->n; i++) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddItemToObject(request, "first", hl_json_int64(x->since));
    if (is_sim(x)) cJSON_AddItemToObject(request, "sim", sim_json(x));
    if ((rc = ask(x, i, "begin", request, &answer))) break;
    if (!cJSON_GetArraySize(hl_json_get(answer, "pools"))) rc = hl_fail(&x->err, HL_EINVAL, "%s declares no routing.pool(…)", i ? against : script);
    cJSON_Delete(answer);
  }
  return rc;
}

/* ---- leads ---- */

static int feed(simulation *x, const cJSON *records) {
  int rc = 0;
  for (size_t i = 0; !rc && i < x->n; i++) {
    cJSON *request = cJSON_CreateObject();
    cJSON_AddItemReferenceToObject(request, "records", (cJSON *)(uintptr_t)records);
    rc = ask(x, i, "feed", request, NULL);
  }
  return rc;
}

static int take_recorded(simulation *x) {
  char *cursor = NULL;
  int64_t from = -1;
  int rc = hl_target_open(&x->t, HL_TARGET_LOOKS, &x->err);
  if (rc == HL_ENOTFOUND) {
    hl_error why = x->err;
    return hl_fail(&x->err, rc, "%s; --sim tries the pools with made-up leads", why.text);
  }
  while (!rc) {
    cJSON *q = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(q, "do", "audits.read");
    cJSON_AddStringToObject(q, "kind", "routing");
    cJSON_AddItemToObject(q, "since", hl_json_int64(x->since));
    cJSON_AddItemToObject(q, "until", hl_json_int64(x->until));
    if (cursor) cJSON_AddStringToObject(q, "cursor", cursor);
    if ((rc = hl_target_ask(&x->t, q, &answer, &x->err))) break;
    rc = feed(x, hl_json_get(answer, "records"));
    hl_free(cursor);
    cursor = hl_strdup(hl_json_str(answer, "cursor", NULL));
    int64_t at = hl_json_int(answer, "at", 0), of = hl_json_int(answer, "of", 0);
    if (from < 0) from = at;
    cJSON_Delete(answer);
    if (!cursor) break;
    hl_target_progress(&x->t, "deciding", at - from, of - from + 1);
  }
  hl_free(cursor);
  return rc;
}

static int take_made_up(simulation *x) {
  int64_t left = x->leads;
  int rc = 0;
  while (!rc && left > 0) {
    for (size_t i = 0; !rc && i < x->n; i++) {
      cJSON *request = cJSON_CreateObject(), *answer = NULL;
      cJSON_AddNumberToObject(request, "n", ARRIVE);
      if ((rc = ask(x, i, "arrive", request, &answer))) break;
      left = hl_json_int(answer, "left", 0);
      cJSON_Delete(answer);
    }
    hl_target_progress(&x->t, "deciding", x->leads - left, x->leads + 1);
  }
  return rc;
}

/* ---- what came out ---- */

static cJSON *labels(const simulation *x) {
  const char *now = base_name(hl_args_get(x->a, "pool")), *against = hl_args_get(x->a, "against");
  cJSON *both = cJSON_CreateObject();
  cJSON_AddStringToObject(both, "now", now);
  cJSON_AddStringToObject(both, "before", !against ? "recorded" : strcmp(base_name(against), now) != 0 ? base_name(against) : against);
  return both;
}

static int show(simulation *x) {
  cJSON *found[HL_REPLAY_SCRIPTS] = {NULL}, *request = cJSON_CreateObject(), *answer = NULL;
  int rc = 0;
  for (size_t i = 0; !rc && i < x->n; i++) {
    cJSON *end = cJSON_CreateObject();
    cJSON_AddItemToObject(end, "until_ms", hl_json_int64(x->until));
    rc = ask(x, i, "finish", end, &found[i]);
  }
  if (rc) goto out;
  cJSON_AddItemToObject(request, "made", cJSON_DetachItemFromObjectCaseSensitive(found[0], "made"));
  cJSON_AddItemToObject(request, "others", cJSON_DetachItemFromObjectCaseSensitive(found[0], "others"));
  if (x->n > 1) cJSON_AddItemToObject(request, "before", cJSON_DetachItemFromObjectCaseSensitive(found[1], "made"));
  else if (!is_sim(x)) cJSON_AddItemToObject(request, "before", cJSON_DetachItemFromObjectCaseSensitive(found[0], "recorded"));
  cJSON_AddItemToObject(request, "labels", labels(x));
  cJSON_AddItemToObject(request, "first", hl_json_int64(x->since));
  cJSON_AddItemToObject(request, "until_ms", hl_json_int64(x->until));
  cJSON_AddNumberToObject(request, "columns", hl_cmd_columns());
  if (is_sim(x)) cJSON_AddItemToObject(request, "sim", sim_json(x));
  rc = ask(x, 0, "show", request, &answer);
  request = NULL;
  const char *wrong = hl_json_str(answer, "wrong", NULL);
  if (!rc && wrong) rc = hl_fail(&x->err, HL_ENOTFOUND, "%s in %s; --sim tries the pools with made-up leads", wrong, x->t.store ? x->t.store : "the simulation");
  if (rc) goto out;
  if (hl_args_has(x->a, "json")) {
    char *text = hl_json_print(hl_json_get(answer, "json"));
    puts(text);
    hl_free(text);
  } else {
    fputs(hl_json_str(answer, "text", ""), stdout);
  }
  fflush(stdout);
  if (ferror(stdout)) rc = hl_fail(&x->err, HL_EIO, "not all could be printed: standard output cannot be written");
out:
  for (size_t i = 0; i < HL_REPLAY_SCRIPTS; i++) cJSON_Delete(found[i]);
  cJSON_Delete(request);
  cJSON_Delete(answer);
  return rc;
}

/* ---- the command ---- */

static int check(simulation *x) {
  const hl_args *a = x->a;
  struct stat st;
  int rc;
  static const char *const files[] = {"pool", "against"}, *const of_sim[] = {"leads", "seed"};
  if (!hl_args_has(a, "pool")) return hl_cmd_fail(HL_EXIT_MISUSE, "route simulate needs --pool FILE, the script whose pools are tried");
  for (size_t i = 0; i < HL_COUNT(files); i++) {
    const char *path = hl_args_get(a, files[i]);
    if (path && stat(path, &st)) return hl_cmd_fail(HL_EXIT_MISUSE, "--%s: cannot read %s: %s", files[i], path, strerror(errno));
  }
  for (size_t i = 0; i < HL_COUNT(of_sim); i++)
    if (hl_args_has(a, of_sim[i]) && !is_sim(x)) return hl_cmd_fail(HL_EXIT_MISUSE, "--%s is of made-up leads: add --sim", of_sim[i]);
  if ((rc = hl_args_int(a, "leads", 1, LEADS_MAX, LEADS, &x->leads)) || (rc = hl_args_int(a, "seed", 1, INT64_MAX, 1, &x->seed))) return rc;
  x->since = x->until - DAYS * HL_DAY;
  return hl_args_time(a, "last", x->until, &x->since);
}

static int simulate(simulation *x) {
  int rc = load(x);
  if (!rc) rc = is_sim(x) ? take_made_up(x) : take_recorded(x);
  hl_target_progress(&x->t, "", 1, 1);
  return rc ? rc : show(x);
}

static int run(const hl_args *a) {
  simulation x = {.a = a};
  int rc = hl_target_find(&x.t, a, &x.err) ? hl_cmd_error(&x.err) : 0;
  if (!rc) {
    x.until = hl_loop_now(x.t.loop);
    if (is_sim(&x)) x.until -= x.until % HL_DAY; /* the same twice on one day */
    rc = check(&x);
    if (!rc && simulate(&x)) rc = hl_cmd_error(&x.err);
  }
  hl_target_close(&x.t);
  hl_replayer_free(x.r);
  hl_runtime_free(x.rt);
  return rc;
}

const hl_command hl_cmd_route_simulate = {
    .name = "route simulate", .operands = "--pool FILE", .summary = "who would have got the leads with other pools", .flags = flags, .run = run,
    .examples = "  hubloop route simulate --last 90d --pool new.lua\n"
                "  hubloop route simulate --pool new.lua --against leads.lua --json\n"
                "  hubloop route simulate --pool new.lua --sim --leads 10000 --seed 7\n"
                "\n"
                "Nothing is changed, and HubSpot is not asked: hubloop help routing, “Simulation”.\n",
};
