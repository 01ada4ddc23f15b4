/* The host: loading, registration, handlers and their effects, kv, secrets, API
 * calls, all in virtual time with the engine in memory and a transport of our own. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/host.h"
#include "lua/script.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_engine *engine;
  hl_hubspot *hubspot;
  hl_host *host;
  hl_buf printed, logged;
  hl_transport transport;
  hl_buf requests;          /* "GET /path?query\n" of each */
  unsigned sent;
  /* What the transport answers. */
  int status;
  const char *body;
  bool ended;
  int code;
  char text[4096];
} world;

typedef struct answer { hl_defer defer; world *w; hl_http_cb cb; void *arg; } answer;

static void answer_now(hl_defer *d, void *arg) {
  answer *a = arg;
  (void)d;
  hl_http_response r = {.status = a->w->status, .body = hl_str_of(a->w->body), .sent = true};
  if (a->cb) a->cb(a->arg, &r);
  hl_free(a);
}

static int transport_send(hl_transport *t, const hl_http_request *r, hl_http_cb cb, void *arg, hl_http_op **op,
                          hl_error *err) {
  world *w = HL_CONTAINER(t, world, transport);
  (void)err;
  const char *path = strchr(strstr(r->url, "://") + 3, '/');
  hl_buf_printf(&w->requests, "%s %s " HL_STR_FMT "\n", r->method, path, HL_STR_ARG(r->body));
  const char *auth = r->headers ? hl_headers_get(r->headers, "Authorization") : NULL;
  hl_buf_printf(&w->requests, "auth=%s\n", auth ? auth : "");
  w->sent++;
  answer *a = HL_NEW(answer);
  a->w = w;
  a->cb = cb;
  a->arg = arg;
  hl_defer_start(w->loop, &a->defer, answer_now, a);
  *op = (hl_http_op *)(void *)a;
  return 0;
}

static void transport_cancel(hl_transport *t, hl_http_op *op) {
  (void)t;
  ((answer *)(void *)op)->cb = NULL;
}

static void transport_free(hl_transport *t) { (void)t; }

static void on_print(void *arg, const char *line, size_t n) {
  world *w = arg;
  hl_buf_append(&w->printed, line, n);
  hl_buf_puts(&w->printed, "\n");
}

static void on_log(void *arg, const char *line, size_t n) { hl_buf_append(&((world *)arg)->logged, line, n); }

static int secrets(void *arg, const char *name, hl_buf *out, hl_error *err) {
  (void)arg;
  if (strcmp(name, "FORM_KEY") == 0) return hl_buf_puts(out, "key-of-the-form");
  return hl_fail(err, HL_EAUTH, "the secret %s is not set", name);
}

static void on_end(void *arg, int code, hl_str text) {
  world *w = arg;
  w->ended = true;
  w->code = code;
  snprintf(w->text, sizeof w->text, HL_STR_FMT, HL_STR_ARG(text));
}

static world *world_new(bool serving) {
  world *w = HL_NEW(world);
  hl_error err;
  hl_buf_init(&w->printed, 1 << 20);
  hl_buf_init(&w->logged, 1 << 20);
  hl_buf_init(&w->requests, 1 << 20);
  w->log = hl_log_new(HL_LOG_DEBUG, false);
  hl_log_set_sink(w->log, on_log, w);
  hl_loop_options lo = {.is_virtual = true, .seed = 3};
  assert_int_equal(hl_loop_new(&lo, w->log, &w->loop, &err), 0);
  w->transport = (hl_transport){transport_send, transport_cancel, transport_free, NULL};
  w->status = 200;
  w->body = "{}";
  w->hubspot = hl_hubspot_new(w->loop, &w->transport);
  char token[64];
  snprintf(token, sizeof token, "%s-%s-%s", "pat", "na1", "11111111-2222-3333-4444-555555555555");
  hl_account *a;
  hl_account_options ao = {.name = "main", .token = token, .tier = "professional"};
  assert_int_equal(hl_hubspot_add_account(w->hubspot, &ao, &a, &err), 0);
  hl_engine_options eo = {0};
  assert_int_equal(hl_engine_new(w->loop, &eo, &w->engine, &err), 0);
  hl_host_options ho = {.loop = w->loop, .engine = w->engine, .hubspot = w->hubspot, .http = &w->transport,
                        .root = ".", .serving = serving, .secret = secrets, .print = on_print, .print_arg = w,
                        .max_tasks = 100};
  assert_int_equal(hl_host_new(&ho, &w->host, &err), 0);
  return w;
}

