/* Duplicates beyond memory: segments on disk, against a model, over restarts,
 * with segments that were deleted or damaged meanwhile. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/segment.h"
#include "engine_util.h"

static const unsigned char KEY[HL_SEGMENT_KEY_BYTES] = "0123456789abcde", OTHER[HL_SEGMENT_KEY_BYTES] = "another store's";

static void overwrite(const char *path, off_t at, const char *bytes) {
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
  close(fd);
}

static hl_generation generation(hl_rng *r, size_t n) {
  hl_generation g = {.n = n, .first_row = 10, .last_row = 20, .from = 1000, .to = 1000 + 5000};
  g.v = hl_alloc((n + 1) * sizeof *g.v);
  for (size_t i = 0; i < n; i++) g.v[i] = (hl_dated){{hl_rng_next(r), hl_rng_next(r)}, (uint32_t)(i % 5001)};
  return g;
}

static void keeps_what_it_was_given(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 2, 63, 1000, 50000};
  hl_rng r;
  hl_error err;
  hl_rng_init(&r, 3);
  for (size_t k = 0; k < HL_COUNT(sizes); k++) {
    size_t n = sizes[k];
    hl_generation g = generation(&r, n);
    hl_dated *copy = hl_alloc((n + 1) * sizeof *copy);
    hl_segment *s;
    struct stat st;
    memcpy(copy, g.v, n * sizeof *copy);
    assert_int_equal(hl_segment_write("seg", KEY, &g, &err), 0);
    assert_int_equal(stat("seg", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(hl_segment_open("seg", KEY, &s, &err), 0);
    assert_int_equal(hl_segment_count(s), n);
    assert_int_equal(hl_segment_first_row(s), 10);
    assert_int_equal(hl_segment_last_row(s), 20);
    assert_int_equal(hl_segment_last_at(s), 6000);
    for (size_t i = 0; i < n; i++) {
      int64_t at = 1000 + copy[i].age;
      assert_true(hl_segment_has(s, copy[i].hash, at - 1));
      assert_false(hl_segment_has(s, copy[i].hash, at));
      assert_false(hl_segment_has(s, (hl_hash){copy[i].hash.a, copy[i].hash.b ^ 1}, 0));
      assert_false(hl_segment_has(s, (hl_hash){copy[i].hash.a + 1, copy[i].hash.b}, 0));
    }
    for (int i = 0; i < 20000; i++) assert_false(hl_segment_has(s, (hl_hash){hl_rng_next(&r), hl_rng_next(&r)}, 0));
    assert_false(hl_segment_has(s, (hl_hash){0, 1}, 0));
    assert_false(hl_segment_has(s, (hl_hash){UINT64_MAX, UINT64_MAX}, 0));
    hl_segment_free(s);
    hl_free(g.v);
    hl_free(copy);
  }
}

static void any_damage_is_seen(void **state) {
  (void)state;
  hl_rng r;
  hl_error err;
  hl_segment *s;
  struct stat st;
  hl_rng_init(&r, 4);
  hl_generation g = generation(&r, 500);
  assert_int_equal(hl_segment_write("seg", KEY, &g, &err), 0);
  assert_int_equal(hl_segment_open("seg", OTHER, &s, &err), HL_ECORRUPT);
  assert_int_equal(hl_segment_open("seg-that-is-not-there", KEY, &s, &err), HL_EIO);
  assert_int_equal(stat("seg", &st), 0);
  for (off_t at = 0; at < st.st_size; at += 1 + st.st_size / 300) {
    char was[2] = {0}, is[2] = {0};
    int fd = open("seg", O_RDONLY);
    assert_int_equal(pread(fd, was, 1, at), 1);
    close(fd);
    is[0] = (char)(was[0] ^ 0x41);
    if (!is[0]) is[0] = 0x55;
    overwrite("seg", at, is);
    assert_int_equal(hl_segment_open("seg", KEY, &s, &err), HL_ECORRUPT);
    fd = open("seg", O_WRONLY);
    assert_int_equal(pwrite(fd, was, 1, at), 1);
    close(fd);
  }
  assert_int_equal(hl_segment_open("seg", KEY, &s, &err), 0);
  hl_segment_free(s);
  assert_int_equal(truncate("seg", st.st_size - 20), 0);
  assert_int_equal(hl_segment_open("seg", KEY, &s, &err), HL_ECORRUPT);
  assert_int_equal(truncate("seg", 10), 0);
  assert_int_equal(hl_segment_open("seg", KEY, &s, &err), HL_ECORRUPT);
  assert_int_equal(hl_segment_write("no-such-folder/seg", KEY, &g, &err), HL_EIO);
  hl_free(g.v);
}

/* ---- the engine with small bounds ---- */

