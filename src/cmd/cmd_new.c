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

static int copy(const hl_embedded *file, const char *dir, hl_error *err) {
  bool kept;
  int rc = hl_shipped_write(file, dir, &kept, err);
  const char *base = strrchr(file->name, '/') + 1;
  if (!rc) printf("  %s/%-28s%s\n", dir, base, kept ? " is there already, and was left as it is" : "");
  return rc;
}

static int copy_script(const hl_embedded *script, const char *dir, hl_error *err) {
  char test[512];
  snprintf(test, sizeof test, "%.*s_test.lua", (int)strlen(script->name) - 4, script->name);
  const hl_embedded *beside = hl_embedded_find(test);
  int rc = copy(script, dir, err);
  return rc || !beside ? rc : copy(beside, dir, err);
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
  if (mkdir(dir, 0755) && errno != EEXIST) return hl_cmd_fail(HL_EXIT_FAILED, "cannot make the folder %s: %s", dir, strerror(errno));
  int rc = copy(hl_embedded_find("scripts/hubloop.lua"), dir, &err);
  for (size_t i = 0; !rc && i < n; i++) rc = copy_script(scripts[i], dir, &err);
  if (rc) return hl_cmd_error(&err);
  printf("\nNext\n"
         "  hubloop test %s          the tests: virtual time, simulated account, nothing to set up\n"
         "  hubloop serve %s         for good: export HUBSPOT_TOKEN and HUBSPOT_CLIENT_SECRET first\n"
         "  hubloop help testing     from here to a test of your own\n",
         dir, dir);
  return HL_EXIT_OK;
}

const hl_command hl_cmd_new = {
    .name = "new", .operands = "DIR [SCRIPT…]", .summary = "a project to begin with, or a ready script for yours", .flags = flags,
    .max = HL_ARGS_MAX, .run = run,
    .examples = "  hubloop new my-automations                  settings, a first script, its test\n"
                "  hubloop new my-automations lead_routing     copies that automation and its test\n"
                "  hubloop new --list\n",
};
