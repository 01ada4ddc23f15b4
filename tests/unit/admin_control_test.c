/* The control socket, with clients on a thread of their own as in another process. */
#include "engine_util.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"

typedef struct served {
  world w;
  hl_actions *actions;
  hl_control *control;
} served;

static void open_served(served *s) {
  *s = (served){0};
  world_loop(&s->w, false);
  world_engine(&s->w, NULL);
  world_start(&s->w);
  s->actions = hl_actions_new(s->w.e, "main");
  int rc = hl_control_new(s->w.loop, s->actions, "c.db", &s->control, &s->w.err);
  if (rc) print_error("%s\n", s->w.err.text);
  assert_int_equal(rc, 0);
}

static void close_served(served *s) {
  hl_engine_free(s->w.e);
  hl_control_free(s->control);
  hl_actions_free(s->actions);
  hl_loop_free(s->w.loop);
  hl_log_free(s->w.log);
}

/* ---- a client that blocks ---- */

typedef struct client {
  void (*run)(struct client *c);
  hl_loop *loop;
  uv_thread_t thread;
  bool done;
  /* for the assertions, which are the main thread's */
  int rc;
  hl_error err;
  char text[4096];
} client;

static void on_client_done(void *arg) {
  client *c = arg;
  c->done = true;
  hl_loop_release(c->loop);
}

static void client_thread(void *arg) {
  client *c = arg;
  c->run(c);
  hl_loop_post(c->loop, on_client_done, c);
}

static void with_client(served *s, void (*run)(client *c), client *c) {
  *c = (client){.run = run, .loop = s->w.loop};
  hl_loop_hold(s->w.loop);
  assert_int_equal(uv_thread_create(&c->thread, client_thread, c), 0);
  assert_int_equal(hl_loop_run_until(s->w.loop, &c->done), 0);
  uv_thread_join(&c->thread);
}

static int connected(client *c) {
  int fd = -1;
  c->rc = hl_control_connect("c.db.sock", &fd, &c->err);
  return fd;
}

/* All that comes until the other side closes, or the text is full. */
static void read_all(client *c, int fd) {
  size_t n = 0;
  for (ssize_t got; n + 1 < sizeof c->text && (got = read(fd, c->text + n, sizeof c->text - 1 - n)) > 0;) n += (size_t)got;
  c->text[n] = 0;
}

static void read_one(client *c, int fd) {
  size_t n = 0;
  while (n + 1 < sizeof c->text && read(fd, c->text + n, 1) == 1 && c->text[n] != '\n') n++;
  c->text[n] = 0;
}

static void put(int fd, const char *text) {
  size_t n = strlen(text);
  while (n) {
    ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
    if (sent <= 0) return;
    text += sent;
    n -= (size_t)sent;
  }
}

/* ---- */

static void ask_three(client *c) {
  int fd = connected(c);
  for (int i = 0; i < 3 && !c->rc; i++) {
    cJSON *q = cJSON_CreateObject(), *reply = NULL;
    cJSON_AddStringToObject(q, "do", i == 2 ? "nothing" : i ? "events.list" : "events.inject");
    if (i == 0) cJSON_AddItemToObject(q, "events", cJSON_Parse("[{\"subscriptionType\":\"deal.creation\",\"objectId\":7}]"));
    c->rc = hl_control_ask(fd, q, &reply, &c->err);
    if (reply) {
      char *text = hl_json_print(reply);
      strncat(c->text, text, sizeof c->text - strlen(c->text) - 1);
      hl_free(text);
    }
    cJSON_Delete(reply);
    cJSON_Delete(q);
  }
  close(fd);
}

static void answers_one_after_the_other(void **state) {
  (void)state;
  served s;
  client c;
  struct stat st;
  open_served(&s);
  assert_int_equal(stat("c.db.sock", &st), 0);
  assert_true(S_ISSOCK(st.st_mode));
  assert_int_equal(st.st_mode & 0777, 0600);
  with_client(&s, ask_three, &c);
  assert_int_equal(c.rc, HL_EINVAL);
  assert_non_null(strstr(c.err.text, "no action “nothing”"));
  assert_non_null(strstr(c.text, "\"accepted\":1"));
  assert_non_null(strstr(c.text, "\"id\":\"1.0\""));
  close_served(&s);
  assert_int_not_equal(stat("c.db.sock", &st), 0);
}

static void in_pieces(client *c) {
  int fd = connected(c);
  const char *text = "{\"do\":\"events.list\"}\n";
  for (const char *p = text; *p; p++) put(fd, (char[]){*p, 0});
  read_one(c, fd);
  put(fd, "{\"do\":\"events.list\"}\n{\"do\":\"events.show\",\"id\":\"1.0\"}\n"); /* two at once */
  c->rc = (int)strlen(c->text);
  read_one(c, fd);
  c->rc = c->rc == (int)strlen(c->text);
  read_one(c, fd);
  close(fd);
}

