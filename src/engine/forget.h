/* Forgetting a person (SEMANTICS 14): events, dead letters, waiting and delayed ones, steps, audit records, kv and
 * the call log are gone through a bounded part at a time, and what tells of the person is taken out:
 *
 *   an event about the contact, or that holds id or address      its place in its request's body becomes null; it counts as removed
 *   the same of a parked or delayed event                        its row goes, with its steps
 *   a step's or audit record's JSON, a kv value                  the members and elements that hold it go (base/person.h)
 *   a kv key, an audit record's key, a step's name               its row goes; so does what sync remembers of it
 *   a line of the call log                                       is blanked out
 *
 * Then the file is written anew, because SQLite keeps copies of what it has moved; a large one not while events flow
 * (`residue`). What a handler has in its hands is left to it (`in_hand`): ask again. Backups keep what they hold. Loop thread; nothing blocks. */
#ifndef HL_ENGINE_FORGET_H
#define HL_ENGINE_FORGET_H

#include "base/person.h"
#include "engine/engine.h"

typedef struct hl_forget hl_forget;

typedef struct hl_forgotten {
  const char *phase;         /* what it does: "events", "rewriting", … ; "done" */
  int64_t at, of;            /* of the phase, for a bar; of 0: not known */
  int64_t events, parked, steps, records, keys, calls; /* found, and unless it is a dry run removed or changed */
  int64_t synced;            /* of the keys those of sync, whose other side is not hubloop's to clean */
  int64_t in_hand;           /* events left to their handlers */
  bool residue;              /* the file is too large to be written anew while it is in use */
  bool done;
  hl_error err;              /* code not 0: it ended early */
} hl_forgotten;

/* account (NULL or "": any): another account's contact may have the same id. HL_EINVAL: see hl_person_check. HL_EBUSY:
 * another one is under way. done (may be NULL): once, later, when it has ended, and not when the engine ends first; it may free it. */
int hl_forget_new(hl_engine *e, const hl_person *who, const char *account, bool dry_run, void (*done)(void *arg), void *arg,
                  hl_forget **out, hl_error *err);
void hl_forget_look(const hl_forget *f, hl_forgotten *out);
/* Ends it where it is. Before or after the engine. */
void hl_forget_free(hl_forget *f);

#endif
