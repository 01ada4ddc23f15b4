#include "hubspot/seal.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/mem.h"

enum { VERSION = 1, KEY_ID = 8, NONCE = 12, TAG = 16, AT_KEY = 8, AT_NONCE = 16, AT_LENGTH = 28, HEADER = 32 };
static const char magic[] = "HLVAULT";

void hl_buf_wipe(hl_buf *b) {
  if (b->p) explicit_bzero(b->p, b->cap);
  hl_buf_deinit(b);
}

static int hex(char c) {
  return isdigit((unsigned char)c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

int hl_seal_key(hl_str t, unsigned char key[HL_SEAL_KEY], hl_error *err) {
  while (t.n && isspace((unsigned char)t.p[t.n - 1])) t.n--;
  while (t.n && isspace((unsigned char)*t.p)) t.p++, t.n--;
  if (t.n == 2 * HL_SEAL_KEY) {
    bool all = true;
    for (size_t i = 0; i < HL_SEAL_KEY && all; i++) {
      int high = hex(t.p[2 * i]), low = hex(t.p[2 * i + 1]);
      all = high >= 0 && low >= 0;
      if (all) key[i] = (unsigned char)(high << 4 | low);
    }
    if (all) return 0;
  }
  unsigned char raw[48];
  if (t.n == 43 || (t.n == 44 && t.p[43] == '=')) {
    char padded[45];
    memcpy(padded, t.p, 43);
    padded[43] = '=';
    padded[44] = 0;
    for (size_t i = 0; i < 43; i++) { /* the URL form too */
      if (padded[i] == '-') padded[i] = '+';
      if (padded[i] == '_') padded[i] = '/';
    }
    bool good = EVP_DecodeBlock(raw, (unsigned char *)padded, 44) == 33;
    if (good) memcpy(key, raw, HL_SEAL_KEY);
    explicit_bzero(raw, sizeof raw);
    explicit_bzero(padded, sizeof padded);
    if (good) return 0;
  }
  return hl_fail(
      err, HL_EINVAL,
      "it must be 32 bytes as 64 hex digits or as base64 (44 characters), and is %zu characters that are not; "
      "openssl rand -hex 32 makes one",
      t.n);
}

int hl_seal_new_key(unsigned char key[HL_SEAL_KEY], hl_error *err) {
  if (RAND_bytes(key, HL_SEAL_KEY) == 1) return 0;
  return hl_fail(err, HL_EIO, "the system has no random numbers for a new key");
}

void hl_seal_key_text(const unsigned char key[HL_SEAL_KEY], char text[2 * HL_SEAL_KEY + 1]) {
  for (size_t i = 0; i < HL_SEAL_KEY; i++) snprintf(text + 2 * i, 3, "%02x", key[i]);
}

/* Says which key without saying anything about it. */
static void key_id(const unsigned char key[HL_SEAL_KEY], unsigned char id[KEY_ID]) {
  unsigned char in[16 + HL_SEAL_KEY] = "hubloop key id 1", out[SHA256_DIGEST_LENGTH];
  memcpy(in + 16, key, HL_SEAL_KEY);
  SHA256(in, sizeof in, out);
  memcpy(id, out, KEY_ID);
  explicit_bzero(in, sizeof in);
}

int hl_seal(const unsigned char key[HL_SEAL_KEY], hl_str text, hl_buf *out, hl_error *err) {
  if (text.n > HL_SEAL_MAX) return hl_fail(err, HL_ELIMIT, "it would hold more than %d bytes", HL_SEAL_MAX);
  unsigned char *box = hl_alloc(HEADER + text.n + TAG);
  uint32_t n = (uint32_t)text.n;
  int part = 0, rc = 0;
  memcpy(box, magic, sizeof magic - 1);
  box[sizeof magic - 1] = VERSION;
  key_id(key, box + AT_KEY);
  for (int i = 0; i < 4; i++) box[AT_LENGTH + i] = (unsigned char)(n >> (24 - 8 * i));
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  bool good = ctx && RAND_bytes(box + AT_NONCE, NONCE) == 1 &&
              EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, box + AT_NONCE) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &part, box, HEADER) == 1 &&
              EVP_EncryptUpdate(ctx, box + HEADER, &part, (const unsigned char *)text.p, (int)n) == 1 &&
              EVP_EncryptFinal_ex(ctx, box + HEADER + n, &part) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, box + HEADER + n) == 1;
  EVP_CIPHER_CTX_free(ctx);
  if (!good) rc = hl_fail(err, HL_EIO, "libcrypto refused to encrypt");
  else if ((rc = hl_buf_append(out, box, HEADER + text.n + TAG))) hl_fail(err, rc, "it is too large");
  hl_free(box);
  return rc;
}

int hl_unseal(const unsigned char key[HL_SEAL_KEY], hl_str box, hl_buf *out, hl_error *err) {
  unsigned char id[KEY_ID], tag[TAG];
  const unsigned char *p = (const unsigned char *)box.p;
  if (box.n < sizeof magic || memcmp(p, magic, sizeof magic - 1) != 0)
    return hl_fail(err, HL_ECORRUPT, "it is no store of hubloop's credentials");
  if (p[sizeof magic - 1] != VERSION)
    return hl_fail(err, HL_ECORRUPT, "it has version %u, and this hubloop reads version %d: use the hubloop that wrote it",
                   p[sizeof magic - 1], VERSION);
  if (box.n < HEADER + TAG)
    return hl_fail(err, HL_ECORRUPT, "it is cut off after %zu bytes: put a copy of it back", box.n);
  uint32_t n = (uint32_t)p[AT_LENGTH] << 24 | (uint32_t)p[AT_LENGTH + 1] << 16 | (uint32_t)p[AT_LENGTH + 2] << 8 |
               (uint32_t)p[AT_LENGTH + 3];
  if (n > HL_SEAL_MAX || box.n != (size_t)HEADER + n + TAG)
    return hl_fail(err, HL_ECORRUPT, "it has %zu bytes where %zu belong: it is cut off or was changed; put a copy of it back",
                   box.n, (size_t)HEADER + n + TAG);
  key_id(key, id);
  if (memcmp(id, p + AT_KEY, KEY_ID) != 0) return hl_fail(err, HL_EAUTH, "it was written with another key");
  memcpy(tag, p + HEADER + n, TAG);
  unsigned char *text = hl_alloc(n + 1);
  int part = 0, rc = 0;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  bool good = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, p + AT_NONCE) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &part, p, HEADER) == 1 &&
              EVP_DecryptUpdate(ctx, text, &part, p + HEADER, (int)n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, text + n, &part) == 1;
  EVP_CIPHER_CTX_free(ctx);
  if (!good) rc = hl_fail(err, HL_ECORRUPT, "it was changed after it was written; put a copy of it back");
  else if ((rc = hl_buf_append(out, text, n))) hl_fail(err, rc, "it is too large");
  explicit_bzero(text, n);
  hl_free(text);
  return rc;
}
