#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "net/server.h"
#include "net_raw.h"

#include <cmocka.h>

typedef struct fixture {
  hl_log *log;
  hl_loop *loop;
  hl_server *server;
  unsigned requests;
  hl_request *held[64];
  unsigned n_held, hold_until;
  bool got_held, got_two, drained;
  char target[8192], path[256], query[256], peer[64];
  char body[1 << 16];
  size_t body_n;
} fixture;

static void copy(char *out, size_t size, hl_str s) { snprintf(out, size, HL_STR_FMT, HL_STR_ARG(s)); }

static void on_request(void *arg, hl_request *r) {
  fixture *f = arg;
  if (++f->requests == 2) f->got_two = true;
  hl_str body = hl_request_body(r);
  copy(f->target, sizeof f->target, hl_str_of(hl_request_target(r)));
  copy(f->path, sizeof f->path, hl_request_path(r));
  copy(f->query, sizeof f->query, hl_request_query(r));
  copy(f->peer, sizeof f->peer, hl_str_of(hl_request_peer(r)));
  f->body_n = body.n;
  memcpy(f->body, body.p, body.n < sizeof f->body ? body.n : sizeof f->body);
  assert_true(hl_request_received_us(r) > 0);
  if (hl_str_eqz(hl_request_path(r), "/hold")) {
    f->held[f->n_held++] = r;
    f->got_held = f->n_held >= f->hold_until;
  } else if (hl_str_eqz(hl_request_path(r), "/free")) {
    hl_server_free(f->server);
    f->server = NULL;
  } else if (hl_str_eqz(hl_request_path(r), "/drop")) {
    hl_request_drop(r);
  } else if (hl_str_eqz(hl_request_path(r), "/broken")) {
    hl_request_reply_badly(r, 200, NULL, HL_STR("hello, you"), 0, 5);
  } else if (hl_str_eqz(hl_request_path(r), "/slow")) {
    hl_request_reply_badly(r, 200, NULL, HL_STR("hello, you"), 60, SIZE_MAX);
  } else if (hl_str_eqz(hl_request_path(r), "/none")) {
    hl_request_reply(r, 204, NULL, HL_STR(""));
  } else {
    const char *x = hl_request_header(r, "x-echo");
    hl_headers h = {0};
    hl_headers_add(&h, HL_STR("X-Seen"), hl_str_of(x ? x : "none"));
    hl_headers_add(&h, HL_STR("Content-Length"), HL_STR("999")); /* the server knows better */
    hl_request_reply(r, 200, &h, HL_STR("hello"));
    hl_headers_deinit(&h);
  }
}

static fixture *open_fixture(hl_server_options o) {
  fixture *f = HL_NEW(fixture);
  hl_error err;
  f->log = hl_log_new(HL_LOG_OFF, false);
  f->hold_until = 1;
  assert_int_equal(hl_loop_new(NULL, f->log, &f->loop, &err), 0);
  if (!o.listen) o.listen = "127.0.0.1:0";
  if (hl_server_new(f->loop, &o, on_request, f, &f->server, &err) != 0) fail_msg("%s", err.text);
  return f;
}

static void close_fixture(fixture *f) {
  hl_server_free(f->server);
  hl_loop_free(f->loop); /* asserts that nothing is left */
  hl_log_free(f->log);
  hl_free(f);
}

static raw *open_raw(fixture *f, const char *send) { return raw_open(f->loop, hl_server_port(f->server), send, strlen(send)); }

/* Runs until the peer has closed; `r->got` is all it said. */
static void until_end(fixture *f, raw *r) { assert_int_equal(hl_loop_run_until(f->loop, &r->ended), 0); }

static unsigned count(const char *in, const char *what) {
  unsigned n = 0;
  for (const char *p = in; (p = strstr(p, what)) != NULL; p++) n++;
  return n;
}

static void expect_status(fixture *f, const char *send, const char *status) {
  raw *r = open_raw(f, send);
  until_end(f, r);
  if (!strstr(r->got, status)) fail_msg("wanted %s, got: %s", status, r->got);
  raw_close(r);
}

#define CLOSE "Host: h\r\nConnection: close\r\n"

