/* HTTP client: libcurl's multi socket interface on the loop. Keep-alive, HTTP/2
 * where offered, TLS verified, no proxy from the environment, no netrc, http(s)
 * only; the resolved address is checked at connect. One uv_poll a socket, kept
 * across requests (PERFORMANCE.md). */
#ifndef HL_NET_CLIENT_H
#define HL_NET_CLIENT_H

#include "loop/loop.h"
#include "net/http.h"

int hl_client_new(hl_loop *loop, hl_transport **out, hl_error *err);

#endif
