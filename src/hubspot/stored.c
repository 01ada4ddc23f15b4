#include "hubspot/stored.h"

#include <ctype.h>
#include <unistd.h>

#include "base/mem.h"

enum { LEASE_TRIES = 100, LEASE_PAUSE_US = 100 * 1000 };
static const char SECRET[] = "secret", VERSION[] = "2026-09";

static void wipe(char *s) {
  if (s) explicit_bzero(s, strlen(s));
  hl_free(s);
}

void hl_stored_wipe(hl_stored *s) {
  hl_free(s->name);
  hl_grant_wipe(&s->grant);
  wipe(s->client_id);
  wipe(s->client_secret);
  hl_free(s->asked);
  hl_free(s->region);
  hl_free(s->base_url);
  *s = (hl_stored){0};
}

const char *hl_stored_kind(const hl_stored *s) { return s->secret ? SECRET : hl_credential_kind_name(s->kind); }

/* ---- entries ---- */

static char *text_of(const cJSON *e, const char *key) { return hl_strdup(hl_json_str(e, key, NULL)); }

static void grant_of(const cJSON *e, hl_grant *g) {
  *g = (hl_grant){.access = text_of(e, "access"),
                  .refresh = text_of(e, "refresh"),
                  .older = text_of(e, "older"),
                  .expires_at = hl_json_int(e, "expires_at", 0),
                  .life_ms = hl_json_int(e, "life_ms", 0),
                  .scopes = text_of(e, "scopes"),
                  .portal = hl_json_int(e, "portal", 0),
                  .user_id = hl_json_int(e, "user_id", 0)};
}

static void put_text(cJSON *e, const char *key, const char *value) {
  cJSON *old = cJSON_DetachItemFromObjectCaseSensitive(e, key);
  hl_vault_wipe(old);
  if (value) cJSON_AddStringToObject(e, key, value);
}

static void put_int(cJSON *e, const char *key, int64_t value) {
  cJSON_DeleteItemFromObjectCaseSensitive(e, key);
  if (value) cJSON_AddItemToObject(e, key, hl_json_int64(value));
}

static void put_grant(cJSON *e, const hl_grant *g) {
  put_text(e, "access", g->access);
  put_text(e, "refresh", g->refresh);
  put_text(e, "older", g->older);
  put_text(e, "scopes", g->scopes);
  put_int(e, "expires_at", g->expires_at);
  put_int(e, "life_ms", g->life_ms);
  put_int(e, "portal", g->portal);
  put_int(e, "user_id", g->user_id);
}

static int stored_of(const cJSON *e, hl_stored *s, hl_error *err) {
  const char *kind = hl_json_str(e, "kind", "");
  hl_stored out = {.secret = strcmp(kind, SECRET) == 0};
  if (!out.secret) {
    int rc = hl_credential_kind_of(kind, &out.kind, err);
    if (rc) return hl_fail_in(err, "the stored credential “%s”", e->string);
  }
  grant_of(e, &out.grant);
  out.name = hl_strdup(e->string);
  out.client_id = text_of(e, "client_id");
  out.client_secret = text_of(e, "client_secret");
  out.asked = text_of(e, "asked");
  out.region = text_of(e, "region");
  out.base_url = text_of(e, "base_url");
  out.added_at = hl_json_int(e, "added_at", 0);
  *s = out;
  return 0;
}

static int not_found(const hl_vault *v, const cJSON *entries, const char *name, hl_error *err) {
  const cJSON *e;
  hl_buf known;
  hl_buf_init(&known, 400);
  cJSON_ArrayForEach(e, entries) hl_buf_printf(&known, "%s%s", known.n ? ", " : "", e->string);
  int rc = hl_fail(err, HL_ENOTFOUND,
                   "no credential “%s” is stored in %s%s%s; hubloop auth add or hubloop auth login stores one", name,
                   hl_vault_path(v), known.n ? "; there are: " : "", known.n ? known.p : "");
  hl_buf_deinit(&known);
  return rc;
}

