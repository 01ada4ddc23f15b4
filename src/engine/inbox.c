/* Receipt and the log. A body is looked at once: what is an event, what is seen
 * before, what nobody listens to: from its text, without a tree. Then it is one appended row, and after the
 * commit its events are dispatched from memory if the dispatcher is level with
 * the log, otherwise they are read back later in bounded windows. */
#include <assert.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "engine/inside.h"
#include "store/operate.h"

enum { READ_ROWS = 256, READ_BYTES = 4 << 20 };

/* ---- the hash of an event ---- */

/* Ids come as numbers or as text of the same number: both hash the same. */
static void put_value(char *buf, size_t size, size_t *n, const hl_field *v) {
  int64_t i = v->kind == HL_F_INT ? v->i : 0;
  if (*n + 16 > size) return;
  if (v->kind == HL_F_NONE) {
    buf[(*n)++] = 0;
  } else if (v->kind == HL_F_INT || (v->kind == HL_F_TEXT && hl_str_int64(v->s, &i) == 0)) {
    buf[(*n)++] = 1;
    memcpy(buf + *n, &i, sizeof i);
    *n += sizeof i;
  } else if (v->kind == HL_F_TEXT) {
    size_t len = v->s.n;
    buf[(*n)++] = 2;
    memcpy(buf + *n, &len, sizeof len);
    *n += sizeof len;
    if (len > size - *n) len = size - *n;
    memcpy(buf + *n, v->s.p, len);
    *n += len;
  } else {
    buf[(*n)++] = 3;
  }
}

static hl_hash hash_of(const hl_engine *e, const hl_fields *f, int64_t row, unsigned index) {
  char buf[1024];
  size_t n = 0;
  uint64_t out[2];
  put_value(buf, sizeof buf, &n, &f->portal);
  put_value(buf, sizeof buf, &n, &f->subscription);
  put_value(buf, sizeof buf, &n, f->object.kind ? &f->object : &f->from_object);
  put_value(buf, sizeof buf, &n, &f->occurred);
  put_value(buf, sizeof buf, &n, &f->event);
  put_value(buf, sizeof buf, &n, &f->property);
  put_value(buf, sizeof buf, &n, &f->type);
  if (!f->event.kind && !f->occurred.kind && n + 16 <= sizeof buf) { /* nothing tells two of them apart: never a duplicate */
    memcpy(buf + n, &row, sizeof row);
    memcpy(buf + n + sizeof row, &index, sizeof index);
    n += sizeof row + sizeof index;
  }
  hl_siphash128(e->key, buf, n, out);
  if (!out[0] && !out[1]) out[0] = 1; /* all zero means: skip */
  return (hl_hash){out[0], out[1]};
}

/* ---- types and handlers ---- */

static bool same_type(const hl_node *node, const void *key) {
  return hl_str_eqz(*(const hl_str *)key, HL_CONTAINER(node, hl_type, node)->name);
}

static hl_type *type_named(const hl_engine *e, hl_str type) {
  hl_node *node = hl_map_find(&e->types, hl_map_hash(&e->types, type.p, type.n), same_type, &type);
  return node ? HL_CONTAINER(node, hl_type, node) : NULL;
}

hl_type *hl_type_of(const hl_engine *e, const char *type) { return type_named(e, hl_str_of(type)); }

/* Those that events of the type go to: when nobody listens, the stand-ins of scripts that could not be loaded. */
static hl_type *takers_of(const hl_engine *e, hl_str type) {
  hl_type *t = type_named(e, type);
  return t || !e->n_absent ? t : type_named(e, HL_STR(""));
}

hl_type *hl_takers_of(const hl_engine *e, const char *type) { return takers_of(e, hl_str_of(type)); }

/* Without a type there is no event. */
static bool has_type(const hl_fields *f) { return f->type.kind == HL_F_TEXT && f->type.s.n; }

/* ---- receipt ---- */

static void free_receipt(hl_receipt_job *job) {
  hl_free(job->hashes);
  hl_free(job->states);
  hl_free(job->fresh);
  hl_free(job);
}

