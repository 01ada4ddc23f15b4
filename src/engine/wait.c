/* Waits. What a wait waits for is a hash: of the account, an event's type, and
 * fields with the values they must have. An event that comes is hashed in the
 * same way for each shape (type and names of fields) that is waited for; a filter
 * in memory says "nobody" or "perhaps", and for "perhaps" the commit that appends
 * the event looks into the store and ends what waits for it. So arrival and match
 * are one commit, whatever their number, and memory holds a filter and the shapes.
 *
 * Events that came between a handler's own event and its wait are looked up in
 * the log: all waits that are still to be looked through, in one pass over the
 * rows that may hold them (heard.h). An event that comes meanwhile only makes the
 * pass longer, so the earliest one ends a wait, in the order of the log. */
#include "engine/wait.h"

#include <assert.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "engine/heard.h"
#include "engine/steps.h"
#include "store/waits.h"

enum {
  FILTER_BITS = 1 << 23,       /* two a wait: of 100,000 waits, one event in 2,000 is asked about in vain; 1 MiB */
  FILTER_SPARE = 200000,       /* waits that begin between two readings of the filter, at least */
  MAX_SHAPES = 256,
  MAX_LOOK = 16384,            /* waits of one pass */
  LOOK_ROWS = 256, LOOK_BYTES = 1 << 20,
  MAX_OWN = 64,                /* own writes that a wait knows */
  AGAIN_MS = 1000,             /* a wait whose time is over, but the log not yet looked through */
};

typedef struct what_hash { unsigned char b[HL_HASH_BYTES]; } what_hash;

/* What a wait is, beside its step. */
struct hl_wait {
  what_hash hash;
  bool timed;                  /* nothing but time: no hash */
  int64_t until;
  /* until it is stored */
  char *type, *fields, *object;/* object: its id, when it is told */
  int64_t row;
  unsigned index;
  bool settled;                /* its time has passed, and the store was asked */
};

typedef struct shape {
  struct shape *next;
  char *type, *fields;         /* names, one a line, sorted */
  size_t type_n, n;
  char *names[HL_WAIT_FIELDS_MAX];
} shape;

typedef struct awaited {       /* what a script's text says that it waits for */
  struct awaited *next;
  char *script, *type, *property;
} awaited;

typedef struct looked {        /* a wait of the pass */
  hl_node node;
  what_hash hash;
  int64_t parked, row;
  unsigned index;
  bool met;
  hl_str own;                  /* a copy */
} looked;

struct hl_waits {
  shape *shapes;
  size_t n_shapes;
  awaited *awaited;
  uint64_t *bits;              /* NULL: nothing is waited for */
  uint64_t *fresh;             /* being read anew */
  size_t added, read, spare;   /* since it was read; that it held then */
  uint64_t woken;              /* the transaction whose commit wakes what an event has ended */
  bool looking;
  hl_timer again;
  int64_t again_ms;
  looked *pass;
  size_t n_pass, left;
  hl_map by_hash;
  int64_t cursor, upto;
  int64_t to;                  /* of the rows that are being read */
  hl_defer later;
  hl_heard *heard;
  uint32_t *marks;             /* of the pass, sorted */
  bool unknown;                /* what is being read was not known */
  uint32_t *found;             /* marks of that, as it is gone through */
  size_t n_found, found_cap;
};

/* ---- the filter ---- */

static void filter_put(uint64_t *bits, const what_hash *h) {
  for (size_t k = 0; k < 2; k++) {
    uint64_t v;
    memcpy(&v, h->b + k * sizeof v, sizeof v);
    v %= FILTER_BITS;
    bits[v / 64] |= UINT64_C(1) << v % 64;
  }
}

static bool filter_has(const uint64_t *bits, const what_hash *h) {
  for (size_t k = 0; k < 2; k++) {
    uint64_t v;
    memcpy(&v, h->b + k * sizeof v, sizeof v);
    v %= FILTER_BITS;
    if (!(bits[v / 64] >> v % 64 & 1)) return false;
  }
  return true;
}

static uint64_t *filter_new(void) { return hl_alloc(FILTER_BITS / 8); }

static void filter_read(uint64_t *bits, const hl_wait_index *index) {
  what_hash h;
  for (size_t k = 0; k < index->n; k++) {
    memcpy(h.b, index->hashes + k * HL_HASH_BYTES, sizeof h.b);
    filter_put(bits, &h);
  }
}

