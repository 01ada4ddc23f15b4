#include "lua/project.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/stored.h"

/* The settings run in a bare state: no library at all, `secret` alone, and a
 * bound on the work. What they return is read with the helpers below, which all
 * name the key that is wrong, and where. */

enum { SETTINGS_STEPS = 10 * 1000 * 1000 };
static const char SECRET[] = "hubloop.secret";

typedef struct reader {
  lua_State *L;
  const char *file;
  hl_error *err;
} reader;

static int bad(const reader *r, const char *key, const char *want) {
  return hl_fail(r->err, HL_EINVAL, "%s: %s must be %s", r->file, key, want);
}

static int l_secret(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  if (n == 0 || n > 128) return luaL_error(L, "secret: name an environment variable, as in secret \"HUBSPOT_TOKEN\"");
  lua_newuserdatauv(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, SECRET);
  return 1;
}

static void too_long(lua_State *L, lua_Debug *ar) {
  (void)ar;
  luaL_error(L, "the settings do not end; they are a table, not a program");
}

/* Every key of the table on top must be in `known`. */
static int check_keys(const reader *r, const char *where, const char *const *known) {
  lua_State *L = r->L;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    bool found = false;
    for (size_t i = 0; key && known[i] && !found; i++) found = strcmp(key, known[i]) == 0;
    if (found) continue;
    if (!key) return hl_fail(r->err, HL_EINVAL, "%s: %s takes named settings, not a list", r->file, where);
    const char *near = hl_str_nearest(hl_str_of(key), known);
    if (near) return hl_fail(r->err, HL_EINVAL, "%s: %s has no setting “%s”; did you mean “%s”?", r->file, where, key, near);
    return hl_fail(r->err, HL_EINVAL, "%s: %s has no setting “%s”; hubloop help settings lists them", r->file, where, key);
  }
  return 0;
}

static int get_string(const reader *r, const char *key, const char *label, char **out) {
  int type = lua_getfield(r->L, -1, key);
  int rc = 0;
  if (type == LUA_TSTRING) {
    hl_free(*out);
    *out = hl_strdup(lua_tostring(r->L, -1));
  } else if (type != LUA_TNIL) {
    rc = bad(r, label, "a string");
  }
  lua_pop(r->L, 1);
  return rc;
}

/* The name inside a secret on top of the stack. */
static int secret_name(const reader *r, const char *label, char **out) {
  if (luaL_testudata(r->L, -1, SECRET) == NULL) {
    char want[160];
    snprintf(want, sizeof want, "secret \"NAME\": keep the value out of the file, in the environment variable NAME");
    return bad(r, label, want);
  }
  lua_getiuservalue(r->L, -1, 1);
  hl_free(*out);
  *out = hl_strdup(lua_tostring(r->L, -1));
  lua_pop(r->L, 1);
  return 0;
}

/* A list of strings, NULL-terminated. */
static int get_list(const reader *r, const char *key, const char *label, char ***out) {
  int type = lua_getfield(r->L, -1, key), rc = 0;
  if (type == LUA_TTABLE) {
    size_t n = lua_rawlen(r->L, -1);
    *out = hl_alloc((n + 1) * sizeof **out);
    for (size_t i = 0; i < n && !rc; i++) {
      if (lua_rawgeti(r->L, -1, (lua_Integer)i + 1) != LUA_TSTRING) rc = bad(r, label, "a list of strings");
      else (*out)[i] = hl_strdup(lua_tostring(r->L, -1));
      lua_pop(r->L, 1);
    }
  } else if (type != LUA_TNIL) {
    rc = bad(r, label, "a list of strings");
  }
  lua_pop(r->L, 1);
  return rc;
}

static void free_list(char **list) {
  for (size_t i = 0; list && list[i]; i++) hl_free(list[i]);
  hl_free(list);
}