/* Answers now (callers are in a callback of ours, never inside receive). */
void hl_inbox_refuse(hl_engine *e, hl_receipt_job *job, int code, const char *why) {
  for (size_t i = 0; i < job->n_fresh; i++) hl_dedupe_remove(e->dedupe, job->fresh[i]);
  if (code) job->result = (hl_receipt){.code = code == HL_EINVAL || code == HL_EFULL ? code : HL_EIO, .text = why};
  if (job->cb) job->cb(job->arg, &job->result);
  free_receipt(job);
}

/* Answers at the end of the turn. `text` is a constant. */
static void answer_later(hl_engine *e, hl_receipt_job *job, int code, const char *text) {
  job->result.code = code;
  job->result.text = text;
  hl_receipts_push(&e->failed, job);
  hl_touch(e);
}

static void park_malformed(hl_engine *e, hl_receipt_job *job, unsigned index, hl_element *el) {
  const char *why = el->object ? "malformed event: no subscriptionType" : "malformed event: not an object";
  cJSON *json = hl_element_take(el);
  char *text = hl_json_print(json);
  cJSON_Delete(json);
  hl_parked p = {.id = e->next_parked++, .row = job->id, .index = index, .kind = HL_ST_DEAD, .handler = "", .type = "",
                 .source = job->source, .account = job->account, .received = job->received,
                 .event = hl_str_of(text), .error = hl_str_of(why)};
  hl_tx_park(e->tx, &p, true);
  hl_free(text);
}

/* New: to be taken back when the body cannot be committed. */
static bool add_hash(hl_engine *e, hl_receipt_job *job, hl_hash h) {
  if (!hl_dedupe_add(e->dedupe, h, job->received)) return false;
  job->fresh[job->n_fresh++] = h;
  return true;
}

static void tell_near(hl_engine *e, const hl_fields *f, int64_t off) {
  int64_t mono = hl_loop_mono(e->loop);
  e->near_misses++;
  if (e->near_told && mono - e->near_told < HL_MINUTE) return;
  e->near_told = mono + 1;
  hl_log_write(e->log, HL_LOG_WARN, "inbox", "push and journal tell of the same " HL_STR_FMT " %lld ms apart; both are handled (%llu of these "
               "so far: if they are many, let one source alone bring these events)", HL_STR_ARG(f->type.s), (long long)off,
               (unsigned long long)e->near_misses);
}

/* An account that push and journal bring events of: what the other has brought is a duplicate too. */
static bool add_twin(hl_engine *e, hl_receipt_job *job, unsigned i, const hl_fields *f, hl_hash own) {
  bool push = job->twin == HL_TWIN_PUSH;
  int64_t mono = hl_loop_mono(e->loop), off;
  hl_hash h, other;
  bool known = type_named(e, f->type.s) != NULL, twins = hl_twin_hash(e->twins, job->twin, f, &h);
  if (push && known) hl_twins_heard(e->twins, job->account, f->type.s, mono);
  if (twins) hl_twin_hash(e->twins, push ? HL_TWIN_JOURNAL : HL_TWIN_PUSH, f, &other);
  if (!push && twins) own = h;
  if (!add_hash(e, job, own) || (twins && hl_dedupe_has(e->dedupe, other, job->received))) return false;
  memcpy(job->hashes + (size_t)i * HL_HASH_BYTES, &own, sizeof own);
  if (push && twins && add_hash(e, job, h)) memcpy(job->hashes + ((size_t)job->n + i) * HL_HASH_BYTES, &h, sizeof h);
  if ((off = hl_twins_near(e->twins, job->twin, f, mono))) tell_near(e, f, off);
  if (!push && hl_twins_live(e->twins, job->account, f->type.s, mono)) {
    e->gaps++;
    job->result.gaps++;
  }
  return true;
}

/* Looks at each element: its state, its hash. All are hashed first: the window's
 * table is far larger than a cache, and its lines come in meanwhile. */
