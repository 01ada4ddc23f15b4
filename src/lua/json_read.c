/* JSON text straight to Lua values: a contact of 1 KB in 3 µs, where a tree of
 * cJSON in between makes it 8. Reads what well-formed JSON nearly always is and
 * gives up on the rest, so that hl_json_parse alone decides what is accepted and
 * says what is wrong; what this accepts, it reads in the same way
 * (tests/fuzz/json_read.c holds the two against each other). */
#include <math.h>

#include "lua/core.h"
#include "lua/script.h"

enum {
  MAX_DEPTH = 64,
  SIZE_MAX_GUESS = 255,
  NUMBER_MAX = 60,  /* cJSON looks at 63 characters */
  EXACT_DIGITS = 18,
};

typedef struct reader {
  lua_State *L;       /* NULL: only look whether it can be read */
  const char *p, *end;
  int depth;
  unsigned place;     /* of the value that comes: by the key that it, or the array around it, is under */
  bool null_as_nil;
} reader;

static void skip_blanks(reader *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

static bool take(reader *r, char c) {
  skip_blanks(r);
  if (r->p == r->end || *r->p != c) return false;
  r->p++;
  return true;
}

static int hex(const char *p) {
  int v = 0;
  for (int i = 0; i < 4; i++) {
    int c = (unsigned char)p[i], lower = c | 0x20;
    if (c >= '0' && c <= '9') v = v * 16 + (c - '0');
    else if (lower >= 'a' && lower <= 'f') v = v * 16 + (lower - 'a' + 10);
    else return -1;
  }
  return v;
}

/* The rest of a string from its first backslash on. */
static bool push_escaped(reader *r, const char *from) {
  static const char names[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
  lua_State *L = r->L;
  luaL_Buffer b;
  /* Room for the buffer's end too: Lua 5.4.4 loses its way when the stack moves while it closes one. */
  if (L && !lua_checkstack(L, 48)) return false;
  if (L) luaL_buffinit(L, &b);
  if (L) luaL_addlstring(&b, from, (size_t)(r->p - from));
  while (r->p < r->end && *r->p != '"') {
    char c = *r->p++;
    if ((unsigned char)c < ' ') return false;
    if (c != '\\') {
      if (L) luaL_addchar(&b, c);
      continue;
    }
    if (r->p == r->end) return false;
    c = *r->p++;
    const char *known = c ? strchr(names, c) : NULL;
    if (known) {
      if (L) luaL_addchar(&b, chars[known - names]);
      continue;
    }
    int u = c == 'u' && r->end - r->p >= 4 ? hex(r->p) : -1;
    if (u <= 0 || (u >= 0xd800 && u <= 0xdfff)) return false;
    r->p += 4;
    if (!L) continue;
    char utf8[4] = {(char)u};
    size_t n = 1;
    if (u >= 0x800) {
      utf8[0] = (char)(0xe0 | (u >> 12));
      utf8[n++] = (char)(0x80 | ((u >> 6) & 0x3f));
    } else if (u >= 0x80) {
      utf8[0] = (char)(0xc0 | (u >> 6));
    }
    if (u >= 0x80) utf8[n++] = (char)(0x80 | (u & 0x3f));
    luaL_addlstring(&b, utf8, n);
  }
  if (r->p == r->end) return false;
  r->p++;
  if (L) luaL_pushresult(&b);
  return true;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
/* The high bit of each byte of w that is 0; above the lowest such byte it may err. */
#define ZEROS(w) (((w) - EACH(1)) & ~(w) & EACH(0x80))

/* The first quote, backslash or control character from p on; 16 or 8 bytes at a time. */
static inline const char *plain_end(const char *p, const char *end) {
#ifdef __SSE2__
  typedef unsigned char bytes __attribute__((vector_size(16)));
  typedef char marks __attribute__((vector_size(16)));
  for (bytes b; end - p >= 16; p += 16) {
    memcpy(&b, p, 16);
    int found = __builtin_ia32_pmovmskb128((marks)((b == '"') | (b == '\\') | (b < ' ')));
    if (found) return p + __builtin_ctz((unsigned)found);
  }
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (uint64_t w; end - p >= 8; p += 8) {
    memcpy(&w, p, 8);
    uint64_t found = ZEROS(w ^ EACH('"')) | ZEROS(w ^ EACH('\\')) | ((w - EACH(' ')) & ~w & EACH(0x80));
    if (found) return p + __builtin_ctzll(found) / 8;
  }
#endif
  while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ') p++;
  return p;
}

/* Behind the opening quote. */
static bool push_text(reader *r) {
  const char *from = r->p, *end = r->end, *p = plain_end(from, end);
  r->p = p;
  if (p == end) return false;
  if (*p == '\\') return push_escaped(r, from);
  if (*p != '"') return false;
  if (r->L) lua_pushlstring(r->L, from, (size_t)(p - from));
  r->p++;
  return true;
}

static const char *digits(const char *p, const char *end) {
  while (p < end && *p >= '0' && *p <= '9') p++;
  return p;
}

static bool push_number(reader *r) {
  const char *p = r->p, *from = p + (*p == '-'), *end = digits(from, r->end);
  size_t n = (size_t)(end - from);
  if (n == 0 || (n > 1 && *from == '0')) return false;
  bool fraction = end < r->end && *end == '.', exponent = false;
  if (fraction) {
    const char *f = end + 1;
    end = digits(f, r->end);
    if (end == f) return false;
  }
  if (end < r->end && (*end == 'e' || *end == 'E')) {
    const char *e = end + 1;
    if (e < r->end && (*e == '+' || *e == '-')) e++;
    end = digits(e, r->end);
    if (end == e) return false;
    exponent = true;
  }
  if (!fraction && !exponent) {
    if (n > EXACT_DIGITS) return false;
    lua_Integer v = 0;
    if (!r->L) goto out;
    for (const char *d = from; d < end; d++) v = v * 10 + (*d - '0');
    lua_pushinteger(r->L, *p == '-' ? -v : v);
  } else {
    char text[NUMBER_MAX + 1];
    size_t length = (size_t)(end - p);
    if (length > NUMBER_MAX) return false;
    if (!r->L) goto out;
    memcpy(text, p, length);
    text[length] = '\0';
    double d = strtod(text, NULL);
    if (d == trunc(d) && fabs(d) <= 9007199254740992.0) lua_pushinteger(r->L, (lua_Integer)d);
    else lua_pushnumber(r->L, d);
  }
out:
  r->p = end;
  return true;
}

static bool push_value(reader *r, bool in_array);

/* Answers are alike: what is under the same key is likely to have as many members
 * as the last time, so its table is made in that size, not in five. */
static unsigned place_of(const char *key, size_t n) {
  return (unsigned)(n * 5 + (unsigned char)key[0] + (unsigned char)key[n / 2] * 3u) % HL_JSON_SIZES;
}

/* Behind the opening bracket. */
static bool push_table(reader *r, bool object) {
  lua_State *L = r->L;
  if (r->depth == MAX_DEPTH || (L && !lua_checkstack(L, 16))) return false;
  r->depth++;
  bool more = !take(r, object ? '}' : ']');
  unsigned place = r->place;
  if (L) {
    int guess = more ? hl_state_of(L)->json_sizes[place] : 0;
    lua_createtable(L, object ? 0 : guess, object ? guess : 0);
  }
  lua_Integer n = 0;
  r->place = (place + 1) % HL_JSON_SIZES;
  while (more) {
    if (object) {
      if (!take(r, '"')) return false;
      const char *key = r->p;
      if (!push_text(r)) return false;
      r->place = place_of(key, (size_t)(r->p - key));
      if (!take(r, ':')) return false;
    }
    if (!push_value(r, !object)) return false;
    n++;
    if (L && object) lua_rawset(L, -3);
    else if (L) lua_rawseti(L, -2, n);
    if (!object) r->place = (place + 1) % HL_JSON_SIZES;
    more = take(r, ',');
    if (!more && !take(r, object ? '}' : ']')) return false;
  }
  if (L && n) hl_state_of(L)->json_sizes[place] = (unsigned char)(n < SIZE_MAX_GUESS ? n : SIZE_MAX_GUESS);
  if (L && !object) luaL_setmetatable(L, HL_JSON_ARRAY);
  r->depth--;
  return true;
}

static bool word(reader *r, const char *text, size_t n) {
  if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0) return false;
  r->p += n;
  return true;
}

static bool push_value(reader *r, bool in_array) {
  skip_blanks(r);
  if (r->p == r->end) return false;
  switch (*r->p) {
  case '"':
    r->p++;
    return push_text(r);
  case '{':
  case '[':
    return push_table(r, *r->p++ == '{');
  case 't':
    if (r->L) lua_pushboolean(r->L, 1);
    return word(r, "true", 4);
  case 'f':
    if (r->L) lua_pushboolean(r->L, 0);
    return word(r, "false", 5);
  case 'n':
    if (r->L && r->null_as_nil && !in_array) lua_pushnil(r->L);
    else if (r->L) lua_pushlightuserdata(r->L, NULL);
    return word(r, "null", 4);
  default:
    return push_number(r);
  }
}

static bool whole(reader *r) {
  if (r->p == r->end || !push_value(r, false)) return false;
  skip_blanks(r);
  return r->p == r->end;
}

bool hl_lua_reads_json(hl_str text) {
  reader r = {.p = text.p, .end = text.p + text.n};
  return text.n && whole(&r);
}

bool hl_lua_read_json(lua_State *L, hl_str text, bool null_as_nil) {
  reader r = {.L = L, .p = text.p, .end = text.p + text.n, .null_as_nil = null_as_nil};
  int top = lua_gettop(L);
  if (text.n && lua_checkstack(L, 8) && whole(&r)) return true;
  lua_settop(L, top);
  return false;
}
