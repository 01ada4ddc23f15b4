/* The HTTP client.
 *
 * One multi handle a policy (a "pool"), so that a connection opened to an address
 * that settings named can never serve a request that may reach public addresses
 * only. An operation owns an easy handle while it is out; easy handles go back to
 * a list, connections stay with their multi.
 *
 * Folded lines. A handle of libcurl 7.88 (Debian 12) keeps a pointer to the last
 * header of the answer before, which is freed, and writes there when the next
 * answer begins with a folded line. No callback comes before it does, except the
 * one for verbose output, so on_header switches that on from the status line to
 * the first header, and before_header refuses what is folded there.
 *
 * Sockets. libcurl opens them through open_socket (where the address is checked)
 * and closes them through close_socket; in between, one uv_poll stays registered
 * whatever curl's interest does, and is restarted only when the mask changes.
 * Sockets that curl makes itself (the resolver's pair) never come to close_socket,
 * so their poll ends when curl's interest does.
 *
 * Completion. curl's callbacks only collect; a finished operation is queued, and
 * the caller hears of it from a deferred call, where it may send, cancel or free.
 *
 * Nothing is sent twice: curl would repeat a request on a new connection when a
 * reused one breaks before the first byte of the answer. before_send counts, and
 * refuses the second time unless the method is safe to repeat (RFC 9110, 9.2.2). */
#include "net/client.h"

#include <errno.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/address.h"
#include "net/libcurl.h"

enum {
  DEFAULT_TIMEOUT_MS = 30000,
  MAX_HEADER_BYTES = 256 * 1024, /* of one answer, interim answers included */
  MAX_URL = 16 * 1024,
  MAX_HEADER = 64 * 1024,
  MAX_SPARE = 64,                /* easy handles kept */
  MAX_IDLE_CONNECTIONS = 256,
};
static const size_t DEFAULT_MAX_BODY = 16 * 1024 * 1024;

typedef struct client client;

typedef struct pool {
  client *c;
  CURLM *multi;                  /* NULL until the first request: starting libcurl takes 4 ms */
  hl_timer timer;
  hl_net_policy policy;
} pool;

typedef struct sock {
  uv_poll_t poll;                /* first: closing frees the sock */
  pool *pool;
  curl_socket_t fd;
  int mask;                      /* what the poll is started for; 0: stopped */
  bool ours;                     /* from open_socket: close_socket will end it */
  bool wanted;                   /* curl has a transfer on it */
} sock;

struct hl_http_op {
  hl_http_op *next, *prev;
  client *c;
  pool *pool;                    /* NULL: not in a multi */
  CURL *easy;
  CURLcode result;
  bool done;                     /* in the list of finished ones */

  char *method, *url;
  CURLU *parsed;                 /* of url, made when a message or a redirect needs it (parsed_of) */
  struct curl_slist *headers;    /* in header_block, as their texts are */
  char *header_block;
  char *body;
  size_t body_n;
  int64_t deadline, timeout_ms;
  size_t max_body, max_wire;
  unsigned hops_left, max_redirects;
  hl_net_policy policy;
  bool (*allow)(void *arg, const char *url);
  void *allow_arg;
  hl_http_cb cb;
  void *arg;

  hl_headers answer;
  hl_buf answer_body;
  size_t header_bytes;
  unsigned times_sent;           /* of this hop */
  bool sent;                     /* of any hop */
  bool at_first, folded;         /* no header yet, so verbose; it was a folded one */
  bool opens;                    /* the next line opens a block of the head */
  bool headers_ended;            /* the empty line came; curl takes an answer cut before it for a whole one */
  bool too_big, header_too_big, no_memory, repeat_refused;
  char denied[48];               /* the last address that the policy refused */
  char detail[CURL_ERROR_SIZE];
};

struct client {
  hl_transport transport;        /* first */
  hl_loop *loop;
  pool pools[2];                 /* by hl_net_policy */
  hl_http_op out, done;          /* list heads */
  hl_defer deliver;
  sock **socks;                  /* by descriptor */
  size_t n_socks;
  CURL *spare[MAX_SPARE];
  size_t n_spare;
  /* Ends of the header lists. libcurl would print these two twice for each request:
   * agent -> encoding, and agent_only where the request names its own encoding. */
  struct curl_slist agent, agent_only, encoding;
  char agents[64], encodings[64];
  char *origin;                  /* "https://host:port" of the last URL that was parsed and found good */
  size_t origin_n;
  bool delivering, freed;        /* freed while delivering: deliver gives the memory back */
};

static void list_init(hl_http_op *head) { head->next = head->prev = head; }
static void list_append(hl_http_op *head, hl_http_op *op) {
  op->prev = head->prev;
  op->next = head;
  head->prev->next = op;
  head->prev = op;
}
static void list_remove(hl_http_op *op) {
  op->prev->next = op->next;
  op->next->prev = op->prev;
}

