#include "engine/pull.h"

#include <assert.h>

#include "base/mem.h"
#include "engine/inside.h"
#include "hubspot/resync.h"

enum {
  PLACE_MAX = 4096, TELL_MS = 10 * 60 * 1000, AGAIN_MS = 60 * 1000,
  SEARCH_LAG_MS = 10 * 1000, /* HubSpot's search knows what has changed by then */
};
static const int64_t PUSH_MS = 5 * 1000;    /* push gets so long after a file was published */
static const int64_t MARGIN_MS = 5 * 60 * 1000; /* clocks differ by so much, and HubSpot is late by so much */

typedef struct source { /* an account whose events it brings */
  hl_account *account;
  const char *name;
  int64_t portal;            /* 0: not known yet */
} source;

typedef struct asking {      /* whose account it is */
  hl_pull *p;                /* NULL: gone */
  size_t i;
} asking;

/* The hashes of what the log holds since a time, read on a worker. */
typedef struct known {
  hl_pull *p;                /* NULL: gone */
  hl_store *store;
  int64_t since;
  hl_hash *v;
  size_t n, cap;
  int code;
  hl_error err;
} known;

/* Bodies and a place on their way into the store. */
typedef struct taking {
  hl_pull *p;                /* NULL: gone */
  unsigned left;             /* receipts still to come */
  int code;
  bool resync;               /* of the search, not of the journal */
  hl_journal_done done;
  void *arg;
} taking;

struct hl_pull {
  hl_engine *e;
  hl_loop *loop;
  hl_log *log;
  hl_journal *journal;
  bool portal_only;
  char *name, *key, *resync_key;
  source *v;
  size_t n;
  asking *asking;
  /* the file that waits for push */
  const hl_journal_file *held;
  char *held_place;
  hl_journal_done held_done;
  void *held_arg;
  hl_timer hold;
  /* the search */
  known *reading, *known;    /* what of it has been handled long ago */
  hl_resync *resync;
  size_t resync_at;          /* which account */
  int64_t since;             /* 0: nothing is searched for */
  uint64_t records, found;
  hl_timer again;
  taking *jobs[2];           /* the journal's, the search's; NULL: none is out */
  uint64_t foreign, told_gaps;
  int64_t foreign_told, gaps_told;
};

/* ---- into the inbox ---- */

/* What names no portal is the only account's. */
static const source *source_of(const hl_pull *p, int64_t portal) {
  for (size_t i = 0; i < p->n; i++)
    if (p->v[i].portal == portal || (!portal && p->n == 1)) return &p->v[i];
  return NULL;
}

static void taken(taking *t) {
  hl_pull *p = t->p;
  if (p) p->jobs[t->resync] = NULL;
  if (t->done) t->done(t->arg, t->code);
  hl_free(t);
}

static void tell_gaps(hl_pull *p, unsigned gaps) {
  int64_t mono = hl_loop_mono(p->loop);
  p->told_gaps += gaps;
  if (!gaps || (p->gaps_told && mono - p->gaps_told < TELL_MS)) return;
  p->gaps_told = mono + 1;
  hl_log_write(p->log, HL_LOG_WARN, "journal", "%s: %llu event%s that push did not bring came through the journal (so far): is the app's "
               "target URL reached, and are its subscriptions the same?", p->name, (unsigned long long)p->told_gaps, p->told_gaps == 1 ? "" : "s");
}

static void on_receipt(void *arg, const hl_receipt *r) {
  taking *t = arg;
  if (r->code) t->code = r->code;
  if (t->p && !t->resync) tell_gaps(t->p, r->code ? 0 : r->gaps);
  if (--t->left == 0) taken(t);
}

static taking *take(hl_pull *p, bool resync, hl_journal_done done, void *arg) {
  assert(!p->jobs[resync]);
  taking *t = HL_NEW(taking);
  *t = (taking){.p = p, .resync = resync, .done = done, .arg = arg};
  return p->jobs[resync] = t;
}

