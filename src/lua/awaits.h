/* Inside src/lua. No Lua is called here. */
#ifndef HL_LUA_AWAITS_H
#define HL_LUA_AWAITS_H

#include "base/str.h"

/* Calls `each` for every wait("name", "type", { property = "…" }) of a Lua text that is not in a comment or string.
 * property.p NULL: none is told. */
typedef void (*hl_awaited_cb)(void *arg, hl_str type, hl_str property);
void hl_awaited_types(hl_str text, hl_awaited_cb each, void *arg);

#endif
