#include "hubspot/errors.h"

#include <ctype.h>

#include "base/mem.h"
#include "hubspot/operations.h"

enum { MESSAGE_MAX = 8192, EXCERPT = 120 };

static void start(hl_fault *f, const char *kind, int status, bool retryable) {
  *f = (hl_fault){.e = {.kind = kind, .status = status, .retryable = retryable}};
  hl_buf_init(&f->message, MESSAGE_MAX);
}

static void finish(hl_fault *f) {
  f->e.message = f->message.p ? f->message.p : "";
  f->e.reason = f->e.message + f->reason_at;
  f->e.category = f->category;
  f->e.correlation_id = f->correlation_id;
  f->e.context = f->context;
}

/* What failed and where; the reason follows. */
static void place(hl_fault *f, const hl_fault_place *at, const char *then) {
  hl_buf_printf(&f->message, "%s %s (account \"%s\")%s", at->method, at->path, at->account, then);
  f->reason_at = f->message.n;
}

/* The end of the text of one that was given up in the end. */
static void add_attempts(hl_fault *f, const hl_fault_place *at) {
  if (f->e.retryable && at->attempts > 1)
    hl_buf_printf(&f->message, " (tried %u times in %lld s)", at->attempts, (long long)((at->tried_ms + 500) / 1000));
}

void hl_fault_deinit(hl_fault *f) {
  hl_buf_deinit(&f->message);
  hl_free(f->category);
  hl_free(f->correlation_id);
  cJSON_Delete(f->context);
  *f = (hl_fault){0};
}

void hl_fault_plain(hl_fault *f, const char *kind, const char *category, bool retryable, const char *fmt, ...) {
  start(f, kind, 0, retryable);
  f->category = hl_strdup(category);
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  hl_buf_puts(&f->message, text);
  finish(f);
}

void hl_fault_copy(hl_fault *f, const hl_api_error *error) {
  start(f, error->kind, error->status, error->retryable);
  f->category = hl_strdup(error->category);
  f->correlation_id = hl_strdup(error->correlation_id);
  f->context = error->context ? cJSON_Duplicate(error->context, true) : NULL;
  hl_buf_puts(&f->message, error->message);
  if (error->reason) f->reason_at = strlen(error->message) - strlen(error->reason);
  finish(f);
}

void hl_fault_transport(hl_fault *f, const hl_fault_place *at, const hl_error *err, bool retryable) {
  start(f, hl_err_name(err->code), 0, retryable);
  place(f, at, " got no answer: ");
  hl_buf_puts(&f->message, err->text);
  add_attempts(f, at);
  finish(f);
}

void hl_fault_uncertain(hl_fault *f, const hl_fault_place *at, int status, const hl_error *err) {
  start(f, hl_err_name(HL_EUNCERTAIN), status, false);
  f->correlation_id = hl_strdup(at->correlation_id);
  char why[64];
  snprintf(why, sizeof why, "HubSpot answered %d", status);
  place(f, at, " ");
  hl_buf_printf(&f->message, "may or may not have been carried out: %s. It was not repeated, because that could do it "
                "twice: look in HubSpot whether it is there", status ? why : err->text);
  finish(f);
}

void hl_fault_protocol(hl_fault *f, const hl_fault_place *at, int status, hl_str body, bool retryable) {
  start(f, hl_err_name(HL_EPROTOCOL), status, retryable);
  f->correlation_id = hl_strdup(at->correlation_id);
  char first[EXCERPT + 1];
  size_t n = 0;
  for (size_t i = 0; i < body.n && n < EXCERPT; i++) {
    char c = body.p[i];
    if ((unsigned char)c < ' ' || c == 0x7f) c = ' ';
    if (c == ' ' && (n == 0 || first[n - 1] == ' ')) continue;
    first[n++] = c;
  }
  while (n && ((unsigned char)first[n - 1] & 0xC0) == 0x80) n--; /* a cut UTF-8 character is left out */
  if (n && (unsigned char)first[n - 1] >= 0xC0) n--;
  first[n] = 0;
  size_t i = 0;
  while (i < body.n && isspace((unsigned char)body.p[i])) i++;
  const char *what = body.n == 0 ? "nothing" : body.p[i < body.n ? i : 0] == '<' ? "HTML" : "no valid JSON";
  place(f, at, ": ");
  hl_buf_printf(&f->message, "HubSpot answered %d with %s instead of JSON", status, what);
  if (n) {
    hl_buf_puts(&f->message, ": ");
    hl_log_redact(at->log, (hl_str){first, n}, &f->message);
  }
  if (status < 300 && *what == 'H')
    hl_buf_puts(&f->message, ". That is no answer of HubSpot's: a proxy, a login page or a wrong base_url stands between");
  else if (status >= 300 && status < 400)
    hl_buf_puts(&f->message, ". Redirects are not followed, so that the token stays with the account's own host: correct its base_url or region");
  else if (status == 414)
    hl_buf_puts(&f->message, ". The address is too long: ask for fewer ids or properties in one call");
  add_attempts(f, at);
  finish(f);
}

