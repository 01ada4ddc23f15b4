#include "admin/control.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECTIONS = 32, READ_BYTES = 64 << 10, IDLE_MS = 5 * 60 * 1000, ANSWER_MS = 60 * 1000 };

/* ---- paths ---- */

int hl_control_path(const char *store, hl_buf *out, hl_error *err) {
  struct sockaddr_un a;
  hl_buf_clear(out);
  if (hl_buf_printf(out, "%s.sock", store) || out->n >= sizeof a.sun_path)
    return hl_fail(err, HL_ELIMIT, "the control socket %s.sock cannot be: the address of a socket has at most %zu bytes; give the store a shorter path",
                   store, sizeof a.sun_path - 1);
  return 0;
}

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  return a;
}

/* ---- a line ---- */

static void refuse(hl_action_cb cb, void *arg, const hl_error *err) {
  cJSON *answer = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(answer, "error");
  cJSON_AddStringToObject(error, "kind", hl_err_name(err->code));
  cJSON_AddStringToObject(error, "text", err->text);
  cb(arg, answer);
  cJSON_Delete(answer);
}

bool hl_control_line(hl_actions *actions, hl_str line, hl_action_cb cb, void *arg) {
  cJSON *request = NULL;
  hl_error err = {0};
  int rc = hl_json_parse(line, &request, &err);
  if (!rc && !cJSON_IsObject(request)) rc = hl_fail(&err, HL_EINVAL, "no object");
  if (!rc) {
    hl_actions_do(actions, request, cb, arg);
    return true;
  }
  cJSON_Delete(request);
  hl_fail_in(&err, "a request is one JSON object a line");
  refuse(cb, arg, &err);
  return false;
}

/* ---- connections ---- */

typedef struct conn {
  uv_pipe_t pipe;
  struct conn *next;
  hl_control *c;             /* NULL: the control has gone */
  hl_buf in;
  hl_timer idle;
  char *out;
  uv_write_t write;
  bool asking, writing, last, closing, closed;
} conn;

struct hl_control {
  uv_pipe_t pipe;
  hl_loop *loop;
  hl_actions *actions;
  char *path;
  dev_t dev;
  ino_t ino;
  conn *conns;
  unsigned n;
};

static void answer(void *arg, const cJSON *json);
static void go_on(conn *k);

/* While an action works for it, it stays. */
static void free_if_done(conn *k) {
  if (!k->closed || (k->asking && k->c)) return;
  if (k->c) {
    conn **p = &k->c->conns;
    while (*p != k) p = &(*p)->next;
    *p = k->next;
    k->c->n--;
  }
  hl_buf_deinit(&k->in);
  hl_free(k->out);
  hl_free(k);
}

static void on_closed(uv_handle_t *handle) {
  conn *k = handle->data;
  k->closed = true;
  free_if_done(k);
}

static void shut(conn *k) {
  if (k->closing) return;
  k->closing = true;
  if (k->c) hl_timer_stop(k->c->loop, &k->idle);
  uv_close((uv_handle_t *)&k->pipe, on_closed);
}

static void on_idle(hl_timer *t, void *arg) {
  (void)t;
  shut(arg);
}

static void on_written(uv_write_t *w, int status) {
  conn *k = w->data;
  hl_free(k->out);
  k->out = NULL;
  k->writing = false;
  if (k->closing) return;
  if (status || k->last) shut(k);
  else go_on(k);
}

static void answer(void *arg, const cJSON *json) {
  conn *k = arg;
  hl_buf text;
  k->asking = false;
  if (k->closed) {
    free_if_done(k);
    return;
  }
  if (k->closing) return;
  hl_buf_init(&text, HL_CONTROL_ANSWER_MAX);
  if (hl_json_print_to(json, &text) || hl_buf_puts(&text, "\n")) {
    hl_buf_clear(&text);
    hl_buf_puts(&text, "{\"error\":{\"kind\":\"limit\",\"text\":\"the answer is too long; ask for less\"}}\n");
  }
  size_t n = 0;
  k->out = hl_buf_detach(&text, &n);
  k->writing = true;
  k->write.data = k;
  uv_buf_t buf = uv_buf_init(k->out, (unsigned)n);
  if (uv_write(&k->write, (uv_stream_t *)&k->pipe, &buf, 1, on_written)) {
    k->writing = false;
    shut(k);
  }
}