static void examine(hl_engine *e, hl_receipt_job *job, hl_elements *elements, unsigned counts[HL_ST_MAX]) {
  const hl_type *type = NULL;
  hl_str looked_up = {0};
  bool twins = job->twin != HL_TWIN_NONE;
  job->fresh = hl_realloc(NULL, (twins ? 3 : 1) * (size_t)job->n * sizeof *job->fresh);
  hl_hash *hashes = twins ? job->fresh + 2 * (size_t)job->n : job->fresh; /* fresh ones close up behind i */
  for (unsigned i = 0; i < job->n; i++) {
    hashes[i] = hash_of(e, &elements->v[i].f, job->id, i);
    hl_dedupe_prefetch(e->dedupe, hashes[i]);
  }
  for (unsigned i = 0; i < job->n; i++) {
    const hl_fields *f = &elements->v[i].f;
    hl_state state = HL_ST_PENDING;
    if (!has_type(f)) {
      state = HL_ST_DEAD;
      job->result.malformed++;
      park_malformed(e, job, i, &elements->v[i]);
    } else {
      hl_hash h = hashes[i];
      if (twins ? !add_twin(e, job, i, f, h) : !add_hash(e, job, h)) {
        state = HL_ST_DUPLICATE;
        job->result.duplicates++;
      } else {
        if (!twins) memcpy(job->hashes + (size_t)i * HL_HASH_BYTES, &h, sizeof h);
        job->result.accepted++;
        hl_waits_see(e, job, i, &elements->v[i]);
        if (!looked_up.p || !hl_str_eq(looked_up, f->type.s)) type = takers_of(e, f->type.s);
        looked_up = f->type.s;
        if (hl_str_eqz(f->type.s, "contact.privacyDeletion")) hl_privacy_saw(e, job->account, f);
        if (!type && e->started) {
          state = HL_ST_UNHANDLED;
          job->result.unhandled++;
        }
      }
    }
    job->states[i] = (uint8_t)state;
    counts[state]++;
  }
}

static hl_receipt_job *new_receipt(hl_receipt_cb cb, void *arg) {
  hl_receipt_job *job = HL_NEW(hl_receipt_job);
  job->cb = cb;
  job->arg = arg;
  return job;
}

void hl_engine_receive_read(hl_engine *e, const char *source, const char *account, hl_str body, hl_elements *elements,
                            hl_receipt_cb cb, void *arg) {
  hl_receipt_job *job = new_receipt(cb, arg);
  unsigned counts[HL_ST_MAX] = {0};
  assert(e->spill);
  if (e->stalled) {
    answer_later(e, job, HL_EIO, "the store cannot commit at the moment");
    return;
  }
  job->n = (unsigned)elements->n;
  if (!job->n) {
    answer_later(e, job, 0, NULL);
    return;
  }
  job->source = hl_intern(e, source);
  job->account = hl_intern(e, account);
  job->received = hl_loop_now(e->loop);
  job->received_us = hl_loop_mono_us(e->loop);
  job->bytes = body.n;
  job->id = e->next_row;
  bool journal = strcmp(source, "journal") == 0;
  job->twin = !hl_twins_watched(e->twins, job->account) ? HL_TWIN_NONE : journal ? HL_TWIN_JOURNAL : HL_TWIN_PUSH;
  job->hash_bytes = (job->twin == HL_TWIN_PUSH ? 2 : 1) * (size_t)job->n * HL_HASH_BYTES;
  job->hashes = hl_alloc(job->hash_bytes);
  job->states = hl_alloc(job->n);
  hl_dedupe_row(e->dedupe, job->id);
  examine(e, job, elements, counts);
  job->fresh_end = hl_dedupe_end(e->dedupe);
  job->pending = counts[HL_ST_PENDING];
  if (counts[HL_ST_DUPLICATE] == job->n) {
    job->id = 0;
    hl_tx_duplicates(e->tx, job->n, true);
  } else {
    e->next_row++;
    bool marked = counts[HL_ST_UNHANDLED] || counts[HL_ST_DEAD];
    hl_append a = {.id = job->id, .received = job->received, .source = job->source, .account = job->account,
                   .n = job->n, .hashes = {(char *)job->hashes, job->hash_bytes}, .body = body,
                   .states = {marked ? (char *)job->states : NULL, marked ? job->n : 0}};
    memcpy(a.counts, counts, sizeof counts);
    job->body = hl_tx_append(e->tx, &a, true);
  }
  hl_receipts_push(&e->receipts, job);
  hl_touch(e);
}

