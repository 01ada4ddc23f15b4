#include "lua/coverage.h"

#include <string.h>

#include "base/mem.h"

enum { DUMP_MAX = 64 << 20, LINES_MAX = 1 << 20, HEADER = 31, VARARG_PREP = 1, ABSOLUTE = -128 };

typedef struct file {
  struct file *next;
  char *root, *chunk, *path;
  unsigned n;
  int *hits;
} file;

struct hl_coverage {
  file *files;                /* by path */
  file *last;                 /* that a line of has run */
  char *root;
};

hl_coverage *hl_coverage_new(void) { return HL_NEW(hl_coverage); }

void hl_coverage_free(hl_coverage *c) {
  if (!c) return;
  while (c->files) {
    file *f = c->files;
    c->files = f->next;
    hl_free(f->root);
    hl_free(f->chunk);
    hl_free(f->path);
    hl_free(f->hits);
    hl_free(f);
  }
  hl_free(c->root);
  hl_free(c);
}

void hl_coverage_set_root(hl_coverage *c, const char *root) {
  hl_free(c->root);
  c->root = hl_strdup(root);
  c->last = NULL;
}

/* ---- the lines that can run: Lua 5.4's dump of a chunk, which we have just made
 * ourselves (ldump.c): its debug information is all that is looked at ---- */
typedef struct dump {
  const unsigned char *p, *end;
  bool bad;
  file *f;
} dump;

static const unsigned char *skip(dump *d, size_t n) {
  const unsigned char *at = d->p;
  if (n > (size_t)(d->end - d->p)) {
    d->bad = true;
    n = 0;
    d->p = d->end;
  }
  d->p += n;
  return at;
}

/* Seven bits a byte, the highest first; the last one is marked. */
static size_t number(dump *d) {
  size_t v = 0;
  while (!d->bad && d->p < d->end) {
    unsigned char b = *d->p++;
    v = v << 7 | (b & 0x7f);
    if (b & 0x80) return v;
  }
  d->bad = true;
  return 0;
}

static void skip_string(dump *d) {
  size_t n = number(d);
  if (n) skip(d, n - 1);
}

static void can_run(file *f, size_t line) {
  if (line < 1 || line > LINES_MAX) return;
  if (line > f->n) {
    f->hits = hl_realloc(f->hits, (line + 1) * sizeof *f->hits);
    for (size_t i = f->n + 1; i <= line; i++) f->hits[i] = HL_LINE_NONE;
    f->n = (unsigned)line;
  }
  if (f->hits[line] == HL_LINE_NONE) f->hits[line] = 0;
}

/* A line's number is a step from the one before; where that is too far, in a list. */
static void read_lines(dump *d, size_t first, size_t n_code, bool vararg) {
  size_t n = number(d), n_absolute, line = first;
  const signed char *steps = (const signed char *)skip(d, n);
  n_absolute = number(d);
  for (size_t pc = 0; !d->bad && pc < n && pc < n_code; pc++) {
    if (steps[pc] != ABSOLUTE) {
      line = (size_t)((ptrdiff_t)line + steps[pc]);
    } else if (n_absolute) {
      n_absolute--;
      number(d);
      line = number(d);
    }
    /* The return that Lua puts at each function's end belongs to no statement. */
    if (pc + 1 < n && !(vararg && pc < VARARG_PREP)) can_run(d->f, line);
  }
  while (!d->bad && n_absolute--) {
    number(d);
    number(d);
  }
}

static void read_function(dump *d, int depth) {
  enum { FLOAT = 0x13, INTEGER = 0x03, SHORT = 0x04, LONG = 0x14, DEEPEST = 250 };
  skip_string(d);
  size_t first = number(d);
  number(d);
  const unsigned char *bytes = skip(d, 3); /* parameters, vararg, stack */
  bool vararg = !d->bad && bytes[1];
  size_t n_code = number(d);
  skip(d, n_code * 4);
  for (size_t n = number(d); !d->bad && n--;) {
    const unsigned char *type = skip(d, 1);
    if (d->bad) return;
    if (*type == FLOAT || *type == INTEGER) skip(d, 8);
    else if (*type == SHORT || *type == LONG) skip_string(d);
  }
  skip(d, number(d) * 3);
  for (size_t n = number(d); !d->bad && n--;) {
    if (depth == DEEPEST) d->bad = true;
    else read_function(d, depth + 1);
  }
  read_lines(d, first, n_code, vararg);
  for (size_t n = number(d); !d->bad && n--;) { /* local variables */
    skip_string(d);
    number(d);
    number(d);
  }
  for (size_t n = number(d); !d->bad && n--;) skip_string(d);
}

static int keep(lua_State *L, const void *p, size_t n, void *arg) {
  (void)L;
  return hl_buf_append(arg, p, n);
}

static file *find(const hl_coverage *c, const char *chunk) {
  for (file *f = c->files; f; f = f->next)
    if (strcmp(f->chunk, chunk) == 0 && strcmp(f->root, c->root) == 0) return f;
  return NULL;
}

static bool is_ours(const char *chunk) {
  static const char test[] = "_test.lua";
  size_t n = strlen(chunk), m = sizeof test - 1;
  return *chunk == '@' && strncmp(chunk, "@stdlib/", 8) != 0 && !(n >= m && strcmp(chunk + n - m, test) == 0);
}

void hl_coverage_chunk(hl_coverage *c, lua_State *L) {
  lua_Debug ar;
  hl_buf b;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  if (!c->root || !is_ours(ar.source) || find(c, ar.source)) return;
  file *f = HL_NEW(file);
  f->root = hl_strdup(c->root);
  f->chunk = hl_strdup(ar.source);
  hl_buf_init(&b, 16384);
  hl_buf_printf(&b, "%s%s%s", strcmp(c->root, ".") == 0 ? "" : c->root, strcmp(c->root, ".") == 0 ? "" : "/", ar.source + 1);
  f->path = hl_strdup(b.p);
  hl_buf_deinit(&b);
  hl_buf_init(&b, DUMP_MAX);
  if (lua_dump(L, keep, &b, 0) == 0 && b.n > HEADER) {
    dump d = {.p = (const unsigned char *)b.p + HEADER + 1, .end = (const unsigned char *)b.p + b.n, .f = f};
    read_function(&d, 0);
  }
  hl_buf_deinit(&b);
  file **at = &c->files;
  while (*at && strcmp((*at)->path, f->path) < 0) at = &(*at)->next;
  f->next = *at;
  *at = f;
}

void hl_coverage_line(hl_coverage *c, lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "S", ar);
  if (*ar->source != '@') return;
  if (!c->last || strcmp(c->last->chunk, ar->source) != 0) {
    file *f = find(c, ar->source);
    if (!f) return;
    c->last = f;
  }
  int line = ar->currentline;
  if (line >= 1 && (unsigned)line <= c->last->n && c->last->hits[line] >= 0 && c->last->hits[line] < INT32_MAX)
    c->last->hits[line]++;
}

void hl_coverage_each(hl_coverage *c, void (*each)(void *arg, const hl_coverage_file *file), void *arg) {
  for (const file *f = c->files; f; f = f->next) {
    hl_coverage_file r = {.path = f->path, .n = f->n, .hits = f->hits};
    for (unsigned i = 1; i <= f->n; i++) {
      r.lines += f->hits[i] != HL_LINE_NONE;
      r.covered += f->hits[i] > 0;
    }
    each(arg, &r);
  }
}
