#include "engine/forget.h"

#include <ctype.h>

#include "base/mem.h"
#include "engine/inside.h"
#include "engine/operate.h"
#include "hubspot/call_forget.h"
#include "hubspot/call_log.h"
#include "store/traces.h"

enum { MAX_TEXT = 256 << 20, COMPACT_BYTES = 64 << 20 /* about a second, in which nothing is received */ };

/* Parked rows first, so that the state of an event that is done with is told by its row alone. */
typedef enum phase { TABLES, COMPACT = HL_TRACE_TABLES, CALLS, DONE } phase;

static const char *const names[] = {
    [HL_TRACE_PARKED] = "dead letters", [HL_TRACE_LOG] = "events", [HL_TRACE_STEPS] = "steps", [HL_TRACE_AUDIT] = "records",
    [HL_TRACE_KV] = "kv", [COMPACT] = "rewriting", [CALLS] = "call log", [DONE] = "done",
};

struct hl_forget {
  hl_forget *next;           /* e->forgets */
  hl_engine *e;              /* NULL: freed */
  bool dry_run, unwanted;
  bool due;                  /* what waited may be, with the commit */
  bool flying;               /* the store, a commit or a worker will call back */
  hl_person who;             /* its own texts */
  char *account;             /* NULL: any */
  void (*done)(void *arg);
  void *arg;
  phase phase;
  hl_trace after;            /* in the table; its own texts */
  hl_forgotten told;
  char *calls;               /* base of the call log; NULL: there can be none */
  int64_t blanked;           /* the worker's */
  hl_error err;
};

static void go(hl_forget *f);

/* ---- life ---- */

static void set_after(hl_forget *f, const hl_trace *after) {
  hl_trace copy = {.id = after ? after->id : 0};
  if (after && after->script) {
    copy.script = hl_strdup(after->script);
    copy.account = hl_strdup(after->account);
    copy.name = (hl_str){hl_strndup(after->name.p, after->name.n), after->name.n};
  }
  hl_free((void *)(uintptr_t)f->after.script);
  hl_free((void *)(uintptr_t)f->after.account);
  hl_free((void *)(uintptr_t)f->after.name.p);
  f->after = copy;
}

static void destroy(hl_forget *f) {
  set_after(f, NULL);
  hl_free((void *)(uintptr_t)f->who.id);
  hl_free((void *)(uintptr_t)f->who.email);
  hl_free(f->account);
  hl_free(f->calls);
  hl_free(f);
}

static void leave(hl_forget *f) {
  for (hl_forget **p = f->e ? &f->e->forgets : NULL; p && *p; p = &(*p)->next) {
    if (*p != f) continue;
    *p = f->next;
    break;
  }
  f->e = NULL;
}

/* Back from the store or a worker. False: nobody wants it any more, and it is gone. */
static bool back(hl_forget *f) {
  f->flying = false;
  if (!f->unwanted) return true;
  leave(f);
  destroy(f);
  return false;
}

static void end(hl_forget *f, int code, const char *why) {
  if (code) hl_fail(&f->told.err, code, "%s", why);
  f->phase = DONE;
  f->told.done = true;
  leave(f);
  if (f->done) f->done(f->arg);
}

void hl_forgets_deinit(hl_engine *e) {
  while (e->forgets) {
    hl_forget *f = e->forgets;
    bool worker = f->flying && f->phase == CALLS; /* it comes back */
    e->forgets = f->next;
    f->e = NULL;
    f->told.done = true;
    if (f->told.err.code == 0) hl_fail(&f->told.err, HL_ECANCELLED, "hubloop stopped");
    if (!worker) f->flying = false;
    if (f->unwanted && !worker) destroy(f);
  }
}

void hl_forget_look(const hl_forget *f, hl_forgotten *out) {
  *out = f->told;
  out->phase = names[f->phase];
}