/* Nobody waits for it any more; its receipts are still to come. */
static void abandon(hl_pull *p, bool resync) {
  taking *t = p->jobs[resync];
  if (!t) return;
  p->jobs[resync] = NULL;
  t->p = NULL;
  t->done(t->arg, HL_ECANCELLED);
  t->done = NULL;
}

static void put(hl_pull *p, taking *t, const source *s, hl_str body) {
  t->left++;
  hl_engine_receive(p->e, "journal", s->name, body, on_receipt, t);
}

static void put_place(hl_pull *p, taking *t, const char *key, hl_str place) {
  t->left++;
  hl_engine_save_place(p->e, key, place, on_receipt, t);
}

static void foreign(hl_pull *p, const hl_journal_body *b) {
  int64_t mono = hl_loop_mono(p->loop);
  p->foreign += b->n;
  if (p->foreign_told && mono - p->foreign_told < TELL_MS) return;
  p->foreign_told = mono + 1;
  hl_log_write(p->log, HL_LOG_WARN, "journal", "%s: events of portal %lld are left out, which is no account with this journal in hubloop.lua",
               p->name, (long long)b->portal);
}

static void take_now(hl_pull *p, const hl_journal_file *file, hl_str place, hl_journal_done done, void *arg) {
  taking *t = take(p, false, done, arg);
  for (size_t i = 0; file && i < file->n; i++) {
    const source *s = source_of(p, file->v[i].portal);
    if (s) put(p, t, s, hl_buf_str(&file->v[i].json));
    else foreign(p, &file->v[i]);
  }
  put_place(p, t, p->key, place);
}

static void on_hold(hl_timer *timer, void *arg) {
  (void)timer;
  hl_pull *p = arg;
  char *place = p->held_place;
  p->held_place = NULL;
  take_now(p, p->held, hl_str_of(place), p->held_done, p->held_arg);
  p->held = NULL;
  hl_free(place);
}

/* Something in it is of a type that push is live for. */
static bool push_may_bring(const hl_pull *p, const hl_journal_file *file) {
  bool live = false;
  for (size_t i = 0; i < file->n && !live; i++) {
    const source *s = source_of(p, file->v[i].portal);
    hl_elements all;
    if (!s || hl_elements_read(&all, hl_buf_str(&file->v[i].json), NULL)) continue;
    for (size_t k = 0; k < all.n && !live; k++)
      live = all.v[k].f.type.kind == HL_F_TEXT && hl_engine_push_live(p->e, s->name, all.v[k].f.type.s);
    hl_elements_deinit(&all);
  }
  return live;
}

static void sink_take(void *arg, const hl_journal_file *file, hl_str place, hl_journal_done done, void *done_arg) {
  hl_pull *p = arg;
  int64_t wait = file && file->published ? file->published + PUSH_MS - hl_loop_now(p->loop) : 0;
  if (wait <= 0 || wait > PUSH_MS || !push_may_bring(p, file)) {
    take_now(p, file, place, done, done_arg);
    return;
  }
  p->held = file;
  p->held_place = hl_strndup(place.p, place.n);
  p->held_done = done;
  p->held_arg = done_arg;
  p->hold.unref = true;
  hl_timer_start(p->loop, &p->hold, wait, on_hold, p);
}

static bool sink_generic(void *arg) {
  static const char *const types[] = {"object.creation", "object.deletion", "object.merge", "object.restore", "object.propertyChange",
                                      "object.associationChange"};
  const hl_pull *p = arg;
  for (size_t i = 0; i < HL_COUNT(types); i++)
    if (hl_engine_listens(p->e, types[i])) return true;
  return hl_engine_absent_script(p->e, 0) != NULL; /* which may listen */
}

/* ---- what may be missing ---- */

static void resync_next(hl_pull *p);
static void forget_known(hl_pull *p);

