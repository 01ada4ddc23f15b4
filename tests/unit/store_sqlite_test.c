/* The SQLite store alone: whole transactions, counters, windows, retention. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/sqlite.h"

static const unsigned char KEY[HL_STORE_KEY_BYTES] = {1, 2, 3};

static hl_db *open_db(void) {
  hl_db *db = NULL;
  hl_error err;
  assert_int_equal(hl_db_open(NULL, KEY, &db, &err), 0);
  return db;
}

static void append(hl_tx *tx, int64_t id, int64_t received, bool receipt) {
  hl_append a = {.id = id, .received = received, .source = "push", .account = "main", .n = 2, .body = HL_STR("[1,2]"),
                 .hashes = HL_STR("0123456789abcdef0123456789abcdef")};
  a.counts[HL_ST_PENDING] = 2;
  hl_tx_append(tx, &a, receipt);
}

static int apply(hl_db *db, hl_tx *tx) {
  hl_error err;
  int rc = hl_db_apply(db, tx, &err);
  hl_tx_free(tx);
  return rc;
}

static hl_store_counts counts_of(hl_db *db) {
  hl_store_state s;
  hl_db_state(db, &s);
  int64_t sum = 0;
  for (int k = 0; k < HL_ST_MAX; k++) sum += s.counts.state[k];
  assert_int_equal(sum, s.counts.acknowledged);
  return s.counts;
}

/* A commit into a file that has lost its name would be gone after a restart. */
static void a_removed_file_takes_nothing(void **state) {
  (void)state;
  static const char *const names[] = {"there.db", "there.db-wal"};
  hl_db *db = NULL;
  hl_error err;
  assert_int_equal(hl_db_open("there.db", KEY, &db, &err), 0);
  hl_tx *tx = hl_tx_new();
  append(tx, 1, 100, true);
  assert_int_equal(apply(db, tx), 0);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(rename(names[k], "away"), 0);
    tx = hl_tx_new();
    append(tx, 2 + k, 100, true);
    assert_int_equal(hl_db_apply(db, tx, &err), HL_EIO);
    assert_non_null(strstr(err.text, names[k]));
    assert_non_null(strstr(err.text, "removed or replaced"));
    assert_int_equal(rename("away", names[k]), 0);
    assert_int_equal(apply(db, tx), 0);
  }
  assert_int_equal(counts_of(db).acknowledged, 6);
  hl_db_close(db);
}

static void a_transaction_is_whole(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_bag bag = {0};
  hl_store_rows rows = {0};
  hl_tx *tx = hl_tx_new();
  append(tx, 1, 100, true);
  hl_tx_kv(tx, "s", "a", HL_STR("k"), HL_STR("1"), 0);
  assert_int_equal(apply(db, tx), 0);
  /* The second append has an id that is there: nothing of it happens. */
  tx = hl_tx_new();
  append(tx, 2, 100, true);
  hl_tx_kv(tx, "s", "a", HL_STR("k"), HL_STR("2"), 0);
  append(tx, 1, 100, true);
  assert_int_equal(apply(db, tx), HL_EIO);
  assert_int_equal(counts_of(db).acknowledged, 2);
  assert_int_equal(hl_db_read_log(db, 0, 100, 10, 1000, &bag, &rows), 0);
  assert_int_equal(rows.n, 1);
  hl_str value;
  int64_t expires;
  assert_int_equal(hl_db_kv_get(db, "s", "a", HL_STR("k"), 5, &bag, &value, &expires), 0);
  assert_true(hl_str_eqz(value, "1"));
  hl_bag_deinit(&bag);
  hl_db_close(db);
}

static void receipts_can_be_taken_out(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_bag bag = {0};
  hl_store_rows rows = {0};
  hl_tx *first = hl_tx_new(), *tx = hl_tx_new();
  append(first, 1, 1, true);
  append(first, 2, 1, false);
  hl_tx_duplicates(first, 3, true);
  append(tx, 3, 1, true);
  append(tx, 4, 1, false);
  hl_tx_drop_receipts(first);
  hl_tx_drop_receipts(tx);
  hl_tx_prepend(tx, first);
  append(tx, 5, 1, true);
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(hl_db_read_log(db, 0, 100, 10, 1000, &bag, &rows), 0);
  assert_int_equal(rows.n, 3);
  assert_int_equal(rows.rows[0].id, 2);
  assert_int_equal(rows.rows[2].id, 5);
  assert_int_equal(counts_of(db).state[HL_ST_DUPLICATE], 0);
  hl_bag_deinit(&bag);
  hl_db_close(db);
}