static void too_long(conn *k) {
  hl_error err;
  hl_fail(&err, HL_ELIMIT, "a request has at most %d MiB", HL_CONTROL_REQUEST_MAX >> 20);
  k->last = k->asking = true;
  refuse(answer, k, &err);
}

/* The next whole line, one at a time. */
static void go_on(conn *k) {
  const char *end = k->in.n ? memchr(k->in.p, '\n', k->in.n) : NULL;
  if (k->asking || k->writing || k->closing || k->last) return;
  hl_timer_start(k->c->loop, &k->idle, IDLE_MS, on_idle, k);
  if (!end) {
    if (k->in.n >= HL_CONTROL_REQUEST_MAX) too_long(k);
    return;
  }
  size_t n = (size_t)(end - k->in.p);
  char *line = hl_strndup(k->in.p, n);
  memmove(k->in.p, end + 1, k->in.n - n - 1);
  k->in.n -= n + 1;
  hl_timer_stop(k->c->loop, &k->idle);
  k->asking = true;
  k->last = true; /* a line that is no request is answered from inside */
  bool well = hl_control_line(k->c->actions, (hl_str){line, n}, answer, k);
  if (well) k->last = false;
  hl_free(line);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf) {
  (void)handle, (void)wanted;
  *buf = uv_buf_init(hl_realloc(NULL, READ_BYTES), READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  conn *k = stream->data;
  if (n < 0) shut(k);
  else if (n > 0 && !k->closing && !k->last) {
    /* One that writes on while it is asked is no client of ours. */
    if (hl_buf_append(&k->in, buf->base, (size_t)n)) shut(k);
    else go_on(k);
  }
  hl_free(buf->base);
}

static void on_connection(uv_stream_t *stream, int status) {
  hl_control *c = stream->data;
  if (status) return;
  conn *k = HL_NEW(conn);
  k->c = c;
  k->idle.unref = true;
  k->pipe.data = k;
  hl_buf_init(&k->in, HL_CONTROL_REQUEST_MAX + READ_BYTES);
  uv_pipe_init(hl_loop_uv(c->loop), &k->pipe, 0);
  uv_unref((uv_handle_t *)&k->pipe);
  k->next = c->conns;
  c->conns = k;
  c->n++;
  if (uv_accept(stream, (uv_stream_t *)&k->pipe) || c->n > CONNECTIONS || uv_read_start((uv_stream_t *)&k->pipe, on_alloc, on_read)) {
    shut(k);
    return;
  }
  hl_timer_start(c->loop, &k->idle, IDLE_MS, on_idle, k);
}

/* ---- life ---- */

static void on_control_closed(uv_handle_t *handle) {
  hl_control *c = handle->data;
  hl_free(c->path);
  hl_free(c);
}

/* *fd: bound. The mode of the socket's file is that of the descriptor before it is bound. */
static int bind_at(const char *path, int *fd, struct stat *st, hl_error *err) {
  if (lstat(path, st) == 0 && !S_ISSOCK(st->st_mode))
    return hl_fail(err, HL_EIO, "the control socket %s cannot be made: something else has that name; move it away", path);
  unlink(path);
  struct sockaddr_un a = address_of(path);
  *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd >= 0 && fchmod(*fd, 0600) == 0 && bind(*fd, (const struct sockaddr *)&a, sizeof a) == 0 && lstat(path, st) == 0 && (st->st_mode & 077) == 0)
    return 0;
  hl_fail(err, HL_EIO, "the control socket %s cannot be made: %s", path, errno ? strerror(errno) : "it would be open to others");
  if (*fd >= 0) close(*fd);
  return HL_EIO;
}