/* ---- sockets ---- */

static void collect(pool *p);

static sock *sock_at(client *c, curl_socket_t fd) {
  return fd >= 0 && (size_t)fd < c->n_socks ? c->socks[fd] : NULL;
}

static sock *sock_new(pool *p, curl_socket_t fd, bool ours) {
  client *c = p->c;
  if ((size_t)fd >= c->n_socks) {
    size_t n = c->n_socks ? c->n_socks : 64;
    while (n <= (size_t)fd) n *= 2;
    c->socks = hl_realloc(c->socks, n * sizeof *c->socks);
    memset(c->socks + c->n_socks, 0, (n - c->n_socks) * sizeof *c->socks);
    c->n_socks = n;
  }
  sock *s = HL_NEW(sock);
  if (uv_poll_init_socket(hl_loop_uv(c->loop), &s->poll, fd) != 0) {
    hl_free(s);
    return NULL;
  }
  uv_unref((uv_handle_t *)&s->poll); /* idle connections do not keep the loop alive, operations do */
  s->poll.data = s;
  s->pool = p;
  s->fd = fd;
  s->ours = ours;
  return c->socks[fd] = s;
}

static void sock_closed(uv_handle_t *handle) { hl_free(handle->data); }

static void sock_end(sock *s) {
  s->pool->c->socks[s->fd] = NULL;
  uv_close((uv_handle_t *)&s->poll, sock_closed);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  sock *s = handle->data;
  pool *p = s->pool;
  if (!s->wanted) {
    /* An idle connection turned readable: the peer closed it, and curl will see
     * that when it next wants it. Watching on would spin. */
    uv_poll_stop(handle);
    s->mask = 0;
    return;
  }
  int flags = 0;
  if (status < 0) { /* libuv has stopped it; reading or writing will tell curl why */
    s->mask = 0;
    flags = CURL_CSELECT_IN | CURL_CSELECT_OUT;
  }
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  int running;
  curl_multi_socket_action(p->multi, s->fd, flags, &running); /* may end s */
  collect(p);
}

static int on_interest(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg) {
  (void)easy;
  (void)socket_arg;
  pool *p = arg;
  sock *s = sock_at(p->c, fd);
  if (what == CURL_POLL_REMOVE) {
    if (s) s->wanted = false;
    if (s && !s->ours) sock_end(s);
    return 0;
  }
  if (!s) s = sock_new(p, fd, false);
  if (!s) return -1;
  int mask = 0;
  if (what & CURL_POLL_IN) mask |= UV_READABLE;
  if (what & CURL_POLL_OUT) mask |= UV_WRITABLE;
  s->wanted = true;
  if (mask == s->mask) return 0;
  s->mask = mask;
  return uv_poll_start(&s->poll, mask, on_poll) == 0 ? 0 : -1;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
  (void)purpose;
  hl_http_op *op = arg;
  if (op->pool->policy == HL_NET_PUBLIC && !hl_address_public(&a->addr)) {
    hl_address_text(&a->addr, op->denied, sizeof op->denied);
    return CURL_SOCKET_BAD;
  }
  int fd = socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  if (!sock_new(op->pool, fd, true)) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  return fd;
}

static int close_socket(void *arg, curl_socket_t fd) {
  sock *s = sock_at(arg, fd);
  if (s) sock_end(s); /* before close: it takes fd out of epoll */
  return close(fd);
}

static void on_timer(hl_timer *timer, void *arg) {
  (void)timer;
  pool *p = arg;
  int running;
  curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  collect(p);
}

/* A zero may be armed directly: the loop runs timers armed by timers one turn
 * later, after a pass over the sockets, so it cannot starve them. */
static int on_timeout_change(CURLM *multi, long ms, void *arg) {
  (void)multi;
  pool *p = arg;
  if (ms < 0) hl_timer_stop(p->c->loop, &p->timer);
  else hl_timer_start(p->c->loop, &p->timer, ms, on_timer, p);
  return 0;
}

/* What this libcurl decodes: as it would say by itself. */
static void name_encodings(client *c) {
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  snprintf(c->encodings, sizeof c->encodings, "Accept-Encoding: deflate, gzip%s%s",
           v->features & CURL_VERSION_BROTLI ? ", br" : "", v->features & CURL_VERSION_ZSTD ? ", zstd" : "");
  if (!(v->features & CURL_VERSION_LIBZ)) snprintf(c->encodings, sizeof c->encodings, "Accept-Encoding: identity");
}

static int pool_open(pool *p, hl_error *err) {
  if (p->multi) return 0;
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, hl_mem.take, hl_mem.give, hl_mem.resize, hl_mem.copy, hl_mem.zeroed) !=
      CURLE_OK)
    return hl_fail(err, HL_EIO, "libcurl does not start");
  p->multi = curl_multi_init();
  if (!p->multi) {
    curl_global_cleanup();
    return hl_fail(err, HL_ENOMEM, "libcurl does not start: no memory");
  }
  name_encodings(p->c);
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_interest);
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
  return 0;
}

