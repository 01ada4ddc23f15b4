#include "hubspot/call_forget.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "hubspot/call_log.h"

enum { PIECE = 1 << 20, LINE_MAX_BYTES = 2 << 20 };

static int failed(hl_error *err, const char *path) {
  return hl_fail(err, HL_EIO, "the call log %s cannot be gone through: %s", path, strerror(errno));
}

/* The line at `at` of the file; its end stays. */
static int blank(int fd, off_t at, size_t n) {
  static const char blanks[] = "                                                                ";
  while (n) {
    size_t some = n < sizeof blanks - 1 ? n : sizeof blanks - 1;
    ssize_t w = pwrite(fd, blanks, some, at);
    if (w < 0 && errno == EINTR) continue;
    if (w <= 0) return -1;
    at += w;
    n -= (size_t)w;
  }
  return 0;
}

/* A last line without its end is being written, and is as long as it is. */
static int one_segment(const char *path, const hl_person *who, bool dry_run, int64_t *lines, hl_error *err) {
  hl_buf held;
  off_t start = 0; /* of what is held, in the file */
  char *piece = hl_alloc(PIECE);
  int fd = open(path, (dry_run ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW), rc = 0;
  if (fd < 0) {
    hl_free(piece);
    return errno == ENOENT ? 0 : failed(err, path);
  }
  hl_buf_init(&held, LINE_MAX_BYTES + PIECE);
  for (bool end = false; !end && !rc;) {
    ssize_t n = read(fd, piece, PIECE);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) rc = failed(err, path);
    end = n <= 0;
    if (n > 0 && hl_buf_append(&held, piece, (size_t)n)) { /* a line without end: none of ours */
      start += (off_t)held.n;
      hl_buf_clear(&held);
      hl_buf_append(&held, piece, (size_t)n);
    }
    size_t from = 0;
    while (!rc && from < held.n) {
      const char *nl = memchr(held.p + from, '\n', held.n - from);
      if (!nl && !end) break;
      size_t to = nl ? (size_t)(nl - held.p) : held.n;
      if (hl_person_in(who, (hl_str){held.p + from, to - from})) {
        ++*lines;
        if (!dry_run && blank(fd, start + (off_t)from, to - from)) rc = failed(err, path);
      }
      from = nl ? to + 1 : to;
    }
    if (!from) continue;
    memmove(held.p, held.p + from, held.n - from);
    held.n -= from;
    start += (off_t)from;
  }
  if (!rc && !dry_run && fdatasync(fd)) rc = failed(err, path);
  hl_buf_deinit(&held);
  hl_free(piece);
  close(fd);
  return rc;
}

int hl_call_log_forget(const char *base, const hl_person *who, bool dry_run, int64_t *lines, hl_error *err) {
  char path[PATH_MAX];
  uint64_t *v;
  size_t n;
  int rc = 0;
  *lines = 0;
  if (hl_call_log_segments(base, &v, &n)) return 0;
  for (size_t i = 0; i < n && !rc; i++) {
    if (snprintf(path, sizeof path, "%s.%llu", base, (unsigned long long)v[i]) < (int)sizeof path) rc = one_segment(path, who, dry_run, lines, err);
  }
  hl_free(v);
  return rc;
}
