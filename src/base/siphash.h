/* SipHash-2-4 with 128 bits of result (Aumasson, Bernstein, 2012): a keyed hash
 * of short texts. The same as libcrypto's SIPHASH, whose set-up costs three times
 * the hash of a webhook event. Any thread. */
#ifndef HL_BASE_SIPHASH_H
#define HL_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { HL_SIPHASH_KEY_BYTES = 16 };
/* out: the 16 bytes of the result as two little-endian numbers. */
void hl_siphash128(const unsigned char key[HL_SIPHASH_KEY_BYTES], const void *data, size_t n, uint64_t out[2]);

#endif
