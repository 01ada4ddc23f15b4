/* What the vault holds under a name: a credential of an account, or a plain
 * secret. Blocking, as the vault: at start, in commands, or on a worker thread. */
#ifndef HL_HUBSPOT_STORED_H
#define HL_HUBSPOT_STORED_H

#include "hubspot/credential.h"
#include "hubspot/vault.h"

typedef struct hl_stored { /* owned texts, NULL: not given; zero it first */
  char *name;
  bool secret;             /* a plain secret: grant.access is all of it */
  hl_credential_kind kind;
  hl_grant grant;
  char *client_id, *client_secret; /* the app's: OAuth, client credentials */
  char *asked;             /* client credentials: the scopes to ask for */
  char *region;            /* "eu1"; NULL: na1 */
  char *base_url;          /* instead of the region's host */
  int64_t added_at;        /* epoch ms: when the token or grant was given to us */
} hl_stored;

void hl_stored_wipe(hl_stored *s);
const char *hl_stored_kind(const hl_stored *s);
/* HL_ENOTFOUND names what is there. */
int hl_stored_get(hl_vault *v, const char *name, hl_stored *out, hl_error *err);
/* All, by name; *out is hl_freed after each was wiped. */
int hl_stored_list(hl_vault *v, hl_stored **out, size_t *n, hl_error *err);
/* Adds or replaces it; waits for a renewal that is under way. */
int hl_stored_put(hl_vault *v, const hl_stored *s, hl_error *err);
int hl_stored_remove(hl_vault *v, const char *name, hl_error *err);

/* "https://api.hubapi.com", or the region's host (api-eu1.hubapi.com). `region`
 * may be "eu" or "eu1"; NULL: na1. HL_EINVAL when it is no region. */
int hl_region_host(const char *region, char *out, size_t size, hl_error *err);
/* The web pages of a region: "https://app-eu1.hubspot.com". */
int hl_region_pages(const char *region, char *out, size_t size, hl_error *err);
/* Where its calls go. */
int hl_stored_base(const hl_stored *s, char *out, size_t size, hl_error *err);

/* The credential to call with, which keeps what it renews in a copy of `v`
 * (NULL: in memory only). HL_EINVAL for a plain secret. */
int hl_stored_credential(const hl_stored *s, hl_loop *loop, hl_transport *t, const hl_vault *v, hl_credential **out, hl_error *err);

#endif
