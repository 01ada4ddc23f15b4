/* The HTTP server: libmicrohttpd without threads of its own. Its epoll descriptor
 * is watched by the loop; MHD_run is called when that is readable, when
 * MHD_get_timeout asks for it, and once after all replies of one turn.
 *
 * A request is made when its request line is read (the only place where MHD shows
 * the target as sent), filled while its body comes in, and handed over when it is
 * complete. Unless the reply comes at once its connection is suspended until it
 * does. MHD owns the end: on_completed gives the request back, whatever happened.
 *
 * MHD's own timeouts start again with every byte, so a slow sender could hold a
 * connection for ever. Each connection has a deadline of ours for what it is doing;
 * one sweep over all of them (they are few) enforces it.
 *
 * Some answers must leave while MHD would still read: 408, 413, and 503 when there are
 * too many connections. They are written to the socket directly; nothing else can be
 * in flight on it then. A peer that goes on sending would meet a reset that destroys
 * the answer, so a duplicate of its descriptor is read empty for a moment (linger). */
#include "net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/address.h"
#include "net/libmicrohttpd.h"

enum {
  SURPLUS = 64,                   /* connections beyond the limit that still hear 503 */
  MAX_SPARE = 256,                /* requests kept for reuse, */
  MAX_SPARE_BODY = 32 * 1024,     /* each with a body buffer up to this */
  MAX_LINGER = 64,
  LINGER_MS = 2000,
  LINGER_BYTES = 64 * 1024 * 1024,
  MIN_POOL = 4096,                /* MHD's memory for a connection beside the headers */
};

typedef enum phase {
  FRESH,                          /* accepted, no request line yet */
  IDLE,                           /* between requests */
  READING,                        /* request line seen, body outstanding */
  HANDLING,                       /* the application has it: no deadline */
  SENDING,
} phase;

typedef struct conn {
  struct conn *next, *prev;
  hl_server *s;
  hl_request *request;
  int fd;
  phase phase;
  bool surplus;
  int64_t deadline;
} conn;

typedef struct lingerer {
  uv_poll_t poll;                 /* first: closing frees the lingerer */
  struct lingerer *next, *prev;
  hl_server *s;
  int fd;
  int64_t deadline;
  size_t budget;
} lingerer;

struct hl_request {
  hl_request *next_spare;
  hl_server *s;
  conn *c;
  struct MHD_Connection *mhd;
  const char *method;
  char *target;
  size_t target_n, target_cap, path_n;
  char *body;
  size_t body_n, body_cap;
  int64_t received_us;
  bool begun, complete, suspended, replied;
  bool dropped;                   /* replied, with nothing: MHD is told to close */
  char peer[48];
};

struct hl_server {
  hl_loop *loop;
  struct MHD_Daemon *daemon;
  uv_poll_t poll;
  hl_timer again, sweep, drain_timer;
  hl_defer kick, drain;
  hl_request_cb cb;
  void *arg;
  size_t max_body;
  int64_t request_ms, idle_ms, sweep_ms;
  unsigned max_connections, n_connections, port;
  conn connections;               /* list heads */
  lingerer lingering;
  unsigned n_lingering;
  size_t n_requests;              /* between request line and the end of the answer */
  hl_request *spare;
  size_t n_spare;
  struct MHD_Response *empty, *empty_close; /* replies without body and headers, shared */
  bool running, stopping;         /* inside MHD_run; being freed */
  bool free_after;                /* freed from inside a request callback */
  bool draining;
  void (*on_drained)(void *arg);
  void *drained_arg;
  int64_t drain_deadline_ms;
};

static void run(hl_server *s);

/* ---- deadlines ---- */

static void on_sweep(hl_timer *timer, void *arg);

static void expect(conn *c, phase p, int64_t ms) {
  hl_server *s = c->s;
  c->phase = p;
  c->deadline = ms < 0 ? INT64_MAX : hl_loop_mono(s->loop) + ms;
  if (ms >= 0 && !hl_timer_armed(&s->sweep)) hl_timer_start(s->loop, &s->sweep, s->sweep_ms, on_sweep, s);
}

static void linger_closed(uv_handle_t *handle) { hl_free(handle->data); }

static void linger_end(lingerer *l) {
  l->prev->next = l->next;
  l->next->prev = l->prev;
  l->s->n_lingering--;
  uv_close((uv_handle_t *)&l->poll, linger_closed);
  close(l->fd);
}

