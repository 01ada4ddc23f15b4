/* Any bytes as signature headers, URI and body: nothing crashes, a forged
 * signature never verifies, and what we sign ourselves always does. */
#include <assert.h>

#include "base/mem.h"
#include "hubspot/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* Six fields, ended by NUL; the rest is the body. */
  char *copy = hl_strndup((const char *)data, size), *field[6];
  size_t at = 0;
  for (size_t i = 0; i < 6; i++) {
    field[i] = copy + at;
    size_t n = strlen(copy + at);
    at = at + n < size ? at + n + 1 : size;
  }
  hl_str body = {copy + at, size - at}, secrets[] = {HL_STR("old secret"), HL_STR("new secret")};
  const int64_t now = INT64_C(1788249600000);
  hl_signed s = {.method = field[0], .uri = field[1], .body = body, .v3 = field[2][0] ? field[2] : NULL, .timestamp = field[3],
                 .v1v2 = field[4], .version = field[5][0] ? field[5] : NULL};
  size_t which;
  hl_error err;
  assert(hl_signature_verify(&s, secrets, 2, now, &which, &err) == HL_EAUTH);
  char v3[45], hex[65];
  hl_signature_v3(secrets[1], field[0], field[1], body, "1788249600000", v3);
  s.v3 = v3;
  s.timestamp = "1788249600000";
  assert(hl_signature_verify(&s, secrets, 2, now, &which, &err) == 3 && which == 1);
  hl_signature_v2(secrets[0], field[0], field[1], body, hex);
  s.v3 = NULL;
  s.v1v2 = hex;
  s.version = "v2";
  assert(hl_signature_verify(&s, secrets, 2, now, &which, &err) == 2 && which == 0);
  hl_free(copy);
  return 0;
}
