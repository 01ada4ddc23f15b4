/* Push and journal together (SEMANTICS 9). An account may be heard from both:
 * then a change comes twice, as twins. Twins of the same occurredAt are found
 * through the duplicate window, where each event has a second hash, made of what
 * both sources say and of the source. HubSpot does not promise that both say the
 * same occurredAt, so events that differ in nothing else, by a moment, are told
 * of: each of them is handled. Push is live for a type while events of that type
 * come through it; the journal then fills gaps. Loop thread; memory only, bounded. */
#ifndef HL_ENGINE_TWIN_H
#define HL_ENGINE_TWIN_H

#include "engine/dedupe.h"
#include "engine/scan.h"

typedef struct hl_twins hl_twins;
typedef enum { HL_TWIN_PUSH, HL_TWIN_JOURNAL, HL_TWIN_NONE } hl_twin_source;

hl_twins *hl_twins_new(const unsigned char key[16]);
void hl_twins_free(hl_twins *t);
/* `account` is interned. */
void hl_twins_watch(hl_twins *t, const char *account);
bool hl_twins_watched(const hl_twins *t, const char *account);

/* False: it has no object or no time, so no twin is known by it. */
bool hl_twin_hash(const hl_twins *t, hl_twin_source source, const hl_fields *f, hl_hash *out);
/* An event without a twin was taken. How many ms the nearest one of the other source is off, when it
 * is that near and differs in nothing else; 0: there is none. */
int64_t hl_twins_near(hl_twins *t, hl_twin_source source, const hl_fields *f, int64_t mono);

/* Push sent an event of this type just now. */
void hl_twins_heard(hl_twins *t, const char *account, hl_str type, int64_t mono);
/* It did so lately. */
bool hl_twins_live(const hl_twins *t, const char *account, hl_str type, int64_t mono);

#endif
