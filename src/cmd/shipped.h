/* The automations of scripts/ inside the binary: what `hubloop new` and `hubloop
 * demo` copy out. */
#ifndef HL_CMD_SHIPPED_H
#define HL_CMD_SHIPPED_H

#include "base/embed.h"
#include "base/err.h"

/* The one after `last` (NULL: the first), without tests, settings and lib; NULL: that was all. */
const hl_embedded *hl_shipped_script_next(const hl_embedded *last);
/* Likewise what lies in lib: modules and samples. */
const hl_embedded *hl_shipped_lib_next(const hl_embedded *last);
/* "lead_routing". */
hl_str hl_shipped_script_name(const hl_embedded *script);
/* By that name, also with ".lua"; HL_EINVAL names the nearest. */
int hl_shipped_script_find(const char *name, const hl_embedded **out, hl_error *err);

/* Writes a file of the binary to dir/BASENAME. A file that is there already is kept: *kept. */
int hl_shipped_write(const hl_embedded *file, const char *dir, bool *kept, hl_error *err);

#endif
