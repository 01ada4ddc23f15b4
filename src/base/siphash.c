#include "base/siphash.h"

typedef struct sip { uint64_t v0, v1, v2, v3; } sip;

static inline uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static inline uint64_t little(const unsigned char *p) {
  uint64_t x;
  memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  return x;
}

static inline void rounds(sip *s, int n) {
  while (n--) {
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
  }
}

void hl_siphash128(const unsigned char key[HL_SIPHASH_KEY_BYTES], const void *data, size_t n, uint64_t out[2]) {
  const unsigned char *p = data;
  uint64_t k0 = little(key), k1 = little(key + 8), last = (uint64_t)n << 56;
  sip s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
           k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t m = little(p);
    s.v3 ^= m;
    rounds(&s, 2);
    s.v0 ^= m;
  }
  for (size_t k = 0; k < n; k++) last |= (uint64_t)p[k] << (8 * k);
  s.v3 ^= last;
  rounds(&s, 2);
  s.v0 ^= last;
  s.v2 ^= 0xee;
  rounds(&s, 4);
  out[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  s.v1 ^= 0xdd;
  rounds(&s, 4);
  out[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
