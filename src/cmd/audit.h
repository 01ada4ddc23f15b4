/* Audit records for people: the text of `route explain`. */
#ifndef HL_CMD_AUDIT_H
#define HL_CMD_AUDIT_H

#include "base/json.h"

/* Appends what happened and why, for a routing record as the action "audits" gives it (admin/actions.h). */
void hl_audit_explain(const cJSON *audit, hl_buf *out);

#endif
