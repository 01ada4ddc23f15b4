/* Events as an operator sees them: pages of the log or of what is parked, and one event whole. */
#include "admin/inside.h"
#include "base/mem.h"
#include "base/time.h"
#include "engine/scan.h"
#include "engine/wait.h"

enum { LIST_ROWS = 256, LIST_BYTES = 1 << 20, LIST_MAX = 1000, LIST_DEFAULT = 100 };
static const int64_t CLOCK_STEPS_MS = HL_HOUR;

bool hl_event_id_read(const char *text, int64_t *row, unsigned *index, int64_t *parked) {
  const char *dot = text ? strchr(text, '.') : NULL;
  int64_t a = 0, b;
  if (!dot || hl_str_int64(hl_str_of(dot + 1), &b) || b < 0) return false;
  bool delayed = strncmp(text, "after.", 6) == 0;
  if (!delayed && (hl_str_int64((hl_str){text, (size_t)(dot - text)}, &a) || a < 1 || b > INT32_MAX)) return false;
  *row = a;
  *index = delayed ? 0 : (unsigned)b;
  *parked = delayed ? b : 0;
  return !delayed || b > 0;
}

void hl_parked_id(const hl_parked *p, char out[48]) {
  if (p->row) snprintf(out, 48, "%lld.%u", (long long)p->row, p->index);
  else snprintf(out, 48, "after.%lld", (long long)p->id);
}

bool hl_state_is_parked(hl_state s) { return s == HL_ST_DEAD || s == HL_ST_ORPHANED || s == HL_ST_WAITING || s == HL_ST_DELAYED; }

bool hl_choice_read(hl_act *c, hl_choice *out) {
  const char *state = hl_act_text(c, "state");
  *out = (hl_choice){.any_state = !state, .type = hl_act_text(c, "type"), .script = hl_act_text(c, "script"),
                     .object = hl_act_text(c, "object"), .since = hl_json_int(c->request, "since", 0)};
  if (state && strcmp(state, "uncertain") == 0) {
    out->uncertain = true;
    out->state = HL_ST_DEAD;
  } else if (state && !hl_event_state_named(state, &out->state)) {
    const char *near = hl_str_nearest(hl_str_of(state), hl_event_state_names);
    hl_act_fail(c, HL_EINVAL, "no state “%.40s”%s%s%s; there are pending, waiting, delayed, dead, uncertain, orphaned, unhandled, ran, "
                 "filtered, own, debounced, duplicate", state, near ? "; did you mean “" : "", near ? near : "", near ? "”?" : "");
    return false;
  }
  return true;
}

/* ---- one event as JSON ---- */

static const char *field_text(const hl_field *f, char *buf, size_t size) {
  buf[0] = 0;
  if (f->kind == HL_F_INT) snprintf(buf, size, "%lld", (long long)f->i);
  if (f->kind == HL_F_TEXT) snprintf(buf, size, HL_STR_FMT, (int)(f->s.n < size ? f->s.n : size - 1), f->s.p);
  return buf;
}

static const char *object_of(const hl_fields *f, char *buf, size_t size) {
  return field_text(f->object.kind ? &f->object : f->from_object.kind ? &f->from_object : &f->primary_object, buf, size);
}

static void add_time(cJSON *json, const char *name, int64_t ms) {
  if (ms) cJSON_AddItemToObject(json, name, hl_json_int64(ms));
}

static cJSON *head_json(const char *id, const char *state, const hl_fields *f, const char *account, const char *source, int64_t received) {
  char type[256], object[64];
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "id", id);
  cJSON_AddStringToObject(json, "state", state);
  cJSON_AddStringToObject(json, "type", field_text(&f->type, type, sizeof type));
  cJSON_AddStringToObject(json, "object", object_of(f, object, sizeof object));
  cJSON_AddStringToObject(json, "account", account);
  cJSON_AddStringToObject(json, "source", source);
  add_time(json, "received", received);
  if (f->occurred.kind == HL_F_INT) add_time(json, "occurred", f->occurred.i);
  return json;
}

static const char *state_of(const hl_parked *p) { return hl_parked_is_uncertain(p) ? "uncertain" : hl_event_state_name(p->kind); }