static int read_secrets(const reader *r, hl_project_account *a, const char *label) {
  int type = lua_getfield(r->L, -1, "client_secret"), rc = 0;
  if (type == LUA_TTABLE) {
    size_t n = lua_rawlen(r->L, -1);
    a->client_secrets = hl_alloc((n + 1) * sizeof *a->client_secrets);
    for (size_t i = 0; i < n && !rc; i++) {
      lua_rawgeti(r->L, -1, (lua_Integer)i + 1);
      rc = secret_name(r, label, &a->client_secrets[i]);
      if (!rc) a->n_client_secrets++;
      lua_pop(r->L, 1);
    }
  } else if (type != LUA_TNIL) {
    a->client_secrets = hl_alloc(2 * sizeof *a->client_secrets);
    rc = secret_name(r, label, &a->client_secrets[0]);
    if (!rc) a->n_client_secrets = 1;
  }
  lua_pop(r->L, 1);
  return rc;
}

/* Where the token comes from: `token` or `oauth`, and what goes with each. */
static int check_source(const reader *r, const hl_project_account *a) {
  char host[256];
  hl_credential_kind kind;
  if (!a->token && !a->oauth)
    return hl_fail(r->err, HL_EINVAL, "%s: accounts.%.64s needs token = secret \"HUBSPOT_TOKEN\", or oauth = \"NAME\" of a credential that hubloop auth stored",
                   r->file, a->name);
  if (a->token && a->oauth)
    return hl_fail(r->err, HL_EINVAL, "%s: accounts.%.64s has both token and oauth: one of them", r->file, a->name);
  if (a->oauth && (a->base_url || a->region || a->kind))
    return hl_fail(r->err, HL_EINVAL, "%s: accounts.%.64s: %s is stored with the credential “%.64s” and cannot be set here", r->file, a->name,
                   a->base_url ? "base_url" : a->region ? "region" : "kind", a->oauth);
  if (a->oauth && hl_vault_check_name(a->oauth, r->err)) return hl_fail_in(r->err, "%s: accounts.%.64s.oauth", r->file, a->name);
  if (a->base_url && a->region)
    return hl_fail(r->err, HL_EINVAL, "%s: accounts.%.64s has both region and base_url: one of them", r->file, a->name);
  if (a->region && hl_region_host(a->region, host, sizeof host, r->err)) return hl_fail_in(r->err, "%s: accounts.%.64s.region", r->file, a->name);
  if (a->kind && hl_credential_kind_of(a->kind, &kind, r->err)) return hl_fail_in(r->err, "%s: accounts.%.64s.kind", r->file, a->name);
  if (a->kind && kind >= HL_CREDENTIAL_OAUTH)
    return hl_fail(r->err, HL_EINVAL, "%s: accounts.%.64s.kind: a token of kind %s is stored by hubloop auth: oauth = \"NAME\"", r->file, a->name, a->kind);
  return 0;
}

/* journal = "NAME", or { credential = "NAME", from = "earliest", portal_only = true }. */
static int read_journal(const reader *r, hl_project_account *a) {
  static const char *const keys[] = {"credential", "from", "portal_only", NULL};
  lua_State *L = r->L;
  char label[160], *from = NULL;
  int top = lua_gettop(L), type = lua_getfield(L, -1, "journal"), rc = 0;
  snprintf(label, sizeof label, "accounts.%.64s.journal", a->name);
  if (type == LUA_TSTRING) {
    a->journal = hl_strdup(lua_tostring(L, -1));
  } else if (type == LUA_TTABLE) {
    rc = check_keys(r, label, keys);
    if (!rc) rc = get_string(r, "credential", label, &a->journal);
    if (!rc) rc = get_string(r, "from", label, &from);
    if (!rc && !a->journal) rc = bad(r, label, "told which credential it is read with: { credential = \"NAME\" }");
    if (!rc && from && strcmp(from, "latest") != 0 && strcmp(from, "earliest") != 0)
      rc = bad(r, label, "read from = \"latest\" or \"earliest\"");
    a->journal_earliest = from && strcmp(from, "earliest") == 0;
    if (!rc && lua_getfield(L, -1, "portal_only") != LUA_TNIL && !lua_isboolean(L, -1)) rc = bad(r, label, "with portal_only = true or false");
    if (!rc) a->journal_portal_only = lua_toboolean(L, -1);
    hl_free(from);
  } else if (type != LUA_TNIL) {
    rc = bad(r, label, "the name of client credentials that hubloop auth add stored, or a table { credential = \"NAME\" }");
  }
  lua_settop(L, top);
  if (!rc && a->journal && hl_vault_check_name(a->journal, r->err)) return hl_fail_in(r->err, "%s: %s", r->file, label);
  return rc;
}

