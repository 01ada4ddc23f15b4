#include "engine/page.h"

#include "base/mem.h"
#include "engine/inside.h"

static uint64_t mix(uint64_t h, const char *s) {
  for (; *s; s++) h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
  return (h ^ 0xff) * UINT64_C(1099511628211);
}

uint64_t hl_page_name(const char *a, const char *b, const char *c) {
  return mix(mix(mix(UINT64_C(14695981039346656037), a), b), c);
}

struct hl_page *hl_run_enter(const hl_run *run) {
  hl_page *p = run->e->page;
  if (!p) return NULL;
  hl_page_run *r = &p->running;
  p->beats++;
  /* The kind last: what is named is whole. */
  if (run->kind == RUN_FREE) {
    r->who = run->who;
    r->kind = run->loads ? HL_PAGE_LOADING : HL_PAGE_OTHER;
    return p;
  }
  r->who = run->h->who;
  r->row = run->ev ? run->ev->parked_row : run->fired_at;
  r->index = run->ev ? run->ev->index : 0;
  r->kind = run->ev ? HL_PAGE_EVENT : HL_PAGE_TIMER;
  return p;
}

void hl_run_leave(struct hl_page *p) {
  if (p) p->running.kind = HL_PAGE_NONE;
}

static void parked(void *arg, int code) {
  struct hl_page_end *end = arg;
  if (!code) end->run.kind = HL_PAGE_NONE;
}

const char *hl_page_refuses(hl_run *run) {
  hl_page *p = run->e->page;
  for (int i = 0; p && i < HL_PAGE_ENDED; i++) {
    struct hl_page_end *end = &p->ended[i];
    uint32_t kind = end->run.kind;
    if (kind == HL_PAGE_NONE || end->taken || end->run.who != run->h->who) continue;
    /* A timer's next firing is the one that was cut, whatever the time is by now. */
    if (run->ev ? kind != HL_PAGE_EVENT || end->run.row != run->ev->parked_row || end->run.index != run->ev->index
                : kind != HL_PAGE_TIMER)
      continue;
    end->taken = true;
    hl_waiter_add(run->e, false, 0, parked, end);
    return end->why;
  }
  return NULL;
}

void hl_run_loads(hl_run *run) { run->loads = true; }

static struct hl_page_end *ended_loading(const hl_engine *e, const char *script) {
  hl_page *p = e->page;
  for (int i = 0; p && i < HL_PAGE_ENDED; i++)
    if (p->ended[i].run.kind == HL_PAGE_LOADING && p->ended[i].run.who == hl_page_name(script, "", "")) return &p->ended[i];
  return NULL;
}

const char *hl_engine_ended_loading(const hl_engine *e, const char *script) {
  const struct hl_page_end *end = ended_loading(e, script);
  return end ? end->why : NULL;
}

void hl_engine_forgive_loading(hl_engine *e, const char *script) {
  struct hl_page_end *end = ended_loading(e, script);
  if (end) end->run.kind = HL_PAGE_NONE;
}
