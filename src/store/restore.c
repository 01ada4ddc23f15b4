#include "store/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/sql.h"

enum { PIECE = 1 << 20, CHECK_OPS = 100000 };

/* ---- checking ---- */

static int32_t big_endian(const unsigned char *p) {
  return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* A young one may have no more than that in its file, and the rest in its write-ahead log. */
static bool has_log(const char *path) {
  struct stat st;
  char wal[PATH_MAX];
  snprintf(wal, sizeof wal, "%.*s-wal", PATH_MAX - 16, path);
  return stat(wal, &st) == 0 && st.st_size > 0;
}

bool hl_store_is_one(const char *path) {
  unsigned char head[100];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool sqlite = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, "SQLite format 3", 16) == 0;
  if (fd >= 0) close(fd);
  return sqlite && (big_endian(head + 68) == SQL_APPLICATION_ID || (!big_endian(head + 68) && has_log(path)));
}

static int is_stopped(void *arg) { return *(const volatile bool *)arg; }

static int is_whole(sqlite3 *db, const char *path, hl_error *err) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &st, NULL);
  if (!rc) rc = sqlite3_step(st);
  const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : sqlite3_errmsg(db);
  int code = rc == SQLITE_ROW && strcmp(text, "ok") == 0 ? 0
             : rc == SQLITE_INTERRUPT                    ? hl_fail(err, HL_ECANCELLED, "%s: the check was ended", path)
                                                         : hl_fail(err, HL_ECORRUPT, "%s is damaged: %.300s", path, text);
  sqlite3_finalize(st);
  return code;
}

int hl_store_check(const char *path, const volatile bool *stop, hl_store_summary *out, hl_error *err) {
  static const unsigned char no_key[HL_STORE_KEY_BYTES];
  hl_db *db = NULL;
  hl_store_state state;
  if (!hl_store_is_one(path)) return hl_fail(err, HL_ECORRUPT, "%s is no hubloop store", path);
  *out = (hl_store_summary){0};
  int rc = hl_db_open(path, no_key, &db, err);
  if (rc) return rc;
  if (stop) sqlite3_progress_handler(db->db, CHECK_OPS, is_stopped, (void *)(uintptr_t)stop);
  rc = is_whole(db->db, path, err);
  sqlite3_progress_handler(db->db, 0, NULL, NULL);
  hl_db_state(db, &state);
  out->counts = state.counts;
  if (!rc && sql_int(db, "SELECT coalesce((SELECT received FROM log ORDER BY id DESC LIMIT 1),0)", &out->last_received))
    rc = hl_fail(err, HL_ECORRUPT, "%s is damaged: its log cannot be read", path);
  hl_db_close(db);
  return rc;
}

/* ---- files ---- */

static int write_failed(const char *path, hl_error *err) {
  return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? hl_fail(err, HL_EFULL, "cannot write %s: the disk is full; the store is as it was", path)
                                           : hl_fail(err, HL_EIO, "cannot write %s: %s", path, strerror(errno));
}

static int copy_bytes(hl_restore *r, int in, int out, const char *from, const char *to, hl_error *err) {
  struct stat st;
  char *piece = hl_alloc(PIECE);
  int rc = fstat(in, &st) ? hl_fail(err, HL_EIO, "cannot read %s: %s", from, strerror(errno)) : 0;
  for (int64_t done = 0; !rc;) {
    ssize_t n = read(in, piece, PIECE), at = 0;
    if (n < 0) rc = hl_fail(err, HL_EIO, "cannot read %s: %s", from, strerror(errno));
    if (n <= 0) break;
    while (!rc && at < n) {
      ssize_t w = write(out, piece + at, (size_t)(n - at));
      if (w > 0) at += w;
      else if (errno != EINTR) rc = write_failed(to, err);
    }
    if (r->progress) r->progress(r->arg, done += n, st.st_size);
  }
  if (!rc && fsync(out)) rc = write_failed(to, err);
  hl_free(piece);
  return rc;
}

