#include "cmd/sources.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static cJSON *add_file(cJSON *files, const char *path, const char *root) {
  cJSON *f = cJSON_CreateObject();
  size_t n = strlen(root);
  bool below = strncmp(path, root, n) == 0 && path[n] == '/';
  cJSON_AddStringToObject(f, "name", below ? path + n + 1 : path);
  cJSON_AddStringToObject(f, "path", path);
  cJSON_AddStringToObject(f, "root", root);
  cJSON_AddItemToArray(files, f);
  return f;
}

int hl_sources_add(cJSON *files, const char *path, bool settings, hl_project **kept, hl_error *err) {
  struct stat st;
  char full[PATH_MAX];
  if (!realpath(path, full) || stat(full, &st))
    return hl_fail(err, HL_ENOTFOUND, "cannot read %s; name a script or a project's folder", path);
  if (!S_ISDIR(st.st_mode)) {
    char *slash = strrchr(full, '/');
    char *root = slash == full ? hl_strdup("/") : hl_strndup(full, (size_t)(slash - full));
    cJSON *f = add_file(files, full, root);
    if (settings && strcmp(slash, "/hubloop.lua") == 0) cJSON_AddTrueToObject(f, "settings");
    hl_free(root);
    return 0;
  }
  hl_project *project;
  int rc = hl_project_load(path, &project, err);
  if (rc) return rc;
  for (size_t i = 0; i < project->n_scripts; i++)
    cJSON_AddTrueToObject(add_file(files, project->scripts[i], project->root), "whole");
  hl_buf own;
  hl_buf_init(&own, PATH_MAX);
  if (settings && hl_buf_printf(&own, "%s/hubloop.lua", project->root) == 0 && access(own.p, R_OK) == 0)
    cJSON_AddTrueToObject(add_file(files, own.p, project->root), "settings");
  hl_buf_deinit(&own);
  if (*kept) hl_project_free(project);
  else *kept = project;
  return 0;
}