static void on_linger(uv_poll_t *handle, int status, int events) {
  (void)events;
  char sink[16 * 1024];
  lingerer *l = handle->data;
  ssize_t n = status < 0 ? 0 : recv(l->fd, sink, sizeof sink, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || (size_t)n >= l->budget) linger_end(l);
  else l->budget -= (size_t)n;
}

/* Reads on what the peer still sends, after the answer is in its socket. */
static void linger_on(hl_server *s, int fd) {
  if (s->n_lingering >= MAX_LINGER) return;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return;
  lingerer *l = HL_NEW(lingerer);
  if (uv_poll_init_socket(hl_loop_uv(s->loop), &l->poll, copy) != 0) {
    close(copy);
    hl_free(l);
    return;
  }
  uv_unref((uv_handle_t *)&l->poll);
  l->poll.data = l;
  l->s = s;
  l->fd = copy;
  l->budget = LINGER_BYTES;
  l->deadline = hl_loop_mono(s->loop) + LINGER_MS;
  l->next = &s->lingering;
  l->prev = s->lingering.prev;
  l->prev->next = s->lingering.prev = l;
  s->n_lingering++;
  uv_poll_start(&l->poll, UV_READABLE, on_linger);
  if (!hl_timer_armed(&s->sweep)) hl_timer_start(s->loop, &s->sweep, s->sweep_ms, on_sweep, s);
}

/* An answer past MHD. The socket's buffer is empty here, so it takes all or the peer is gone. */
static void answer_directly(int fd, const char *status_line, const char *text) {
  char out[512];
  int n = snprintf(out, sizeof out,
                   "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s",
                   status_line, strlen(text), text);
  ssize_t sent = send(fd, out, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)sent;
}

