/* Named accounts: what is checked before a token is ever used, which queue and
 * which portal's budgets an account shares with others. */
#include <ctype.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/queue.h"

static const struct { const char *name; unsigned window; int64_t day; } tiers[] = {
  /* FACTS 3, for private apps and service keys; the answer headers correct them. */
  {"free", 100, 250000}, {"starter", 100, 250000}, {"professional", 190, 625000}, {"enterprise", 190, 1000000},
};
enum { SEARCH_PER_SECOND = 5, OAUTH_WINDOW = 110 };
static const unsigned journal_limits[HL_JOURNALS] = {
  [HL_JOURNAL_EVENTS] = 100, [HL_JOURNAL_SUBSCRIPTIONS] = 50, [HL_JOURNAL_SNAPSHOTS] = 10,
};

hl_hubspot *hl_hubspot_new(hl_loop *loop, hl_transport *transport) {
  hl_hubspot *h = HL_NEW(hl_hubspot);
  h->loop = loop;
  h->transport = transport;
  return h;
}

void hl_hubspot_set_call_log(hl_hubspot *h, hl_call_log *log) { h->calls = log; }
hl_call_log *hl_hubspot_call_log(const hl_hubspot *h) { return h->calls; }

void hl_hubspot_on_day_ending(hl_hubspot *h, hl_day_cb cb, void *arg) {
  h->day_ending = cb;
  h->day_ending_arg = arg;
}

static void secrets_free(hl_account *a) {
  for (size_t i = 0; i < a->n_secrets; i++) {
    union { const char *in; char *out; } unconst = {.in = a->secrets[i].p};
    hl_free(unconst.out);
  }
  hl_free(a->secrets);
}

void hl_account_set_secrets(hl_account *a, const hl_str *secrets, size_t n) {
  secrets_free(a);
  a->n_secrets = n;
  a->secrets = n ? hl_alloc(n * sizeof *a->secrets) : NULL;
  for (size_t i = 0; i < n; i++) {
    a->secrets[i] = (hl_str){hl_strndup(secrets[i].p, secrets[i].n), secrets[i].n};
    hl_log_add_secret(hl_loop_log(a->hubspot->loop), a->secrets[i]);
  }
}

static void account_free(hl_account *a) {
  secrets_free(a);
  hl_free(a->name);
  hl_free(a->version);
  hl_free(a);
}

void hl_hubspot_free(hl_hubspot *h) {
  if (!h) return;
  h->closing = true;
  for (hl_queue *q = h->queues; q; q = q->next) hl_queue_cancel_all(q);
  for (hl_queue *q = h->queues, *next; q; q = next) {
    next = q->next;
    hl_queue_free(q);
  }
  for (hl_portal *p = h->portals, *next; p; p = next) {
    next = p->next;
    hl_window_deinit(&p->search);
    hl_day_deinit(&p->day);
    hl_day_deinit(&p->oauth_day);
    hl_free(p);
  }
  for (hl_bucket *b = h->buckets, *next; b; b = next) {
    next = b->next;
    hl_window_deinit(&b->window);
    hl_free(b);
  }
  for (hl_app *app = h->apps, *next; app; app = next) {
    next = app->next;
    for (size_t i = 0; i < HL_JOURNALS; i++) hl_window_deinit(&app->journal[i]);
    hl_free(app);
  }
  for (hl_account *a = h->accounts, *next; a; a = next) {
    next = a->next;
    account_free(a);
  }
  hl_free(h);
}

/* ---- what may be an account ---- */

static bool is_loopback(hl_str host) {
  if (hl_str_ieqz(host, "localhost") || hl_str_eqz(host, "[::1]")) return true;
  unsigned parts = 0;
  for (size_t i = 0; i < host.n; i++) {
    if (host.p[i] == '.') parts++;
    else if (!isdigit((unsigned char)host.p[i])) return false;
  }
  return parts == 3 && hl_str_starts(host, "127.");
}