static void on_index(void *arg, int code, const hl_wait_index *index) {
  hl_waits *w = ((hl_engine *)arg)->waits;
  if (code) { /* the old one says "perhaps" more often than it must */
    hl_free(w->fresh);
  } else {
    filter_read(w->fresh, index);
    hl_free(w->bits);
    w->bits = w->fresh;
    w->read = index->n;
  }
  w->fresh = NULL;
}

static void filter_add(hl_engine *e, const what_hash *h) {
  hl_waits *w = e->waits;
  if (!w->bits) w->bits = filter_new();
  filter_put(w->bits, h);
  if (w->fresh) filter_put(w->fresh, h);
  if (++w->added < w->spare || w->added < 2 * w->read || w->fresh) return;
  w->added = 0;
  w->fresh = filter_new();
  filter_put(w->fresh, h); /* the read may come before its commit */
  hl_store_read_wait_index(e->store, on_index, e);
}

/* ---- shapes ---- */

static void shape_free(shape *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n; i++) hl_free(s->names[i]);
  hl_free(s->type);
  hl_free(s->fields);
  hl_free(s);
}

static shape *shape_of(hl_waits *w, const char *type, const char *fields) {
  for (shape *s = w->shapes; s; s = s->next)
    if (strcmp(s->type, type) == 0 && strcmp(s->fields, fields) == 0) return s;
  if (w->n_shapes >= MAX_SHAPES) return NULL;
  shape *s = HL_NEW(shape);
  s->type = hl_strdup(type);
  s->type_n = strlen(type);
  s->fields = hl_strdup(fields);
  for (const char *p = fields; *p && s->n < HL_WAIT_FIELDS_MAX;) {
    size_t n = strcspn(p, "\n");
    s->names[s->n++] = hl_strndup(p, n);
    p += n + (p[n] == '\n');
  }
  s->next = w->shapes;
  w->shapes = s;
  w->n_shapes++;
  hl_heard_kind(w->heard);
  return s;
}

static int put(hl_buf *b, const char *text) { return hl_buf_append(b, text, strlen(text) + 1); }

static int put_value(hl_buf *b, const char *name, hl_str value) {
  int rc = put(b, name);
  if (!rc) rc = hl_buf_printf(b, "%zu:", value.n);
  return rc ? rc : hl_buf_append(b, value.p, value.n);
}

/* A number is the same as its text. */
static int put_json(hl_buf *b, const char *name, const cJSON *v) {
  if (cJSON_IsString(v)) return put_value(b, name, hl_str_of(v->valuestring));
  char *text = hl_json_print(v);
  int rc = put_value(b, name, hl_str_of(text));
  hl_free(text);
  return rc;
}

static int put_field(hl_buf *b, const char *name, const hl_field *f) {
  char number[24];
  if (f->kind == HL_F_TEXT) return put_value(b, name, f->s);
  if (f->kind != HL_F_INT) return HL_ENOTFOUND;
  int n = snprintf(number, sizeof number, "%lld", (long long)f->i);
  return put_value(b, name, (hl_str){number, (size_t)n});
}

static const hl_field *object_of(const hl_fields *f) {
  return f->object.kind ? &f->object : f->from_object.kind ? &f->from_object : &f->primary_object;
}

static void hash_of(const hl_engine *e, const hl_buf *b, what_hash *out) {
  uint64_t h[2];
  hl_siphash128(e->key, b->p, b->n, h);
  memcpy(out->b, h, sizeof out->b);
}

/* False when the event has not all of the fields. */
static bool hash_event(const hl_engine *e, const shape *s, const char *account, const hl_element *el, what_hash *out) {
  hl_buf b;
  cJSON *parsed = NULL;
  const cJSON *json = el->json, *v;
  hl_buf_init(&b, 1 << 16);
  int rc = put(&b, account);
  if (!rc) rc = put(&b, s->type);
  for (size_t i = 0; i < s->n && !rc; i++) {
    if (strcmp(s->names[i], "objectId") == 0) {
      rc = put_field(&b, s->names[i], object_of(&el->f));
      continue;
    }
    if (strcmp(s->names[i], "propertyName") == 0) {
      rc = put_field(&b, s->names[i], &el->f.property);
      continue;
    }
    if (!json) { /* few events come as far */
      if (hl_json_parse(el->text, &parsed, NULL) == HL_ENOMEM) hl_mem_ended();
      json = parsed;
    }
    v = hl_json_get(json, s->names[i]);
    if (!v) v = hl_json_get(hl_json_get(json, "payload"), s->names[i]);
    rc = v && !cJSON_IsNull(v) ? put_json(&b, s->names[i], v) : HL_ENOTFOUND;
  }
  if (!rc) hash_of(e, &b, out);
  cJSON_Delete(parsed);
  hl_buf_deinit(&b);
  return !rc;
}

