/* What the files of operator actions share. Inside src/admin only. */
#ifndef HL_ADMIN_INSIDE_H
#define HL_ADMIN_INSIDE_H

#include "admin/actions.h"
#include "engine/forget.h"
#include "store/backup.h"

/* An action that is not answered yet. */
typedef struct hl_act hl_act;
struct hl_act {
  hl_act *prev, *next;
  hl_actions *a;
  cJSON *request;
  hl_action_cb cb;
  void *arg;
  /* of the action */
  int64_t number, upto;
  cJSON *answer;               /* being made */
};

struct hl_actions {
  hl_engine *e;
  hl_loop *loop;
  const char *account;
  hl_backup *backup;           /* NULL: none is under way, or to be asked about */
  hl_timer backup_watch;
  hl_forget *forget;           /* the same */
  hl_act calls;               /* list head */
};

/* The call is gone on return: the answer is given and freed. */
void hl_act_answer(hl_act *c, cJSON *answer);
void hl_act_refuse(hl_act *c, const hl_error *err);
void hl_act_fail(hl_act *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
hl_store *hl_act_store(const hl_act *c);

/* A field's text; NULL when it is not there. */
const char *hl_act_text(const hl_act *c, const char *name);

/* What list and retry choose by. */
typedef struct hl_choice {
  bool any_state, uncertain;   /* uncertain: of the dead ones only these */
  hl_state state;
  const char *type, *script, *object;
  int64_t since;
} hl_choice;
/* False: refused, and the call is gone. */
bool hl_choice_read(hl_act *c, hl_choice *out);
bool hl_state_is_parked(hl_state state);
bool hl_choice_takes(const hl_choice *by, const hl_parked *p);

/* events.c, one function an action */
void hl_do_list(hl_act *c);
void hl_do_show(hl_act *c);
/* recorded.c */
void hl_do_read(hl_act *c);
/* operate.c */
void hl_do_retry(hl_act *c);
void hl_do_inject(hl_act *c);
void hl_do_prune(hl_act *c);

/* backup.c */
void hl_do_backup(hl_act *c);
void hl_do_backup_look(hl_act *c);
void hl_backup_forget(hl_actions *a);

/* forget.c */
void hl_do_forget(hl_act *c);
void hl_do_forget_look(hl_act *c);

/* "12.0"; "after.7" (row 0 and the parked row). False: neither. */
bool hl_event_id_read(const char *text, int64_t *row, unsigned *index, int64_t *parked);
void hl_parked_id(const hl_parked *p, char out[48]);
/* {"id", "state", "script", …} of a parked row, without its event. */
cJSON *hl_parked_json(const hl_parked *p);
/* Cursors: "a.b". */
bool hl_cursor_read(hl_act *c, int64_t *a, int64_t *b);
void hl_cursor_add(cJSON *answer, int64_t a, int64_t b);

#endif