static void on_sweep(hl_timer *timer, void *arg) {
  (void)timer;
  hl_server *s = arg;
  int64_t now = hl_loop_mono(s->loop);
  for (lingerer *l = s->lingering.next, *next; l != &s->lingering; l = next) {
    next = l->next;
    if (now >= l->deadline) linger_end(l);
  }
  bool ended = false;
  for (conn *c = s->connections.next; c != &s->connections; c = c->next) {
    if (c->deadline == INT64_MAX) continue;
    /* MHD misses an end that came together with the last bytes; the connection
     * would hold its slot until the deadline. */
    bool left = c->phase != SENDING && recv(c->fd, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    if (now < c->deadline && !left) continue;
    /* A fresh connection may have sent half a request line: we cannot see it. */
    if (!left && (c->phase == FRESH || c->phase == READING))
      answer_directly(c->fd, "408 Request Timeout", "The request was not complete in time.\n");
    shutdown(c->fd, SHUT_RDWR); /* MHD reads the end and closes */
    c->deadline = INT64_MAX;
    ended = true;
  }
  if (s->n_connections || s->n_lingering) hl_timer_start(s->loop, &s->sweep, s->sweep_ms, on_sweep, s);
  if (ended) run(s);
}

/* ---- requests ---- */

static hl_request *request_new(hl_server *s) {
  hl_request *r = s->spare;
  if (!r) {
    r = HL_NEW(hl_request);
  } else {
    s->spare = r->next_spare;
    s->n_spare--;
    hl_request kept = *r;
    *r = (hl_request){.target = kept.target, .target_cap = kept.target_cap, .body = kept.body, .body_cap = kept.body_cap};
  }
  r->s = s;
  s->n_requests++;
  return r;
}

static void request_delete(hl_request *r) {
  hl_free(r->target);
  hl_free(r->body);
  hl_free(r);
}

static void request_end(hl_request *r) {
  hl_server *s = r->s;
  s->n_requests--;
  if (s->n_spare >= MAX_SPARE) {
    request_delete(r);
    return;
  }
  if (r->body_cap > MAX_SPARE_BODY) {
    hl_free(r->body);
    r->body = NULL;
    r->body_cap = 0;
  }
  r->next_spare = s->spare;
  s->spare = r;
  s->n_spare++;
}

static bool body_room(hl_request *r, size_t n) {
  if (n <= r->body_cap) return true;
  size_t cap = r->body_cap * 2 > n ? r->body_cap * 2 : n;
  if (cap > r->s->max_body) cap = r->s->max_body;
  char *p = hl_try_realloc(r->body, cap);
  if (!p) return false;
  r->body = p;
  r->body_cap = cap;
  return true;
}

/* Refuses a request whose body is not wanted: the answer leaves at once, MHD closes
 * its descriptor, and what the peer still sends is read off by the lingerer. */
static enum MHD_Result refuse(hl_request *r, const char *status_line, const char *text) {
  answer_directly(r->c->fd, status_line, text);
  shutdown(r->c->fd, SHUT_WR);
  linger_on(r->s, r->c->fd);
  return MHD_NO;
}

static enum MHD_Result too_large(hl_request *r) {
  return refuse(r, "413 Content Too Large", "The body is larger than this server takes.\n");
}

static enum MHD_Result no_memory(hl_request *r) {
  return refuse(r, "503 Service Unavailable", "No memory for the body; try again.\n");
}

typedef struct framing {
  const char *length, *coding;
  bool ambiguous;
} framing;

static enum MHD_Result on_framing(void *arg, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  framing *f = arg;
  if (!value) value = "";
  if (strpbrk(name, " \t")) f->ambiguous = true; /* "Content-Length : 3" is no length to MHD, but to others */
  if ((name[0] | 0x20) == 'c' && hl_str_ieqz(hl_str_of(name), MHD_HTTP_HEADER_CONTENT_LENGTH)) {
    if (f->length && strcmp(f->length, value) != 0) f->ambiguous = true;
    f->length = value;
  } else if ((name[0] | 0x20) == 't' && hl_str_ieqz(hl_str_of(name), MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
    if (f->coding || !hl_str_ieqz(hl_str_of(value), "chunked")) f->ambiguous = true;
    f->coding = value;
  }
  return MHD_YES;
}

/* The headers are complete. */
static enum MHD_Result begin(hl_request *r, const char *method) {
  hl_server *s = r->s;
  r->begun = true;
  r->method = method;
  framing f = {0};
  int64_t n = 0;
  MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, on_framing, &f);
  const char *length = f.length;
  if (r->c->surplus) return refuse(r, "503 Service Unavailable", "Too many connections; try again.\n");
  /* A proxy may read the other length and take what follows for a request of its own:
   * request smuggling (RFC 9112, 6.3). */
  if (f.ambiguous || (f.length && f.coding))
    return refuse(r, "400 Bad Request", "The length of the request is not clear: send one Content-Length, or Transfer-Encoding: chunked.\n");
  /* MHD has refused what is no number; one beyond int64 is too large all the same. */
  if (length && (hl_str_int64(hl_str_of(length), &n) != 0 || n < 0 || (uint64_t)n > s->max_body)) return too_large(r);
  if (n && !body_room(r, (size_t)n)) return no_memory(r);
  return MHD_YES;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *n, void **context) {
  (void)url;
  (void)version;
  (void)mhd;
  hl_server *s = arg;
  hl_request *r = *context;
  if (s->stopping || !r) return MHD_NO;
  if (!r->begun) return begin(r, method);
  if (*n) {
    if (r->body_n + *n > s->max_body) return too_large(r);
    if (!body_room(r, r->body_n + *n)) return no_memory(r);
    memcpy(r->body + r->body_n, data, *n);
    r->body_n += *n;
    *n = 0;
    return MHD_YES;
  }
  if (r->complete) return r->replied && !r->dropped ? MHD_YES : MHD_NO;

  r->complete = true;
  r->received_us = hl_loop_mono_us(s->loop);
  expect(r->c, HANDLING, -1);
  s->cb(s->arg, r);
  if (r->dropped) return MHD_NO;
  if (!r->replied) {
    r->suspended = true;
    MHD_suspend_connection(mhd);
  }
  return MHD_YES;
}

/* The request line is complete; `uri` is the target exactly as sent. */
static void *on_target(void *arg, const char *uri, struct MHD_Connection *mhd) {
  hl_server *s = arg;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  conn *c = info->socket_context;
  hl_request *r = request_new(s);
  r->c = c;
  r->mhd = mhd;
  r->target_n = strlen(uri);
  if (r->target_n + 1 > r->target_cap) {
    r->target_cap = r->target_n + 1 < 128 ? 128 : r->target_n + 1;
    r->target = hl_realloc(r->target, r->target_cap); /* bounded by max_header */
  }
  memcpy(r->target, uri, r->target_n + 1);
  r->path_n = strcspn(r->target, "?");
  c->request = r;
  expect(c, READING, s->request_ms);
  return r;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
  (void)arg;
  (void)mhd;
  (void)code;
  hl_request *r = *context;
  if (!r) return;
  *context = NULL;
  conn *c = r->c;
  c->request = NULL;
  expect(c, IDLE, c->s->idle_ms);
  request_end(r);
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
  hl_server *s = arg;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    conn *c = HL_NEW(conn);
    c->s = s;
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    c->next = &s->connections;
    c->prev = s->connections.prev;
    c->prev->next = s->connections.prev = c;
    c->surplus = ++s->n_connections > s->max_connections;
    *context = c;
    expect(c, FRESH, s->request_ms);
    return;
  }
  conn *c = *context;
  if (c->request) request_end(c->request);
  c->prev->next = c->next;
  c->next->prev = c->prev;
  s->n_connections--;
  hl_free(c);
}

