/* Alerts: what a person should know, as a log line and as an event of our own
 * that scripts listen to. A handler that breaks for every event would make one
 * alert each, so of one kind BURST in a WINDOW go out alone and the rest as one
 * with their number; that also slows down an alert handler that makes alerts. */
#include "base/mem.h"
#include "engine/inside.h"

enum { BURST = 10, WINDOW_MS = 60 * 1000, MAX_TEXT = 2000 };

struct hl_alert_kind {
  hl_alert_kind *next;
  hl_engine *e;
  hl_timer timer;            /* runs: a window is open */
  bool open;
  unsigned sent, folded;     /* in this window */
  char *last;                /* text of the newest one that was folded */
  char name[];
};

static hl_alert_kind *kind_of(hl_engine *e, const char *name) {
  for (hl_alert_kind *k = e->alerts; k; k = k->next)
    if (strcmp(k->name, name) == 0) return k;
  size_t n = strlen(name) + 1;
  hl_alert_kind *k = hl_alloc(sizeof *k + n);
  memset(k, 0, sizeof *k);
  memcpy(k->name, name, n);
  k->e = e;
  k->timer.unref = true;
  k->next = e->alerts;
  e->alerts = k;
  return k;
}

/* Without the beginning of a character whose rest was cut off. */
static size_t whole_chars(const char *text) {
  size_t n = strlen(text), back = 0;
  while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xC0) == 0x80) back++;
  if (back == n) return n;
  unsigned char lead = (unsigned char)text[n - 1 - back];
  size_t wants = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  return wants > back ? n - 1 - back : n;
}

/* Nobody listens: the log line is all, and the inbox is not filled with what nobody reads. */
static void append(hl_engine *e, const char *kind, const char *text, cJSON *payload) {
  if (e->freeing || e->replay || (e->started && !hl_type_of(e, HL_ALERT_TYPE))) {
    cJSON_Delete(payload);
    return;
  }
  cJSON *array = cJSON_CreateArray(), *event = cJSON_CreateObject();
  int64_t now = hl_loop_now(e->loop);
  cJSON_AddItemToArray(array, event);
  cJSON_AddStringToObject(event, "subscriptionType", HL_ALERT_TYPE);
  cJSON_AddItemToObject(event, "occurredAt", hl_json_int64(now));
  cJSON_AddItemToObject(event, "payload", payload);
  cJSON_DeleteItemFromObject(payload, "kind");
  cJSON_DeleteItemFromObject(payload, "text");
  cJSON_AddStringToObject(payload, "kind", kind);
  char *whole = hl_strndup(text, whole_chars(text));
  cJSON_AddStringToObject(payload, "text", whole);
  hl_free(whole);
  char *body = hl_json_print(array);
  cJSON_Delete(array);
  hl_inbox_append_own(e, body, now);
}

static void on_window(hl_timer *t, void *arg) {
  hl_alert_kind *k = arg;
  unsigned folded = k->folded;
  char *last = k->last, text[MAX_TEXT + 100];
  (void)t;
  k->open = false;
  k->sent = k->folded = 0;
  k->last = NULL;
  if (folded) {
    cJSON *payload = cJSON_CreateObject();
    cJSON_AddNumberToObject(payload, "count", folded);
    snprintf(text, sizeof text, "%u more within a minute, the last one: %s", folded, last);
    append(k->e, k->name, text, payload);
  }
  hl_free(last);
}

void hl_engine_alert(hl_engine *e, const char *kind, const char *text, cJSON *details) {
  hl_alert_kind *k = kind_of(e, kind);
  const char *trace = strstr(text, "\nstack traceback:"); /* the run's own line had it */
  hl_log_write(e->log, HL_LOG_WARN, "alert", "%s: %.*s", kind, (int)(trace ? (size_t)(trace - text) : strlen(text)), text);
  if (!k->open) {
    k->open = true;
    hl_timer_start(e->loop, &k->timer, WINDOW_MS, on_window, k);
  }
  if (k->sent == BURST) {
    k->folded++;
    hl_free(k->last);
    k->last = hl_strndup(text, strnlen(text, MAX_TEXT));
    cJSON_Delete(details);
    return;
  }
  k->sent++;
  append(e, kind, text, details ? details : cJSON_CreateObject());
}

void hl_alerts_deinit(hl_engine *e) {
  while (e->alerts) {
    hl_alert_kind *k = e->alerts;
    e->alerts = k->next;
    hl_timer_stop(e->loop, &k->timer);
    hl_free(k->last);
    hl_free(k);
  }
}
