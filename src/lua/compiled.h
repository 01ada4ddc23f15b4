/* Inside src/lua. Shipped modules as Lua's compiler left them: each state loads its own, and compiling is most of what a new
 * state costs. */
#ifndef HL_LUA_COMPILED_H
#define HL_LUA_COMPILED_H

#include <lua.h>

#include "base/embed.h"

/* As luaL_loadbufferx of the text. A process that loads a module once keeps nothing of it; from the second time on the
 * binary chunk is kept, for all states and threads, until the process ends. */
int hl_compiled_load(lua_State *L, const hl_embedded *file, const char *chunk_name);

#endif
