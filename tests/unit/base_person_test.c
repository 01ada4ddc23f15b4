#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "base/person.h"

static const hl_person ANA = {.id = "151", .email = "Ana@Example.com"};

static void a_trace_stands_alone(void **state) {
  (void)state;
  static const char *const yes[] = {"151", "contact 151", "{\"id\":151}", "/contacts/151/x", "lead:151", "n151", "151x", "ana@example.com", "<ANA@example.COM>",
                                    "email=ana@example.com&x", "mailto:ana@example.com.", "ana%40example.com", "1510 151", "\"ana@example.com\""};
  static const char *const no[] = {"", "1511", "0151", "15", "15 1", "juliana@example.com", "ana@example.com.au", "ana@example.community", "x.ana@example.com",
                                   "ana@example", "ana @example.com", "an@example.com"};
  for (size_t i = 0; i < HL_COUNT(yes); i++)
    if (!hl_person_in(&ANA, hl_str_of(yes[i]))) fail_msg("not found in %s", yes[i]);
  for (size_t i = 0; i < HL_COUNT(no); i++)
    if (hl_person_in(&ANA, hl_str_of(no[i]))) fail_msg("found in %s", no[i]);
  const hl_person nameless = {.id = "151"};
  assert_false(hl_person_in(&nameless, HL_STR("ana@example.com")));
  assert_true(hl_person_in(&ANA, (hl_str){"\0" "151\0", 5}));
}

static void texts_are_redacted(void **state) {
  (void)state;
  hl_buf b;
  hl_buf_init(&b, 1000);
  assert_int_equal(hl_person_redact(&ANA, HL_STR("151: ana@example.com (1511) 151"), &b), 0);
  assert_string_equal(b.p, "[removed]: [removed] (1511) [removed]");
  hl_buf_deinit(&b);
}

static void json_loses_what_is_the_persons(void **state) {
  (void)state;
  static const struct { const char *before, *after; } cases[] = {
      {"{\"n\":5}", "{\"n\":5}"},
      {"151", NULL},
      {"\"contact 151\"", NULL},
      {"1510", "1510"},
      {"{\"last\":151,\"n\":5}", "{\"n\":5}"},
      {"{\"id\":\"151\",\"firstname\":\"Ana\"}", NULL},
      {"{\"email\":\"ana@example.com\",\"firstname\":\"Ana\"}", NULL},
      {"{\"leads\":[{\"id\":151,\"firstname\":\"Ana\"},{\"id\":152,\"firstname\":\"Bo\"}],\"n\":2}", "{\"leads\":[{\"id\":152,\"firstname\":\"Bo\"}],\"n\":2}"},
      {"{\"151\":{\"owner\":7},\"152\":{\"owner\":8}}", "{\"152\":{\"owner\":8}}"},
      {"[1,151,\"x\",\"ANA@EXAMPLE.COM\",[151],2]", "[1,\"x\",[],2]"},
      {"{\"a\":{\"b\":{\"note\":\"call ana@example.com\",\"z\":1}}}", "{\"a\":{\"b\":{\"z\":1}}}"},
      {"[[{\"objectId\":151}]]", "[[]]"},
      {"151.5", "151.5"},
      {"null", "null"},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    cJSON *json = NULL;
    assert_int_equal(hl_json_parse(hl_str_of(cases[i].before), &json, NULL), 0);
    hl_scrub what = hl_person_scrub(&ANA, json);
    if (!cases[i].after) {
      if (what != HL_SCRUB_GONE) fail_msg("%s stays", cases[i].before);
    } else {
      char *text = hl_json_print(json);
      assert_string_equal(text, cases[i].after);
      assert_int_equal(what, strcmp(cases[i].before, cases[i].after) ? HL_SCRUB_CHANGED : HL_SCRUB_CLEAN);
      hl_free(text);
    }
    cJSON_Delete(json);
  }
}

static void only_a_person_can_be_forgotten(void **state) {
  (void)state;
  static const hl_person bad[] = {{NULL, NULL}, {"", NULL}, {"abc", NULL}, {"15 1", NULL}, {"-1", NULL}, {"1234567890123456789", NULL},
                                  {"151", "ana"}, {"151", "@x"}, {"151", "ana@"}, {"151", ""}};
  hl_error err;
  for (size_t i = 0; i < HL_COUNT(bad); i++) assert_int_equal(hl_person_check(&bad[i], &err), HL_EINVAL);
  assert_int_equal(hl_person_check(&ANA, &err), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_trace_stands_alone), cmocka_unit_test(texts_are_redacted), cmocka_unit_test(json_loses_what_is_the_persons),
      cmocka_unit_test(only_a_person_can_be_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