int hl_control_new(hl_loop *loop, hl_actions *actions, const char *store, hl_control **out, hl_error *err) {
  hl_buf path;
  struct stat st;
  int fd = -1;
  hl_buf_init(&path, 1 << 16);
  int rc = hl_control_path(store, &path, err);
  if (!rc) rc = bind_at(path.p, &fd, &st, err);
  if (rc) {
    hl_buf_deinit(&path);
    return rc;
  }
  hl_control *c = HL_NEW(hl_control);
  *c = (hl_control){.loop = loop, .actions = actions, .path = hl_buf_detach(&path, NULL), .dev = st.st_dev, .ino = st.st_ino};
  uv_pipe_init(hl_loop_uv(loop), &c->pipe, 0);
  c->pipe.data = c;
  if ((rc = uv_pipe_open(&c->pipe, fd)) != 0) close(fd);
  else rc = uv_listen((uv_stream_t *)&c->pipe, CONNECTIONS, on_connection);
  if (rc) {
    hl_fail(err, HL_EIO, "the control socket %s cannot listen: %s", c->path, uv_strerror(rc));
    hl_control_free(c);
    return HL_EIO;
  }
  uv_unref((uv_handle_t *)&c->pipe);
  *out = c;
  return 0;
}

void hl_control_free(hl_control *c) {
  struct stat st;
  if (!c) return;
  for (conn *k = c->conns, *next; k; k = next) {
    next = k->next;
    shut(k);
    k->c = NULL;
  }
  if (lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino) unlink(c->path);
  uv_close((uv_handle_t *)&c->pipe, on_control_closed);
}

/* ---- the other side ---- */

int hl_control_connect(const char *path, int *out, hl_error *err) {
  struct sockaddr_un a = address_of(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0) {
    *out = fd;
    return 0;
  }
  int why = errno;
  if (fd >= 0) close(fd);
  if (why == ENOENT || why == ECONNREFUSED) return hl_fail(err, HL_ENOTFOUND, "nobody listens on %s", path);
  return hl_fail(err, HL_EIO, "cannot reach the running hubloop on %s: %s", path, strerror(why));
}

static int send_all(int fd, hl_str s, hl_error *err) {
  while (s.n) {
    ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return hl_fail(err, HL_EPROTOCOL, "the running hubloop went away: %s", strerror(errno));
    s.p += n;
    s.n -= (size_t)n;
  }
  return 0;
}

/* One line, which may come in pieces; a silence of a minute ends it. */
static int read_line(int fd, hl_buf *line, hl_error *err) {
  for (;;) {
    char piece[64 << 10];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = poll(&p, 1, ANSWER_MS);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return hl_fail(err, HL_ETIMEOUT, "the running hubloop did not answer for %d s; its log may say why", ANSWER_MS / 1000);
    ssize_t n = ready < 0 ? -1 : recv(fd, piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return hl_fail(err, HL_EPROTOCOL, "the running hubloop went away without an answer%s%s", n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    if (hl_buf_append(line, piece, (size_t)n)) return hl_fail(err, HL_EPROTOCOL, "the answer of the running hubloop is too long");
    if (piece[n - 1] == '\n') return 0;
  }
}

int hl_answer_error(const cJSON *answer, hl_error *err) {
  const cJSON *error = hl_json_get(answer, "error");
  if (!cJSON_IsObject(error)) return 0;
  const char *kind = hl_json_str(error, "kind", "");
  int code = HL_EPROTOCOL;
#define X(name, value, text) \
  if (strcmp(kind, text) == 0) code = value;
  HL_ERRORS(X)
#undef X
  return hl_fail(err, code, "%s", hl_json_str(error, "text", "refused"));
}

int hl_control_ask(int fd, const cJSON *request, cJSON **out, hl_error *err) {
  hl_buf line;
  char *text = hl_json_print(request);
  hl_buf_init(&line, HL_CONTROL_ANSWER_MAX + 1);
  int rc = send_all(fd, hl_str_of(text), err);
  if (!rc) rc = send_all(fd, HL_STR("\n"), err);
  if (!rc) rc = read_line(fd, &line, err);
  hl_free(text);
  if (!rc && hl_json_parse((hl_str){line.p, line.n}, out, err)) {
    rc = hl_fail(err, HL_EPROTOCOL, "the answer of the running hubloop is no JSON; is it another program?");
  } else if (!rc && (rc = hl_answer_error(*out, err)) != 0) {
    cJSON_Delete(*out);
    *out = NULL;
  }
  hl_buf_deinit(&line);
  return rc;
}
