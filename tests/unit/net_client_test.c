#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "net/address.h"
#include "net/client.h"
#include "net/server.h"
#include "net_raw.h"

#include <cmocka.h>

typedef struct fixture {
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;
  hl_server *server;
  unsigned requests;
  char method[16], headers[4096];
  size_t body_n;
  hl_request *held;         /* of /hold */
  bool got_held;
} fixture;

static void note(void *arg, const char *name, const char *value) {
  fixture *f = arg;
  size_t n = strlen(f->headers);
  snprintf(f->headers + n, sizeof f->headers - n, "%s: %s\n", name, value);
}

static bool at(hl_request *r, const char *path) { return hl_str_eqz(hl_request_path(r), path); }

static void redirect(fixture *f, hl_request *r, int status, const char *to) {
  hl_headers h = {0};
  char url[256];
  (void)f;
  snprintf(url, sizeof url, "%s", to);
  hl_headers_add(&h, HL_STR("Location"), hl_str_of(url));
  hl_request_reply(r, status, &h, HL_STR("moved"));
  hl_headers_deinit(&h);
}

static void on_request(void *arg, hl_request *r) {
  fixture *f = arg;
  f->requests++;
  snprintf(f->method, sizeof f->method, "%s", hl_request_method(r));
  f->headers[0] = '\0';
  hl_request_headers(r, note, f);
  f->body_n = hl_request_body(r).n;
  char url[256];
  if (at(r, "/echo")) {
    hl_headers h = {0};
    hl_headers_add(&h, HL_STR("X-Target"), hl_str_of(hl_request_target(r)));
    hl_request_reply(r, 200, &h, hl_request_body(r));
    hl_headers_deinit(&h);
  } else if (at(r, "/big")) {
    char *p = hl_alloc(1 << 20);
    hl_request_reply(r, 200, NULL, (hl_str){p, 1 << 20});
    hl_free(p);
  } else if (at(r, "/bomb")) {
    /* 1,000 bytes of 'a', gzipped to 29. */
    static const unsigned char gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x4b, 0x4c, 0x1c, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0x00, 0x00, 0x03, 0xda, 0x38, 0x9a, 0xe8, 0x03, 0x00, 0x00};
    hl_headers h = {0};
    hl_headers_add(&h, HL_STR("Content-Encoding"), HL_STR("gzip"));
    hl_request_reply(r, 200, &h, (hl_str){(const char *)gz, sizeof gz});
    hl_headers_deinit(&h);
  } else if (at(r, "/hold")) {
    f->held = r;
    f->got_held = true;
  } else if (at(r, "/html")) {
    hl_headers h = {0};
    hl_headers_add(&h, HL_STR("Content-Type"), HL_STR("text/html"));
    hl_request_reply(r, 502, &h, HL_STR("<html>Bad gateway</html>"));
    hl_headers_deinit(&h);
  } else if (at(r, "/loop")) {
    redirect(f, r, 302, "/loop");
  } else if (hl_str_starts(hl_request_path(r), "/to/")) {
    /* /to/STATUS?LOCATION */
    int64_t status = 0;
    hl_str p = hl_request_path(r), q = hl_request_query(r);
    hl_str_int64((hl_str){p.p + 4, p.n - 4}, &status);
    snprintf(url, sizeof url, HL_STR_FMT, HL_STR_ARG(q));
    redirect(f, r, (int)status, url);
  } else {
    hl_request_reply(r, 404, NULL, HL_STR("no"));
  }
}

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  hl_error err;
  f->log = hl_log_new(HL_LOG_OFF, false);
  if (hl_loop_new(NULL, f->log, &f->loop, &err)) return -1;
  if (hl_client_new(f->loop, &f->client, &err)) return -1;
  hl_server_options o = {.listen = "127.0.0.1:0"};
  if (hl_server_new(f->loop, &o, on_request, f, &f->server, &err)) return -1;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  if (f->client) f->client->free(f->client);
  if (f->server) hl_server_free(f->server);
  hl_loop_free(f->loop); /* asserts that no handle, timer or hold is left */
  hl_log_free(f->log);
  hl_free(f);
  return 0;
}

