/* Routes and the http module over real sockets on loopback: the script's own
 * client calls the script's own routes. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/host.h"
#include "net/client.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_engine *engine;
  hl_hubspot *hubspot;
  hl_host *host;
  hl_server *server;
  hl_transport *client;
  hl_buf printed, logged;
  unsigned unrouted;
  bool ended;
  int code;
  char text[4096];
} world;

static void on_request(void *arg, hl_request *r) {
  world *w = arg;
  if (hl_host_route(w->host, r)) return;
  w->unrouted++;
  hl_request_reply(r, 404, NULL, HL_STR("nothing here\n"));
}

static void on_print(void *arg, const char *line, size_t n) {
  world *w = arg;
  hl_buf_append(&w->printed, line, n);
  hl_buf_puts(&w->printed, "\n");
}

static void on_log(void *arg, const char *line, size_t n) { hl_buf_append(&((world *)arg)->logged, line, n); }

static void on_end(void *arg, int code, hl_str text) {
  world *w = arg;
  w->ended = true;
  w->code = code;
  snprintf(w->text, sizeof w->text, HL_STR_FMT, HL_STR_ARG(text));
}

static int secrets(void *arg, const char *name, hl_buf *out, hl_error *err) {
  (void)arg;
  (void)err;
  return hl_buf_printf(out, "value-of-%s", name);
}

/* Runs a script that serves and then asks; `port` is a global in it. */
static world *run(const char *text) {
  world *w = HL_NEW(world);
  hl_error err;
  hl_buf_init(&w->printed, 1 << 20);
  hl_buf_init(&w->logged, 1 << 20);
  hl_buf_puts(&w->printed, "");
  hl_buf_puts(&w->logged, "");
  w->log = hl_log_new(HL_LOG_INFO, false);
  hl_log_set_sink(w->log, on_log, w);
  hl_loop_options lo = {0};
  if (hl_loop_new(&lo, w->log, &w->loop, &err)) fail_msg("%s", err.text);
  if (hl_client_new(w->loop, &w->client, &err)) fail_msg("%s", err.text);
  hl_server_options so = {.listen = "127.0.0.1:0"};
  if (hl_server_new(w->loop, &so, on_request, w, &w->server, &err)) fail_msg("%s", err.text);
  w->hubspot = hl_hubspot_new(w->loop, w->client);
  hl_engine_options eo = {0};
  if (hl_engine_new(w->loop, &eo, &w->engine, &err)) fail_msg("%s", err.text);
  hl_host_options ho = {.loop = w->loop, .engine = w->engine, .hubspot = w->hubspot, .http = w->client, .root = ".",
                        .secret = secrets, .print = on_print, .print_arg = w};
  if (hl_host_new(&ho, &w->host, &err)) fail_msg("%s", err.text);
  char named[64];
  snprintf(named, sizeof named, "127.0.0.1:%u", hl_server_port(w->server));
  const char *const hosts[] = {named, NULL};
  hl_permissions p = {.hosts = hosts};
  FILE *f = fopen("r.lua", "w");
  assert_non_null(f);
  fprintf(f, "local base = 'http://%s'\n%s", named, text);
  fclose(f);
  hl_script *s;
  if (hl_host_load(w->host, "r.lua", &p, &s, &err)) fail_msg("%s", err.text);
  hl_script_on_end(s, on_end, w);
  if (hl_engine_start(w->engine, &err)) fail_msg("%s", err.text);
  assert_int_equal(hl_loop_run_until(w->loop, &w->ended), 0);
  if (w->code) fail_msg("%s", w->text);
  return w;
}

static void end(world *w) {
  hl_host_free(w->host);
  hl_server_free(w->server);
  hl_hubspot_free(w->hubspot);
  hl_engine_free(w->engine);
  w->client->free(w->client);
  hl_loop_run(w->loop);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
  hl_buf_deinit(&w->printed);
  hl_buf_deinit(&w->logged);
  hl_free(w);
}

static void prints(const world *w, const char *expect) { assert_string_equal(w->printed.p, expect); }

static void routes_answer(void **state) {
  (void)state;
  world *w = run(
      "serve('POST /form', { auth = false }, function(r)\n"
      "  return { status = 202, json = { got = r.json().name, q = r.query, m = r.method, p = r.path, h = r.headers['x-kind'] } }\n"
      "end)\n"
      "serve('GET /plain', { auth = false }, function() return 'hello' end)\n"
      "serve('GET /none', { auth = false }, function() end)\n"
      "serve('GET /code', { auth = false }, function() return 418 end)\n"
      "serve('GET /files/*', { auth = false }, function(r) return r.path end)\n"
      "serve('GET /head', { auth = false }, function() return { headers = { ['X-A'] = 'b' }, body = 'x' } end)\n"
      "local r = http.post(base .. '/form?a=1&b=x%20y&c', { json = { name = 'Ana' }, headers = { ['X-Kind'] = 'k' } })\n"
      "print(r.status, r.headers['content-type'], json.encode(r.json()))\n"
      "r = http.get(base .. '/plain') print(r.status, r.body)\n"
      "print(http.get(base .. '/none').status, http.get(base .. '/code').status)\n"
      "print(http.get(base .. '/files/a/b').body, http.get(base .. '/files').status)\n"
      "print(http.get(base .. '/head').headers['x-a'])\n"
      "r = http.get(base .. '/form') print(r.status, r.headers.allow)\n"
      "print(http.get(base .. '/elsewhere').status)\n");
  prints(w,
         "202\tapplication/json\t{\"got\":\"Ana\",\"h\":\"k\",\"m\":\"POST\",\"p\":\"/form\",\"q\":{\"a\":\"1\",\"b\":\"x y\",\"c\":\"\"}}\n"
         "200\thello\n204\t418\n/files/a/b\t404\nb\n405\tPOST\n404\n");
  assert_int_equal(w->unrouted, 2);
  end(w);
}

