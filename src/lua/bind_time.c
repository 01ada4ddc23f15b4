/* time: the loop's clock, ISO 8601, durations, and civil times in zones. Instants
 * are epoch milliseconds. */
#include "base/time.h"
#include "lua/core.h"

#define TZ_MT "hl.tz"

static int time_now(lua_State *L) {
  lua_pushinteger(L, hl_loop_now(hl_state_of(L)->loop));
  return 1;
}

/* Outside this range iso() would need more than four digits for the year. */
static int64_t check_instant(lua_State *L, int idx) {
  lua_Number ms = luaL_checknumber(L, idx);
  luaL_argcheck(L, ms >= -62135596800000.0 && ms <= 253402300799999.0, idx,
                "an instant is epoch milliseconds between the years 1 and 9999");
  return (int64_t)ms;
}

static int time_iso(lua_State *L) {
  char text[25];
  hl_time_iso(lua_isnoneornil(L, 1) ? hl_loop_now(hl_state_of(L)->loop) : check_instant(L, 1), text);
  lua_pushstring(L, text);
  return 1;
}

static int time_parse(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  int64_t ms;
  hl_error err;
  if (hl_time_parse((hl_str){p, n}, &ms, &err) != 0) return hl_lua_raise(L, "invalid", "%s", err.text);
  lua_pushinteger(L, ms);
  return 1;
}

static int time_duration(lua_State *L) {
  lua_pushinteger(L, hl_lua_check_duration(L, 1));
  return 1;
}

static int tz_gc(lua_State *L) {
  hl_tz **tz = lua_touserdata(L, 1);
  if (*tz) hl_tz_free(*tz);
  *tz = NULL;
  return 0;
}

/* Zones that a state has used stay loaded: registry["hl.zones"][name]. */
static const hl_tz *check_zone(lua_State *L, int idx) {
  const char *name = luaL_optstring(L, idx, "UTC");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "hl.zones");
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    hl_tz **tz = lua_newuserdatauv(L, sizeof *tz, 0);
    *tz = NULL;
    luaL_setmetatable(L, TZ_MT);
    hl_error err;
    if (hl_tz_load(name, tz, &err) != 0) hl_lua_raise(L, "invalid", "%s", err.text);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  }
  const hl_tz *zone = *(hl_tz **)lua_touserdata(L, -1);
  lua_pop(L, 2);
  return zone;
}

static void set_int(lua_State *L, const char *name, lua_Integer v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

/* civil(ms, tz) → {year, month, day, hour, minute, second, ms, weekday (0 Sunday), offset} */
static int time_civil(lua_State *L) {
  int64_t ms = lua_isnoneornil(L, 1) ? hl_loop_now(hl_state_of(L)->loop) : check_instant(L, 1);
  hl_civil c;
  hl_tz_civil(check_zone(L, 2), ms, &c);
  lua_createtable(L, 0, 9);
  set_int(L, "year", c.year);
  set_int(L, "month", c.month);
  set_int(L, "day", c.day);
  set_int(L, "hour", c.hour);
  set_int(L, "minute", c.minute);
  set_int(L, "second", c.second);
  set_int(L, "ms", ((ms % 1000) + 1000) % 1000);
  set_int(L, "weekday", c.weekday);
  set_int(L, "offset", c.offset);
  return 1;
}

static int field(lua_State *L, const char *name, int fallback) {
  int v = fallback;
  if (lua_getfield(L, 1, name) != LUA_TNIL) {
    int ok;
    lua_Integer i = lua_tointegerx(L, -1, &ok);
    if (!ok || i < -100000000 || i > 100000000) luaL_error(L, "time.instant: field '%s' is no whole number in range", name);
    v = (int)i;
  }
  lua_pop(L, 1);
  return v;
}

/* instant({year, month, day, hour, minute, second, ms}, tz) → ms. Fields out of range are carried. */
static int time_instant(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  hl_civil c = {.year = field(L, "year", 1970), .month = field(L, "month", 1), .day = field(L, "day", 1),
                .hour = field(L, "hour", 0), .minute = field(L, "minute", 0), .second = field(L, "second", 0)};
  luaL_argcheck(L, c.year >= 1 && c.year <= 9999, 1, "the year is between 1 and 9999");
  int ms = field(L, "ms", 0);
  lua_pushinteger(L, hl_tz_instant(check_zone(L, 2), &c) + ms);
  return 1;
}

void hl_bind_time(lua_State *L) {
  static const luaL_Reg lib[] = {{"now", time_now},           {"iso", time_iso},     {"parse", time_parse},
                                 {"duration", time_duration}, {"civil", time_civil}, {"instant", time_instant},
                                 {NULL, NULL}};
  luaL_newmetatable(L, TZ_MT);
  lua_pushcfunction(L, tz_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newlib(L, lib);
  hl_state_push_host(L);
  lua_pushcfunction(L, time_now);
  lua_setfield(L, -2, "now");
  lua_pop(L, 1);
  hl_state_add_module(L, "time", true);
}
