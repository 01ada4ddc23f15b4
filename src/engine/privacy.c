/* A contact that HubSpot has deleted for privacy is forgotten here too (SEMANTICS 14): a while after the event, so
 * that its handlers have had it. That it is to be done is kept in kv, under a script's name that no script can
 * have, until it is done. */
#include "base/mem.h"
#include "engine/forget.h"
#include "engine/inside.h"

static const int64_t AFTER_MS = 60 * 1000, AGAIN_MS = 10 * 60 * 1000;

static void on_due(hl_timer *t, void *arg);

static void arm(hl_engine *e, int64_t ms) {
  e->privacy_timer.unref = true;
  if (!e->freeing && !hl_timer_armed(&e->privacy_timer)) hl_timer_start(e->loop, &e->privacy_timer, ms, on_due, e);
}

/* "ID account": the key that says so. */
void hl_privacy_saw(hl_engine *e, const char *account, const hl_fields *f) {
  char key[300];
  int64_t id;
  if (f->object.kind == HL_F_INT) id = f->object.i;
  else if (f->object.kind != HL_F_TEXT || hl_str_int64(f->object.s, &id)) return;
  snprintf(key, sizeof key, "%lld %s", (long long)id, account);
  hl_tx_kv(e->tx, HL_FORGET_SCOPE, "", hl_str_of(key), HL_STR("true"), 0);
  if (e->started) arm(e, e->privacy_ms);
}

void hl_privacy_start(hl_engine *e) { arm(e, e->privacy_ms ? e->privacy_ms : (e->privacy_ms = AFTER_MS)); }

void hl_privacy_deinit(hl_engine *e) {
  hl_timer_stop(e->loop, &e->privacy_timer);
  hl_forget_free(e->privacy);
}

static void tell(hl_engine *e, const hl_forgotten *f) {
  hl_log_write(e->log, HL_LOG_INFO, "privacy", "a contact that was deleted for privacy is forgotten: %lld events, %lld dead letters and waiting ones, %lld steps, "
               "%lld records, %lld kv keys, %lld lines of the call log", (long long)f->events, (long long)f->parked, (long long)f->steps,
               (long long)f->records, (long long)f->keys, (long long)f->calls);
  if (f->synced)
    hl_log_write(e->log, HL_LOG_WARN, "privacy", "a sync has carried this contact: tables and files, such as its source and its quarantine, are not cleaned; take the "
                 "person out of them, or a run may bring it back");
  if (f->residue)
    hl_log_write(e->log, HL_LOG_WARN, "privacy", "unused space of the store may hold copies: it is too large to be written anew while it is in use; run "
                 "hubloop forget once while serve is stopped");
}

static void on_forgotten(void *arg) {
  hl_engine *e = arg;
  hl_forgotten f;
  hl_forget_look(e->privacy, &f);
  hl_forget_free(e->privacy);
  e->privacy = NULL;
  if (f.err.code) hl_log_write(e->log, HL_LOG_ERROR, "privacy", "a contact that was deleted for privacy is not forgotten yet, it is tried again: %s", f.err.text);
  else if (!f.in_hand) tell(e, &f);
  arm(e, f.err.code || f.in_hand ? AGAIN_MS : 0);
}

static void on_listed(void *arg, int code, const hl_str *keys, size_t n) {
  hl_engine *e = arg;
  char id[24], account[280];
  hl_error err;
  if (e->privacy || e->freeing || (!code && !n)) return;
  if (!code && sscanf(keys[0].p, "%23[0-9] %279[^\n]", id, account) < 2) account[0] = 0;
  hl_person who = {.id = id};
  if (code || hl_forget_new(e, &who, account, false, on_forgotten, e, &e->privacy, &err)) arm(e, AGAIN_MS);
}

static void on_due(hl_timer *t, void *arg) {
  hl_engine *e = arg;
  (void)t;
  if (hl_may_dispatch(e)) hl_store_kv_list(e->store, HL_FORGET_SCOPE, "", (hl_str){0}, 1, hl_loop_now(e->loop), on_listed, e);
  else arm(e, AGAIN_MS);
}