static int read_account(const reader *r, hl_project_account *a) {
  static const char *const keys[] = {"token", "oauth", "kind", "region", "client_secret", "portal", "tier", "base_url", "api_version", "day_reserve", "journal", NULL};
  const struct { const char *key; char **to; } texts[] = {
      {"oauth", &a->oauth}, {"kind", &a->kind}, {"region", &a->region}, {"tier", &a->tier}, {"base_url", &a->base_url}, {"api_version", &a->version},
  };
  lua_State *L = r->L;
  char label[160];
  if (!lua_istable(L, -1)) {
    snprintf(label, sizeof label, "accounts.%.64s", a->name);
    return bad(r, label, "a table { token = secret \"HUBSPOT_TOKEN\" }");
  }
  snprintf(label, sizeof label, "accounts.%.64s", a->name);
  int rc = check_keys(r, label, keys);
  if (rc) return rc;
  snprintf(label, sizeof label, "accounts.%.64s.token", a->name);
  if (lua_getfield(L, -1, "token") != LUA_TNIL) rc = secret_name(r, label, &a->token);
  lua_pop(L, 1);
  if (rc) return rc;
  snprintf(label, sizeof label, "accounts.%.64s.client_secret", a->name);
  if ((rc = read_secrets(r, a, label))) return rc;
  for (size_t i = 0; i < HL_COUNT(texts); i++) {
    snprintf(label, sizeof label, "accounts.%.64s.%s", a->name, texts[i].key);
    if ((rc = get_string(r, texts[i].key, label, texts[i].to))) return rc;
  }
  int type = lua_getfield(L, -1, "portal");
  if (type != LUA_TNIL && !lua_isinteger(L, -1)) {
    snprintf(label, sizeof label, "accounts.%.64s.portal", a->name);
    rc = bad(r, label, "the portal's number (its HubSpot account id)");
  } else {
    a->portal = lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  if (!rc) rc = read_journal(r, a);
  type = lua_getfield(L, -1, "day_reserve");
  if (!rc && type != LUA_TNIL) {
    snprintf(label, sizeof label, "accounts.%.64s.day_reserve", a->name);
    lua_Integer v = lua_tointeger(L, -1);
    if (!lua_isinteger(L, -1) || v < 0 || v > 90) rc = bad(r, label, "how many percent of the day's calls are kept for live ones, 0 to 90");
    else a->day_reserve = (int)v;
  }
  lua_pop(L, 1);
  return rc ? rc : check_source(r, a);
}

static int read_accounts(const reader *r, hl_project *p) {
  lua_State *L = r->L;
  int rc = 0;
  int type = lua_getfield(L, -1, "accounts");
  if (type != LUA_TNIL && type != LUA_TTABLE) rc = bad(r, "accounts", "a table of named accounts");
  if (type == LUA_TTABLE) {
    for (lua_pushnil(L); !rc && lua_next(L, -2);) {
      if (lua_type(L, -2) != LUA_TSTRING) {
        rc = bad(r, "accounts", "a table of named accounts");
      } else {
        p->accounts = hl_realloc(p->accounts, (p->n_accounts + 1) * sizeof *p->accounts);
        hl_project_account *a = &p->accounts[p->n_accounts++];
        *a = (hl_project_account){.name = hl_strdup(lua_tostring(L, -2)), .day_reserve = -1};
        rc = read_account(r, a);
      }
      lua_pop(L, rc ? 2 : 1);
    }
  }
  lua_pop(L, 1);
  return rc;
}

static int read_permissions(const reader *r, hl_project *p) {
  static const char *const keys[] = {"hosts", "fs", "env", "sql", NULL};
  lua_State *L = r->L;
  int rc = 0;
  int type = lua_getfield(L, -1, "permissions");
  if (type != LUA_TNIL && type != LUA_TTABLE) rc = bad(r, "permissions", "a table: [\"script.lua\"] = { hosts = { … } }");
  if (type == LUA_TTABLE) {
    for (lua_pushnil(L); !rc && lua_next(L, -2);) {
      char label[200];
      if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1)) {
        rc = bad(r, "permissions", "a table: [\"script.lua\"] = { hosts = { … } }");
      } else {
        p->permissions = hl_realloc(p->permissions, (p->n_permissions + 1) * sizeof *p->permissions);
        hl_project_permission *q = &p->permissions[p->n_permissions++];
        *q = (hl_project_permission){.script = hl_strdup(lua_tostring(L, -2))};
        snprintf(label, sizeof label, "permissions[\"%.100s\"]", q->script);
        rc = check_keys(r, label, keys);
        if (!rc) rc = get_list(r, "hosts", label, &q->hosts);
        if (!rc) rc = get_list(r, "fs", label, &q->fs);
        if (!rc) rc = get_list(r, "env", label, &q->env);
        if (!rc) rc = get_list(r, "sql", label, &q->sql);
      }
      lua_pop(L, rc ? 2 : 1);
    }
  }
  lua_pop(L, 1);
  return rc;
}

