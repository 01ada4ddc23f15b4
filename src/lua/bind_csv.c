/* host.csv, for stdlib/csv.lua: a reader that is fed with pieces and gives rows, and what it takes to write them. */
#include <errno.h>
#include <iconv.h>

#include "base/csv.h"
#include "lua/core.h"
#include "lua/script.h"

#define READER_MT "hl.csv.reader"

enum { PIECE_MAX = 64 << 20, SAMPLE_MAX = 64 << 10, NAMES = 1, REST_MAX = 16 };

typedef struct reader {
  hl_csv csv;
  hl_buf in;               /* UTF-8 that is not read yet, from `at` on */
  size_t at;
  iconv_t cd;              /* (iconv_t)-1: it is UTF-8 */
  char rest[REST_MAX];     /* a character that goes on in the next piece */
  size_t n_rest;
  size_t columns;          /* of a row; 0: as many as the first has */
  bool begun, ended;
} reader;

static reader *check(lua_State *L) { return luaL_checkudata(L, 1, READER_MT); }

static int reader_gc(lua_State *L) {
  reader *r = check(L);
  hl_csv_deinit(&r->csv);
  hl_buf_deinit(&r->in);
  if (r->cd != (iconv_t)-1) iconv_close(r->cd);
  r->cd = (iconv_t)-1;
  return 0;
}

/* reader(encoding): "UTF-8", or another one that the system's iconv knows. */
static int new_reader(lua_State *L) {
  const char *encoding = luaL_checkstring(L, 1);
  reader *r = lua_newuserdatauv(L, sizeof *r, 1);
  *r = (reader){.cd = (iconv_t)-1};
  hl_csv_init(&r->csv, ',');
  hl_buf_init(&r->in, PIECE_MAX * 4UL);
  luaL_setmetatable(L, READER_MT);
  if (strcmp(encoding, "UTF-8") != 0 && (r->cd = iconv_open("UTF-8", encoding)) == (iconv_t)-1)
    return hl_lua_raise(L, "invalid", "csv: the encoding \"%s\" is not known; utf-8, windows-1252, iso-8859-15 and utf-16 are", encoding);
  return 1;
}

static int convert(reader *r, hl_str piece, hl_error *err) {
  char head[REST_MAX * 2], out[4096];
  bool joined = r->n_rest > 0;
  size_t taken = 0;
  if (joined) { /* the character that the last piece began */
    memcpy(head, r->rest, r->n_rest);
    taken = piece.n < REST_MAX ? piece.n : REST_MAX;
    memcpy(head + r->n_rest, piece.p, taken);
  }
  hl_str parts[2] = {{head, joined ? r->n_rest + taken : 0}, {piece.p + taken, piece.n - taken}};
  r->n_rest = 0;
  for (int i = joined ? 0 : 1; i < 2; i++) {
    char *p = (char *)(uintptr_t)parts[i].p;
    size_t n = parts[i].n;
    while (n) {
      char *to = out;
      size_t room = sizeof out;
      errno = 0;
      size_t rc = iconv(r->cd, &p, &n, &to, &room);
      int why = errno;
      if (hl_buf_append(&r->in, out, sizeof out - room)) return hl_fail(err, HL_ELIMIT, "csv: a piece is larger than 64 MiB");
      if (rc != (size_t)-1 || why == E2BIG) continue;
      if (why != EINVAL || n > REST_MAX)
        return hl_fail(err, HL_EINVAL, "line %llu or soon after: the text is not in the encoding that was named", (unsigned long long)r->csv.line);
      if (i == 0 && parts[1].n) { /* the head ends inside of a character that lies in the piece whole */
        parts[1].p -= n;
        parts[1].n += n;
        break;
      }
      memcpy(r->rest, p, n);
      r->n_rest = n;
      break;
    }
  }
  return 0;
}

/* reader:feed(piece) or, after the last, reader:feed(nil). */
static int reader_feed(lua_State *L) {
  reader *r = check(L);
  hl_error err;
  hl_str piece = {"", 0};
  if (lua_isnoneornil(L, 2)) r->ended = true;
  else piece.p = luaL_checklstring(L, 2, &piece.n);
  if (r->at) {
    memmove(r->in.p, r->in.p + r->at, r->in.n - r->at);
    r->in.n -= r->at;
    r->at = 0;
  }
  int rc = 0;
  if (piece.n > PIECE_MAX) rc = hl_fail(&err, HL_ELIMIT, "csv: a piece is larger than 64 MiB");
  else if (r->cd == (iconv_t)-1) rc = hl_buf_append(&r->in, piece.p, piece.n) ? hl_fail(&err, HL_ELIMIT, "csv: memory ended") : 0;
  else rc = convert(r, piece, &err);
  if (!rc && r->ended && r->n_rest) rc = hl_fail(&err, HL_EINVAL, "csv: the text ends inside of a character");
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  return 0;
}

