/* Whose token a queue sends: app, portal, scopes, time zone (hl_account_identify in
 * api.h). What HubSpot counts together is known from it: queues of one app and
 * portal then share a window, those of one portal search and day, those of one app
 * the journal. Asked once for a queue, through the queue itself, and only when
 * something needs it: no call waits for it. When HubSpot does not tell, the
 * credential keeps budgets of its own. Loop thread; used by queue.c and leave.c. */
#ifndef HL_HUBSPOT_IDENTITY_H
#define HL_HUBSPOT_IDENTITY_H

#include "hubspot/queue.h"

/* Asks when that may change what is shared, or when the day's end is needed. */
void hl_identity_want(hl_queue *q);
bool hl_identity_asks(const hl_queue *q); /* the answer is still to come */
void hl_identity_free(hl_queue *q); /* its calls have ended */

#endif