static int read_limits(const reader *r, hl_project *p) {
  static const char *const keys[] = {"concurrency", NULL};
  static const char want[] = "a table: [\"script.lua\"] = { concurrency = 20 }";
  lua_State *L = r->L;
  int rc = 0;
  int type = lua_getfield(L, -1, "limits");
  if (type != LUA_TNIL && type != LUA_TTABLE) rc = bad(r, "limits", want);
  if (type == LUA_TTABLE) {
    for (lua_pushnil(L); !rc && lua_next(L, -2);) {
      char label[200];
      if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1)) {
        rc = bad(r, "limits", want);
      } else {
        p->limits = hl_realloc(p->limits, (p->n_limits + 1) * sizeof *p->limits);
        hl_project_limit *l = &p->limits[p->n_limits++];
        *l = (hl_project_limit){.script = hl_strdup(lua_tostring(L, -2))};
        snprintf(label, sizeof label, "limits[\"%.100s\"]", l->script);
        rc = check_keys(r, label, keys);
        if (!rc && lua_getfield(L, -1, "concurrency") != LUA_TNIL) {
          lua_Integer v = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
          snprintf(label, sizeof label, "limits[\"%.100s\"].concurrency", l->script);
          if (v < 1 || v > 10000) rc = bad(r, label, "how many events the script's handlers work on at once, 1 to 10000");
          else l->concurrency = (unsigned)v;
        }
        if (!rc) lua_pop(L, 1);
      }
      lua_pop(L, rc ? 2 : 1);
    }
  }
  lua_settop(L, 1);
  return rc;
}

/* Opens sub-table `key` (pushed) when it is there and holds known keys only. */
static int open_table(const reader *r, const char *key, const char *const *keys, bool *there) {
  int type = lua_getfield(r->L, -1, key);
  *there = type == LUA_TTABLE;
  if (type == LUA_TNIL) {
    lua_pop(r->L, 1);
    return 0;
  }
  return *there ? check_keys(r, key, keys) : bad(r, key, "a table");
}

/* "64MB" or a number of bytes; KB, MB and GB are powers of 1024. */
static int get_size(const reader *r, const char *key, const char *label, int64_t least, int64_t *out) {
  static const char *const units[] = {"", "KB", "MB", "GB"};
  char want[96];
  int64_t v = -1;
  int type = lua_getfield(r->L, -1, key);
  if (type == LUA_TNUMBER || type == LUA_TSTRING) {
    hl_str s = hl_str_of(lua_tostring(r->L, -1));
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') digits++;
    for (size_t i = 0; i < HL_COUNT(units); i++)
      if (hl_str_ieqz((hl_str){s.p + digits, s.n - digits}, units[i]) && !hl_str_int64((hl_str){s.p, digits}, &v))
        v = v > INT64_MAX >> 31 ? -1 : v << 10 * i;
  }
  lua_pop(r->L, 1);
  if (type == LUA_TNIL) return 0;
  snprintf(want, sizeof want, "a size such as \"64MB\", %lldMB at least", (long long)(least >> 20));
  if (v < least) return bad(r, label, want);
  *out = v;
  return 0;
}

