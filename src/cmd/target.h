/* What operator commands work on: the running `serve` of a project, through its control socket, or the
 * project's store while none runs. Both are asked with the same requests (admin/actions.h). These commands
 * run once and end, so this blocks. */
#ifndef HL_CMD_TARGET_H
#define HL_CMD_TARGET_H

#include "admin/control.h"
#include "cmd/cmd.h"
#include "lua/project.h"

typedef struct hl_target {   /* zero it first */
  int fd;                    /* of the control socket; -1: the store is ours */
  hl_log *log;
  hl_loop *loop;
  hl_engine *engine;
  hl_actions *actions;
  hl_project *project;       /* NULL: a store was named */
  char *store;
  const char *account;       /* the project's only one, or "" */
  int64_t bar_at;            /* when the bar was drawn, mono ms; 0: none is there */
} hl_target;

#define HL_TARGET_FLAGS \
  {"project", "DIR", "the project's folder, or a script that hubloop run has run; default the current folder"}, \
  {"store", "FILE", "the database itself, instead"}

typedef enum { HL_TARGET_LOOKS, HL_TARGET_INJECTS } hl_target_use;
/* Says where the store is, without touching it. */
int hl_target_find(hl_target *t, const hl_args *a, hl_error *err);
/* The running one, or the store. HL_ENOTFOUND: there is no store; HL_EBUSY: somebody holds it who does not listen. */
int hl_target_open(hl_target *t, hl_target_use use, hl_error *err);
void hl_target_close(hl_target *t);

/* `request` is taken over. */
int hl_target_ask(hl_target *t, cJSON *request, cJSON **answer, hl_error *err);

/* A bar on a terminal's last line, on stderr; nothing elsewhere. total: wipes it out. */
void hl_target_progress(hl_target *t, const char *what, int64_t done, int64_t total);

#endif
