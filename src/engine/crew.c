/* What the handlers of a script have in common: how many of their runs there are
 * at once, and whether they run at all. Those of one that is held or halted are
 * as if they were slow: what comes for them waits in their lanes, and in the
 * store when it is much (backlog.c); its times of every and cron are late. */
#include "base/mem.h"
#include "engine/inside.h"

hl_crew *hl_crew_of(hl_engine *e, const char *script) {
  for (hl_crew *c = e->crews; c; c = c->next)
    if (strcmp(c->script, script) == 0) return c;
  hl_crew *c = HL_NEW(hl_crew);
  c->script = hl_strdup(script);
  c->limit = SCRIPT_CONCURRENCY;
  c->next = e->crews;
  e->crews = c;
  return c;
}

void hl_engine_limit(hl_engine *e, const char *script, unsigned concurrency) {
  hl_crew_of(e, script)->limit = concurrency ? concurrency : SCRIPT_CONCURRENCY;
}

bool hl_handler_stands(const hl_handler *h) {
  return (h->crew->held || h->crew->halted) && (h->scheduled || strcmp(h->type, HL_ALERT_TYPE) != 0);
}

static void goes_on(hl_engine *e, const hl_crew *crew) {
  if (crew->held || crew->halted) return;
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->crew == crew) hl_pump_handler(h);
  if (e->started) hl_schedule_resume(e);
}

void hl_engine_hold(hl_engine *e, const char *script, bool hold) {
  hl_crew *crew = hl_crew_of(e, script);
  crew->held = hold;
  goes_on(e, crew);
}

void hl_engine_halt(hl_engine *e, const char *script, const char *why) {
  hl_crew *crew = hl_crew_of(e, script);
  if (!why && !crew->halted) return;
  hl_free(crew->halted);
  crew->halted = hl_strdup(why);
  hl_tx_halted(e->tx, script, why);
  hl_touch(e);
  goes_on(e, crew);
}

const char *hl_engine_halted(const hl_engine *e, const char *script) {
  for (const hl_crew *c = e->crews; c; c = c->next)
    if (strcmp(c->script, script) == 0) return c->halted;
  return NULL;
}

static void halted_before(void *arg, const char *script, const char *why) {
  hl_crew *crew = hl_crew_of(arg, script);
  if (!crew->halted) crew->halted = hl_strdup(why);
}

int hl_crews_start(hl_engine *e, hl_error *err) { return hl_store_each_halted(e->store, halted_before, e, err); }

void hl_crews_deinit(hl_engine *e) {
  while (e->crews) {
    hl_crew *crew = e->crews;
    e->crews = crew->next;
    hl_free(crew->script);
    hl_free(crew->halted);
    hl_free(crew);
  }
}