static size_t keep_escapes(void *arg, struct MHD_Connection *mhd, char *s) {
  (void)arg;
  (void)mhd;
  return strlen(s);
}

static void on_mhd_log(void *arg, const char *fmt, va_list ap) {
  hl_server *s = arg;
  char text[512];
  vsnprintf(text, sizeof text, fmt, ap);
  text[strcspn(text, "\r\n")] = '\0';
  hl_log_write(hl_loop_log(s->loop), HL_LOG_DEBUG, "http", "%s", text);
}

/* ---- turning ---- */

static void free_now(hl_server *s);

static void on_again(hl_timer *timer, void *arg) {
  (void)timer;
  run(arg);
}

static void end_drain(hl_server *s) {
  void (*done)(void *) = s->on_drained;
  if (!done) return;
  s->on_drained = NULL;
  hl_timer_stop(s->loop, &s->drain_timer);
  uv_unref((uv_handle_t *)&s->poll); /* nothing new can come */
  done(s->drained_arg);              /* may free s */
}

/* s may be gone on return. */
static void run(hl_server *s) {
  if (s->running) return;
  s->running = true;
  MHD_run(s->daemon);
  s->running = false;
  if (s->free_after) {
    free_now(s);
    return;
  }
  MHD_UNSIGNED_LONG_LONG ms;
  if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
    hl_timer_start(s->loop, &s->again, ms > 1000 ? 1000 : (int64_t)ms, on_again, s);
  else
    hl_timer_stop(s->loop, &s->again);
  if (s->draining && s->n_requests == 0) end_drain(s);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  (void)status;
  (void)events;
  run(handle->data);
}

static void on_kick(hl_defer *defer, void *arg) {
  (void)defer;
  run(arg);
}

/* ---- replying ---- */

static void add_headers(hl_server *s, struct MHD_Response *m, const hl_headers *headers) {
  for (size_t i = 0; headers && i < headers->n; i++) {
    const char *name = headers->v[i].name;
    if (hl_str_ieqz(hl_str_of(name), "Content-Length") || hl_str_ieqz(hl_str_of(name), "Transfer-Encoding") ||
        hl_str_ieqz(hl_str_of(name), "Connection"))
      continue; /* the server's own business */
    if (MHD_add_response_header(m, name, headers->v[i].value) != MHD_YES)
      hl_log_write(hl_loop_log(s->loop), HL_LOG_WARN, "http", "a reply's header was left out: its name or value is not allowed");
  }
  if (s->draining) MHD_add_response_header(m, "Connection", "close");
}

static struct MHD_Response *build(hl_server *s, const hl_headers *headers, hl_str body) {
  struct MHD_Response *m = NULL;
  if (body.n) {
    union { const char *in; void *out; } u = {.in = body.p};
    m = MHD_create_response_from_buffer(body.n, u.out, MHD_RESPMEM_MUST_COPY); /* copies before it returns */
  } else {
    m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  }
  if (m) add_headers(s, m, headers);
  return m;
}

static void go_on(hl_request *r) {
  if (!r->suspended) return;
  r->suspended = false;
  MHD_resume_connection(r->mhd);
  hl_defer_start(r->s->loop, &r->s->kick, on_kick, r->s);
}