enum { KINDS = 12000, MEMORY = 256, GENERATION = 64, FILLERS = 3 };
static const int64_t WINDOW = HL_HOUR;

typedef struct life {
  world w;
  hl_rng r;
  int64_t now;               /* of the start of the next one */
  int64_t accepted_at[KINDS];
  int64_t filler;
  int max_files;
} life;

static void begin(life *l) {
  world *w = &l->w;
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = l->now, .seed = 7}, w->log, &w->loop, &w->err), 0);
  int rc = hl_engine_new(w->loop, &(hl_engine_options){.store = "seg.db", .dedupe_window_ms = WINDOW, .dedupe_memory = MEMORY,
                                                       .dedupe_generation = GENERATION}, &w->e, &w->err);
  if (rc) print_error("%s\n", w->err.text);
  assert_int_equal(rc, 0);
  world_start(w);
}

static void end(life *l, bool killed) {
  l->now = hl_loop_now(l->w.loop);
  if (killed) hl_engine_abandon(l->w.e);
  else hl_engine_free(l->w.e);
  hl_loop_free(l->w.loop);
  hl_log_free(l->w.log);
}

/* Calls `each` for every segment file; returns how many there are. */
static int each_file(life *l, void (*each)(life *l, const char *path)) {
  DIR *dir = opendir(".");
  int n = 0;
  for (struct dirent *d; (d = readdir(dir));) {
    if (!hl_str_starts(hl_str_of(d->d_name), "seg.db-dedupe-")) continue;
    n++;
    if (each) each(l, d->d_name);
  }
  closedir(dir);
  return n;
}

static void harm(life *l, const char *path) {
  uint64_t dice = hl_rng_below(&l->r, 12);
  struct stat st;
  if (dice > 3) return;
  assert_int_equal(stat(path, &st), 0);
  if (dice == 0) assert_int_equal(unlink(path), 0);
  if (dice == 1) overwrite(path, (off_t)hl_rng_below(&l->r, (uint64_t)st.st_size - 16), "damaged here");
  if (dice == 2) assert_int_equal(truncate(path, (off_t)hl_rng_below(&l->r, (uint64_t)st.st_size)), 0);
  if (dice == 3) assert_int_equal(truncate(path, st.st_size + 20), 0);
}

static void remove_file(life *l, const char *path) {
  (void)l;
  unlink(path);
}

static void event(hl_buf *b, const char *kind, int64_t id) {
  hl_buf_printf(b, "{\"subscriptionType\":\"contact.creation\",\"subscriptionId\":1,\"portalId\":1,\"objectId\":\"%s\",\"eventId\":%lld,\"occurredAt\":5}",
                kind, (long long)id);
}

