#include "cmd/accounts.h"

#include "base/mem.h"
#include "hubspot/seal.h"
#include "hubspot/stored.h"

static const char TOKEN[] = "HUBSPOT_TOKEN", CLIENT_SECRET[] = "HUBSPOT_CLIENT_SECRET";

int hl_accounts_open(hl_runtime *rt, hl_error *err) {
  hl_error none;
  /* Without a home there is no vault, and most need none. */
  if (getenv("HUBLOOP_VAULT") || getenv("HOME") || getenv("XDG_CONFIG_HOME")) {
    int rc = hl_vault_new(NULL, &rt->vault, &none);
    if (rc && getenv("HUBLOOP_VAULT")) {
      *err = none;
      return rc;
    }
  }
  rt->secrets = hl_secrets_new(rt->loop, rt->vault);
  return 0;
}

static const char *from_env(const char *name) {
  const char *v = getenv(name);
  return v && *v ? v : NULL;
}

/* The webhook secrets of an account; what is in `values` belongs to the caller. */
enum { SECRETS_MAX = 16 };
typedef struct signing { hl_buf values[SECRETS_MAX]; hl_str v[SECRETS_MAX]; size_t n; } signing;

static void signing_wipe(signing *s) {
  for (size_t i = 0; i < s->n; i++) hl_buf_wipe(&s->values[i]);
}

static int signing_add(hl_runtime *rt, signing *s, const char *name, const char *value, hl_error *err) {
  if (s->n == SECRETS_MAX) return hl_fail(err, HL_ELIMIT, "more than %d client secrets for one account", SECRETS_MAX);
  hl_buf *b = &s->values[s->n];
  hl_buf_init(b, 64 * 1024);
  int rc = name ? hl_secrets_get(rt->secrets, name, b, err) : hl_buf_puts(b, value);
  if (!rc) hl_log_add_secret(rt->log, hl_buf_str(b));
  s->v[s->n++] = hl_buf_str(b);
  return rc;
}

/* Two accounts of one stored credential share it: its token, its renewal, its queue. */
static hl_credential *shared(hl_runtime *rt, const hl_project *p, const char *stored, const hl_project_account *a) {
  hl_account *other;
  hl_error none;
  for (const hl_project_account *b = p ? p->accounts : a; a && b < a; b++) {
    const char *its = b->oauth ? b->oauth : b->token;
    if (strcmp(its, stored) != 0 || hl_hubspot_account(rt->hubspot, b->name, &other, &none)) continue;
    return hl_credential_ref(hl_account_credential(other));
  }
  return NULL;
}

/* A stored token goes where it was stored for; a project's settings cannot send it elsewhere. */
static int check_place(const hl_stored *s, const hl_project_account *a, const char *base, hl_error *err) {
  char host[256];
  int rc = 0;
  if (!a || (!a->base_url && !a->region)) return 0;
  if (a->base_url) snprintf(host, sizeof host, "%s", a->base_url);
  else rc = hl_region_host(a->region, host, sizeof host, err);
  if (rc || strcmp(host, base) == 0) return rc;
  return hl_fail(err, HL_EINVAL, "the stored credential “%s” goes to %s, and the settings say %s: leave %s out, or store it anew", s->name,
                 base, host, a->base_url ? "base_url" : "region");
}

/* Which secrets sign the webhooks of an account with a stored credential. */
static int stored_signing(hl_runtime *rt, const hl_stored *s, const hl_project_account *a, signing *signs, hl_error *err) {
  int rc = 0;
  for (size_t i = 0; a && i < a->n_client_secrets && !rc; i++) rc = signing_add(rt, signs, a->client_secrets[i], NULL, err);
  if (!rc && !signs->n && s->client_secret)
    rc = signing_add(rt, signs, NULL, s->client_secret, err); /* the app's signs its webhooks */
  else if (!rc && !signs->n && !a && from_env(CLIENT_SECRET)) rc = signing_add(rt, signs, CLIENT_SECRET, NULL, err);
  return rc;
}