void hl_engine_receive(hl_engine *e, const char *source, const char *account, hl_str body, hl_receipt_cb cb, void *arg) {
  hl_elements elements;
  int rc = hl_elements_read(&elements, body, NULL);
  if (rc) answer_later(e, new_receipt(cb, arg), rc, rc == HL_ENOMEM ? "no memory for the body" : "the body is not a JSON array of events");
  else hl_engine_receive_read(e, source, account, body, &elements, cb, arg);
  hl_elements_deinit(&elements);
}

/* No duplicates are looked for: where it came from they are known. */
int hl_engine_replay(hl_engine *e, const hl_recorded *r, hl_error *err) {
  hl_elements elements;
  assert(e->replay && r->row >= e->next_row);
  int rc = hl_elements_read(&elements, r->body, err);
  if (rc) return rc;
  hl_receipt_job *job = new_receipt(NULL, NULL);
  job->n = (unsigned)elements.n;
  job->source = hl_intern(e, r->source);
  job->account = hl_intern(e, r->account);
  job->received = hl_loop_now(e->loop);
  job->received_us = hl_loop_mono_us(e->loop);
  job->bytes = r->body.n;
  job->id = r->row;
  job->hash_bytes = (size_t)job->n * HL_HASH_BYTES;
  job->hashes = hl_alloc(job->hash_bytes); /* all zero means: skip */
  job->states = hl_alloc(job->n);
  e->next_row = r->row + 1;
  hl_append a = {.id = job->id, .received = job->received, .source = job->source, .account = job->account, .n = job->n};
  for (unsigned i = 0; i < job->n; i++) {
    const hl_fields *f = &elements.v[i].f;
    hl_state state = HL_ST_DUPLICATE;
    if (!r->skipped[i] && has_type(f)) {
      hl_waits_see(e, job, i, &elements.v[i]);
      memset(job->hashes + (size_t)i * HL_HASH_BYTES, 0xff, HL_HASH_BYTES);
      state = type_named(e, f->type.s) ? HL_ST_PENDING : HL_ST_UNHANDLED;
    }
    job->states[i] = (uint8_t)state;
    a.counts[state]++;
  }
  job->pending = a.counts[HL_ST_PENDING];
  bool marked = a.counts[HL_ST_UNHANDLED] > 0;
  a.hashes = (hl_str){(char *)job->hashes, job->hash_bytes};
  a.body = r->body;
  a.states = (hl_str){marked ? (char *)job->states : NULL, marked ? job->n : 0};
  job->body = hl_tx_append(e->tx, &a, false);
  hl_receipts_push(&e->receipts, job);
  hl_elements_deinit(&elements);
  hl_touch(e);
  return 0;
}

static void forgotten(void *arg, const hl_pruned *pruned) { (void)arg, (void)pruned; }

void hl_engine_replayed(hl_engine *e, int64_t before) {
  hl_store_prune(e->store, before, 0, false, forgotten, NULL);
}

void hl_engine_save_place(hl_engine *e, const char *source, hl_str place, hl_receipt_cb cb, void *arg) {
  hl_receipt_job *job = new_receipt(cb, arg);
  if (e->stalled) {
    answer_later(e, job, HL_EIO, "the store cannot commit at the moment");
    return;
  }
  hl_tx_place(e->tx, source, place, true);
  hl_receipts_push(&e->receipts, job);
  hl_touch(e);
}

