/* Backup while the store is in use, and restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/backup.h"
#include "store/restore.h"
#include "store/sqlite.h"

typedef struct shop {
  hl_log *log;
  hl_loop *loop;
  hl_store *s;
  hl_error err;
  int64_t next, committed;
  int out;
} shop;

static void wipe(void) {
  static const char *const names[] = {"a.db", "a.db-wal", "b.db", "b.db.part", "b.db-wal", "a.db.old", "a.db.old-wal", "a.db.restoring", "b.db.part-wal"};
  for (size_t i = 0; i < HL_COUNT(names); i++) unlink(names[i]);
}

static void open_shop(shop *x) {
  *x = (shop){.log = hl_log_new(HL_LOG_OFF, false), .next = 1};
  assert_int_equal(hl_loop_new(NULL, x->log, &x->loop, &x->err), 0);
  assert_int_equal(hl_store_open(x->loop, "a.db", &(hl_retention){INT64_MAX / 4, INT64_MAX / 4}, &x->s, &x->err), 0);
}

static void close_shop(shop *x) {
  hl_store_free(x->s);
  hl_loop_free(x->loop);
  hl_log_free(x->log);
}

static void committed(void *arg, hl_tx *tx, int code, const hl_store_counts *counts, const char *why) {
  shop *x = arg;
  (void)why;
  assert_int_equal(code, 0);
  x->committed = counts->acknowledged;
  x->out--;
  hl_tx_free(tx);
}

/* Rows of 100 events, and what makes pages of other tables move, in one commit. */
static void commit(shop *x, int rows) {
  static char body[30000];
  if (!body[0]) memset(body, 'x', sizeof body);
  hl_tx *tx = hl_tx_new();
  for (int i = 0; i < rows; i++) {
    char key[24];
    hl_append a = {.id = x->next++, .received = 1000 + x->next, .source = "push", .account = "main", .n = 100, .body = {body, sizeof body}};
    a.counts[HL_ST_PENDING] = 100;
    hl_tx_append(tx, &a, true);
    snprintf(key, sizeof key, "k%lld", (long long)(x->next * 7919 % 1000));
    hl_tx_kv(tx, "s", "a", hl_str_of(key), (hl_str){body, 500}, 0);
  }
  x->out++;
  hl_store_commit(x->s, tx, committed, x);
}

static void on_tick(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void turn(shop *x) {
  hl_timer t = {0};
  bool flag = false;
  hl_timer_start(x->loop, &t, 1, on_tick, &flag); /* not at once: it must look at other threads */
  hl_loop_run_until(x->loop, &flag);
}

static void settle(shop *x) {
  while (x->out) turn(x);
}

static void fill(shop *x, int rows) {
  commit(x, rows);
  settle(x);
}

static hl_backup_state wait_for(shop *x, hl_backup *b, bool busy) {
  hl_backup_state s;
  do {
    if (busy && x->out < 3) commit(x, 10);
    turn(x);
    hl_backup_look(b, &s);
  } while (s.phase == HL_BACKUP_COPIES || s.phase == HL_BACKUP_CHECKS);
  settle(x);
  return s;
}

static int64_t number(const char *path, const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  int64_t n = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return n;
}

/* Commits go on all the while: the copy is one moment of it. */
static void a_copy_under_load_is_consistent(void **state) {
  (void)state;
  shop x;
  hl_backup *b;
  struct stat st;
  wipe();
  open_shop(&x);
  fill(&x, 400);
  int64_t before = x.committed;
  assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), 0);
  hl_backup_state s = wait_for(&x, b, true);
  if (s.phase != HL_BACKUP_DONE) fail_msg("%s", s.err.text);
  hl_backup_free(b);
  int64_t after = x.committed, copied = number("b.db", "SELECT acknowledged FROM tally");
  assert_true(after > before + 300);
  assert_true(copied > before && copied <= after); /* what came while it was made is in it */
  assert_int_equal(number("b.db", "SELECT sum(n) FROM log"), copied);
  assert_int_equal(number("b.db", "SELECT max(id)=count(*) FROM log"), 1);
  assert_int_equal(number("b.db", "SELECT s0 FROM tally"), copied);
  assert_int_equal(stat("b.db", &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(s.bytes, st.st_size);
  assert_int_not_equal(access("b.db-wal", F_OK), 0);
  assert_int_not_equal(access("b.db.part", F_OK), 0);
  close_shop(&x);
}

static void an_ended_one_leaves_nothing(void **state) {
  (void)state;
  for (int how = 0; how < 3; how++) {
    shop x;
    hl_backup *b;
    hl_backup_state s;
    wipe();
    open_shop(&x);
    fill(&x, 300);
    assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), 0);
    do {
      turn(&x);
      hl_backup_look(b, &s);
    } while (how < 2 ? s.pages == 0 : s.phase == HL_BACKUP_COPIES);
    if (how == 1) hl_store_free(x.s); /* in the middle of the copy */
    hl_backup_look(b, &s);
    if (how == 1) assert_int_equal(s.phase, HL_BACKUP_FAILED);
    hl_backup_free(b);
    if (how == 1) {
      hl_loop_free(x.loop);
      hl_log_free(x.log);
    } else {
      fill(&x, 10);
      close_shop(&x);
    }
    assert_int_not_equal(access("b.db.part", F_OK), 0);
    /* Ended while it was checked it may have been done. */
    if (how < 2) assert_int_not_equal(access("b.db", F_OK), 0);
  }
}

