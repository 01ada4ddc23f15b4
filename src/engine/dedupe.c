#include "engine/dedupe.h"

#include "base/mem.h"

/* The hashes are held in order of arrival, in chunks; `table` maps to their places: the upper half of an entry is a part of the hash, so
 * that a miss costs one cache line, the lower half the place's low 32 bits plus
 * one (0: free). The table is at most half full. Ages are kept for runs of
 * hashes: a mark a minute, and one for every MARK_PLACES, so that generations
 * can end there. A mark begins a row: what lies between two marks is whole rows.
 *
 * Nothing grows at once: that took a third of a second of the loop at a few million.
 * A table that is half full gives way to one twice as large, into which each add
 * moves some of the hashes, in their order. The old one is only read meanwhile:
 * an entry of it counts when its place is in [moved, split) and the hash is there. */
typedef struct age {
  int64_t at;
  uint64_t place;            /* of the first hash received then */
  int64_t row, before;       /* of that hash; of the hash before it */
  bool cut;
} age;

enum { CHUNK_BITS = 12, CHUNK = 1 << CHUNK_BITS, FIRST_SLOTS = 2 * CHUNK, MOVE = 4 };

struct hl_dedupe {
  hl_hash **chunks;          /* of place p: chunks[(p >> CHUNK_BITS) & (n_chunks - 1)] */
  size_t n_chunks;
  uint64_t head, tail;       /* places: [head, tail) */
  uint64_t settled, saved;   /* below: committed; kept elsewhere */
  size_t max;
  uint64_t *table, *old;     /* old: NULL, or the one that is being left */
  size_t slots, old_slots;
  uint64_t moved, split;     /* places: below, in the table; from here on, only ever in the table */
  size_t live;               /* hashes that were not taken back */
  age *ages;
  size_t n_ages, cap_ages;
  int64_t row, row_before;   /* of what is added; of what was added before it */
  bool inside, cut;          /* inside: a hash of `row` has been added */
  size_t mark_places;
  int64_t window_ms;
  int64_t pushed_out;        /* receipt of the youngest that left by number; 0: none did */
  bool (*beyond)(void *arg, hl_hash h, int64_t after);
  void *beyond_arg;
};

enum { MARK_PLACES = 1 << 17, LET_GO = 4 };

hl_dedupe *hl_dedupe_new(int64_t window_ms, size_t max) {
  hl_dedupe *d = HL_NEW(hl_dedupe);
  d->window_ms = window_ms;
  d->max = max;
  d->mark_places = max / 32 < MARK_PLACES ? max / 32 + 1 : MARK_PLACES;
  return d;
}

void hl_dedupe_free(hl_dedupe *d) {
  if (!d) return;
  for (size_t i = 0; i < d->n_chunks; i++) hl_free(d->chunks[i]);
  hl_free(d->chunks);
  hl_free(d->table);
  hl_free(d->old);
  hl_free(d->ages);
  hl_free(d);
}

static hl_hash **chunk_of(const hl_dedupe *d, uint64_t place) {
  return &d->chunks[(place >> CHUNK_BITS) & (d->n_chunks - 1)];
}

static hl_hash *at(const hl_dedupe *d, uint64_t place) { return *chunk_of(d, place) + (place & (CHUNK - 1)); }

static uint64_t entry_of(hl_hash h, uint64_t place) {
  return (h.a & UINT64_C(0xffffffff00000000)) | ((uint32_t)place + UINT32_C(1));
}

