#include "engine/scan.h"

#include <assert.h>

#include "base/mem.h"

enum {
  MAX_DEPTH = 64,              /* of values inside an element */
  MAX_NUMBER = 60,             /* cJSON reads 63 characters at most */
  MAX_DIGITS = 18,             /* fits int64 for certain */
  FIRST_ELEMENTS = 128,        /* HubSpot sends up to 100 */
};

/* ---- pieces of text: each gives the place behind, or NULL for "not quick" ---- */

static const char *blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
  return p;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int hex4(const char *p) {
  int v = 0;
  for (int k = 0; k < 4; k++) {
    char c = p[k], low = (char)(c | 0x20);
    if (is_digit(c)) v = v * 16 + (c - '0');
    else if (low >= 'a' && low <= 'f') v = v * 16 + (low - 'a' + 10);
    else return -1;
  }
  return v;
}

/* p: at the backslash. NUL and halves of surrogate pairs are not ours to judge. */
static const char *escape(const char *p, const char *end) {
  if (end - p < 2) return NULL;
  switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': return p + 2;
    case 'u': break;
    default: return NULL;
  }
  int unit = end - p < 6 ? -1 : hex4(p + 2);
  if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return NULL;
  if (unit < 0xd800 || unit > 0xdfff) return p + 6;
  if (end - p < 12 || p[6] != '\\' || p[7] != 'u') return NULL;
  int low = hex4(p + 8);
  return low >= 0xdc00 && low <= 0xdfff ? p + 12 : NULL;
}

/* Leads to the first quote, backslash or control byte, or near the end. */
static const char *skip_plain(const char *p, const char *end) {
#ifdef __SSE2__
  typedef unsigned char block __attribute__((vector_size(16)));
  while (end - p >= 16) {
    block v;
    memcpy(&v, p, sizeof v);
    block any = (block)(v == '"') | (block)(v == '\\') | (block)(v < 0x20);
    unsigned hit = (unsigned)__builtin_ia32_pmovmskb128((__attribute__((vector_size(16))) char)any);
    if (hit) return p + __builtin_ctz(hit);
    p += 16;
  }
#endif
  while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) p++;
  return p;
}

/* p: behind the opening quote. Gives the closing one. */
static const char *string(const char *p, const char *end, bool *escaped) {
  for (;;) {
    p = skip_plain(p, end);
    if (p == end || (unsigned char)*p < 0x20) return NULL;
    if (*p == '"') return p;
    *escaped = true;
    p = escape(p, end);
    if (!p) return NULL;
  }
}

static const char *digits(const char *p, const char *end) {
  while (p < end && is_digit(*p)) p++;
  return p;
}

static const char *number(const char *p, const char *end, bool *integer) {
  const char *from = p, *first = p += *p == '-';
  p = digits(p, end);
  if (p == first || (*first == '0' && p - first > 1)) return NULL;
  *integer = true;
  if (p < end && *p == '.') {
    *integer = false;
    first = ++p;
    p = digits(p, end);
    if (p == first) return NULL;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    *integer = false;
    if (++p < end && (*p == '+' || *p == '-')) p++;
    first = p;
    p = digits(p, end);
    if (p == first) return NULL;
  }
  return p - from > MAX_NUMBER ? NULL : p;
}

static const char *word(const char *p, const char *end, const char *want, size_t n) {
  return (size_t)(end - p) >= n && memcmp(p, want, n) == 0 ? p + n : NULL;
}

/* A value that is no array and no object. */
static const char *scalar(const char *p, const char *end) {
  bool flag = false;
  switch (*p) {
    case '"':
      p = string(p + 1, end, &flag);
      return p ? p + 1 : NULL;
    case 't': return word(p, end, "true", 4);
    case 'f': return word(p, end, "false", 5);
    case 'n': return word(p, end, "null", 4);
    default: return *p == '-' || is_digit(*p) ? number(p, end, &flag) : NULL;
  }
}

/* A name and its colon; gives the place of the value. */
static const char *name(const char *p, const char *end, hl_str *out, bool *escaped) {
  if (p == end || *p != '"') return NULL;
  const char *from = p + 1;
  p = string(from, end, escaped);
  if (!p) return NULL;
  *out = (hl_str){from, (size_t)(p - from)};
  p = blank(p + 1, end);
  if (p == end || *p != ':') return NULL;
  p = blank(p + 1, end);
  return p == end ? NULL : p;
}