/* ---- one call ---- */

typedef struct call {
  fixture *f;
  bool done, freed_client;
  int status, code;
  bool sent;
  char text[1024], body[256], type[64], target[64];
  size_t body_n;
  hl_http_op *op;
} call;

static void on_answer(void *arg, const hl_http_response *r) {
  call *c = arg;
  assert_false(c->done); /* once */
  c->done = true;
  c->status = r->status;
  c->code = r->err.code;
  c->sent = r->sent;
  snprintf(c->text, sizeof c->text, "%s", r->err.text);
  c->body_n = r->body.n;
  snprintf(c->body, sizeof c->body, HL_STR_FMT, (int)(r->body.n < 200 ? r->body.n : 200), r->body.p ? r->body.p : "");
  const char *type = hl_headers_get(&r->headers, "content-TYPE"), *target = hl_headers_get(&r->headers, "x-target");
  snprintf(c->type, sizeof c->type, "%s", type ? type : "");
  snprintf(c->target, sizeof c->target, "%s", target ? target : "");
}

static void url_on(char out[512], unsigned port, const char *path) { snprintf(out, 512, "http://127.0.0.1:%u%s", port, path); }

static void start(fixture *f, call *c, const char *path, hl_http_request q) {
  char url[512];
  hl_error err = {0};
  *c = (call){.f = f};
  if (path[0] == '/') url_on(url, hl_server_port(f->server), path);
  else snprintf(url, sizeof url, "%s", path);
  q.url = url;
  if (!q.method) q.method = "GET";
  if (f->client->send(f->client, &q, on_answer, c, &c->op, &err) != 0) fail_msg("send: %s", err.text);
  assert_false(c->done); /* never from inside send */
}

static void run(fixture *f, call *c, const char *path, hl_http_request q) {
  start(f, c, path, q);
  assert_int_equal(hl_loop_run_until(f->loop, &c->done), 0);
}

static const hl_http_request NAMED = {.policy = HL_NET_NAMED};

/* ---- tests ---- */

static void answers(void **state) {
  fixture *f = *state;
  call c;
  hl_http_request q = NAMED;
  q.method = "POST";
  q.body = HL_STR("{\"a\":1}");
  hl_headers h = {0};
  hl_headers_add(&h, HL_STR("Content-Type"), HL_STR("application/json"));
  hl_headers_add(&h, HL_STR("X-Empty"), HL_STR(""));
  q.headers = &h;
  run(f, &c, "/echo?q=%2Fa%20b&x", q);
  assert_int_equal(c.status, 200);
  assert_int_equal(c.code, 0);
  assert_string_equal(c.body, "{\"a\":1}");
  assert_string_equal(c.target, "/echo?q=%2Fa%20b&x"); /* as sent */
  assert_non_null(strstr(f->headers, "Content-Type: application/json\n"));
  assert_non_null(strstr(f->headers, "X-Empty: \n"));
  assert_non_null(strstr(f->headers, "User-Agent: hubloop/"));
  assert_null(strstr(f->headers, "Expect"));
  hl_headers_deinit(&h);

  q = NAMED;
  run(f, &c, "/html", q);
  assert_int_equal(c.status, 502); /* an answer like any other: judging it is the caller's */
  assert_string_equal(c.type, "text/html");
  q.method = "HEAD";
  run(f, &c, "/echo", q);
  assert_int_equal(c.status, 200);
  assert_int_equal(c.body_n, 0);
  static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE", "POST", "OPTIONS"};
  for (size_t i = 0; i < HL_COUNT(methods); i++) {
    q.method = methods[i];
    q.body = i % 2 ? HL_STR("body") : HL_STR("");
    run(f, &c, "/echo", q);
    assert_int_equal(c.status, 200);
    assert_string_equal(f->method, methods[i]);
    assert_int_equal(c.body_n, q.body.n); /* nothing is left from the request before */
    assert_null(strstr(f->headers, "Content-Type"));
  }
}