/* m NULL: no answer can leave, and the peer must not wait for it. */
static void send_reply(hl_request *r, int status, struct MHD_Response *m, int64_t more_ms) {
  hl_server *s = r->s;
  r->replied = true;
  expect(r->c, SENDING, (s->idle_ms > s->request_ms ? s->idle_ms : s->request_ms) + more_ms);
  if (!m || MHD_queue_response(r->mhd, (unsigned)status, m) != MHD_YES) shutdown(r->c->fd, SHUT_RDWR);
  go_on(r);
}

void hl_request_reply(hl_request *r, int status, const hl_headers *headers, hl_str body) {
  hl_server *s = r->s;
  if (r->replied) return;
  if (status < 200 || status > 599) status = 500; /* a script's number; MHD would refuse it */
  struct MHD_Response *m, *own = NULL;
  if (body.n == 0 && (!headers || headers->n == 0)) m = s->draining ? s->empty_close : s->empty;
  else m = own = build(s, headers, body);
  send_reply(r, status, m, 0);
  if (own) MHD_destroy_response(own);
}

/* An answer that leaves slowly, or breaks off. MHD asks for its bytes; while none is due
 * the connection is suspended. */
typedef struct bad_reply {
  hl_request *r;
  char *body;
  size_t n, cut;
  int64_t over_ms, began;
  hl_timer timer;
} bad_reply;

enum { PIECES = 20 };

static void on_piece(hl_timer *timer, void *arg) {
  (void)timer;
  go_on(((bad_reply *)arg)->r);
}

static ssize_t next_piece(void *arg, uint64_t pos, char *out, size_t max) {
  bad_reply *b = arg;
  hl_loop *loop = b->r->s->loop;
  int64_t passed = hl_loop_mono(loop) - b->began;
  size_t due = passed >= b->over_ms ? b->n : (size_t)((double)b->n * (double)passed / (double)b->over_ms);
  if (due > b->cut) due = b->cut;
  if (pos >= b->cut) return MHD_CONTENT_READER_END_WITH_ERROR; /* closes the connection */
  if (pos >= due) {
    b->r->suspended = true;
    MHD_suspend_connection(b->r->mhd);
    hl_timer_start(loop, &b->timer, b->over_ms / PIECES + 1, on_piece, b);
    return 0;
  }
  size_t n = due - (size_t)pos < max ? due - (size_t)pos : max;
  memcpy(out, b->body + pos, n);
  return (ssize_t)n;
}

static void bad_reply_free(void *arg) {
  bad_reply *b = arg;
  hl_timer_stop(b->r->s->loop, &b->timer);
  hl_free(b->body);
  hl_free(b);
}

void hl_request_reply_badly(hl_request *r, int status, const hl_headers *headers, hl_str body, int64_t over_ms, size_t cut) {
  hl_server *s = r->s;
  if (r->replied) return;
  bad_reply *b = HL_NEW(bad_reply);
  *b = (bad_reply){.r = r, .body = hl_strndup(body.n ? body.p : "", body.n), .n = body.n, .cut = cut, .over_ms = over_ms,
                   .began = hl_loop_mono(s->loop)};
  struct MHD_Response *m = MHD_create_response_from_callback(body.n, 16 * 1024, next_piece, b, bad_reply_free);
  if (m) add_headers(s, m, headers);
  else bad_reply_free(b);
  send_reply(r, status, m, over_ms);
  if (m) MHD_destroy_response(m);
}

void hl_request_drop(hl_request *r) {
  if (r->replied) return;
  r->replied = r->dropped = true;
  go_on(r); /* inside the callback: on_access says it */
}

/* ---- draining ---- */

static void on_drain_deadline(hl_timer *timer, void *arg) {
  (void)timer;
  end_drain(arg);
}

static void on_drain(hl_defer *defer, void *arg) {
  (void)defer;
  hl_server *s = arg;
  int fd = MHD_quiesce_daemon(s->daemon);
  if (fd >= 0) close(fd);
  hl_timer_start(s->loop, &s->drain_timer, s->drain_deadline_ms, on_drain_deadline, s);
  /* What has arrived is in hand; only then are the idle ones idle. */
  s->running = true;
  MHD_run(s->daemon);
  s->running = false;
  for (conn *c = s->connections.next; c != &s->connections; c = c->next)
    if (c->phase == IDLE || c->phase == FRESH) shutdown(c->fd, SHUT_RDWR);
  run(s);
}

