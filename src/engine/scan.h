/* Bodies at receipt: what an event is called and what identifies it, read from
 * the text without a tree. A body is an array; of each element the range of its
 * text and the few fields that receipt and dispatch need. The tree of an element
 * is made when a handler will see it.
 *
 * The quick reader takes strict JSON of a usual form and leaves all else (odd
 * numbers, escaped names, names given twice, deep nesting, bytes that only cJSON
 * lets pass) to hl_json_parse, which alone decides what is refused. So a body is
 * accepted, and its fields are, exactly as hl_json_parse says. Any thread. */
#ifndef HL_ENGINE_SCAN_H
#define HL_ENGINE_SCAN_H

#include "base/json.h"

typedef enum hl_field_kind {
  HL_F_NONE,                   /* not there */
  HL_F_INT,                    /* an integral number; a big one too */
  HL_F_TEXT,
  HL_F_BOOL,                   /* in i */
  HL_F_OTHER,
} hl_field_kind;

typedef struct hl_field {
  hl_field_kind kind;
  union {
    int64_t i;                 /* HL_F_INT, HL_F_BOOL */
    hl_str s;                  /* HL_F_TEXT: in the body or in the tree */
  };
} hl_field;

typedef struct hl_fields {
  hl_field type;               /* subscriptionType, else eventType */
  hl_field object, from_object, to_object, primary_object, object_type, property, occurred, event, portal, subscription;
  hl_field association, removed; /* associationType, associationRemoved */
} hl_fields;

typedef struct hl_element {
  hl_str text;                 /* p NULL: `json` has it */
  cJSON *json;
  bool object;
  hl_fields f;
} hl_element;

typedef struct hl_elements {
  hl_element *v;
  size_t n, cap;
} hl_elements;

/* 0; HL_EINVAL when the body is no JSON array. The elements point into `body`. */
int hl_elements_read(hl_elements *out, hl_str body, hl_error *err);
/* The quick reader alone: false, and nothing is held, when it will not decide. */
bool hl_elements_scan(hl_elements *out, hl_str body);
void hl_elements_deinit(hl_elements *l);
/* The element's tree, the caller's from now on. */
cJSON *hl_element_take(hl_element *el);
/* Its JSON text into `out`. */
void hl_element_print(const hl_element *el, hl_buf *out);

/* The fields of a parsed element; texts end with NUL. */
void hl_fields_of(const cJSON *json, hl_fields *f);
bool hl_field_eq(const hl_field *a, const hl_field *b);

#endif
