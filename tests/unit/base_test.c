#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

static void strings(void **state) {
  (void)state;
  int64_t v = 7;
  assert_int_equal(hl_str_int64(HL_STR("-9223372036854775808"), &v), 0);
  assert_true(v == INT64_MIN);
  assert_int_equal(hl_str_int64(HL_STR("9223372036854775808"), &v), HL_EINVAL);
  assert_int_equal(hl_str_int64(HL_STR(""), &v), HL_EINVAL);
  assert_int_equal(hl_str_int64(HL_STR("-"), &v), HL_EINVAL);
  assert_int_equal(hl_str_int64(HL_STR("1x"), &v), HL_EINVAL);
  assert_true(v == INT64_MIN);
  assert_int_equal(hl_str_distance(HL_STR("kitten"), HL_STR("sitting")), 3);
  static const char *const names[] = {"contact.creation", "company.creation", "deal.creation", NULL};
  assert_string_equal(hl_str_nearest(HL_STR("contact.creatoin"), names), "contact.creation");
  assert_null(hl_str_nearest(HL_STR("xyz"), names));
  static const char *const types[] = {"list", "integer", "boolean", NULL};
  assert_string_equal(hl_str_nearest(HL_STR("int"), types), "integer");
  assert_true(hl_str_same_secret(HL_STR("abc"), HL_STR("abc")));
  assert_false(hl_str_same_secret(HL_STR("abc"), HL_STR("abd")));
}

static void letters_hold_no_number(void **state) {
  (void)state;
  unsigned char all[256], back[256];
  char text[513];
  for (int i = 0; i < 256; i++) all[i] = (unsigned char)i;
  hl_letters(all, sizeof all, text);
  assert_int_equal(strlen(text), 512);
  assert_int_equal(strcspn(text, "0123456789abcdef"), 512);
  assert_true(hl_letters_read(hl_str_of(text), back));
  assert_memory_equal(all, back, sizeof all);
  assert_true(hl_letters_read(HL_STR("00ff1a"), back)); /* as they were written once */
  assert_memory_equal(back, "\x00\xff\x1a", 3);
  assert_false(hl_letters_read(HL_STR("ggg"), back));
  assert_false(hl_letters_read(HL_STR("gw"), back));
}

static void buffers_are_bounded(void **state) {
  (void)state;
  hl_buf b;
  hl_buf_init(&b, 5);
  assert_int_equal(hl_buf_puts(&b, "abc"), 0);
  assert_int_equal(hl_buf_puts(&b, "def"), HL_ELIMIT);
  assert_int_equal(hl_buf_printf(&b, "%d", 123), HL_ELIMIT);
  assert_string_equal(b.p, "abc");
  assert_int_equal(hl_buf_printf(&b, "%d", 12), 0);
  assert_string_equal(b.p, "abc12");
  hl_buf_deinit(&b);
  hl_buf_init(&b, 100);
  hl_mem_fail_at(1);
  assert_int_equal(hl_buf_puts(&b, "x"), HL_ENOMEM);
  assert_int_equal(hl_buf_urlencode(&b, HL_STR("a b/ü~")), 0);
  assert_string_equal(b.p, "a%20b%2F%C3%BC~");
  hl_buf_deinit(&b);
}

/* The n-th allocation fails, for every n there is: each time a clean error, and all is as before. */
static void memory_ends_while_parsing_and_printing(void **state) {
  (void)state;
  char text[4096] = "[";
  for (unsigned i = 0; i < 40; i++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s{\"id\":90071992547409930%02u,\"name\":\"number %u\"}", i ? "," : "", i, i);
  }
  snprintf(text + strlen(text), 2, "]");
  unsigned failed = 0, well = 0;
  for (unsigned n = 1; n <= 40; n++) {
    cJSON *j = NULL;
    hl_error err = {0};
    hl_buf b;
    hl_buf_init(&b, 1 << 20);
    assert_int_equal(hl_buf_puts(&b, "kept "), 0);
    hl_mem_fail_at(n);
    int rc = hl_json_parse(hl_str_of(text), &j, &err);
    assert_true((rc == 0) == (j != NULL));
    if (rc) {
      assert_int_equal(rc, HL_ENOMEM);
      assert_non_null(strstr(err.text, "memory"));
    } else {
      rc = hl_json_print_to(j, &b);
      if (!rc) rc = hl_buf_printf(&b, " and %u", n);
      if (!rc) rc = hl_buf_urlencode(&b, hl_str_of(text));
      assert_true(rc == 0 || rc == HL_ENOMEM);
      if (strcmp(b.p, "kept ") != 0) assert_memory_equal(b.p + 5, text, strlen(text));
    }
    hl_mem_fail_at(0);
    if (rc) failed++;
    else well++;
    assert_memory_equal(b.p, "kept ", 5);
    assert_int_equal(strlen(b.p), b.n);
    cJSON_Delete(j);
    hl_buf_deinit(&b);
  }
  assert_true(failed > 5 && well > 5);
}

