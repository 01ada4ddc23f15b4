/* What each kind of call looks like alone and as a row of a batch (FACTS 4). One
 * table, hl_kinds, says it all; batch.c and match.c know no kind by name.
 *
 * Writes of objects carry objectWriteTraceId, the number of the input: the only
 * thing by which HubSpot names the rows of creates, and what lets one bad row fail
 * alone (207) where an untraced batch is refused whole. */
#include <assert.h>
#include <ctype.h>

#include "base/mem.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"

/* A longer query goes into the body of a batch/read of one. */
enum { QUERY_MAX = 4000, TEXT_MAX = 1 << 20, OBJECTS = 100, LINKS_READ = 1000, LINKS_MADE = 2000, LINKS_ENDED = 100 };

static const char *const kind_names[] = {
#define HL_X(name, text) [name] = text,
    HL_API_KINDS(HL_X)
#undef HL_X
};

bool hl_api_kind_of(const char *name, hl_api_kind *out) {
  for (size_t i = 0; i < HL_COUNT(kind_names); i++) {
    if (strcmp(kind_names[i], name) != 0) continue;
    *out = (hl_api_kind)i;
    return true;
  }
  return false;
}

void hl_must(int rc) {
  if (rc == HL_ENOMEM) hl_mem_ended();
}

const char *hl_api_kind_name(hl_api_kind kind) { return kind_names[kind]; }

uint64_t hl_hash(uint64_t h, const char *s) {
  h ^= UINT64_C(1469598103934665603);
  for (; s && *s; s++) h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
  return h * UINT64_C(1099511628211);
}

static const hl_api_op *first_op(const hl_call *c) { return HL_LINKED(c->ops.next, const hl_api_op, link); }

static void quote(hl_buf *b, const char *s) {
  size_t n = 0;
  while ((unsigned char)s[n] >= ' ' && s[n] != '"' && s[n] != '\\' && s[n] != 0x7f) n++;
  if (!s[n]) { /* nearly always */
    hl_must(hl_buf_append(b, "\"", 1));
    hl_must(hl_buf_append(b, s, n));
    hl_must(hl_buf_append(b, "\"", 1));
    return;
  }
  cJSON *item = cJSON_CreateStringReference(s);
  hl_json_print_to(item, b);
  cJSON_Delete(item);
}

static void member(hl_buf *b, const char *name, const char *value) {
  hl_must(hl_buf_printf(b, "\"%s\":", name));
  quote(b, value);
}

static void put_lower(hl_buf *b, const char *s) {
  for (; *s; s++) {
    char c = (char)tolower((unsigned char)*s);
    hl_must(hl_buf_append(b, &c, 1));
  }
}

/* ---- arguments ---- */

static int check_word(const char *what, const char *s, hl_error *err) {
  if (!s || !*s) return hl_fail(err, HL_EINVAL, "the %s is missing", what);
  if (strlen(s) > 512) return hl_fail(err, HL_ELIMIT, "the %s is longer than 512 bytes", what);
  if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0) return hl_fail(err, HL_EINVAL, "\"%s\" is no %s", s, what);
  return 0;
}

static int fill_raw(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  enum { PATH_MAX_BYTES = 8192 };
  static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", NULL};
  int rc = check_word("method", call->method, err);
  size_t i = 0;
  while (!rc && methods[i] && strcmp(methods[i], call->method) != 0) i++;
  if (rc) return rc;
  if (!methods[i]) return hl_fail(err, HL_EINVAL, "unknown method %s: one of GET POST PUT PATCH DELETE HEAD", call->method);
  for (const char *p = call->query ? call->query : ""; *p; p++)
    if ((unsigned char)*p <= ' ' || *p == '#' || *p == 0x7f)
      return hl_fail(err, HL_EINVAL, "the query holds a character that must be percent-encoded");
  hl_buf path;
  hl_buf_init(&path, PATH_MAX_BYTES);
  rc = hl_path_build(hl_str_of(call->path), op->account->version, &path, err);
  if (rc) {
    hl_buf_deinit(&path);
    return rc;
  }
  op->path = hl_buf_detach(&path, NULL);
  op->method = hl_strdup(call->method);
  op->query = hl_strdup(call->query);
  op->content_type = hl_strdup(call->content_type);
  op->body_n = call->body.n;
  if (call->body.n) op->body = hl_strndup(call->body.p, call->body.n);
  op->stream = hl_stream_kind_of(op->method, hl_str_of(op->path));
  return 0;
}

