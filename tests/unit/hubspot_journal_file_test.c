/* Files of the webhooks journal become events as push sends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hubspot/journal_file.h"

#define FILE_OF(events) "{\"offset\":\"o\",\"publishedAt\":\"2026-09-01T08:00:01.000Z\",\"journalEvents\":[" events "]}"

static char *read_all(const char *text, bool generic) {
  hl_journal_file f = {0};
  hl_error err;
  hl_buf all;
  hl_buf_init(&all, 1 << 20);
  if (hl_journal_file_read(hl_str_of(text), generic, &f, &err)) hl_buf_printf(&all, "%s", err.text);
  for (size_t i = 0; i < f.n; i++) {
    cJSON *array = NULL, *e;
    assert_int_equal(hl_json_parse(hl_buf_str(&f.v[i].json), &array, &err), 0);
    assert_int_equal(cJSON_GetArraySize(array), f.v[i].n);
    cJSON_ArrayForEach(e, array) {
      hl_buf_printf(&all, "%lld ", (long long)f.v[i].portal);
      hl_json_print_to(e, &all);
      hl_buf_puts(&all, "\n");
    }
    cJSON_Delete(array);
  }
  hl_journal_file_deinit(&f);
  return hl_buf_detach(&all, NULL);
}

static void is(const char *events, bool generic, const char *want) {
  hl_buf text;
  hl_buf_init(&text, 1 << 20);
  hl_buf_printf(&text, FILE_OF("%s"), events);
  char *got = read_all(text.p, generic);
  assert_string_equal(got, want);
  hl_free(got);
  hl_buf_deinit(&text);
}

static void changes_are_split_by_property(void **state) {
  (void)state;
  is("{\"type\":\"OBJECT\",\"portalId\":7,\"occurredAt\":\"2026-09-01T08:00:00.000Z\",\"action\":\"UPDATE\",\"objectTypeId\":\"0-1\","
     "\"objectId\":12,\"propertyChanges\":{\"email\":\"a\",\"age\":null,\"n\":5,\"b\":true,\"o\":{\"value\":\"x\"}}}", false,
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249600000,\"objectId\":\"12\",\"propertyName\":\"email\",\"propertyValue\":\"a\",\"subscriptionType\":\"contact.propertyChange\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249600000,\"objectId\":\"12\",\"propertyName\":\"age\",\"propertyValue\":\"\",\"subscriptionType\":\"contact.propertyChange\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249600000,\"objectId\":\"12\",\"propertyName\":\"n\",\"propertyValue\":\"5\",\"subscriptionType\":\"contact.propertyChange\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249600000,\"objectId\":\"12\",\"propertyName\":\"b\",\"propertyValue\":\"true\",\"subscriptionType\":\"contact.propertyChange\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249600000,\"objectId\":\"12\",\"propertyName\":\"o\",\"propertyValue\":\"x\",\"subscriptionType\":\"contact.propertyChange\"}\n");
  is("{\"portalId\":7,\"occurredAt\":5,\"action\":\"update\",\"objectTypeId\":\"2-9\",\"objectId\":\"12\"}", false,
     "7 {\"portalId\":7,\"objectTypeId\":\"2-9\",\"occurredAt\":5,\"objectId\":\"12\",\"subscriptionType\":\"object.propertyChange\"}\n");
}

static void a_creation_comes_before_its_properties(void **state) {
  (void)state;
  is("{\"portalId\":7,\"occurredAt\":5,\"action\":\"CREATE\",\"objectTypeId\":\"0-3\",\"objectId\":9007199254740993,"
     "\"propertyChanges\":[{\"name\":\"amount\",\"value\":\"1\"}],\"extra\":{\"a\":1}}", true,
     "7 {\"portalId\":7,\"objectTypeId\":\"0-3\",\"extra\":{\"a\":1},\"occurredAt\":5,\"objectId\":\"9007199254740993\",\"subscriptionType\":\"deal.creation\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-3\",\"extra\":{\"a\":1},\"occurredAt\":5,\"objectId\":\"9007199254740993\",\"subscriptionType\":\"object.creation\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-3\",\"extra\":{\"a\":1},\"occurredAt\":5,\"objectId\":\"9007199254740993\",\"propertyName\":\"amount\",\"propertyValue\":\"1\",\"subscriptionType\":\"deal.propertyChange\"}\n"
     "7 {\"portalId\":7,\"objectTypeId\":\"0-3\",\"extra\":{\"a\":1},\"occurredAt\":5,\"objectId\":\"9007199254740993\",\"propertyName\":\"amount\",\"propertyValue\":\"1\",\"subscriptionType\":\"object.propertyChange\"}\n");
}

static void associations_are_named_as_in_push(void **state) {
  (void)state;
  is("{\"type\":\"ASSOCIATION\",\"portalId\":7,\"occurredAt\":5,\"action\":\"ASSOCIATION_REMOVED\",\"fromObjectTypeId\":\"0-1\","
     "\"fromObjectId\":1,\"toObjectTypeId\":\"0-8\",\"toObjectId\":2,\"isPrimary\":true}", false,
     "7 {\"portalId\":7,\"fromObjectTypeId\":\"0-1\",\"toObjectTypeId\":\"0-8\",\"objectTypeId\":\"0-1\",\"occurredAt\":5,\"fromObjectId\":\"1\",\"toObjectId\":\"2\","
     "\"associationType\":\"CONTACT_TO_LINE_ITEM\",\"associationRemoved\":true,\"isPrimaryAssociation\":true,\"subscriptionType\":\"contact.associationChange\"}\n");
}

static void what_has_no_name_in_push_gets_one(void **state) {
  (void)state;
  is("{\"portalId\":7,\"occurredAt\":5,\"action\":\"ADDED_TO_LIST\",\"objectTypeId\":\"0-1\",\"objectId\":1,\"listId\":4},"
     "{\"portalId\":8,\"occurredAt\":5,\"action\":\"GDPR_DELETE\",\"objectTypeId\":\"0-1\",\"objectId\":1},"
     "{\"portalId\":7,\"occurredAt\":5,\"action\":\"DANCED\"}", false,
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":5,\"objectId\":\"1\",\"listId\":\"4\",\"subscriptionType\":\"list.added\"}\n"
     "7 {\"portalId\":7,\"occurredAt\":5,\"subscriptionType\":\"journal.danced\"}\n"
     "8 {\"portalId\":8,\"objectTypeId\":\"0-1\",\"occurredAt\":5,\"objectId\":\"1\",\"subscriptionType\":\"contact.privacyDeletion\"}\n");
}

/* What is no event stays as it is: the inbox parks it. */
static void what_is_no_event_stays(void **state) {
  (void)state;
  is("5,{\"portalId\":7},{\"action\":5},null", false, "0 5\n0 {\"action\":5}\n0 null\n7 {\"portalId\":7}\n");
  is("{\"portalId\":7,\"action\":\"DELETE\",\"objectTypeId\":\"0-1\",\"objectId\":1,\"subscriptionType\":\"x\",\"eventType\":\"y\"}", false,
     "7 {\"portalId\":7,\"objectTypeId\":\"0-1\",\"occurredAt\":1788249601000,\"objectId\":\"1\",\"subscriptionType\":\"contact.deletion\"}\n");
}

