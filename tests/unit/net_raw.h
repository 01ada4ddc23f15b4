/* Raw peers for the net tests: a client that sends given bytes and collects what
 * comes back until the end, and a server that answers each connection with given
 * bytes. On the loop under test; loopback only. */
#ifndef TESTS_UNIT_NET_RAW_H
#define TESTS_UNIT_NET_RAW_H

#include <arpa/inet.h>

#include "base/mem.h"
#include "loop/loop.h"

typedef struct raw {
  uv_tcp_t tcp;              /* first */
  uv_connect_t connect;
  const char *send;
  size_t send_n;
  bool half_close;           /* no more to send: say so */
  char got[1 << 16];
  size_t n;
  bool connected, ended;     /* ended: EOF or reset */
  bool closing;
} raw;

static inline void raw_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
  (void)hint;
  raw *r = (raw *)(void *)h;
  static char spill[4096];   /* what does not fit is not looked at */
  size_t room = sizeof r->got - r->n - 1;
  *buf = room ? uv_buf_init(r->got + r->n, (unsigned)room) : uv_buf_init(spill, sizeof spill);
}

static inline void raw_read(uv_stream_t *st, ssize_t n, const uv_buf_t *buf) {
  raw *r = (raw *)(void *)st;
  if (n < 0) r->ended = true;
  else if (buf->base == r->got + r->n) r->n += (size_t)n;
  if (n < 0) uv_read_stop(st);
}

static inline void raw_free_write(uv_write_t *w, int status) {
  (void)status;
  hl_free(w);
}

static inline void raw_write(raw *r, const char *p, size_t n) {
  uv_write_t *w = HL_NEW(uv_write_t);
  union { const char *in; char *out; } u = {.in = p};
  uv_buf_t buf = uv_buf_init(u.out, (unsigned)n);
  if (uv_write(w, (uv_stream_t *)&r->tcp, &buf, 1, raw_free_write) != 0) hl_free(w);
}

static inline void raw_free_shutdown(uv_shutdown_t *q, int status) {
  (void)status;
  hl_free(q);
}

static inline void raw_on_connect(uv_connect_t *c, int status) {
  raw *r = HL_CONTAINER(c, raw, connect);
  if (status < 0) {
    r->ended = true;
    return;
  }
  r->connected = true;
  uv_read_start((uv_stream_t *)&r->tcp, raw_alloc, raw_read);
  if (r->send_n) raw_write(r, r->send, r->send_n);
  uv_shutdown_t *q = r->half_close ? HL_NEW(uv_shutdown_t) : NULL;
  if (q && uv_shutdown(q, (uv_stream_t *)&r->tcp, raw_free_shutdown) != 0) hl_free(q);
}

/* `send` must live until the test ends. Close with raw_close. */
static inline raw *raw_open(hl_loop *loop, unsigned port, const char *send, size_t n) {
  raw *r = HL_NEW(raw);
  struct sockaddr_in to;
  uv_ip4_addr("127.0.0.1", (int)port, &to);
  uv_tcp_init(hl_loop_uv(loop), &r->tcp);
  r->send = send;
  r->send_n = n;
  uv_tcp_connect(&r->connect, &r->tcp, (const struct sockaddr *)&to, raw_on_connect);
  return r;
}

static inline void raw_closed(uv_handle_t *h) { hl_free(h); }
static inline void raw_close(raw *r) { uv_close((uv_handle_t *)&r->tcp, raw_closed); }

/* ---- the server ---- */
typedef struct raw_server {
  uv_tcp_t tcp;              /* first */
  const char *answer;
  size_t answer_n;
  size_t answers_a_connection; /* then it closes; 0: never answers, closes at once when `drop` */
  bool drop, reset;          /* reset: half an answer is followed by a reset */
  unsigned connections, requests;
  char last[8192];           /* the last request as received */
} raw_server;

typedef struct raw_peer {
  uv_tcp_t tcp;              /* first */
  raw_server *s;
  size_t n, answered;
  char got[8192];
} raw_peer;

static inline void peer_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
  (void)hint;
  raw_peer *p = (raw_peer *)(void *)h;
  *buf = uv_buf_init(p->got + p->n, (unsigned)(sizeof p->got - p->n - 1));
}

static inline void peer_write_done(uv_write_t *w, int status) {
  (void)status;
  raw_peer *p = (raw_peer *)(void *)w->handle;
  hl_free(w);
  if (p->answered < p->s->answers_a_connection || uv_is_closing((uv_handle_t *)p)) return;
  if (p->s->reset) uv_tcp_close_reset(&p->tcp, raw_closed);
  else uv_close((uv_handle_t *)p, raw_closed);
}

static inline void peer_read(uv_stream_t *st, ssize_t n, const uv_buf_t *buf) {
  (void)buf;
  raw_peer *p = (raw_peer *)(void *)st;
  raw_server *s = p->s;
  if (n < 0) {
    if (!uv_is_closing((uv_handle_t *)p)) uv_close((uv_handle_t *)p, raw_closed);
    return;
  }
  p->n += (size_t)n;
  p->got[p->n] = '\0';
  if (!strstr(p->got, "\r\n\r\n")) return;
  memcpy(s->last, p->got, p->n + 1);
  p->n = 0;
  s->requests++;
  if (p->answered < s->answers_a_connection) {
    p->answered++;
    uv_write_t *w = HL_NEW(uv_write_t);
    union { const char *in; char *out; } u = {.in = s->answer};
    uv_buf_t b = uv_buf_init(u.out, (unsigned)s->answer_n);
    uv_write(w, st, &b, 1, peer_write_done);
  } else if (s->drop) {
    uv_close((uv_handle_t *)p, raw_closed);
  }
}

static inline void raw_on_accept(uv_stream_t *st, int status) {
  raw_server *s = (raw_server *)(void *)st;
  if (status < 0) return;
  raw_peer *p = HL_NEW(raw_peer);
  uv_tcp_init(st->loop, &p->tcp);
  uv_unref((uv_handle_t *)&p->tcp);
  p->s = s;
  s->connections++;
  uv_accept(st, (uv_stream_t *)&p->tcp);
  uv_read_start((uv_stream_t *)&p->tcp, peer_alloc, peer_read);
}

/* Listens on a free loopback port, which it returns. */
static inline unsigned raw_serve(hl_loop *loop, raw_server *s, const char *answer) {
  struct sockaddr_in at;
  int n = sizeof at;
  *s = (raw_server){.answer = answer, .answer_n = strlen(answer), .answers_a_connection = 1};
  uv_ip4_addr("127.0.0.1", 0, &at);
  uv_tcp_init(hl_loop_uv(loop), &s->tcp);
  uv_tcp_bind(&s->tcp, (const struct sockaddr *)&at, 0);
  uv_listen((uv_stream_t *)&s->tcp, 16, raw_on_accept);
  uv_unref((uv_handle_t *)&s->tcp);
  uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&at, &n);
  return ntohs(at.sin_port);
}

/* Ends what peers are left on the loop, too: their clients must be gone. */
static inline void raw_close_peer(uv_handle_t *h, void *arg) {
  if (h->type == UV_TCP && h != arg && !uv_is_closing(h)) uv_close(h, raw_closed);
}
static inline void raw_stop(hl_loop *loop, raw_server *s) {
  uv_walk(hl_loop_uv(loop), raw_close_peer, s);
  uv_close((uv_handle_t *)&s->tcp, NULL);
  uv_run(hl_loop_uv(loop), UV_RUN_NOWAIT);
}

#endif
