#include "hubspot/breaker.h"

#include "base/err.h"
#include "base/mem.h"

enum { ROW_MS = 60 * 1000, SILENT_MS = 2 * 60 * 1000 };

bool hl_breaker_is_failure(int status, int code) {
  if (status) return status >= 500 && status != 501; /* 501 is about the path */
  return code == HL_ENET || code == HL_ETIMEOUT || code == HL_EPROTOCOL;
}

static bool knows(const hl_breaker *b, uint64_t family) {
  for (size_t i = 0; i < b->n_families; i++)
    if (b->families[i] == family) return true;
  return b->n_families == HL_COUNT(b->families);
}

static void wait_for_next(hl_breaker *b, int64_t now, double unit) {
  b->next = now + b->interval + (int64_t)((double)b->interval / 4 * unit);
  b->interval = b->interval * 2 > HL_BREAKER_LONGEST_MS ? HL_BREAKER_LONGEST_MS : b->interval * 2;
}

bool hl_breaker_failed(hl_breaker *b, int64_t now, uint64_t family, bool probe, double unit) {
  if (!b->open && b->failures && now - b->last > ROW_MS) *b = (hl_breaker){0};
  if (!b->failures++) b->since = now;
  b->last = now;
  if (!knows(b, family)) b->families[b->n_families++] = family;
  if (b->open) {
    if (!probe) return false; /* it was out when the circuit opened */
    b->probing = false;
    if (now >= b->next) wait_for_next(b, now, unit);
    return false;
  }
  if (b->failures < HL_BREAKER_ROW) return false;
  b->open = true;
  b->opened = now;
  b->interval = HL_BREAKER_FIRST_MS;
  b->others = HL_BREAKER_OTHERS;
  wait_for_next(b, now, unit);
  return true;
}

bool hl_breaker_answered(hl_breaker *b) {
  bool was = b->open;
  *b = (hl_breaker){0};
  return was;
}

int64_t hl_breaker_free_at(const hl_breaker *b, int64_t now) {
  if (!b->open) return now;
  if (b->probing && now - b->asked < SILENT_MS) return INT64_MAX;
  return b->next > now ? b->next : now;
}

bool hl_breaker_may_try(const hl_breaker *b, uint64_t family) {
  return b->open && !b->probing && b->others && !knows(b, family);
}

bool hl_breaker_sent(hl_breaker *b, int64_t now) {
  if (!b->open) return false;
  b->probing = true;
  b->asked = now;
  if (now < b->next && b->others) b->others--;
  return true;
}

void hl_breaker_gone(hl_breaker *b) { b->probing = false; }