static int fill_object(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  int rc = check_word("object type", call->type, err);
  if (!rc) rc = check_word("id", call->id, err);
  if (!rc && call->id_property && *call->id_property) rc = check_word("name of the unique property", call->id_property, err);
  if (rc) return rc;
  op->type = hl_strdup(call->type);
  op->id = hl_strdup(call->id);
  if (!call->id_property || !*call->id_property) {
    op->row = hl_strdup(call->id);
    return 0;
  }
  op->id_property = hl_strdup(call->id_property);
  hl_buf row; /* HubSpot takes unique values without regard to case */
  hl_buf_init(&row, 1024);
  put_lower(&row, op->id);
  op->row = hl_buf_detach(&row, NULL);
  return 0;
}

static void set_body(hl_api_op *op, const cJSON *json) {
  op->body = hl_json_print(json);
  op->body_n = strlen(op->body);
}

/* The parsed body with its "properties", which is an object. */
static int parse_properties(const hl_api_call *call, cJSON **body, hl_error *err) {
  int rc = hl_json_parse(call->body, body, err);
  if (rc) return hl_fail_in(err, "the body of a write");
  if (cJSON_IsObject(hl_json_get(*body, "properties"))) return 0;
  cJSON_Delete(*body);
  return hl_fail(err, HL_EINVAL, "the body of a write must be {\"properties\": {…}}");
}

static int fill_get(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  int rc = fill_object(op, call, err);
  if (rc) return rc;
  op->variant = !call->properties || !call->properties[0];
  /* A read by another property finds its row by that property, which HubSpot's
   * default set need not hold. */
  if (op->variant && op->id_property) op->alone = true;
  if (op->variant) return 0;
  size_t n = 0;
  while (call->properties[n]) n++;
  op->properties = hl_alloc((n + 1) * sizeof *op->properties);
  for (size_t i = 0; i < n; i++) op->properties[i] = hl_strdup(call->properties[i]);
  return 0;
}

static int fill_update(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  cJSON *body = NULL;
  int rc = fill_object(op, call, err);
  if (!rc) rc = parse_properties(call, &body, err);
  if (rc) return rc;
  set_body(op, hl_json_get(body, "properties"));
  cJSON_Delete(body);
  return 0;
}

static int fill_upsert(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  if (!call->id_property || !*call->id_property)
    return hl_fail(err, HL_EINVAL, "an upsert needs the name of the unique property (id_property)");
  return fill_update(op, call, err);
}

static int fill_archive(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  if (call->id_property && *call->id_property)
    return hl_fail(err, HL_EINVAL, "HubSpot archives by record id only: read the record by %s first", call->id_property);
  return fill_object(op, call, err);
}

static int fill_create(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  cJSON *body = NULL;
  bool asked = call->id_property && *call->id_property;
  int rc = check_word("object type", call->type, err);
  if (!rc && call->id) rc = hl_fail(err, HL_EINVAL, "a create has no id: HubSpot gives it");
  if (!rc && asked) rc = check_word("name of the unique property", call->id_property, err);
  if (!rc) rc = parse_properties(call, &body, err);
  if (rc) return rc;
  op->type = hl_strdup(call->type);
  const char *unique = asked ? call->id_property : strcmp(hl_path_type_id(op->type), "0-1") == 0 ? "email" : NULL;
  const char *value = unique ? hl_json_str(hl_json_get(body, "properties"), unique, "") : "";
  if (strlen(value) > 512) value = "";
  cJSON *links = cJSON_GetObjectItemCaseSensitive(body, "associations");
  if (asked && !*value) {
    rc = hl_fail(err, HL_EINVAL, "the properties of the create hold no value of \"%s\", its unique property", unique);
  } else if (links && !cJSON_IsArray(links)) {
    rc = hl_fail(err, HL_EINVAL, "the associations of a create must be a list");
  } else {
    if (!links) cJSON_AddArrayToObject(body, "associations"); /* HubSpot's schema requires it */
    set_body(op, body);
    if (*value) {
      op->id_property = hl_strdup(unique);
      op->id = hl_strdup(value);
    }
  }
  cJSON_Delete(body);
  return rc;
}

