#include "base/csv.h"

#include <string.h>

#include "base/mem.h"

enum { SAMPLE_ROWS = 20 };

void hl_csv_init(hl_csv *c, char delimiter) {
  *c = (hl_csv){.delimiter = delimiter, .line = 1, .row_line = 1};
  hl_buf_init(&c->text, HL_CSV_ROW_MAX);
}

void hl_csv_deinit(hl_csv *c) {
  hl_buf_deinit(&c->text);
  hl_free(c->ends);
}

hl_str hl_csv_field(const hl_csv *c, size_t i) {
  size_t from = i ? c->ends[i - 1] : 0;
  return (hl_str){c->text.p ? c->text.p + from : "", c->ends[i] - from};
}

static int append(hl_csv *c, const char *p, size_t n, hl_error *err) {
  if (hl_buf_append(&c->text, p, n) == 0) return 0;
  return hl_fail(err, HL_ELIMIT, "line %llu: the row that begins here is longer than 1 MiB; is a quote not closed?",
                 (unsigned long long)c->row_line);
}

static int end_field(hl_csv *c, hl_error *err) {
  if (c->n == HL_CSV_FIELDS_MAX)
    return hl_fail(err, HL_ELIMIT, "line %llu: the row has more than %d fields", (unsigned long long)c->row_line, HL_CSV_FIELDS_MAX);
  if (c->n == c->cap) {
    c->cap = c->cap ? c->cap * 2 : 32;
    c->ends = hl_realloc(c->ends, c->cap * sizeof *c->ends);
  }
  c->ends[c->n++] = c->text.n;
  return 0;
}

static void begin_row(hl_csv *c) {
  hl_buf_clear(&c->text);
  c->n = 0;
  c->complete = false;
}

/* Bytes at the front that are the field's own. */
static size_t own_bytes(const hl_csv *c, hl_str in) {
  size_t n = 0;
  if (c->state == HL_CSV_QUOTED)
    while (n < in.n && in.p[n] != '"' && in.p[n] != '\n' && in.p[n] != '\r') n++;
  else
    while (n < in.n && in.p[n] != c->delimiter && in.p[n] != '\n' && in.p[n] != '\r') n++;
  return n;
}

/* The byte at the front of a field or behind it. 1: it ends the row. */
static int step(hl_csv *c, char b, hl_error *err) {
  bool line_end = b == '\n' || b == '\r', second = b == '\n' && c->cr;
  c->cr = b == '\r';
  if (line_end && !second) c->line++;
  switch (c->state) {
    case HL_CSV_QUOTED:
      if (b == '"') c->state = HL_CSV_QUOTE;
      else return append(c, &b, 1, err);
      return 0;
    case HL_CSV_QUOTE:
      if (b == '"') {
        c->state = HL_CSV_QUOTED;
        return append(c, &b, 1, err);
      }
      break;
    case HL_CSV_BETWEEN:
      if (line_end) return 0;
      c->row_line = c->line;
      break;
    case HL_CSV_SKIP:
      if (line_end) c->state = HL_CSV_BETWEEN;
      return 0;
    case HL_CSV_FIELD:
    case HL_CSV_PLAIN: break;
  }
  if (b == c->delimiter || line_end) {
    c->state = line_end ? HL_CSV_BETWEEN : HL_CSV_FIELD;
    int rc = end_field(c, err);
    return rc ? rc : line_end;
  }
  if (c->state == HL_CSV_QUOTE) {
    c->state = HL_CSV_SKIP;
    return hl_fail(err, HL_EINVAL, "line %llu: a quoted field goes on behind its closing quote; a quote inside of one is doubled",
                   (unsigned long long)c->line);
  }
  if (b == '"') {
    c->state = HL_CSV_QUOTED;
    return 0;
  }
  c->state = HL_CSV_PLAIN;
  return append(c, &b, 1, err);
}

int hl_csv_read(hl_csv *c, hl_str *in, hl_error *err) {
  if (c->complete || c->state == HL_CSV_SKIP) begin_row(c);
  while (in->n) {
    int rc = 0;
    size_t own = c->state == HL_CSV_PLAIN || c->state == HL_CSV_QUOTED ? own_bytes(c, *in) : 0;
    if (own) {
      rc = append(c, in->p, own, err);
      c->cr = false;
    } else {
      rc = step(c, *in->p, err);
      own = 1;
    }
    in->p += own;
    in->n -= own;
    if (rc > 0) c->complete = true;
    if (rc) return rc;
  }
  return 0;
}

int hl_csv_end(hl_csv *c, hl_error *err) {
  if (c->complete || c->state == HL_CSV_SKIP) begin_row(c);
  hl_csv_state state = c->state;
  c->state = HL_CSV_BETWEEN;
  if (state == HL_CSV_BETWEEN || state == HL_CSV_SKIP) return 0;
  if (state == HL_CSV_QUOTED) {
    c->complete = true;
    return hl_fail(err, HL_EINVAL, "line %llu: the row that begins here has a quote that is never closed", (unsigned long long)c->row_line);
  }
  int rc = end_field(c, err);
  if (rc) return rc;
  c->complete = true;
  return 1;
}

char hl_csv_delimiter(hl_str sample) {
  static const char candidates[] = ",;\t|";
  char best = ',', best_first = ',';
  size_t best_n = 1, best_first_n = 1;
  for (const char *d = candidates; *d; d++) {
    hl_csv c;
    hl_str in = sample;
    size_t n = 0, rows = 0;
    hl_csv_init(&c, *d);
    while (rows < SAMPLE_ROWS && hl_csv_read(&c, &in, NULL) == 1 && (!rows || c.n == n)) {
      n = c.n;
      rows++;
    }
    if (rows && n > best_first_n) {
      best_first_n = n;
      best_first = *d;
    }
    /* The sample may end in the middle of a row; one row alone may end with the sample. */
    bool alike = rows == SAMPLE_ROWS || !in.n;
    if (!rows && alike && hl_csv_end(&c, NULL) == 1) n = c.n;
    if (alike && n > best_n) {
      best_n = n;
      best = *d;
    }
    hl_csv_deinit(&c);
  }
  /* Where rows differ in length whatever divides them, the first one tells: it is the header. */
  return best_n > 1 ? best : best_first;
}
