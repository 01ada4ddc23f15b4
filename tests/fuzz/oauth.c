/* What comes from outside while logging in: the token endpoint's answers and the
 * query that a browser brings back. The first byte picks the status. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "hubspot/oauth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int statuses[] = {200, 400, 401, 302, 429, 503, 201};
  hl_oauth_tokens t = {0};
  hl_error err = {0};
  char code[512];
  if (!size) return 0;
  hl_str rest = {(const char *)data + 1, size - 1};
  hl_oauth_outcome o = hl_oauth_read(statuses[data[0] % 7], rest, &t, &err);
  assert((o == HL_OAUTH_WELL) == (t.access != NULL));
  assert(o == HL_OAUTH_WELL || err.text[0]);
  if (t.access) assert(strlen(t.access) > 0 && !strpbrk(t.access, "\r\n ") && t.expires_in > 0);
  hl_oauth_tokens_wipe(&t);
  err = (hl_error){0};
  int rc = hl_oauth_callback(rest, "the-state", code, sizeof code, &err);
  if (rc == 0) assert(*code && strlen(code) < sizeof code && memmem(rest.p, rest.n, "state", 5));
  else assert(err.text[0]);
  return 0;
}
