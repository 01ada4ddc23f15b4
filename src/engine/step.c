#include "engine/steps.h"

#include <assert.h>

#include "base/mem.h"

#define CHILD "child"      /* what the row of a child task's step begins with */
#define WROTE " wrote "    /* behind that, and behind what a write is: own writes of the run, own.h */

hl_step_op *hl_step_op_new(hl_run *run, hl_step_cb cb, void *arg) {
  hl_engine *e = run->e;
  hl_step_op *op = HL_NEW(hl_step_op);
  *op = (hl_step_op){.e = e, .run = run, .cb = cb, .arg = arg};
  op->link.next = &e->step_ops;
  op->link.prev = e->step_ops.prev;
  op->link.prev->next = op->link.next->prev = &op->link;
  return op;
}

void hl_step_op_end(hl_step_op *op, int code) {
  hl_step_cb cb = op->run ? op->cb : NULL;
  void *arg = op->arg;
  op->link.prev->next = op->link.next;
  op->link.next->prev = op->link.prev;
  hl_free(op);
  if (cb) cb(arg, code);
}

void hl_step_op_drop(hl_step_op *op) { op->cb = NULL; }

static void on_waited(void *arg, int code) { hl_step_op_end(arg, code); }

static hl_step_op *after_commit(hl_run *run, hl_step_cb cb, void *arg) {
  hl_step_op *op = hl_step_op_new(run, cb, arg);
  hl_waiter_add(run->e, false, 0, on_waited, op);
  return op;
}

/* ---- the list ---- */

bool hl_run_has_steps(const hl_run *run) { return run->kind != RUN_FREE && !(run->h && run->h->batch_size); }
void hl_run_as(hl_run *run, unsigned writer) { run->writer = writer; }

/* An event that came straight from its receipt has none stored. */
static hl_steps *steps_of(hl_run *run) {
  if (!run->steps) {
    hl_steps *s = HL_NEW(hl_steps);
    s->tail = &s->first;
    s->known = !run->e->steps_stored || (run->kind == RUN_EVENT && run->ev->committed_us && !run->parked);
    s->stored = !s->known;
    run->steps = s;
  }
  return run->steps;
}

static void free_step(hl_step *step) {
  while (step->writes) {
    hl_write *w = step->writes;
    step->writes = w->next;
    hl_free(w->what);
    hl_free(w->answer);
    hl_free(w);
  }
  hl_wait_free(step->wait);
  hl_free(step->name);
  hl_free(step->json);
  hl_free(step);
}

static void clear(hl_steps *s) {
  while (s->first) {
    hl_step *step = s->first;
    s->first = step->next;
    free_step(step);
  }
  s->tail = &s->first;
  s->n = s->place = 0;
}

void hl_steps_free(hl_run *run) {
  hl_engine *e = run->e;
  for (hl_link *l = e->step_ops.next; l != &e->step_ops; l = l->next) {
    hl_step_op *op = HL_CONTAINER(l, hl_step_op, link);
    if (op->run == run) op->run = NULL;
  }
  if (!run->steps) return;
  clear(run->steps);
  hl_free(run->steps);
  run->steps = NULL;
}

/* The next attempt asks by name again. What is stored and committed need not stay
 * in memory until then. */
void hl_steps_again(hl_run *run) {
  hl_steps *s = run->steps;
  run->uncertain = false;
  if (!s) return;
  if (s->stored && s->seq <= run->e->done_seq) {
    clear(s);
    s->known = false;
  }
  s->asked = 0;
  for (hl_step *step = s->first; step; step = step->next) {
    step->used = step->active = step->uncertain = step->raised = false;
    if (!step->stored) step->place = 0;
    for (hl_write *w = step->writes; w; w = w->next) w->used = w->sent = false;
  }
}

static hl_step *find(const hl_steps *s, hl_str name) {
  for (hl_step *step = s->first; step; step = step->next)
    if (hl_str_eq((hl_str){step->name, step->name_n}, name)) return step;
  return NULL;
}

