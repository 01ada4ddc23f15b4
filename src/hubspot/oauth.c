#include "hubspot/oauth.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/json.h"
#include "base/mem.h"
#include "hubspot/retry.h"
#include "hubspot/seal.h"

enum { FORM_MAX = 32 * 1024, ANSWER_MAX = 256 * 1024, TOKEN_LONGEST = 2048, LIFE_LONGEST = 366 * 24 * 3600, LIFE_USUAL = 1800 };

static void wipe(char *s) {
  if (s) explicit_bzero(s, strlen(s));
  hl_free(s);
}

void hl_oauth_tokens_wipe(hl_oauth_tokens *t) {
  wipe(t->access);
  wipe(t->refresh);
  hl_free(t->scopes);
  *t = (hl_oauth_tokens){0};
}

/* ---- answers ---- */

static bool is_token(const char *s) {
  size_t n = s ? strlen(s) : 0;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f) return false;
  return n > 0 && n <= TOKEN_LONGEST;
}

static char *scopes_of(const cJSON *json) {
  const cJSON *list = hl_json_get(json, "scopes"), *s;
  if (!cJSON_IsArray(list)) return hl_strdup(hl_json_str(json, "scope", NULL));
  hl_buf b;
  hl_buf_init(&b, 64 * 1024);
  cJSON_ArrayForEach(s, list)
    if (cJSON_IsString(s)) hl_buf_printf(&b, "%s%s", b.n ? " " : "", s->valuestring);
  if (b.n) return hl_buf_detach(&b, NULL);
  hl_buf_deinit(&b); /* a list of nothing but empty names */
  return NULL;
}

static hl_oauth_outcome tokens_of(const cJSON *json, hl_oauth_tokens *out, hl_error *err) {
  const char *access = hl_json_str(json, "access_token", NULL), *refresh = hl_json_str(json, "refresh_token", NULL);
  int64_t life = hl_json_int(json, "expires_in", LIFE_USUAL);
  if (!is_token(access) || (refresh && !is_token(refresh))) {
    hl_fail(err, HL_EPROTOCOL, "HubSpot's token endpoint answered without a usable token");
    return HL_OAUTH_AGAIN;
  }
  if (life < 1) life = 1;
  if (life > LIFE_LONGEST) life = LIFE_LONGEST;
  *out = (hl_oauth_tokens){.access = hl_strdup(access),
                           .refresh = hl_strdup(refresh),
                           .scopes = scopes_of(json),
                           .expires_in = life,
                           .portal = hl_json_int(json, "hub_id", 0),
                           .user_id = hl_json_int(json, "user_id", 0)};
  return HL_OAUTH_WELL;
}

static bool any_is(const cJSON *json, const char *const *names) {
  static const char *const keys[] = {"status", "error", "category", "subCategory"};
  for (size_t k = 0; k < HL_COUNT(keys); k++) {
    const char *v = hl_json_str(json, keys[k], "");
    for (size_t i = 0; names[i]; i++)
      if (strcmp(v, names[i]) == 0) return true;
  }
  return false;
}