void hl_alert_depth(hl_engine *e, int64_t row, unsigned index, const char *type, const char *what) {
  char text[400], id[40];
  cJSON *details = cJSON_CreateObject();
  snprintf(text, sizeof text, "event “%.200s” parked: %s chained deeper than %d", type, what, MAX_DEPTH);
  snprintf(id, sizeof id, "%lld.%u", (long long)row, index);
  cJSON_AddStringToObject(details, "event", id);
  cJSON_AddStringToObject(details, "type", type);
  hl_engine_alert(e, "depth", text, details);
}

/* An event of our own, in the commit that gathers now. Refused never: the
 * handler that emitted it has finished. */
void hl_inbox_append_own(hl_engine *e, char *body, int64_t received) {
  hl_receipt_job *job = HL_NEW(hl_receipt_job);
  cJSON *array = NULL;
  int rc = hl_json_parse(hl_str_of(body), &array, NULL);
  if (rc == HL_ENOMEM) hl_mem_ended();
  assert(rc == 0 && cJSON_GetArraySize(array) == 1); /* printed by hl_run_emit */
  (void)rc;
  const char *type = hl_json_str(array->child, "subscriptionType", "");
  bool too_deep = false;
  hl_state state = hl_takers_of(e, type) || !e->started ? HL_ST_PENDING : HL_ST_UNHANDLED;
  job->source = hl_intern(e, "emit");
  job->account = hl_intern(e, hl_json_str(array->child, "account", ""));
  job->received = received;
  job->received_us = hl_loop_mono_us(e->loop);
  job->bytes = strlen(body);
  job->n = 1;
  job->id = e->next_row++;
  job->states = hl_alloc(1);
  if (hl_json_int(array->child, "depth", 0) > MAX_DEPTH) {
    hl_parked p = {.id = e->next_parked++, .row = job->id, .kind = HL_ST_DEAD, .handler = "", .type = type, .source = "emit",
                   .account = job->account, .received = received, .event = hl_str_of(body),
                   .error = HL_STR("own events chained deeper than 8: handlers that emit to each other without end?")};
    state = HL_ST_DEAD;
    hl_tx_park(e->tx, &p, false);
    too_deep = true;
  }
  job->states[0] = (uint8_t)state;
  job->pending = state == HL_ST_PENDING;
  hl_append a = {.id = job->id, .received = received, .source = job->source, .account = job->account, .n = 1,
                 .body = hl_str_of(body), .states = {job->pending ? NULL : (char *)job->states, job->pending ? 0 : 1}};
  a.counts[state] = 1;
  hl_element el = {.json = array->child, .object = true};
  hl_fields_of(el.json, &el.f);
  hl_waits_see(e, job, 0, &el);
  job->body = hl_tx_append(e->tx, &a, false);
  hl_receipts_push(&e->receipts, job);
  if (too_deep) hl_alert_depth(e, job->id, 0, type, "own events");
  cJSON_Delete(array);
  hl_free(body);
  hl_touch(e);
}

/* ---- rows and events in memory ---- */

static void mark_dirty(hl_engine *e, hl_row *row) {
  if (row->dirty) return;
  row->dirty = true;
  row->dirty_next = e->dirty_rows;
  e->dirty_rows = row;
  hl_touch(e);
}

static void close_row(hl_engine *e, hl_row *row) {
  assert(row->open > 0);
  if (--row->open) return;
  if (row->prev) row->prev->next = row->next;
  else e->rows = row->next;
  if (row->next) row->next->prev = row->prev;
  else e->last_open = row->prev;
  e->bytes -= row->bytes;
  if (!row->dirty) hl_free(row);
}

void hl_ev_unref(hl_engine *e, hl_ev *ev) {
  assert(ev->refs > 0);
  if (--ev->refs) return;
  e->events--;
  e->bytes -= ev->bytes;
  cJSON_Delete(ev->json);
  hl_free(ev->done);
  hl_free(ev);
}

void hl_ev_note(hl_engine *e, hl_ev *ev, const char *handler) {
  ev->split = true;
  ev->done = hl_realloc(ev->done, (ev->n_done + 1) * sizeof *ev->done);
  ev->done[ev->n_done++] = hl_intern(e, handler);
}

