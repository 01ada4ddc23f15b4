#include "hubspot/resync.h"

#include <assert.h>

#include "base/mem.h"
#include "base/time.h"

enum {
  PAGE = 100,
  WINDOW = 10000,            /* results of a search that can be paged through (FACTS 3) */
  HISTORY = 50,              /* records of a batch that is read with history */
  BODY_MAX = 64 << 20,
  AGAIN_MS = 1000,
};

typedef struct telling {
  hl_resync *r;              /* NULL: gone */
} telling;

struct hl_resync {
  hl_resync_options o;
  size_t want;
  int64_t since;             /* of this window of the search */
  bool archived;             /* the search of this object type is over: what was deleted */
  char after[64];            /* "": its first page */
  size_t seen;               /* results of this window */
  bool last;                 /* page of the window */
  int64_t newest;            /* last modification of the last result */
  char *ids[PAGE];
  int64_t deleted_at[PAGE];  /* archived */
  size_t n_ids, next_id;
  hl_buf body;               /* events of this page */
  unsigned in_body;
  hl_api_op *asking;
  telling *telling;
  hl_timer timer;
  uint64_t records;
};

static void step(hl_resync *r);

static hl_resync_want *want_of(hl_resync *r) { return &r->o.wants[r->want]; }

static void on_timer(hl_timer *timer, void *arg) {
  (void)timer;
  step(arg);
}

/* Of each object type first what has changed, then what was deleted. */
static void begin(hl_resync *r, bool archived) {
  const hl_resync_want *w = want_of(r);
  r->archived = archived;
  r->since = r->o.since;
  r->after[0] = 0;
  r->seen = 0;
  r->newest = 0;
  r->last = archived ? !w->deletion : !w->creation && !w->properties;
}

static void later(hl_resync *r, int64_t ms) {
  r->timer.unref = true;
  hl_timer_start(r->o.loop, &r->timer, ms, on_timer, r);
}

static void drop_page(hl_resync *r) {
  for (size_t i = 0; i < r->n_ids; i++) hl_free(r->ids[i]);
  r->n_ids = r->next_id = 0;
}

hl_resync *hl_resync_start(const hl_resync_options *o) {
  hl_resync *r = HL_NEW(hl_resync);
  r->o = *o;
  if (o->n) begin(r, false);
  hl_buf_init(&r->body, BODY_MAX);
  later(r, 0);
  return r;
}

void hl_resync_free(hl_resync *r) {
  if (!r) return;
  if (r->asking) hl_api_cancel(r->asking);
  if (r->telling) r->telling->r = NULL;
  hl_timer_stop(r->o.loop, &r->timer);
  drop_page(r);
  for (size_t i = 0; i < r->o.n; i++) {
    for (char **p = r->o.wants[i].properties; p && *p; p++) hl_free(*p);
    hl_free(r->o.wants[i].properties);
  }
  hl_free(r->o.wants);
  hl_buf_deinit(&r->body);
  hl_free(r);
}

/* ---- events ---- */

static void add_event(hl_resync *r, const char *what, const char *id, int64_t at, cJSON *more) {
  const hl_resync_want *w = want_of(r);
  char type[80];
  snprintf(type, sizeof type, "%s.%s", hl_event_object(w->type_id), what);
  cJSON *e = more ? more : cJSON_CreateObject();
  cJSON_AddItemToObject(e, "portalId", hl_json_int64(r->o.portal));
  cJSON_AddStringToObject(e, "subscriptionType", type);
  cJSON_AddStringToObject(e, "objectTypeId", w->type_id);
  cJSON_AddStringToObject(e, "objectId", id);
  cJSON_AddItemToObject(e, "occurredAt", hl_json_int64(at));
  cJSON_AddBoolToObject(e, "resync", true);
  int rc = hl_buf_puts(&r->body, r->in_body ? "," : "[");
  if (!rc) rc = hl_json_print_to(e, &r->body);
  if (rc) hl_mem_ended();
  r->in_body++;
  cJSON_Delete(e);
}

static int64_t time_of(const cJSON *obj, const char *key) {
  int64_t ms = 0;
  const char *text = hl_json_str(obj, key, NULL);
  if (!text) return hl_json_int(obj, key, 0);
  if (hl_time_parse(hl_str_of(text), &ms, NULL) && hl_str_int64(hl_str_of(text), &ms)) ms = 0;
  return ms;
}

