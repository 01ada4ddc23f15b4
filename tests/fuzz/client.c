/* Any bytes as what a server answers, whole or in two pieces, to each connection
 * that the client makes: it hears exactly once how it ended, within its limits.
 * The first byte chooses the method and the place of the cut. */
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/client.h"

enum { MAX_BODY = 4096, PEERS_MAX = 8, TURNS_MAX = 200000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct peer { int fd; bool answered; } peer;

static bool ours(void *arg, const char *url) {
  const char *origin = arg;
  return strncmp(url, origin, strlen(origin)) == 0;
}

static void on_answer(void *arg, const hl_http_response *r) {
  unsigned *heard = arg;
  ++*heard;
  assert(r->body.n <= MAX_BODY);
  assert(r->status ? r->status >= 100 && r->status <= 999 && !r->err.code : r->err.code != 0 && r->err.text[0]);
  for (size_t i = 0; i < r->headers.n; i++)
    assert(r->headers.v[i].name[0] && !strpbrk(r->headers.v[i].name, " \t\r\n:"));
}

static void on_turn(hl_timer *timer, void *arg) {
  (void)timer;
  *(bool *)arg = true;
}

static void turn(hl_loop *loop) {
  hl_timer timer = {0};
  bool done = false;
  hl_timer_start(loop, &timer, 0, on_turn, &done);
  hl_loop_run_until(loop, &done);
  uv_run(hl_loop_uv(loop), UV_RUN_NOWAIT);
}

/* Takes the bytes of a request, whose end is not looked for. */
static bool asked(int fd) {
  char spill[4096];
  bool some = false;
  while (recv(fd, spill, sizeof spill, MSG_DONTWAIT) > 0) some = true;
  return some;
}

static void answer(hl_loop *loop, int fd, const uint8_t *data, size_t size) {
  size_t first = size ? data[0] % (size + 1) : 0;
  ssize_t sent = send(fd, data, first, MSG_NOSIGNAL | MSG_DONTWAIT);
  for (int i = 0; i < 2; i++) turn(loop);
  sent += send(fd, data + first, size - first, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)sent;
  shutdown(fd, SHUT_WR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static hl_log *log; /* one client and one server for all inputs */
  static hl_loop *loop;
  static hl_transport *client;
  static int listener = -1;
  static char origin[64], url[80];
  if (!loop) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    log = hl_log_new(HL_LOG_OFF, false);
    if (hl_loop_new(NULL, log, &loop, NULL) || hl_client_new(loop, &client, NULL)) abort();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&at, &n)) abort();
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    snprintf(url, sizeof url, "%sfuzz", origin);
  }
  static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
  const char *method = methods[size ? data[0] >> 6 : 0];
  hl_http_request q = {.method = method, .url = url, .max_body = MAX_BODY, .max_redirects = 3, .policy = HL_NET_NAMED,
                       .timeout_ms = 60000, .allow = ours, .allow_arg = origin};
  if (method[0] == 'P') q.body = HL_STR("{}");
  if (size) data++, size--;
  unsigned heard = 0;
  hl_http_op *op;
  hl_error err;
  if (client->send(client, &q, on_answer, &heard, &op, &err)) abort();
  peer peers[PEERS_MAX];
  size_t n = 0;
  for (int i = 0; !heard; i++) {
    if (i == TURNS_MAX) abort();
    turn(loop);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && n < PEERS_MAX) peers[n++] = (peer){.fd = fd};
    else if (fd >= 0) close(fd);
    for (size_t k = 0; k < n; k++) {
      if (peers[k].answered || !asked(peers[k].fd)) continue;
      peers[k].answered = true;
      answer(loop, peers[k].fd, data, size);
    }
  }
  turn(loop);
  assert(heard == 1);
  /* A reset, so that no port waits for its time to be over. */
  struct linger at_once = {.l_onoff = 1};
  for (size_t k = 0; k < n; k++) {
    setsockopt(peers[k].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peers[k].fd);
  }
  return 0;
}
