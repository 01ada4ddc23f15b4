#include "hubspot/paths.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hubspot/operations.h"

const char *hl_path_type_id(const char *type) {
  const hl_object_type *t = hl_object_type_find(hl_str_of(type));
  return t && strcmp(t->name, type) == 0 && t->id[0] && strcmp(t->name, "custom") != 0 ? t->id : type;
}

/* "." and "..", also written with %2e: a server may resolve them. */
static bool is_dot_segment(hl_str s) {
  size_t dots = 0;
  for (size_t i = 0; i < s.n; dots++) {
    if (s.p[i] == '.') i++;
    else if (i + 3 <= s.n && s.p[i] == '%' && s.p[i + 1] == '2' && (s.p[i + 2] | 32) == 'e') i += 3;
    else return false;
  }
  return dots == 1 || dots == 2;
}

static int check(hl_str path, hl_error *err) {
  if (path.n == 0 || path.p[0] != '/' || (path.n > 1 && path.p[1] == '/'))
    return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" must begin with one '/' and have no host: "
                   "the host comes from the account", HL_STR_ARG(path));
  size_t from = 1;
  for (size_t i = 1; i <= path.n; i++) {
    unsigned char c = i < path.n ? (unsigned char)path.p[i] : '/';
    if (c == '?')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a '?': give the query apart (query=)",
                     HL_STR_ARG(path));
    if (c <= ' ' || c == 0x7f || c == '#' || c == '\\')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a character that a path cannot have "
                     "(byte %zu): percent-encode it", HL_STR_ARG(path), i + 1);
    if (c != '/') continue;
    if (i == from && i < path.n)
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds an empty segment", HL_STR_ARG(path));
    if (is_dot_segment((hl_str){path.p + from, i - from}))
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a dot segment", HL_STR_ARG(path));
    if (i > from && i < path.n && path.p[i - 1] == ':')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a scheme: the host comes from the account",
                     HL_STR_ARG(path));
    from = i + 1;
  }
  return 0;
}

/* Letters and digits that were percent-encoded, which means the same path. */
static void decode(hl_str path, hl_buf *out) {
  for (size_t i = 0; i < path.n; i++) {
    char c = path.p[i];
    if (c == '%' && i + 2 < path.n && isxdigit((unsigned char)path.p[i + 1]) && isxdigit((unsigned char)path.p[i + 2])) {
      char hex[3] = {path.p[i + 1], path.p[i + 2], 0};
      char plain = (char)strtoul(hex, NULL, 16);
      if (isalnum((unsigned char)plain)) c = plain, i += 2;
    }
    (void)hl_buf_append(out, &c, 1); /* as long as a path may be */
  }
}

static int refuse_legacy(hl_str path, const char *version, hl_error *err) {
  hl_buf dated, plain;
  hl_buf_init(&dated, 8192);
  hl_buf_init(&plain, 8192);
  decode(path, &plain);
  int rc = hl_operation_dated(hl_buf_str(&plain), version, &dated);
  if (rc != HL_ENOTFOUND)
    rc = hl_fail(err, HL_EINVAL, "HubSpot ends support for the path " HL_STR_FMT " in 2027: use %s instead",
                 HL_STR_ARG(path), rc ? "its dated form" : dated.p);
  hl_buf_deinit(&dated);
  hl_buf_deinit(&plain);
  return rc == HL_ENOTFOUND ? 0 : rc;
}

int hl_path_build(hl_str path, const char *version, hl_buf *out, hl_error *err) {
  int rc = check(path, err);
  if (!rc) rc = refuse_legacy(path, version, err);
  for (size_t i = 0; i < path.n && !rc;) {
    hl_str rest = {path.p + i, path.n - i};
    if (hl_str_starts(rest, "{version}")) {
      rc = hl_buf_puts(out, version);
      i += 9;
    } else {
      rc = hl_buf_append(out, path.p + i, 1);
      i++;
    }
    if (rc) hl_fail(err, rc, "the path is too long");
  }
  return rc;
}

static bool ends(hl_str path, const char *tail) {
  size_t n = strlen(tail);
  return path.n >= n && memcmp(path.p + path.n - n, tail, n) == 0;
}

bool hl_path_is_search(const char *method, hl_str path) {
  return strcmp(method, "POST") == 0 && hl_str_starts(path, "/crm/") && ends(path, "/search");
}

bool hl_path_is_safe(const char *method, hl_str path) {
  if (strcmp(method, "POST") != 0) return true;
  return ends(path, "/search") || ends(path, "/batch/read") || ends(path, "/batch/update") ||
         ends(path, "/batch/upsert") || ends(path, "/batch/archive");
}
