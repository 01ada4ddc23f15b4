/* hl_signature_verify on arbitrary headers and bodies, NUL-separated: never a
 * crash, never accepted. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "hubspot/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = hl_strndup((const char *)data, size);
  const char *part[6] = {NULL};
  size_t n = 0;
  for (size_t i = 0; i < size && n < 6; i += strlen(text + i) + 1) part[n++] = text + i;
  hl_signed s = {.method = "POST", .uri = part[0] ? part[0] : "", .v3 = part[1], .timestamp = part[2], .v1v2 = part[3],
                 .version = part[4], .body = hl_str_of(part[5])};
  hl_str secret = HL_STR("a secret that no input knows");
  size_t which = 0;
  hl_error err = {0};
  assert(hl_signature_verify(&s, &secret, 1, INT64_C(1788249600000), &which, &err) < 0);
  hl_free(text);
  return 0;
}
