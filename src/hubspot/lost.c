/* Creates whose answer was lost (SEMANTICS 34): never repeated blindly. One with a
 * unique property is looked for by it, each row of a batch on its own, and the
 * lookups merge as any reads do. Found, and made no earlier than the create was
 * sent: it is ours. Not there, after a second look (what is written may take a
 * moment to be found): it is sent again, alone; the unique property keeps HubSpot
 * from making a second one, and if that is refused, there is one more look, for the
 * first may have been carried out late. Found, but older: it is sent again as well,
 * so that the script gets HubSpot's own refusal. */
#include <assert.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/queue.h"
#include "hubspot/retry.h"

enum { LOOK_AGAIN_MS = 2000, ROUNDS = 3, CLOCKS_MS = 2 * HL_MINUTE };

struct hl_lost {
  hl_timer timer;        /* until the next look */
  hl_api_op *look;       /* the read that is under way, or NULL */
  int64_t sent;          /* wall clock, as HubSpot's */
  int64_t until;         /* loop ms */
  unsigned looks, rounds;
  bool repeated;         /* it was sent again: what refuses it may be the first one */
  bool refused;          /* so it was; `refusal` is HubSpot's */
  hl_fault refusal;
  int status;            /* why it is uncertain */
  char *why;
};

void hl_lost_free(hl_api_op *op) {
  if (!op->lost) return;
  hl_timer_stop(op->account->hubspot->loop, &op->lost->timer);
  if (op->lost->refused) hl_fault_deinit(&op->lost->refusal);
  hl_free(op->lost->why);
  hl_free(op->lost);
  op->lost = NULL;
}

static void give_up(hl_queue *q, hl_api_op *op, const char *more) {
  const hl_lost *l = op->lost;
  hl_error err;
  hl_fail(&err, HL_EUNCERTAIN, "%s%s", l->why, more);
  hl_fault f;
  hl_buf path;
  hl_buf_init(&path, 4096);
  hl_must(hl_buf_printf(&path, "/crm/objects/%s/%s", op->account->version, op->type));
  hl_fault_place at = {.account = op->account->name, .method = "POST", .path = path.p,
                       .log = hl_loop_log(q->hubspot->loop)};
  hl_fault_uncertain(&f, &at, 0, &err);
  f.e.status = l->status;
  if (!op->id)
    hl_buf_puts(&f.message, ". (A create with a property whose values are unique, named with unique=, is looked for by "
                "hubloop itself)");
  f.e.message = f.message.p;
  f.e.reason = f.message.p + f.reason_at;
  hl_queue_finish(q, op, l->status, NULL, &f.e);
  hl_fault_deinit(&f);
  hl_buf_deinit(&path);
}

static void look(hl_queue *q, hl_api_op *op);

static void look_due(hl_timer *timer, void *arg) {
  (void)timer;
  hl_api_op *op = arg;
  look(op->account->queue, op);
}

static void send_again(hl_queue *q, hl_api_op *op) {
  op->lost->repeated = true;
  op->account->stats.retries++;
  hl_queue_alone(q, op);
}

static bool is_ours(const hl_lost *l, const cJSON *record) {
  int64_t made;
  return hl_time_parse(hl_str_of(hl_json_str(record, "createdAt", "")), &made, NULL) == 0 && made >= l->sent - CLOCKS_MS;
}

static void looked(void *arg, const hl_api_result *r) {
  hl_api_op *op = arg;
  hl_queue *q = op->account->queue;
  hl_lost *l = op->lost;
  l->look = NULL;
  if (!r->error && is_ours(l, r->json)) {
    hl_order_learn(q, op, r->json);
    hl_queue_finish(q, op, 201, r->json, NULL);
  } else if (l->refused) {
    hl_fault f = l->refusal; /* outlives the op */
    l->refusal = (hl_fault){0};
    hl_queue_finish(q, op, f.e.status, NULL, &f.e);
    hl_fault_deinit(&f);
  } else if (r->error && r->error->status != 404) {
    char more[600];
    snprintf(more, sizeof more, "; looking for it failed, too: %s", r->error->message);
    give_up(q, op, more);
  } else if (!op->cb) {
    hl_queue_finish(q, op, 0, NULL, NULL); /* given up meanwhile */
  } else if (r->error && ++l->looks < 2) {
    hl_timer_start(q->hubspot->loop, &l->timer, LOOK_AGAIN_MS, look_due, op);
  } else {
    send_again(q, op);
  }
}

bool hl_lost_refused(hl_queue *q, hl_api_op *op, const hl_api_error *error) {
  hl_lost *l = op->lost;
  if (!l || !l->repeated || l->refused || q->hubspot->closing) return false;
  if (error->status != 409 && error->status != 400) return false;
  l->refused = true;
  hl_fault_copy(&l->refusal, error);
  op->call = NULL;
  hl_link_remove(&op->link);
  hl_link_before(&q->lost, &op->link);
  look(q, op);
  return true;
}

/* A read that does not wait for the create, which holds the object. */
static void look(hl_queue *q, hl_api_op *op) {
  cJSON *body = NULL, *p;
  hl_json_parse((hl_str){op->body, op->body_n}, &body, NULL);
  const cJSON *properties = hl_json_get(body, "properties");
  const char **names = hl_alloc(((size_t)cJSON_GetArraySize(properties) + 2) * sizeof *names);
  size_t n = 0;
  cJSON_ArrayForEach(p, properties) names[n++] = p->string;
  hl_api_call call = {.kind = HL_API_GET, .klass = op->klass, .script = op->script, .type = op->type, .id = op->id,
                      .id_property = op->id_property, .properties = names};
  hl_error err;
  int rc = hl_queue_add(op->account, &call, looked, op, false, &op->lost->look, &err);
  hl_free(names);
  cJSON_Delete(body);
  if (rc) give_up(q, op, "");
}

void hl_lost_create(hl_queue *q, hl_api_op *op, int status, const char *why, int64_t first_sent) {
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop);
  if (!op->lost) {
    op->lost = HL_NEW(hl_lost);
    op->lost->sent = hl_loop_now(loop) - (now - first_sent) - q->hubspot->clock_ahead;
    op->lost->until = first_sent + HL_RETRY_DEADLINE_MS;
  }
  hl_lost *l = op->lost;
  hl_free(l->why);
  l->why = hl_strdup(why);
  l->status = status;
  l->looks = 0;
  op->call = NULL;
  hl_link_remove(&op->link);
  hl_link_before(&q->lost, &op->link);
  if (!op->cb || !op->id || ++l->rounds > ROUNDS || now > l->until) give_up(q, op, "");
  else look(q, op);
}

void hl_lost_cancel_all(hl_queue *q) {
  for (hl_link *l = q->lost.next; l != &q->lost;) {
    hl_api_op *op = HL_LINKED(l, hl_api_op, link);
    l = l->next;
    if (op->lost->look) continue; /* that ends it */
    give_up(q, op, "; hubloop is stopping");
    l = q->lost.next; /* a callback may have ended others */
  }
}
