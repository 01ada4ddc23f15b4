/* JSON between text, cJSON and Lua values. Encoding writes text straight from the
 * Lua tables, keys sorted by bytes, so that equal values give equal text. */
#include <math.h>

#include "lua/core.h"

enum { MAX_DEPTH = 100 };

/* ---- cJSON to Lua ---- */

static void push_item(lua_State *L, const cJSON *item, bool null_as_nil, bool in_array) {
  int64_t i;
  luaL_checkstack(L, 4, "JSON is nested too deeply");
  if (!item || cJSON_IsNull(item)) {
    if (null_as_nil && !in_array)
      lua_pushnil(L);
    else
      lua_pushlightuserdata(L, NULL);
  } else if (hl_json_is_int64(item, &i)) {
    lua_pushinteger(L, i);
  } else if (cJSON_IsNumber(item)) {
    lua_pushnumber(L, item->valuedouble);
  } else if (cJSON_IsBool(item)) {
    lua_pushboolean(L, cJSON_IsTrue(item));
  } else if (cJSON_IsString(item) || cJSON_IsRaw(item)) {
    lua_pushstring(L, item->valuestring);
  } else if (cJSON_IsArray(item)) {
    lua_createtable(L, cJSON_GetArraySize(item), 0);
    luaL_setmetatable(L, HL_JSON_ARRAY);
    lua_Integer n = 0;
    for (const cJSON *c = item->child; c; c = c->next) {
      push_item(L, c, null_as_nil, true);
      lua_rawseti(L, -2, ++n);
    }
  } else {
    int size = 0;
    for (const cJSON *c = item->child; c; c = c->next) size++;
    lua_createtable(L, 0, size);
    for (const cJSON *c = item->child; c; c = c->next) {
      lua_pushstring(L, c->string ? c->string : "");
      push_item(L, c, null_as_nil, false);
      lua_rawset(L, -3);
    }
  }
}

void hl_lua_push_json(lua_State *L, const cJSON *item, bool null_as_nil) {
  push_item(L, item, null_as_nil, false);
}

/* ---- Lua to text ---- */

typedef struct step { const char *key; size_t n; lua_Integer i; const void *table; } step;

typedef struct encoder {
  hl_buf *out;
  int indent;                  /* 0: compact */
  int depth;
  step path[MAX_DEPTH];
  hl_error err;
} encoder;

/* Raises; the text is in e->err, with the path of what cannot be encoded. */
static void refuse(lua_State *L, encoder *e, int code, const char *why) {
  char path[400] = "";
  size_t n = 0;
  for (int d = 0; d < e->depth && n < sizeof path - 80; d++) {
    const step *s = &e->path[d];
    int w = s->key ? snprintf(path + n, sizeof path - n, "%s%.*s", n ? "." : "", s->n > 60 ? 60 : (int)s->n, s->key)
          : s->i   ? snprintf(path + n, sizeof path - n, "[%lld]", (long long)s->i)
                   : 0;
    n += (size_t)w;
  }
  hl_fail(&e->err, code, "cannot encode %s as JSON: %s", n ? path : "the value", why);
  lua_pushliteral(L, "json");
  lua_error(L);
}

static void put(lua_State *L, encoder *e, const char *p, size_t n) {
  int rc = hl_buf_append(e->out, p, n);
  if (rc) refuse(L, e, rc, rc == HL_ENOMEM ? "no memory for the text" : "the text is larger than its limit");
}

static void put_line(lua_State *L, encoder *e, int depth) {
  static const char blanks[] = "\n                                                                ";
  if (!e->indent) return;
  size_t n = (size_t)(depth * e->indent) + 1;
  put(L, e, blanks, n < sizeof blanks ? n : sizeof blanks - 1);
}

size_t hl_utf8_length(const unsigned char *p, size_t n) {
  size_t len = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
  if (p[0] > 0xf4 || len == 0 || len > n) return 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if (len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))) return 0;
  if (len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))) return 0;
  return len;
}

bool hl_utf8_valid(hl_str s) {
  for (size_t i = 0; i < s.n;) {
    if ((unsigned char)s.p[i] < 0x80) {
      i++;
      continue;
    }
    size_t n = hl_utf8_length((const unsigned char *)s.p + i, s.n - i);
    if (!n) return false;
    i += n;
  }
  return true;
}