/* ---- what curl tells us of an answer ---- */

/* What a method or a header's name is made of (RFC 9110, 5.6.2), a bit for each ASCII character. */
static bool is_token(hl_str s) {
  static const uint64_t letters[2] = {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if ((unsigned char)((c | 0x20) - 'a') < 26 || c == '-') continue; /* nearly all */
    if (c > 127 || !(letters[c / 64] >> (c % 64) & 1)) return false;
  }
  return s.n > 0;
}

static int before_header(CURL *easy, curl_infotype type, char *p, size_t n, void *arg) {
  (void)arg;
  if (type != CURLINFO_HEADER_IN || n == 0 || (*p != ' ' && *p != '\t')) return 0;
  char *private = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  ((hl_http_op *)(void *)private)->folded = true;
  *p = '\r'; /* libcurl keeps no line that begins so; on_header ends the transfer */
  return 0;
}

/* A line that opens a block (after nothing, or an empty line) is a status line, which
 * libcurl does not keep; any other that comes here, it has kept. */
static size_t on_header(char *p, size_t size, size_t n, void *arg) {
  hl_http_op *op = arg;
  n *= size;
  size_t all = n;
  bool first = op->header_bytes == 0, opens = op->opens;
  op->header_bytes += n;
  if (op->header_bytes > MAX_HEADER_BYTES) {
    op->header_too_big = true;
    return 0;
  }
  if (op->folded) return 0;
  op->opens = n == 0 || *p == '\r' || *p == '\n';
  if (first || (op->at_first && !opens && !op->opens)) {
    curl_easy_setopt(op->easy, CURLOPT_VERBOSE, first ? 1L : 0L);
    op->at_first = first;
  }
  while (n && (p[n - 1] == '\r' || p[n - 1] == '\n')) n--;
  if (n >= 5 && strncasecmp(p, "HTTP/", 5) == 0) {
    hl_headers_deinit(&op->answer); /* a new block: the one before was interim */
    op->headers_ended = false;
    return all;
  }
  if (n == 0) op->headers_ended = true;
  const char *colon = memchr(p, ':', n);
  if (!colon) return all;
  hl_str name = {p, (size_t)(colon - p)}, value = {colon + 1, n - (size_t)(colon - p) - 1};
  while (value.n && (*value.p == ' ' || *value.p == '\t')) value.p++, value.n--;
  while (value.n && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) value.n--;
  if (is_token(name)) hl_headers_add(&op->answer, name, value); /* a folded line is none */
  return all;
}

/* Counts what was decompressed: a small answer may inflate to anything. */
static size_t on_body(char *p, size_t size, size_t n, void *arg) {
  hl_http_op *op = arg;
  int rc = hl_buf_append(&op->answer_body, p, size * n);
  if (rc == HL_ENOMEM) op->no_memory = true;
  else if (rc) op->too_big = true;
  return rc ? 0 : size * n;
}

/* Counts what comes: much may come that inflates to nothing. */
static int on_progress(void *arg, curl_off_t total, curl_off_t came, curl_off_t to_send, curl_off_t sent) {
  hl_http_op *op = arg;
  (void)to_send;
  (void)sent;
  if (came <= (curl_off_t)op->max_wire && total <= (curl_off_t)op->max_wire) return 0;
  op->too_big = true;
  return 1;
}

static bool safe_to_repeat(const char *method) {
  static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
  for (size_t i = 0; i < HL_COUNT(safe); i++)
    if (strcmp(method, safe[i]) == 0) return true;
  return false;
}

static int before_send(void *arg, char *to, char *from, int to_port, int from_port) {
  (void)to;
  (void)from;
  (void)to_port;
  (void)from_port;
  hl_http_op *op = arg;
  if (op->times_sent > 0 && !safe_to_repeat(op->method)) {
    op->repeat_refused = true;
    return CURL_PREREQFUNC_ABORT;
  }
  op->times_sent++;
  op->sent = true;
  return CURL_PREREQFUNC_OK;
}

/* ---- easy handles ---- */

static CURL *easy_new(client *c) {
  if (c->n_spare) return c->spare[--c->n_spare];
  CURL *e = curl_easy_init();
  if (!e) return NULL;
  /* What no request changes. */
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* giving up does not wait for the resolver's thread */
  curl_easy_setopt(e, CURLOPT_PROXY, "");
  curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(e, CURLOPT_DEBUGFUNCTION, before_header);
  curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, c); /* outlives the easy: connections keep it */
  curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_send);
  return e;
}

