/* PostgreSQL behind net/sql.h, through libpq's asynchronous calls: the thread waits for the socket and for `wake`
 * together, so a statement is stopped at once. Sessions are in UTC, with ISO dates. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/libpq.h"
#include "net/sql_inside.h"

/* Object ids of PostgreSQL's own types (pg_type.dat), which never change. */
enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, FLOAT4 = 700, FLOAT8 = 701, TIMESTAMP = 1114, TIMESTAMPTZ = 1184 };
/* How long a statement that was told to stop may take for it. */
enum { STOP_MS = 3000, NUMBER_MAX = 40 };

/* ---- addresses ---- */
static const char *value_of(const PQconninfoOption *o, const char *key) {
  for (; o->keyword; o++)
    if (strcmp(o->keyword, key) == 0) return o->val && *o->val ? o->val : NULL;
  return NULL;
}

/* libpq's own text could hold a part of the password. */
static int parse(const char *url, PQconninfoOption **out, hl_error *err) {
  int rc = hl_pq_load(err);
  if (rc) return rc;
  if (!hl_str_starts(hl_str_of(url), "postgres://") && !hl_str_starts(hl_str_of(url), "postgresql://"))
    return hl_fail(err, HL_EINVAL, "the address does not begin with postgres://");
  char *text = NULL;
  *out = PQconninfoParse(url, &text);
  if (text) PQfreemem(text);
  if (*out) return 0;
  return hl_fail(err, HL_EINVAL, "the address cannot be read: it is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require, with %%XX for "
                 "what is neither letter nor digit in it");
}

int hl_sql_place(const char *url, bool entry, hl_buf *out, hl_error *err) {
  static const char *const known[] = {"user", "password", "host", "port", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding",
                                      "connect_timeout", "application_name", NULL};
  PQconninfoOption *all = NULL;
  int rc = parse(url, &all, err);
  if (rc) return rc;
  for (const PQconninfoOption *o = all; o->keyword && !rc; o++) {
    bool may = !o->val || !*o->val;
    for (size_t i = 0; known[i] && !may; i++) may = strcmp(known[i], o->keyword) == 0;
    if (!may) rc = hl_fail(err, HL_EINVAL, "the address has the option \"%s\", which scripts may not set", o->keyword);
  }
  const char *host = value_of(all, "host"), *port = value_of(all, "port"), *name = value_of(all, "dbname");
  if (!rc && (!host || strchr(host, ','))) rc = hl_fail(err, HL_EINVAL, "the address names no host, or several: postgres://HOST/DATABASE");
  if (!rc && !name && !entry) rc = hl_fail(err, HL_EINVAL, "the address names no database: postgres://HOST/DATABASE");
  if (!rc && hl_buf_printf(out, "%s:%s/%s", host, port ? port : "5432", name ? name : "")) rc = hl_fail(err, HL_ELIMIT, "the address is too long");
  for (size_t i = 0; !rc && host && i < strlen(host) && *host != '/'; i++)
    if (out->p[i] >= 'A' && out->p[i] <= 'Z') out->p[i] = (char)(out->p[i] + 'a' - 'A');
  PQconninfoFree(all);
  return rc;
}

int hl_sql_password(const char *url, hl_buf *out, hl_error *err) {
  PQconninfoOption *all = NULL;
  int rc = parse(url, &all, err);
  if (rc) return rc;
  const char *password = value_of(all, "password");
  if (password) rc = hl_buf_puts(out, password);
  PQconninfoFree(all);
  return rc;
}

