/* Audit records for people and programs: as JSON lines (`route explain --json`,
 * GET /audit of the operators' listener) and as the text of `route explain`. */
#ifndef HL_CMD_AUDIT_H
#define HL_CMD_AUDIT_H

#include "base/json.h"
#include "store/audit.h"

enum { HL_AUDITS_MAX = 100 };

/* {"at", "script", "account", "kind", "key", "record"}; `record` null when it is no JSON. */
cJSON *hl_audit_json(const hl_audit *a);
/* Appends what happened and why, for a routing record in that form. */
void hl_audit_explain(const cJSON *audit, hl_buf *out);
/* The value of `name` in a query, decoded; false when it is not there, or too long. */
bool hl_query_value(hl_str query, const char *name, char *out, size_t size);

#endif