int hl_base_url_check(const char *account, const char *url, char **out, hl_error *err) {
  hl_str u = hl_str_of(url);
  bool tls = hl_str_starts(u, "https://");
  if (!tls && !hl_str_starts(u, "http://"))
    return hl_fail(err, HL_EINVAL, "base_url of account \"%s\" must begin with https:// (http:// only for this machine): "
                   "%s", account, url);
  size_t from = tls ? 8 : 7;
  while (u.n > from && u.p[u.n - 1] == '/') u.n--;
  hl_str authority = {u.p + from, u.n - from}, host = authority;
  for (size_t i = 0; i < authority.n; i++)
    if (strchr("/?#@\\", authority.p[i]) || (unsigned char)authority.p[i] <= ' ')
      return hl_fail(err, HL_EINVAL, "base_url of account \"%s\" may only be scheme, host and port: %s", account, url);
  for (size_t i = authority.n; i-- > 0 && authority.p[i] != ']';)
    if (authority.p[i] == ':') host.n = i;
  if (host.n == 0) return hl_fail(err, HL_EINVAL, "base_url of account \"%s\" names no host: %s", account, url);
  if (!tls && !is_loopback(host))
    return hl_fail(err, HL_EINVAL, "base_url of account \"%s\" is plain http to another machine, which would send the "
                   "token in the clear: use https:// (%s)", account, url);
  *out = hl_strndup(u.p, u.n);
  return 0;
}

static bool is_version(const char *v) {
  static const char shape[] = "dddd-dd";
  size_t i = 0;
  for (; v[i] && shape[i]; i++)
    if (shape[i] == 'd' ? !isdigit((unsigned char)v[i]) : v[i] != '-') return false;
  return !v[i] && !shape[i];
}

static hl_account *find(hl_hubspot *h, const char *name) {
  hl_account *a = h->accounts;
  while (a && strcmp(a->name, name) != 0) a = a->next;
  return a;
}

/* ---- adding ---- */

static hl_portal *portal_of(hl_hubspot *h, int64_t id) {
  hl_portal *p = id ? h->portals : NULL;
  while (p && p->id != id) p = p->next;
  if (p) return p;
  p = HL_NEW(hl_portal);
  p->id = id;
  hl_window_init(&p->search, SEARCH_PER_SECOND, HL_SECOND);
  hl_day_init(&p->day, 0, HL_DAY_RESERVE);
  hl_day_init(&p->oauth_day, 0, HL_DAY_RESERVE);
  p->next = h->portals;
  h->portals = p;
  return p;
}

/* Of one queue alone until its app and portal are known (identity.h). */
static hl_bucket *bucket_new(hl_hubspot *h, unsigned limit) {
  hl_bucket *b = HL_NEW(hl_bucket);
  hl_window_init(&b->window, limit, 10 * HL_SECOND);
  b->next = h->buckets;
  return h->buckets = b;
}

static hl_app *app_new(hl_hubspot *h) {
  hl_app *a = HL_NEW(hl_app);
  for (size_t i = 0; i < HL_JOURNALS; i++) hl_window_init(&a->journal[i], journal_limits[i], HL_SECOND);
  a->next = h->apps;
  return h->apps = a;
}

/* Two names for one token share its queue: HubSpot counts them as one. */
static hl_queue *queue_of(hl_hubspot *h, const hl_account_options *o, hl_credential *credential, const char *base,
                          size_t tier) {
  hl_queue *q = h->queues;
  while (q && (!hl_credential_same(q->credential, credential) || strcmp(q->base_url, base) != 0)) q = q->next;
  if (q) return q;
  /* FACTS 3: an OAuth app has its own limit in each account, and no day. */
  bool oauth = hl_credential_kind_get(credential) == HL_CREDENTIAL_OAUTH;
  q = hl_queue_new(h, credential, base, o->base_url ? HL_NET_NAMED : HL_NET_PUBLIC, portal_of(h, o->portal),
                   bucket_new(h, oauth ? OAUTH_WINDOW : tiers[tier].window), app_new(h));
  if (!q->day->limit && !hl_credential_app(credential)) q->day->limit = tiers[tier].day;
  if (o->day_reserve) q->day->reserve = (unsigned)*o->day_reserve;
  q->next = h->queues;
  h->queues = q;
  return q;
}

