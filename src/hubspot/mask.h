/* Pseudonyms for what HubSpot's JSON tells of people, so that recorded traffic can
 * be kept and shared. The same value gives the same pseudonym (case folded) under
 * one key, so records that matched before still match; an e-mail address keeps
 * the shape of one, its domain stands for the same company everywhere, and
 * free-mail domains stay. Ids, numbers, dates and booleans stay.
 *
 * Of a record's properties everything else is masked, but for the known
 * enumerations (lifecyclestage, dealstage, …) and those that `keep` names;
 * elsewhere addresses, members named like a person's data (firstName, phone, …)
 * and the words of names seen so far. Credentials are replaced by "[secret]".
 * Pure; one thread at a time. */
#ifndef HL_HUBSPOT_MASK_H
#define HL_HUBSPOT_MASK_H

#include "base/json.h"

enum { HL_MASK_KEY = 32 };

typedef struct hl_mask hl_mask;

/* `key`: random bytes, copied; who has it can test guesses. */
hl_mask *hl_mask_new(const unsigned char key[HL_MASK_KEY]);
void hl_mask_free(hl_mask *m);
/* The values of this property stay. */
void hl_mask_keep(hl_mask *m, const char *property);
/* In place. */
void hl_mask_json(hl_mask *m, cJSON *json);
/* Appends path and query ("/crm/…?email=…"), as sent, with pseudonyms. */
int hl_mask_target(hl_mask *m, hl_str target, hl_buf *out);
/* Each property whose values were masked and by no rule of its own: it might be one to keep. */
void hl_mask_each(const hl_mask *m, void (*each)(void *arg, const char *property, uint64_t n), void *arg);

#endif
