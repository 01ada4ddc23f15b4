/* HubSpot request signatures v1, v2, v3 (FACTS 5) over raw bytes, compared in
 * constant time. Pure functions; any thread. */
#ifndef HL_HUBSPOT_SIGNATURE_H
#define HL_HUBSPOT_SIGNATURE_H

#include "base/err.h"
#include "base/str.h"

typedef struct hl_signed {      /* all borrowed */
  const char *method;           /* "POST" */
  const char *uri;              /* the full public URI: scheme, host, path, query as sent */
  hl_str body;
  const char *v3;               /* X-HubSpot-Signature-v3, or NULL */
  const char *timestamp;        /* X-HubSpot-Request-Timestamp (ms), or NULL */
  const char *v1v2;             /* X-HubSpot-Signature, or NULL */
  const char *version;          /* X-HubSpot-Signature-Version ("v1", "v2"), or NULL */
} hl_signed;

/* Tries each secret. A v3 signature, when present, alone decides (SEMANTICS
 * 37). Returns the version that verified (1, 2, 3) and the secret's index, or
 * HL_EAUTH with the reason ("no signature", …); HL_ETIMEOUT when only the time is
 * wrong ("timestamp is 412 s old"): a replay, or a clock that is off.
 * Whether v1 and v2 are acceptable here is the caller's rule. */
int hl_signature_verify(const hl_signed *s, const hl_str *secrets, size_t n, int64_t now_ms,
                        size_t *which, hl_error *err);

/* Signing, for the simulator and tests. `out`: 65 bytes for v1/v2 (hex), 45 for v3 (base64). */
void hl_signature_v1(hl_str secret, hl_str body, char out[65]);
void hl_signature_v2(hl_str secret, const char *method, const char *uri, hl_str body, char out[65]);
void hl_signature_v3(hl_str secret, const char *method, const char *uri, hl_str body,
                     const char *timestamp, char out[45]);

#endif
