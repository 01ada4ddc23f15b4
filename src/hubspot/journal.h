/* Reads the webhooks journal of one app (FACTS 6, SEMANTICS 40): asks for the
 * files behind the place where it stopped, fetches them by their signed URLs,
 * a few ahead, and gives their events away in order, each file with the place
 * behind it. The place moves when a file's events are stored; so nothing is lost
 * or read twice, whatever happens in between.
 *
 *   poll -> entries (offset, URL) -> file -> sink.take -> stored -> the next one
 *
 * Polling: at once while there is more, then at intervals that grow to some
 * seconds. When nothing is new, "latest" is asked now and then whether that is
 * so, because HubSpot does not promise to tell an expired offset from the end.
 * An offset that is gone is replaced by the earliest one; what may be missing in
 * between is told to sink.lost.
 *
 * A file's URL is a credential: it is kept in memory until the file is there,
 * sent without our token, over https to a public address (http to this machine
 * only when the API itself is there), never along a redirect, and never logged.
 * Loop thread; never blocks; files are parsed on a worker. */
#ifndef HL_HUBSPOT_JOURNAL_H
#define HL_HUBSPOT_JOURNAL_H

#include "hubspot/api.h"
#include "hubspot/journal_file.h"

typedef struct hl_journal hl_journal;

typedef void (*hl_journal_done)(void *arg, int code); /* 0: it is stored; not 0: ask again */
typedef struct hl_journal_sink {
  /* Stores the file's events (NULL: there are none) and `place`, all or nothing, and calls
   * `done` once, later, never from inside. */
  void (*take)(void *arg, const hl_journal_file *file, hl_str place, hl_journal_done done, void *done_arg);
  /* Events since `since` (epoch ms) may be missing, for the reason `why`. `done` when that is stored. */
  void (*lost)(void *arg, int64_t since, const char *why, hl_journal_done done, void *done_arg);
  bool (*generic)(void *arg); /* hl_journal_file_read's */
  void *arg;
} hl_journal_sink;

typedef struct hl_journal_options {
  const char *name;          /* for messages */
  hl_loop *loop;
  hl_account *account;       /* of the app's client credentials; borrowed */
  hl_transport *transport;   /* for the files; borrowed */
  bool loopback;             /* the API is on this machine: files may be, too, over http */
  bool earliest;             /* without a place: begin with what there is, not with what comes */
  hl_str place;              /* as it was stored last; empty: never */
  hl_journal_sink sink;
} hl_journal_options;

/* HL_EINVAL: `place` is none. */
int hl_journal_new(const hl_journal_options *o, hl_journal **out, hl_error *err);
/* `portal` not 0: this portal's events only (journal-local). */
void hl_journal_start(hl_journal *j, int64_t portal);
/* Callbacks that are still to come (done of the sink, too) find nobody. */
void hl_journal_free(hl_journal *j);

typedef struct hl_journal_stats {
  uint64_t polls, files, fetches, events, lost;
  int64_t read_until;        /* everything published until then has been read; epoch ms, 0: not known */
  bool behind;               /* there is more, as far as known */
} hl_journal_stats;
void hl_journal_stats_get(const hl_journal *j, hl_journal_stats *out);

#endif