/* What a handler has to do with an event; its name is "script TAB type TAB name". */
static void add_handler(cJSON *json, const char *durable) {
  const char *name = strrchr(durable, '\t');
  char *script = hl_strndup(durable, strcspn(durable, "\t"));
  cJSON_AddStringToObject(json, "script", script);
  cJSON_AddStringToObject(json, "handler", name ? name + 1 : "");
  hl_free(script);
}

static void add_parked(cJSON *json, const hl_parked *p) {
  add_handler(json, p->handler);
  cJSON_AddNumberToObject(json, "attempts", p->attempts);
  add_time(json, "failed", p->failed);
  if ((p->kind == HL_ST_WAITING || p->kind == HL_ST_DELAYED) && p->due < HL_WAIT_FOREVER) add_time(json, "due", p->due);
  if (p->error.n) cJSON_AddItemToObject(json, "error", cJSON_CreateString(p->error.p));
}

/* The event of a parked row; an array of one when it was a delayed one. */
static cJSON *event_of(const hl_parked *p) {
  cJSON *json = NULL, *one;
  if (hl_json_parse(p->event, &json, NULL)) return cJSON_CreateNull();
  if (p->kind != HL_ST_DELAYED || !cJSON_IsArray(json)) return json;
  one = cJSON_DetachItemFromArray(json, 0);
  cJSON_Delete(json);
  return one ? one : cJSON_CreateNull();
}

static cJSON *parked_head(const hl_parked *p, const hl_fields *f) {
  char id[48];
  hl_parked_id(p, id);
  return head_json(id, state_of(p), f, p->account, p->source, p->received);
}

cJSON *hl_parked_json(const hl_parked *p) {
  hl_fields f;
  cJSON *event = event_of(p);
  hl_fields_of(event, &f);
  cJSON *json = parked_head(p, &f);
  add_parked(json, p);
  cJSON_Delete(event);
  return json;
}

bool hl_choice_takes(const hl_choice *by, const hl_parked *p) {
  hl_fields f;
  char object[64];
  if (by->uncertain && !hl_parked_is_uncertain(p)) return false;
  if (by->since && p->received < by->since) return false;
  if (!by->object) return true;
  cJSON *event = event_of(p);
  hl_fields_of(event, &f);
  bool takes = strcmp(object_of(&f, object, sizeof object), by->object) == 0;
  cJSON_Delete(event);
  return takes;
}

/* ---- lists ---- */