/* HubSpot's own words; it may quote the token. */
static void say(hl_fault *f, const hl_fault_place *at, const char *text) {
  hl_log_redact(at->log, hl_str_of(text), &f->message);
}

/* The same for every text of a copied answer. */
static void scrub(const hl_fault_place *at, cJSON *item) {
  if (cJSON_IsString(item)) {
    hl_buf safe;
    hl_buf_init(&safe, SIZE_MAX / 4);
    if (!hl_log_redact(at->log, hl_str_of(item->valuestring), &safe) && safe.p && strcmp(safe.p, item->valuestring) != 0)
      cJSON_SetValuestring(item, safe.p);
    hl_buf_deinit(&safe);
  }
  for (cJSON *child = item->child; child; child = child->next) scrub(at, child);
}

static void keep_item(hl_fault *f, const char *name, cJSON *item) {
  if (!f->context) f->context = cJSON_CreateObject();
  cJSON_AddItemToObject(f->context, name, item);
}

static void keep(hl_fault *f, const hl_fault_place *at, const cJSON *body) {
  static const char *const names[] = {"context", "errors", "subCategory", "policyName", "groupName", "links"};
  for (size_t i = 0; i < HL_COUNT(names); i++) {
    const cJSON *v = hl_json_get(body, names[i]);
    if (v) keep_item(f, names[i], cJSON_Duplicate(v, true));
  }
  if (f->context) scrub(at, f->context);
}

/* ---- missing scopes ---- */

static const cJSON *scopes_in(const cJSON *context) {
  static const char *const names[] = {"requiredGranularScopes", "requiredScopes", "missingScopes"};
  const cJSON *found = NULL;
  for (size_t i = 0; i < HL_COUNT(names) && !found; i++) {
    const cJSON *list = hl_json_get(context, names[i]);
    if (cJSON_IsArray(list) && cJSON_IsString(list->child)) found = list;
  }
  return found;
}

/* From the answer: any one of them, where HubSpot says so. */
static bool scopes_of_body(hl_fault *f, const cJSON *body) {
  const cJSON *list = scopes_in(hl_json_get(body, "context")), *e, *s;
  const char *said = "";
  cJSON_ArrayForEach(e, hl_json_get(body, "errors")) {
    if (!list && (list = scopes_in(hl_json_get(e, "context")))) said = hl_json_str(e, "message", "");
  }
  if (!list) return false;
  bool any_one = list->child->next && strncmp(said, "One or more", 11) == 0, first = true;
  hl_buf_puts(&f->message, any_one ? ". Missing scopes, one of: " : ". Missing scopes: ");
  cJSON_ArrayForEach(s, list) {
    if (!cJSON_IsString(s)) continue;
    hl_buf_printf(&f->message, "%s%s", first ? "" : ", ", s->valuestring);
    first = false;
  }
  keep_item(f, "missing_scopes", cJSON_Duplicate(list, true));
  return true;
}

/* From HubSpot's published operations: "a|b+c" reads "a, or b and c". */
static bool scopes_of_operation(hl_fault *f, const hl_fault_place *at) {
  hl_buf scopes;
  hl_buf_init(&scopes, 4096);
  hl_str path = hl_str_of(at->path);
  const hl_operation *op = hl_operation_find(at->method, path);
  bool known = op && hl_operation_scopes(op, path, &scopes) == 0 && scopes.n;
  if (known) hl_buf_puts(&f->message, ". By HubSpot's documentation this call needs ");
  for (size_t i = 0; known && i < scopes.n; i++) {
    char c = scopes.p[i];
    if (c == '|') hl_buf_puts(&f->message, ", or ");
    else if (c == '+') hl_buf_puts(&f->message, " and ");
    else hl_buf_append(&f->message, &c, 1);
  }
  hl_buf_deinit(&scopes);
  return known;
}

static void add_scopes(hl_fault *f, const hl_fault_place *at, const cJSON *body) {
  const char *category = f->category ? f->category : "", *said = hl_json_str(body, "message", "");
  bool about_scopes = strcmp(category, "MISSING_SCOPES") == 0 || strstr(said, "scope") || strstr(said, "permission");
  bool named = scopes_of_body(f, body) || strstr(said, "requires any of") || strstr(said, "requires all of") ||
               (about_scopes && scopes_of_operation(f, at));
  if (named) hl_buf_printf(&f->message, ". Add what is missing to the app or key of account \"%s\"", at->account);
}

/* ---- what HubSpot says of rows and values ---- */

/* A detail's property, where its message does not name it. */
static const char *property_of(const cJSON *detail) {
  const cJSON *context = hl_json_get(detail, "context"), *list = hl_json_get(context, "propertyName");
  if (!list) list = hl_json_get(context, "properties");
  return cJSON_IsArray(list) ? cJSON_GetStringValue(list->child) : cJSON_GetStringValue(list);
}

