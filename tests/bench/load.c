/* A load generator for the webhook door: N keep-alive connections post signed
 * bodies of distinct events, all prepared and signed before the clock starts,
 * and each answer's latency is kept. One thread, epoll. With --first, --ids and
 * a path of the API they read records instead: GET PATH/ID, ids in a random
 * order, the secret being the token.
 *
 *   load --port P --secret S [--path /hubspot] [--batch N] [--connections N]
 *        [--requests N] [--seconds T] [--rate R] [--seed N] [--first ID --ids N]
 *
 * Without --rate each connection posts again as soon as it is answered (closed
 * loop). With it, requests are due at R a second and a request that waits for a
 * free connection is measured from the moment it was due. Prints one line of
 * JSON; exits 1 when an answer was not 2xx or a connection broke. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECTIONS_MAX = 1024, ANSWER_MAX = 16 * 1024, EVENT_MAX = 512, HEAD_MAX = 512 };

typedef struct options {
  int port;
  const char *secret, *path;
  unsigned batch, connections, requests, rate;
  double seconds;
  uint64_t seed, first, ids;   /* ids: 0 posts */
} options;

typedef struct prepared { /* requests[i] is bytes[at[i] .. at[i + 1]) */
  char *bytes;
  size_t *at;
  unsigned n;
} prepared;

typedef struct connection {
  int fd;
  bool busy;
  size_t sent, request;
  int64_t since_us;
  size_t got;
  char answer[ANSWER_MAX];
} connection;

typedef struct load {
  const options *o;
  prepared p;
  connection *c;
  int epoll;
  unsigned next, done, refused, broken, busy;
  int first_bad;
  uint32_t *latency_us;
  int64_t start_us;
} load;

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* One body of `batch` events, 288 bytes each, as HubSpot writes them. */
static size_t write_body(char *out, size_t room, const options *o, uint64_t *rng, uint64_t *event_id, int64_t now_ms) {
  size_t n = 0;
  for (unsigned i = 0; i < o->batch; i++) {
    int k = snprintf(out + n, room - n,
                     "%c{\"eventId\":%" PRIu64 ",\"subscriptionId\":2318743,\"portalId\":62515,\"appId\":1160452,"
                     "\"occurredAt\":%" PRId64 ",\"subscriptionType\":\"contact.propertyChange\",\"attemptNumber\":0,"
                     "\"objectId\":%" PRIu64 ",\"propertyName\":\"lastname\",\"propertyValue\":\"lead\","
                     "\"changeSource\":\"CRM_UI\",\"sourceId\":\"userId:%u\"}",
                     i ? ',' : '[', ++*event_id, now_ms, 100000000 + next_random(rng) % 900000000,
                     (unsigned)(next_random(rng) % 90 + 10));
    n += (size_t)k;
  }
  out[n++] = ']';
  return n;
}

static void sign_v3(const options *o, const char *uri, const char *body, size_t n, const char *timestamp, char out[64]) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned mac_len = 0;
  size_t head = strlen("POST") + strlen(uri), tail = strlen(timestamp);
  char *text = hl_alloc(head + n + tail + 1);
  snprintf(text, head + 1, "POST%s", uri);
  memcpy(text + head, body, n);
  memcpy(text + head + n, timestamp, tail);
  HMAC(EVP_sha256(), o->secret, (int)strlen(o->secret), (unsigned char *)text, head + n + tail, mac, &mac_len);
  EVP_EncodeBlock((unsigned char *)out, mac, (int)mac_len);
  hl_free(text);
}

static void add(prepared *p, size_t *used, size_t *room, const char *text, size_t n) {
  if (*used + n > *room) {
    *room = (*used + n) * 2;
    p->bytes = hl_realloc(p->bytes, *room);
  }
  memcpy(p->bytes + *used, text, n);
  *used += n;
}

static void prepare_reads(prepared *p, const options *o) {
  size_t used = 0, room = 0;
  uint64_t rng = o->seed;
  char head[HEAD_MAX];
  p->at = hl_alloc(sizeof *p->at * (o->requests + 1));
  for (p->n = 0; p->n < o->requests; p->n++) {
    p->at[p->n] = used;
    int n = snprintf(head, sizeof head, "GET %s/%" PRIu64 " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n",
                     o->path, o->first + next_random(&rng) % o->ids, o->port, o->secret);
    add(p, &used, &room, head, (size_t)n);
  }
  p->at[p->n] = used;
}