static void json_keeps_big_integers(void **state) {
  (void)state;
  const char *text = "{\"a\":9007199254740993,\"b\":[-9223372036854775808,1.5],\"c\":\"1234567890123456789\",\"d\":12345678901234567890123,\"e\":1234567890123456.5}";
  cJSON *j = NULL;
  hl_error err;
  assert_int_equal(hl_json_parse(hl_str_of(text), &j, &err), 0);
  assert_true(hl_json_int(j, "a", 0) == INT64_C(9007199254740993));
  int64_t v;
  assert_true(hl_json_is_int64(cJSON_GetArrayItem(hl_json_get(j, "b"), 0), &v) && v == INT64_MIN);
  assert_string_equal(hl_json_str(j, "c", ""), "1234567890123456789");
  assert_null(hl_json_str(j, "a", NULL));
  char *out = hl_json_print(j);
  assert_non_null(strstr(out, "\"a\":9007199254740993,\"b\":[-9223372036854775808,1.5],\"c\":\"1234567890123456789\""));
  hl_free(out);
  char id[24];
  assert_true(hl_json_id(j, "a", id, sizeof id));
  assert_string_equal(id, "9007199254740993");
  assert_false(hl_json_id(j, "b", id, sizeof id));
  cJSON_Delete(j);
  cJSON *n = hl_json_int64(INT64_MAX);
  assert_true(hl_json_is_int64(n, &v) && v == INT64_MAX);
  cJSON_Delete(n);
}

static void json_refuses(void **state) {
  (void)state;
  static const struct { const char *text, *why; } bad[] = {
      {"", "ends too early"},      {"[1,2", "ends too early"},   {"[1]x", "column 4"},
      {"{\"a\":\"\\u0000\"}", "NUL"}, {"[\n1,\n,]", "line 3"},
  };
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    cJSON *j = NULL;
    hl_error err = {0};
    assert_int_equal(hl_json_parse(hl_str_of(bad[i].text), &j, &err), HL_EINVAL);
    assert_null(j);
    if (!strstr(err.text, bad[i].why)) fail_msg("%s: %s", bad[i].text, err.text);
  }
  cJSON *j = NULL;
  assert_int_equal(hl_json_parse(HL_STR("[\"\\\\u0000\"]"), &j, NULL), 0); /* an escaped backslash */
  cJSON_Delete(j);
}

static void durations(void **state) {
  (void)state;
  static const struct { const char *text; int64_t ms; } good[] = {
      {"500ms", 500}, {"90s", 90000}, {"15m", 900000}, {"1.5h", 5400000}, {"2d", 172800000}, {"1w", 604800000}, {"3", 3000}, {"0.25", 250},
  };
  for (size_t i = 0; i < HL_COUNT(good); i++) {
    int64_t ms = -1;
    assert_int_equal(hl_duration_parse(hl_str_of(good[i].text), &ms, NULL), 0);
    assert_int_equal(ms, good[i].ms);
  }
  static const char *const bad[] = {"", "m", "5 m", "-1s", "1y", "99999999999d", "1e3"};
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    int64_t ms;
    assert_int_equal(hl_duration_parse(hl_str_of(bad[i]), &ms, NULL), HL_EINVAL);
  }
}

static int64_t at(const char *iso) {
  int64_t ms;
  hl_error err;
  if (hl_time_parse(hl_str_of(iso), &ms, &err)) fail_msg("%s", err.text);
  return ms;
}

static void iso_times(void **state) {
  (void)state;
  char iso[25];
  assert_true(at("1970-01-01") == 0);
  assert_true(at("2026-09-01T10:00:00+02:00") == INT64_C(1788249600000));
  hl_time_iso(INT64_C(1788249600007), iso);
  assert_string_equal(iso, "2026-09-01T08:00:00.007Z");
  hl_time_iso(-1, iso);
  assert_string_equal(iso, "1969-12-31T23:59:59.999Z");
  static const char *const bad[] = {"", "2026-13-01", "2026-02-29", "2026-01-01T25:00:00Z", "2026-01-01T10:00:00", "2026-01-01Z9"};
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    int64_t ms;
    assert_int_equal(hl_time_parse(hl_str_of(bad[i]), &ms, NULL), HL_EINVAL);
  }
  assert_true(at("2024-02-29T00:00Z") == INT64_C(1709164800000));
}

