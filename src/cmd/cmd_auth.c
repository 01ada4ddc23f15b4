#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "cmd/auth.h"

/* `hubloop auth`: the group, and what only looks or removes. */

static const hl_command *const subs[] = {&hl_auth_add,    &hl_auth_login,  &hl_auth_list, &hl_auth_test,
                                         &hl_auth_rotate, &hl_auth_remove, NULL};

const hl_command hl_cmd_auth = {
    .name = "auth",
    .operands = "COMMAND",
    .summary = "accounts: add, login (OAuth in a browser), list, test, rotate, remove",
    .subs = subs,
    .examples = "  hubloop auth add shop                a token, asked for without echo\n"
                "  hubloop auth login shop --client-id ID --scopes \"oauth crm.objects.contacts.read\"\n"
                "  hubloop auth list\n"
                "More: hubloop auth add --help, hubloop help auth\n",
};

/* ---- list ---- */

static const hl_flag list_flags[] = {
    {"json", NULL, "one JSON array"},
    HL_AUTH_VAULT_FLAG,
    {NULL, NULL, NULL},
};

enum { COLUMNS = 6, CELL = 80, ROTATE_DAYS = 180 };
static const int64_t DAY_MS = INT64_C(86400000);

typedef struct row { char cell[COLUMNS][CELL]; } row;

static size_t count_words(const char *s) {
  size_t n = 0;
  for (bool in = false; s && *s; s++) {
    if (*s != ' ' && !in) n++;
    in = *s != ' ';
  }
  return n;
}

static void date(int64_t ms, char out[CELL]) {
  char iso[25];
  hl_time_iso(ms, iso);
  snprintf(out, CELL, "%.10s", iso);
}

static void row_of(const hl_stored *s, row *r) {
  char day[CELL];
  *r = (row){0};
  snprintf(r->cell[0], CELL, "%s", s->name);
  snprintf(r->cell[1], CELL, "%s", hl_stored_kind(s));
  if (s->grant.portal) snprintf(r->cell[2], CELL, "%lld", (long long)s->grant.portal);
  const char *scopes = s->grant.scopes ? s->grant.scopes : s->asked;
  if (scopes) snprintf(r->cell[3], CELL, "%zu", count_words(scopes));
  if (!s->secret && s->kind >= HL_CREDENTIAL_OAUTH) {
    snprintf(r->cell[4], CELL, "renews itself");
  } else if (!s->secret && s->added_at) {
    date(s->added_at + ROTATE_DAYS * DAY_MS, day);
    snprintf(r->cell[4], CELL, "rotate by %.10s", day);
  }
  snprintf(r->cell[5], CELL, "vault");
}

/* The widest column that is not a name gives way until a line fits. */
static void print_table(const row *rows, size_t n) {
  static const char *const heads[COLUMNS] = {"NAME", "KIND", "PORTAL", "SCOPES", "ENDS", "SOURCE"};
  int width[COLUMNS], total = 2 * (COLUMNS - 1), columns = hl_cmd_columns();
  for (int c = 0; c < COLUMNS; c++) {
    width[c] = (int)strlen(heads[c]);
    for (size_t i = 0; i < n; i++)
      if ((int)strlen(rows[i].cell[c]) > width[c]) width[c] = (int)strlen(rows[i].cell[c]);
    total += width[c];
  }
  while (total > columns) {
    int widest = 0;
    for (int c = 1; c < COLUMNS; c++)
      if (width[c] > width[widest]) widest = c;
    if (width[widest] <= 4) break;
    width[widest]--;
    total--;
  }
  for (size_t i = 0; i <= n; i++) {
    char line[COLUMNS * (CELL + 2) + 1];
    int at = 0;
    for (int c = 0; c < COLUMNS; c++)
      at += snprintf(line + at, sizeof line - (size_t)at, "%s%-*.*s", c ? "  " : "", width[c], width[c],
                     i ? rows[i - 1].cell[c] : heads[c]);
    while (at && line[at - 1] == ' ') line[--at] = 0;
    puts(line);
  }
}

static void add_json(cJSON *list, const hl_stored *s) {
  cJSON *e = cJSON_CreateObject();
  cJSON_AddItemToArray(list, e);
  cJSON_AddStringToObject(e, "name", s->name);
  cJSON_AddStringToObject(e, "kind", hl_stored_kind(s));
  cJSON_AddStringToObject(e, "source", "vault");
  if (s->grant.portal) cJSON_AddItemToObject(e, "portal", hl_json_int64(s->grant.portal));
  if (s->region) cJSON_AddStringToObject(e, "region", s->region);
  if (s->base_url) cJSON_AddStringToObject(e, "base_url", s->base_url);
  const char *scopes = s->grant.scopes ? s->grant.scopes : s->asked;
  cJSON *names = scopes ? cJSON_AddArrayToObject(e, "scopes") : NULL;
  for (const char *p = scopes; p && *p;) {
    size_t n = strcspn(p, " ");
    char *name = hl_strndup(p, n);
    if (n) cJSON_AddItemToArray(names, cJSON_CreateString(name));
    hl_free(name);
    p += n + strspn(p + n, " ");
  }
  if (s->added_at) cJSON_AddItemToObject(e, "added_at", hl_json_int64(s->added_at));
  if (s->grant.expires_at) cJSON_AddItemToObject(e, "expires_at", hl_json_int64(s->grant.expires_at));
}

