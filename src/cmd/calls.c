#include "cmd/calls.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/time.h"

enum { LINE_BYTES = 8192, SENT_COLUMNS = 400 };

/* ---- a table of things by name ---- */

typedef struct named {     /* first member of what is kept by name */
  char *key;
  uint64_t hash;
} named;

typedef struct table {
  named **v;               /* in order of appearance */
  size_t n, cap;
  size_t *slots, n_slots;  /* index + 1; a power of two, at least twice n */
} table;

static uint64_t hash_of(const char *key) {
  uint64_t h = UINT64_C(1469598103934665603);
  for (; *key; key++) h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
  return h;
}

static void place(table *t, size_t i) {
  size_t at = t->v[i]->hash & (t->n_slots - 1);
  while (t->slots[at]) at = (at + 1) & (t->n_slots - 1);
  t->slots[at] = i + 1;
}

/* The one of that name, made (zeroed, `size` bytes) if it is new. */
static void *find(table *t, const char *key, size_t size) {
  uint64_t hash = hash_of(key);
  size_t at = t->n_slots ? hash & (t->n_slots - 1) : 0;
  for (; t->n_slots && t->slots[at]; at = (at + 1) & (t->n_slots - 1)) {
    named *it = t->v[t->slots[at] - 1];
    if (it->hash == hash && strcmp(it->key, key) == 0) return it;
  }
  if (t->n == t->cap) {
    t->cap = t->cap * 2 + 16;
    t->v = hl_realloc(t->v, t->cap * sizeof *t->v);
  }
  named *it = hl_alloc(size);
  it->key = hl_strdup(key);
  it->hash = hash;
  t->v[t->n++] = it;
  if (t->n * 2 > t->n_slots) {
    t->n_slots = t->n_slots ? t->n_slots * 2 : 64;
    hl_free(t->slots);
    t->slots = hl_alloc(t->n_slots * sizeof *t->slots);
    for (size_t i = 0; i < t->n; i++) place(t, i);
  } else {
    place(t, t->n - 1);
  }
  return it;
}

static void table_deinit(table *t, void (*deinit)(void *it)) {
  for (size_t i = 0; i < t->n; i++) {
    deinit(t->v[i]);
    hl_free(t->v[i]->key);
    hl_free(t->v[i]);
  }
  hl_free(t->v);
  hl_free(t->slots);
}

/* ---- text on a terminal ---- */

static bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static size_t width_of(const char *s) {
  size_t n = 0;
  for (; *s; s++) n += !continues(*s);
  return n;
}

/* The end of a path, in `width` characters: whole segments if one begins there. */
static void append_tail(hl_buf *b, const char *text, size_t width) {
  size_t n = width_of(text);
  if (n > width) {
    for (size_t drop = n - (width ? width - 1 : 0); drop && *text; drop--)
      do text++;
      while (continues(*text));
    const char *slash = strchr(text, '/');
    if (slash && slash[1]) text = slash;
    hl_buf_puts(b, "…");
  }
  hl_buf_puts(b, text);
}

/* Prints `text` in lines of at most `columns`, each behind `indent` blanks. */
static void print_wrapped(FILE *out, const char *text, int indent, int columns) {
  size_t width = columns > indent + 20 ? (size_t)(columns - indent) : 20;
  for (const char *p = text; *p;) {
    const char *end = p, *space = NULL;
    for (size_t n = 0; *end && n < width; n++) {
      if (*end == ' ') space = end;
      do end++;
      while (continues(*end));
    }
    if (*end && *end != ' ' && space && space > p) end = space;
    fprintf(out, "%*s%.*s\n", indent, "", (int)(end - p), p);
    while (*end == ' ') end++;
    p = end;
  }
}

/* "870", "12s", "3m": of milliseconds, at most four characters. */
static const char *short_ms(int64_t ms, char out[24]) {
  if (ms < 10 * HL_SECOND) snprintf(out, 24, "%lld", (long long)ms);
  else if (ms < 100 * HL_SECOND) snprintf(out, 24, "%llds", (long long)(ms / HL_SECOND));
  else if (ms < 100 * HL_MINUTE) snprintf(out, 24, "%lldm", (long long)(ms / HL_MINUTE));
  else snprintf(out, 24, "%lldh", (long long)(ms / HL_HOUR));
  return out;
}

