#include "cmd/fit.h"

#include "base/mem.h"
#include "cmd/ask.h"
#include "lua/check.h"

enum {
  LOOK_CPU_MS = 1000,          /* of a script that is too intricate for that nothing is asked */
  PATIENCE_MS = 3000,          /* how long scripts are held while HubSpot does not answer */
  AGAIN_MS = 60 * 1000, AGAIN_MAX_MS = 15 * 60 * 1000,
  REASON_MAX = 2000,
};

typedef struct part part;
typedef struct part {          /* a script */
  part *next;
  char *name, *path;
  cJSON *needs;                /* NULL: to be looked at */
  cJSON *questions;
  bool held;
} part;

typedef struct asked {         /* an account */
  hl_fit *f;
  hl_asking *asking;           /* NULL: it has answered */
} asked;

struct hl_fit {
  hl_runtime *rt;
  part *parts;
  cJSON *answers;              /* by account; what was told last, also while HubSpot cannot be reached */
  asked *asked;
  size_t n_asked, left;
  bool ever, told;             /* asked at all; said that HubSpot does not answer */
  hl_timer look, patience, again;
  int64_t again_ms;
};

hl_fit *hl_fit_new(hl_runtime *rt) {
  hl_fit *f = HL_NEW(hl_fit);
  f->rt = rt;
  f->answers = cJSON_CreateObject();
  f->look.unref = f->patience.unref = f->again.unref = true;
  return f;
}

static void part_free(part *p) {
  hl_free(p->name);
  hl_free(p->path);
  cJSON_Delete(p->needs);
  cJSON_Delete(p->questions);
  hl_free(p);
}

static void drop_asked(hl_fit *f) {
  for (size_t i = 0; i < f->n_asked; i++) hl_asking_drop(f->asked[i].asking);
  hl_free(f->asked);
  f->asked = NULL;
  f->n_asked = f->left = 0;
}

void hl_fit_free(hl_fit *f) {
  if (!f) return;
  hl_timer *timers[] = {&f->look, &f->patience, &f->again};
  for (size_t i = 0; i < HL_COUNT(timers); i++) hl_timer_stop(f->rt->loop, timers[i]);
  drop_asked(f);
  while (f->parts) {
    part *p = f->parts;
    f->parts = p->next;
    part_free(p);
  }
  cJSON_Delete(f->answers);
  hl_free(f);
}

static void hold(hl_fit *f, part *p, bool yes) {
  p->held = yes;
  hl_engine_hold(f->rt->engine, p->name, yes);
}

void hl_fit_taken(hl_fit *f, const char *script, const char *path) {
  part **at = &f->parts, *p = HL_NEW(part);
  while (*at && strcmp((*at)->name, script) != 0) at = &(*at)->next;
  p->name = hl_strdup(script);
  p->path = hl_strdup(path);
  if (*at) {
    part *before = *at;
    p->next = before->next;
    part_free(before);
  }
  *at = p;
  hold(f, p, true);
}

/* It names something of the account. */
static bool asks(const part *p) {
  const cJSON *one;
  cJSON_ArrayForEach(one, p->questions) if (cJSON_IsTrue(one) || cJSON_GetArraySize(one)) return true;
  return false;
}

/* ---- the verdict ---- */

static void reason(const cJSON *wrong, hl_buf *out) {
  const cJSON *one;
  cJSON_ArrayForEach(one, wrong) (void)hl_buf_printf(out, "%s%s", out->n ? "; " : "", one->valuestring);
}

static void halt(hl_fit *f, const part *p, const cJSON *wrong) {
  const char *before = hl_engine_halted(f->rt->engine, p->name);
  char text[REASON_MAX + 300];
  hl_buf why;
  hl_buf_init(&why, REASON_MAX);
  reason(wrong, &why);
  if (!before || strcmp(before, why.p) != 0) {
    cJSON *details = cJSON_CreateObject();
    hl_engine_halt(f->rt->engine, p->name, why.p);
    snprintf(text, sizeof text, "%s does not fit the account, so its events wait until it does: %s", p->name, why.p);
    cJSON_AddStringToObject(details, "script", p->name);
    hl_engine_alert(f->rt->engine, "script_halted", text, details);
  }
  hl_buf_deinit(&why);
}