int hl_stored_get(hl_vault *v, const char *name, hl_stored *out, hl_error *err) {
  cJSON *entries;
  int rc = hl_vault_check_name(name, err);
  if (!rc) rc = hl_vault_read(v, &entries, err);
  if (rc) return rc;
  const cJSON *e = hl_json_get(entries, name);
  rc = e ? stored_of(e, out, err) : not_found(v, entries, name, err);
  hl_vault_wipe(entries);
  return rc;
}

static int by_name(const void *a, const void *b) { return strcmp(((const hl_stored *)a)->name, ((const hl_stored *)b)->name); }

int hl_stored_list(hl_vault *v, hl_stored **out, size_t *n, hl_error *err) {
  cJSON *entries;
  const cJSON *e;
  int rc = hl_vault_read(v, &entries, err);
  if (rc) return rc;
  size_t count = 0, max = (size_t)cJSON_GetArraySize(entries);
  hl_stored *list = hl_alloc((max + 1) * sizeof *list);
  cJSON_ArrayForEach(e, entries) {
    if ((rc = stored_of(e, &list[count], err))) break;
    count++;
  }
  hl_vault_wipe(entries);
  if (rc) {
    while (count) hl_stored_wipe(&list[--count]);
    hl_free(list);
    return rc;
  }
  if (count) qsort(list, count, sizeof *list, by_name);
  *out = list;
  *n = count;
  return 0;
}

/* ---- changes ---- */

typedef struct change {
  hl_vault *vault;
  const char *name;
  const hl_stored *stored;
  const hl_grant *grant;
} change;

static int edit_put(void *arg, cJSON *entries, hl_error *err) {
  const change *c = arg;
  const hl_stored *s = c->stored;
  (void)err;
  hl_vault_wipe(cJSON_DetachItemFromObjectCaseSensitive(entries, s->name));
  cJSON *e = cJSON_AddObjectToObject(entries, s->name);
  put_text(e, "kind", hl_stored_kind(s));
  put_grant(e, &s->grant);
  put_text(e, "client_id", s->client_id);
  put_text(e, "client_secret", s->client_secret);
  put_text(e, "asked", s->asked);
  put_text(e, "region", s->region);
  put_text(e, "base_url", s->base_url);
  put_int(e, "added_at", s->added_at);
  return 0;
}

static int edit_grant(void *arg, cJSON *entries, hl_error *err) {
  const change *c = arg;
  cJSON *e = cJSON_GetObjectItemCaseSensitive(entries, c->name);
  if (!e) return not_found(c->vault, entries, c->name, err);
  put_grant(e, c->grant);
  return 0;
}

static int edit_remove(void *arg, cJSON *entries, hl_error *err) {
  const change *c = arg;
  cJSON *e = cJSON_DetachItemFromObjectCaseSensitive(entries, c->name);
  if (!e) return not_found(c->vault, entries, c->name, err);
  hl_vault_wipe(e);
  return 0;
}

/* Under the lease, so that a renewal which has begun does not write an older grant over this. */
static int change_alone(hl_vault *v, const char *name, int (*edit)(void *, cJSON *, hl_error *), change *c, hl_error *err) {
  int lease = -1, rc = HL_EBUSY;
  for (int i = 0; i < LEASE_TRIES && rc == HL_EBUSY; i++) {
    if (i) usleep(LEASE_PAUSE_US);
    rc = hl_vault_lease(v, name, &lease, err);
  }
  if (rc) return rc;
  rc = hl_vault_change(v, edit, c, err);
  hl_vault_release(lease);
  return rc;
}

int hl_stored_put(hl_vault *v, const hl_stored *s, hl_error *err) {
  change c = {.vault = v, .stored = s};
  int rc = hl_vault_check_name(s->name, err);
  return rc ? rc : change_alone(v, s->name, edit_put, &c, err);
}

int hl_stored_remove(hl_vault *v, const char *name, hl_error *err) {
  change c = {.vault = v, .name = name};
  int rc = hl_vault_check_name(name, err);
  return rc ? rc : change_alone(v, name, edit_remove, &c, err);
}

/* ---- hosts ---- */

