#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t splitmix(uint64_t *x) {
  uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

void hl_rng_init(hl_rng *r, uint64_t seed) {
  for (int i = 0; i < 4; i++) r->s[i] = splitmix(&seed);
}

void hl_rng_init_system(hl_rng *r) {
  uint64_t seed[4];
  if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) abort();
  for (int i = 0; i < 4; i++) r->s[i] = seed[i] | (i == 0);
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

/* xoshiro256** 1.0 (Blackman, Vigna; public domain algorithm). */
uint64_t hl_rng_next(hl_rng *r) {
  uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return result;
}

uint64_t hl_rng_below(hl_rng *r, uint64_t n) {
  uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;
  do v = hl_rng_next(r);
  while (v >= limit);
  return v % n;
}

double hl_rng_unit(hl_rng *r) { return (double)(hl_rng_next(r) >> 11) * 0x1.0p-53; }

void hl_rng_uuid(hl_rng *r, char out[37]) {
  uint64_t a = hl_rng_next(r), b = hl_rng_next(r);
  a = (a & ~UINT64_C(0xf000)) | 0x4000;
  b = (b & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62);
  snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffffu,
           (unsigned)a & 0xffffu, (unsigned)(b >> 48), (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}
