#include "cmd/auth.h"

#include <errno.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "hubspot/seal.h"
#include "net/client.h"

enum { SECRET_MAX = 64 * 1024, IDENTIFY_MS = 20 * 1000 };

int hl_auth_open(hl_auth *x, const hl_args *a, hl_error *err) {
  x->log = hl_log_new(HL_LOG_OFF, false);
  int rc = hl_loop_new(NULL, x->log, &x->loop, err);
  if (!rc) rc = hl_client_new(x->loop, &x->client, err);
  if (!rc) rc = hl_vault_new(hl_args_get(a, "vault"), &x->vault, err);
  return rc;
}

void hl_auth_close(hl_auth *x) {
  if (x->client) x->client->free(x->client);
  hl_loop_free(x->loop);
  hl_vault_free(x->vault);
  hl_log_free(x->log);
}

int hl_auth_one_name(const hl_args *a, const char **name, hl_error *err) {
  if (a->n > 1)
    return hl_fail(err, HL_EINVAL,
                   "%s takes a name only. A token has no place on the command line, where others on this machine see "
                   "it and the shell keeps it: "
                   "it is asked for, or comes from standard input or --env VAR. If one was just given, rotate it",
                   a->command->name);
  *name = a->positional[0];
  return hl_vault_check_name(*name, err);
}

int hl_auth_place(const hl_args *a, hl_stored *s, hl_error *err) {
  char host[256];
  const char *env = getenv("HUBSPOT_BASE_URL"), *base = hl_args_get(a, "base-url"), *region = hl_args_get(a, "region");
  if (base && region) return hl_fail(err, HL_EINVAL, "--region and --base-url exclude one another");
  int rc = region ? hl_region_host(region, host, sizeof host, err) : 0;
  if (rc) return rc;
  s->region = hl_strdup(region);
  if (!base && !region && env && *env) base = env;
  return base ? hl_base_url_check(a->positional[0], base, &s->base_url, err) : 0;
}

/* ---- secrets ---- */

/* Byte by byte and without echo, so that nothing is shown and Ctrl-C leaves the
 * terminal as it was. */
static int from_terminal(const char *what, hl_buf *out, hl_error *err) {
  struct termios before, quiet;
  if (tcgetattr(STDIN_FILENO, &before)) return hl_fail(err, HL_EIO, "cannot read from the terminal: %s", strerror(errno));
  quiet = before;
  quiet.c_lflag &= (tcflag_t) ~(ECHO | ICANON | ISIG);
  /* Quiet first: what is typed the moment the prompt appears is neither shown nor lost. */
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  fprintf(stderr, "%s (not shown): ", what);
  fflush(stderr);
  char c;
  int rc = 0;
  bool stopped = false;
  while (!rc && !stopped) {
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || c == '\n' || c == '\r' || c == 4) break;
    if (c == 3 || c == 28) stopped = true;
    else if (c == 21) hl_buf_clear(out);
    else if (c == 127 || c == 8) { if (out->n) out->p[--out->n] = 0; }
    else rc = hl_buf_append(out, &c, 1);
  }
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  fputc('\n', stderr);
  if (stopped) return hl_fail(err, HL_ECANCELLED, "stopped; nothing was stored");
  return rc ? hl_fail(err, rc, "it is longer than %d bytes", SECRET_MAX) : 0;
}