static int add_stored(hl_runtime *rt, const hl_project *p, const char *name, const char *stored, const hl_project_account *a, hl_error *err) {
  hl_stored s = {0};
  hl_credential *c = NULL;
  signing signs = {0};
  char base[256];
  int rc = rt->vault ? hl_stored_get(rt->vault, stored, &s, err)
                     : hl_fail(err, HL_EINVAL, "there is no place for stored credentials: set HOME or HUBLOOP_VAULT");
  if (!rc) rc = hl_stored_base(&s, base, sizeof base, err);
  if (!rc) rc = check_place(&s, a, base, err);
  if (!rc && !(c = shared(rt, p, stored, a))) rc = hl_stored_credential(&s, rt->loop, rt->client, rt->vault, &c, err);
  if (!rc && a && a->portal && s.grant.portal && a->portal != s.grant.portal)
    rc = hl_fail(err, HL_EINVAL, "it is portal %lld in the settings, but the stored credential “%s” is of portal %lld",
                 (long long)a->portal, stored, (long long)s.grant.portal);
  if (!rc) rc = stored_signing(rt, &s, a, &signs, err);
  if (rc) goto out;
  hl_account_options o = {.name = name, .credential = c, .base_url = s.base_url || s.region ? base : NULL,
                          .version = a ? a->version : NULL, .tier = a && a->tier ? a->tier : from_env("HUBSPOT_TIER"),
                          .portal = a && a->portal ? a->portal : s.grant.portal, .client_secrets = signs.v,
                          .n_client_secrets = signs.n, .day_reserve = a && a->day_reserve >= 0 ? &a->day_reserve : NULL};
  rc = hl_hubspot_add_account(rt->hubspot, &o, NULL, err);
out:
  if (rc) hl_fail_in(err, "account “%s”", name);
  hl_credential_unref(c);
  signing_wipe(&signs);
  hl_stored_wipe(&s);
  return rc;
}

static int read_token(hl_runtime *rt, const hl_project_account *a, hl_buf *token, signing *signs, hl_error *err) {
  char whose[160];
  int rc = hl_secrets_get(rt->secrets, a->token, token, err);
  snprintf(whose, sizeof whose, "account \"%.128s\"", a->name);
  if (!rc) rc = hl_token_check(whose, hl_buf_str(token), err);
  for (size_t i = 0; i < a->n_client_secrets && !rc; i++) rc = signing_add(rt, signs, a->client_secrets[i], NULL, err);
  return rc;
}

static int add_token(hl_runtime *rt, const hl_project_account *a, hl_error *err) {
  hl_buf token;
  signing signs = {0};
  hl_credential *c = NULL;
  hl_credential_kind kind = HL_CREDENTIAL_PRIVATE_APP;
  char host[256];
  hl_buf_init(&token, 64 * 1024);
  int rc = read_token(rt, a, &token, &signs, err);
  if (!rc && a->kind) rc = hl_credential_kind_of(a->kind, &kind, err);
  if (!rc && a->region) rc = hl_region_host(a->region, host, sizeof host, err);
  if (rc) goto out;
  c = hl_credential_static(rt->loop, kind, token.p);
  hl_account_options o = {.name = a->name,
                          .credential = c,
                          .base_url = a->base_url ? a->base_url
                                      : a->region ? host
                                                  : from_env("HUBSPOT_BASE_URL"),
                          .version = a->version,
                          .tier = a->tier ? a->tier : from_env("HUBSPOT_TIER"),
                          .portal = a->portal,
                          .client_secrets = signs.v,
                          .n_client_secrets = signs.n,
                          .day_reserve = a->day_reserve >= 0 ? &a->day_reserve : NULL};
  rc = hl_hubspot_add_account(rt->hubspot, &o, NULL, err);
out:
  hl_credential_unref(c);
  signing_wipe(&signs);
  hl_buf_wipe(&token);
  return rc;
}

/* token = secret "shop", where `shop` is no variable and no file but a stored
 * credential: then all of it is used, the region and the token before it too. */
static bool is_stored_token(hl_runtime *rt, const char *name) {
  char variable[160];
  hl_stored s = {0};
  hl_error none;
  snprintf(variable, sizeof variable, "%.128s_FILE", name);
  if (from_env(name) || from_env(variable) || !rt->vault || !hl_vault_exists(rt->vault) || hl_vault_check_name(name, &none) ||
      hl_stored_get(rt->vault, name, &s, &none))
    return false;
  bool is = !s.secret && s.kind < HL_CREDENTIAL_OAUTH;
  hl_stored_wipe(&s);
  return is;
}

