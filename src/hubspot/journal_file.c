#include "hubspot/journal_file.h"

#include <strings.h>

#include "base/mem.h"
#include "base/time.h"

/* An entry is repeated for each of its properties, so the sum has a bound of its own. */
enum { BODY_EVENTS = 500, BODY_BYTES = 512 << 10, MAX_BODY = 64 << 20, MAX_SUM = 128 << 20 };

static const struct { const char *name, *id; } objects[] = {
    {"contact", "0-1"}, {"company", "0-2"}, {"deal", "0-3"}, {"ticket", "0-5"}, {"product", "0-7"}, {"line_item", "0-8"},
};

/* What HubSpot's actions are called in push; NULL: names of ours. */
static const struct { const char *action, *event; } actions[] = {
    {"CREATE", "creation"}, {"UPDATE", "propertyChange"}, {"DELETE", "deletion"}, {"MERGE", "merge"}, {"RESTORE", "restore"},
    {"SNAPSHOT", "snapshot"}, {"GDPR_DELETE", "privacyDeletion"}, {"ASSOCIATION_ADDED", "associationChange"},
    {"ASSOCIATION_REMOVED", "associationChange"},
}, others[] = {
    {"ADDED_TO_LIST", "list.added"}, {"REMOVED_FROM_LIST", "list.removed"}, {"APP_INSTALL", "app.install"},
    {"APP_UNINSTALL", "app.uninstall"},
};

const char *hl_event_object(const char *type_id) {
  for (size_t i = 0; i < HL_COUNT(objects); i++)
    if (type_id && strcmp(objects[i].id, type_id) == 0) return objects[i].name;
  return "object";
}

const char *hl_event_object_id(hl_str name) {
  for (size_t i = 0; i < HL_COUNT(objects); i++)
    if (hl_str_eqz(name, objects[i].name)) return objects[i].id;
  return NULL;
}

/* ---- bodies ---- */

/* The body that takes the portal's next event; one that is full is closed. */
static hl_journal_body *body_of(hl_journal_file *f, int64_t portal) {
  for (size_t i = f->n; i-- > 0;) {
    hl_journal_body *b = &f->v[i];
    if (b->portal != portal) continue;
    if (b->n < BODY_EVENTS && b->json.n < BODY_BYTES) return b;
    break;
  }
  f->v = hl_realloc(f->v, (f->n + 1) * sizeof *f->v);
  hl_journal_body *b = &f->v[f->n++];
  *b = (hl_journal_body){.portal = portal};
  hl_buf_init(&b->json, MAX_BODY);
  return b;
}

static int add(hl_journal_file *f, int64_t portal, const cJSON *event) {
  hl_journal_body *b = body_of(f, portal);
  size_t before = b->json.n;
  int rc = hl_buf_puts(&b->json, b->n ? "," : "[");
  if (!rc) rc = hl_json_print_to(event, &b->json);
  b->n++;
  f->bytes += b->json.n - before;
  return !rc && f->bytes > MAX_SUM ? HL_ELIMIT : rc;
}

/* ---- events ---- */

static bool is_action(const char *a, const char *b) { return strcasecmp(a, b) == 0; }

/* Epoch ms of an ISO time or a number; 0: neither. */
static int64_t time_of(const cJSON *item) {
  int64_t ms = 0;
  if (cJSON_IsString(item)) {
    if (hl_time_parse(hl_str_of(item->valuestring), &ms, NULL) && hl_str_int64(hl_str_of(item->valuestring), &ms)) ms = 0;
  } else if (item && !hl_json_is_int64(item, &ms)) {
    ms = 0;
  }
  return ms;
}

static void set(cJSON *event, const char *key, cJSON *value) {
  cJSON_DeleteItemFromObjectCaseSensitive(event, key);
  cJSON_AddItemToObject(event, key, value);
}

/* Portal, app and the like stay numbers, as push has them. */
static void ids_as_texts(cJSON *event) {
  static const char *const keys[] = {"objectId", "fromObjectId", "toObjectId", "primaryObjectId", "newObjectId", "listId"};
  char id[40];
  for (size_t i = 0; i < HL_COUNT(keys); i++)
    if (hl_json_id(event, keys[i], id, sizeof id)) set(event, keys[i], cJSON_CreateString(id));
}

/* "CONTACT_TO_COMPANY", as push names a pair of types. */
static void name_association(cJSON *event, const char *action) {
  const char *from = hl_event_object(hl_json_str(event, "fromObjectTypeId", NULL));
  const char *to = hl_event_object(hl_json_str(event, "toObjectTypeId", NULL));
  char name[64];
  if (strcmp(from, "object") != 0 && strcmp(to, "object") != 0) {
    int n = snprintf(name, sizeof name, "%s_TO_%s", from, to);
    for (int i = 0; i < n; i++)
      if (name[i] >= 'a' && name[i] <= 'z') name[i] = (char)(name[i] - 32);
    set(event, "associationType", cJSON_CreateString(name));
  }
  set(event, "associationRemoved", cJSON_CreateBool(is_action(action, "ASSOCIATION_REMOVED")));
  cJSON *primary = cJSON_DetachItemFromObjectCaseSensitive(event, "isPrimary");
  if (primary) set(event, "isPrimaryAssociation", primary);
}

/* HubSpot documents a property's change as its value; an object that holds it is taken, too. */
static cJSON *value_of(const cJSON *change) {
  const cJSON *v = change;
  if (cJSON_IsObject(v)) {
    const cJSON *inner = hl_json_get(v, "value");
    v = inner ? inner : hl_json_get(v, "newValue");
  }
  if (!v || cJSON_IsNull(v)) return cJSON_CreateString("");
  if (cJSON_IsString(v)) return cJSON_Duplicate(v, true);
  char *text = hl_json_print(v);
  cJSON *out = cJSON_CreateString(text);
  hl_free(text);
  return out;
}