static int from_input(hl_buf *out, hl_error *err) {
  char c;
  ssize_t n;
  while ((n = read(STDIN_FILENO, &c, 1)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return hl_fail(err, HL_EIO, "cannot read standard input: %s", strerror(errno));
    if (c == '\n') break;
    if (hl_buf_append(out, &c, 1)) return hl_fail(err, HL_ELIMIT, "it is longer than %d bytes", SECRET_MAX);
  }
  return 0;
}

int hl_auth_secret(const hl_args *a, const char *what, hl_buf *out, hl_error *err) {
  const char *variable = hl_args_get(a, "env"), *value = variable ? getenv(variable) : NULL;
  int rc;
  hl_buf_init(out, SECRET_MAX);
  if (variable && (!value || !*value)) return hl_fail(err, HL_EINVAL, "the environment variable %s is not set", variable);
  if (value) rc = hl_buf_puts(out, value) ? hl_fail(err, HL_ELIMIT, "%s is longer than %d bytes", variable, SECRET_MAX) : 0;
  else rc = isatty(STDIN_FILENO) ? from_terminal(what, out, err) : from_input(out, err);
  while (!rc && out->n && strchr(" \t\r\n", out->p[out->n - 1])) out->p[--out->n] = 0;
  if (!rc && (!out->n || strlen(out->p) != out->n))
    rc = hl_fail(err, HL_EINVAL,
                 "no %s was given: it is asked for on a terminal, or comes as the first line of standard input, or "
                 "from --env VAR",
                 what);
  return rc;
}

/* ---- whose token ---- */

typedef struct asking {
  hl_auth_identity *out;
  hl_error err;
  bool done;
} asking;

static void on_identity(void *arg, const hl_identity *id, const hl_api_error *error) {
  asking *q = arg;
  q->done = true;
  if (error) {
    int code = error->status == 401 || strcmp(error->kind, "auth") == 0 ? HL_EAUTH : error->status ? HL_EHUBSPOT : HL_ENET;
    hl_fail(&q->err, code, "%s", error->message);
    return;
  }
  hl_buf scopes;
  hl_buf_init(&scopes, 64 * 1024);
  for (char **s = id->scopes; s && *s; s++, q->out->n_scopes++)
    hl_buf_printf(&scopes, "%s%s", scopes.n ? " " : "", *s);
  q->out->scopes = hl_buf_detach(&scopes, NULL);
  q->out->portal = id->portal;
  q->out->app_id = id->app_id;
  q->out->user_id = id->user_id;
  snprintf(q->out->time_zone, sizeof q->out->time_zone, "%s", id->time_zone ? id->time_zone : "");
}

static void on_token(void *arg, const hl_error *err) {
  asking *q = arg;
  if (err) q->err = *err;
  q->done = true;
}

static void on_late(hl_timer *timer, void *arg) {
  (void)timer;
  asking *q = arg;
  hl_fail(&q->err, HL_ENET, "HubSpot did not answer within %d seconds", IDENTIFY_MS / 1000);
  q->done = true;
}

/* Client credentials name no account: a token that comes is all there is to see. */
static int try_client(hl_auth *x, hl_credential *c, hl_error *err) {
  asking q = {0};
  hl_credential_wait w = {0};
  hl_timer timer = {0};
  hl_credential_renew(c);
  hl_credential_wait_start(c, &w, on_token, &q);
  hl_timer_start(x->loop, &timer, IDENTIFY_MS, on_late, &q);
  hl_loop_run_until(x->loop, &q.done);
  hl_timer_stop(x->loop, &timer);
  hl_credential_wait_stop(c, &w);
  *err = q.err;
  return err->code;
}

int hl_auth_identify(hl_auth *x, const hl_stored *s, bool kept, hl_auth_identity *out, hl_error *err) {
  asking q = {.out = out};
  hl_credential *c = NULL;
  hl_account *account;
  hl_timer timer = {0};
  char base[256];
  *out = (hl_auth_identity){0};
  hl_hubspot *h = hl_hubspot_new(x->loop, x->client);
  int rc = hl_stored_base(s, base, sizeof base, err);
  char nameless[] = "";
  hl_stored shown = *s;
  if (!kept) shown.name = nameless;
  if (!rc) rc = hl_stored_credential(&shown, x->loop, x->client, kept ? x->vault : NULL, &c, err);
  if (rc) goto out;
  if (s->kind == HL_CREDENTIAL_CLIENT) {
    rc = try_client(x, c, err);
    goto out;
  }
  hl_account_options o = {.name = s->name, .credential = c, .base_url = s->base_url || s->region ? base : NULL};
  if ((rc = hl_hubspot_add_account(h, &o, &account, err)) ||
      (rc = hl_account_identify(account, on_identity, &q, err)))
    goto out;
  hl_timer_start(x->loop, &timer, IDENTIFY_MS, on_late, &q);
  hl_loop_run_until(x->loop, &q.done);
  hl_timer_stop(x->loop, &timer);
  *err = q.err;
  rc = err->code;
out:
  /* One that came too late still has our `q`: ended here, while it lives. */
  hl_hubspot_free(h);
  hl_credential_unref(c);
  return rc;
}

void hl_auth_describe(const hl_stored *s, const hl_auth_identity *id, char *out, size_t size) {
  int n = snprintf(out, size, "%s", hl_stored_kind(s));
  if (n < 0 || (size_t)n >= size) return;
  if (id->portal) n += snprintf(out + n, size - (size_t)n, " of portal %lld", (long long)id->portal);
  if ((size_t)n < size && id->scopes)
    snprintf(out + n, size - (size_t)n, ", %zu scope%s", id->n_scopes, id->n_scopes == 1 ? "" : "s");
}
