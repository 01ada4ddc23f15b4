#include "store/tx.h"

#include "base/mem.h"
#include "store/lanes.h"
#include "store/steps.h"
#include "store/traces.h"
#include "store/waits.h"

hl_tx *hl_tx_new(void) {
  hl_tx *tx = HL_NEW(hl_tx);
  tx->tail = &tx->first;
  return tx;
}

void hl_tx_free(hl_tx *tx) {
  if (!tx) return;
  for (hl_op *op = tx->first; op;) {
    hl_op *next = op->next;
    hl_free(op);
    op = next;
  }
  hl_free(tx);
}

bool hl_tx_empty(const hl_tx *tx) { return !tx->first; }

void hl_tx_prepend(hl_tx *tx, hl_tx *first) {
  if (first->first) {
    *first->tail = tx->first;
    if (!tx->first) tx->tail = first->tail;
    tx->first = first->first;
    first->first = NULL;
  }
  hl_free(first);
}

void hl_tx_drop_receipts(hl_tx *tx) {
  hl_op **p = &tx->first;
  while (*p) {
    hl_op *op = *p;
    if (op->receipt) {
      *p = op->next;
      hl_free(op);
    } else {
      p = &op->next;
    }
  }
  tx->tail = p;
}

/* The texts are copied behind the struct: one allocation an operation. A text
 * whose p is NULL stays NULL. */
static hl_op *add(hl_tx *tx, hl_op_kind kind, bool receipt, const hl_str *s, size_t n) {
  size_t bytes = sizeof(hl_op);
  for (size_t k = 0; k < n; k++) bytes += s[k].n + 1;
  hl_op *op = hl_realloc(NULL, bytes); /* not zeroed: bodies may be large */
  *op = (hl_op){0};
  char *at = (char *)(op + 1);
  op->kind = kind;
  op->receipt = receipt;
  for (size_t k = 0; k < n; k++) {
    if (!s[k].p) continue;
    memcpy(at, s[k].p, s[k].n);
    op->s[k] = (hl_str){at, s[k].n};
    at += s[k].n + 1;
  }
  *tx->tail = op;
  tx->tail = &op->next;
  return op;
}

hl_str hl_tx_append(hl_tx *tx, const hl_append *a, bool receipt) {
  hl_str s[] = {hl_str_of(a->source), hl_str_of(a->account), a->hashes, a->states, a->body};
  hl_op *op = add(tx, OP_APPEND, receipt, s, HL_COUNT(s));
  op->i[0] = a->id;
  op->i[1] = a->received;
  op->i[2] = a->n;
  for (int k = 0; k < HL_ST_MAX; k++) op->i[3 + k] = a->counts[k];
  return op->s[4];
}

void hl_tx_duplicates(hl_tx *tx, unsigned n, bool receipt) {
  add(tx, OP_DUPLICATES, receipt, NULL, 0)->i[0] = n;
}

void hl_tx_count(hl_tx *tx, hl_state to, unsigned n) {
  hl_op *op = add(tx, OP_COUNT, false, NULL, 0);
  op->i[0] = to;
  op->i[1] = n;
}

void hl_tx_progress(hl_tx *tx, int64_t row, hl_str states, bool keep) {
  hl_op *op = add(tx, OP_PROGRESS, false, &states, 1);
  op->i[0] = row;
  op->i[1] = keep;
}

void hl_tx_mark(hl_tx *tx, int64_t before, int64_t mark) {
  hl_op *op = add(tx, OP_MARK, false, NULL, 0);
  op->i[0] = before;
  op->i[1] = mark;
}

void hl_tx_partial(hl_tx *tx, int64_t row, unsigned index, const char *handler, hl_state state) {
  hl_str s = hl_str_of(handler);
  hl_op *op = add(tx, OP_PARTIAL, false, &s, 1);
  op->i[0] = row;
  op->i[1] = index;
  op->i[2] = state;
}

void hl_tx_leave(hl_tx *tx, int64_t row, unsigned index, hl_state base) {
  hl_op *op = add(tx, OP_LEAVE, false, NULL, 0);
  op->i[0] = row;
  op->i[1] = index;
  op->i[2] = base;
}

void hl_tx_park(hl_tx *tx, const hl_parked *p, bool receipt) {
  hl_str s[] = {hl_str_of(p->handler), hl_str_of(p->type), hl_str_of(p->source), hl_str_of(p->account),
                p->event, p->error, p->lane};
  hl_op *op = add(tx, OP_PARK, receipt, s, HL_COUNT(s));
  int64_t i[] = {p->id, p->row, p->index, p->kind, p->open, p->received, p->due, p->attempts, p->failed, p->occurred};
  memcpy(op->i, i, sizeof i);
}

