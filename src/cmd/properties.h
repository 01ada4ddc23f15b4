/* An account's property definitions, for hubloop check. Blocks. */
#ifndef HL_CMD_PROPERTIES_H
#define HL_CMD_PROPERTIES_H

#include "base/json.h"
#include "base/str.h"

typedef struct hl_properties_of {
  const char *path;      /* a script, or a project's folder with its settings */
  const char *account;   /* name; NULL: the only one */
  bool simulator;        /* the built-in one's account instead */
} hl_properties_of;

/* Puts {type: [definitions]} of each of the object types (strings) into `out`. A type that HubSpot does not
 * know is left out, and a line about it is appended to `notes`. */
int hl_properties_ask(const hl_properties_of *of, const cJSON *types, cJSON *out, hl_buf *notes, hl_error *err);

#endif