/* One body: the event that the model knows, among others that are always new. */
static void send_one(life *l, int kind) {
  hl_buf b;
  hl_buf_init(&b, 1 << 16);
  int fillers = (int)hl_rng_below(&l->r, FILLERS + 1), place = (int)hl_rng_below(&l->r, (uint64_t)fillers + 1);
  int64_t now = hl_loop_now(l->w.loop), age = now - l->accepted_at[kind];
  for (int i = 0; i <= fillers; i++) {
    hl_buf_puts(&b, i ? "," : "[");
    if (i == place) event(&b, "known", kind);
    else event(&b, "filler", l->filler++);
  }
  hl_buf_puts(&b, "]");
  answer a = {0};
  receive(&l->w, b.p, &a);
  /* The virtual clock stands while the writer or a worker is at it. */
  while (!a.calls) pass(&l->w, 1);
  pass(&l->w, 1);
  hl_receipt r = a.r;
  hl_buf_deinit(&b);
  assert_int_equal(r.code, 0);
  assert_int_equal(r.accepted + r.duplicates, fillers + 1);
  assert_true(r.duplicates <= 1);
  bool known = l->accepted_at[kind] != 0;
  if (known && age < WINDOW) assert_int_equal(r.duplicates, 1);
  if (!known || age > WINDOW + 2 * HL_MINUTE) assert_int_equal(r.duplicates, 0);
  if (!r.duplicates) l->accepted_at[kind] = now;
}

static void finds_every_duplicate_of_the_window(void **state) {
  (void)state;
  static life l;
  hl_rng_init(&l.r, 11);
  l.now = INT64_C(1800000000000);
  int next = 0;
  for (int n = 0; n < 40; n++) {
    begin(&l);
    for (int step = 0; step < 200; step++) {
      uint64_t dice = hl_rng_below(&l.r, 10);
      if (dice < 6 && next < KINDS) send_one(&l, next++);
      else if (next) send_one(&l, (int)hl_rng_below(&l.r, dice < 8 && next > 900 ? 900 : (uint64_t)next));
      if (dice == 9 && next > 100) send_one(&l, next - 1 - (int)hl_rng_below(&l.r, 100));
      /* Older than the window, and still young, so that both sides of it are met. */
      if (dice == 8 && next > 3000) send_one(&l, next - 1 - (int)hl_rng_below(&l.r, 3000));
      pass(&l.w, (int64_t)hl_rng_below(&l.r, 9000));
      if (step % 50 == 0) assert_int_equal(hl_engine_window_ms(l.w.e), WINDOW);
    }
    int files = each_file(&l, NULL);
    if (files > l.max_files) l.max_files = files;
    end(&l, n % 2);
    if (n % 3 == 1) each_file(&l, harm);
    if (n == 20) each_file(&l, remove_file);
    if (n % 5 == 4) l.now += (int64_t)hl_rng_below(&l.r, (uint64_t)WINDOW / 2);
  }
  assert_true(l.max_files > 5);
  /* Old ones are deleted: at start, and while events flow. */
  begin(&l);
  for (int i = 0; i < 150; i++) {
    send_one(&l, i);
    pass(&l.w, WINDOW / 100);
  }
  assert_true(each_file(&l, NULL) <= 2);
  end(&l, false);
  l.now += 2 * WINDOW;
  begin(&l);
  assert_int_equal(each_file(&l, NULL), 0);
  end(&l, false);
}

/* A store put back from a backup gives the ids of rows again. */
static void segments_of_rows_that_are_gone_are_not_believed(void **state) {
  (void)state;
  static life l;
  hl_generation g = {.first_row = 1, .last_row = INT64_C(1) << 40, .from = INT64_C(1800000000000), .to = INT64_C(1800000000000)};
  unlink("seg.db");
  unlink("seg.db-wal");
  memset(&l, 0, sizeof l);
  l.now = INT64_C(1800000000000);
  begin(&l);
  hl_store_state s;
  hl_store_state_get(hl_engine_store(l.w.e), &s);
  send_one(&l, 1);
  end(&l, false);
  assert_int_equal(hl_segment_write("seg.db-dedupe-1", s.key, &g, &l.w.err), 0);
  begin(&l);
  send_one(&l, 1);
  assert_int_equal(each_file(&l, NULL), 0);
  end(&l, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_what_it_was_given),
      cmocka_unit_test(any_damage_is_seen),
      cmocka_unit_test(finds_every_duplicate_of_the_window),
      cmocka_unit_test(segments_of_rows_that_are_gone_are_not_believed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
