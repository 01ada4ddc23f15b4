/* What an operator does to events: run them again, put some in, take some out. */
#include "admin/inside.h"
#include "base/mem.h"

enum { PAGE = 500, REASONS_MAX = 100 };

/* ---- retry ---- */

static bool settle_of(hl_act *c, hl_settle *out) {
  const char *text = hl_act_text(c, "settle");
  *out = !text ? HL_SETTLE_NOT : strcmp(text, "again") == 0 ? HL_SETTLE_AGAIN : HL_SETTLE_DONE;
  if (!text || *out == HL_SETTLE_AGAIN || strcmp(text, "done") == 0) return true;
  hl_act_fail(c, HL_EINVAL, "settle is “again” or “done”");
  return false;
}

static void on_stored(void *arg, int code) {
  hl_act *c = arg;
  if (code) hl_act_fail(c, code, "the store cannot commit at the moment; what was asked is done as soon as it can");
  else hl_act_answer(c, c->answer);
}

/* What was left alone, and why; of many the first hundred. */
static void leave(cJSON *left, const hl_parked *p, const hl_error *err) {
  if (cJSON_GetArraySize(left) >= REASONS_MAX) return;
  cJSON *one = hl_parked_json(p);
  cJSON_AddStringToObject(one, "why", err->text);
  cJSON_AddItemToArray(left, one);
}

typedef struct outcome {
  int done, left;
} outcome;

static void retry_one(hl_act *c, const hl_parked *p, hl_settle settle, cJSON *left, outcome *o) {
  hl_error err;
  if (!hl_engine_retry(c->a->e, p, settle, &err)) {
    o->done++;
    return;
  }
  o->left++;
  leave(left, p, &err);
}

static void finish(hl_act *c, const char *name, const outcome *o) {
  cJSON_AddNumberToObject(c->answer, name, o->done);
  cJSON_AddNumberToObject(c->answer, "left_alone", o->left);
  if (o->done) hl_engine_after(c->a->e, on_stored, c);
  else hl_act_answer(c, c->answer);
}

