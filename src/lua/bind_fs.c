/* fs: files in the folders that the script may use (SEMANTICS 24). The kernel resolves each path beneath such a
 * folder (openat2), so no link leads out of it and nothing can be exchanged meanwhile. Files are read and written on
 * another thread. What is written stands under its name when close() has returned, whole, or not at all.
 * In a test, fs is a folder of the test's own; in a replay nothing is written. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/owned.h"
#include "lua/core.h"
#include "lua/script.h"
#include "lua/testbed.h"

#define FILE_MT "hl.fs.file"

enum { READ_MAX = 64 << 20, PIECE = 256 << 10, PATH_LONGEST = 4096, LIST_MAX = 16 << 20 };

typedef enum { FS_OPEN, FS_READ, FS_READ_ALL, FS_WRITE, FS_WRITE_ALL, FS_COMMIT, FS_LIST, FS_REMOVE } fs_what;

/* Of a userdata, whose end only marks it `dropped` while a job has it (`busy`). */
typedef struct fs_file {
  char *said;                /* the path, as the script says it */
  char *folder, *rest;       /* the permitted folder, and the path below it */
  char *name, *part;         /* writing: in `dir`; part is renamed to name */
  int fd, dir;
  const char *const *own;    /* files that are hubloop's */
  bool writing, held, busy, dropped;
} fs_file;

typedef struct fs_op {
  hl_loop *loop;
  hl_task *task;             /* NULL: it has ended meanwhile */
  fs_file *file;
  bool own;                  /* the file is not a userdata's */
  fs_what what;
  char *data;
  size_t n, want;
  int code;
  hl_error err;
} fs_op;

/* ---- on another thread ---- */
static int failed(fs_op *o, const char *verb) {
  int why = errno, code = why == ENOENT ? HL_ENOTFOUND : why == ENOSPC || why == EDQUOT ? HL_EFULL : HL_EIO;
  if (why == EXDEV || why == ELOOP)
    return hl_fail(&o->err, HL_EDENIED, "fs: cannot %s %s: a link leads out of the folder that this script may use", verb, o->file->said);
  return hl_fail(&o->err, code, "fs: cannot %s %s: %s", verb, o->file->said, strerror(why));
}