static bool of_type(const shape *s, const hl_element *el) {
  return el->f.type.kind == HL_F_TEXT && hl_str_eq((hl_str){s->type, s->type_n}, el->f.type.s);
}

/* What ended a wait, as its step keeps it. */
static char *result_of(int64_t row, unsigned index, const char *source, int64_t received, const hl_element *el) {
  hl_buf b;
  hl_buf_init(&b, SIZE_MAX / 2);
  cJSON *name = cJSON_CreateString(source);
  char *text = hl_json_print(name);
  if (hl_buf_printf(&b, "{\"id\":\"%lld.%u\",\"source\":%s,\"received\":%lld,\"event\":", (long long)row, index, text, (long long)received))
    hl_mem_ended();
  hl_element_print(el, &b);
  if (hl_buf_puts(&b, "}")) hl_mem_ended();
  cJSON_Delete(name);
  hl_free(text);
  return hl_buf_detach(&b, NULL);
}

static uint32_t mark_of(const what_hash *h) {
  uint32_t v;
  memcpy(&v, h->b, sizeof v);
  return v;
}

/* The hash of the write of ours that may have caused an event. */
static bool told_of(hl_engine *e, const char *account, const hl_element *el, what_hash *out) {
  cJSON *parsed = NULL;
  if (!el->json && hl_json_parse(el->text, &parsed, NULL) == HL_ENOMEM) hl_mem_ended();
  cJSON *json = el->json ? el->json : parsed;
  bool told = json && hl_own_told(e, account, json, out->b);
  cJSON_Delete(parsed);
  return told;
}

/* ---- events that come ---- */

static void on_arrived(void *arg, int code) {
  hl_engine *e = arg;
  if (code) return;
  hl_parked_due(e, hl_loop_now(e->loop));
  hl_waits_look(e);
}

void hl_waits_see(hl_engine *e, const hl_receipt_job *job, unsigned index, const hl_element *el) {
  hl_waits *w = e->waits;
  what_hash h;
  if (!w->shapes) return;
  hl_heard_row(w->heard, job->id);
  for (const shape *s = w->shapes; s; s = s->next) {
    if (!of_type(s, el) || !hash_event(e, s, job->account, el, &h)) continue;
    hl_heard_mark(w->heard, mark_of(&h));
    if (!w->bits || !filter_has(w->bits, &h)) continue;
    char *json = result_of(job->id, index, job->source, job->received, el);
    what_hash told;
    hl_str own = {told_of(e, job->account, el, &told) ? (char *)told.b : NULL, sizeof told.b};
    hl_tx_wait_arrived(e->tx, (hl_str){(char *)h.b, sizeof h.b}, own, job->id, job->received, hl_str_of(json), job->cb != NULL);
    hl_free(json);
    if (w->woken != e->seq) hl_waiter_add(e, false, 0, on_arrived, e);
    w->woken = e->seq;
  }
}

/* ---- events that came before ---- */

static void look_ended(hl_engine *e) {
  hl_waits *w = e->waits;
  while (hl_map_pop(&w->by_hash)) {}
  for (size_t k = 0; k < w->n_pass; k++) hl_free((char *)w->pass[k].own.p);
  hl_free(w->pass);
  hl_free(w->marks);
  hl_free(w->found);
  w->pass = NULL;
  w->marks = w->found = NULL;
  w->n_found = w->found_cap = 0;
  w->n_pass = 0;
  w->looking = false;
}

static void on_again(hl_timer *t, void *arg) {
  (void)t;
  hl_waits_look(arg);
}

static void look_failed(hl_engine *e) {
  hl_waits *w = e->waits;
  look_ended(e);
  w->again_ms = hl_longer_wait(w->again_ms);
  hl_timer_start(e->loop, &w->again, w->again_ms, on_again, e);
}

static bool same_hash(const hl_node *node, const void *key) {
  return memcmp(&HL_CONTAINER(node, looked, node)->hash, key, sizeof(what_hash)) == 0;
}

static uint64_t slot_of(const what_hash *h) {
  uint64_t v;
  memcpy(&v, h->b, sizeof v);
  return v;
}

