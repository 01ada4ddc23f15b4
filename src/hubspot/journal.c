#include "hubspot/journal.h"

#include <assert.h>

#include "base/mem.h"
#include "base/time.h"

enum {
  ENTRIES = 50,              /* asked for at once */
  AHEAD = 2,                 /* files fetched or held at once */
  FILE_MAX = 32 << 20,       /* of a file, before and after it is inflated */
  FETCH_MS = 60 * 1000,
  POLL_MIN_MS = 500, POLL_MAX_MS = 5000,
  RETRY_MIN_MS = 1000, RETRY_MAX_MS = 60 * 1000,
  PLACE_MAX = 1024,
};
static const int64_t VERIFY_MS = HL_MINUTE;        /* how often "nothing new" is doubted */
static const int64_t REMEMBER_MS = 10 * HL_MINUTE; /* how often it is stored that nothing was new */
static const int64_t GIVE_UP_MS = HL_HOUR;         /* a file that is refused for so long is left out */
static const int64_t TELL_MS = 10 * HL_MINUTE;
/* HubSpot keeps entries for three days; an hour for clocks and delays. */
static const int64_t KEPT_MS = 3 * HL_DAY - HL_HOUR;

static const char ROOT[] = "/webhooks-journal/%s/2026-03";

typedef enum { ASK_LATEST, ASK_NEXT, ASK_VERIFY, ASK_AGAIN, ASK_EARLIEST } ask_kind;
typedef enum { E_WAITING, E_FETCHING, E_PARSING, E_READY, E_FAILED } entry_state;

typedef struct place {
  char offset[64];           /* of the last file whose events are stored; "": before the first one */
  int64_t published;         /* of that file; 0: not known */
  int64_t known;             /* all that was published until then has been read */
} place;

typedef struct entry {
  entry_state state;
  hl_journal *j;
  char offset[64];
  char *url;
  hl_http_op *fetching;
  struct parsing *parsing;
  hl_journal_file file;
  bool skip;                 /* its events are of before the beginning, or taken already */
  bool refused;              /* failed although there was an answer */
  char why[1024];
} entry;

/* The worker's copy of a file, which may outlive the entry. */
typedef struct parsing {
  entry *e;                  /* NULL: it has gone */
  char *text;
  size_t n;
  bool generic;
  hl_journal_file file;
  int code;
  hl_error err;
} parsing;

/* What is told to the sink, which may answer when the reader has gone. */
typedef struct telling {
  hl_journal *j;             /* NULL: gone */
  void (*then)(hl_journal *j, int code);
} telling;

struct hl_journal {
  hl_journal_options o;
  char *name, *app;
  place at, next;            /* next: what is being stored */
  int64_t stored_known;      /* of the place that is stored */
  int64_t portal;
  bool foreign;              /* the place is of another app */
  ask_kind asked;
  int64_t asked_now;         /* epoch ms, when it was asked */
  hl_api_op *asking;
  entry *v[ENTRIES];
  size_t first, n;
  bool gone;                 /* the offset is: the first file tells what is missing */
  bool from_start;           /* files that are stored already come again */
  bool ended_404, says_404;  /* nothing was new, in the words of an offset that is gone; these are its words for the end, too */
  telling *telling;
  hl_timer timer;
  int64_t interval, verify_due, told, failing_since, retry_ms;
  char failing[64];          /* the offset whose file cannot be had */
  bool started;
  hl_journal_stats stats;
};

static void pump(hl_journal *j);
static void ask(hl_journal *j, ask_kind kind);

/* ---- the place ---- */

static int read_place(hl_journal *j, hl_str text, hl_error *err) {
  cJSON *json = NULL;
  int rc = hl_json_parse(text, &json, err);
  if (rc) return hl_fail_in(err, "journal %s: the stored place", j->name);
  snprintf(j->at.offset, sizeof j->at.offset, "%s", hl_json_str(json, "offset", ""));
  j->at.published = hl_json_int(json, "published", 0);
  j->at.known = j->stored_known = hl_json_int(json, "known", 0);
  j->foreign = strcmp(hl_json_str(json, "app", j->app), j->app) != 0;
  cJSON_Delete(json);
  return 0;
}

