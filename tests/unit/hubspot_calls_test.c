#include "hubspot_model.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hubspot/call_read.h"

/* A folder of its own for each test, and a log in it. */
typedef struct world {
  model *m;
  char folder[64], base[96];
  hl_call_log *log;
  char warned[2048];
  unsigned warnings;
} world;

static void heard(void *arg, const char *line, size_t n) {
  world *w = arg;
  if (!memmem(line, n, "call log", 8)) return;
  w->warnings++;
  snprintf(w->warned, sizeof w->warned, "%.*s", (int)n, line);
}

static void open_log(world *w, int64_t max, bool bodies) {
  hl_call_log_options o = {.base = w->base, .max = max, .bodies = bodies};
  w->log = hl_call_log_new(w->m->loop, &o);
  hl_hubspot_set_call_log(w->m->hubspot, w->log);
}

static void close_log(world *w) {
  hl_hubspot_set_call_log(w->m->hubspot, NULL);
  hl_call_log_free(w->log);
  w->log = NULL;
}

static int setup(void **state) {
  world *w = HL_NEW(world);
  snprintf(w->folder, sizeof w->folder, "/tmp/hubloop-calls-XXXXXX");
  assert_non_null(mkdtemp(w->folder));
  snprintf(w->base, sizeof w->base, "%s/data/calls.log", w->folder);
  w->m = model_new("professional", 11);
  hl_log_set_sink(w->m->log, heard, w);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  if (w->log) close_log(w);
  model_free(w->m);
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", w->folder);
  assert_int_equal(system(command), 0);
  hl_free(w);
  return 0;
}

static void ring(hl_timer *timer, void *arg) { (void)timer, (void)arg; }

/* Lets `ms` of the model's time pass. */
static void pass(world *w, int64_t ms) {
  hl_timer t = {0};
  hl_timer_start(w->m->loop, &t, ms, ring, NULL);
  hl_loop_run(w->m->loop);
}

/* Everything in the log as one text, and its size. */
static char *contents(const world *w, int64_t *size) {
  uint64_t *v;
  size_t n;
  hl_buf all;
  hl_buf_init(&all, 64 << 20);
  assert_int_equal(hl_call_log_segments(w->base, &v, &n), 0);
  for (size_t i = 0; i < n; i++) {
    char name[160], chunk[65536];
    snprintf(name, sizeof name, "%s.%llu", w->base, (unsigned long long)v[i]);
    int fd = open(name, O_RDONLY);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, chunk, sizeof chunk)) > 0) hl_buf_append(&all, chunk, (size_t)got);
    if (fd >= 0) close(fd);
  }
  hl_free(v);
  if (size) *size = (int64_t)all.n;
  return all.p ? hl_buf_detach(&all, NULL) : hl_strdup("");
}

typedef struct read_back {
  size_t lines, torn, calls;
  uint64_t gaps;
  hl_call_entry v[64];     /* the first ones */
  int64_t last_id;
  bool ordered, whole;     /* ids ascend; by one */
} read_back;

static void take_line(read_back *r, hl_str line) {
  hl_call_entry e;
  r->lines++;
  if (!hl_call_entry_read(line, &e)) {
    r->torn++;
    return;
  }
  r->gaps += e.gap;
  if (e.gap) {
    r->whole = false;
    hl_call_entry_deinit(&e);
    return;
  }
  int64_t id = 0;
  if (hl_str_int64(hl_str_of(e.id), &id) == 0) {
    if (r->calls && id <= r->last_id) r->ordered = false;
    if (r->calls && id != r->last_id + 1) r->whole = false;
    r->last_id = id;
  }
  if (r->calls < HL_COUNT(r->v)) r->v[r->calls] = e;
  else hl_call_entry_deinit(&e);
  r->calls++;
}

static void more(hl_calls *c, read_back *r) {
  hl_str line;
  hl_error err;
  int rc;
  while ((rc = hl_calls_next(c, &line, &err)) > 0) take_line(r, line);
  assert_int_equal(rc, 0);
}

static read_back all_of(const world *w) {
  read_back r = {.ordered = true, .whole = true};
  hl_calls *c = hl_calls_open(w->base, 0);
  more(c, &r);
  hl_calls_close(c);
  return r;
}

static void read_back_free(read_back *r) {
  for (size_t i = 0; i < r->calls && i < HL_COUNT(r->v); i++) hl_call_entry_deinit(&r->v[i]);
}