void hl_tx_repark(hl_tx *tx, int64_t id, hl_state kind, unsigned attempts, int64_t due, hl_str error) {
  hl_op *op = add(tx, OP_REPARK, false, &error, 1);
  op->i[0] = id;
  op->i[1] = kind;
  op->i[2] = attempts;
  op->i[3] = due;
}

void hl_tx_lane(hl_tx *tx, const hl_parked *p) {
  hl_str s[] = {p->lane, p->error};
  hl_op *op = add(tx, OP_LANE, false, s, HL_COUNT(s));
  int64_t i[] = {p->id, p->attempts, p->due, p->occurred};
  memcpy(op->i, i, sizeof i);
}

void hl_tx_started(hl_tx *tx, const char *handler, hl_str lane, int64_t at, int64_t per) {
  hl_str s[] = {hl_str_of(handler), lane};
  hl_op *op = add(tx, OP_STARTED, false, s, HL_COUNT(s));
  op->i[0] = at;
  op->i[1] = at + per;
}

void hl_tx_retry(hl_tx *tx, int64_t id, int64_t due) {
  hl_op *op = add(tx, OP_RETRY, false, NULL, 0);
  op->i[0] = id;
  op->i[1] = due;
}

void hl_tx_repark_all(hl_tx *tx, const char *handler, hl_state from, hl_state to) {
  hl_str s = hl_str_of(handler);
  hl_op *op = add(tx, OP_REPARK_ALL, false, &s, 1);
  op->i[0] = from;
  op->i[1] = to;
}

void hl_tx_unpark(hl_tx *tx, int64_t id, hl_state state) {
  hl_op *op = add(tx, OP_UNPARK, false, NULL, 0);
  op->i[0] = id;
  op->i[1] = state;
}

void hl_tx_release(hl_tx *tx, int64_t id) { add(tx, OP_RELEASE, false, NULL, 0)->i[0] = id; }

static hl_op *add_step(hl_tx *tx, hl_op_kind kind, const hl_step_key *key, hl_str *s, size_t n) {
  s[0] = hl_str_of(key->handler);
  hl_op *op = add(tx, kind, false, s, n);
  op->i[0] = key->row;
  op->i[1] = key->index;
  return op;
}

void hl_tx_step(hl_tx *tx, const hl_step_key *key, const hl_step_row *row) {
  hl_str s[] = {{0}, row->name, row->what, row->json};
  hl_op *op = add_step(tx, OP_STEP, key, s, HL_COUNT(s));
  op->i[2] = row->n;
  op->i[3] = row->place;
  op->i[4] = row->kind;
}

void hl_tx_step_forget(hl_tx *tx, const hl_step_key *key, hl_str name, unsigned n) {
  hl_str s[] = {{0}, name};
  add_step(tx, OP_STEP_FORGET, key, s, HL_COUNT(s))->i[2] = n;
}

void hl_tx_steps_settle(hl_tx *tx, int64_t parked, bool again) {
  hl_op *op = add(tx, OP_STEPS_SETTLE, false, NULL, 0);
  op->i[0] = parked;
  op->i[1] = again;
}

void hl_tx_steps_drop(hl_tx *tx, const hl_step_key *key) {
  hl_str s[1];
  add_step(tx, OP_STEPS_DROP, key, s, HL_COUNT(s));
}

bool hl_wait_is_own(hl_str own, const unsigned char told[HL_HASH_BYTES], int64_t received) {
  hl_wait_own w;
  for (; own.n >= sizeof w; own.p += sizeof w, own.n -= sizeof w) {
    memcpy(&w, own.p, sizeof w);
    if (received > w.at - HL_OWN_EARLY_MS && received < w.at + HL_OWN_MS && memcmp(w.hash, told, sizeof w.hash) == 0) return true;
  }
  return false;
}

void hl_tx_wait(hl_tx *tx, const hl_wait_row *w, int64_t due, hl_str error, hl_str event) {
  hl_str none = {0}, s[] = {w->hash, w->type ? hl_str_of(w->type) : none, w->fields ? hl_str_of(w->fields) : none, w->name, error, event, w->own};
  hl_op *op = add(tx, OP_WAIT, false, s, HL_COUNT(s));
  int64_t i[] = {w->parked, w->row, w->index, w->upto, due};
  memcpy(op->i, i, sizeof i);
}

static hl_op *add_wait(hl_tx *tx, hl_op_kind kind, int64_t parked, int64_t number, const hl_str *json) {
  hl_op *op = add(tx, kind, false, json, json != NULL);
  op->i[0] = parked;
  op->i[1] = number;
  return op;
}