void hl_forget_free(hl_forget *f) {
  if (!f) return;
  f->unwanted = true;
  if (f->flying) return;
  leave(f);
  destroy(f);
}

int hl_forget_new(hl_engine *e, const hl_person *who, const char *account, bool dry_run, void (*done)(void *arg), void *arg,
                  hl_forget **out, hl_error *err) {
  hl_buf base;
  int rc = hl_person_check(who, err);
  if (!rc && e->forgets) rc = hl_fail(err, HL_EBUSY, "somebody is being forgotten already; wait for its end");
  if (rc) return rc;
  hl_forget *f = HL_NEW(hl_forget);
  f->e = e;
  f->dry_run = dry_run;
  f->done = done;
  f->arg = arg;
  f->account = account && *account ? hl_strdup(account) : NULL;
  f->who = (hl_person){hl_strdup(who->id), hl_strdup(who->email)};
  hl_buf_init(&base, 1 << 16);
  if (e->path && !hl_call_log_base(e->path, &base)) f->calls = hl_buf_detach(&base, NULL);
  hl_buf_deinit(&base);
  f->next = e->forgets;
  e->forgets = f;
  *out = f;
  go(f);
  return 0;
}

/* ---- what is the person's ---- */

static bool is_contact(const cJSON *json, const char *type) {
  return hl_str_starts(hl_str_of(type), "contact.") ||
         (hl_str_starts(hl_str_of(type), "object.") && strcmp(hl_json_str(json, "objectTypeId", ""), "0-1") == 0);
}

static bool any(const hl_person *who, const cJSON *json) {
  if (!cJSON_IsObject(json) && !cJSON_IsArray(json)) return hl_person_is(who, json);
  for (const cJSON *v = json->child; v; v = v->next)
    if ((v->string && hl_person_in(who, hl_str_of(v->string))) || any(who, v)) return true;
  return false;
}

/* Of HubSpot's own events only the fields that name records count for the id, so that a deal with an amount like it stays. */
static bool is_about(const hl_person *who, const cJSON *json) {
  static const char *const of_contacts[] = {"objectId", "primaryObjectId", "mergedObjectIds", "newObjectId"};
  static const char *const of_any[] = {"fromObjectId", "toObjectId"};
  const hl_person mail = {.id = "\1", .email = who->email};
  const char *type = hl_json_str(json, "subscriptionType", hl_json_str(json, "eventType", ""));
  if (!hl_event_type_known(type, NULL)) return any(who, json);
  for (size_t i = 0; i < HL_COUNT(of_any); i++)
    if (any(who, hl_json_get(json, of_any[i]))) return true;
  for (size_t i = 0; i < HL_COUNT(of_contacts) && is_contact(json, type); i++)
    if (any(who, hl_json_get(json, of_contacts[i]))) return true;
  return who->email && any(&mail, json);
}

static bool is_about_text(const hl_person *who, hl_str text) {
  cJSON *json = NULL;
  if (hl_json_parse(text, &json, NULL)) return hl_person_in(who, text);
  bool is = false;
  if (cJSON_IsArray(json)) { /* a delayed event */
    for (const cJSON *v = json->child; v && !is; v = v->next) is = is_about(who, v);
  } else {
    is = is_about(who, json);
  }
  cJSON_Delete(json);
  return is;
}

static void redact(const hl_forget *f, hl_str text, hl_buf *out) {
  hl_buf_init(out, MAX_TEXT);
  if (hl_person_redact(&f->who, text, out) == HL_ENOMEM) hl_mem_ended();
}

/* JSON without what is the person's into *out: p NULL: nothing stays. False: it is clean. */
static bool scrubbed(const hl_forget *f, hl_str text, char **out) {
  cJSON *json = NULL;
  hl_buf plain;
  *out = NULL;
  if (hl_json_parse(text, &json, NULL)) { /* none: as a text */
    if (!hl_person_in(&f->who, text)) return false;
    redact(f, text, &plain);
    *out = hl_buf_detach(&plain, NULL);
    return true;
  }
  hl_scrub what = hl_person_scrub(&f->who, json);
  if (what == HL_SCRUB_CHANGED) *out = hl_json_print(json);
  cJSON_Delete(json);
  return what != HL_SCRUB_CLEAN;
}

