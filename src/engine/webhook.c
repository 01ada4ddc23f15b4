#include "engine/webhook.h"

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/signature.h"

enum { MAX_ACCOUNTS = 64, MAX_SECRETS = 256 };
static const int64_t AHEAD_MS = 5 * 60 * 1000; /* clocks differ by so much at most */
static const int64_t CLOCK_TELL_MS = 10 * 60 * 1000;

typedef struct reply reply;
struct reply {
  reply *prev, *next;        /* w->replies */
  hl_webhook *w;             /* NULL: the door was closed meanwhile */
  hl_defer defer;
  int status;
  const char *text;
  hl_delivery_cb cb;
  void *arg;
  unsigned parts;            /* receipts still to come */
};

struct hl_webhook {
  hl_engine *e;
  hl_hubspot *h;
  char *public_url, *path;
  bool accept_v2;
  reply *replies;
  int64_t clock_told;        /* loop ms + 1; 0: never */
  hl_webhook_stats stats;
};

hl_webhook *hl_webhook_new(hl_engine *e, hl_hubspot *h, const hl_webhook_options *o) {
  static const hl_webhook_options none = {0};
  hl_webhook *w = HL_NEW(hl_webhook);
  w->e = e;
  w->h = h;
  hl_webhook_set(w, o ? o : &none);
  return w;
}

void hl_webhook_set(hl_webhook *w, const hl_webhook_options *o) {
  hl_free(w->public_url);
  hl_free(w->path);
  w->public_url = hl_strdup(o->public_url);
  w->accept_v2 = o->accept_v2;
  const char *host = w->public_url ? strstr(w->public_url, "://") : NULL;
  const char *path = host ? strchr(host + 3, '/') : NULL;
  w->path = path ? hl_strndup(path, strcspn(path, "?#")) : hl_strdup("/hubspot");
}

static void unlink_reply(reply *r) {
  if (!r->w) return;
  if (r->prev) r->prev->next = r->next;
  else r->w->replies = r->next;
  if (r->next) r->next->prev = r->prev;
}

void hl_webhook_free(hl_webhook *w) {
  if (!w) return;
  while (w->replies) {
    reply *r = w->replies;
    unlink_reply(r);
    r->w = NULL;
    if (r->parts) continue;  /* the engine still holds it */
    hl_defer_stop(hl_engine_loop(w->e), &r->defer);
    hl_free(r);
  }
  hl_free(w->public_url);
  hl_free(w->path);
  hl_free(w);
}

const char *hl_webhook_path(const hl_webhook *w) { return w->path; }
void hl_webhook_stats_get(const hl_webhook *w, hl_webhook_stats *out) { *out = w->stats; }

static void send_reply(reply *r) {
  unlink_reply(r);
  if (r->w) r->cb(r->arg, r->status, r->text);
  hl_free(r);
}

static void on_defer(hl_defer *d, void *arg) {
  (void)d;
  send_reply(arg);
}

static void reply_later(reply *r, int status, const char *text) {
  r->status = status;
  r->text = text;
  hl_defer_start(hl_engine_loop(r->w->e), &r->defer, on_defer, r);
}

/* Nothing is wrong with the request: HubSpot brings it again. */
static void no_memory(hl_webhook *w, reply *r) {
  w->stats.unavailable++;
  reply_later(r, 503, "no memory; send it again");
}

static void on_receipt(void *arg, const hl_receipt *receipt) {
  reply *r = arg;
  if (receipt->code) {
    r->status = 503;
    r->text = "not stored; send it again";
  }
  if (--r->parts) return;
  if (r->w && r->status == 503) r->w->stats.unavailable++;
  else if (r->w) r->w->stats.accepted_requests++;
  send_reply(r);
}

/* ---- who signed it ---- */

typedef struct signer {
  hl_account *accounts[MAX_ACCOUNTS]; /* those that have the secret that verified */
  size_t n;
  int version;
} signer;

