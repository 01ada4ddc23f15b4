/* Any bytes as HubSpot's answer to batches of every kind (virtual time): no crash,
 * and each caller gets one answer. The first byte is the status. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "hubspot/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fake {
  hl_transport t;
  hl_loop *loop;
  const uint8_t *data;
  size_t size;
} fake;

struct hl_http_op {
  fake *f;
  hl_timer timer;
  hl_http_cb cb;
  void *arg;
};

static void deliver(hl_timer *timer, void *arg) {
  static const int statuses[] = {200, 201, 204, 207, 400, 404, 409, 500};
  (void)timer;
  struct hl_http_op *op = arg;
  fake *f = op->f;
  hl_http_response r = {.status = statuses[f->size ? f->data[0] % HL_COUNT(statuses) : 0]};
  if (f->size > 1) r.body = (hl_str){(const char *)f->data + 1, f->size - 1};
  op->cb(op->arg, &r);
  hl_free(op);
}

static int fake_send(hl_transport *t, const hl_http_request *q, hl_http_cb cb, void *arg, hl_http_op **out, hl_error *err) {
  (void)q, (void)err;
  struct hl_http_op *op = HL_NEW(struct hl_http_op);
  op->f = HL_CONTAINER(t, fake, t);
  op->cb = cb;
  op->arg = arg;
  hl_timer_start(op->f->loop, &op->timer, 1, deliver, op);
  *out = op;
  return 0;
}

static void fake_cancel(hl_transport *t, hl_http_op *op) {
  hl_timer_stop(HL_CONTAINER(t, fake, t)->loop, &op->timer);
  hl_free(op);
}

static void answered(void *arg, const hl_api_result *r) {
  assert(!r->error || (r->error->kind && r->error->message));
  ++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const ids[] = {"1", "2", "3"}, *const names[] = {"email", NULL};
  static const hl_api_kind kinds[] = {HL_API_GET, HL_API_UPDATE, HL_API_CREATE, HL_API_UPSERT, HL_API_ARCHIVE, HL_API_ASSOCIATE,
                                      HL_API_DISASSOCIATE, HL_API_ASSOCIATIONS};
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop_options lo = {.is_virtual = true, .seed = 1};
  fake f = {.t = {.send = fake_send, .cancel = fake_cancel}, .data = data, .size = size};
  assert(hl_loop_new(&lo, log, &f.loop, NULL) == 0);
  hl_hubspot *h = hl_hubspot_new(f.loop, &f.t);
  hl_account *a;
  hl_account_options o = {.name = "main", .token = "a-token-of-no-kind"};
  assert(hl_hubspot_add_account(h, &o, &a, NULL) == 0);
  unsigned asked = 0, done = 0;
  for (size_t k = 0; k < HL_COUNT(kinds); k++)
    for (size_t i = 0; i < HL_COUNT(ids); i++) {
      hl_api_call call = {.kind = kinds[k], .script = "fuzz.lua", .type = k % 2 ? "contacts" : "deals", .id = ids[i],
                          .to_type = "companies", .to_id = "9", .properties = names};
      if (kinds[k] == HL_API_UPSERT) call.id_property = "email";
      if (kinds[k] == HL_API_CREATE) call.id = NULL;
      if (kinds[k] == HL_API_CREATE && i) call.type = "contacts";
      if (kinds[k] == HL_API_CREATE) call.body = i == 1 ? HL_STR("{\"properties\":{\"email\":\"2\"}}") : HL_STR("{\"properties\":{\"email\":\"3\"}}");
      if (kinds[k] == HL_API_UPDATE || kinds[k] == HL_API_UPSERT) call.body = HL_STR("{\"properties\":{\"email\":\"1\"}}");
      assert(hl_api_send(a, &call, answered, &done, NULL, NULL) == 0);
      asked++;
    }
  hl_loop_run(f.loop);
  assert(done == asked);
  hl_hubspot_free(h);
  hl_loop_free(f.loop);
  hl_log_free(log);
  return 0;
}
