#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "hubspot/seal.h"
#include "hubspot/vault.h"

/* Each test program has a temporary folder of its own as the working folder. */
static char folder[64], file[96], key_file[128], new_file[128];

static int fresh(void **state) {
  (void)state;
  unsetenv("HUBLOOP_KEY");
  unsetenv("HUBLOOP_VAULT");
  snprintf(folder, sizeof folder, "./vault-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(file, sizeof file, "%s/deep/vault", folder);
  snprintf(key_file, sizeof key_file, "%s.key", file);
  snprintf(new_file, sizeof new_file, "%s.new", file);
  return 0;
}

static hl_vault *open_it(void) {
  hl_vault *v;
  hl_error err;
  assert_int_equal(hl_vault_new(file, &v, &err), 0);
  return v;
}

typedef struct entry { const char *name, *value; } entry;

static int put(void *arg, cJSON *entries, hl_error *err) {
  (void)err;
  const entry *e = arg;
  cJSON_DeleteItemFromObjectCaseSensitive(entries, e->name);
  cJSON_AddStringToObject(entries, e->name, e->value);
  return 0;
}

static int set(hl_vault *v, const char *name, const char *value, hl_error *err) {
  entry e = {name, value};
  return hl_vault_change(v, put, &e, err);
}

static void holds(const char *name, const char *value) {
  hl_vault *v = open_it();
  cJSON *entries;
  hl_error err;
  if (hl_vault_read(v, &entries, &err)) fail_msg("%s", err.text);
  const char *found = hl_json_str(entries, name, NULL);
  if (value) {
    assert_non_null(found);
    assert_string_equal(found, value);
  } else {
    assert_null(found);
  }
  hl_vault_wipe(entries);
  hl_vault_free(v);
}

static void refuses(int code, const char *part) {
  hl_vault *v = open_it();
  cJSON *entries = NULL;
  hl_error err = {0};
  assert_int_equal(hl_vault_read(v, &entries, &err), code);
  assert_null(entries);
  if (!strstr(err.text, part)) fail_msg("\"%s\" does not hold \"%s\"", err.text, part);
  /* A change does not write over what it cannot read. */
  entry e = {"lost", "everything"};
  assert_int_equal(hl_vault_change(v, put, &e, &err), code);
  hl_vault_free(v);
}

static hl_str slurp(const char *path) {
  static char bytes[1 << 16];
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  size_t n = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  return (hl_str){bytes, n};
}

static void spill(const char *path, const void *p, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(p, 1, n, f), n);
  fclose(f);
}

static void first(void) {
  hl_vault *v = open_it();
  hl_error err;
  if (set(v, "shop", "the first secret", &err)) fail_msg("%s", err.text);
  hl_vault_free(v);
}