static bool is_own(hl_engine *e, const looked *l, const hl_store_row *r, const hl_element *el) {
  what_hash told;
  return l->own.n && told_of(e, r->account, el, &told) && hl_wait_is_own(l->own, told.b, r->received);
}

static void note_found(hl_waits *w, uint32_t mark) {
  if (w->n_found == w->found_cap) {
    w->found_cap = w->found_cap ? 2 * w->found_cap : LOOK_ROWS;
    w->found = hl_realloc(w->found, w->found_cap * sizeof mark);
  }
  w->found[w->n_found++] = mark;
}

static void look_at(hl_engine *e, const hl_store_row *r, unsigned index, const hl_element *el) {
  hl_waits *w = e->waits;
  what_hash h;
  for (const shape *s = w->shapes; s; s = s->next) {
    if (!of_type(s, el) || !hash_event(e, s, r->account, el, &h)) continue;
    if (w->unknown) note_found(w, mark_of(&h));
    char *json = NULL;
    for (hl_node *n = hl_map_find(&w->by_hash, slot_of(&h), same_hash, &h); n; n = n->next) {
      looked *l = HL_CONTAINER(n, looked, node);
      if (n->hash != slot_of(&h) || !same_hash(n, &h) || l->met) continue;
      if (r->id < l->row || (r->id == l->row && index <= l->index) || is_own(e, l, r, el)) continue;
      l->met = true;
      w->left--;
      if (!json) json = result_of(r->id, index, r->source, r->received, el);
      hl_tx_wait_met(e->tx, l->parked, hl_loop_now(e->loop), hl_str_of(json));
    }
    hl_free(json);
  }
}

static void look_on(hl_engine *e);

static void on_rows(void *arg, const hl_store_rows *rows) {
  static const char none[HL_HASH_BYTES];
  hl_engine *e = arg;
  hl_waits *w = e->waits;
  if (rows->code) {
    look_failed(e);
    return;
  }
  int64_t from = w->cursor + 1;
  w->n_found = 0;
  for (size_t k = 0; k < rows->n; k++) {
    const hl_store_row *r = &rows->rows[k];
    hl_elements elements;
    int rc = hl_elements_read(&elements, r->body, NULL);
    if (rc == HL_ENOMEM) hl_mem_ended();
    for (unsigned i = 0; !rc && i < r->n && i < elements.n; i++) {
      bool duplicate = r->hashes.n >= (i + 1) * sizeof none && memcmp(r->hashes.p + i * sizeof none, none, sizeof none) == 0;
      if (!duplicate) look_at(e, r, i, &elements.v[i]);
    }
    hl_elements_deinit(&elements);
    w->cursor = r->id;
  }
  if (w->unknown) hl_heard_read(w->heard, from, w->cursor, w->found, w->n_found);
  if (!rows->n) w->cursor = w->to;
  look_on(e);
}

static void on_later(hl_defer *defer, void *arg) {
  (void)defer;
  look_on(arg);
}

/* Goes on with the pass, or ends it. */
static void look_on(hl_engine *e) {
  hl_waits *w = e->waits;
  int64_t from;
  hl_heard_what what = w->left ? hl_heard_next(w->heard, w->cursor + 1, w->upto, w->marks, w->n_pass, &from, &w->to) : HL_HEARD_NOTHING;
  if (what != HL_HEARD_NOTHING) {
    w->cursor = from - 1;
    w->unknown = what == HL_HEARD_UNKNOWN;
    if (what == HL_HEARD_LATER) hl_defer_start(e->loop, &w->later, on_later, e);
    else hl_store_read_log(e->store, w->cursor, w->to, LOOK_ROWS, LOOK_BYTES, on_rows, e);
    return;
  }
  for (size_t k = 0; k < w->n_pass; k++)
    if (!w->pass[k].met) hl_tx_wait_looked(e->tx, w->pass[k].parked, w->upto);
  look_ended(e);
  hl_waiter_add(e, false, 0, on_arrived, e); /* what was found is due, and there may be more to look for */
}

