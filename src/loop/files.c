#include "loop/files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { MAX_FOLDERS = 500, MAX_DEPTH = 16, QUIET_MS = 100, LONGEST_MS = 2000 };

typedef struct folder {
  struct folder *next;
  hl_files *f;                 /* NULL: it is being closed */
  uv_fs_event_t handle;
  char path[];
} folder;

struct hl_files {
  hl_loop *loop;
  char *root, *except;
  bool tests;
  folder *folders;
  size_t n;
  void (*changed)(void *arg);
  void *arg;
  hl_timer timer;
  int64_t since;               /* when the first of these changes came */
};

static int watch_all(hl_files *f, hl_error *err);

static void on_closed(uv_handle_t *handle) { hl_free(handle->data); }

static void leave_all(hl_files *f) {
  while (f->folders) {
    folder *d = f->folders;
    f->folders = d->next;
    d->f = NULL;
    uv_close((uv_handle_t *)&d->handle, on_closed);
  }
  f->n = 0;
}

static void on_quiet(hl_timer *t, void *arg) {
  hl_files *f = arg;
  hl_error err;
  (void)t;
  f->since = 0;
  /* Before the files are read, so that what changes meanwhile is told again. */
  leave_all(f);
  if (watch_all(f, &err)) hl_log_write(hl_loop_log(f->loop), HL_LOG_ERROR, "watch", "%s", err.text);
  f->changed(f->arg);
}

static bool is_left_out(const hl_files *f, const char *path, const char *name) {
  return *name == '.' || strcmp(name, "node_modules") == 0 || (f->except && strcmp(path, f->except) == 0);
}

/* Now, or when it was last looked: one that is moved away says nothing of its files. */
static bool is_folder(const hl_files *f, const char *path) {
  struct stat st;
  if (stat(path, &st) == 0) return S_ISDIR(st.st_mode);
  for (const folder *d = f->folders; d; d = d->next)
    if (strcmp(d->path, path) == 0) return true;
  return false;
}

static bool ends(const char *name, const char *with) {
  size_t n = strlen(name), m = strlen(with);
  return n > m && strcmp(name + n - m, with) == 0;
}

static bool counts(const folder *d, const char *name, int events) {
  char path[PATH_MAX];
  if (!name) return true;
  if (ends(name, ".lua")) return *name != '.' && (d->f->tests || !ends(name, "_test.lua"));
  /* Folders come and go; what is written to other files is of no interest. */
  return (events & UV_RENAME) && snprintf(path, sizeof path, "%s/%s", d->path, name) < (int)sizeof path &&
         !is_left_out(d->f, path, name) && is_folder(d->f, path);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
  folder *d = handle->data;
  hl_files *f = d->f;
  if (!f || status || !counts(d, name, events)) return;
  int64_t now = hl_loop_mono(f->loop);
  if (!f->since) f->since = now;
  int64_t left = f->since + LONGEST_MS - now;
  hl_timer_start(f->loop, &f->timer, left < QUIET_MS ? left : QUIET_MS, on_quiet, f);
}

static int watch(hl_files *f, const char *path, int depth, hl_error *err) {
  if (f->n == MAX_FOLDERS)
    return hl_fail(err, HL_ELIMIT, "%s has more than %d folders, and those beyond are not watched: keep other things out of the project", f->root, MAX_FOLDERS);
  folder *d = hl_alloc(sizeof *d + strlen(path) + 1);
  memcpy(d->path, path, strlen(path) + 1);
  d->f = f;
  d->next = f->folders;
  f->folders = d;
  f->n++;
  uv_fs_event_init(hl_loop_uv(f->loop), &d->handle);
  d->handle.data = d;
  uv_unref((uv_handle_t *)&d->handle);
  int rc = uv_fs_event_start(&d->handle, on_event, path, 0);
  if (rc == UV_ENOENT && depth) return 0; /* gone since it was listed */
  if (rc) return hl_fail(err, HL_EIO, "cannot watch the folder %s: %s%s", path, uv_strerror(rc), rc == UV_ENOSPC ? "; raise fs.inotify.max_user_watches" : "");
  DIR *dir = depth < MAX_DEPTH ? opendir(path) : NULL;
  for (struct dirent *e; dir && !rc && (e = readdir(dir)) != NULL;) {
    char below[PATH_MAX];
    if (e->d_type != DT_DIR || snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below) continue;
    if (!is_left_out(f, below, e->d_name)) rc = watch(f, below, depth + 1, err);
  }
  if (dir) closedir(dir);
  return rc;
}

static int watch_all(hl_files *f, hl_error *err) { return watch(f, f->root, 0, err); }

int hl_files_new(hl_loop *loop, const hl_files_options *o, void (*changed)(void *arg), void *arg, hl_files **out, hl_error *err) {
  hl_files *f = HL_NEW(hl_files);
  f->loop = loop;
  f->root = hl_strdup(o->root);
  f->except = hl_strdup(o->except);
  f->tests = o->tests;
  f->changed = changed;
  f->arg = arg;
  f->timer.unref = true;
  int rc = watch_all(f, err);
  if (rc) hl_files_free(f);
  else *out = f;
  return rc;
}

void hl_files_free(hl_files *f) {
  if (!f) return;
  leave_all(f);
  hl_timer_stop(f->loop, &f->timer);
  hl_free(f->root);
  hl_free(f->except);
  hl_free(f);
}