/* Takes the operation out of curl. A connection in the middle of an answer is closed. */
static void detach_easy(hl_http_op *op) {
  client *c = op->c;
  if (!op->easy) return;
  if (op->pool) curl_multi_remove_handle(op->pool->multi, op->easy);
  op->pool = NULL;
  if (op->body) curl_easy_setopt(op->easy, CURLOPT_POSTFIELDS, NULL);
  curl_easy_setopt(op->easy, CURLOPT_HTTPHEADER, NULL);
  curl_easy_setopt(op->easy, CURLOPT_ERRORBUFFER, NULL);
  if (op->at_first) curl_easy_setopt(op->easy, CURLOPT_VERBOSE, 0L);
  if (op->max_wire) curl_easy_setopt(op->easy, CURLOPT_NOPROGRESS, 1L);
  op->at_first = false;
  if (c->n_spare < MAX_SPARE) c->spare[c->n_spare++] = op->easy;
  else curl_easy_cleanup(op->easy);
  op->easy = NULL;
}

static void op_free(hl_http_op *op) {
  client *c = op->c;
  detach_easy(op);
  if (op->next) {
    list_remove(op);
    hl_loop_release(c->loop);
  }
  if (op->parsed) curl_url_cleanup(op->parsed);
  hl_headers_deinit(&op->answer);
  hl_buf_deinit(&op->answer_body);
  hl_free(op->method);
  hl_free(op->url);
  hl_free(op->header_block);
  hl_free(op->body);
  hl_free(op);
}

/* ---- messages ---- */

static CURLU *parsed_of(hl_http_op *op);

/* A part of the URL; "" when it has none. curl_free the result. */
static char *url_part(CURLU *u, CURLUPart part) {
  char *s = NULL;
  if (!u || curl_url_get(u, part, &s, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK) return NULL;
  return s;
}

/* "GET https://host:port/path": the query may hold credentials and stays out. */
static void describe(hl_http_op *op, char *out, size_t size) {
  CURLU *u = parsed_of(op);
  char *scheme = url_part(u, CURLUPART_SCHEME), *host = url_part(u, CURLUPART_HOST);
  char *path = url_part(u, CURLUPART_PATH), *port = NULL;
  if (!u || curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) != CURLUE_OK) port = NULL;
  snprintf(out, size, "%s %s://%s%s%s%s", op->method, scheme ? scheme : "?", host ? host : "?", port ? ":" : "",
           port ? port : "", path ? path : "");
  curl_free(scheme);
  curl_free(host);
  curl_free(path);
  curl_free(port);
}

static int explain(hl_http_op *op, hl_error *err) {
  char what[512];
  char *host = url_part(parsed_of(op), CURLUPART_HOST);
  const char *h = host ? host : "?";
  const char *detail = op->detail[0] ? op->detail : curl_easy_strerror(op->result);
  int rc;
  describe(op, what, sizeof what);
  if (op->too_big)
    rc = hl_fail(err, HL_ELIMIT, "%s: the answer is larger than the limit of %zu bytes; ask for less, or raise the limit",
                 what, op->max_body);
  else if (op->no_memory)
    rc = hl_fail(err, HL_ENOMEM, "%s: no memory for the answer after %zu bytes", what, op->answer_body.n);
  else if (op->header_too_big)
    rc = hl_fail(err, HL_ELIMIT, "%s: the answer's headers are larger than %d bytes", what, MAX_HEADER_BYTES);
  else if (op->repeat_refused)
    rc = hl_fail(err, HL_ENET,
                 "%s: the connection was lost before an answer came; the request may have been carried out and was not repeated",
                 what);
  else
    switch (op->result) {
      case CURLE_COULDNT_RESOLVE_HOST:
        rc = hl_fail(err, HL_ENET, "%s: the host %s cannot be found; check its name and this machine's DNS", what, h);
        break;
      case CURLE_COULDNT_CONNECT:
        if (op->denied[0])
          rc = hl_fail(err, HL_EDENIED,
                       "%s: %s is at %s, which is no public address; name the host in settings or permissions if it is meant",
                       what, h, op->denied);
        else
          rc = hl_fail(err, HL_ENET, "%s: cannot connect to %s (%s); check that it is up and reachable from here", what, h,
                       detail);
        break;
      case CURLE_OPERATION_TIMEDOUT:
        rc = hl_fail(err, HL_ETIMEOUT, "%s: no complete answer within %lld ms%s", what, (long long)op->timeout_ms,
                     op->sent ? "" : "; the request was not sent");
        break;
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_ISSUER_ERROR:
        rc = hl_fail(err, HL_ENET, "%s: the TLS certificate of %s is not trusted (%s); check the URL and this machine's clock and CA certificates",
                     what, h, detail);
        break;
      case CURLE_SSL_CONNECT_ERROR:
        rc = hl_fail(err, HL_ENET, "%s: no TLS connection with %s (%s); check the URL's scheme and port, and what stands between",
                     what, h, detail);
        break;
      case CURLE_WEIRD_SERVER_REPLY:
      case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is not HTTP/1 or later */
      case CURLE_BAD_CONTENT_ENCODING:
      case CURLE_HTTP2:
      case CURLE_HTTP2_STREAM:
        rc = hl_fail(err, HL_EPROTOCOL, "%s: the answer is not proper HTTP (%s)", what, detail);
        break;
      case CURLE_OUT_OF_MEMORY:
        rc = hl_fail(err, HL_ENOMEM, "%s: not enough memory", what);
        break;
      case CURLE_PARTIAL_FILE:
      case CURLE_GOT_NOTHING:
      case CURLE_RECV_ERROR:
        rc = hl_fail(err, HL_ENET, "%s: the connection was lost before the answer was complete (%s)", what, detail);
        break;
      default:
        rc = hl_fail(err, HL_ENET, "%s: %s", what, detail);
    }
  curl_free(host);
  return rc;
}