static void requests_as_sent(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "POST /a%2Fb/%41?x=%3A+1&y=a?b HTTP/1.1\r\n" CLOSE "X-ECHO: yes\r\nContent-Length: 5\r\n\r\nab\0cd"); /* 4 of 5 bytes */
  bool *connected = &r->connected;
  assert_int_equal(hl_loop_run_until(f->loop, connected), 0);
  raw_write(r, "\0cd", 3);
  until_end(f, r);
  assert_non_null(strstr(r->got, "HTTP/1.1 200"));
  assert_non_null(strstr(r->got, "X-Seen: yes"));
  assert_non_null(strstr(r->got, "Content-Length: 5\r\n"));
  assert_null(strstr(r->got, "999"));
  assert_string_equal(f->target, "/a%2Fb/%41?x=%3A+1&y=a?b");
  assert_string_equal(f->path, "/a%2Fb/%41");
  assert_string_equal(f->query, "x=%3A+1&y=a?b");
  assert_string_equal(f->peer, "127.0.0.1");
  assert_int_equal(f->body_n, 5);
  assert_memory_equal(f->body, "ab\0cd", 5);
  raw_close(r);

  r = open_raw(f, "POST /none HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n");
  until_end(f, r);
  assert_non_null(strstr(r->got, "HTTP/1.1 204"));
  assert_int_equal(f->body_n, 7);
  assert_memory_equal(f->body, "abcdefg", 7);
  assert_string_equal(f->query, "");
  raw_close(r);
  close_fixture(f);
}

static void keep_alive_and_pipelining(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
                       "GET /3 HTTP/1.1\r\n" CLOSE "\r\n");
  until_end(f, r);
  assert_int_equal(f->requests, 3);
  assert_int_equal(count(r->got, "HTTP/1.1 200"), 2);
  assert_int_equal(count(r->got, "HTTP/1.1 204"), 1);
  assert_string_equal(f->target, "/3");
  assert_int_equal(f->body_n, 0); /* nothing is left of the request before */
  raw_close(r);
  close_fixture(f);
}

static void replies_later(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r[40];
  f->hold_until = HL_COUNT(r);
  for (size_t i = 0; i < HL_COUNT(r); i++) r[i] = open_raw(f, "POST /hold HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\n\r\nhi");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  for (size_t i = 0; i < HL_COUNT(r); i++) {
    assert_int_equal(r[i]->n, 0); /* held back */
    hl_request_reply(f->held[i], 201, NULL, HL_STR("later"));
  }
  for (size_t i = 0; i < HL_COUNT(r); i++) {
    until_end(f, r[i]);
    assert_non_null(strstr(r[i]->got, "HTTP/1.1 201"));
    assert_non_null(strstr(r[i]->got, "\r\n\r\nlater"));
    raw_close(r[i]);
  }
  close_fixture(f);
}

static void peer_leaves_first(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  raw_close(r);
  uv_run(hl_loop_uv(f->loop), UV_RUN_NOWAIT);
  hl_request_reply(f->held[0], 200, NULL, HL_STR("dropped"));
  expect_status(f, "GET / HTTP/1.1\r\n" CLOSE "\r\n", "200"); /* and the server goes on */
  close_fixture(f);
}

static void freed_with_requests_in_hand(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  raw *half = open_raw(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  hl_server_free(f->server);
  f->server = NULL;
  until_end(f, r);
  until_end(f, half);
  assert_int_equal(r->n, 0);
  raw_close(r);
  raw_close(half);
  close_fixture(f);

  f = open_fixture((hl_server_options){0}); /* from inside the request callback */
  r = open_raw(f, "GET /free HTTP/1.1\r\nHost: h\r\n\r\n");
  until_end(f, r);
  assert_int_equal(r->n, 0);
  raw_close(r);
  close_fixture(f);
}

static void limits(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){.max_body = 10, .max_header = 2048});
  expect_status(f, "POST / HTTP/1.1\r\n" CLOSE "Content-Length: 10\r\n\r\n0123456789", "HTTP/1.1 200");
  assert_int_equal(f->requests, 1);
  /* In advance: only the announcement is sent, and the answer comes. */
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", "HTTP/1.1 413");
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n", "HTTP/1.1 413");
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 413");
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n", "HTTP/1.1 413");
  expect_status(f, "POST / HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", "HTTP/1.1 200");
  assert_int_equal(f->requests, 2);

  static char big[40000];
  snprintf(big, sizeof big, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: ");
  size_t n = strlen(big);
  memset(big + n, 'a', sizeof big - n - 5);
  memcpy(big + sizeof big - 5, "\r\n\r\n", 5);
  expect_status(f, big, "HTTP/1.1 431");
  assert_int_equal(f->requests, 2);
  close_fixture(f);
}

