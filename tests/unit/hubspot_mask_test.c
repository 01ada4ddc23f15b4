/* What of HubSpot's JSON and paths stays, and what gets a pseudonym. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hubspot/mask.h"

static const unsigned char KEY[HL_MASK_KEY] = {7};

static int setup(void **state) {
  *state = hl_mask_new(KEY);
  return 0;
}

static int teardown(void **state) {
  hl_mask_free(*state);
  return 0;
}

/* hl_free the result. */
static char *masked(hl_mask *m, const char *json) {
  cJSON *tree;
  hl_error err;
  assert_int_equal(hl_json_parse(hl_str_of(json), &tree, &err), 0);
  hl_mask_json(m, tree);
  char *text = hl_json_print(tree);
  cJSON_Delete(tree);
  return text;
}

static void assert_masks(hl_mask *m, const char *json, const char *want) {
  char *text = masked(m, json);
  assert_string_equal(text, want);
  hl_free(text);
}

static void a_record(void **state) {
  hl_mask *m = *state;
  char *text = masked(m, "{\"id\":\"17\",\"properties\":{\"firstname\":\"Ana\",\"lastname\":\"Müller-Lüdenscheidt\",\"email\":\"Ana@Acme.example\","
                         "\"phone\":\"+49 (170) 123-45\",\"hs_object_id\":\"17\",\"amount\":\"12.50\",\"createdate\":\"2026-01-02T03:04:05.006Z\","
                         "\"lifecyclestage\":\"lead\",\"hubspot_owner_id\":\"5;6\",\"note\":\"Call Ana on Monday\",\"date_of_birth\":\"1971-02-03\","
                         "\"opted_out\":\"true\",\"empty\":\"\",\"none\":null},\"createdAt\":\"2026-01-02T03:04:05.006Z\",\"archived\":false}");
  for (size_t i = 0; i < 9; i++) {
    static const char *const gone[] = {"Ana", "ller", "denscheidt", "Acme", "acme", "170", "123", "Monday", "1971"};
    if (strstr(text, gone[i])) fail_msg("%s is still in %s", gone[i], text);
  }
  for (size_t i = 0; i < 9; i++) {
    static const char *const stays[] = {"\"id\":\"17\"", "\"hs_object_id\":\"17\"", "\"amount\":\"12.50\"", "\"createdate\":\"2026-01-02T03:04:05.006Z\"",
                                        "\"lifecyclestage\":\"lead\"", "\"hubspot_owner_id\":\"5;6\"", "\"opted_out\":\"true\"", "\"empty\":\"\"", "\"none\":null"};
    if (!strstr(text, stays[i])) fail_msg("%s is missing in %s", stays[i], text);
  }
  hl_free(text);
}

static char *value_of(hl_mask *m, const char *property, const char *value) {
  char json[512];
  snprintf(json, sizeof json, "{\"properties\":{\"%s\":\"%s\"}}", property, value);
  char *text = masked(m, json), *begin = strstr(text, "\":\"");
  char *out = hl_strndup(begin + 3, strlen(begin) - 3 - strlen("\"}}"));
  hl_free(text);
  return out;
}

/* What matched before matches after it. */
static void the_same_value_is_the_same_pseudonym(void **state) {
  hl_mask *m = *state;
  char *a = value_of(m, "email", "ana@acme.example"), *b = value_of(m, "email", "ANA@acme.EXAMPLE"), *c = value_of(m, "email", "bo@acme.example");
  char *domain = value_of(m, "domain", "acme.example"), *mail = value_of(m, "email", "ana@gmail.com"), *again = value_of(m, "note", "ana@acme.example");
  assert_string_equal(a, b);
  assert_string_equal(a, again);
  assert_string_not_equal(a, c);
  assert_string_equal(strchr(a, '@'), strchr(c, '@'));
  assert_string_equal(strchr(a, '@') + 1, domain);
  assert_string_equal(strchr(mail, '@'), "@gmail.com");
  unsigned char other[HL_MASK_KEY] = {8};
  hl_mask *m2 = hl_mask_new(other);
  char *d = value_of(m2, "email", "ana@acme.example");
  assert_string_not_equal(a, d);
  hl_mask_free(m2);
  hl_free(a), hl_free(b), hl_free(c), hl_free(d), hl_free(domain), hl_free(mail), hl_free(again);
}

static void phones_keep_their_shape(void **state) {
  char *a = value_of(*state, "phone", "+49 (170) 123-45");
  assert_int_equal(strlen(a), strlen("+49 (170) 123-45"));
  assert_memory_equal(a + 3, " (", 2);
  assert_string_not_equal(a, "+49 (170) 123-45");
  hl_free(a);
}