int hl_hubspot_add_account(hl_hubspot *h, const hl_account_options *o, hl_account **out, hl_error *err) {
  const char *version = o->version ? o->version : "2026-09";
  const char *tier = o->tier ? o->tier : "free";
  size_t t = 0;
  char *base = NULL;
  if (!o->name || !*o->name) return hl_fail(err, HL_EINVAL, "an account needs a name");
  if (find(h, o->name)) return hl_fail(err, HL_EINVAL, "there is an account \"%s\" already: names are used once", o->name);
  while (t < HL_COUNT(tiers) && strcmp(tiers[t].name, tier) != 0) t++;
  if (t == HL_COUNT(tiers))
    return hl_fail(err, HL_EINVAL, "account \"%s\": unknown tier \"%s\": one of free, starter, professional, enterprise",
                   o->name, tier);
  if (o->day_reserve && (*o->day_reserve < 0 || *o->day_reserve > 90))
    return hl_fail(err, HL_EINVAL, "account \"%s\": day_reserve, the part of a day's calls that is kept for live ones, is 0 to 90 percent", o->name);
  if (!is_version(version))
    return hl_fail(err, HL_EINVAL, "account \"%s\": the API version \"%s\" is no dated one, such as 2026-09", o->name,
                   version);
  char whose[160];
  snprintf(whose, sizeof whose, "account \"%.128s\"", o->name);
  int rc = o->credential ? 0 : hl_token_check(whose, hl_str_of(o->token), err);
  if (!rc) rc = hl_base_url_check(o->name, o->base_url ? o->base_url : "https://api.hubapi.com", &base, err);
  if (rc) return rc;

  hl_account *a = HL_NEW(hl_account);
  a->hubspot = h;
  a->name = hl_strdup(o->name);
  a->version = hl_strdup(version);
  a->portal = o->portal;
  hl_account_set_secrets(a, o->client_secrets, o->n_client_secrets);
  hl_credential *credential = o->credential ? hl_credential_ref(o->credential)
                                            : hl_credential_static(h->loop, HL_CREDENTIAL_PRIVATE_APP, o->token);
  a->queue = queue_of(h, o, credential, base, t);
  hl_credential_unref(credential);
  hl_free(base);
  hl_account **at = &h->accounts; /* in the order they were added */
  while (*at) at = &(*at)->next;
  *at = a;
  if (out) *out = a;
  return 0;
}

/* ---- looking up ---- */

int hl_hubspot_account(hl_hubspot *h, const char *name, hl_account **out, hl_error *err) {
  hl_account *a = h->accounts;
  if (name && *name) a = find(h, name);
  else if (a && a->next) a = NULL;
  if (a) {
    *out = a;
    return 0;
  }
  char known[512] = "";
  size_t n = 0;
  for (hl_account *k = h->accounts; k && n < sizeof known - 1; k = k->next) {
    int w = snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", k->name);
    n = w < 0 ? sizeof known : n + (size_t)w;
  }
  if (!h->accounts) return hl_fail(err, HL_ENOTFOUND, "no HubSpot account is set up: set HUBSPOT_TOKEN, store an account (hubloop auth add NAME), or "
                                         "name accounts in hubloop.lua");
  if (name && *name) return hl_fail(err, HL_ENOTFOUND, "there is no account \"%s\"; known: %s", name, known);
  return hl_fail(err, HL_EINVAL, "there are several accounts (%s): say which, with hubspot.account(name)", known);
}

size_t hl_hubspot_accounts(hl_hubspot *h, hl_account **out, size_t max) {
  size_t n = 0;
  for (hl_account *a = h->accounts; a; a = a->next, n++)
    if (n < max) out[n] = a;
  return n;
}

bool hl_hubspot_renewing(const hl_hubspot *h) {
  for (const hl_queue *q = h->queues; q; q = q->next)
    if (hl_credential_busy(q->credential)) return true;
  return false;
}

const char *hl_account_name(const hl_account *a) { return a->name; }
int64_t hl_account_portal(const hl_account *a) { return a->portal; }
hl_credential *hl_account_credential(const hl_account *a) { return a->queue->credential; }
const char *hl_account_version(const hl_account *a) { return a->version; }
size_t hl_account_secrets(const hl_account *a, const hl_str **out) {
  *out = a->secrets;
  return a->n_secrets;
}