static int fill_pair(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  int rc = check_word("object type", call->type, err);
  if (!rc) rc = check_word("id", call->id, err);
  if (!rc) rc = check_word("other object type", call->to_type, err);
  if (!rc) rc = check_word("other id", call->to_id, err);
  cJSON *types = NULL;
  if (!rc && call->body.n) rc = hl_json_parse(call->body, &types, err);
  if (rc) return rc;
  if (types && !cJSON_IsArray(types) && !cJSON_IsNull(types) && types->child) {
    cJSON_Delete(types);
    return hl_fail(err, HL_EINVAL, "the types of an association must be a list "
                   "[{\"associationCategory\": …, \"associationTypeId\": …}]");
  }
  op->variant = types && types->child;
  if (op->variant) set_body(op, types);
  cJSON_Delete(types);
  op->type = hl_strdup(call->type);
  op->id = hl_strdup(call->id);
  op->to_type = hl_strdup(call->to_type);
  op->to_id = hl_strdup(call->to_id);
  hl_buf row;
  hl_buf_init(&row, 2048);
  hl_must(hl_buf_printf(&row, "%s>%s", op->id, op->to_id));
  op->row = hl_buf_detach(&row, NULL);
  return 0;
}

static int fill_links(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  int rc = check_word("other object type", call->to_type, err);
  if (!rc && call->after && *call->after) rc = check_word("cursor", call->after, err);
  if (!rc) rc = fill_archive(op, call, err); /* by record id only, as an archive */
  if (rc) return rc;
  op->to_type = hl_strdup(call->to_type);
  op->after = call->after && *call->after ? hl_strdup(call->after) : NULL;
  return 0;
}

/* ---- alone ---- */

/* The distinct names that all members ask for, in order of appearance. */
typedef struct names {
  const char **v;
  size_t n, cap;
} names;

static void add_name(names *u, const char *name) {
  for (size_t i = 0; i < u->n; i++)
    if (strcmp(u->v[i], name) == 0) return;
  if (u->n == u->cap) {
    u->cap = u->cap * 2 + 16;
    u->v = hl_realloc(u->v, u->cap * sizeof *u->v);
  }
  u->v[u->n++] = name;
}

static names united(const hl_call *c) {
  names u = {0};
  const hl_api_op *before = NULL;
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    bool same = before && before->properties; /* many calls of one line of a script ask alike */
    for (size_t i = 0; same && (op->properties[i] || before->properties[i]); i++)
      same = op->properties[i] && before->properties[i] && strcmp(op->properties[i], before->properties[i]) == 0;
    before = op;
    for (char **p = op->properties; !same && p && *p; p++) add_name(&u, *p);
  }
  return u;
}

static void segments(hl_buf *b, const char *a, const char *c) {
  hl_must(hl_buf_puts(b, "/"));
  hl_must(hl_buf_urlencode(b, hl_str_of(a)));
  if (!c) return;
  hl_must(hl_buf_puts(b, "/"));
  hl_must(hl_buf_urlencode(b, hl_str_of(c)));
}

static void set_path(hl_call *c, hl_buf *path) {
  hl_free(c->path);
  c->path = hl_buf_detach(path, NULL);
}

static void object_path(hl_call *c, const hl_api_op *op, bool with_id) {
  hl_buf path;
  hl_buf_init(&path, TEXT_MAX);
  hl_must(hl_buf_puts(&path, "/crm/objects/"));
  hl_must(hl_buf_puts(&path, op->account->version));
  segments(&path, op->type, with_id ? op->id : NULL);
  set_path(c, &path);
}

static int single_get(hl_call *c) {
  const hl_api_op *op = first_op(c);
  names u = united(c);
  hl_buf q;
  hl_buf_init(&q, QUERY_MAX);
  int rc = 0;
  for (size_t i = 0; i < u.n && !rc; i++) {
    rc = hl_buf_puts(&q, i ? "," : "properties=");
    if (!rc) rc = hl_buf_urlencode(&q, hl_str_of(u.v[i]));
  }
  if (!rc && op->id_property) {
    rc = hl_buf_puts(&q, u.n ? "&idProperty=" : "idProperty=");
    if (!rc) rc = hl_buf_urlencode(&q, hl_str_of(op->id_property));
  }
  if (!rc) {
    object_path(c, op, true);
    c->method = "GET";
    if (q.n) c->query = hl_buf_detach(&q, NULL);
  }
  hl_buf_deinit(&q);
  hl_free(u.v);
  return rc;
}

