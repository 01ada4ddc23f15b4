/* A credential store's file as outside bytes, and the texts of keys. What was
 * not sealed with the key never opens; what was, does, whatever it holds. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "hubspot/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const unsigned char key[HL_SEAL_KEY] = "a key for this fuzz target only";
  unsigned char parsed[HL_SEAL_KEY];
  hl_str in = {(const char *)data, size};
  hl_buf box, text;
  hl_error err = {0};
  hl_buf_init(&box, HL_SEAL_MAX + 64);
  hl_buf_init(&text, HL_SEAL_MAX + 1);
  int rc = hl_unseal(key, in, &text, &err);
  assert(rc ? err.text[0] != 0 : text.n + 48 == size);
  hl_buf_clear(&text);
  if (hl_seal(key, in, &box, &err) == 0) {
    assert(hl_unseal(key, hl_buf_str(&box), &text, &err) == 0);
    assert(text.n == size && memcmp(text.n ? text.p : "", size ? (const char *)data : "", size) == 0);
    /* One bit anywhere, and it does not open. */
    if (size) {
      box.p[data[0] % box.n] ^= 1;
      hl_buf_clear(&text);
      assert(hl_unseal(key, hl_buf_str(&box), &text, &err) != 0);
    }
  }
  if (hl_seal_key(in, parsed, &err) == 0) {
    char hex[2 * HL_SEAL_KEY + 1];
    unsigned char again[HL_SEAL_KEY];
    hl_seal_key_text(parsed, hex);
    assert(hl_seal_key(hl_str_of(hex), again, &err) == 0 && memcmp(parsed, again, sizeof again) == 0);
  }
  hl_buf_wipe(&text);
  hl_buf_deinit(&box);
  return 0;
}
