/* The window of hashes against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/mem.h"
#include "engine/dedupe.h"

static hl_hash hash_of(hl_rng *seed, uint64_t n) {
  hl_rng r = *seed;
  hl_rng_init(&r, n + 1);
  return (hl_hash){hl_rng_next(&r), hl_rng_next(&r)};
}

static void finds_what_it_was_given(void **state) {
  (void)state;
  hl_rng r = {{0}};
  hl_dedupe *d = hl_dedupe_new(1000000, 1000000);
  for (uint64_t i = 0; i < 50000; i++) assert_true(hl_dedupe_add(d, hash_of(&r, i), 5));
  for (uint64_t i = 0; i < 50000; i++) assert_false(hl_dedupe_add(d, hash_of(&r, i), 6));
  assert_int_equal(hl_dedupe_count(d), 50000);
  for (uint64_t i = 0; i < 50000; i += 3) hl_dedupe_remove(d, hash_of(&r, i));
  for (uint64_t i = 0; i < 50000; i++) assert_int_equal(hl_dedupe_add(d, hash_of(&r, i), 7), i % 3 == 0);
  hl_dedupe_free(d);
}

/* The same first halves: the second one decides. */
static void looks_at_all_bits(void **state) {
  (void)state;
  hl_dedupe *d = hl_dedupe_new(1000, 1000);
  for (uint64_t i = 0; i < 500; i++) assert_true(hl_dedupe_add(d, (hl_hash){UINT64_C(0xabcdef1200000001), i}, 1));
  for (uint64_t i = 0; i < 500; i++) assert_false(hl_dedupe_add(d, (hl_hash){UINT64_C(0xabcdef1200000001), i}, 1));
  hl_dedupe_free(d);
}

static void forgets_by_age(void **state) {
  (void)state;
  enum { HOUR = 3600 * 1000 };
  hl_rng r = {{0}};
  hl_dedupe *d = hl_dedupe_new(25 * (int64_t)HOUR, 1000000);
  for (uint64_t h = 0; h < 48; h++)
    for (uint64_t i = 0; i < 100; i++) assert_true(hl_dedupe_add(d, hash_of(&r, h * 100 + i), (int64_t)h * HOUR));
  assert_in_range(hl_dedupe_count(d), 25 * 100, 27 * 100);
  assert_false(hl_dedupe_add(d, hash_of(&r, 4799), 47 * (int64_t)HOUR));
  assert_false(hl_dedupe_add(d, hash_of(&r, 2400), 47 * (int64_t)HOUR));
  assert_true(hl_dedupe_add(d, hash_of(&r, 0), 47 * (int64_t)HOUR));
  assert_int_equal(hl_dedupe_window_ms(d, 47 * (int64_t)HOUR), 25 * (int64_t)HOUR);
  hl_dedupe_free(d);
}

static void says_when_number_shortens_the_window(void **state) {
  (void)state;
  hl_rng r = {{0}};
  hl_dedupe *d = hl_dedupe_new(INT64_C(90000000), 1000);
  for (uint64_t i = 0; i < 3000; i++) assert_true(hl_dedupe_add(d, hash_of(&r, i), (int64_t)i * 60000));
  assert_int_equal(hl_dedupe_count(d), 1000);
  assert_in_range(hl_dedupe_window_ms(d, INT64_C(3000) * 60000), 990 * 60000, 1001 * 60000);
  hl_dedupe_free(d);
}

/* `max` just above a power of two: the oldest leave while the table is being changed. */
static void walk_beside_a_model(uint64_t kinds, size_t max, unsigned removals) {
  enum { KINDS = 40000, STEPS = 200000 };
  static uint64_t when[KINDS]; /* arrival + 1, 0: not there */
  static uint64_t order[STEPS + 1];
  hl_rng r, none = {{0}};
  uint64_t n = 0, oldest = 0;
  size_t live = 0;
  memset(when, 0, sizeof when);
  hl_rng_init(&r, 42);
  hl_dedupe *d = hl_dedupe_new(INT64_MAX / 4, max);
  for (int s = 0; s < STEPS; s++) {
    uint64_t k = hl_rng_below(&r, kinds);
    if (hl_rng_below(&r, 100) < removals) {
      hl_dedupe_remove(d, hash_of(&none, k));
      live -= when[k] != 0;
      when[k] = 0;
      continue;
    }
    if (n - oldest >= max) { /* room is made before a look */
      uint64_t gone = order[oldest];
      if (when[gone] == oldest + 1) {
        when[gone] = 0;
        live--;
      }
      oldest++;
    }
    bool fresh = hl_dedupe_add(d, hash_of(&none, k), 1);
    assert_int_equal(fresh, when[k] == 0);
    if (fresh) {
      order[n] = k;
      when[k] = ++n;
      live++;
    }
    assert_int_equal(hl_dedupe_count(d), live);
  }
  hl_dedupe_free(d);
}

