#include "engine/own.h"

#include "base/mem.h"
#include "base/siphash.h"
#include "engine/inside.h"
#include "hubspot/paths.h"
#include "store/waits.h"

enum { MAX_RECORDS = 200000 };  /* beyond, the oldest goes: then its handler runs */
enum { MAX_WROTE = 128 };       /* of one run, for its waits */

typedef struct record {
  hl_node node;
  struct record *next;         /* by number, which is by time */
  int64_t id, at;
  uint64_t hash[2];
  const char *handler;         /* durable name, interned */
  int depth;
  bool spent;                  /* has excused an event; its depth still counts */
} record;

struct hl_own {
  hl_map map;
  record *first, **tail;
  size_t n;
  int64_t next_id;
};

hl_own *hl_own_new(void) {
  hl_own *o = HL_NEW(hl_own);
  o->tail = &o->first;
  o->next_id = 1;
  return o;
}

void hl_own_free(hl_own *o) {
  if (!o) return;
  while (hl_map_pop(&o->map)) {}
  while (o->first) {
    record *r = o->first;
    o->first = r->next;
    hl_free(r);
  }
  hl_free(o);
}

/* ---- what was written, and what an event says ---- */

typedef struct told {          /* all texts; never NULL */
  const char *account, *type, *id, *what, *property, *value;
} told;

static void hash_told(const hl_engine *e, const told *t, uint64_t out[2]) {
  const char *const texts[] = {t->account, t->type, t->id, t->what, t->property, t->value};
  hl_buf b;
  hl_buf_init(&b, SIZE_MAX / 2);
  for (size_t i = 0; i < HL_COUNT(texts); i++)
    if (hl_buf_append(&b, texts[i], strlen(texts[i]) + 1)) hl_mem_ended();
  hl_siphash128(e->key, b.p, b.n, out);
  hl_buf_deinit(&b);
}

static const struct { const char *event, *id; } singular[] = {
    {"contact", "0-1"}, {"company", "0-2"}, {"deal", "0-3"}, {"ticket", "0-5"}, {"product", "0-7"}, {"line_item", "0-8"},
};

/* The type id of "contact" in "contact.creation", NULL: none. */
static const char *id_of_prefix(const char *type) {
  const char *dot = strchr(type, '.');
  for (size_t i = 0; dot && i < HL_COUNT(singular); i++)
    if (hl_str_eqz((hl_str){type, (size_t)(dot - type)}, singular[i].event)) return singular[i].id;
  return NULL;
}

/* HubSpot's words for a change by a program. Others (a person, an import, a form,
 * a workflow) are no write of ours. */
static bool by_a_program(const hl_ev *ev) {
  const char *source = hl_json_str(ev->json, "changeSource", ""), *who = hl_json_str(ev->json, "sourceId", "");
  if (*source && strcmp(source, "API") != 0 && strcmp(source, "INTEGRATION") != 0 && strcmp(source, "INTEGRATIONS_PLATFORM") != 0) return false;
  return !hl_str_starts(hl_str_of(who), "userId:");
}

/* False when the event is of no kind that a write causes. */
static bool told_by(const hl_ev *ev, told *out) {
  const char *dot = strchr(ev->type, '.'), *type = id_of_prefix(ev->type);
  if (!dot || !ev->object_id[0] || !by_a_program(ev)) return false;
  if (!type && hl_str_starts(hl_str_of(ev->type), "object.")) type = hl_path_type_id(ev->object_type);
  if (!type) return false;
  *out = (told){ev->account, type, ev->object_id, dot + 1, "", ""};
  if (strcmp(dot, ".creation") == 0 || strcmp(dot, ".deletion") == 0) return true;
  if (strcmp(dot, ".propertyChange") != 0) return false;
  out->property = hl_json_str(ev->json, "propertyName", "");
  out->value = hl_json_str(ev->json, "propertyValue", "");
  return *out->property != 0;
}

/* ---- records ---- */

static bool same_hash(const hl_node *node, const void *key) {
  return memcmp(HL_CONTAINER(node, record, node)->hash, key, 2 * sizeof(uint64_t)) == 0;
}

static record *find(const hl_own *o, const uint64_t hash[2]) {
  hl_node *node = hl_map_find(&o->map, hash[0], same_hash, hash);
  return node ? HL_CONTAINER(node, record, node) : NULL;
}

/* Others with the same hash follow in the chain of the slot. */
static record *after(const record *r) {
  for (hl_node *n = r->node.next; n; n = n->next)
    if (n->hash == r->hash[0] && same_hash(n, r->hash)) return HL_CONTAINER(n, record, node);
  return NULL;
}

