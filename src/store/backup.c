#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/restore.h"
#include "store/sql.h"

enum { STEP_BYTES = 1 << 20 };

/* ---- the copy ---- */

/* What works on it: with the store's writer, then with a worker. It outlives the hl_backup that was freed. */
typedef struct work {
  hl_backup *b;              /* NULL: nobody wants it any more */
  hl_loop *loop;
  hl_store *s;
  char *to, *temp;
  bool more;
  volatile bool stop;
  hl_backup_state state;
} work;

struct hl_backup {
  work *w;                   /* NULL: over */
  hl_backup_state state;     /* as last told */
};

/* What is not done leaves nothing behind. */
static void end_work(work *w) {
  if (w->state.phase != HL_BACKUP_DONE) unlink(w->temp);
  if (w->b) {
    w->b->state = w->state;
    w->b->w = NULL;
  }
  hl_free(w->to);
  hl_free(w->temp);
  hl_free(w);
}

static int fail(work *w, int code, const char *what, const char *why) {
  w->state.phase = HL_BACKUP_FAILED;
  w->more = false;
  return code == HL_EFULL ? hl_fail(&w->state.err, code, "backup %s: the disk is full; nothing was kept of it, and the store is as it was", w->to)
                          : hl_fail(&w->state.err, code, "backup %s: %s: %s", w->to, what, why);
}

static int fail_sql(work *w, sqlite3 *db, int rc, const char *what) {
  int os = 0, primary = rc & 0xff;
  if (db) sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &os);
  bool full = primary == SQLITE_FULL || os == ENOSPC || os == EDQUOT || os == EFBIG;
  return fail(w, full ? HL_EFULL : primary == SQLITE_CORRUPT ? HL_ECORRUPT : HL_EIO, what, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static int begin(hl_db *db, work *w) {
  int rc = sqlite3_open_v2(w->temp, &db->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (!rc) rc = sqlite3_exec(db->copy, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
  if (!rc && !(db->backup = sqlite3_backup_init(db->copy, "main", db->db, "main"))) rc = sqlite3_errcode(db->copy);
  return rc ? fail_sql(w, db->copy, rc, "cannot begin") : 0;
}

static void step(hl_db *db, void *arg) {
  work *w = arg;
  w->more = false;
  if (!w->stop && (db->backup || !begin(db, w))) {
    int rc = sqlite3_backup_step(db->backup, (int)(STEP_BYTES / db->page_bytes));
    w->state.of = sqlite3_backup_pagecount(db->backup);
    w->state.pages = w->state.of - sqlite3_backup_remaining(db->backup);
    w->more = rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
    if (!w->more && rc != SQLITE_DONE) fail_sql(w, db->copy, rc, "cannot copy");
  }
  if (w->more) return;
  int rc = sql_backup_end(db);
  if (rc && w->state.phase == HL_BACKUP_COPIES) fail_sql(w, NULL, rc, "cannot copy");
}

int sql_backup_end(hl_db *db) {
  int rc = db->backup ? sqlite3_backup_finish(db->backup) : 0;
  sqlite3_close(db->copy);
  db->backup = NULL;
  db->copy = NULL;
  return rc;
}

/* ---- afterwards ---- */

/* One file that needs no others: the copy carries the mark of a write-ahead log. */
static int close_up(const char *temp, hl_error *err) {
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(temp, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (!rc) rc = sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
  if (rc) hl_fail(err, HL_EIO, "%s", sqlite3_errmsg(db));
  sqlite3_close(db);
  return rc ? HL_EIO : 0;
}

static int sync_path(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);
  int rc = fd < 0 || fsync(fd) ? errno : 0;
  if (fd >= 0) close(fd);
  return rc;
}

int sql_sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = !slash ? hl_strdup(".") : slash == path ? hl_strdup("/") : hl_strndup(path, (size_t)(slash - path));
  int rc = sync_path(folder, O_RDONLY | O_DIRECTORY);
  hl_free(folder);
  return rc;
}

/* On a pool thread. */
static void check(void *arg) {
  work *w = arg;
  hl_store_summary summary;
  hl_error err;
  struct stat st;
  int why;
  if (hl_store_check(w->temp, &w->stop, &summary, &err) || close_up(w->temp, &err)) fail(w, err.code, "cannot be used", err.text);
  else if ((why = sync_path(w->temp, O_RDWR))) fail(w, why == ENOSPC ? HL_EFULL : HL_EIO, "cannot be written through", strerror(why));
  else if (access(w->to, F_OK) == 0) fail(w, HL_EINVAL, "cannot take its name", "somebody else has made that file meanwhile");
  else if (rename(w->temp, w->to) || (why = sql_sync_folder(w->to))) fail(w, HL_EIO, "cannot take its name", strerror(errno));
  else w->state.phase = HL_BACKUP_DONE;
  if (stat(w->to, &st) == 0) w->state.bytes = st.st_size;
}

static void checked(void *arg) { end_work(arg); }

static void stepped(void *arg);
static void dropped(void *arg) {
  work *w = arg;
  if (w->state.phase == HL_BACKUP_COPIES) fail(w, HL_ECANCELLED, "ended", "hubloop stopped");
  end_work(w);
}

static const hl_store_call_type copying = {step, stepped, dropped};

static void stepped(void *arg) {
  work *w = arg;
  if (!w->more && (w->state.phase == HL_BACKUP_FAILED || w->stop)) {
    end_work(w);
    return;
  }
  if (!w->more) w->state.phase = HL_BACKUP_CHECKS;
  if (w->b) w->b->state = w->state;
  if (w->more) hl_store_call(w->s, &copying, w);
  else hl_loop_work(w->loop, check, checked, w);
}

/* ---- the door ---- */

int hl_backup_new(hl_loop *loop, hl_store *s, const char *to, hl_backup **out, hl_error *err) {
  hl_buf temp;
  if (access(to, F_OK) == 0) return hl_fail(err, HL_EINVAL, "backup %s: that file is there already; name another, or move it away", to);
  hl_buf_init(&temp, 1 << 16);
  if (hl_buf_printf(&temp, "%s.part", to)) {
    hl_buf_deinit(&temp);
    return hl_fail(err, HL_EINVAL, "backup: the name is too long");
  }
  int fd = open(temp.p, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    int rc = errno == EEXIST ? hl_fail(err, HL_EBUSY, "backup %s: %s is there already: another backup is under way, or one was killed; remove it then", to, temp.p)
             : errno == ENOSPC || errno == EDQUOT ? hl_fail(err, HL_EFULL, "backup %s: the disk is full", to)
                                                  : hl_fail(err, HL_EIO, "backup %s: cannot be made: %s", to, strerror(errno));
    hl_buf_deinit(&temp);
    return rc;
  }
  close(fd);
  hl_backup *b = HL_NEW(hl_backup);
  work *w = HL_NEW(work);
  *w = (work){.b = b, .loop = loop, .s = s, .to = hl_strdup(to), .temp = hl_buf_detach(&temp, NULL)};
  b->w = w;
  hl_store_call(s, &copying, w);
  *out = b;
  return 0;
}

void hl_backup_look(const hl_backup *b, hl_backup_state *out) { *out = b->state; }

void hl_backup_free(hl_backup *b) {
  if (!b) return;
  if (b->w) {
    b->w->stop = true;
    b->w->b = NULL;
  }
  hl_free(b);
}
