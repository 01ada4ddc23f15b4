/* A copy of the store made while it is in use: pages are copied by the writer between its other jobs, a
 * mebibyte at a time, and what a commit changes meanwhile goes into the copy too, so it is the store as of its
 * end. Then a worker writes it through, checks it, and gives it its name; until then it has another. Loop thread;
 * nothing blocks. */
#ifndef HL_STORE_BACKUP_H
#define HL_STORE_BACKUP_H

#include "store/store.h"

typedef struct hl_backup hl_backup;

typedef enum hl_backup_phase { HL_BACKUP_COPIES, HL_BACKUP_CHECKS, HL_BACKUP_DONE, HL_BACKUP_FAILED } hl_backup_phase;
typedef struct hl_backup_state {
  hl_backup_phase phase;
  int64_t pages, of;         /* copied, as of the last step */
  int64_t bytes;             /* when it is done */
  hl_error err;              /* when it failed */
} hl_backup_state;

/* HL_EINVAL: `to` exists, or is the store itself; HL_EIO, HL_EFULL: it cannot be made. One at a time: HL_EBUSY. */
int hl_backup_new(hl_loop *loop, hl_store *s, const char *to, hl_backup **out, hl_error *err);
void hl_backup_look(const hl_backup *b, hl_backup_state *out);
/* One that is not done leaves nothing behind. Before or after the store. */
void hl_backup_free(hl_backup *b);

#endif