static void garbage(client *c) {
  int fd = connected(c);
  put(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n{\"do\":\"events.list\"}\n");
  read_all(c, fd);
  close(fd);
}

static void endless(client *c) {
  static char piece[(1 << 20) + 1];
  int fd = connected(c);
  memset(piece, 'x', sizeof piece - 1);
  for (int i = 0; i < 64; i++) put(fd, piece);
  read_all(c, fd);
  close(fd);
}

static void cut_off(client *c) {
  int fd = connected(c);
  put(fd, "{\"do\":\"events.li");
  close(fd);
  fd = connected(c);
  put(fd, "{\"do\":\"events.list\"}\n");
  close(fd); /* before the answer */
}

static void lines_may_be_anything(void **state) {
  (void)state;
  served s;
  client c;
  open_served(&s);
  with_client(&s, in_pieces, &c);
  assert_int_equal(c.rc, 1);
  assert_non_null(strstr(c.text, "not_found"));
  with_client(&s, garbage, &c);
  assert_memory_equal(c.text, "{\"error\":{\"kind\":\"invalid\"", 25);
  assert_null(strchr(strchr(c.text, '\n') + 1, '{')); /* and nothing behind it is answered */
  with_client(&s, endless, &c);
  assert_true(c.text[0] == 0 || strstr(c.text, "a request has at most 16 MiB"));
  with_client(&s, cut_off, &c);
  with_client(&s, ask_three, &c);
  assert_non_null(strstr(c.text, "\"accepted\":1"));
  close_served(&s);
}

static void many(client *c) {
  int fds[40];
  for (int i = 0; i < 40; i++) fds[i] = connected(c);
  c->rc = 0;
  for (int i = 0; i < 40; i++) {
    struct pollfd p = {.fd = fds[i], .events = POLLIN};
    if (i >= 32 && poll(&p, 1, 10000) == 1 && recv(fds[i], c->text, 1, MSG_DONTWAIT) <= 0) c->rc++;
  }
  for (int i = 0; i < 40; i++) close(fds[i]);
}

static void connections_are_bounded(void **state) {
  (void)state;
  served s;
  client c;
  open_served(&s);
  with_client(&s, many, &c);
  assert_int_equal(c.rc, 8);
  for (int i = 0; i < 20; i++) pass(&s.w, 1);
  with_client(&s, ask_three, &c);
  assert_non_null(strstr(c.text, "\"accepted\":1"));
  close_served(&s);
}

/* The holder of the store replaces what an ended one has left, and nothing else. */
static void a_stale_socket_is_replaced(void **state) {
  (void)state;
  served s;
  client c;
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "c.db.sock"};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  close(fd);
  open_served(&s);
  with_client(&s, ask_three, &c);
  assert_non_null(strstr(c.text, "\"accepted\":1"));
  close_served(&s);

  hl_control *control = NULL;
  world w;
  world_loop(&w, false);
  FILE *f = fopen("c.db.sock", "w");
  fputs("mine", f);
  fclose(f);
  assert_int_equal(hl_control_new(w.loop, NULL, "c.db", &control, &w.err), HL_EIO);
  assert_non_null(strstr(w.err.text, "something else has that name"));
  assert_int_equal(access("c.db.sock", F_OK), 0);
  unlink("c.db.sock");
  char path[300];
  memset(path, 'x', sizeof path);
  path[sizeof path - 1] = 0;
  assert_int_equal(hl_control_new(w.loop, NULL, path, &control, &w.err), HL_ELIMIT);
  assert_non_null(strstr(w.err.text, "a shorter path"));
  assert_int_equal(hl_control_new(w.loop, NULL, "no/such/c.db", &control, &w.err), HL_EIO);
  hl_loop_free(w.loop);
  hl_log_free(w.log);
}

/* It ends in the middle of things: connections, half a request, an action that is not answered. */
static void hang_on(client *c) {
  int fd = connected(c);
  c->rc = fd;
  put(fd, "{\"do\":\"events.list\"}\n");
}

static void the_end_comes_at_any_time(void **state) {
  (void)state;
  served s;
  client c;
  open_served(&s);
  hl_store_fault(hl_engine_store(s.w.e), "pause", 0, 1);
  with_client(&s, hang_on, &c);
  for (int i = 0; i < 20; i++) pass(&s.w, 1);
  close_served(&s);
  char byte;
  assert_int_equal(read(c.rc, &byte, 1), 0);
  close(c.rc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_one_after_the_other), cmocka_unit_test(lines_may_be_anything),
      cmocka_unit_test(connections_are_bounded),     cmocka_unit_test(a_stale_socket_is_replaced),
      cmocka_unit_test(the_end_comes_at_any_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