static hl_step *add(hl_run *run, hl_str name) {
  hl_steps *s = run->steps;
  hl_step *step = HL_NEW(hl_step);
  step->run = run;
  step->name = hl_strndup(name.p, name.n);
  step->name_n = name.n;
  *s->tail = step;
  s->tail = &step->next;
  s->n++;
  return step;
}

static void set_json(hl_step *step, hl_str json) {
  hl_free(step->json);
  step->json = hl_strndup(json.p ? json.p : "", json.n);
  step->json_n = json.n;
}

static hl_write *add_write(hl_step *step, unsigned n, hl_str what) {
  hl_write *w = HL_NEW(hl_write), **p = &step->writes;
  w->step = step;
  w->n = n;
  w->what = hl_strndup(what.p ? what.p : "", what.n);
  w->what_n = what.n;
  if (n > step->last_write) step->last_write = n;
  while (*p) p = &(*p)->next;
  *p = w;
  return w;
}

/* ---- the store ---- */

/* `name` holds the key's text. */
hl_step_key hl_step_key_of(const hl_run *run, hl_buf *name) {
  hl_buf_init(name, 1 << 16);
  hl_handler_durable(run->h, name);
  if (run->kind == RUN_SCHEDULE) return (hl_step_key){.row = -run->fired_at, .handler = name->p};
  return (hl_step_key){.row = run->ev->parked_row, .index = run->ev->index, .handler = name->p};
}

void hl_step_store(hl_step *step, unsigned n, hl_step_kind kind, hl_str what, hl_str json) {
  hl_run *run = step->run;
  if (!n) step->stored = true;
  hl_engine *e = run->e;
  hl_buf name;
  hl_step_key key = hl_step_key_of(run, &name);
  hl_step_row row = {.name = {step->name, step->name_n}, .n = n, .place = step->place, .kind = kind, .what = what, .json = json};
  hl_tx_step(e->tx, &key, &row);
  hl_buf_deinit(&name);
  run->steps->stored = e->steps_stored = true;
  run->steps->seq = e->seq;
  hl_touch(e);
}

/* What the step has written is known in later lives, too. */
static void store_with_wrote(hl_step *step, unsigned n, hl_step_kind kind, hl_str what, hl_str json) {
  hl_buf all;
  hl_buf_init(&all, SIZE_MAX / 2);
  int rc = hl_buf_append(&all, what.p, what.n);
  if (!rc && hl_own_count(step->run) > step->wrote) rc = hl_buf_puts(&all, WROTE);
  if (rc) hl_mem_ended();
  hl_own_print(step->run, step->wrote, &all);
  hl_step_store(step, n, kind, all.n ? hl_buf_str(&all) : (hl_str){0}, json);
  hl_buf_deinit(&all);
}

hl_str hl_step_what(hl_str what) {
  enum { N = sizeof WROTE - 1 };
  for (size_t i = what.n; i >= N; i--)
    if (memcmp(what.p + i - N, WROTE, N) == 0) return (hl_str){what.p, i - N};
  return what;
}

static hl_str read_wrote(hl_run *run, hl_str what) {
  hl_str rest = hl_step_what(what);
  if (rest.n < what.n) hl_own_read(run, (hl_str){what.p + rest.n + sizeof WROTE - 1, what.n - rest.n - sizeof WROTE + 1});
  return rest;
}

void hl_steps_leave(hl_run *run) {
  hl_engine *e = run->e;
  hl_buf name;
  /* One that was never asked about steps may still have some from an earlier life. */
  bool may = run->steps ? run->steps->stored : run->kind == RUN_EVENT && (run->parked || !run->ev->committed_us);
  if (!may || !e->steps_stored) return;
  hl_step_key key = hl_step_key_of(run, &name);
  hl_tx_steps_drop(e->tx, &key);
  hl_buf_deinit(&name);
}