static const char *red(bool colour) { return colour ? "\033[31m" : ""; }
static const char *bold(bool colour) { return colour ? "\033[1m" : ""; }
static const char *plain(bool colour) { return colour ? "\033[0m" : ""; }

/* ---- filters ---- */

static bool failed(const hl_call_entry *e) { return *e->kind != 0; }

bool hl_calls_match(const hl_calls_filter *f, const hl_call_entry *e) {
  bool picky = f->script || f->path || f->account || f->what || f->status || f->status_class;
  if (f->since && e->at < f->since) return false;
  if (e->gap) return !picky;
  if (f->script && strcmp(f->script, e->script) != 0) return false;
  if (f->path && !strstr(e->path, f->path)) return false;
  if (f->account && strcmp(f->account, e->account) != 0) return false;
  if (f->what && failed(e) != (f->what == HL_CALLS_ERRORS)) return false;
  /* A 429 that a later attempt made good is one that was met. */
  if (f->status && f->status != e->status && !(f->status == 429 && e->limited)) return false;
  return !f->status_class || f->status_class == e->status / 100;
}

/* ---- one call ---- */

static void status_text(const hl_call_entry *e, char out[24]) {
  if (e->status) snprintf(out, 24, "%d", e->status);
  else snprintf(out, 24, "%.12s", failed(e) ? e->kind : "-");
}

static const char *clock_of(const hl_call_entry *e) { return strlen(e->time) > 11 ? e->time + 11 : ""; }

static void print_reason(FILE *out, const hl_call_entry *e, int indent, int columns) {
  hl_buf b;
  hl_buf_init(&b, LINE_BYTES);
  if (*e->category && strcmp(e->category, e->message) != 0) hl_buf_printf(&b, "%s: ", e->category);
  hl_buf_puts(&b, e->message);
  print_wrapped(out, b.p, indent, columns);
  hl_buf_deinit(&b);
  if (*e->correlation_id) {
    char line[160];
    snprintf(line, sizeof line, "correlation id %.60s", e->correlation_id);
    print_wrapped(out, line, indent, columns);
  }
}

void hl_calls_print(FILE *out, const hl_call_entry *e, int columns, bool colour) {
  char status[24], a[24], b[24];
  if (e->gap) {
    fprintf(out, "%.12s  %llu calls were not recorded\n", clock_of(e), (unsigned long long)e->gap);
    return;
  }
  hl_buf left, right;
  hl_buf_init(&left, LINE_BYTES);
  hl_buf_init(&right, LINE_BYTES);
  status_text(e, status);
  hl_buf_puts(&left, e->script);
  hl_buf_printf(&right, "  wait %s answer %s ms", short_ms(e->wait, a), short_ms(e->latency, b));
  if (e->batch > 1) hl_buf_printf(&right, ", 1 of %lld", (long long)e->batch);
  if (e->attempts > 1) hl_buf_printf(&right, ", %lld attempts", (long long)e->attempts);
  size_t used = 12 + 2 + 4 + 1 + width_of(left.p ? left.p : "") + 2 + width_of(e->method) + 1 + right.n;
  size_t room = used + 12 < (size_t)columns ? (size_t)columns - used : 12;
  fprintf(out, "%.12s  %s%-4s%s %s  ", clock_of(e), failed(e) ? red(colour) : "", status,
         failed(e) ? plain(colour) : "", left.p ? left.p : "");
  hl_buf_clear(&left);
  hl_buf_puts(&left, e->method);
  hl_buf_puts(&left, " ");
  append_tail(&left, e->path, room);
  fprintf(out, "%s%s\n", left.p, right.p);
  hl_buf_deinit(&left);
  hl_buf_deinit(&right);
  if (failed(e)) print_reason(out, e, 14, columns);
}

/* ---- the summary ---- */

typedef struct times { uint32_t *v; size_t n, cap; } times;

