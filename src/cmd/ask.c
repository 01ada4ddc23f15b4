#include "cmd/ask.h"

#include <ctype.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/runtime.h"

enum { OWNER_PAGES = 40, NOTES_MAX = 64 * 1024 };

struct hl_asking {
  hl_account *account;
  cJSON *answers;              /* NULL: dropped */
  cJSON *owners;               /* while they come in pages */
  size_t pages, left;
  bool archived;
  hl_error err;
  hl_buf notes;
  hl_loop *loop;
  hl_defer end;
  hl_asked_cb done;
  void *arg;
};

typedef struct question {
  hl_asking *q;
  const char *part;            /* of answers */
  char type[];                 /* empty: the part has none */
} question;

static void asking_free(hl_asking *q) {
  cJSON_Delete(q->owners);
  hl_buf_deinit(&q->notes);
  hl_free(q);
}

static void on_end(hl_defer *d, void *arg) {
  hl_asking *q = arg;
  (void)d;
  q->done(q->arg, q->err.code ? q->err.text : NULL, q->notes.p ? q->notes.p : "");
  asking_free(q);
}

static void close_one(hl_asking *q) {
  if (--q->left) return;
  if (q->answers) hl_defer_start(q->loop, &q->end, on_end, q);
  else asking_free(q);
}

static void put(hl_asking *q, const char *part, const char *type, cJSON *value) {
  cJSON *into = q->answers;
  if (*type) {
    into = cJSON_GetObjectItemCaseSensitive(q->answers, part);
    if (!into) into = cJSON_AddObjectToObject(q->answers, part);
    part = type;
  }
  cJSON_DeleteItemFromObjectCaseSensitive(into, part);
  cJSON_AddItemToObject(into, part, value);
}

static const char *what(const question *one, char text[160]) {
  if (*one->type) snprintf(text, 160, "the %s of %s", one->part, one->type);
  else snprintf(text, 160, "the %s", one->part);
  return text;
}

/* What is wrong with the account's answer; true: there is one. */
static bool refused(const question *one, const hl_api_result *r) {
  hl_asking *q = one->q;
  char text[160];
  if (!r->error && cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(r->json, "results"))) return false;
  int status = r->error ? r->error->status : 0;
  if (status == 400 || status == 403 || status == 404) {
    put(q, one->part, one->type, cJSON_CreateFalse());
    if (status == 403) hl_buf_printf(&q->notes, "the token may not read %s; they were not looked at\n", what(one, text));
    else hl_buf_printf(&q->notes, "HubSpot knows no object type “%s”; its %s were not looked at\n", one->type, one->part);
  } else if (!q->err.code) {
    hl_fail(&q->err, HL_EIO, "%s: %s", what(one, text), r->error ? r->error->message : "HubSpot sent no list of them");
  }
  return true;
}

static void copy_field(cJSON *to, const cJSON *from, const char *name) {
  const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, name);
  cJSON *copy = v ? cJSON_Duplicate(v, true) : NULL;
  if (v && !copy) hl_mem_ended();
  if (copy) cJSON_AddItemToObject(to, name, copy);
}

/* Definitions are long, and only this of them is looked at. `inner`: a list in each, of whose members one field stays. */
static cJSON *kept(const cJSON *list, const char *const *fields, const char *inner, const char *inner_field) {
  cJSON *out = cJSON_CreateArray();
  const cJSON *from, *member;
  cJSON_ArrayForEach(from, list) {
    cJSON *one = cJSON_CreateObject();
    for (size_t i = 0; fields[i]; i++) copy_field(one, from, fields[i]);
    cJSON *members = cJSON_AddArrayToObject(one, inner);
    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(from, inner)) {
      cJSON *m = cJSON_CreateObject();
      copy_field(m, member, inner_field);
      cJSON_AddItemToArray(members, m);
    }
    cJSON_AddItemToArray(out, one);
  }
  return out;
}

static void on_list(void *arg, const hl_api_result *r) {
  static const char *const of_property[] = {"name", "type", "fieldType", "externalOptions", NULL}, *const of_pipeline[] = {"id", NULL};
  question *one = arg;
  hl_asking *q = one->q;
  if (q->answers && !refused(one, r)) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->json, "results");
    bool properties = strcmp(one->part, "properties") == 0;
    put(q, one->part, one->type, properties ? kept(list, of_property, "options", "value") : kept(list, of_pipeline, "stages", "id"));
  }
  hl_free(one);
  close_one(q);
}

static void on_scopes(void *arg, const hl_identity *id, const hl_api_error *error) {
  question *one = arg;
  hl_asking *q = one->q;
  if (q->answers && error) {
    if (!q->err.code) hl_fail(&q->err, HL_EIO, "the token's scopes: %s", error->message);
  } else if (q->answers && !id->scopes) {
    put(q, "scopes", "", cJSON_CreateFalse());
    hl_buf_puts(&q->notes, "HubSpot does not tell the token's scopes; they were not looked at\n");
  } else if (q->answers) {
    cJSON *scopes = cJSON_CreateArray();
    for (char **s = id->scopes; *s; s++) cJSON_AddItemToArray(scopes, cJSON_CreateString(*s));
    put(q, "scopes", "", scopes);
  }
  hl_free(one);
  close_one(q);
}

static question *ask_for(hl_asking *q, const char *part, const char *type) {
  question *one = hl_alloc(sizeof *one + strlen(type) + 1);
  one->q = q;
  one->part = part;
  memcpy(one->type, type, strlen(type) + 1);
  q->left++;
  return one;
}

