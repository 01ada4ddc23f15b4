/* Lanes that must not start yet. */
#include "base/mem.h"
#include "engine/inside.h"

struct hl_rest {
  hl_timer timer;
};

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  hl_lane *lane = arg;
  if (!lane->h->e->freeing) hl_lane_again(lane);
}

void hl_rest_until(hl_lane *lane, int64_t ms) {
  if (!lane->rest) {
    lane->rest = HL_NEW(hl_rest);
    lane->rest->timer.unref = true;
  }
  hl_timer_start(lane->h->e->loop, &lane->rest->timer, ms, on_timer, lane);
}

/* Hold: the lane may go once one of its runs has waited from its receipt; what
 * occurred before that one goes first. A first run that failed has been through it. */
static int64_t hold_ms(const hl_lane *lane) {
  int64_t hold = lane->h->hold_ms, now = hl_loop_now(lane->h->e->loop), least = hold;
  for (const hl_run *run = lane->first; run && least > 0; run = run->lane_next) {
    int64_t wait = run->attempt ? 0 : run->ev->received + hold - now;
    if (wait < least) least = wait;
  }
  return least; /* at most `hold`, also when the clock was set back */
}

int64_t hl_rest_ms(hl_lane *lane) {
  if (lane->h->hold_ms && lane->mapped) return hold_ms(lane);
  return 0;
}

void hl_rest_free(hl_lane *lane) {
  if (!lane->rest) return;
  hl_timer_stop(lane->h->e->loop, &lane->rest->timer);
  hl_free(lane->rest);
  lane->rest = NULL;
}
