/* Mass changes: more than MANY events a minute of one account, type and source
 * (changeSource and sourceId, which name an import, a workflow, an integration)
 * are bulk work, so that what people and others do meanwhile goes first. */
#include "base/mem.h"
#include "engine/inside.h"

enum { MANY = 100, WINDOW_MS = 60 * 1000, MAX_SOURCES = 4096 };

typedef struct source {
  hl_node node;
  int64_t since, until;        /* mono ms: the window's begin; it is a mass change until then */
  unsigned n;                  /* in the window */
  size_t key_n;
  char key[];
} source;

static bool same(const hl_node *node, const void *key) {
  const source *s = HL_CONTAINER(node, source, node);
  return hl_str_eq((hl_str){s->key, s->key_n}, *(const hl_str *)key);
}

/* All, when none can be told from those of late. */
static void forget(hl_engine *e) {
  uint64_t seed = e->sources.seed;
  for (hl_node *node; (node = hl_map_pop(&e->sources));) hl_free(HL_CONTAINER(node, source, node));
  e->sources = (hl_map){.seed = seed};
}

static source *source_of(hl_engine *e, hl_str key, int64_t now) {
  uint64_t hash = hl_map_hash(&e->sources, key.p, key.n);
  hl_node *node = hl_map_find(&e->sources, hash, same, &key);
  if (node) return HL_CONTAINER(node, source, node);
  if (e->sources.n >= MAX_SOURCES) forget(e);
  source *s = hl_alloc(sizeof *s + key.n);
  s->since = now;
  s->key_n = key.n;
  memcpy(s->key, key.p, key.n);
  hl_map_add(&e->sources, &s->node, hash);
  return s;
}

bool hl_mass(hl_engine *e, const hl_ev *ev) {
  int64_t now = hl_loop_mono(e->loop);
  char key[512];
  /* Cut when it is long: then sources that begin alike are one. */
  int n = snprintf(key, sizeof key, "%s\n%s\n%s\n%s", ev->account, ev->type, hl_json_str(ev->json, "changeSource", ""),
                   hl_json_str(ev->json, "sourceId", ""));
  source *s = source_of(e, (hl_str){key, n < (int)sizeof key ? (size_t)n : sizeof key - 1}, now);
  if (now - s->since >= WINDOW_MS) {
    s->since = now;
    s->n = 0;
  }
  if (++s->n > MANY) s->until = now + WINDOW_MS;
  return now < s->until;
}

void hl_mass_deinit(hl_engine *e) { forget(e); }
