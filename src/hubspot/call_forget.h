/* Takes a person out of the call log: lines that hold an id or address are overwritten with blanks, which readers
 * skip, while another thread or process appends. Blocks: for a worker. */
#ifndef HL_HUBSPOT_CALL_FORGET_H
#define HL_HUBSPOT_CALL_FORGET_H

#include "base/person.h"

/* *lines: found, and overwritten unless it is a dry run. 0 when there is no log; HL_EIO. */
int hl_call_log_forget(const char *base, const hl_person *who, bool dry_run, int64_t *lines, hl_error *err);

#endif