/* `n` calls to records from..from+n-1. */
static void add(world *w, int64_t from, int64_t n) {
  for (int64_t i = from; i < from + n; i++) {
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)i);
    hl_call_record r = {.script = "a.lua", .account = "main", .klass = "normal", .method = "GET", .id = id,
                        .path = "/crm/objects/2026-09/contacts/batch/read", .status = 200, .attempts = 1, .request = (uint64_t)i, .batch = 1};
    hl_call_log_add(w->log, &r);
  }
}

/* ---- what is kept ---- */

static void refuse_some(model *m, model_request *r) {
  (void)m;
  if (strstr(r->path, "batch/read"))
    hl_buf_puts(&r->answer, "{\"results\":[{\"id\":\"1\",\"properties\":{}},{\"id\":\"2\",\"properties\":{}}]}");
  else if (strcmp(r->method, "PATCH") == 0)
    r->status = 400, hl_buf_puts(&r->answer, "{\"status\":\"error\",\"category\":\"VALIDATION_ERROR\",\"message\":\"ada@example.com is "
                                 "no phone number\",\"correlationId\":\"c-400\"}");
  else if (strstr(r->path, "Jones"))
    r->status = 404, hl_buf_puts(&r->answer, "{\"message\":\"no contact with lastname Jones\",\"category\":\"OBJECT_NOT_FOUND\"}");
  else
    hl_headers_add(&r->headers, HL_STR("X-HubSpot-Correlation-Id"), HL_STR("c-200")), hl_buf_puts(&r->answer, "{}");
}

static void each_call_leaves_a_line(void **state) {
  world *w = *state;
  model *m = w->m;
  asked a[6];
  const char *const email[] = {"email", NULL};
  m->answer = refuse_some;
  open_log(w, 0, false);
  ask_get(m, &a[0], "1", email);
  ask_get(m, &a[1], "2", email);
  hl_loop_run(m->loop);
  ask_update(m, &a[2], "7", "{\"properties\":{\"phone\":\"x\"}}");
  hl_loop_run(m->loop);
  ask(m, &a[3], &(hl_api_call){.kind = HL_API_GET, .script = "b.lua", .klass = HL_CLASS_BULK, .type = "contacts", .id = "Jones",
                               .id_property = "lastname"});
  hl_loop_run(m->loop);
  ask(m, &a[4], &(hl_api_call){.kind = HL_API_RAW, .script = "b.lua", .method = "GET", .query = "email=ada%40example.com&limit=7",
                               .path = "/communication-preferences/{version}/statuses/ada%40example.com"});
  hl_loop_run(m->loop);
  hl_api_op *op = ask(m, &a[5], &(hl_api_call){.kind = HL_API_RAW, .script = "b.lua", .method = "GET", .path = "/x"});
  hl_api_cancel(op);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.calls, 6);
  assert_int_equal(r.torn, 0);
  assert_string_equal(r.v[0].path, "/crm/objects/2026-09/contacts/batch/read");
  assert_string_equal(r.v[0].id, "1");
  assert_string_equal(r.v[1].id, "2");
  assert_string_equal(r.v[0].request, r.v[1].request);
  assert_int_equal(r.v[1].batch, 2);
  assert_string_equal(r.v[0].script, "a.lua");
  assert_string_equal(r.v[0].account, "main");
  assert_int_equal(r.v[0].status, 200);
  assert_true(r.v[0].latency > 0);
  assert_string_equal(r.v[2].method, "PATCH");
  assert_string_equal(r.v[2].path, "/crm/objects/2026-09/contacts/7");
  assert_int_equal(r.v[2].status, 400);
  assert_string_equal(r.v[2].category, "VALIDATION_ERROR");
  assert_string_equal(r.v[2].message, "[…] is no phone number");
  assert_string_equal(r.v[2].correlation_id, "c-400");
  assert_string_not_equal(r.v[2].request, r.v[1].request);
  assert_string_equal(r.v[3].klass, "bulk");
  assert_string_equal(r.v[3].path, "/crm/objects/2026-09/contacts/{lastname}");
  assert_string_equal(r.v[3].by, "lastname");
  assert_string_equal(r.v[3].message, "no contact with lastname […]");
  assert_string_equal(r.v[4].path, "/communication-preferences/2026-09/statuses/{email}");
  assert_string_equal(r.v[4].correlation_id, "c-200");
  assert_string_equal(r.v[4].kind, "");
  assert_string_equal(r.v[5].kind, "cancelled");
  assert_int_equal(r.v[5].status, 0);
  assert_string_equal(r.v[5].request, "");
  char *text = contents(w, NULL);
  assert_null(strstr(text, "Jones"));
  assert_null(strstr(text, "ada"));
  assert_null(strstr(text, "limit="));
  hl_free(text);
  read_back_free(&r);
  for (size_t i = 0; i < 5; i++) asked_free(&a[i]);
}

