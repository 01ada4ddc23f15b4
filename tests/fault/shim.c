/* Preloaded into hubloop by the fault tests: a wall clock that steps, and a store
 * whose writes fail, hang or end the process. The test writes what is to happen
 * into the file $HL_FAULT_FILE; only files below $HL_FAULT_DIR are touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, READ_ONLY, ABORT, HANG };

typedef struct control {
  int64_t clock_ms;   /* added to the wall clock */
  int32_t mode;
  int32_t after;      /* ABORT: so many more calls of fdatasync go well */
} control;

static volatile control *faults;
static const char *folder;
static size_t folder_n;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("HL_FAULT_FILE");
  folder = getenv("HL_FAULT_DIR");
  folder_n = folder ? strlen(folder) : 0;
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *p = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p != MAP_FAILED) faults = p;
  close(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- the clock ---- */

int clock_gettime(clockid_t id, struct timespec *ts) {
  static __typeof__(&clock_gettime) real;
  if (!real) real = REAL(clock_gettime);
  int rc = real(id, ts);
  if (rc || !faults || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return rc;
  int64_t ns = (int64_t)ts->tv_nsec + faults->clock_ms % 1000 * 1000000;
  int64_t carry = ns < 0 ? -1 : ns >= 1000000000 ? 1 : 0;
  ts->tv_sec += faults->clock_ms / 1000 + carry;
  ts->tv_nsec = (long)(ns - carry * 1000000000);
  return 0;
}

time_t time(time_t *out) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (out) *out = ts.tv_sec;
  return ts.tv_sec;
}

int gettimeofday(struct timeval *tv, void *zone) {
  struct timespec ts;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &ts);
  tv->tv_sec = ts.tv_sec;
  tv->tv_usec = ts.tv_nsec / 1000;
  return 0;
}

/* ---- the store's files ---- */

static int below(const char *path) { return folder_n && strncmp(path, folder, folder_n) == 0; }

static int is_ours(int fd) {
  char link[64], path[PATH_MAX];
  if (!faults || faults->mode == NOTHING) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return below(path);
}

static int fails(int fd) {
  if (!is_ours(fd)) return 0;
  while (faults->mode == HANG) usleep(2000);
  if (faults->mode != READ_ONLY) return 0;
  errno = EROFS;
  return 1;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return fails(fd) ? -1 : REAL(pwrite)(fd, p, n, at); }
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) { return fails(fd) ? -1 : REAL(pwrite64)(fd, p, n, at); }
int ftruncate(int fd, off_t n) { return fails(fd) ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return fails(fd) ? -1 : REAL(ftruncate64)(fd, n); }

static int sync_fails(int fd) {
  if (is_ours(fd) && faults->mode == ABORT && faults->after-- <= 0) {
    faults->mode = NOTHING; /* the next child lives */
    abort();
  }
  return fails(fd);
}

int fdatasync(int fd) { return sync_fails(fd) ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return sync_fails(fd) ? -1 : REAL(fsync)(fd); }

static int open_fails(const char *path, int flags) {
  if (!faults || faults->mode != READ_ONLY || !below(path) || (flags & O_ACCMODE) == O_RDONLY) return 0;
  errno = EROFS;
  return 1;
}

int open(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  int mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, int) : 0;
  va_end(ap);
  return open_fails(path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  int mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, int) : 0;
  va_end(ap);
  return open_fails(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}