static void world_free(world *w) {
  hl_host_free(w->host);
  hl_hubspot_free(w->hubspot);
  hl_engine_free(w->engine);
  hl_loop_run(w->loop);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
  hl_buf_deinit(&w->printed);
  hl_buf_deinit(&w->logged);
  hl_buf_deinit(&w->requests);
  hl_free(w);
}

static void write_file(const char *name, const char *text) {
  FILE *f = fopen(name, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* Loads `text` as s.lua and runs its main task to the end. */
static void run_main(world *w, const char *text, const hl_permissions *p) {
  hl_error err = {0};
  hl_script *s;
  write_file("s.lua", text);
  if (hl_host_load(w->host, "s.lua", p, &s, &err)) fail_msg("load: %s", err.text);
  hl_script_on_end(s, on_end, w);
  assert_int_equal(hl_loop_run_until(w->loop, &w->ended), 0);
}

static void run_well(world *w, const char *text) {
  run_main(w, text, NULL);
  if (w->code) fail_msg("%s", w->text);
}

static void has(const char *text, const char *part) {
  if (!text || !strstr(text, part)) fail_msg("expected to find: %s\nin: %s", part, text ? text : "(nothing)");
}

static void has_not(const char *text, const char *part) {
  if (text && strstr(text, part)) fail_msg("expected not to find: %s\nin: %s", part, text);
}

/* Delivers a body and lets everything that follows happen, `ms` of virtual time long. */
static void wake(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void deliver(world *w, const char *body, int64_t ms) {
  hl_engine_receive(w->engine, "push", "main", hl_str_of(body), NULL, NULL);
  hl_timer t = {0};
  bool done = false;
  hl_timer_start(w->loop, &t, ms, wake, &done);
  assert_int_equal(hl_loop_run_until(w->loop, &done), 0);
}

static void start(world *w) {
  hl_error err;
  if (hl_engine_start(w->engine, &err)) fail_msg("%s", err.text);
}

/* ---- loading ---- */
static void missing_script_names_similar(void **state) {
  (void)state;
  world *w = world_new(false);
  hl_error err;
  hl_script *s;
  write_file("leads.lua", "");
  assert_int_equal(hl_host_load(w->host, "leeds.lua", NULL, &s, &err), HL_ENOTFOUND);
  has(err.text, "leeds.lua");
  has(err.text, "leads.lua");
  assert_int_equal(hl_host_load(w->host, "no/where.lua", NULL, &s, &err), HL_ENOTFOUND);
  has(err.text, "no folder no");
  world_free(w);
}

static void syntax_error_shows_the_line(void **state) {
  (void)state;
  world *w = world_new(false);
  hl_error err;
  hl_script *s;
  write_file("bad.lua", "local a = 1\nlocal b == 2\n");
  assert_int_equal(hl_host_load(w->host, "bad.lua", NULL, &s, &err), HL_ESCRIPT);
  has(err.text, "bad.lua:2:");
  has(err.text, "local b == 2");
  world_free(w);
}

static void main_task_prints_and_ends(void **state) {
  (void)state;
  world *w = world_new(false);
  run_well(w, "#!/usr/bin/env hubloop\nprint('a', 1)\ntask.sleep(5)\nprint('b')");
  assert_string_equal(w->printed.p, "a\t1\nb\n");
  world_free(w);
}

static void error_has_place_and_traceback(void **state) {
  (void)state;
  world *w = world_new(false);
  run_main(w, "local function deep() error('no luck') end\ndeep()", NULL);
  assert_int_equal(w->code, HL_ESCRIPT);
  has(w->text, "s.lua:1: no luck");
  has(w->text, "s.lua:2:");
  world_free(w);
}

/* ---- registration ---- */
static void misuse_names_the_remedy(void **state) {
  (void)state;
  static const struct { const char *text, *expect; } cases[] = {
      {"on('contact.creatoin', function() end)", "did you mean 'contact.creation'"},
      {"on('contact.creation', { concurency = 2 }, function() end)", "did you mean 'concurrency'"},
      {"on('deal.wun', function() end)", "did you mean 'deal.won'"},
      {"on('deal.won', { property = 'amount' }, function() end)", "deal.won is about dealstage"},
      {"on('contact.stage', { to = 5 }, function() end)", "a lifecycle stage is a string"},
      {"on('contact.creation', { batch = { wait = '5s' } }, function() end)", "size says how many"},
      {"on('contact.creation', { concurrency = 'x' }, function() end)", "whole number"},
      {"on('contact.creation')", "function to run"},
      {"on('contact.creation', { account = 'shop' }, function() end)", "shop"},
      {"every('0.1s', function() end)", ""},
      {"cron('61 * * * *', function() end)", "“61” is no minute"},
      {"cron('0 0 30 2 *', function() end)", "“0 0 30 2 *” never comes"},
      {"cron('* 2 L 3 */7', { tz = 'Europe/Berlin' }, function() end)", "never comes in its time zone"},
      {"cron('0 9 * * *', { tz = 'Mars/Olympus' }, function() end)", "Mars/Olympus"},
      {"serve('POST /x', function() end)", "auth"},
      {"serve('/x', { auth = false }, function() end)", "POST /form"},
      {"serve('POST /x', { auth = secret 'NOPE' }, function() end)", "NOPE"},
      {"step('a', function() end)", "only a handler"},
      {"step('a')", "fn must be a function"},
      {"wait('a')", "only a handler"},
      {"emit('contact.creation', {})", "HubSpot's name"},
      {"kv.set('', 1)", "1 to 512"},
      {"kv.set('a', nil)", "kv.delete"},
      {"kv.set('a', print)", "function"},
      {"http.get('http://127.0.0.1/')", "--allow-host"},
      {"http.get('ftp://example.com/')", "http and https"},
      {"http.get('http://example.com/\\0.png')", "NUL"},
      {"http.request{ url = 'http://example.com/\\0.png' }", "NUL"},
      {"require('hubspot').contact.get('1')", "contact"},
      {"require('hubspot').contacts.get({})", "id must be a string"},
      {"require('hubspot').contacts.update('1', { a = print })", "\"a\""},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    world *w = world_new(false);
    run_main(w, cases[i].text, NULL);
    if (w->code != HL_ESCRIPT) fail_msg("%s did not raise", cases[i].text);
    has(w->text, cases[i].expect);
    has(w->text, "s.lua:1:");
    world_free(w);
  }
}

static void handler_gets_event_and_effects_commit(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w,
           "on('contact.creation', function(e)\n"
           "  print(e.type, e.objectId, math.type(e.occurredAt), e.account, e.attempt, e.source, type(e.portalId))\n"
           "  kv.incr('n'); kv.set('last', { id = e.objectId })\n"
           "  emit('chase', { id = e.objectId })\n"
           "end)\n"
           "on('chase', function(e) print('chase', e.payload.id, kv.get('n'), kv.get('last').id) end)\n"
           "on('later', function(e) print('later', e.payload) end)\n");
  start(w);
  deliver(w, "[{\"eventId\":1,\"subscriptionId\":12,\"portalId\":62515,\"occurredAt\":1788249600000,"
             "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":9007199254740993,"
             "\"changeSource\":\"CRM\"}]", 1000);
  has(w->printed.p, "contact.creation\t9007199254740993\tinteger\tmain\t1\tpush\tstring\n");
  has(w->printed.p, "chase\t9007199254740993\t1\t9007199254740993\n");
  assert_int_equal(hl_host_handlers(w->host), 3);
  assert_string_equal(hl_host_event_types(w->host)[0], "contact.creation");
  assert_null(hl_host_event_types(w->host)[1]);
  world_free(w);
}

/* What HubSpot is asked to send for deal.won. */
static void derived_types_are_their_sources(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "on('deal.won', function() end)\non('deal.lost', function() end)\non('contact.stage', function() end)\n"
              "on('deal.propertyChange', function() end)\non('form.submission', function() end)\n"
              "on('list.added', { list = 'VIP' }, function() end)\n");
  const char *const *types = hl_host_event_types(w->host);
  assert_string_equal(types[0], "deal.propertyChange");
  assert_string_equal(types[1], "contact.propertyChange");
  assert_null(types[2]);
  world_free(w);
}

/* A server that gives one page for ever is told of, and asked again at the next time. */
static void a_cursor_that_comes_again_ends_the_reading(void **state) {
  (void)state;
  world *w = world_new(true);
  w->body = "{\"results\":[],\"paging\":{\"next\":{\"after\":\"x\"}}}";
  run_well(w, "on('form.submission', { form = '3f2b8c1e-6c1d-4f0a-9b7e-2d1c5a4e8f90' }, function() end)\n");
  start(w);
  deliver(w, "[]", 150 * 1000);
  has(w->logged.p, "cannot be read; it goes on from where it was: HubSpot gave the cursor of a page again");
  assert_true(w->sent < 12);
  world_free(w);
}

static const char one_event[] =
    "[{\"eventId\":1,\"subscriptionId\":12,\"portalId\":62515,\"occurredAt\":1788249600000,"
    "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":7,\"changeSource\":\"CRM\"}]";

static void failed_handler_leaves_nothing_and_is_retried(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w,
           "on('contact.creation', function(e)\n"
           "  kv.incr('n')\n"
           "  if e.attempt == 1 then emit('never', {}) error('first fails') end\n"
           "  print('attempt', e.attempt, kv.get('n'))\n"
           "end)\n"
           "on('never', function() print('never') end)\n");
  start(w);
  deliver(w, one_event, 60000);
  has(w->printed.p, "attempt\t2\t1\n");
  has_not(w->printed.p, "never");
  has(w->logged.p, "first fails");
  world_free(w);
}