static void shared_reads_by_a_value_keep_it_secret(void **state) {
  world *w = *state;
  model *m = w->m;
  asked a[4];
  m->answer = refuse_some;
  open_log(w, 0, false);
  const hl_api_call get = {.kind = HL_API_GET, .script = "b.lua", .type = "contacts", .id = "Jones", .id_property = "lastname"};
  ask(m, &a[0], &get);
  ask(m, &a[1], &get);
  pass(w, 1);
  ask(m, &a[2], &get); /* while the first is out */
  ask(m, &a[3], &(hl_api_call){.kind = HL_API_RAW, .script = "b.lua", .method = "GET", .query = "idProperty=lastname",
                               .path = "/crm/objects/{version}/contacts/Jones"});
  hl_loop_run(m->loop);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.calls, 4);
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(r.v[i].path, "/crm/objects/2026-09/contacts/{lastname}");
    assert_string_equal(r.v[i].by, "lastname");
    assert_int_equal(r.v[i].status, 404);
  }
  char *text = contents(w, NULL);
  assert_null(strstr(text, "Jones"));
  hl_free(text);
  read_back_free(&r);
  for (size_t i = 0; i < 4; i++) asked_free(&a[i]);
}

static void lose_one(model *m, model_request *r) {
  if (m->requests == 1) {
    r->status = 429;
    hl_headers_add(&r->headers, HL_STR("Retry-After"), HL_STR("2"));
    hl_buf_puts(&r->answer, "{\"policyName\":\"TEN_SECONDLY_ROLLING\"}");
  } else if (m->requests == 2) {
    r->status = 503;
  } else {
    hl_buf_puts(&r->answer, "{}");
  }
}

static void repetitions_are_counted(void **state) {
  world *w = *state;
  asked a;
  w->m->answer = lose_one;
  open_log(w, 0, false);
  ask_raw(w->m, &a, "GET", "/x", "");
  hl_loop_run(w->m->loop);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.calls, 1);
  assert_int_equal(r.v[0].status, 200);
  assert_int_equal(r.v[0].attempts, 3);
  assert_int_equal(r.v[0].limited, 1);
  assert_true(r.v[0].total >= 2000);
  assert_true(r.v[0].latency <= 2 * w->m->latency); /* the last attempt's alone */
  read_back_free(&r);
  asked_free(&a);
}

static void leak(model *m, model_request *r) {
  (void)m;
  char token[64];
  model_token(token);
  r->status = 400;
  hl_buf_printf(&r->answer, "{\"message\":\"strange: %s and Bearer abcdefghijkl\"}", token);
}

static void a_token_is_never_kept(void **state) {
  world *w = *state;
  asked a;
  char token[64], path[128];
  model_token(token);
  w->m->answer = leak;
  open_log(w, 0, true);
  snprintf(path, sizeof path, "/oauth/{version}/access-tokens/%s", token);
  ask_raw(w->m, &a, "GET", path, token);
  hl_loop_run(w->m->loop);
  close_log(w);
  char *text = contents(w, NULL);
  assert_null(strstr(text, token));
  assert_null(strstr(text, "abcdefghijkl"));
  has(text, "\"path\":\"/oauth/2026-09/access-tokens/[secret]\"");
  has(text, "\"sent\":\"[secret]\"");
  has(text, "strange: [secret] and");
  hl_free(text);
  asked_free(&a);
}

