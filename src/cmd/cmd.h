/* Commands: the table from which dispatch, argument checking and help come.
 * Each command is a file of its own, cmd_X.c; main.c picks one and does nothing
 * else. Exit codes: 0 well, 1 failed, 2 misuse, 3 some items failed. */
#ifndef HL_CMD_CMD_H
#define HL_CMD_CMD_H

#include "base/err.h"
#include "base/str.h"

enum { HL_EXIT_OK = 0, HL_EXIT_FAILED = 1, HL_EXIT_MISUSE = 2, HL_EXIT_SOME = 3 };

typedef struct hl_flag {
  const char *name;      /* "port": given as --port N or --port=N; NULL ends the table */
  const char *value;     /* "N", or NULL for a switch */
  const char *help;
} hl_flag;

enum { HL_ARGS_MAX = 64 };

typedef struct hl_args {
  const struct hl_command *command;
  const char *flag[HL_ARGS_MAX], *value[HL_ARGS_MAX];
  size_t n_flags;
  const char *positional[HL_ARGS_MAX];
  size_t n;
} hl_args;

typedef struct hl_command {
  const char *name;
  const char *operands;  /* "FILE|DIR" */
  const char *summary;   /* one line */
  const char *examples;  /* lines for --help */
  const hl_flag *flags;
  size_t min, max;       /* operands */
  int (*run)(const hl_args *args);
  const struct hl_command *const *subs;  /* a group: its commands, named "group command"; NULL-terminated */
} hl_command;

extern const hl_command *const hl_commands[];   /* NULL-terminated */

/* Parses and runs; what main returns. */
int hl_cmd_main(int argc, char **argv);

const char *hl_args_get(const hl_args *a, const char *flag);  /* NULL: not given; the last one wins */
bool hl_args_has(const hl_args *a, const char *flag);
/* 0, or HL_EXIT_MISUSE after printing what the flag takes. */
int hl_args_int(const hl_args *a, const char *flag, int64_t min, int64_t max, int64_t fallback, int64_t *out);
/* A time in the past, as an age or by name. 0 (*out untouched when it is not given), or HL_EXIT_MISUSE after saying so. */
int hl_args_time(const hl_args *a, const char *flag, int64_t now, int64_t *out);

/* "hubloop: …" on stderr, in red on a terminal; returns `code`. */
int hl_cmd_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for an hl_error: HL_EXIT_MISUSE for HL_EINVAL, else HL_EXIT_FAILED. */
int hl_cmd_error(const hl_error *err);
/* "  left   right": `left` at least `width` characters wide; of UTF-8, not bytes. */
void hl_cmd_row(int width, const char *left, const char *right);
/* What `hubloop NAME --help` prints. False: there is no such command. */
bool hl_cmd_print_help(const char *name);
int hl_cmd_columns(void);     /* of the terminal on stdout, 80 without one */
bool hl_cmd_is_tty(int fd);   /* a terminal, and NO_COLOR not set */

extern const hl_command hl_cmd_new;
extern const hl_command hl_cmd_run;
extern const hl_command hl_cmd_serve;
extern const hl_command hl_cmd_test;
extern const hl_command hl_cmd_sim;
extern const hl_command hl_cmd_record;
extern const hl_command hl_cmd_demo;
extern const hl_command hl_cmd_check;
extern const hl_command hl_cmd_migrate;
extern const hl_command hl_cmd_webhooks;
extern const hl_command hl_cmd_route;
extern const hl_command hl_cmd_route_simulate; /* one of route */
extern const hl_command hl_cmd_events;
extern const hl_command hl_cmd_events_replay; /* one of events */
extern const hl_command hl_cmd_backup;
extern const hl_command hl_cmd_restore;
extern const hl_command hl_cmd_forget;
extern const hl_command hl_cmd_calls;
extern const hl_command hl_cmd_auth;
extern const hl_command hl_cmd_scopes;
extern const hl_command hl_cmd_help;
extern const hl_command hl_cmd_version;

#endif