static void on_waits(void *arg, int code, const hl_wait_row *rows, size_t n) {
  hl_engine *e = arg;
  hl_waits *w = e->waits;
  if (code) {
    look_failed(e);
    return;
  }
  w->again_ms = 0;
  if (!n) {
    w->looking = false;
    return;
  }
  w->pass = hl_alloc(n * sizeof *w->pass);
  w->marks = hl_alloc(n * sizeof *w->marks);
  w->n_pass = w->left = n;
  w->cursor = rows[0].row - 1; /* its own row may hold more events */
  w->upto = 0;
  for (size_t k = 0; k < n; k++) {
    looked *l = &w->pass[k];
    *l = (looked){.parked = rows[k].parked, .row = rows[k].row, .index = rows[k].index};
    if (rows[k].own.n) l->own = (hl_str){hl_strndup(rows[k].own.p, rows[k].own.n), rows[k].own.n};
    if (rows[k].hash.n == sizeof l->hash.b) memcpy(l->hash.b, rows[k].hash.p, sizeof l->hash.b);
    if (rows[k].upto > w->upto) w->upto = rows[k].upto;
    hl_map_add(&w->by_hash, &l->node, slot_of(&l->hash));
    w->marks[k] = mark_of(&l->hash);
  }
  hl_heard_sort(w->marks, n);
  look_on(e);
}

void hl_waits_look(hl_engine *e) {
  hl_waits *w = e->waits;
  if (w->looking || !w->bits || !hl_may_dispatch(e)) return;
  hl_timer_stop(e->loop, &w->again);
  w->looking = true;
  hl_store_read_waits(e->store, MAX_LOOK, on_waits, e);
}

/* ---- who waits for what ---- */

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

void hl_engine_awaits(hl_engine *e, const char *script, const char *type, const char *property) {
  awaited **p = &e->waits->awaited;
  for (; *p; p = &(*p)->next)
    if (same_text((*p)->script, script) && same_text((*p)->type, type) && same_text((*p)->property, property)) return;
  *p = HL_NEW(awaited);
  **p = (awaited){.script = hl_strdup(script), .type = hl_strdup(type), .property = hl_strdup(property)};
}

bool hl_waits_for(const hl_engine *e, const char *type) {
  for (const awaited *a = e->waits->awaited; a; a = a->next)
    if (strcmp(a->type, type) == 0) return true;
  for (const shape *s = e->waits->shapes; s; s = s->next)
    if (strcmp(s->type, type) == 0) return true;
  return false;
}

void hl_waits_each(const hl_engine *e, void (*each)(void *arg, const hl_listener *l), void *arg) {
  for (const awaited *a = e->waits->awaited; a; a = a->next) each(arg, &(hl_listener){.type = a->type, .script = a->script, .property = a->property});
}

bool hl_waits_idle(const hl_engine *e) { return !e->waits->looking; }

static void on_stored(void *arg, int code) {
  if (!code) hl_waits_look(arg);
}

/* ---- life ---- */

static void on_first_index(void *arg, int code, const hl_wait_index *index) {
  hl_waits *w = ((hl_engine *)arg)->waits;
  (void)code;
  for (size_t k = 0; k < index->n_shapes; k++) shape_of(w, index->shapes[k].type, index->shapes[k].fields);
  if (!index->n) return;
  w->bits = filter_new();
  w->read = index->n;
  filter_read(w->bits, index);
}

int hl_waits_new(hl_engine *e, size_t spare, hl_error *err) {
  e->waits = HL_NEW(hl_waits);
  e->waits->spare = spare ? spare : FILTER_SPARE;
  e->waits->again.unref = true;
  e->waits->heard = hl_heard_new(0);
  return hl_store_wait_index(e->store, on_first_index, e, err);
}

void hl_waits_free(hl_engine *e) {
  hl_waits *w = e->waits;
  if (!w) return;
  look_ended(e);
  hl_timer_stop(e->loop, &w->again);
  hl_defer_stop(e->loop, &w->later);
  hl_heard_free(w->heard);
  while (w->shapes) {
    shape *s = w->shapes;
    w->shapes = s->next;
    shape_free(s);
  }
  while (w->awaited) {
    awaited *a = w->awaited;
    w->awaited = a->next;
    hl_free(a->script);
    hl_free(a->type);
    hl_free(a->property);
    hl_free(a);
  }
  hl_free(w->bits);
  hl_free(w->fresh);
  hl_free(w);
  e->waits = NULL;
}

/* ---- a wait of a run ---- */

#define WHAT "wait"
enum { WHAT_HASH = sizeof WHAT, WHAT_BYTES = WHAT_HASH + 2 * HL_HASH_BYTES };

void hl_wait_free(struct hl_wait *wait) {
  if (!wait) return;
  hl_free(wait->type);
  hl_free(wait->fields);
  hl_free(wait->object);
  hl_free(wait);
}

