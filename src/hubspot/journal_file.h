/* A file of the webhooks journal, read and turned into events as push sends them
 * (FACTS 5 and 6): `contact.propertyChange` once for each property, ids as texts,
 * times as epoch milliseconds. Fields that are not known travel along. What is no
 * event stays as it is, so that the inbox parks it. Pure; any thread. */
#ifndef HL_HUBSPOT_JOURNAL_FILE_H
#define HL_HUBSPOT_JOURNAL_FILE_H

#include "base/json.h"

typedef struct hl_journal_body { /* events of one portal, in the file's order: what the inbox takes at once */
  int64_t portal;                /* 0: not told */
  hl_buf json;                   /* an array */
  unsigned n;
} hl_journal_body;

typedef struct hl_journal_file { /* zero it first */
  int64_t published;             /* epoch ms; 0: not told */
  hl_journal_body *v;
  size_t n, bytes;
} hl_journal_file;

/* `generic`: events of the objects that have types of their own come as `object.…` too.
 * HL_EINVAL: it is no journal file; HL_ENOMEM. */
int hl_journal_file_read(hl_str text, bool generic, hl_journal_file *out, hl_error *err);
void hl_journal_file_deinit(hl_journal_file *f);

/* "contact" for "0-1"; "object" for types that have no name of their own in events. */
const char *hl_event_object(const char *type_id);
/* "0-1" for "contact"; NULL: none. */
const char *hl_event_object_id(hl_str name);

#endif
