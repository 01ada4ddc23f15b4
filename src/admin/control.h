/* The control socket of a running hubloop (SEMANTICS 42): a unix socket beside its store, "STORE.sock", mode
 * 0600. One JSON object a line is asked, one is answered (actions.h), one after the other on a connection. Who
 * may write to the socket may do everything: it is for the user who runs hubloop. Garbage is answered with an
 * error and the connection ends; sizes, connections and idle time are bounded. Loop thread only. */
#ifndef HL_ADMIN_CONTROL_H
#define HL_ADMIN_CONTROL_H

#include "admin/actions.h"

enum { HL_CONTROL_REQUEST_MAX = 16 << 20, HL_CONTROL_ANSWER_MAX = 64 << 20 };

typedef struct hl_control hl_control;

/* HL_ELIMIT: the store's path and ".sock" are longer than an address can be. */
int hl_control_path(const char *store, hl_buf *out, hl_error *err);
/* The caller holds the store's lock: a socket that is there is of a process that is gone, and is replaced;
 * what is no socket is left alone (HL_EIO). */
int hl_control_new(hl_loop *loop, hl_actions *actions, const char *store, hl_control **out, hl_error *err);
/* Before the actions. */
void hl_control_free(hl_control *c);

/* One line as it comes from a connection: answered always, also from inside. False: what follows it is not
 * to be trusted. */
bool hl_control_line(hl_actions *actions, hl_str line, hl_action_cb cb, void *arg);

/* ---- the other side, which blocks ---- */
/* *fd: connected. HL_ENOTFOUND: nobody listens. */
int hl_control_connect(const char *path, int *fd, hl_error *err);
/* Asks and waits. HL_EPROTOCOL, HL_ETIMEOUT: no sensible answer; else the error of the answer. */
int hl_control_ask(int fd, const cJSON *request, cJSON **answer, hl_error *err);
/* The error in an answer, if it is one. */
int hl_answer_error(const cJSON *answer, hl_error *err);

#endif