static int list(const hl_args *a) {
  static const char *const variables[] = {"HUBSPOT_TOKEN", "HUBSPOT_TOKEN_FILE"};
  hl_error err = {0};
  hl_vault *v = NULL;
  hl_stored *stored = NULL;
  row *rows = NULL;
  size_t n = 0, env = 0;
  int rc = hl_vault_new(hl_args_get(a, "vault"), &v, &err);
  if (!rc) rc = hl_stored_list(v, &stored, &n, &err);
  if (rc) goto out;
  rows = hl_alloc((n + 1) * sizeof *rows);
  cJSON *json = cJSON_CreateArray();
  for (size_t i = 0; i < HL_COUNT(variables) && !env; i++) {
    const char *value = getenv(variables[i]);
    if (!value || !*value) continue;
    env = 1;
    snprintf(rows[0].cell[0], CELL, "main");
    snprintf(rows[0].cell[1], CELL, "token");
    snprintf(rows[0].cell[5], CELL, "%s", variables[i]);
    cJSON *e = cJSON_CreateObject();
    cJSON_AddItemToArray(json, e);
    cJSON_AddStringToObject(e, "name", "main");
    cJSON_AddStringToObject(e, "kind", "token");
    cJSON_AddStringToObject(e, "source", variables[i]);
  }
  for (size_t i = 0; i < n; i++) {
    row_of(&stored[i], &rows[env + i]);
    add_json(json, &stored[i]);
  }
  if (hl_args_has(a, "json")) {
    char *text = hl_json_print(json);
    puts(text);
    hl_free(text);
  } else if (n + env == 0) {
    printf("No account is stored in %s, and HUBSPOT_TOKEN is not set; hubloop help auth says how to begin.\n", hl_vault_path(v));
  } else {
    print_table(rows, n + env);
  }
  cJSON_Delete(json);
out:
  for (size_t i = 0; i < n; i++) hl_stored_wipe(&stored[i]);
  hl_free(stored);
  hl_free(rows);
  hl_vault_free(v);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_list = {
    .name = "auth list",
    .operands = "",
    .summary = "the accounts and secrets that are stored; never a token",
    .flags = list_flags,
    .run = list,
    .examples = "  hubloop auth list\n  hubloop auth list --json\n",
};

/* ---- remove ---- */

static const hl_flag remove_flags[] = {HL_AUTH_VAULT_FLAG, {NULL, NULL, NULL}};

typedef struct revoking {
  hl_error err;
  bool done;
} revoking;

static void on_revoked(void *arg, const hl_oauth_result *r) {
  revoking *q = arg;
  q->err = r->err;
  if (r->outcome == HL_OAUTH_WELL) q->err.code = 0;
  q->done = true;
}

/* At HubSpot too, when it can be reached: a copy of the store opens nothing then. */
static int revoke_grant(hl_auth *x, const hl_stored *s, hl_error *err) {
  revoking q = {0};
  hl_oauth_op *op;
  char base[256];
  hl_oauth_app app = {.base_url = base,
                      .version = "2026-09",
                      .policy = s->base_url ? HL_NET_NAMED : HL_NET_PUBLIC,
                      .client_id = s->client_id,
                      .client_secret = s->client_secret};
  int rc = hl_stored_base(s, base, sizeof base, err);
  if (!rc) rc = hl_oauth_revoke(x->loop, x->client, &app, s->grant.refresh, on_revoked, &q, &op, err);
  if (rc) return rc;
  hl_loop_run_until(x->loop, &q.done);
  *err = q.err;
  return q.err.code;
}

static int remove_it(const hl_args *a) {
  hl_error err = {0}, told = {0};
  hl_auth x = {0};
  hl_stored s = {0};
  const char *name;
  int rc = hl_auth_one_name(a, &name, &err);
  if (!rc) rc = hl_auth_open(&x, a, &err);
  if (!rc) rc = hl_stored_get(x.vault, name, &s, &err);
  if (rc) goto out;
  bool oauth = !s.secret && s.kind == HL_CREDENTIAL_OAUTH && s.grant.refresh;
  if (oauth) revoke_grant(&x, &s, &told);
  if ((rc = hl_stored_remove(x.vault, name, &err))) goto out;
  printf("removed %s from %s%s\n", name, hl_vault_path(x.vault), oauth && !told.code ? "; its grant is revoked at HubSpot" : "");
  if (oauth && told.code) printf("Its grant could not be revoked at HubSpot (%s): uninstall the app there.\n", told.text);
  if (!oauth && !s.secret) printf("The token itself is good until it is deleted or rotated in HubSpot's settings.\n");
out:
  hl_stored_wipe(&s);
  hl_auth_close(&x);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

const hl_command hl_auth_remove = {
    .name = "auth remove", .operands = "NAME", .summary = "forget a stored credential; an OAuth grant is revoked at HubSpot too",
    .flags = remove_flags, .min = 1, .max = HL_ARGS_MAX, .run = remove_it, .examples = "  hubloop auth remove shop\n",
};