static void bodies_when_asked_and_not_endless(void **state) {
  world *w = *state;
  asked a;
  char big[3 * HL_CALL_BODY_MAX];
  memset(big, 'x', sizeof big - 1);
  big[sizeof big - 1] = 0;
  open_log(w, 0, false);
  ask_raw(w->m, &a, "POST", "/x", "{\"quiet\":1}");
  hl_loop_run(w->m->loop);
  asked_free(&a);
  close_log(w);
  open_log(w, 0, true);
  ask_raw(w->m, &a, "POST", "/x", big);
  hl_loop_run(w->m->loop);
  asked_free(&a);
  ask_raw(w->m, &a, "GET", "/webhooks-journal/journal/2026-03/latest", "{\"hush\":1}");
  hl_loop_run(w->m->loop);
  asked_free(&a);
  close_log(w);
  int64_t size;
  char *text = contents(w, &size);
  assert_null(strstr(text, "quiet"));
  has(text, "journal/2026-03/latest");
  assert_null(strstr(text, "hush"));
  has(text, "xxxx…\"");
  has(text, "\"answer\":\"{}\"");
  assert_true(size < 2 * HL_CALL_BODY_MAX);
  hl_free(text);
}

/* ---- the files ---- */

static void the_disk_is_bounded_and_order_kept(void **state) {
  world *w = *state;
  enum { ROUNDS = 200, EACH = 200 };
  open_log(w, HL_CALL_LOG_LEAST, false);
  for (int i = 0; i < ROUNDS; i++) {
    add(w, 1 + i * EACH, EACH);
    pass(w, 1000);
    if (i % 50 != 49) continue;
    int64_t size;
    hl_free(contents(w, &size));
    assert_in_range(size, 1, HL_CALL_LOG_LEAST);
  }
  close_log(w);
  int64_t size;
  hl_free(contents(w, &size));
  assert_in_range(size, HL_CALL_LOG_LEAST / 2, HL_CALL_LOG_LEAST);
  read_back r = all_of(w);
  assert_true(r.whole); /* the newest, without a hole */
  assert_int_equal(r.torn, 0);
  assert_int_equal(r.last_id, ROUNDS * EACH);
  assert_in_range(r.calls, 1000, ROUNDS * EACH - 1);
  read_back_free(&r);
}

static void a_reader_follows_across_segments(void **state) {
  world *w = *state;
  open_log(w, HL_CALL_LOG_LEAST, false);
  hl_calls *c = hl_calls_open(w->base, 0); /* before there is a file */
  read_back r = {.ordered = true, .whole = true};
  for (int i = 0; i < 100; i++) {
    add(w, 1 + i * 300, 300);
    pass(w, 1000);
    more(c, &r);
  }
  assert_int_equal(r.calls, 30000);
  assert_true(r.whole);
  uint64_t *v;
  size_t n;
  assert_int_equal(hl_call_log_segments(w->base, &v, &n), 0);
  assert_true(v[n - 1] > 8);
  hl_free(v);
  hl_calls_close(c);
  read_back_free(&r);
}

static void a_torn_line_is_skipped(void **state) {
  world *w = *state;
  open_log(w, 0, false);
  add(w, 1, 3);
  close_log(w);
  char name[160];
  struct stat st;
  snprintf(name, sizeof name, "%s.1", w->base);
  assert_int_equal(stat(name, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(truncate(name, st.st_size - 20), 0); /* as kill -9 in a write leaves it */
  read_back r = all_of(w);
  assert_int_equal(r.calls, 2); /* it may still be completed, so it is no line yet */
  read_back_free(&r);
  open_log(w, 0, false);
  add(w, 4, 2);
  close_log(w);
  r = all_of(w);
  assert_int_equal(r.calls, 4);
  assert_int_equal(r.torn, 1);
  assert_int_equal(r.last_id, 5);
  assert_true(r.ordered);
  read_back_free(&r);
}

static void a_full_disk_is_said_once_and_counted(void **state) {
  world *w = *state;
  struct rlimit before, small;
  signal(SIGXFSZ, SIG_IGN);
  open_log(w, 0, false);
  add(w, 1, 10);
  pass(w, 1000);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 4096;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 20; i++) {
    add(w, 11 + i * 100, 100);
    pass(w, 5000);
  }
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  add(w, 2011, 5);
  pass(w, 10000);
  assert_int_equal(w->warnings, 1);
  has(w->warned, "warn");
  has(w->warned, w->base);
  add(w, 2016, 1);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.torn, 0);
  assert_true(r.ordered);
  assert_int_equal(r.last_id, 2016);
  assert_true(r.gaps > 1000);
  assert_int_equal(r.calls + r.gaps, 2016);
  read_back_free(&r);
}

