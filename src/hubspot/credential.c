#include "hubspot/credential.h"

#include <assert.h>
#include <ctype.h>

#include "base/mem.h"

enum { TOKEN_MAX = 2048 };

struct hl_credential {
  hl_loop *loop;
  unsigned refs;
  hl_credential_kind kind;
  char *token;
  unsigned no;
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

/* ---- one token for good ---- */

hl_credential *hl_credential_static(hl_loop *loop, hl_credential_kind kind, const char *token) {
  hl_credential *c = HL_NEW(hl_credential);
  c->loop = loop;
  c->refs = 1;
  c->kind = kind;
  c->token = hl_strdup(token);
  hl_log_add_secret(hl_loop_log(loop), hl_str_of(token));
  return c;
}

hl_credential *hl_credential_ref(hl_credential *c) {
  c->refs++;
  return c;
}

void hl_credential_unref(hl_credential *c) {
  if (!c || --c->refs) return;
  explicit_bzero(c->token, strlen(c->token));
  hl_free(c->token);
  hl_free(c);
}

hl_credential_kind hl_credential_kind_get(const hl_credential *c) { return c->kind; }

bool hl_credential_same(const hl_credential *a, const hl_credential *b) {
  return a == b || strcmp(a->token, b->token) == 0;
}

bool hl_credential_token(hl_credential *c, hl_token *out) {
  *out = (hl_token){hl_str_of(c->token), c->no};
  return true;
}

void hl_credential_wait_start(hl_credential *c, hl_credential_wait *w, hl_credential_cb cb, void *arg) {
  (void)c, (void)w, (void)cb, (void)arg;
  assert(false); /* a static token is always there */
}

void hl_credential_wait_stop(hl_credential *c, hl_credential_wait *w) {
  (void)c;
  assert(!w->next);
}

bool hl_credential_refused(hl_credential *c, unsigned no) { return no != c->no; }
void hl_credential_worked(hl_credential *c, unsigned no) { (void)c, (void)no; }

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
  hl_str token = hl_token_region(hl_str_of(c->token)), host = host_region(base_url);
  (void)account;
  hl_buf_puts(out, "check that it is whole, of this portal and not revoked; rotate it in HubSpot's settings and store the new one");
  if (token.n && !hl_str_eqz(token, "na1") && !hl_str_eq(token, host))
    hl_buf_printf(out, ". It is a token of region " HL_STR_FMT ", but the calls go to %s: set region = \"" HL_STR_FMT
                  "\" for this account", HL_STR_ARG(token), base_url, HL_STR_ARG(token));
}
