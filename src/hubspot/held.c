#include "hubspot/held.h"

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/queue.h"

static bool ends_with(const char *s, const char *tail) {
  size_t n = strlen(s), m = strlen(tail);
  return n > m && strcmp(s + n - m, tail) == 0;
}

bool hl_api_changes(hl_api_kind kind, const char *method, const char *path) {
  static const char *const reads[] = {"/search", "/batch/read", "/batch/get", "/read", "/query", "/idmapping"};
  if (kind != HL_API_RAW) return !hl_kinds[kind].read;
  if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) return false;
  for (size_t i = 0; i < HL_COUNT(reads) && strcmp(method, "POST") == 0; i++)
    if (ends_with(path, reads[i])) return false;
  return true;
}

/* HubSpot gives every value as text. */
static cJSON *as_text(const cJSON *value) {
  int64_t i;
  char text[32];
  if (hl_json_is_int64(value, &i)) {
    snprintf(text, sizeof text, "%lld", (long long)i);
    return cJSON_CreateString(text);
  }
  if (cJSON_IsBool(value)) return cJSON_CreateString(cJSON_IsTrue(value) ? "true" : "false");
  if (!cJSON_IsNumber(value)) return cJSON_Duplicate(value, true);
  char *number = hl_json_print(value);
  cJSON *s = cJSON_CreateString(number);
  hl_free(number);
  return s;
}

static cJSON *record_of(const char *id, const cJSON *properties, int64_t now, bool made) {
  cJSON *r = cJSON_CreateObject(), *p;
  char iso[25];
  hl_time_iso(now, iso);
  cJSON_AddStringToObject(r, "id", id);
  p = cJSON_AddObjectToObject(r, "properties");
  for (const cJSON *v = properties ? properties->child : NULL; v; v = v->next) cJSON_AddItemToObject(p, v->string, as_text(v));
  if (made) cJSON_AddStringToObject(r, "createdAt", iso);
  cJSON_AddStringToObject(r, "updatedAt", iso);
  cJSON_AddFalseToObject(r, "archived");
  return r;
}

static cJSON *batch_of(const cJSON *body, const char *id, int64_t now, bool made) {
  cJSON *answer = cJSON_CreateObject(), *results;
  int n = 0;
  cJSON_AddStringToObject(answer, "status", "COMPLETE");
  results = cJSON_AddArrayToObject(answer, "results");
  const cJSON *inputs = hl_json_get(body, "inputs");
  for (const cJSON *in = inputs ? inputs->child : NULL; in; in = in->next) {
    char own[128], given[64];
    snprintf(own, sizeof own, "%s.%d", id, ++n);
    bool named = !made && !hl_json_get(in, "idProperty") && hl_json_id(in, "id", given, sizeof given);
    cJSON_AddItemToArray(results, record_of(named ? given : own, hl_json_get(in, "properties"), now, made));
  }
  return answer;
}

static cJSON *raw_answer(const hl_api_op *op, const char *id, int64_t now, int *status) {
  bool post = strcmp(op->method, "POST") == 0, creates = ends_with(op->path, "/batch/create");
  cJSON *body = NULL;
  *status = post ? 201 : 200;
  if (strcmp(op->method, "DELETE") == 0 || ends_with(op->path, "/batch/archive")) {
    *status = 204;
    return NULL;
  }
  if (hl_json_parse((hl_str){op->body ? op->body : "", op->body_n}, &body, NULL) || !cJSON_IsObject(body)) {
    cJSON_Delete(body);
    *status = 204;
    return NULL;
  }
  if (creates || ends_with(op->path, "/batch/update") || ends_with(op->path, "/batch/upsert")) {
    cJSON *batch = batch_of(body, id, now, creates);
    if (!creates) *status = 200;
    cJSON_Delete(body);
    return batch;
  }
  char given[64];
  const char *own = hl_json_id(body, "primaryObjectId", given, sizeof given) ? given : id; /* a merge */
  if (post && !hl_json_get(body, "id")) cJSON_AddStringToObject(body, "id", own);
  return body;
}

cJSON *hl_held_answer(const hl_api_op *op, const char *id, int64_t now, int *status) {
  cJSON *body = NULL, *answer = NULL;
  *status = 204;
  switch (op->kind) {
    case HL_API_CREATE:
    case HL_API_UPDATE:
    case HL_API_UPSERT:
      if (hl_json_parse((hl_str){op->body, op->body_n}, &body, NULL)) break;
      *status = op->kind == HL_API_CREATE ? 201 : 200;
      if (op->kind == HL_API_CREATE) answer = record_of(id, hl_json_get(body, "properties"), now, true);
      else answer = record_of(op->id_property ? id : op->id, body, now, false);
      break;
    case HL_API_RAW: answer = raw_answer(op, id, now, status); break;
    default: break;
  }
  cJSON_Delete(body);
  return answer;
}