static int beneath(int dir, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

/* The folder and those above it; one that is there already is fine. */
static void make_folders(char *path) {
  for (char *p = path + 1; *p; p++)
    if (*p == '/') {
      *p = '\0';
      (void)mkdir(path, 0777);
      *p = '/';
    }
  (void)mkdir(path, 0777);
}

/* The folder `path` beneath `dir`, made if it is not there; a descriptor, or -1. Takes `dir` over. */
static int open_folder(int dir, char *path) {
  int fd = beneath(dir, *path ? path : ".", O_PATH | O_DIRECTORY);
  for (char *p = path, *slash; fd < 0 && errno == ENOENT && *p; p = slash + 1) {
    slash = strchrnul(p, '/');
    bool last = !*slash;
    *slash = '\0';
    int next = beneath(dir, p, O_PATH | O_DIRECTORY);
    if (next < 0 && errno == ENOENT && (mkdirat(dir, p, 0777) == 0 || errno == EEXIST)) next = beneath(dir, p, O_PATH | O_DIRECTORY);
    int why = errno;
    close(dir);
    dir = next;
    errno = why;
    if (next < 0) return -1;
    if (last) return next;
  }
  int why = errno;
  close(dir);
  errno = why;
  return fd;
}

static int is_ours(fs_op *o) {
  return hl_fail(&o->err, HL_EDENIED, "fs: %s is where hubloop keeps its own state: no script reads or writes that", o->file->said);
}

static int open_write(fs_op *o, int folder) {
  fs_file *f = o->file;
  char *slash = strrchr(f->rest, '/'), *path = slash ? hl_strndup(f->rest, (size_t)(slash - f->rest)) : hl_strdup("");
  const char *name = slash ? slash + 1 : f->rest;
  size_t n = strlen(name) + sizeof "..part";
  f->name = hl_strdup(name);
  f->part = hl_alloc(n);
  snprintf(f->part, n, ".%s.part", name);
  f->dir = open_folder(folder, path);
  hl_free(path);
  if (f->dir < 0) return failed(o, "write");
  struct stat at, st, in;
  bool there = fstatat(f->dir, name, &at, 0) == 0;
  if (fstat(f->dir, &in)) return failed(o, "write");
  if (hl_owned(f->own, there ? &at : NULL, &in, name)) return is_ours(o);
  if (there && S_ISDIR(at.st_mode)) return hl_fail(&o->err, HL_EINVAL, "fs: cannot write %s: it is a folder", f->said);
  f->fd = openat(f->dir, f->part, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (f->fd < 0) return failed(o, "write");
  /* One writer at a time; what a crash has left is written over. The name may have been given away while we waited. */
  if (flock(f->fd, LOCK_EX | LOCK_NB) || fstat(f->fd, &st) || fstatat(f->dir, f->part, &at, AT_SYMLINK_NOFOLLOW) || at.st_ino != st.st_ino) {
    close(f->fd);
    f->fd = -1;
    return hl_fail(&o->err, HL_EBUSY, "fs: cannot write %s: it is being written already", f->said);
  }
  return ftruncate(f->fd, 0) ? failed(o, "write") : 0;
}

static int open_file(fs_op *o) {
  fs_file *f = o->file;
  if (f->held) return 0;
  int folder = open(f->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0 && errno == ENOENT && f->writing) {
    make_folders(f->folder);
    folder = open(f->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  if (folder < 0) return failed(o, f->writing ? "write" : "read");
  if (f->writing) return open_write(o, folder);
  struct stat st;
  f->fd = beneath(folder, f->rest, O_RDONLY | O_NONBLOCK);
  int why = errno;
  close(folder);
  errno = why;
  if (f->fd < 0 || fstat(f->fd, &st)) return failed(o, "read");
  if (!S_ISREG(st.st_mode)) return hl_fail(&o->err, HL_EINVAL, "fs: cannot read %s: it is %s", f->said, S_ISDIR(st.st_mode) ? "a folder" : "no file");
  if (hl_owned(f->own, &st, NULL, NULL)) return is_ours(o);
  if (o->what == FS_READ_ALL) {
    if (st.st_size > READ_MAX)
      return hl_fail(&o->err, HL_ELIMIT, "fs.read: %s has more than 64 MiB; fs.open(path):read() gives it in pieces", f->said);
    o->want = (size_t)st.st_size;
  }
  return 0;
}

static int read_some(fs_op *o) {
  if (!(o->data = hl_try_alloc(o->want + 1))) return hl_fail(&o->err, HL_ENOMEM, "fs: no memory for %s", o->file->said);
  while (o->n < o->want) {
    ssize_t got = read(o->file->fd, o->data + o->n, o->want - o->n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(o, "read");
    if (got == 0) break;
    o->n += (size_t)got;
  }
  return 0;
}

static int write_all(fs_op *o) {
  for (size_t at = 0; !o->file->held && at < o->n;) {
    ssize_t put = write(o->file->fd, o->data + at, o->n - at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed(o, "write");
    at += (size_t)put;
  }
  return 0;
}

/* The names in a folder, each with a NUL behind it; a folder's ends in "/". Names that begin with a dot are left out. */
static int list_names(fs_op *o) {
  fs_file *f = o->file;
  int folder = open(f->folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = folder < 0 ? -1 : beneath(folder, f->rest, O_RDONLY | O_DIRECTORY);
  int why = errno;
  if (folder >= 0) close(folder);
  errno = why;
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    int rc = errno == ENOTDIR ? hl_fail(&o->err, HL_EINVAL, "fs: cannot list %s: it is no folder", f->said) : failed(o, "list");
    if (fd >= 0) close(fd);
    return rc;
  }
  hl_buf names;
  hl_buf_init(&names, LIST_MAX);
  int rc = 0;
  struct stat st;
  for (struct dirent *e; !rc && (errno = 0, e = readdir(dir));) {
    if (*e->d_name == '.') continue;
    bool is_folder = fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    rc = hl_buf_append(&names, e->d_name, strlen(e->d_name));
    if (!rc) rc = hl_buf_append(&names, "/", is_folder ? 2 : 0);
    if (!rc && !is_folder) rc = hl_buf_append(&names, "", 1);
    if (rc) hl_fail(&o->err, HL_ELIMIT, "fs: cannot list %s: its names take more than 16 MiB", f->said);
  }
  if (!rc && errno) rc = failed(o, "list");
  closedir(dir);
  if (!rc && names.n) {
    o->data = hl_alloc(names.n);
    memcpy(o->data, names.p, o->n = names.n);
  }
  hl_buf_deinit(&names);
  return rc;
}

/* A file, a link (not what it leads to) or an empty folder. o->n: whether there was one. */
static int remove_file(fs_op *o) {
  fs_file *f = o->file;
  if (f->held) return 0;
  char *slash = strrchr(f->rest, '/'), *path = slash ? hl_strndup(f->rest, (size_t)(slash - f->rest)) : hl_strdup(".");
  const char *name = slash ? slash + 1 : f->rest;
  int folder = open(f->folder, O_PATH | O_DIRECTORY | O_CLOEXEC), dir = folder < 0 ? -1 : beneath(folder, path, O_PATH | O_DIRECTORY);
  struct stat st, in;
  bool ours = dir >= 0 && fstat(dir, &in) == 0 && hl_owned(f->own, fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? NULL : &st, &in, name);
  int gone = dir < 0 || ours ? -1 : unlinkat(dir, name, 0);
  if (dir >= 0 && !ours && gone && errno == EISDIR) gone = unlinkat(dir, name, AT_REMOVEDIR);
  int rc = ours ? is_ours(o) : gone && errno != ENOENT ? failed(o, "remove") : 0;
  o->n = gone == 0;
  if (folder >= 0) close(folder);
  if (dir >= 0) close(dir);
  hl_free(path);
  return rc;
}

static void let_go(fs_file *f, bool remove) {
  if (remove && f->fd >= 0 && f->writing) (void)unlinkat(f->dir, f->part, 0);
  if (f->fd >= 0) close(f->fd);
  if (f->dir >= 0) close(f->dir);
  f->fd = f->dir = -1;
}

static int commit(fs_op *o) {
  fs_file *f = o->file;
  if (!f->writing || f->held) return 0;
  if (fsync(f->fd) || renameat(f->dir, f->part, f->dir, f->name)) return failed(o, "write");
  int dir = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = dir < 0 || fsync(dir) ? failed(o, "write") : 0;
  if (dir >= 0) close(dir);
  return rc;
}

static void work(void *arg) {
  fs_op *o = arg;
  int rc = 0;
  if (o->what == FS_OPEN || o->what == FS_READ_ALL || o->what == FS_WRITE_ALL) rc = open_file(o);
  if (!rc && (o->what == FS_READ || o->what == FS_READ_ALL)) rc = read_some(o);
  if (!rc && (o->what == FS_WRITE || o->what == FS_WRITE_ALL)) rc = write_all(o);
  if (!rc && (o->what == FS_COMMIT || o->what == FS_WRITE_ALL)) rc = commit(o);
  if (o->what == FS_LIST) rc = list_names(o);
  if (o->what == FS_REMOVE) rc = remove_file(o);
  if (rc || o->what == FS_COMMIT || o->what == FS_WRITE_ALL || o->what == FS_READ_ALL) let_go(o->file, rc != 0);
  o->code = rc;
}

/* ---- on the loop ---- */
static void file_free(fs_file *f) {
  let_go(f, true);
  hl_free(f->said);
  hl_free(f->folder);
  hl_free(f->rest);
  hl_free(f->name);
  hl_free(f->part);
  hl_free(f);
}

static fs_file **check_at(lua_State *L, int idx) { return luaL_checkudata(L, idx, FILE_MT); }
static fs_file **check(lua_State *L) { return check_at(L, 1); }

/* Left without close(), as by an error: what was written is dropped. */
static int file_gc(lua_State *L) {
  fs_file **box = check(L), *f = *box;
  *box = NULL;
  if (f && f->busy) f->dropped = true;
  else if (f) file_free(f);
  return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void push_names(lua_State *L, const fs_op *o) {
  size_t n = 0, i = 0;
  for (size_t at = 0; at < o->n; at += strlen(o->data + at) + 1) n++;
  const char **names = hl_alloc((n + 1) * sizeof *names);
  for (size_t at = 0; at < o->n; at += strlen(o->data + at) + 1) names[i++] = o->data + at;
  qsort(names, n, sizeof *names, by_name);
  lua_createtable(L, (int)n, 0);
  for (i = 0; i < n; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  hl_free(names);
}

static int push(lua_State *L, void *arg) {
  fs_op *o = arg;
  if (o->code) {
    hl_lua_push_error(L, hl_err_name(o->code), o->err.text, 0, NULL, NULL, false);
    return -1;
  }
  if (o->what == FS_READ && !o->n) lua_pushnil(L);
  else if (o->what == FS_READ || o->what == FS_READ_ALL) lua_pushlstring(L, o->data, o->n);
  else if (o->what == FS_OPEN) {
    fs_file **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = o->file;
    o->file = NULL;
    luaL_setmetatable(L, FILE_MT);
  } else if (o->what == FS_LIST) push_names(L, o);
  else if (o->what == FS_REMOVE) lua_pushboolean(L, o->n != 0);
  else return 0;
  return 1;
}

static void done(void *arg) {
  fs_op *o = arg;
  fs_file *f = o->file;
  bool own = o->own || f->dropped;
  f->busy = false;
  if (o->task) hl_task_resume(o->task, push, o); /* a file that is not our own may be gone then */
  if (own && o->file) file_free(o->file);
  hl_free(o->data);
  hl_free(o);
}

static void dropped(void *arg) { ((fs_op *)arg)->task = NULL; }

/* `fresh`: f came from check_path, whose userdata on top gives it away. */
static int start(lua_State *L, fs_file *f, bool fresh, fs_what what, hl_str text, size_t want) {
  if (f->busy) return luaL_error(L, "fs: another task reads or writes %s right now", f->said);
  hl_task *t = hl_task_check_wait(L);
  char *data = text.n ? hl_try_alloc(text.n) : NULL;
  if (text.n && !data) return luaL_error(L, "fs: no memory to write %s", f->said);
  if (data) memcpy(data, text.p, text.n);
  fs_op *o = HL_NEW(fs_op);
  *o = (fs_op){.loop = hl_script_of(L)->host->o.loop, .task = t, .file = f, .own = fresh, .what = what, .data = data, .n = text.n, .want = want};
  f->busy = true;
  if (fresh) *check_at(L, -1) = NULL;
  hl_task_wait(t, dropped, o);
  hl_loop_work(o->loop, work, done, o);
  return hl_task_yield(L);
}

/* Appends `path` without ".", ".." and empty parts behind what `out` holds; ".." takes a part away. */
static void normalize(hl_buf *out, const char *path) {
  while (*path) {
    size_t n = strcspn(path, "/");
    if (n == 2 && memcmp(path, "..", 2) == 0) {
      while (out->n && out->p[--out->n] != '/') {}
      out->p[out->n] = '\0';
    } else if (n && !(n == 1 && *path == '.')) {
      (void)hl_buf_append(out, "/", 1);
      (void)hl_buf_append(out, path, n);
    }
    path += n + (path[n] != '\0');
  }
}

static void place(hl_buf *out, const char *root, bool below, const char *path) {
  hl_buf_clear(out);
  if (below || *path != '/') normalize(out, root);
  normalize(out, path);
}

static bool climbs(const char *path) {
  for (const char *p = path; (p = strstr(p, "..")); p += 2)
    if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/')) return true;
  return false;
}

void hl_script_check_path(lua_State *L, const char *what, bool folder, hl_str path) {
  if (!path.n || path.n >= PATH_LONGEST / 2 || strlen(path.p) != path.n) hl_lua_raise(L, "invalid", "%s: a path has 1 to 2,047 bytes and no NUL", what);
  if (climbs(path.p)) hl_lua_raise(L, "invalid", "%s: \"%s\": a path cannot go up with \"..\"", what, path.p);
  if (path.p[path.n - 1] == '/' && !folder) hl_lua_raise(L, "invalid", "%s: \"%s\" names a folder", what, path.p);
}

void hl_script_place(lua_State *L, const char *path, hl_buf *out) {
  hl_testbed *bed = hl_script_of(L)->host->bed;
  const char *root = NULL;
  char cwd[PATH_LONGEST];
  hl_buf folder;
  hl_error err;
  if (bed && hl_testbed_files(bed, &root, &err)) luaL_error(L, "fs: %s", err.text);
  if (!root && !(root = hl_script_of(L)->host->root)) root = ".";
  hl_buf_init(&folder, PATH_LONGEST);
  if (*root != '/' && getcwd(cwd, sizeof cwd)) {
    place(&folder, cwd, false, root);
    root = folder.p ? folder.p : "/";
  }
  place(out, root, bed != NULL, path);
  hl_buf_deinit(&folder);
}

/* The file (or the folder, `list`) that the path at 1 names, in a userdata on top; nothing is opened yet. Raises. */
static fs_file *check_path(lua_State *L, const char *what, bool writing, bool list) {
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  hl_script *s = hl_script_of(L);
  hl_testbed *bed = s->host->bed;
  hl_script_check_path(L, what, list, (hl_str){path, n});
  fs_file **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, FILE_MT);
  hl_buf full, folder;
  hl_buf_init(&full, PATH_LONGEST);
  hl_buf_init(&folder, PATH_LONGEST);
  static const char *const everything[] = {".", NULL};
  const char *const *allowed = bed && s == bed->script ? everything : (const char *const *)s->fs;
  hl_script_place(L, path, &full);
  fs_file *f = NULL;
  for (; allowed && *allowed && !f; allowed++) {
    hl_script_place(L, *allowed, &folder);
    bool itself = list && full.n == folder.n;
    if ((full.n <= folder.n && !itself) || (folder.n && memcmp(full.p, folder.p, folder.n) != 0) || (!itself && full.p[folder.n] != '/')) continue;
    f = HL_NEW(fs_file);
    f->said = hl_strdup(path);
    f->folder = hl_strdup(folder.n ? folder.p : "/");
    f->rest = hl_strdup(itself ? "." : full.p + folder.n + 1);
    f->fd = f->dir = -1;
    f->writing = writing;
    f->own = s->host->o.own;
    *box = f;
  }
  hl_buf_deinit(&full);
  hl_buf_deinit(&folder);
  if (!f) {
    const char *slash = strrchr(path, '/');
    char dir[256];
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash && slash > path ? path : slash ? "/" : ".");
    hl_lua_raise(L, "denied", "%s: this script may not use %s: permit its folder with permissions = { [\"%s\"] = { fs = { \"%s\" } } } "
                 "in hubloop.lua, or --allow-fs %s for a lone script, which reads no hubloop.lua", what, path, s->name, dir, dir);
  } else if (writing && s->host->o.replay) { /* in a replay nothing is written */
    f->held = true;
    hl_task *t = hl_task_current(L);
    hl_replay_did(s->host, t ? hl_task_run(t) : NULL, false, "fs", path, (hl_str){NULL, 0}, NULL);
  }
  return f;
}

/* fs.open(path, ["r" or "w"]) */
static int l_open(lua_State *L) {
  static const char *const modes[] = {"r", "w", NULL};
  int mode = luaL_checkoption(L, 2, "r", modes);
  lua_settop(L, 2);
  return start(L, check_path(L, "fs.open", mode == 1, false), true, FS_OPEN, (hl_str){NULL, 0}, 0);
}

/* fs.read(path) */
static int l_read(lua_State *L) {
  lua_settop(L, 1);
  return start(L, check_path(L, "fs.read", false, false), true, FS_READ_ALL, (hl_str){NULL, 0}, 0);
}

/* fs.write(path, text) */
static int l_write(lua_State *L) {
  hl_str text;
  text.p = luaL_checklstring(L, 2, &text.n);
  lua_settop(L, 2);
  return start(L, check_path(L, "fs.write", true, false), true, FS_WRITE_ALL, text, 0);
}

/* fs.list(folder): names in order, a folder's with a "/" behind it */
static int l_list(lua_State *L) {
  lua_settop(L, 1);
  return start(L, check_path(L, "fs.list", false, true), true, FS_LIST, (hl_str){NULL, 0}, 0);
}

/* fs.remove(path): true, or false when nothing was there */
static int l_remove(lua_State *L) {
  lua_settop(L, 1);
  return start(L, check_path(L, "fs.remove", true, false), true, FS_REMOVE, (hl_str){NULL, 0}, 0);
}

static fs_file *check_open(lua_State *L, bool writing, const char *what) {
  fs_file *f = *check(L);
  if (!f || (f->fd < 0 && !f->held && !f->busy)) luaL_error(L, "fs: the file is closed");
  if (f->writing != writing) luaL_error(L, "fs: %s is open for %s, not for %s", f->said, f->writing ? "writing" : "reading", what);
  return f;
}

/* file:read([bytes]): nil at the end */
static int file_read(lua_State *L) {
  fs_file *f = check_open(L, false, "reading");
  lua_Integer n = luaL_optinteger(L, 2, PIECE);
  luaL_argcheck(L, n > 0 && n <= READ_MAX, 2, "1 byte to 64 MiB");
  return start(L, f, false, FS_READ, (hl_str){NULL, 0}, (size_t)n);
}

static int file_write(lua_State *L) {
  fs_file *f = check_open(L, true, "writing");
  hl_str text;
  text.p = luaL_checklstring(L, 2, &text.n);
  return text.n ? start(L, f, false, FS_WRITE, text, 0) : 0;
}

/* file:size(): bytes, of a file that is read */
static int file_size(lua_State *L) {
  struct stat st;
  fs_file *f = check_open(L, false, "reading");
  lua_pushinteger(L, fstat(f->fd, &st) == 0 ? (lua_Integer)st.st_size : 0);
  return 1;
}

/* file:close(): what was written stands when this has returned. Closed already: nothing. */
static int file_close(lua_State *L) {
  fs_file *f = *check(L);
  if (!f || (f->fd < 0 && !f->busy)) return 0;
  if (f->writing || f->busy) return start(L, f, false, FS_COMMIT, (hl_str){NULL, 0}, 0);
  let_go(f, false);
  return 0;
}

void hl_bind_fs(lua_State *L) {
  static const luaL_Reg lib[] = {{"open", l_open}, {"read", l_read}, {"write", l_write}, {"list", l_list}, {"remove", l_remove}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"read", file_read}, {"write", file_write}, {"size", file_size}, {"close", file_close}, {"drop", file_gc}, {NULL, NULL}};
  luaL_newmetatable(L, FILE_MT);
  lua_pushcfunction(L, file_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, file_gc);
  lua_setfield(L, -2, "__close");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, lib);
  hl_state_add_module(L, "fs", true);
}