static void details(hl_fault *f, const hl_fault_place *at, const cJSON *body) {
  enum { MOST = 3 };
  const cJSON *e;
  size_t n = 0;
  cJSON_ArrayForEach(e, hl_json_get(body, "errors")) {
    const char *m = hl_json_str(e, "message", NULL), *property = property_of(e);
    if (!m || strstr(f->message.p, m) || ++n > MOST) continue;
    hl_buf_puts(&f->message, "; ");
    if (property && !strstr(m, property)) hl_buf_printf(&f->message, "%s: ", property);
    say(f, at, m);
  }
  if (n > MOST) hl_buf_printf(&f->message, "; and %zu more in the error's context", n - MOST);
}

/* "Existing ID: 151", or "151 already has that value". */
static void add_existing(hl_fault *f, const char *message) {
  static const char before[] = "xisting ID: ", after[] = " already has that value";
  const char *at = message ? strstr(message, before) : NULL, *end;
  if (at) {
    at += sizeof before - 1;
    for (end = at; isdigit((unsigned char)*end); end++) {}
  } else {
    if (!message || !(end = strstr(message, after))) return;
    for (at = end; at > message && isdigit((unsigned char)at[-1]); at--) {}
  }
  if (end == at) return;
  char *id = hl_strndup(at, (size_t)(end - at));
  keep_item(f, "existing_id", cJSON_CreateString(id));
  hl_free(id);
}

static void answered(hl_fault *f, const hl_fault_place *at, int status, const char *category, const char *message) {
  place(f, at, ": ");
  hl_buf_printf(&f->message, "HubSpot answered %d%s%s", status, category ? " " : "", category ? category : "");
  if (!message) return;
  hl_buf_puts(&f->message, ": ");
  f->reason_at = f->message.n;
  say(f, at, message);
}

void hl_fault_hubspot(hl_fault *f, const hl_fault_place *at, int status, const cJSON *body, bool retryable) {
  start(f, "hubspot", status, retryable);
  const char *category = hl_json_str(body, "category", hl_json_str(body, "errorType", NULL));
  const char *message = hl_json_str(body, "message", NULL);
  if (status == 429 && (!category || strcmp(category, "RATE_LIMIT") == 0)) category = "RATE_LIMITS";
  f->category = hl_strdup(category);
  f->correlation_id = hl_strdup(hl_json_str(body, "correlationId", at->correlation_id));
  keep(f, at, body);
  if (status == 401) {
    hl_buf_printf(&f->message, "HubSpot refused the token of account \"%s\" (401%s%s)", at->account, category ? " " : "",
                  category ? category : "");
    if (at->remedy) hl_buf_printf(&f->message, ": %s", at->remedy);
    if (message) {
      hl_buf_puts(&f->message, " (");
      say(f, at, message);
      hl_buf_puts(&f->message, ")");
    }
  } else {
    answered(f, at, status, category, message);
  }
  if (status == 403) add_scopes(f, at, body);
  else details(f, at, body);
  if (status == 400 || status == 409) add_existing(f, message);
  add_attempts(f, at);
  finish(f);
}

static int row_status(const cJSON *row, const char *category) {
  int64_t status = hl_json_int(row, "status", 0);
  if (status >= 400 && status < 600) return (int)status;
  if (strstr(category, "NOT_FOUND")) return 404;
  if (strcmp(category, "CONFLICT") == 0) return 409;
  return 400;
}

void hl_fault_row(hl_fault *f, const hl_fault_place *at, const cJSON *row, const char *correlation_id) {
  const char *category = hl_json_str(row, "category", NULL);
  start(f, "hubspot", row_status(row, category ? category : ""), false);
  f->category = hl_strdup(category);
  f->correlation_id = hl_strdup(hl_json_str(row, "correlationId", correlation_id));
  keep(f, at, row);
  answered(f, at, f->e.status, category, hl_json_str(row, "message", "no reason given"));
  details(f, at, row);
  add_existing(f, hl_json_str(row, "message", NULL));
  finish(f);
}

/* ---- for logs ---- */

static bool local_byte(unsigned char c) { return isalnum(c) || (c && strchr("._%+-'", c)) || c >= 0x80; }
static bool domain_byte(unsigned char c) { return isalnum(c) || c == '.' || c == '-' || c >= 0x80; }

void hl_mask(hl_buf *out, hl_str s, hl_str hide) {
  size_t from = 0;
  for (size_t i = 0; i < s.n;) {
    size_t begin = i, end = i, at = s.p[i] == '@' ? 1 : s.n - i >= 3 && memcmp(s.p + i, "%40", 3) == 0 ? 3 : 0;
    if (hide.n >= 2 && hide.n <= s.n - i && memcmp(s.p + i, hide.p, hide.n) == 0) {
      end = i + hide.n;
    } else if (at) {
      while (begin > from && local_byte((unsigned char)s.p[begin - 1])) begin--;
      end = i + at;
      while (end < s.n && domain_byte((unsigned char)s.p[end])) end++;
      if (begin == i || end == i + at) end = begin = i;
    }
    if (end == begin) {
      i++;
      continue;
    }
    hl_buf_append(out, s.p + from, begin - from);
    hl_buf_puts(out, "[…]");
    from = i = end;
  }
  hl_buf_append(out, s.p + from, s.n - from);
}
