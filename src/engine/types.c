#include "engine/types.h"

#include "engine/engine.h"

const char *const hl_event_types[] = {
#define X(name) name,
    HL_EVENT_TYPES(X)
#undef X
    NULL,
};

static const char *const derived[] = {
#define X(name) name,
    HL_DERIVED_TYPES(X)
#undef X
    NULL,
};

static bool has(const char *const *list, const char *type) {
  while (*list && strcmp(*list, type) != 0) list++;
  return *list != NULL;
}

bool hl_event_type_derived(const char *type) { return has(derived, type); }

bool hl_event_type_known(const char *type, const char **nearest) {
  static const char *const all[] = {
#define X(name) name,
      HL_EVENT_TYPES(X) HL_DERIVED_TYPES(X)
#undef X
      NULL,
  };
  if (has(hl_event_types, type)) return true;
  if (nearest) *nearest = hl_str_nearest(hl_str_of(type), all);
  return false;
}
