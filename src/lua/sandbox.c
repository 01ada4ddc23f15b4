/* The base library as scripts may have it (SEMANTICS 23, 24, 46), and require. */
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/embed.h"
#include "lua/compiled.h"
#include "lua/core.h"
#include "lua/coverage.h"

enum { MAX_SOURCE = 8 << 20 };

/* ---- base functions ---- */

static int own_print(lua_State *L) {
  hl_state *s = hl_state_of(L);
  luaL_Buffer b;
  int n = lua_gettop(L);
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  size_t len;
  const char *line = lua_tolstring(L, -1, &len);
  if (s->heard) {
    s->heard(L, "print", (hl_str){line, len});
  } else if (s->print) {
    s->print(s->print_arg, line, len);
  } else {
    fwrite(line, 1, len, stdout);
    fputc('\n', stdout);
  }
  return 0;
}

/* host.bar(text): a line on the terminal that the next one replaces, "" ends it. False, and nothing is shown, when there
 * is no terminal. */
static int h_bar(lua_State *L) {
  hl_state *s = hl_state_of(L);
  const char *text = luaL_checkstring(L, 1);
  bool shown = !s->print && !s->heard && isatty(STDERR_FILENO) && !getenv("NO_COLOR");
  if (shown) fprintf(stderr, "\r\x1b[K%s", text);
  lua_pushboolean(L, shown);
  return 1;
}

static int own_setmetatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  if (type == LUA_TTABLE) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL)
      return luaL_error(L, "__gc is not available in scripts: use a <close> variable");
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

/* upvalue 1: Lua's own load. Bytecode can do anything, so the mode is always text. */
static int own_load(lua_State *L) {
  lua_settop(L, lua_isnone(L, 4) ? 3 : 4);
  const char *mode = luaL_optstring(L, 3, "t");
  if (!strchr(mode, 't')) {
    lua_pushnil(L);
    lua_pushliteral(L, "attempt to load a binary chunk: scripts load text only");
    return 2;
  }
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int own_collectgarbage(lua_State *L) {
  const char *what = luaL_optstring(L, 1, "collect");
  if (strcmp(what, "count") != 0)
    return luaL_error(L, "collectgarbage(\"%s\") is not available: the host collects (only \"count\")", what);
  lua_pushnumber(L, (lua_Number)hl_state_of(L)->used / 1024.0);
  return 1;
}

/* ---- math.random ---- */

static int own_random(lua_State *L) {
  hl_rng *rng = &hl_state_of(L)->rng;
  lua_Integer low = 1, high;
  switch (lua_gettop(L)) {
  case 0:
    lua_pushnumber(L, hl_rng_unit(rng));
    return 1;
  case 1:
    high = luaL_checkinteger(L, 1);
    if (high == 0) {
      lua_pushinteger(L, (lua_Integer)hl_rng_next(rng));
      return 1;
    }
    break;
  case 2:
    low = luaL_checkinteger(L, 1);
    high = luaL_checkinteger(L, 2);
    break;
  default:
    return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
  uint64_t span = (uint64_t)high - (uint64_t)low;
  uint64_t pick = span == UINT64_MAX ? hl_rng_next(rng) : hl_rng_below(rng, span + 1);
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + pick));
  return 1;
}

static int own_randomseed(lua_State *L) {
  hl_state *s = hl_state_of(L);
  if (lua_gettop(L) == 0) {
    if (hl_loop_is_virtual(s->loop))
      hl_rng_init(&s->rng, hl_rng_next(hl_loop_rng(s->loop)));
    else
      hl_rng_init_system(&s->rng);
    return 0;
  }
  double x = luaL_checknumber(L, 1);
  uint64_t seed;
  if (lua_isinteger(L, 1))
    seed = (uint64_t)lua_tointeger(L, 1);
  else
    memcpy(&seed, &x, sizeof seed);
  hl_rng_init(&s->rng, seed);
  return 0;
}

/* ---- pairs, ordered in virtual time ---- */

typedef struct order_key {
  int rank;                 /* integers, floats, strings, booleans, the rest */
  lua_Integer i;
  lua_Number f;
  const char *p;
  size_t n;
  lua_Integer at;           /* place in the list of keys */
} order_key;

