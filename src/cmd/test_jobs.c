#include "cmd/test_jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"

/* A child takes the next file from a counter that all share, and tells what came of it in lines of JSON: the file's
 * number alone as it begins, then each result, then "done" or "unrun". */
enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

typedef struct child {
  pid_t pid;
  int fd;                /* -1: it has ended */
  size_t file;           /* that it is at; none: the number of files */
  hl_buf line;
} child;

typedef struct told {    /* of one file */
  cJSON *results;        /* NULL: nothing yet */
  char *unrun;
  bool ended;
} told;

/* ---- in a child ---- */
typedef struct telling { int fd; size_t file; } telling;

static void tell(int fd, cJSON *message) {
  char *text = hl_json_print(message);
  size_t n = strlen(text);
  text[n++] = '\n'; /* in the place of the NUL */
  for (size_t at = 0; at < n;) {
    ssize_t wrote = write(fd, text + at, n - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) _exit(1); /* nobody listens any more */
    at += (size_t)wrote;
  }
  hl_free(text);
  cJSON_Delete(message);
}

static cJSON *about(size_t file) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddNumberToObject(o, "file", (double)file);
  return o;
}

static void tell_result(void *arg, const hl_test_result *r) {
  const telling *t = arg;
  cJSON *o = about(t->file);
  cJSON_AddStringToObject(o, "name", r->name);
  cJSON_AddNumberToObject(o, "line", r->line);
  cJSON_AddNumberToObject(o, "outcome", r->outcome);
  cJSON_AddStringToObject(o, "message", r->message);
  cJSON_AddStringToObject(o, "printed", r->printed);
  cJSON_AddItemToObject(o, "seed", hl_json_int64((int64_t)r->seed));
  cJSON_AddItemToObject(o, "ms", hl_json_int64(r->ms));
  tell(t->fd, o);
}

static _Noreturn void work(const hl_test_jobs *j, atomic_size_t *next, int fd) {
  signal(SIGPIPE, SIG_IGN);
  for (size_t i; (i = atomic_fetch_add(next, 1)) < j->n;) {
    telling t = {fd, i};
    hl_test_reporter reporter = {tell_result, &t};
    hl_test_counts counts = {0};
    hl_error err;
    tell(fd, about(i));
    int rc = hl_testrun_file(j->files[i], j->options, &reporter, &counts, &err);
    cJSON *end = about(i);
    cJSON_AddStringToObject(end, rc ? "unrun" : "done", rc ? err.text : "");
    tell(fd, end);
  }
  _exit(0);
}

/* ---- here ---- */
static void report_file(const hl_test_jobs *j, size_t file, const told *t, hl_test_counts *counts) {
  const cJSON *o;
  cJSON_ArrayForEach(o, t->results) {
    hl_test_result r = {.file = j->files[file], .name = hl_json_str(o, "name", ""), .line = (int)hl_json_int(o, "line", 0),
                        .message = hl_json_str(o, "message", ""), .printed = hl_json_str(o, "printed", ""),
                        .seed = (uint64_t)hl_json_int(o, "seed", 0), .ms = hl_json_int(o, "ms", 0)};
    int64_t outcome = hl_json_int(o, "outcome", HL_TEST_FAILED);
    r.outcome = outcome == HL_TEST_PASSED ? HL_TEST_PASSED : outcome == HL_TEST_SKIPPED ? HL_TEST_SKIPPED : HL_TEST_FAILED;
    if (r.outcome == HL_TEST_PASSED) counts->passed++;
    else if (r.outcome == HL_TEST_SKIPPED) counts->skipped++;
    else counts->failed++;
    if (j->reporter.result) j->reporter.result(j->reporter.arg, &r);
  }
  if (!t->unrun) return;
  counts->failed++;
  j->unrun(j->reporter.arg, j->files[file], t->unrun);
}

static void unrun(told *t, const char *why) {
  t->unrun = hl_strdup(why);
  t->ended = true;
}

static void heard(const hl_test_jobs *j, child *c, told *files, hl_str line) {
  cJSON *o = NULL;
  hl_error err;
  int64_t file;
  if (hl_json_parse(line, &o, &err) || (file = hl_json_int(o, "file", -1)) < 0 || (size_t)file >= j->n) {
    cJSON_Delete(o);
    return;
  }
  told *t = &files[file];
  c->file = (size_t)file;
  if (!t->results) {
    t->results = cJSON_CreateArray();
    cJSON_Delete(o);
  } else if (hl_json_get(o, "name")) {
    cJSON_AddItemToArray(t->results, o);
  } else {
    const char *why = hl_json_str(o, "unrun", NULL);
    if (why) unrun(t, why);
    t->ended = true;
    c->file = j->n;
    cJSON_Delete(o);
  }
}

