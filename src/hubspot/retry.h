/* When a call is repeated, and after how long (FACTS 3). Pure; any thread. */
#ifndef HL_HUBSPOT_RETRY_H
#define HL_HUBSPOT_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum { HL_RETRY_DEADLINE_MS = 5 * 60 * 1000 }; /* from the first sending of a request */

typedef enum hl_retry {
  HL_RETRY_NEVER,
  HL_RETRY_AGAIN,
  HL_RETRY_UNCERTAIN, /* it may have happened and cannot be repeated: SEMANTICS 34 */
} hl_retry;

/* `status` 0: no answer, `code` is the transport's hl_err and `sent` whether the
 * request may have reached HubSpot. `safe`: a repetition has no second effect. */
hl_retry hl_retry_decide(int status, int code, bool sent, bool safe);

/* A Retry-After value in ms, at most the deadline; 0 when it is absent or no
 * number. 477 and 503 give seconds. 429 promises nothing: up to 120 is taken for
 * seconds, more for milliseconds, as HubSpot's workflow documentation has both. */
int64_t hl_retry_after_ms(int status, const char *value);

/* Exponential backoff with full jitter: `attempt` from 1, `unit` uniform in
 * [0,1), `after` as above (the answer is never earlier than it). 423 waits 2 s
 * or more. */
int64_t hl_retry_delay(unsigned attempt, int status, int64_t after, double unit);

#endif