static void expire(hl_engine *e) {
  hl_own *o = e->own;
  int64_t before = hl_loop_now(e->loop) - HL_OWN_MS, gone = 0;
  while (o->first && (o->first->at <= before || o->n > MAX_RECORDS)) {
    record *r = o->first;
    o->first = r->next;
    if (!o->first) o->tail = &o->first;
    gone = r->id;
    hl_map_remove(&o->map, &r->node);
    o->n--;
    hl_free(r);
  }
  if (gone) hl_tx_own_upto(e->tx, gone);
}

static void add(hl_own *o, int64_t id, int64_t at, const uint64_t hash[2], const char *handler, int depth) {
  record *r = HL_NEW(record);
  *r = (record){.id = id, .at = at, .hash = {hash[0], hash[1]}, .handler = handler, .depth = depth};
  *o->tail = r;
  o->tail = &r->next;
  o->n++;
  hl_map_add(&o->map, &r->node, hash[0]);
  if (id >= o->next_id) o->next_id = id + 1;
}

static void loaded(void *arg, const hl_own_row *row) {
  hl_engine *e = arg;
  uint64_t hash[2];
  if (row->hash.n != sizeof hash) return;
  memcpy(hash, row->hash.p, sizeof hash);
  add(e->own, row->id, row->at, hash, hl_intern(e, row->handler), row->depth);
}

int hl_own_start(hl_engine *e, hl_error *err) { return hl_store_each_own(e->store, loaded, e, err); }

int hl_own_depth(hl_engine *e, const hl_ev *ev) {
  told t;
  uint64_t hash[2];
  int depth = 0;
  if (e->own->n) expire(e);
  if (!e->own->n || !told_by(ev, &t)) return 0;
  hash_told(e, &t, hash);
  for (record *r = find(e->own, hash); r; r = after(r))
    if (r->depth >= depth) depth = r->depth + 1;
  return depth;
}

int64_t hl_own_take(hl_engine *e, const hl_handler *h, const hl_ev *ev) {
  told t;
  uint64_t hash[2];
  hl_buf name;
  record *oldest = NULL;
  if (!e->own->n || !told_by(ev, &t)) return 0;
  hash_told(e, &t, hash);
  record *r = find(e->own, hash);
  if (!r) return 0;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  for (; r; r = after(r))
    if (!r->spent && strcmp(r->handler, name.p) == 0 && (!oldest || r->id < oldest->id)) oldest = r;
  hl_buf_deinit(&name);
  if (!oldest) return 0;
  oldest->spent = true;
  return oldest->id;
}

/* ---- writing ---- */

/* Somebody listens to what a write to this type may cause. */
static bool heard(const hl_engine *e, const char *type_id, const char *what) {
  char name[64];
  for (size_t i = 0; i < HL_COUNT(singular); i++) {
    if (strcmp(singular[i].id, type_id) != 0) continue;
    snprintf(name, sizeof name, "%s.%s", singular[i].event, what);
    if (hl_type_of(e, name)) return true;
  }
  snprintf(name, sizeof name, "object.%s", what);
  return hl_type_of(e, name) != NULL;
}

struct hl_wrote {
  struct { hl_wait_own own; char id[24]; } v[MAX_WROTE]; /* id "": of a step that was done before, any */
  size_t n;                    /* ever */
};

static void note_wrote(hl_run *run, const hl_wait_own *own, const char *id) {
  if (!run->wrote) run->wrote = HL_NEW(hl_wrote);
  size_t k = run->wrote->n++ % MAX_WROTE;
  run->wrote->v[k].own = *own;
  snprintf(run->wrote->v[k].id, sizeof run->wrote->v[k].id, "%s", id);
}

size_t hl_own_count(const hl_run *run) { return run->wrote ? run->wrote->n : 0; }

enum { LETTERS = 2 * sizeof(hl_wait_own) };

void hl_own_print(const hl_run *run, size_t since, hl_buf *out) {
  size_t n = hl_own_count(run);
  char letters[LETTERS + 1];
  if (since + MAX_WROTE < n) since = n - MAX_WROTE;
  for (; since < n; since++) {
    hl_letters(&run->wrote->v[since % MAX_WROTE].own, sizeof(hl_wait_own), letters);
    if (hl_buf_puts(out, letters)) hl_mem_ended();
  }
}

static bool has_wrote(const hl_wrote *w, const hl_wait_own *own) {
  for (size_t k = 0; w && k < w->n && k < MAX_WROTE; k++)
    if (memcmp(&w->v[k].own, own, sizeof *own) == 0) return true;
  return false;
}