static void print_place(const hl_journal *j, const place *p, hl_buf *out) {
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "offset", p->offset);
  cJSON_AddItemToObject(json, "published", hl_json_int64(p->published));
  cJSON_AddItemToObject(json, "known", hl_json_int64(p->known));
  cJSON_AddStringToObject(json, "app", j->app);
  if (hl_json_print_to(json, out)) hl_mem_ended();
  cJSON_Delete(json);
}

/* ---- life ---- */

int hl_journal_new(const hl_journal_options *o, hl_journal **out, hl_error *err) {
  hl_journal *j = HL_NEW(hl_journal);
  const hl_oauth_app *app = hl_credential_app(hl_account_credential(o->account));
  j->o = *o;
  j->name = hl_strdup(o->name);
  j->app = hl_strdup(app ? app->client_id : "");
  j->interval = POLL_MIN_MS;
  int rc = o->place.n ? read_place(j, o->place, err) : 0;
  j->stats.read_until = j->at.known;
  if (rc) hl_journal_free(j);
  else *out = j;
  return rc;
}

static int64_t now_of(const hl_journal *j) { return hl_loop_now(j->o.loop); }

void hl_journal_start(hl_journal *j, int64_t portal) {
  j->portal = portal;
  j->started = true;
  if (j->foreign) ask(j, ASK_EARLIEST);
  else pump(j);
}

static void free_entry(entry *e) {
  if (e->fetching) e->j->o.transport->cancel(e->j->o.transport, e->fetching);
  if (e->parsing) e->parsing->e = NULL;
  hl_journal_file_deinit(&e->file);
  if (e->url) explicit_bzero(e->url, strlen(e->url));
  hl_free(e->url);
  hl_free(e);
}

static void drop_entries(hl_journal *j) {
  while (j->first < j->n) free_entry(j->v[j->first++]);
  j->first = j->n = 0;
}

void hl_journal_free(hl_journal *j) {
  if (!j) return;
  if (j->asking) hl_api_cancel(j->asking);
  hl_timer_stop(j->o.loop, &j->timer);
  drop_entries(j);
  if (j->telling) j->telling->j = NULL;
  hl_free(j->name);
  hl_free(j->app);
  hl_free(j);
}

void hl_journal_stats_get(const hl_journal *j, hl_journal_stats *out) {
  *out = j->stats;
  out->read_until = j->at.known;
  out->behind = j->first < j->n;
}

/* ---- waiting, and what is wrong ---- */

static void on_timer(hl_timer *timer, void *arg) {
  (void)timer;
  pump(arg);
}

static void wait_for(hl_journal *j, int64_t ms) {
  j->timer.unref = true;
  hl_timer_start(j->o.loop, &j->timer, ms, on_timer, j);
}

/* Nothing is new: the interval grows. */
static void idle(hl_journal *j) {
  wait_for(j, j->interval);
  j->interval = 2 * j->interval > POLL_MAX_MS ? POLL_MAX_MS : 2 * j->interval;
}

static void trouble(hl_journal *j, const char *why) {
  int64_t mono = hl_loop_mono(j->o.loop);
  j->retry_ms = j->retry_ms ? 2 * j->retry_ms : RETRY_MIN_MS;
  if (j->retry_ms > RETRY_MAX_MS) j->retry_ms = RETRY_MAX_MS;
  if (!j->told || mono - j->told >= TELL_MS) {
    j->told = mono + 1;
    hl_log_write(hl_loop_log(j->o.loop), HL_LOG_WARN, "journal", "%s: %s; it is tried again until it works", j->name, why);
  }
  wait_for(j, j->retry_ms);
}

static void well(hl_journal *j) {
  if (j->told) hl_log_write(hl_loop_log(j->o.loop), HL_LOG_INFO, "journal", "%s: it works again", j->name);
  j->told = j->retry_ms = 0;
}

/* ---- what is told to the sink ---- */

static void told_sink(void *arg, int code) {
  telling *t = arg;
  hl_journal *j = t->j;
  if (j) {
    j->telling = NULL;
    t->then(j, code);
  }
  hl_free(t);
}

static telling *tell(hl_journal *j, void (*then)(hl_journal *j, int code)) {
  assert(!j->telling);
  j->telling = HL_NEW(telling);
  *j->telling = (telling){j, then};
  return j->telling;
}

static void stored(hl_journal *j, int code) {
  if (code) {
    wait_for(j, RETRY_MIN_MS);
    return;
  }
  j->at = j->next;
  j->stored_known = j->at.known;
  pump(j);
}