static void an_event_counts_once_whatever_its_rows(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_tx *tx = hl_tx_new();
  append(tx, 1, 1, false);
  hl_parked p = {.id = 1, .row = 1, .index = 0, .kind = HL_ST_WAITING, .open = true, .handler = "a", .type = "t",
                 .source = "push", .account = "", .due = 9, .attempts = 1, .event = HL_STR("{}")};
  hl_tx_park(tx, &p, false);
  p.id = 2;
  p.handler = "b";
  p.kind = HL_ST_DEAD;
  hl_tx_park(tx, &p, false);
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(counts_of(db).state[HL_ST_PENDING], 2);
  tx = hl_tx_new();
  hl_tx_leave(tx, 1, 0, HL_ST_FILTERED);
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(counts_of(db).state[HL_ST_WAITING], 1);
  assert_int_equal(counts_of(db).state[HL_ST_PENDING], 1);
  tx = hl_tx_new();
  hl_tx_unpark(tx, 1, HL_ST_RAN);
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(counts_of(db).state[HL_ST_DEAD], 1);
  tx = hl_tx_new();
  hl_tx_unpark(tx, 2, HL_ST_FILTERED);
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(counts_of(db).state[HL_ST_RAN], 1); /* one of its handlers ran */
  tx = hl_tx_new();
  hl_tx_unpark(tx, 2, HL_ST_RAN); /* not there any more: nothing */
  assert_int_equal(apply(db, tx), 0);
  assert_int_equal(counts_of(db).state[HL_ST_RAN], 1);
  hl_db_close(db);
}

static void windows_are_bounded(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_tx *tx = hl_tx_new();
  for (int i = 1; i <= 20; i++) append(tx, i * 3, i, false);
  hl_tx_progress(tx, 6, (hl_str){"\1\0", 2}, false);
  hl_tx_partial(tx, 6, 1, "h", HL_ST_RAN);
  assert_int_equal(apply(db, tx), 0);
  hl_bag bag = {0};
  hl_store_rows rows = {0};
  assert_int_equal(hl_db_read_log(db, 3, 30, 100, 1, &bag, &rows), 0);
  assert_int_equal(rows.n, 1); /* one at least, however small the bound */
  assert_int_equal(rows.rows[0].id, 6);
  assert_int_equal(rows.rows[0].states.n, 2);
  assert_int_equal(rows.n_partials, 1);
  assert_int_equal(hl_db_read_log(db, 3, 30, 5, 1 << 20, &bag, &rows), 0);
  assert_int_equal(rows.n, 5);
  assert_int_equal(hl_db_read_log(db, 24, 30, 5, 1 << 20, &bag, &rows), 0);
  assert_int_equal(rows.n, 2); /* not beyond what was asked for */
  hl_bag_deinit(&bag);
  hl_db_close(db);
}

static void retention_spares_what_is_needed(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_tx *tx = hl_tx_new();
  for (int i = 1; i <= 10; i++) append(tx, i, i * 100, false);
  hl_parked p = {.id = 1, .row = 2, .kind = HL_ST_DEAD, .open = true, .handler = "a", .event = HL_STR("{}")};
  hl_tx_park(tx, &p, false);
  hl_tx_progress(tx, 3, (hl_str){"\6\6", 2}, true);
  hl_tx_mark(tx, 0, 5);
  assert_int_equal(apply(db, tx), 0);
  assert_false(hl_db_expire(db, 800, 0, 1000));
  hl_bag bag = {0};
  hl_store_rows rows = {0};
  assert_int_equal(hl_db_read_log(db, 0, 100, 100, 1 << 20, &bag, &rows), 0);
  assert_int_equal(rows.n, 6); /* 2 has a dead letter, 6 and later are above the mark */
  assert_int_equal(rows.rows[0].id, 2);
  assert_int_equal(rows.rows[1].id, 6);
  hl_bag_deinit(&bag);
  hl_db_close(db);
}

static size_t audits_of(hl_db *db, const char *key) {
  hl_bag bag = {0};
  hl_audit *v;
  size_t n;
  assert_int_equal(hl_db_read_audits(db, "routing", hl_str_of(key), 1000, &bag, &v, &n), 0);
  hl_bag_deinit(&bag);
  return n;
}

