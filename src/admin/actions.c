#include "admin/actions.h"

#include <stdarg.h>

#include "admin/inside.h"
#include "base/mem.h"

enum { AUDITS_MAX = 100 };

hl_actions *hl_actions_new(hl_engine *e, const char *account) {
  hl_actions *a = HL_NEW(hl_actions);
  a->e = e;
  a->loop = hl_engine_loop(e);
  a->account = account;
  a->calls.prev = a->calls.next = &a->calls;
  return a;
}

static void free_call(hl_act *c) {
  c->prev->next = c->next;
  c->next->prev = c->prev;
  cJSON_Delete(c->request);
  cJSON_Delete(c->answer);
  hl_free(c);
}

void hl_actions_free(hl_actions *a) {
  if (!a) return;
  hl_backup_forget(a);
  hl_forget_free(a->forget);
  while (a->calls.next != &a->calls) free_call(a->calls.next);
  hl_free(a);
}

void hl_act_answer(hl_act *c, cJSON *answer) {
  hl_action_cb cb = c->cb;
  void *arg = c->arg;
  if (answer == c->answer) c->answer = NULL;
  free_call(c);
  cb(arg, answer);
  cJSON_Delete(answer);
}

void hl_act_refuse(hl_act *c, const hl_error *err) {
  cJSON *answer = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(answer, "error");
  cJSON_AddStringToObject(error, "kind", hl_err_name(err->code));
  cJSON_AddStringToObject(error, "text", err->text);
  hl_act_answer(c, answer);
}

void hl_act_fail(hl_act *c, int code, const char *fmt, ...) {
  hl_error err = {.code = code};
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(err.text, sizeof err.text, fmt, ap);
  va_end(ap);
  hl_act_refuse(c, &err);
}

hl_store *hl_act_store(const hl_act *c) { return hl_engine_store(c->a->e); }
const char *hl_act_text(const hl_act *c, const char *name) { return hl_json_str(c->request, name, NULL); }

bool hl_cursor_read(hl_act *c, int64_t *a, int64_t *b) {
  const char *text = hl_act_text(c, "cursor"), *dot = text ? strchr(text, '.') : NULL;
  *a = *b = 0;
  if (!text) return true;
  if (dot && !hl_str_int64((hl_str){text, (size_t)(dot - text)}, a) && !hl_str_int64(hl_str_of(dot + 1), b) && *b >= 0) return true;
  hl_act_fail(c, HL_EINVAL, "“%.60s” is no cursor of an answer", text);
  return false;
}

void hl_cursor_add(cJSON *answer, int64_t a, int64_t b) {
  char text[48];
  snprintf(text, sizeof text, "%lld.%lld", (long long)a, (long long)b);
  cJSON_AddStringToObject(answer, "cursor", text);
}

/* ---- audit records ---- */

cJSON *hl_audit_json(const hl_audit *a) {
  cJSON *json = cJSON_CreateObject(), *record = NULL;
  if (hl_json_parse(a->json, &record, NULL)) record = cJSON_CreateNull();
  cJSON_AddItemToObject(json, "at", hl_json_int64(a->at));
  cJSON_AddStringToObject(json, "script", a->script);
  cJSON_AddStringToObject(json, "account", a->account);
  cJSON_AddStringToObject(json, "kind", a->kind);
  cJSON_AddStringToObject(json, "key", a->key);
  cJSON_AddItemToObject(json, "record", record);
  return json;
}

static void on_audits(void *arg, int code, const hl_audit *v, size_t n) {
  hl_act *c = arg;
  if (code) {
    hl_act_fail(c, code, "the audit records cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  cJSON *answer = cJSON_CreateObject(), *records = cJSON_AddArrayToObject(answer, "records");
  for (size_t i = 0; i < n; i++) cJSON_AddItemToArray(records, hl_audit_json(&v[i]));
  hl_act_answer(c, answer);
}

static void do_audits(hl_act *c) {
  const char *kind = hl_act_text(c, "kind"), *key = hl_act_text(c, "key");
  int64_t max = hl_json_int(c->request, "max", 1);
  if (!kind || !key || max < 1 || max > AUDITS_MAX)
    hl_act_fail(c, HL_EINVAL, "audits needs a kind, a key and at most %d for max", AUDITS_MAX);
  else hl_engine_audits(c->a->e, kind, key, (unsigned)max, on_audits, c);
}

static void on_scanned(void *arg, const hl_audit_page *page) {
  hl_act *c = arg;
  if (page->code) {
    hl_act_fail(c, page->code, "the audit records cannot be read; the log of hubloop serve says more, or the file is damaged");
    return;
  }
  cJSON *answer = cJSON_CreateObject(), *records = cJSON_AddArrayToObject(answer, "records");
  for (size_t i = 0; i < page->n; i++) cJSON_AddItemToArray(records, hl_audit_json(&page->v[i]));
  cJSON_AddItemToObject(answer, "at", hl_json_int64(page->at));
  cJSON_AddItemToObject(answer, "of", hl_json_int64(page->of));
  if (page->more) hl_cursor_add(answer, page->at, 0);
  hl_act_answer(c, answer);
}

static void do_audits_read(hl_act *c) {
  const char *kind = hl_act_text(c, "kind");
  int64_t after, unused;
  if (!hl_cursor_read(c, &after, &unused)) return;
  if (!kind) hl_act_fail(c, HL_EINVAL, "audits.read needs a kind");
  else hl_store_scan_audits(hl_act_store(c), kind, hl_json_int(c->request, "since", 0), hl_json_int(c->request, "until", INT64_MAX), after, on_scanned, c);
}

/* ---- dispatch ---- */

static const struct action {
  const char *name;
  void (*run)(hl_act *c);
} actions[] = {
    {"events.list", hl_do_list},   {"events.show", hl_do_show},   {"events.read", hl_do_read}, {"events.retry", hl_do_retry}, {"events.inject", hl_do_inject},
    {"events.prune", hl_do_prune}, {"audits", do_audits},         {"audits.read", do_audits_read}, {"backup.start", hl_do_backup}, {"backup.look", hl_do_backup_look},
    {"forget.start", hl_do_forget}, {"forget.look", hl_do_forget_look},
};

void hl_actions_do(hl_actions *a, cJSON *request, hl_action_cb cb, void *arg) {
  hl_act *c = HL_NEW(hl_act);
  *c = (hl_act){.prev = a->calls.prev, .next = &a->calls, .a = a, .request = request, .cb = cb, .arg = arg};
  c->prev->next = c->next->prev = c;
  const char *name = hl_act_text(c, "do");
  for (size_t i = 0; name && i < HL_COUNT(actions); i++) {
    if (strcmp(actions[i].name, name) != 0) continue;
    actions[i].run(c);
    return;
  }
  hl_act_fail(c, HL_EINVAL, "the running hubloop knows no action “%.60s”; is it of another version than this command?", name ? name : "");
}
