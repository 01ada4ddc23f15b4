#include "engine/twin.h"

#include "base/mem.h"
#include "base/siphash.h"
#include "base/time.h"
#include "engine/map.h"

static const int64_t LIVE_MS = HL_HOUR;  /* so long push counts as live after an event */
static const int64_t NEAR_MS = 2000;
static const int64_t KEPT_MS = 10 * HL_MINUTE;
enum { MAX_SIGHTINGS = 50000 };

/* The last event of each source that tells the same change, but for its time. */
typedef struct sighting {
  hl_node node;
  struct sighting *next;     /* by `mono` */
  uint64_t hash[2];
  int64_t occurred[HL_TWIN_NONE], mono;
} sighting;

typedef struct heard {
  struct heard *next;
  const char *account;
  int64_t mono;
  size_t n;
  char type[];
} heard;

typedef struct watched {
  struct watched *next;
  const char *account;
} watched;

struct hl_twins {
  unsigned char key[HL_SIPHASH_KEY_BYTES];
  watched *accounts;
  heard *heard;
  hl_map map;
  sighting *first, **tail;
};

hl_twins *hl_twins_new(const unsigned char key[16]) {
  hl_twins *t = HL_NEW(hl_twins);
  memcpy(t->key, key, sizeof t->key);
  t->tail = &t->first;
  return t;
}

static void drop_first(hl_twins *t) {
  sighting *s = t->first;
  t->first = s->next;
  if (!t->first) t->tail = &t->first;
  hl_map_remove(&t->map, &s->node);
  hl_free(s);
}

void hl_twins_free(hl_twins *t) {
  if (!t) return;
  while (t->first) drop_first(t);
  hl_map_pop(&t->map);
  while (t->heard) {
    heard *h = t->heard;
    t->heard = h->next;
    hl_free(h);
  }
  while (t->accounts) {
    watched *w = t->accounts;
    t->accounts = w->next;
    hl_free(w);
  }
  hl_free(t);
}

void hl_twins_watch(hl_twins *t, const char *account) {
  if (hl_twins_watched(t, account)) return;
  watched *w = HL_NEW(watched);
  *w = (watched){t->accounts, account};
  t->accounts = w;
}

bool hl_twins_watched(const hl_twins *t, const char *account) {
  for (const watched *w = t->accounts; w; w = w->next)
    if (w->account == account) return true;
  return false;
}

/* ---- what both sources say ---- */

/* Ids come as numbers or as text of the same number. */
static void put(hl_buf *b, const hl_field *f) {
  int64_t i = f->i;
  char kind = (char)f->kind;
  if (f->kind == HL_F_TEXT && hl_str_int64(f->s, &i) == 0) kind = HL_F_INT;
  int rc = hl_buf_append(b, &kind, 1);
  if (!rc && kind == HL_F_TEXT) rc = hl_buf_append(b, &f->s.n, sizeof f->s.n);
  if (!rc && kind == HL_F_TEXT) rc = hl_buf_append(b, f->s.p, f->s.n);
  else if (!rc && (kind == HL_F_INT || kind == HL_F_BOOL)) rc = hl_buf_append(b, &i, sizeof i);
  if (rc) hl_mem_ended();
}

static bool change_of(const hl_fields *f, hl_buf *b) {
  static const hl_field none = {0};
  const hl_field *object = f->object.kind && !f->from_object.kind ? &f->object : &f->from_object;
  if (f->occurred.kind != HL_F_INT || f->type.kind != HL_F_TEXT) return false;
  if (!object->kind) object = &f->primary_object;
  if (!object->kind) return false;
  /* A type of its own tells the object's; "object.creation" does not. */
  bool generic = hl_str_starts(f->type.s, "object.");
  const hl_field *parts[] = {&f->portal, &f->type, generic ? &f->object_type : &none, object, &f->to_object, &f->association,
                             &f->removed, &f->property};
  for (size_t i = 0; i < HL_COUNT(parts); i++) put(b, parts[i]);
  return true;
}

bool hl_twin_hash(const hl_twins *t, hl_twin_source source, const hl_fields *f, hl_hash *out) {
  uint64_t h[2];
  char tag = (char)('p' + source);
  hl_buf b;
  hl_buf_init(&b, SIZE_MAX / 4);
  bool is = change_of(f, &b);
  if (is) {
    put(&b, &f->occurred);
    if (hl_buf_append(&b, &tag, 1)) hl_mem_ended();
    hl_siphash128(t->key, b.p, b.n, h);
    if (!h[0] && !h[1]) h[0] = 1;
    *out = (hl_hash){h[0], h[1]};
  }
  hl_buf_deinit(&b);
  return is;
}

static bool same(const hl_node *node, const void *key) {
  return memcmp(HL_CONTAINER(node, sighting, node)->hash, key, 2 * sizeof(uint64_t)) == 0;
}

int64_t hl_twins_near(hl_twins *t, hl_twin_source source, const hl_fields *f, int64_t mono) {
  uint64_t h[2];
  hl_buf b;
  hl_buf_init(&b, SIZE_MAX / 4);
  bool is = change_of(f, &b);
  if (is) hl_siphash128(t->key, b.p, b.n, h);
  hl_buf_deinit(&b);
  if (!is) return 0;
  while (t->first && (t->first->mono <= mono - KEPT_MS || t->map.n >= MAX_SIGHTINGS)) drop_first(t);
  hl_node *node = hl_map_find(&t->map, h[0], same, h);
  sighting *s = node ? HL_CONTAINER(node, sighting, node) : NULL;
  if (!s) {
    s = HL_NEW(sighting);
    *s = (sighting){.hash = {h[0], h[1]}, .mono = mono};
    hl_map_add(&t->map, &s->node, h[0]);
    *t->tail = s;
    t->tail = &s->next;
  }
  int64_t other = s->occurred[source == HL_TWIN_PUSH ? HL_TWIN_JOURNAL : HL_TWIN_PUSH], off;
  s->occurred[source] = f->occurred.i;
  if (!other || __builtin_sub_overflow(f->occurred.i, other, &off)) return 0;
  if (off == INT64_MIN) return 0;
  if (off < 0) off = -off;
  return off <= NEAR_MS ? off : 0;
}

/* ---- which source is live ---- */

static heard *find(const hl_twins *t, const char *account, hl_str type) {
  for (heard *h = t->heard; h; h = h->next)
    if (h->account == account && hl_str_eq((hl_str){h->type, h->n}, type)) return h;
  return NULL;
}

void hl_twins_heard(hl_twins *t, const char *account, hl_str type, int64_t mono) {
  heard *h = find(t, account, type);
  if (!h) {
    h = hl_alloc(sizeof *h + type.n + 1);
    h->account = account;
    h->n = type.n;
    memcpy(h->type, type.p, type.n);
    h->next = t->heard;
    t->heard = h;
  }
  h->mono = mono;
}

bool hl_twins_live(const hl_twins *t, const char *account, hl_str type, int64_t mono) {
  const heard *h = find(t, account, type);
  return h && mono - h->mono < LIVE_MS;
}