static size_t slot_of(hl_hash h, size_t slots) { return (size_t)(h.a * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (slots - 1); }

/* The place of an entry: the one in [head, tail) with these low bits. */
static uint64_t place_of(const hl_dedupe *d, uint64_t entry) {
  uint32_t low = (uint32_t)entry - UINT32_C(1);
  return d->head + (uint32_t)(low - (uint32_t)d->head);
}

/* *slot: the entry, or the free one where the search ended. */
static bool look(const hl_dedupe *d, const uint64_t *table, size_t slots, uint64_t from, uint64_t to, hl_hash h,
                 size_t *slot, uint64_t *place) {
  size_t i = slot_of(h, slots);
  for (; table[i]; i = (i + 1) & (slots - 1)) {
    if ((table[i] ^ h.a) >> 32) continue;
    *place = place_of(d, table[i]);
    if (*place < from || *place >= to) continue;
    const hl_hash *other = at(d, *place);
    if (other->a == h.a && other->b == h.b) break;
  }
  *slot = i;
  return table[i] != 0;
}

typedef enum found { ABSENT, IN_TABLE, IN_OLD } found;

/* *slot is one of the table unless it is in the old one. */
static found find(const hl_dedupe *d, hl_hash h, size_t *slot, uint64_t *place) {
  size_t old_slot;
  if (look(d, d->table, d->slots, d->head, d->tail, h, slot, place)) return IN_TABLE;
  uint64_t from = d->moved > d->head ? d->moved : d->head;
  if (d->old && look(d, d->old, d->old_slots, from, d->split, h, &old_slot, place)) return IN_OLD;
  return ABSENT;
}

/* Closes the gap, so that searches need no grave marks. */
static void unslot(hl_dedupe *d, size_t i) {
  size_t mask = d->slots - 1, j = i;
  for (;;) {
    d->table[i] = 0;
    for (;;) {
      j = (j + 1) & mask;
      if (!d->table[j]) return;
      size_t home = slot_of(*at(d, place_of(d, d->table[j])), d->slots);
      if (((j - home) & mask) >= ((j - i) & mask)) break;
    }
    d->table[i] = d->table[j];
    i = j;
  }
}

static void drop_oldest(hl_dedupe *d) {
  hl_hash h = *at(d, d->head);
  size_t slot;
  uint64_t place;
  if (h.a || h.b) {
    if (find(d, h, &slot, &place) == IN_TABLE) unslot(d, slot);
    d->live--;
  }
  d->head++;
  if (d->head & (CHUNK - 1)) return;
  hl_hash **chunk = chunk_of(d, d->head - 1);
  hl_free(*chunk);
  *chunk = NULL;
}

static void forget_ages(hl_dedupe *d) {
  size_t k = 0;
  while (k + 1 < d->n_ages && d->ages[k + 1].place <= d->head) k++;
  if (!k) return;
  d->n_ages -= k;
  memmove(d->ages, d->ages + k, d->n_ages * sizeof *d->ages);
}

static void leave_old(hl_dedupe *d, size_t most) {
  for (; most && d->old; most--) {
    if (d->moved < d->head) d->moved = d->head;
    if (d->moved >= d->split) {
      hl_free(d->old);
      d->old = NULL;
      return;
    }
    const hl_hash *h = at(d, d->moved);
    if (h->a || h->b) {
      size_t i = slot_of(*h, d->slots);
      while (d->table[i]) i = (i + 1) & (d->slots - 1);
      d->table[i] = entry_of(*h, d->moved);
    }
    d->moved++;
  }
}

/* Room for one more: in the chunks, and in a table that is at most half full. */
static void grow(hl_dedupe *d) {
  if ((d->tail >> CHUNK_BITS) - (d->head >> CHUNK_BITS) >= d->n_chunks) {
    size_t n = d->n_chunks ? 2 * d->n_chunks : 16;
    hl_hash **chunks = hl_alloc(n * sizeof(hl_hash *));
    for (size_t i = 0; i < d->n_chunks; i++) {
      uint64_t k = (d->head >> CHUNK_BITS) + i;
      chunks[k & (n - 1)] = d->chunks[k & (d->n_chunks - 1)];
    }
    hl_free(d->chunks);
    d->chunks = chunks;
    d->n_chunks = n;
  }
  hl_hash **chunk = chunk_of(d, d->tail);
  if (!*chunk) *chunk = hl_realloc(NULL, CHUNK * sizeof **chunk);
  if (d->tail - d->head < d->slots / 2) return;
  leave_old(d, SIZE_MAX); /* done long since: MOVE is more than one */
  d->old = d->table;
  d->old_slots = d->slots;
  d->moved = d->head;
  d->split = d->tail;
  d->slots = d->slots ? 2 * d->slots : FIRST_SLOTS;
  d->table = hl_alloc(d->slots * sizeof *d->table);
}

static void leave(hl_dedupe *d, int64_t now) {
  while (d->n_ages > 1 && d->ages[1].at <= now - d->window_ms) {
    while (d->head < d->ages[1].place) drop_oldest(d);
    forget_ages(d);
  }
  for (int i = 0; i < LET_GO && d->head < d->saved; i++) drop_oldest(d);
  while (d->tail - d->head >= d->max) {
    forget_ages(d);
    if (d->head >= d->saved) d->pushed_out = d->n_ages > 1 ? d->ages[1].at : now;
    drop_oldest(d);
  }
}

/* The mark that `place` lies behind. */
static const age *age_of(const hl_dedupe *d, uint64_t place) {
  size_t lo = 0, hi = d->n_ages;
  while (hi - lo > 1) {
    size_t mid = (lo + hi) / 2;
    if (d->ages[mid].place <= place) lo = mid;
    else hi = mid;
  }
  return &d->ages[lo];
}

static void mark(hl_dedupe *d, int64_t now) {
  const age *last = d->n_ages ? &d->ages[d->n_ages - 1] : NULL;
  if (d->inside && d->row) return; /* rows stay whole */
  if (last && !d->cut && now - last->at < HL_DEDUPE_MARK_MS && d->tail - last->place < d->mark_places) return;
  if (d->n_ages == d->cap_ages) {
    forget_ages(d);
    if (d->n_ages == d->cap_ages) {
      d->cap_ages = d->cap_ages ? 2 * d->cap_ages : 64;
      d->ages = hl_realloc(d->ages, d->cap_ages * sizeof *d->ages);
    }
  }
  d->ages[d->n_ages++] = (age){now, d->tail, d->row, d->row_before, d->cut};
  d->cut = false;
}

static void take_out(hl_dedupe *d, found where, size_t slot, uint64_t place) {
  *at(d, place) = (hl_hash){0, 0};
  /* The entry goes after its hash was zeroed: closing the gap looks at other entries only. */
  if (where == IN_TABLE) unslot(d, slot);
  d->live--;
}

void hl_dedupe_prefetch(const hl_dedupe *d, hl_hash h) {
  if (d->slots) __builtin_prefetch(&d->table[slot_of(h, d->slots)], 1);
  if (d->old) __builtin_prefetch(&d->old[slot_of(h, d->old_slots)]);
}

bool hl_dedupe_has(const hl_dedupe *d, hl_hash h, int64_t now) {
  int64_t after = now - d->window_ms - HL_DEDUPE_MARK_MS;
  size_t slot;
  uint64_t place;
  if (d->slots && find(d, h, &slot, &place)) return age_of(d, place)->at > after;
  return d->beyond && d->beyond(d->beyond_arg, h, after);
}

bool hl_dedupe_add(hl_dedupe *d, hl_hash h, int64_t now) {
  int64_t after = now - d->window_ms - HL_DEDUPE_MARK_MS;
  size_t slot;
  uint64_t place;
  leave(d, now);
  leave_old(d, MOVE);
  grow(d);
  found where = find(d, h, &slot, &place);
  if (where) {
    if (age_of(d, place)->at > after) return false;
    take_out(d, where, slot, place);
    find(d, h, &slot, &place);
  } else if (d->beyond && d->beyond(d->beyond_arg, h, after)) {
    return false;
  }
  mark(d, now);
  *at(d, d->tail) = h;
  d->table[slot] = entry_of(h, d->tail);
  d->tail++;
  d->live++;
  d->inside = true;
  return true;
}

void hl_dedupe_remove(hl_dedupe *d, hl_hash h) {
  size_t slot;
  uint64_t place;
  found where = d->slots ? find(d, h, &slot, &place) : ABSENT;
  if (where) take_out(d, where, slot, place);
}

size_t hl_dedupe_count(const hl_dedupe *d) { return d->live; }

int64_t hl_dedupe_window_ms(const hl_dedupe *d, int64_t now) {
  if (!d->pushed_out) return d->window_ms;
  int64_t reach = now - d->pushed_out;
  if (reach < 0) reach = 0;
  return reach < d->window_ms ? reach : d->window_ms;
}

/* ---- for what is kept elsewhere ---- */

void hl_dedupe_beyond(hl_dedupe *d, bool (*has)(void *arg, hl_hash h, int64_t after), void *arg) {
  d->beyond = has;
  d->beyond_arg = arg;
}

void hl_dedupe_row(hl_dedupe *d, int64_t row) {
  if (d->inside) d->row_before = d->row;
  d->row = row;
  d->inside = false;
}

void hl_dedupe_cut(hl_dedupe *d) { d->cut = true; }

void hl_dedupe_settle(hl_dedupe *d, uint64_t end) {
  if (end > d->settled) d->settled = end;
}

uint64_t hl_dedupe_end(const hl_dedupe *d) { return d->tail; }

bool hl_dedupe_oldest(hl_dedupe *d, size_t max, hl_generation *out) {
  uint64_t from = d->head > d->saved ? d->head : d->saved;
  size_t first = 0, last;
  forget_ages(d);
  /* What is left of a run whose beginning had to leave goes without a segment. */
  while (first < d->n_ages && d->ages[first].place < from) first++;
  for (last = first; last + 1 < d->n_ages; last++) {
    const age *next = &d->ages[last + 1];
    if (next->place > d->settled || (last > first && next->place - d->ages[first].place > max)) break;
    if (next->cut) {
      last++;
      break;
    }
  }
  if (last == first || last >= d->n_ages) return false;
  const age *a = &d->ages[first], *b = &d->ages[last];
  hl_dated *v = hl_try_realloc(NULL, (size_t)(b->place - a->place) * sizeof *v);
  if (!v) return false;
  if (a->place > from) d->pushed_out = a->at;
  *out = (hl_generation){.v = v, .first_row = a->row, .last_row = b->before, .from = a->at, .to = b[-1].at,
                         .next = a->place, .end = b->place};
  return true;
}

bool hl_dedupe_copy(hl_dedupe *d, hl_generation *g, size_t most) {
  if (g->next < d->head) return false;
  uint64_t stop = g->end - g->next > most ? g->next + most : g->end;
  while (g->next < stop) {
    const age *run = age_of(d, g->next), *end = d->ages + d->n_ages;
    uint64_t upto = run + 1 < end && run[1].place < stop ? run[1].place : stop;
    /* The clock may have stepped back: a little too young is on the safe side. */
    int64_t ms = run->at - g->from;
    uint32_t age_ms = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    for (; g->next < upto; g->next++) {
      hl_hash h = *at(d, g->next);
      if (h.a || h.b) g->v[g->n++] = (hl_dated){h, age_ms};
    }
  }
  return true;
}

void hl_dedupe_saved(hl_dedupe *d, uint64_t end) {
  if (end > d->saved) d->saved = end;
}

size_t hl_dedupe_held(const hl_dedupe *d) {
  uint64_t from = d->head > d->saved ? d->head : d->saved;
  return (size_t)(d->tail - from);
}
