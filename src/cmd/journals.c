#include "cmd/journals.h"

#include "base/mem.h"
#include "engine/pull.h"
#include "hubspot/stored.h"

struct hl_journals {
  hl_hubspot *hubspot;       /* of the apps */
  hl_pull **v;
  char **names;
  size_t n;
};

int hl_journals_account(hl_runtime *rt, hl_hubspot *h, const char *name, hl_account **out, bool *loopback, hl_error *err) {
  hl_stored s = {0};
  hl_credential *c = NULL;
  char base[256] = "";
  int rc = rt->vault ? hl_stored_get(rt->vault, name, &s, err)
                     : hl_fail(err, HL_EINVAL, "there is no place for stored credentials: set HOME or HUBLOOP_VAULT");
  if (!rc && (s.secret || s.kind != HL_CREDENTIAL_CLIENT))
    rc = hl_fail(err, HL_EINVAL, "“%s” is a %s, and the journal is read with client credentials: hubloop auth add NAME --kind client_credentials "
                 "--client-id ID --scopes \"developer.webhooks_journal.read …\"", name, s.secret ? "plain secret" : hl_stored_kind(&s));
  if (!rc) rc = hl_stored_base(&s, base, sizeof base, err);
  if (!rc) rc = hl_stored_credential(&s, rt->loop, rt->client, rt->vault, &c, err);
  hl_account_options o = {.name = name, .credential = c, .base_url = base};
  if (!rc) rc = hl_hubspot_add_account(h, &o, out, err);
  if (!rc) *loopback = strncmp(base, "http://", 7) == 0;
  hl_credential_unref(c);
  hl_stored_wipe(&s);
  return rc ? hl_fail_in(err, "the webhooks journal “%s”", name) : 0;
}

/* The accounts that name this credential; how it is read is the same for all of them. */
static size_t accounts_of(hl_runtime *rt, const hl_project_account *first, hl_account **out, hl_error *err, int *rc) {
  const hl_project *p = rt->project;
  size_t n = 0;
  for (size_t i = 0; i < p->n_accounts && !*rc; i++) {
    const hl_project_account *a = &p->accounts[i];
    if (!a->journal || strcmp(a->journal, first->journal) != 0) continue;
    if (a->journal_earliest != first->journal_earliest || (n && (a->journal_portal_only || first->journal_portal_only)))
      *rc = hl_fail(err, HL_EINVAL, "accounts %s and %s have the journal “%s” in common: it is read once, from one place, and for all portals",
                    first->name, a->name, a->journal);
    else *rc = hl_hubspot_account(rt->hubspot, a->name, &out[n++], err);
  }
  return n;
}

static int add(hl_runtime *rt, hl_journals *j, const hl_project_account *a, hl_error *err) {
  hl_account **accounts = hl_alloc(rt->project->n_accounts * sizeof(hl_account *)), *app;
  bool loopback;
  int rc = 0;
  size_t n = accounts_of(rt, a, accounts, err, &rc);
  if (!rc) rc = hl_journals_account(rt, j->hubspot, a->journal, &app, &loopback, err);
  if (!rc) {
    hl_pull_options o = {.engine = rt->engine, .app = app, .transport = rt->client, .loopback = loopback, .name = a->journal,
                         .accounts = accounts, .n = n, .earliest = a->journal_earliest, .portal_only = a->journal_portal_only};
    j->v = hl_realloc(j->v, (j->n + 1) * sizeof(hl_pull *));
    j->names = hl_realloc(j->names, (j->n + 1) * sizeof *j->names);
    rc = hl_pull_new(&o, &j->v[j->n], err);
  }
  if (!rc) j->names[j->n++] = hl_strdup(a->journal);
  hl_free(accounts);
  return rc;
}

static bool added(const hl_journals *j, const char *name) {
  for (size_t i = 0; i < j->n; i++)
    if (strcmp(j->names[i], name) == 0) return true;
  return false;
}

int hl_journals_start(hl_runtime *rt, hl_error *err) {
  const hl_project *p = rt->project;
  hl_journals *j = HL_NEW(hl_journals);
  int rc = 0;
  rt->journals = j;
  j->hubspot = hl_hubspot_new(rt->loop, rt->client);
  for (size_t i = 0; p && i < p->n_accounts && !rc; i++)
    if (p->accounts[i].journal && !added(j, p->accounts[i].journal)) rc = add(rt, j, &p->accounts[i], err);
  for (size_t i = 0; i < j->n && !rc; i++) {
    hl_pull_start(j->v[i]);
    hl_log_write(rt->log, HL_LOG_INFO, "serve", "reading the webhooks journal %s", j->names[i]);
  }
  return rc;
}

void hl_journals_stop(hl_runtime *rt) {
  hl_journals *j = rt->journals;
  for (size_t i = 0; j && i < j->n; i++) {
    hl_pull_free(j->v[i]);
    j->v[i] = NULL;
  }
}

void hl_journals_free(hl_journals *j) {
  if (!j) return;
  for (size_t i = 0; i < j->n; i++) {
    hl_pull_free(j->v[i]);
    hl_free(j->names[i]);
  }
  hl_hubspot_free(j->hubspot);
  hl_free(j->v);
  hl_free(j->names);
  hl_free(j);
}

void hl_journals_status(const hl_journals *j, cJSON *into) {
  for (size_t i = 0; j && i < j->n; i++)
    if (j->v[i]) hl_pull_status(j->v[i], cJSON_AddObjectToObject(into, j->names[i]));
}