/* reader:begin(delimiter or nil): skips the byte order mark; gives the delimiter, found out if it is not given.
 * Nil: it needs more, up to 64 KiB. */
static int reader_begin(lua_State *L) {
  reader *r = check(L);
  size_t n;
  const char *given = luaL_optlstring(L, 2, NULL, &n);
  if (!r->begun && (r->in.n >= 3 || r->ended)) {
    r->begun = true;
    if (hl_str_starts(hl_buf_str(&r->in), "\xef\xbb\xbf")) r->at = 3;
  }
  hl_str sample = {r->in.p ? r->in.p + r->at : "", r->in.n - r->at};
  if (!r->begun || (!given && !r->ended && sample.n < SAMPLE_MAX)) return 0;
  if (sample.n > SAMPLE_MAX) {
    sample.n = SAMPLE_MAX; /* whole lines of it */
    while (sample.n && sample.p[sample.n - 1] != '\n' && sample.p[sample.n - 1] != '\r') sample.n--;
  }
  r->csv.delimiter = given && n == 1 ? *given : hl_csv_delimiter(sample);
  lua_pushlstring(L, &r->csv.delimiter, 1);
  return 1;
}

/* reader:names(list): rows become tables by these names. reader:names(n): rows are lists of n. */
static int reader_names(lua_State *L) {
  reader *r = check(L);
  if (lua_isinteger(L, 2)) {
    r->columns = (size_t)lua_tointeger(L, 2);
    return 0;
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  r->columns = lua_rawlen(L, 2);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, NAMES);
  return 0;
}

static void push_list(lua_State *L, const hl_csv *c) {
  lua_createtable(L, (int)c->n, 0);
  for (size_t i = 0; i < c->n; i++) {
    hl_str f = hl_csv_field(c, i);
    lua_pushlstring(L, f.p, f.n);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* reader:next(): row, line; false, line, message, fields of a bad row; nil: it needs more, or that was all. */
static int reader_next(lua_State *L) {
  reader *r = check(L);
  hl_csv *c = &r->csv;
  hl_error err = {0};
  hl_str in = {r->in.p ? r->in.p + r->at : "", r->in.n - r->at};
  int rc = hl_csv_read(c, &in, &err);
  r->at = r->in.n - in.n;
  if (!rc && r->ended) rc = hl_csv_end(c, &err);
  if (!rc) return 0;
  if (rc == HL_ELIMIT) return hl_lua_raise(L, "limit", "csv: %s", err.text);
  if (rc == 1) {
    unsigned long long line = (unsigned long long)c->row_line;
    if (!r->columns) r->columns = c->n;
    if (c->n != r->columns)
      rc = hl_fail(&err, HL_EINVAL, "line %llu: %zu field%s where %zu are expected", line, c->n, c->n == 1 ? "" : "s", r->columns);
    else if (!hl_utf8_valid(hl_buf_str(&c->text)))
      rc = hl_fail(&err, HL_EINVAL, "line %llu: not UTF-8; say which encoding the file has, such as encoding = \"windows-1252\"", line);
  }
  if (rc < 0) {
    lua_pushboolean(L, 0);
    lua_pushinteger(L, (lua_Integer)c->row_line);
    lua_pushstring(L, err.text);
    push_list(L, c);
    return 4;
  }
  if (lua_getiuservalue(L, 1, NAMES) != LUA_TTABLE) {
    push_list(L, c);
  } else {
    int names = lua_gettop(L);
    lua_createtable(L, 0, (int)c->n);
    for (size_t i = 0; i < c->n; i++) {
      hl_str f = hl_csv_field(c, i);
      lua_rawgeti(L, names, (lua_Integer)i + 1);
      lua_pushlstring(L, f.p, f.n);
      lua_rawset(L, -3);
    }
  }
  lua_pushinteger(L, (lua_Integer)c->row_line);
  return 2;
}

void hl_bind_csv(lua_State *L) {
  static const luaL_Reg methods[] = {{"feed", reader_feed}, {"begin", reader_begin}, {"names", reader_names}, {"next", reader_next}, {NULL, NULL}};
  luaL_newmetatable(L, READER_MT);
  lua_pushcfunction(L, reader_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  hl_state_push_host(L);
  lua_pushcfunction(L, new_reader);
  lua_setfield(L, -2, "csv");
  lua_pop(L, 1);
}