static void on_rows(void *arg, int code, const hl_step_row *rows, size_t n) {
  hl_step_op *op = arg;
  hl_run *run = op->run;
  hl_steps *s = run ? run->steps : NULL;
  if (s && !code && !s->known) {
    s->known = true;
    s->stored = n > 0;
    for (size_t i = 0; i < n; i++) {
      const hl_step_row *r = &rows[i];
      hl_step *step = find(s, r->name);
      if (!step) step = add(run, r->name);
      if (r->place > s->place) s->place = r->place;
      hl_str what = read_wrote(run, r->what);
      if (r->n) {
        hl_write *w = add_write(step, r->n, what);
        w->kind = r->kind;
        w->answer = hl_strndup(r->json.p, r->json.n);
        w->answer_n = r->json.n;
        continue;
      }
      step->kind = r->kind;
      step->place = r->place;
      step->stored = true;
      step->child = hl_str_starts(what, CHILD);
      set_json(step, r->json);
      hl_wait_read(step, what);
    }
  }
  hl_step_op_end(op, code ? HL_EIO : 0);
}

static void read_rows(hl_step_op *op) {
  hl_buf name;
  hl_step_key key = hl_step_key_of(op->run, &name);
  hl_store_read_steps(op->e->store, &key, on_rows, op);
  hl_buf_deinit(&name);
}

static void on_gathered(void *arg, int code) {
  hl_step_op *op = arg;
  if (code || !op->run) hl_step_op_end(op, code);
  else read_rows(op);
}

/* What gathers may hold the last word on these rows, so it goes first. */
hl_step_op *hl_run_steps_load(hl_run *run, hl_step_cb cb, void *arg) {
  hl_engine *e = run->e;
  hl_step_op *op = hl_step_op_new(run, cb, arg);
  if (hl_tx_empty(e->tx)) read_rows(op);
  else hl_waiter_add(e, false, 0, on_gathered, op);
  return op;
}

void hl_steps_deinit(hl_engine *e) {
  while (e->step_ops.next != &e->step_ops) {
    hl_step_op *op = HL_CONTAINER(e->step_ops.next, hl_step_op, link);
    op->run = NULL;
    hl_step_op_end(op, 0);
  }
}

/* ---- steps ---- */

/* The first stored wait that this attempt has not asked for. */
static const hl_step *wait_ahead(const hl_steps *s) {
  for (const hl_step *step = s->first; step; step = step->next)
    if (step->stored && step->wait && !step->used) return step;
  return NULL;
}

static int unfit(hl_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int unfit(hl_run *run, const char *fmt, ...) {
  char text[1024] = "its stored steps no longer fit: ";
  size_t n = strlen(text);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text + n, sizeof text - n, fmt, ap);
  va_end(ap);
  run->over = true;
  hl_free(run->refused);
  run->refused = hl_strdup(text);
  return HL_ECANCELLED;
}

#define QUOTED(step) (int)(step)->name_n, (step)->name

/* Until the last of its stored waits an event that has waited goes the way that it went before: the main task asks
 * for the same names in the same order. Behind that it is a retry like others. */
static int check_fit(hl_run *run, hl_str name, const hl_step *step, bool wait) {
  hl_steps *s = run->steps;
  const hl_step *ahead = wait_ahead(s);
  if (step && step->stored && (step->wait != NULL) != wait)
    return unfit(run, "“" HL_STR_FMT "” was a %s, and the code has a %s of that name now", HL_STR_ARG(name), wait ? "step" : "wait",
                 wait ? "wait" : "step");
  if (!ahead || ahead == step) return 0;
  if (!step || !step->stored || step->place > ahead->place)
    return unfit(run, "the code asks for “" HL_STR_FMT "” where the wait “%.*s” was", HL_STR_ARG(name), QUOTED(ahead));
  if (step->place >= s->asked) return 0;
  const hl_step *later = s->first;
  while (later->place != s->asked) later = later->next;
  return unfit(run, "the code asks for “" HL_STR_FMT "” behind “%.*s”, and it was before", HL_STR_ARG(name), QUOTED(later));
}

