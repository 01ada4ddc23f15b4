/* What `hubloop events replay` prints of the tales of scripts (lua/replay.h). */
#ifndef HL_CMD_REPLAY_PRINT_H
#define HL_CMD_REPLAY_PRINT_H

#include <stdio.h>

#include "base/json.h"
#include "base/log.h"

typedef struct hl_replay_print {
  FILE *out;
  int columns;
  bool colour, json;
  bool against;              /* only what differs is printed */
  hl_log *log;               /* knows secrets */
  /* counted: of handlers' runs of the new script, but for `differ`: events */
  size_t ran, filtered, failed, waits, differ, printed;
} hl_replay_print;

/* What was told between two moments; `before`: by the script that is compared with, NULL: there is none. True when
 * something was printed. Both are the caller's. */
bool hl_replay_print_tales(hl_replay_print *p, const cJSON *tales, const cJSON *before);

#endif