static void connections_are_kept(void **state) {
  fixture *f = *state;
  raw_server s;
  char url[512];
  url_on(url, raw_serve(f->loop, &s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "/");
  s.answers_a_connection = 100;
  call c;
  for (int i = 0; i < 20; i++) {
    run(f, &c, url, NAMED);
    assert_int_equal(c.status, 200);
  }
  assert_int_equal(s.requests, 20);
  assert_int_equal(s.connections, 1);
  /* Of another policy: the open connection must not serve it. */
  run(f, &c, url, (hl_http_request){.policy = HL_NET_PUBLIC});
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_EDENIED);
  assert_int_equal(s.requests, 20);
  f->client->free(f->client);
  f->client = NULL;
  raw_stop(f->loop, &s);
}

/* Found by tests/fuzz/client.c: libcurl wrote into a header of the answer before;
 * a status of 0 was taken for no answer, without an error. */
static void strange_heads(void **state) {
  fixture *f = *state;
  raw_server s;
  char url[512];
  call c;
  url_on(url, raw_serve(f->loop, &s, ""), "/");
  s.answers_a_connection = 100;
  static const char *const heads[] = {"HTTP/1.1 200 OK\r\nX-Target: a\r\nContent-Length: 2\r\n\r\nok",
                                      "HTTP/1.1 200 OK\r\n x-target: b\r\nContent-Length: 2\r\n\r\nok",
                                      "HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok"};
  for (size_t i = 0; i < HL_COUNT(heads); i++) {
    s.answer = heads[i];
    s.answer_n = strlen(heads[i]);
    run(f, &c, url, NAMED);
    assert_string_equal(c.target, i == 0 ? "a" : "");
    assert_true(c.status == (i == 0 ? 200 : 0)); /* without a header to append to, the folded line is refused */
    assert_int_equal(c.code, i == 0 ? 0 : HL_EPROTOCOL);
  }
  f->client->free(f->client);
  f->client = NULL;
  raw_stop(f->loop, &s);
}

static void many_at_once(void **state) {
  fixture *f = *state;
  static call c[200];
  for (size_t i = 0; i < HL_COUNT(c); i++) start(f, &c[i], "/echo", NAMED);
  for (size_t i = 0; i < HL_COUNT(c); i++) {
    assert_int_equal(hl_loop_run_until(f->loop, &c[i].done), 0);
    assert_int_equal(c[i].status, 200);
  }
  assert_int_equal(f->requests, HL_COUNT(c));
}

/* When nothing is out, idle connections do not keep the loop alive. */
static void idle_lets_the_loop_end(void **state) {
  fixture *f = *state;
  raw_server s;
  char url[512];
  url_on(url, raw_serve(f->loop, &s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "/");
  s.answers_a_connection = 100;
  hl_server_free(f->server); /* a listener would */
  f->server = NULL;
  call c;
  start(f, &c, url, NAMED);
  hl_loop_run(f->loop); /* returns by itself */
  assert_true(c.done);
  assert_int_equal(c.status, 200);
  f->client->free(f->client);
  f->client = NULL;
  raw_stop(f->loop, &s);
}

static void limits_of_the_answer(void **state) {
  fixture *f = *state;
  call c;
  hl_http_request q = NAMED;
  q.max_body = 1 << 20;
  run(f, &c, "/big", q);
  assert_int_equal(c.status, 200);
  assert_int_equal(c.body_n, 1 << 20);
  q.max_body = (1 << 20) - 1;
  run(f, &c, "/big?token=hush", q);
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_ELIMIT);
  assert_true(c.sent);
  assert_int_equal(c.body_n, 0);
  assert_non_null(strstr(c.text, "/big"));
  assert_null(strstr(c.text, "hush")); /* queries may hold credentials */
  /* Counted after decompression. */
  q.max_body = 1000;
  run(f, &c, "/bomb", q);
  assert_int_equal(c.status, 200);
  assert_int_equal(c.body_n, 1000);
  q.max_body = 999;
  run(f, &c, "/bomb", q);
  assert_int_equal(c.code, HL_ELIMIT);
}