/* The full public URI as HubSpot signed it. */
static int uri_of(const hl_webhook *w, const hl_delivery *d, hl_buf *out) {
  hl_buf_init(out, 1 << 16);
  if (!w->public_url) return hl_buf_printf(out, "http://%s%s", d->host ? d->host : "", d->target ? d->target : "/");
  const char *query = d->target ? strchr(d->target, '?') : NULL;
  return hl_buf_printf(out, "%s%s", w->public_url, query ? query : "");
}

static int verify(hl_webhook *w, const hl_delivery *d, signer *out, hl_error *err) {
  hl_account *accounts[MAX_ACCOUNTS];
  hl_str secrets[MAX_SECRETS];
  size_t n = hl_hubspot_accounts(w->h, accounts, MAX_ACCOUNTS), n_secrets = 0, which;
  hl_buf uri;
  if (n > MAX_ACCOUNTS) n = MAX_ACCOUNTS;
  for (size_t i = 0; i < n; i++) {
    const hl_str *mine;
    size_t count = hl_account_secrets(accounts[i], &mine);
    for (size_t k = 0; k < count && n_secrets < MAX_SECRETS; k++) secrets[n_secrets++] = mine[k];
  }
  if (!n_secrets) return hl_fail(err, HL_EAUTH, "no client secret is configured, so no webhook can be verified");
  int rc = uri_of(w, d, &uri);
  if (rc) return hl_fail(err, rc, rc == HL_ENOMEM ? "no memory for the URI" : "the URI is too long");
  hl_signed s = {.method = d->method, .uri = uri.p, .body = d->body, .v3 = d->signature_v3, .timestamp = d->timestamp,
                 .v1v2 = d->signature, .version = d->signature_version};
  rc = hl_signature_verify(&s, secrets, n_secrets, hl_loop_now(hl_engine_loop(w->e)), &which, err);
  hl_buf_deinit(&uri);
  if (rc < 0) return rc;
  out->version = rc;
  out->n = 0;
  for (size_t i = 0; i < n; i++) {
    const hl_str *mine;
    size_t count = hl_account_secrets(accounts[i], &mine), k = 0;
    while (k < count && !hl_str_eq(mine[k], secrets[which])) k++;
    if (k < count) out->accounts[out->n++] = accounts[i];
  }
  return 0;
}

/* A v1 signature has no time of its own: an old body could be sent again once
 * its hashes are forgotten. */
static bool recent(const hl_webhook *w, const hl_elements *elements) {
  int64_t now = hl_loop_now(hl_engine_loop(w->e)), window = hl_engine_window_ms(w->e);
  for (size_t i = 0; i < elements->n; i++) {
    const hl_field *at = &elements->v[i].f.occurred;
    if (at->kind != HL_F_INT || at->i < now - window || at->i > now + AHEAD_MS) return false;
  }
  return true;
}

/* The account among the signers whose portal the event names; the only signer
 * takes events without a portal, and an account whose portal is unknown any. */
static hl_account *account_for(const signer *s, const hl_element *el) {
  if (!el->object) return s->accounts[0]; /* parked as malformed */
  int64_t portal = 0;
  if (el->f.portal.kind == HL_F_INT) portal = el->f.portal.i;
  else if (el->f.portal.kind == HL_F_TEXT) (void)hl_str_int64(el->f.portal.s, &portal);
  hl_account *unknown = NULL;
  for (size_t i = 0; i < s->n; i++) {
    int64_t its = hl_account_portal(s->accounts[i]);
    if (its && its == portal) return s->accounts[i];
    if (!its && !unknown) unknown = s->accounts[i];
  }
  if (unknown) return unknown;
  return portal == 0 && s->n == 1 ? s->accounts[0] : NULL;
}

/* The signature is good and its time is not: refused like a forged one, but what
 * refuses every webhook of a machine whose clock is wrong has to be said. */