/* ---- the tables ---- */

/* Of no account: everybody's, such as a routing pool's. */
static bool is_of(const hl_forget *f, const char *account) { return !f->account || !*account || strcmp(f->account, account) == 0; }

/* A request's body with null for the events that go. */
static void take_out_of_row(hl_forget *f, const hl_logged *r) {
  hl_engine *e = f->e;
  hl_elements elements;
  hl_buf body, states;
  bool changed = false, marked = false;
  if (!is_of(f, r->account)) return;
  if (hl_elements_read(&elements, r->body, NULL)) {
    hl_elements_deinit(&elements);
    return;
  }
  hl_buf_init(&body, MAX_TEXT);
  hl_buf_init(&states, MAX_TEXT);
  hl_buf_append(&states, r->states, r->n);
  hl_buf_puts(&body, "[");
  for (unsigned i = 0; i < elements.n; i++) {
    size_t from = body.n;
    if (i) hl_buf_puts(&body, ",");
    size_t text = body.n;
    hl_element_print(&elements.v[i], &body);
    hl_str own = {body.p + text, body.n - text};
    if (i >= r->n || !hl_person_in(&f->who, own) || !is_about_text(&f->who, own)) continue;
    if (r->states[i] == HL_ST_PENDING && e->started) {
      f->told.in_hand++;
      continue;
    }
    f->told.events++;
    body.n = from;
    hl_buf_puts(&body, i ? ",null" : "null");
    changed = true;
    if (r->states[i] != HL_ST_PENDING || f->dry_run) continue;
    states.p[i] = HL_ST_REMOVED;
    marked = true;
    hl_tx_leave(e->tx, r->id, i, HL_ST_REMOVED);
  }
  if (hl_buf_puts(&body, "]")) hl_mem_ended();
  if (changed && !f->dry_run) hl_tx_log_body(e->tx, r->id, hl_buf_str(&body));
  if (marked) {
    /* As the log keeps them: what is not done is pending, what had parked rows is told by those. */
    for (size_t i = 0; i < states.n; i++)
      if (states.p[i] == HL_ST_MAX || states.p[i] == HL_ST_ORPHANED || states.p[i] == HL_ST_DEAD) states.p[i] = HL_ST_WAITING;
    hl_tx_progress(e->tx, r->id, hl_buf_str(&states), true);
  }
  hl_buf_deinit(&body);
  hl_buf_deinit(&states);
  hl_elements_deinit(&elements);
}

static void take_out_parked(hl_forget *f, const hl_parked *p) {
  hl_engine *e = f->e;
  if (!is_of(f, p->account)) return;
  if (!is_about_text(&f->who, p->event)) {
    if (!hl_person_in(&f->who, p->error)) return;
    f->told.parked++;
    if (f->dry_run) return;
    hl_buf error;
    redact(f, p->error, &error);
    hl_tx_parked_error(e->tx, p->id, hl_buf_str(&error));
    hl_buf_deinit(&error);
    return;
  }
  if ((p->kind == HL_ST_WAITING || p->kind == HL_ST_DELAYED) && hl_parked_known(e, p->id)) {
    f->told.in_hand++;
    return;
  }
  f->told.parked++;
  if (f->dry_run) return;
  if (p->kind == HL_ST_DELAYED) {
    hl_tx_drop_delayed(e->tx, p->id);
    return;
  }
  hl_step_key key = {.row = p->row, .index = p->index, .handler = p->handler};
  hl_debounce_fires(e, p->id);
  hl_tx_unpark(e->tx, p->id, HL_ST_REMOVED);
  hl_tx_steps_drop(e->tx, &key);
}