static void http_dates(void **state) {
  (void)state;
  int64_t ms = 0, same;
  assert_int_equal(hl_time_parse_http(HL_STR("Sun, 06 Nov 1994 08:49:37 GMT"), &ms), 0);
  assert_int_equal(hl_time_parse(HL_STR("1994-11-06T08:49:37Z"), &same, NULL), 0);
  assert_true(ms == same);
  static const char *const bad[] = {"", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994 GMT.",
                                    "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 Nop 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
                                    "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:3x GMT"};
  for (size_t i = 0; i < HL_COUNT(bad); i++) assert_int_equal(hl_time_parse_http(hl_str_of(bad[i]), &same), HL_EINVAL);
}

static void keep(void *arg, const char *line, size_t n) { hl_buf_append(arg, line, n); }

static void log_lines_are_ours(void **state) {
  (void)state;
  hl_buf b;
  hl_buf_init(&b, 4096);
  hl_log *log = hl_log_new(HL_LOG_INFO, false);
  hl_log_set_sink(log, keep, &b);
  hl_log_write(log, HL_LOG_INFO, "route", "%s", "from X\r\n12:00:00.000 error auth: broken\033[2J\tend\302\233é\177\n");
  assert_string_equal(strstr(b.p, "route: "),
                      "route: from X\\x0d\n    12:00:00.000 error auth: broken\\x1b[2J\tend\\x9bé\\x7f\n");
  hl_log_free(log);
  hl_buf_deinit(&b);
}

static void log_redacts(void **state) {
  (void)state;
  hl_buf b;
  hl_buf_init(&b, 100000);
  hl_log *log = hl_log_new(HL_LOG_INFO, false);
  hl_log_set_sink(log, keep, &b);
  hl_log_add_secret(log, HL_STR("s3cr3t-value"));
  hl_log_write(log, HL_LOG_DEBUG, "test", "not shown");
  hl_log_write(log, HL_LOG_INFO, "test", "a s3cr3t-value b pat-%s-%s c hapikey=0123456789abc&x Bearer abcdefghijkl", "na1", "11111111-2222");
  assert_null(strstr(b.p, "s3cr3t"));
  assert_null(strstr(b.p, "11111111"));
  assert_null(strstr(b.p, "0123456789abc"));
  assert_null(strstr(b.p, "abcdefghijkl"));
  assert_null(strstr(b.p, "not shown"));
  assert_non_null(strstr(b.p, "info  test: a [secret] b [secret] c hapikey=[secret]&x Bearer [secret]\n"));
  hl_log_add_secret(log, HL_STR("another"));
  hl_log_forget_secret(log, HL_STR("s3cr3t-value")); /* it opens nothing any more */
  hl_log_forget_secret(log, HL_STR("never known"));
  hl_buf_clear(&b);
  hl_log_write(log, HL_LOG_INFO, "test", "s3cr3t-value another");
  assert_non_null(strstr(b.p, "info  test: s3cr3t-value [secret]\n"));
  hl_log_free(log);
  hl_buf_deinit(&b);
}

static void seeded_ids(void **state) {
  (void)state;
  hl_rng a, b;
  char x[37], y[37];
  hl_rng_init(&a, 7);
  hl_rng_init(&b, 7);
  hl_rng_uuid(&a, x);
  hl_rng_uuid(&b, y);
  assert_string_equal(x, y);
  assert_int_equal(x[14], '4');
  unsigned seen[7] = {0};
  for (int i = 0; i < 7000; i++) seen[hl_rng_below(&a, 7)]++;
  for (int i = 0; i < 7; i++) assert_in_range(seen[i], 850, 1150);
}

static void errors(void **state) {
  (void)state;
  hl_error err;
  assert_int_equal(hl_fail(&err, HL_EIO, "cannot read %s", "x"), HL_EIO);
  assert_int_equal(hl_fail_in(&err, "store"), HL_EIO);
  assert_string_equal(err.text, "store: cannot read x");
  assert_string_equal(hl_err_name(HL_ENOTFOUND), "not_found");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings), cmocka_unit_test(letters_hold_no_number), cmocka_unit_test(buffers_are_bounded),
      cmocka_unit_test(memory_ends_while_parsing_and_printing), cmocka_unit_test(json_keeps_big_integers),
      cmocka_unit_test(json_refuses), cmocka_unit_test(durations), cmocka_unit_test(iso_times), cmocka_unit_test(http_dates),
      cmocka_unit_test(log_redacts), cmocka_unit_test(log_lines_are_ours),
      cmocka_unit_test(seeded_ids), cmocka_unit_test(errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
