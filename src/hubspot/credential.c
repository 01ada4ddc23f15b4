#include "hubspot/credential.h"

#include <assert.h>
#include <ctype.h>

#include "base/mem.h"
#include "hubspot/retry.h"

/* Renewal. Well before a token ends a new one is fetched while calls still leave
 * with the old one; a call waits only when there is none that is good. The steps:
 *
 *   begin   (worker) the lease, so that one process renews; what is kept now: if
 *           another process was quicker, its token is taken and nothing is asked
 *   ask     the token endpoint, again and again while it does not answer
 *   save    (worker) the new grant, with the old refresh token beside the new one,
 *           durable before anybody sees the new access token
 *   install the new token; who waits goes on
 *
 * An end is told by two clocks, whichever is first: the monotonic one, which no
 * step of the wall clock moves, and the wall clock, which counts while a machine
 * sleeps. When both are wrong, the 401 says so. */

enum {
  TOKEN_MAX = 2048, SOFT_MAX_MS = 300 * 1000, HARD_MAX_MS = 30 * 1000, HARD_MIN_MS = 200, LIFE_USUAL_MS = 1800 * 1000,
  BUSY_MS = 250, SAVE_MS = 1000, SAVE_LONGEST_MS = 30 * 1000,
  PATIENCE_MS = 120 * 1000,    /* how long a call waits for a token */
  FORCED_MS = 60 * 1000,       /* at most one renewal because of a 401 in this time */
  FAILED_MS = 5000,            /* after a renewal that could not even ask */
  DEAD_MS = 15 * 1000,         /* how often the store is looked at when only a person helps */
};

typedef struct job { /* one step on a worker thread; has a reference of its own */
  hl_credential *credential;
  hl_grant grant;              /* begin: what is kept; save: what to keep */
  hl_error err;
} job;

struct hl_credential {
  hl_loop *loop;
  hl_transport *transport;
  unsigned refs, no;
  hl_credential_kind kind;
  char *name, *scopes;
  hl_oauth_app app;            /* its texts are ours */
  hl_keeper *keeper;
  hl_grant grant, fresh;       /* fresh: received, not yet kept */
  char *ended;                 /* the access token before this one: good until its own end */
  int64_t until, soft;         /* loop ms: the end of access; how long before it is renewed */
  hl_credential_wait waiting;  /* head of the ring */
  hl_error dead;               /* code: only a person helps */
  bool doomed;                 /* it was; the store is looked at again, as somebody may have logged in */
  bool renewing, suspect, older_tried, leased, worked, dropping;
  int64_t dead_at, forced_at, not_before; /* loop ms; 0: never */
  unsigned attempts;
  hl_oauth_op *op;
  hl_timer timer, answer;
};


static const char *const kinds[] = {
#define HL_X(name, text) [name] = text,
    HL_CREDENTIAL_KINDS(HL_X)
#undef HL_X
    NULL,
};

const char *hl_credential_kind_name(hl_credential_kind kind) { return kinds[kind]; }

int hl_credential_kind_of(const char *name, hl_credential_kind *out, hl_error *err) {
  for (size_t i = 0; kinds[i]; i++) {
    if (strcmp(kinds[i], name) != 0) continue;
    *out = (hl_credential_kind)i;
    return 0;
  }
  return hl_fail(err, HL_EINVAL, "unknown kind of credential “%s”: one of private_app, service_key, platform_app, oauth, "
                 "client_credentials", name);
}

/* ---- what may be a token ---- */

static bool is_api_key(hl_str t) {
  if (hl_str_starts(t, "hapikey")) return true;
  if (t.n != 36) return false;
  for (size_t i = 0; i < t.n; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? t.p[i] != '-' : !isxdigit((unsigned char)t.p[i])) return false;
  }
  return true;
}

int hl_token_check(const char *whose, hl_str t, hl_error *err) {
  if (t.n == 0)
    return hl_fail(err, HL_EAUTH, "%s has no token: put a service key or private app token into the "
                   "variable or setting that it is read from", whose);
  if (t.n > TOKEN_MAX) return hl_fail(err, HL_EAUTH, "the token of %s is longer than %d bytes", whose, TOKEN_MAX);
  for (size_t i = 0; i < t.n; i++)
    if ((unsigned char)t.p[i] <= ' ' || (unsigned char)t.p[i] >= 0x7f)
      return hl_fail(err, HL_EAUTH, "the token of %s holds a blank, a line break or a character that no "
                     "token has (byte %zu): paste it again, without blanks or quotes around it", whose, i + 1);
  if (is_api_key(t))
    return hl_fail(err, HL_EAUTH, "the token of %s is an API key (hapikey). HubSpot ended API keys on "
                   "2022-11-30: create a service key (Settings > Integrations > Service Keys) or use a private app's "
                   "access token, give it the scopes that the scripts need, and set that", whose);
  return 0;
}

