#include "cmd/shipped.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/mem.h"

#define FOLDER "scripts/"
#define LIB FOLDER "lib/"
enum { NAMES_MAX = 200 };

static bool ends_with(hl_str s, const char *tail) {
  size_t n = strlen(tail);
  return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

static bool is_script(const hl_embedded *f) {
  hl_str s = hl_str_of(f->name);
  return hl_str_starts(s, FOLDER) && !hl_str_starts(s, LIB) && ends_with(s, ".lua") && !ends_with(s, "_test.lua") && !ends_with(s, "/hubloop.lua");
}

const hl_embedded *hl_shipped_script_next(const hl_embedded *last) {
  for (const hl_embedded *f = last ? last + 1 : hl_stdlib_files; f < hl_stdlib_files + hl_stdlib_count; f++)
    if (is_script(f)) return f;
  return NULL;
}

const hl_embedded *hl_shipped_lib_next(const hl_embedded *last) {
  for (const hl_embedded *f = last ? last + 1 : hl_stdlib_files; f < hl_stdlib_files + hl_stdlib_count; f++)
    if (hl_str_starts(hl_str_of(f->name), LIB)) return f;
  return NULL;
}

hl_str hl_shipped_script_name(const hl_embedded *script) {
  size_t skip = sizeof FOLDER - 1;
  return (hl_str){script->name + skip, strlen(script->name) - skip - strlen(".lua")};
}

int hl_shipped_script_find(const char *name, const hl_embedded **out, hl_error *err) {
  hl_str wanted = hl_str_of(name);
  char *names[NAMES_MAX + 1] = {NULL};
  size_t n = 0;
  if (ends_with(wanted, ".lua")) wanted.n -= 4;
  const hl_embedded *found = NULL;
  for (const hl_embedded *f = NULL; !found && (f = hl_shipped_script_next(f)) != NULL;) {
    hl_str has = hl_shipped_script_name(f);
    if (hl_str_eq(has, wanted)) found = f;
    else if (n < NAMES_MAX) names[n++] = hl_strndup(has.p, has.n);
  }
  const char *near = hl_str_nearest(wanted, (const char *const *)names);
  int rc = 0;
  if (found) *out = found;
  else if (near) rc = hl_fail(err, HL_EINVAL, "there is no script “%s”; did you mean “%s”?", name, near);
  else rc = hl_fail(err, HL_EINVAL, "there is no script “%s”; hubloop new --list shows all", name);
  for (size_t i = 0; i < n; i++) hl_free(names[i]);
  return rc;
}

int hl_shipped_write(const hl_embedded *file, const char *dir, bool *kept, hl_error *err) {
  char path[PATH_MAX];
  const char *slash = strrchr(file->name, '/');
  if (snprintf(path, sizeof path, "%s/%s", dir, slash ? slash + 1 : file->name) >= (int)sizeof path)
    return hl_fail(err, HL_EINVAL, "the folder's name %.80s… is too long", dir);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  *kept = fd < 0 && errno == EEXIST;
  if (*kept) return 0;
  if (fd < 0) return hl_fail(err, HL_EIO, "cannot write %s: %s", path, strerror(errno));
  ssize_t n = write(fd, file->bytes, file->size);
  int why = n < 0 ? errno : ENOSPC;
  if (close(fd) && n == (ssize_t)file->size) {
    n = -1;
    why = errno;
  }
  if (n == (ssize_t)file->size) return 0;
  unlink(path); /* half a script is worse than none */
  return hl_fail(err, HL_EIO, "cannot write %s: %s", path, strerror(why));
}