hl_oauth_outcome hl_oauth_read(int status, hl_str body, hl_oauth_tokens *out, hl_error *err) {
  /* HubSpot's own names, and RFC 6749's. The redirect address comes first: it is
   * an invalid_grant too, but a new login alone does not mend it. */
  static const char *const redirect[] = {"BAD_REDIRECT_URI", "MISMATCH_REDIRECT_URI_AUTH_CODE", NULL};
  static const char *const client[] = {"BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "invalid_client", "unauthorized_client", NULL};
  static const char *const grant[] = {"BAD_REFRESH_TOKEN", "BAD_AUTH_CODE", "EXPIRED_AUTH_CODE",
                                      "BAD_CODE_VERIFIER", "invalid_grant", NULL};
  static const char *const scope[] = {"BAD_SCOPES", "invalid_scope", NULL};
  cJSON *json = NULL;
  hl_oauth_outcome outcome = HL_OAUTH_WRONG;
  if (body.n) hl_json_parse(body, &json, NULL);
  const char *message = hl_json_str(
      json, "message", hl_json_str(json, "error_description", hl_json_str(json, "error", "no reason given")));
  if (status >= 200 && status < 300) {
    outcome = tokens_of(json, out, err);
  } else if (status == 408 || status == 423 || status == 429 || status == 477 || status >= 500) {
    outcome = HL_OAUTH_AGAIN;
    hl_fail(err, HL_EHUBSPOT, "HubSpot's token endpoint answered %d", status);
  } else if (any_is(json, redirect)) {
    hl_fail(
        err, HL_EAUTH,
        "HubSpot refused the redirect address (%.200s): add exactly the one that was shown to the app's redirect URLs",
        message);
  } else if (any_is(json, client)) {
    hl_fail(err, HL_EAUTH,
            "HubSpot refused the app's client id or client secret (%.200s): take both from the app's Auth page",
            message);
  } else if (any_is(json, grant)) {
    outcome = HL_OAUTH_REFUSED;
    hl_fail(err, HL_EAUTH, "HubSpot refused it (%.200s)", message);
  } else if (any_is(json, scope)) {
    hl_fail(err, HL_EAUTH, "HubSpot refused the scopes (%.200s): ask for those that the app's settings list", message);
  } else if (!json && status < 400) {
    hl_fail(err, HL_EPROTOCOL, "the token endpoint answered %d: is the address HubSpot's?", status);
  } else {
    hl_fail(err, HL_EHUBSPOT, "HubSpot's token endpoint answered %d (%.200s)", status, message);
  }
  cJSON_Delete(json);
  return outcome;
}

/* ---- asking ---- */

struct hl_oauth_op {
  hl_loop *loop;
  hl_transport *transport;
  hl_http_op *http;
  hl_oauth_cb cb;
  void *arg;
  bool revokes;
};

static void answered(void *arg, const hl_http_response *r) {
  hl_oauth_op *op = arg;
  hl_oauth_tokens tokens = {0};
  hl_oauth_result result = {.outcome = HL_OAUTH_AGAIN, .err = r->err};
  hl_buf safe;
  hl_buf_init(&safe, sizeof result.err.text * 2);
  if (r->status && op->revokes && r->status < 300) result.outcome = HL_OAUTH_WELL;
  else if (r->status) result.outcome = hl_oauth_read(r->status, r->body, &tokens, &result.err);
  else hl_fail_in(&result.err, "HubSpot's token endpoint gave no answer");
  result.tokens = &tokens;
  result.after_ms = r->status ? hl_retry_after_ms(r->status, hl_headers_get(&r->headers, "Retry-After")) : 0;
  if (result.outcome == HL_OAUTH_WELL && tokens.access) {
    hl_log_add_secret(hl_loop_log(op->loop), hl_str_of(tokens.access));
    if (tokens.refresh) hl_log_add_secret(hl_loop_log(op->loop), hl_str_of(tokens.refresh));
  }
  if (result.err.code && hl_log_redact(hl_loop_log(op->loop), hl_str_of(result.err.text), &safe) == 0)
    snprintf(result.err.text, sizeof result.err.text, "%s", safe.p ? safe.p : "");
  hl_oauth_cb cb = op->cb;
  void *to = op->arg;
  hl_free(op);
  cb(to, &result);
  hl_oauth_tokens_wipe(&tokens);
  hl_buf_deinit(&safe);
}

static int add_field(hl_buf *b, const char *name, const char *value) {
  int rc = b->n ? hl_buf_puts(b, "&") : 0;
  if (!rc) rc = hl_buf_urlencode(b, hl_str_of(name));
  if (!rc) rc = hl_buf_puts(b, "=");
  return rc ? rc : hl_buf_urlencode(b, hl_str_of(value));
}

static int ask(hl_loop *loop, hl_transport *t, const hl_oauth_app *app, const char *tail, const char *const *form, bool revokes,
               hl_oauth_cb cb, void *arg, hl_oauth_op **out, hl_error *err) {
  hl_buf body, url;
  hl_headers headers = {0};
  hl_buf_init(&body, FORM_MAX);
  hl_buf_init(&url, 4096);
  hl_oauth_op *op = HL_NEW(hl_oauth_op);
  *op = (hl_oauth_op){.loop = loop, .transport = t, .cb = cb, .arg = arg, .revokes = revokes};
  int rc = hl_buf_printf(&url, "%s/oauth/%s/token%s", app->base_url, app->version, tail);
  for (size_t i = 0; form[i] && !rc; i += 2) rc = add_field(&body, form[i], form[i + 1]);
  if (!rc) rc = add_field(&body, "client_id", app->client_id);
  if (!rc) rc = add_field(&body, "client_secret", app->client_secret);
  if (rc) {
    hl_fail(err, rc, "the request for a token is too long");
    goto out;
  }
  hl_headers_add(&headers, HL_STR("Content-Type"), HL_STR("application/x-www-form-urlencoded"));
  hl_headers_add(&headers, HL_STR("Accept"), HL_STR("application/json"));
  hl_headers_add(&headers, HL_STR("User-Agent"), HL_STR("hubloop/" HL_VERSION));
  hl_http_request q = {.method = "POST", .url = url.p, .headers = &headers, .body = hl_buf_str(&body), .max_body = ANSWER_MAX,
                       .policy = app->policy};
  rc = t->send(t, &q, answered, op, &op->http, err);
out:
  hl_buf_wipe(&body);
  hl_buf_deinit(&url);
  hl_headers_deinit(&headers);
  if (rc) hl_free(op);
  else if (out) *out = op;
  return rc;
}

int hl_oauth_ask(hl_loop *loop, hl_transport *t, const hl_oauth_app *app, const char *const *form, hl_oauth_cb cb, void *arg,
                 hl_oauth_op **op, hl_error *err) {
  return ask(loop, t, app, "", form, false, cb, arg, op, err);
}

int hl_oauth_revoke(hl_loop *loop, hl_transport *t, const hl_oauth_app *app, const char *refresh_token, hl_oauth_cb cb, void *arg,
                    hl_oauth_op **op, hl_error *err) {
  const char *const form[] = {"token", refresh_token, "token_type_hint", "refresh_token", NULL};
  return ask(loop, t, app, "/revoke", form, true, cb, arg, op, err);
}

void hl_oauth_cancel(hl_oauth_op *op) {
  op->transport->cancel(op->transport, op->http);
  hl_free(op);
}

/* ---- the browser's part ---- */

/* 32 bytes as base64url without padding: 43 characters. */
static void base64url(const unsigned char bytes[32], char out[HL_OAUTH_VERIFIER + 1]) {
  unsigned char text[45];
  EVP_EncodeBlock(text, bytes, 32);
  for (int i = 0; i < HL_OAUTH_VERIFIER; i++) out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
  out[HL_OAUTH_VERIFIER] = 0;
}

int hl_oauth_random(char out[HL_OAUTH_VERIFIER + 1], hl_error *err) {
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return hl_fail(err, HL_EIO, "the system has no random numbers");
  base64url(bytes, out);
  return 0;
}

void hl_oauth_challenge(const char *verifier, char out[HL_OAUTH_VERIFIER + 1]) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256((const unsigned char *)verifier, strlen(verifier), hash);
  base64url(hash, out);
}

