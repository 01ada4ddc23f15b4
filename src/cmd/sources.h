/* The scripts that a command reads: files, and projects as their settings name
 * their scripts. For hubloop scopes and check. Blocks. */
#ifndef HL_CMD_SOURCES_H
#define HL_CMD_SOURCES_H

#include "base/json.h"
#include "lua/project.h"

/* Appends {name, path, root} of a script, or of each script of the project at `path` (whole = true); with `settings`
 * of its hubloop.lua too, which has settings = true. The project stays in *kept if that is NULL. HL_ENOTFOUND. */
int hl_sources_add(cJSON *files, const char *path, bool settings, hl_project **kept, hl_error *err);

#endif