/* ---- starting a hop ---- */

static int parse_url(const char *url, CURLU **out, hl_error *err) {
  size_t shown = strcspn(url, "?#");
  const char *at = memchr(url, '@', strcspn(url, "?#"));
  if (at) shown = 0; /* what stands before it may be a password */
  if (shown > 300) shown = 300;
  if (strlen(url) > MAX_URL) return hl_fail(err, HL_EINVAL, "the URL is longer than %d bytes", MAX_URL);
  CURLU *u = curl_url();
  if (!u) return hl_fail(err, HL_ENOMEM, "no memory for a URL");
  CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
  char *scheme = NULL, *user = NULL;
  int code = 0;
  if (rc == CURLUE_OK) curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
  if (rc == CURLUE_OK) curl_url_get(u, CURLUPART_USER, &user, 0);
  if (rc != CURLUE_OK)
    code = hl_fail(err, HL_EINVAL, "\"%.*s\" is no absolute URL (%s); write it like https://host/path", (int)shown, url,
                   curl_url_strerror(rc));
  else if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
    code = hl_fail(err, HL_EINVAL, "\"%.*s\": only http and https URLs can be reached", (int)shown, url);
  else if (user)
    code = hl_fail(err, HL_EINVAL, "the URL holds a user name or password; send it in the Authorization header");
  curl_free(scheme);
  curl_free(user);
  if (code) {
    curl_url_cleanup(u);
    return code;
  }
  *out = u;
  return 0;
}

static CURLU *parsed_of(hl_http_op *op) {
  hl_error ignored;
  if (!op->parsed && parse_url(op->url, &op->parsed, &ignored)) op->parsed = NULL; /* no memory */
  return op->parsed;
}

/* A URL with the origin of the one before is good if nothing in the rest is
 * refused, so most need no parsing here (libcurl parses them anyway). */
static int check_url(client *c, const char *url, CURLU **parsed, hl_error *err) {
  size_t n = c->origin_n;
  if (n && strncmp(url, c->origin, n) == 0 && url[n] == '/') {
    const unsigned char *p = (const unsigned char *)url + n;
    while (*p > ' ' && *p < 0x7f) p++;
    if (!*p && (const char *)p - url <= MAX_URL) return 0;
  }
  int rc = parse_url(url, parsed, err);
  if (rc) return rc;
  n = hl_url_origin(url);
  hl_free(c->origin);
  c->origin = n ? hl_strndup(url, n) : NULL;
  c->origin_n = n;
  return 0;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
  char *x = url_part(a, part), *y = url_part(b, part);
  bool same = x && y && strcasecmp(x, y) == 0;
  curl_free(x);
  curl_free(y);
  return same;
}

static bool same_origin(CURLU *a, CURLU *b) {
  return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) && same_part(a, b, CURLUPART_PORT);
}

/* The three announce a length even when it is 0. */
static bool has_body(const hl_http_op *op) {
  return op->body_n > 0 || strcmp(op->method, "POST") == 0 || strcmp(op->method, "PUT") == 0 ||
         strcmp(op->method, "PATCH") == 0;
}