static void filter_says_no(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "on('contact.creation', { filter = function(e) task.sleep(1) return e.objectId == '8' end },\n"
              "  function(e) print('ran', e.objectId) end)");
  start(w);
  deliver(w, one_event, 5000);
  assert_int_equal(w->printed.n, 0);
  hl_engine_stats s;
  hl_engine_stats_get(w->engine, &s);
  assert_int_equal(s.filtered, 1);
  deliver(w, "[{\"eventId\":2,\"subscriptionId\":12,\"portalId\":62515,\"occurredAt\":1788249600001,"
             "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":8}]", 5000);
  assert_string_equal(w->printed.p, "ran\t8\n");
  world_free(w);
}

static void refused_by_hubspot_is_not_retried(void **state) {
  (void)state;
  world *w = world_new(true);
  w->status = 400;
  w->body = "{\"status\":\"error\",\"message\":\"Property values were not valid\",\"category\":\"VALIDATION_ERROR\","
            "\"correlationId\":\"c-1\"}";
  run_well(w, "local hubspot = require 'hubspot'\n"
              "on('contact.creation', function(e)\n"
              "  local ok, err = pcall(hubspot.contacts.create, { email = 'x' })\n"
              "  print(ok, err.kind, err.status, err.category, err.correlation_id, err.retryable)\n"
              "  error(err)\n"
              "end)");
  start(w);
  deliver(w, one_event, 3600 * 1000);
  assert_string_equal(w->printed.p, "false\thubspot\t400\tVALIDATION_ERROR\tc-1\tfalse\n");
  hl_engine_stats s;
  hl_engine_stats_get(w->engine, &s);
  assert_int_equal(s.dead, 1);
  world_free(w);
}

