#include "cmd/replay.h"

#include "base/mem.h"
#include "lua/replay.h"

enum { ROUNDS = 4, LOOK_MS = 50 };
/* Of what was shown this is kept, for waits that begin after what they wait for. */
static const int64_t KEEP_MS = 5 * HL_MINUTE;
static const size_t KEEP_BYTES = 16 << 20;
static const int64_t BEHIND_MS = 10 * HL_MINUTE; /* for what sleeps, or is debounced */

typedef struct stage {
  hl_replayer *r;
  hl_replay replay;
  hl_engine *engine;
  hl_host *host;
  hl_script *script;
  cJSON *tales;
  bool loaded;
  hl_error err;
} stage;

struct hl_replayer {
  hl_replayer_options o;
  hl_log *log;
  hl_loop *loop;               /* virtual */
  stage v[HL_REPLAY_SCRIPTS];
  size_t n;
  hl_timer at, tick;
  bool reached, freeing;
  int rounds;
  int64_t looked;              /* real, mono ms */
  size_t bytes;                /* shown since `newer`, */
  int64_t older, newer;        /* as many between these two; epoch ms */
};

/* ---- time ---- */

static size_t out(const hl_replayer *r) {
  size_t n = 0;
  for (size_t i = 0; i < r->n; i++) n += r->v[i].replay.out;
  return n;
}

static bool stopped(const hl_replayer *r) { return r->o.stop && *r->o.stop; }