static int single_update(hl_call *c) {
  const hl_api_op *op = first_op(c);
  object_path(c, op, true);
  c->method = "PATCH";
  hl_must(hl_buf_puts(&c->body, "{\"properties\":"));
  hl_must(hl_buf_append(&c->body, op->body, op->body_n));
  hl_must(hl_buf_puts(&c->body, "}"));
  if (!op->id_property) return 0;
  hl_buf q;
  hl_buf_init(&q, QUERY_MAX);
  hl_must(hl_buf_puts(&q, "idProperty="));
  hl_must(hl_buf_urlencode(&q, hl_str_of(op->id_property)));
  c->query = hl_buf_detach(&q, NULL);
  return 0;
}

static int single_create(hl_call *c) {
  const hl_api_op *op = first_op(c);
  object_path(c, op, false);
  c->method = "POST";
  hl_must(hl_buf_append(&c->body, op->body, op->body_n));
  return 0;
}

static int single_archive(hl_call *c) {
  object_path(c, first_op(c), true);
  c->method = "DELETE";
  return 0;
}

static void pair_path(hl_call *c, const hl_api_op *op, const char *how) {
  hl_buf path;
  hl_buf_init(&path, TEXT_MAX);
  hl_must(hl_buf_printf(&path, "/crm/objects/%s", op->account->version));
  segments(&path, op->type, op->id);
  hl_must(hl_buf_printf(&path, "/associations%s", how));
  segments(&path, op->to_type, op->to_id);
  set_path(c, &path);
}

static int single_associate(hl_call *c) {
  const hl_api_op *op = first_op(c);
  pair_path(c, op, op->variant ? "" : "/default");
  c->method = "PUT";
  if (op->variant) hl_must(hl_buf_append(&c->body, op->body, op->body_n));
  return 0;
}

static int single_disassociate(hl_call *c) {
  if (first_op(c)->variant) return HL_ELIMIT; /* single labels end in the batch form only */
  pair_path(c, first_op(c), "");
  c->method = "DELETE";
  return 0;
}

static int single_raw(hl_call *c) {
  const hl_api_op *op = first_op(c);
  c->method = c->method_own = hl_strdup(op->method);
  c->path = hl_strdup(op->path);
  c->query = hl_strdup(op->query);
  c->content_type = hl_strdup(op->content_type);
  c->safe = hl_path_is_safe(c->method, hl_str_of(c->path));
  if (op->body_n) hl_must(hl_buf_append(&c->body, op->body, op->body_n));
  return 0;
}

/* ---- in a batch ---- */

static void objects_batch(const hl_call *c, hl_buf *path, const char *what) {
  const hl_api_op *op = first_op(c);
  hl_must(hl_buf_printf(path, "/crm/objects/%s", op->account->version));
  segments(path, op->type, NULL);
  hl_must(hl_buf_printf(path, "/batch/%s", what));
}

static void batch_update(const hl_call *c, hl_buf *path, hl_buf *head) { (void)head, objects_batch(c, path, "update"); }
static void batch_create(const hl_call *c, hl_buf *path, hl_buf *head) { (void)head, objects_batch(c, path, "create"); }
static void batch_upsert(const hl_call *c, hl_buf *path, hl_buf *head) { (void)head, objects_batch(c, path, "upsert"); }
static void batch_archive(const hl_call *c, hl_buf *path, hl_buf *head) { (void)head, objects_batch(c, path, "archive"); }

static void batch_get(const hl_call *c, hl_buf *path, hl_buf *head) {
  const hl_api_op *one = first_op(c);
  names u = united(c);
  objects_batch(c, path, "read");
  if (one->id_property) add_name(&u, one->id_property); /* its rows are found by it */
  hl_must(hl_buf_puts(head, "\"properties\":["));
  for (size_t i = 0; i < u.n; i++) {
    if (i) hl_must(hl_buf_puts(head, ","));
    quote(head, u.v[i]);
  }
  hl_must(hl_buf_puts(head, "],\"propertiesWithHistory\":[],"));
  if (one->id_property) {
    member(head, "idProperty", one->id_property);
    hl_must(hl_buf_puts(head, ","));
  }
  hl_free(u.v);
}

