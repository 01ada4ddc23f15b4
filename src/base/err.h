/* Errors. Every function that can fail returns 0 or one of these negative
 * codes and, when it is given an hl_error, leaves in it a text that is complete
 * enough to print: what failed, on what, what to do. Results come back by
 * out-pointer and are untouched on failure. Never allocates, never blocks. */
#ifndef HL_BASE_ERR_H
#define HL_BASE_ERR_H

#define HL_ERRORS(X)                                                           \
  X(HL_EINVAL, -1, "invalid")         /* bad input: fix it and try again */    \
  X(HL_ENOTFOUND, -2, "not_found")    /* the named thing is not there */       \
  X(HL_ELIMIT, -3, "limit")           /* larger or more than is allowed */     \
  X(HL_EIO, -4, "io")                 /* the operating system refused */       \
  X(HL_EFULL, -5, "full")             /* no space left */                      \
  X(HL_ECORRUPT, -6, "corrupt")       /* stored bytes are not what we wrote */ \
  X(HL_EBUSY, -7, "busy")             /* somebody else holds it */             \
  X(HL_ETIMEOUT, -8, "timeout")       /* a deadline passed */                  \
  X(HL_ECANCELLED, -9, "cancelled")   /* ended by its owner */                 \
  X(HL_ENET, -10, "network")          /* connection, TLS or DNS failed */      \
  X(HL_EPROTOCOL, -11, "protocol")    /* the peer's answer makes no sense */   \
  X(HL_EAUTH, -12, "auth")            /* a credential is missing or refused */ \
  X(HL_EDENIED, -13, "denied")        /* permissions do not allow it */        \
  X(HL_ESCRIPT, -14, "script")        /* a script raised or does not load */   \
  X(HL_EHUBSPOT, -15, "hubspot")      /* HubSpot answered with an error */     \
  X(HL_EUNCERTAIN, -16, "uncertain")  /* the effect may have happened */       \
  X(HL_ENOMEM, -17, "memory")         /* a bounded allocation was refused */

typedef enum hl_err {
  HL_OK = 0,
#define HL_X(name, value, text) name = value,
  HL_ERRORS(HL_X)
#undef HL_X
} hl_err;

typedef struct hl_error {
  int code;        /* an hl_err, 0 when nothing failed */
  char text[1024]; /* one or more lines for a person, no final newline */
} hl_error;

/* The short name of a code ("not_found"): the `kind` that scripts see. */
const char *hl_err_name(int code);

/* Fills `err` (may be NULL) and returns `code`, so that a function can
 * `return hl_fail(err, HL_EIO, "cannot open %s: %s", path, strerror(errno))`. */
int hl_fail(hl_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text already in `err`; returns err->code. */
int hl_fail_in(hl_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
