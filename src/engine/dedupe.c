#include "engine/dedupe.h"

#include "base/mem.h"

/* `ring` holds the hashes in order of arrival; place p is ring[p & (cap - 1)].
 * `table` maps to places: the upper half of an entry is a part of the hash, so
 * that a miss costs one cache line, the lower half the place's low 32 bits plus
 * one (0: free). The table is at most half full. Ages are kept for runs of
 * hashes: a mark a minute, and one for every MARK_PLACES, so that generations
 * can end there. A mark begins a row: what lies between two marks is whole rows. */
typedef struct age {
  int64_t at;
  uint64_t place;            /* of the first hash received then */
  int64_t row, before;       /* of that hash; of the hash before it */
  bool cut;
} age;

struct hl_dedupe {
  hl_hash *ring;
  uint64_t head, tail;       /* places: [head, tail) */
  uint64_t settled, saved;   /* below: committed; kept elsewhere */
  size_t cap, max;
  uint64_t *table;
  size_t slots;
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

static void take_out(hl_dedupe *d, size_t slot) {
  *at(d, place_of(d, d->table[slot])) = (hl_hash){0, 0};
  /* The entry goes after its hash was zeroed: closing the gap looks at other entries only. */
  unslot(d, slot);
  d->live--;
}

void hl_dedupe_prefetch(const hl_dedupe *d, hl_hash h) {
  if (d->slots) __builtin_prefetch(&d->table[slot_of(d, h)], 1);
}

bool hl_dedupe_add(hl_dedupe *d, hl_hash h, int64_t now) {
  int64_t after = now - d->window_ms - HL_DEDUPE_MARK_MS;
  size_t slot;
  leave(d, now);
  if (d->tail - d->head == d->cap) grow(d);
  if (find(d, h, &slot)) {
    if (age_of(d, place_of(d, d->table[slot]))->at > after) return false;
    take_out(d, slot);
    find(d, h, &slot);
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
  if (d->slots && find(d, h, &slot)) take_out(d, slot);
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
  hl_dated *v = hl_try_alloc((size_t)(b->place - a->place) * sizeof *v);
  if (!v) return false;
  if (a->place > from) d->pushed_out = a->at;
  *out = (hl_generation){.v = v, .first_row = a->row, .last_row = b->before, .from = a->at, .to = b[-1].at, .end = b->place};
  for (size_t k = first; k < last; k++) {
    for (uint64_t p = d->ages[k].place; p < d->ages[k + 1].place; p++) {
      hl_hash h = *at(d, p);
      /* The clock may have stepped back: a little too young is on the safe side. */
      int64_t age_ms = d->ages[k].at - a->at;
      if (h.a || h.b) v[out->n++] = (hl_dated){h, age_ms < 0 ? 0 : age_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)age_ms};
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
