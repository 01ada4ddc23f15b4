#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *hl_err_name(int code) {
  switch (code) {
#define HL_X(name, value, text) case value: return text;
    HL_ERRORS(HL_X)
#undef HL_X
  }
  return code == 0 ? "ok" : "error";
}

int hl_fail(hl_error *err, int code, const char *fmt, ...) {
  if (err) {
    va_list ap;
    /* The arguments may point into err->text itself. */
    char text[sizeof err->text];
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    memcpy(err->text, text, sizeof text);
    err->code = code;
  }
  return code;
}

int hl_fail_in(hl_error *err, const char *fmt, ...) {
  if (!err) return HL_EINVAL;
  char context[512], text[sizeof err->text];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(context, sizeof context, fmt, ap);
  va_end(ap);
  int n = snprintf(text, sizeof text, "%s: ", context);
  size_t at = n > 0 && (size_t)n < sizeof text ? (size_t)n : 0;
  snprintf(text + at, sizeof text - at, "%.*s", (int)(sizeof text - at - 1), err->text);
  memcpy(err->text, text, sizeof text);
  return err->code;
}