/* Hands the operation to curl. Fails only for want of memory; then the easy is detached. */
static int start_hop(hl_http_op *op, hl_error *err) {
  client *c = op->c;
  pool *p = &c->pools[op->policy];
  int rc = pool_open(p, err);
  if (rc) return rc;
  CURL *e = op->easy = easy_new(c);
  if (!e) return hl_fail(err, HL_ENOMEM, "no memory for a request");

  op->times_sent = 0;
  op->headers_ended = op->folded = false;
  op->header_bytes = 0;
  op->opens = true;
  op->denied[0] = op->detail[0] = '\0';
  hl_headers_deinit(&op->answer);
  hl_buf_clear(&op->answer_body);

  curl_easy_setopt(e, CURLOPT_URL, op->url);
  /* With TLS, requests of one turn wait for the handshake to learn whether they can
   * share the connection. Without, they would wait for the first answer: no. */
  bool tls = strncasecmp(op->url, "https:", 6) == 0;
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(e, CURLOPT_PIPEWAIT, tls ? 1L : 0L);
  curl_easy_setopt(e, CURLOPT_HTTPGET, 1L); /* forgets the body and kind of the request before */
  bool head = strcmp(op->method, "HEAD") == 0;
  if (has_body(op)) {
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, op->body ? op->body : "");
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)op->body_n);
  } else if (head) {
    curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
  }
  bool plain_get = strcmp(op->method, "GET") == 0 && !has_body(op);
  curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, plain_get ? NULL : op->method);
  curl_easy_setopt(e, CURLOPT_HTTPHEADER, op->headers);
  int64_t left = op->deadline - hl_loop_mono(c->loop);
  curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(left > 1 ? left : 1));
  curl_easy_setopt(e, CURLOPT_ERRORBUFFER, op->detail);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, op);
  curl_easy_setopt(e, CURLOPT_HEADERDATA, op);
  curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, op);
  curl_easy_setopt(e, CURLOPT_PREREQDATA, op);
  curl_easy_setopt(e, CURLOPT_PRIVATE, op);
  if (op->max_wire) {
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, op);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
  }

  if (curl_multi_add_handle(p->multi, e) != CURLM_OK) {
    detach_easy(op);
    return hl_fail(err, HL_ENOMEM, "libcurl refuses a request");
  }
  op->pool = p;
  return 0;
}

/* ---- the end of a hop ---- */

static void deliver(hl_defer *defer, void *arg);

static void collect(pool *p) {
  CURLMsg *m;
  int left;
  while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
    if (m->msg != CURLMSG_DONE) continue;
    char *private = NULL;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
    hl_http_op *op = (hl_http_op *)(void *)private;
    op->result = m->data.result;
    op->done = true;
    list_remove(op);
    list_append(&p->c->done, op);
    hl_defer_start(p->c->loop, &p->c->deliver, deliver, p->c);
  }
}

static bool header_is(const char *line, const char *name) {
  size_t n = strlen(name);
  return strncasecmp(line, name, n) == 0 && (line[n] == ':' || line[n] == ';');
}

static void drop_headers(hl_http_op *op, const char *const *names) {
  for (struct curl_slist **at = &op->headers; *at;) {
    bool drop = false;
    for (size_t i = 0; names[i] && !drop; i++) drop = header_is((*at)->data, names[i]);
    if (drop) *at = (*at)->next;
    else at = &(*at)->next;
  }
}

/* 1: the next hop has started; 0: the answer is final; negative: refused. */
static int follow(hl_http_op *op, long status, hl_error *err) {
  if (op->max_redirects == 0) return 0;
  if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) return 0;
  char *to = NULL, what[512];
  curl_easy_getinfo(op->easy, CURLINFO_REDIRECT_URL, &to); /* absolute; lives as long as the easy */
  if (!to) return 0;
  describe(op, what, sizeof what);
  if (op->hops_left == 0)
    return hl_fail(err, HL_ELIMIT, "%s: redirected more than %u times", what, op->max_redirects);

  CURLU *next = NULL;
  char *url = hl_strdup(to);
  int rc = parse_url(url, &next, err);
  if (rc) {
    hl_free(url);
    err->code = HL_EDENIED;
    return hl_fail_in(err, "%s: redirected to what cannot be followed", what);
  }
  bool same = same_origin(parsed_of(op), next);
  char *host = url_part(next, CURLUPART_HOST);
  if (op->allow && !op->allow(op->allow_arg, url))
    rc = hl_fail(err, HL_EDENIED, "%s: redirected to the host %s, which is not permitted; add it to the permitted hosts", what,
                 host ? host : "?");
  curl_free(host);
  if (rc) {
    hl_free(url);
    curl_url_cleanup(next);
    return rc;
  }
  if (!op->allow && !same) op->policy = HL_NET_PUBLIC; /* nobody named this one */

  detach_easy(op);
  if (!same) drop_headers(op, (const char *const[]){"Authorization", "Cookie", "Proxy-Authorization", NULL});
  bool get = strcmp(op->method, "GET") == 0 || strcmp(op->method, "HEAD") == 0;
  if ((status == 303 && !get) || (status < 303 && strcmp(op->method, "POST") == 0)) {
    hl_free(op->method);
    hl_free(op->body);
    op->method = hl_strdup("GET");
    op->body = NULL;
    op->body_n = 0;
    drop_headers(op, (const char *const[]){"Content-Type", "Content-Encoding", "Content-Language", "Content-Location", NULL});
  }
  hl_free(op->url);
  if (op->parsed) curl_url_cleanup(op->parsed);
  op->url = url;
  op->parsed = next;
  op->hops_left--;
  rc = start_hop(op, err);
  return rc ? rc : 1;
}

