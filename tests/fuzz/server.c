/* Any bytes as what a peer sends, whole or in two pieces: nothing crashes or
 * leaks, and what the server hands over keeps its limits. */
#include <arpa/inet.h>
#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/server.h"

enum { MAX_BODY = 512, MAX_HEADER = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(void *arg, const char *name, const char *value) { *(size_t *)arg += strlen(name) + strlen(value); }

static void on_request(void *arg, hl_request *r) {
  (void)arg;
  size_t n = 0;
  hl_str path = hl_request_path(r), query = hl_request_query(r);
  hl_request_headers(r, visit, &n);
  assert(n <= MAX_HEADER + 4096 && hl_request_body(r).n <= MAX_BODY);
  assert(path.n + query.n <= strlen(hl_request_target(r)));
  hl_request_reply(r, 200, NULL, path);
}

static void on_turn(hl_timer *timer, void *arg) {
  (void)timer;
  *(bool *)arg = true;
}

/* What is due and deferred, then one pass over the sockets that does not block. */
static void turn(hl_loop *loop) {
  hl_timer timer = {0};
  bool done = false;
  hl_timer_start(loop, &timer, 0, on_turn, &done);
  hl_loop_run_until(loop, &done);
  uv_run(hl_loop_uv(loop), UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static hl_log *log; /* one server for all inputs */
  static hl_loop *loop;
  static hl_server *server;
  if (!loop) {
    hl_server_options o = {.listen = "127.0.0.1:0", .max_body = MAX_BODY, .max_header = MAX_HEADER};
    log = hl_log_new(HL_LOG_OFF, false);
    assert(hl_loop_new(NULL, log, &loop, NULL) == 0);
    assert(hl_server_new(loop, &o, on_request, NULL, &server, NULL) == 0);
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)hl_server_port(server))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
  size_t first = size ? data[0] % (size + 1) : 0;
  ssize_t sent = send(fd, data, first, MSG_NOSIGNAL | MSG_DONTWAIT);
  for (int i = 0; i < 3; i++) turn(loop);
  sent += send(fd, data + first, size - first, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)sent;
  for (int i = 0; i < 5; i++) turn(loop);
  close(fd);
  for (int i = 0; i < 3; i++) turn(loop);
  return 0;
}
