#include "engine/heard.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
  MAX_MARKS = 4000000,
  MAX_PIECES = 1 << 16,
  PIECE_ROWS = 256, PIECE_MARKS = 512, /* a piece ends with the row that reaches one of them */
  PIECES_A_TURN = 1024,
};

/* Rows first to last. The one at the end grows as rows come, its marks unsorted. */
typedef struct piece {
  int64_t first, last;
  unsigned kinds;              /* that were known */
  uint32_t n;
  uint32_t *marks;             /* sorted; NULL: none */
} piece;

struct hl_heard {
  piece *v;                    /* by rows; they do not overlap */
  size_t n, cap, marks, max;
  unsigned kinds;
  bool open;                   /* the last one grows */
  size_t open_cap;
};

hl_heard *hl_heard_new(size_t max) {
  hl_heard *h = HL_NEW(hl_heard);
  h->max = max ? max : MAX_MARKS;
  return h;
}

void hl_heard_free(hl_heard *h) {
  if (!h) return;
  for (size_t i = 0; i < h->n; i++) hl_free(h->v[i].marks);
  hl_free(h->v);
  hl_free(h);
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

void hl_heard_sort(uint32_t *marks, size_t n) {
  if (n) qsort(marks, n, sizeof *marks, compare);
}

static void close_piece(hl_heard *h) {
  if (!h->open) return;
  piece *p = &h->v[h->n - 1];
  h->open = false;
  if (!p->n) return;
  hl_heard_sort(p->marks, p->n);
  p->marks = hl_realloc(p->marks, p->n * sizeof *p->marks);
}

/* The oldest go, some at once. */
static void make_room(hl_heard *h) {
  size_t gone = 0, to = h->max - h->max / 8;
  if (h->n < MAX_PIECES && h->marks < h->max) return;
  close_piece(h);
  while (gone < h->n && (h->marks > to || h->n - gone > MAX_PIECES - MAX_PIECES / 8)) {
    h->marks -= h->v[gone].n;
    hl_free(h->v[gone++].marks);
  }
  h->n -= gone;
  memmove(h->v, h->v + gone, h->n * sizeof *h->v);
}

/* The first piece that ends at `row` or later. */
static size_t piece_at(const hl_heard *h, int64_t row) {
  size_t low = 0, high = h->n;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (h->v[mid].last < row) low = mid + 1;
    else high = mid;
  }
  return low;
}

static piece *insert(hl_heard *h, size_t at, int64_t first, int64_t last) {
  if (h->n == h->cap) {
    h->cap = h->cap ? 2 * h->cap : 64;
    h->v = hl_realloc(h->v, h->cap * sizeof *h->v);
  }
  memmove(h->v + at + 1, h->v + at, (h->n++ - at) * sizeof *h->v);
  h->v[at] = (piece){.first = first, .last = last, .kinds = h->kinds};
  return &h->v[at];
}

void hl_heard_kind(hl_heard *h) {
  close_piece(h);
  h->kinds++;
}

void hl_heard_row(hl_heard *h, int64_t row) {
  piece *p = h->open ? &h->v[h->n - 1] : NULL;
  if (p && row <= p->last) return;
  bool full = p && (row - p->first >= PIECE_ROWS || p->n >= PIECE_MARKS);
  if (p && !full) {
    p->last = row;
    return;
  }
  int64_t first = full ? p->last + 1 : row;
  close_piece(h);
  make_room(h);
  insert(h, h->n, first, row);
  h->open = true;
  h->open_cap = 0;
}

void hl_heard_mark(hl_heard *h, uint32_t mark) {
  piece *p = &h->v[h->n - 1];
  if (p->n == h->open_cap) {
    h->open_cap = h->open_cap ? 2 * h->open_cap : 16;
    p->marks = hl_realloc(p->marks, h->open_cap * sizeof mark);
  }
  p->marks[p->n++] = mark;
  h->marks++;
}

void hl_heard_read(hl_heard *h, int64_t from, int64_t to, const uint32_t *marks, size_t n) {
  make_room(h);
  size_t at = piece_at(h, from);
  if (from > to || n > h->max / 2 || (at < h->n && h->v[at].first <= to)) return; /* somebody else was faster */
  if (at == h->n) close_piece(h);
  piece *p = insert(h, at, from, to);
  if (!n) return;
  p->marks = hl_alloc(n * sizeof *marks);
  memcpy(p->marks, marks, n * sizeof *marks);
  p->n = (uint32_t)n;
  h->marks += n;
  hl_heard_sort(p->marks, n);
}

static bool has(const uint32_t *sorted, size_t n, uint32_t mark) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (sorted[mid] == mark) return true;
    if (sorted[mid] < mark) low = mid + 1;
    else high = mid;
  }
  return false;
}

static bool meets(const piece *p, bool open, const uint32_t *marks, size_t n) {
  if (!open && n < p->n) {
    for (size_t i = 0; i < n; i++)
      if (has(p->marks, p->n, marks[i])) return true;
    return false;
  }
  for (size_t i = 0; i < p->n; i++)
    if (has(marks, n, p->marks[i])) return true;
  return false;
}

hl_heard_what hl_heard_next(hl_heard *h, int64_t from, int64_t to, const uint32_t *marks, size_t n, int64_t *a, int64_t *b) {
  size_t at = piece_at(h, from);
  for (int looked = 0; from <= to; looked++) {
    piece *p = at < h->n ? &h->v[at] : NULL;
    bool open = p && h->open && at == h->n - 1;
    *a = from;
    if (looked == PIECES_A_TURN) return HL_HEARD_LATER;
    if (p && p->first <= from && p->kinds < h->kinds) { /* it is read again */
      h->marks -= p->n;
      hl_free(p->marks);
      memmove(p, p + 1, (--h->n - at) * sizeof *p);
      continue;
    }
    if (!p || p->first > from) {
      *b = p && p->first <= to ? p->first - 1 : to;
      return HL_HEARD_UNKNOWN;
    }
    if (meets(p, open, marks, n)) {
      *b = p->last < to ? p->last : to;
      return HL_HEARD_PERHAPS;
    }
    from = p->last + 1;
    at++;
  }
  return HL_HEARD_NOTHING;
}
