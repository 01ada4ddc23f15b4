#include "engine/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* The file: header, hashes in ascending order, then for each the milliseconds of
 * its receipt after `from`. Native byte order: a store does not travel without
 * being backed up, and a segment that cannot be read is made again. */
typedef struct header {
  char magic[8];
  uint64_t count;
  int64_t first_row, last_row;
  int64_t from, to;          /* receipt of the oldest and the youngest, epoch ms */
  uint64_t body_sum, sum;    /* sum: of the fields before it */
} header;

static const char MAGIC[8] = "HLDEDUP1";

enum { BLOCK_WORDS = 8, BLOCK_BITS = 512, PROBES = 6, BITS_A_HASH = 11 };

struct hl_segment {
  char *path;
  void *map;
  size_t bytes;
  header head;
  const hl_hash *hashes;
  const uint32_t *ages;
  uint64_t *filter;          /* blocks of one cache line */
  uint64_t blocks;
};

static uint64_t mix(uint64_t h, uint64_t w) {
  h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
  return h ^ (h >> 32);
}

/* Four lanes, so that checking a file costs no more than reading it. `n` is a
 * multiple of four bytes. */
static uint64_t sum_of(const unsigned char key[HL_SEGMENT_KEY_BYTES], const void *p, size_t n) {
  uint64_t lane[4], w[4], k[2];
  const unsigned char *at = p;
  memcpy(k, key, sizeof k);
  for (int i = 0; i < 4; i++) lane[i] = mix(k[i & 1], (uint64_t)i + n);
  for (; n >= sizeof w; n -= sizeof w, at += sizeof w) {
    memcpy(w, at, sizeof w);
    for (int i = 0; i < 4; i++) lane[i] = mix(lane[i], w[i]);
  }
  memset(w, 0, sizeof w);
  memcpy(w, at, n);
  for (int i = 0; i < 4; i++) lane[0] = mix(lane[0], mix(lane[i], w[i]));
  return lane[0];
}

static int order(const void *x, const void *y) {
  const hl_dated *a = x, *b = y;
  if (a->hash.a != b->hash.a) return a->hash.a < b->hash.a ? -1 : 1;
  return (a->hash.b > b->hash.b) - (a->hash.b < b->hash.b);
}

static int write_all(int fd, const void *p, size_t n) {
  const char *at = p;
  while (n) {
    ssize_t w = write(fd, at, n);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return -1;
    at += w;
    n -= (size_t)w;
  }
  return 0;
}

static void sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? hl_strndup(path, (size_t)(slash - path) + 1) : hl_strdup(".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  hl_free(folder);
}

int hl_segment_write(const char *path, const unsigned char key[HL_SEGMENT_KEY_BYTES], hl_generation *g, hl_error *err) {
  size_t bytes = g->n * (sizeof(hl_hash) + sizeof(uint32_t));
  hl_hash *hashes = hl_try_alloc(bytes ? bytes : 1);
  char *tmp = NULL;
  int fd = -1, rc = 0;
  if (!hashes) return hl_fail(err, HL_ENOMEM, "cannot write %s: no memory to sort %zu hashes", path, g->n);
  uint32_t *ages = (uint32_t *)(void *)(hashes + g->n);
  if (g->n) qsort(g->v, g->n, sizeof *g->v, order);
  header head = {.count = g->n, .first_row = g->first_row, .last_row = g->last_row, .from = g->from, .to = g->to};
  memcpy(head.magic, MAGIC, sizeof head.magic);
  for (size_t i = 0; i < g->n; i++) {
    hashes[i] = g->v[i].hash;
    ages[i] = g->v[i].age;
  }
  head.body_sum = sum_of(key, hashes, bytes);
  head.sum = sum_of(key, &head, offsetof(header, sum));
  hl_buf b;
  hl_buf_init(&b, 1 << 16);
  hl_buf_printf(&b, "%s.tmp", path);
  tmp = hl_buf_detach(&b, NULL);
  fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write_all(fd, &head, sizeof head) || write_all(fd, hashes, bytes) || fsync(fd) || rename(tmp, path)) {
    rc = errno == ENOSPC || errno == EDQUOT
             ? hl_fail(err, HL_EFULL, "cannot write %s: the disk is full", path)
             : hl_fail(err, HL_EIO, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0) unlink(tmp);
  } else {
    sync_folder(path);
  }
  if (fd >= 0) close(fd);
  hl_free(tmp);
  hl_free(hashes);
  return rc;
}

/* ---- the filter: a block of 512 bits is picked by one half, the bits in it by the other ---- */

static uint64_t *block_of(const hl_segment *s, hl_hash h) {
  uint64_t folded = h.b ^ (h.b >> 29);
  return s->filter + folded % s->blocks * BLOCK_WORDS;
}