static void put_string(lua_State *L, encoder *e, const char *s, size_t n) {
  const unsigned char *p = (const unsigned char *)s;
  size_t from = 0, i = 0;
  put(L, e, "\"", 1);
  while (i < n) {
    unsigned char c = p[i];
    if (c >= 0x80) {
      size_t len = hl_utf8_length(p + i, n - i);
      if (!len) refuse(L, e, HL_EINVAL, "the string is not valid UTF-8 (crypto.base64_encode makes text of bytes)");
      i += len;
      continue;
    }
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
      i++;
      continue;
    }
    if (c == 0) refuse(L, e, HL_EINVAL, "the string holds a NUL character");
    put(L, e, s + from, i - from);
    char esc[8];
    int w;
    static const char short_names[] = {'"', '\\', 'b', 'f', 'n', 'r', 't'};
    static const char short_chars[] = {'"', '\\', '\b', '\f', '\n', '\r', '\t'};
    const char *known = memchr(short_chars, c, sizeof short_chars);
    if (known)
      w = snprintf(esc, sizeof esc, "\\%c", short_names[known - short_chars]);
    else
      w = snprintf(esc, sizeof esc, "\\u%04x", c);
    put(L, e, esc, (size_t)w);
    from = ++i;
  }
  put(L, e, s + from, n - from);
  put(L, e, "\"", 1);
}

static void put_number(lua_State *L, encoder *e, int idx) {
  char text[40];
  int w;
  if (lua_isinteger(L, idx)) {
    w = snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, idx));
  } else {
    double d = lua_tonumber(L, idx);
    if (!isfinite(d)) refuse(L, e, HL_EINVAL, "JSON has no NaN and no infinity");
    if (d == trunc(d) && fabs(d) < 1e15) {
      w = snprintf(text, sizeof text, "%.0f", d == 0 ? 0.0 : d);
    } else {
      w = 0;
      for (int digits = 15; digits <= 17; digits++) {
        w = snprintf(text, sizeof text, "%.*g", digits, d);
        double back = strtod(text, NULL);
        if (!(back < d) && !(back > d)) break;
      }
    }
  }
  put(L, e, text, (size_t)w);
}

typedef struct key { const char *p; size_t n; } key;

static int key_compare(const void *a, const void *b) {
  const key *x = a, *y = b;
  int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
  if (c) return c;
  return x->n < y->n ? -1 : x->n > y->n;
}

static void put_value(lua_State *L, encoder *e, int idx);

static bool marked_array(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx)) return false;
  luaL_getmetatable(L, HL_JSON_ARRAY);
  bool yes = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return yes;
}

static void put_array(lua_State *L, encoder *e, int idx, lua_Integer n) {
  step *s = &e->path[e->depth - 1];
  put(L, e, "[", 1);
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) put(L, e, ",", 1);
    put_line(L, e, e->depth);
    s->i = i;
    lua_rawgeti(L, idx, i);
    put_value(L, e, lua_gettop(L));
    lua_pop(L, 1);
  }
  s->i = 0;
  if (n) put_line(L, e, e->depth - 1);
  put(L, e, "]", 1);
}

static void put_object(lua_State *L, encoder *e, int idx, lua_Integer n) {
  step *s = &e->path[e->depth - 1];
  key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys + 1, 0);
  lua_Integer at = 0;
  /* The keys stay alive: nothing changes the table meanwhile. */
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    keys[at].p = lua_tolstring(L, -2, &keys[at].n);
    at++;
  }
  if (n > 1) qsort(keys, (size_t)n, sizeof *keys, key_compare);
  put(L, e, "{", 1);
  for (at = 0; at < n; at++) {
    if (at) put(L, e, ",", 1);
    put_line(L, e, e->depth);
    s->key = keys[at].p;
    s->n = keys[at].n;
    put_string(L, e, keys[at].p, keys[at].n);
    put(L, e, ": ", e->indent ? 2 : 1);
    lua_pushlstring(L, keys[at].p, keys[at].n);
    lua_rawget(L, idx);
    put_value(L, e, lua_gettop(L));
    lua_pop(L, 1);
  }
  s->key = NULL;
  if (n) put_line(L, e, e->depth - 1);
  put(L, e, "}", 1);
  lua_pop(L, 1);
}

