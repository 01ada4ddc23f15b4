/* What went wrong, as scripts see it: transport failures and HubSpot's error
 * bodies become one hl_api_error with a text that says what failed, on what,
 * and what to do. Loop thread. */
#ifndef HL_HUBSPOT_ERRORS_H
#define HL_HUBSPOT_ERRORS_H

#include "hubspot/api.h"

typedef struct hl_fault { /* caller's memory; `e` borrows from the rest */
  hl_api_error e;
  hl_buf message;
  size_t reason_at;       /* in message: what follows method, path and account */
  char *category, *correlation_id;
  cJSON *context;         /* own, or NULL */
} hl_fault;

typedef struct hl_fault_place { /* borrowed; what the call was */
  const char *account, *method, *path;
  hl_log *log;            /* redacts */
  const char *correlation_id; /* of the answer's headers, where its body names none; may be NULL */
  const char *remedy;     /* 401: what to do about the token; NULL: nothing to say */
  unsigned attempts;      /* times that it was sent; for one that may be tried again, told from 2 on */
  int64_t tried_ms;       /* since the first */
} hl_fault_place;

void hl_fault_deinit(hl_fault *f);

/* Each initialises `f`. No answer: `err` is the transport's. */
void hl_fault_transport(hl_fault *f, const hl_fault_place *at, const hl_error *err, bool retryable);
/* The request may have been carried out, and cannot be repeated. */
void hl_fault_uncertain(hl_fault *f, const hl_fault_place *at, int status, const hl_error *err);
/* An answer that is no JSON (or not what the call answers with). */
void hl_fault_protocol(hl_fault *f, const hl_fault_place *at, int status, hl_str body, bool retryable);
/* HubSpot's error body; every field of it may be missing. */
void hl_fault_hubspot(hl_fault *f, const hl_fault_place *at, int status, const cJSON *body, bool retryable);
/* One row of a 207: an element of `errors`. */
void hl_fault_row(hl_fault *f, const hl_fault_place *at, const cJSON *row, const char *correlation_id);
/* One that outlives the callback. */
void hl_fault_copy(hl_fault *f, const hl_api_error *error);
/* An error of our own queue. */
void hl_fault_plain(hl_fault *f, const char *kind, const char *category, bool retryable, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Appends `s` without e-mail addresses (percent-encoded ones too) and without the text `hide`: for logs. */
void hl_mask(hl_buf *out, hl_str s, hl_str hide);

#endif