static void go_on(hl_fit *f, const part *p) {
  if (!hl_engine_halted(f->rt->engine, p->name)) return;
  hl_engine_halt(f->rt->engine, p->name, NULL);
  hl_log_write(f->rt->log, HL_LOG_INFO, p->name, "fits the account now and goes on with what has waited");
}

static void ask(hl_fit *f, bool again);

static void on_again(hl_timer *t, void *arg) {
  (void)t;
  ask(arg, true);
}

/* By what is known now. An account that has not told something has it, unless the script was halted for it before. */
static void judge(hl_fit *f) {
  cJSON *request = cJSON_CreateObject(), *needs = cJSON_AddObjectToObject(request, "needs"), *answer = NULL;
  bool open = false;
  hl_error err;
  cJSON_AddItemReferenceToObject(request, "accounts", f->answers);
  for (part *p = f->parts; p; p = p->next)
    if (asks(p)) cJSON_AddItemReferenceToObject(needs, p->name, p->needs);
  int rc = hl_check_call(f->rt->loop, "fit", LOOK_CPU_MS, request, &answer, &err);
  if (rc) hl_log_write(f->rt->log, HL_LOG_WARN, "serve", "the scripts could not be held against the account: %s", err.text);
  for (part *p = f->parts; p; p = p->next) {
    if (!asks(p)) continue;
    const cJSON *its = cJSON_GetObjectItemCaseSensitive(answer, p->name), *wrong = cJSON_GetObjectItemCaseSensitive(its, "wrong");
    bool more = !its || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(its, "open"));
    if (cJSON_GetArraySize(wrong)) halt(f, p, wrong);
    else if (!more) go_on(f, p);
    if (p->held) hold(f, p, false);
    open = open || more || hl_engine_halted(f->rt->engine, p->name);
  }
  cJSON_Delete(answer);
  cJSON_Delete(request);
  if (!open || f->left) return;
  hl_timer_start(f->rt->loop, &f->again, f->again_ms, on_again, f);
  f->again_ms = f->again_ms > AGAIN_MAX_MS / 2 ? AGAIN_MAX_MS : 2 * f->again_ms;
}

/* ---- asking ---- */

static void tell_unanswered(hl_fit *f, const char *why) {
  if (!f->told)
    hl_log_write(f->rt->log, HL_LOG_INFO, "serve", "scripts are held against the account once HubSpot answers (%s); until then they run, but for those that "
                 "were halted before", why);
  f->told = true;
}

static void on_patience(hl_timer *t, void *arg) {
  (void)t;
  tell_unanswered(arg, "it has not in 3 s");
  judge(arg);
}

static void on_answers(void *arg, const char *failed, const char *notes) {
  asked *a = arg;
  hl_fit *f = a->f;
  a->asking = NULL;
  f->left--;
  if (*notes) hl_log_write(f->rt->log, HL_LOG_INFO, "serve", "scripts and account: %.*s", (int)strlen(notes) - 1, notes);
  if (failed) tell_unanswered(f, failed);
  if (f->left) return;
  hl_timer_stop(f->rt->loop, &f->patience);
  judge(f);
}

static bool among(const cJSON *list, const char *text) {
  const cJSON *one;
  cJSON_ArrayForEach(one, list) if (strcmp(one->valuestring, text) == 0) return true;
  return false;
}

