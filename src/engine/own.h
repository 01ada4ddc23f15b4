/* Own writes (SEMANTICS 11): what a handler wrote to HubSpot is remembered for
 * ten minutes, so that the event which this write causes does not run it again.
 * One write excuses one event. Records are durable and hold a keyed hash of what
 * was written, no value. They also carry the depth of chains from handler to
 * handler over HubSpot. Inside src/engine; hl_run_wrote is in engine.h. */
#ifndef HL_ENGINE_OWN_H
#define HL_ENGINE_OWN_H

#include "engine/engine.h"

struct hl_ev;
typedef struct hl_own hl_own;

hl_own *hl_own_new(void);
void hl_own_free(hl_own *o);
/* The records of an earlier life. */
int hl_own_start(hl_engine *e, hl_error *err);
/* How deep in a chain of writes the event is: 0 when no write of ours is known. */
int hl_own_depth(hl_engine *e, const struct hl_ev *ev);
/* Takes the record of a write of `h` that caused the event: its number, for
 * hl_tx_own_drop in the commit that finishes the event for `h`; 0 when there is none. */
int64_t hl_own_take(hl_engine *e, const hl_handler *h, const struct hl_ev *ev);
/* The same for waits, which do not end with what their own run has written: the hash of the write that may
 * have caused the event; false: none of ours did. */
bool hl_own_told(hl_engine *e, const char *account, cJSON *json, unsigned char hash[16]);
/* Steps keep what was written in them: how much the run has written so far, ever; what it has since, as letters; and
 * back, in a later life, up to what is none. */
size_t hl_own_count(const hl_run *run);
void hl_own_print(const hl_run *run, size_t since, hl_buf *out);
void hl_own_read(hl_run *run, hl_str letters);
/* Appends what the run has written to an object (NULL: to any), up to `max` hl_wait_own (store/waits.h), the newest
 * first. */
void hl_own_wrote(const hl_run *run, const char *object_id, size_t max, hl_buf *out);

#endif
