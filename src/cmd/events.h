/* What `hubloop events` prints. */
#ifndef HL_CMD_EVENTS_H
#define HL_CMD_EVENTS_H

#include <stdio.h>

#include "base/json.h"

/* One line an event, within `columns`; `events` an array of what the action events.list answers. */
void hl_events_table(FILE *out, const cJSON *events, bool parked, bool header, int columns, bool colour);
/* One event whole. */
void hl_events_whole(FILE *out, const cJSON *event, bool colour);
/* `text` in `width` columns, cut with an ellipsis; `last` is not filled up. */
void hl_events_cell(FILE *out, const char *text, int width, bool last);
/* Epoch ms as a local clock would not say it: "2026-09-01 12:03:04", UTC. "-" for 0. */
const char *hl_events_time(int64_t ms, char out[24]);

#endif