static int region_of(const char *region, char out[8], hl_error *err) {
  size_t n = region ? strlen(region) : 0;
  snprintf(out, 8, "na1");
  if (!region) return 0;
  bool good = (n == 2 || n == 3) && islower((unsigned char)region[0]) && islower((unsigned char)region[1]) &&
              (n == 2 || isdigit((unsigned char)region[2]));
  if (!good)
    return hl_fail(err, HL_EINVAL, "“%.20s” is no region of HubSpot's: \"eu1\" or \"na1\", as in the token (pat-eu1-…)",
                   region);
  snprintf(out, 8, "%s%s", region, n == 2 ? "1" : "");
  return 0;
}

static int host(const char *region, const char *all, const char *one, char *out, size_t size, hl_error *err) {
  char r[8];
  int rc = region_of(region, r, err);
  if (rc) return rc;
  bool na = strncmp(r, "na", 2) == 0; /* all of North America answers on the one host */
  int n = na ? snprintf(out, size, "%s", all) : snprintf(out, size, "https://%s-%s", one, r);
  if (na || n < 0) return 0;
  const char *rest = strchr(all, '.');
  snprintf(out + n, size - (size_t)n, "%s", rest);
  return 0;
}

int hl_region_host(const char *region, char *out, size_t size, hl_error *err) {
  return host(region, "https://api.hubapi.com", "api", out, size, err);
}

int hl_region_pages(const char *region, char *out, size_t size, hl_error *err) {
  return host(region, "https://app.hubspot.com", "app", out, size, err);
}

int hl_stored_base(const hl_stored *s, char *out, size_t size, hl_error *err) {
  if (!s->base_url) return hl_region_host(s->region, out, size, err);
  snprintf(out, size, "%s", s->base_url);
  return 0;
}

/* ---- the credential ---- */

typedef struct keeper {
  hl_keeper base;
  hl_vault *vault;
  char *name;
  int lease;
} keeper;

static int keeper_begin(hl_keeper *base, hl_grant *kept, hl_error *err) {
  keeper *k = HL_CONTAINER(base, keeper, base);
  hl_stored s = {0};
  int rc = hl_vault_lease(k->vault, k->name, &k->lease, err);
  if (rc) return rc;
  rc = hl_stored_get(k->vault, k->name, &s, err);
  if (rc) {
    hl_vault_release(k->lease);
    return rc;
  }
  hl_grant_copy(kept, &s.grant);
  hl_stored_wipe(&s);
  return 0;
}

static int keeper_save(hl_keeper *base, const hl_grant *g, hl_error *err) {
  keeper *k = HL_CONTAINER(base, keeper, base);
  change c = {.vault = k->vault, .name = k->name, .grant = g};
  return hl_vault_change(k->vault, edit_grant, &c, err);
}

static void keeper_end(hl_keeper *base) { hl_vault_release(HL_CONTAINER(base, keeper, base)->lease); }

static void keeper_free(hl_keeper *base) {
  keeper *k = HL_CONTAINER(base, keeper, base);
  hl_vault_free(k->vault);
  hl_free(k->name);
  hl_free(k);
}

int hl_stored_credential(const hl_stored *s, hl_loop *loop, hl_transport *t, const hl_vault *v, hl_credential **out,
                         hl_error *err) {
  char base[256];
  if (s->secret)
    return hl_fail(err, HL_EINVAL, "“%s” is a plain secret, no credential of an account: use it as secret \"%s\"",
                   s->name, s->name);
  int rc = hl_stored_base(s, base, sizeof base, err);
  if (rc) return rc;
  keeper *k = NULL;
  if (v) {
    k = HL_NEW(keeper);
    k->base = (hl_keeper){.begin = keeper_begin, .save = keeper_save, .end = keeper_end, .free = keeper_free};
    k->name = hl_strdup(s->name);
    k->vault = hl_vault_copy(v);
  }
  hl_credential_options o = {.loop = loop,
                             .transport = t,
                             .name = s->name,
                             .kind = s->kind,
                             .scopes = s->asked,
                             .grant = s->grant,
                             .keeper = k ? &k->base : NULL,
                             .app = {.base_url = base,
                                     .version = VERSION,
                                     .policy = s->base_url ? HL_NET_NAMED : HL_NET_PUBLIC,
                                     .client_id = s->client_id,
                                     .client_secret = s->client_secret}};
  *out = hl_credential_new(&o);
  return 0;
}
