#include "cmd/properties.h"

#include <ctype.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/runtime.h"

typedef struct asking {
  cJSON *out;
  hl_buf *notes;
  hl_error err;
  size_t left;
} asking;

typedef struct question {
  asking *q;
  const char *type;
} question;

static void answered(void *arg, const hl_api_result *r) {
  question *one = arg;
  asking *q = one->q;
  q->left--;
  const cJSON *results = cJSON_GetObjectItemCaseSensitive(r->json, "results");
  if (!r->error && cJSON_IsArray(results)) {
    cJSON *copy = cJSON_Duplicate(results, true);
    if (!copy) hl_mem_ended();
    cJSON_AddItemToObject(q->out, one->type, copy);
  } else if (r->error && (r->error->status == 400 || r->error->status == 404)) {
    hl_buf_printf(q->notes, "HubSpot knows no object type “%s”; its properties were not looked at\n", one->type);
  } else {
    hl_fail(&q->err, HL_EIO, "the properties of %s: %s", one->type, r->error ? r->error->message : "HubSpot sent no list of them");
  }
  hl_free(one);
}

static bool waits(void *arg) { return ((asking *)arg)->left > 0; }

/* It becomes a part of the path. */
static bool is_type(const char *text) {
  for (const char *p = text; *p; p++)
    if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-') return false;
  return *text != '\0';
}

/* The settings have accounts, and --account names one of those. */
static bool has_accounts(const char *path) {
  struct stat st;
  hl_project *project;
  if (stat(path, &st) || !S_ISDIR(st.st_mode) || hl_project_load(path, &project, NULL)) return false;
  bool some = project->n_accounts > 0;
  hl_project_free(project);
  return some;
}

int hl_properties_ask(const hl_properties_of *of, const cJSON *types, cJSON *out, hl_buf *notes, hl_error *err) {
  asking q = {.out = out, .notes = notes};
  hl_runtime *rt;
  hl_account *account;
  const cJSON *type;
  hl_runtime_options o = {.path = of->path, .account = has_accounts(of->path) ? NULL : of->account, .simulator = of->simulator, .offline = true, .log_level = HL_LOG_WARN};
  int rc = hl_runtime_new(&o, &rt, err);
  if (rc) return rc;
  rc = hl_hubspot_account(rt->hubspot, of->simulator ? NULL : of->account, &account, err);
  cJSON_ArrayForEach(type, types) {
    if (rc || !is_type(type->valuestring)) continue;
    char path[256];
    question *one = HL_NEW(question);
    *one = (question){&q, type->valuestring};
    snprintf(path, sizeof path, "/crm/properties/{version}/%s", type->valuestring);
    hl_api_call call = {.kind = HL_API_RAW, .klass = HL_CLASS_NORMAL, .script = "hubloop check", .method = "GET", .path = path};
    rc = hl_api_send(account, &call, answered, one, NULL, err);
    if (rc) hl_free(one);
    else q.left++;
  }
  hl_loop_run_while(rt->loop, waits, &q);
  if (!rc && q.err.code) {
    *err = q.err;
    rc = q.err.code;
  }
  hl_runtime_free(rt);
  return rc;
}
