/* The log as it was received, for who replays it: pages in the order of receipt. The cursor is the last row looked at
 * and the one that was the newest when the first page was asked for. */
#include "admin/inside.h"
#include "base/mem.h"
#include "base/time.h"
#include "engine/scan.h"

enum { READ_ROWS = 256, READ_BYTES = 1 << 20 };
static const int64_t CLOCK_STEPS_MS = HL_HOUR;

static bool is_duplicate(const hl_store_row *r, unsigned i) {
  static const char zero[HL_HASH_BYTES];
  if (i < r->states.n && (uint8_t)r->states.p[i] == HL_ST_DUPLICATE) return true;
  return r->hashes.n >= (i + 1) * (size_t)HL_HASH_BYTES && memcmp(r->hashes.p + i * (size_t)HL_HASH_BYTES, zero, sizeof zero) == 0;
}

/* What was removed by a person (prune, forget) was received all the same; what is malformed or a duplicate was never an event. */
static void add_row(cJSON *rows, const hl_store_row *r, const char *type) {
  hl_elements elements = {0};
  cJSON *row = NULL, *events = NULL;
  if (hl_elements_read(&elements, r->body, NULL)) return;
  for (unsigned i = 0; i < elements.n && i < r->n; i++) {
    const hl_field *t = &elements.v[i].f.type;
    if (t->kind != HL_F_TEXT || !t->s.n || (type && !hl_str_eqz(t->s, type)) || is_duplicate(r, i)) continue;
    if (!row) {
      row = cJSON_CreateObject();
      cJSON_AddItemToArray(rows, row);
      cJSON_AddItemToObject(row, "id", hl_json_int64(r->id));
      cJSON_AddItemToObject(row, "received", hl_json_int64(r->received));
      cJSON_AddStringToObject(row, "source", r->source);
      cJSON_AddStringToObject(row, "account", r->account);
      cJSON_AddNumberToObject(row, "n", r->n);
      events = cJSON_AddArrayToObject(row, "events");
    }
    cJSON *one = cJSON_CreateObject();
    cJSON_AddItemToArray(events, one);
    cJSON_AddNumberToObject(one, "at", i);
    cJSON_AddItemToObject(one, "event", hl_element_take(&elements.v[i]));
  }
  hl_elements_deinit(&elements);
}

static void on_rows(void *arg, const hl_store_rows *page) {
  hl_act *c = arg;
  int64_t row, upto, since = hl_json_int(c->request, "since", 0), until = hl_json_int(c->request, "until", INT64_MAX);
  if (page->code) {
    hl_act_fail(c, page->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  cJSON *answer = c->answer ? c->answer : cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(answer, "rows");
  row = c->number;
  upto = c->upto;
  bool past = false;
  for (size_t i = 0; i < page->n && !past; i++) {
    const hl_store_row *r = &page->rows[i];
    row = r->id;
    past = until < INT64_MAX - CLOCK_STEPS_MS && r->received >= until + CLOCK_STEPS_MS;
    if (r->received >= since && r->received < until) add_row(rows, r, hl_act_text(c, "type"));
  }
  cJSON_AddItemToObject(answer, "at", hl_json_int64(row));
  cJSON_AddItemToObject(answer, "of", hl_json_int64(upto));
  if (page->n && !past && row < upto) hl_cursor_add(answer, row, upto);
  hl_act_answer(c, answer);
}

static void read_on(hl_act *c) {
  hl_store_read_log(hl_act_store(c), c->number, c->upto, READ_ROWS, READ_BYTES, on_rows, c);
}

static void on_span(void *arg, const hl_log_span *span) {
  hl_act *c = arg;
  if (span->code) {
    hl_act_fail(c, span->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  c->answer = cJSON_CreateObject();
  if (span->kept) cJSON_AddItemToObject(c->answer, "kept", hl_json_int64(span->kept));
  c->number = span->before;
  c->upto = span->newest;
  read_on(c);
}

void hl_do_read(hl_act *c) {
  if (!hl_cursor_read(c, &c->number, &c->upto)) return;
  if (c->upto) read_on(c);
  else hl_store_log_since(hl_act_store(c), hl_json_int(c->request, "since", 0), on_span, c);
}
