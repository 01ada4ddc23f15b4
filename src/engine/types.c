#include "engine/types.h"

#include "engine/engine.h"

const char *const hl_event_types[] = {
#define X(name) name,
    HL_EVENT_TYPES(X)
#undef X
    NULL,
};

bool hl_event_type_known(const char *type, const char **nearest) {
  for (const char *const *t = hl_event_types; *t; t++)
    if (strcmp(*t, type) == 0) return true;
  if (nearest) *nearest = hl_str_nearest(hl_str_of(type), hl_event_types);
  return false;
}