static void what_is_there_is_not_written_over(void **state) {
  (void)state;
  shop x;
  hl_backup *b;
  wipe();
  open_shop(&x);
  fill(&x, 1);
  assert_int_equal(hl_backup_new(x.loop, x.s, "a.db", &b, &x.err), HL_EINVAL);
  assert_non_null(strstr(x.err.text, "there already"));
  assert_int_equal(hl_backup_new(x.loop, x.s, "no/such/b.db", &b, &x.err), HL_EIO);
  close(open("b.db.part", O_CREAT | O_WRONLY, 0600));
  assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), HL_EBUSY);
  assert_non_null(strstr(x.err.text, "b.db.part"));
  close_shop(&x);
}

static void limit_files(rlim_t bytes) {
  struct rlimit r;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
  r.rlim_cur = bytes ? bytes : r.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void a_full_disk_is_told(void **state) {
  (void)state;
  shop x;
  hl_backup *b;
  wipe();
  open_shop(&x);
  fill(&x, 300);
  limit_files(2 << 20);
  assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), 0);
  hl_backup_state s = wait_for(&x, b, false);
  limit_files(0);
  assert_int_equal(s.phase, HL_BACKUP_FAILED);
  assert_int_equal(s.err.code, HL_EFULL);
  assert_non_null(strstr(s.err.text, "the disk is full"));
  hl_backup_free(b);
  assert_int_not_equal(access("b.db.part", F_OK), 0);
  fill(&x, 5); /* and the store goes on */
  close_shop(&x);
}

/* Bytes in the middle of the file are not what they were. */
static void damage(const char *path) {
  char junk[64];
  struct stat st;
  memset(junk, 0xA5, sizeof junk);
  int fd = open(path, O_RDWR);
  assert_int_equal(fstat(fd, &st), 0);
  for (off_t at = 16384; at < st.st_size; at += 16384) assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
  close(fd);
}

static void a_damaged_store_makes_no_backup(void **state) {
  (void)state;
  shop x;
  hl_backup *b;
  wipe();
  open_shop(&x);
  fill(&x, 50);
  close_shop(&x);
  sqlite3 *db;
  assert_int_equal(sqlite3_open("a.db", &db), SQLITE_OK); /* a page of a table that opening does not read */
  sqlite3_exec(db, "CREATE TABLE spare(x); INSERT INTO spare SELECT zeroblob(200000)", NULL, NULL, NULL);
  int64_t root = number("a.db", "SELECT rootpage FROM sqlite_master WHERE name='spare'");
  sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  sqlite3_close(db);
  char junk[256];
  memset(junk, 0xA5, sizeof junk);
  int fd = open("a.db", O_RDWR);
  assert_int_equal(pwrite(fd, junk, sizeof junk, (root - 1) * 16384), sizeof junk);
  close(fd);
  open_shop(&x);
  assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), 0);
  hl_backup_state s = wait_for(&x, b, false);
  assert_int_equal(s.phase, HL_BACKUP_FAILED);
  assert_int_equal(s.err.code, HL_ECORRUPT);
  hl_backup_free(b);
  assert_int_not_equal(access("b.db", F_OK), 0);
  assert_int_not_equal(access("b.db.part", F_OK), 0);
  close_shop(&x);
}

/* ---- restore ---- */

/* b.db: a backup of 1,000 events. a.db: what became of the store since, 1,500. */
static void make_backup(void) {
  shop x;
  hl_backup *b;
  wipe();
  open_shop(&x);
  fill(&x, 10);
  assert_int_equal(hl_backup_new(x.loop, x.s, "b.db", &b, &x.err), 0);
  assert_int_equal(wait_for(&x, b, false).phase, HL_BACKUP_DONE);
  hl_backup_free(b);
  fill(&x, 5);
  close_shop(&x);
}

static void count_progress(void *arg, int64_t done, int64_t total) {
  assert_true(done <= total);
  ++*(int *)arg;
}

