#include <time.h>

#include "base/mem.h"
#include "cmd/auth.h"
#include "hubspot/seal.h"

/* `hubloop auth add`, `test` and `rotate`: tokens that a person brings. */

static const hl_flag add_flags[] = {
    {"kind", "KIND", "private_app (default), service_key, platform_app, client_credentials, secret"},
    HL_AUTH_ENV_FLAG,
    {"portal", "N", "the HubSpot account's id that the token must belong to"},
    {"region", "NAME", "eu1, na1, …; default what the token says"},
    {"base-url", "URL", "another address than HubSpot's; default HUBSPOT_BASE_URL"},
    {"client-id", "ID", "client_credentials: the app's; its client secret is what is asked for"},
    {"scopes", "LIST", "client_credentials: what to ask for, with spaces between"},
    {"no-test", NULL, "store it without asking HubSpot"},
    HL_AUTH_VAULT_FLAG,
    {NULL, NULL, NULL},
};

enum { ROTATE_DAYS = 180 };
static const int64_t DAY_MS = INT64_C(86400000);

/* What the flags say, without the secret. */
static int read_flags(const hl_args *a, hl_stored *s, int64_t *portal, hl_error *err) {
  const char *kind = hl_args_get(a, "kind");
  int rc = 0;
  if (kind && strcmp(kind, "secret") == 0) s->secret = true;
  else if (kind && hl_credential_kind_of(kind, &s->kind, err)) rc = hl_fail_in(err, "--kind (or secret)");
  if (!rc && !s->secret && s->kind == HL_CREDENTIAL_OAUTH)
    rc = hl_fail(err, HL_EINVAL,
                 "an OAuth account is connected in a browser: hubloop auth login %s --client-id ID --scopes LIST",
                 s->name);
  bool client = !s->secret && s->kind == HL_CREDENTIAL_CLIENT;
  if (!rc && client && (!hl_args_has(a, "client-id") || !hl_args_has(a, "scopes")))
    rc = hl_fail(err, HL_EINVAL, "client_credentials need --client-id ID and --scopes \"developer.webhooks_journal.read …\"");
  if (!rc && !client && (hl_args_has(a, "client-id") || hl_args_has(a, "scopes")))
    rc = hl_fail(err, HL_EINVAL, "--client-id and --scopes go with --kind client_credentials");
  s->client_id = hl_strdup(hl_args_get(a, "client-id"));
  s->asked = hl_strdup(hl_args_get(a, "scopes"));
  if (!rc) rc = hl_auth_place(a, s, err);
  if (!rc && hl_args_int(a, "portal", 1, INT64_MAX / 2, 0, portal)) rc = hl_fail(err, HL_EINVAL, "nothing was stored");
  return rc;
}

/* A token's own region, where no other was named. */
static void take_region(hl_stored *s) {
  hl_str region = hl_token_region(hl_str_of(s->grant.access));
  if (!s->region && !s->base_url && region.n && !hl_str_starts(region, "na")) s->region = hl_strndup(region.p, region.n);
}

static void learn(hl_stored *s, const hl_auth_identity *id) {
  if (id->portal) s->grant.portal = id->portal;
  if (id->user_id) s->grant.user_id = id->user_id;
  if (!id->scopes) return;
  hl_free(s->grant.scopes);
  s->grant.scopes = hl_strdup(id->scopes);
}

static int same_portal(const char *name, int64_t wanted, const hl_auth_identity *id, hl_error *err) {
  if (!wanted || !id->portal || wanted == id->portal) return 0;
  return hl_fail(err, HL_EINVAL, "the token is of portal %lld, and %s is portal %lld: nothing was stored",
                 (long long)id->portal, name, (long long)wanted);
}