static void take_out_of_step(hl_forget *f, const hl_trace *t) {
  char *json = NULL;
  hl_buf what;
  f->told.steps++;
  if (f->dry_run) return;
  if (hl_person_in(&f->who, t->name)) {
    hl_tx_step_text(f->e->tx, t->id, (hl_str){0}, (hl_str){0});
    f->due = true;
    return;
  }
  bool changed = scrubbed(f, t->text, &json);
  redact(f, t->what, &what);
  hl_tx_step_text(f->e->tx, t->id, what.p ? hl_buf_str(&what) : HL_STR(""), changed ? hl_str_of(json ? json : "null") : t->text);
  hl_buf_deinit(&what);
  hl_free(json);
}

static void take_out_of_record(hl_forget *f, const hl_trace *t) {
  char *json = NULL;
  if (!is_of(f, t->account)) return;
  bool own = hl_person_in(&f->who, t->name), changed = !own && scrubbed(f, t->text, &json);
  if (!own && !changed) return;
  f->told.records++;
  if (!f->dry_run) hl_tx_audit_text(f->e->tx, t->id, own || !json ? (hl_str){0} : hl_str_of(json));
  hl_free(json);
}

static bool is_mail_in(const hl_person *who, const cJSON *json) {
  const hl_person mail = {.id = "\1", .email = who->email};
  return who->email && json && any(&mail, json);
}

/* What sync remembers (stdlib/sync/state.lua) goes whole or stays: half a link would break its run, half a row would keep a
 * name. The id counts where it is a record's, not in a row's number, a count, or the hash before a key. */
static bool is_synced(const hl_person *who, hl_str name, hl_str value) {
  static const char *const ids[] = {"l", "r", "from", "source", "left_id", "right_id", "row"};
  static const char *const spread[] = {"l/", "r/", "i/", "k/"};
  cJSON *json = NULL;
  for (size_t i = 0; i < HL_COUNT(spread); i++) {
    if (name.n <= 7 || !hl_str_starts(name, spread[i])) continue;
    name = (hl_str){name.p + 7, name.n - 7};
    break;
  }
  bool is = hl_person_in(who, name);
  if (is || hl_json_parse(value, &json, NULL)) return is;
  is = is_mail_in(who, json) || (cJSON_IsString(json) && hl_person_is(who, json));
  for (size_t i = 0; i < HL_COUNT(ids) && !is; i++) {
    const cJSON *v = hl_json_get(json, ids[i]);
    is = v && any(who, v);
  }
  cJSON_Delete(json);
  return is;
}

/* The right side of a link to the person keeps a mark by which sync does not make the person again, when its id can be
 * nothing of the person's own. */
static bool is_mark(const hl_person *who, hl_str name, hl_str value) {
  cJSON *json = NULL;
  bool is = name.n > 7 && hl_str_starts(name, "r/") && !hl_person_in(who, (hl_str){name.p + 7, name.n - 7});
  for (size_t i = 7; is && i < name.n; i++) is = name.p[i] == '-' || isxdigit((unsigned char)name.p[i]);
  if (!is || hl_json_parse(value, &json, NULL)) return false;
  is = cJSON_IsString(json) && strcmp(json->valuestring, who->id) == 0;
  cJSON_Delete(json);
  return is;
}

