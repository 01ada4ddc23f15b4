/* The quick reader of webhook bodies against hl_json_parse: what it takes,
 * hl_json_parse takes, as an array of as many elements with the same fields, whole
 * and each alone. And reading, quick or not, accepts exactly what hl_json_parse
 * does. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "engine/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const hl_fields *a, const hl_fields *b) {
  const hl_field *x[] = {&a->type, &a->object, &a->from_object, &a->primary_object, &a->object_type, &a->property,
                         &a->occurred, &a->event, &a->portal, &a->subscription, &a->to_object, &a->association, &a->removed};
  const hl_field *y[] = {&b->type, &b->object, &b->from_object, &b->primary_object, &b->object_type, &b->property,
                         &b->occurred, &b->event, &b->portal, &b->subscription, &b->to_object, &b->association, &b->removed};
  for (size_t i = 0; i < HL_COUNT(x); i++) assert(hl_field_eq(x[i], y[i]));
}

static void same_text(const cJSON *a, const cJSON *b) {
  char *x = hl_json_print(a), *y = hl_json_print(b);
  assert(strcmp(x, y) == 0);
  hl_free(x);
  hl_free(y);
}

static void compare(hl_elements *l, const cJSON *array) {
  assert(cJSON_IsArray(array) && (size_t)cJSON_GetArraySize(array) == l->n);
  const cJSON *item = array->child;
  for (size_t i = 0; i < l->n; i++, item = item->next) {
    hl_fields f = {0};
    assert(l->v[i].object == cJSON_IsObject(item));
    if (cJSON_IsObject(item)) hl_fields_of(item, &f);
    same(&f, &l->v[i].f);
    cJSON *alone = hl_element_take(&l->v[i]);
    same_text(item, alone);
    cJSON_Delete(alone);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hl_str body = {(const char *)data, size};
  hl_elements quick, all;
  cJSON *array = NULL;
  hl_error err = {0};
  int rc = hl_json_parse(body, &array, NULL);
  if (hl_elements_scan(&quick, body)) {
    assert(rc == 0);
    compare(&quick, array);
    hl_elements_deinit(&quick);
  }
  if (hl_elements_read(&all, body, &err) == 0) {
    assert(rc == 0);
    compare(&all, array);
    hl_elements_deinit(&all);
  } else {
    assert(err.text[0] && (rc || !cJSON_IsArray(array)));
  }
  cJSON_Delete(array);
  return 0;
}
