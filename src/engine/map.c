#include "engine/map.h"

#include <string.h>

#include "base/mem.h"

static uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= UINT64_C(0xd6e8feb86659fd93);
  h ^= h >> 32;
  h *= UINT64_C(0xd6e8feb86659fd93);
  return h ^ (h >> 32);
}

uint64_t hl_map_hash(const hl_map *m, const void *key, size_t n) {
  const unsigned char *p = key;
  uint64_t h = m->seed ^ mix(n + 1), w;
  for (; n >= sizeof w; n -= sizeof w, p += sizeof w) {
    memcpy(&w, p, sizeof w);
    h = mix(h ^ w) + m->seed;
  }
  w = 0;
  memcpy(&w, p, n);
  return mix(h ^ w);
}

hl_node *hl_map_find(const hl_map *m, uint64_t hash, bool (*same)(const hl_node *node, const void *key),
                     const void *key) {
  if (!m->cap) return NULL;
  for (hl_node *node = m->slots[hash & (m->cap - 1)]; node; node = node->next)
    if (node->hash == hash && same(node, key)) return node;
  return NULL;
}

static void grow(hl_map *m) {
  size_t cap = m->cap ? 2 * m->cap : 64;
  hl_node **slots = hl_alloc(cap * sizeof(hl_node *));
  for (size_t i = 0; i < m->cap; i++) {
    for (hl_node *node = m->slots[i]; node;) {
      hl_node *next = node->next;
      hl_node **slot = &slots[node->hash & (cap - 1)];
      node->next = *slot;
      *slot = node;
      node = next;
    }
  }
  hl_free(m->slots);
  m->slots = slots;
  m->cap = cap;
}

void hl_map_add(hl_map *m, hl_node *node, uint64_t hash) {
  if (m->n >= m->cap) grow(m);
  hl_node **slot = &m->slots[hash & (m->cap - 1)];
  node->hash = hash;
  node->next = *slot;
  *slot = node;
  m->n++;
}

void hl_map_remove(hl_map *m, hl_node *node) {
  hl_node **p = &m->slots[node->hash & (m->cap - 1)];
  while (*p != node) p = &(*p)->next;
  *p = node->next;
  m->n--;
}

hl_node *hl_map_pop(hl_map *m) {
  /* From the end, which comes nearer, so that emptying a large map is one walk. */
  for (; m->n && m->cap; m->cap--) {
    hl_node *node = m->slots[m->cap - 1];
    if (!node) continue;
    m->slots[m->cap - 1] = node->next;
    m->n--;
    return node;
  }
  hl_free(m->slots);
  m->slots = NULL;
  m->cap = 0;
  return NULL;
}