static void keys_are_checked(void **state) {
  (void)state;
  world *w = run(
      "serve('GET /closed', { auth = secret 'KEY' }, function() return 'in' end)\n"
      "local function try(h) local r = http.get(base .. '/closed', { headers = h }) return r.status end\n"
      "print(try(), try { Authorization = 'Bearer value-of-KEY' }, try { ['X-Api-Key'] = secret 'KEY' })\n"
      "print(try { Authorization = 'Bearer value-of-KEY2' }, try { Authorization = 'value-of-KEY' }, try { Authorization = 'Bearer ' })\n"
      "print(http.get(base .. '/closed', { auth = secret 'KEY' }).body)\n");
  prints(w, "401\t200\t200\n401\t401\t401\nin\n");
  end(w);
}

static void failures_have_an_id_that_is_in_the_log(void **state) {
  (void)state;
  world *w = run(
      "serve('GET /fails', { auth = false }, function() error('secret detail') end)\n"
      "serve('GET /odd', { auth = false }, function() return print end)\n"
      "serve('GET /bad', { auth = false }, function() return { stauts = 200 } end)\n"
      "local r = http.get(base .. '/fails') print(r.status, r.body:find('detail'))\n"
      "log.info('id ' .. r.body:match('%x+%-%x+%-%x+%-%x+%-%x+'))\n"
      "print(http.get(base .. '/odd').status, http.get(base .. '/bad').status)\n");
  prints(w, "500\tnil\n500\t500\n");
  const char *id = strstr(w->logged.p, "id ");
  assert_non_null(id);
  char line[64];
  snprintf(line, sizeof line, "failure %.36s", id + 3);
  assert_non_null(strstr(w->logged.p, line));
  assert_non_null(strstr(w->logged.p, "secret detail"));
  assert_non_null(strstr(w->logged.p, "did you mean 'status'"));
  end(w);
}

static void effects_are_there_when_the_answer_is(void **state) {
  (void)state;
  world *w = run(
      "local heard\n"
      "on('heard', function(e) heard = e.payload.n end)\n"
      "serve('POST /count', { auth = false }, function() kv.incr('n') emit('heard', { n = kv.get('n') }) return 200 end)\n"
      "serve('POST /fails', { auth = false }, function() kv.incr('n', 100) error('no') end)\n"
      "http.post(base .. '/count') http.post(base .. '/count') http.post(base .. '/fails')\n"
      "print(kv.get('n'))\n");
  prints(w, "2\n");
  end(w);
}

static void waiting_routes_do_not_hold_others(void **state) {
  (void)state;
  world *w = run(
      "local gate = task.channel(1)\n"
      "serve('GET /slow', { auth = false }, function() return gate:receive() end)\n"
      "serve('GET /open', { auth = false }, function() gate:send('opened') return 'ok' end)\n"
      "serve('GET /first', { auth = false }, function() return 'first' end)\n"
      /* Until its first answer the client waits to see whether the peer takes several requests a connection. */
      "http.get(base .. '/first')\n"
      "local a, b = table.unpack(task.all { function() return http.get(base .. '/slow').body end,\n"
      "  function() return http.get(base .. '/open').body end })\n"
      "print(a, b)\n");
  prints(w, "opened\tok\n");
  end(w);
}

static void network_failures_are_errors(void **state) {
  (void)state;
  world *w = run(
      "serve('GET /hop', { auth = false }, function() return { status = 302, headers = { Location = 'http://127.0.0.1:1/' } } end)\n"
      "serve('GET /here', { auth = false }, function() return { status = 302, headers = { Location = '/there' } } end)\n"
      "serve('GET /there', { auth = false }, function() return 'there' end)\n"
      "local ok, err = pcall(http.get, base .. '/hop?key=1')\n"
      "print(ok, err.kind, err.message:find('key=1'))\n"
      "print(http.get(base .. '/here').body, http.get(base .. '/here', { max_redirects = 0 }).status)\n");
  prints(w, "false\tdenied\tnil\nthere\t302\n");
  end(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(routes_answer),
      cmocka_unit_test(keys_are_checked),
      cmocka_unit_test(failures_have_an_id_that_is_in_the_log),
      cmocka_unit_test(effects_are_there_when_the_answer_is),
      cmocka_unit_test(waiting_routes_do_not_hold_others),
      cmocka_unit_test(network_failures_are_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