static void store_failed(hl_act *c, int code) {
  hl_act_fail(c, code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
}

static void retry_event(void *arg, const hl_stored_event *e) {
  hl_act *c = arg;
  hl_settle settle;
  outcome o = {0};
  hl_parked_query only = {.script = hl_act_text(c, "script")};
  const char *id = hl_act_text(c, "id");
  if (e->code && e->code != HL_ENOTFOUND) {
    store_failed(c, e->code);
    return;
  }
  if (e->code || !settle_of(c, &settle)) {
    if (e->code) hl_act_fail(c, e->code, "there is no event %s", id);
    return;
  }
  c->answer = cJSON_CreateObject();
  cJSON *left = cJSON_AddArrayToObject(c->answer, "left");
  for (size_t i = 0; i < e->n_parked; i++)
    if (hl_parked_is_of(&only, &e->parked[i])) retry_one(c, &e->parked[i], settle, left, &o);
  if (!o.done && !o.left) {
    int64_t row, parked;
    unsigned index;
    hl_event_id_read(id, &row, &index, &parked);
    hl_act_fail(c, HL_ENOTFOUND, "event %s is %s%s: there is nothing to retry", id, e->row.id ? hl_event_state_name((hl_state)e->row.states[index]) : "no dead letter",
                 only.script ? ", or not of that script" : "");
    return;
  }
  finish(c, "retried", &o);
}

static void retry_page(void *arg, const hl_parked_page *page) {
  hl_act *c = arg;
  hl_choice by;
  hl_settle settle;
  outcome o = {0};
  if (page->code) {
    store_failed(c, page->code);
    return;
  }
  if (!hl_choice_read(c, &by) || !settle_of(c, &settle)) return;
  c->answer = cJSON_CreateObject();
  cJSON *left = cJSON_AddArrayToObject(c->answer, "left");
  for (size_t i = 0; i < page->n; i++)
    if (hl_choice_takes(&by, &page->rows[i])) retry_one(c, &page->rows[i], settle, left, &o);
  cJSON_AddNumberToObject(c->answer, "looked_at", (double)page->looked_at);
  if (page->more) hl_cursor_add(c->answer, page->due, page->id);
  finish(c, "retried", &o);
}

/* The given-up ones that are chosen, a page of them. */
static void choose(hl_act *c, const hl_choice *by, void (*cb)(void *arg, const hl_parked_page *page)) {
  int64_t due, id;
  if (!hl_cursor_read(c, &due, &id)) return;
  hl_parked_query q = {.kind = by->state, .script = by->script, .type = by->type, .due = due, .id = id, .max = PAGE};
  hl_store_list_parked(hl_act_store(c), &q, cb, c);
}

static bool is_given_up(const hl_choice *by) { return !by->any_state && (by->state == HL_ST_DEAD || by->state == HL_ST_ORPHANED); }

void hl_do_retry(hl_act *c) {
  int64_t row, parked;
  unsigned index;
  hl_choice by;
  hl_settle settle;
  const char *id = hl_act_text(c, "id");
  if (!settle_of(c, &settle) || !hl_choice_read(c, &by)) return;
  if (id && !hl_event_id_read(id, &row, &index, &parked))
    hl_act_fail(c, HL_EINVAL, "“%.60s” is no event's id; they look like 151.0 (hubloop events list shows them)", id);
  else if (id) hl_store_read_event(hl_act_store(c), row, index, parked, retry_event, c);
  else if (!is_given_up(&by)) hl_act_fail(c, HL_EINVAL, "retry takes ids, or --state dead, uncertain or orphaned");
  else choose(c, &by, retry_page);
}

/* ---- inject ---- */

static void on_receipt(void *arg, const hl_receipt *r) {
  hl_act *c = arg;
  if (r->code) {
    hl_act_fail(c, r->code, "not stored: %s", r->text ? r->text : "the store refused");
    return;
  }
  cJSON *answer = cJSON_CreateObject();
  cJSON_AddNumberToObject(answer, "accepted", r->accepted);
  cJSON_AddNumberToObject(answer, "duplicates", r->duplicates);
  cJSON_AddNumberToObject(answer, "malformed", r->malformed);
  cJSON_AddNumberToObject(answer, "unhandled", r->unhandled);
  hl_act_answer(c, answer);
}

void hl_do_inject(hl_act *c) {
  const cJSON *events = hl_json_get(c->request, "events");
  const char *account = hl_act_text(c, "account");
  if (!cJSON_IsArray(events)) {
    hl_act_fail(c, HL_EINVAL, "inject needs an array of events");
    return;
  }
  char *body = hl_json_print(events);
  hl_engine_receive(c->a->e, "manual", account ? account : c->a->account, hl_str_of(body), on_receipt, c);
  hl_free(body);
}

/* ---- prune ---- */

static void on_pruned(void *arg, const hl_pruned *p) {
  hl_act *c = arg;
  if (p->code) {
    hl_act_fail(c, p->code, "the store refused; the log of hubloop serve says more, or the disk is full");
    return;
  }
  cJSON *answer = cJSON_CreateObject();
  cJSON_AddItemToObject(answer, "removed", hl_json_int64(p->events));
  cJSON_AddItemToObject(answer, "at", hl_json_int64(p->after));
  cJSON_AddItemToObject(answer, "of", hl_json_int64(p->upto));
  if (p->more) hl_cursor_add(answer, p->after, 0);
  hl_act_answer(c, answer);
}

static void prune_page(void *arg, const hl_parked_page *page) {
  hl_act *c = arg;
  hl_choice by;
  outcome o = {0};
  hl_error err;
  int64_t before = hl_json_int(c->request, "before", 0);
  bool dry_run = hl_json_bool(c->request, "dry_run", false);
  if (page->code) {
    store_failed(c, page->code);
    return;
  }
  if (!hl_choice_read(c, &by)) return;
  for (size_t i = 0; i < page->n; i++) {
    const hl_parked *p = &page->rows[i];
    if (!hl_choice_takes(&by, p) || (p->failed > p->received ? p->failed : p->received) >= before) continue;
    if (dry_run || !hl_engine_remove(c->a->e, p, &err)) o.done++;
  }
  c->answer = cJSON_CreateObject();
  cJSON_AddNumberToObject(c->answer, "removed", o.done);
  cJSON_AddNumberToObject(c->answer, "looked_at", (double)page->looked_at);
  if (page->more) hl_cursor_add(c->answer, page->due, page->id);
  if (o.done && !dry_run) hl_engine_after(c->a->e, on_stored, c);
  else hl_act_answer(c, c->answer);
}

void hl_do_prune(hl_act *c) {
  hl_choice by;
  int64_t after, unused, before = hl_json_int(c->request, "before", 0);
  int64_t window = hl_engine_window_ms(c->a->e), now = hl_loop_now(c->a->loop);
  if (!hl_choice_read(c, &by) || !hl_cursor_read(c, &after, &unused)) return;
  if (before < 1) hl_act_fail(c, HL_EINVAL, "prune needs a time before which events go");
  else if (is_given_up(&by)) choose(c, &by, prune_page);
  else if (!by.any_state)
    hl_act_fail(c, HL_EINVAL, "prune takes --state dead, uncertain or orphaned; without --state it removes what is finished, which is never one event "
                 "alone but the request that brought it");
  else if (by.type || by.script || by.object) hl_act_fail(c, HL_EINVAL, "--type, --script and --object go with --state dead, uncertain or orphaned");
  else if (before > now - window)
    hl_act_fail(c, HL_EINVAL, "events of the last %lld hours are kept: duplicates are known by them", (long long)((window + HL_HOUR - 1) / HL_HOUR));
  else hl_store_prune(hl_act_store(c), before, after, hl_json_bool(c->request, "dry_run", false), on_pruned, c);
}