/* The whole of a too large body is on its way when the answer comes: it must not be
 * destroyed by a reset. */
static void too_large_is_heard(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){.max_body = 1000});
  size_t n = 8 << 20;
  char *body = hl_alloc(n);
  int k = snprintf(body, n, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n - 200);
  memset(body + k, 'x', n - (size_t)k);
  raw *r = raw_open(f->loop, hl_server_port(f->server), body, n - 200 + (size_t)k);
  until_end(f, r);
  assert_non_null(strstr(r->got, "HTTP/1.1 413"));
  raw_close(r);
  k = snprintf(body, n, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n700000\r\n");
  r = raw_open(f->loop, hl_server_port(f->server), body, n);
  until_end(f, r);
  assert_non_null(strstr(r->got, "HTTP/1.1 413"));
  raw_close(r);
  assert_int_equal(f->requests, 0);
  hl_server_free(f->server);
  f->server = NULL;
  uv_run(hl_loop_uv(f->loop), UV_RUN_DEFAULT); /* the write requests end */
  hl_free(body);
  close_fixture(f);
}

static void no_memory_for_a_body(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  static const char *const sends[] = {
    "POST / HTTP/1.1\r\n" CLOSE "Content-Length: 5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
  };
  for (size_t i = 0; i < HL_COUNT(sends); i++) {
    hl_mem_fail_at(1);
    expect_status(f, sends[i], "HTTP/1.1 503");
    hl_mem_fail_at(0);
  }
  assert_int_equal(f->requests, 0);
  for (size_t i = 0; i < HL_COUNT(sends); i++) expect_status(f, sends[i], "HTTP/1.1 200");
  close_fixture(f);
}

static void malformed(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  expect_status(f, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"); /* no Host */
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12abc\r\n\r\n", "HTTP/1.1 400");
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "HTTP/1.1 400");
  assert_int_equal(f->requests, 0);
  expect_status(f, "GET / HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200");
  close_fixture(f);
}

/* Two readings of a request's length are two requests to whoever stands in between. */
static void one_length_only(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  static const char *const bad[] = {
    "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "Content-Length: 5\r\nContent-Length: 3\r\n\r\nabcde",
    "Content-Length: 3\r\ncontent-length: 03\r\n\r\nabc",
    "Content-Length: 3, 5\r\n\r\nabcde",
    "Content-Length : 3\r\n\r\nabc",
    "Content-Length: +3\r\n\r\nabc",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "TRANSFER-ENCODING: Chunked\r\nCONTENT-LENGTH: 0\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc",
  };
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    char text[512]; /* what a proxy might have let through as a request of its own must not be one here */
    snprintf(text, sizeof text, "POST /outer HTTP/1.1\r\nHost: h\r\n%sGET /inner HTTP/1.1\r\nHost: h\r\n\r\n", bad[i]);
    raw *r = open_raw(f, text);
    until_end(f, r);
    if (strncmp(r->got, "HTTP/1.1 400", 12) != 0 || strstr(r->got, " 200 ")) fail_msg("%s was answered: %s", bad[i], r->got);
    raw_close(r);
  }
  assert_int_equal(f->requests, 0);
  expect_status(f, "POST / HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200");
  assert_int_equal(f->body_n, 3);
  close_fixture(f);
}

static void dropped_without_an_answer(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "POST /drop HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: h\r\n\r\n");
  until_end(f, r);
  assert_int_equal(r->n, 0);
  assert_int_equal(f->requests, 1);
  raw_close(r);
  r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  hl_request_drop(f->held[0]);
  until_end(f, r);
  assert_int_equal(r->n, 0);
  raw_close(r);
  f->n_held = 0;
  f->got_held = false;
  r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n"); /* and the peer has left */
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  raw_close(r);
  uv_run(hl_loop_uv(f->loop), UV_RUN_NOWAIT);
  hl_request_drop(f->held[0]);
  expect_status(f, "GET / HTTP/1.1\r\n" CLOSE "\r\n", "200"); /* the server goes on */
  close_fixture(f);
}

