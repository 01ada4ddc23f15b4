/* A handler that a script has registered: bind_on.c makes it, bind_engine.c runs
 * it. Inside src/lua only. */
#ifndef HL_LUA_HANDLER_H
#define HL_LUA_HANDLER_H

#include "lua/script.h"

struct hl_handler_fn {
  hl_handler_fn *next;
  hl_script *script;
  int ref;               /* the function, or handler_body over filter and function */
  char *label;           /* for the log: "contact.creation" */
  char *account;         /* option account, or NULL */
  bool merged;           /* its events carry those that were merged */
  bool batch;            /* it gets a list of events */
  int key;               /* a function of the event, or LUA_NOREF */
  int64_t timeout_ms;
  hl_api_class klass;
};

/* Callbacks of the engine; arg: the hl_handler_fn. */
void hl_handler_start(void *arg, hl_run *run, const hl_event *event);
/* Upvalues: filter, handler. Argument: the event. Both may wait. */
int hl_handler_body(lua_State *L);
int hl_batch_body(lua_State *L); /* the same; argument: the list, of which the handler gets what passes */
/* The option `key` as a function: under protection, and it cannot wait. */
int hl_handler_key(void *arg, const hl_event *event, hl_buf *out, hl_error *err);

/* Pushes what a handler sees of an event; `merged`: with the events that were merged into it. */
void hl_event_push(lua_State *L, const hl_event *event, const char *account, bool merged);
/* What wait() takes, for an event and for a time. */
extern const char *const hl_wait_event_options[], *const hl_wait_time_options[];
/* A name of our own: without a dot, or with a prefix that is no HubSpot object
 * and near no HubSpot type. *nearest for the message when it is not. */
bool hl_own_name(const char *type, const char **nearest);
/* Raises unless it is one. what: "emit()" */
void hl_check_own_name(lua_State *L, const char *what, const char *name);

/* bind_derived.c: the arguments of on() at 1, 2 and 3; for an event that HubSpot does not send
 * as such they become what is registered instead. True: its type is a name of our own. */
bool hl_derive(lua_State *L);

#endif
