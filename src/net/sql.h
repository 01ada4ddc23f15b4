/* Databases of scripts: SQLite files and PostgreSQL servers (not the store: that is src/store). Loop thread only.
 *
 * Statements run on pool threads, one at a time for each connection; their results come back on the loop as bytes.
 * A database has few connections, which calls share in turn; a transaction and a row-by-row reading each hold one,
 * as a lease. A call that finds none waits, no longer than its timeout. A connection that broke is made anew by the
 * next call, except within a lease, whose transaction is over then.
 *
 * Nothing connects before the first call. Nothing here blocks, yields or calls Lua. */
#ifndef HL_NET_SQL_H
#define HL_NET_SQL_H

#include "base/str.h"
#include "loop/loop.h"

typedef struct hl_sqls hl_sqls;             /* all databases of one host */
typedef struct hl_sql hl_sql;               /* one of them */
typedef struct hl_sql_lease hl_sql_lease;   /* a connection that is held */
typedef struct hl_sql_cursor hl_sql_cursor; /* a reading that goes on */
typedef struct hl_sql_call hl_sql_call;     /* one statement on its way */

hl_sqls *hl_sqls_new(hl_loop *loop);
/* Its databases must be closed; what they still do ends on the loop. */
void hl_sqls_free(hl_sqls *all);

typedef struct hl_sql_options {
  const char *path;              /* of an SQLite file, absolute; or */
  const char *url;               /* postgres://… */
  bool read_only;
  const char *const *own;        /* hubloop's own files, which it never opens (base/owned.h); borrowed */
} hl_sql_options;
/* The same options give the same database again. HL_EINVAL, HL_EIO (no libpq). */
int hl_sql_open(hl_sqls *all, const hl_sql_options *o, hl_sql **out, hl_error *err);
/* As often as it was opened. Calls that are out still come back, and leases end by themselves. */
void hl_sql_close(hl_sql *db);

/* What a postgres:// URL names, for permissions: "host:port/database". The database may be missing where `entry`, a
 * permission, says so ("host:port/"). HL_EINVAL: no such URL, or one that says what scripts may not. */
int hl_sql_place(const char *url, bool entry, hl_buf *out, hl_error *err);
/* The URL's password, appended; nothing when it has none. */
int hl_sql_password(const char *url, hl_buf *out, hl_error *err);

typedef enum {
  HL_SQL_QUERY,   /* gives rows */
  HL_SQL_EXEC,    /* gives how many rows it changed */
  HL_SQL_BEGIN,   /* gives a lease; with one: begins a transaction inside of its transaction */
  HL_SQL_COMMIT,  /* of a lease, the innermost */
  HL_SQL_READ,    /* gives a cursor and its first rows */
  HL_SQL_MORE,    /* its next rows */
  HL_SQL_UNDO,    /* inside: rolls back the innermost, or `levels` of them */
  HL_SQL_LEAVE,   /* inside: ends a cursor */
  HL_SQL_SHUT,    /* inside: closes the connection */
} hl_sql_kind;

/* A value's type. In `rows` each value is its type, and for INTEGER and REAL 8 bytes, for TEXT a size_t and as many bytes. */
enum { HL_SQL_NULL = 'n', HL_SQL_INTEGER = 'i', HL_SQL_REAL = 'd', HL_SQL_TEXT = 's', HL_SQL_BLOB = 'x', HL_SQL_TRUE = 't', HL_SQL_FALSE = 'f' };
typedef struct hl_sql_value {
  char type;
  int64_t integer;
  double real;
  size_t at, n;                  /* TEXT, BLOB: its place in the call's `bytes` */
} hl_sql_value;

typedef struct hl_sql_result {
  int code;                      /* 0, or an hl_err with: */
  hl_error err;
  char state[24];                /* the engine's own name of what failed: "SQLITE_FULL", "23505"; or "" */
  const char *category;          /* "unique", "busy", …: stdlib/help/sql.md has them all */
  bool retryable;
  int64_t changes;
  size_t n_columns, n_rows;
  hl_buf names;                  /* of the columns, each with its NUL */
  hl_buf rows;
  hl_sql_lease *lease;           /* BEGIN without one; the caller's */
  hl_sql_cursor *cursor;         /* READ: the caller's, NULL when these rows are all; MORE: NULL then, and it is freed */
} hl_sql_result;

typedef struct hl_sql_request {
  hl_sql_kind kind;
  hl_str text;
  hl_sql_value *values;          /* taken over (hl_free), as are their */
  size_t n_values;
  char *bytes;
  hl_sql_lease *lease;           /* NULL: whichever connection is free */
  hl_sql_cursor *cursor;         /* MORE */
  int64_t timeout_ms;            /* of waiting and of the statement together */
} hl_sql_request;
/* `done` is called once, from the loop; the result is gone when it returns. */
hl_sql_call *hl_sql_start(hl_sql *db, const hl_sql_request *q, void (*done)(void *arg, hl_sql_result *r), void *arg);
/* `done` is not called any more; the statement is stopped. */
void hl_sql_cancel(hl_sql_call *call);

/* Leases are counted: a transaction in another has it twice. */
void hl_sql_lease_ref(hl_sql_lease *lease);
void hl_sql_lease_unref(hl_sql_lease *lease);
/* How many transactions are open in one another; 0: it is over. */
unsigned hl_sql_lease_depth(const hl_sql_lease *lease);
/* Rolls back until `depth` are open; at 0 the connection is free again. */
void hl_sql_lease_undo(hl_sql_lease *lease, unsigned depth);
/* The reading ends; gone on return. Not while a MORE of it is out, unless that was cancelled. */
void hl_sql_cursor_end(hl_sql_cursor *cursor);

#endif
