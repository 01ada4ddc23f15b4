#include "hubspot/signature.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/mem.h"

static const int64_t WINDOW_MS = 5 * 60 * 1000;

/* Fetching algorithms by name is dearer than hashing a webhook, so it is done
 * once. Both are read-only afterwards; each call duplicates the template. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MAC_CTX *hmac_template;
static EVP_MD *sha256;

/* libcrypto without SHA-256, or without memory, is a broken installation. */
static void must(bool ok) {
  if (ok) return;
  fputs("hubloop: libcrypto cannot do HMAC-SHA256\n", stderr);
  abort();
}

static void fetch(void) {
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                         OSSL_PARAM_construct_end()};
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  must(mac && sha256);
  hmac_template = EVP_MAC_CTX_new(mac);
  must(hmac_template && EVP_MAC_CTX_set_params(hmac_template, params));
  EVP_MAC_free(mac);
}

static void hex(const unsigned char *digest, char out[65]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < 32; i++) {
    out[2 * i] = digits[digest[i] >> 4];
    out[2 * i + 1] = digits[digest[i] & 15];
  }
  out[64] = '\0';
}

static void sha256_hex(const hl_str *parts, size_t n, char out[65]) {
  unsigned char digest[32];
  pthread_once(&once, fetch);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  must(ctx && EVP_DigestInit_ex(ctx, sha256, NULL));
  for (size_t i = 0; i < n; i++) must(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n));
  must(EVP_DigestFinal_ex(ctx, digest, NULL));
  EVP_MD_CTX_free(ctx);
  hex(digest, out);
}

void hl_signature_v1(hl_str secret, hl_str body, char out[65]) {
  sha256_hex((hl_str[]){secret, body}, 2, out);
}

void hl_signature_v2(hl_str secret, const char *method, const char *uri, hl_str body, char out[65]) {
  sha256_hex((hl_str[]){secret, hl_str_of(method), hl_str_of(uri), body}, 4, out);
}

static int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void mac_update(EVP_MAC_CTX *ctx, hl_str s) {
  if (s.n) must(EVP_MAC_update(ctx, (const unsigned char *)s.p, s.n));
}

/* HubSpot signs the URI with these twelve characters decoded and all others as sent. */
static void mac_update_uri(EVP_MAC_CTX *ctx, const char *uri) {
  static const char decoded[] = ":/?@!$'()*,;";
  const char *from = uri, *p = uri;
  while ((p = strchr(p, '%')) != NULL) {
    int hi = nibble(p[1]), lo = hi < 0 ? -1 : nibble(p[2]);
    char c = (char)(hi * 16 + lo);
    if (lo < 0 || c == '\0' || !strchr(decoded, c)) {
      p++;
      continue;
    }
    mac_update(ctx, (hl_str){from, (size_t)(p - from)});
    mac_update(ctx, (hl_str){&c, 1});
    from = p += 3;
  }
  mac_update(ctx, hl_str_of(from));
}

void hl_signature_v3(hl_str secret, const char *method, const char *uri, hl_str body, const char *timestamp,
                     char out[45]) {
  unsigned char digest[32];
  size_t n = 0;
  pthread_once(&once, fetch);
  EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(hmac_template);
  /* A NULL key would mean "keep the template's", of which there is none. */
  must(ctx && EVP_MAC_init(ctx, (const unsigned char *)(secret.n ? secret.p : ""), secret.n, NULL));
  mac_update(ctx, hl_str_of(method));
  mac_update_uri(ctx, uri);
  mac_update(ctx, body);
  mac_update(ctx, hl_str_of(timestamp));
  must(EVP_MAC_final(ctx, digest, &n, sizeof digest) && n == sizeof digest);
  EVP_MAC_CTX_free(ctx);
  EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

/* ---- verifying ---- */

static int check_age(const char *timestamp, int64_t now_ms, hl_error *err) {
  int64_t at, age;
  if (!timestamp || !*timestamp)
    return hl_fail(err, HL_EAUTH, "X-HubSpot-Request-Timestamp is missing, a v3 signature needs it");
  if (hl_str_int64(hl_str_of(timestamp), &at) != 0)
    return hl_fail(err, HL_EAUTH, "X-HubSpot-Request-Timestamp is no number of milliseconds");
  if (at < 0 || __builtin_sub_overflow(now_ms, at, &age))
    return hl_fail(err, HL_EAUTH, "X-HubSpot-Request-Timestamp is out of range");
  if (age > WINDOW_MS)
    return hl_fail(err, HL_ETIMEOUT, "timestamp is %lld s old, more than 5 minutes: check this machine's clock, or it is a replay",
                   (long long)(age / 1000));
  if (age < -WINDOW_MS)
    return hl_fail(err, HL_ETIMEOUT, "timestamp is %lld s in the future, more than 5 minutes: check this machine's clock",
                   (long long)(-(age / 1000)));
  return 0;
}

int hl_signature_verify(const hl_signed *s, const hl_str *secrets, size_t n, int64_t now_ms, size_t *which,
                        hl_error *err) {
  int version, age = 0;
  const char *given;
  if (s->v3) {
    version = 3;
    given = s->v3;
    age = check_age(s->timestamp, now_ms, err);
    if (age && age != HL_ETIMEOUT) return age;
  } else if (s->v1v2 && *s->v1v2) {
    if (!s->version || strcmp(s->version, "v1") == 0) version = 1;
    else if (strcmp(s->version, "v2") == 0) version = 2;
    else return hl_fail(err, HL_EAUTH, "X-HubSpot-Signature-Version is neither v1 nor v2");
    given = s->v1v2;
  } else {
    return hl_fail(err, HL_EAUTH, "no signature: the request carries neither X-HubSpot-Signature-v3 nor X-HubSpot-Signature");
  }

  bool any = false, found = false;
  size_t at = 0;
  for (size_t i = 0; i < n && !found; i++) {
    char want[65];
    if (secrets[i].n == 0) continue; /* an unset secret is one that everybody knows */
    any = true;
    if (version == 3) hl_signature_v3(secrets[i], s->method, s->uri, s->body, s->timestamp, want);
    else if (version == 2) hl_signature_v2(secrets[i], s->method, s->uri, s->body, want);
    else hl_signature_v1(secrets[i], s->body, want);
    found = hl_str_same_secret(hl_str_of(want), hl_str_of(given));
    at = i;
  }
  if (!any) return hl_fail(err, HL_EAUTH, "no client secret is configured to check the v%d signature with", version);
  if (found && age) return age; /* its text is there */
  if (!found)
    return hl_fail(err, HL_EAUTH, version == 1 ? "v%d signature does not match: check the app's client secret"
                                               : "v%d signature does not match: check the app's client secret and webhooks.public_url",
                   version);
  *which = at;
  return version;
}
