#include "lua/compiled.h"

#include <lauxlib.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"

enum { CHUNK_MAX = 4 * 1024 * 1024 };

typedef struct compiled {
  const hl_embedded *file;
  hl_buf chunk;            /* empty: it has been loaded once */
  struct compiled *next;
} compiled;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static compiled *known;

static compiled *find(const hl_embedded *file) {
  compiled *c = known;
  while (c && c->file != file) c = c->next;
  return c;
}

static int write_chunk(lua_State *L, const void *p, size_t n, void *arg) {
  (void)L;
  return hl_buf_append(arg, p, n);
}

int hl_compiled_load(lua_State *L, const hl_embedded *file, const char *chunk_name) {
  pthread_mutex_lock(&lock);
  compiled *c = find(file);
  hl_str chunk = c ? hl_buf_str(&c->chunk) : (hl_str){NULL, 0}; /* does not change once it is there */
  pthread_mutex_unlock(&lock);
  if (chunk.n) return luaL_loadbufferx(L, chunk.p, chunk.n, chunk_name, "b");
  int status = luaL_loadbufferx(L, file->bytes, file->size, chunk_name, "t");
  if (status != LUA_OK) return status;
  hl_buf out;
  hl_buf_init(&out, CHUNK_MAX);
  if (c && lua_dump(L, write_chunk, &out, 0)) hl_buf_clear(&out);
  pthread_mutex_lock(&lock);
  c = find(file);
  if (!c) {
    c = HL_NEW(compiled);
    *c = (compiled){.file = file, .chunk = out, .next = known};
    known = c;
  } else if (!c->chunk.n) {
    hl_buf_deinit(&c->chunk);
    c->chunk = out;
  } else {
    hl_buf_deinit(&out);
  }
  pthread_mutex_unlock(&lock);
  return LUA_OK;
}