/* Slice after slice; a record that a wrong clock has dated far ahead holds back none of those behind it. */
static void old_audit_records_and_keys_go(void **state) {
  (void)state;
  hl_db *db = open_db();
  hl_tx *tx = hl_tx_new();
  hl_tx_audit(tx, 1 << 30, "s", "a", "routing", "ahead", HL_STR("{}"));
  for (int i = 0; i < 450; i++) hl_tx_audit(tx, 1000 + i, "s", "a", "routing", "old", HL_STR("{}"));
  hl_tx_audit(tx, 2000, "s", "a", "routing", "new", HL_STR("{}"));
  for (int i = 0; i < 450; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%03d", i);
    hl_tx_kv(tx, "s", "a", hl_str_of(key), HL_STR("1"), 10 + i);
  }
  assert_int_equal(apply(db, tx), 0);
  assert_true(hl_db_expire(db, 0, 2000, 459));
  assert_int_equal(audits_of(db, "old"), 250);
  assert_true(hl_db_expire(db, 0, 2000, 459));
  assert_false(hl_db_expire(db, 0, 2000, 459));
  assert_int_equal(audits_of(db, "old"), 0);
  assert_int_equal(audits_of(db, "new"), 1);
  assert_int_equal(audits_of(db, "ahead"), 1);
  hl_bag bag = {0};
  hl_str *keys;
  size_t n;
  assert_int_equal(hl_db_kv_list(db, "s", "a", HL_STR("k"), 1000, 0, &bag, &keys, &n), 0);
  assert_int_equal(n, 0);
  hl_bag_deinit(&bag);
  hl_db_close(db);
}

static const char *listed(hl_db *db, hl_str prefix, size_t max) {
  static char text[400];
  hl_bag bag = {0};
  hl_str *keys;
  size_t n, at = 0;
  assert_int_equal(hl_db_kv_list(db, "s", "a", prefix, max, 10, &bag, &keys, &n), 0);
  text[0] = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k <= keys[i].n; k++)
      at += (size_t)snprintf(text + at, sizeof text - at, k < keys[i].n ? "%02x" : " ", k < keys[i].n ? (unsigned char)keys[i].p[k] : 0u);
  hl_bag_deinit(&bag);
  return text;
}

/* A prefix ends where its last byte that can grow has grown. */
static void lists_exactly_the_keys_of_a_prefix(void **state) {
  (void)state;
  static const hl_str keys[] = {{"a", 1},        {"a\xff", 2},     {"a\xff\xff", 3}, {"a\xff\x01", 3}, {"b", 1},
                                {"b\0x", 3},     {"\xff", 1},      {"\xff\xff", 2},  {"\xff\x01", 2},  {"\xfe", 1}};
  hl_db *db = open_db();
  hl_tx *tx = hl_tx_new();
  for (size_t i = 0; i < HL_COUNT(keys); i++) hl_tx_kv(tx, "s", "a", keys[i], HL_STR("1"), i == 3 ? 10 : 0);
  hl_tx_kv(tx, "s", "b", HL_STR("a"), HL_STR("1"), 0);
  hl_tx_kv(tx, "t", "a", HL_STR("a"), HL_STR("1"), 0);
  assert_int_equal(apply(db, tx), 0);
  assert_string_equal(listed(db, HL_STR("a"), 20), "61 61ff 61ffff ");
  assert_string_equal(listed(db, (hl_str){"a\xff", 2}, 20), "61ff 61ffff ");
  assert_string_equal(listed(db, HL_STR("b"), 20), "62 620078 ");
  assert_string_equal(listed(db, (hl_str){"b\0", 2}, 20), "620078 ");
  assert_string_equal(listed(db, (hl_str){"\xff", 1}, 20), "ff ff01 ffff ");
  assert_string_equal(listed(db, (hl_str){"\xff\xff", 2}, 20), "ffff ");
  assert_string_equal(listed(db, HL_STR("c"), 20), "");
  assert_string_equal(listed(db, HL_STR(""), 20), "61 61ff 61ffff 62 620078 fe ff ff01 ffff ");
  assert_string_equal(listed(db, (hl_str){0}, 2), "61 61ff ");
  hl_db_close(db);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_exactly_the_keys_of_a_prefix),
      cmocka_unit_test(a_removed_file_takes_nothing),
      cmocka_unit_test(a_transaction_is_whole),     cmocka_unit_test(receipts_can_be_taken_out),
      cmocka_unit_test(an_event_counts_once_whatever_its_rows), cmocka_unit_test(windows_are_bounded),
      cmocka_unit_test(retention_spares_what_is_needed),
      cmocka_unit_test(old_audit_records_and_keys_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
