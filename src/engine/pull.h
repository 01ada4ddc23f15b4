/* The journal's way into the inbox: files that hubspot/journal.h reads are taken in
 * one commit with the place behind them, each event under the account of its portal;
 * what may be missing is alerted (`journal_expired`) and searched for. An event of
 * a type that push is live for waits a moment, so that push comes first and the
 * journal fills its gaps (SEMANTICS 9). Loop thread; never blocks but hl_pull_new. */
#ifndef HL_ENGINE_PULL_H
#define HL_ENGINE_PULL_H

#include "engine/engine.h"
#include "hubspot/journal.h"

typedef struct hl_pull hl_pull;

typedef struct hl_pull_options { /* borrowed */
  hl_engine *engine;
  hl_account *app;           /* of the client credentials */
  hl_transport *transport;
  bool loopback;             /* hubspot/journal.h */
  const char *name;          /* of the credential: the place is kept under it */
  hl_account *const *accounts; /* whose events it brings */
  size_t n;
  bool earliest;
  bool portal_only;          /* the journal of the one account's portal */
} hl_pull_options;

/* Reads the place where it stopped; the engine is started. */
int hl_pull_new(const hl_pull_options *o, hl_pull **out, hl_error *err);
/* Begins when it is known which portals the accounts are. */
void hl_pull_start(hl_pull *p);
/* Before the engine, and before it drains: what is not stored is read again. */
void hl_pull_free(hl_pull *p);
/* {"polls":…,"files":…,"events":…,"read_until":…,…} */
void hl_pull_status(const hl_pull *p, cJSON *into);

#endif
