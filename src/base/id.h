/* Random bytes and ids. Seeded (virtual time) or from the system. */
#ifndef HL_BASE_ID_H
#define HL_BASE_ID_H

#include <stddef.h>
#include <stdint.h>

typedef struct hl_rng { uint64_t s[4]; } hl_rng;  /* xoshiro256**; caller's memory */

void hl_rng_init(hl_rng *r, uint64_t seed);
void hl_rng_init_system(hl_rng *r);
uint64_t hl_rng_next(hl_rng *r);
uint64_t hl_rng_below(hl_rng *r, uint64_t n);   /* uniform in [0,n), n > 0 */
double hl_rng_unit(hl_rng *r);                  /* [0,1) */
void hl_rng_uuid(hl_rng *r, char out[37]);      /* version 4 text */

#endif