static void timers_fire(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "every('15m', function(e) print('every', e.source) end)\n"
              "cron('0 9 * * *', { tz = 'Europe/Berlin' }, function() print('cron') end)");
  start(w);
  deliver(w, "[]", 31 * 60 * 1000);
  has(w->printed.p, "every\ttimer\nevery\ttimer\n");
  world_free(w);
}

static void registering_in_a_handler_is_refused(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "on('contact.creation', { retries = 0 }, function() on('x', function() end) end)");
  start(w);
  deliver(w, one_event, 1000);
  has(w->logged.p, "while the script loads");
  world_free(w);
}

/* What shipped modules get as `host`, for a script of this test alone. */
static int expose_host(lua_State *L) {
  hl_state_push_host(L);
  lua_setglobal(L, "host");
  return 0;
}

static void on_end_hooks_seal_the_run(void **state) {
  (void)state;
  world *w = world_new(true);
  hl_error err;
  hl_script *s;
  write_file("s.lua",
             "local pool = host.kv('pool:x')\n"
             "on('contact.creation', { retries = 2 }, function(e)\n"
             "  host.on_end(function(ok) print('end', ok, pool.get('n')) pool.set('n', e.attempt) end)\n"
             "  host.on_end(function(ok) if e.attempt == 2 then error('hook fails') end end)\n"
             "  host.audit('routing', 'contact ' .. e.objectId, { attempt = e.attempt })\n"
             "  pool.get('n')\n"
             "  if e.attempt == 1 then error('handler fails') end\n"
             "end)\n"
             "every('30m', function() print('stored', pool.get('n'), host.account(), host.script) end)\n");
  assert_int_equal(hl_host_load_with(w->host, "s.lua", NULL, expose_host, &s, &err), 0);
  hl_script_on_end(s, on_end, w);
  assert_int_equal(hl_loop_run_until(w->loop, &w->ended), 0);
  if (w->code) fail_msg("%s", w->text);
  start(w);
  deliver(w, one_event, 35 * 60 * 1000);
  /* A failed handler and a failed hook leave nothing, neither of the handler nor of the other hook. */
  assert_string_equal(w->printed.p, "end\tfalse\tnil\nend\ttrue\tnil\nend\ttrue\tnil\nstored\t3\tmain\ts.lua\n");
  has(w->logged.p, "hook fails");
  world_free(w);
}