/* Searches, histories, webhook events and forms name the property beside the value. */
static void values_beside_their_property(void **state) {
  hl_mask *m = *state;
  char *name = value_of(m, "firstname", "Ana"), want[512];
  snprintf(want, sizeof want, "{\"filterGroups\":[{\"filters\":[{\"propertyName\":\"firstname\",\"operator\":\"IN\",\"values\":[\"%s\"]},"
           "{\"propertyName\":\"amount\",\"operator\":\"GT\",\"value\":\"5\"}]}]}", name);
  assert_masks(m, "{\"filterGroups\":[{\"filters\":[{\"propertyName\":\"firstname\",\"operator\":\"IN\",\"values\":[\"Ana\"]},"
                  "{\"propertyName\":\"amount\",\"operator\":\"GT\",\"value\":\"5\"}]}]}", want);
  snprintf(want, sizeof want, "[{\"objectId\":5,\"propertyName\":\"firstname\",\"propertyValue\":\"%s\"}]", name);
  assert_masks(m, "[{\"objectId\":5,\"propertyName\":\"firstname\",\"propertyValue\":\"Ana\"}]", want);
  snprintf(want, sizeof want, "{\"fields\":[{\"name\":\"firstname\",\"value\":\"%s\"}]}", name);
  assert_masks(m, "{\"fields\":[{\"name\":\"firstname\",\"value\":\"Ana\"}]}", want);
  snprintf(want, sizeof want, "{\"propertiesWithHistory\":{\"firstname\":[{\"value\":\"%s\",\"sourceType\":\"CRM_UI\",\"sourceLabel\":\"%s\"}]}}", name, name);
  assert_masks(m, "{\"propertiesWithHistory\":{\"firstname\":[{\"value\":\"Ana\",\"sourceType\":\"CRM_UI\",\"sourceLabel\":\"Ana\"}]}}", want);
  hl_free(name);
}

static void definitions_and_errors_stay_readable(void **state) {
  hl_mask *m = *state;
  const char *definition = "{\"name\":\"firstname\",\"label\":\"First name\",\"type\":\"string\",\"options\":[{\"label\":\"Big Corp\",\"value\":\"big\"}]}";
  assert_masks(m, definition, definition);
  hl_free(value_of(m, "lastname", "Lovelace"));
  char *text = masked(m, "{\"status\":\"error\",\"message\":\"Contact Ada Lovelace (ada@lovelace.example.) exists: 17\",\"category\":\"CONFLICT\",\"code\":\"X\"}");
  assert_null(strstr(text, "ovelace"));
  assert_non_null(strstr(text, "\"Contact Ada n"));
  assert_non_null(strstr(text, ".example.) exists: 17\""));
  assert_non_null(strstr(text, "\"category\":\"CONFLICT\",\"code\":\"X\""));
  hl_free(text);
  text = masked(m, "{\"access_token\":\"abc\",\"properties\":{\"hapikey\":\"abc\"},\"nested\":{\"client_secret\":\"abc\"}}");
  assert_string_equal(text, "{\"access_token\":\"[secret]\",\"properties\":{\"hapikey\":\"[secret]\"},\"nested\":{\"client_secret\":\"[secret]\"}}");
  hl_free(text);
}

static void assert_target(hl_mask *m, const char *target, const char *want) {
  hl_buf b;
  hl_buf_init(&b, 4096);
  assert_int_equal(hl_mask_target(m, hl_str_of(target), &b), 0);
  assert_string_equal(b.p, want);
  hl_buf_deinit(&b);
}

static void targets(void **state) {
  hl_mask *m = *state;
  char *mail = value_of(m, "email", "ana@acme.example"), want[256], encoded[128];
  const char *same = "/crm/objects/2026-09/contacts?limit=100&after=MTAw%3D%3D&properties=email,firstname&archived";
  assert_target(m, same, same);
  snprintf(encoded, sizeof encoded, "%.*s%%40%s", (int)(strchr(mail, '@') - mail), mail, strchr(mail, '@') + 1);
  snprintf(want, sizeof want, "/crm/objects/2026-09/contacts/%s?idProperty=email", encoded);
  assert_target(m, "/crm/objects/2026-09/contacts/ana%40acme.example?idProperty=email", want);
  snprintf(want, sizeof want, "/crm/owners/2026-09?email=%s&limit=1", encoded);
  assert_target(m, "/crm/owners/2026-09?email=ana@acme.example&limit=1", want);
  assert_target(m, "/x?hapikey=abc&%zz=%", "/x?hapikey=%5Bsecret%5D&%zz=%");
  assert_target(m, "", "");
  hl_free(mail);
}

static void on_count(void *arg, const char *property, uint64_t n) {
  hl_buf_printf(arg, "%s=%llu ", property, (unsigned long long)n);
}

static void what_may_be_kept_is_told(void **state) {
  hl_mask *m = *state;
  hl_buf b;
  hl_mask_keep(m, "tier");
  assert_masks(m, "{\"properties\":{\"tier\":\"Gold\",\"firstname\":null,\"amount\":\"5\"}}", "{\"properties\":{\"tier\":\"Gold\",\"firstname\":null,\"amount\":\"5\"}}");
  hl_free(value_of(m, "size", "Small"));
  hl_free(value_of(m, "size", "Big"));
  hl_free(value_of(m, "firstname", "Bo"));
  hl_buf_init(&b, 256);
  hl_mask_each(m, on_count, &b);
  assert_string_equal(b.p, "size=2 ");
  hl_buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_record, setup, teardown),
      cmocka_unit_test_setup_teardown(the_same_value_is_the_same_pseudonym, setup, teardown),
      cmocka_unit_test_setup_teardown(phones_keep_their_shape, setup, teardown),
      cmocka_unit_test_setup_teardown(values_beside_their_property, setup, teardown),
      cmocka_unit_test_setup_teardown(definitions_and_errors_stay_readable, setup, teardown),
      cmocka_unit_test_setup_teardown(targets, setup, teardown),
      cmocka_unit_test_setup_teardown(what_may_be_kept_is_told, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
