/* Webhook bodies into the inbox (virtual time, store in memory): no crash, every
 * body answered, and the states of SEMANTICS 3 add up. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handler(void *arg, hl_run *run, const hl_event *event) {
  (void)arg;
  assert(event->type[0]);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

static void answered(void *arg, const hl_receipt *receipt) {
  assert(receipt->code == 0 || receipt->code == HL_EINVAL);
  *(bool *)arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop_options lo = {.is_virtual = true, .seed = 1};
  hl_engine_options eo = {0};
  hl_handler_options ho = {.script = "fuzz.lua"};
  hl_engine_stats s;
  hl_loop *loop;
  hl_engine *e;
  hl_handler *h;
  bool done = false, again = false;
  assert(hl_loop_new(&lo, log, &loop, NULL) == 0 && hl_engine_new(loop, &eo, &e, NULL) == 0);
  assert(hl_engine_on(e, "contact.creation", false, &ho, handler, NULL, &h, NULL) == 0);
  assert(hl_engine_start(e, NULL) == 0);
  hl_engine_receive(e, "push", "main", (hl_str){(const char *)data, size}, answered, &done);
  hl_engine_receive(e, "push", "main", (hl_str){(const char *)data, size}, answered, &again);
  assert(hl_loop_run_until(loop, &done) == 0 && hl_loop_run_until(loop, &again) == 0);
  hl_engine_stats_get(e, &s);
  assert(s.acknowledged == s.pending + s.ran + s.filtered + s.duplicate + s.waiting + s.dead + s.unhandled + s.orphaned + s.own + s.debounced + s.removed);
  hl_engine_free(e);
  hl_loop_free(loop);
  hl_log_free(log);
  return 0;
}
