/* Debounce (SEMANTICS 6): the newest event of a key waits as a parked row, due
 * when nothing has come for a while; each one that comes takes the place of the
 * one before, which is finished as debounced. The rows' keys are known in memory
 * while they wait; beyond MAX_KEYS a further key's events wait each for itself. */
#include "base/mem.h"
#include "engine/inside.h"

enum { MAX_KEYS = 200000, MAX_MERGED = 100, MAX_MERGED_BYTES = 256 << 10, MAX_MERGED_ALL = 32 << 20 };

typedef struct entry {
  hl_node node, by_id;
  hl_handler *h;
  int64_t id, since, due, occurred;
  char *merged;                /* mode merged: the event as stored */
  size_t merged_n, key_n;
  char key[];
} entry;

typedef struct entry_key { const hl_handler *h; hl_str key; } entry_key;

static bool same_key(const hl_node *node, const void *arg) {
  const entry *x = HL_CONTAINER(node, entry, node);
  const entry_key *k = arg;
  return x->h == k->h && hl_str_eq((hl_str){x->key, x->key_n}, k->key);
}

static bool same_id(const hl_node *node, const void *arg) { return HL_CONTAINER(node, entry, by_id)->id == *(const int64_t *)arg; }

static uint64_t hash_key(const hl_engine *e, const hl_handler *h, hl_str key) {
  return hl_map_hash(&e->debounced, key.p, key.n) ^ (uintptr_t)h;
}

static entry *find(hl_engine *e, const hl_handler *h, hl_str key) {
  entry_key k = {h, key};
  hl_node *node = hl_map_find(&e->debounced, hash_key(e, h, key), same_key, &k);
  return node ? HL_CONTAINER(node, entry, node) : NULL;
}

static void set_id(hl_engine *e, entry *x, int64_t id) {
  if (x->id) hl_map_remove(&e->debounced_ids, &x->by_id);
  x->id = id;
  if (id) hl_map_add(&e->debounced_ids, &x->by_id, hl_map_hash(&e->debounced_ids, &id, sizeof id));
}

static void set_merged(hl_engine *e, entry *x, hl_str text) {
  e->merged_bytes -= x->merged_n;
  hl_free(x->merged);
  x->merged = text.p ? hl_strndup(text.p, text.n) : NULL;
  x->merged_n = text.n;
  e->merged_bytes += text.n;
}

static entry *add(hl_engine *e, hl_handler *h, hl_str key) {
  entry *x = hl_alloc(sizeof *x + key.n);
  x->h = h;
  x->key_n = key.n;
  memcpy(x->key, key.p, key.n);
  hl_map_add(&e->debounced, &x->node, hash_key(e, h, key));
  return x;
}

static void forget(hl_engine *e, entry *x) {
  set_id(e, x, 0);
  set_merged(e, x, (hl_str){0});
  hl_map_remove(&e->debounced, &x->node);
  hl_free(x);
}

/* The stored event before, with this one: `events` in the order they came, `changes` the newest value
 * of each property, and otherwise the fields of the newest. */
static cJSON *merge(const entry *x, const cJSON *json, int *n) {
  cJSON *before = NULL, *all = cJSON_Duplicate(json, true), *changes = cJSON_CreateObject(), *list, *item;
  if (!all) hl_mem_ended();
  cJSON_DeleteItemFromObjectCaseSensitive(all, "events");
  cJSON_DeleteItemFromObjectCaseSensitive(all, "changes");
  cJSON *one = cJSON_Duplicate(all, true);
  if (!one || !changes) hl_mem_ended();
  if (x && x->merged && hl_json_parse((hl_str){x->merged, x->merged_n}, &before, NULL) == HL_ENOMEM) hl_mem_ended();
  list = cJSON_DetachItemFromObjectCaseSensitive(before, "events");
  if (!list) list = cJSON_CreateArray();
  cJSON_AddItemToArray(list, one);
  /* Told twice, the one that occurred last counts. */
  int64_t newest = INT64_MIN;
  const cJSON *top = one;
  *n = 0;
  cJSON_ArrayForEach(item, list) {
    int64_t at = hl_json_int(item, "occurredAt", 0);
    if (at >= newest) {
      newest = at;
      top = item;
    }
    ++*n;
  }
  cJSON_ArrayForEach(item, list) {
    const char *name = hl_json_str(item, "propertyName", NULL);
    const cJSON *other;
    bool later = false;
    if (!name) continue;
    for (other = item->next; other && !later; other = other->next)
      later = strcmp(hl_json_str(other, "propertyName", ""), name) == 0 &&
              hl_json_int(other, "occurredAt", 0) >= hl_json_int(item, "occurredAt", 0);
    for (other = list->child; other != item && !later; other = other->next)
      later = strcmp(hl_json_str(other, "propertyName", ""), name) == 0 &&
              hl_json_int(other, "occurredAt", 0) > hl_json_int(item, "occurredAt", 0);
    if (!later) cJSON_AddStringToObject(changes, name, hl_json_str(item, "propertyValue", ""));
  }
  if (top != one) {
    cJSON_Delete(all);
    all = cJSON_Duplicate(top, true);
    if (!all) hl_mem_ended();
  }
  cJSON_AddItemToObject(all, "events", list);
  cJSON_AddItemToObject(all, "changes", changes);
  cJSON_Delete(before);
  return all;
}