/* ---- without settings ---- */

static bool has_token(hl_runtime *rt) {
  hl_buf b;
  hl_error err;
  hl_buf_init(&b, 64 * 1024);
  /* Set but empty, or a file that cannot be read, is an error to tell, not an absence. */
  bool has = getenv(TOKEN) || getenv("HUBSPOT_TOKEN_FILE") || hl_secrets_get(rt->secrets, TOKEN, &b, &err) == 0;
  hl_buf_wipe(&b);
  return has;
}

/* The name of the only credential of an account in the vault; NULL: none, or
 * several, whose names are then in `several`. */
static int only_stored(hl_runtime *rt, char **name, hl_buf *several, hl_error *err) {
  hl_stored *list;
  size_t n, found = 0;
  if (!rt->vault || !hl_vault_exists(rt->vault)) return 0;
  int rc = hl_stored_list(rt->vault, &list, &n, err);
  if (rc) return rc;
  for (size_t i = 0; i < n; i++) {
    if (list[i].secret || list[i].kind == HL_CREDENTIAL_CLIENT) continue;
    hl_buf_printf(several, "%s%s", found ? ", " : "", list[i].name);
    if (found++ == 0) *name = hl_strdup(list[i].name);
  }
  for (size_t i = 0; i < n; i++) hl_stored_wipe(&list[i]);
  hl_free(list);
  if (found > 1) {
    hl_free(*name);
    *name = NULL;
  }
  return 0;
}

/* The account without settings: HUBSPOT_TOKEN's. */
typedef struct usual { hl_project_account a; char name[8], token[16], secret[24], *secrets[1]; } usual;

static const hl_project_account *usual_account(usual *u) {
  *u = (usual){.name = "main", .token = "HUBSPOT_TOKEN", .secret = "HUBSPOT_CLIENT_SECRET"};
  u->secrets[0] = u->secret;
  u->a = (hl_project_account){.name = u->name, .token = u->token, .day_reserve = -1, .client_secrets = u->secrets,
                              .n_client_secrets = from_env(CLIENT_SECRET) ? 1 : 0};
  return &u->a;
}

static int add_default(hl_runtime *rt, const char *account, hl_error *err) {
  char *name = NULL;
  hl_buf several;
  hl_buf_init(&several, 512);
  int rc = 0;
  if (account) {
    rc = add_stored(rt, rt->project, account, account, NULL, err);
    goto out;
  }
  if (has_token(rt)) {
    usual u;
    rc = add_token(rt, usual_account(&u), err);
    goto out;
  }
  if ((rc = only_stored(rt, &name, &several, err))) {
    if (!rt->project) { /* it may need no account at all; its first API call says that there is none */
      hl_log_write(rt->log, HL_LOG_WARN, "auth", "%s", err->text);
      rc = 0;
    }
    goto out;
  }
  if (name) {
    fprintf(stderr, "hubloop: %s is not set; using the stored account %s\n", TOKEN, name);
    rc = add_stored(rt, rt->project, name, name, NULL, err);
  } else if (several.n) {
    rc = hl_fail(err, HL_EINVAL,
                 "%s is not set, and several accounts are stored (%s): name one with --account NAME, or list them in "
                 "hubloop.lua",
                 TOKEN, several.p);
  } else if (rt->project) {
    rc = hl_fail(err, HL_EAUTH,
                 "%s is not set: export %s with the token of a HubSpot private app or service key, or store an account "
                 "(hubloop help auth); "
                 "without an account, hubloop run --sim and hubloop demo use the built-in simulator",
                 TOKEN, TOKEN);
  }
out:
  hl_buf_deinit(&several);
  hl_free(name);
  return rc;
}

static int add(hl_runtime *rt, const hl_project *p, const hl_project_account *a, hl_error *err) {
  if (a->oauth) return add_stored(rt, p, a->name, a->oauth, a, err);
  return is_stored_token(rt, a->token) ? add_stored(rt, p, a->name, a->token, a, err) : add_token(rt, a, err);
}