/* ---- placeholders ---- */
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Behind what begins at `i` and holds no placeholder: a string, a quoted name, a comment; or i itself. */
static size_t skip(hl_str s, size_t i) {
  const char *p = s.p;
  char c = p[i], d = i + 1 < s.n ? p[i + 1] : 0;
  if (c == '-' && d == '-') {
    while (i < s.n && p[i] != '\n') i++;
  } else if (c == '/' && d == '*') {
    size_t depth = 0;
    for (; i < s.n; i++) {
      if (p[i] == '/' && i + 1 < s.n && p[i + 1] == '*') depth++, i++;
      else if (p[i] == '*' && i + 1 < s.n && p[i + 1] == '/' && (i++, --depth == 0)) return i + 1;
    }
  } else if (c == '\'' || c == '"') {
    bool escapes = c == '\'' && i && (p[i - 1] == 'e' || p[i - 1] == 'E') && !(i > 1 && (is_letter(p[i - 2]) || is_digit(p[i - 2])));
    for (i++; i < s.n; i++) {
      if (escapes && p[i] == '\\') i++;
      else if (p[i] == c && i + 1 < s.n && p[i + 1] == c) i++;
      else if (p[i] == c) return i + 1;
    }
  } else if (c == '$' && (d == '$' || is_letter(d)) && !(i && (is_letter(p[i - 1]) || is_digit(p[i - 1])))) {
    size_t n = 1;
    while (i + n < s.n && (is_letter(p[i + n]) || is_digit(p[i + n]))) n++;
    if (i + n >= s.n || p[i + n] != '$') return i;
    n++;
    const char *end = memmem(p + i + n, s.n - i - n, p + i, n);
    return end ? (size_t)(end - p) + n : s.n;
  }
  return i < s.n ? i : s.n;
}

int hl_sql_places(hl_str s, hl_buf *out, size_t *n, char word[16]) {
  size_t letters = 0, from = 0;
  bool in_word = true;
  int rc = 0;
  *n = 0;
  for (size_t i = 0; i < s.n && !rc;) {
    size_t to = skip(s, i);
    if (to > i) {
      if (letters) in_word = false;
      i = to;
      continue;
    }
    char c = s.p[i];
    if (in_word && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) && letters < 15) word[letters++] = (char)(c & ~0x20);
    else if (letters || !strchr(" \t\r\n\f\v(", c)) in_word = false;
    if (c == '?') {
      rc = hl_buf_append(out, s.p + from, i - from);
      if (i + 1 < s.n && s.p[i + 1] == '?') { /* PostgreSQL's own operators: ??, ??| and ??& */
        if (!rc) rc = hl_buf_puts(out, "?");
        i++;
      } else if (!rc) {
        rc = hl_buf_printf(out, "$%zu", ++*n);
      }
      from = i + 1;
    }
    i++;
  }
  word[letters] = 0;
  return rc ? rc : hl_buf_append(out, s.p + from, s.n - from);
}

/* ---- failures ---- */
static const struct { const char *state, *category; bool retryable; } states[] = {
    {"23505", "unique", false},     {"23503", "foreign_key", false}, {"23502", "not_null", false}, {"23514", "check", false},
    {"23", "constraint", false},    {"40", "busy", true},            {"55P03", "busy", true},      {"57014", "timeout", true},
    {"53100", "full", true},        {"53", "busy", true},            {"57P", "connection", true},  {"08", "connection", true},
    {"28", "connection", false},    {"25006", "read_only", false},   {"25P02", "transaction", false}, {"42501", "denied", false},
    {"22", "values", false},        {"54", "too_large", false},      {"58", "io", true},           {"XX", "io", false}};

static const char *one_line(char *text) {
  size_t n = strlen(text);
  while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) text[--n] = 0;
  for (char *p = text; *p; p++)
    if (*p == '\n' || *p == '\t') *p = ' ';
  return text;
}

static int failed(hl_sql_call *call, const PGresult *r) {
  const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE), *said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
  const char *category = "statement";
  bool retryable = false;
  char text[600];
  if (!state) state = "";
  for (size_t i = 0; i < HL_COUNT(states); i++) {
    if (!hl_str_starts(hl_str_of(state), states[i].state)) continue;
    category = states[i].category;
    retryable = states[i].retryable;
    break;
  }
  snprintf(text, sizeof text, "%s", said ? said : "the server refused the statement");
  return hl_sql_fail(call, HL_EIO, state, category, retryable, "%s", one_line(text));
}

/* The connection is of no more use. */
static void shut(hl_sql_conn *c) {
  for (hl_sql_cursor *r; (r = c->cursors) != NULL;) {
    c->cursors = r->next;
    r->open = false;
  }
  c->in_transaction = false;
  if (c->handle) PQfinish(c->handle);
  c->handle = NULL;
}