static void timeout(void **state) {
  fixture *f = *state;
  call c;
  hl_http_request q = NAMED;
  q.timeout_ms = 50;
  run(f, &c, "/hold", q);
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_ETIMEOUT);
  assert_true(c.sent);
  assert_non_null(f->held);
  hl_request_reply(f->held, 200, NULL, HL_STR("too late")); /* the peer has left */
  run(f, &c, "/echo", NAMED);
  assert_int_equal(c.status, 200);
}

static void cancelled(void **state) {
  fixture *f = *state;
  call c, d;
  start(f, &c, "/hold", NAMED);
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  f->client->cancel(f->client, c.op);
  hl_request_reply(f->held, 200, NULL, HL_STR("nobody"));
  start(f, &c, "/echo", NAMED); /* before it ever left */
  f->client->cancel(f->client, c.op);
  run(f, &d, "/echo", NAMED);
  assert_int_equal(d.status, 200);
  assert_false(c.done);
  /* And what is out when the client ends. */
  start(f, &c, "/hold", NAMED);
  start(f, &d, "/echo", NAMED);
  f->client->free(f->client);
  f->client = NULL;
  assert_false(c.done || d.done);
}

static void on_answer_free(void *arg, const hl_http_response *r) {
  call *c = arg;
  c->f->client->free(c->f->client);
  c->f->client = NULL;
  c->status = r->status; /* still lent */
  c->body_n = r->body.n;
  c->done = true;
}

static void freed_in_its_callback(void **state) {
  fixture *f = *state;
  call c[3] = {{.f = f}, {.f = f}, {.f = f}};
  char url[512];
  hl_error err;
  url_on(url, hl_server_port(f->server), "/big");
  hl_http_request q = {.method = "GET", .url = url, .policy = HL_NET_NAMED};
  assert_int_equal(f->client->send(f->client, &q, on_answer_free, &c[0], &c[0].op, &err), 0);
  url_on(url, hl_server_port(f->server), "/hold");
  assert_int_equal(f->client->send(f->client, &q, on_answer, &c[1], &c[1].op, &err), 0);
  assert_int_equal(f->client->send(f->client, &q, on_answer, &c[2], &c[2].op, &err), 0);
  assert_int_equal(hl_loop_run_until(f->loop, &c[0].done), 0);
  assert_int_equal(c[0].status, 200);
  assert_int_equal(c[0].body_n, 1 << 20);
  assert_false(c[1].done || c[2].done);
}

static void connection_failures(void **state) {
  fixture *f = *state;
  call c;
  raw_server s;
  char url[512];
  unsigned port = raw_serve(f->loop, &s, "");
  uv_close((uv_handle_t *)&s.tcp, NULL); /* a port that nobody listens on */
  uv_run(hl_loop_uv(f->loop), UV_RUN_NOWAIT);
  url_on(url, port, "/x?secret=1");
  run(f, &c, url, NAMED);
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_ENET);
  assert_false(c.sent);
  assert_non_null(strstr(c.text, "cannot connect"));
  assert_null(strstr(c.text, "secret"));

  static const struct { const char *answer; int code; } broken[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", HL_ENET},
    {"HTTP/1.1 200 OK\r\nContent-Le", HL_ENET},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", HL_ENET},
    {"", HL_ENET},
    {"SSH-2.0-OpenSSH_9.2p1 Debian and much more of it, a whole line\r\n\r\n", HL_EPROTOCOL},
    {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip", HL_EPROTOCOL},
  };
  for (size_t i = 0; i < 2 * HL_COUNT(broken); i++) { /* ended, then reset */
    if (i >= HL_COUNT(broken) && broken[i % HL_COUNT(broken)].code != HL_ENET) continue;
    url_on(url, raw_serve(f->loop, &s, broken[i % HL_COUNT(broken)].answer), "/");
    s.reset = i >= HL_COUNT(broken);
    if (s.answer_n == 0) {
      s.answers_a_connection = 0;
      s.drop = true;
    }
    run(f, &c, url, NAMED);
    if (c.status != 0 || c.code != broken[i % HL_COUNT(broken)].code) fail_msg("%zu: status %d, code %d: %s", i, c.status, c.code, c.text);
    assert_true(c.sent);
    assert_non_null(strstr(c.text, "GET http://127.0.0.1:"));
    uv_close((uv_handle_t *)&s.tcp, NULL);
    uv_run(hl_loop_uv(f->loop), UV_RUN_NOWAIT);
  }
}

