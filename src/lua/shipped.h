/* Shipped Lua that a command runs for its text: what is policy and words, not a
 * script. In a state of its own, in which nothing waits and no account is known.
 * Any command; never called from a script. */
#ifndef HL_LUA_SHIPPED_H
#define HL_LUA_SHIPPED_H

#include "base/err.h"
#include "base/str.h"

/* Calls the function that the shipped module ("hubspot.reference") returns with
 * strings (NULL: nil) and appends the string it gives. HL_EINVAL with the second
 * result when it gives nil; HL_ESCRIPT when it raises, which is a bug of ours. */
int hl_shipped_call(const char *module, const char *const *args, size_t n, hl_buf *out, hl_error *err);

#endif