static void what_is_no_file_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"", "[]", "{}", "{\"journalEvents\":{}}", "<Error/>", "{\"journalEvents\":[}"};
  for (size_t i = 0; i < HL_COUNT(texts); i++) {
    hl_journal_file f = {0};
    hl_error err;
    assert_int_equal(hl_journal_file_read(hl_str_of(texts[i]), false, &f, &err), HL_EINVAL);
    assert_non_null(strstr(err.text, "webhooks journal"));
    assert_int_equal(f.n, 0);
  }
}

/* An event of many properties must not become more than memory holds. */
static void repetition_is_bounded(void **state) {
  (void)state;
  hl_journal_file f = {0};
  hl_error err;
  hl_buf text;
  hl_buf_init(&text, 64 << 20);
  hl_buf_puts(&text, "{\"journalEvents\":[{\"action\":\"UPDATE\",\"portalId\":1,\"fill\":\"");
  for (int i = 0; i < 1 << 16; i++) hl_buf_puts(&text, "0123456789abcdef");
  hl_buf_puts(&text, "\",\"propertyChanges\":{\"p\":1");
  for (int i = 0; i < 1000; i++) hl_buf_printf(&text, ",\"p%d\":1", i);
  hl_buf_puts(&text, "}}]}");
  assert_int_equal(hl_journal_file_read(hl_buf_str(&text), false, &f, &err), HL_ELIMIT);
  assert_int_equal(f.n, 0);
  hl_buf_deinit(&text);
}

static void many_events_are_several_bodies(void **state) {
  (void)state;
  hl_journal_file f = {0};
  hl_error err;
  hl_buf text;
  unsigned sum = 0;
  hl_buf_init(&text, 64 << 20);
  hl_buf_puts(&text, "{\"journalEvents\":[0");
  for (int i = 0; i < 1200; i++) hl_buf_printf(&text, ",{\"action\":\"DELETE\",\"portalId\":%d,\"objectTypeId\":\"0-1\",\"objectId\":%d}", i % 2 + 1, i);
  hl_buf_puts(&text, "]}");
  assert_int_equal(hl_journal_file_read(hl_buf_str(&text), false, &f, &err), 0);
  assert_int_equal(f.n, 5); /* one of nobody, two for each portal */
  for (size_t i = 0; i < f.n; i++) {
    assert_true(f.v[i].n <= 500);
    sum += f.v[i].n;
  }
  assert_int_equal(sum, 1201);
  hl_journal_file_deinit(&f);
  hl_buf_deinit(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(changes_are_split_by_property),     cmocka_unit_test(a_creation_comes_before_its_properties),
      cmocka_unit_test(associations_are_named_as_in_push), cmocka_unit_test(what_has_no_name_in_push_gets_one),
      cmocka_unit_test(what_is_no_event_stays),            cmocka_unit_test(what_is_no_file_is_refused),
      cmocka_unit_test(repetition_is_bounded),             cmocka_unit_test(many_events_are_several_bodies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
