/* Writes that are held back: a replay asks what a script would do, and nothing may change. The script goes on with
 * an answer as HubSpot might have given it. Loop thread; nothing leaves, nothing waits. */
#ifndef HL_HUBSPOT_HELD_H
#define HL_HUBSPOT_HELD_H

#include "hubspot/api.h"

/* False for what only reads, POSTs among them: search, batch/read and the like. Method and path of RAW only. */
bool hl_api_changes(hl_api_kind kind, const char *method, const char *path);

/* What a script is told of a write that is not made. A call that hl_api_send refuses is refused alike. `id`: of what the
 * call would have made, or of a record that it names by something else. *answer (NULL: no body) is the caller's.
 *   create          201, {id, properties as given, as HubSpot's text; createdAt, updatedAt, archived = false}
 *   update, upsert  200, the same with the record's id; its other properties are not there
 *   archive, associate, disassociate   204
 *   raw             204 for DELETE and batch/archive; batch/…: {status, results} with the inputs; else what was sent, if that
 *                   is an object, with an id for a POST */
int hl_api_hold(hl_account *account, const hl_api_call *call, const char *id, int64_t now, cJSON **answer, int *status,
                hl_error *err);

#endif
