/* Finding, and taking out, what tells of a person: a record's id, as a whole number in a text or in JSON, and an
 * e-mail address in any case. Pure; any thread. */
#ifndef HL_BASE_PERSON_H
#define HL_BASE_PERSON_H

#include "base/json.h"

typedef struct hl_person {
  const char *id;            /* digits; never NULL */
  const char *email;         /* NULL: not known */
} hl_person;

/* HL_EINVAL: the id is no record's, or the address is none. */
int hl_person_check(const hl_person *who, hl_error *err);
/* A text holds the id, not as part of a longer number, or the address, not as part of a longer one. */
bool hl_person_in(const hl_person *who, hl_str text);
/* Appends the text with "[removed]" for each of them. */
int hl_person_redact(const hl_person *who, hl_str text, hl_buf *out);
/* A text or a number that holds, or is, one of them. */
bool hl_person_is(const hl_person *who, const cJSON *scalar);

typedef enum hl_scrub { HL_SCRUB_CLEAN, HL_SCRUB_CHANGED, HL_SCRUB_GONE } hl_scrub;
/* Takes out every member and element that holds one of them, by its name or its value. An object whose `id`, `objectId`,
 * `contactId`, `contact_id`, `vid`, `hs_object_id` or `email` is the person's is the person's whole. GONE: nothing
 * of `json` may stay. */
hl_scrub hl_person_scrub(const hl_person *who, cJSON *json);

#endif