static void tell_clock(hl_webhook *w, const hl_delivery *d) {
  hl_loop *loop = hl_engine_loop(w->e);
  int64_t now = hl_loop_mono(loop), at, age;
  if (w->clock_told && now - w->clock_told < CLOCK_TELL_MS) return;
  if (hl_str_int64(hl_str_of(d->timestamp), &at) || __builtin_sub_overflow(hl_loop_now(loop), at, &age)) return;
  w->clock_told = now + 1;
  hl_log_write(hl_loop_log(loop), HL_LOG_WARN, "webhook", "refused a webhook with a good signature whose time is %lld minutes %s this "
               "machine's clock: set the clock, as with timedatectl set-ntp true (or somebody sends an old request again)",
               (long long)(age < 0 ? -(age / HL_MINUTE) : age / HL_MINUTE), age < 0 ? "ahead of" : "behind");
}

static reply *new_reply(hl_webhook *w, hl_delivery_cb cb, void *arg) {
  reply *r = HL_NEW(reply);
  r->w = w;
  r->cb = cb;
  r->arg = arg;
  r->next = w->replies;
  if (r->next) r->next->prev = r;
  w->replies = r;
  return r;
}

/* One app's secret may serve several accounts: a body that mixes their events is
 * taken apart, and answered when every part is stored. */
static void receive_mixed(hl_webhook *w, reply *r, const signer *s, const hl_elements *elements) {
  r->parts = 1;
  r->status = 204;
  r->text = "";
  for (size_t i = 0; i < s->n; i++) {
    hl_buf part;
    hl_buf_init(&part, SIZE_MAX / 4);
    for (size_t k = 0; k < elements->n; k++) {
      if (account_for(s, &elements->v[k]) != s->accounts[i]) continue;
      hl_buf_puts(&part, part.n ? "," : "[");
      hl_element_print(&elements->v[k], &part);
    }
    if (part.n) {
      hl_buf_puts(&part, "]");
      r->parts++;
      hl_engine_receive(w->e, "push", hl_account_name(s->accounts[i]), hl_buf_str(&part), on_receipt, r);
    }
    hl_buf_deinit(&part);
  }
  r->parts--; /* receipts are never answered from inside, so one at least is still to come */
}

void hl_webhook_deliver(hl_webhook *w, const hl_delivery *d, hl_delivery_cb cb, void *arg) {
  reply *r = new_reply(w, cb, arg);
  hl_elements elements = {0};
  hl_error err;
  signer s;
  int rc;
  w->stats.requests++;
  if (!d->method || strcmp(d->method, "POST") != 0) {
    reply_later(r, 405, "webhooks are sent with POST");
    return;
  }
  if ((rc = verify(w, d, &s, &err)) == HL_ENOMEM) {
    no_memory(w, r);
    return;
  }
  if (rc == HL_ETIMEOUT) tell_clock(w, d);
  if (rc || (s.version == 2 && !w->accept_v2)) {
    w->stats.forged++;
    reply_later(r, 401, "the signature was not accepted");
    return;
  }
  if ((rc = hl_elements_read(&elements, d->body, &err)) == HL_ENOMEM) {
    no_memory(w, r);
    return;
  }
  if (rc) {
    w->stats.malformed_bodies++;
    reply_later(r, 400, "the body must be a JSON array of events");
    return;
  }
  if (s.version == 1 && !recent(w, &elements)) {
    w->stats.forged++;
    reply_later(r, 401, "too old for its kind of signature");
    goto out;
  }
  hl_account *account = s.accounts[0];
  bool mixed = false, first = true;
  for (size_t i = 0; i < elements.n; i++) {
    if (!elements.v[i].object) continue;
    hl_account *its = account_for(&s, &elements.v[i]);
    if (!its) {
      w->stats.foreign_portal++;
      reply_later(r, 401, "an event of another portal than the one that signed");
      goto out;
    }
    if (!first && its != account) mixed = true;
    account = its;
    first = false;
  }
  if (mixed) {
    receive_mixed(w, r, &s, &elements);
    goto out;
  }
  r->parts = 1;
  r->status = 204;
  r->text = "";
  hl_engine_receive_read(w->e, "push", hl_account_name(account), d->body, &elements, on_receipt, r);
out:
  hl_elements_deinit(&elements);
}