hl_str hl_token_region(hl_str t) {
  if (!hl_str_starts(t, "pat-")) return (hl_str){"", 0};
  hl_str region = {t.p + 4, 0};
  while (4 + region.n < t.n && isalnum((unsigned char)region.p[region.n])) region.n++;
  return 4 + region.n < t.n && region.p[region.n] == '-' ? region : (hl_str){"", 0};
}

/* ---- grants ---- */

static void wipe(char *s) {
  if (s) explicit_bzero(s, strlen(s));
  hl_free(s);
}

void hl_grant_copy(hl_grant *to, const hl_grant *from) {
  *to = *from;
  to->access = hl_strdup(from->access);
  to->refresh = hl_strdup(from->refresh);
  to->older = hl_strdup(from->older);
  to->scopes = hl_strdup(from->scopes);
}

void hl_grant_wipe(hl_grant *g) {
  wipe(g->access);
  wipe(g->refresh);
  wipe(g->older);
  hl_free(g->scopes);
  *g = (hl_grant){0};
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }
static bool is_static(const hl_credential *c) { return c->kind != HL_CREDENTIAL_OAUTH && c->kind != HL_CREDENTIAL_CLIENT; }

/* ---- life ---- */

static void hide(hl_credential *c, const char *text) {
  if (text && *text) hl_log_add_secret(hl_loop_log(c->loop), hl_str_of(text));
}

