/* The encrypted store of credentials: one small file (seal.h), readable by its
 * owner alone, replaced as a whole. Its key lies beside it in FILE.key (made on
 * first use) or comes from the environment variable HUBLOOP_KEY. Any thread but
 * the loop's while it runs: every function blocks on files. Content is a JSON
 * object, an entry a name; trees that hold secrets are freed with hl_vault_wipe.
 *
 * A change takes FILE.lock, reads, edits, writes FILE.new, syncs it, renames it,
 * syncs the folder: whatever dies in between, the old content or the new one is
 * there, and what hl_vault_change returned 0 for stays. */
#ifndef HL_HUBSPOT_VAULT_H
#define HL_HUBSPOT_VAULT_H

#include "base/json.h"

typedef struct hl_vault hl_vault;

/* `file` NULL: $HUBLOOP_VAULT, else $XDG_CONFIG_HOME/hubloop/vault, else
 * ~/.config/hubloop/vault. Touches no file. */
int hl_vault_new(const char *file, hl_vault **out, hl_error *err);
hl_vault *hl_vault_copy(const hl_vault *v); /* the same files, for another owner */
void hl_vault_free(hl_vault *v);
const char *hl_vault_path(const hl_vault *v);
bool hl_vault_exists(const hl_vault *v);
/* Where the key comes from: "HUBLOOP_KEY" or the key file's path. */
const char *hl_vault_key_source(const hl_vault *v);

/* 1 to 64 letters, digits, '.', '_' or '-', the first no '.' or '-'. */
int hl_vault_check_name(const char *name, hl_error *err);

/* No file: an empty object. Wrong key, damage, or a file that others can read:
 * an error that names the file and the remedy; nothing is changed. */
int hl_vault_read(hl_vault *v, cJSON **entries, hl_error *err);
/* `edit` changes the entries in place; not 0: nothing is written, and that is
 * returned. Waits up to 10 s for another writer, then HL_EBUSY. */
int hl_vault_change(hl_vault *v, int (*edit)(void *arg, cJSON *entries, hl_error *err), void *arg, hl_error *err);
/* Zeroes every text in the tree and frees it; NULL is fine. */
void hl_vault_wipe(cJSON *tree);

/* At most one holder a name among all processes, ended by hl_vault_release or
 * the process' end. HL_EBUSY: somebody has it. */
int hl_vault_lease(hl_vault *v, const char *name, int *lease, hl_error *err);
void hl_vault_release(int lease);

/* Tests: called before each step of a change ("key" "write" "sync" "rename"
 * "folder"); what is not 0 becomes that step's errno. */
void hl_vault_on_step(hl_vault *v, int (*step)(void *arg, const char *name), void *arg);

#endif
