/* Lines of the control socket into the actions (virtual time, store in memory): no crash, one answer each, and the
 * states of SEMANTICS 3 add up whatever was asked. */
#include <assert.h>
#include <stdint.h>

#include "admin/control.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handler(void *arg, hl_run *run, const hl_event *event) {
  (void)arg, (void)event;
  hl_run_finish(run, HL_RUN_DEAD, HL_STR("fails always"));
}

static void answered(void *arg, const cJSON *answer) {
  assert(cJSON_IsObject(answer));
  *(bool *)arg = true;
}

static void received(void *arg, const hl_receipt *receipt) {
  assert(receipt->code == 0);
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
  bool done = false;
  assert(hl_loop_new(&lo, log, &loop, NULL) == 0 && hl_engine_new(loop, &eo, &e, NULL) == 0);
  assert(hl_engine_on(e, "contact.creation", false, &ho, handler, NULL, NULL, NULL) == 0);
  assert(hl_engine_start(e, NULL) == 0);
  hl_actions *actions = hl_actions_new(e, "main");
  hl_engine_receive(e, "push", "main", HL_STR("[{\"subscriptionType\":\"contact.creation\",\"objectId\":1},{\"subscriptionType\":\"x\"},3]"), received, &done);
  assert(hl_loop_run_until(loop, &done) == 0);
  for (const uint8_t *p = data, *end = data + size; p < end;) {
    const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p);
    done = false;
    hl_control_line(actions, (hl_str){(const char *)p, n}, answered, &done);
    assert(hl_loop_run_until(loop, &done) == 0);
    p += n + 1;
  }
  hl_engine_stats_get(e, &s);
  assert(s.acknowledged == s.pending + s.ran + s.filtered + s.duplicate + s.waiting + s.dead + s.unhandled + s.orphaned + s.own + s.debounced + s.removed);
  hl_engine_free(e);
  hl_actions_free(actions);
  hl_loop_free(loop);
  hl_log_free(log);
  return 0;
}