void hl_ev_done_by(hl_engine *e, hl_ev *ev, const char *handler, hl_state state) {
  hl_tx_partial(e->tx, ev->row->id, ev->index, handler, state);
  hl_ev_note(e, ev, handler);
}

/* All its handlers have finished or parked it: it leaves the log. */
void hl_event_done(hl_engine *e, hl_ev *ev) {
  hl_row *row = ev->row;
  if (!row) return;
  hl_state state = ev->parks ? HL_ST_WAITING : ev->base;
  row->states[ev->index] = (uint8_t)state;
  if (state != HL_ST_RAN && state != HL_ST_DUPLICATE) row->keep = true;
  if (ev->split) hl_tx_leave(e->tx, row->id, ev->index, ev->base);
  else e->moved[ev->base]++;
  ev->row = NULL;
  mark_dirty(e, row);
  close_row(e, row);
}

/* Events whose rows are all done leave no trace but the mark; what is done above
 * the mark, and what holds a special state, is written down. */
void hl_row_progress(hl_engine *e) {
  int64_t mark = e->rows ? e->rows->id - 1 : e->cursor;
  while (e->dirty_rows) {
    hl_row *row = e->dirty_rows;
    e->dirty_rows = row->dirty_next;
    row->dirty = false;
    if (row->open || row->id > mark || row->keep)
      hl_tx_progress(e->tx, row->id, (hl_str){(char *)row->states, row->n}, row->keep);
    if (!row->open) hl_free(row);
  }
  if (mark > e->mark) {
    hl_tx_mark(e->tx, e->mark, mark);
    e->mark = mark;
  }
}

/* Everything the handler will see points into `json`, which is taken over. */
static hl_ev *new_ev(hl_engine *e, hl_row *row, unsigned index, cJSON *json) {
  hl_ev *ev = HL_NEW(hl_ev);
  hl_fields f;
  hl_fields_of(json, &f);
  ev->row = row;
  ev->index = index;
  ev->json = json;
  ev->source = row->source;
  ev->account = row->account;
  ev->received = row->received;
  ev->received_us = row->received_us;
  ev->committed_us = row->committed_us;
  ev->parked_row = row->id;
  ev->base = HL_ST_FILTERED;
  ev->occurred = f.occurred.kind == HL_F_INT ? f.occurred.i : row->received;
  hl_ev_name(e, ev, &f);
  e->events++;
  return ev;
}

void hl_ev_name(hl_engine *e, hl_ev *ev, const hl_fields *f) {
  const hl_field *id = f->object.kind ? &f->object : f->from_object.kind ? &f->from_object : &f->primary_object;
  char type[64];
  ev->type = f->type.s.p;
  if (id->kind == HL_F_INT) snprintf(ev->object_id, sizeof ev->object_id, "%lld", (long long)id->i);
  else if (id->kind == HL_F_TEXT && id->s.n < sizeof ev->object_id) memcpy(ev->object_id, id->s.p, id->s.n + 1);
  /* The type's own name first: the journal gives a type id where push may give none, and their
   * events are of one lane. */
  const char *dot = strchr(ev->type, '.');
  size_t len = dot ? (size_t)(dot - ev->type) : 0;
  if (!len || len >= sizeof type || !hl_event_type_known(ev->type, NULL) || strncmp(ev->type, "object.", 7) == 0) {
    ev->object_type = f->object_type.kind == HL_F_TEXT ? f->object_type.s.p : "";
    return;
  }
  snprintf(type, sizeof type, "%.*s", (int)len, ev->type);
  ev->object_type = hl_intern(e, type);
}

