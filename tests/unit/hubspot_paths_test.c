#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "hubspot/paths.h"
#include "hubspot/retry.h"

static void built(const char *path, const char *want) {
  hl_buf b;
  hl_error err = {0};
  hl_buf_init(&b, 1000);
  assert_int_equal(hl_path_build(hl_str_of(path), "2026-09", &b, &err), 0);
  assert_string_equal(b.p, want);
  hl_buf_deinit(&b);
}

static void refused(const char *path, const char *why) {
  hl_buf b;
  hl_error err = {0};
  hl_buf_init(&b, 1000);
  assert_int_equal(hl_path_build(hl_str_of(path), "2026-09", &b, &err), HL_EINVAL);
  if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
  hl_buf_deinit(&b);
}

static void paths_are_built(void **state) {
  (void)state;
  built("/crm/objects/{version}/contacts/7", "/crm/objects/2026-09/contacts/7");
  built("/crm/objects/2026-03/contacts", "/crm/objects/2026-03/contacts");
  built("/marketing/v3/forms/x", "/marketing/v3/forms/x"); /* has no dated form */
  built("/crm/v3/objectsmith", "/crm/v3/objectsmith");
  built("/files/{version}/a..b/...", "/files/2026-09/a..b/...");
}

static void foreign_paths_are_refused(void **state) {
  (void)state;
  refused("", "begin with one '/'");
  refused("crm/objects", "begin with one '/'");
  refused("//evil.example/crm", "begin with one '/'");
  refused("https://evil.example/crm", "begin with one '/'");
  refused("/x/https://evil.example", "scheme");
  refused("/crm?x=1", "'?'");
  refused("/crm#x", "byte 5");
  refused("/crm/a b", "byte 7");
  refused("/crm/..", "dot segment");
  refused("/crm/../oauth", "dot segment");
  refused("/crm/%2e%2E/oauth", "dot segment");
  refused("/crm/.%2e/oauth", "dot segment");
  refused("/crm\\objects", "byte 5");
  refused("/crm/a\r\nHost: x", "byte 7");
  refused("/crm//objects", "empty segment");
}

static void legacy_paths_name_the_dated_one(void **state) {
  (void)state;
  refused("/crm/v3/objects/contacts/7", "use /crm/objects/2026-09/contacts/7 instead");
  refused("/crm/v4/objects/contacts/7/associations/deals", "/crm/objects/2026-09/contacts/7/associations/deals");
  refused("/crm/v3/owners", "use /crm/owners/2026-09 instead");
  refused("/crm/v3/owners/", "/crm/owners/2026-09/");
  refused("/contacts/v1/contact/vid/7/profile", "/crm/objects/2026-09/contacts");
  refused("/contacts/v1/lists/7/add", "use /crm/lists/2026-09/… instead");
  refused("/integrations/v1/me", "use /account-info/2026-09/details instead");
  refused("/hubdb/api/v2/tables/7", "use /cms/hubdb/2026-03/tables/… instead");
  refused("/crm/%763/objects/contacts/7%2F8", "use /crm/objects/2026-09/contacts/7%2F8 instead");
  built("/crm/objects/2026-09/contacts/a%40b%41", "/crm/objects/2026-09/contacts/a%40b%41");
  refused("/cms/v3/hubdb/tables", "/cms/hubdb/2026-03/tables");
}

static void kinds_of_paths(void **state) {
  (void)state;
  assert_true(hl_path_is_search("POST", HL_STR("/crm/objects/2026-09/deals/search")));
  assert_false(hl_path_is_search("GET", HL_STR("/crm/objects/2026-09/deals/search")));
  assert_false(hl_path_is_search("POST", HL_STR("/crm/objects/2026-09/research")));
  assert_true(hl_path_is_safe("PATCH", HL_STR("/x")));
  assert_true(hl_path_is_safe("POST", HL_STR("/crm/objects/2026-09/deals/batch/read")));
  assert_false(hl_path_is_safe("POST", HL_STR("/crm/objects/2026-09/deals/batch/create")));
  assert_false(hl_path_is_safe("POST", HL_STR("/crm/objects/2026-09/deals")));
  assert_string_equal(hl_path_type_id("contacts"), "0-1");
  assert_string_equal(hl_path_type_id("2-77"), "2-77");
}