static int read_calls(const reader *r, hl_project *p) {
  static const char *const keys[] = {"max", "bodies", NULL};
  lua_State *L = r->L;
  int type = lua_getfield(L, -1, "calls"), rc = 0;
  if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) {
    p->no_calls = true;
  } else if (type == LUA_TTABLE) {
    rc = check_keys(r, "calls", keys);
    if (!rc) rc = get_size(r, "max", "calls.max", HL_CALL_LOG_LEAST, &p->calls_max);
    if (!rc && lua_getfield(L, -1, "bodies") != LUA_TNIL && !lua_isboolean(L, -1)) rc = bad(r, "calls.bodies", "true or false");
    if (!rc) p->call_bodies = lua_toboolean(L, -1);
  } else if (type != LUA_TNIL) {
    rc = bad(r, "calls", "a table { max = \"64MB\", bodies = false }, or false");
  }
  lua_settop(L, 1);
  return rc;
}

/* A duration longer than zero at the top of the table. */
static int get_duration(const reader *r, const char *key, const char *example, int64_t *ms) {
  char want[60];
  int type = lua_getfield(r->L, -1, key);
  snprintf(want, sizeof want, "a duration such as \"%s\"", example);
  if (type == LUA_TNIL) {
    lua_pop(r->L, 1);
    return 0;
  }
  if (type != LUA_TSTRING) return bad(r, key, want);
  int rc = hl_duration_parse(hl_str_of(lua_tostring(r->L, -1)), ms, r->err);
  if (rc) return hl_fail_in(r->err, "%s: %s", r->file, key);
  if (*ms <= 0) return bad(r, key, want);
  lua_pop(r->L, 1);
  return 0;
}

static int read_rest(const reader *r, hl_project *p, char ***patterns) {
  static const char *const listen_keys[] = {"listen", NULL};
  static const char *const webhook_keys[] = {"public_url", "accept", "app", "developer_key", NULL};
  lua_State *L = r->L;
  bool there;
  int rc;
  if ((rc = open_table(r, "http", listen_keys, &there))) return rc;
  if (there) {
    if ((rc = get_string(r, "listen", "http.listen", &p->listen))) return rc;
    lua_pop(L, 1);
  }
  if ((rc = open_table(r, "admin", listen_keys, &there))) return rc;
  if (there) {
    if ((rc = get_string(r, "listen", "admin.listen", &p->admin))) return rc;
    lua_pop(L, 1);
  }
  if ((rc = open_table(r, "webhooks", webhook_keys, &there))) return rc;
  if (there) {
    char **accept = NULL;
    if ((rc = get_string(r, "public_url", "webhooks.public_url", &p->public_url))) return rc;
    if (p->public_url && strncmp(p->public_url, "https://", 8) != 0 && strncmp(p->public_url, "http://", 7) != 0)
      return bad(r, "webhooks.public_url", "the address that HubSpot calls: \"https://hooks.example.com/hubspot\"");
    if (lua_getfield(L, -1, "app") != LUA_TNIL && !lua_isinteger(L, -1)) return bad(r, "webhooks.app", "the app's number (its app id)");
    p->webhook_app = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, -1, "developer_key") != LUA_TNIL && (rc = secret_name(r, "webhooks.developer_key", &p->developer_key))) return rc;
    lua_pop(L, 1);
    if (!p->webhook_app != !p->developer_key)
      return hl_fail(r->err, HL_EINVAL, "%s: webhooks.app and webhooks.developer_key go together: the app, and the key of the developer "
                     "account that owns it", r->file);
    if (p->webhook_app && !p->public_url) return bad(r, "webhooks.public_url", "given with webhooks.app: it is where the app sends its events");
    if ((rc = get_list(r, "accept", "webhooks.accept", &accept))) {
      free_list(accept);
      return rc;
    }
    for (size_t i = 0; accept && accept[i]; i++) {
      if (strcmp(accept[i], "v2") == 0) p->accept_v2 = true;
      else if (strcmp(accept[i], "v1") != 0 && strcmp(accept[i], "v3") != 0) rc = bad(r, "webhooks.accept", "a list of \"v1\", \"v2\", \"v3\"");
    }
    free_list(accept);
    if (rc) return rc;
    lua_pop(L, 1);
  }
  if ((rc = get_duration(r, "retention", "7d", &p->retention_ms))) return rc;
  if (p->retention_ms && p->retention_ms < HL_DEDUPE_WINDOW_MS)
    return bad(r, "retention", "\"25h\" or longer: duplicates are known by the events of the last 25 hours");
  if ((rc = get_duration(r, "audit_retention", "365d", &p->audit_ms))) return rc;
  if ((rc = get_string(r, "store", "store", &p->store))) return rc;
  return get_list(r, "scripts", "scripts", patterns);
}