static void get(question *one, const char *path, const char *query, hl_api_cb cb) {
  hl_api_call call = {.kind = HL_API_RAW, .klass = HL_CLASS_NORMAL, .script = "hubloop", .method = "GET", .path = path, .query = query};
  hl_asking *q = one->q;
  hl_error err;
  if (hl_api_send(q->account, &call, cb, one, NULL, &err) == 0) return;
  if (!q->err.code) q->err = err;
  hl_free(one);
  close_one(q);
}

static void on_owners(void *arg, const hl_api_result *r);

static void next_owners(question *one, const char *after) {
  hl_buf query;
  hl_buf_init(&query, 4096);
  hl_buf_printf(&query, "limit=500&archived=%s%s", one->q->archived ? "true" : "false", *after ? "&after=" : "");
  hl_buf_urlencode(&query, hl_str_of(after));
  get(one, "/crm/owners/{version}", query.p, on_owners);
  hl_buf_deinit(&query);
}

/* One who has left the account was there: routing knows of that. */
static void on_owners(void *arg, const hl_api_result *r) {
  question *one = arg;
  hl_asking *q = one->q;
  const cJSON *owner, *next;
  if (!q->answers || refused(one, r)) goto end;
  cJSON_ArrayForEach(owner, cJSON_GetObjectItemCaseSensitive(r->json, "results")) {
    cJSON *o = cJSON_CreateObject();
    char *email = hl_strdup(hl_json_str(owner, "email", ""));
    for (char *c = email; *c; c++) *c = (char)tolower((unsigned char)*c);
    cJSON_AddStringToObject(o, "id", hl_json_str(owner, "id", ""));
    cJSON_AddStringToObject(o, "email", email);
    cJSON_AddItemToArray(q->owners, o);
    hl_free(email);
  }
  next = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->json, "paging"), "next");
  const char *after = hl_json_str(next, "after", "");
  if (++q->pages == OWNER_PAGES) {
    put(q, "owners", "", cJSON_CreateFalse());
    hl_buf_puts(&q->notes, "the account has too many owners; they were not looked at\n");
  } else if (*after || !q->archived) {
    if (!*after) q->archived = true;
    next_owners(one, after);
    return;
  } else {
    put(q, "owners", "", q->owners);
    q->owners = NULL;
  }
end:
  hl_free(one);
  close_one(q);
}

/* It becomes a part of the path. */
static bool is_type(const char *text) {
  for (const char *p = text; *p; p++)
    if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-') return false;
  return *text != '\0';
}

hl_asking *hl_ask(hl_loop *loop, hl_account *a, const cJSON *questions, bool again, cJSON *answers, hl_asked_cb done, void *arg) {
  static const char *const parts[] = {"properties", "pipelines"};
  hl_asking *q = HL_NEW(hl_asking);
  const cJSON *type;
  char path[256];
  hl_error err;
  *q = (hl_asking){.account = a, .answers = answers, .loop = loop, .done = done, .arg = arg, .left = 1};
  hl_buf_init(&q->notes, NOTES_MAX);
  for (size_t k = 0; k < HL_COUNT(parts); k++) {
    cJSON_ArrayForEach(type, cJSON_GetObjectItemCaseSensitive(questions, parts[k])) {
      if (!is_type(type->valuestring)) continue;
      snprintf(path, sizeof path, "/crm/%s/{version}/%s", parts[k], type->valuestring);
      get(ask_for(q, parts[k], type->valuestring), path, NULL, on_list);
    }
  }
  if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(questions, "owners"))) {
    q->owners = cJSON_CreateArray();
    next_owners(ask_for(q, "owners", ""), "");
  }
  if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(questions, "scopes"))) {
    question *one = ask_for(q, "scopes", "");
    if (again) hl_account_forget_identity(a);
    if (hl_account_identify(a, on_scopes, one, &err)) on_scopes(one, NULL, &(hl_api_error){.message = err.text});
  }
  close_one(q);
  return q;
}

void hl_asking_drop(hl_asking *q) {
  if (!q) return;
  q->answers = NULL;
  if (q->left) return;
  hl_defer_stop(q->loop, &q->end);
  asking_free(q);
}

/* ---- for a command ---- */

typedef struct now {
  hl_buf *notes;
  hl_error err;
  bool done;
} now;

static void asked(void *arg, const char *failed, const char *notes) {
  now *n = arg;
  n->done = true;
  hl_buf_puts(n->notes, notes);
  if (failed) hl_fail(&n->err, HL_EIO, "%s", failed);
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

int hl_ask_now(const hl_ask_where *where, const cJSON *questions, cJSON *answers, hl_buf *notes, hl_error *err) {
  now n = {.notes = notes};
  hl_runtime *rt;
  hl_account *account;
  hl_runtime_options o = {.path = where->path, .account = has_accounts(where->path) ? NULL : where->account, .simulator = where->simulator,
                          .offline = true, .log_level = HL_LOG_WARN};
  int rc = hl_runtime_new(&o, &rt, err);
  if (rc) return rc;
  rc = hl_hubspot_account(rt->hubspot, where->simulator ? NULL : where->account, &account, err);
  if (!rc) {
    hl_ask(rt->loop, account, questions, false, answers, asked, &n);
    hl_loop_run_until(rt->loop, &n.done);
    rc = n.err.code;
    if (rc) *err = n.err;
  }
  hl_runtime_free(rt);
  return rc;
}
