#include "hubspot/vault.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "hubspot/seal.h"

enum { FILE_MAX = HL_SEAL_MAX + 64, LOCK_TRIES = 500, LOCK_PAUSE_US = 20000, NAME_LONGEST = 64 };

struct hl_vault {
  char *path, *folder, *key_path, *lock_path, *new_path;
  int (*step)(void *arg, const char *name);
  void *step_arg;
};

static char *joined(const char *a, const char *b) {
  hl_buf s;
  hl_buf_init(&s, 2 * PATH_MAX);
  hl_buf_puts(&s, a);
  hl_buf_puts(&s, b);
  return hl_buf_detach(&s, NULL);
}

int hl_vault_new(const char *file, hl_vault **out, hl_error *err) {
  char place[PATH_MAX], real[PATH_MAX];
  struct stat st;
  const char *env = getenv("HUBLOOP_VAULT"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
  if (!file && env && *env) file = env;
  int n;
  if (file) n = snprintf(place, sizeof place, "%s%s", strchr(file, '/') ? "" : "./", file);
  else if (config && *config == '/') n = snprintf(place, sizeof place, "%s/hubloop/vault", config);
  else if (home && *home == '/') n = snprintf(place, sizeof place, "%s/.config/hubloop/vault", home);
  else return hl_fail(err, HL_EINVAL, "there is no place for stored credentials: HOME is not set; set HUBLOOP_VAULT to a file");
  /* A link stays one: what it names is replaced, or the old tokens would stay there. The key is beside the link. */
  const char *target = n > 0 && lstat(place, &st) == 0 && S_ISLNK(st.st_mode) && realpath(place, real) ? real : place;
  if (n < 0 || (size_t)n + 8 > sizeof place || strlen(target) + 8 > sizeof place) return hl_fail(err, HL_ELIMIT, "the path of the credential store is too long");
  hl_vault *v = HL_NEW(hl_vault);
  const char *slash = strrchr(target, '/');
  v->path = hl_strdup(target);
  v->folder = hl_strndup(target, (size_t)(slash - target) + (slash == target));
  v->key_path = joined(place, ".key");
  v->lock_path = joined(target, ".lock");
  v->new_path = joined(target, ".new");
  *out = v;
  return 0;
}

hl_vault *hl_vault_copy(const hl_vault *from) {
  hl_vault *v = HL_NEW(hl_vault);
  *v = *from;
  v->path = hl_strdup(from->path);
  v->folder = hl_strdup(from->folder);
  v->key_path = hl_strdup(from->key_path);
  v->lock_path = hl_strdup(from->lock_path);
  v->new_path = hl_strdup(from->new_path);
  return v;
}

void hl_vault_free(hl_vault *v) {
  if (!v) return;
  hl_free(v->path);
  hl_free(v->folder);
  hl_free(v->key_path);
  hl_free(v->lock_path);
  hl_free(v->new_path);
  hl_free(v);
}

const char *hl_vault_path(const hl_vault *v) { return v->path; }
bool hl_vault_exists(const hl_vault *v) { return access(v->path, F_OK) == 0; }

static const char *key_variable(void) {
  const char *key = getenv("HUBLOOP_KEY");
  return key && *key ? key : NULL;
}

const char *hl_vault_key_source(const hl_vault *v) { return key_variable() ? "HUBLOOP_KEY" : v->key_path; }

void hl_vault_on_step(hl_vault *v, int (*step)(void *arg, const char *name), void *arg) {
  v->step = step;
  v->step_arg = arg;
}

int hl_vault_check_name(const char *name, hl_error *err) {
  size_t n = strlen(name);
  bool good = n > 0 && n <= NAME_LONGEST && name[0] != '.' && name[0] != '-';
  for (size_t i = 0; i < n && good; i++) good = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
  if (good) return 0;
  return hl_fail(err, HL_EINVAL, "“%.80s” is no name for a credential: up to %d letters, digits, '.', '_' and '-'",
                 name, NAME_LONGEST);
}

void hl_vault_wipe(cJSON *tree) {
  for (cJSON *i = tree; i; i = i->next) {
    if (i->valuestring && !(i->type & cJSON_IsReference)) explicit_bzero(i->valuestring, strlen(i->valuestring));
    if (i->child && !(i->type & cJSON_IsReference)) {
      cJSON *children = i->child;
      i->child = NULL;
      hl_vault_wipe(children);
    }
  }
  cJSON_Delete(tree);
}

/* ---- files ---- */

static int os(hl_error *err, int number, const char *what, const char *path) {
  int code = number == ENOSPC || number == EDQUOT || number == EFBIG ? HL_EFULL
             : number == EACCES || number == EPERM                   ? HL_EDENIED
                                                                     : HL_EIO;
  return hl_fail(err, code, "cannot %s %s: %s%s", what, path, strerror(number),
                 code == HL_EFULL ? "; what was stored before is unharmed: make room and try again" : "");
}

static int check_private(const char *path, const struct stat *st, hl_error *err) {
  if (!S_ISREG(st->st_mode)) return hl_fail(err, HL_EDENIED, "%s is no regular file", path);
  if (st->st_uid != geteuid() && geteuid() != 0)
    return hl_fail(err, HL_EDENIED, "%s belongs to another user (uid %u): it is not used", path, (unsigned)st->st_uid);
  if (st->st_mode & 077)
    return hl_fail(
        err, HL_EDENIED,
        "%s can be read by others (mode %04o): chmod 600 %s, and rotate what it holds if somebody may have read it",
        path, (unsigned)(st->st_mode & 07777), path);
  return 0;
}

/* HL_ENOTFOUND when there is none. */
static int read_private(const char *path, hl_buf *out, hl_error *err) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
  if (fd < 0) return errno == ENOENT ? hl_fail(err, HL_ENOTFOUND, "there is no %s", path) : os(err, errno, "open", path);
  if (fstat(fd, &st)) rc = os(err, errno, "look at", path);
  else rc = check_private(path, &st, err);
  if (!rc && st.st_size > FILE_MAX) rc = hl_fail(err, HL_ELIMIT, "%s is larger than it can be", path);
  char chunk[4096];
  ssize_t n = 0;
  while (!rc && (n = read(fd, chunk, sizeof chunk)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) rc = os(err, errno, "read", path);
    else if ((rc = hl_buf_append(out, chunk, (size_t)n))) hl_fail(err, rc, "%s is larger than it can be", path);
  }
  explicit_bzero(chunk, sizeof chunk);
  close(fd);
  return rc;
}