static void put_table(lua_State *L, encoder *e, int idx) {
  const void *table = lua_topointer(L, idx);
  for (int d = 0; d < e->depth; d++)
    if (e->path[d].table == table) refuse(L, e, HL_EINVAL, "the table contains itself");
  if (e->depth == MAX_DEPTH) refuse(L, e, HL_EINVAL, "tables are nested more than 100 deep");
  lua_Integer strings = 0, integers = 0, highest = 0;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) {
      strings++;
    } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0) {
      integers++;
      if (lua_tointeger(L, -2) > highest) highest = lua_tointeger(L, -2);
    } else {
      char why[120];
      snprintf(why, sizeof why, "a key is a %s; JSON keys are strings (use tostring)",
               lua_isinteger(L, -2) ? "whole number below 1" : luaL_typename(L, -2));
      refuse(L, e, HL_EINVAL, why);
    }
  }
  bool array = marked_array(L, idx);
  if (strings && (integers || array))
    refuse(L, e, HL_EINVAL, "the table has both a list and named fields; JSON has one or the other");
  if (integers != highest) {
    char why[200];
    lua_Integer hole = 1;
    for (; hole <= integers; hole++) {
      bool there = lua_rawgeti(L, idx, hole) != LUA_TNIL;
      lua_pop(L, 1);
      if (!there) break;
    }
    snprintf(why, sizeof why,
             "the list has %lld but nothing at %lld; put json.null into gaps, or use tostring(key) for ids",
             (long long)highest, (long long)hole);
    refuse(L, e, HL_EINVAL, why);
  }
  e->path[e->depth++] = (step){.table = table};
  if (integers || array)
    put_array(L, e, idx, integers);
  else
    put_object(L, e, idx, strings);
  e->depth--;
}

static void put_value(lua_State *L, encoder *e, int idx) {
  luaL_checkstack(L, 8, "JSON is nested too deeply");
  switch (lua_type(L, idx)) {
  case LUA_TNIL:
    put(L, e, "null", 4);
    return;
  case LUA_TBOOLEAN:
    if (lua_toboolean(L, idx)) put(L, e, "true", 4); else put(L, e, "false", 5);
    return;
  case LUA_TNUMBER:
    put_number(L, e, idx);
    return;
  case LUA_TSTRING: {
    size_t n;
    const char *p = lua_tolstring(L, idx, &n);
    put_string(L, e, p, n);
    return;
  }
  case LUA_TTABLE:
    put_table(L, e, idx);
    return;
  case LUA_TLIGHTUSERDATA:
    if (!lua_touserdata(L, idx)) {
      put(L, e, "null", 4);
      return;
    }
    break;
  default:
    break;
  }
  char why[80];
  snprintf(why, sizeof why, "it is a %s", luaL_typename(L, idx));
  refuse(L, e, HL_EINVAL, why);
}

static int encode_protected(lua_State *L) {
  encoder *e = lua_touserdata(L, 2);
  put_value(L, e, 1);
  return 0;
}

int hl_lua_encode(lua_State *L, int idx, hl_buf *out, int indent, hl_error *err) {
  encoder e = {.out = out, .indent = indent};
  size_t n = out->n;
  idx = lua_absindex(L, idx);
  if (!lua_checkstack(L, 4)) return hl_fail(err, HL_ENOMEM, "cannot encode as JSON: no memory");
  lua_pushcfunction(L, encode_protected);
  lua_pushvalue(L, idx);
  lua_pushlightuserdata(L, &e);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 0;
  lua_pop(L, 1);
  if (out->p) {
    out->n = n;
    out->p[n] = '\0';
  }
  if (!e.err.code) return hl_fail(err, HL_ENOMEM, "cannot encode as JSON: out of memory");
  return hl_fail(err, e.err.code, "%s", e.err.text);
}

int hl_lua_to_json(lua_State *L, int idx, hl_buf *out, hl_error *err) {
  return hl_lua_encode(L, idx, out, 0, err);
}
