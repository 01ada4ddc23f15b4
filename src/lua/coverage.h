/* Which lines of a project's Lua files have run: for `hubloop test --coverage`.
 * One record for several states, one after the other or side by side. The lines
 * that can run are read from the compiled chunk, so a function that is never
 * called counts as missed. Shipped modules and *_test.lua are left out. */
#ifndef HL_LUA_COVERAGE_H
#define HL_LUA_COVERAGE_H

#include <lua.h>

#include "base/str.h"

typedef struct hl_coverage hl_coverage;

hl_coverage *hl_coverage_new(void);
void hl_coverage_free(hl_coverage *c);
/* States made from now on belong to the project in this folder. */
void hl_coverage_set_root(hl_coverage *c, const char *root);

enum { HL_LINE_NONE = -1 };   /* nothing to run there */
typedef struct hl_coverage_file {
  const char *path;
  unsigned lines, covered;    /* that can run; that have */
  unsigned n;                 /* of hits: the last line that can run */
  const int *hits;            /* by line from 1 on (hits[0] is not used); HL_LINE_NONE, else how often */
} hl_coverage_file;
/* In order of their paths. */
void hl_coverage_each(hl_coverage *c, void (*each)(void *arg, const hl_coverage_file *file), void *arg);

/* ---- inside the Lua room ---- */
/* The function on top of L is a file's chunk that was just compiled. */
void hl_coverage_chunk(hl_coverage *c, lua_State *L);
void hl_coverage_line(hl_coverage *c, lua_State *L, lua_Debug *ar);

#endif