/* Nothing when `from` is not there and need not be. */
static int copy_file(hl_restore *r, const char *from, const char *to, bool must, hl_error *err) {
  int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0) return must || errno != ENOENT ? hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s", from, strerror(errno)) : 0;
  int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  int rc = out < 0 ? write_failed(to, err) : copy_bytes(r, in, out, from, to, err);
  if (out >= 0) close(out);
  close(in);
  return rc;
}

static const char *with(const char *path, const char *tail, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%.*s%s", PATH_MAX - 16, path, tail);
  return out;
}

static void remove_all(const char *path) {
  static const char *const tails[] = {"", "-wal", "-shm"};
  char name[PATH_MAX];
  for (size_t i = 0; i < HL_COUNT(tails); i++) unlink(with(path, tails[i], name));
}

/* Hashes of the store that was there: they are made again from the log. */
static void remove_segments(const char *store) {
  const char *slash = strrchr(store, '/');
  char *folder = slash ? hl_strndup(store, (size_t)(slash - store) + 1) : hl_strdup("./"), name[PATH_MAX], path[2 * PATH_MAX];
  with(slash ? slash + 1 : store, "-dedupe-", name);
  DIR *dir = opendir(folder);
  for (struct dirent *e; dir && (e = readdir(dir));) {
    if (strncmp(e->d_name, name, strlen(name)) != 0) continue;
    snprintf(path, sizeof path, "%s%s", folder, e->d_name);
    unlink(path);
  }
  if (dir) closedir(dir);
  hl_free(folder);
}

/* The write-ahead log first: alone it does no harm, and the file without it would be an older one. */
static int move_aside(const hl_restore *r, hl_error *err) {
  static const char *const tails[] = {"-wal", ""};
  char from[PATH_MAX], to[PATH_MAX];
  for (size_t i = 0; i < HL_COUNT(tails); i++)
    if (rename(with(r->store, tails[i], from), with(r->aside, tails[i], to)) && errno != ENOENT)
      return hl_fail(err, HL_EIO, "cannot move %s to %s: %s", from, to, strerror(errno));
  unlink(with(r->store, "-shm", from));
  return 0;
}

/* Opened and closed once: what its write-ahead log holds is then in the file, and if a process has it we hear of it.
 * One that cannot be opened may be the reason why this is done. */
static int settle(const hl_restore *r, hl_error *err) {
  static const unsigned char no_key[HL_STORE_KEY_BYTES];
  hl_db *db = NULL;
  hl_error why;
  if (!hl_store_is_one(r->store)) return 0;
  int rc = hl_db_open(r->store, no_key, &db, &why);
  hl_db_close(db);
  if (rc != HL_EBUSY) return 0;
  *err = why;
  return rc;
}

int hl_store_restore(hl_restore *r, hl_error *err) {
  char temp[PATH_MAX], from_wal[PATH_MAX], temp_wal[PATH_MAX];
  if (strlen(r->store) + 40 >= PATH_MAX || strlen(r->aside) + 8 >= PATH_MAX) return hl_fail(err, HL_EINVAL, "store %.60s…: its path is too long", r->store);
  if (access(r->from, R_OK)) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s", r->from, strerror(errno));
  if (!hl_store_is_one(r->from)) return hl_fail(err, HL_ECORRUPT, "%s is no hubloop store; restore takes what hubloop backup has made", r->from);
  with(r->store, ".restoring", temp);
  int rc = sql_make_folders(r->store, err);
  if (!rc) rc = settle(r, err);
  if (rc) return rc;
  remove_all(temp); /* of one that was killed */
  rc = copy_file(r, r->from, temp, true, err);
  if (!rc) rc = copy_file(r, with(r->from, "-wal", from_wal), with(temp, "-wal", temp_wal), false, err);
  if (!rc) rc = hl_store_check(temp, NULL, &r->summary, err);
  if (!rc && (r->kept = access(r->store, F_OK) == 0)) rc = move_aside(r, err);
  if (rc) {
    remove_all(temp);
    return rc;
  }
  remove_segments(r->store);
  if (rename(temp, r->store))
    return hl_fail(err, HL_EIO, "cannot move %s to its place: %s; move it there by hand%s%s", temp, strerror(errno),
                   r->kept ? ", what was there is " : "", r->kept ? r->aside : "");
  sql_sync_folder(r->store);
  return 0;
}