void hl_tx_wait_on(hl_tx *tx, int64_t parked, int64_t due) { add_wait(tx, OP_WAIT_ON, parked, due, NULL); }
void hl_tx_wait_met(hl_tx *tx, int64_t parked, int64_t now, hl_str json) { add_wait(tx, OP_WAIT_MET, parked, now, &json); }
void hl_tx_wait_looked(hl_tx *tx, int64_t parked, int64_t upto) { add_wait(tx, OP_WAIT_LOOKED, parked, upto, NULL)->i[2] = HL_WAIT_ALL; }
void hl_tx_wait_over(hl_tx *tx, int64_t parked) { add_wait(tx, OP_WAIT_OVER, parked, 0, NULL); }

void hl_tx_wait_arrived(hl_tx *tx, hl_str hash, hl_str told, int64_t row, int64_t now, hl_str json, bool receipt) {
  hl_str s[] = {hash, json, told};
  hl_op *op = add(tx, OP_WAIT_ARRIVED, receipt, s, HL_COUNT(s));
  op->i[0] = row;
  op->i[1] = now;
}

void hl_tx_kv(hl_tx *tx, const char *script, const char *account, hl_str key, hl_str value, int64_t expires) {
  hl_str s[] = {hl_str_of(script), hl_str_of(account), key, value};
  add(tx, OP_KV, false, s, HL_COUNT(s))->i[0] = expires;
}

void hl_tx_audit(hl_tx *tx, int64_t at, const char *script, const char *account, const char *kind,
                 const char *key, hl_str json) {
  hl_str s[] = {hl_str_of(script), hl_str_of(account), hl_str_of(kind), hl_str_of(key), json};
  add(tx, OP_AUDIT, false, s, HL_COUNT(s))->i[0] = at;
}

void hl_tx_own(hl_tx *tx, int64_t id, const char *handler, hl_str hash, int64_t at, int depth) {
  hl_str s[] = {hl_str_of(handler), hash};
  hl_op *op = add(tx, OP_OWN, false, s, HL_COUNT(s));
  op->i[0] = id;
  op->i[1] = at;
  op->i[2] = depth;
}

void hl_tx_own_drop(hl_tx *tx, int64_t id) { add(tx, OP_OWN_DROP, false, NULL, 0)->i[0] = id; }
void hl_tx_own_upto(hl_tx *tx, int64_t id) { add(tx, OP_OWN_UPTO, false, NULL, 0)->i[0] = id; }

void hl_tx_debounce(hl_tx *tx, int64_t id, const char *handler, hl_str key, int64_t since, int64_t occurred) {
  hl_str s[] = {hl_str_of(handler), key};
  hl_op *op = add(tx, OP_DEBOUNCE, false, s, HL_COUNT(s));
  op->i[0] = id;
  op->i[1] = since;
  op->i[2] = occurred;
}

void hl_tx_debounce_drop(hl_tx *tx, int64_t id) { add(tx, OP_DEBOUNCE_DROP, false, NULL, 0)->i[0] = id; }

void hl_tx_place(hl_tx *tx, const char *source, hl_str place, bool receipt) {
  hl_str s[] = {hl_str_of(source), place};
  add(tx, OP_PLACE, receipt, s, HL_COUNT(s));
}

void hl_tx_listened(hl_tx *tx, const hl_listened *l) {
  hl_str s[] = {hl_str_of(l->script), hl_str_of(l->type), hl_str_of(l->name), hl_str_of(l->account), hl_str_of(l->property)};
  add(tx, OP_LISTENER, false, s, HL_COUNT(s));
}

void hl_tx_listened_drop(hl_tx *tx, const char *script) {
  hl_str s = hl_str_of(script);
  add(tx, OP_LISTENERS_DROP, false, &s, 1);
}

void hl_tx_halted(hl_tx *tx, const char *script, const char *why) {
  hl_str s[] = {hl_str_of(script), hl_str_of(why)};
  add(tx, OP_HALTED, false, s, HL_COUNT(s));
}

void hl_tx_fired(hl_tx *tx, const char *schedule, int64_t at) {
  hl_str s = hl_str_of(schedule);
  add(tx, OP_FIRED, false, &s, 1)->i[0] = at;
}

void hl_tx_log_body(hl_tx *tx, int64_t row, hl_str body) { add(tx, OP_LOG_BODY, false, &body, 1)->i[0] = row; }
void hl_tx_parked_error(hl_tx *tx, int64_t id, hl_str error) { add(tx, OP_PARKED_ERROR, false, &error, 1)->i[0] = id; }
void hl_tx_drop_delayed(hl_tx *tx, int64_t id) { add(tx, OP_DROP_DELAYED, false, NULL, 0)->i[0] = id; }
void hl_tx_audit_text(hl_tx *tx, int64_t id, hl_str json) { add(tx, OP_AUDIT_TEXT, false, &json, 1)->i[0] = id; }

void hl_tx_step_text(hl_tx *tx, int64_t rowid, hl_str what, hl_str json) {
  hl_str s[] = {what, json};
  add(tx, OP_STEP_TEXT, false, s, HL_COUNT(s))->i[0] = rowid;
}