static void links_batch(const hl_call *c, hl_buf *path, const char *what) {
  const hl_api_op *op = first_op(c);
  hl_must(hl_buf_printf(path, "/crm/associations/%s", op->account->version));
  segments(path, op->type, op->to_type);
  hl_must(hl_buf_printf(path, "/batch/%s", what));
}

static void batch_associate(const hl_call *c, hl_buf *path, hl_buf *head) {
  (void)head;
  links_batch(c, path, first_op(c)->variant ? "create" : "associate/default");
}
static void batch_disassociate(const hl_call *c, hl_buf *path, hl_buf *head) {
  (void)head;
  links_batch(c, path, first_op(c)->variant ? "labels/archive" : "archive");
}
static void batch_links(const hl_call *c, hl_buf *path, hl_buf *head) { (void)head, links_batch(c, path, "read"); }

static void input_id(const hl_api_op *op, hl_buf *b) {
  hl_must(hl_buf_puts(b, "{"));
  member(b, "id", op->id);
  if (op->after) {
    hl_must(hl_buf_puts(b, ","));
    member(b, "after", op->after);
  }
  hl_must(hl_buf_puts(b, "}"));
}

static void input_write(const hl_api_op *op, hl_buf *b) {
  hl_must(hl_buf_puts(b, "{"));
  member(b, "id", op->id);
  if (op->id_property) {
    hl_must(hl_buf_puts(b, ","));
    member(b, "idProperty", op->id_property);
  }
  hl_must(hl_buf_printf(b, ",\"objectWriteTraceId\":\"%zu\",\"properties\":", op->input));
  hl_must(hl_buf_append(b, op->body, op->body_n));
  hl_must(hl_buf_puts(b, "}"));
}

static void input_create(const hl_api_op *op, hl_buf *b) {
  assert(op->body[0] == '{' && op->body_n > 2); /* it holds "properties" */
  hl_must(hl_buf_printf(b, "{\"objectWriteTraceId\":\"%zu\",", op->input));
  hl_must(hl_buf_append(b, op->body + 1, op->body_n - 1));
}

static void put_pair(const hl_api_op *op, hl_buf *b, bool list) {
  hl_must(hl_buf_puts(b, "{\"from\":{"));
  member(b, "id", op->id);
  hl_must(hl_buf_puts(b, list ? "},\"to\":[{" : "},\"to\":{"));
  member(b, "id", op->to_id);
  hl_must(hl_buf_puts(b, list ? "}]" : "}"));
  if (op->variant) {
    hl_must(hl_buf_puts(b, ",\"types\":"));
    hl_must(hl_buf_append(b, op->body, op->body_n));
  }
  hl_must(hl_buf_puts(b, "}"));
}
static void input_associate(const hl_api_op *op, hl_buf *b) { put_pair(op, b, false); }
static void input_disassociate(const hl_api_op *op, hl_buf *b) { put_pair(op, b, !op->variant); }

/* ---- rows of answers ---- */

static bool put_id(const cJSON *object, const char *key, hl_buf *row) {
  char id[600];
  return hl_json_id(object, key, id, sizeof id) && hl_buf_puts(row, id) == 0;
}

static bool row_by_id(const hl_api_op *any, const cJSON *result, hl_buf *row) {
  if (!any->id_property) return put_id(result, "id", row);
  const char *value = hl_json_str(hl_json_get(result, "properties"), any->id_property, NULL);
  if (value) put_lower(row, value);
  return value;
}

static bool row_of_pair(const hl_api_op *any, const cJSON *result, hl_buf *row) {
  if (any->variant) return put_id(result, "fromObjectId", row) && !hl_buf_puts(row, ">") && put_id(result, "toObjectId", row);
  return put_id(hl_json_get(result, "from"), "id", row) && !hl_buf_puts(row, ">") &&
         put_id(hl_json_get(result, "to"), "id", row);
}

static bool row_of_links(const hl_api_op *any, const cJSON *result, hl_buf *row) {
  (void)any;
  return put_id(hl_json_get(result, "from"), "id", row);
}