static int lost(hl_sql_conn *c, hl_sql_call *call, bool sent) {
  char text[400];
  snprintf(text, sizeof text, "%s", PQerrorMessage(c->handle));
  shut(c);
  return hl_sql_fail(call, HL_ENET, "", "connection", true, "the connection was lost%s: %s", sent ? " while the statement ran, which may be done or not" : "",
                     one_line(text));
}

/* ---- waiting ---- */
/* 0: the socket is ready; else it was told to stop, or `ms` are over (-1: never). */
static int wait_for(hl_sql_conn *c, const hl_sql_call *call, short events, int ms) {
  for (;;) {
    uint64_t seen;
    struct pollfd fds[2] = {{.fd = PQsocket(c->handle), .events = events}, {.fd = c->wake, .events = POLLIN}};
    if (ms < 0 && atomic_load(&call->stop)) return -1;
    int n = poll(fds, ms < 0 ? 2 : 1, ms);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    if (fds[0].revents) return 0;
    if (read(c->wake, &seen, sizeof seen) < 0) {} /* empty: another has read it */
  }
}

/* Ends what the server does for the call; the connection is lost if it does not end. */
static void stop(hl_sql_conn *c, hl_sql_call *call) {
  PGcancel *cancel = PQgetCancel(c->handle);
  char text[256];
  bool told = cancel && PQcancel(cancel, text, sizeof text);
  if (cancel) PQfreeCancel(cancel);
  if (!told) {
    shut(c);
    return;
  }
  for (PGresult *r;;) {
    while (PQisBusy(c->handle))
      if (wait_for(c, call, POLLIN, STOP_MS) || !PQconsumeInput(c->handle)) {
        shut(c);
        return;
      }
    if (!(r = PQgetResult(c->handle))) return;
    PQclear(r);
  }
}

static int stopped(hl_sql_conn *c, hl_sql_call *call) {
  stop(c, call);
  return hl_sql_stopped(call);
}

/* ---- results ---- */
static int put_stamp(hl_sql_call *call, const char *p, size_t n, bool zoned) {
  char text[64];
  const char *space = memchr(p, ' ', n);
  if (!space || n >= sizeof text - 1 || (p[n - 1] == 'C' && n > 3)) return hl_sql_put(call, HL_SQL_TEXT, p, n); /* infinity, BC */
  memcpy(text, p, n);
  text[space - p] = 'T';
  if (zoned && n > 3 && memcmp(text + n - 3, "+00", 3) == 0) text[(n -= 2) - 1] = 'Z';
  return hl_sql_put(call, HL_SQL_TEXT, text, n);
}

static int put_value(hl_sql_call *call, const PGresult *r, int row, int i) {
  if (PQgetisnull(r, row, i)) return hl_sql_put(call, HL_SQL_NULL, NULL, 0);
  const char *p = PQgetvalue(r, row, i);
  size_t n = (size_t)PQgetlength(r, row, i);
  int64_t integer;
  double real;
  switch (PQftype(r, i)) {
    case BOOL: return hl_sql_put(call, *p == 't' ? HL_SQL_TRUE : HL_SQL_FALSE, NULL, 0);
    case INT2: case INT4: case INT8: case OID:
      if (hl_str_int64((hl_str){p, n}, &integer)) break;
      return hl_sql_put(call, HL_SQL_INTEGER, &integer, sizeof integer);
    case FLOAT4: case FLOAT8:
      real = strtod(p, NULL);
      return hl_sql_put(call, HL_SQL_REAL, &real, sizeof real);
    case TIMESTAMP: case TIMESTAMPTZ: return put_stamp(call, p, n, PQftype(r, i) == TIMESTAMPTZ);
    case BYTEA: {
      size_t len = 0;
      unsigned char *bytes = PQunescapeBytea((const unsigned char *)p, &len);
      if (!bytes) return hl_sql_fail(call, HL_ENOMEM, "", "too_large", true, "no memory for a value");
      int rc = hl_sql_put(call, HL_SQL_TEXT, bytes, len);
      PQfreemem(bytes);
      return rc;
    }
    default: break;
  }
  return hl_sql_put(call, HL_SQL_TEXT, p, n);
}

