#include "engine/dedupe.h"

#include "base/mem.h"

/* `ring` holds the hashes in order of arrival; place p is ring[p & (cap - 1)].
 * `table` maps to places: the upper half of an entry is a part of the hash, so
 * that a miss costs one cache line, the lower half the place's low 32 bits plus
 * one (0: free). The table is at most half full. Ages are kept for runs of
 * hashes, one mark a minute. */
typedef struct age {
  int64_t at;
  uint64_t place;            /* of the first hash received then */
} age;

struct hl_dedupe {
  hl_hash *ring;
  uint64_t head, tail;       /* places: [head, tail) */
  size_t cap, max;
  uint64_t *table;
  size_t slots;
  size_t live;               /* hashes that were not taken back */
  age *ages;
  size_t n_ages, cap_ages;
  int64_t window_ms;
  int64_t pushed_out;        /* receipt of the youngest that left by number; 0: none did */
};

static const int64_t MARK_MS = 60 * 1000;

hl_dedupe *hl_dedupe_new(int64_t window_ms, size_t max) {
  hl_dedupe *d = HL_NEW(hl_dedupe);
  d->window_ms = window_ms;
  d->max = max;
  return d;
}

void hl_dedupe_free(hl_dedupe *d) {
  if (!d) return;
  hl_free(d->ring);
  hl_free(d->table);
  hl_free(d->ages);
  hl_free(d);
}

static hl_hash *at(const hl_dedupe *d, uint64_t place) { return &d->ring[place & (d->cap - 1)]; }

static uint64_t entry_of(hl_hash h, uint64_t place) {
  return (h.a & UINT64_C(0xffffffff00000000)) | ((uint32_t)place + UINT32_C(1));
}

static size_t slot_of(const hl_dedupe *d, hl_hash h) { return (size_t)(h.a * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (d->slots - 1); }

/* The place of an entry: the one in [head, tail) with these low bits. */
static uint64_t place_of(const hl_dedupe *d, uint64_t entry) {
  uint32_t low = (uint32_t)entry - UINT32_C(1);
  return d->head + (uint32_t)(low - (uint32_t)d->head);
}

static bool find(const hl_dedupe *d, hl_hash h, size_t *slot) {
  size_t i = slot_of(d, h);
  for (; d->table[i]; i = (i + 1) & (d->slots - 1)) {
    if ((d->table[i] ^ h.a) >> 32) continue;
    hl_hash *other = at(d, place_of(d, d->table[i]));
    if (other->a == h.a && other->b == h.b) {
      *slot = i;
      return true;
    }
  }
  *slot = i;
  return false;
}

/* Closes the gap, so that searches need no grave marks. */
static void unslot(hl_dedupe *d, size_t i) {
  size_t mask = d->slots - 1, j = i;
  for (;;) {
    d->table[i] = 0;
    for (;;) {
      j = (j + 1) & mask;
      if (!d->table[j]) return;
      size_t home = slot_of(d, *at(d, place_of(d, d->table[j])));
      if (((j - home) & mask) >= ((j - i) & mask)) break;
    }
    d->table[i] = d->table[j];
    i = j;
  }
}

static void drop_oldest(hl_dedupe *d) {
  hl_hash *h = at(d, d->head);
  size_t slot;
  if ((h->a || h->b) && find(d, *h, &slot)) {
    unslot(d, slot);
    d->live--;
  }
  d->head++;
}

static void forget_ages(hl_dedupe *d) {
  size_t k = 0;
  while (k + 1 < d->n_ages && d->ages[k + 1].place <= d->head) k++;
  if (!k) return;
  d->n_ages -= k;
  memmove(d->ages, d->ages + k, d->n_ages * sizeof *d->ages);
}

static void grow(hl_dedupe *d) {
  size_t cap = d->cap ? 2 * d->cap : 4096;
  hl_hash *ring = hl_realloc(NULL, cap * sizeof *ring);
  for (uint64_t p = d->head; p < d->tail; p++) ring[p & (cap - 1)] = *at(d, p);
  hl_free(d->ring);
  d->ring = ring;
  d->cap = cap;
  hl_free(d->table);
  d->slots = 2 * cap;
  d->table = hl_alloc(d->slots * sizeof *d->table);
  for (uint64_t p = d->head; p < d->tail; p++) {
    hl_hash *h = at(d, p);
    size_t slot;
    if (!h->a && !h->b) continue;
    for (slot = slot_of(d, *h); d->table[slot]; slot = (slot + 1) & (d->slots - 1)) {}
    d->table[slot] = entry_of(*h, p);
  }
}

static void leave(hl_dedupe *d, int64_t now) {
  while (d->n_ages > 1 && d->ages[1].at <= now - d->window_ms) {
    while (d->head < d->ages[1].place) drop_oldest(d);
    forget_ages(d);
  }
  while (d->tail - d->head >= d->max) {
    forget_ages(d);
    d->pushed_out = d->n_ages > 1 ? d->ages[1].at : now;
    drop_oldest(d);
  }
}

bool hl_dedupe_add(hl_dedupe *d, hl_hash h, int64_t now) {
  size_t slot;
  leave(d, now);
  if (d->tail - d->head == d->cap) grow(d);
  if (find(d, h, &slot)) return false;
  if (!d->n_ages || now - d->ages[d->n_ages - 1].at >= MARK_MS) {
    if (d->n_ages == d->cap_ages) {
      d->cap_ages = d->cap_ages ? 2 * d->cap_ages : 64;
      d->ages = hl_realloc(d->ages, d->cap_ages * sizeof *d->ages);
    }
    d->ages[d->n_ages++] = (age){now, d->tail};
  }
  *at(d, d->tail) = h;
  d->table[slot] = entry_of(h, d->tail);
  d->tail++;
  d->live++;
  return true;
}

void hl_dedupe_remove(hl_dedupe *d, hl_hash h) {
  size_t slot;
  if (!d->slots || !find(d, h, &slot)) return;
  *at(d, place_of(d, d->table[slot])) = (hl_hash){0, 0};
  /* The entry goes after its hash was zeroed: closing the gap looks at other entries only. */
  unslot(d, slot);
  d->live--;
}

size_t hl_dedupe_count(const hl_dedupe *d) { return d->live; }

int64_t hl_dedupe_window_ms(const hl_dedupe *d, int64_t now) {
  if (!d->pushed_out) return d->window_ms;
  int64_t reach = now - d->pushed_out;
  if (reach < 0) reach = 0;
  return reach < d->window_ms ? reach : d->window_ms;
}
