#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "hubspot/mask.h"
#include "hubspot/seal.h"
#include "loop/loop.h"
#include "net/client.h"
#include "net/server.h"

/* `hubloop record`: a door on loopback that passes requests on to HubSpot and
 * keeps them with their answers, masked, in the form of `hubloop sim --record`,
 * for `hubloop sim --fixture`. Unmasked bytes are never written. */

#define HUBSPOT "https://api.hubapi.com"

static const hl_flag flags[] = {
    {"port", "N", "port on 127.0.0.1; default 8483, 0: any"},
    {"keep", "NAMES", "properties whose values are not masked (several: a,b)"},
    {"to", "URL", "pass requests on to another server; default " HUBSPOT},
    {NULL, NULL, NULL},
};

enum { BODY_MAX = 64 << 20, DRAIN_MS = 5000 };

typedef struct recording {
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;
  hl_server *server;
  hl_mask *mask;
  const char *to, *path;
  int fd;
  uint64_t kept, left_out;
  int failed;                /* errno of the file */
  bool stop;
} recording;

typedef struct passing {
  recording *r;
  hl_request *q;
} passing;

/* ---- the file ---- */

/* The text with pseudonyms; false: it is no JSON, and so cannot be masked. */
static bool masked(recording *r, hl_str body, char **out) {
  cJSON *tree;
  hl_error err;
  *out = NULL;
  if (!body.n) {
    *out = hl_strdup("");
    return true;
  }
  if (hl_json_parse(body, &tree, &err)) return false;
  hl_mask_json(r->mask, tree);
  *out = hl_json_print(tree);
  cJSON_Delete(tree);
  return true;
}

/* Where tokens are made there is nothing to keep: the simulator has its own. */
static bool is_left_out(hl_str path) { return hl_str_starts(path, "/oauth/"); }

static void write_line(recording *r, cJSON *line) {
  hl_buf safe;
  hl_buf_init(&safe, SIZE_MAX / 4);
  char *text = hl_json_print(line);
  hl_log_redact(r->log, hl_str_of(text), &safe);
  hl_buf_puts(&safe, "\n");
  for (size_t at = 0; at < safe.n && !r->failed;) {
    ssize_t n = write(r->fd, safe.p + at, safe.n - at);
    if (n > 0) at += (size_t)n;
    else if (errno != EINTR) r->failed = errno;
  }
  hl_free(text);
  hl_buf_deinit(&safe);
  if (r->failed) {
    hl_log_write(r->log, HL_LOG_ERROR, "record", "cannot write %s: %s; nothing more is kept", r->path, strerror(r->failed));
    r->stop = true;
  }
}

static bool is_kept_header(const char *name) {
  return strcasecmp(name, "Content-Type") == 0 || strcasecmp(name, "Retry-After") == 0 || strncasecmp(name, "X-HubSpot-RateLimit", 19) == 0;
}

static void keep(recording *r, const hl_request *q, const hl_http_response *a) {
  char *asked = NULL, *answered = NULL;
  if (is_left_out(hl_request_path(q))) {
    r->left_out++;
  } else if (!masked(r, hl_request_body(q), &asked) || !masked(r, a->body, &answered)) {
    r->left_out++;
    hl_log_write(r->log, HL_LOG_WARN, "record", "%s " HL_STR_FMT " is passed on and not kept: what is no JSON cannot be masked",
                 hl_request_method(q), HL_STR_ARG(hl_request_path(q)));
  } else {
    hl_buf target;
    hl_buf_init(&target, SIZE_MAX / 4);
    hl_mask_target(r->mask, hl_str_of(hl_request_target(q)), &target);
    char *query = strchr(target.p, '?');
    if (query) *query++ = 0;
    cJSON *line = cJSON_CreateObject(), *headers = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "method", hl_request_method(q));
    cJSON_AddStringToObject(line, "path", target.p);
    cJSON_AddStringToObject(line, "query", query ? query : "");
    cJSON_AddStringToObject(line, "requestBody", asked);
    cJSON_AddNumberToObject(line, "status", a->status);
    for (size_t i = 0; i < a->headers.n; i++)
      if (is_kept_header(a->headers.v[i].name)) cJSON_AddStringToObject(headers, a->headers.v[i].name, a->headers.v[i].value);
    cJSON_AddItemToObject(line, "responseHeaders", headers);
    cJSON_AddStringToObject(line, "responseBody", answered);
    write_line(r, line);
    r->kept++;
    cJSON_Delete(line);
    hl_buf_deinit(&target);
  }
  hl_free(asked);
  hl_free(answered);
}