int hl_step_ask(hl_run *run, hl_str name, bool wait, hl_step **out, hl_error *err) {
  hl_steps *s = steps_of(run);
  const char *what = wait ? "wait" : "step";
  if (run->over) return HL_ECANCELLED;
  if (!name.n || name.n > HL_STEP_NAME_MAX)
    return hl_fail(err, HL_EINVAL, "a %s's name has 1 to %d bytes, this one has %zu", what, HL_STEP_NAME_MAX, name.n);
  if (!s->known) return HL_EBUSY;
  hl_step *step = find(s, name);
  if (step && step->used)
    return hl_fail(err, HL_EINVAL, "%s “" HL_STR_FMT "”: this name is used already in this run; give each step and wait a name of its own",
                   what, HL_STR_ARG(name));
  int rc = run->writer ? 0 : check_fit(run, name, step, wait);
  if (rc) return rc;
  if (!step) {
    if (s->n >= HL_STEPS_MAX) return hl_fail(err, HL_ELIMIT, "a handler has at most %d steps and waits", HL_STEPS_MAX);
    step = add(run, name);
    step->child = run->writer != 0;
  }
  if (!step->place) step->place = ++s->place;
  if (step->stored && !run->writer && step->place > s->asked) s->asked = step->place;
  step->used = true;
  step->writer = run->writer;
  *out = step;
  return 0;
}

int hl_run_step(hl_run *run, hl_str name, hl_step **out, hl_error *err) {
  hl_step *step;
  assert(hl_run_has_steps(run));
  int rc = hl_step_ask(run, name, false, &step, err);
  if (rc) return rc;
  step->active = step->kind == HL_STEP_NONE;
  step->wrote = step->writes ? 0 : hl_own_count(run); /* those of an earlier attempt are somewhere before */
  step->raised = false;
  if (step->kind == HL_STEP_DONE || step->kind == HL_STEP_UNSTORABLE) hl_run_drop_effects_of(run, step->writer);
  *out = step;
  return 0;
}

bool hl_steps_fit_end(hl_run *run) {
  if (!run->waited) return true;
  if (!run->steps || !run->steps->known) {
    unfit(run, "it has waited, and the code has no step and no wait any more");
    return false;
  }
  const hl_step *ahead = wait_ahead(run->steps);
  if (ahead) unfit(run, "the code ends without the wait “%.*s”", QUOTED(ahead));
  return !ahead;
}

bool hl_run_step_used(const hl_run *run, hl_str name) {
  const hl_step *step = run->steps ? find(run->steps, name) : NULL;
  return step && step->used;
}

hl_step_state hl_step_is(const hl_step *step) {
  switch (step->kind) {
    case HL_STEP_DONE: return HL_STEP_IS_DONE;
    case HL_STEP_UNSTORABLE: return HL_STEP_IS_UNSTORABLE;
    case HL_STEP_RAISED: return HL_STEP_IS_RAISED;
    default: return HL_STEP_IS_OPEN;
  }
}
hl_str hl_step_result(const hl_step *step) { return (hl_str){step->json, step->json_n}; }
bool hl_step_active(const hl_step *step) { return step->active; }

/* It may be begun again in this attempt: the handler has caught what it raised. */
void hl_step_leave(hl_step *step, hl_str error) {
  if (!step->active) return;
  if (step->uncertain) step->run->uncertain = true;
  step->active = step->used = false;
  step->raised = error.p != NULL;
  if (step->raised) set_json(step, error);
  for (hl_write *w = step->writes; w; w = w->next) w->used = w->sent = false;
}

