/* JSON glue over cJSON. Outside text enters through hl_json_parse only: it
 * bounds depth, refuses NUL inside strings, and keeps integers of more than 15
 * digits exact (SEMANTICS 30) as items for which hl_json_is_int64 is true. */
#ifndef HL_BASE_JSON_H
#define HL_BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"

/* 0, HL_EINVAL with line, column and what was expected, or HL_ENOMEM. Free with cJSON_Delete. */
int hl_json_parse(hl_str text, cJSON **out, hl_error *err);
/* Compact text, hl_free it. Aborts only when memory ends. */
char *hl_json_print(const cJSON *item);
int hl_json_print_to(const cJSON *item, hl_buf *out);

cJSON *hl_json_int64(int64_t v);                        /* exact at any size */
/* True for integral numbers (also big ones); gives the value. */
bool hl_json_is_int64(const cJSON *item, int64_t *out);

/* Lookups in an object (case-sensitive); missing or of another type: the fallback. */
const cJSON *hl_json_get(const cJSON *obj, const char *key);
const char *hl_json_str(const cJSON *obj, const char *key, const char *fallback);
int64_t hl_json_int(const cJSON *obj, const char *key, int64_t fallback);
bool hl_json_bool(const cJSON *obj, const char *key, bool fallback);
/* An id may arrive as string or number: writes its decimal text into buf.
 * False when absent, of another type, or longer than the buffer. */
bool hl_json_id(const cJSON *obj, const char *key, char *buf, size_t size);

#endif
