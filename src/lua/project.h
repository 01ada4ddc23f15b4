/* A project's settings: hubloop.lua, a Lua table evaluated with access to
 * nothing but `secret` (SCRIPTING "A project"). Blocking file access, at start
 * only. */
#ifndef HL_LUA_PROJECT_H
#define HL_LUA_PROJECT_H

#include "base/err.h"
#include "base/str.h"
#include "lua/host.h"

typedef struct hl_project_account {
  char *name;
  char *token;              /* the secret's name, never its value; NULL with oauth */
  char *oauth;              /* the stored credential instead */
  char **client_secrets;    /* secrets' names */
  size_t n_client_secrets;
  char *journal;            /* the stored client credentials of the webhooks journal; NULL: none is read */
  bool journal_earliest, journal_portal_only;
  int64_t portal;
  int day_reserve;          /* percent; -1: not given */
  char *tier, *base_url, *region, *kind, *version;   /* NULL: not given */
} hl_project_account;

typedef struct hl_project_permission {
  char *script;
  char **hosts, **fs, **env, **sql;         /* NULL-terminated, or NULL */
} hl_project_permission;

typedef struct hl_project_limit {
  char *script;
  unsigned concurrency;
} hl_project_limit;

typedef struct hl_project {
  char *root;               /* absolute folder */
  char *store;              /* absolute path */
  char *listen, *admin;     /* "127.0.0.1:8480", "127.0.0.1:8481" */
  char *public_url;         /* NULL: not given */
  bool accept_v2;
  int64_t webhook_app;      /* the app whose subscriptions hubloop webhooks manages; 0: none */
  char *developer_key;      /* the secret's name; NULL: not given */
  int64_t retention_ms, audit_ms; /* 0: default */
  bool no_calls, call_bodies;   /* calls = false; calls.bodies */
  int64_t calls_max;        /* bytes; 0: default */
  hl_project_account *accounts;
  size_t n_accounts;
  hl_project_permission *permissions;
  size_t n_permissions;
  hl_project_limit *limits;
  size_t n_limits;
  char **scripts;           /* absolute paths, sorted (SEMANTICS 26) */
  size_t n_scripts;
} hl_project;

/* Reads DIR/hubloop.lua (absent: the defaults, and no accounts) and finds the
 * scripts. Unknown keys are refused with the nearest
 * name, plain-text tokens with the remedy; every message has the file and line. */
int hl_project_load(const char *dir, hl_project **out, hl_error *err);
void hl_project_free(hl_project *p);
/* The names of all secrets in them, NULL-terminated; the list is the caller's to hl_free, the names are not. */
const char **hl_project_secrets(const hl_project *p);
/* What the settings say of this script; all NULL and 0 when they say nothing. */
hl_permissions hl_project_permissions(const hl_project *p, const char *script);

#endif
