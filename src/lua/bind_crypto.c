/* crypto: SHA-256 and its HMAC, base64 and hex, random bytes, UUIDs, comparison in
 * constant time. Broken hashes are not offered. */
#include <errno.h>
#include <limits.h>
#include <sys/random.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hubspot/seal.h"
#include "lua/core.h"
#include "lua/script.h"

enum { MAX_RANDOM = 1 << 20, MAX_KEY = 4096, MAX_SECRET = 128 * 1024 };

static const char digits[] = "0123456789abcdef";

static void push_hex(lua_State *L, const unsigned char *p, size_t n) {
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, n * 2 + 1);
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[p[i] >> 4];
    out[2 * i + 1] = digits[p[i] & 15];
  }
  luaL_pushresultsize(&b, n * 2);
}

static void push_base64(lua_State *L, const unsigned char *p, size_t n) {
  luaL_Buffer b;
  if (n > INT_MAX / 2) luaL_error(L, "the data is larger than 1 GiB");
  char *out = luaL_buffinitsize(L, &b, (n + 2) / 3 * 4 + 1);
  int len = EVP_EncodeBlock((unsigned char *)out, p, (int)n);
  luaL_pushresultsize(&b, (size_t)len);
}

static int push_encoded(lua_State *L, const unsigned char *p, size_t n, int idx) {
  static const char *const names[] = {"hex", "base64", "raw", NULL};
  switch (luaL_checkoption(L, idx, "hex", names)) {
  case 0:
    push_hex(L, p, n);
    return 1;
  case 1:
    push_base64(L, p, n);
    return 1;
  default:
    lua_pushlstring(L, (const char *)p, n);
    return 1;
  }
}

static int crypto_sha256(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  unsigned char hash[32];
  if (!EVP_Digest(p, n, hash, NULL, EVP_sha256(), NULL)) return luaL_error(L, "SHA-256 failed");
  return push_encoded(L, hash, sizeof hash, 2);
}

/* The key is a text, or secret "NAME". */
static int crypto_hmac_sha256(lua_State *L) {
  size_t key_n, n;
  bool is_secret = hl_secret_is(L, 1);
  const char *key = is_secret ? NULL : luaL_checklstring(L, 1, &key_n);
  const char *p = luaL_checklstring(L, 2, &n);
  unsigned char hash[32];
  unsigned len = sizeof hash;
  hl_error err;
  hl_buf value;
  hl_buf_init(&value, MAX_SECRET);
  if (is_secret) {
    int rc = hl_secret_resolve(L, 1, &value, &err);
    key = value.p;
    key_n = value.n;
    if (rc) {
      hl_buf_wipe(&value);
      return hl_lua_raise(L, hl_err_name(rc), "crypto.hmac_sha256: %s", err.text);
    }
  }
  bool ok = key_n <= MAX_KEY && HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)p, n, hash, &len);
  hl_buf_wipe(&value);
  luaL_argcheck(L, key_n <= MAX_KEY, 1, "the key is longer than 4,096 bytes");
  if (!ok) return luaL_error(L, "HMAC failed");
  return push_encoded(L, hash, sizeof hash, 3);
}

static int crypto_base64_encode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  push_base64(L, (const unsigned char *)p, n);
  return 1;
}

static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Takes both alphabets, padding or none; blanks and line ends are skipped. */
static int crypto_base64_decode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, n / 4 * 3 + 4);
  size_t len = 0, seen = 0, padding = 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '\n' || p[i] == '\r' || p[i] == ' ') continue;
    if (p[i] == '=') {
      padding++;
      continue;
    }
    int v = base64_value(p[i]);
    if (v < 0 || padding) return hl_lua_raise(L, "invalid", "base64: unexpected character at %d", (int)i + 1);
    bits = bits << 6 | (uint32_t)v;
    if (++seen % 4 == 0) {
      out[len++] = (char)(bits >> 16);
      out[len++] = (char)(bits >> 8);
      out[len++] = (char)bits;
      bits = 0;
    }
  }
  if (seen % 4 == 1 || padding > 2 || (padding && (seen + padding) % 4 != 0))
    return hl_lua_raise(L, "invalid", "base64: the text is cut off");
  if (seen % 4 == 2) {
    out[len++] = (char)(bits >> 4);
  } else if (seen % 4 == 3) {
    out[len++] = (char)(bits >> 10);
    out[len++] = (char)(bits >> 2);
  }
  luaL_pushresultsize(&b, len);
  return 1;
}

static int crypto_hex_encode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  push_hex(L, (const unsigned char *)p, n);
  return 1;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int crypto_hex_decode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  if (n % 2) return hl_lua_raise(L, "invalid", "hex: an odd number of digits");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, n / 2 + 1);
  for (size_t i = 0; i < n; i += 2) {
    int high = hex_value(p[i]), low = hex_value(p[i + 1]);
    if (high < 0 || low < 0) return hl_lua_raise(L, "invalid", "hex: unexpected character at %d", (int)i + 1);
    out[i / 2] = (char)(high * 16 + low);
  }
  luaL_pushresultsize(&b, n / 2);
  return 1;
}

/* Bytes that nobody can guess come from the system; in virtual time they are
 * seeded, so that a test runs twice the same way. */
static void fill(lua_State *L, char *out, size_t n) {
  hl_loop *loop = hl_state_of(L)->loop;
  if (!hl_loop_is_virtual(loop)) {
    for (size_t got = 0; got < n;) {
      ssize_t r = getrandom(out + got, n - got, 0);
      if (r > 0)
        got += (size_t)r;
      else if (errno != EINTR)
        luaL_error(L, "the system gives no random bytes: %s", strerror(errno));
    }
    return;
  }
  for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
    uint64_t v = hl_rng_next(hl_loop_rng(loop));
    memcpy(out + i, &v, n - i < sizeof v ? n - i : sizeof v);
  }
}

static int crypto_random(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= MAX_RANDOM, 1, "between 0 and 1,048,576 bytes");
  luaL_Buffer b;
  fill(L, luaL_buffinitsize(L, &b, (size_t)n + 1), (size_t)n);
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

static int crypto_uuid(lua_State *L) {
  hl_state *s = hl_state_of(L);
  char text[37];
  if (hl_loop_is_virtual(s->loop)) {
    hl_rng_uuid(hl_loop_rng(s->loop), text);
  } else {
    hl_rng rng;
    hl_rng_init_system(&rng);
    hl_rng_uuid(&rng, text);
  }
  lua_pushstring(L, text);
  return 1;
}

static int crypto_same(lua_State *L) {
  hl_str a, b;
  a.p = luaL_checklstring(L, 1, &a.n);
  b.p = luaL_checklstring(L, 2, &b.n);
  lua_pushboolean(L, hl_str_same_secret(a, b));
  return 1;
}

void hl_bind_crypto(lua_State *L) {
  static const luaL_Reg lib[] = {{"sha256", crypto_sha256},
                                 {"hmac_sha256", crypto_hmac_sha256},
                                 {"base64_encode", crypto_base64_encode},
                                 {"base64_decode", crypto_base64_decode},
                                 {"hex_encode", crypto_hex_encode},
                                 {"hex_decode", crypto_hex_decode},
                                 {"random", crypto_random},
                                 {"uuid", crypto_uuid},
                                 {"same", crypto_same},
                                 {NULL, NULL}};
  luaL_newlib(L, lib);
  hl_state_add_module(L, "crypto", true);
}
