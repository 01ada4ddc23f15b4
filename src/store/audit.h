/* A stored audit record, as the store and the engine hand it out. */
#ifndef HL_STORE_AUDIT_H
#define HL_STORE_AUDIT_H

#include "base/str.h"

typedef struct hl_audit {
  int64_t at;                /* epoch ms of its commit's making */
  const char *script, *account, *kind, *key;
  hl_str json;
} hl_audit;
/* Records borrowed for the length of the callback, newest first. */
typedef void (*hl_audits_cb)(void *arg, int code, const hl_audit *v, size_t n);

#endif
