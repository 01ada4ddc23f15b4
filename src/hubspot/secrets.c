#include "hubspot/secrets.h"

#include <errno.h>

#include "base/mem.h"
#include "hubspot/seal.h"
#include "hubspot/stored.h"

enum { VALUE_MAX = 64 * 1024, FRESH_MS = 60 * 1000 };

typedef struct known {
  struct known *next;
  char *name;
  hl_buf value;
  int64_t at;
} known;

struct hl_secrets {
  hl_loop *loop;
  hl_vault *vault;
  known *list;
};

hl_secrets *hl_secrets_new(hl_loop *loop, hl_vault *vault) {
  hl_secrets *s = HL_NEW(hl_secrets);
  s->loop = loop;
  s->vault = vault;
  return s;
}

void hl_secrets_forget(hl_secrets *s) {
  for (known *k; (k = s->list) != NULL;) {
    s->list = k->next;
    hl_buf_wipe(&k->value);
    hl_free(k->name);
    hl_free(k);
  }
}

void hl_secrets_free(hl_secrets *s) {
  if (!s) return;
  hl_secrets_forget(s);
  hl_free(s);
}

static int from_file(const char *name, const char *path, hl_buf *out, hl_error *err) {
  char chunk[4096];
  size_t n;
  int rc = 0;
  FILE *f = fopen(path, "rbe");
  if (!f)
    return hl_fail(err, HL_EAUTH, "the secret %s: cannot read %s, which %s_FILE names: %s", name, path, name,
                   strerror(errno));
  while (!rc && (n = fread(chunk, 1, sizeof chunk, f)) > 0) rc = hl_buf_append(out, chunk, n);
  if (!rc && ferror(f)) rc = HL_EIO;
  fclose(f);
  explicit_bzero(chunk, sizeof chunk);
  if (rc)
    return hl_fail(err, rc, "the secret %s: %s, which %s_FILE names, cannot be read or is larger than %d bytes", name,
                   path, name, VALUE_MAX);
  while (out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r')) out->p[--out->n] = 0;
  if (!out->n || memchr(out->p, 0, out->n))
    return hl_fail(err, HL_EAUTH, "the secret %s: %s, which %s_FILE names, is empty or no text", name, path, name);
  return 0;
}

/* An account's token is not given out as text: it goes to HubSpot and nowhere else. */
static int from_vault(hl_vault *v, const char *name, hl_buf *out, hl_error *err) {
  hl_stored s = {0};
  int rc = hl_stored_get(v, name, &s, err);
  if (rc) return rc;
  if (s.secret) rc = hl_buf_puts(out, s.grant.access ? s.grant.access : "");
  else
    rc = hl_fail(err, HL_EDENIED, "“%s” is the stored credential of an account, which is sent to HubSpot only: name it in hubloop.lua's accounts, "
                 "or store another secret with --kind secret", name);
  hl_stored_wipe(&s);
  return rc;
}

static known *find(hl_secrets *s, const char *name) {
  known *k = s ? s->list : NULL;
  while (k && strcmp(k->name, name) != 0) k = k->next;
  return k;
}

int hl_secrets_get(void *arg, const char *name, hl_buf *out, hl_error *err) {
  hl_secrets *s = arg;
  char variable[160];
  const char *value = getenv(name);
  hl_buf_clear(out);
  if (value && *value) return hl_buf_puts(out, value) ? hl_fail(err, HL_ELIMIT, "the secret %s is too long", name) : 0;

  known *k = find(s, name);
  if (k && hl_loop_mono(s->loop) - k->at < FRESH_MS) return hl_buf_append(out, k->value.p, k->value.n);
  snprintf(variable, sizeof variable, "%.128s_FILE", name);
  value = getenv(variable);
  hl_buf found;
  hl_buf_init(&found, VALUE_MAX);
  int rc;
  if (value && *value) rc = from_file(name, value, &found, err);
  else if (s && s->vault && hl_vault_check_name(name, NULL) == 0 && hl_vault_exists(s->vault))
    rc = from_vault(s->vault, name, &found, err);
  else rc = HL_ENOTFOUND;
  if (rc == HL_ENOTFOUND)
    rc = hl_fail(
        err, HL_EAUTH,
        "the secret %s is not set: export %s, name a file in %s_FILE, or store it: hubloop auth add %s --kind secret",
        name, name, name, name);
  if (!rc) rc = hl_buf_append(out, found.p, found.n);
  if (!rc && s) {
    if (!k) {
      k = HL_NEW(known);
      k->name = hl_strdup(name);
      k->next = s->list;
      s->list = k;
    } else {
      hl_buf_wipe(&k->value);
    }
    k->at = hl_loop_mono(s->loop);
    k->value = found;
    found = (hl_buf){0};
    if (k->value.n >= 4) hl_log_add_secret(hl_loop_log(s->loop), hl_buf_str(&k->value));
  }
  hl_buf_wipe(&found);
  return rc;
}

int hl_secrets_made_up(void *s, const char *name, hl_buf *out, hl_error *err) {
  int rc = hl_secrets_get(s, name, out, err);
  if (rc != HL_EAUTH) return rc;
  hl_buf_clear(out);
  return hl_buf_printf(out, "sim-%s", name);
}
