#include "hubspot/operations.h"

#include <ctype.h>

#include "base/mem.h"
#include "hubspot/operations.inc"

enum { SEGMENTS_MAX = 24 };

typedef struct segments {
  hl_str v[SEGMENTS_MAX];
  size_t n;
} segments;

/* False: not a path, or longer than any operation. One trailing '/' counts for nothing. */
static bool split(hl_str path, segments *out) {
  out->n = 0;
  if (path.n == 0 || path.p[0] != '/') return false;
  if (path.n > 1 && path.p[path.n - 1] == '/') path.n--;
  for (size_t from = 1; from <= path.n;) {
    const char *slash = from < path.n ? memchr(path.p + from, '/', path.n - from) : NULL;
    size_t to = slash ? (size_t)(slash - path.p) : path.n;
    if (to == from || out->n == SEGMENTS_MAX) return false;
    out->v[out->n++] = (hl_str){path.p + from, to - from};
    from = to + 1;
  }
  return true;
}

/* The segment at `depth` of a table's path, which is short and well formed; empty beyond its end. */
static hl_str segment_of(const char *path, size_t depth) {
  const char *p = path;
  for (size_t i = 0; p && i < depth; i++) p = strchr(p + 1, '/');
  if (!p) return HL_STR("");
  return (hl_str){p + 1, strcspn(p + 1, "/")};
}

static bool is_version(hl_str s) {
  if (hl_str_eqz(s, "{version}")) return true;
  if (s.n < 7 || s.p[4] != '-') return false;
  for (size_t i = 0; i < 7; i++)
    if (i != 4 && !isdigit((unsigned char)s.p[i])) return false;
  return s.n == 7 || hl_str_eq((hl_str){s.p + 7, s.n - 7}, HL_STR("-beta"));
}

static bool is_legacy(hl_str s) { return s.n == 2 && s.p[0] == 'v' && s.p[1] >= '1' && s.p[1] <= '4'; }
static bool is_param(hl_str s) { return s.n > 0 && s.p[0] == '{' && !hl_str_eqz(s, "{version}"); }

/* Order of the table: shorter paths first, then literals, {version}, other {…}. */
static int rank(hl_str s) { return s.n == 0 ? 0 : is_param(s) ? 3 : hl_str_eqz(s, "{version}") ? 2 : 1; }