int hl_oauth_page(hl_buf *out, const char *page, int64_t portal, const char *client_id, const char *redirect, const char *scopes,
                  const char *optional_scopes, const char *state, const char *challenge) {
  const struct { const char *name, *value; } fields[] = {
      {"client_id", client_id},     {"redirect_uri", redirect},
      {"scope", scopes},            {"optional_scope", optional_scopes},
      {"state", state},             {"response_type", "code"},
      {"code_challenge", challenge}, {"code_challenge_method", "S256"},
  };
  hl_buf query;
  hl_buf_init(&query, FORM_MAX);
  int rc = 0;
  for (size_t i = 0; i < HL_COUNT(fields) && !rc; i++)
    if (fields[i].value && *fields[i].value) rc = add_field(&query, fields[i].name, fields[i].value);
  if (!rc) rc = hl_buf_printf(out, "%s/oauth/", page);
  if (!rc && portal) rc = hl_buf_printf(out, "%lld/", (long long)portal);
  if (!rc) rc = hl_buf_printf(out, "authorize?%s", query.p);
  hl_buf_deinit(&query);
  return rc;
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

/* False when it is not there or does not fit; what is there twice is not there. */
static bool field(hl_str query, const char *name, char *out, size_t size) {
  size_t n = strlen(name), found = 0, w = 0;
  for (size_t i = 0; i < query.n;) {
    size_t end = i;
    while (end < query.n && query.p[end] != '&') end++;
    if (end - i > n && query.p[i + n] == '=' && strncmp(query.p + i, name, n) == 0) {
      if (found++) return false;
      for (size_t k = i + n + 1; k < end; k++) {
        char c = query.p[k] == '+' ? ' ' : query.p[k];
        if (c == '%' && k + 2 < end && hex(query.p[k + 1]) >= 0 && hex(query.p[k + 2]) >= 0) {
          c = (char)(hex(query.p[k + 1]) << 4 | hex(query.p[k + 2]));
          k += 2;
        }
        if (w + 1 >= size || (unsigned char)c < ' ' || c == 0x7f) return false;
        out[w++] = c;
      }
      out[w] = 0;
    }
    i = end + 1;
  }
  return found == 1;
}

int hl_oauth_callback(hl_str query, const char *state, char *code, size_t size, hl_error *err) {
  char given[128], why[200] = "", what[80];
  char text[TOKEN_LONGEST + 1];
  /* State first: nothing else of a foreign answer is looked at. */
  if (!field(query, "state", given, sizeof given) || !hl_str_same_secret(hl_str_of(given), hl_str_of(state)))
    return hl_fail(err, HL_EDENIED,
                   "an answer in the browser does not belong to this login (its state is another): use the page that "
                   "this login opened");
  if (field(query, "error", what, sizeof what)) {
    field(query, "error_description", why, sizeof why);
    return hl_fail(err, HL_EAUTH, "consent was not given (%s%s%s): nothing was stored", what, *why ? ": " : "", why);
  }
  if (!field(query, "code", text, sizeof text) || !*text)
    return hl_fail(err, HL_EPROTOCOL, "HubSpot sent the browser back without a code: begin again");
  size_t n = strlen(text);
  if (n >= size) return hl_fail(err, HL_ELIMIT, "the code is too long");
  memcpy(code, text, n + 1);
  explicit_bzero(text, sizeof text);
  return 0;
}
