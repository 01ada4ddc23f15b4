/* The resynchronising search: what happened in an account while nobody told us.
 * Records changed since then are searched by their last modification, and of each
 * the history of the properties that somebody listens to is read: every change of
 * that time becomes an event, with its own value, time and source, as do creations.
 * Deletions are in the list of archived records, with their time; of each it is asked
 * whether its id leads to another record, for then it was merged and not deleted.
 * Not found, because nothing tells when and what of it: merges, restores,
 * associations, privacy deletions, and values of records that are gone by now. Loop
 * thread; never blocks. */
#ifndef HL_HUBSPOT_RESYNC_H
#define HL_HUBSPOT_RESYNC_H

#include "hubspot/api.h"
#include "hubspot/journal.h"

typedef struct hl_resync hl_resync;

typedef struct hl_resync_want { /* owned by hl_resync from hl_resync_start on */
  const char *type_id;          /* "0-1" of hl_event_object */
  bool creation, deletion;      /* X.creation, X.deletion is listened to */
  char **properties;            /* of X.propertyChange, NULL-terminated; NULL: none */
} hl_resync_want;

typedef struct hl_resync_options {
  hl_loop *loop;
  hl_account *account;
  int64_t portal, since;        /* epoch ms */
  hl_resync_want *wants;
  size_t n;
  /* A body of events; `done` once, later: 0 goes on, anything else tries it again. */
  void (*deliver)(void *arg, hl_str body, hl_journal_done done, void *done_arg);
  /* All is delivered, or `error` (NULL: well) ended it; `again`: it may work later. The resync may be freed. */
  void (*finished)(void *arg, const char *error, bool again, uint64_t records);
  void *arg;
} hl_resync_options;

/* Begins at the end of the turn. */
hl_resync *hl_resync_start(const hl_resync_options *o);
void hl_resync_free(hl_resync *r);

#endif