static void child_ended(const hl_test_jobs *j, child *c, told *files) {
  int status = 0;
  close(c->fd);
  c->fd = -1;
  while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
  if (c->file == j->n) return;
  char why[200];
  if (WIFSIGNALED(status)) snprintf(why, sizeof why, "the process that ran it was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else snprintf(why, sizeof why, "the process that ran it ended with exit code %d", WEXITSTATUS(status));
  unrun(&files[c->file], why);
}

static void hear(const hl_test_jobs *j, child *c, told *files) {
  char block[65536];
  ssize_t n = read(c->fd, block, sizeof block);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    child_ended(j, c, files);
    return;
  }
  for (char *p = block, *end = block + n; p < end;) {
    char *newline = memchr(p, '\n', (size_t)(end - p));
    size_t part = (size_t)((newline ? newline : end) - p);
    (void)hl_buf_append(&c->line, p, part); /* what is too long is no JSON, and left out */
    p += part + (newline != NULL);
    if (!newline) break;
    heard(j, c, files, hl_buf_str(&c->line));
    hl_buf_clear(&c->line);
  }
}

static int begin(const hl_test_jobs *j, atomic_size_t *next, child *children, unsigned nth, hl_error *err) {
  int ends[2];
  if (pipe(ends)) return hl_fail(err, HL_EIO, "cannot make a pipe to a process that runs tests: %s", strerror(errno));
  fflush(NULL); /* or the child would have it, too */
  pid_t pid = fork();
  if (pid < 0) {
    int why = errno;
    close(ends[0]);
    close(ends[1]);
    return hl_fail(err, HL_EIO, "cannot make a process that runs tests: %s", strerror(why));
  }
  if (pid == 0) {
    close(ends[0]);
    for (unsigned i = 0; i < nth; i++) close(children[i].fd);
    work(j, next, ends[1]);
  }
  close(ends[1]);
  children[nth] = (child){.pid = pid, .fd = ends[0], .file = j->n};
  hl_buf_init(&children[nth].line, LINE_MAX_BYTES);
  return 0;
}

static int side_by_side(const hl_test_jobs *j, unsigned jobs, hl_test_counts *counts, hl_error *err) {
  atomic_size_t *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (next == MAP_FAILED) return hl_fail(err, HL_EIO, "no memory to share with the processes that run tests: %s", strerror(errno));
  atomic_init(next, 0);
  child *children = hl_alloc(jobs * sizeof *children);
  told *files = hl_alloc(j->n * sizeof *files);
  struct pollfd *fds = hl_alloc(jobs * sizeof *fds);
  for (size_t i = 0; i < j->n; i++) files[i] = (told){0};
  unsigned made = 0;
  int rc = 0;
  while (made < jobs && !rc) {
    rc = begin(j, next, children, made, err);
    if (!rc) made++;
  }
  if (made) rc = 0; /* fewer processes than wished for do it, too */
  size_t shown = 0;
  for (unsigned alive = made; alive;) {
    for (unsigned i = 0; i < made; i++) fds[i] = (struct pollfd){.fd = children[i].fd, .events = POLLIN};
    if (poll(fds, made, -1) < 0) continue; /* a signal */
    for (unsigned i = 0; i < made; i++)
      if (fds[i].revents) hear(j, &children[i], files);
    for (; shown < j->n && files[shown].ended; shown++) report_file(j, shown, &files[shown], counts);
    fflush(stdout);
    alive = 0;
    for (unsigned i = 0; i < made; i++) alive += children[i].fd >= 0;
  }
  for (; !rc && shown < j->n; shown++) {
    if (!files[shown].ended) unrun(&files[shown], "the processes that ran tests have all ended");
    report_file(j, shown, &files[shown], counts);
  }
  for (size_t i = 0; i < j->n; i++) {
    cJSON_Delete(files[i].results);
    hl_free(files[i].unrun);
  }
  for (unsigned i = 0; i < made; i++) hl_buf_deinit(&children[i].line);
  hl_free(fds);
  hl_free(files);
  hl_free(children);
  munmap(next, sizeof *next);
  return rc;
}

int hl_test_jobs_run(const hl_test_jobs *j, hl_test_counts *counts, hl_error *err) {
  unsigned jobs = j->jobs > j->n ? (unsigned)j->n : j->jobs;
  if (jobs > 1) return side_by_side(j, jobs, counts, err);
  for (size_t i = 0; i < j->n; i++) {
    hl_error why;
    if (hl_testrun_file(j->files[i], j->options, &j->reporter, counts, &why) == 0) continue;
    counts->failed++;
    j->unrun(j->reporter.arg, j->files[i], why.text);
  }
  return 0;
}