/* FACTS 3, line by line; a create is not safe to repeat. */
static void retries_follow_the_table(void **state) {
  (void)state;
  static const struct { int status, code; bool sent; hl_retry safe, create; } table[] = {
      {423, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},     {429, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},
      {477, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},     {502, 0, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},
      {503, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},     {504, 0, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},
      {521, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},     {522, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},
      {523, 0, true, HL_RETRY_AGAIN, HL_RETRY_AGAIN},     {524, 0, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},
      {400, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},     {401, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},
      {403, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},     {404, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},
      {409, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},     {414, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER},
      {500, 0, true, HL_RETRY_NEVER, HL_RETRY_NEVER}, /* not in the list of those to repeat */
      {0, HL_ENET, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},      {0, HL_ENET, false, HL_RETRY_AGAIN, HL_RETRY_AGAIN},
      {0, HL_ETIMEOUT, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},  {0, HL_EPROTOCOL, true, HL_RETRY_AGAIN, HL_RETRY_UNCERTAIN},
      {0, HL_EDENIED, false, HL_RETRY_NEVER, HL_RETRY_NEVER}, /* not a matter of time */
  };
  for (size_t i = 0; i < HL_COUNT(table); i++) {
    assert_int_equal(hl_retry_decide(table[i].status, table[i].code, table[i].sent, true), table[i].safe);
    assert_int_equal(hl_retry_decide(table[i].status, table[i].code, table[i].sent, false), table[i].create);
  }
}

/* Full jitter: any pause up to a top that doubles, so that many do not come back together. */
static void pauses_are_spread_and_grow(void **state) {
  (void)state;
  int64_t top = 500;
  for (unsigned attempt = 1; attempt <= 12; attempt++) {
    assert_true(hl_retry_delay(attempt, 503, 0, 0.0) <= 1);
    assert_in_range(hl_retry_delay(attempt, 503, 0, 0.5), top / 2 - 1, top / 2 + 2);
    assert_in_range(hl_retry_delay(attempt, 503, 0, 0.9999), top - 5, top + 1);
    top = top * 2 > 30000 ? 30000 : top * 2;
  }
}

static void delays(void **state) {
  (void)state;
  assert_int_equal(hl_retry_after_ms(477, "7"), 7000);
  assert_int_equal(hl_retry_after_ms(477, "200"), 200000);
  assert_int_equal(hl_retry_after_ms(429, "10"), 10000);
  assert_int_equal(hl_retry_after_ms(429, "1500"), 1500);
  assert_int_equal(hl_retry_after_ms(429, "999999999999"), HL_RETRY_DEADLINE_MS);
  assert_int_equal(hl_retry_after_ms(503, "999999999999"), HL_RETRY_DEADLINE_MS);
  assert_int_equal(hl_retry_after_ms(429, "soon"), 0);
  assert_int_equal(hl_retry_after_ms(429, NULL), 0);
  assert_true(hl_retry_delay(1, 423, 0, 0.0) >= 2000);
  assert_true(hl_retry_delay(1, 503, 0, 0.999) <= 500);
  assert_true(hl_retry_delay(60, 503, 0, 0.999) <= 30000);
  assert_true(hl_retry_delay(3, 503, 0, 0.999) > 1000);
  assert_true(hl_retry_delay(1, 477, 7000, 0.5) >= 7000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_are_built),       cmocka_unit_test(foreign_paths_are_refused),
      cmocka_unit_test(legacy_paths_name_the_dated_one), cmocka_unit_test(kinds_of_paths),
      cmocka_unit_test(retries_follow_the_table), cmocka_unit_test(pauses_are_spread_and_grow), cmocka_unit_test(delays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