/* The row of a wait says "wait", and its hash. */
static void print_what(const struct hl_wait *wait, char out[WHAT_BYTES + 1]) {
  memcpy(out, WHAT, sizeof WHAT);
  if (wait->timed) return;
  out[WHAT_HASH - 1] = ' ';
  hl_letters(wait->hash.b, sizeof wait->hash.b, out + WHAT_HASH);
}

bool hl_wait_read(hl_step *step, hl_str what) {
  if (!hl_str_starts(what, WHAT)) return false;
  struct hl_wait *wait = step->wait ? step->wait : HL_NEW(struct hl_wait);
  wait->timed = what.n != WHAT_BYTES || !hl_letters_read((hl_str){what.p + WHAT_HASH, 2 * HL_HASH_BYTES}, wait->hash.b);
  if (step->kind == HL_STEP_WAITING && hl_str_int64(hl_step_result(step), &wait->until)) wait->until = HL_WAIT_FOREVER;
  step->wait = wait;
  return true;
}

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* Type, fields and hash of what is waited for. */
static int read_what(hl_run *run, hl_str name, const hl_wait_for *what, struct hl_wait *wait, hl_error *err) {
  const cJSON *fields[HL_WAIT_FIELDS_MAX], *v;
  size_t n = 0;
  hl_buf b, names;
  int rc = 0;
  hl_buf_init(&b, HL_WAIT_TEXT_MAX);
  hl_buf_init(&names, HL_WAIT_TEXT_MAX);
  cJSON_ArrayForEach(v, what->match) {
    if (n == HL_COUNT(fields)) {
      rc = hl_fail(err, HL_ELIMIT, "wait “" HL_STR_FMT "”: at most %d fields can be asked for", HL_STR_ARG(name), HL_WAIT_FIELDS_MAX);
      goto out;
    }
    fields[n++] = v;
  }
  qsort(fields, n, sizeof *fields, compare_names);
  rc = put(&b, run->ev->account);
  if (!rc) rc = put(&b, what->type);
  for (size_t i = 0; i < n && !rc; i++) {
    rc = hl_buf_printf(&names, "%s%s", i ? "\n" : "", fields[i]->string);
    if (!rc) rc = put_json(&b, fields[i]->string, fields[i]);
  }
  if (rc) {
    hl_fail(err, rc, "wait “" HL_STR_FMT "”: what it waits for is too long, at most %d bytes are allowed", HL_STR_ARG(name), HL_WAIT_TEXT_MAX);
    goto out;
  }
  if (!shape_of(run->e->waits, what->type, names.p ? names.p : "")) {
    rc = hl_fail(err, HL_ELIMIT, "wait “" HL_STR_FMT "”: there are %d kinds of waits already (an event's type and names of fields)",
                 HL_STR_ARG(name), MAX_SHAPES);
    goto out;
  }
  hash_of(run->e, &b, &wait->hash);
  wait->type = hl_strdup(what->type);
  wait->fields = hl_strdup(names.p ? names.p : "");
  char object[40];
  if (hl_json_id(what->match, "objectId", object, sizeof object)) wait->object = hl_strdup(object);
out:
  hl_buf_deinit(&b);
  hl_buf_deinit(&names);
  return rc;
}

static cJSON *result_tree(const hl_step *step, int64_t *row, unsigned *index) {
  cJSON *tree = NULL;
  if (step->kind != HL_STEP_DONE || hl_json_parse(hl_step_result(step), &tree, NULL)) return NULL;
  long long at = 0;
  if (!cJSON_IsObject(tree) || sscanf(hl_json_str(tree, "id", ""), "%lld.%u", &at, index) != 2) {
    cJSON_Delete(tree);
    return NULL;
  }
  *row = at;
  return tree;
}

/* From where on events count: the handler's own, or the one that has ended an earlier wait for the same. */
static void place_of(const hl_run *run, struct hl_wait *wait) {
  wait->row = run->ev->parked_row;
  wait->index = run->ev->index;
  for (const hl_step *step = run->steps->first; step; step = step->next) {
    int64_t row;
    unsigned index;
    if (!step->wait || step->wait->timed || memcmp(&step->wait->hash, &wait->hash, sizeof wait->hash) != 0) continue;
    cJSON *tree = result_tree(step, &row, &index);
    if (tree && (row > wait->row || (row == wait->row && index > wait->index))) {
      wait->row = row;
      wait->index = index;
    }
    cJSON_Delete(tree);
  }
}

