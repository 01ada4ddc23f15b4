/* A hash table whose nodes live inside the entries. Inside src/engine. The keys
 * of entries come from outside, so hashes are seeded. */
#ifndef HL_ENGINE_MAP_H
#define HL_ENGINE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_node {
  struct hl_node *next;
  uint64_t hash;
} hl_node;

typedef struct hl_map {
  hl_node **slots;
  size_t n, cap;
  uint64_t seed;
} hl_map;

uint64_t hl_map_hash(const hl_map *m, const void *key, size_t n);
/* The first node with this hash for which `same` says yes, or NULL. */
hl_node *hl_map_find(const hl_map *m, uint64_t hash, bool (*same)(const hl_node *node, const void *key),
                     const void *key);
void hl_map_add(hl_map *m, hl_node *node, uint64_t hash);
void hl_map_remove(hl_map *m, hl_node *node);
/* Takes out any one node; NULL when empty, and the table is then freed. Until it is,
 * nothing but this may be asked. */
hl_node *hl_map_pop(hl_map *m);

#endif