static void on_parked_page(void *arg, const hl_parked_page *page) {
  hl_act *c = arg;
  hl_choice by;
  if (page->code) {
    hl_act_fail(c, page->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  if (!hl_choice_read(c, &by)) return;
  cJSON *answer = cJSON_CreateObject(), *events = cJSON_AddArrayToObject(answer, "events");
  for (size_t i = 0; i < page->n; i++)
    if (hl_choice_takes(&by, &page->rows[i])) cJSON_AddItemToArray(events, hl_parked_json(&page->rows[i]));
  cJSON_AddNumberToObject(answer, "looked_at", (double)page->looked_at);
  if (page->more) hl_cursor_add(answer, page->due, page->id);
  hl_act_answer(c, answer);
}

static bool log_takes(const hl_choice *by, hl_state state, const hl_fields *f) {
  char text[256];
  if (!by->any_state && state != by->state) return false;
  if (by->type && strcmp(field_text(&f->type, text, sizeof text), by->type) != 0) return false;
  return !by->object || strcmp(object_of(f, text, sizeof text), by->object) == 0;
}

/* Adds what is chosen of a row, the last one first; stops at `below` and when there are enough. The index of the
 * last one looked at. */
static unsigned list_row(const hl_choice *by, const hl_logged *r, unsigned below, cJSON *events, int *room) {
  hl_elements elements = {0};
  char id[48];
  if (hl_elements_read(&elements, r->body, NULL)) return 0;
  unsigned i = below < r->n ? below : r->n;
  if (i > elements.n) i = (unsigned)elements.n;
  while (i && *room) {
    const hl_fields *f = &elements.v[--i].f;
    hl_state state = (hl_state)r->states[i];
    if (!log_takes(by, state, f)) continue;
    snprintf(id, sizeof id, "%lld.%u", (long long)r->id, i);
    cJSON_AddItemToArray(events, head_json(id, hl_event_state_name(state), f, r->account, r->source, r->received));
    --*room;
  }
  hl_elements_deinit(&elements);
  return i;
}

/* The cursor is the id of the last event looked at. */
static void on_log_page(void *arg, const hl_logged_page *page) {
  hl_act *c = arg;
  hl_choice by;
  int64_t row, index;
  if (page->code) {
    hl_act_fail(c, page->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  if (!hl_choice_read(c, &by) || !hl_cursor_read(c, &row, &index)) return;
  int room = (int)c->number;
  cJSON *answer = cJSON_CreateObject(), *events = cJSON_AddArrayToObject(answer, "events");
  bool more = page->n > 0;
  for (size_t i = 0; i < page->n && more && room; i++) {
    const hl_logged *r = &page->rows[i];
    /* Older rows hold nothing that is asked for. */
    more = !(by.since && r->received < by.since - CLOCK_STEPS_MS) && !(!by.any_state && by.state == HL_ST_PENDING && r->id <= page->mark);
    if (!more) break;
    unsigned below = r->id == row ? (unsigned)index : r->n;
    row = r->id;
    index = by.since && r->received < by.since ? 0 : list_row(&by, r, below, events, &room);
  }
  cJSON_AddItemToObject(answer, "at", hl_json_int64(page->newest - row));
  cJSON_AddItemToObject(answer, "of", hl_json_int64(page->newest - page->oldest));
  if (more && (row > page->oldest || index)) hl_cursor_add(answer, row, index);
  hl_act_answer(c, answer);
}

void hl_do_list(hl_act *c) {
  hl_choice by;
  int64_t a, b, limit = hl_json_int(c->request, "limit", LIST_DEFAULT);
  if (!hl_choice_read(c, &by) || !hl_cursor_read(c, &a, &b)) return;
  if (limit < 1 || limit > LIST_MAX) {
    hl_act_fail(c, HL_EINVAL, "a page has 1 to %d events", LIST_MAX);
    return;
  }
  c->number = limit;
  if (!by.any_state && hl_state_is_parked(by.state)) {
    hl_parked_query q = {.kind = by.state, .script = by.script, .type = by.type, .due = a, .id = b, .max = (size_t)limit};
    hl_store_list_parked(hl_act_store(c), &q, on_parked_page, c);
  } else if (by.script) {
    hl_act_fail(c, HL_EINVAL, "only what a handler has given up or waits for is some script's: --script goes with --state dead, uncertain, "
                 "orphaned or waiting");
  } else {
    hl_store_list_log(hl_act_store(c), a ? (b ? a + 1 : a) : 0, LIST_ROWS, LIST_BYTES, on_log_page, c);
  }
}

/* ---- one event ---- */

static const char *const step_states[] = {[HL_STEP_NONE] = "none", [HL_STEP_DONE] = "done", [HL_STEP_UNSTORABLE] = "unstorable",
                                          [HL_STEP_INTENDED] = "intended", [HL_STEP_ANSWERED] = "answered",
                                          [HL_STEP_WAITING] = "waiting", [HL_STEP_RAISED] = "raised"};

static cJSON *json_or_text(hl_str text) {
  cJSON *json = NULL;
  return hl_json_parse(text, &json, NULL) ? cJSON_CreateString(text.p ? text.p : "") : json;
}

/* The steps of a handler; a write of one that is not done follows its step's name. */
static void add_steps(cJSON *handler, const char *durable, const hl_stored_event *e) {
  cJSON *list = NULL;
  for (size_t i = 0; i < e->n_steps; i++) {
    const hl_step_row *r = &e->steps[i].row;
    if (strcmp(e->steps[i].handler, durable) != 0) continue;
    if (!list) list = cJSON_AddArrayToObject(handler, "steps");
    cJSON *step = cJSON_CreateObject();
    cJSON_AddItemToArray(list, step);
    cJSON_AddStringToObject(step, "name", r->name.p);
    cJSON_AddStringToObject(step, "state", (size_t)r->kind < HL_COUNT(step_states) ? step_states[r->kind] : "?");
    if (r->n) cJSON_AddItemToObject(step, "write", json_or_text(hl_step_what(r->what)));
    else if (hl_str_starts(r->what, "wait")) cJSON_AddTrueToObject(step, "wait");
    if (r->kind != HL_STEP_INTENDED && r->kind != HL_STEP_WAITING) cJSON_AddItemToObject(step, r->kind == HL_STEP_UNSTORABLE ? "why" : "result", json_or_text(r->json));
  }
}

static void add_handlers(cJSON *json, const hl_stored_event *e) {
  cJSON *list = cJSON_AddArrayToObject(json, "handlers");
  for (size_t i = 0; i < e->n_parked; i++) {
    cJSON *handler = cJSON_CreateObject();
    cJSON_AddItemToArray(list, handler);
    cJSON_AddStringToObject(handler, "state", state_of(&e->parked[i]));
    add_parked(handler, &e->parked[i]);
    add_steps(handler, e->parked[i].handler, e);
  }
  /* Of an event that others still have: who has finished, and who is in the middle of it. */
  for (size_t i = 0; i < e->n_partials; i++) {
    if (e->partials[i].state == HL_ST_WAITING) continue;
    cJSON *handler = cJSON_CreateObject();
    cJSON_AddItemToArray(list, handler);
    cJSON_AddStringToObject(handler, "state", hl_event_state_name(e->partials[i].state));
    add_handler(handler, e->partials[i].handler);
  }
  for (size_t i = 0; i < e->n_steps; i++) {
    bool told = i && strcmp(e->steps[i - 1].handler, e->steps[i].handler) == 0;
    for (size_t k = 0; k < e->n_parked; k++) told = told || strcmp(e->parked[k].handler, e->steps[i].handler) == 0;
    if (told) continue;
    cJSON *handler = cJSON_CreateObject();
    cJSON_AddItemToArray(list, handler);
    cJSON_AddStringToObject(handler, "state", "pending");
    add_handler(handler, e->steps[i].handler);
    add_steps(handler, e->steps[i].handler, e);
  }
}

static void on_event(void *arg, const hl_stored_event *e) {
  hl_act *c = arg;
  hl_elements elements = {0};
  cJSON *answer, *json, *event = NULL;
  const char *id = hl_act_text(c, "id");
  int64_t row, parked;
  unsigned index;
  hl_fields f;
  hl_event_id_read(id, &row, &index, &parked);
  if (e->code == HL_ENOTFOUND) {
    hl_act_fail(c, e->code, "there is no event %s; it may be older than the retention (hubloop help operators)", id);
    return;
  }
  if (e->code) {
    hl_act_fail(c, e->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  if (e->row.id) {
    if (!hl_elements_read(&elements, e->row.body, NULL) && index < elements.n) event = hl_element_take(&elements.v[index]);
    if (!event) event = cJSON_CreateNull();
    hl_fields_of(event, &f);
    const char *state = e->n_parked == 1 && e->row.states[index] == HL_ST_DEAD ? state_of(e->parked) : hl_event_state_name((hl_state)e->row.states[index]);
    json = head_json(id, state, &f, e->row.account, e->row.source, e->row.received);
  } else {
    event = event_of(e->parked);
    hl_fields_of(event, &f);
    json = parked_head(e->parked, &f);
    if (e->parked->kind == HL_ST_DELAYED) add_time(json, "due", e->parked->due);
  }
  hl_elements_deinit(&elements);
  if (!e->n_parked || e->parked->kind != HL_ST_DELAYED) add_handlers(json, e);
  cJSON_AddItemToObject(json, "event", event);
  answer = cJSON_CreateObject();
  cJSON_AddItemToObject(answer, "event", json);
  hl_act_answer(c, answer);
}

void hl_do_show(hl_act *c) {
  int64_t row, parked;
  unsigned index;
  const char *id = hl_act_text(c, "id");
  if (!hl_event_id_read(id, &row, &index, &parked))
    hl_act_fail(c, HL_EINVAL, "“%.60s” is no event's id; they look like 151.0 (hubloop events list shows them)", id ? id : "");
  else hl_store_read_event(hl_act_store(c), row, index, parked, on_event, c);
}