static void on_again(hl_timer *timer, void *arg) {
  (void)timer;
  resync_next(arg);
}

static void resync_later(hl_pull *p, int64_t ms) {
  p->again.unref = true;
  hl_timer_start(p->loop, &p->again, ms, on_again, p);
}

static void print_since(const hl_pull *p, hl_buf *out) {
  cJSON *json = cJSON_CreateObject();
  cJSON_AddItemToObject(json, "since", hl_json_int64(p->since));
  if (hl_json_print_to(json, out)) hl_mem_ended();
  cJSON_Delete(json);
}

/* What of it a search finds: see hubspot/resync.h. */
static bool is_searched_for(const hl_listener *l, const char *dot) {
  if (!hl_event_object_id((hl_str){l->type, (size_t)(dot - l->type)})) return false;
  if (strcmp(dot, ".creation") == 0 || strcmp(dot, ".deletion") == 0) return true;
  return strcmp(dot, ".propertyChange") == 0 && l->property;
}

static void add_once(cJSON *list, const char *text) {
  const cJSON *one;
  cJSON_ArrayForEach(one, list) if (strcmp(one->valuestring, text) == 0) return;
  cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static void on_unsearched(void *arg, const hl_listener *l) {
  const char *dot = strchr(l->type, '.');
  if (dot && hl_event_type_known(l->type, NULL) && !is_searched_for(l, dot)) add_once(arg, l->type);
}

static void alert(hl_pull *p, int64_t since, const char *why, bool failed) {
  char text[1800], iso[25];
  cJSON *details = cJSON_CreateObject();
  const cJSON *one;
  hl_buf list;
  hl_time_iso(since, iso);
  cJSON_AddStringToObject(details, "journal", p->name);
  cJSON_AddStringToObject(details, "since", iso);
  cJSON_AddStringToObject(details, "why", why);
  if (failed) {
    snprintf(text, sizeof text, "webhooks journal %s: what happened since %s could not be searched for: %.600s", p->name, iso, why);
  } else {
    /* A privacy deletion counts also when no script hears of it (privacy.c). */
    cJSON *missing = cJSON_AddArrayToObject(details, "not_found");
    hl_engine_listeners(p->e, on_unsearched, missing);
    add_once(missing, "contact.privacyDeletion");
    hl_buf_init(&list, 700);
    cJSON_ArrayForEach(one, missing) (void)hl_buf_printf(&list, "%s%s", list.n ? ", " : "", one->valuestring);
    snprintf(text, sizeof text, "webhooks journal %s: events since %s may be missing (%.600s); creations, deletions and changes of the properties that "
             "scripts name are searched for and come as events; not found are %s", p->name, iso, why, list.p);
    hl_buf_deinit(&list);
  }
  hl_engine_alert(p->e, "journal_expired", text, details);
}

static void sink_lost(void *arg, int64_t since, const char *why, hl_journal_done done, void *done_arg) {
  hl_pull *p = arg;
  hl_buf text;
  int64_t from = since > MARGIN_MS ? since - MARGIN_MS : 0;
  alert(p, since, why, false);
  /* What is searched for already begins anew when it must reach back further. */
  if (!p->since || from < p->since) p->since = from;
  hl_resync_free(p->resync);
  p->resync = NULL;
  abandon(p, true);
  forget_known(p);
  p->resync_at = 0;
  hl_buf_init(&text, PLACE_MAX);
  print_since(p, &text);
  taking *t = take(p, false, done, done_arg);
  put_place(p, t, p->resync_key, hl_buf_str(&text));
  hl_buf_deinit(&text);
  resync_later(p, SEARCH_LAG_MS);
}

/* ---- the search ---- */

typedef struct gather { const source *s; hl_resync_want *v; size_t n; } gather;

static hl_resync_want *want_of(gather *g, const char *type_id) {
  for (size_t i = 0; i < g->n; i++)
    if (strcmp(g->v[i].type_id, type_id) == 0) return &g->v[i];
  g->v = hl_realloc(g->v, (g->n + 1) * sizeof *g->v);
  g->v[g->n] = (hl_resync_want){.type_id = type_id};
  return &g->v[g->n++];
}

static void add_property(hl_resync_want *w, const char *name) {
  size_t n = 0;
  for (; w->properties && w->properties[n]; n++)
    if (strcmp(w->properties[n], name) == 0) return;
  w->properties = hl_realloc(w->properties, (n + 2) * sizeof *w->properties);
  w->properties[n] = hl_strdup(name);
  w->properties[n + 1] = NULL;
}

static void on_listener(void *arg, const hl_listener *l) {
  gather *g = arg;
  const char *dot = strchr(l->type, '.');
  const char *id = dot ? hl_event_object_id((hl_str){l->type, (size_t)(dot - l->type)}) : NULL;
  if (!id || (l->account && strcmp(l->account, g->s->name) != 0)) return;
  if (strcmp(dot, ".creation") == 0) want_of(g, id)->creation = true;
  else if (strcmp(dot, ".deletion") == 0) want_of(g, id)->deletion = true;
  else if (strcmp(dot, ".propertyChange") == 0 && l->property) add_property(want_of(g, id), l->property);
}

/* ---- what has been handled before the window of duplicates ---- */

enum { KNOWN_MAX = 4000000 };

static void note_hashes(void *arg, int64_t row, int64_t received, hl_str hashes) {
  known *k = arg;
  (void)row;
  (void)received;
  for (size_t i = 0; i + HL_HASH_BYTES <= hashes.n && k->n < KNOWN_MAX; i += HL_HASH_BYTES) {
    if (k->n == k->cap) {
      k->cap = k->cap ? 2 * k->cap : 1024;
      k->v = hl_realloc(k->v, k->cap * sizeof *k->v);
    }
    memcpy(&k->v[k->n++], hashes.p + i, sizeof(hl_hash));
  }
}

static int by_hash(const void *a, const void *b) { return memcmp(a, b, sizeof(hl_hash)); }

static void known_work(void *arg) {
  known *k = arg;
  k->code = hl_store_each_hash(k->store, 0, INT64_MAX, k->since, note_hashes, k, &k->err);
  if (k->n) qsort(k->v, k->n, sizeof *k->v, by_hash);
}

static void known_free(known *k) {
  if (!k) return;
  hl_free(k->v);
  hl_free(k);
}

static void forget_known(hl_pull *p) {
  if (p->reading) p->reading->p = NULL;
  known_free(p->known);
  p->reading = p->known = NULL;
}

static void known_done(void *arg) {
  known *k = arg;
  hl_pull *p = k->p;
  if (!p) {
    known_free(k);
    return;
  }
  if (k->code) hl_log_write(p->log, HL_LOG_WARN, "journal", "%s: %s; what is searched for may be handled again", p->name, k->err.text);
  p->reading = NULL;
  p->known = k;
  resync_next(p);
}

static void known_read(hl_pull *p) {
  known *k = HL_NEW(known);
  *k = (known){.p = p, .store = p->e->store, .since = p->since};
  p->reading = k;
  hl_loop_work(p->loop, known_work, known_done, k);
}

static bool is_known(const hl_pull *p, const hl_fields *f) {
  hl_hash h;
  for (hl_twin_source s = HL_TWIN_PUSH; s < HL_TWIN_NONE; s++)
    if (hl_twin_hash(p->e->twins, s, f, &h) && bsearch(&h, p->known->v, p->known->n, sizeof h, by_hash)) return true;
  return false;
}

static void resync_deliver(void *arg, hl_str body, hl_journal_done done, void *done_arg) {
  hl_pull *p = arg;
  taking *t = take(p, true, done, done_arg);
  hl_elements all;
  hl_buf rest;
  hl_buf_init(&rest, body.n + 1);
  if (hl_elements_read(&all, body, NULL)) hl_mem_ended(); /* we have made it */
  for (size_t i = 0; i < all.n; i++) {
    if (p->known->n && is_known(p, &all.v[i].f)) continue;
    hl_buf_puts(&rest, rest.n ? "," : "[");
    hl_element_print(&all.v[i], &rest);
    p->found++;
  }
  hl_elements_deinit(&all);
  hl_buf_puts(&rest, rest.n ? "]" : "[]");
  put(p, t, &p->v[p->resync_at], hl_buf_str(&rest));
  hl_buf_deinit(&rest);
}

static void resync_done(void *arg, int code) {
  hl_pull *p = arg;
  if (code && code != HL_ECANCELLED) hl_log_write(p->log, HL_LOG_WARN, "journal", "%s: that the search is over could not be stored; it is made again at the next start", p->name);
}

static void resync_finished(void *arg, const char *error, bool again, uint64_t records) {
  hl_pull *p = arg;
  hl_resync_free(p->resync);
  p->resync = NULL;
  p->records += records;
  if (error && again) {
    hl_log_write(p->log, HL_LOG_WARN, "journal", "%s: the search for what is missing is made again in a minute: %s", p->name, error);
    resync_later(p, AGAIN_MS);
    return;
  }
  if (error) alert(p, p->since, error, true);
  p->resync_at++;
  resync_next(p);
}

/* The account that is next; after the last one all is well. */
static void resync_next(hl_pull *p) {
  hl_timer_stop(p->loop, &p->again);
  if (!p->since || p->resync || p->reading) return;
  if (!p->known) {
    known_read(p);
    return;
  }
  if (p->resync_at < p->n) {
    const source *s = &p->v[p->resync_at];
    gather g = {.s = s};
    hl_engine_listeners(p->e, on_listener, &g);
    hl_resync_options o = {.loop = p->loop, .account = s->account, .portal = s->portal, .since = p->since, .wants = g.v, .n = g.n,
                           .deliver = resync_deliver, .finished = resync_finished, .arg = p};
    p->resync = hl_resync_start(&o);
    return;
  }
  hl_log_write(p->log, HL_LOG_INFO, "journal", "%s: searched for what was missing: %llu records have changed, %llu events were not known", p->name, (unsigned long long)p->records, (unsigned long long)p->found);
  p->since = 0;
  p->records = p->found = 0;
  p->resync_at = 0;
  forget_known(p);
  put_place(p, take(p, true, resync_done, p), p->resync_key, HL_STR("{}"));
}

/* ---- life ---- */

static void on_start_again(hl_timer *timer, void *arg);

static int read_resync(hl_pull *p, hl_error *err) {
  hl_buf text;
  cJSON *json = NULL;
  hl_buf_init(&text, PLACE_MAX);
  int rc = hl_engine_place(p->e, p->resync_key, &text, err);
  if (!rc && text.n) rc = hl_json_parse(hl_buf_str(&text), &json, err);
  p->since = hl_json_int(json, "since", 0);
  cJSON_Delete(json);
  hl_buf_deinit(&text);
  return rc;
}

static char *joined(const char *a, const char *b) {
  hl_buf s;
  hl_buf_init(&s, 1024);
  if (hl_buf_printf(&s, "%s%s", a, b)) hl_mem_ended();
  return hl_buf_detach(&s, NULL);
}

int hl_pull_new(const hl_pull_options *o, hl_pull **out, hl_error *err) {
  hl_pull *p = HL_NEW(hl_pull);
  hl_buf place;
  hl_buf_init(&place, PLACE_MAX);
  assert(!o->portal_only || o->n == 1);
  p->e = o->engine;
  p->loop = hl_engine_loop(o->engine);
  p->log = hl_loop_log(p->loop);
  p->name = hl_strdup(o->name);
  p->portal_only = o->portal_only;
  p->key = joined("journal:", o->name);
  p->resync_key = joined("resync:", o->name);
  p->v = hl_alloc(o->n * sizeof *p->v);
  for (size_t i = 0; i < o->n; i++) {
    p->v[p->n++] = (source){o->accounts[i], hl_account_name(o->accounts[i]), hl_account_portal(o->accounts[i])};
    hl_engine_pulls(p->e, p->v[i].name);
  }
  int rc = hl_engine_place(p->e, p->key, &place, err);
  if (!rc) rc = read_resync(p, err);
  if (!rc) {
    hl_journal_options jo = {.name = p->name, .loop = p->loop, .account = o->app, .transport = o->transport, .loopback = o->loopback,
                             .earliest = o->earliest, .place = hl_buf_str(&place),
                             .sink = {.take = sink_take, .lost = sink_lost, .generic = sink_generic, .arg = p}};
    rc = hl_journal_new(&jo, &p->journal, err);
  }
  hl_buf_deinit(&place);
  if (rc) hl_pull_free(p);
  else *out = p;
  return rc;
}

static void on_identity(void *arg, const hl_identity *id, const hl_api_error *error) {
  asking *q = arg;
  hl_pull *p = q->p;
  size_t i = q->i;
  hl_free(q);
  if (!p) return;
  p->asking = NULL;
  if (id && id->portal) {
    p->v[i].portal = id->portal;
    hl_pull_start(p);
    return;
  }
  if (error && strcmp(error->kind, "cancelled") == 0) return;
  hl_log_write(p->log, HL_LOG_WARN, "journal", "%s waits until it is known which portal account %s is (set portal in hubloop.lua): %s",
               p->name, p->v[i].name, error ? error->message : "HubSpot does not tell");
  p->again.unref = true;
  hl_timer_start(p->loop, &p->again, AGAIN_MS, on_start_again, p);
}

static void on_start_again(hl_timer *timer, void *arg) {
  (void)timer;
  hl_pull_start(arg);
}

void hl_pull_start(hl_pull *p) {
  hl_error err;
  for (size_t i = 0; i < p->n; i++) {
    if (p->v[i].portal) continue;
    p->asking = HL_NEW(asking);
    *p->asking = (asking){p, i};
    if (hl_account_identify(p->v[i].account, on_identity, p->asking, &err)) { /* only while it stops */
      hl_free(p->asking);
      p->asking = NULL;
    }
    return;
  }
  hl_journal_start(p->journal, p->portal_only ? p->v[0].portal : 0);
  resync_next(p);
}

void hl_pull_free(hl_pull *p) {
  if (!p) return;
  hl_timer_stop(p->loop, &p->hold);
  hl_timer_stop(p->loop, &p->again);
  if (p->held_place) p->held_done(p->held_arg, HL_ECANCELLED);
  hl_free(p->held_place);
  if (p->asking) p->asking->p = NULL;
  hl_journal_free(p->journal);
  hl_resync_free(p->resync);
  forget_known(p);
  abandon(p, false);
  abandon(p, true);
  hl_free(p->name);
  hl_free(p->key);
  hl_free(p->resync_key);
  hl_free(p->v);
  hl_free(p);
}

void hl_pull_status(const hl_pull *p, cJSON *into) {
  hl_journal_stats s;
  hl_journal_stats_get(p->journal, &s);
  const struct { const char *name; int64_t v; } rows[] = {
      {"polls", (int64_t)s.polls}, {"files", (int64_t)s.files}, {"events", (int64_t)s.events}, {"lost", (int64_t)s.lost},
      {"foreign", (int64_t)p->foreign}, {"read_until", s.read_until}, {"searching_since", p->since},
  };
  for (size_t i = 0; i < HL_COUNT(rows); i++) cJSON_AddItemToObject(into, rows[i].name, hl_json_int64(rows[i].v));
}
