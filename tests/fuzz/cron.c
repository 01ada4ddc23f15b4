/* Cron expressions, in a zone that the first byte chooses: no crash and no endless
 * search; what is taken comes, in order, and at the minutes that it names. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const zones[] = {"Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "UTC"};
  static hl_tz *loaded[HL_COUNT(zones)];
  hl_cron cron;
  if (size == 0 || hl_cron_parse((hl_str){(const char *)data + 1, size - 1}, &cron, NULL)) return 0;
  hl_tz **tz = &loaded[data[0] % HL_COUNT(zones)];
  if (!*tz) assert(hl_tz_load(zones[data[0] % HL_COUNT(zones)], tz, NULL) == 0);
  int64_t now = INT64_C(1788249600000) + data[0] * HL_DAY;
  for (int i = 0; i < 3; i++) {
    hl_civil c;
    int64_t next = hl_cron_next(&cron, *tz, now);
    assert(next > now);
    if (next == INT64_MAX) { /* only ever in the hour that is skipped */
      assert(cron.elapsing);
      break;
    }
    hl_tz_civil(*tz, next, &c);
    assert(c.second == 0 && (!cron.elapsing || (cron.minutes >> c.minute & cron.hours >> c.hour & 1)));
    now = next;
  }
  return 0;
}