static int put_rows(hl_sql_call *call, const PGresult *r) {
  int rc = 0, n = PQnfields(r);
  if (!call->r.n_columns)
    for (int i = 0; i < n && !rc; i++) rc = hl_sql_name(call, PQfname(r, i));
  for (int row = 0; row < PQntuples(r) && !rc; row++) {
    for (int i = 0; i < n && !rc; i++) rc = put_value(call, r, row, i);
    call->r.n_rows++;
  }
  return rc;
}

static int take_result(hl_sql_call *call, PGresult *r, bool wanted) {
  const char *verb = PQcmdStatus(r);
  int64_t changes;
  switch (PQresultStatus(r)) {
    case PGRES_SINGLE_TUPLE: case PGRES_TUPLES_OK: case PGRES_COMMAND_OK:
      if (hl_str_starts(hl_str_of(verb), "INSERT") || hl_str_starts(hl_str_of(verb), "UPDATE") || hl_str_starts(hl_str_of(verb), "DELETE") ||
          hl_str_starts(hl_str_of(verb), "MERGE"))
        if (!hl_str_int64(hl_str_of(PQcmdTuples(r)), &changes)) call->r.changes = changes;
      return wanted && PQresultStatus(r) != PGRES_COMMAND_OK ? put_rows(call, r) : 0;
    case PGRES_EMPTY_QUERY: return hl_sql_fail(call, HL_EINVAL, "", "statement", false, "there is no statement in the text");
    case PGRES_FATAL_ERROR: case PGRES_NONFATAL_ERROR: return failed(call, r);
    default: return hl_sql_fail(call, HL_EINVAL, "", "denied", false, "COPY is not for scripts: read with db:rows, write with INSERT");
  }
}

/* Takes what the server answers to what was sent, all of it. A failure of the call's is the first. */
static int collect(hl_sql_conn *c, hl_sql_call *call, bool wanted) {
  int flushed, rc = 0;
  while ((flushed = PQflush(c->handle)) == 1)
    if (wait_for(c, call, POLLIN | POLLOUT, -1)) return stopped(c, call);
    else if (!PQconsumeInput(c->handle)) return lost(c, call, true);
  if (flushed) return lost(c, call, true);
  for (;;) {
    while (PQisBusy(c->handle)) {
      if (wait_for(c, call, POLLIN, -1)) return stopped(c, call);
      if (!PQconsumeInput(c->handle)) return lost(c, call, true);
    }
    PGresult *r = PQgetResult(c->handle);
    if (!r) break;
    ExecStatusType status = PQresultStatus(r);
    int one = rc ? 0 : take_result(call, r, wanted);
    PQclear(r);
    if (one) rc = one;
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      shut(c);
      return rc;
    }
    if (one && status == PGRES_SINGLE_TUPLE) { /* too many: the rest is not wanted */
      stop(c, call);
      return rc;
    }
  }
  if (PQstatus(c->handle) == CONNECTION_BAD) return lost(c, call, true);
  return rc;
}

/* Statements of our own, without values. */
static int say(hl_sql_conn *c, hl_sql_call *call, const char *text, bool wanted) {
  if (!PQsendQuery(c->handle, text)) return lost(c, call, false);
  if (wanted) PQsetSingleRowMode(c->handle);
  return collect(c, call, wanted);
}

/* ---- connecting ---- */
/* Of notices only the one that the server says good-bye with is of interest: it comes to connections that do nothing. */
static void on_notice(void *arg, const PGresult *r) {
  const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
  if (state && hl_str_starts(hl_str_of(state), "57P")) ((hl_sql_conn *)arg)->doomed = true;
}

static int refused(hl_sql_conn *c, hl_sql_call *call) {
  static const char *const passing[] = {"starting up", "shutting down", "too many", "remaining connection slots", "recovery"};
  char text[600];
  snprintf(text, sizeof text, "%s", PQerrorMessage(c->handle));
  bool retryable = !strstr(text, "FATAL:");
  for (size_t i = 0; i < HL_COUNT(passing); i++) retryable = retryable || strstr(text, passing[i]);
  shut(c);
  return hl_sql_fail(call, HL_ENET, "", "connection", retryable, "%s", one_line(text));
}

