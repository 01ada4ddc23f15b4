#include <limits.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "lua/check.h"
#include "lua/project.h"

/* `hubloop scopes`: the scopes that scripts need, read out of their text. */

static const hl_flag flags[] = {
    {"json", NULL, "with every call, its file and line"},
    {"app", NULL, "as the scope settings of an app on HubSpot's developer platform"},
    {NULL, NULL, NULL},
};

static void add_file(cJSON *files, const char *path, const char *root) {
  cJSON *f = cJSON_CreateObject();
  size_t n = strlen(root);
  bool below = strncmp(path, root, n) == 0 && path[n] == '/';
  cJSON_AddStringToObject(f, "name", below ? path + n + 1 : path);
  cJSON_AddStringToObject(f, "path", path);
  cJSON_AddStringToObject(f, "root", root);
  cJSON_AddItemToArray(files, f);
}

/* A script, or a project's scripts as its settings name them. */
static int add_path(cJSON *files, const char *path, hl_error *err) {
  struct stat st;
  char full[PATH_MAX];
  if (!realpath(path, full) || stat(full, &st))
    return hl_fail(err, HL_ENOTFOUND, "cannot read %s; name a script or a project's folder", path);
  if (!S_ISDIR(st.st_mode)) {
    char *slash = strrchr(full, '/');
    char *root = slash == full ? hl_strdup("/") : hl_strndup(full, (size_t)(slash - full));
    add_file(files, full, root);
    hl_free(root);
    return 0;
  }
  hl_project *project;
  int rc = hl_project_load(path, &project, err);
  if (rc) return rc;
  for (size_t i = 0; i < project->n_scripts; i++) add_file(files, project->scripts[i], project->root);
  hl_project_free(project);
  return 0;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  hl_loop *loop = NULL;
  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  cJSON *request = cJSON_CreateObject(), *answer = NULL, *files = cJSON_AddArrayToObject(request, "files");
  int rc = 0, code = HL_EXIT_OK;
  for (size_t i = 0; !rc && i < (a->n ? a->n : 1); i++) rc = add_path(files, a->n ? a->positional[i] : ".", &err);
  if (rc) goto out;
  cJSON_AddStringToObject(request, "as", hl_args_has(a, "json") ? "json" : hl_args_has(a, "app") ? "app" : "table");
  cJSON_AddNumberToObject(request, "columns", hl_cmd_columns());
  if ((rc = hl_loop_new(NULL, log, &loop, &err)) || (rc = hl_check_call(loop, "scopes", request, &answer, &err))) goto out;
  fputs(hl_json_str(answer, "text", ""), stdout);
  fflush(stdout);
  fputs(hl_json_str(answer, "notes", ""), stderr);
  if (hl_json_int(answer, "lacks", 0) > 0) code = HL_EXIT_SOME;
out:
  if (rc) code = rc == HL_ENOTFOUND ? hl_cmd_fail(HL_EXIT_MISUSE, "%s", err.text) : hl_cmd_error(&err);
  cJSON_Delete(request);
  cJSON_Delete(answer);
  hl_loop_free(loop);
  hl_log_free(log);
  return code;
}

const hl_command hl_cmd_scopes = {
    .name = "scopes", .operands = "[PATH…]", .summary = "the scopes that the scripts need", .flags = flags,
    .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop scopes                        the project in this folder\n"
                "  hubloop scopes lead_routing.lua --app\n",
};