void hl_server_drain(hl_server *s, int64_t deadline_ms, void (*done)(void *arg), void *arg) {
  if (s->draining) return;
  s->draining = true;
  s->on_drained = done;
  s->drained_arg = arg;
  s->drain_deadline_ms = deadline_ms;
  hl_defer_start(s->loop, &s->drain, on_drain, s);
}

/* ---- life ---- */

static int listen_on(const char *where, struct sockaddr_storage *ss, int *out, unsigned *port, hl_error *err) {
  const char *colon = strrchr(where, ':');
  int64_t n = -1;
  char host[64];
  size_t len = colon ? (size_t)(colon - where) : 0;
  if (!colon || len >= sizeof host || hl_str_int64(hl_str_of(colon + 1), &n) != 0 || n < 0 || n > 65535)
    return hl_fail(err, HL_EINVAL, "cannot listen on \"%s\": write it like 127.0.0.1:8480 or [::1]:8480", where);
  memcpy(host, where, len);
  host[len] = '\0';
  memset(ss, 0, sizeof *ss);
  struct sockaddr_in *in = (struct sockaddr_in *)(void *)ss;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ss;
  socklen_t size = sizeof *in;
  if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
    host[len - 1] = '\0';
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)n);
    size = sizeof *in6;
    if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1) size = 0;
  } else {
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)n);
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) != 1) size = 0;
  }
  if (size == 0)
    return hl_fail(err, HL_EINVAL, "cannot listen on \"%s\": the address must be a number, like 127.0.0.1, 0.0.0.0 or [::1]", where);

  int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int yes = 1;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd, (struct sockaddr *)ss, size) != 0 || listen(fd, SOMAXCONN) != 0) {
    int e = errno;
    if (fd >= 0) close(fd);
    if (e == EADDRINUSE)
      return hl_fail(err, HL_EBUSY, "cannot listen on %s: the port is in use; stop the other program, or choose another port in `listen`", where);
    if (e == EACCES)
      return hl_fail(err, HL_EDENIED, "cannot listen on %s: not permitted; choose a port above 1023 in `listen`", where);
    return hl_fail(err, HL_EIO, "cannot listen on %s: %s", where, strerror(e));
  }
  socklen_t got = sizeof *ss;
  if (getsockname(fd, (struct sockaddr *)ss, &got) == 0)
    n = ntohs(ss->ss_family == AF_INET ? in->sin_port : in6->sin6_port);
  *out = fd;
  *port = (unsigned)n;
  return 0;
}

static void on_panic(void *arg, const char *file, unsigned line, const char *reason) {
  (void)arg;
  fprintf(stderr, "hubloop: libmicrohttpd: %s (%s:%u)\n", reason ? reason : "internal error", file, line);
  abort();
}

static void closed(uv_handle_t *handle) { hl_free(handle->data); }