static int connect_it(hl_sql_conn *c, hl_sql_call *call) {
  enum { MOST = 64 };
  const char *keys[MOST], *values[MOST];
  size_t n = 0;
  hl_error err;
  PQconninfoOption *all = NULL;
  int rc = parse(c->db->place, &all, &err);
  if (rc) return hl_sql_fail(call, rc, "", "connection", false, "%s", err.text);
  for (const PQconninfoOption *o = all; o->keyword && n < MOST - 8; o++) {
    if (!o->val || !*o->val) continue;
    keys[n] = o->keyword;
    values[n++] = o->val;
  }
  static const char *const ours[][2] = {{"client_encoding", "UTF8"}, {"fallback_application_name", "hubloop"}, {"keepalives_idle", "30"},
                                        {"keepalives_interval", "10"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "10000"}};
  for (size_t i = 0; i < HL_COUNT(ours); i++) {
    keys[n] = ours[i][0];
    values[n++] = ours[i][1];
  }
  keys[n] = values[n] = NULL;
  c->handle = PQconnectStartParams(keys, values, 0);
  PQconninfoFree(all);
  if (!c->handle) return hl_sql_fail(call, HL_ENOMEM, "", "connection", true, "no memory for a connection");
  PQsetNoticeReceiver(c->handle, on_notice, c);
  c->doomed = false;
  if (PQstatus(c->handle) == CONNECTION_BAD) return refused(c, call);
  for (PostgresPollingStatusType s = PGRES_POLLING_WRITING; s != PGRES_POLLING_OK; s = PQconnectPoll(c->handle)) {
    if (s == PGRES_POLLING_FAILED) return refused(c, call);
    if (!wait_for(c, call, s == PGRES_POLLING_READING ? POLLIN : POLLOUT, -1)) continue;
    shut(c);
    return hl_sql_stopped(call);
  }
  PQsetnonblocking(c->handle, 1);
  char text[400];
  snprintf(text, sizeof text,
           "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';"
           "SET standard_conforming_strings = on;%s%s",
           c->db->read_only ? "SET default_transaction_read_only = on;" : "",
           PQserverVersion(c->handle) >= 140000 ? "SET client_connection_check_interval = '5s';" : "");
  if ((rc = say(c, call, text, false))) shut(c);
  return rc;
}

/* What the server has closed meanwhile is not tried. */
static void drop_stale(hl_sql_conn *c) {
  struct pollfd fd = {.fd = PQsocket(c->handle), .events = POLLIN};
  if (poll(&fd, 1, 0) <= 0) return;
  if (!PQconsumeInput(c->handle) || (PQisBusy(c->handle), c->doomed) || PQstatus(c->handle) == CONNECTION_BAD) shut(c);
}

/* ---- statements ---- */
typedef struct values {
  Oid *types;
  const char **p;
  int *lengths, *formats;
  char *numbers;
} values;

static void values_init(values *v, const hl_sql_call *call) {
  size_t n = call->q.n_values;
  *v = (values){hl_alloc((n + 1) * sizeof *v->types), hl_alloc((n + 1) * sizeof *v->p), hl_alloc((n + 1) * sizeof *v->lengths),
                hl_alloc((n + 1) * sizeof *v->formats), hl_alloc((n + 1) * NUMBER_MAX)};
  for (size_t i = 0; i < n; i++) {
    const hl_sql_value *q = &call->q.values[i];
    char *number = v->numbers + i * NUMBER_MAX;
    v->p[i] = number;
    switch (q->type) {
      case HL_SQL_NULL: v->p[i] = NULL; break;
      case HL_SQL_TRUE: case HL_SQL_FALSE: v->p[i] = q->type == HL_SQL_TRUE ? "true" : "false"; break;
      case HL_SQL_INTEGER: snprintf(number, NUMBER_MAX, "%lld", (long long)q->integer); break;
      case HL_SQL_REAL: /* a whole one fits into columns of integers, too */
        if (q->real > -1e15 && q->real < 1e15 && q->real == (double)(int64_t)q->real) snprintf(number, NUMBER_MAX, "%lld", (long long)q->real);
        else if (q->real != q->real) snprintf(number, NUMBER_MAX, "NaN");
        else if (q->real - q->real != 0) snprintf(number, NUMBER_MAX, q->real > 0 ? "Infinity" : "-Infinity");
        else snprintf(number, NUMBER_MAX, "%.17g", q->real);
        break;
      default:
        v->p[i] = call->q.bytes + q->at;
        v->lengths[i] = (int)q->n;
        v->formats[i] = q->type == HL_SQL_BLOB;
        v->types[i] = q->type == HL_SQL_BLOB ? BYTEA : 0;
    }
  }
}

