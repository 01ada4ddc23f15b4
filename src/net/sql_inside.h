/* What sql.c and the two engines share. A call that is out belongs to its thread, with its connection and its
 * cursor; only `stop` and the connection's `wake` are touched by the loop meanwhile. */
#ifndef HL_NET_SQL_INSIDE_H
#define HL_NET_SQL_INSIDE_H

#include <stdatomic.h>

#include "net/sql.h"

typedef struct hl_sql_conn hl_sql_conn;

typedef struct hl_sql_engine {
  /* Connects if need be, does what the call says and leaves its result. Blocks, not longer than until call->stop. */
  void (*run)(hl_sql_conn *c, hl_sql_call *call);
  bool polls;
} hl_sql_engine;
extern const hl_sql_engine hl_sql_sqlite, hl_sql_postgres;

enum { HL_SQL_GOES_ON, HL_SQL_TIMED_OUT, HL_SQL_CANCELLED };
/* The most that a result, and a page of one, may have. */
enum { HL_SQL_ROWS_MAX = 50 * 1000, HL_SQL_BYTES_MAX = 32 << 20, HL_SQL_PAGE_ROWS = 500, HL_SQL_PAGE_BYTES = 1 << 20 };

typedef struct hl_sql_queue { hl_sql_call *first, **end; } hl_sql_queue;

struct hl_sql {
  hl_sqls *all;
  hl_sql *next;
  const hl_sql_engine *engine;
  char *place, **own;            /* the path or URL */
  bool read_only;
  unsigned opened;               /* how often */
  hl_sql_conn *conns;
  size_t n_shared, n_apart, most_shared;
  hl_sql_queue waiting;          /* for a connection */
};

struct hl_sql_conn {
  hl_sql *db;
  hl_sql_conn *next;
  bool apart;                    /* made for one cursor, closed after it */
  hl_sql_call *call;             /* that is out */
  hl_sql_queue queue;            /* after it: of the lease, or inside */
  hl_sql_lease *lease;           /* not counted */
  unsigned n_cursors;            /* not yet freed */
  int wake;                      /* eventfd: a thread that polls looks at stop; -1: none does */
  /* the engine's */
  void *handle;                  /* NULL: not connected */
  bool in_transaction;           /* as the engine says, after each call */
  hl_sql_cursor *cursors;        /* that are open */
  uint64_t numbered;
  bool doomed;                   /* the server has said that it closes it */
};

struct hl_sql_lease {
  hl_sql_conn *conn;             /* NULL: it is over */
  unsigned refs, depth;
};

struct hl_sql_cursor {
  hl_sql_conn *conn;             /* stays as long */
  hl_sql_lease *lease;           /* counted */
  bool own;                      /* the lease is the cursor's own */
  bool ended;                    /* the loop has done with it */
  /* the engine's */
  hl_sql_cursor *next;           /* of the connection */
  void *handle;
  uint64_t number;
  int64_t page;                  /* rows that it fetches at once */
  bool open;
};

struct hl_sql_call {
  hl_sql_call *next;             /* in a queue */
  hl_sql_queue *in;              /* that queue, or NULL */
  hl_sql *db;
  hl_sql_request q;
  char *text;
  unsigned depth;                /* BEGIN, COMMIT, UNDO: how many transactions there are, before it */
  unsigned levels;               /* UNDO: how many of them end */
  hl_sql_conn *conn;
  void (*done)(void *arg, hl_sql_result *r);
  void *arg;
  hl_sql_result r;
  hl_timer timer;
  hl_defer defer;
  atomic_int stop;
  bool is_virtual;               /* the clock stands: the timer cannot end it */
};

/* postgres: the text with $1, $2, … for each ? that is a placeholder; how many. The first word of the statement, in
 * capitals, into `word`. */
int hl_sql_places(hl_str text, hl_buf *out, size_t *n, char word[16]);

/* On the call's thread. */
int hl_sql_fail(hl_sql_call *call, int code, const char *state, const char *category, bool retryable, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
int hl_sql_stopped(hl_sql_call *call);  /* fails as `stop` says */
/* Appends a value to the rows; HL_ELIMIT fails the call. */
int hl_sql_put(hl_sql_call *call, char type, const void *p, size_t n);
int hl_sql_name(hl_sql_call *call, const char *name);
bool hl_sql_page_full(const hl_sql_call *call);
int hl_sql_count_values(hl_sql_call *call, size_t places);

#endif