static void add_history(hl_resync *r, const cJSON *record) {
  const cJSON *history = hl_json_get(record, "propertiesWithHistory"), *property, *version;
  char id[40];
  if (!hl_json_id(record, "id", id, sizeof id)) return;
  cJSON_ArrayForEach(property, history) {
    /* The newest comes first; events are in the order of time. */
    for (int i = cJSON_GetArraySize(property); i-- > 0;) {
      version = cJSON_GetArrayItem(property, i);
      int64_t at = time_of(version, "timestamp");
      if (at < r->o.since) continue;
      cJSON *e = cJSON_CreateObject();
      cJSON_AddStringToObject(e, "propertyName", property->string);
      cJSON_AddStringToObject(e, "propertyValue", hl_json_str(version, "value", ""));
      const char *source = hl_json_str(version, "sourceType", NULL), *who = hl_json_str(version, "sourceId", NULL);
      if (source) cJSON_AddStringToObject(e, "changeSource", source);
      if (who) cJSON_AddStringToObject(e, "sourceId", who);
      add_event(r, "propertyChange", id, at, e);
    }
  }
}

/* ---- asking ---- */

static void finish(hl_resync *r, const char *error, bool again) {
  r->o.finished(r->o.arg, error, again, r->records); /* r may be gone */
}

/* POST with a body (taken over), else GET. */
static void call(hl_resync *r, const char *what, cJSON *body, const char *query, hl_api_cb cb) {
  char path[128], *text = body ? hl_json_print(body) : NULL;
  hl_error err;
  snprintf(path, sizeof path, "/crm/objects/{version}/%s%s%s", want_of(r)->type_id, *what ? "/" : "", what);
  hl_api_call c = {.kind = HL_API_RAW, .klass = HL_CLASS_NORMAL, .script = "hubloop", .no_batch = true, .method = body ? "POST" : "GET",
                   .path = path, .query = query, .body = hl_str_of(text)};
  int rc = hl_api_send(r->o.account, &c, cb, r, &r->asking, &err);
  hl_free(text);
  cJSON_Delete(body);
  if (rc) finish(r, err.text, false);
}

/* True: it was well, or was dealt with. */
static bool refused(hl_resync *r, const hl_api_result *result) {
  r->asking = NULL;
  if (!result->error) return false;
  if (strcmp(result->error->kind, "cancelled") == 0) return true;
  char why[600];
  snprintf(why, sizeof why, "%s", result->error->message);
  finish(r, why, result->error->retryable);
  return true;
}

static const char *modified_of(const char *type_id) { return strcmp(type_id, "0-1") == 0 ? "lastmodifieddate" : "hs_lastmodifieddate"; }

static void read_history(void *arg, const hl_api_result *result) {
  hl_resync *r = arg;
  const cJSON *one;
  if (refused(r, result)) return;
  cJSON_ArrayForEach(one, hl_json_get(result->json, "results")) add_history(r, one);
  step(r);
}

static void ask_history(hl_resync *r) {
  cJSON *body = cJSON_CreateObject(), *inputs = cJSON_AddArrayToObject(body, "inputs");
  cJSON *names = cJSON_AddArrayToObject(body, "propertiesWithHistory");
  cJSON_AddArrayToObject(body, "properties");
  for (char **p = want_of(r)->properties; *p; p++) cJSON_AddItemToArray(names, cJSON_CreateString(*p));
  for (size_t i = 0; i < HISTORY && r->next_id < r->n_ids; i++) {
    cJSON *input = cJSON_CreateObject();
    cJSON_AddStringToObject(input, "id", r->ids[r->next_id++]);
    cJSON_AddItemToArray(inputs, input);
  }
  call(r, "batch/read", body, NULL, read_history);
}

static void found(void *arg, const hl_api_result *result) {
  hl_resync *r = arg;
  const hl_resync_want *w = want_of(r);
  const cJSON *one;
  char id[40];
  if (refused(r, result)) return;
  drop_page(r);
  cJSON_ArrayForEach(one, hl_json_get(result->json, "results")) {
    int64_t created = time_of(one, "createdAt"), modified = time_of(hl_json_get(one, "properties"), modified_of(w->type_id));
    if (!hl_json_id(one, "id", id, sizeof id) || r->n_ids == PAGE) continue;
    if (modified > r->newest) r->newest = modified;
    if (w->creation && created >= r->o.since) add_event(r, "creation", id, created, NULL);
    r->ids[r->n_ids++] = hl_strdup(id);
  }
  r->records += r->n_ids;
  r->seen += r->n_ids;
  const char *after = hl_json_str(hl_json_get(hl_json_get(result->json, "paging"), "next"), "after", "");
  snprintf(r->after, sizeof r->after, "%s", after);
  r->last = !*after || r->seen + PAGE > WINDOW;
  if (r->last && *after) { /* a new window, which begins with what this one ended with */
    r->since = r->newest > r->since ? r->newest : r->since + 1;
    r->after[0] = 0;
    r->seen = 0;
    r->last = false;
  }
  if (!w->properties) r->next_id = r->n_ids;
  step(r);
}