static void values_deinit(values *v) {
  hl_free(v->types);
  hl_free(v->p);
  hl_free(v->lengths);
  hl_free(v->formats);
  hl_free(v->numbers);
}

/* Connections are shared, so none is left in another state than it was. */
static bool is_refused(const char *word) {
  static const char *const words[] = {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "EXECUTE", "DEALLOCATE",
                                      "SET", "RESET", "DISCARD", "LISTEN", "UNLISTEN", "COPY", "DECLARE", "FETCH", "MOVE", "CLOSE", "LOAD"};
  for (size_t i = 0; i < HL_COUNT(words); i++)
    if (strcmp(words[i], word) == 0) return true;
  return false;
}

/* The script's text behind `head`, with its values. */
static int ask(hl_sql_conn *c, hl_sql_call *call, const char *head, bool wanted) {
  hl_buf text;
  values v;
  size_t places;
  char word[16];
  hl_buf_init(&text, 8 << 20);
  int rc = hl_buf_puts(&text, head);
  if (!rc) rc = hl_sql_places(call->q.text, &text, &places, word);
  if (rc) rc = hl_sql_fail(call, HL_ELIMIT, "", "too_large", false, "the statement is too long");
  else if (is_refused(word))
    rc = hl_sql_fail(call, HL_EDENIED, "", "denied", false, "%s is not for scripts: connections are shared; db:transaction(fn) begins and ends transactions", word);
  else if (places || !call->q.n_values) rc = hl_sql_count_values(call, places); /* it may say $1 itself */
  if (!rc) {
    values_init(&v, call);
    bool sent = PQsendQueryParams(c->handle, text.p, (int)call->q.n_values, v.types, v.p, v.lengths, v.formats, 0);
    values_deinit(&v);
    if (sent && wanted) PQsetSingleRowMode(c->handle);
    rc = sent ? collect(c, call, wanted) : lost(c, call, false);
  }
  hl_buf_deinit(&text);
  return rc;
}

/* ---- row by row ---- */
static void leave(hl_sql_conn *c, hl_sql_cursor *r) {
  hl_sql_cursor **at = &c->cursors;
  while (*at && *at != r) at = &(*at)->next;
  if (*at) *at = r->next;
  r->open = false;
}

static void fetch(hl_sql_conn *c, hl_sql_call *call, hl_sql_cursor *r) {
  char text[80];
  int64_t page = r->page;
  snprintf(text, sizeof text, "FETCH FORWARD %lld FROM hl_c%llu", (long long)page, (unsigned long long)r->number);
  int rc = say(c, call, text, true);
  if (call->r.rows.n > HL_SQL_PAGE_BYTES && r->page > 1) r->page /= 2;
  else if (call->r.rows.n < HL_SQL_PAGE_BYTES / 4 && r->page < HL_SQL_PAGE_ROWS) r->page = r->page * 4 < HL_SQL_PAGE_ROWS ? r->page * 4 : HL_SQL_PAGE_ROWS;
  if (rc || (int64_t)call->r.n_rows < page) {
    if (!rc && !r->own && c->handle) {
      snprintf(text, sizeof text, "CLOSE hl_c%llu", (unsigned long long)r->number);
      say(c, call, text, false);
    }
    leave(c, r);
  }
}

static void do_read(hl_sql_conn *c, hl_sql_call *call) {
  hl_sql_cursor *r = call->q.cursor;
  char head[80];
  r->number = ++c->numbered;
  snprintf(head, sizeof head, "DECLARE hl_c%llu NO SCROLL CURSOR FOR ", (unsigned long long)r->number);
  if (r->own && say(c, call, "BEGIN", false)) return;
  if (ask(c, call, head, false)) return;
  r->open = true;
  r->next = c->cursors;
  c->cursors = r;
  fetch(c, call, r);
}

