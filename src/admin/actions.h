/* Operator actions: what a person asks of a hubloop that runs, or of its store while none does. The control
 * socket (control.h), commands, and whatever else comes call them here, so that each is done in one way.
 *
 * A request is {"do": NAME, …}; its answer an object, {"error": {"kind", "text"}} when it was refused. Each is
 * a bounded piece of work: what may be long comes in pages, and an answer with a "cursor" is asked on with it.
 *
 *   events.list    state, type, script, object, since, limit  -> events
 *   events.show    id                                         -> event
 *   events.read    since, until, type                         -> rows (in the order of receipt), kept (since when), at, of
 *   events.retry   id | state, type, script, object, since; settle ("again" "done")  -> retried, left
 *   events.inject  events, account                            -> accepted, duplicates, malformed, unhandled
 *   events.prune   before, state, type, script, dry_run       -> removed
 *   audits         kind, key, max                             -> records
 *   audits.read    kind, since, until                         -> records (oldest first), at, of
 *   backup.start   to: a whole path
 *   backup.look    stop                                       -> phase ("copying" "checking" "done"), pages, of, bytes
 *   forget.start   id, email, account, dry_run
 *   forget.look    -                                          -> phase, at, of, done, and what was found
 *
 * Loop thread only; nothing blocks. */
#ifndef HL_ADMIN_ACTIONS_H
#define HL_ADMIN_ACTIONS_H

#include "engine/operate.h"

typedef struct hl_actions hl_actions;

/* account: of injected events that name none; "" when there are several. Borrowed, like the engine. */
hl_actions *hl_actions_new(hl_engine *e, const char *account);
/* After the engine. What is not answered then never is. */
void hl_actions_free(hl_actions *a);

/* `request` is taken over. `cb` is called once, also from inside; the answer is borrowed for its length. */
typedef void (*hl_action_cb)(void *arg, const cJSON *answer);
void hl_actions_do(hl_actions *a, cJSON *request, hl_action_cb cb, void *arg);

/* {"at", "script", "account", "kind", "key", "record"}; `record` null when it is no JSON. */
cJSON *hl_audit_json(const hl_audit *a);

#endif