static void prepare(prepared *p, const options *o) {
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  int64_t now_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
  size_t body_max = (size_t)o->batch * EVENT_MAX + 2, used = 0, room = 0;
  uint64_t rng = o->seed, event_id = o->seed * 1000000000u;
  char *body = hl_alloc(body_max), uri[256], timestamp[24];
  snprintf(uri, sizeof uri, "http://127.0.0.1:%d%s", o->port, o->path);
  snprintf(timestamp, sizeof timestamp, "%" PRId64, now_ms);
  p->at = hl_alloc(sizeof *p->at * (o->requests + 1));
  for (p->n = 0; p->n < o->requests; p->n++) {
    size_t n = write_body(body, body_max, o, &rng, &event_id, now_ms);
    char signature[64], head[HEAD_MAX];
    sign_v3(o, uri, body, n, timestamp, signature);
    int h = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                     "X-HubSpot-Signature-v3: %s\r\nX-HubSpot-Request-Timestamp: %s\r\nContent-Length: %zu\r\n\r\n",
                     o->path, o->port, signature, timestamp, n);
    p->at[p->n] = used;
    add(p, &used, &room, head, (size_t)h);
    add(p, &used, &room, body, n);
  }
  p->at[p->n] = used;
  hl_free(body);
}

static void watch(load *l, connection *c, bool writing) {
  struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = c};
  epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void lost(load *l, connection *c) {
  if (c->busy) l->busy--;
  l->broken++;
  c->busy = false;
  close(c->fd);
  c->fd = -1;
}

static void push(load *l, connection *c) {
  size_t end = l->p.at[c->request + 1];
  while (c->sent < end) {
    ssize_t n = send(c->fd, l->p.bytes + c->sent, end - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      watch(l, c, true);
      return;
    }
    if (n <= 0) {
      lost(l, c);
      return;
    }
    c->sent += (size_t)n;
  }
}

static void post(load *l, connection *c, int64_t since_us) {
  c->request = l->next++;
  c->sent = l->p.at[c->request];
  c->got = 0;
  c->since_us = since_us;
  c->busy = true;
  l->busy++;
  push(l, c);
}

/* The answer's status when it is complete, 0 while it is not, -1 when it is none. */
static int complete(connection *c) {
  c->answer[c->got] = 0;
  char *end = strstr(c->answer, "\r\n\r\n");
  if (!end) return c->got + 1 >= sizeof c->answer ? -1 : 0;
  if (strncmp(c->answer, "HTTP/1.1 ", 9) != 0) return -1;
  int status = (int)strtol(c->answer + 9, NULL, 10);
  size_t length = 0;
  for (char *h = strstr(c->answer, "\r\n"); h && h < end; h = strstr(h + 2, "\r\n"))
    if (strncasecmp(h + 2, "Content-Length:", 15) == 0) length = (size_t)strtoul(h + 17, NULL, 10);
  return c->got >= (size_t)(end + 4 - c->answer) + length ? status : 0;
}

static void take(load *l, connection *c) {
  ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - 1 - c->got, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    lost(l, c);
    return;
  }
  c->got += (size_t)n;
  int status = complete(c);
  if (status == 0) return;
  if (status < 0) {
    lost(l, c);
    return;
  }
  int64_t us = now_us() - c->since_us;
  l->latency_us[l->done++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
  if (status < 200 || status > 299) {
    if (!l->refused++) l->first_bad = status;
  }
  c->busy = false;
  l->busy--;
}

static int connect_all(load *l) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->o->port),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  for (unsigned i = 0; i < l->o->connections; i++) {
    connection *c = &l->c[i];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *)(void *)&a, sizeof a)) {
      fprintf(stderr, "load: cannot connect to 127.0.0.1:%d: %s\n", l->o->port, strerror(errno));
      return -1;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
  }
  return 0;
}

static int64_t due_us(const load *l, unsigned request) {
  return l->start_us + (int64_t)request * 1000000 / l->o->rate;
}

/* Gives work to idle connections; the milliseconds until more is due. */
static int feed(load *l, int64_t deadline_us) {
  int64_t now = now_us();
  for (unsigned i = 0; i < l->o->connections && l->next < l->p.n && now < deadline_us; i++) {
    if (l->c[i].busy || l->c[i].fd < 0) continue;
    if (l->o->rate && due_us(l, l->next) > now) break;
    post(l, &l->c[i], l->o->rate ? due_us(l, l->next) : now_us());
  }
  if (!l->o->rate || l->next >= l->p.n) return 100;
  int64_t wait = due_us(l, l->next) - now_us();
  return wait <= 0 ? 0 : (int)((wait + 999) / 1000);
}