bool hl_run_can_wait(const hl_run *run) { return run->kind == RUN_EVENT; }
bool hl_run_is_over(const hl_run *run) { return run->over; }
bool hl_run_has_waited(const hl_run *run) { return run->waited; }

int hl_run_wait(hl_run *run, hl_str name, const hl_wait_for *what, hl_step **out, hl_error *err) {
  assert(hl_run_can_wait(run));
  struct hl_wait *wait = HL_NEW(struct hl_wait);
  hl_step *step;
  int rc = 0;
  wait->timed = !what->type;
  wait->until = what->until < HL_WAIT_FOREVER ? what->until : HL_WAIT_FOREVER;
  if (what->type) rc = read_what(run, name, what, wait, err);
  if (!rc) rc = hl_step_ask(run, name, true, &step, err);
  if (rc || step->stored) {
    hl_wait_free(wait);
    if (rc) return rc;
  } else {
    if (!wait->timed) place_of(run, wait);
    step->wait = wait;
  }
  if (step->kind == HL_STEP_DONE) hl_run_drop_effects_of(run, 0);
  *out = step;
  return 0;
}

hl_wait_state hl_wait_is(const hl_step *step) {
  if (step->kind == HL_STEP_DONE) return HL_WAIT_OVER;
  bool due = step->stored && !step->wait->settled && step->wait->until <= hl_loop_now(step->run->e->loop);
  return due ? HL_WAIT_DUE : HL_WAIT_BEGINS;
}

static void on_result(void *arg, int code, const hl_step_row *rows, size_t n) {
  hl_step_op *op = arg;
  hl_step *step = op->run ? op->step : NULL;
  for (size_t i = 0; step && !code && i < n; i++) {
    if (rows[i].n || !hl_str_eq(rows[i].name, (hl_str){step->name, step->name_n})) continue;
    step->kind = rows[i].kind;
    hl_free(step->json);
    step->json = hl_strndup(rows[i].json.p, rows[i].json.n);
    step->json_n = rows[i].json.n;
    if (step->kind == HL_STEP_DONE) hl_run_drop_effects_of(op->run, 0);
  }
  hl_step_op_end(op, code ? HL_EIO : 0);
}

static void on_over(void *arg, int code) {
  hl_step_op *op = arg;
  hl_buf name;
  if (code || !op->run) {
    hl_step_op_end(op, code);
    return;
  }
  hl_step_key key = hl_step_key_of(op->run, &name);
  hl_store_read_steps(op->e->store, &key, on_result, op);
  hl_buf_deinit(&name);
}

/* An event may have ended it at the last moment: the store decides. */
hl_step_op *hl_wait_settle(hl_step *step, hl_step_cb cb, void *arg) {
  hl_run *run = step->run;
  hl_step_op *op = hl_step_op_new(run, cb, arg);
  op->step = step;
  step->wait->settled = true;
  hl_tx_wait_over(run->e->tx, run->parked);
  hl_waiter_add(run->e, false, 0, on_over, op);
  return op;
}

void hl_wait_end(hl_step *step) {
  assert(hl_wait_is(step) == HL_WAIT_BEGINS && !step->run->over);
  step->run->over = true;
  step->run->steps->ends = step;
}

/* What a person reads about the parked row. */
static void print_why(const hl_step *step, hl_buf *out) {
  const struct hl_wait *wait = step->wait;
  char until[25];
  hl_buf_init(out, 4096);
  if (hl_buf_printf(out, "waits: %.*s", (int)step->name_n, step->name)) hl_mem_ended();
  if (wait->type && hl_buf_printf(out, " (%s)", wait->type)) hl_mem_ended();
  if (wait->until == HL_WAIT_FOREVER) return;
  hl_time_iso(wait->until, until);
  if (hl_buf_printf(out, " until %s", until)) hl_mem_ended();
}

/* What a step of the main task has raised, and the handler has borne, is part of the way that it goes again. */
static void keep_raised(hl_steps *s) {
  for (hl_step *step = s->first; step; step = step->next) {
    if (!step->raised || step->child) continue;
    step->kind = HL_STEP_RAISED;
    hl_step_store(step, 0, step->kind, (hl_str){0}, hl_step_result(step));
  }
}

/* Between the place from which on events count and now. */
static bool may_have_come(const hl_run *run, const struct hl_wait *wait) {
  hl_engine *e = run->e;
  const hl_row *row = run->ev->row;
  uint32_t mark = mark_of(&wait->hash);
  int64_t last = e->next_row - 1, a, b;
  if (row && wait->row == row->id && wait->index + 1 == row->n && wait->row == last) return false;
  return hl_heard_next(e->waits->heard, wait->row, last, &mark, 1, &a, &b) != HL_HEARD_NOTHING;
}

