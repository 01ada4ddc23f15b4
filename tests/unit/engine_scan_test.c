/* Bodies at receipt: what the quick reader takes, and what it leaves to the parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/scan.h"

static hl_str in(const char *text) { return hl_str_of(text); }

static void reads_the_fields(void **state) {
  (void)state;
  hl_elements l;
  assert_true(hl_elements_scan(&l, in(" [ {\"eventId\":-7,\"objectId\":\"12\",\"portalId\":62515,\"propertyName\":\"last name\","
                                      "\"propertyValue\":\"a \\\"quoted\\\" value that is longer than a block\",\"occurredAt\":123456789012345678,"
                                      "\"subscriptionType\":\"contact.propertyChange\",\"subscriptionId\":null} , [1,{\"a\":[]}] ]\n")));
  assert_int_equal(l.n, 2);
  const hl_fields *f = &l.v[0].f;
  assert_true(l.v[0].object);
  assert_int_equal(f->event.kind, HL_F_INT);
  assert_int_equal(f->event.i, -7);
  assert_true(f->occurred.i == INT64_C(123456789012345678));
  assert_int_equal(f->object.kind, HL_F_TEXT);
  assert_true(hl_str_eqz(f->object.s, "12"));
  assert_true(hl_str_eqz(f->property.s, "last name"));
  assert_true(hl_str_eqz(f->type.s, "contact.propertyChange"));
  assert_int_equal(f->subscription.kind, HL_F_OTHER);
  assert_int_equal(f->from_object.kind, HL_F_NONE);
  assert_false(l.v[1].object);
  assert_true(hl_str_eqz(l.v[1].text, "[1,{\"a\":[]}]"));
  cJSON *json = hl_element_take(&l.v[0]);
  assert_string_equal(hl_json_str(json, "propertyValue", ""), "a \"quoted\" value that is longer than a block");
  cJSON_Delete(json);
  hl_elements_deinit(&l);
}

static void takes_usual_forms(void **state) {
  (void)state;
  static const char *const texts[] = {"[]", " [ ]\r\n", "[{}]", "[{\"a\":{}}]", "[1,2]", "[-0]", "[0.5,1e9,1E-9,-2.25e+1]",
                                      "[\"\\u00e9\\ud83d\\ude00\\n\"]", "[[],[[]],{\"a\":[{}]}]", "[null,true,false]",
                                      "[{\"eventType\":\"x\"}]", "[{\"subscriptionType\":\"x\",\"eventType\":\"y\"}]"};
  for (size_t i = 0; i < HL_COUNT(texts); i++) {
    hl_elements l;
    assert_true(hl_elements_scan(&l, in(texts[i])));
    hl_elements_deinit(&l);
  }
}

/* The parser takes some of these and refuses others: the quick reader decides none. */
static void leaves_the_rest(void **state) {
  (void)state;
  static const char *const texts[] = {
      "", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[1]]", "[1] x", "{}", "1", "[01]", "[1.]", "[.5]", "[-]", "[1e]", "[+1]",
      "[tru]", "[nul", "[\"a]", "[\"\\x\"]", "[\"\\u12\"]", "[\"\\u00zz\"]", "[\"\\u0000\"]", "[\"\\ud800\"]", "[\"\\udc00\"]",
      "[\"\\ud800\\u0041\"]", "[\"\t\"]", "[\v1]", "[{\"a\"}]", "[{\"a\":}]", "[{\"a\":1,}]", "[{a:1}]", "[{\"a\" 1}]", "[{]", "[{\"a\":[}]",
      "[{\"a\":{]}]", "[{\"objectId\":1,\"objectId\":1}]", "[{\"object\\u0049d\":1}]", "[{\"objectId\":1.0}]",
      "[{\"objectId\":1234567890123456789}]", "[{\"objectId\":\"\\u0031\"}]", "\xef\xbb\xbf[]", "[\"\\", "[{\"a\\\":1}]"};
  for (size_t i = 0; i < HL_COUNT(texts); i++) {
    hl_elements l;
    cJSON *array = NULL;
    int parsed = hl_json_parse(in(texts[i]), &array, NULL);
    assert_false(hl_elements_scan(&l, in(texts[i])));
    int read = hl_elements_read(&l, in(texts[i]), NULL);
    assert_true((read == 0) == (parsed == 0 && cJSON_IsArray(array)));
    hl_elements_deinit(&l);
    cJSON_Delete(array);
  }
}

static void every_cut_is_refused(void **state) {
  (void)state;
  static const char text[] = "[{\"eventId\":12,\"subscriptionType\":\"contact.creation\",\"x\":[1.5e3,{\"y\":\"\\u20ac\\n\"}],\"z\":true},null]";
  for (size_t n = 0; n < sizeof text - 1; n++) {
    char *exact = hl_strndup(text, n);  /* so that a sanitizer sees a step too far */
    char *cut = hl_realloc(exact, n + 1);
    hl_elements l;
    assert_false(hl_elements_scan(&l, (hl_str){cut, n}));
    hl_free(cut);
  }
}

static void big_numbers_survive(void **state) {
  (void)state;
  hl_elements l;
  assert_int_equal(hl_elements_read(&l, in("[{\"objectId\":9223372036854775807,\"eventId\":9223372036854775808}]"), NULL), 0);
  assert_int_equal(l.v[0].f.object.kind, HL_F_INT);
  assert_true(l.v[0].f.object.i == INT64_MAX);
  assert_int_equal(l.v[0].f.event.kind, HL_F_OTHER);
  hl_elements_deinit(&l);
}

/* Of a name given twice the last one counts, as it did when all was parsed. */
static void the_last_of_two_counts(void **state) {
  (void)state;
  hl_elements l;
  assert_int_equal(hl_elements_read(&l, in("[{\"objectId\":1,\"objectId\":2}]"), NULL), 0);
  assert_int_equal(l.v[0].f.object.i, 2);
  hl_elements_deinit(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_the_fields),    cmocka_unit_test(takes_usual_forms),   cmocka_unit_test(leaves_the_rest),
      cmocka_unit_test(every_cut_is_refused), cmocka_unit_test(big_numbers_survive), cmocka_unit_test(the_last_of_two_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
