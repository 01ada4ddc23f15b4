/* The monotonic clock for what runs without a loop. Elsewhere hl_loop_mono. */
#ifndef HL_LOOP_CLOCK_H
#define HL_LOOP_CLOCK_H

#include <stdint.h>

int64_t hl_clock_mono(void); /* ms */

#endif