static void on_reached(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void on_tick(hl_timer *t, void *arg) {
  hl_replayer *r = arg;
  if (--r->rounds > 0) hl_timer_start(r->loop, t, 0, on_tick, r);
}

static bool ticks(void *arg) { return ((const hl_replayer *)arg)->rounds > 0; }

/* Turns in which the clock stands: everything that can go on now does, so that calls of one moment leave together. */
static void settle(hl_replayer *r) {
  r->rounds = ROUNDS;
  hl_timer_start(r->loop, &r->tick, 0, on_tick, r);
  hl_loop_run_while(r->loop, ticks, r);
}

static bool free_to_go(void *arg) {
  const hl_replayer *r = arg;
  return !r->reached && !out(r) && !stopped(r);
}

typedef struct awaiting {
  const hl_replayer *r;
  size_t out;
} awaiting;

static bool unanswered(void *arg) {
  const awaiting *a = arg;
  return out(a->r) == a->out && !stopped(a->r);
}

typedef struct looking {
  hl_loop *loop;
  hl_timer timer;
  int turns;
} looking;

static void on_look(hl_timer *t, void *arg) {
  looking *l = arg;
  if (++l->turns < 2) hl_timer_start(l->loop, t, 0, on_look, l);
}

static bool is_looking(void *arg) { return ((const looking *)arg)->turns < 2; }

/* The real loop brings signals, also while nothing is asked of it. */
static void look(hl_replayer *r) {
  looking l = {.loop = r->o.rt->loop};
  int64_t now = hl_loop_mono(l.loop);
  if (now - r->looked < LOOK_MS) return;
  r->looked = now;
  hl_timer_start(l.loop, &l.timer, 0, on_look, &l);
  hl_loop_run_while(l.loop, is_looking, &l);
}

/* Until the clock is at `ms` (or where it is, if that is later), all that can go on has, and no call is out. */
static int advance(hl_replayer *r, int64_t ms, hl_error *err) {
  int rc = 0;
  r->reached = false;
  hl_timer_start(r->loop, &r->at, ms - hl_loop_now(r->loop), on_reached, &r->reached);
  while (!rc && !stopped(r)) {
    look(r);
    settle(r);
    awaiting a = {r, out(r)};
    if (a.out) {
      if (hl_loop_run_while(r->o.rt->loop, unanswered, &a)) rc = hl_fail(err, HL_EPROTOCOL, "a call to HubSpot never ended; this is a bug of hubloop");
    } else if (r->reached) {
      break;
    } else {
      hl_loop_run_while(r->loop, free_to_go, r);
    }
  }
  hl_timer_stop(r->loop, &r->at);
  return rc;
}

/* ---- life ---- */

static void on_told(void *arg, cJSON *tale) {
  stage *s = arg;
  if (s->r->freeing) cJSON_Delete(tale);
  else cJSON_AddItemToArray(s->tales, tale);
}

static void on_loaded(void *arg, int code, hl_str text) {
  stage *s = arg;
  s->loaded = true;
  if (code) hl_fail(&s->err, code, HL_STR_FMT, HL_STR_ARG(text));
}

static bool is_loading(void *arg) {
  const stage *s = arg;
  return !s->loaded && !stopped(s->r);
}

static int open_stage(stage *s, const char *path, hl_error *err) {
  hl_replayer *r = s->r;
  hl_runtime *rt = r->o.rt;
  s->replay = (hl_replay){.told = on_told, .arg = s, .reads = r->o.reads};
  s->tales = cJSON_CreateArray();
  hl_engine_options eo = {.replay = true};
  int rc = hl_engine_new(r->loop, &eo, &s->engine, err);
  if (rc) return rc;
  hl_host_options ho = {.loop = r->loop, .engine = s->engine, .hubspot = rt->hubspot, .http = rt->client, .root = rt->root, .serving = true,
                        .secret = hl_secrets_get, .secret_arg = rt->secrets, .own = rt->own, .secret_names = rt->secret_names, .replay = &s->replay};
  hl_permissions p = rt->project ? hl_project_permissions(rt->project, path) : (hl_permissions){0};
  if ((rc = hl_host_new(&ho, &s->host, err)) || (rc = hl_host_load(s->host, path, &p, &s->script, err))) return rc;
  hl_script_on_end(s->script, on_loaded, s);
  if (hl_loop_run_while(r->loop, is_loading, s)) return hl_fail(err, HL_ESCRIPT, "%s: its top level waits for something that never comes", path);
  if (s->err.code) {
    *err = s->err;
    return err->code;
  }
  if (r->o.asks) return 0;
  if (!hl_host_handlers(s->host)) return hl_fail(err, HL_EINVAL, "%s has no on(…): there is nothing to show it", path);
  return stopped(r) ? 0 : hl_engine_start(s->engine, err);
}

int hl_replayer_new(const hl_replayer_options *o, hl_replayer **result, hl_error *err) {
  hl_replayer *r = HL_NEW(hl_replayer);
  r->o = *o;
  r->log = hl_log_new(HL_LOG_WARN, false);
  hl_loop_options lo = {.is_virtual = true, .start_ms = o->start_ms, .seed = 1};
  int rc = hl_loop_new(&lo, r->log, &r->loop, err);
  for (size_t i = 0; !rc && i < HL_REPLAY_SCRIPTS && o->scripts[i]; i++) {
    r->v[i].r = r;
    r->n++;
    rc = open_stage(&r->v[i], o->scripts[i], err);
  }
  if (rc) hl_replayer_free(r);
  else *result = r;
  return rc;
}

void hl_replayer_free(hl_replayer *r) {
  if (!r) return;
  r->freeing = true;
  for (size_t i = 0; i < r->n; i++) {
    hl_host_free(r->v[i].host);
    hl_engine_free(r->v[i].engine);
    hl_replay_deinit(&r->v[i].replay);
    cJSON_Delete(r->v[i].tales);
  }
  if (r->loop) {
    hl_timer_stop(r->loop, &r->tick);
    hl_loop_run(r->loop); /* what is deferred or closing comes to its end */
  }
  hl_loop_free(r->loop);
  hl_log_free(r->log);
  hl_free(r);
}

/* ---- the work ---- */

/* Nothing older is needed any more. */
static int64_t needed_since(hl_replayer *r, size_t bytes) {
  int64_t now = hl_loop_now(r->loop), since = now - KEEP_MS;
  r->bytes += bytes;
  if (r->bytes > KEEP_BYTES) {
    r->bytes = 0;
    r->older = r->newer;
    r->newer = now;
  }
  return since > r->older ? since : r->older;
}

int hl_replayer_show(hl_replayer *r, const cJSON *row, hl_error *err) {
  const cJSON *events = hl_json_get(row, "events");
  int64_t n = hl_json_int(row, "n", 0);
  int rc = advance(r, hl_json_int(row, "received", 0), err);
  if (rc || stopped(r) || n < 1) return rc;
  bool *skipped = hl_alloc((size_t)n * sizeof *skipped);
  hl_buf body;
  hl_buf_init(&body, SIZE_MAX / 4);
  const cJSON *e = events ? events->child : NULL;
  for (int64_t i = 0; i < n; i++) {
    hl_buf_puts(&body, i ? "," : "[");
    skipped[i] = !e || hl_json_int(e, "at", -1) != i;
    if (skipped[i]) hl_buf_puts(&body, "null");
    else {
      hl_json_print_to(hl_json_get(e, "event"), &body);
      e = e->next;
    }
  }
  hl_buf_puts(&body, "]");
  int64_t since = needed_since(r, body.n);
  for (size_t i = 0; !rc && i < r->n; i++) {
    hl_engine_replayed(r->v[i].engine, since);
    hl_recorded rec = {.row = hl_json_int(row, "id", 0), .source = hl_json_str(row, "source", ""),
                       .account = r->o.rt->sim ? "main" : hl_json_str(row, "account", ""), /* the simulator's only one */
                       .body = hl_buf_str(&body), .skipped = skipped};
    rc = hl_engine_replay(r->v[i].engine, &rec, err);
  }
  hl_buf_deinit(&body);
  hl_free(skipped);
  return rc;
}

int hl_replayer_end(hl_replayer *r, int64_t ms, hl_error *err) { return advance(r, ms + BEHIND_MS, err); }

cJSON *hl_replayer_tales(hl_replayer *r, size_t i) {
  hl_replay_loaded(&r->v[i].replay);
  cJSON *tales = r->v[i].tales;
  r->v[i].tales = cJSON_CreateArray();
  return tales;
}

int hl_replayer_ask(hl_replayer *r, size_t i, const char *module, const char *name, const cJSON *request, cJSON **answer, hl_error *err) {
  return hl_replay_ask(r->v[i].script, module, name, request, answer, err);
}

void hl_replayer_stats(const hl_replayer *r, size_t i, hl_engine_stats *result) { hl_engine_stats_get(r->v[i].engine, result); }
hl_log *hl_replayer_log(const hl_replayer *r) { return r->log; }