void hl_own_read(hl_run *run, hl_str letters) {
  hl_wait_own own;
  for (; letters.n >= LETTERS && hl_letters_read((hl_str){letters.p, LETTERS}, &own); letters.p += LETTERS, letters.n -= LETTERS)
    if (!has_wrote(run->wrote, &own)) note_wrote(run, &own, "");
}

/* `heard`: others than a wait of the run may want to know. */
static void wrote_one(hl_run *run, const char *handler, const told *t, bool heard_of, hl_own_mark *mark) {
  hl_engine *e = run->e;
  uint64_t hash[2];
  hash_told(e, t, hash);
  int64_t id = e->own->next_id, at = hl_loop_now(e->loop);
  hl_wait_own own = {.at = at};
  memcpy(own.hash, hash, sizeof own.hash);
  note_wrote(run, &own, t->id);
  if (!heard_of) return;
  add(e->own, id, at, hash, handler, run->depth);
  hl_tx_own(e->tx, id, handler, (hl_str){(const char *)hash, sizeof hash}, at, run->depth);
  if (!mark->n++) mark->first = id;
}

void hl_own_wrote(const hl_run *run, const char *object_id, size_t max, hl_buf *out) {
  const hl_wrote *w = run->wrote;
  for (size_t i = hl_own_count(run), least = i > MAX_WROTE ? i - MAX_WROTE : 0; i > least && max; i--) {
    size_t k = (i - 1) % MAX_WROTE;
    if (object_id && *w->v[k].id && strcmp(object_id, w->v[k].id) != 0) continue;
    if (hl_buf_append(out, &w->v[k].own, sizeof w->v[k].own)) hl_mem_ended();
    max--;
  }
}

bool hl_own_told(hl_engine *e, const char *account, cJSON *json, unsigned char hash[16]) {
  hl_ev ev = {.json = json, .account = account};
  hl_fields f;
  told t;
  uint64_t h[2];
  hl_fields_of(json, &f);
  hl_ev_name(e, &ev, &f);
  if (!told_by(&ev, &t)) return false;
  hash_told(e, &t, h);
  memcpy(hash, h, sizeof h);
  return true;
}

/* HubSpot's values are texts. False for what is none of one (a list, an object). */
static bool value_text(const cJSON *v, char number[64], const char **out) {
  int64_t i;
  if (cJSON_IsString(v)) *out = v->valuestring;
  else if (cJSON_IsNull(v)) *out = "";
  else if (cJSON_IsBool(v)) *out = cJSON_IsTrue(v) ? "true" : "false";
  else if (cJSON_IsNumber(v)) {
    if (hl_json_is_int64(v, &i)) snprintf(number, 64, "%lld", (long long)i);
    else snprintf(number, 64, "%.15g", v->valuedouble);
    *out = number;
  } else return false;
  return true;
}

hl_own_mark hl_run_wrote(hl_run *run, hl_write_kind kind, const char *account, const char *type, const char *id, hl_str body) {
  hl_engine *e = run->e;
  hl_own_mark mark = {0, 0};
  if (run->kind != RUN_EVENT || !type || !id || !*id) return mark;
  static const char *const whats[] = {"propertyChange", "creation", "deletion"};
  told t = {account ? account : "", hl_path_type_id(type), id, whats[kind], "", ""};
  hl_buf durable;
  cJSON *json = NULL, *p;
  expire(e);
  hl_buf_init(&durable, 1 << 16);
  hl_handler_durable(run->h, &durable);
  const char *handler = hl_intern(e, durable.p);
  hl_buf_deinit(&durable);
  if (kind != HL_WRITE_UPDATE) wrote_one(run, handler, &t, heard(e, t.type, t.what), &mark);
  if (kind != HL_WRITE_DELETE && body.n) {
    bool heard_of = heard(e, t.type, "propertyChange");
    int rc = hl_json_parse(body, &json, NULL);
    if (rc == HL_ENOMEM) hl_mem_ended();
    t.what = "propertyChange";
    cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(json, "properties")) {
      char number[64];
      t.property = p->string;
      if (p->string && value_text(p, number, &t.value)) wrote_one(run, handler, &t, heard_of, &mark);
    }
    cJSON_Delete(json);
  }
  if (mark.n) hl_touch(e);
  return mark;
}

void hl_engine_not_written(hl_engine *e, hl_own_mark mark) {
  if (!mark.n) return;
  int64_t end = mark.first + mark.n;
  record **p = &e->own->first;
  while (*p && (*p)->id < mark.first) p = &(*p)->next;
  while (*p && (*p)->id < end) {
    record *r = *p;
    *p = r->next;
    if (!*p) e->own->tail = p;
    hl_map_remove(&e->own->map, &r->node);
    e->own->n--;
    hl_tx_own_drop(e->tx, r->id);
    hl_free(r);
  }
  hl_touch(e);
}