static void leave_row(hl_engine *e, int64_t id) {
  hl_tx_unpark(e->tx, id, HL_ST_DEBOUNCED);
  hl_tx_debounce_drop(e->tx, id);
  hl_parked_leave(e, hl_parked_hold(e, id));
}

bool hl_debounce(hl_run *run) {
  hl_engine *e = run->e;
  hl_handler *h = run->h;
  hl_ev *ev = run->ev;
  int64_t now = hl_loop_now(e->loop);
  hl_buf key, name;
  hl_buf_init(&key, 1 << 17);
  hl_lane_name(run, &key);
  if (run->refused) { /* it has no key: it is parked where others run */
    hl_buf_deinit(&key);
    return false;
  }
  if (!key.n && hl_buf_puts(&key, "-")) hl_mem_ended(); /* events of no object are one key */
  entry *x = find(e, h, hl_buf_str(&key));
  int64_t since = x ? x->since : now, due = now + h->debounce_ms;
  if (h->debounce_max_ms && due > since + h->debounce_max_ms) due = since + h->debounce_max_ms;
  if (due < now) due = now;
  if (x && !h->debounce_merged && ev->occurred < x->occurred) {
    /* A straggler: what waits is newer. */
    hl_tx_repark(e->tx, x->id, HL_ST_WAITING, 0, due, (hl_str){"", 0});
    x->due = due;
    hl_buf_deinit(&key);
    if (ev->base == HL_ST_FILTERED) ev->base = HL_ST_DEBOUNCED;
    hl_run_settle(run, HL_ST_DEBOUNCED);
    hl_run_free(run);
    hl_touch(e);
    return true;
  }
  int n = 1;
  cJSON *merged = h->debounce_merged ? merge(x, ev->json, &n) : NULL;
  char *json = hl_run_parked_json(run, merged ? merged : ev->json);
  cJSON_Delete(merged);
  size_t bytes = strlen(json);
  bool full = h->debounce_merged && (n >= MAX_MERGED || bytes >= MAX_MERGED_BYTES || e->merged_bytes > MAX_MERGED_ALL);
  if (full) due = now;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_parked p = {.kind = HL_ST_WAITING, .due = due, .event = {json, bytes}, .error = {"", 0}};
  if (x) leave_row(e, x->id);
  hl_run_park_as(run, &p);
  int64_t id = p.id;
  if (full) {
    if (x) forget(e, x); /* the next one begins anew */
    x = NULL;
  } else if (!x && e->debounced.n < MAX_KEYS) {
    x = add(e, h, hl_buf_str(&key));
  }
  if (x) {
    hl_tx_debounce(e->tx, id, name.p, hl_buf_str(&key), since, ev->occurred);
    set_id(e, x, id);
    x->since = since;
    x->due = due;
    x->occurred = ev->occurred;
    if (h->debounce_merged) set_merged(e, x, p.event);
  }
  hl_buf_deinit(&name);
  hl_buf_deinit(&key);
  hl_free(json);
  hl_run_free(run);
  hl_parked_due(e, due);
  hl_touch(e);
  return true;
}

bool hl_debounce_fires(hl_engine *e, int64_t id) {
  hl_node *node = hl_map_find(&e->debounced_ids, hl_map_hash(&e->debounced_ids, &id, sizeof id), same_id, &id);
  if (!node) return false;
  forget(e, HL_CONTAINER(node, entry, by_id));
  hl_tx_debounce_drop(e->tx, id);
  hl_touch(e);
  return true;
}

static void loaded(void *arg, const hl_debounce_row *row) {
  hl_engine *e = arg;
  hl_handler *h = hl_handler_by_name(e, row->handler);
  if (!h || !h->debounce_ms || e->debounced.n >= MAX_KEYS || find(e, h, row->key)) return;
  entry *x = add(e, h, row->key);
  set_id(e, x, row->id);
  x->since = row->since;
  x->due = row->due;
  x->occurred = row->occurred;
  if (h->debounce_merged) set_merged(e, x, row->event);
}

int hl_debounce_start(hl_engine *e, hl_error *err) { return hl_store_each_debounce(e->store, loaded, e, err); }

void hl_debounce_forget(hl_handler *h) {
  hl_engine *e = h->e;
  for (size_t i = 0; i < e->debounced.cap; i++) {
    for (hl_node *node = e->debounced.slots[i], *next; node; node = next) {
      entry *x = HL_CONTAINER(node, entry, node);
      next = node->next;
      if (x->h != h) continue;
      hl_tx_debounce_drop(e->tx, x->id);
      forget(e, x);
    }
  }
}

void hl_debounce_deinit(hl_engine *e) {
  hl_node *node;
  while (hl_map_pop(&e->debounced_ids)) {}
  while ((node = hl_map_pop(&e->debounced))) {
    entry *x = HL_CONTAINER(node, entry, node);
    hl_free(x->merged);
    hl_free(x);
  }
}
