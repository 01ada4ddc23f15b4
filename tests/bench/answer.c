/* A server that is never the limit: every request is answered at once with one
 * contact of about 1 KB. Below /crm with the 18 headers that HubSpot sends, which
 * allow 100,000 requests a second, elsewhere with four. Keep-alive, pipelining, one thread, epoll.
 *
 *   answer          prints "listening PORT"; GET /_count answers the requests so far */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECTIONS_MAX = 1024, REQUEST_MAX = 64 * 1024 };

typedef struct connection {
  int fd;
  size_t n;
  char in[REQUEST_MAX];
} connection;

static const char RECORD[] =
    "{\"id\":\"151\",\"properties\":{\"email\":\"ana.lindqvist@northwind.example\",\"firstname\":\"Ana\","
    "\"lastname\":\"Lindqvist\",\"company\":\"Northwind Traders\",\"phone\":\"+46 8 123 456 78\",\"country\":\"Sweden\","
    "\"city\":\"Stockholm\",\"zip\":\"11122\",\"address\":\"Drottninggatan 12\",\"jobtitle\":\"Head of Purchasing\","
    "\"website\":\"https://northwind.example\",\"lifecyclestage\":\"marketingqualifiedlead\",\"hs_lead_status\":\"OPEN\","
    "\"hubspot_owner_id\":\"40217\",\"num_associated_deals\":\"3\",\"annualrevenue\":\"1250000\",\"numberofemployees\":\"84\","
    "\"hs_analytics_source\":\"ORGANIC_SEARCH\",\"hs_email_domain\":\"northwind.example\",\"hs_language\":\"sv\","
    "\"notes_last_contacted\":\"2026-08-30T11:02:44.120Z\",\"createdate\":\"2026-03-02T08:15:30.000Z\","
    "\"lastmodifieddate\":\"2026-09-01T07:59:58.411Z\",\"hs_object_id\":\"151\",\"message\":null},"
    "\"createdAt\":\"2026-03-02T08:15:30.000Z\",\"updatedAt\":\"2026-09-01T07:59:58.411Z\",\"archived\":false}";

static const char HEAD[] =
    "Content-Type: application/json;charset=utf-8\r\n"
    "Connection: keep-alive\r\nCF-Ray: 8f0a1b2c3d4e5f60-ARN\r\nCF-Cache-Status: DYNAMIC\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\nVary: origin, Accept-Encoding\r\n"
    "Access-Control-Allow-Credentials: false\r\nX-Content-Type-Options: nosniff\r\n"
    "X-HubSpot-Correlation-Id: 0190f2c4-6a3e-7b1d-9c55-2f1e8d7a6b40\r\nX-HubSpot-RateLimit-Max: 100000\r\n"
    "X-HubSpot-RateLimit-Remaining: 99000\r\nX-HubSpot-RateLimit-Interval-Milliseconds: 1000\r\n"
    "X-HubSpot-RateLimit-Daily: 100000000\r\nX-HubSpot-RateLimit-Daily-Remaining: 99000000\r\nServer: cloudflare\r\n";

static char answer[4096], plain[4096];
static size_t answer_n, plain_n;
static uint64_t count;

static void put(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
    if (w < 0 && errno != EINTR) return; /* the client reads, so a full buffer does not come */
    if (w > 0) p += w, n -= (size_t)w;
  }
}

/* The length of the first whole request, 0 when there is none yet. */
static size_t whole(const connection *c) {
  const char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = (size_t)(end - c->in) + 4, body = 0;
  for (const char *h = memmem(c->in, head, "\r\n", 2); h && h < end; h = memmem(h + 2, head - (size_t)(h + 2 - c->in), "\r\n", 2))
    if (strncasecmp(h + 2, "content-length:", 15) == 0) body = (size_t)strtoul(h + 17, NULL, 10);
  return c->n >= head + body ? head + body : 0;
}

static bool serve(connection *c) {
  ssize_t got = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  c->n += (size_t)got;
  for (size_t n; (n = whole(c)) > 0;) {
    if (memcmp(c->in, "GET /_count ", 12) == 0) {
      char text[128], body[32];
      int b = snprintf(body, sizeof body, "%" PRIu64, count);
      int w = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", b, body);
      put(c->fd, text, (size_t)w);
    } else {
      bool crm = memcmp(c->in, "GET /crm", 8) == 0;
      count++;
      put(c->fd, crm ? answer : plain, crm ? answer_n : plain_n);
    }
    c->n -= n;
    memmove(c->in, c->in + n, c->n);
  }
  return c->n < sizeof c->in;
}

int main(void) {
  static connection *open[CONNECTIONS_MAX + 64];
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  time_t now = time(NULL);
  char head[128];
  strftime(head, sizeof head, "HTTP/1.1 200 OK\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime(&now));
  answer_n = (size_t)snprintf(answer, sizeof answer, "%s%sContent-Length: %zu\r\n\r\n%s", head, HEAD, sizeof RECORD - 1, RECORD);
  plain_n = (size_t)snprintf(plain, sizeof plain,
                             "%sContent-Type: application/json\r\n"
                             "Connection: keep-alive\r\nContent-Length: %zu\r\n\r\n%s", head, sizeof RECORD - 1, RECORD);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
  if (bind(listener, (struct sockaddr *)(void *)&a, sizeof a) || listen(listener, 1024) ||
      getsockname(listener, (struct sockaddr *)(void *)&a, &size)) {
    perror("answer");
    return 1;
  }
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
  printf("listening %d\n", ntohs(a.sin_port));
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(epoll, events, (int)HL_COUNT(events), -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd, one = 1;
      if (fd == listener) {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        if ((size_t)fd >= HL_COUNT(open)) {
          close(fd);
          continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        open[fd] = HL_NEW(connection);
        open[fd]->fd = fd;
        e.data.fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
      } else if (!serve(open[fd])) {
        close(fd);
        hl_free(open[fd]);
        open[fd] = NULL;
      }
    }
  }
}
