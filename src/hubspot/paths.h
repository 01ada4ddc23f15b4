/* The paths of raw calls: what may stand in one, and the dated form of the
 * legacy ones (FACTS 1). Pure; any thread. */
#ifndef HL_HUBSPOT_PATHS_H
#define HL_HUBSPOT_PATHS_H

#include "base/err.h"
#include "base/str.h"

/* Appends `path` with "{version}" replaced. HL_EINVAL when it does not begin
 * with one '/', holds '?', '#', '\\', blanks, control bytes, a scheme or a dot
 * segment (percent-encoded ones too), or is a v1-v4 path of an API that has a
 * dated form; the text then names that form. */
int hl_path_build(hl_str path, const char *version, hl_buf *out, hl_error *err);

/* The CRM search limit counts it (5 a second), not the 10-second window. */
bool hl_path_is_search(const char *method, hl_str path);

/* Whether the call can be repeated without a second effect. */
bool hl_path_is_safe(const char *method, hl_str path);

/* "contacts" -> "0-1": one name an object type, so that two spellings of one
 * object meet. Unknown ones come back as given. */
const char *hl_path_type_id(const char *type);

#endif
