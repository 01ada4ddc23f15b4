/* Lanes in the store: parked rows that wait for their turn in a lane, and are read
 * by lane in the order in which they occurred. The engine (engine/backlog.c) is the
 * only client. As store.h: changes are gathered in a transaction, reads answer on
 * the loop in order with the commits, nothing blocks. */
#ifndef HL_STORE_LANES_H
#define HL_STORE_LANES_H

#include "store/store.h"

/* A parked row waits in p->lane from now on (id, attempts, due, occurred, lane of p; error, unless
 * its p is NULL). hl_tx_repark with attempts takes it out of its lane. */
void hl_tx_lane(hl_tx *tx, const hl_parked *p);

/* A run of the lane has started; of use for `per` ms, which throttles count. */
void hl_tx_started(hl_tx *tx, const char *handler, hl_str lane, int64_t at, int64_t per);
/* (start) The starts that are of use, oldest first. */
int hl_store_each_start(hl_store *s, int64_t now, void (*each)(void *arg, const char *handler, hl_str lane, int64_t at), void *arg,
                        hl_error *err);

/* Names of a handler's lanes in which rows wait, behind `after` in byte order. */
void hl_store_read_lane_names(hl_store *s, const char *handler, hl_str after, size_t max,
                              void (*cb)(void *arg, int code, const hl_str *names, size_t n), void *arg);

typedef struct hl_lane_ask { hl_str lane; size_t max; } hl_lane_ask;
typedef struct hl_store_lanes {
  int code;
  const hl_parked *parked;       /* lane after lane as asked, in the order of the lane */
  const size_t *counts;          /* of each lane asked for */
  size_t n;
  bool cut;                      /* max_bytes was reached: lanes may have fewer than they could */
} hl_store_lanes;
void hl_store_read_lanes(hl_store *s, const char *handler, const hl_lane_ask *asks, size_t n, size_t max_bytes,
                         void (*cb)(void *arg, const hl_store_lanes *lanes), void *arg);

#endif