static int order_compare(const void *a, const void *b) {
  const order_key *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  if (x->rank == 2) {
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    if (c) return c;
    return x->n < y->n ? -1 : x->n > y->n;
  }
  if (x->rank == 1 && (x->f < y->f || x->f > y->f)) return x->f < y->f ? -1 : 1;
  return x->i < y->i ? -1 : x->i > y->i;
}

/* The place of a key that has no order of its own (a table, a function): the
 * order in which iteration met it first. */
static lua_Integer key_id(lua_State *L, int idx) {
  hl_state *s = hl_state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->key_ids);
  lua_pushvalue(L, idx);
  lua_Integer id = 0;
  if (lua_rawget(L, -2) == LUA_TNUMBER) {
    id = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return id;
  }
  lua_pop(L, 1);
  lua_rawgeti(L, -1, 1);
  id = lua_tointeger(L, -1) + 1;
  lua_pop(L, 1);
  lua_pushinteger(L, id);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, idx);
  lua_pushinteger(L, id);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return id;
}

/* upvalues: ordered keys, next place. A key whose value is gone meanwhile is left out. */
static int ordered_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, 1);
  while (lua_rawgeti(L, lua_upvalueindex(1), ++i) != LUA_TNIL) {
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) {
      lua_pushinteger(L, i);
      lua_replace(L, lua_upvalueindex(2));
      return 2;
    }
    lua_settop(L, 1);
  }
  return 1;
}