int hl_server_new(hl_loop *loop, const hl_server_options *o, hl_request_cb cb, void *arg, hl_server **out, hl_error *err) {
  int fd = -1;
  unsigned port = 0;
  struct sockaddr_storage ss;
  int rc = hl_loop_need_real(loop, "HTTP server", err);
  if (rc == 0) rc = hl_mhd_load(err);
  if (rc == 0) rc = listen_on(o->listen, &ss, &fd, &port, err);
  if (rc) return rc;

  hl_server *s = HL_NEW(hl_server);
  s->loop = loop;
  s->cb = cb;
  s->arg = arg;
  s->port = port;
  s->max_body = o->max_body ? o->max_body : 4 * 1024 * 1024;
  s->request_ms = o->request_ms > 0 ? o->request_ms : 10000;
  s->idle_ms = o->idle_ms > 0 ? o->idle_ms : 75000;
  int64_t shortest = s->request_ms < s->idle_ms ? s->request_ms : s->idle_ms;
  s->sweep_ms = shortest / 8 < 5 ? 5 : shortest / 8 > 500 ? 500 : shortest / 8;
  s->max_connections = o->max_connections ? o->max_connections : 1000;
  s->again.unref = s->sweep.unref = true; /* listening keeps the loop alive, its timers do not */
  s->connections.next = s->connections.prev = &s->connections;
  s->lingering.next = s->lingering.prev = &s->lingering;
  size_t max_header = o->max_header ? o->max_header : 32 * 1024;

  MHD_set_panic_func(on_panic, NULL);
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  if (ss.ss_family == AF_INET6) flags |= MHD_USE_IPv6;
  s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_access, s,
                               MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, s, /* first, so that it hears of the rest */
                               MHD_OPTION_LISTEN_SOCKET, fd,
                               MHD_OPTION_CONNECTION_LIMIT, s->max_connections + SURPLUS,
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, max_header + MIN_POOL,
                               MHD_OPTION_CONNECTION_TIMEOUT, 0U,
                               MHD_OPTION_STRICT_FOR_CLIENT, 1,
                               MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                               MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
                               MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                               MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                               MHD_OPTION_END);
  s->empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  s->empty_close = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  const union MHD_DaemonInfo *info = s->daemon ? MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
  if (!info || !s->empty || !s->empty_close || uv_poll_init(hl_loop_uv(loop), &s->poll, info->epoll_fd) != 0) {
    if (s->daemon) MHD_stop_daemon(s->daemon);
    else close(fd);
    if (s->empty) MHD_destroy_response(s->empty);
    if (s->empty_close) MHD_destroy_response(s->empty_close);
    hl_free(s);
    return hl_fail(err, HL_EIO, "cannot listen on %s: the HTTP server does not start", o->listen);
  }
  MHD_add_response_header(s->empty_close, "Connection", "close");
  s->poll.data = s;
  uv_poll_start(&s->poll, UV_READABLE, on_readable);
  *out = s;
  return 0;
}

unsigned hl_server_port(const hl_server *s) { return s->port; }

static void free_now(hl_server *s) {
  s->stopping = true;
  hl_timer_stop(s->loop, &s->again);
  hl_timer_stop(s->loop, &s->drain_timer);
  hl_defer_stop(s->loop, &s->kick);
  hl_defer_stop(s->loop, &s->drain);
  uv_poll_stop(&s->poll); /* before MHD closes the descriptor */
  /* MHD panics when it is stopped with suspended connections. */
  for (conn *c = s->connections.next; c != &s->connections; c = c->next)
    if (c->request && c->request->suspended) MHD_resume_connection(c->request->mhd);
  MHD_stop_daemon(s->daemon);
  while (s->lingering.next != &s->lingering) linger_end(s->lingering.next);
  hl_timer_stop(s->loop, &s->sweep); /* closing connections armed it again */
  MHD_destroy_response(s->empty);
  MHD_destroy_response(s->empty_close);
  while (s->spare) {
    hl_request *r = s->spare;
    s->spare = r->next_spare;
    request_delete(r);
  }
  uv_close((uv_handle_t *)&s->poll, closed);
}

void hl_server_free(hl_server *s) {
  if (!s) return;
  if (s->running) s->free_after = true;
  else free_now(s);
}

/* ---- reading a request ---- */

const char *hl_request_method(const hl_request *r) { return r->method; }
const char *hl_request_target(const hl_request *r) { return r->target; }
hl_str hl_request_path(const hl_request *r) { return (hl_str){r->target, r->path_n}; }
hl_str hl_request_query(const hl_request *r) {
  size_t at = r->path_n < r->target_n ? r->path_n + 1 : r->target_n;
  return (hl_str){r->target + at, r->target_n - at};
}
const char *hl_request_header(const hl_request *r, const char *name) {
  return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

struct each {
  void (*fn)(void *arg, const char *name, const char *value);
  void *arg;
};
static enum MHD_Result on_each(void *arg, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  struct each *e = arg;
  e->fn(e->arg, name, value ? value : "");
  return MHD_YES;
}
void hl_request_headers(const hl_request *r, void (*each)(void *arg, const char *name, const char *value), void *arg) {
  struct each e = {each, arg};
  MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, on_each, &e);
}
hl_str hl_request_body(const hl_request *r) { return (hl_str){r->body_n ? r->body : "", r->body_n}; }
int64_t hl_request_received_us(const hl_request *r) { return r->received_us; }

const char *hl_request_peer(const hl_request *r) {
  union { const hl_request *in; hl_request *out; } u = {.in = r}; /* the text is a cache */
  if (!u.out->peer[0]) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    hl_address_text(info->client_addr, u.out->peer, sizeof u.out->peer);
  }
  return r->peer;
}
