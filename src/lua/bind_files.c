/* host.source, host.folder, host.replace, host.put: files, for what reads other people's programs
 * (stdlib/check, stdlib/migrate). No script has them. They block. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lua/script.h"

enum { SOURCE_MAX = 8 << 20 };
#define CHANGED "it has changed meanwhile: run this again"

static int failed(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* host.source(path, max): the file's bytes, or nil and why. */
static int h_source(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer max = luaL_optinteger(L, 2, SOURCE_MAX);
  luaL_Buffer b;
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe does not hold it up */
  FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
  if (!f) return failed(L, strerror(errno));
  if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > max) {
    fclose(f);
    lua_pushnil(L);
    lua_pushfstring(L, "it is no file, or larger than %I MiB", (LUAI_UACINT)(max >> 20));
    return 2;
  }
  size_t n = (size_t)st.st_size;
  char *p = hl_alloc(n + 1);
  n = fread(p, 1, n, f);
  int code = ferror(f) ? errno : 0;
  fclose(f);
  if (code) {
    hl_free(p);
    return failed(L, strerror(code));
  }
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, p, n);
  hl_free(p);
  luaL_pushresult(&b);
  return 1;
}

static const char *kind_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "folder" : S_ISLNK(mode) ? "link" : "other";
}

/* host.kind(path): "file", "folder" or "other", its real path, and its size; links are followed. nil and why. */
static int h_kind(lua_State *L) {
  char full[PATH_MAX];
  struct stat st;
  if (!realpath(luaL_checkstring(L, 1), full) || stat(full, &st)) return failed(L, strerror(errno));
  lua_pushstring(L, kind_of(st.st_mode));
  lua_pushstring(L, full);
  lua_pushinteger(L, (lua_Integer)st.st_size);
  return 3;
}

/* host.folder(path): { { name=, kind=, size= }, … }, links not followed, unsorted; nil and why. */
static int h_folder(lua_State *L) {
  DIR *d = opendir(luaL_checkstring(L, 1));
  if (!d) return failed(L, strerror(errno));
  lua_Integer n = 0;
  lua_newtable(L);
  for (struct dirent *e; (errno = 0, e = readdir(d));) {
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue; /* gone meanwhile */
    lua_createtable(L, 0, 3);
    lua_pushstring(L, e->d_name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, kind_of(st.st_mode));
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, (lua_Integer)st.st_size);
    lua_setfield(L, -2, "size");
    lua_rawseti(L, -2, ++n);
  }
  int code = errno;
  closedir(d);
  return code ? failed(L, strerror(code)) : 1;
}

static int write_all(int fd, hl_str s) {
  while (s.n > 0) {
    ssize_t n = write(fd, s.p, s.n);
    if (n < 0 && errno != EINTR) return -1;
    if (n > 0) s.p += n, s.n -= (size_t)n;
  }
  return 0;
}

/* The bytes under a name of their own beside the file, where a run that was killed may have left some;
 * -1 with errno, and nothing is left. */
static int write_beside(hl_str bytes, const struct stat *old, const char *temp) {
  int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), code;
  if (fd < 0) return -1;
  if (old && fchown(fd, old->st_uid, old->st_gid)) errno = 0; /* it is ours then */
  if (fchmod(fd, old ? old->st_mode & 07777 : 0644) || write_all(fd, bytes) || fsync(fd)) {
    code = errno;
    close(fd);
    goto failed;
  }
  if (close(fd) == 0) return 0;
  code = errno;
failed:
  unlink(temp);
  errno = code;
  return -1;
}

static bool is_file(const char *path, const struct stat *st) {
  struct stat other;
  int code = errno;
  bool same = lstat(path, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
  errno = code;
  return same;
}

/* Whether that file still has these bytes; an edit of the same length shows, too. */
static bool holds(const char *path, hl_str bytes) {
  char piece[1 << 16];
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  size_t at = 0;
  for (;;) {
    ssize_t n = read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || (size_t)n > bytes.n - at || memcmp(piece, bytes.p + at, (size_t)n) != 0) {
      close(fd);
      return n == 0 && at == bytes.n;
    }
    at += (size_t)n;
  }
}

/* host.replace(path, bytes, orig, was): the whole file or nothing of it, its mode kept; with `orig` the old file
 * gets that name, which must be free, and must be no link and hold `was` still. true, or nil and why. */
static int h_replace(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *orig = luaL_optstring(L, 3, NULL);
  hl_str bytes = {0}, was = {0};
  struct stat st;
  char temp[PATH_MAX];
  bytes.p = luaL_checklstring(L, 2, &bytes.n);
  was.p = luaL_optlstring(L, 4, "", &was.n);
  if (snprintf(temp, sizeof temp, "%s.hubloopnew", path) >= (int)sizeof temp) return failed(L, strerror(ENAMETOOLONG));
  bool there = (orig ? lstat(path, &st) : stat(path, &st)) == 0;
  if (orig && !there) return failed(L, strerror(errno));
  if (orig && !S_ISREG(st.st_mode)) return failed(L, CHANGED);
  if (orig && (!(st.st_mode & 0222) || access(path, W_OK))) return failed(L, "it is read-only");
  if (write_beside(bytes, there ? &st : NULL, temp)) {
    if (!orig) return failed(L, strerror(errno));
    lua_pushnil(L);
    lua_pushfstring(L, "the new file cannot be written beside it: %s", strerror(errno));
    return 2;
  }
  const char *why = NULL;
  bool named = orig && link(path, orig) == 0;
  /* A run that was killed behind link() has left an .orig that is the file itself. */
  if (orig && !named && !(errno == EEXIST && is_file(orig, &st)))
    why = errno == EEXIST ? "its .orig is there already: move that away" : strerror(errno);
  else if (orig && !(is_file(path, &st) && is_file(orig, &st) && holds(orig, was))) why = CHANGED;
  else if (rename(temp, path)) why = strerror(errno);
  if (why) {
    if (named) unlink(orig);
    unlink(temp);
    return failed(L, why);
  }
  lua_pushboolean(L, true);
  return 1;
}

/* host.put(text): to standard output, now. */
static int h_put(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  fwrite(p, 1, n, stdout);
  return 0;
}

void hl_bind_files(lua_State *L) {
  static const luaL_Reg fns[] = {{"source", h_source}, {"kind", h_kind}, {"folder", h_folder},
                                 {"replace", h_replace}, {"put", h_put}, {NULL, NULL}};
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
}