/* Any value. `objects` has a bit a level: what it is that is open there. */
static const char *value(const char *p, const char *end) {
  uint64_t objects = 0;
  unsigned depth = 0;
  bool escaped = false;
  hl_str ignored;
  for (;;) {
    if (p == end) return NULL;
    if (*p == '{' || *p == '[') {
      bool object = *p == '{';
      if (depth == MAX_DEPTH) return NULL;
      p = blank(p + 1, end);
      if (p == end) return NULL;
      if (*p != (object ? '}' : ']')) {
        objects = objects << 1 | object;
        depth++;
        if (object) p = name(p, end, &ignored, &escaped);
        if (!p) return NULL;
        continue;
      }
      p++;
    } else {
      p = scalar(p, end);
      if (!p) return NULL;
    }
    for (;;) { /* behind a value */
      if (!depth) return p;
      p = blank(p, end);
      if (p == end) return NULL;
      if (*p == ',') {
        p = blank(p + 1, end);
        if (objects & 1) p = name(p, end, &ignored, &escaped);
        if (!p) return NULL;
        break;
      }
      if (*p != (objects & 1 ? '}' : ']')) return NULL;
      p++;
      objects >>= 1;
      depth--;
    }
  }
}

/* ---- fields ---- */

/* The one list of names: told apart by length first. */
static hl_field *field_named(hl_fields *f, hl_field *event_type, hl_str k) {
#define IS(literal) (memcmp(k.p, literal, sizeof(literal) - 1) == 0)
  switch (k.n) {
    case 7: return IS("eventId") ? &f->event : NULL;
    case 8: return IS("objectId") ? &f->object : IS("portalId") ? &f->portal : NULL;
    case 9: return IS("eventType") ? event_type : NULL;
    case 10: return IS("occurredAt") ? &f->occurred : IS("toObjectId") ? &f->to_object : NULL;
    case 12: return IS("propertyName") ? &f->property : IS("objectTypeId") ? &f->object_type : IS("fromObjectId") ? &f->from_object : NULL;
    case 14: return IS("subscriptionId") ? &f->subscription : NULL;
    case 15: return IS("primaryObjectId") ? &f->primary_object : IS("associationType") ? &f->association : NULL;
    case 16: return IS("subscriptionType") ? &f->type : NULL;
    case 18: return IS("associationRemoved") ? &f->removed : NULL;
    default: return NULL;
  }
#undef IS
}

/* A value whose content counts: plain texts and plain integers are read. */
static const char *field_value(const char *p, const char *end, hl_field *out) {
  bool flag = false;
  const char *from = p;
  if (*p == '"') {
    p = string(++from, end, &flag);
    if (!p || flag) return NULL;
    *out = (hl_field){.kind = HL_F_TEXT, .s = {from, (size_t)(p - from)}};
    return p + 1;
  }
  if (*p != '-' && !is_digit(*p)) {
    *out = (hl_field){.kind = *p == 't' || *p == 'f' ? HL_F_BOOL : HL_F_OTHER, .i = *p == 't'};
    return value(p, end);
  }
  p = number(p, end, &flag);
  if (!p || !flag || p - from > MAX_DIGITS) return NULL;
  bool negative = *from == '-';
  int64_t v = 0;
  for (const char *d = from + negative; d < p; d++) v = v * 10 + (*d - '0');
  *out = (hl_field){.kind = HL_F_INT, .i = negative ? -v : v};
  return p;
}

static const char *object(const char *p, const char *end, hl_fields *f) {
  hl_field event_type = {0};
  p = blank(p + 1, end);
  if (p < end && *p == '}') return p + 1;
  for (;;) {
    hl_str key;
    bool escaped = false;
    p = name(p, end, &key, &escaped);
    if (!p || escaped) return NULL;
    hl_field *field = field_named(f, &event_type, key);
    if (field && field->kind) return NULL; /* given twice */
    p = field ? field_value(p, end, field) : *p == '{' || *p == '[' ? value(p, end) : scalar(p, end);
    if (!p) return NULL;
    p = blank(p, end);
    if (p == end) return NULL;
    if (*p == '}') break;
    if (*p != ',') return NULL;
    p = blank(p + 1, end);
  }
  if (!f->type.kind) f->type = event_type;
  return p + 1;
}

