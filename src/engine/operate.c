#include "engine/operate.h"

#include "base/mem.h"
#include "engine/inside.h"
#include "engine/wait.h"

static bool is_given_up(const hl_parked *p) { return p->kind == HL_ST_DEAD || p->kind == HL_ST_ORPHANED; }

bool hl_parked_is_uncertain(const hl_parked *p) { return p->kind == HL_ST_DEAD && hl_str_starts(p->error, "uncertain:"); }

static int not_given_up(const hl_parked *p, hl_error *err) {
  char when[25];
  if (p->kind == HL_ST_DELAYED) return hl_fail(err, HL_EINVAL, "it is a delayed event, no dead letter");
  if (p->due >= HL_WAIT_FOREVER) return hl_fail(err, HL_EINVAL, "it waits for an event, and goes on by itself");
  hl_time_iso(p->due, when);
  return hl_fail(err, HL_EINVAL, "it waits, and goes on by itself at %s", when);
}

int hl_engine_retry(hl_engine *e, const hl_parked *p, hl_settle settle, hl_error *err) {
  if (!is_given_up(p)) return not_given_up(p, err);
  if (!p->handler[0])
    return hl_fail(err, HL_EINVAL, "it has no handler that could run again: mend what hubloop events show --json prints, and inject it");
  if (e->started && !hl_handler_by_name(e, p->handler)) {
    hl_str script = {p->handler, strcspn(p->handler, "\t")};
    const char *name = strrchr(p->handler, '\t');
    return hl_fail(err, HL_EINVAL, HL_STR_FMT " has no handler “%s” any more; it goes on by itself when there is one again",
                   HL_STR_ARG(script), name ? name + 1 : "");
  }
  if (hl_parked_is_uncertain(p)) {
    if (settle == HL_SETTLE_NOT)
      return hl_fail(err, HL_EINVAL, "nobody knows whether its write was made: look in HubSpot, then retry it with --again (it was not) or --done (it was)");
    hl_engine_settle_uncertain(e, p->id, settle == HL_SETTLE_AGAIN);
    return 0;
  }
  if (settle != HL_SETTLE_NOT) return hl_fail(err, HL_EINVAL, "--again and --done are for events whose reason begins with “uncertain:”");
  hl_tx_retry(e->tx, p->id, hl_loop_now(e->loop));
  hl_touch(e);
  return 0;
}

int hl_engine_remove(hl_engine *e, const hl_parked *p, hl_error *err) {
  if (!is_given_up(p)) return not_given_up(p, err);
  hl_step_key key = {.row = p->row, .index = p->index, .handler = p->handler};
  hl_tx_unpark(e->tx, p->id, HL_ST_REMOVED);
  hl_tx_steps_drop(e->tx, &key);
  hl_touch(e);
  return 0;
}

static void look_at_due(void *arg, int code) {
  hl_engine *e = arg;
  if (!code) hl_parked_due(e, hl_loop_now(e->loop)); /* not before: what is due is read from the store */
}

void hl_engine_after(hl_engine *e, void (*cb)(void *arg, int code), void *arg) {
  hl_waiter_add(e, false, 0, look_at_due, e);
  if (e->stalled) hl_waiter_add(e, true, HL_EIO, cb, arg);
  else hl_waiter_add(e, false, 0, cb, arg);
}
