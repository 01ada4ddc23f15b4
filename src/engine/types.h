/* HubSpot's webhook event types (FACTS 5): one list for checks, help and tests.
 * hl_event_type_known is in engine/engine.h. */
#ifndef HL_ENGINE_TYPES_H
#define HL_ENGINE_TYPES_H

#include <stdbool.h>

#define HL_CRM_TYPES(X, object)                                                     \
  X(object ".creation") X(object ".deletion") X(object ".merge") X(object ".restore") \
  X(object ".propertyChange") X(object ".associationChange")

#define HL_EVENT_TYPES(X)                                                        \
  HL_CRM_TYPES(X, "contact") HL_CRM_TYPES(X, "company") HL_CRM_TYPES(X, "deal")  \
  HL_CRM_TYPES(X, "ticket") HL_CRM_TYPES(X, "product") HL_CRM_TYPES(X, "line_item") \
  HL_CRM_TYPES(X, "object")                                                      \
  X("contact.privacyDeletion")                                                   \
  X("conversation.creation") X("conversation.deletion") X("conversation.privacyDeletion") \
  X("conversation.propertyChange") X("conversation.newMessage")

/* What people ask for and HubSpot does not send as such (stdlib/engine/derived.lua). */
#define HL_DERIVED_TYPES(X) X("deal.won") X("deal.lost") X("deal.closed") X("contact.stage") \
  X("form.submission") X("list.added") X("list.removed")

/* NULL-terminated. */
extern const char *const hl_event_types[];
bool hl_event_type_derived(const char *type);

#endif