static void run(load *l) {
  struct epoll_event events[256];
  l->start_us = now_us();
  int64_t deadline = l->start_us + (int64_t)(l->o->seconds * 1e6), give_up = deadline + 15 * 1000000;
  while (l->broken < l->o->connections) {
    int wait = feed(l, deadline);
    bool more = l->next < l->p.n && now_us() < deadline;
    if ((!more && l->busy == 0) || now_us() > give_up) break;
    int n = epoll_wait(l->epoll, events, (int)HL_COUNT(events), wait);
    for (int i = 0; i < n; i++) {
      connection *c = events[i].data.ptr;
      if (c->fd >= 0 && (events[i].events & EPOLLOUT) && c->busy) {
        watch(l, c, false);
        push(l, c);
      }
      if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) take(l, c);
      if (c->fd >= 0 && !c->busy && !l->o->rate && l->next < l->p.n && now_us() < deadline) post(l, c, now_us());
    }
  }
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void report(load *l, double seconds) {
  unsigned n = l->done;
  qsort(l->latency_us, n, sizeof *l->latency_us, by_value);
  unsigned ok = n - l->refused;
  printf("{\"requests\":%u,\"events\":%" PRIu64 ",\"seconds\":%.3f,\"events_per_s\":%.0f,\"requests_per_s\":%.0f,"
         "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"refused\":%u,\"first_refusal\":%d,\"broken\":%u,\"unanswered\":%u}\n",
         n, (uint64_t)ok * l->o->batch, seconds, (double)ok * l->o->batch / seconds, (double)ok / seconds,
         n ? l->latency_us[n / 2] : 0, n ? l->latency_us[(size_t)n * 99 / 100] : 0, n ? l->latency_us[n - 1] : 0,
         l->refused, l->first_bad, l->broken, l->busy);
}

static int parse(int argc, char **argv, options *o) {
  *o = (options){.path = "/hubspot", .batch = 1, .connections = 64, .requests = 10000, .seconds = 3, .seed = 1};
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *f = argv[i], *v = argv[i + 1];
    if (!strcmp(f, "--port")) o->port = (int)strtol(v, NULL, 10);
    else if (!strcmp(f, "--secret")) o->secret = v;
    else if (!strcmp(f, "--path")) o->path = v;
    else if (!strcmp(f, "--batch")) o->batch = (unsigned)strtoul(v, NULL, 10);
    else if (!strcmp(f, "--connections")) o->connections = (unsigned)strtoul(v, NULL, 10);
    else if (!strcmp(f, "--requests")) o->requests = (unsigned)strtoul(v, NULL, 10);
    else if (!strcmp(f, "--seconds")) o->seconds = strtod(v, NULL);
    else if (!strcmp(f, "--rate")) o->rate = (unsigned)strtoul(v, NULL, 10);
    else if (!strcmp(f, "--seed")) o->seed = strtoull(v, NULL, 10);
    else if (!strcmp(f, "--first")) o->first = strtoull(v, NULL, 10);
    else if (!strcmp(f, "--ids")) o->ids = strtoull(v, NULL, 10);
    else return -1;
  }
  return o->port > 0 && o->secret && o->batch > 0 && o->batch <= 100 && o->connections > 0 &&
         o->connections <= CONNECTIONS_MAX && o->requests > 0 ? 0 : -1;
}

int main(int argc, char **argv) {
  options o;
  if (argc % 2 == 0 || parse(argc, argv, &o)) {
    fputs("usage: load --port P --secret S [--path /hubspot] [--batch 1-100] [--connections N] [--requests N]\n"
          "            [--seconds T] [--rate REQUESTS_A_SECOND] [--seed N] [--first ID --ids N]\n", stderr);
    return 2;
  }
  load l = {.o = &o};
  if (o.ids) prepare_reads(&l.p, &o);
  else prepare(&l.p, &o);
  l.c = hl_alloc(sizeof *l.c * o.connections);
  l.latency_us = hl_alloc(sizeof *l.latency_us * o.requests);
  if (connect_all(&l)) return 1;
  run(&l);
  report(&l, (double)(now_us() - l.start_us) / 1e6);
  return l.refused || l.broken || l.busy ? 1 : 0;
}