/* The end may come together with the last bytes: no deadline has to find it. */
/* What a bad network does to an answer. */
static void broken_and_slow_replies(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  raw *r = open_raw(f, "GET /broken HTTP/1.1\r\nHost: h\r\n\r\n");
  until_end(f, r);
  assert_non_null(strstr(r->got, "Content-Length: 10\r\n"));
  assert_non_null(strstr(r->got, "\r\n\r\nhello"));
  assert_null(strstr(r->got, "hello,"));
  raw_close(r);
  r = open_raw(f, "GET /slow HTTP/1.1\r\n" CLOSE "\r\n");
  int64_t from = hl_loop_mono(f->loop);
  until_end(f, r);
  assert_non_null(strstr(r->got, "\r\n\r\nhello, you"));
  assert_true(hl_loop_mono(f->loop) - from >= 60);
  raw_close(r);

  /* The connection is good for the next request; a server may go, and a peer leave, in between. */
  r = open_raw(f, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\n" CLOSE "\r\n");
  until_end(f, r);
  assert_int_equal(count(r->got, "HTTP/1.1 200"), 2);
  raw_close(r);
  r = open_raw(f, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  f->got_two = false;
  f->requests = 1;
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_two), 0);
  raw_close(r);
  expect_status(f, "GET /x HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200");
  r = open_raw(f, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  f->got_two = false;
  f->requests = 1;
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_two), 0);
  hl_server_free(f->server);
  f->server = NULL;
  until_end(f, r);
  raw_close(r);
  close_fixture(f);
}

static void half_closed(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){.request_ms = 500});
  static const struct { const char *send, *status; } cases[] = {
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200"},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab", ""},
    {"GET /", ""},
    {"", ""},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    raw *r = open_raw(f, cases[i].send);
    r->half_close = true;
    until_end(f, r);
    assert_non_null(strstr(r->got, cases[i].status));
    assert_null(strstr(r->got, "408"));
    raw_close(r);
  }
  assert_int_equal(f->requests, 1);
  close_fixture(f);
}

typedef struct dripper {
  fixture *f;
  raw *r;
  hl_timer timer;
  unsigned n;
} dripper;

static void drip(hl_timer *timer, void *arg) {
  dripper *d = arg;
  if (d->r->ended || d->n++ > 10000) return;
  if (d->r->connected) raw_write(d->r, "x", 1);
  hl_timer_start(d->f->loop, timer, 3, drip, d);
}

/* A byte now and then restarts MHD's own timeout; ours counts the whole request. */
static void slow_senders(void **state) {
  (void)state;
  static const char *const starts[] = {
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", /* drips its body */
    "POST / HTTP/1.1\r\nHost: h\r\nX-Long: ",                       /* its headers */
    "GET /",                                                        /* its request line */
    "",
  };
  for (size_t i = 0; i < HL_COUNT(starts); i++) {
    fixture *f = open_fixture((hl_server_options){.request_ms = 60});
    dripper d = {.f = f, .r = open_raw(f, starts[i])};
    d.timer.unref = true;
    hl_timer_start(f->loop, &d.timer, 3, drip, &d);
    until_end(f, d.r);
    if (!strstr(d.r->got, "HTTP/1.1 408")) fail_msg("%zu: %s", i, d.r->got);
    assert_int_equal(f->requests, 0);
    hl_timer_stop(f->loop, &d.timer);
    raw_close(d.r);
    close_fixture(f);
  }
}

/* A handler may think longer than a sender may send, and idle ends quietly. */
static void deadlines_are_for_senders(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){.request_ms = 30, .idle_ms = 60});
  raw *r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  raw *slow = open_raw(f, "GET /");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  until_end(f, slow); /* its deadline passed, after that of the held one's sending */
  assert_false(r->ended);
  hl_request_reply(f->held[0], 200, NULL, HL_STR("thought"));
  until_end(f, r); /* idle_ms later */
  assert_non_null(strstr(r->got, "thought"));
  assert_null(strstr(r->got, "408"));
  raw_close(r);
  raw_close(slow);
  close_fixture(f);
}