/* What a finished run has written since is in memory, and newer. */
static void take_out_of_kv(hl_forget *f, const hl_trace *t, hl_run *run) {
  hl_kv_scope scope = {t->script, t->account};
  /* That it is to be done stays known until it is. */
  if (!is_of(f, t->account) || (f->told.in_hand && strcmp(t->script, HL_FORGET_SCOPE) == 0)) return;
  hl_str value = t->text, now;
  char *json = NULL;
  if (!hl_kv_get(run, scope, t->name, &now)) value = now;
  bool sync = hl_str_starts(hl_str_of(t->script), "sync:") && !hl_str_eq(t->name, HL_STR("cursor"));
  /* Lists of records apart, the host's own numbers are no ids. */
  bool host = hl_str_starts(hl_str_of(t->script), "hubloop:") && strcmp(t->script, HL_FORGET_SCOPE) != 0;
  bool own = sync ? value.p && is_synced(&f->who, t->name, value) : !host && hl_person_in(&f->who, t->name);
  bool changed = !own && !sync && value.p && (!host || value.p[0] == '[') && scrubbed(f, value, &json);
  if ((own && value.p) || changed) {
    f->told.keys++;
    f->told.synced += sync;
    if (sync && is_mark(&f->who, t->name, value)) json = hl_strdup("\"forgotten\"");
    if (!f->dry_run) hl_kv_set(run, scope, t->name, json ? hl_str_of(json) : (hl_str){0}, json ? t->id : 0, NULL);
  }
  hl_free(json);
}

static void on_committed(void *arg, int code) {
  hl_forget *f = arg;
  if (!back(f)) return;
  if (f->due && !code) hl_parked_due(f->e, hl_loop_now(f->e->loop));
  f->due = false;
  go(f);
}

static void on_found(void *arg, const hl_trace_page *page) {
  hl_forget *f = arg;
  if (!back(f)) return;
  hl_engine *e = f->e;
  if (page->code) {
    end(f, page->code, "the store cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  hl_trace_table table = (hl_trace_table)f->phase;
  hl_run *run = table == HL_TRACE_KV ? hl_engine_begin(e, "", "") : NULL;
  for (size_t i = 0; i < page->n; i++) {
    const hl_trace *t = &page->v[i];
    switch (table) {
      case HL_TRACE_LOG: take_out_of_row(f, &t->row); break;
      case HL_TRACE_PARKED: take_out_parked(f, &t->parked); break;
      case HL_TRACE_STEPS: take_out_of_step(f, t); break;
      case HL_TRACE_AUDIT: take_out_of_record(f, t); break;
      case HL_TRACE_KV: take_out_of_kv(f, t, run); break;
      case HL_TRACE_TABLES: break;
    }
  }
  if (run) hl_run_finish(run, HL_RUN_DONE, (hl_str){0});
  f->told.at = page->at;
  f->told.of = page->of;
  set_after(f, page->more ? &page->after : NULL);
  if (!page->more) f->phase = (phase)(f->phase + 1);
  if (f->dry_run && f->phase == COMPACT) f->phase = CALLS;
  f->flying = true;
  hl_waiter_add(e, f->dry_run, 0, on_committed, f);
}

/* ---- afterwards ---- */

static void on_compacted(void *arg, const hl_compacted *c) {
  hl_forget *f = arg;
  if (!back(f)) return;
  if (c->code) {
    end(f, c->code, "what was found is removed, but the file cannot be written anew; the log of hubloop serve says more, or the disk is full");
    return;
  }
  f->told.residue = !c->whole;
  f->phase = CALLS;
  go(f);
}

static void blank_calls(void *arg) {
  hl_forget *f = arg;
  hl_call_log_forget(f->calls, &f->who, f->dry_run, &f->blanked, &f->err);
}

static void on_blanked(void *arg) {
  hl_forget *f = arg;
  if (!back(f)) return;
  f->told.calls = f->blanked;
  if (f->e) end(f, f->err.code, f->err.text);
}

static void go(hl_forget *f) {
  hl_store *s = f->e->store;
  f->flying = true;
  if (f->phase < COMPACT) {
    hl_store_traces(s, (hl_trace_table)f->phase, &f->who, &f->after, on_found, f);
  } else if (f->phase == COMPACT) {
    hl_store_compact(s, f->e->started ? COMPACT_BYTES : 0, on_compacted, f);
  } else if (f->phase == CALLS && f->calls) {
    hl_loop_work(f->e->loop, blank_calls, on_blanked, f);
  } else {
    f->flying = false;
    end(f, 0, NULL);
  }
}