/* Whole ms, rounded down. */
static int64_t connect_ms(CURL *easy) {
  long opened = 0;
  curl_off_t looked_up = 0, connected = 0;
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
  if (opened != 1) return 0;
  curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &looked_up);
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
  return connected > looked_up ? (int64_t)(connected - looked_up) / 1000 : 0;
}

static void finish(hl_http_op *op) {
  hl_http_response r = {0};
  long status = 0;
  int rc = 0;
  if (op->folded) {
    op->result = CURLE_WEIRD_SERVER_REPLY;
    snprintf(op->detail, sizeof op->detail, "its first header is a folded line");
  }
  if (op->result == CURLE_OK && !op->headers_ended) op->result = CURLE_PARTIAL_FILE;
  if (op->result == CURLE_OK) curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status);
  if (op->result == CURLE_OK && (status < 100 || status > 999)) { /* 0 would mean that there is no answer */
    op->result = CURLE_WEIRD_SERVER_REPLY;
    snprintf(op->detail, sizeof op->detail, "its status is %ld", status);
  }
  if (op->result == CURLE_OK) {
    rc = follow(op, status, &r.err);
    if (rc == 1) {
      client *c = op->c;
      op->done = false;
      list_remove(op);
      list_append(&c->out, op);
      return;
    }
  } else {
    rc = explain(op, &r.err);
    r.final = op->result == CURLE_PEER_FAILED_VERIFICATION || op->result == CURLE_SSL_CACERT_BADFILE ||
              op->result == CURLE_SSL_ISSUER_ERROR;
  }
  if (rc == 0) {
    r.status = (int)status;
    r.headers = op->answer;
    r.body = hl_buf_str(&op->answer_body);
    r.connect_ms = connect_ms(op->easy);
  }
  r.sent = op->sent;

  /* Out of every list first: the callback may cancel others or free the client. */
  client *c = op->c;
  detach_easy(op);
  list_remove(op);
  op->next = op->prev = NULL;
  hl_loop *loop = c->loop;
  op->cb(op->arg, &r);
  op_free(op);
  hl_loop_release(loop);
}

static void deliver(hl_defer *defer, void *arg) {
  (void)defer;
  client *c = arg;
  c->delivering = true;
  while (c->done.next != &c->done) finish(c->done.next);
  c->delivering = false;
  if (c->freed) hl_free(c);
}

/* ---- the transport ---- */