typedef struct row {       /* one script's calls of one path */
  named name;
  char *script, *method, *path;
  uint64_t calls, errors, limited, requests;
  times wait, latency;
} row;

typedef struct trouble {   /* calls that failed for one reason */
  named name;
  char *line;              /* the latest, as it was stored */
  uint64_t count;
  size_t last;             /* its place among all lines */
} trouble;

struct hl_calls_summary {
  size_t limit;
  bool slow;
  table rows, troubles;
  char request[64];        /* of the line before: calls of one request stand together */
  uint64_t calls, errors, limited, requests, gap, seen;
  char first[32], last[32];
  struct slowest { int64_t total; char *line; } *slowest; /* ascending, `n_slow` */
  size_t n_slow;
};

hl_calls_summary *hl_calls_summary_new(size_t limit, bool slow) {
  hl_calls_summary *s = HL_NEW(hl_calls_summary);
  s->limit = limit;
  s->slow = slow;
  s->slowest = hl_alloc(limit * sizeof *s->slowest);
  return s;
}

static void row_deinit(void *it) {
  row *r = it;
  hl_free(r->script);
  hl_free(r->method);
  hl_free(r->path);
  hl_free(r->wait.v);
  hl_free(r->latency.v);
}

static void trouble_deinit(void *it) { hl_free(((trouble *)it)->line); }

void hl_calls_summary_free(hl_calls_summary *s) {
  table_deinit(&s->rows, row_deinit);
  table_deinit(&s->troubles, trouble_deinit);
  for (size_t i = 0; i < s->n_slow; i++) hl_free(s->slowest[i].line);
  hl_free(s->slowest);
  hl_free(s);
}

