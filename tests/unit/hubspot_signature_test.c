#include "hubspot/signature.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* HubSpot's published example secret and vectors (FACTS 5). */
#define SECRET "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
#define V1_BODY \
  "[{\"eventId\":1,\"subscriptionId\":12345,\"portalId\":62515,\"occurredAt\":1564113600000,\"subscriptionType\":\"contact.creation\"," \
  "\"attemptNumber\":0,\"objectId\":123,\"changeSource\":\"CRM\",\"changeFlag\":\"NEW\",\"appId\":54321}]"
#define V1_HEX "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
#define V2_HEX "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"
#define URI "https://hooks.example.com/hubspot?a=1"
#define NOW INT64_C(1788249600000)
#define NOW_TEXT "1788249600000"

static int verify(const hl_signed *s, hl_error *err, size_t *which) {
  const hl_str secrets[] = {HL_STR(SECRET)};
  *err = (hl_error){0};
  return hl_signature_verify(s, secrets, 1, NOW, which, err);
}

static hl_signed signed_v3(char out[45], const char *timestamp) {
  hl_str body = HL_STR("[{\"eventId\":1}]");
  hl_signature_v3(HL_STR(SECRET), "POST", URI, body, timestamp, out);
  return (hl_signed){.method = "POST", .uri = URI, .body = body, .v3 = out, .timestamp = timestamp};
}

static void published_vectors(void **state) {
  (void)state;
  char out[65];
  hl_signature_v1(HL_STR(SECRET), HL_STR(V1_BODY), out);
  assert_string_equal(out, V1_HEX);
  hl_signature_v2(HL_STR(SECRET), "GET", "https://www.example.com/webhook_uri", HL_STR(""), out);
  assert_string_equal(out, V2_HEX);

  hl_error err;
  size_t which = 9;
  hl_signed s = {.method = "POST", .uri = URI, .body = HL_STR(V1_BODY), .v1v2 = V1_HEX, .version = "v1"};
  assert_int_equal(verify(&s, &err, &which), 1);
  assert_int_equal(which, 0);
  s.version = NULL; /* v1 is what HubSpot sends when it names none */
  assert_int_equal(verify(&s, &err, &which), 1);
  s = (hl_signed){.method = "GET", .uri = "https://www.example.com/webhook_uri", .v1v2 = V2_HEX, .version = "v2"};
  assert_int_equal(verify(&s, &err, &which), 2);
  s.version = "v1";
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  s.version = "v7";
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  assert_non_null(strstr(err.text, "neither v1 nor v2"));
}

/* Made with: printf 'POSThttps://h.example/a[]1788249600000' | openssl dgst -sha256 -hmac key -binary | base64 */
static void v3_against_openssl(void **state) {
  (void)state;
  char out[45];
  hl_signature_v3(HL_STR("key"), "POST", "https://h.example/a", HL_STR("[]"), NOW_TEXT, out);
  assert_string_equal(out, "i4pyHDoiFxSD9sai78voTGEyzBQK4z/fXC1z5MKX5GE=");
}

static void v3_decodes_the_uri(void **state) {
  (void)state;
  char plain[45], sent[45];
  hl_signature_v3(HL_STR(SECRET), "POST", "https://h.example/a:b/?q=@!$'()*,;x", HL_STR("x"), NOW_TEXT, plain);
  hl_signature_v3(HL_STR(SECRET), "POST", "https://h.example/a%3Ab%2F%3Fq=%40%21%24%27%28%29%2A%2C%3Bx", HL_STR("x"), NOW_TEXT, sent);
  assert_string_equal(plain, sent);
  /* Everything else stays as it was sent, broken escapes too. */
  static const char *const kept[] = {"a%20b", "a%25b", "a%26b", "a%00b", "a%", "a%3", "a%3G", "a%%3"};
  static const char *const not[] = {"a b", "a%b", "a&b", "a", "a", "a3", "a3G", "a%3"};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    hl_signature_v3(HL_STR(SECRET), "POST", kept[i], HL_STR(""), NOW_TEXT, plain);
    hl_signature_v3(HL_STR(SECRET), "POST", not[i], HL_STR(""), NOW_TEXT, sent);
    assert_string_not_equal(plain, sent);
  }
  /* "%%3A": the first sign stands alone, the escape after it is decoded. */
  hl_signature_v3(HL_STR(SECRET), "POST", "a%%3A", HL_STR(""), NOW_TEXT, plain);
  hl_signature_v3(HL_STR(SECRET), "POST", "a%:", HL_STR(""), NOW_TEXT, sent);
  assert_string_equal(plain, sent);
}