static int own_pairs(lua_State *L) {
  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 3, 0, NULL);
    return 3;
  }
  if (!lua_istable(L, 1) || !hl_loop_is_virtual(hl_state_of(L)->loop)) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
  }
  lua_settop(L, 1);
  lua_newtable(L); /* 2: keys as found */
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, 2, ++n);
  }
  order_key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys + 1, 0); /* 3 */
  for (lua_Integer i = 1; i <= n; i++) {
    order_key *k = &keys[i - 1];
    *k = (order_key){.at = i};
    switch (lua_rawgeti(L, 2, i)) {
    case LUA_TNUMBER:
      k->rank = lua_isinteger(L, -1) ? 0 : 1;
      if (k->rank == 0) k->i = lua_tointeger(L, -1);
      k->f = lua_tonumber(L, -1);
      break;
    case LUA_TSTRING:
      k->rank = 2;
      k->p = lua_tolstring(L, -1, &k->n);
      break;
    case LUA_TBOOLEAN:
      k->rank = 3;
      k->i = lua_toboolean(L, -1);
      break;
    default:
      k->rank = 4;
      k->i = key_id(L, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
  if (n > 1) qsort(keys, (size_t)n, sizeof *keys, order_compare);
  lua_createtable(L, n < INT_MAX ? (int)n : 0, 0); /* 4 */
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, keys[i - 1].at);
    lua_rawseti(L, 4, i);
  }
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, ordered_next, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* ---- require ---- */

typedef enum { FOUND_NOT, FOUND_OK, FOUND_OUTSIDE } found;

/* Opens root/dir/name with dots as slashes, when it lies inside root. */
static found open_inside(hl_state *s, const char *dir, const char *name, char path[PATH_MAX], FILE **out) {
  char real_root[PATH_MAX], wanted[PATH_MAX];
  if (!s->root || !realpath(s->root, real_root)) return FOUND_NOT;
  int n = snprintf(wanted, sizeof wanted, "%s/%s%s.lua", real_root, dir, name);
  if (n < 0 || (size_t)n >= sizeof wanted) return FOUND_NOT;
  char *dots = wanted + strlen(real_root) + 1 + strlen(dir);
  for (char *p = dots; p < wanted + n - 4; p++)
    if (*p == '.') *p = '/';
  if (!realpath(wanted, path)) return FOUND_NOT;
  size_t len = strlen(real_root);
  if (strncmp(path, real_root, len) != 0 || (path[len] != '/' && strcmp(real_root, "/") != 0))
    return FOUND_OUTSIDE;
  struct stat st;
  *out = fopen(path, "rb");
  if (!*out) return FOUND_NOT;
  if (fstat(fileno(*out), &st) != 0 || !S_ISREG(st.st_mode)) {
    fclose(*out);
    *out = NULL;
    return FOUND_NOT;
  }
  memmove(path, path + len + 1, strlen(path + len + 1) + 1); /* from the root on */
  return FOUND_OK;
}

typedef struct reader { FILE *f; size_t total; char block[4096]; } reader;

static const char *read_block(lua_State *L, void *arg, size_t *n) {
  reader *r = arg;
  (void)L;
  *n = fread(r->block, 1, sizeof r->block, r->f);
  r->total += *n;
  return *n && r->total <= MAX_SOURCE ? r->block : NULL;
}

/* Shows its owner a module's text. */
static void tell_module(hl_state *s, reader *r) {
  hl_buf text;
  if (!s->module) return;
  hl_buf_init(&text, MAX_SOURCE);
  rewind(r->f);
  for (size_t n; (n = fread(r->block, 1, sizeof r->block, r->f)) > 0 && !hl_buf_append(&text, r->block, n);) {}
  s->module(s->owner, hl_buf_str(&text));
  hl_buf_deinit(&text);
}

static bool valid_name(const char *name) {
  if (!*name || *name == '.' || strlen(name) > 200) return false;
  for (const char *p = name; *p; p++) {
    bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-';
    if (!word && *p != '.' && *p != '/') return false;
    if ((*p == '.' || *p == '/') && (p[1] == '.' || p[1] == '/' || !p[1])) return false;
  }
  return *name != '/';
}

/* A shipped module's file below stdlib/: "NAME.lua", "sim.x" is "sim/x.lua", "sim"
 * may be "sim/init.lua". */
static const hl_embedded *find_shipped(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s", name);
  for (char *p = path; *p; p++)
    if (*p == '.') *p = '/';
  size_t n = strlen(path);
  snprintf(path + n, sizeof path - n, ".lua");
  const hl_embedded *e = hl_embedded_find(path);
  if (e) return e;
  snprintf(path + n, sizeof path - n, "/init.lua");
  return hl_embedded_find(path);
}

/* Pushes the chunk and its chunk name's arguments; raises when it does not compile. */
static bool push_chunk(lua_State *L, hl_state *s, const char *name, bool *shipped) {
  const hl_embedded *e = find_shipped(name);
  *shipped = e != NULL;
  if (e) {
    char chunk[300];
    snprintf(chunk, sizeof chunk, "@stdlib/%s", e->name);
    if (hl_compiled_load(L, e, chunk) != LUA_OK) lua_error(L);
    return true;
  }
  static const char *const dirs[] = {"", "lib/"};
  for (size_t i = 0; i < HL_COUNT(dirs); i++) {
    char path[PATH_MAX], chunk[PATH_MAX + 1];
    reader r = {0};
    found f = open_inside(s, dirs[i], name, path, &r.f);
    if (f == FOUND_OUTSIDE)
      return luaL_error(L, "require \"%s\": the file is a link that leads out of the project", name);
    if (f == FOUND_NOT) continue;
    snprintf(chunk, sizeof chunk, "@%s", path);
    int status = lua_load(L, read_block, &r, chunk, "t");
    if (status == LUA_OK && r.total <= MAX_SOURCE) tell_module(s, &r);
    fclose(r.f);
    if (r.total > MAX_SOURCE) return luaL_error(L, "require \"%s\": the file is larger than 8 MiB", name);
    if (status != LUA_OK) lua_error(L);
    if (s->coverage) hl_coverage_chunk(s->coverage, L);
    return true;
  }
  return false;
}

/* Whose code calls: that of the nearest Lua function. */
static bool called_by_shipped(lua_State *L) {
  static const char test[] = "_test.lua";
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar); level++) {
    if (*ar.what == 'C') continue;
    size_t n = strlen(ar.source), m = sizeof test - 1;
    return hl_str_starts(hl_str_of(ar.source), "@stdlib/") || (n > m && strcmp(ar.source + n - m, test) == 0);
  }
  return false;
}

