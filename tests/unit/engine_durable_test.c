/* A file behind it: restarts, kills, duplicates over them, damaged files. Real
 * loop and writer thread. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_util.h"

static const char *const DB = "data/sub/engine.db";

static void fresh(void) {
  static const char *const files[] = {"data/sub/engine.db", "data/sub/engine.db-wal", "data/sub/engine.db-shm"};
  for (size_t i = 0; i < HL_COUNT(files); i++) unlink(files[i]);
}

static void open_file(world *w) {
  world_loop(w, false);
  world_engine(w, DB);
}

static void survives_a_restart(void **state) {
  (void)state;
  world w;
  static probe p;
  struct stat st;
  fresh();
  memset(&p, 0, sizeof p);
  open_file(&w);
  p.hold = true;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 10}, &p);
  world_start(&w);
  assert_int_equal(stat(DB, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  received(&w, "[" CREATED(1, 1, 1) "," CREATED(2, 2, 1) "," CREATED(3, 3, 1) "]");
  received(&w, "[" CREATED(4, 4, 1) "]");
  while (p.n_held < 4) pass(&w, 1);
  hl_run_finish(p.held[1], HL_RUN_DONE, HL_STR(""));  /* 1.1 */
  hl_run_finish(p.held[3], HL_RUN_DONE, HL_STR(""));  /* 2.0 */
  while (stats_of(&w).ran < 2) pass(&w, 1);
  hl_engine_abandon(w.e);
  hl_loop_free(w.loop);
  hl_log_free(w.log);

  memset(&p, 0, sizeof p);
  open_file(&w);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 10}, &p);
  assert_int_equal(stats_of(&w).pending, 2);
  world_start(&w);
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  assert_string_equal(p.ids[0], "1.0");
  assert_string_equal(p.ids[1], "1.2");
  /* Still a duplicate. */
  hl_receipt r = received(&w, "[" CREATED(1, 1, 1) "," CREATED(4, 4, 1) "]");
  assert_int_equal(r.duplicates, 2);
  assert_int_equal(stats_of(&w).ran, 4);
  assert_int_equal(stats_of(&w).acknowledged, 6);
  world_end(&w);

  /* And nothing is left for a third life. */
  memset(&p, 0, sizeof p);
  open_file(&w);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua"}, &p);
  world_start(&w);
  settle_down(&w);
  assert_int_equal(p.calls, 0);
  world_end(&w);
}

/* The child is killed in the middle of work; what it had answered is there, and
 * what it had committed as finished does not run again. */
static void survives_kill(void **state) {
  (void)state;
  enum { ROUNDS = 3, BODIES = 40 };
  fresh();
  int64_t acknowledged = 0, ran = 0;
  for (int round = 0; round < ROUNDS; round++) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
      world w;
      static probe p;
      static answer a[BODIES];
      memset(&p, 0, sizeof p);
      open_file(&w);
      listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua"}, &p);
      world_start(&w);
      for (int i = 0; i < BODIES; i++) {
        char body[256];
        int n = round * BODIES + i;
        snprintf(body, sizeof body, "[" "{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d}" ","
                 "{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d}" "]", 2 * n, n % 7, 2 * n + 1, n % 5);
        receive(&w, body, &a[i]);
        if (i % 3 == 0) pass(&w, 0);
      }
      int64_t report[2];
      for (;;) {
        hl_engine_stats s = stats_of(&w);
        int answered = 0;
        for (int i = 0; i < BODIES; i++) answered += a[i].calls && a[i].r.code == 0;
        if (answered >= BODIES / 2) {
          report[0] = (int64_t)s.acknowledged;
          report[1] = (int64_t)s.ran;
          break;
        }
        pass(&w, 0);
      }
      if (write(fds[1], report, sizeof report) != sizeof report) _exit(2);
      _exit(0); /* no goodbye */
    }
    int64_t report[2];
    int status;
    assert_int_equal(read(fds[0], report, sizeof report), sizeof report);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    world w;
    open_file(&w);
    hl_engine_stats s = stats_of(&w);
    assert_true((int64_t)s.acknowledged >= report[0]);
    assert_true((int64_t)s.ran >= report[1]);
    assert_true((int64_t)s.acknowledged >= acknowledged);
    assert_true((int64_t)s.ran >= ran);
    acknowledged = (int64_t)s.acknowledged;
    ran = (int64_t)s.ran;
    world_end(&w);
  }
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  open_file(&w);
  uint64_t pending = stats_of(&w).pending;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua"}, &p);
  world_start(&w);
  settle_down(&w);
  assert_int_equal(p.calls, pending);
  assert_int_equal(stats_of(&w).ran, stats_of(&w).acknowledged);
  world_end(&w);
}

static void orphans_come_back(void **state) {
  (void)state;
  world w;
  static probe p;
  fresh();
  memset(&p, 0, sizeof p);
  open_file(&w);
  p.fail_first = 1;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .retries = 5}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 1, 1) "]");
  while (stats_of(&w).waiting < 1) pass(&w, 1);
  hl_engine_abandon(w.e);
  hl_loop_free(w.loop);
  hl_log_free(w.log);
  open_file(&w);
  world_start(&w);
  assert_int_equal(stats_of(&w).orphaned, 1);
  world_end(&w);
  memset(&p, 0, sizeof p);
  open_file(&w);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .retries = 5}, &p);
  world_start(&w);
  while (!p.calls) pass(&w, 1);
  settle_down(&w);
  assert_int_equal(p.calls, 1);
  assert_string_equal(p.ids[0], "1.0");
  assert_int_equal(stats_of(&w).ran, 1);
  assert_int_equal(stats_of(&w).orphaned, 0);
  world_end(&w);
}