static int step(const hl_vault *v, const char *name) {
  if (v->step) {
    int number = v->step(v->step_arg, name);
    if (number) return errno = number, -1;
  }
  return 0;
}

static int write_all(int fd, hl_str s) {
  while (s.n) {
    ssize_t n = write(fd, s.p, s.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    s.p += n;
    s.n -= (size_t)n;
  }
  return 0;
}

static int sync_folder(const hl_vault *v) {
  int fd = open(v->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int rc = fsync(fd), number = errno;
  close(fd);
  errno = number;
  return rc;
}

/* The whole file or nothing. `first` is the name of its first step. */
static int replace(const hl_vault *v, const char *path, const char *first, hl_str content, hl_error *err) {
  int fd = -1, rc = 0;
  unlink(v->new_path); /* of a writer that died; the lock is ours */
  const char *what = "write";
  if (step(v, first) || (fd = open(v->new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0 ||
      fchmod(fd, 0600) || write_all(fd, content))
    goto failed;
  what = "sync";
  if (step(v, "sync") || fsync(fd)) goto failed;
  if (close(fd)) {
    fd = -1;
    goto failed;
  }
  fd = -1;
  what = "replace";
  if (step(v, "rename") || rename(v->new_path, path)) goto failed;
  what = "sync the folder of";
  if (step(v, "folder") || sync_folder(v)) return os(err, errno, what, path);
  return 0;
failed:
  rc = os(err, errno, what, path);
  if (fd >= 0) close(fd);
  unlink(v->new_path);
  return rc;
}

static int make_folder(const hl_vault *v, hl_error *err) {
  char path[PATH_MAX];
  struct stat st;
  snprintf(path, sizeof path, "%s", v->folder);
  for (char *p = path + 1; *p; p++) {
    if (*p != '/') continue;
    *p = 0;
    if (mkdir(path, 0700) && errno != EEXIST) return os(err, errno, "make the folder", path);
    *p = '/';
  }
  if (mkdir(path, 0700) && errno != EEXIST) return os(err, errno, "make the folder", path);
  if (stat(path, &st)) return os(err, errno, "look at the folder", path);
  if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
    return hl_fail(err, HL_EDENIED,
                   "others can write in the folder %s (mode %04o), and so replace stored credentials: chmod go-w %s",
                   path, (unsigned)(st.st_mode & 07777), path);
  return 0;
}

static int lock_file(const char *path, int tries, int *out, hl_error *err) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return os(err, errno, "open", path);
  while (flock(fd, LOCK_EX | LOCK_NB)) {
    int number = errno;
    if (number == EINTR) continue;
    if (number == EWOULDBLOCK && --tries > 0) {
      usleep(LOCK_PAUSE_US);
      continue;
    }
    close(fd);
    if (number != EWOULDBLOCK) return os(err, number, "lock", path);
    return hl_fail(err, HL_EBUSY, "another hubloop holds %s: wait until it is through", path);
  }
  *out = fd;
  return 0;
}

/* ---- the key ---- */

static int load_key(const hl_vault *v, bool make, unsigned char key[HL_SEAL_KEY], hl_error *err) {
  const char *variable = key_variable();
  if (variable) {
    int rc = hl_seal_key(hl_str_of(variable), key, err);
    return rc ? hl_fail_in(err, "HUBLOOP_KEY") : 0;
  }
  hl_buf text;
  hl_buf_init(&text, 4096);
  int rc = read_private(v->key_path, &text, err);
  if (!rc) {
    rc = hl_seal_key(hl_buf_str(&text), key, err);
    if (rc) rc = hl_fail_in(err, "the key file %s is damaged", v->key_path);
  } else if (rc == HL_ENOTFOUND && !make) {
    rc = hl_fail(err, HL_EAUTH,
                 "the key of %s is missing: put %s back or set HUBLOOP_KEY. Without it nothing of it can be read; to "
                 "begin anew, "
                 "move %s away",
                 v->path, v->key_path, v->path);
  } else if (rc == HL_ENOTFOUND) {
    char hex[2 * HL_SEAL_KEY + 2];
    if (!(rc = hl_seal_new_key(key, err))) {
      hl_seal_key_text(key, hex);
      memcpy(hex + 2 * HL_SEAL_KEY, "\n", 2);
      rc = replace(v, v->key_path, "key", hl_str_of(hex), err);
      explicit_bzero(hex, sizeof hex);
    }
  }
  hl_buf_wipe(&text);
  return rc;
}

/* ---- content ---- */

static int read_with(hl_vault *v, bool make_key, unsigned char key[HL_SEAL_KEY], cJSON **entries, hl_error *err) {
  hl_buf box, text;
  hl_buf_init(&box, FILE_MAX);
  hl_buf_init(&text, HL_SEAL_MAX + 1);
  int rc = read_private(v->path, &box, err);
  bool none = rc == HL_ENOTFOUND;
  if (none) rc = make_key ? load_key(v, true, key, err) : 0;
  else if (!rc) rc = load_key(v, false, key, err);
  if (rc) goto out;
  if (none) {
    *entries = cJSON_CreateObject();
    goto out;
  }
  rc = hl_unseal(key, hl_buf_str(&box), &text, err);
  if (rc == HL_EAUTH) {
    rc = hl_fail(err, rc,
                 "%s was written with another key than that of %s: give the right one (HUBLOOP_KEY, or the file %s)",
                 v->path, hl_vault_key_source(v), v->key_path);
  } else if (rc) {
    rc = hl_fail_in(err, "the credential store %s cannot be read", v->path);
  } else if ((rc = hl_json_parse(hl_buf_str(&text), entries, NULL)) || !cJSON_IsObject(*entries)) {
    if (!rc) hl_vault_wipe(*entries);
    rc = hl_fail(err, HL_ECORRUPT, "the credential store %s holds no credentials: put a copy of it back", v->path);
  }
out:
  hl_buf_wipe(&text);
  hl_buf_deinit(&box);
  return rc;
}

int hl_vault_read(hl_vault *v, cJSON **entries, hl_error *err) {
  unsigned char key[HL_SEAL_KEY];
  int rc = read_with(v, false, key, entries, err);
  explicit_bzero(key, sizeof key);
  return rc;
}

int hl_vault_change(hl_vault *v, int (*edit)(void *arg, cJSON *entries, hl_error *err), void *arg, hl_error *err) {
  unsigned char key[HL_SEAL_KEY];
  cJSON *entries = NULL;
  char *text = NULL;
  hl_buf box;
  int lock = -1;
  hl_buf_init(&box, FILE_MAX);
  int rc = make_folder(v, err);
  if (!rc) rc = lock_file(v->lock_path, LOCK_TRIES, &lock, err);
  if (!rc) rc = read_with(v, true, key, &entries, err);
  if (!rc) rc = edit(arg, entries, err);
  if (rc) goto out;
  text = hl_json_print(entries);
  rc = hl_seal(key, hl_str_of(text), &box, err);
  if (rc) rc = hl_fail_in(err, "the credential store %s", v->path);
  else rc = replace(v, v->path, "write", hl_buf_str(&box), err);
out:
  explicit_bzero(key, sizeof key);
  if (text) explicit_bzero(text, strlen(text));
  hl_free(text);
  hl_vault_wipe(entries);
  hl_buf_deinit(&box);
  if (lock >= 0) close(lock);
  return rc;
}

/* ---- leases ---- */

int hl_vault_lease(hl_vault *v, const char *name, int *lease, hl_error *err) {
  int rc = hl_vault_check_name(name, err);
  if (!rc) rc = make_folder(v, err);
  if (rc) return rc;
  hl_buf path;
  hl_buf_init(&path, PATH_MAX);
  if (hl_buf_printf(&path, "%s.%s.lock", v->path, name))
    rc = hl_fail(err, HL_ELIMIT, "the path of the credential store is too long");
  else rc = lock_file(path.p, 1, lease, err);
  hl_buf_deinit(&path);
  return rc;
}

void hl_vault_release(int lease) { close(lease); }