int hl_accounts_add(hl_runtime *rt, const char *account, hl_error *err) {
  const hl_project *p = rt->project;
  if (account && p && p->n_accounts)
    return hl_fail(err, HL_EINVAL, "--account is for scripts without settings; this project's accounts are in its hubloop.lua");
  if (!p || !p->n_accounts) return add_default(rt, account, err);
  int rc = 0;
  for (size_t i = 0; i < p->n_accounts && !rc; i++) rc = add(rt, p, &p->accounts[i], err);
  return rc;
}

/* ---- while it runs ---- */

static void counts_later(hl_buf *later, const char *account, const char *what) {
  (void)hl_buf_printf(later, "%saccounts.%s%s%s", later->n ? ", " : "", account, *what ? "." : "", what);
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* False, and said, when its token is another one altogether. */
static bool compare(const hl_project_account *a, const hl_project_account *b, hl_buf *later) {
  const struct { const char *name, *a, *b; } texts[] = {
      {"token", a->token, b->token}, {"oauth", a->oauth, b->oauth}, {"tier", a->tier, b->tier}, {"base_url", a->base_url, b->base_url},
      {"region", a->region, b->region}, {"kind", a->kind, b->kind}, {"api_version", a->version, b->version},
      {"journal", a->journal, b->journal},
  };
  for (size_t i = 0; i < HL_COUNT(texts); i++)
    if (!same(texts[i].a, texts[i].b)) counts_later(later, a->name, texts[i].name);
  if (same(a->journal, b->journal) && (a->journal_earliest != b->journal_earliest || a->journal_portal_only != b->journal_portal_only))
    counts_later(later, a->name, "journal");
  if (a->portal != b->portal) counts_later(later, a->name, "portal");
  if (a->day_reserve != b->day_reserve) counts_later(later, a->name, "day_reserve");
  return same(a->token, b->token) && same(a->oauth, b->oauth);
}

/* The secrets of an account that runs, and a token that is read from somewhere, as they are now. */
static int renew(hl_runtime *rt, hl_account *account, const hl_project_account *a, hl_error *err) {
  hl_stored s = {0};
  signing signs = {0};
  hl_buf token;
  int rc;
  hl_buf_init(&token, 64 * 1024);
  if (a->oauth || is_stored_token(rt, a->token)) { /* its token is renewed by itself */
    rc = hl_stored_get(rt->vault, a->oauth ? a->oauth : a->token, &s, err);
    if (!rc) rc = stored_signing(rt, &s, a, &signs, err);
  } else {
    rc = read_token(rt, a, &token, &signs, err);
    if (!rc) hl_credential_replace(hl_account_credential(account), token.p);
  }
  if (!rc) hl_account_set_secrets(account, signs.v, signs.n);
  hl_buf_wipe(&token);
  signing_wipe(&signs);
  hl_stored_wipe(&s);
  return rc;
}

static const hl_project_account *named(const hl_project *p, const char *name) {
  for (size_t i = 0; i < p->n_accounts; i++)
    if (strcmp(p->accounts[i].name, name) == 0) return &p->accounts[i];
  return NULL;
}

int hl_accounts_again(hl_runtime *rt, const hl_project *fresh, hl_buf *later, hl_error *err) {
  hl_account *account;
  hl_error none;
  usual u;
  int rc = 0;
  hl_secrets_forget(rt->secrets);
  if (!fresh->n_accounts && !rt->project->n_accounts && has_token(rt) && hl_hubspot_account(rt->hubspot, "main", &account, &none) == 0)
    return renew(rt, account, usual_account(&u), err);
  for (size_t i = 0; i < fresh->n_accounts && !rc; i++) {
    const hl_project_account *a = &fresh->accounts[i], *before = named(rt->project, a->name);
    if (hl_hubspot_account(rt->hubspot, a->name, &account, &none)) {
      rc = add(rt, fresh, a, err);
      if (!rc && a->journal) counts_later(later, a->name, "journal");
    }
    else if (!before) counts_later(later, a->name, "");
    else if (compare(a, before, later)) rc = renew(rt, account, a, err);
  }
  for (size_t i = 0; i < rt->project->n_accounts; i++)
    if (!named(fresh, rt->project->accounts[i].name)) counts_later(later, rt->project->accounts[i].name, "");
  return rc;
}