/* ---- passing on ---- */

/* Those of the connection, and what the client sets itself. */
static bool is_of_hop(const char *name) {
  static const char *const hop[] = {"Host", "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Accept-Encoding",
                                    "Expect", "TE", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection", NULL};
  for (const char *const *h = hop; *h; h++)
    if (strcasecmp(*h, name) == 0) return true;
  return false;
}

static void copy_header(void *arg, const char *name, const char *value) {
  if (!is_of_hop(name)) hl_headers_add(arg, hl_str_of(name), hl_str_of(value));
}

static void refuse(hl_request *q, hl_log *log, const char *text) {
  hl_log_write(log, HL_LOG_WARN, "record", "%s " HL_STR_FMT ": %s", hl_request_method(q), HL_STR_ARG(hl_request_path(q)), text);
  hl_request_drop(q); /* as the server that did not answer would */
}

static void answered(void *arg, const hl_http_response *a) {
  passing *p = arg;
  recording *r = p->r;
  if (a->status == 0) {
    refuse(p->q, r->log, a->err.text);
  } else {
    keep(r, p->q, a);
    hl_headers headers = {0};
    for (size_t i = 0; i < a->headers.n; i++) copy_header(&headers, a->headers.v[i].name, a->headers.v[i].value);
    hl_request_reply(p->q, a->status, &headers, a->body);
    hl_headers_deinit(&headers);
  }
  hl_free(p);
}

static void on_request(void *arg, hl_request *q) {
  recording *r = arg;
  hl_buf url;
  hl_error err;
  hl_http_op *op;
  hl_headers headers = {0};
  passing *p = HL_NEW(passing);
  *p = (passing){r, q};
  hl_request_headers(q, copy_header, &headers);
  const char *token = hl_headers_get(&headers, "Authorization");
  if (token && strncasecmp(token, "Bearer ", 7) == 0) hl_log_add_secret(r->log, hl_str_of(token + 7));
  hl_buf_init(&url, 64 * 1024);
  bool fits = hl_buf_printf(&url, "%s%s", r->to, hl_request_target(q)) == 0;
  bool own = strcmp(r->to, HUBSPOT) != 0; /* named by whoever started this */
  hl_http_request request = {.method = hl_request_method(q), .url = url.p, .headers = &headers, .body = hl_request_body(q),
                             .timeout_ms = 60 * 1000, .max_body = BODY_MAX, .policy = own ? HL_NET_NAMED : HL_NET_PUBLIC};
  if (!fits) hl_fail(&err, HL_ELIMIT, "the URL is too long");
  if (!fits || r->client->send(r->client, &request, answered, p, &op, &err)) {
    refuse(q, r->log, err.text);
    hl_free(p);
  }
  hl_headers_deinit(&headers);
  hl_buf_deinit(&url);
}

/* ---- the command ---- */

static void on_stop(void *arg, int signum) {
  (void)signum;
  ((recording *)arg)->stop = true;
}

static void set_flag(void *arg) { *(bool *)arg = true; }

static void print_masked(void *arg, const char *property, uint64_t n) {
  if (!*(bool *)arg) puts("masked, and might be kept with --keep:");
  *(bool *)arg = true;
  printf("  %-40s %llu value%s\n", property, (unsigned long long)n, n == 1 ? "" : "s");
}

static void keep_properties(recording *r, const hl_args *a) {
  for (size_t i = 0; i < a->n_flags; i++) {
    if (strcmp(a->flag[i], "keep") != 0) continue;
    for (const char *p = a->value[i]; *p;) {
      size_t n = strcspn(p, ",");
      char *name = hl_strndup(p, n);
      if (n) hl_mask_keep(r->mask, name);
      hl_free(name);
      p += n + (p[n] == ',');
    }
  }
}

static int run(const hl_args *a) {
  unsigned char key[HL_MASK_KEY];
  const char *to = hl_args_get(a, "to");
  recording r = {.to = to ? to : HUBSPOT, .path = a->positional[0], .fd = -1};
  hl_error err = {0};
  int64_t port;
  int rc = hl_args_int(a, "port", 0, 65535, 8483, &port);
  if (rc) return rc;
  if (to && hl_url_origin(to) != strlen(to))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--to takes an origin such as https://api.hubapi.com, without a path, not \"%s\"", to);
  r.log = hl_log_new(HL_LOG_INFO, false);
  if (RAND_bytes(key, sizeof key) != 1) {
    rc = hl_fail(&err, HL_EIO, "the system gives no random bytes");
    goto out;
  }
  r.mask = hl_mask_new(key);
  OPENSSL_cleanse(key, sizeof key);
  keep_properties(&r, a);
  if ((rc = hl_loop_new(NULL, r.log, &r.loop, &err)) || (rc = hl_client_new(r.loop, &r.client, &err))) goto out;
  /* Another recording has another key: its pseudonyms would not match. */
  r.fd = open(r.path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (r.fd < 0) {
    rc = errno == EEXIST ? hl_fail(&err, HL_EINVAL, "%s is there already; name a new file, pseudonyms differ from recording to recording", r.path)
                         : hl_fail(&err, HL_EIO, "cannot write %s: %s", r.path, strerror(errno));
    goto out;
  }
  char address[32];
  snprintf(address, sizeof address, "127.0.0.1:%d", (int)port);
  hl_server_options so = {.listen = address, .max_body = 16u << 20, .request_ms = 60 * 1000};
  if ((rc = hl_server_new(r.loop, &so, on_request, &r, &r.server, &err))) {
    unlink(r.path);
    goto out;
  }
  hl_loop_on_signal(r.loop, SIGTERM, on_stop, &r, NULL);
  hl_loop_on_signal(r.loop, SIGINT, on_stop, &r, NULL);
  printf("export HUBSPOT_BASE_URL=http://127.0.0.1:%u\n", hl_server_port(r.server));
  fflush(stdout);
  hl_log_write(r.log, HL_LOG_INFO, "record", "what comes to http://127.0.0.1:%u goes on to %s and is kept, masked, in %s; Ctrl-C ends it",
               hl_server_port(r.server), r.to, r.path);
  hl_loop_run_until(r.loop, &r.stop);
  bool drained = false, any = false;
  hl_server_drain(r.server, DRAIN_MS, set_flag, &drained);
  hl_loop_run_until(r.loop, &drained);
  printf("%llu exchange%s in %s", (unsigned long long)r.kept, r.kept == 1 ? "" : "s", r.path);
  if (r.left_out) printf(", %llu not kept", (unsigned long long)r.left_out);
  puts("");
  hl_mask_each(r.mask, print_masked, &any);
  if (r.failed) rc = hl_fail(&err, HL_EIO, "%s is not whole: %s", r.path, strerror(r.failed));
out:
  if (rc) rc = hl_cmd_error(&err);
  if (r.fd >= 0) close(r.fd);
  if (r.client) r.client->free(r.client);
  hl_server_free(r.server);
  hl_loop_free(r.loop);
  hl_mask_free(r.mask);
  hl_log_free(r.log);
  return rc;
}

const hl_command hl_cmd_record = {
    .name = "record", .operands = "FILE", .summary = "keep an account's traffic, masked, for the simulator to answer from",
    .flags = flags, .min = 1, .max = 1, .run = run,
    .examples = "  hubloop record shop.jsonl                     then, in another terminal:\n"
                "  HUBSPOT_BASE_URL=http://127.0.0.1:8483 hubloop run report.lua --account shop\n"
                "  hubloop sim --fixture shop.jsonl              answers as the account did\n"
                "  hubloop record shop.jsonl --keep name,jobtitle\n",
};