static int order(hl_str a, hl_str b) {
  if (rank(a) != rank(b)) return rank(a) - rank(b);
  if (rank(a) != 1) return 0;
  int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
  return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* The part of [lo, hi), whose rows agree up to `depth`, that has `want` there. */
static void narrow(size_t *lo, size_t *hi, size_t depth, hl_str want) {
  size_t ends[2];
  for (int upper = 0; upper < 2; upper++) {
    size_t a = *lo, b = *hi;
    while (a < b) {
      size_t mid = a + (b - a) / 2;
      int c = order(segment_of(operations[mid].path, depth), want);
      if (c < 0 || (upper && c == 0)) a = mid + 1;
      else b = mid;
    }
    ends[upper] = a;
  }
  *lo = ends[0];
  *hi = ends[1];
}

static const hl_operation *search(const char *method, const segments *path, size_t depth, size_t lo, size_t hi) {
  if (lo >= hi) return NULL;
  if (depth == path->n) {
    narrow(&lo, &hi, depth, HL_STR(""));
    for (; lo < hi; lo++)
      if (strcmp(operations[lo].method, method) == 0) return &operations[lo];
    return NULL;
  }
  hl_str s = path->v[depth];
  const hl_str tries[] = {is_version(s) ? HL_STR("{version}") : s, HL_STR("{}")};
  for (size_t i = 0; i < HL_COUNT(tries); i++) {
    size_t a = lo, b = hi;
    if (i == 0 && is_param(s)) continue; /* a placeholder stands for no literal */
    narrow(&a, &b, depth, tries[i]);
    const hl_operation *found = search(method, path, depth + 1, a, b);
    if (found) return found;
    /* {path} is the rest, slashes and all. */
    for (; i == 1 && a < b; a++)
      if (hl_str_eqz(segment_of(operations[a].path, depth), "{path}") && strcmp(operations[a].method, method) == 0)
        return &operations[a];
  }
  return NULL;
}

const hl_operation *hl_operation_find(const char *method, hl_str path) {
  segments s;
  return split(path, &s) ? search(method, &s, 0, 0, HL_COUNT(operations)) : NULL;
}

size_t hl_operation_versions(const hl_operation *op, const char **out, size_t max) {
  static const char *const legacy[] = {"v1", "v2", "v3", "v4"};
  size_t n = 0;
  for (size_t i = 0; i < HL_COUNT(releases) && n < max; i++)
    if (op->releases & 1u << i) out[n++] = releases[i];
  for (size_t i = 0; n == 0 && n < max && i < 8; i++) {
    hl_str s = segment_of(op->path, i);
    if (is_legacy(s)) out[n++] = legacy[s.p[1] - '1'];
  }
  return n;
}

/* ---- object types ---- */

/* "deal", "company", "line_item" for their plurals. */
static bool is_singular(hl_str s, const char *plural) {
  size_t n = strlen(plural);
  if (n > 3 && strcmp(plural + n - 3, "ies") == 0)
    return s.n == n - 2 && memcmp(s.p, plural, n - 3) == 0 && s.p[n - 3] == 'y';
  return n > 1 && s.n == n - 1 && plural[n - 1] == 's' && memcmp(s.p, plural, n - 1) == 0;
}

const hl_object_type *hl_object_type_find(hl_str type) {
  const hl_object_type *custom = NULL;
  for (size_t i = 0; i < HL_COUNT(types); i++) {
    const hl_object_type *t = &types[i];
    if (hl_str_eqz(type, t->name) || (t->id[0] && hl_str_eqz(type, t->id)) || is_singular(type, t->name)) return t;
    if (strcmp(t->name, "custom") == 0) custom = t;
  }
  if (type.n == 0 || hl_str_starts(type, "0-")) return NULL;
  for (size_t i = 0; i < type.n; i++)
    if (!isalnum((unsigned char)type.p[i]) && type.p[i] != '_' && type.p[i] != '-') return NULL;
  return custom;
}

/* ---- scopes ---- */

static bool is_read(const hl_operation *op) {
  if (strcmp(op->method, "GET") == 0) return true;
  const char *last = strrchr(op->path, '/') + 1;
  return strcmp(last, "search") == 0 || strcmp(last, "read") == 0;
}

/* Every alternative of `a` together with every one of `b`; a scope of both once. */
static int put_both(const char *a, const char *b, hl_buf *out) {
  int rc = 0;
  const size_t start = out->n;
  for (const char *x = a; !rc && *x;) {
    size_t nx = strcspn(x, "|");
    for (const char *y = b; !rc && *y;) {
      size_t ny = strcspn(y, "|");
      if (out->n > start) rc = hl_buf_puts(out, "|");
      if (!rc) rc = hl_buf_append(out, x, nx);
      for (const char *s = y; !rc && s < y + ny;) {
        size_t ns = strcspn(s, "+|"), at = 0;
        while (at < nx && !(strncmp(x + at, s, ns) == 0 && (at + ns == nx || x[at + ns] == '+')))
          at += strcspn(x + at, "+|") + 1;
        if (at >= nx) {
          rc = hl_buf_puts(out, "+");
          if (!rc) rc = hl_buf_append(out, s, ns);
        }
        s += ns + (s[ns] == '+');
      }
      y += ny + (y[ny] == '|');
    }
    x += nx + (x[nx] == '|');
  }
  return rc;
}

/* What reads any records at all; that of contacts first, because most tokens have it. */
static int put_any(hl_buf *out) {
  const hl_object_type *contacts = hl_object_type_find(HL_STR("contacts"));
  int rc = hl_buf_puts(out, contacts->read);
  for (size_t i = 0; !rc && i < HL_COUNT(types); i++) {
    bool told = !types[i].read[0];
    for (size_t j = 0; j < i && !told; j++) told = strcmp(types[i].read, types[j].read) == 0;
    if (!told && strcmp(types[i].read, contacts->read) != 0) rc = hl_buf_printf(out, "|%s", types[i].read);
  }
  return rc;
}

int hl_operation_scopes(const hl_operation *op, hl_str path, hl_buf *out) {
  if (op->scopes[0] != '*') return hl_buf_puts(out, op->scopes);
  if (strcmp(op->scopes, "*any") == 0) return put_any(out);
  segments s;
  if (!split(path, &s)) return HL_ENOTFOUND;
  const char *found[2];
  size_t n = 0;
  for (size_t i = 0; i < s.n && n < HL_COUNT(found); i++) {
    hl_str part = segment_of(op->path, i);
    if (part.n == 0 || !is_param(part) || !memmem(part.p, part.n, "bjectType", 9)) continue;
    const hl_object_type *t = hl_object_type_find(s.v[i]);
    if (!t) return HL_ENOTFOUND;
    bool schema = strcmp(op->scopes, "*schema") == 0, read = is_read(op);
    const char *scopes = schema ? (read ? t->schema_read : t->schema_write) : read ? t->read : t->write;
    if (!scopes[0]) return HL_ENOTFOUND;
    found[n++] = scopes;
  }
  if (n == 2) return put_both(found[0], found[1], out);
  return n ? hl_buf_puts(out, found[0]) : HL_ENOTFOUND;
}

/* ---- legacy paths ---- */

/* Segments that match, 0 when one does not; literal ones decide between two as long. */
static size_t match(const char *pattern, const segments *path, size_t *literal) {
  size_t n = 0;
  *literal = 0;
  for (;; n++) {
    hl_str want = segment_of(pattern, n);
    if (want.n == 0) return n;
    if (n == path->n) return 0;
    if (hl_str_eqz(want, "{}")) continue;
    if (!hl_str_eq(want, path->v[n])) return 0;
    ++*literal;
  }
}

int hl_operation_dated(hl_str path, const char *version, hl_buf *out) {
  segments s;
  const struct legacy *best = NULL;
  size_t longest = 0, most = 0;
  bool old = false;
  if (!split(path, &s)) return HL_ENOTFOUND;
  for (size_t i = 0; i < s.n && !old; i++) old = is_legacy(s.v[i]);
  for (size_t i = 0; old && i < HL_COUNT(legacies); i++) {
    size_t literal, n = match(legacies[i].old, &s, &literal);
    if (n == 0 || n < longest || (n == longest && literal <= most)) continue;
    best = &legacies[i];
    longest = n;
    most = literal;
  }
  if (!best || !best->dated) return HL_ENOTFOUND;
  const char *mark = strstr(best->dated, "{version}");
  int rc = hl_buf_printf(out, "%.*s%s%s", (int)(mark - best->dated), best->dated, best->newest ? best->newest : version, mark + 9);
  if (rc) return rc;
  if (best->drop == 0) return s.n > longest ? hl_buf_puts(out, "/…") : 0;
  const char *rest = best->drop < s.n ? s.v[best->drop].p - 1 : s.v[s.n - 1].p + s.v[s.n - 1].n;
  return hl_buf_append(out, rest, (size_t)(path.p + path.n - rest));
}