static int add(const hl_args *a) {
  hl_error err = {0}, none, told = {0};
  hl_auth x = {0};
  hl_stored s = {0}, old = {0};
  hl_auth_identity id = {0};
  hl_buf secret = {0};
  int64_t portal = 0;
  const char *name;
  char what[200], place[200];
  bool tried = false;
  int rc = hl_auth_one_name(a, &name, &err);
  if (!rc) rc = hl_auth_open(&x, a, &err);
  if (!rc) s.name = hl_strdup(name);
  if (!rc) rc = read_flags(a, &s, &portal, &err);
  if (rc) goto out;
  if ((rc = hl_stored_get(x.vault, name, &old, &none)) == 0) {
    rc = hl_fail(&err, HL_EINVAL,
                 "there is a credential %s already: hubloop auth rotate %s gives it a new token, hubloop auth remove "
                 "%s forgets it",
                 name, name, name);
    goto out;
  }
  if (rc != HL_ENOTFOUND) {
    err = none;
    goto out;
  }
  bool client = !s.secret && s.kind == HL_CREDENTIAL_CLIENT;
  snprintf(what, sizeof what, "%s of %s", s.secret ? "secret" : client ? "client secret" : "token", name);
  if ((rc = hl_auth_secret(a, what, &secret, &err))) goto out;
  if (!s.secret && !client && (rc = hl_token_check(name, hl_buf_str(&secret), &err))) goto out;
  if (client) s.client_secret = hl_strdup(secret.p);
  else s.grant.access = hl_strdup(secret.p);
  s.grant.portal = portal;
  s.added_at = hl_loop_now(x.loop);
  if (!s.secret && !client) take_region(&s);
  if (!s.secret && !hl_args_has(a, "no-test")) {
    rc = hl_auth_identify(&x, &s, false, &id, &err);
    if (rc && rc != HL_ENET) goto out;
    told = err;
    tried = rc == 0;
    if ((rc = tried ? same_portal(name, portal, &id, &err) : 0)) goto out;
    learn(&s, &id);
  }
  if ((rc = hl_stored_put(x.vault, &s, &err))) goto out;
  id.portal = s.grant.portal;
  hl_auth_describe(&s, &id, what, sizeof what);
  snprintf(place, sizeof place, "%.180s", hl_vault_path(x.vault));
  printf("stored %s: %s, in %s\n", name, what, place);
  if (s.base_url && !s.secret) printf("Its calls go to %s.\n", s.base_url);
  if (!tried && !s.secret && !hl_args_has(a, "no-test"))
    printf("HubSpot could not be asked (%s); hubloop auth test %s does so later.\n", told.text, name);
  if (s.secret) printf("A script uses it as secret \"%s\".\n", name);
  else if (client) printf("hubloop.lua: accounts = { main = { …, journal = \"%s\" } } reads the webhooks journal with it.\n", name);
  else
    printf("hubloop.lua: accounts = { %s = { token = secret \"%s\" } }; without settings it is used when HUBSPOT_TOKEN "
           "is not set.\n",
           "main", name);
out:
  hl_free(id.scopes);
  hl_buf_wipe(&secret);
  hl_stored_wipe(&old);
  hl_stored_wipe(&s);
  hl_auth_close(&x);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_add = {
    .name = "auth add",
    .operands = "NAME",
    .summary = "store a token, or a secret, encrypted",
    .flags = add_flags,
    .min = 1,
    .max = HL_ARGS_MAX,
    .run = add,
    .examples = "  hubloop auth add shop                         asks for the token, without echo\n"
                "  hubloop auth add shop --env SHOP_TOKEN        from a variable\n"
                "  hubloop auth add FORM_KEY --kind secret <key.txt\n",
};

/* ---- test ---- */

static const hl_flag test_flags[] = {HL_AUTH_VAULT_FLAG, {NULL, NULL, NULL}};

static void print_age(const hl_stored *s, int64_t now) {
  if (!s->added_at || s->kind >= HL_CREDENTIAL_OAUTH) return;
  int64_t days = (now - s->added_at) / DAY_MS;
  printf("  stored %lld day%s ago", (long long)days, days == 1 ? "" : "s");
  if (days >= ROTATE_DAYS) printf(": rotate it now (every 6 months): hubloop auth rotate %s\n", s->name);
  else printf("; rotate it within %lld days (every 6 months)\n", (long long)(ROTATE_DAYS - days));
}

static int test(const hl_args *a) {
  hl_error err = {0};
  hl_auth x = {0};
  hl_stored s = {0};
  hl_auth_identity id = {0};
  const char *name;
  char what[200];
  int rc = hl_auth_one_name(a, &name, &err);
  if (!rc) rc = hl_auth_open(&x, a, &err);
  if (!rc) rc = hl_stored_get(x.vault, name, &s, &err);
  if (!rc && s.secret) rc = hl_fail(&err, HL_EINVAL, "%s is a plain secret: there is nothing to ask HubSpot", name);
  if (!rc) rc = hl_auth_identify(&x, &s, true, &id, &err);
  if (rc) goto out;
  hl_auth_describe(&s, &id, what, sizeof what);
  printf("%s: %s\n", name, what);
  if (s.kind == HL_CREDENTIAL_CLIENT) printf("  HubSpot gives a token for: %s\n", s.asked);
  if (id.app_id) printf("  app %lld\n", (long long)id.app_id);
  if (*id.time_zone) printf("  time zone %s\n", id.time_zone);
  if (id.scopes) printf("  scopes: %s\n", id.scopes);
  print_age(&s, hl_loop_now(x.loop));
out:
  hl_free(id.scopes);
  hl_stored_wipe(&s);
  hl_auth_close(&x);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_test = {
    .name = "auth test",
    .operands = "NAME",
    .summary = "ask HubSpot whose token it is, and what it may do",
    .flags = test_flags,
    .min = 1,
    .max = HL_ARGS_MAX,
    .run = test,
    .examples = "  hubloop auth test shop\n",
};

/* ---- rotate ---- */

static const hl_flag rotate_flags[] = {HL_AUTH_ENV_FLAG, HL_AUTH_VAULT_FLAG, {NULL, NULL, NULL}};

/* The new one is tried first; the old one stays until the new one has worked in a script. */
static int rotate_token(hl_auth *x, const hl_args *a, hl_stored *s, hl_error *err) {
  hl_buf fresh;
  hl_auth_identity id = {0};
  char what[200];
  snprintf(what, sizeof what, "new %s of %s",
           s->secret                         ? "secret"
           : s->kind == HL_CREDENTIAL_CLIENT ? "client secret"
                                             : "token",
           s->name);
  int rc = hl_auth_secret(a, what, &fresh, err);
  if (rc) goto out;
  if (!s->secret && s->kind == HL_CREDENTIAL_CLIENT) {
    explicit_bzero(s->client_secret, strlen(s->client_secret));
    hl_free(s->client_secret);
    s->client_secret = hl_strdup(fresh.p);
  } else {
    if (!s->secret && (rc = hl_token_check(s->name, hl_buf_str(&fresh), err))) goto out;
    if (s->grant.access && strcmp(s->grant.access, fresh.p) == 0) {
      rc = hl_fail(
          err, HL_EINVAL,
          "that is the token that is stored already: rotate it in HubSpot's settings first, then give the new one");
      goto out;
    }
    if (s->grant.older) explicit_bzero(s->grant.older, strlen(s->grant.older));
    hl_free(s->grant.older);
    s->grant.older = s->secret ? NULL : s->grant.access;
    s->grant.access = hl_strdup(fresh.p);
  }
  if (!s->secret) {
    hl_stored alone = *s; /* without the old one, to which a refused new one falls back */
    alone.grant.older = NULL;
    if ((rc = hl_auth_identify(x, &alone, false, &id, err))) {
      hl_fail_in(err, "the stored token of %s is unchanged", s->name);
      goto out;
    }
    if ((rc = same_portal(s->name, s->grant.portal, &id, err))) goto out;
    learn(s, &id);
  }
  s->added_at = hl_loop_now(x->loop);
  if ((rc = hl_stored_put(x->vault, s, err))) goto out;
  printf("rotated %s%s\n", s->name,
         !s->secret && s->kind < HL_CREDENTIAL_OAUTH
             ? ": the new token works; the old one is kept until it has worked in a script"
             : "");
out:
  hl_free(id.scopes);
  hl_buf_wipe(&fresh);
  return rc;
}

typedef struct renewing {
  hl_error err;
  bool done;
} renewing;

static void on_renewed(void *arg, const hl_error *err) {
  renewing *r = arg;
  if (err) r->err = *err;
  r->done = true;
}

static int rotate_grant(hl_auth *x, const hl_stored *s, hl_error *err) {
  renewing r = {0};
  hl_credential *c;
  hl_credential_wait w = {0};
  int rc = hl_stored_credential(s, x->loop, x->client, x->vault, &c, err);
  if (rc) return rc;
  hl_credential_renew(c);
  hl_credential_wait_start(c, &w, on_renewed, &r);
  hl_loop_run_until(x->loop, &r.done);
  if (!r.err.code)
    printf("rotated %s: a new access token, good for %lld minutes%s\n", s->name,
           (long long)(hl_credential_grant(c)->life_ms / 60000),
           hl_credential_grant(c)->older ? ", and a new refresh token" : "");
  hl_credential_unref(c);
  *err = r.err;
  return r.err.code;
}

static int rotate(const hl_args *a) {
  hl_error err = {0};
  hl_auth x = {0};
  hl_stored s = {0};
  const char *name;
  int rc = hl_auth_one_name(a, &name, &err);
  if (!rc) rc = hl_auth_open(&x, a, &err);
  if (!rc) rc = hl_stored_get(x.vault, name, &s, &err);
  if (!rc) rc = !s.secret && s.kind == HL_CREDENTIAL_OAUTH ? rotate_grant(&x, &s, &err) : rotate_token(&x, a, &s, &err);
  hl_stored_wipe(&s);
  hl_auth_close(&x);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_rotate = {
    .name = "auth rotate",
    .operands = "NAME",
    .summary = "replace a token by a new one, which is tried first; OAuth: renew it now",
    .flags = rotate_flags,
    .min = 1,
    .max = HL_ARGS_MAX,
    .run = rotate,
    .examples = "  hubloop auth rotate shop\n  hubloop auth rotate shop --env NEW_TOKEN\n",
};