hl_ev *hl_ev_parked(hl_engine *e, const hl_parked *p, cJSON *json) {
  hl_fields f;
  hl_fields_of(json, &f);
  if (!has_type(&f)) return NULL;
  hl_ev *ev = HL_NEW(hl_ev);
  ev->index = p->index;
  ev->json = json;
  ev->source = hl_intern(e, p->source);
  ev->account = hl_intern(e, p->account);
  ev->received = p->received;
  ev->parked_row = p->row;
  ev->base = HL_ST_FILTERED;
  ev->occurred = f.occurred.kind == HL_F_INT ? f.occurred.i : p->received;
  hl_ev_name(e, ev, &f);
  ev->refs = 1;
  ev->bytes = p->event.n;
  e->bytes += ev->bytes;
  e->events++;
  return ev;
}

/* Dispatches what is pending of a row. An event's tree is made here, when it is
 * known that somebody listens. */
static void load_row(hl_engine *e, hl_row *row, hl_str body, hl_str hashes, const hl_store_partial *partials, size_t n_partials) {
  static const char zero[HL_HASH_BYTES];
  hl_elements elements;
  hl_error err;
  int rc = hl_elements_read(&elements, body, &err);
  if (rc == HL_ENOMEM) hl_mem_ended();
  if (rc)
    hl_log_write(e->log, HL_LOG_ERROR, "store", "row %lld of the inbox cannot be read: %s", (long long)row->id, err.text);
  row->open = 1; /* ours, so that it stays until all are looked at */
  row->prev = e->last_open;
  if (row->prev) row->prev->next = row;
  else e->rows = row;
  e->last_open = row;
  e->bytes += row->bytes;
  for (unsigned i = 0; i < row->n && i < elements.n; i++) {
    const hl_fields *f = &elements.v[i].f;
    if (row->states[i]) {
      if (row->states[i] != HL_ST_RAN && row->states[i] != HL_ST_DUPLICATE) row->keep = true;
      continue;
    }
    if (hashes.n >= (i + 1) * (size_t)HL_HASH_BYTES && memcmp(hashes.p + i * (size_t)HL_HASH_BYTES, zero, sizeof zero) == 0) {
      row->states[i] = HL_ST_DUPLICATE;
      continue;
    }
    row->open++;
    if (!has_type(f) || !takers_of(e, f->type.s)) {
      e->moved[HL_ST_UNHANDLED]++;
      row->states[i] = HL_ST_UNHANDLED;
      row->keep = true;
      mark_dirty(e, row);
      close_row(e, row);
      continue;
    }
    hl_ev *ev = new_ev(e, row, i, hl_element_take(&elements.v[i]));
    if (n_partials || !hl_early(e, ev)) hl_dispatch_event(e, ev, partials, n_partials);
  }
  hl_elements_deinit(&elements);
  close_row(e, row);
}

static hl_row *new_row(int64_t id, int64_t received, const char *source, const char *account, unsigned n) {
  hl_row *row = hl_alloc(sizeof *row + n);
  row->id = id;
  row->received = received;
  row->source = source;
  row->account = account;
  row->n = n;
  return row;
}

bool hl_inbox_blocked(const hl_engine *e) {
  return e->cursor < e->committed && !e->reading_log && (e->events > e->max_events / 2 || e->bytes > MAX_BYTES / 2);
}

bool hl_inbox_room(const hl_engine *e) { return e->events < e->max_events && e->bytes < MAX_BYTES; }

/* One for a body, when its dead letters are in the store. */
static void alert_malformed(hl_engine *e, const hl_receipt_job *job) {
  const uint8_t *first = memchr(job->states, HL_ST_DEAD, job->n);
  unsigned n = job->result.malformed;
  char text[300], id[40], more[40] = "";
  cJSON *details = cJSON_CreateObject();
  snprintf(id, sizeof id, "%lld.%u", (long long)job->id, (unsigned)(first - job->states));
  if (n > 1) snprintf(more, sizeof more, " and %u more of its body", n - 1);
  snprintf(text, sizeof text, "event %s%s (%s): malformed, so a dead letter: no object, or no subscriptionType", id, more, job->source);
  cJSON_AddStringToObject(details, "event", id);
  cJSON_AddStringToObject(details, "source", job->source);
  cJSON_AddStringToObject(details, "account", job->account);
  cJSON_AddNumberToObject(details, "malformed", n);
  hl_engine_alert(e, "dead_letter", text, details);
}