static bool is_length(const char *name) { /* we know the length */
  return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

/* Names and values are outside bytes: a line break in one would start a new header. */
static int check_headers(const hl_headers *h, hl_error *err) {
  for (size_t i = 0; h && i < h->n; i++) {
    const char *name = h->v[i].name, *value = h->v[i].value;
    if (!is_token(hl_str_of(name)) || strpbrk(value, "\r\n"))
      return hl_fail(err, HL_EINVAL, "header %zu: a name is letters, digits and dashes, and a value is one line", i + 1);
    if (strcasecmp(name, "Host") == 0)
      return hl_fail(err, HL_EINVAL, "the Host header comes from the URL and cannot be set");
    if (strlen(name) + strlen(value) > MAX_HEADER)
      return hl_fail(err, HL_ELIMIT, "the header %s is longer than 64 KiB", name);
  }
  return 0;
}

/* Appends the three texts and a NUL; their end. */
static char *put_line(char *at, const char *a, const char *b, const char *c) {
  const char *parts[] = {a, b, c};
  for (size_t i = 0; i < HL_COUNT(parts); i++) {
    size_t n = strlen(parts[i]);
    memcpy(at, parts[i], n);
    at += n;
  }
  *at++ = '\0';
  return at;
}

/* The list that curl reads, its nodes and texts in one block. */
static int take_headers(hl_http_op *op, const hl_headers *h, hl_error *err) {
  /* No waiting for 100-continue, and no media type that nobody named; both go with a body only. */
  static const struct { const char *name, *line; } unset[] = {{"Expect", "Expect:"}, {"Content-Type", "Content-Type:"}};
  int rc = check_headers(h, err);
  if (rc) return rc;
  size_t n = HL_COUNT(unset), bytes = 64;
  for (size_t i = 0; h && i < h->n; i++, n++) bytes += strlen(h->v[i].name) + strlen(h->v[i].value) + 3;
  op->header_block = hl_try_realloc(NULL, n * sizeof(struct curl_slist) + bytes);
  if (!op->header_block) return hl_fail(err, HL_ENOMEM, "no memory for headers");
  struct curl_slist *node = (struct curl_slist *)(void *)op->header_block, **last = &op->headers;
  char *text = op->header_block + n * sizeof *node;
  for (size_t i = 0; h && i < h->n; i++) {
    const char *name = h->v[i].name, *value = h->v[i].value;
    if (is_length(name)) continue;
    *node = (struct curl_slist){.data = text};
    /* "Name;" is curl's way to send an empty value; "Name:" would remove the header. */
    text = put_line(text, name, *value ? ": " : ";", value);
    *last = node;
    last = &node++->next;
  }
  bool agent = !hl_headers_get(h, "User-Agent"), encoding = !hl_headers_get(h, "Accept-Encoding");
  for (size_t i = 0; has_body(op) && i < HL_COUNT(unset); i++) {
    if (hl_headers_get(h, unset[i].name)) continue;
    *node = (struct curl_slist){.data = text};
    text = put_line(text, unset[i].line, "", "");
    *last = node;
    last = &node++->next;
  }
  client *c = op->c;
  *last = agent ? encoding ? &c->agent : &c->agent_only : encoding ? &c->encoding : NULL;
  return 0;
}

static int client_send(hl_transport *t, const hl_http_request *q, hl_http_cb cb, void *arg, hl_http_op **out,
                       hl_error *err) {
  client *c = (client *)(void *)t;
  int rc = hl_loop_need_real(c->loop, q->url, err);
  if (!rc) rc = hl_curl_load(err);
  if (rc) return rc;

  hl_http_op *op = HL_NEW(hl_http_op);
  op->c = c;
  op->cb = cb;
  op->arg = arg;
  op->timeout_ms = q->timeout_ms > 0 ? q->timeout_ms : DEFAULT_TIMEOUT_MS;
  op->deadline = hl_loop_mono(c->loop) + op->timeout_ms;
  op->max_body = q->max_body ? q->max_body : DEFAULT_MAX_BODY;
  op->max_wire = q->max_wire;
  op->hops_left = op->max_redirects = q->max_redirects;
  op->policy = q->policy == HL_NET_NAMED ? HL_NET_NAMED : HL_NET_PUBLIC;
  op->allow = q->allow;
  op->allow_arg = q->allow_arg;
  hl_buf_init(&op->answer_body, op->max_body);
  if (!is_token(hl_str_of(q->method))) {
    rc = hl_fail(err, HL_EINVAL, "the method is no word like GET");
    goto fail;
  }
  rc = check_url(c, q->url, &op->parsed, err);
  if (rc) goto fail;
  op->method = hl_strdup(q->method);
  op->url = hl_strdup(q->url);
  if (q->body.n) {
    op->body = hl_try_realloc(NULL, q->body.n);
    if (!op->body) {
      rc = hl_fail(err, HL_ENOMEM, "no memory for a request body of %zu bytes", q->body.n);
      goto fail;
    }
    memcpy(op->body, q->body.p, q->body.n);
    op->body_n = q->body.n;
  }
  rc = take_headers(op, q->headers, err);
  if (rc == 0) rc = start_hop(op, err);
  if (rc) goto fail;
  list_append(&c->out, op);
  hl_loop_hold(c->loop);
  if (out) *out = op;
  return 0;

fail:
  op_free(op);
  return rc;
}

static void client_cancel(hl_transport *t, hl_http_op *op) {
  (void)t;
  op_free(op);
}

static bool client_sent(const hl_http_op *op) { return op->sent; }

static void client_free(hl_transport *t) {
  if (!t) return;
  client *c = (client *)(void *)t;
  while (c->out.next != &c->out) op_free(c->out.next);
  while (c->done.next != &c->done) op_free(c->done.next);
  hl_defer_stop(c->loop, &c->deliver);
  while (c->n_spare) curl_easy_cleanup(c->spare[--c->n_spare]);
  for (size_t i = 0; i < HL_COUNT(c->pools); i++) {
    pool *p = &c->pools[i];
    if (!p->multi) continue;
    curl_multi_cleanup(p->multi); /* closes the idle connections, and so their polls */
    hl_timer_stop(c->loop, &p->timer);
    curl_global_cleanup();
  }
  for (size_t i = 0; i < c->n_socks; i++)
    if (c->socks[i]) sock_end(c->socks[i]);
  hl_free(c->socks);
  hl_free(c->origin);
  c->freed = true;
  if (!c->delivering) hl_free(c);
}

int hl_client_new(hl_loop *loop, hl_transport **out, hl_error *err) {
  (void)err;
  client *c = HL_NEW(client);
  c->transport = (hl_transport){client_send, client_cancel, client_free, client_sent};
  c->loop = loop;
  list_init(&c->out);
  list_init(&c->done);
  snprintf(c->agents, sizeof c->agents, "User-Agent: hubloop/" HL_VERSION);
  c->encoding.data = c->encodings;
  c->agent = (struct curl_slist){c->agents, &c->encoding};
  c->agent_only.data = c->agents;
  for (size_t i = 0; i < HL_COUNT(c->pools); i++) {
    c->pools[i].c = c;
    c->pools[i].policy = (hl_net_policy)i;
    c->pools[i].timer.unref = true; /* operations hold the loop */
  }
  *out = &c->transport;
  return 0;
}