/* A server that takes a second request on a kept connection and closes without an
 * answer may have carried it out: only what is safe to repeat goes out again. */
static void nothing_is_sent_twice(void **state) {
  fixture *f = *state;
  raw_server s;
  char url[512];
  call c;
  url_on(url, raw_serve(f->loop, &s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"), "/");
  s.drop = true;
  s.answers_a_connection = SIZE_MAX;
  run(f, &c, url, NAMED);
  assert_int_equal(c.status, 200);
  s.answers_a_connection = 1;
  hl_http_request q = NAMED;
  q.method = "POST";
  q.body = HL_STR("charge");
  run(f, &c, url, q);
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_ENET);
  assert_true(c.sent);
  assert_int_equal(s.requests, 2);
  assert_non_null(strstr(s.last, "charge"));
  assert_non_null(strstr(c.text, "not repeated"));

  s.answers_a_connection = SIZE_MAX;
  run(f, &c, url, NAMED);
  assert_int_equal(s.requests, 3);
  s.answers_a_connection = 1;
  run(f, &c, url, NAMED); /* dropped, then repeated on a new connection */
  assert_int_equal(c.status, 200);
  assert_int_equal(s.requests, 5);
  f->client->free(f->client);
  f->client = NULL;
  raw_stop(f->loop, &s);
}

static bool allow_all(void *arg, const char *url) {
  snprintf(arg, 512, "%s", url);
  return true;
}
static bool allow_none(void *arg, const char *url) {
  snprintf(arg, 512, "%s", url);
  return false;
}

static void redirects(void **state) {
  fixture *f = *state;
  call c;
  char asked[512] = "", path[600];
  hl_headers h = {0};
  hl_headers_add(&h, HL_STR("Authorization"), HL_STR("Bearer abc"));
  hl_headers_add(&h, HL_STR("cookie"), HL_STR("a=b"));
  hl_headers_add(&h, HL_STR("Content-Type"), HL_STR("text/plain"));
  hl_headers_add(&h, HL_STR("X-Mine"), HL_STR("1"));
  hl_http_request q = {.policy = HL_NET_NAMED, .headers = &h, .method = "POST", .body = HL_STR("data")};

  run(f, &c, "/to/302?/echo", q); /* not followed unless asked for */
  assert_int_equal(c.status, 302);

  q.max_redirects = 3;
  q.allow = allow_all;
  q.allow_arg = asked;
  static const struct { int status; const char *method, *then; } rules[] = {
    {301, "POST", "GET"}, {302, "POST", "GET"}, {303, "POST", "GET"}, {307, "POST", "POST"}, {308, "POST", "POST"},
    {301, "PUT", "PUT"},  {303, "PUT", "GET"},  {303, "HEAD", "HEAD"}, {302, "DELETE", "DELETE"},
  };
  for (size_t i = 0; i < HL_COUNT(rules); i++) {
    q.method = rules[i].method;
    q.body = strcmp(q.method, "HEAD") == 0 ? HL_STR("") : HL_STR("data");
    snprintf(path, sizeof path, "/to/%d?/echo", rules[i].status);
    run(f, &c, path, q);
    if (c.status != 200) fail_msg("%d %s: %s", rules[i].status, q.method, c.text);
    assert_string_equal(f->method, rules[i].then);
    bool kept = strcmp(rules[i].method, rules[i].then) == 0 && q.body.n;
    assert_int_equal(f->body_n, kept ? 4 : 0);
    assert_int_equal(strstr(f->headers, "Content-Type") != NULL, kept || strcmp(rules[i].method, "HEAD") == 0);
    assert_non_null(strstr(f->headers, "Authorization: Bearer abc\n")); /* same host */
    assert_non_null(strstr(f->headers, "X-Mine: 1\n"));
    assert_non_null(strstr(asked, "/echo"));
  }

  /* Another host: the credentials stay behind. "localhost" is one. */
  q.method = "GET";
  q.body = HL_STR("");
  snprintf(path, sizeof path, "/to/302?http://localhost:%u/echo", hl_server_port(f->server));
  run(f, &c, path, q);
  if (c.status != 200) fail_msg("%s", c.text);
  assert_null(strstr(f->headers, "Bearer"));
  assert_null(strstr(f->headers, "ookie"));
  assert_non_null(strstr(f->headers, "X-Mine: 1\n"));

  unsigned before = f->requests;
  q.allow = allow_none;
  run(f, &c, path, q);
  assert_int_equal(c.status, 0);
  assert_int_equal(c.code, HL_EDENIED);
  assert_non_null(strstr(c.text, "localhost"));
  assert_non_null(strstr(asked, "http://localhost:"));
  assert_int_equal(f->requests, before + 1); /* it did not go there */

  /* With nobody to ask, another host must be a public one. */
  q.allow = NULL;
  run(f, &c, path, q);
  assert_int_equal(c.code, HL_EDENIED);
  run(f, &c, "/to/302?/echo", q); /* the same host was named */
  assert_int_equal(c.status, 200);

  run(f, &c, "/loop", q);
  assert_int_equal(c.code, HL_ELIMIT);
  assert_non_null(strstr(c.text, "more than 3 times"));
  run(f, &c, "/to/302?file:///etc/passwd", q);
  assert_int_equal(c.code, HL_EDENIED);
  run(f, &c, "/to/302?http://user:pw@127.0.0.1/", q);
  assert_int_equal(c.code, HL_EDENIED);
  assert_null(strstr(c.text, "pw"));
  hl_headers_deinit(&h);
}

static void private_addresses_are_refused(void **state) {
  fixture *f = *state;
  call c;
  unsigned port = hl_server_port(f->server);
  static const char *const hosts[] = {"127.0.0.1", "localhost", "0.0.0.0", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"};
  for (size_t i = 0; i < HL_COUNT(hosts); i++) {
    char url[512];
    snprintf(url, sizeof url, "http://%s:%u/echo", hosts[i], port);
    run(f, &c, url, (hl_http_request){.policy = HL_NET_PUBLIC});
    assert_int_equal(c.status, 0);
    if (c.code != HL_EDENIED) fail_msg("%s: %s", hosts[i], c.text);
    assert_false(c.sent);
    assert_non_null(strstr(c.text, "no public address"));
  }
  assert_non_null(strstr(c.text, "10.0.0.1"));
  assert_int_equal(f->requests, 0);
}

static void bad_requests(void **state) {
  fixture *f = *state;
  hl_error err;
  call c = {.f = f};
  static const char *const urls[] = {"", "/relative", "example.com", "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/x",
                                     "http://", "http://a b/", "http://u:pw@example.com/", "http://x:99999/", "http://x/\r\nX: y"};
  for (size_t i = 0; i < HL_COUNT(urls); i++) {
    hl_http_request q = {.method = "GET", .url = urls[i], .policy = HL_NET_NAMED};
    err = (hl_error){0};
    if (f->client->send(f->client, &q, on_answer, &c, &c.op, &err) != HL_EINVAL) fail_msg("taken: %s", urls[i]);
    assert_null(strstr(err.text, "pw"));
    assert_true(err.text[0] != '\0');
  }
  static const struct { const char *name, *value; } bad[] = {
    {"X-A", "b\r\nX-C: d"}, {"X-A", "b\nc"}, {"X A", "b"}, {"", "b"}, {"X:A", "b"}, {"Host", "other.example"},
  };
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    hl_headers h = {0};
    hl_headers_add(&h, hl_str_of(bad[i].name), hl_str_of(bad[i].value));
    hl_http_request q = {.method = "GET", .url = "http://127.0.0.1:1/", .headers = &h, .policy = HL_NET_NAMED};
    assert_int_equal(f->client->send(f->client, &q, on_answer, &c, &c.op, &err), HL_EINVAL);
    hl_headers_deinit(&h);
  }
  hl_http_request q = {.method = "GET /x HTTP/1.1\r\n", .url = "http://127.0.0.1:1/"};
  assert_int_equal(f->client->send(f->client, &q, on_answer, &c, &c.op, &err), HL_EINVAL);
  assert_false(c.done);
}

/* A proxy or netrc named by the environment must not be used. */
static void environment_is_ignored(void **state) {
  fixture *f = *state;
  call c;
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  run(f, &c, "/echo", NAMED);
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  assert_int_equal(c.status, 200);
}

static void virtual_time(void **state) {
  (void)state;
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop *loop;
  hl_transport *t;
  hl_error err;
  hl_loop_options o = {.is_virtual = true};
  assert_int_equal(hl_loop_new(&o, log, &loop, &err), 0);
  assert_int_equal(hl_client_new(loop, &t, &err), 0);
  call c = {0};
  hl_http_request q = {.method = "GET", .url = "http://127.0.0.1:1/"};
  assert_int_equal(t->send(t, &q, on_answer, &c, &c.op, &err), HL_EDENIED);
  assert_non_null(strstr(err.text, "virtual time"));
  hl_server *s;
  hl_server_options so = {.listen = "127.0.0.1:0"};
  assert_int_equal(hl_server_new(loop, &so, on_request, NULL, &s, &err), HL_EDENIED);
  t->free(t);
  hl_loop_free(loop);
  hl_log_free(log);
}

static void addresses(void **state) {
  (void)state;
  static const struct { const char *text; bool public; } cases[] = {
    {"8.8.8.8", true},          {"1.1.1.1", true},          {"9.255.255.255", true},  {"11.0.0.0", true},
    {"0.0.0.0", false},         {"0.1.2.3", false},         {"10.0.0.0", false},      {"10.255.255.255", false},
    {"100.63.255.255", true},   {"100.64.0.0", false},      {"100.127.255.255", false}, {"100.128.0.0", true},
    {"127.0.0.1", false},       {"127.255.255.255", false}, {"128.0.0.1", true},      {"169.254.169.254", false},
    {"169.253.255.255", true},  {"172.15.255.255", true},   {"172.16.0.1", false},    {"172.31.255.255", false},
    {"172.32.0.0", true},       {"192.0.0.8", false},       {"192.0.2.1", false},     {"192.88.99.1", false},
    {"192.168.0.1", false},     {"192.169.0.1", true},      {"198.18.0.1", false},    {"198.19.255.255", false},
    {"198.20.0.0", true},       {"198.51.100.7", false},    {"203.0.113.7", false},   {"223.255.255.255", true},
    {"224.0.0.1", false},       {"239.255.255.255", false}, {"240.0.0.1", false},     {"255.255.255.255", false},
    {"::", false},              {"::1", false},             {"::8.8.8.8", false},     {"fe80::1", false},
    {"febf::1", false},         {"fec0::1", false},         {"fc00::1", false},       {"fdff::1", false},
    {"ff02::1", false},         {"2606:4700::1111", true},  {"2001:4860:4860::8888", true}, {"2001:db8::1", false},
    {"2001::1", false},         {"2001:1ff::1", false},     {"2001:200::1", true},    {"3fff:1::1", false},
    {"4000::1", false},         {"100::1", false},          {"5f00::1", false},
    {"::ffff:8.8.8.8", true},   {"::ffff:10.0.0.1", false}, {"::ffff:127.0.0.1", false},
    {"64:ff9b::8.8.8.8", true}, {"64:ff9b::192.168.1.1", false}, {"64:ff9b:1::8.8.8.8", false},
    {"2002:808:808::1", true},  {"2002:a00:1::1", false},   {"2002:7f00:1::", false}, {"2002:c0a8:101::", false},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&ss;
    if (strchr(cases[i].text, ':')) {
      in6->sin6_family = AF_INET6;
      assert_int_equal(inet_pton(AF_INET6, cases[i].text, &in6->sin6_addr), 1);
    } else {
      in->sin_family = AF_INET;
      assert_int_equal(inet_pton(AF_INET, cases[i].text, &in->sin_addr), 1);
    }
    if (hl_address_public((struct sockaddr *)&ss) != cases[i].public) fail_msg("%s", cases[i].text);
    char text[46];
    hl_address_text((struct sockaddr *)&ss, text, sizeof text);
    if (ss.ss_family == AF_INET) assert_string_equal(text, cases[i].text);
  }
  struct sockaddr unix_socket = {.sa_family = AF_UNIX};
  assert_false(hl_address_public(&unix_socket));
}

#define WITH_SERVER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* The n-th allocation of a request fails, for every n there is: one error that
 * names the memory, and the next request is served. */
static void memory_ends_during_a_request(void **state) {
  fixture *f = *state;
  unsigned at_once = 0, later = 0, well = 0;
  char body[3000];
  memset(body, 'b', sizeof body);
  hl_headers h = {0};
  for (unsigned i = 0; i < 8; i++) {
    char value[64];
    snprintf(value, sizeof value, "%*u", 8 << (i % 3), i);
    hl_headers_add(&h, HL_STR("X-Some"), hl_str_of(value));
  }
  hl_http_request first = NAMED;
  call c;
  first.method = "POST";
  first.body = (hl_str){body, sizeof body};
  run(f, &c, "/echo", first); /* the server has its memory from now on */
  for (unsigned n = 1; n <= 20; n++) {
    c = (call){.f = f};
    char url[512];
    hl_error err = {0};
    hl_http_request q = NAMED;
    url_on(url, hl_server_port(f->server), "/echo");
    q.url = url;
    q.method = "POST";
    q.headers = &h;
    q.body = (hl_str){body, sizeof body};
    hl_mem_fail_at(n);
    int rc = f->client->send(f->client, &q, on_answer, &c, &c.op, &err);
    if (!rc) assert_int_equal(hl_loop_run_until(f->loop, &c.done), 0);
    hl_mem_fail_at(0);
    assert_false(rc && c.done);
    if (rc) at_once++;
    else if (c.status == 200) well++;
    else later++;
    if (rc || c.status != 200) {
      assert_int_equal(rc ? rc : c.code, HL_ENOMEM);
      assert_non_null(strstr(rc ? err.text : c.text, "memory"));
    }
    run(f, &c, "/echo", q);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.body_n, sizeof body);
  }
  hl_headers_deinit(&h);
  assert_true(at_once > 0 && later > 0 && well > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WITH_SERVER(answers),
    WITH_SERVER(connections_are_kept),
    WITH_SERVER(strange_heads),
    WITH_SERVER(many_at_once),
    WITH_SERVER(idle_lets_the_loop_end),
    WITH_SERVER(limits_of_the_answer),
    WITH_SERVER(timeout),
    WITH_SERVER(memory_ends_during_a_request),
    WITH_SERVER(cancelled),
    WITH_SERVER(freed_in_its_callback),
    WITH_SERVER(connection_failures),
    WITH_SERVER(nothing_is_sent_twice),
    WITH_SERVER(redirects),
    WITH_SERVER(private_addresses_are_refused),
    WITH_SERVER(bad_requests),
    WITH_SERVER(environment_is_ignored),
    cmocka_unit_test(virtual_time),
    cmocka_unit_test(addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