/* Stores j->next, with the events of `file` if there are any. */
static void store(hl_journal *j, const hl_journal_file *file, void (*then)(hl_journal *j, int code)) {
  hl_buf text;
  hl_buf_init(&text, PLACE_MAX);
  print_place(j, &j->next, &text);
  telling *t = tell(j, then);
  j->o.sink.take(j->o.sink.arg, file, hl_buf_str(&text), told_sink, t);
  hl_buf_deinit(&text);
}

/* Everything until `now` has been read. */
static void caught_up(hl_journal *j, int64_t now) {
  if (now > j->at.known) j->at.known = now;
  j->verify_due = hl_loop_mono(j->o.loop) + VERIFY_MS;
  if (j->at.known - j->stored_known < REMEMBER_MS) {
    idle(j);
    return;
  }
  j->next = j->at;
  store(j, NULL, stored);
}

static void lose(hl_journal *j, const char *why, void (*then)(hl_journal *j, int code)) {
  j->stats.lost++;
  j->o.sink.lost(j->o.sink.arg, j->at.known, why, told_sink, tell(j, then));
}

/* Events may be missing when the place is too old, or gone before its time. */
static bool missing(const hl_journal *j, const char **why) {
  int64_t now = now_of(j);
  if (j->foreign) {
    *why = "the place where it stopped is of another app";
    return true;
  }
  if (now - j->at.known >= KEPT_MS) {
    *why = "it was not read for three days, which is as long as HubSpot keeps it";
    return true;
  }
  *why = "HubSpot does not know the offset any more where it stopped";
  return j->at.published && now - j->at.published < KEPT_MS;
}

static void start_over(hl_journal *j, int code) {
  if (code) {
    wait_for(j, RETRY_MIN_MS);
    return;
  }
  j->foreign = false;
  j->next = (place){.known = now_of(j)};
  store(j, NULL, stored);
}

/* There is nothing in the journal at all. */
static void empty(hl_journal *j) {
  const char *why;
  j->gone = false;
  bool fresh = !j->at.known || now_of(j) - j->at.known < KEPT_MS;
  if (!j->at.offset[0] && !j->foreign && fresh) caught_up(j, j->asked_now);
  else if (missing(j, &why)) lose(j, why, start_over);
  else start_over(j, 0);
}

/* ---- asking ---- */

/* HubSpot has answered that there is nothing. */
static void nothing(hl_journal *j, int status) {
  int64_t mono = hl_loop_mono(j->o.loop);
  switch (j->asked) {
    case ASK_LATEST: /* the beginning: what comes is the first */
      j->next = (place){.known = j->asked_now};
      store(j, NULL, stored);
      return;
    case ASK_NEXT:
      if (!j->at.offset[0]) empty(j);
      else if (mono >= j->verify_due || (status == 404 && !j->says_404)) ask(j, ASK_VERIFY);
      else idle(j);
      j->ended_404 = status == 404;
      return;
    case ASK_AGAIN:
      j->gone = true;
      ask(j, ASK_EARLIEST);
      return;
    case ASK_VERIFY: case ASK_EARLIEST: empty(j); return;
  }
}

static bool add_entry(hl_journal *j, const cJSON *json) {
  const char *offset = hl_json_str(json, "currentOffset", ""), *url = hl_json_str(json, "url", "");
  size_t n = strlen(offset);
  if (!n || n >= sizeof j->at.offset || strspn(offset, "0123456789abcdefABCDEF-") != n || !*url || j->n == ENTRIES) return false;
  entry *e = HL_NEW(entry);
  e->j = j;
  e->url = hl_strdup(url);
  memcpy(e->offset, offset, n + 1);
  j->v[j->n++] = e;
  return true;
}

/* A batch, or one entry. False: it is neither. */
static bool add_entries(hl_journal *j, const cJSON *json) {
  const cJSON *results = hl_json_get(json, "results"), *one;
  if (!results) return add_entry(j, json);
  if (!cJSON_IsArray(results)) return false;
  cJSON_ArrayForEach(one, results)
    if (!add_entry(j, one)) return false;
  return true;
}

