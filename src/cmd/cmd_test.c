#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/test_jobs.h"
#include "cmd/test_report.h"
#include "loop/files.h"
#include "lua/testrun.h"

/* `hubloop test`: finds *_test.lua below the given paths and runs each test in a
 * runtime of its own, in virtual time, against the in-process simulator. */

static const hl_flag flags[] = {
    {"filter", "TEXT", "only tests whose name holds TEXT"},
    {"seed", "N", "another order of chance; a failing test prints its seed"},
    {"watch", NULL, "run them again whenever a script or a test changes; Ctrl-C ends it"},
    {"quiet", NULL, "print failures and the closing line only"},
    {"jobs", "N", "so many files at a time, each in a process; default: one for each core"},
    {"coverage", NULL, "print which lines of the scripts ran, and which did not"},
    {"lcov", "FILE", "write that for other tools, in lcov's format"},
    {"junit", "FILE", "write the results as JUnit's XML, too"},
    {NULL, NULL, NULL},
};

typedef struct found {
  char **v;
  size_t n;
} found;

typedef struct reporting {
  bool quiet, color;
  hl_junit *junit;           /* NULL: nobody asked */
  const char *file;
} reporting;

static void add(found *f, const char *path) {
  f->v = hl_realloc(f->v, (f->n + 1) * sizeof *f->v);
  f->v[f->n++] = hl_strdup(path);
}

static bool is_test(const char *name) {
  static const char end[] = "_test.lua";
  size_t n = strlen(name);
  return n > sizeof end - 1 && strcmp(name + n - (sizeof end - 1), end) == 0;
}

enum { DEPTH_MAX = 16 };

static int find(found *f, const char *path, int depth, hl_error *err) {
  struct stat st;
  if (stat(path, &st)) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s", path, strerror(errno));
  if (!S_ISDIR(st.st_mode)) {
    add(f, path);
    return 0;
  }
  DIR *d = opendir(path);
  if (!d) return hl_fail(err, HL_EIO, "cannot read the folder %s: %s", path, strerror(errno));
  int rc = 0;
  for (struct dirent *e; !rc && (e = readdir(d));) {
    hl_buf sub;
    if (e->d_name[0] == '.' || strcmp(e->d_name, "node_modules") == 0) continue;
    hl_buf_init(&sub, 8192);
    bool here = strcmp(path, ".") == 0;
    hl_buf_printf(&sub, "%s%s%s", here ? "" : path, here || path[strlen(path) - 1] == '/' ? "" : "/", e->d_name);
    bool folder = stat(sub.p, &st) == 0 && S_ISDIR(st.st_mode);
    if (folder && depth < DEPTH_MAX) rc = find(f, sub.p, depth + 1, err);
    else if (!folder && is_test(e->d_name)) add(f, sub.p);
    hl_buf_deinit(&sub);
  }
  closedir(d);
  return rc;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void begin_file(reporting *p, const char *file) {
  if (!p->file || strcmp(p->file, file) != 0) printf("%s%s\n", p->file ? "\n" : "", file);
  p->file = file;
}

static void indented(const char *text) {
  for (const char *line = text; *line;) {
    size_t n = strcspn(line, "\n");
    printf("      %.*s\n", (int)n, line);
    line += n + (line[n] != 0);
  }
}

static void report(void *arg, const hl_test_result *r) {
  static const struct { const char *mark, *color; } look[] = {{"✓", "\033[32m"}, {"✗", "\033[31m"}, {"–", "\033[33m"}};
  reporting *p = arg;
  if (p->junit) hl_junit_add(p->junit, r);
  if (p->quiet && r->outcome != HL_TEST_FAILED) return;
  begin_file(p, r->file);
  printf("  %s%s%s %s%s\n", p->color ? look[r->outcome].color : "", look[r->outcome].mark, p->color ? "\033[0m" : "",
         r->name, r->outcome == HL_TEST_SKIPPED ? " (skipped)" : "");
  indented(r->printed);
  if (r->outcome != HL_TEST_FAILED) return;
  indented(r->message);
  printf("      again: hubloop test %s --seed %llu --filter '%s'\n", r->file, (unsigned long long)r->seed, r->name);
}

static void unrun(void *arg, const char *file, const char *why) {
  reporting *p = arg;
  begin_file(p, file);
  printf("  ✗ cannot be run: %s\n", why);
  if (p->junit) hl_junit_add(p->junit, &(hl_test_result){.file = file, .name = "loading", .line = 1, .outcome = HL_TEST_FAILED, .message = why});
}

static int once(const hl_args *a) {
  found files = {NULL, 0};
  hl_error err = {0};
  hl_test_counts counts = {0};
  reporting state = {.quiet = hl_args_has(a, "quiet"), .color = hl_cmd_is_tty(STDOUT_FILENO)};
  int64_t seed, jobs, cores = sysconf(_SC_NPROCESSORS_ONLN);
  int rc = hl_args_int(a, "seed", 1, INT64_MAX, 1, &seed);
  if (!rc) rc = hl_args_int(a, "jobs", 1, 256, cores > 0 ? cores : 1, &jobs);
  if (rc) return rc;
  const char *junit = hl_args_get(a, "junit"), *lcov = hl_args_get(a, "lcov");
  hl_testrun_options o = {.filter = hl_args_get(a, "filter"), .seed = (uint64_t)seed};
  if (lcov || hl_args_has(a, "coverage")) o.coverage = hl_coverage_new();
  if (junit) state.junit = hl_junit_new();
  for (size_t i = 0; !rc && i < (a->n ? a->n : 1); i++) rc = find(&files, a->n ? a->positional[i] : ".", 0, &err);
  if (rc) {
    rc = hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text);
    goto out;
  }
  if (files.n) qsort(files.v, files.n, sizeof *files.v, by_name);
  /* Which lines have run is counted in this process. */
  hl_test_jobs run = {.files = files.v, .n = files.n, .jobs = o.coverage ? 1 : (unsigned)jobs, .options = &o, .reporter = {report, &state}, .unrun = unrun};
  rc = hl_test_jobs_run(&run, &counts, &err);
  if (rc) {
    rc = hl_cmd_error(&err);
    goto out;
  }
  if (files.n == 0) {
    rc = hl_cmd_fail(HL_EXIT_MISUSE, "no *_test.lua found; hubloop help testing shows how to write one");
    goto out;
  }
  if (hl_args_has(a, "coverage")) hl_coverage_print(stdout, o.coverage, hl_cmd_columns());
  printf("\n%u passed, %u failed", counts.passed, counts.failed);
  if (counts.skipped) printf(", %u skipped", counts.skipped);
  puts("");
  if (counts.passed + counts.failed == 0) rc = hl_cmd_fail(HL_EXIT_MISUSE, "no test has a name that holds “%s”", o.filter ? o.filter : "");
  else rc = counts.failed ? HL_EXIT_FAILED : HL_EXIT_OK;
  if ((junit && hl_junit_write(state.junit, junit, &err)) || (lcov && hl_coverage_write_lcov(o.coverage, lcov, &err)))
    rc = hl_cmd_error(&err);
out:
  hl_junit_free(state.junit);
  hl_coverage_free(o.coverage);
  for (size_t i = 0; i < files.n; i++) hl_free(files.v[i]);
  hl_free(files.v);
  return rc;
}