void hl_inbox_committed(hl_engine *e, hl_receipt_job *job) {
  if (job->result.malformed) alert_malformed(e, job);
  if (job->n_fresh) {
    hl_dedupe_settle(e->dedupe, job->fresh_end);
    hl_spill_check(e->spill);
  }
  if (job->id) {
    bool level = e->cursor == e->committed && !e->reading_log;
    e->committed = job->id;
    if (level && !job->pending && e->started) {
      e->cursor = job->id;
    } else if (level && hl_may_dispatch(e) && hl_inbox_room(e)) {
      hl_row *row = new_row(job->id, job->received, job->source, job->account, job->n);
      row->received_us = job->received_us;
      row->committed_us = hl_loop_mono_us(e->loop);
      row->bytes = job->bytes;
      memcpy(row->states, job->states, job->n);
      e->cursor = job->id;
      load_row(e, row, job->body, (hl_str){0}, NULL, 0);
    }
  }
  if (job->cb) job->cb(job->arg, &job->result);
  free_receipt(job);
}

/* ---- reading back ---- */

static void on_reread(hl_timer *t, void *arg) {
  (void)t;
  hl_inbox_more(arg);
}

static void on_rows(void *arg, const hl_store_rows *rows) {
  hl_engine *e = arg;
  e->reading_log = false;
  if (rows->code) {
    if (!e->reread_ms) hl_log_write(e->log, HL_LOG_ERROR, "store", "cannot read the inbox back; it is tried again until it can");
    e->reread_ms = hl_longer_wait(e->reread_ms);
    hl_timer_start(e->loop, &e->reread, e->reread_ms, on_reread, e);
    return;
  }
  e->reread_ms = 0;
  size_t partial = 0;
  for (size_t k = 0; k < rows->n; k++) {
    const hl_store_row *r = &rows->rows[k];
    hl_row *row = new_row(r->id, r->received, hl_intern(e, r->source), hl_intern(e, r->account), r->n);
    size_t from;
    row->committed_us = 0;
    row->bytes = r->body.n;
    memcpy(row->states, r->states.p, r->states.n < r->n ? r->states.n : r->n);
    while (partial < rows->n_partials && rows->partials[partial].row < r->id) partial++;
    for (from = partial; partial < rows->n_partials && rows->partials[partial].row == r->id;) partial++;
    e->cursor = r->id;
    load_row(e, row, r->body, r->hashes, rows->partials + from, partial - from);
  }
  /* Ids have gaps where receipts were refused: nothing found means level. */
  if (!rows->n) e->cursor = e->read_upto;
  hl_touch(e);
  hl_inbox_more(e);
}

void hl_inbox_more(hl_engine *e) {
  hl_parked_more(e);
  if (!hl_may_dispatch(e) || e->reading_log || hl_timer_armed(&e->reread) || e->cursor >= e->committed) return;
  if (hl_inbox_blocked(e)) {
    hl_backlog_blocked(e);
    return;
  }
  hl_backlog_flows(e);
  e->reading_log = true;
  e->read_upto = e->committed;
  hl_store_read_log(e->store, e->cursor, e->committed, READ_ROWS, READ_BYTES, on_rows, e);
}

void hl_inbox_deinit(hl_engine *e) {
  hl_receipts *lists[] = {&e->receipts, &e->flying, &e->failed};
  for (size_t k = 0; k < HL_COUNT(lists); k++) {
    while (lists[k]->first) {
      hl_receipt_job *job = lists[k]->first;
      lists[k]->first = job->next;
      free_receipt(job);
    }
  }
  while (e->rows) {
    hl_row *row = e->rows;
    e->rows = row->next;
    if (!row->dirty) hl_free(row);
  }
  while (e->dirty_rows) {
    hl_row *row = e->dirty_rows;
    e->dirty_rows = row->dirty_next;
    hl_free(row);
  }
}
