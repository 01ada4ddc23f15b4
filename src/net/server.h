/* HTTP server: libmicrohttpd, its epoll descriptor watched by the loop. A
 * request is handed over when its body is complete (bounded), and answered at
 * any later time on the loop. The server answers 400, 408, 413, 431 and 503 (too
 * many connections) itself; a request whose length can be read in two ways is 400
 * (RFC 9112, 6.3). Never blocks. */
#ifndef HL_NET_SERVER_H
#define HL_NET_SERVER_H

#include "loop/loop.h"
#include "net/http.h"

typedef struct hl_server hl_server;
typedef struct hl_request hl_request;

typedef struct hl_server_options {
  const char *listen;          /* "127.0.0.1:8480", "[::1]:8480"; port 0: any */
  size_t max_body;             /* 0: 4 MiB; over it 413 */
  size_t max_header;           /* 0: 32 KiB; over it 431 */
  int64_t request_ms;          /* first byte to last byte of a request; 0: 10 s; then 408 */
  int64_t idle_ms;             /* keep-alive; 0: 75 s */
  unsigned max_connections;    /* 0: 1,000 */
} hl_server_options;

/* Called once a request, when it is complete. `request` lives until
 * hl_request_reply or hl_request_drop; one of them must be called, also after the
 * peer left (the reply is then dropped). */
typedef void (*hl_request_cb)(void *arg, hl_request *request);

/* HL_EBUSY names the port and how to choose another. */
int hl_server_new(hl_loop *loop, const hl_server_options *options, hl_request_cb cb, void *arg,
                  hl_server **out, hl_error *err);
unsigned hl_server_port(const hl_server *server);
/* Stops listening; `done` when every request in hand has been answered or
 * deadline_ms passed. */
void hl_server_drain(hl_server *server, int64_t deadline_ms, void (*done)(void *arg), void *arg);
/* Requests not replied to are dropped: their hl_request must not be used after. */
void hl_server_free(hl_server *server);

const char *hl_request_method(const hl_request *r);
const char *hl_request_target(const hl_request *r);  /* path and query exactly as sent */
hl_str hl_request_path(const hl_request *r);         /* before '?', as sent */
hl_str hl_request_query(const hl_request *r);        /* after '?', as sent, may be empty */
const char *hl_request_header(const hl_request *r, const char *name); /* any case, NULL */
void hl_request_headers(const hl_request *r, void (*each)(void *arg, const char *name, const char *value), void *arg);
hl_str hl_request_body(const hl_request *r);
int64_t hl_request_received_us(const hl_request *r); /* hl_loop_mono_us when complete */
const char *hl_request_peer(const hl_request *r);    /* address text */

/* Ends the request; `r` is gone on return. headers may be NULL; body is copied. */
void hl_request_reply(hl_request *r, int status, const hl_headers *headers, hl_str body);
/* The same as a bad network has it, for the simulator: `body` leaves in pieces over
 * over_ms (0: at once), and after its first `cut` bytes the connection breaks, though
 * Content-Length promised all of it (cut >= body.n: it does not). */
void hl_request_reply_badly(hl_request *r, int status, const hl_headers *headers, hl_str body, int64_t over_ms, size_t cut);
/* Ends the request and closes its connection without an answer; `r` is gone on return. */
void hl_request_drop(hl_request *r);

#endif