static void v3_window(void **state) {
  (void)state;
  static const struct { const char *at; int want; } cases[] = {
    {NOW_TEXT, 3},
    {"1788249300000", 3},        /* exactly 5 minutes old */
    {"1788249299999", HL_ETIMEOUT}, /* and a millisecond more */
    {"1788249900000", 3},        /* exactly 5 minutes ahead */
    {"1788249900001", HL_ETIMEOUT},
    {"0", HL_ETIMEOUT},
    {"-9223372036854775808", HL_EAUTH},
    {"9223372036854775807", HL_ETIMEOUT},
    {"9223372036854775808", HL_EAUTH}, /* no int64 */
    {"99999999999999999999999999", HL_EAUTH},
    {"", HL_EAUTH},
    {"1788249600000 ", HL_EAUTH},
    {"now", HL_EAUTH},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[45];
    hl_error err;
    size_t which = 9;
    hl_signed s = signed_v3(out, cases[i].at);
    int rc = verify(&s, &err, &which);
    if (rc != cases[i].want) fail_msg("timestamp %s: %d, %s", cases[i].at, rc, err.text);
    assert_int_equal(which, rc > 0 ? 0 : 9); /* untouched on failure */
    if (rc < 0) assert_non_null(strstr(err.text, "imestamp"));
  }
  char out[45];
  hl_error err;
  size_t which;
  hl_signed s = signed_v3(out, NOW_TEXT);
  s.timestamp = NULL;
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  assert_non_null(strstr(err.text, "missing"));
  s = signed_v3(out, "1788249188000");
  assert_int_equal(verify(&s, &err, &which), HL_ETIMEOUT);
  assert_non_null(strstr(err.text, "412 s old"));
  s.body = HL_STR("[]"); /* old and not signed: nobody's clock */
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
}

static void tampered(void **state) {
  (void)state;
  char out[45];
  hl_error err;
  size_t which;
  hl_signed s = signed_v3(out, NOW_TEXT);
  s.body = HL_STR("[{\"eventId\":2}]");
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  s = signed_v3(out, NOW_TEXT);
  s.method = "PUT";
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  s = signed_v3(out, NOW_TEXT);
  s.uri = "https://hooks.example.com/hubspot?a=2";
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
  assert_non_null(strstr(err.text, "public_url"));
  s = signed_v3(out, NOW_TEXT);
  s.timestamp = "1788249600001";
  assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
}

static void secrets_rotate(void **state) {
  (void)state;
  char out[45];
  hl_error err = {0};
  size_t which = 9;
  hl_signed s = signed_v3(out, NOW_TEXT);
  const hl_str rotation[] = {HL_STR("new"), HL_STR(""), HL_STR(SECRET)};
  assert_int_equal(hl_signature_verify(&s, rotation, 3, NOW, &which, &err), 3);
  assert_int_equal(which, 2);
  assert_int_equal(hl_signature_verify(&s, rotation, 2, NOW, &which, &err), HL_EAUTH);
  assert_int_equal(hl_signature_verify(&s, rotation, 0, NOW, &which, &err), HL_EAUTH);
  assert_non_null(strstr(err.text, "no client secret"));
  /* An empty secret verifies nothing, not even what was signed with it. */
  hl_signature_v3(HL_STR(""), "POST", URI, s.body, NOW_TEXT, out);
  assert_int_equal(hl_signature_verify(&s, rotation + 1, 1, NOW, &which, &err), HL_EAUTH);
}

static void v3_alone_decides(void **state) {
  (void)state;
  hl_error err;
  size_t which;
  static const char *const wrong[] = {"", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "not base64 at all!", "%%%", V1_HEX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hl_signed s = {.method = "POST", .uri = URI, .body = HL_STR(V1_BODY), .v3 = wrong[i], .timestamp = NOW_TEXT,
                   .v1v2 = V1_HEX, .version = "v1"};
    assert_int_equal(verify(&s, &err, &which), HL_EAUTH);
    s.v3 = NULL;
    assert_int_equal(verify(&s, &err, &which), 1);
  }
  hl_signed none = {.method = "POST", .uri = URI, .body = HL_STR(V1_BODY)};
  assert_int_equal(verify(&none, &err, &which), HL_EAUTH);
  assert_non_null(strstr(err.text, "no signature"));
  none.v1v2 = "";
  assert_int_equal(verify(&none, &err, &which), HL_EAUTH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(published_vectors), cmocka_unit_test(v3_against_openssl), cmocka_unit_test(v3_decodes_the_uri),
    cmocka_unit_test(v3_window),         cmocka_unit_test(tampered),           cmocka_unit_test(secrets_rotate),
    cmocka_unit_test(v3_alone_decides),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
