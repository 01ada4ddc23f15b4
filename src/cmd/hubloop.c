#include "hubloop.h"

#include "base/mem.h"
#include "cmd/runtime.h"

enum { DRAIN_MS = 10 * 1000 };

typedef struct c_handler {
  struct c_handler *next;
  hubloop_handler fn;
  void *arg;
} c_handler;

typedef struct injection {
  void (*done)(void *arg, int code, const char *text);
  void *arg;
} injection;

struct hubloop {
  hl_runtime *rt;
  c_handler *handlers;
  uv_async_t async;        /* hubloop_stop from other threads and signals */
  bool async_closed, started, stop;
};

static int give(hubloop_error *out, const hl_error *err) {
  if (out) {
    out->code = err->code;
    snprintf(out->text, sizeof out->text, "%s", err->text);
  }
  return err->code;
}

static void on_stop(uv_async_t *handle) {
  hubloop *h = handle->data;
  h->stop = true;
  hl_loop_stop(h->rt->loop);
}

static void on_closed(uv_handle_t *handle) { ((hubloop *)handle->data)->async_closed = true; }

int hubloop_new(const hubloop_options *o, hubloop **out, hubloop_error *error) {
  static const hubloop_options none = {0};
  hl_error err = {0};
  if (!o) o = &none;
  hubloop *h = HL_NEW(hubloop);
  hl_runtime_options ro = {.path = o->project, .store = o->store, .simulator = o->simulator != 0, .serving = true,
                           .log_level = o->quiet ? HL_LOG_OFF : HL_LOG_INFO};
  int rc = hl_runtime_new(&ro, &h->rt, &err);
  if (rc) {
    hl_free(h);
    return give(error, &err);
  }
  uv_async_init(hl_loop_uv(h->rt->loop), &h->async, on_stop);
  uv_unref((uv_handle_t *)&h->async);
  h->async.data = h;
  hl_load_result loaded = {0};
  if (o->project) hl_runtime_load(h->rt, NULL, &loaded);
  if (loaded.failed) {
    rc = give(error, &loaded.first);
    hubloop_free(h);
    return rc;
  }
  *out = h;
  return 0;
}

void hubloop_free(hubloop *h) {
  if (!h) return;
  uv_close((uv_handle_t *)&h->async, on_closed);
  hl_loop_run_until(h->rt->loop, &h->async_closed);
  hl_runtime_free(h->rt);
  while (h->handlers) {
    c_handler *c = h->handlers;
    h->handlers = c->next;
    hl_free(c);
  }
  hl_free(h);
}

static void run_c(void *arg, hl_run *run, const hl_event *e) {
  c_handler *c = arg;
  char why[1024] = "";
  char *json = hl_json_print(e->json);
  hubloop_event event = {
      .id = e->id, .type = e->type, .account = e->account, .source = e->source, .object_type = e->object_type,
      .object_id = e->object_id, .json = json, .occurred_at = e->occurred_at, .attempt = e->attempt,
  };
  int rc = c->fn(c->arg, &event, why, sizeof why);
  hl_free(json);
  hl_run_finish(run, rc ? HL_RUN_FAILED : HL_RUN_DONE, hl_str_of(why));
}

int hubloop_on(hubloop *h, const char *type, const char *name, hubloop_handler handler, void *arg,
               hubloop_error *error) {
  hl_error err = {0};
  c_handler *c = HL_NEW(c_handler);
  *c = (c_handler){.next = h->handlers, .fn = handler, .arg = arg};
  h->handlers = c;
  hl_handler_options o = {.script = "C", .name = name};
  hl_handler *registered;
  int rc = hl_engine_on(h->rt->engine, type, strchr(type, '.') == NULL, &o, run_c, c, &registered, &err);
  return rc ? give(error, &err) : 0;
}

static void injected(void *arg, const hl_receipt *receipt) {
  injection *i = arg;
  if (i->done) i->done(i->arg, receipt->code, receipt->text ? receipt->text : "");
  hl_free(i);
}

void hubloop_inject(hubloop *h, const char *json, size_t n, void (*done)(void *arg, int code, const char *text),
                    void *arg) {
  injection *i = HL_NEW(injection);
  *i = (injection){done, arg};
  hl_account *account;
  const char *name = hl_hubspot_account(h->rt->hubspot, NULL, &account, NULL) == 0 ? hl_account_name(account) : "";
  hl_engine_receive(h->rt->engine, "manual", name, (hl_str){json, n}, injected, i);
}

int hubloop_run(hubloop *h, int until_idle, hubloop_error *error) {
  hl_error err = {0};
  if (!h->started) {
    int rc = hl_engine_start(h->rt->engine, &err);
    if (rc) return give(error, &err);
    h->started = true;
  }
  if (until_idle) {
    hl_runtime_run_idle(h->rt, &h->stop);
  } else {
    hl_loop_run_until(h->rt->loop, &h->stop);
    hl_runtime_drain(h->rt, DRAIN_MS);
  }
  h->stop = false;
  return 0;
}

void hubloop_stop(hubloop *h) { uv_async_send(&h->async); }

void hubloop_count(hubloop *h, hubloop_counts *out) {
  hl_engine_stats s;
  hl_engine_stats_get(h->rt->engine, &s);
  *out = (hubloop_counts){.acknowledged = s.acknowledged, .pending = s.pending, .ran = s.ran, .filtered = s.filtered,
                          .duplicate = s.duplicate, .waiting = s.waiting, .dead = s.dead, .unhandled = s.unhandled,
                          .orphaned = s.orphaned,
                          .own = s.own,
                          .debounced = s.debounced,
                          .removed = s.removed};
}
