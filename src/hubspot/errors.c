#include "hubspot/errors.h"

#include <ctype.h>

#include "base/mem.h"

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

void hl_fault_transport(hl_fault *f, const hl_fault_place *at, const hl_error *err, bool retryable) {
  start(f, hl_err_name(err->code), 0, retryable);
  place(f, at, " got no answer: ");
  hl_buf_puts(&f->message, err->text);
  finish(f);
}

void hl_fault_uncertain(hl_fault *f, const hl_fault_place *at, int status, const hl_error *err) {
  start(f, hl_err_name(HL_EUNCERTAIN), status, false);
  char why[64];
  snprintf(why, sizeof why, "HubSpot answered %d", status);
  place(f, at, " ");
  hl_buf_printf(&f->message, "may or may not have been carried out: %s. It was not repeated, because that could do it "
                "twice: look in HubSpot whether it is there", status ? why : err->text);
  finish(f);
}

void hl_fault_protocol(hl_fault *f, const hl_fault_place *at, int status, hl_str body, bool retryable) {
  start(f, hl_err_name(HL_EPROTOCOL), status, retryable);
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
  finish(f);
}

static void add_scopes(hl_fault *f, const cJSON *list, bool *any) {
  const cJSON *s;
  cJSON_ArrayForEach(s, list) {
    if (!cJSON_IsString(s)) continue;
    hl_buf_printf(&f->message, "%s%s", *any ? ", " : ". Missing scopes: ", s->valuestring);
    *any = true;
  }
}

static void scopes_of(hl_fault *f, const cJSON *context, bool *any) {
  static const char *const names[] = {"requiredGranularScopes", "requiredScopes", "missingScopes"};
  for (size_t i = 0; i < HL_COUNT(names) && !*any; i++) add_scopes(f, hl_json_get(context, names[i]), any);
}

static void details(hl_fault *f, const cJSON *body) {
  const cJSON *e;
  size_t n = 0;
  cJSON_ArrayForEach(e, hl_json_get(body, "errors")) {
    const char *m = hl_json_str(e, "message", NULL);
    if (!m || n == 3 || strstr(f->message.p, m)) continue;
    hl_buf_printf(&f->message, "; %s", m);
    n++;
  }
}

static void keep(hl_fault *f, const cJSON *body) {
  static const char *const names[] = {"context", "errors", "subCategory", "policyName"};
  for (size_t i = 0; i < HL_COUNT(names); i++) {
    const cJSON *v = hl_json_get(body, names[i]);
    if (!v) continue;
    if (!f->context) f->context = cJSON_CreateObject();
    cJSON_AddItemToObject(f->context, names[i], cJSON_Duplicate(v, true));
  }
}

static void answered(hl_fault *f, const hl_fault_place *at, int status, const char *category, const char *message) {
  place(f, at, ": ");
  hl_buf_printf(&f->message, "HubSpot answered %d%s%s", status, category ? " " : "", category ? category : "");
  if (!message) return;
  hl_buf_puts(&f->message, ": ");
  f->reason_at = f->message.n;
  hl_buf_puts(&f->message, message);
}

void hl_fault_hubspot(hl_fault *f, const hl_fault_place *at, int status, const cJSON *body, bool retryable) {
  start(f, "hubspot", status, retryable);
  const char *category = hl_json_str(body, "category", hl_json_str(body, "errorType", NULL));
  const char *message = hl_json_str(body, "message", NULL);
  if (status == 429 && (!category || strcmp(category, "RATE_LIMIT") == 0)) category = "RATE_LIMITS";
  f->category = hl_strdup(category);
  f->correlation_id = hl_strdup(hl_json_str(body, "correlationId", NULL));
  keep(f, body);
  if (status == 401) {
    hl_buf_printf(&f->message, "HubSpot refused the token of account \"%s\" (401)", at->account);
    if (at->remedy) hl_buf_printf(&f->message, ": %s", at->remedy);
    if (message) hl_buf_printf(&f->message, " (%s)", message);
  } else {
    answered(f, at, status, category, message);
  }
  if (status == 403) {
    bool any = false;
    scopes_of(f, hl_json_get(body, "context"), &any);
    const cJSON *e;
    cJSON_ArrayForEach(e, hl_json_get(body, "errors")) scopes_of(f, hl_json_get(e, "context"), &any);
    if (any) hl_buf_printf(&f->message, ". Add them to the app or key of account \"%s\"", at->account);
  } else {
    details(f, body);
  }
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
  keep(f, row);
  answered(f, at, f->e.status, category, hl_json_str(row, "message", "no reason given"));
  details(f, row);
  finish(f);
}
