#include "cmd/test_report.h"

#include <errno.h>

#include "base/mem.h"

enum { TEXT_MAX = 256 << 20, MISSED_MAX = 4096 };

static int write_file(const char *path, const char *what, hl_str text, hl_error *err) {
  FILE *f = fopen(path, "w");
  if (!f) return hl_fail(err, HL_EIO, "cannot write the %s to %s: %s", what, path, strerror(errno));
  bool well = fwrite(text.p, 1, text.n, f) == text.n;
  well = fclose(f) == 0 && well;
  return well ? 0 : hl_fail(err, HL_EIO, "cannot write the %s to %s: %s", what, path, strerror(errno));
}

/* ---- JUnit ---- */

struct hl_junit {
  hl_buf suites, cases;      /* those that are done; those of `file` */
  char *file;
  unsigned tests, failures, skipped;                /* of `file` */
  unsigned all_tests, all_failures, all_skipped;
  int64_t ms, all_ms;
};

hl_junit *hl_junit_new(void) {
  hl_junit *j = HL_NEW(hl_junit);
  hl_buf_init(&j->suites, TEXT_MAX);
  hl_buf_init(&j->cases, TEXT_MAX);
  return j;
}

void hl_junit_free(hl_junit *j) {
  if (!j) return;
  hl_buf_deinit(&j->suites);
  hl_buf_deinit(&j->cases);
  hl_free(j->file);
  hl_free(j);
}

/* XML 1.0 has no way to write most control characters. */
static void put_xml(hl_buf *b, const char *z) {
  for (; *z; z++) {
    unsigned char c = (unsigned char)*z;
    if (c == '&') hl_buf_puts(b, "&amp;");
    else if (c == '<') hl_buf_puts(b, "&lt;");
    else if (c == '>') hl_buf_puts(b, "&gt;");
    else if (c == '"') hl_buf_puts(b, "&quot;");
    else if (c == '\n' || c == '\t') hl_buf_printf(b, "&#%d;", c);
    else if (c < ' ' || c == 0x7f) hl_buf_puts(b, "?");
    else hl_buf_append(b, z, 1);
  }
}

static void end_suite(hl_junit *j) {
  if (!j->file) return;
  hl_buf_puts(&j->suites, "  <testsuite name=\"");
  put_xml(&j->suites, j->file);
  hl_buf_printf(&j->suites, "\" tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.3f\">\n", j->tests, j->failures,
                j->skipped, (double)j->ms / 1000);
  hl_buf_append(&j->suites, j->cases.p, j->cases.n);
  hl_buf_puts(&j->suites, "  </testsuite>\n");
  j->all_tests += j->tests;
  j->all_failures += j->failures;
  j->all_skipped += j->skipped;
  j->all_ms += j->ms;
  j->tests = j->failures = j->skipped = 0;
  j->ms = 0;
  hl_buf_clear(&j->cases);
  hl_free(j->file);
  j->file = NULL;
}

void hl_junit_add(hl_junit *j, const hl_test_result *r) {
  if (!j->file || strcmp(j->file, r->file) != 0) {
    end_suite(j);
    j->file = hl_strdup(r->file);
  }
  j->tests++;
  j->ms += r->ms;
  hl_buf *b = &j->cases;
  hl_buf_puts(b, "    <testcase classname=\"");
  put_xml(b, r->file);
  hl_buf_puts(b, "\" name=\"");
  put_xml(b, r->name);
  hl_buf_printf(b, "\" file=\"");
  put_xml(b, r->file);
  hl_buf_printf(b, "\" line=\"%d\" time=\"%.3f\"", r->line, (double)r->ms / 1000);
  if (r->outcome == HL_TEST_PASSED) {
    hl_buf_puts(b, "/>\n");
  } else if (r->outcome == HL_TEST_SKIPPED) {
    j->skipped++;
    hl_buf_puts(b, "><skipped/></testcase>\n");
  } else {
    j->failures++;
    char *first = hl_strndup(r->message, strcspn(r->message, "\n"));
    hl_buf_puts(b, "><failure message=\"");
    put_xml(b, first);
    hl_buf_puts(b, "\">");
    put_xml(b, r->message);
    hl_buf_printf(b, "&#10;seed %llu</failure></testcase>\n", (unsigned long long)r->seed);
    hl_free(first);
  }
}