static void again(void *arg) {
  puts("\nchanged: once more");
  once(arg);
  fflush(stdout);
}

/* What changes during a run is told after it. */
static int watch(const hl_args *a) {
  hl_error err;
  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  hl_loop *loop;
  hl_files *files[HL_ARGS_MAX + 1] = {NULL};
  int rc = hl_loop_new(NULL, log, &loop, &err);
  if (rc) return hl_cmd_error(&err);
  for (size_t i = 0; !rc && i < (a->n ? a->n : 1); i++) {
    char root[PATH_MAX];
    struct stat st;
    snprintf(root, sizeof root, "%s", a->n ? a->positional[i] : ".");
    bool file = stat(root, &st) == 0 && !S_ISDIR(st.st_mode);
    rc = hl_files_new(loop, &(hl_files_options){.root = file ? dirname(root) : root, .tests = true}, again, (void *)a, &files[i], &err);
  }
  rc = rc ? hl_cmd_error(&err) : once(a);
  fflush(stdout);
  if (rc == HL_EXIT_OK || rc == HL_EXIT_FAILED) {
    hl_loop_hold(loop);
    hl_loop_run(loop); /* until a signal ends the process */
  }
  for (size_t i = 0; files[i]; i++) hl_files_free(files[i]);
  hl_loop_run(loop);
  hl_loop_free(loop);
  hl_log_free(log);
  return rc;
}

static int run(const hl_args *a) { return hl_args_has(a, "watch") ? watch(a) : once(a); }

const hl_command hl_cmd_test = {
    .name = "test", .operands = "[PATH…]", .summary = "run *_test.lua against the simulator, in virtual time",
    .flags = flags, .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop test                          every test below this folder\n"
                "  hubloop test lead_routing_test.lua --filter cap\n"
                "  hubloop test --watch                  again at each change\n"
                "  hubloop test --coverage --junit report.xml\n",
};