static void filter_make(hl_segment *s) {
  s->blocks = s->head.count * BITS_A_HASH / BLOCK_BITS + 1;
  s->filter = hl_alloc(s->blocks * BLOCK_WORDS * sizeof *s->filter);
  for (uint64_t i = 0; i < s->head.count; i++) {
    uint64_t *block = block_of(s, s->hashes[i]), bits = s->hashes[i].a;
    for (int p = 0; p < PROBES; p++, bits >>= 9) block[bits >> 6 & 7] |= UINT64_C(1) << (bits & 63);
  }
}

static bool filter_may(const hl_segment *s, hl_hash h) {
  const uint64_t *block = block_of(s, h);
  uint64_t bits = h.a;
  for (int p = 0; p < PROBES; p++, bits >>= 9)
    if (!(block[bits >> 6 & 7] >> (bits & 63) & 1)) return false;
  return true;
}

/* ---- reading ---- */

static int damaged(const char *path, hl_error *err) {
  return hl_fail(err, HL_ECORRUPT, "%s is damaged or of another store", path);
}

int hl_segment_open(const char *path, const unsigned char key[HL_SEGMENT_KEY_BYTES], hl_segment **out, hl_error *err) {
  hl_segment *s = HL_NEW(hl_segment);
  struct stat st;
  int rc = 0;
  s->path = hl_strdup(path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st)) {
    rc = hl_fail(err, HL_EIO, "cannot read %s: %s", path, strerror(errno));
    goto out;
  }
  if (st.st_size < (off_t)sizeof(header)) {
    rc = damaged(path, err);
    goto out;
  }
  size_t bytes = (size_t)st.st_size;
  void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    rc = hl_fail(err, HL_EIO, "cannot map %s: %s", path, strerror(errno));
    goto out;
  }
  s->map = map;
  s->bytes = bytes;
  memcpy(&s->head, map, sizeof s->head);
  const header *h = &s->head;
  size_t body = bytes - sizeof *h;
  /* The size is compared before anything is taken from it. */
  if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0 || body % (sizeof(hl_hash) + sizeof(uint32_t)) ||
      h->count != body / (sizeof(hl_hash) + sizeof(uint32_t)) || h->sum != sum_of(key, h, offsetof(header, sum)) ||
      h->body_sum != sum_of(key, (const char *)map + sizeof *h, body)) {
    rc = damaged(path, err);
    goto out;
  }
  s->hashes = (const hl_hash *)(const void *)((const char *)map + sizeof *h);
  s->ages = (const uint32_t *)(const void *)(s->hashes + h->count);
  filter_make(s);
  madvise(map, bytes, MADV_RANDOM);
  *out = s;
out:
  if (fd >= 0) close(fd);
  if (rc) hl_segment_free(s);
  return rc;
}

void hl_segment_free(hl_segment *s) {
  if (!s) return;
  if (s->map) munmap(s->map, s->bytes);
  hl_free(s->filter);
  hl_free(s->path);
  hl_free(s);
}

static bool below(const hl_hash *x, hl_hash h) { return x->a != h.a ? x->a < h.a : x->b < h.b; }

/* The first place not below `h`. Hashes are even, so the search begins where
 * this one should be and touches few pages. */
static uint64_t place_of(const hl_segment *s, hl_hash h) {
  uint64_t n = s->head.count, lo = 0, hi = n;
  uint64_t guess = (h.a >> 32) * n >> 32, step = 64;
  if (guess < n && below(&s->hashes[guess], h)) {
    lo = guess + 1;
    while (lo + step < n && below(&s->hashes[lo + step], h)) {
      lo += step + 1;
      step *= 4;
    }
    if (lo + step < n) hi = lo + step;
  } else if (guess < n) {
    hi = guess;
    while (hi > step && !below(&s->hashes[hi - step], h)) {
      hi -= step;
      step *= 4;
    }
    if (hi > step) lo = hi - step;
  }
  while (lo < hi) {
    uint64_t mid = lo + (hi - lo) / 2;
    if (below(&s->hashes[mid], h)) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

bool hl_segment_has(const hl_segment *s, hl_hash h, int64_t after) {
  if (s->head.to <= after || !s->head.count || !filter_may(s, h)) return false;
  uint64_t i = place_of(s, h);
  /* The same hash twice: an event that came again after its window. */
  for (; i < s->head.count && s->hashes[i].a == h.a && s->hashes[i].b == h.b; i++)
    if (s->head.from + (int64_t)s->ages[i] > after) return true;
  return false;
}

int64_t hl_segment_first_row(const hl_segment *s) { return s->head.first_row; }
int64_t hl_segment_last_row(const hl_segment *s) { return s->head.last_row; }
int64_t hl_segment_last_at(const hl_segment *s) { return s->head.to; }
size_t hl_segment_count(const hl_segment *s) { return (size_t)s->head.count; }
const char *hl_segment_path(const hl_segment *s) { return s->path; }