/* ---- finding scripts (SEMANTICS 26) ---- */

static bool is_script(const char *name, char **patterns) {
  hl_str s = hl_str_of(name);
  static const char test[] = "_test.lua";
  if (hl_str_eqz(s, "hubloop.lua")) return false;
  if (s.n >= sizeof test - 1 && strcmp(name + s.n - (sizeof test - 1), test) == 0) return false;
  for (size_t i = 0; patterns[i]; i++)
    if (fnmatch(patterns[i], name, FNM_PATHNAME | FNM_PERIOD) == 0) return true;
  return false;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int find_scripts(hl_project *p, char **patterns, hl_error *err) {
  DIR *d = opendir(p->root);
  if (!d) return hl_fail(err, HL_EIO, "cannot read the folder %s: %s", p->root, strerror(errno));
  char path[PATH_MAX];
  for (struct dirent *e; (e = readdir(d));) {
    if (!is_script(e->d_name, patterns)) continue;
    if (snprintf(path, sizeof path, "%s/%s", p->root, e->d_name) >= (int)sizeof path) continue;
    p->scripts = hl_realloc(p->scripts, (p->n_scripts + 1) * sizeof *p->scripts);
    p->scripts[p->n_scripts++] = hl_strdup(path);
  }
  closedir(d);
  if (p->n_scripts) qsort(p->scripts, p->n_scripts, sizeof *p->scripts, by_name);
  return 0;
}

static int read_settings(hl_project *p, const char *file, char ***patterns, hl_error *err) {
  static const char *const keys[] = {"accounts", "webhooks", "store", "scripts", "http", "admin", "permissions", "limits", "retention", "audit_retention", "calls", NULL};
  lua_State *L = luaL_newstate();
  reader r = {L, file, err};
  int rc = 0;
  luaL_newmetatable(L, SECRET);
  lua_pop(L, 1);
  lua_pushcfunction(L, l_secret);
  lua_setglobal(L, "secret");
  lua_sethook(L, too_long, LUA_MASKCOUNT, SETTINGS_STEPS);
  if (luaL_loadfilex(L, file, "t") || lua_pcall(L, 0, 1, 0)) {
    const char *text = lua_tostring(L, -1);
    rc = hl_fail(err, HL_EINVAL, "settings: %s", text ? text : "raised something that is no text");
  } else if (!lua_istable(L, -1)) {
    rc = hl_fail(err, HL_EINVAL, "%s must return a table: return { accounts = { … } }", file);
  }
  if (!rc) rc = check_keys(&r, "hubloop.lua", keys);
  if (!rc) rc = read_accounts(&r, p);
  if (!rc) rc = read_permissions(&r, p);
  if (!rc) rc = read_limits(&r, p);
  if (!rc) rc = read_calls(&r, p);
  if (!rc) rc = read_rest(&r, p, patterns);
  lua_close(L);
  return rc;
}

static void default_string(char **s, const char *value) {
  if (!*s) *s = hl_strdup(value);
}

int hl_project_load(const char *dir, hl_project **out, hl_error *err) {
  char root[PATH_MAX], file[PATH_MAX + 16], path[2 * PATH_MAX];
  struct stat st;
  if (!realpath(dir, root) || stat(root, &st) || !S_ISDIR(st.st_mode))
    return hl_fail(err, HL_ENOTFOUND, "%s is no folder; name the one that holds hubloop.lua and your scripts", dir);
  hl_project *p = HL_NEW(hl_project);
  char **patterns = NULL;
  int rc = 0;
  p->root = hl_strdup(root);
  snprintf(file, sizeof file, "%s/hubloop.lua", root);
  bool settings = access(file, F_OK) == 0;
  if (settings) rc = read_settings(p, file, &patterns, err);
  if (rc) goto out;
  default_string(&p->listen, "127.0.0.1:8480");
  default_string(&p->admin, "127.0.0.1:8481");
  default_string(&p->store, "data/hubloop.db");
  if (strncmp(p->store, "postgres:", 9) == 0) {
    rc = hl_fail(err, HL_EINVAL, "%s: the PostgreSQL store is not in this version; name a file: store = \"data/hubloop.db\"", file);
    goto out;
  }
  if (p->store[0] != '/') {
    snprintf(path, sizeof path, "%s/%s", root, p->store);
    hl_free(p->store);
    p->store = hl_strdup(path);
  }
  if (!patterns) {
    patterns = hl_alloc(2 * sizeof *patterns);
    patterns[0] = hl_strdup("*.lua");
  }
  rc = find_scripts(p, patterns, err);
  if (!rc && p->n_scripts == 0)
    rc = hl_fail(err, HL_ENOTFOUND, "%s holds no script (*.lua other than hubloop.lua and *_test.lua)", root);
out:
  free_list(patterns);
  if (rc) hl_project_free(p);
  else *out = p;
  return rc;
}

void hl_project_free(hl_project *p) {
  if (!p) return;
  for (size_t i = 0; i < p->n_accounts; i++) {
    hl_project_account *a = &p->accounts[i];
    for (size_t k = 0; k < a->n_client_secrets; k++) hl_free(a->client_secrets[k]);
    hl_free(a->client_secrets);
    hl_free(a->name);
    hl_free(a->token);
    hl_free(a->oauth);
    hl_free(a->region);
    hl_free(a->kind);
    hl_free(a->tier);
    hl_free(a->base_url);
    hl_free(a->version);
    hl_free(a->journal);
  }
  for (size_t i = 0; i < p->n_permissions; i++) {
    hl_free(p->permissions[i].script);
    free_list(p->permissions[i].hosts);
    free_list(p->permissions[i].fs);
    free_list(p->permissions[i].env);
    free_list(p->permissions[i].sql);
  }
  for (size_t i = 0; i < p->n_scripts; i++) hl_free(p->scripts[i]);
  hl_free(p->scripts);
  hl_free(p->accounts);
  for (size_t i = 0; i < p->n_limits; i++) hl_free(p->limits[i].script);
  hl_free(p->limits);
  hl_free(p->permissions);
  hl_free(p->root);
  hl_free(p->store);
  hl_free(p->listen);
  hl_free(p->admin);
  hl_free(p->public_url);
  hl_free(p->developer_key);
  hl_free(p);
}

hl_permissions hl_project_permissions(const hl_project *p, const char *script) {
  const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
  hl_permissions found = {0};
  for (size_t i = 0; i < p->n_permissions; i++) {
    const hl_project_permission *q = &p->permissions[i];
    if (strcmp(q->script, name) != 0) continue;
    found.hosts = (const char *const *)q->hosts;
    found.fs = (const char *const *)q->fs;
    found.env = (const char *const *)q->env;
    found.sql = (const char *const *)q->sql;
  }
  for (size_t i = 0; i < p->n_limits; i++)
    if (strcmp(p->limits[i].script, name) == 0) found.concurrency = p->limits[i].concurrency;
  return found;
}

const char **hl_project_secrets(const hl_project *p) {
  size_t n = 2;
  for (size_t i = 0; i < p->n_accounts; i++) n += 1 + p->accounts[i].n_client_secrets;
  const char **names = hl_alloc(n * sizeof *names);
  n = 0;
  for (size_t i = 0; i < p->n_accounts; i++) {
    if (p->accounts[i].token) names[n++] = p->accounts[i].token;
    for (size_t k = 0; k < p->accounts[i].n_client_secrets; k++) names[n++] = p->accounts[i].client_secrets[k];
  }
  if (p->developer_key) names[n++] = p->developer_key;
  return names;
}
