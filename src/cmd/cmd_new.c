#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/shipped.h"

/* `hubloop new DIR [SCRIPT…]`: a project to begin with, or more scripts for one
 * that is there. Never overwrites. */

static const hl_flag flags[] = {
    {"list", NULL, "the scripts that can be copied, and what they do"},
    {NULL, NULL, NULL},
};

/* "What it does", from the first line "-- Title: what it does.", without the title. */
static hl_str purpose(const hl_embedded *script) {
  const char *p = script->bytes, *end = p + strcspn(p, "\n"), *colon = memchr(p, ':', (size_t)(end - p));
  p = colon ? colon + 1 : p;
  while (p < end && (*p == ' ' || *p == '-')) p++;
  return (hl_str){p, (size_t)(end - p)};
}

static int list(void) {
  size_t width = 0;
  for (const hl_embedded *f = NULL; (f = hl_shipped_script_next(f)) != NULL;) {
    size_t n = hl_shipped_script_name(f).n;
    if (n > width) width = n;
  }
  int room = hl_cmd_columns() - (int)width - 3;
  for (const hl_embedded *f = NULL; (f = hl_shipped_script_next(f)) != NULL;) {
    hl_str name = hl_shipped_script_name(f), what = purpose(f);
    bool cut = room > 10 && what.n > (size_t)room;
    printf("%-*.*s  %.*s%s\n", (int)width, (int)name.n, name.p, cut ? room - 1 : (int)what.n, what.p, cut ? "…" : "");
  }
  return HL_EXIT_OK;
}

static int make_folder(const char *dir, hl_error *err) {
  return mkdir(dir, 0755) && errno != EEXIST ? hl_fail(err, HL_EIO, "cannot make the folder %s: %s", dir, strerror(errno)) : 0;
}

static int copy(const hl_embedded *file, const char *dir, hl_error *err) {
  bool kept;
  int rc = hl_shipped_write(file, dir, &kept, err);
  const char *base = strrchr(file->name, '/') + 1;
  if (!rc) printf("  %s/%s%s\n", dir, base, kept ? "  is there already, and was left as it is" : "");
  return rc;
}

/* "lib/shop_api.lua" or "lib.shop_api" stands in the file. */
static bool names(const hl_embedded *file, hl_str base) {
  char path[512], module[512];
  snprintf(path, sizeof path, "lib/" HL_STR_FMT, HL_STR_ARG(base));
  snprintf(module, sizeof module, "lib.%.*s\"", (int)strcspn(base.p, "."), base.p);
  return strstr(file->bytes, path) || strstr(file->bytes, module);
}

/* With its test, and what the two name of lib. */
static int copy_script(const hl_embedded *script, const char *dir, hl_error *err) {
  char test[512], lib[4096];
  snprintf(test, sizeof test, "%.*s_test.lua", (int)strlen(script->name) - 4, script->name);
  snprintf(lib, sizeof lib, "%.4000s/lib", dir);
  const hl_embedded *beside = hl_embedded_find(test);
  int rc = copy(script, dir, err);
  if (!rc && beside) rc = copy(beside, dir, err);
  for (const hl_embedded *f = NULL; !rc && (f = hl_shipped_lib_next(f)) != NULL;) {
    hl_str base = hl_str_of(strrchr(f->name, '/') + 1);
    if (!names(script, base) && !(beside && names(beside, base))) continue;
    rc = make_folder(lib, err);
    if (!rc) rc = copy(f, lib, err);
  }
  return rc;
}

static int run(const hl_args *a) {
  hl_error err = {0};
  const hl_embedded *scripts[HL_ARGS_MAX];
  size_t n = 0;
  if (hl_args_has(a, "list")) return list();
  if (!a->n) return hl_cmd_fail(HL_EXIT_MISUSE, "new takes DIR [SCRIPT…]; hubloop new --help shows examples");
  const char *dir = a->positional[0];
  /* Every name is known before anything is written. */
  for (size_t i = 1; i < a->n; i++)
    if (hl_shipped_script_find(a->positional[i], &scripts[n++], &err)) return hl_cmd_error(&err);
  if (!n && hl_shipped_script_find("welcome", &scripts[n++], &err)) return hl_cmd_error(&err);
  int rc = make_folder(dir, &err);
  if (!rc) rc = copy(hl_embedded_find("scripts/hubloop.lua"), dir, &err);
  for (size_t i = 0; !rc && i < n; i++) rc = copy_script(scripts[i], dir, &err);
  if (rc) return hl_cmd_error(&err);
  int width = strlen(dir) > strlen("testing") ? (int)strlen(dir) : (int)strlen("testing");
  printf("\nNext\n"
         "  hubloop test  %-*s   the tests: virtual time, simulated account, nothing to set up\n"
         "  hubloop serve %-*s   for good: export HUBSPOT_TOKEN and HUBSPOT_CLIENT_SECRET first\n"
         "  hubloop help  %-*s   from here to a test of your own\n",
         width, dir, width, dir, width, "testing");
  return HL_EXIT_OK;
}

const hl_command hl_cmd_new = {
    .name = "new", .operands = "DIR [SCRIPT…]", .summary = "a project to begin with, or a ready script for yours", .flags = flags,
    .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop new my-automations                  settings, a first script, its test\n"
                "  hubloop new my-automations lead_routing     copies that automation, its test, and what they need\n"
                "  hubloop new --list\n",
};
