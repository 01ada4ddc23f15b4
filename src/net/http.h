/* HTTP as values, and the transport: how a request leaves. Two transports
 * exist: libcurl (net/client.h) and the in-process simulator (lua/sim.h). Loop
 * thread only. Never blocks. */
#ifndef HL_NET_HTTP_H
#define HL_NET_HTTP_H

#include "base/err.h"
#include "base/str.h"

typedef struct hl_headers {   /* owned copies (a block each, the name first), order kept, names as given */
  struct hl_header { char *name, *value; } *v;
  size_t n, cap;
} hl_headers;

void hl_headers_add(hl_headers *h, hl_str name, hl_str value);
const char *hl_headers_get(const hl_headers *h, const char *name); /* any case; NULL */
void hl_headers_deinit(hl_headers *h);

/* The length of "https://host:port" at the beginning of url, which names the peer
 * whatever follows from a '/' on; 0 when it is not written in just this way. */
size_t hl_url_origin(const char *url);

typedef enum hl_net_policy {
  HL_NET_PUBLIC = 0,     /* public addresses only, checked at connect (SEMANTICS 39) */
  HL_NET_NAMED = 1,      /* any address: the host was named by settings or permission */
} hl_net_policy;

typedef struct hl_http_request {
  const char *method;
  const char *url;             /* absolute http(s) URL */
  const hl_headers *headers;   /* may be NULL */
  hl_str body;
  int64_t timeout_ms;          /* whole request; 0: 30 s */
  size_t max_body;             /* of the answer, after decompression; 0: 16 MiB */
  size_t max_wire;             /* of the answer, as it comes; 0: no limit of its own */
  unsigned max_redirects;      /* 0: none are followed */
  hl_net_policy policy;
  /* Asked before each redirect with the new absolute URL; false refuses. NULL
   * with max_redirects > 0: any public host. */
  bool (*allow)(void *arg, const char *url);
  void *allow_arg;
} hl_http_request;

typedef struct hl_http_response {
  int status;                  /* 0: no answer, see err */
  hl_headers headers;
  hl_str body;
  hl_error err;                /* HL_ENET, HL_ETIMEOUT, HL_ELIMIT, HL_EDENIED, HL_EPROTOCOL, HL_ENOMEM */
  bool sent;                   /* with status 0: the request may have reached the peer */
  bool final;                  /* with status 0: it would fail again (a certificate that is not trusted) */
  int64_t connect_ms;          /* TCP's handshake of a connection opened for it; 0: unknown */
} hl_http_response;

/* Borrowed for the length of the callback. Called exactly once, never from
 * inside send, unless the operation is cancelled, then never. */
typedef void (*hl_http_cb)(void *arg, const hl_http_response *response);

typedef struct hl_http_op hl_http_op;
typedef struct hl_transport hl_transport;
struct hl_transport {
  /* Copies what it needs of the request. 0 and *op (valid until the callback),
   * or an error at once (bad URL, virtual time) and no callback. */
  int (*send)(hl_transport *t, const hl_http_request *request, hl_http_cb cb, void *arg,
              hl_http_op **op, hl_error *err);
  void (*cancel)(hl_transport *t, hl_http_op *op);
  void (*free)(hl_transport *t);  /* cancels what is out */
  /* The request may have reached the peer. NULL: every one that is out may have. */
  bool (*sent)(const hl_http_op *op);
};

#endif