int hl_junit_write(hl_junit *j, const char *path, hl_error *err) {
  hl_buf b;
  end_suite(j);
  hl_buf_init(&b, TEXT_MAX);
  hl_buf_printf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"hubloop test\" tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.3f\">\n",
                j->all_tests, j->all_failures, j->all_skipped, (double)j->all_ms / 1000);
  hl_buf_append(&b, j->suites.p, j->suites.n);
  hl_buf_puts(&b, "</testsuites>\n");
  int rc = write_file(path, "JUnit report", hl_buf_str(&b), err);
  hl_buf_deinit(&b);
  return rc;
}

/* ---- coverage ---- */

typedef struct printing {
  FILE *out;
  hl_buf text;
  int columns, width;        /* of the terminal; of the longest path */
  unsigned lines, covered, files;
} printing;

static void measure(void *arg, const hl_coverage_file *f) {
  printing *p = arg;
  int n = (int)strlen(f->path);
  if (n > p->width) p->width = n;
}

static int percent(unsigned covered, unsigned lines) { return lines ? (int)(100.0 * covered / lines) : 100; }

/* "12-14, 33": what did not run; lines where there is nothing to run join what is around them. */
static void missed(const hl_coverage_file *f, hl_buf *out) {
  for (unsigned i = 1; i <= f->n; i++) {
    if (f->hits[i] != 0) continue;
    unsigned last = i;
    for (unsigned k = i + 1; k <= f->n && f->hits[k] <= 0; k++)
      if (f->hits[k] == 0) last = k;
    if (hl_buf_printf(out, last > i ? "%s%u-%u" : "%s%u", out->n ? ", " : "", i, last)) return;
    i = last;
  }
}

static void print_file(void *arg, const hl_coverage_file *f) {
  printing *p = arg;
  hl_buf list;
  hl_buf_init(&list, MISSED_MAX);
  missed(f, &list);
  int room = p->columns - p->width - 25;
  if (room < 10) room = 10;
  bool cut = (int)list.n > room;
  fprintf(p->out, "%-*s %7u %8u %4d%%%s%.*s%s\n", p->width, f->path, f->lines, f->covered, percent(f->covered, f->lines),
          list.n ? "  " : "", cut ? room - 1 : (int)list.n, list.p ? list.p : "", cut ? "…" : "");
  p->lines += f->lines;
  p->covered += f->covered;
  p->files++;
  hl_buf_deinit(&list);
}

void hl_coverage_print(FILE *out, hl_coverage *c, int columns) {
  printing p = {.out = out, .columns = columns, .width = 5};
  hl_coverage_each(c, measure, &p);
  fprintf(out, "\n%-*s %7s %8s  %4s  %s\n", p.width, "coverage", "lines", "covered", "", "not run");
  hl_coverage_each(c, print_file, &p);
  if (!p.files) fputs("no script was loaded: sim.load(\"x.lua\") or require does that in a test\n", out);
  else if (p.files > 1) fprintf(out, "%-*s %7u %8u %4d%%\n", p.width, "total", p.lines, p.covered, percent(p.covered, p.lines));
}

static void put_lcov(void *arg, const hl_coverage_file *f) {
  hl_buf *b = arg;
  hl_buf_printf(b, "TN:\nSF:%s\n", f->path);
  for (unsigned i = 1; i <= f->n; i++)
    if (f->hits[i] != HL_LINE_NONE) hl_buf_printf(b, "DA:%u,%d\n", i, f->hits[i]);
  hl_buf_printf(b, "LF:%u\nLH:%u\nend_of_record\n", f->lines, f->covered);
}

int hl_coverage_write_lcov(hl_coverage *c, const char *path, hl_error *err) {
  hl_buf b;
  hl_buf_init(&b, TEXT_MAX);
  hl_coverage_each(c, put_lcov, &b);
  int rc = write_file(path, "coverage", hl_buf_str(&b), err);
  hl_buf_deinit(&b);
  return rc;
}