static void what_is_stored_comes_back(void **state) {
  (void)state;
  struct stat st;
  holds("shop", NULL); /* no file yet */
  first();
  holds("shop", "the first secret");
  assert_int_equal(stat(file, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(stat(key_file, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_not_equal(access(new_file, F_OK), 0);
  hl_str bytes = slurp(file);
  assert_null(memmem(bytes.p, bytes.n, "secret", 6));
  assert_null(memmem(bytes.p, bytes.n, "shop", 4)); /* names are sealed too */
}

static void no_nonce_is_used_twice(void **state) {
  (void)state;
  char seen[16][12];
  hl_vault *v = open_it();
  hl_error err;
  for (int i = 0; i < 16; i++) {
    assert_int_equal(set(v, "shop", "the same", &err), 0);
    memcpy(seen[i], slurp(file).p + 16, 12);
    for (int k = 0; k < i; k++) assert_int_not_equal(memcmp(seen[i], seen[k], 12), 0);
  }
  hl_vault_free(v);
}

static void a_change_of_any_byte_is_seen(void **state) {
  (void)state;
  char copy[4096];
  first();
  hl_str bytes = slurp(file);
  size_t n = bytes.n;
  memcpy(copy, bytes.p, n);
  for (size_t i = 0; i < n; i++) {
    copy[i] ^= 0x10;
    spill(file, copy, n);
    refuses(i >= 8 && i < 16 ? HL_EAUTH : HL_ECORRUPT, file);
    copy[i] ^= 0x10;
  }
  for (size_t i = 0; i < n; i++) {
    spill(file, copy, i);
    refuses(HL_ECORRUPT, file);
  }
  copy[n] = 0;
  spill(file, copy, n + 1);
  refuses(HL_ECORRUPT, "cut off or was changed");
  spill(file, copy, n);
  holds("shop", "the first secret");
}

static void the_key_from_the_environment(void **state) {
  (void)state;
  setenv("HUBLOOP_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", 1);
  first();
  assert_int_not_equal(access(key_file, F_OK), 0); /* none is made */
  setenv("HUBLOOP_KEY", " 3031323334353637383961626364656630313233343536373839616263646566\n", 1); /* the same in hex */
  holds("shop", "the first secret");
  setenv("HUBLOOP_KEY", "3031323334353637383961626364656630313233343536373839616263646567", 1);
  refuses(HL_EAUTH, "was written with another key than that of HUBLOOP_KEY");
  setenv("HUBLOOP_KEY", "30313233343536373839616263646566", 1); /* 16 bytes */
  refuses(HL_EINVAL, "HUBLOOP_KEY: it must be 32 bytes");
  setenv("HUBLOOP_KEY", "AAAA", 1);
  refuses(HL_EINVAL, "32 bytes");
  unsetenv("HUBLOOP_KEY");
  refuses(HL_EAUTH, "key of"); /* and no new key file is made for an old store */
  assert_int_not_equal(access(key_file, F_OK), 0);
}

static void a_lost_or_damaged_key_file(void **state) {
  (void)state;
  char key[256];
  first();
  hl_str k = slurp(key_file);
  memcpy(key, k.p, k.n);
  size_t n = k.n;
  spill(key_file, key, n - 10);
  refuses(HL_EINVAL, "is damaged");
  key[0] = key[0] == '0' ? '1' : '0';
  spill(key_file, key, n);
  refuses(HL_EAUTH, "another key");
  unlink(key_file);
  refuses(HL_EAUTH, "is missing: put");
}

static void files_that_others_can_read(void **state) {
  (void)state;
  first();
  chmod(file, 0640);
  refuses(HL_EDENIED, "chmod 600");
  chmod(file, 0600);
  chmod(key_file, 0604);
  refuses(HL_EDENIED, "chmod 600");
  chmod(key_file, 0600);
  holds("shop", "the first secret");
  char deep[96];
  snprintf(deep, sizeof deep, "%s/deep", folder);
  chmod(deep, 0777);
  hl_vault *v = open_it();
  hl_error err;
  assert_int_equal(set(v, "shop", "x", &err), HL_EDENIED);
  assert_non_null(strstr(err.text, "chmod go-w"));
  hl_vault_free(v);
}

/* ---- faults ---- */

typedef struct fault { const char *at; int number; bool die; } fault;

static int on_step(void *arg, const char *name) {
  const fault *f = arg;
  if (strcmp(name, f->at) != 0) return 0;
  if (f->die) _exit(7);
  return f->number;
}

static const char *const steps[] = {"write", "sync", "rename", "folder"};

static void a_full_disk_at_each_step(void **state) {
  (void)state;
  first();
  for (size_t i = 0; i < HL_COUNT(steps); i++) {
    hl_vault *v = open_it();
    hl_error err = {0};
    fault f = {.at = steps[i], .number = ENOSPC};
    hl_vault_on_step(v, on_step, &f);
    assert_int_equal(set(v, "shop", "the second", &err), HL_EFULL);
    assert_non_null(strstr(err.text, "make room"));
    hl_vault_free(v);
    assert_int_not_equal(access(new_file, F_OK), 0);
    if (strcmp(steps[i], "folder") == 0) holds("shop", "the second"); /* renamed, not known to be durable: an error, no loss */
    else holds("shop", "the first secret");
  }
}

static void dying_at_each_step(void **state) {
  (void)state;
  first();
  for (size_t i = 0; i < HL_COUNT(steps); i++) {
    pid_t pid = fork();
    if (pid == 0) {
      hl_vault *v = open_it();
      hl_error err;
      fault f = {.at = steps[i], .die = true};
      hl_vault_on_step(v, on_step, &f);
      set(v, "shop", "the second", &err);
      _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    holds("shop", strcmp(steps[i], "folder") == 0 ? "the second" : "the first secret");
    hl_vault *v = open_it(); /* the dead one's lock and left-over file are no hindrance */
    hl_error err;
    if (set(v, "other", steps[i], &err)) fail_msg("%s", err.text);
    hl_vault_free(v);
    holds("other", steps[i]);
  }
}

static void dying_while_the_key_is_made(void **state) {
  (void)state;
  pid_t pid = fork();
  if (pid == 0) {
    hl_vault *v = open_it();
    hl_error err;
    fault f = {.at = "folder", .die = true}; /* the key is there, the store is not */
    hl_vault_on_step(v, on_step, &f);
    set(v, "shop", "never", &err);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  assert_int_equal(WEXITSTATUS(status), 7);
  holds("shop", NULL);
  first();
  holds("shop", "the first secret");
}

static void a_real_write_that_fails(void **state) {
  (void)state;
  first();
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit r = {200, 200};
    setrlimit(RLIMIT_FSIZE, &r);
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    hl_vault *v = open_it();
    hl_error err;
    _exit(set(v, "shop", big, &err) == HL_EFULL ? 0 : 1);
  }
  int status;
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  holds("shop", "the first secret");
}

static void two_writers_lose_nothing(void **state) {
  (void)state;
  enum { EACH = 20 };
  pid_t pids[2];
  for (int w = 0; w < 2; w++) {
    pids[w] = fork();
    if (pids[w]) continue;
    for (int i = 0; i < EACH; i++) {
      char name[32];
      snprintf(name, sizeof name, "w%d-%d", w, i);
      hl_vault *v = open_it();
      hl_error err;
      if (set(v, name, name, &err)) _exit(1);
      hl_vault_free(v);
    }
    _exit(0);
  }
  for (int w = 0; w < 2; w++) {
    int status;
    waitpid(pids[w], &status, 0);
    assert_int_equal(status, 0);
  }
  for (int w = 0; w < 2; w++)
    for (int i = 0; i < EACH; i++) {
      char name[32];
      snprintf(name, sizeof name, "w%d-%d", w, i);
      holds(name, name);
    }
}

static void one_holds_a_lease(void **state) {
  (void)state;
  hl_vault *v = open_it();
  hl_error err;
  int a, b, c;
  assert_int_equal(hl_vault_lease(v, "shop", &a, &err), 0);
  assert_int_equal(hl_vault_lease(v, "shop", &b, &err), HL_EBUSY);
  assert_int_equal(hl_vault_lease(v, "other", &c, &err), 0);
  hl_vault_release(a);
  assert_int_equal(hl_vault_lease(v, "shop", &b, &err), 0);
  hl_vault_release(b);
  hl_vault_release(c);
  assert_int_equal(hl_vault_lease(v, "../etc", &b, &err), HL_EINVAL);
  hl_vault_free(v);
}

static void the_place(void **state) {
  (void)state;
  hl_vault *v;
  hl_error err;
  setenv("XDG_CONFIG_HOME", "/x/config", 1);
  assert_int_equal(hl_vault_new(NULL, &v, &err), 0);
  assert_string_equal(hl_vault_path(v), "/x/config/hubloop/vault");
  assert_string_equal(hl_vault_key_source(v), "/x/config/hubloop/vault.key");
  hl_vault_free(v);
  unsetenv("XDG_CONFIG_HOME");
  setenv("HOME", "/home/ana", 1);
  assert_int_equal(hl_vault_new(NULL, &v, &err), 0);
  assert_string_equal(hl_vault_path(v), "/home/ana/.config/hubloop/vault");
  hl_vault_free(v);
  setenv("HUBLOOP_VAULT", "/y/v", 1);
  assert_int_equal(hl_vault_new(NULL, &v, &err), 0);
  assert_string_equal(hl_vault_path(v), "/y/v");
  hl_vault_free(v);
  unsetenv("HUBLOOP_VAULT");
  unsetenv("HOME");
  assert_int_equal(hl_vault_new(NULL, &v, &err), HL_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_is_stored_comes_back, fresh),
      cmocka_unit_test_setup(no_nonce_is_used_twice, fresh),
      cmocka_unit_test_setup(a_change_of_any_byte_is_seen, fresh),
      cmocka_unit_test_setup(the_key_from_the_environment, fresh),
      cmocka_unit_test_setup(a_lost_or_damaged_key_file, fresh),
      cmocka_unit_test_setup(files_that_others_can_read, fresh),
      cmocka_unit_test_setup(a_full_disk_at_each_step, fresh),
      cmocka_unit_test_setup(dying_at_each_step, fresh),
      cmocka_unit_test_setup(dying_while_the_key_is_made, fresh),
      cmocka_unit_test_setup(a_real_write_that_fails, fresh),
      cmocka_unit_test_setup(two_writers_lose_nothing, fresh),
      cmocka_unit_test_setup(one_holds_a_lease, fresh),
      cmocka_unit_test_setup(the_place, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