static void agrees_with_a_model(void **state) {
  (void)state;
  walk_beside_a_model(3000, 1500, 25);
  walk_beside_a_model(9000, 4200, 5);
  walk_beside_a_model(40000, 8200, 2);
  walk_beside_a_model(40000, 8200, 30);
  walk_beside_a_model(40000, 17000, 2);
  walk_beside_a_model(40000, 100000, 10);
}

static hl_dedupe *filled(const hl_rng *seed, uint64_t n, size_t max) {
  enum { ROW = 50 };
  hl_rng r = *seed;
  hl_dedupe *d = hl_dedupe_new(INT64_C(90000000), max);
  for (uint64_t i = 0; i < n; i++) {
    if (i % ROW == 0) hl_dedupe_row(d, (int64_t)(i / ROW) + 1);
    hl_dedupe_add(d, hash_of(&r, i), (int64_t)i * 100);
  }
  hl_dedupe_settle(d, hl_dedupe_end(d));
  return d;
}

/* A generation is the same whether it is copied at once or while others arrive. */
static void a_generation_is_copied_bit_by_bit(void **state) {
  (void)state;
  hl_rng r = {{0}};
  hl_generation whole, parts;
  uint64_t more = 1000000;
  hl_dedupe *a = filled(&r, 30000, 1000000), *b = filled(&r, 30000, 1000000);
  assert_true(hl_dedupe_oldest(a, 20000, &whole));
  assert_true(hl_dedupe_copy(a, &whole, SIZE_MAX));
  assert_true(hl_dedupe_oldest(b, 20000, &parts));
  while (parts.next < parts.end) {
    assert_true(hl_dedupe_copy(b, &parts, 777));
    for (int i = 0; i < 300; i++) assert_true(hl_dedupe_add(b, hash_of(&r, more++), 30000 * 100));
  }
  assert_in_range(whole.n, 10000, 20000);
  assert_int_equal(parts.n, whole.n);
  assert_int_equal(parts.first_row, 1);
  assert_int_equal(parts.last_row, whole.last_row);
  for (size_t i = 0; i < whole.n; i++) {
    hl_hash h = hash_of(&r, i);
    assert_true(parts.v[i].hash.a == h.a && parts.v[i].hash.b == h.b);
    assert_int_equal(parts.v[i].age, whole.v[i].age);
  }
  hl_free(whole.v);
  hl_free(parts.v);
  hl_dedupe_free(a);
  hl_dedupe_free(b);
}

/* A segment must not claim rows whose hashes it lacks. */
static void a_generation_that_loses_hashes_is_none(void **state) {
  (void)state;
  hl_rng r = {{0}};
  hl_generation g;
  hl_dedupe *d = filled(&r, 30000, 30000);
  assert_true(hl_dedupe_oldest(d, 20000, &g));
  assert_true(hl_dedupe_copy(d, &g, 100));
  for (uint64_t i = 0; i < 200; i++) assert_true(hl_dedupe_add(d, hash_of(&r, 1000000 + i), 30000 * 100));
  assert_false(hl_dedupe_copy(d, &g, 100));
  hl_free(g.v);
  hl_dedupe_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_it_was_given),  cmocka_unit_test(looks_at_all_bits),
      cmocka_unit_test(forgets_by_age),           cmocka_unit_test(says_when_number_shortens_the_window),
      cmocka_unit_test(agrees_with_a_model),      cmocka_unit_test(a_generation_is_copied_bit_by_bit),
      cmocka_unit_test(a_generation_that_loses_hashes_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