static void scripts_have_no_host(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "assert(host == nil)");
  world_free(w);
}

/* ---- kv ---- */
static void kv_in_the_main_task(void **state) {
  (void)state;
  world *w = world_new(false);
  run_well(w,
           "kv.set('a', { 1, 2 }); assert(#kv.get('a') == 2)\n"
           "assert(kv.incr('n', 5) == 5 and kv.incr('n') == 6)\n"
           "assert(kv.cas('c', nil, 'x') == true and kv.cas('c', nil, 'y') == false)\n"
           "assert(kv.cas('c', 'x', 'z') and kv.get('c') == 'z')\n"
           "assert(kv.get('none') == nil)\n"
           "kv.set('pre:1', true); kv.set('pre:2', true); kv.delete('pre:1')\n"
           "local l = kv.list('pre:'); assert(#l == 1 and l[1] == 'pre:2')\n"
           "assert(not pcall(kv.incr, 'a'))\n"
           "print 'fine'");
  assert_string_equal(w->printed.p, "fine\n");
  world_free(w);
}

/* ---- secrets and http ---- */
static void secrets_are_opaque(void **state) {
  (void)state;
  world *w = world_new(false);
  const char *const hosts[] = {"api.example.com", "*.trusted.example", "127.0.0.1:9000", NULL};
  hl_permissions p = {.hosts = hosts};
  w->body = "{\"n\": 12345678901234567}";
  run_main(w,
           "local s = secret 'FORM_KEY'\n"
           "print(tostring(s), getmetatable(s))\n"
           "print(tostring('Bearer ' .. s))\n"
           "local r = http.get('https://api.example.com/x?y=1', { headers = { Authorization = 'Bearer ' .. s } })\n"
           "print(r.status, r.json().n, r.body)\n"
           "http.post('https://a.trusted.example/', { json = { a = 1 } })\n"
           "http.get 'http://127.0.0.1:9000/'\n"
           "print(pcall(http.get, 'https://trusted.example/'))\n"
           "print(pcall(http.get, 'https://api.example.com:8443/'))\n"
           "print(pcall(http.get, 'https://api.example.com.evil.example/'))\n"
           "print(pcall(http.get, 'https://api.example.com@evil.example/'))\n", &p);
  if (w->code) fail_msg("%s", w->text);
  has(w->printed.p, "[secret FORM_KEY]\tsecret\n[secret FORM_KEY]\n");
  has(w->printed.p, "200\t12345678901234567\t");
  has(w->requests.p, "GET /x?y=1 \nauth=Bearer key-of-the-form\n");
  has(w->requests.p, "POST / {\"a\":1}\n");
  has(w->printed.p, "may not reach trusted.example");
  has(w->printed.p, "may not reach api.example.com:8443");
  has(w->printed.p, "may not reach api.example.com.evil.example");
  assert_int_equal(w->sent, 3);
  world_free(w);
}

/* ---- API ---- */
static void records_read_through(void **state) {
  (void)state;
  world *w = world_new(false);
  w->body = "{\"id\":\"151\",\"properties\":{\"email\":\"a@b.example\",\"country\":null,\"createdate\":\"x\"},"
            "\"createdAt\":\"2026-01-01T00:00:00Z\",\"updatedAt\":\"2026-01-01T00:00:00Z\",\"archived\":false}";
  run_well(w,
           "local hubspot = require 'hubspot'\n"
           "local r = hubspot.contacts.get('151', { 'email', 'country' })\n"
           "print(r.id, r.email, r.country, r.archived, r.archivedAt, r.createdate)\n"
           "print(pcall(function() return r.phone end))\n"
           "print(hubspot.contacts.get(151).phone)\n");
  has(w->printed.p, "151\ta@b.example\tnil\tfalse\tnil\tx\n");
  has(w->printed.p, "\"phone\" was not asked for");
  has(w->printed.p, "s.lua:4:");
  world_free(w);
}

