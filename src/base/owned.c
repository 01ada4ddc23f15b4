#include "base/owned.h"

#include <limits.h>

#include "base/mem.h"

static bool same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

bool hl_owned(const char *const *own, const struct stat *st, const struct stat *dir, const char *name) {
  static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
  char path[PATH_MAX];
  struct stat at;
  for (; own && *own; own++) {
    const char *slash = strrchr(*own, '/'), *base = slash ? slash + 1 : *own;
    snprintf(path, sizeof path, "%.*s/.", slash ? (int)(slash - *own) : 1, slash ? *own : ".");
    bool here = dir && stat(path, &at) == 0 && same(&at, dir);
    for (size_t i = 0; i < HL_COUNT(beside); i++) {
      snprintf(path, sizeof path, "%s%s", *own, beside[i]);
      if (st && stat(path, &at) == 0 && same(&at, st)) return true;
      snprintf(path, sizeof path, "%s%s", base, beside[i]);
      if (here && strcmp(name, path) == 0) return true;
    }
  }
  return false;
}
