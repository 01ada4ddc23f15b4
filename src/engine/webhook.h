/* The push door: HubSpot's webhook POSTs. Signature over the raw bytes, portal
 * binding, the v1 age rule (SEMANTICS 37), shape, then the inbox; the status is
 * known only after the commit. Independent of the HTTP server, so the simulator
 * delivers through it in virtual time too. Loop thread; never blocks. */
#ifndef HL_ENGINE_WEBHOOK_H
#define HL_ENGINE_WEBHOOK_H

#include "engine/engine.h"
#include "hubspot/api.h"

typedef struct hl_webhook hl_webhook;

typedef struct hl_webhook_options {
  const char *public_url;   /* "https://hooks.example.com/hubspot"; NULL: http://Host + path as received */
  bool accept_v2;           /* webhooks.accept names "v2" */
} hl_webhook_options;

hl_webhook *hl_webhook_new(hl_engine *e, hl_hubspot *h, const hl_webhook_options *o);
/* Deliveries in hand are answered as they would have been. */
void hl_webhook_set(hl_webhook *w, const hl_webhook_options *o);
void hl_webhook_free(hl_webhook *w);
/* The path it listens on: public_url's, or "/hubspot". */
const char *hl_webhook_path(const hl_webhook *w);

typedef struct hl_delivery {    /* borrowed for the length of the call */
  const char *method, *target, *host;   /* target: path and query as sent */
  const char *signature_v3, *timestamp, *signature, *signature_version;
  hl_str body;
} hl_delivery;

/* status 204 accepted, 400 not a JSON array, 401 not signed by us, 405, 503 not
 * stored. `text` is a line for the answer's body. Never called from inside. */
typedef void (*hl_delivery_cb)(void *arg, int status, const char *text);
void hl_webhook_deliver(hl_webhook *w, const hl_delivery *d, hl_delivery_cb cb, void *arg);

typedef struct hl_webhook_stats {
  uint64_t requests, accepted_requests, forged, malformed_bodies, foreign_portal, unavailable;
} hl_webhook_stats;
void hl_webhook_stats_get(const hl_webhook *w, hl_webhook_stats *out);

#endif