static void store_wait(hl_run *run, hl_step *step, int64_t due, hl_str event) {
  hl_engine *e = run->e;
  struct hl_wait *wait = step->wait;
  char what[WHAT_BYTES + 1], until[24];
  hl_buf why;
  print_what(wait, what);
  int n = snprintf(until, sizeof until, "%lld", (long long)wait->until);
  step->kind = HL_STEP_WAITING;
  hl_step_store(step, 0, step->kind, hl_str_of(what), (hl_str){until, (size_t)n});
  hl_buf own;
  hl_buf_init(&own, MAX_OWN * sizeof(hl_wait_own));
  hl_wait_row row = {.parked = run->parked, .type = wait->type, .fields = wait->fields, .name = {step->name, step->name_n}};
  if (!wait->timed) {
    row.hash = (hl_str){(char *)wait->hash.b, sizeof wait->hash.b};
    row.row = wait->row;
    row.index = wait->index;
    row.upto = may_have_come(run, wait) ? e->next_row - 1 : 0;
    hl_own_wrote(run, wait->object, MAX_OWN, &own);
    if (own.n) row.own = hl_buf_str(&own);
    filter_add(e, &wait->hash);
    if (row.upto) hl_waiter_add(e, false, 0, on_stored, e);
  }
  print_why(step, &why);
  hl_tx_wait(e->tx, &row, due, hl_buf_str(&why), event);
  hl_buf_deinit(&own);
  hl_buf_deinit(&why);
}

void hl_wait_finish(hl_run *run) {
  hl_engine *e = run->e;
  hl_steps *s = run->steps;
  hl_step *step = s->ends;
  struct hl_wait *wait = step->wait;
  int64_t due = wait->settled ? hl_loop_now(e->loop) + AGAIN_MS : wait->until;
  bool waited = run->waited;
  char *json = NULL;
  hl_run_apply_of(run, 0);
  hl_run_drop_effects(run);
  keep_raised(s);
  run->waited = true;
  if (!run->parked) hl_run_park(run, run->h->gone ? HL_ST_ORPHANED : HL_ST_WAITING, due, 0, HL_STR(""));
  else if (!waited) json = hl_run_parked_json(run, run->ev->json);
  if (step->stored) hl_tx_wait_on(e->tx, run->parked, due);
  else store_wait(run, step, due, (hl_str){json, json ? strlen(json) : 0});
  hl_free(json);
  hl_touch(e);
  hl_parked_leave(e, run->ref);
  hl_parked_due(e, due);
  hl_lane_leave(run);
  hl_run_ended(run);
  hl_run_free(run);
}

/* ---- what ended it ---- */

bool hl_wait_result(const hl_step *step, hl_wait_event *out) {
  int64_t row;
  unsigned index;
  hl_fields f;
  *out = (hl_wait_event){.tree = result_tree(step, &row, &index)};
  cJSON *json = cJSON_GetObjectItemCaseSensitive(out->tree, "event");
  if (!cJSON_IsObject(json)) {
    hl_wait_event_deinit(out);
    return false;
  }
  hl_fields_of(json, &f);
  const hl_field *id = object_of(&f);
  if (id->kind == HL_F_INT) snprintf(out->object_id, sizeof out->object_id, "%lld", (long long)id->i);
  else if (id->kind == HL_F_TEXT) snprintf(out->object_id, sizeof out->object_id, HL_STR_FMT, HL_STR_ARG(id->s));
  int64_t received = hl_json_int(out->tree, "received", 0);
  out->event = (hl_event){.type = f.type.kind == HL_F_TEXT ? f.type.s.p : "", .account = step->run->ev->account,
                          .source = hl_json_str(out->tree, "source", ""), .received_at = received, .attempt = 1,
                          .occurred_at = f.occurred.kind == HL_F_INT ? f.occurred.i : received,
                          .object_type = f.object_type.kind == HL_F_TEXT ? f.object_type.s.p : "", .json = json};
  out->event.object_id = out->object_id;
  snprintf(out->event.id, sizeof out->event.id, "%lld.%u", (long long)row, index);
  return true;
}

void hl_wait_event_deinit(hl_wait_event *event) {
  cJSON_Delete(event->tree);
  event->tree = NULL;
}
