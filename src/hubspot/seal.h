/* A sealed box: AES-256-GCM over a text, with a header that is authenticated and
 * says version, which key, and how long. Pure; any thread; keys stay the
 * caller's. The bytes come from a file, so reading them has a fuzz target.
 *
 *   0  7  "HLVAULT"      16 12  nonce, random each time
 *   7  1  version (1)    28  4  length of the sealed text, big endian
 *   8  8  key id         32  n  sealed text, then the tag of 16 */
#ifndef HL_HUBSPOT_SEAL_H
#define HL_HUBSPOT_SEAL_H

#include "base/err.h"
#include "base/str.h"

enum { HL_SEAL_KEY = 32, HL_SEAL_MAX = 4 << 20 };

/* 64 hex digits or base64 of 32 bytes; blanks around it are left out. HL_EINVAL
 * says what was found, never the text. */
int hl_seal_key(hl_str text, unsigned char key[HL_SEAL_KEY], hl_error *err);
int hl_seal_new_key(unsigned char key[HL_SEAL_KEY], hl_error *err);
void hl_seal_key_text(const unsigned char key[HL_SEAL_KEY], char hex[2 * HL_SEAL_KEY + 1]);

/* Appends the box. */
int hl_seal(const unsigned char key[HL_SEAL_KEY], hl_str text, hl_buf *out, hl_error *err);
/* Appends the text. HL_EAUTH: another key; HL_ECORRUPT: no box, cut off, changed,
 * or of a version that is not ours. The caller wipes `out`. */
int hl_unseal(const unsigned char key[HL_SEAL_KEY], hl_str box, hl_buf *out, hl_error *err);

/* Zeroes what a buffer held, and frees it. */
void hl_buf_wipe(hl_buf *b);

#endif