/* Of all scripts, once. False: there are none. */
static bool all_questions(const hl_fit *f, cJSON *out) {
  bool any = false;
  const cJSON *from, *one;
  for (const part *p = f->parts; p; p = p->next) {
    any = any || asks(p);
    cJSON_ArrayForEach(from, p->questions) {
      cJSON *to = cJSON_GetObjectItemCaseSensitive(out, from->string);
      if (cJSON_IsTrue(from) && !to) cJSON_AddTrueToObject(out, from->string);
      if (cJSON_IsArray(from) && !to) to = cJSON_AddArrayToObject(out, from->string);
      cJSON_ArrayForEach(one, from) if (!among(to, one->valuestring)) cJSON_AddItemToArray(to, cJSON_CreateString(one->valuestring));
    }
  }
  return any;
}

static void ask(hl_fit *f, bool again) {
  hl_account *accounts[64];
  size_t n = hl_hubspot_accounts(f->rt->hubspot, accounts, HL_COUNT(accounts));
  cJSON *questions = cJSON_CreateObject();
  if (n > HL_COUNT(accounts)) n = HL_COUNT(accounts);
  drop_asked(f);
  hl_timer_stop(f->rt->loop, &f->again);
  if (all_questions(f, questions) && n) {
    f->asked = hl_alloc(n * sizeof *f->asked);
    f->n_asked = f->left = n;
    for (size_t i = 0; i < n; i++) {
      const char *name = hl_account_name(accounts[i]);
      cJSON *answers = cJSON_GetObjectItemCaseSensitive(f->answers, name);
      if (!answers) answers = cJSON_AddObjectToObject(f->answers, name);
      f->asked[i].f = f;
      f->asked[i].asking = hl_ask(f->rt->loop, accounts[i], questions, f->ever, answers, on_answers, &f->asked[i]);
    }
    f->ever = true;
    if (!again) hl_timer_start(f->rt->loop, &f->patience, PATIENCE_MS, on_patience, f);
  } else {
    judge(f);
  }
  cJSON_Delete(questions);
}

/* ---- what they need ---- */

static void look_at(hl_fit *f, part *p) {
  cJSON *request = cJSON_CreateObject(), *file = cJSON_AddObjectToObject(request, "file"), *answer = NULL;
  hl_error err;
  cJSON_AddStringToObject(file, "name", p->name);
  cJSON_AddStringToObject(file, "path", p->path);
  cJSON_AddStringToObject(file, "root", f->rt->root);
  if (hl_check_call(f->rt->loop, "needs", LOOK_CPU_MS, request, &answer, &err)) {
    hl_log_write(f->rt->log, HL_LOG_INFO, p->name, "what it needs of the account is not known: %s", err.text);
    p->needs = cJSON_CreateObject();
  } else {
    p->needs = cJSON_DetachItemFromObjectCaseSensitive(answer, "needs");
    p->questions = cJSON_DetachItemFromObjectCaseSensitive(answer, "questions");
  }
  cJSON_Delete(request);
  cJSON_Delete(answer);
}

/* One in a turn of the loop. */
static void on_look(hl_timer *t, void *arg) {
  hl_fit *f = arg;
  part *p = f->parts;
  while (p && p->needs) p = p->next;
  if (!p) {
    ask(f, false);
    return;
  }
  look_at(f, p);
  if (!asks(p)) {
    go_on(f, p);
    hold(f, p, false);
  }
  hl_timer_start(f->rt->loop, t, 0, on_look, f);
}

static bool is_loaded(const hl_fit *f, const char *name) {
  for (hl_script *s = hl_host_scripts(f->rt->host); s; s = hl_script_next(s))
    if (strcmp(hl_script_name(s), name) == 0) return true;
  return false;
}

void hl_fit_start(hl_fit *f) {
  for (part **at = &f->parts; *at;) {
    part *p = *at;
    if (is_loaded(f, p->name)) {
      at = &p->next;
      continue;
    }
    *at = p->next;
    hl_engine_halt(f->rt->engine, p->name, NULL);
    hl_engine_hold(f->rt->engine, p->name, false);
    part_free(p);
  }
  f->again_ms = AGAIN_MS;
  f->told = false;
  drop_asked(f);
  hl_timer_stop(f->rt->loop, &f->patience);
  hl_timer_start(f->rt->loop, &f->look, 0, on_look, f);
}
