#include "hubspot/retry.h"

#include "base/err.h"
#include "base/str.h"

enum { FIRST_MS = 500, LONGEST_MS = 30000, LOCKED_MS = 2000 };

hl_retry hl_retry_decide(int status, int code, bool sent, bool safe) {
  switch (status) {
  case 0:
    if (code != HL_ENET && code != HL_ETIMEOUT && code != HL_EPROTOCOL)
      return !sent || safe ? HL_RETRY_NEVER : HL_RETRY_UNCERTAIN;
    if (!sent || safe) return HL_RETRY_AGAIN;
    return HL_RETRY_UNCERTAIN;
  /* Refused before anything was done. */
  case 423: case 429: case 477: case 503: case 521: case 522: case 523:
    return HL_RETRY_AGAIN;
  /* A gateway gave up waiting; what is behind it may have gone on. */
  case 502: case 504: case 524:
    return safe ? HL_RETRY_AGAIN : HL_RETRY_UNCERTAIN;
  default:
    return HL_RETRY_NEVER;
  }
}

int64_t hl_retry_after_ms(int status, const char *value) {
  int64_t v;
  if (hl_str_int64(hl_str_of(value), &v) || v <= 0) return 0;
  bool seconds = status != 429 || v <= 120;
  if (seconds) v = v > HL_RETRY_DEADLINE_MS / 1000 ? HL_RETRY_DEADLINE_MS : v * 1000;
  return v > HL_RETRY_DEADLINE_MS ? HL_RETRY_DEADLINE_MS : v;
}

int64_t hl_retry_delay(unsigned attempt, int status, int64_t after, double unit) {
  int64_t top = FIRST_MS;
  for (unsigned i = 1; i < attempt && top < LONGEST_MS; i++) top *= 2;
  if (top > LONGEST_MS) top = LONGEST_MS;
  int64_t ms = 1 + (int64_t)((double)top * unit);
  if (status == 423) ms += LOCKED_MS;
  return after + ms;
}
