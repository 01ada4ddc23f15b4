/* Our SipHash against libcrypto's, over all lengths around its blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/mem.h"
#include "base/siphash.h"

static void same_as_libcrypto(void **state) {
  (void)state;
  unsigned char key[HL_SIPHASH_KEY_BYTES], data[300];
  size_t size = 16, got;
  OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_end()};
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
  EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
  assert_non_null(ctx);
  assert_true(EVP_MAC_CTX_set_params(ctx, params));
  for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 37 + 11);
  for (size_t n = 0; n < sizeof data; n++) {
    uint64_t own[2];
    unsigned char want[16], bytes[16];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (unsigned char)(i * n + i);
    assert_true(EVP_MAC_init(ctx, key, sizeof key, NULL) && EVP_MAC_update(ctx, data, n));
    assert_true(EVP_MAC_final(ctx, want, &got, sizeof want));
    hl_siphash128(key, data, n, own);
    for (int i = 0; i < 16; i++) bytes[i] = (unsigned char)(own[i / 8] >> (8 * (i % 8)));
    assert_memory_equal(bytes, want, sizeof want);
  }
  EVP_MAC_CTX_free(ctx);
  EVP_MAC_free(mac);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_libcrypto)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