static void a_backup_takes_the_place_of_the_store(void **state) {
  (void)state;
  int told = 0;
  hl_error err;
  make_backup();
  close(open("a.db-dedupe-5", O_CREAT | O_WRONLY, 0600));
  hl_restore r = {.from = "b.db", .store = "a.db", .aside = "a.db.old", .progress = count_progress, .arg = &told};
  assert_int_equal(hl_store_restore(&r, &err), 0);
  assert_true(r.kept && told > 0);
  assert_int_equal(r.summary.counts.acknowledged, 1000);
  assert_int_equal(r.summary.last_received, 1011);
  assert_int_equal(number("a.db", "SELECT sum(n) FROM log"), 1000);
  assert_int_equal(number("a.db.old", "SELECT sum(n) FROM log"), 1500);
  assert_int_not_equal(access("a.db-dedupe-5", F_OK), 0);
  assert_int_not_equal(access("a.db.restoring", F_OK), 0);
  /* Where there was none, and no folder either. */
  r = (hl_restore){.from = "b.db", .store = "new/er/a.db", .aside = "x"};
  assert_int_equal(hl_store_restore(&r, &err), 0);
  assert_false(r.kept);
  assert_int_equal(number("new/er/a.db", "SELECT sum(n) FROM log"), 1000);
  /* A plain copy of the files of a killed process, with its log: what is only there counts. */
  unlink("a.db");
  unlink("a.db.old");
  shop x;
  open_shop(&x);
  fill(&x, 3);
  assert_int_equal(system("cp a.db c.db && cp a.db-wal c.db-wal"), 0);
  close_shop(&x);
  r = (hl_restore){.from = "c.db", .store = "a.db", .aside = "a.db.old"};
  assert_int_equal(hl_store_restore(&r, &err), 0);
  assert_int_equal(r.summary.counts.acknowledged, 300);
  unlink("c.db");
  unlink("c.db-wal");
}

static void an_earlier_version_is_brought_up_to_date(void **state) {
  (void)state;
  hl_error err;
  sqlite3 *db;
  make_backup();
  assert_int_equal(sqlite3_open("b.db", &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "DROP TABLE started; DROP TABLE halted; DROP TABLE listener; DROP TABLE place; DROP TABLE wait; DROP INDEX parked_given_up; DROP INDEX parked_lane; DROP INDEX audit_at; "
    "ALTER TABLE parked DROP COLUMN lane; ALTER TABLE parked DROP COLUMN occurred; ALTER TABLE tally DROP COLUMN s10; PRAGMA user_version=3", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  hl_restore r = {.from = "b.db", .store = "a.db", .aside = "a.db.old"};
  assert_int_equal(hl_store_restore(&r, &err), 0);
  assert_true(number("a.db", "PRAGMA user_version") >= 5);
  assert_int_equal(number("b.db", "PRAGMA user_version"), 3); /* the backup is as it was */
  assert_int_equal(sqlite3_open("b.db", &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=999", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  unlink("a.db.old");
  assert_int_equal(hl_store_restore(&r, &err), HL_ECORRUPT);
  assert_non_null(strstr(err.text, "newer hubloop"));
}

static void a_failure_changes_nothing(void **state) {
  (void)state;
  hl_error err;
  shop x;
  make_backup();
  hl_restore r = {.from = "nothing.db", .store = "a.db", .aside = "a.db.old"};
  assert_int_equal(hl_store_restore(&r, &err), HL_ENOTFOUND);
  FILE *f = fopen("note.txt", "w");
  fputs("SQLite format 3 is a fine thing to write about, but this is text of more than a hundred bytes, and no store", f);
  fclose(f);
  r.from = "note.txt";
  assert_int_equal(hl_store_restore(&r, &err), HL_ECORRUPT);
  assert_non_null(strstr(err.text, "no hubloop store"));
  r.from = "b.db";
  open_shop(&x);
  assert_int_equal(hl_store_restore(&r, &err), HL_EBUSY); /* somebody has it */
  close_shop(&x);
  limit_files(100000);
  assert_int_equal(hl_store_restore(&r, &err), HL_EFULL);
  limit_files(0);
  damage("b.db");
  assert_int_equal(hl_store_restore(&r, &err), HL_ECORRUPT);
  assert_int_not_equal(access("a.db.restoring", F_OK), 0);
  assert_int_not_equal(access("a.db.old", F_OK), 0);
  assert_int_equal(number("a.db", "SELECT sum(n) FROM log"), 1500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_copy_under_load_is_consistent),      cmocka_unit_test(an_ended_one_leaves_nothing),
      cmocka_unit_test(what_is_there_is_not_written_over),    cmocka_unit_test(a_full_disk_is_told),
      cmocka_unit_test(a_damaged_store_makes_no_backup),      cmocka_unit_test(a_backup_takes_the_place_of_the_store),
      cmocka_unit_test(an_earlier_version_is_brought_up_to_date), cmocka_unit_test(a_failure_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