static void too_many_connections(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){.max_connections = 2});
  f->hold_until = 2;
  raw *a = open_raw(f, "GET /hold HTTP/1.1\r\n" CLOSE "\r\n"), *b = open_raw(f, "GET /hold HTTP/1.1\r\n" CLOSE "\r\n");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  expect_status(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 503");
  expect_status(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503");
  assert_int_equal(f->requests, 2);
  hl_request_reply(f->held[0], 200, NULL, HL_STR("a"));
  hl_request_reply(f->held[1], 200, NULL, HL_STR("b"));
  until_end(f, a);
  until_end(f, b);
  expect_status(f, "GET / HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200"); /* there is room again */
  raw_close(a);
  raw_close(b);
  close_fixture(f);
}

static void on_drained(void *arg) { *(bool *)arg = true; }
static void on_drained_free(void *arg) {
  fixture *f = arg;
  f->drained = true;
  hl_server_free(f->server);
  f->server = NULL;
}

static void drains(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  unsigned port = hl_server_port(f->server);
  raw *idle = open_raw(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  raw *r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_two), 0);
  hl_server_drain(f->server, 60000, on_drained_free, f);
  assert_false(f->drained);
  until_end(f, idle); /* an idle connection is closed at once */
  assert_non_null(strstr(idle->got, "200"));
  assert_false(f->drained); /* one request is in hand */
  raw *late = raw_open(f->loop, port, "", 0);
  until_end(f, late); /* refused: nobody listens */
  assert_false(late->connected);
  hl_request_reply(f->held[0], 200, NULL, HL_STR("last"));
  until_end(f, r);
  assert_non_null(strstr(r->got, "last"));
  assert_non_null(strstr(r->got, "Connection: close"));
  assert_int_equal(hl_loop_run_until(f->loop, &f->drained), 0);
  raw_close(idle);
  raw_close(r);
  raw_close(late);
  close_fixture(f);

  f = open_fixture((hl_server_options){0}); /* nothing in hand */
  hl_server_drain(f->server, 60000, on_drained, &f->drained);
  assert_int_equal(hl_loop_run_until(f->loop, &f->drained), 0);
  close_fixture(f);

  f = open_fixture((hl_server_options){0}); /* what is in hand never ends: the deadline does */
  r = open_raw(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(hl_loop_run_until(f->loop, &f->got_held), 0);
  hl_server_drain(f->server, 20, on_drained, &f->drained);
  assert_int_equal(hl_loop_run_until(f->loop, &f->drained), 0);
  assert_false(r->ended);
  raw_close(r);
  close_fixture(f);
}

static void where_to_listen(void **state) {
  (void)state;
  fixture *f = open_fixture((hl_server_options){0});
  hl_server *s = NULL;
  hl_error err;
  char at[64];
  snprintf(at, sizeof at, "127.0.0.1:%u", hl_server_port(f->server));
  hl_server_options o = {.listen = at};
  assert_int_equal(hl_server_new(f->loop, &o, on_request, f, &s, &err), HL_EBUSY);
  assert_non_null(strstr(err.text, at));
  assert_non_null(strstr(err.text, "choose another port"));
  static const char *const bad[] = {"", "8480", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "example.com:80",
                                    "::1:80", "[::1:80", "1.2.3:80"};
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    o.listen = bad[i];
    if (hl_server_new(f->loop, &o, on_request, f, &s, &err) != HL_EINVAL) fail_msg("taken: %s", bad[i]);
  }
  assert_null(s);
  o.listen = "localhost:0";
  assert_int_equal(hl_server_new(f->loop, &o, on_request, f, &s, &err), 0);
  assert_true(hl_server_port(s) > 0);
  hl_server_free(s);
  close_fixture(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(requests_as_sent),
    cmocka_unit_test(keep_alive_and_pipelining),
    cmocka_unit_test(replies_later),
    cmocka_unit_test(peer_leaves_first),
    cmocka_unit_test(freed_with_requests_in_hand),
    cmocka_unit_test(limits),
    cmocka_unit_test(too_large_is_heard),
    cmocka_unit_test(no_memory_for_a_body),
    cmocka_unit_test(malformed),
    cmocka_unit_test(one_length_only),
    cmocka_unit_test(dropped_without_an_answer),
    cmocka_unit_test(broken_and_slow_replies),
    cmocka_unit_test(half_closed),
    cmocka_unit_test(slow_senders),
    cmocka_unit_test(deadlines_are_for_senders),
    cmocka_unit_test(too_many_connections),
    cmocka_unit_test(drains),
    cmocka_unit_test(where_to_listen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