static void do_leave(hl_sql_conn *c, hl_sql_call *call) {
  hl_sql_cursor *r = call->q.cursor;
  char text[80];
  snprintf(text, sizeof text, "CLOSE hl_c%llu", (unsigned long long)r->number);
  if (r->open && !r->own && c->handle && PQtransactionStatus(c->handle) == PQTRANS_INTRANS) say(c, call, text, false);
  leave(c, r);
}

/* ---- transactions ---- */
static void do_bounds(hl_sql_conn *c, hl_sql_call *call) {
  char text[120];
  unsigned first = call->depth - call->levels + 1;
  bool whole = call->q.kind == HL_SQL_COMMIT ? call->depth == 1 : call->q.kind == HL_SQL_UNDO && first == 1;
  if (whole)
    while (c->cursors) leave(c, c->cursors);
  if (call->q.kind == HL_SQL_BEGIN) {
    if (call->depth) snprintf(text, sizeof text, "SAVEPOINT hl_%u", call->depth + 1);
    else snprintf(text, sizeof text, "BEGIN");
  } else if (call->q.kind == HL_SQL_COMMIT) {
    if (call->depth > 1) snprintf(text, sizeof text, "RELEASE SAVEPOINT hl_%u", call->depth);
    else snprintf(text, sizeof text, "COMMIT");
  } else if (first > 1) {
    snprintf(text, sizeof text, "ROLLBACK TO SAVEPOINT hl_%u; RELEASE SAVEPOINT hl_%u", first, first);
  } else {
    snprintf(text, sizeof text, "ROLLBACK");
  }
  bool spoilt = PQtransactionStatus(c->handle) == PQTRANS_INERROR;
  int rc = say(c, call, text, false);
  if (!rc && spoilt && call->q.kind == HL_SQL_COMMIT)
    hl_sql_fail(call, HL_EIO, "25P02", "transaction", false, "the transaction was rolled back, as a statement in it had failed");
  if (rc && call->q.kind == HL_SQL_UNDO) shut(c); /* which rolls back, too */
}

static void run(hl_sql_conn *c, hl_sql_call *call) {
  hl_sql_kind kind = call->q.kind;
  uint64_t seen;
  if (read(c->wake, &seen, sizeof seen) < 0) {} /* what is left of an earlier call */
  if (kind == HL_SQL_SHUT) {
    shut(c);
    return;
  }
  if (kind == HL_SQL_LEAVE) {
    do_leave(c, call);
    return;
  }
  if (kind == HL_SQL_UNDO && !c->in_transaction) return;
  if (atomic_load(&call->stop) && kind != HL_SQL_UNDO) {
    hl_sql_stopped(call);
    return;
  }
  if (kind == HL_SQL_MORE && !call->q.cursor->open) {
    hl_sql_fail(call, HL_EINVAL, "", "transaction", false, "the transaction that the rows were read in is over");
    return;
  }
  if (call->depth && !c->in_transaction && kind != HL_SQL_UNDO) {
    hl_sql_fail(call, HL_EINVAL, "", "transaction", true, "the transaction was rolled back, by what failed in it before");
    return;
  }
  if (c->handle && !call->depth && kind != HL_SQL_MORE) drop_stale(c);
  if (!c->handle && connect_it(c, call)) return;
  switch (kind) {
    case HL_SQL_QUERY: case HL_SQL_EXEC: ask(c, call, "", kind == HL_SQL_QUERY); break;
    case HL_SQL_READ: do_read(c, call); break;
    case HL_SQL_MORE: fetch(c, call, call->q.cursor); break;
    default: do_bounds(c, call);
  }
  if (!c->handle) return;
  c->in_transaction = PQtransactionStatus(c->handle) != PQTRANS_IDLE;
  bool meant = call->depth || kind == HL_SQL_BEGIN || kind == HL_SQL_READ || kind == HL_SQL_MORE;
  if (c->in_transaction && !meant) shut(c);
}

const hl_sql_engine hl_sql_postgres = {.run = run, .polls = true};
