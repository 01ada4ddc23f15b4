/* Which changes of files are told, and that several are told as one. Real time:
 * the kernel's events cannot be made to wait. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/files.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_files *files;
  char root[PATH_MAX];
  int told;
  bool flag, tests;
} world;

static void on_change(void *arg) {
  world *w = arg;
  w->told++;
  w->flag = true;
}

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void open_world(world *w, const char *except, bool tests) {
  hl_error err;
  char path[PATH_MAX + 16];
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false), .tests = tests};
  assert_int_equal(hl_loop_new(NULL, w->log, &w->loop, &err), 0);
  assert_non_null(getcwd(w->root, sizeof w->root));
  snprintf(path, sizeof path, "%s/%s", w->root, except ? except : "");
  if (hl_files_new(w->loop, &(hl_files_options){.root = w->root, .except = except ? path : NULL, .tests = w->tests}, on_change, w, &w->files, &err)) fail_msg("%s", err.text);
}

static void end_world(world *w) {
  hl_files_free(w->files);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

static void is_told(world *w, const char *what) {
  hl_timer t = {0};
  bool late = false;
  int before = w->told;
  w->flag = false;
  hl_timer_start(w->loop, &t, 10000, on_timer, &late);
  while (!w->flag && !late) assert_int_equal(hl_loop_run_until(w->loop, &w->flag), 0);
  hl_timer_stop(w->loop, &t);
  if (w->told != before + 1) fail_msg("not told: %s", what);
}

/* Long enough for what would be told; a slow machine can only make this pass. */
static void is_not_told(world *w, const char *what) {
  hl_timer t = {0};
  bool over = false;
  int before = w->told;
  hl_timer_start(w->loop, &t, 250, on_timer, &over);
  hl_loop_run_until(w->loop, &over);
  if (w->told != before) fail_msg("told: %s", what);
}

static void lua_files_and_folders_count(void **state) {
  (void)state;
  world w;
  mkdir("lib", 0700);
  put("a.lua", "1");
  open_world(&w, NULL, false);
  put("a.lua", "2");
  is_told(&w, "written over");
  put(".tmp", "3");
  rename(".tmp", "a.lua");
  is_told(&w, "renamed over");
  put("b.lua", "1");
  put("lib/c.lua", "1");
  truncate("a.lua", 0);
  is_told(&w, "three changes as one");
  unlink("b.lua");
  is_told(&w, "removed");
  mkdir("lib/deep", 0700);
  is_told(&w, "a new folder");
  put("lib/deep/d.lua", "1");
  is_told(&w, "in the new folder");
  rename("lib", "elsewhere");
  is_told(&w, "a folder moved");
  put("elsewhere/deep/d.lua", "2");
  is_told(&w, "below its new name");
  end_world(&w);
}

static void other_things_do_not(void **state) {
  (void)state;
  world w;
  mkdir("data", 0700);
  mkdir(".git", 0700);
  mkdir("node_modules", 0700);
  put("a.lua", "1");
  open_world(&w, "data", false);
  put("a_test.lua", "1");
  put(".#a.lua", "1");
  put("a.lua~", "1");
  put("4913", "1");
  put("data/x.lua", "1");
  put(".git/x.lua", "1");
  put("node_modules/x.lua", "1");
  mkdir("node_modules/y", 0700);
  mkdir(".cache", 0700);
  fclose(fopen("a.lua", "r"));
  is_not_told(&w, "none of these is code");
  put("a.lua", "2");
  is_told(&w, "this one is");
  end_world(&w);
}

static void tests_count_when_asked(void **state) {
  (void)state;
  world w;
  put("a_test.lua", "1");
  open_world(&w, NULL, true);
  put("a_test.lua", "2");
  is_told(&w, "a test");
  end_world(&w);
}

static void a_folder_that_is_not_there(void **state) {
  (void)state;
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop *loop;
  hl_files *files = NULL;
  hl_error err;
  assert_int_equal(hl_loop_new(NULL, log, &loop, &err), 0);
  assert_int_equal(hl_files_new(loop, &(hl_files_options){.root = "/nowhere/at/all"}, on_change, NULL, &files, &err), HL_EIO);
  assert_non_null(strstr(err.text, "cannot watch the folder /nowhere/at/all: "));
  hl_loop_free(loop);
  hl_log_free(log);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lua_files_and_folders_count),
      cmocka_unit_test(other_things_do_not),
      cmocka_unit_test(tests_count_when_asked),
      cmocka_unit_test(a_folder_that_is_not_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