/* One handler of two has finished when the process dies: only the other runs. */
static void partly_done_goes_on(void **state) {
  (void)state;
  world w;
  static probe p, q;
  fresh();
  for (int life = 0; life < 2; life++) {
    memset(&p, 0, sizeof p);
    memset(&q, 0, sizeof q);
    open_file(&w);
    q.hold = life == 0;
    listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "a.lua"}, &p);
    listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "b.lua"}, &q);
    world_start(&w);
    if (life == 0) {
      received(&w, "[" CREATED(1, 1, 1) "]");
      while (!p.calls || !q.calls) pass(&w, 1);
      while (!hl_engine_idle(w.e) && stats_of(&w).commits < 2) pass(&w, 1);
      hl_engine_abandon(w.e);
      hl_loop_free(w.loop);
      hl_log_free(w.log);
    }
  }
  settle_down(&w);
  assert_int_equal(p.calls, 0);
  assert_int_equal(q.calls, 1);
  assert_int_equal(stats_of(&w).ran, 1);
  world_end(&w);
}

static void note_load(void *arg, int code) {
  assert_int_equal(code, 0);
  *(bool *)arg = true;
}

static void kv_and_schedules_are_durable(void **state) {
  (void)state;
  world w;
  static probe p;
  hl_kv_scope scope = {"t.lua", ""};
  hl_str v;
  fresh();
  open_file(&w);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "");
  assert_int_equal(hl_kv_set(run, scope, HL_STR("k"), HL_STR("7"), 0, &w.err), 0);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  hl_schedule_options every = {.every_ms = 40, .text = "every 40ms"};
  world_end(&w); /* finished is committed, also without a turn of the loop */
  open_file(&w);
  memset(&p, 0, sizeof p);
  p.w = &w;
  assert_int_equal(hl_engine_schedule(w.e, &every, &(hl_handler_options){.script = "t.lua"}, on_event, &p, NULL, &w.err), 0);
  world_start(&w);
  while (!p.calls) pass(&w, 5);
  int64_t first = p.occurred[0];
  run = hl_engine_begin(w.e, "t.lua", "");
  assert_int_equal(hl_kv_get(run, scope, HL_STR("k"), &v), HL_EBUSY);
  bool loaded = false;
  hl_kv_load(w.e, scope, HL_STR("k"), note_load, &loaded);
  while (!loaded) pass(&w, 1);
  assert_int_equal(hl_kv_get(run, scope, HL_STR("k"), &v), 0);
  assert_true(hl_str_eqz(v, "7"));
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  world_end(&w);
  open_file(&w);
  memset(&p, 0, sizeof p);
  p.w = &w;
  assert_int_equal(hl_engine_schedule(w.e, &every, &(hl_handler_options){.script = "t.lua"}, on_event, &p, NULL, &w.err), 0);
  world_start(&w);
  while (!p.calls) pass(&w, 5);
  assert_true(p.occurred[0] > first); /* caught up, from where it stopped */
  assert_int_equal((p.occurred[0] - first) % 40, 0);
  world_end(&w);
}

static void a_second_process_is_told(void **state) {
  (void)state;
  world w;
  fresh();
  open_file(&w);
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    hl_log *log = hl_log_new(HL_LOG_OFF, false);
    hl_loop *loop;
    hl_engine *e;
    hl_error err;
    if (hl_loop_new(NULL, log, &loop, &err)) _exit(3);
    int rc = hl_engine_new(loop, &(hl_engine_options){.store = DB}, &e, &err);
    _exit(rc == HL_EBUSY && strstr(err.text, DB) ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(WEXITSTATUS(status), 0);
  world_end(&w);
}

static int open_code(const char *path, hl_error *err) {
  world w;
  world_loop(&w, false);
  int rc = hl_engine_new(w.loop, &(hl_engine_options){.store = path}, &w.e, err);
  if (!rc) hl_engine_free(w.e);
  hl_loop_free(w.loop);
  hl_log_free(w.log);
  return rc;
}

static void bad_files_are_named(void **state) {
  (void)state;
  hl_error err;
  FILE *f = fopen("text.db", "w");
  for (int i = 0; i < 400; i++) fprintf(f, "this is no database at all, line %d\n", i);
  fclose(f);
  assert_int_equal(open_code("text.db", &err), HL_ECORRUPT);
  assert_non_null(strstr(err.text, "text.db"));
  assert_int_equal(mkdir("dir.db", 0700), 0);
  assert_int_equal(open_code("dir.db", &err), HL_EIO);
  assert_non_null(strstr(err.text, "dir.db"));
  assert_int_equal(open_code("text.db/x/y.db", &err), HL_EIO);
  /* A store whose pages were overwritten. */
  fresh();
  assert_int_equal(open_code(DB, &err), 0);
  int fd = open(DB, O_RDWR);
  char junk[4096];
  memset(junk, 0xa5, sizeof junk);
  for (int i = 0; i < 8; i++) assert_int_equal(pwrite(fd, junk, sizeof junk, 100 + i * 4096), sizeof junk);
  close(fd);
  unlink("data/sub/engine.db-wal");
  assert_int_equal(open_code(DB, &err), HL_ECORRUPT);
  fresh();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(survives_a_restart),
      cmocka_unit_test(survives_kill),
      cmocka_unit_test(orphans_come_back),
      cmocka_unit_test(partly_done_goes_on),
      cmocka_unit_test(kv_and_schedules_are_durable),
      cmocka_unit_test(a_second_process_is_told),
      cmocka_unit_test(bad_files_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