/* The at-th text of context[key], which may be one text or a list. */
static const char *text_at(const cJSON *context, const char *key, size_t at) {
  const cJSON *v = hl_json_get(context, key);
  if (cJSON_IsString(v)) return at == 0 ? v->valuestring : NULL;
  const cJSON *item = cJSON_IsArray(v) && at < 100000 ? cJSON_GetArrayItem(v, (int)at) : NULL;
  return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool error_by_id(const hl_api_op *any, const cJSON *context, size_t at, hl_buf *row) {
  static const char *const keys[] = {"ids", "id", "fromObjectId"};
  for (size_t i = 0; i < HL_COUNT(keys); i++) {
    const char *id = text_at(context, keys[i], at);
    if (!id) continue;
    if (any->id_property) put_lower(row, id);
    else hl_must(hl_buf_puts(row, id));
    return true;
  }
  return false;
}

static bool error_of_pair(const hl_api_op *any, const cJSON *context, size_t at, hl_buf *row) {
  (void)any;
  const char *from = text_at(context, "fromObjectId", at), *to = text_at(context, "toObjectId", at);
  if (!from || !to) return false;
  hl_must(hl_buf_printf(row, "%s>%s", from, to));
  return true;
}

/* ---- the table ---- */

const hl_kind hl_kinds[] = {
    [HL_API_RAW] = {.fill = fill_raw, .single = single_raw},
    [HL_API_GET] = {.most = OBJECTS, .read = true, .safe = true, .fill = fill_get, .single = single_get, .batch = batch_get,
                    .input = input_id, .result_row = row_by_id, .error_row = error_by_id},
    [HL_API_UPDATE] = {.most = OBJECTS, .safe = true, .fill = fill_update, .single = single_update, .batch = batch_update,
                       .input = input_write, .result_row = row_by_id, .error_row = error_by_id},
    [HL_API_CREATE] = {.most = OBJECTS, .fill = fill_create, .single = single_create, .batch = batch_create,
                       .input = input_create},
    [HL_API_UPSERT] = {.most = OBJECTS, .safe = true, .fill = fill_upsert, .batch = batch_upsert, .input = input_write,
                       .result_row = row_by_id, .error_row = error_by_id},
    [HL_API_ARCHIVE] = {.most = OBJECTS, .safe = true, .silent = true, .bodiless = true, .fill = fill_archive,
                        .single = single_archive, .batch = batch_archive, .input = input_id, .error_row = error_by_id},
    [HL_API_ASSOCIATE] = {.most = LINKS_MADE, .safe = true, .fill = fill_pair, .single = single_associate,
                          .batch = batch_associate, .input = input_associate, .result_row = row_of_pair,
                          .error_row = error_of_pair},
    [HL_API_DISASSOCIATE] = {.most = LINKS_ENDED, .safe = true, .silent = true, .bodiless = true, .fill = fill_pair,
                             .single = single_disassociate, .batch = batch_disassociate, .input = input_disassociate,
                             .error_row = error_of_pair},
    [HL_API_ASSOCIATIONS] = {.most = LINKS_READ, .read = true, .safe = true, .fill = fill_links, .batch = batch_links,
                             .input = input_id, .result_row = row_of_links, .error_row = error_by_id},
};

int hl_kind_fill(hl_api_op *op, const hl_api_call *call, hl_error *err) {
  if ((size_t)call->kind >= HL_COUNT(hl_kinds)) return hl_fail(err, HL_EINVAL, "there is no such kind of call");
  return hl_kinds[call->kind].fill(op, call, err);
}

void hl_kind_encode(hl_call *c, size_t n) {
  const hl_kind *kind = &hl_kinds[first_op(c)->kind];
  c->kind = first_op(c)->kind;
  c->safe = kind->safe;
  c->inputs = 0;
  if (n == 1 && kind->single && kind->single(c) == 0) return;
  hl_buf path;
  hl_buf_init(&path, TEXT_MAX);
  c->method = "POST";
  c->inputs = n;
  hl_must(hl_buf_puts(&c->body, "{"));
  kind->batch(c, &path, &c->body);
  hl_must(hl_buf_puts(&c->body, "\"inputs\":["));
  size_t next = 0;
  for (hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    if (op->input != next) continue; /* one that shares an earlier input */
    if (next++) hl_must(hl_buf_puts(&c->body, ","));
    kind->input(op, &c->body);
  }
  assert(next == n);
  hl_must(hl_buf_puts(&c->body, "]}"));
  set_path(c, &path);
}