static void ask_page(hl_resync *r) {
  const char *modified = modified_of(want_of(r)->type_id);
  char since[24];
  snprintf(since, sizeof since, "%lld", (long long)r->since);
  cJSON *body = cJSON_CreateObject(), *groups = cJSON_AddArrayToObject(body, "filterGroups"), *group = cJSON_CreateObject();
  cJSON *filters = cJSON_AddArrayToObject(group, "filters"), *filter = cJSON_CreateObject(), *sort = cJSON_CreateObject();
  cJSON_AddItemToArray(groups, group);
  cJSON_AddItemToArray(filters, filter);
  cJSON_AddStringToObject(filter, "propertyName", modified);
  cJSON_AddStringToObject(filter, "operator", "GTE");
  cJSON_AddStringToObject(filter, "value", since);
  cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "sorts"), sort);
  cJSON_AddStringToObject(sort, "propertyName", modified);
  cJSON_AddStringToObject(sort, "direction", "ASCENDING");
  cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "properties"), cJSON_CreateString(modified));
  cJSON_AddNumberToObject(body, "limit", PAGE);
  if (r->after[0]) cJSON_AddStringToObject(body, "after", r->after);
  call(r, "search", body, NULL, found);
}

/* ---- what was deleted ---- */

static void archived(void *arg, const hl_api_result *result) {
  hl_resync *r = arg;
  const cJSON *one;
  char id[40];
  if (refused(r, result)) return;
  drop_page(r);
  cJSON_ArrayForEach(one, hl_json_get(result->json, "results")) {
    int64_t at = time_of(one, "archivedAt");
    if (at < r->o.since || !hl_json_id(one, "id", id, sizeof id) || r->n_ids == PAGE) continue;
    r->deleted_at[r->n_ids] = at;
    r->ids[r->n_ids++] = hl_strdup(id);
  }
  r->records += r->n_ids;
  const char *after = hl_json_str(hl_json_get(hl_json_get(result->json, "paging"), "next"), "after", "");
  snprintf(r->after, sizeof r->after, "%s", after);
  r->last = !*after;
  step(r);
}

/* They are in no order of time. */
static void ask_archived(hl_resync *r) {
  hl_buf query;
  hl_buf_init(&query, 512);
  hl_buf_printf(&query, "archived=true&limit=%d%s", PAGE, r->after[0] ? "&after=" : "");
  hl_buf_urlencode(&query, hl_str_of(r->after));
  call(r, "", NULL, query.p, archived);
  hl_buf_deinit(&query);
}

/* The id of a merged record leads to the other; that of one that was restored, to itself. */
static void looked_for(void *arg, const hl_api_result *result) {
  hl_resync *r = arg;
  if (result->error && result->error->status == 404) {
    r->asking = NULL;
    add_event(r, "deletion", r->ids[r->next_id], r->deleted_at[r->next_id], NULL);
  } else if (refused(r, result)) {
    return;
  }
  r->next_id++;
  step(r);
}

static void ask_gone(hl_resync *r) {
  call(r, r->ids[r->next_id], NULL, NULL, looked_for);
}

/* ---- one after the other ---- */

static void delivered(void *arg, int code) {
  telling *t = arg;
  hl_resync *r = t->r;
  hl_free(t);
  if (!r) return;
  r->telling = NULL;
  if (code) {
    later(r, AGAIN_MS);
    return;
  }
  r->in_body = 0;
  hl_buf_clear(&r->body);
  step(r);
}

static void deliver(hl_resync *r) {
  size_t n = r->body.n;
  r->telling = HL_NEW(telling);
  r->telling->r = r;
  if (hl_buf_puts(&r->body, "]")) hl_mem_ended();
  r->o.deliver(r->o.arg, hl_buf_str(&r->body), delivered, r->telling);
  r->body.n = n; /* delivered again with more behind, if need be */
}

static void step(hl_resync *r) {
  assert(!r->asking && !r->telling);
  if (r->want == r->o.n) finish(r, NULL, false);
  else if (r->next_id < r->n_ids && r->archived) ask_gone(r);
  else if (r->next_id < r->n_ids) ask_history(r);
  else if (r->in_body) deliver(r);
  else if (!r->last && r->archived) ask_archived(r);
  else if (!r->last) ask_page(r);
  else {
    drop_page(r);
    if (r->archived) r->want++;
    if (r->want < r->o.n) begin(r, !r->archived);
    later(r, 0);
  }
}