static void writes_become_text(void **state) {
  (void)state;
  world *w = world_new(false);
  w->body = "{\"id\":\"1\",\"properties\":{}}";
  run_well(w,
           "local hubspot = require 'hubspot'\n"
           "hubspot.deals.create { amount = 12.5, n = 3, whole = 4.0, yes = true, tags = { 'a', 'b' }, gone = json.null }\n");
  has(w->requests.p, "POST /crm/objects/2026-09/deals ");
  has(w->requests.p, "\"amount\":\"12.5\"");
  has(w->requests.p, "\"n\":\"3\"");
  has(w->requests.p, "\"whole\":\"4\"");
  has(w->requests.p, "\"yes\":\"true\"");
  has(w->requests.p, "\"tags\":\"a;b\"");
  has(w->requests.p, "\"gone\":\"\"");
  has(w->requests.p, "\"associations\":[]");
  world_free(w);
}

static void loading_is_offline_when_serving(void **state) {
  (void)state;
  world *w = world_new(true);
  run_main(w, "require('hubspot').contacts.get('1')", NULL);
  assert_int_equal(w->code, HL_ESCRIPT);
  has(w->text, "while the script loads");
  assert_int_equal(w->sent, 0);
  world_free(w);
}

static void cancelled_handlers_are_cut(void **state) {
  (void)state;
  world *w = world_new(true);
  run_well(w, "on('contact.creation', function() print('in') task.sleep(50) print('out') end)");
  start(w);
  deliver(w, one_event, 1000);
  assert_string_equal(w->printed.p, "in\n");
  assert_int_equal(hl_host_live_tasks(w->host), 1);
  world_free(w); /* frees the host with the handler waiting */
}

static void freed_while_waiting(void **state) {
  (void)state;
  static const char *const texts[] = {
      "kv.set('a', 1)", "kv.get('a')", "kv.list('')", "emit('x', {})", "task.sleep(60)",
      "require('hubspot').contacts.get('1')", "http.get('https://api.example.com/')",
      "task.all { function() kv.incr('a') end, function() task.sleep(1) end }"};
  const char *const hosts[] = {"api.example.com", NULL};
  hl_permissions p = {.hosts = hosts};
  for (size_t i = 0; i < HL_COUNT(texts); i++) {
    world *w = world_new(false);
    hl_error err;
    hl_script *s;
    write_file("s.lua", texts[i]);
    assert_int_equal(hl_host_load(w->host, "s.lua", &p, &s, &err), 0);
    hl_script_on_end(s, on_end, w);
    start(w);
    hl_timer t = {0};
    bool turned = false;
    hl_timer_start(w->loop, &t, 0, wake, &turned);
    assert_int_equal(hl_loop_run_until(w->loop, &turned), 0);
    if (i % 2) hl_host_cancel_all(w->host);
    world_free(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(missing_script_names_similar),
      cmocka_unit_test(syntax_error_shows_the_line),
      cmocka_unit_test(main_task_prints_and_ends),
      cmocka_unit_test(error_has_place_and_traceback),
      cmocka_unit_test(misuse_names_the_remedy),
      cmocka_unit_test(handler_gets_event_and_effects_commit),
      cmocka_unit_test(derived_types_are_their_sources),
      cmocka_unit_test(a_cursor_that_comes_again_ends_the_reading),
      cmocka_unit_test(failed_handler_leaves_nothing_and_is_retried),
      cmocka_unit_test(filter_says_no),
      cmocka_unit_test(refused_by_hubspot_is_not_retried),
      cmocka_unit_test(timers_fire),
      cmocka_unit_test(registering_in_a_handler_is_refused),
      cmocka_unit_test(on_end_hooks_seal_the_run),
      cmocka_unit_test(scripts_have_no_host),
      cmocka_unit_test(kv_in_the_main_task),
      cmocka_unit_test(secrets_are_opaque),
      cmocka_unit_test(records_read_through),
      cmocka_unit_test(writes_become_text),
      cmocka_unit_test(loading_is_offline_when_serving),
      cmocka_unit_test(cancelled_handlers_are_cut),
      cmocka_unit_test(freed_while_waiting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