static void listed(hl_journal *j, const cJSON *json) {
  assert(j->first == j->n);
  j->first = j->n = 0;
  if (!add_entries(j, json)) {
    drop_entries(j);
    trouble(j, "HubSpot's answer is not one of its journal");
    return;
  }
  if (j->n == 0) {
    nothing(j, 200);
    return;
  }
  switch (j->asked) {
    case ASK_LATEST:
      j->v[0]->skip = true;
      break;
    case ASK_VERIFY: {
      bool same = strcmp(j->v[j->n - 1]->offset, j->at.offset) == 0;
      drop_entries(j);
      j->says_404 = same && j->ended_404;
      if (same) caught_up(j, j->asked_now);
      else ask(j, ASK_AGAIN);
      return;
    }
    case ASK_EARLIEST: j->from_start = true; break;
    case ASK_NEXT: case ASK_AGAIN: break;
  }
  j->interval = POLL_MIN_MS;
  pump(j);
}

static void answered(void *arg, const hl_api_result *r) {
  hl_journal *j = arg;
  j->asking = NULL;
  if (r->error && strcmp(r->error->kind, "cancelled") == 0) return;
  if (r->error && r->error->status != 404) {
    trouble(j, r->error->message);
    return;
  }
  well(j);
  if (r->error || r->status == 204 || !r->json) nothing(j, r->status);
  else listed(j, r->json);
}

static void ask(hl_journal *j, ask_kind kind) {
  char path[256], query[40] = "";
  hl_error err;
  int n = snprintf(path, sizeof path, ROOT, j->portal ? "journal-local" : "journal");
  char *rest = path + n;
  size_t size = sizeof path - (size_t)n;
  switch (kind) {
    case ASK_LATEST: case ASK_VERIFY: snprintf(rest, size, "/latest"); break;
    case ASK_EARLIEST: snprintf(rest, size, "/batch/earliest/%d", ENTRIES); break;
    case ASK_NEXT: case ASK_AGAIN:
      if (j->at.offset[0]) snprintf(rest, size, "/batch/%s/next/%d", j->at.offset, ENTRIES);
      else snprintf(rest, size, "/batch/earliest/%d", ENTRIES);
  }
  if (j->portal) snprintf(query, sizeof query, "installPortalId=%lld", (long long)j->portal);
  hl_api_call call = {.kind = HL_API_RAW, .klass = HL_CLASS_LIVE, .script = "hubloop", .no_batch = true, .method = "GET",
                      .path = path, .query = query[0] ? query : NULL};
  j->asked = kind;
  j->asked_now = now_of(j);
  j->stats.polls++;
  if (hl_api_send(j->o.account, &call, answered, j, &j->asking, &err)) trouble(j, err.text);
}

/* ---- files ---- */

static void failed(entry *e, bool refused, const char *why) {
  e->state = E_FAILED;
  e->refused = refused;
  snprintf(e->why, sizeof e->why, "%s", why);
}

static void parse_work(void *arg) {
  parsing *p = arg;
  p->code = hl_journal_file_read((hl_str){p->text, p->n}, p->generic, &p->file, &p->err);
}

static void parse_done(void *arg) {
  parsing *p = arg;
  entry *e = p->e;
  if (e) {
    e->parsing = NULL;
    e->file = p->file;
    p->file = (hl_journal_file){0};
    e->state = E_READY;
  }
  int code = p->code;
  hl_error err = p->err;
  hl_journal_file_deinit(&p->file);
  hl_free(p->text);
  hl_free(p);
  if (!e) return;
  if (code) failed(e, true, err.text);
  pump(e->j);
}

static void fetched(void *arg, const hl_http_response *r) {
  entry *e = arg;
  hl_journal *j = e->j;
  char why[64];
  e->fetching = NULL;
  if (r->status != 200) {
    snprintf(why, sizeof why, "the server of the files answers %d", r->status);
    failed(e, r->status || r->err.code == HL_ELIMIT, r->status ? why : r->err.text);
    pump(j);
    return;
  }
  parsing *p = HL_NEW(parsing);
  *p = (parsing){.e = e, .n = r->body.n, .generic = j->o.sink.generic(j->o.sink.arg)};
  p->text = hl_strndup(r->body.n ? r->body.p : "", r->body.n);
  e->parsing = p;
  e->state = E_PARSING;
  hl_loop_work(j->o.loop, parse_work, parse_done, p);
}

