/* The page that a supervisor and its child share (SEMANTICS 45): that the loop
 * turns, and what runs at this moment. It outlives the child, whose next
 * incarnation parks what ran when it was ended. Written by the child's loop
 * thread with plain stores; the parent reads `beats` and `watched` at any time
 * and the rest when the child is gone. */
#ifndef HL_ENGINE_PAGE_H
#define HL_ENGINE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum hl_page_kind { HL_PAGE_NONE, HL_PAGE_EVENT, HL_PAGE_TIMER, HL_PAGE_LOADING, HL_PAGE_OTHER } hl_page_kind;

typedef struct hl_page_run {
  volatile uint32_t kind, index;
  volatile uint64_t who;       /* hl_page_name of the handler's durable name, or of the script's */
  volatile int64_t row;
} hl_page_run;

enum { HL_PAGE_ENDED = 16, HL_PAGE_WHY = 160 };

typedef struct hl_page {
  volatile uint64_t beats;     /* moves with the loop, and with each task that goes on */
  volatile bool watched;       /* false: a start that may block */
  volatile bool told;          /* that this child was started again, and why */
  hl_page_run running;
  struct hl_page_end {
    hl_page_run run;           /* kind NONE: a free place */
    volatile bool taken;       /* it is being parked; free after that commit */
    char why[HL_PAGE_WHY];
  } ended[HL_PAGE_ENDED];
  char why[HL_PAGE_WHY];       /* of the last restart; empty: none */
} hl_page;

/* FNV-1a over up to three texts: names, in a word. */
uint64_t hl_page_name(const char *a, const char *b, const char *c);

#endif