static int own_require(lua_State *L) {
  hl_state *s = hl_state_of(L);
  const char *name = luaL_checkstring(L, 1);
  /* The parts of shipped modules are theirs alone (and their tests'): what scripts build on must not change under
   * them. Only a script's state has a root. */
  if (s->root && strpbrk(name, "./") && strlen(name) <= 200 && find_shipped(name) && !called_by_shipped(L))
    return luaL_error(L, "require \"%s\": that is an inner part of hubloop; scripts require \"hubspot\", \"routing\" and \"text\"", name);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* 2 */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "hl.loading");     /* 3 */
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  if (!valid_name(name))
    return luaL_error(L, "require \"%s\": a module's name has letters, digits, '_', '-' and '.', and stays inside the project", name);
  if (lua_getfield(L, 3, name) != LUA_TNIL)
    return luaL_error(L, "require \"%s\": the module is being loaded already: the modules require each other in a circle", name);
  lua_pop(L, 1);
  bool shipped = false;
  if (!push_chunk(L, s, name, &shipped))
    return luaL_error(L, "require \"%s\": no such module (not shipped, and no %s.lua in the project or its lib folder)", name, name);
  lua_pushboolean(L, 1);
  lua_setfield(L, 3, name);
  /* The mark must go when the module raises: protected, and raised again. */
  lua_pushvalue(L, 1);
  if (shipped) hl_state_push_host(L); else lua_pushnil(L);
  int status = lua_pcall(L, 2, 1, 0);
  lua_pushnil(L);
  lua_setfield(L, 3, name);
  if (status != LUA_OK) {
    hl_error_adapt(s, L, status);
    return lua_error(L);
  }
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    if (lua_getfield(L, 2, name) == LUA_TNIL) lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}

/* host.columns(): of the terminal on standard output; 100 where it is none. */
static int host_columns(lua_State *L) {
  struct winsize w;
  lua_pushinteger(L, ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20 ? w.ws_col : 100);
  return 1;
}

/* host.shipped(name): the source of a module inside the binary, or nil. */
static int host_shipped(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const hl_embedded *e = strlen(name) <= 200 ? find_shipped(name) : NULL;
  if (!e) return 0;
  lua_pushlstring(L, e->bytes, e->size);
  return 1;
}

/* ---- together ---- */

/* Shipped modules that scripts see as globals are loaded at their first use. */
static int lazy_global(lua_State *L) {
  static const char *const names[] = {"text", "csv", "sql"};
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *name = lua_tostring(L, 2);
  for (size_t i = 0; i < HL_COUNT(names); i++) {
    if (strcmp(name, names[i]) != 0 || !find_shipped(name)) continue;
    lua_pushcfunction(L, own_require);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
  }
  return 0;
}

void hl_sandbox_open(lua_State *L) {
  static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base},
                                  {LUA_TABLIBNAME, luaopen_table},
                                  {LUA_STRLIBNAME, luaopen_string},
                                  {LUA_MATHLIBNAME, luaopen_math},
                                  {LUA_UTF8LIBNAME, luaopen_utf8}};
  hl_state *s = hl_state_of(L);
  for (size_t i = 0; i < HL_COUNT(libs); i++) {
    luaL_requiref(L, libs[i].name, libs[i].func, 1);
    lua_pop(L, 1);
  }
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  s->key_ids = luaL_ref(L, LUA_REGISTRYINDEX);

  lua_pushglobaltable(L);
  lua_getfield(L, -1, "load");
  lua_pushcclosure(L, own_load, 1);
  lua_setfield(L, -2, "load");
  lua_getfield(L, -1, "next");
  lua_pushcclosure(L, own_pairs, 1);
  lua_setfield(L, -2, "pairs");
  static const luaL_Reg own[] = {{"print", own_print},
                                 {"setmetatable", own_setmetatable},
                                 {"collectgarbage", own_collectgarbage},
                                 {"require", own_require},
                                 {NULL, NULL}};
  luaL_setfuncs(L, own, 0);
  static const char *const removed[] = {"dofile", "loadfile", "warn"};
  for (size_t i = 0; i < HL_COUNT(removed); i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, removed[i]);
  }
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, lazy_global);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_getfield(L, -1, "math");
  lua_pushcfunction(L, own_random);
  lua_setfield(L, -2, "random");
  lua_pushcfunction(L, own_randomseed);
  lua_setfield(L, -2, "randomseed");
  lua_pop(L, 1);
  lua_getfield(L, -1, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 2);
  hl_state_push_host(L);
  lua_pushcfunction(L, host_columns);
  lua_setfield(L, -2, "columns");
  lua_pushcfunction(L, host_shipped);
  lua_setfield(L, -2, "shipped");
  lua_pushcfunction(L, h_bar);
  lua_setfield(L, -2, "bar");
  lua_pop(L, 1);
}