typedef struct told { /* what an entry is about */
  int64_t portal;
  const char *object;  /* "contact", "object" */
  bool generic;        /* under "object." as well */
} told;

static int add_as(hl_journal_file *f, const told *t, cJSON *event, const char *what) {
  char type[80];
  snprintf(type, sizeof type, "%s.%s", t->object, what);
  set(event, "subscriptionType", cJSON_CreateString(type));
  int rc = add(f, t->portal, event);
  if (rc || !t->generic) return rc;
  snprintf(type, sizeof type, "object.%s", what);
  set(event, "subscriptionType", cJSON_CreateString(type));
  return add(f, t->portal, event);
}

/* One event for each property; `alone`: also when there is none. */
static int add_changes(hl_journal_file *f, const told *t, cJSON *event, const cJSON *changes, bool alone) {
  int rc = 0;
  if (!changes || !changes->child) return alone ? add_as(f, t, event, "propertyChange") : 0;
  for (const cJSON *c = changes->child; c && !rc; c = c->next) {
    const char *name = c->string ? c->string : hl_json_str(c, "propertyName", hl_json_str(c, "name", NULL));
    if (!name) continue;
    set(event, "propertyName", cJSON_CreateString(name));
    set(event, "propertyValue", value_of(c));
    rc = add_as(f, t, event, "propertyChange");
  }
  return rc;
}

static int add_other(hl_journal_file *f, const told *t, cJSON *event, const char *action) {
  char type[80] = "";
  for (size_t i = 0; i < HL_COUNT(others); i++)
    if (is_action(action, others[i].action)) snprintf(type, sizeof type, "%s", others[i].event);
  if (!type[0]) {
    int n = snprintf(type, sizeof type, "journal.%.60s", action);
    for (int i = 0; i < n; i++)
      if (type[i] >= 'A' && type[i] <= 'Z') type[i] = (char)(type[i] + 32);
  }
  set(event, "subscriptionType", cJSON_CreateString(type));
  return add(f, t->portal, event);
}

/* `entry` is changed. */
static int translate(hl_journal_file *f, cJSON *entry, bool generic) {
  told t = {.portal = 0};
  int64_t at;
  if (!cJSON_IsObject(entry)) return add(f, 0, entry);
  t.portal = hl_json_int(entry, "portalId", 0);
  const char *found = hl_json_str(entry, "action", NULL);
  if (!found) return add(f, t.portal, entry);
  char action[64];
  snprintf(action, sizeof action, "%s", found);
  const char *type_id = hl_json_str(entry, "objectTypeId", hl_json_str(entry, "fromObjectTypeId", NULL)), *what = NULL;
  t.object = hl_event_object(type_id);
  t.generic = generic && strcmp(t.object, "object") != 0;
  cJSON *changes = cJSON_DetachItemFromObjectCaseSensitive(entry, "propertyChanges");
  if (type_id && !hl_json_get(entry, "objectTypeId")) cJSON_AddStringToObject(entry, "objectTypeId", type_id);
  cJSON_DeleteItemFromObjectCaseSensitive(entry, "action");
  cJSON_DeleteItemFromObjectCaseSensitive(entry, "type");
  cJSON_DeleteItemFromObjectCaseSensitive(entry, "eventType"); /* subscriptionType's other name */
  at = time_of(hl_json_get(entry, "occurredAt"));
  if (!at) at = f->published;
  if (at) set(entry, "occurredAt", hl_json_int64(at));
  ids_as_texts(entry);
  for (size_t i = 0; i < HL_COUNT(actions); i++)
    if (is_action(action, actions[i].action)) what = actions[i].event;
  int rc = 0;
  if (!what) {
    rc = add_other(f, &t, entry, action);
  } else if (is_action(action, "UPDATE")) {
    rc = add_changes(f, &t, entry, changes, true);
  } else {
    if (strcmp(what, "associationChange") == 0) name_association(entry, action);
    if (is_action(action, "SNAPSHOT") && changes) {
      cJSON_AddItemToObject(entry, "properties", changes);
      changes = NULL;
    }
    rc = add_as(f, &t, entry, what);
    if (!rc) rc = add_changes(f, &t, entry, changes, false);
  }
  cJSON_Delete(changes);
  return rc;
}

int hl_journal_file_read(hl_str text, bool generic, hl_journal_file *out, hl_error *err) {
  cJSON *root = NULL;
  int rc = hl_json_parse(text, &root, err);
  if (rc) return rc == HL_ENOMEM ? rc : hl_fail_in(err, "a file of the webhooks journal");
  cJSON *events = cJSON_GetObjectItemCaseSensitive(root, "journalEvents");
  if (!cJSON_IsArray(events)) {
    rc = hl_fail(err, HL_EINVAL, "a file of the webhooks journal holds no list \"journalEvents\"");
    goto out;
  }
  out->published = time_of(hl_json_get(root, "publishedAt"));
  while (events->child && !rc) {
    cJSON *entry = cJSON_DetachItemViaPointer(events, events->child);
    rc = translate(out, entry, generic);
    cJSON_Delete(entry);
  }
  for (size_t i = 0; i < out->n && !rc; i++) rc = hl_buf_puts(&out->v[i].json, "]");
  if (rc) {
    hl_journal_file_deinit(out);
    hl_fail(err, rc, "a file of the webhooks journal is too large");
  }
out:
  cJSON_Delete(root);
  return rc;
}

void hl_journal_file_deinit(hl_journal_file *f) {
  for (size_t i = 0; i < f->n; i++) hl_buf_deinit(&f->v[i].json);
  hl_free(f->v);
  *f = (hl_journal_file){0};
}