static void what_has_no_room_is_counted(void **state) {
  world *w = *state;
  enum { MANY = 60000 };
  open_log(w, 0, false);
  add(w, 1, MANY); /* the loop does not turn: nothing can be written */
  pass(w, 1000);
  add(w, MANY + 1, 10);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.torn, 0);
  assert_true(r.ordered);
  assert_true(r.gaps > 0);
  assert_int_equal(r.calls + r.gaps, MANY + 10);
  assert_int_equal(r.last_id, MANY + 10);
  assert_int_equal(w->warnings, 0);
  read_back_free(&r);
}

static void two_programs_share_a_log(void **state) {
  world *w = *state;
  open_log(w, 0, false);
  add(w, 1, 5);
  pass(w, 1000);
  hl_call_log *first = w->log;
  open_log(w, 0, false); /* the second finds the segment held */
  add(w, 6, 5);
  pass(w, 1000);
  hl_call_log_free(first);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.calls, 10);
  assert_true(r.whole);
  uint64_t *v;
  size_t n;
  assert_int_equal(hl_call_log_segments(w->base, &v, &n), 0);
  assert_int_equal(n, 2);
  hl_free(v);
  read_back_free(&r);
}

static void a_removed_file_is_begun_again(void **state) {
  world *w = *state;
  char name[160];
  open_log(w, 0, false);
  add(w, 1, 5);
  pass(w, 1000);
  snprintf(name, sizeof name, "%s.1", w->base);
  assert_int_equal(unlink(name), 0);
  add(w, 6, 5);
  close_log(w);
  read_back r = all_of(w);
  assert_int_equal(r.calls, 5);
  assert_int_equal(r.last_id, 10);
  read_back_free(&r);
}

/* ---- names ---- */

static void names_of_logs_and_paths(void **state) {
  (void)state;
  static const struct { const char *store, *base; } logs[] = {
      {"/p/data/hubloop.db", "/p/data/calls.log"},
      {"/s/home%x.lua.db", "/s/home%x.lua.calls.log"},
      {"hubloop.db", "calls.log"},
      {"/p/other.sqlite", "/p/other.sqlite.calls.log"},
  };
  static const struct { const char *path, *shape; } paths[] = {
      {"/crm/objects/2026-09/contacts/151", "/crm/objects/2026-09/contacts/{id}"},
      {"/crm/objects/2026-09/0-1/151/associations/2-77", "/crm/objects/2026-09/0-1/{id}/associations/2-77"},
      {"/webhooks-journal/journal/2026-03/offset/0b5bff77-3a2b-4c6f-9d2e-1f2a3b4c5d6e/next",
       "/webhooks-journal/journal/2026-03/offset/{id}/next"},
      {"/crm/objects/2026-09/contacts/{email}", "/crm/objects/2026-09/contacts/{email}"},
      {"", ""},
      {"/", "/"},
  };
  for (size_t i = 0; i < HL_COUNT(logs); i++) {
    hl_buf b;
    hl_buf_init(&b, 4096);
    assert_int_equal(hl_call_log_base(logs[i].store, &b), 0);
    assert_string_equal(b.p, logs[i].base);
    hl_buf_deinit(&b);
  }
  for (size_t i = 0; i < HL_COUNT(paths); i++) {
    hl_buf b;
    hl_buf_init(&b, 4096);
    assert_int_equal(hl_call_path_shape(hl_str_of(paths[i].path), &b), 0);
    assert_string_equal(b.p ? b.p : "", paths[i].shape);
    hl_buf_deinit(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(each_call_leaves_a_line, setup, teardown),
      cmocka_unit_test_setup_teardown(shared_reads_by_a_value_keep_it_secret, setup, teardown),
      cmocka_unit_test_setup_teardown(repetitions_are_counted, setup, teardown),
      cmocka_unit_test_setup_teardown(a_token_is_never_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(bodies_when_asked_and_not_endless, setup, teardown),
      cmocka_unit_test_setup_teardown(the_disk_is_bounded_and_order_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(a_reader_follows_across_segments, setup, teardown),
      cmocka_unit_test_setup_teardown(a_torn_line_is_skipped, setup, teardown),
      cmocka_unit_test_setup_teardown(a_full_disk_is_said_once_and_counted, setup, teardown),
      cmocka_unit_test_setup_teardown(what_has_no_room_is_counted, setup, teardown),
      cmocka_unit_test_setup_teardown(two_programs_share_a_log, setup, teardown),
      cmocka_unit_test_setup_teardown(a_removed_file_is_begun_again, setup, teardown),
      cmocka_unit_test(names_of_logs_and_paths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
