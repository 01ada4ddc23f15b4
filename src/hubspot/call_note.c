/* What the call log keeps of a call: gathered from the call and from the request
 * it travelled in, when it ends (call_log.h). */
#include "base/mem.h"
#include "hubspot/queue.h"

/* Of a call alone, as it is sent or would have been. */
static const char *const methods[] = {
    [HL_API_GET] = "GET", [HL_API_UPDATE] = "PATCH", [HL_API_CREATE] = "POST", [HL_API_UPSERT] = "POST", [HL_API_ARCHIVE] = "DELETE",
    [HL_API_ASSOCIATE] = "PUT", [HL_API_DISASSOCIATE] = "DELETE", [HL_API_ASSOCIATIONS] = "GET",
};

/* The value of the query's idProperty, which says that the path ends in a value of it. */
static const char *property_of(const char *query, char out[128]) {
  static const char key[] = "idProperty=";
  for (const char *p = query; p && *p;) {
    size_t n = strcspn(p, "&");
    if (n > sizeof key - 1 && strncmp(p, key, sizeof key - 1) == 0) {
      snprintf(out, 128, "%.*s", (int)(n - (sizeof key - 1)), p + sizeof key - 1);
      return out;
    }
    p += n;
    p += *p == '&';
  }
  return NULL;
}

void hl_call_note(const hl_api_op *op, int status, const cJSON *json, const hl_api_error *error) {
  static const char *const classes[HL_CLASSES] = {"live", "normal", "bulk"};
  hl_hubspot *h = op->account->hubspot;
  if (!h->calls) return;
  const hl_call *c = op->call;
  int64_t now = hl_loop_mono(h->loop), first = c && c->number ? c->first_sent : now;
  if (first < op->asked) first = op->asked; /* a read that joined one which was out */
  char own_path[256], by[128];
  hl_call_record r = {
      .script = op->script, .account = op->account->name, .klass = classes[op->klass], .id = op->id, .by = op->id_property,
      .raw = op->kind == HL_API_RAW, .status = status, .wait = first - op->asked, .total = now - op->asked,
  };
  if (c) {
    r.method = c->method;
    r.path = c->path;
    r.latency = c->answered - c->sent;
    r.attempts = c->attempts;
    r.limited = c->limited;
    r.request = c->number;
    r.batch = c->n_ops;
    r.single = c->inputs == 0 && op->kind != HL_API_CREATE; /* whose path ends in the type */
    r.correlation_id = c->correlation_id;
  } else {
    r.method = op->method ? op->method : methods[op->kind];
    r.path = op->path;
    if (op->type) {
      snprintf(own_path, sizeof own_path, "/crm/objects/%s/%s", op->account->version, op->type);
      r.path = own_path;
    }
  }
  if (r.raw && (r.by = property_of(op->query, by))) {
    r.id = strrchr(op->path, '/') + 1;
    r.single = true;
  }
  if (error) {
    r.kind = error->kind;
    r.category = error->category;
    r.message = error->reason ? error->reason : error->message;
    if (error->correlation_id) r.correlation_id = error->correlation_id;
  }
  char *answer = NULL;
  /* The journal's answers hold URLs that are credentials (SEMANTICS 40). */
  if (hl_call_log_bodies(h->calls) && strncmp(r.path ? r.path : "", "/webhooks-journal/", 18) != 0) {
    r.sent = (hl_str){op->body, op->body ? op->body_n ? op->body_n : strlen(op->body) : 0};
    answer = json ? hl_json_print(json) : NULL;
    r.answer = c && c->text.n ? c->text : hl_str_of(answer);
  }
  hl_call_log_add(h->calls, &r);
  hl_free(answer);
}