hl_step_op *hl_step_finish(hl_step *step, hl_str json, bool unstorable, hl_step_cb cb, void *arg) {
  hl_run *run = step->run;
  assert(step->active);
  step->active = false;
  step->kind = unstorable ? HL_STEP_UNSTORABLE : HL_STEP_DONE;
  set_json(step, json);
  hl_run_apply_of(run, step->writer);
  store_with_wrote(step, 0, step->kind, step->child ? HL_STR(CHILD) : (hl_str){0}, hl_step_result(step));
  return after_commit(run, cb, arg);
}

/* ---- writes ---- */

static bool begins_with(const hl_write *w, hl_str head) {
  return head.n && w->what_n >= head.n && memcmp(w->what, head.p, head.n) == 0;
}

hl_write *hl_step_write(hl_step *step, hl_str what, hl_str head, hl_write_state *state) {
  hl_write *same = NULL;
  for (hl_write *w = step->writes; w && !same; w = w->next)
    if (!w->used && hl_str_eq((hl_str){w->what, w->what_n}, what)) same = w;
  for (hl_write *w = step->writes; w && !same; w = w->next)
    if (!w->used && begins_with(w, head)) same = w;
  if (!same) same = add_write(step, step->last_write + 1, what);
  same->used = true;
  *state = same->kind == HL_STEP_ANSWERED ? HL_WRITE_ANSWERED : same->kind == HL_STEP_INTENDED ? HL_WRITE_LOST : HL_WRITE_NEW;
  return same;
}

void hl_write_sent(hl_write *w) { w->sent = true; }
bool hl_write_is_sent(const hl_write *w) { return w->sent; }
void hl_write_uncertain(hl_write *w) { w->step->uncertain = true; }

static void on_settled(void *arg, int code) {
  hl_engine *e = arg;
  if (!code) hl_parked_due(e, hl_loop_now(e->loop));
}

void hl_engine_settle_uncertain(hl_engine *e, int64_t parked, bool again) {
  int64_t now = hl_loop_now(e->loop);
  e->steps_stored = true;
  hl_tx_steps_settle(e->tx, parked, again);
  hl_tx_repark(e->tx, parked, HL_ST_WAITING, 0, now, again ? HL_STR("settled by hand: its write is made again")
                                                           : HL_STR("settled by hand: its step counts as done"));
  hl_waiter_add(e, false, 0, on_settled, e); /* not before: what is due is read from the store */
}

hl_str hl_write_answer(const hl_write *w) { return (hl_str){w->answer, w->answer_n}; }

hl_step_op *hl_write_intend(hl_write *w, hl_step_cb cb, void *arg) {
  char at[24];
  w->kind = HL_STEP_INTENDED;
  int n = snprintf(at, sizeof at, "%lld", (long long)hl_loop_now(w->step->run->e->loop));
  hl_free(w->answer);
  w->answer = hl_strndup(at, (size_t)n);
  w->answer_n = (size_t)n;
  hl_step_store(w->step, w->n, w->kind, (hl_str){w->what, w->what_n}, hl_write_answer(w));
  return after_commit(w->step->run, cb, arg);
}

void hl_write_answered(hl_write *w, hl_str json) {
  w->kind = HL_STEP_ANSWERED;
  hl_free(w->answer);
  w->answer = hl_strndup(json.p ? json.p : "", json.n);
  w->answer_n = json.n;
  if (w->step->active) store_with_wrote(w->step, w->n, w->kind, (hl_str){w->what, w->what_n}, json);
}

void hl_write_refused(hl_write *w) {
  hl_step *step = w->step;
  hl_buf name;
  w->kind = HL_STEP_NONE;
  if (!step->active) return;
  hl_step_key key = hl_step_key_of(step->run, &name);
  hl_tx_step_forget(step->run->e->tx, &key, (hl_str){step->name, step->name_n}, w->n);
  hl_buf_deinit(&name);
  hl_touch(step->run->e);
}