void hl_fields_of(const cJSON *json, hl_fields *f) {
  hl_field event_type = {0};
  *f = (hl_fields){0};
  for (const cJSON *c = json->child; c; c = c->next) {
    hl_field *field = field_named(f, &event_type, hl_str_of(c->string));
    if (!field) continue;
    int64_t i;
    *field = (hl_field){.kind = HL_F_OTHER};
    if (hl_json_is_int64(c, &i)) *field = (hl_field){.kind = HL_F_INT, .i = i};
    else if (cJSON_IsBool(c)) *field = (hl_field){.kind = HL_F_BOOL, .i = cJSON_IsTrue(c)};
    else if (cJSON_IsString(c)) *field = (hl_field){.kind = HL_F_TEXT, .s = hl_str_of(c->valuestring)};
  }
  if (!f->type.kind) f->type = event_type;
}

bool hl_field_eq(const hl_field *a, const hl_field *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == HL_F_INT || a->kind == HL_F_BOOL) return a->i == b->i;
  return a->kind != HL_F_TEXT || hl_str_eq(a->s, b->s);
}

/* ---- bodies ---- */

static hl_element *add(hl_elements *l) {
  if (l->n == l->cap) {
    l->cap = l->cap ? 2 * l->cap : FIRST_ELEMENTS;
    l->v = hl_realloc(l->v, l->cap * sizeof *l->v);
  }
  hl_element *el = &l->v[l->n++];
  *el = (hl_element){0};
  return el;
}

void hl_elements_deinit(hl_elements *l) {
  for (size_t i = 0; i < l->n; i++) cJSON_Delete(l->v[i].json);
  hl_free(l->v);
  *l = (hl_elements){0};
}

static bool scan(hl_elements *out, const char *p, const char *end) {
  p = blank(p, end);
  if (p == end || *p != '[') return false;
  p = blank(p + 1, end);
  if (p < end && *p == ']') return blank(p + 1, end) == end;
  while (p < end) {
    hl_element *el = add(out);
    el->text.p = p;
    el->object = *p == '{';
    p = el->object ? object(p, end, &el->f) : value(p, end);
    if (!p) return false;
    el->text.n = (size_t)(p - el->text.p);
    p = blank(p, end);
    if (p == end || (*p != ',' && *p != ']')) return false;
    if (*p == ']') return blank(p + 1, end) == end;
    p = blank(p + 1, end);
  }
  return false;
}

bool hl_elements_scan(hl_elements *out, hl_str body) {
  *out = (hl_elements){0};
  if (body.n && scan(out, body.p, body.p + body.n)) return true;
  hl_elements_deinit(out);
  return false;
}

int hl_elements_read(hl_elements *out, hl_str body, hl_error *err) {
  cJSON *array = NULL;
  if (hl_elements_scan(out, body)) return 0;
  int rc = hl_json_parse(body, &array, err);
  if (!rc && !cJSON_IsArray(array)) rc = hl_fail(err, HL_EINVAL, "the body is not a JSON array of events");
  while (!rc && array->child) {
    hl_element *el = add(out);
    el->json = cJSON_DetachItemViaPointer(array, array->child);
    el->object = cJSON_IsObject(el->json);
    if (el->object) hl_fields_of(el->json, &el->f);
  }
  cJSON_Delete(array);
  return rc;
}

cJSON *hl_element_take(hl_element *el) {
  cJSON *json = el->json;
  el->json = NULL;
  if (!json) {
    int rc = hl_json_parse(el->text, &json, NULL);
    if (rc == HL_ENOMEM) hl_mem_ended();
    assert(rc == 0); /* what the quick reader takes, hl_json_parse takes: tests/fuzz/scan.c */
    (void)rc;
  }
  return json;
}

void hl_element_print(const hl_element *el, hl_buf *out) {
  if (el->json) hl_json_print_to(el->json, out);
  else hl_buf_append(out, el->text.p, el->text.n);
}
