/* Which event types a script waits for, read from its text: wait("name", "type",
 * { property = "…" }) with plain strings. HubSpot has to be told before the first
 * wait begins. */
#include "lua/awaits.h"

#include <string.h>

typedef struct cursor { const char *p, *end; } cursor;

static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* At '[': behind the long bracket, or where it was when there is none. */
static const char *long_bracket(const char *p, const char *end) {
  const char *q = p + 1;
  while (q < end && *q == '=') q++;
  size_t level = (size_t)(q - p) - 1;
  if (q == end || *q != '[') return p;
  for (q++; q < end; q++) {
    if (*q != ']' || (size_t)(end - q) < level + 2) continue;
    size_t k = 0;
    while (k < level && q[1 + k] == '=') k++;
    if (k == level && q[1 + k] == ']') return q + level + 2;
  }
  return end;
}

/* At a quote: behind the string. `plain`: its content, p NULL when it has an escape or no end. */
static const char *quoted(const char *p, const char *end, hl_str *plain) {
  const char *from = p + 1, *q = from;
  bool escape = false;
  for (; q < end && *q != *p && *q != '\n'; q++) {
    if (*q != '\\') continue;
    escape = true;
    if (++q == end) break;
  }
  *plain = (hl_str){q < end && *q == *p && !escape ? from : NULL, (size_t)(q - from)};
  return q < end ? q + 1 : end;
}

/* Blanks and comments. */
static void skip(cursor *c) {
  while (c->p < c->end) {
    if (strchr(" \t\r\n", *c->p) && *c->p) {
      c->p++;
    } else if (c->end - c->p > 1 && c->p[0] == '-' && c->p[1] == '-') {
      const char *behind = c->end - c->p > 2 && c->p[2] == '[' ? long_bracket(c->p + 2, c->end) : c->p + 2;
      if (behind != c->p + 2) c->p = behind;
      else while (c->p < c->end && *c->p != '\n') c->p++;
    } else {
      return;
    }
  }
}

static bool take(cursor *c, char what) {
  skip(c);
  if (c->p == c->end || *c->p != what) return false;
  c->p++;
  return true;
}

static bool take_string(cursor *c, hl_str *out) {
  skip(c);
  if (c->p == c->end || (*c->p != '"' && *c->p != '\'')) return false;
  c->p = quoted(c->p, c->end, out);
  return out->p != NULL;
}

/* The next word, string or other character; what a string says goes to `s`. */
static hl_str next(cursor *c, hl_str *s) {
  skip(c);
  const char *from = c->p;
  if (c->p == c->end) return (hl_str){from, 0};
  if (*from == '"' || *from == '\'') {
    c->p = quoted(from, c->end, s);
  } else if (is_word(*from)) {
    while (c->p < c->end && is_word(*c->p)) c->p++;
  } else {
    const char *behind = *from == '[' ? long_bracket(from, c->end) : from;
    c->p = behind == from ? from + 1 : behind;
  }
  return (hl_str){from, (size_t)(c->p - from)};
}

/* Behind the type: `property` in the options. */
static hl_str property_of(cursor c) {
  hl_str s = {0}, token;
  if (!take(&c, ',') || !take(&c, '{')) return (hl_str){0};
  for (int depth = 1; depth && (token = next(&c, &s)).n;) {
    if (*token.p == '{') depth++;
    else if (*token.p == '}') depth--;
    else if (depth == 1 && hl_str_eqz(token, "property") && take(&c, '=')) return take_string(&c, &s) ? s : (hl_str){0};
  }
  return (hl_str){0};
}

void hl_awaited_types(hl_str text, hl_awaited_cb each, void *arg) {
  cursor c = {text.p, text.p + text.n};
  char before = 0;
  hl_str s, token;
  while ((token = next(&c, &s)).n) {
    cursor d = c;
    bool wait = hl_str_eqz(token, "wait") && before != '.' && before != ':';
    if (wait && take(&d, '(') && take_string(&d, &s) && take(&d, ',') && take_string(&d, &s)) each(arg, s, property_of(d));
    before = *token.p;
  }
}
