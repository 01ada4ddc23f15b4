/* A backup becomes a store again. Blocks: for commands, while nobody has the store. */
#ifndef HL_STORE_RESTORE_H
#define HL_STORE_RESTORE_H

#include "store/store.h"

/* True when the file begins as a hubloop store does. */
bool hl_store_is_one(const char *path);

typedef struct hl_store_summary {
  hl_store_counts counts;
  int64_t last_received;     /* epoch ms, 0: the log is empty */
} hl_store_summary;
/* Brings the store at `path` up to date, checks it whole and sums it up. HL_ECORRUPT: it is no hubloop store,
 * or a damaged one, or of a newer version. `stop` (may be NULL) may become true on another thread: HL_ECANCELLED. */
int hl_store_check(const char *path, const volatile bool *stop, hl_store_summary *out, hl_error *err);

typedef struct hl_restore {
  const char *from, *store;  /* store: need not exist */
  const char *aside;         /* where the one that is there goes */
  void (*progress)(void *arg, int64_t done, int64_t total);
  void *arg;
  hl_store_summary summary;  /* of the restored one */
  bool kept;                 /* there was one */
} hl_restore;
/* Copies, checks, and only then moves. On failure the store is as it was, unless the text says where it is. HL_EBUSY: a
 * process has it. */
int hl_store_restore(hl_restore *r, hl_error *err);

#endif
