#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/audit.h"
#include "cmd/cmd.h"
#include "lua/project.h"
#include "net/client.h"
#include "store/store.h"

/* `hubloop route explain ID`: why a contact went where it went, out of the audit
 * records that routing pools leave. While `serve` runs it holds the store, so it
 * is asked over its admin listener; otherwise the store is read here. */

static const hl_flag flags[] = {
    {"json", NULL, "the stored record, one JSON object a line"},
    {"max", "N", "the newest N decisions about this contact; default 1"},
    {"store", "FILE", "the database; default the settings' store, or data/hubloop.db"},
    {"admin", "ADDR:PORT", "ask the hubloop serve that listens there; default admin.listen of the settings"},
    {NULL, NULL, NULL},
};

enum { ASK_MS = 10 * 1000 };

typedef struct asking {
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;
  hl_store *store;
  cJSON *records;            /* an array, newest first */
  hl_error err;
  bool done;
} asking;

static void on_audits(void *arg, int code, const hl_audit *v, size_t n) {
  asking *a = arg;
  a->done = true;
  if (code) {
    hl_fail(&a->err, code, "the audit records cannot be read; hubloop serve's log says more, or the file is damaged");
    return;
  }
  a->records = cJSON_CreateArray();
  for (size_t i = 0; i < n; i++) cJSON_AddItemToArray(a->records, hl_audit_json(&v[i]));
}

static int read_store(asking *a, const char *path, const char *key, int64_t max, hl_error *err) {
  if (access(path, F_OK))
    return hl_fail(err, HL_ENOTFOUND, "no store at %s: %s; name the project's folder after the id, or the database with --store FILE",
                   path, strerror(errno));
  int rc = hl_store_open(a->loop, path, INT64_MAX / 4, &a->store, err);
  if (rc) return rc;
  hl_store_read_audits(a->store, "routing", key, (size_t)max, on_audits, a);
  hl_loop_run_until(a->loop, &a->done);
  if (a->err.code) *err = a->err;
  return a->err.code;
}

static void on_answer(void *arg, const hl_http_response *r) {
  asking *a = arg;
  cJSON *json = NULL;
  a->done = true;
  if (!r->status) {
    a->err = r->err;
  } else if (r->status != 200) {
    hl_fail(&a->err, HL_EPROTOCOL, "it answered with status %d: " HL_STR_FMT, r->status, (int)(r->body.n > 200 ? 200 : r->body.n), r->body.p);
  } else if (!hl_json_parse(r->body, &json, &a->err)) {
    a->records = cJSON_DetachItemFromObject(json, "records");
    if (!cJSON_IsArray(a->records)) hl_fail(&a->err, HL_EPROTOCOL, "its answer holds no records; is it another program?");
    cJSON_Delete(json);
  }
}

static int ask_admin(asking *a, const char *admin, const char *key, int64_t max, hl_error *err) {
  hl_buf url;
  hl_http_op *op;
  hl_buf_init(&url, 4096);
  hl_buf_printf(&url, "http://%s/audit?kind=routing&max=%lld&key=", admin, (long long)max);
  hl_buf_urlencode(&url, hl_str_of(key));
  int rc = hl_client_new(a->loop, &a->client, err);
  if (!rc) {
    hl_http_request q = {.method = "GET", .url = url.p, .timeout_ms = ASK_MS, .policy = HL_NET_NAMED};
    rc = a->client->send(a->client, &q, on_answer, a, &op, err);
  }
  hl_buf_deinit(&url);
  if (rc) return rc;
  hl_loop_run_until(a->loop, &a->done);
  if (!a->err.code) return 0;
  *err = a->err;
  return hl_fail_in(err, "hubloop serve was asked at %s (its admin listener; --admin ADDR:PORT names another)", admin);
}

static int print(const asking *a, bool json) {
  hl_buf out;
  hl_buf_init(&out, 64u << 20);
  for (const cJSON *r = a->records->child; r; r = r->next) {
    if (json) hl_json_print_to(r, &out);
    else hl_audit_explain(r, &out);
    if (json || r->next) hl_buf_puts(&out, "\n");
  }
  fwrite(out.p, 1, out.n, stdout);
  hl_buf_deinit(&out);
  return HL_EXIT_OK;
}

static int explain(const hl_args *args, const char *id, const char *folder) {
  asking a = {0};
  hl_project *project = NULL;
  hl_error err = {0};
  const char *store = hl_args_get(args, "store"), *admin = hl_args_get(args, "admin");
  bool told = admin != NULL;
  char key[256];
  int64_t max;
  int rc = hl_args_int(args, "max", 1, HL_AUDITS_MAX, 1, &max);
  if (rc) return rc;
  if (snprintf(key, sizeof key, "contact %s", id) >= (int)sizeof key) return hl_cmd_fail(HL_EXIT_MISUSE, "route: “%.40s…” is no contact's id", id);
  a.log = hl_log_new(HL_LOG_WARN, false);
  if ((rc = hl_loop_new(NULL, a.log, &a.loop, &err))) goto out;
  if (!told && (!store || args->n > 2)) {
    if ((rc = hl_project_load(folder, &project, &err))) goto out;
    if (!store) store = project->store;
    admin = project->admin;
  }
  if (!told) rc = read_store(&a, store, key, max, &err);
  if (told || rc == HL_EBUSY) {
    if (!admin || strcmp(admin, "off") == 0) {
      if (rc) hl_fail_in(&err, "hubloop serve runs and --admin ADDR:PORT has to say where");
      goto out;
    }
    rc = ask_admin(&a, admin, key, max, &err);
  }
  if (rc) goto out;
  if (a.records->child) rc = print(&a, hl_args_has(args, "json"));
  else
    rc = hl_cmd_fail(HL_EXIT_FAILED, "no routing decision about contact %s in %s%s\n"
                     "  - is it the contact's record id (digits), and the right %s?\n"
                     "  - did its event arrive, and has its handler finished? A record is stored with the handler's completion\n"
                     "  - did that handler ask a routing pool? Only pool:assign leaves a record",
                     id, told || !a.store ? "the store of hubloop serve at " : "", told || !a.store ? admin : store,
                     told ? "address" : "project folder");
out:
  if (err.code && rc) rc = hl_cmd_error(&err);
  cJSON_Delete(a.records);
  hl_store_free(a.store);
  if (a.client) a.client->free(a.client);
  hl_loop_free(a.loop);
  hl_log_free(a.log);
  hl_project_free(project);
  return rc;
}

static int run(const hl_args *a) {
  if (strcmp(a->positional[0], "explain") != 0)
    return hl_cmd_fail(HL_EXIT_MISUSE, "route has no “%s”; it is hubloop route explain ID", a->positional[0]);
  if (a->n < 2) return hl_cmd_fail(HL_EXIT_MISUSE, "route explain needs the id of a contact: hubloop route explain 151");
  return explain(a, a->positional[1], a->n > 2 ? a->positional[2] : ".");
}

const hl_command hl_cmd_route = {
    .name = "route", .operands = "explain ID [DIR]", .summary = "why a contact went to the owner it went to",
    .flags = flags, .min = 1, .max = 3, .run = run,
    .examples = "  hubloop route explain 151                       the project in this folder, running or not\n"
                "  hubloop route explain 151 my-automations --max 5\n"
                "  hubloop route explain 151 --admin 127.0.0.1:8481 --json\n",
};