/* What opens nothing any more need not be looked for in each line of the log for good. */
static void forget(hl_credential *c, const char *text, const hl_grant *now) {
  if (text && !same(text, now->access) && !same(text, now->refresh) && !same(text, now->older))
    hl_log_forget_secret(hl_loop_log(c->loop), hl_str_of(text));
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

static int64_t life_of(const hl_grant *g) { return g->life_ms > 0 ? g->life_ms : LIFE_USUAL_MS; }

/* With less than this left, no call leaves any more. */
static int64_t hard(const hl_grant *g) { return clamp(life_of(g) / 20, HARD_MIN_MS, HARD_MAX_MS); }

/* `g` becomes what calls are sent with. */
static void install(hl_credential *c, hl_grant *g) {
  int64_t life = life_of(g), left = g->expires_at - hl_loop_now(c->loop);
  if (!is_static(c)) {
    forget(c, c->ended, g);
    forget(c, c->grant.older, g);
    wipe(c->ended);
    c->ended = hl_strdup(c->grant.access);
  }
  hl_grant_wipe(&c->grant);
  c->grant = *g;
  *g = (hl_grant){0};
  hide(c, c->grant.access);
  hide(c, c->grant.refresh);
  hide(c, c->grant.older);
  c->no++;
  c->suspect = c->older_tried = c->worked = c->doomed = false;
  /* More than its whole life left: a clock was or is wrong. */
  c->until = hl_loop_mono(c->loop) + clamp(left, 0, life);
  c->soft = clamp(life / 5, 0, SOFT_MAX_MS);
  c->soft += (int64_t)((double)c->soft / 4 * hl_rng_unit(hl_loop_rng(c->loop)));
}

hl_credential *hl_credential_new(const hl_credential_options *o) {
  hl_credential *c = HL_NEW(hl_credential);
  hl_grant g;
  c->loop = o->loop;
  c->transport = o->transport;
  c->refs = 1;
  c->kind = o->kind;
  c->name = hl_strdup(o->name ? o->name : "");
  c->scopes = hl_strdup(o->scopes);
  c->app = o->app;
  c->app.base_url = hl_strdup(o->app.base_url);
  c->app.version = hl_strdup(o->app.version);
  c->app.client_id = hl_strdup(o->app.client_id);
  c->app.client_secret = hl_strdup(o->app.client_secret);
  c->keeper = o->keeper;
  c->waiting.next = c->waiting.prev = &c->waiting;
  hide(c, c->app.client_secret);
  hl_grant_copy(&g, &o->grant);
  install(c, &g);
  return c;
}

hl_credential *hl_credential_static(hl_loop *loop, hl_credential_kind kind, const char *token) {
  hl_credential_options o = {.loop = loop, .kind = kind};
  union { const char *in; char *out; } unconst = {.in = token}; /* copied there */
  o.grant.access = unconst.out;
  return hl_credential_new(&o);
}

void hl_credential_replace(hl_credential *c, const char *token) {
  hl_grant g = {0};
  assert(is_static(c) && !c->keeper);
  if (same(c->grant.access, token)) return;
  forget(c, c->grant.access, &g);
  g.access = hl_strdup(token);
  install(c, &g);
}

hl_credential *hl_credential_ref(hl_credential *c) {
  c->refs++;
  return c;
}

void hl_credential_unref(hl_credential *c) {
  if (!c || --c->refs) return;
  assert(c->waiting.next == &c->waiting);
  if (c->op) hl_oauth_cancel(c->op);
  hl_timer_stop(c->loop, &c->timer);
  hl_timer_stop(c->loop, &c->answer);
  if (c->leased) c->keeper->end(c->keeper);
  if (c->keeper) c->keeper->free(c->keeper);
  union { const char *in; char *out; } texts[] = {{c->app.base_url}, {c->app.version}, {c->app.client_id}, {c->app.client_secret}};
  for (size_t i = 0; i < HL_COUNT(texts); i++) wipe(texts[i].out);
  hl_grant_wipe(&c->grant);
  hl_grant_wipe(&c->fresh);
  wipe(c->ended);
  hl_free(c->name);
  hl_free(c->scopes);
  hl_free(c);
}

hl_credential_kind hl_credential_kind_get(const hl_credential *c) { return c->kind; }
const hl_oauth_app *hl_credential_app(const hl_credential *c) { return is_static(c) ? NULL : &c->app; }
const hl_grant *hl_credential_grant(const hl_credential *c) { return &c->grant; }
bool hl_credential_busy(const hl_credential *c) { return c->op || c->fresh.access; }

bool hl_credential_same(const hl_credential *a, const hl_credential *b) {
  return a == b || (is_static(a) && is_static(b) && same(a->grant.access, b->grant.access));
}

/* ---- waiting ---- */

static void wake(hl_credential *c, const hl_error *err) {
  /* Those that wait now: one that waits again from its callback is not called twice. */
  hl_credential_wait all;
  if (c->waiting.next == &c->waiting) return;
  all = c->waiting;
  all.next->prev = all.prev->next = &all;
  c->waiting.next = c->waiting.prev = &c->waiting;
  c->refs++;
  while (all.next != &all) {
    hl_credential_wait *w = all.next;
    hl_credential_wait_stop(c, w);
    w->cb(w->arg, err);
  }
  hl_credential_unref(c);
}

static void answer_due(hl_timer *timer, void *arg) {
  (void)timer;
  hl_credential *c = arg;
  hl_error late;
  if (c->dead.code) {
    late = c->dead;
  } else {
    hl_fail(
        &late, HL_ETIMEOUT,
        "no token for “%s” within %d seconds: HubSpot's token endpoint does not answer, or the token cannot be stored "
        "(the log says which)",
        c->name, PATIENCE_MS / 1000);
  }
  wake(c, &late);
}

void hl_credential_wait_start(hl_credential *c, hl_credential_wait *w, hl_credential_cb cb, void *arg) {
  if (w->next) return;
  w->cb = cb;
  w->arg = arg;
  w->next = &c->waiting;
  w->prev = c->waiting.prev;
  w->prev->next = w->next->prev = w;
  if (c->dead.code) hl_timer_start(c->loop, &c->answer, 0, answer_due, c);
  else if (!hl_timer_armed(&c->answer)) hl_timer_start(c->loop, &c->answer, PATIENCE_MS, answer_due, c);
}

void hl_credential_wait_stop(hl_credential *c, hl_credential_wait *w) {
  if (!w->next) return;
  w->next->prev = w->prev;
  w->prev->next = w->next;
  w->next = w->prev = NULL;
  if (c->waiting.next == &c->waiting) hl_timer_stop(c->loop, &c->answer);
}

/* ---- renewal ---- */

static void begin(hl_credential *c);
static void ask(hl_credential *c);
static void save(hl_credential *c);

/* Nobody but the job holds it: its owners are gone. */
static bool orphan(const hl_credential *c) { return c->refs == 1; }

static job *job_new(hl_credential *c) {
  job *j = HL_NEW(job);
  j->credential = hl_credential_ref(c);
  return j;
}

static void job_free(job *j) {
  hl_grant_wipe(&j->grant);
  hl_credential_unref(j->credential);
  hl_free(j);
}

/* The renewal is over: well, or not (and then maybe for good). */
static void finish(hl_credential *c, const hl_error *err) {
  c->renewing = false;
  c->attempts = 0;
  if (c->leased) c->keeper->end(c->keeper);
  c->leased = false;
  if (err && !c->dead.code) {
    c->not_before = hl_loop_mono(c->loop) + FAILED_MS;
    hl_log_write(hl_loop_log(c->loop), HL_LOG_WARN, "auth", "%s: no new token: %s", c->name, err->text);
  }
  wake(c, err);
}

static void die(hl_credential *c) {
  c->dead.code = HL_EAUTH;
  c->dead_at = hl_loop_mono(c->loop);
  c->doomed = false;
  hl_error why = c->dead;
  finish(c, &why);
}

static void finish_dead(hl_credential *c, const hl_error *why) {
  const char *again = c->kind == HL_CREDENTIAL_OAUTH ? "run: hubloop auth login " : "correct it with: hubloop auth add ";
  if (!*c->name) hl_fail(&c->dead, HL_EAUTH, "%s", why->text); /* one that is only tried */
  else
    hl_fail(&c->dead, HL_EAUTH, "the account “%s” has to be connected again: %.500s; %s%s", c->name, why->text, again,
            c->name);
  hl_log_write(hl_loop_log(c->loop), HL_LOG_ERROR, "auth", "%s", c->dead.text);
  die(c);
}

static void later(hl_credential *c, int64_t ms, hl_timer_cb cb) {
  c->timer.unref = c->waiting.next == &c->waiting; /* only a waiting call keeps the loop alive */
  hl_timer_start(c->loop, &c->timer, ms, cb, c);
}

static void begin_again(hl_timer *timer, void *arg) {
  (void)timer;
  begin(arg);
}

static void ask_again(hl_timer *timer, void *arg) {
  (void)timer;
  ask(arg);
}

static void save_again(hl_timer *timer, void *arg) {
  (void)timer;
  save(arg);
}

static void begin_work(void *arg) {
  job *j = arg;
  hl_keeper *k = j->credential->keeper;
  k->begin(k, &j->grant, &j->err);
}

static bool fall_back(hl_credential *c);

/* A static token was refused: it may have been rotated in the store, by another
 * process. If not, there may be the one before it; else the calls get their 401. */
static void look_again(hl_credential *c, job *j) {
  if (!j->err.code && j->grant.access && !same(j->grant.access, c->grant.access)) {
    install(c, &j->grant);
  } else {
    c->suspect = false;
    fall_back(c);
  }
  finish(c, NULL);
}

static void begin_done(void *arg) {
  job *j = arg;
  hl_credential *c = j->credential;
  c->leased = j->err.code == 0;
  if (orphan(c)) goto out;
  if (j->err.code == HL_EBUSY) {
    later(c, BUSY_MS, begin_again);
  } else if (is_static(c)) {
    look_again(c, j);
  } else if (j->err.code) {
    finish(c, &j->err);
  } else {
    bool newer = j->grant.access && !same(j->grant.access, c->grant.access) &&
                 j->grant.expires_at - hl_loop_now(c->loop) > hard(&j->grant);
    /* Another process may have renewed, or a person logged in again. */
    bool other = newer || !same(j->grant.refresh, c->grant.refresh);
    if (other) install(c, &j->grant);
    if (newer) finish(c, NULL);
    else if (c->doomed && !other) die(c);
    else ask(c);
  }
out:
  job_free(j);
}

static void begin(hl_credential *c) {
  if (c->dropping) later(c, BUSY_MS, begin_again);
  else if (c->keeper) hl_loop_work(c->loop, begin_work, begin_done, job_new(c));
  else ask(c);
}

static void asked(void *arg, const hl_oauth_result *r) {
  hl_credential *c = arg;
  const char *used = c->older_tried ? c->grant.older : c->grant.refresh;
  c->op = NULL;
  if (r->outcome == HL_OAUTH_WELL) {
    const hl_oauth_tokens *t = r->tokens;
    bool rotated = t->refresh && !same(t->refresh, used);
    c->fresh = (hl_grant){
        .access = hl_strdup(t->access),
        .refresh = hl_strdup(t->refresh ? t->refresh : used),
        .older = rotated ? hl_strdup(used) : NULL,
        .life_ms = t->expires_in * 1000,
        .expires_at = hl_loop_now(c->loop) + t->expires_in * 1000,
        .scopes = hl_strdup(t->scopes ? t->scopes : c->grant.scopes),
        .portal = t->portal ? t->portal : c->grant.portal,
        .user_id = t->user_id ? t->user_id : c->grant.user_id,
    };
    c->attempts = 0;
    save(c);
  } else if (r->outcome == HL_OAUTH_AGAIN) {
    int64_t delay = hl_retry_delay(++c->attempts, 503, r->after_ms, hl_rng_unit(hl_loop_rng(c->loop)));
    if (c->attempts == 1 || c->attempts % 5 == 0)
      hl_log_write(hl_loop_log(c->loop), HL_LOG_WARN, "auth", "%s: no new token yet: %s; trying again", c->name, r->err.text);
    later(c, delay, ask_again);
  } else if (r->outcome == HL_OAUTH_REFUSED && !c->older_tried && c->grant.older) {
    hl_log_write(hl_loop_log(c->loop), HL_LOG_WARN, "auth",
                 "%s: the newest refresh token was refused; trying the one before", c->name);
    c->older_tried = true;
    ask(c);
  } else {
    finish_dead(c, &r->err);
  }
}

static void ask(hl_credential *c) {
  const char *refresh[] = {"grant_type", "refresh_token", "refresh_token",
                           c->older_tried ? c->grant.older : c->grant.refresh, NULL};
  const char *client[] = {"grant_type", "client_credentials", "scope", c->scopes, NULL};
  hl_error err = {0};
  int rc;
  if (c->kind == HL_CREDENTIAL_OAUTH && !c->grant.refresh) rc = hl_fail(&err, HL_EAUTH, "no refresh token is stored");
  else rc = hl_oauth_ask(c->loop, c->transport, &c->app, c->kind == HL_CREDENTIAL_OAUTH ? refresh : client, asked, c, &c->op, &err);
  if (rc == HL_EAUTH) finish_dead(c, &err);
  else if (rc) finish(c, &err);
}

static void save_work(void *arg) {
  job *j = arg;
  hl_keeper *k = j->credential->keeper;
  if (k->save(k, &j->grant, &j->err) == 0) k->end(k);
}

static void save_done(void *arg) {
  job *j = arg;
  hl_credential *c = j->credential;
  if (!j->err.code) c->leased = false;
  if (orphan(c)) goto out;
  if (j->err.code) {
    int64_t delay = clamp((int64_t)SAVE_MS << (c->attempts < 5 ? c->attempts : 5), SAVE_MS, SAVE_LONGEST_MS);
    c->attempts++;
    hl_log_write(hl_loop_log(c->loop), HL_LOG_ERROR, "auth",
                 "%s: a new token was received and cannot be stored, so it is not used yet: %s", c->name, j->err.text);
    later(c, delay, save_again);
  } else {
    install(c, &c->fresh);
    finish(c, NULL);
  }
out:
  job_free(j);
}

static void save(hl_credential *c) {
  if (!c->keeper) {
    install(c, &c->fresh);
    finish(c, NULL);
    return;
  }
  job *j = job_new(c);
  hl_grant_copy(&j->grant, &c->fresh);
  hl_loop_work(c->loop, save_work, save_done, j);
}

void hl_credential_renew(hl_credential *c) {
  if (c->renewing || c->dead.code || (is_static(c) && !c->keeper)) return;
  c->renewing = true;
  int64_t wait = c->not_before - hl_loop_mono(c->loop);
  if (wait > 0) later(c, wait, begin_again);
  else begin(c);
}

/* ---- the door ---- */

bool hl_credential_token(hl_credential *c, hl_token *out) {
  *out = (hl_token){hl_str_of(c->grant.access), c->no};
  if (is_static(c)) {
    if (c->suspect) hl_credential_renew(c);
    return !c->suspect;
  }
  if (c->dead.code && c->keeper && hl_loop_mono(c->loop) - c->dead_at >= DEAD_MS) {
    c->dead.code = 0; /* the text stays */
    c->doomed = true;
    hl_credential_renew(c);
    return false;
  }
  if (c->dead.code) return false;
  int64_t left = c->until - hl_loop_mono(c->loop), wall = c->grant.expires_at - hl_loop_now(c->loop);
  if (wall < left) left = wall;
  bool good = c->grant.access && !c->suspect && left > hard(&c->grant);
  if (!good || left <= c->soft) hl_credential_renew(c);
  return good;
}

/* The static token before this one, which `rotate` kept. */
static bool fall_back(hl_credential *c) {
  if (!is_static(c) || !c->grant.older || c->worked) return false;
  hl_log_write(hl_loop_log(c->loop), HL_LOG_WARN, "auth",
               "%s: the new token was refused; going on with the one before it. Rotate it again: "
               "hubloop auth rotate %s",
               c->name, c->name);
  char *refused = c->grant.access;
  c->grant.access = c->grant.older;
  c->grant.older = NULL;
  wipe(refused);
  c->no++;
  return true;
}

bool hl_credential_refused(hl_credential *c, unsigned no) {
  if (no != c->no || c->suspect) return true;
  if (c->dead.code) return false;
  int64_t now = hl_loop_mono(c->loop);
  if ((is_static(c) && !c->keeper) || (c->forced_at && now - c->forced_at < FORCED_MS)) return fall_back(c);
  c->forced_at = now > 0 ? now : 1;
  c->suspect = true;
  return true;
}

static void drop_work(void *arg) {
  job *j = arg;
  hl_keeper *k = j->credential->keeper;
  hl_grant kept = {0};
  if (k->begin(k, &kept, &j->err)) return; /* the next process drops it */
  if (same(kept.access, j->grant.access)) k->save(k, &j->grant, &j->err);
  k->end(k);
  hl_grant_wipe(&kept);
}

static void drop_done(void *arg) {
  ((job *)arg)->credential->dropping = false;
  job_free(arg);
}

void hl_credential_worked(hl_credential *c, unsigned no) {
  if (no != c->no || c->worked) return;
  c->worked = true;
  if (!is_static(c) || !c->grant.older) return;
  wipe(c->grant.older); /* a rotated token has proved itself: the one before it goes */
  c->grant.older = NULL;
  if (!c->keeper || c->renewing) return;
  c->dropping = true;
  job *j = job_new(c);
  hl_grant_copy(&j->grant, &c->grant);
  hl_loop_work(c->loop, drop_work, drop_done, j);
}

/* ---- what to do about a refused one ---- */

/* "eu1" of https://api-eu1.hubapi.com; empty for the host of all regions. */
static hl_str host_region(const char *base_url) {
  static const char prefix[] = "https://api-";
  if (strncmp(base_url, prefix, sizeof prefix - 1) != 0) return (hl_str){"", 0};
  hl_str region = {base_url + sizeof prefix - 1, 0};
  while (isalnum((unsigned char)region.p[region.n])) region.n++;
  return region;
}

void hl_credential_remedy(const hl_credential *c, const char *account, const char *base_url, hl_buf *out) {
  hl_str token = hl_token_region(hl_str_of(c->grant.access)), host = host_region(base_url);
  if (c->kind == HL_CREDENTIAL_OAUTH) {
    hl_buf_printf(out,
                  "it was refused after a renewal too, so the app was uninstalled or the authorization revoked; "
                  "connect it again: hubloop auth login %s",
                  c->name);
  } else if (c->kind == HL_CREDENTIAL_CLIENT) {
    hl_buf_printf(out, "check the app's client id, secret and scopes: hubloop auth test %s", c->name);
  } else if (*c->name) {
    hl_buf_printf(out,
                  "it is expired, revoked or of another portal; make a new one in HubSpot's settings and store it: "
                  "hubloop auth rotate %s",
                  c->name);
  } else {
    hl_buf_puts(out, "check that it is whole, of this portal and not revoked; rotate it in HubSpot's settings and "
                     "store the new one");
  }
  if (!token.n || (host.n ? hl_str_eq(token, host) : hl_str_eqz(token, "na1"))) return;
  hl_buf_printf(out, ". It is a token of region " HL_STR_FMT ", but the calls go to %s: ", HL_STR_ARG(token), base_url);
  if (hl_str_eqz(token, "na1")) hl_buf_printf(out, "leave region and base_url of account %s out", account);
  else hl_buf_printf(out, "set region = \"" HL_STR_FMT "\" for account %s", HL_STR_ARG(token), account);
}
