/* Durations, ISO and HTTP times and time zone names, chosen by the first byte: no
 * crash; what is accepted stays in its range. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  hl_str s = {(const char *)data + 1, size - 1};
  int64_t ms = 0;
  hl_tz *tz;
  char iso[25];
  switch (data[0] % 4) {
    case 0:
      if (hl_duration_parse(s, &ms, NULL) == 0) assert(ms >= 0);
      break;
    case 1:
      if (hl_time_parse(s, &ms, NULL) == 0) {
        int64_t back;
        hl_time_iso(ms, iso);
        if (ms >= 0 && ms < INT64_C(253402300800000)) assert(hl_time_parse(hl_str_of(iso), &back, NULL) == 0 && back == ms);
      }
      break;
    case 2: {
      char *name = hl_strndup(s.p, s.n);
      if (hl_tz_load(name, &tz, NULL) == 0) hl_tz_free(tz);
      hl_free(name);
      break;
    }
    default:
      if (hl_time_parse_http(s, &ms) == 0) {
        hl_time_iso(ms, iso);
        assert(iso[24] == 0 && iso[23] == 'Z');
      }
      break;
  }
  return 0;
}