/* Of this machine, written plainly. */
static bool is_loopback(const char *url) {
  static const char *const origins[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
  for (size_t i = 0; i < HL_COUNT(origins); i++) {
    size_t n = strlen(origins[i]);
    if (strncmp(url, origins[i], n) == 0 && (url[n] == ':' || url[n] == '/')) return true;
  }
  return false;
}

static void fetch(entry *e) {
  hl_journal *j = e->j;
  hl_error err;
  bool here = j->o.loopback && is_loopback(e->url);
  e->state = E_FETCHING;
  j->stats.fetches++;
  if (!here && strncmp(e->url, "https://", 8) != 0) {
    failed(e, true, "the file's URL is not https");
    return;
  }
  hl_http_request q = {.method = "GET", .url = e->url, .timeout_ms = FETCH_MS, .max_body = FILE_MAX, .max_wire = FILE_MAX,
                       .policy = here ? HL_NET_NAMED : HL_NET_PUBLIC};
  if (j->o.transport->send(j->o.transport, &q, fetched, e, &e->fetching, &err)) failed(e, true, err.text);
}

/* ---- the queue of files ---- */

static entry *head(hl_journal *j) { return j->v[j->first]; }

static void next_entry(hl_journal *j) { free_entry(j->v[j->first++]); }

static void took(hl_journal *j, int code) {
  if (!code) {
    for (size_t i = 0; i < head(j)->file.n && !head(j)->skip; i++) j->stats.events += head(j)->file.v[i].n;
    j->stats.files++;
    j->failing[0] = 0;
    next_entry(j);
  }
  stored(j, code);
}

static void left_out(hl_journal *j, int code) {
  if (code) {
    wait_for(j, RETRY_MIN_MS);
    return;
  }
  j->next = j->at;
  memcpy(j->next.offset, head(j)->offset, sizeof j->next.offset);
  j->failing[0] = 0;
  next_entry(j);
  store(j, NULL, stored);
}

/* The first file cannot be had. Its URL may have ended, so it is asked for again. */
static void retry_head(hl_journal *j) {
  entry *e = head(j);
  int64_t mono = hl_loop_mono(j->o.loop);
  char why[700];
  if (strcmp(j->failing, e->offset) != 0) {
    memcpy(j->failing, e->offset, sizeof j->failing);
    j->failing_since = mono;
  }
  snprintf(why, sizeof why, "a file of the journal cannot be read (%.600s)", e->why);
  if (e->refused && mono - j->failing_since >= GIVE_UP_MS) {
    lose(j, why, left_out);
    return;
  }
  drop_entries(j);
  trouble(j, why);
}

static void told_missing(hl_journal *j, int code) {
  if (code) {
    wait_for(j, RETRY_MIN_MS);
    return;
  }
  j->gone = j->foreign = false;
  pump(j);
}

static void take_head(hl_journal *j) {
  entry *e = head(j);
  const char *why;
  bool before = j->at.published && e->file.published && e->file.published <= j->at.published;
  if (j->gone || j->foreign) {
    /* What reaches back before the place has all that followed it. */
    if ((j->foreign || !before) && missing(j, &why)) {
      lose(j, why, told_missing);
      return;
    }
    j->gone = false;
  }
  bool again = j->from_start && before && (e->file.published < j->at.published || strcmp(e->offset, j->at.offset) == 0);
  if (again) e->skip = true;
  else j->from_start = false;
  j->next = j->at;
  memcpy(j->next.offset, e->offset, sizeof j->next.offset);
  if (e->skip && !again) {
    j->next.known = j->asked_now;
    j->next.published = e->file.published;
  } else if (e->file.published > j->next.published) {
    j->next.published = e->file.published;
    if (e->file.published > j->next.known) j->next.known = e->file.published;
  }
  store(j, e->skip ? NULL : &e->file, took);
}

static void pump(hl_journal *j) {
  if (!j->started || j->asking || j->telling) return;
  hl_timer_stop(j->o.loop, &j->timer);
  for (size_t i = j->first; i < j->n && i < j->first + AHEAD; i++)
    if (j->v[i]->state == E_WAITING) fetch(j->v[i]);
  if (j->first == j->n) {
    ask(j, j->at.known || j->o.earliest ? ASK_NEXT : ASK_LATEST);
    return;
  }
  if (head(j)->state == E_READY) take_head(j);
  else if (head(j)->state == E_FAILED) retry_head(j);
}