static void add_time(times *t, int64_t ms) {
  if (t->n == t->cap) {
    t->cap = t->cap * 2 + 16;
    t->v = hl_realloc(t->v, t->cap * sizeof *t->v);
  }
  t->v[t->n++] = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void add_slow(hl_calls_summary *s, const hl_call_entry *e) {
  if (s->n_slow == s->limit) {
    if (e->total <= s->slowest[0].total) return;
    hl_free(s->slowest[0].line);
    memmove(s->slowest, s->slowest + 1, --s->n_slow * sizeof *s->slowest);
  }
  size_t at = s->n_slow++;
  for (; at && s->slowest[at - 1].total > e->total; at--) s->slowest[at] = s->slowest[at - 1];
  s->slowest[at] = (struct slowest){e->total, hl_json_print(e->json)};
}

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Ids and counts in a message do not make it another reason; a digit in a name does. */
static void append_reason(hl_buf *b, const char *message) {
  for (const char *p = message; *p;) {
    const char *digits = p;
    while (isdigit((unsigned char)*digits)) digits++;
    bool alone = digits > p && (p == message || !in_word(p[-1])) && !in_word(*digits);
    if (alone || digits - p >= 3) {
      hl_buf_puts(b, "#");
      p = digits;
    } else {
      hl_buf_append(b, p++, 1);
    }
  }
}

static void add_trouble(hl_calls_summary *s, const hl_call_entry *e, const char *shape) {
  hl_buf key;
  hl_buf_init(&key, 64 << 10);
  hl_buf_printf(&key, "%d\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f", e->status, e->kind, e->category, e->script, e->method, shape);
  append_reason(&key, e->message);
  trouble *t = find(&s->troubles, key.p, sizeof *t);
  hl_buf_deinit(&key);
  hl_free(t->line);
  t->line = hl_json_print(e->json);
  t->count++;
  t->last = s->seen;
}

void hl_calls_summary_add(hl_calls_summary *s, const hl_call_entry *e) {
  s->seen++;
  if (e->gap) {
    s->gap += e->gap;
    return;
  }
  if (!*s->first) snprintf(s->first, sizeof s->first, "%.24s", e->time);
  snprintf(s->last, sizeof s->last, "%.24s", e->time);
  if (s->slow) {
    add_slow(s, e);
    return;
  }
  hl_buf shape, key;
  hl_buf_init(&shape, 64 << 10);
  hl_buf_init(&key, 64 << 10);
  hl_call_path_shape(hl_str_of(e->path), &shape);
  hl_buf_printf(&key, "%s\x1f%s\x1f%s", e->script, e->method, shape.p ? shape.p : "");
  row *r = find(&s->rows, key.p, sizeof *r);
  if (!r->path) {
    r->script = hl_strdup(e->script);
    r->method = hl_strdup(e->method);
    r->path = hl_strdup(shape.p ? shape.p : "");
  }
  bool fresh = *e->request && strcmp(e->request, s->request) != 0;
  if (fresh) snprintf(s->request, sizeof s->request, "%.60s", e->request);
  uint64_t limited = fresh ? (uint64_t)e->limited : 0;
  r->calls++, s->calls++;
  r->errors += failed(e), s->errors += failed(e);
  r->limited += limited, s->limited += limited;
  r->requests += fresh, s->requests += fresh;
  add_time(&r->wait, e->wait);
  if (*e->request) add_time(&r->latency, e->latency);
  if (failed(e)) add_trouble(s, e, r->path);
  hl_buf_deinit(&shape);
  hl_buf_deinit(&key);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* "p50/p95"; sorts. */
static void percentiles(times *t, char out[64]) {
  char a[24], b[24];
  if (!t->n) {
    snprintf(out, 64, "-");
    return;
  }
  qsort(t->v, t->n, sizeof *t->v, by_value);
  snprintf(out, 64, "%s/%s", short_ms(t->v[(t->n - 1) * 50 / 100], a), short_ms(t->v[(t->n - 1) * 95 / 100], b));
}

static int errors_first(const void *a, const void *b) {
  const row *x = *(row *const *)a, *y = *(row *const *)b;
  if (x->errors != y->errors) return x->errors > y->errors ? -1 : 1;
  if (x->limited != y->limited) return x->limited > y->limited ? -1 : 1;
  if (x->calls != y->calls) return x->calls > y->calls ? -1 : 1;
  return strcmp(x->name.key, y->name.key);
}

static int latest_first(const void *a, const void *b) {
  const trouble *x = *(trouble *const *)a, *y = *(trouble *const *)b;
  return x->last > y->last ? -1 : x->last < y->last;
}

static void print_row(FILE *out, row *r, int columns, bool colour) {
  char wait[64], latency[64], batch[24] = "-";
  hl_buf b;
  hl_buf_init(&b, LINE_BYTES);
  percentiles(&r->wait, wait);
  percentiles(&r->latency, latency);
  if (r->requests) snprintf(batch, sizeof batch, "%.1f", (double)r->calls / (double)r->requests);
  hl_buf_puts(&b, r->method);
  if (b.n) hl_buf_puts(&b, " ");
  int used = 47 + (int)b.n;
  append_tail(&b, r->path, columns > used + 10 ? (size_t)(columns - used) : 10);
  fprintf(out, "%8llu %s%6llu%s %5llu %9s %9s %6s  %s\n", (unsigned long long)r->calls, r->errors ? red(colour) : "",
         (unsigned long long)r->errors, r->errors ? plain(colour) : "", (unsigned long long)r->limited, wait, latency, batch,
         b.p ? b.p : "");
  hl_buf_deinit(&b);
}

/* Under each script's name its rows, the script with most errors first. */
static void print_rows(FILE *out, hl_calls_summary *s, int columns, bool colour) {
  row **rows = (row **)(void *)s->rows.v;
  size_t left = s->limit;
  qsort(rows, s->rows.n, sizeof *rows, errors_first);
  fprintf(out, "%8s %6s %5s %9s %9s %6s\n", "calls", "errors", "429", "wait ms", "answer ms", "batch");
  for (size_t i = 0; i < s->rows.n && left; i++) {
    if (!rows[i]->script) continue;
    char *script = rows[i]->script;
    hl_buf b;
    hl_buf_init(&b, LINE_BYTES);
    hl_buf_puts(&b, *script ? script : "(no script)");
    fprintf(out, "%s%s%s\n", bold(colour), b.p, plain(colour));
    hl_buf_deinit(&b);
    for (size_t k = i; k < s->rows.n; k++) {
      if (!rows[k]->script || (k != i && strcmp(rows[k]->script, script) != 0)) continue;
      if (left) {
        print_row(out, rows[k], columns, colour);
        left--;
      }
      if (k == i) continue;
      hl_free(rows[k]->script);
      rows[k]->script = NULL; /* printed */
    }
  }
  if (s->rows.n > s->limit)
    fprintf(out, "%zu more rows; --limit %zu shows all\n", s->rows.n - s->limit, s->rows.n);
}

static void print_trouble(FILE *out, const trouble *t, int columns, bool colour, bool *refused) {
  hl_call_entry e;
  char status[24];
  if (!hl_call_entry_read(hl_str_of(t->line), &e)) return;
  hl_buf b;
  hl_buf_init(&b, LINE_BYTES);
  status_text(&e, status);
  hl_buf_printf(&b, "  %llu× ", (unsigned long long)t->count);
  hl_buf_puts(&b, e.script);
  hl_buf_printf(&b, "  %s ", e.method);
  size_t used = width_of(b.p) + strlen(status) + 10;
  append_tail(&b, e.path, (size_t)columns > used + 10 ? (size_t)columns - used : 10);
  fprintf(out, "%s%s%s%s  %.8s\n", red(colour), status, plain(colour), b.p, clock_of(&e));
  hl_buf_deinit(&b);
  print_reason(out, &e, 4, columns);
  if (*e.sent) {
    char line[SENT_COLUMNS + 16];
    snprintf(line, sizeof line, "sent: %.*s", SENT_COLUMNS, e.sent);
    print_wrapped(out, line, 4, columns);
  } else if (e.status == 400) {
    *refused = true;
  }
  hl_call_entry_deinit(&e);
}

static void print_slowest(FILE *out, const hl_calls_summary *s, int columns, bool colour) {
  for (size_t i = s->n_slow; i-- > 0;) {
    hl_call_entry e;
    if (!hl_call_entry_read(hl_str_of(s->slowest[i].line), &e)) continue;
    hl_calls_print(out, &e, columns, colour);
    hl_call_entry_deinit(&e);
  }
}

void hl_calls_summary_print(FILE *out, hl_calls_summary *s, int columns, bool colour) {
  if (!*s->first) {
    fputs("no call matches\n", out);
    return;
  }
  if (s->slow) {
    print_slowest(out, s, columns, colour);
    return;
  }
  print_rows(out, s, columns, colour);
  char line[512];
  int n = snprintf(line, sizeof line, "%llu call%s in %llu request%s, %llu error%s", (unsigned long long)s->calls,
                   s->calls == 1 ? "" : "s", (unsigned long long)s->requests, s->requests == 1 ? "" : "s",
                   (unsigned long long)s->errors, s->errors == 1 ? "" : "s");
  if (s->limited) n += snprintf(line + n, sizeof line - (size_t)n, ", 429 answered %llu times", (unsigned long long)s->limited);
  if (s->gap) n += snprintf(line + n, sizeof line - (size_t)n, ", %llu not recorded", (unsigned long long)s->gap);
  snprintf(line + n, sizeof line - (size_t)n, ", %.16s to %.16s UTC; wait and answer are p50/p95", s->first, s->last);
  fputc('\n', out);
  print_wrapped(out, line, 0, columns);
  if (!s->troubles.n) return;
  bool refused = false;
  qsort(s->troubles.v, s->troubles.n, sizeof *s->troubles.v, latest_first);
  fprintf(out, "\n%sErrors%s, the latest first\n", bold(colour), plain(colour));
  for (size_t i = 0; i < s->troubles.n && i < s->limit; i++) print_trouble(out, (trouble *)(void *)s->troubles.v[i], columns, colour, &refused);
  if (s->troubles.n > s->limit) fprintf(out, "%zu more kinds of error; --limit %zu shows all\n", s->troubles.n - s->limit, s->troubles.n);
  if (refused) print_wrapped(out, "To see what was sent, set calls = { bodies = true } in hubloop.lua and let it happen again.", 0, columns);
}
