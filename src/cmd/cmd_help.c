#include <unistd.h>

#include "base/embed.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "lua/shipped.h"

enum { REFERENCE_MAX = 1024 * 1024 };

static bool topic_name(const hl_embedded *f, hl_str *name) {
  hl_str s = hl_str_of(f->name);
  if (!hl_str_starts(s, "help/") || s.n < 9) return false;
  *name = (hl_str){s.p + 5, s.n - 8};
  return true;
}

/* hubspot's functions, out of the tables from which they are made. */
static int print_reference(const char *name) {
  char width[16];
  snprintf(width, sizeof width, "%d", hl_cmd_columns() - 1);
  const char *args[] = {name, width};
  hl_buf text;
  hl_error err;
  hl_buf_init(&text, REFERENCE_MAX);
  int rc = hl_shipped_call("hubspot.reference", args, HL_COUNT(args), &text, &err);
  if (!rc) fwrite(text.p, 1, text.n, stdout);
  hl_buf_deinit(&text);
  return rc ? hl_cmd_error(&err) : HL_EXIT_OK;
}

static int print_topic(const char *wanted) {
  if (strncmp(wanted, "hubspot.", 8) == 0) return print_reference(wanted + 8);
  char *names[HL_ARGS_MAX] = {NULL};
  size_t n = 0;
  int rc = HL_EXIT_OK;
  for (size_t i = 0; i < hl_stdlib_count; i++) {
    hl_str name;
    if (!topic_name(&hl_stdlib_files[i], &name)) continue;
    if (hl_str_eqz(name, wanted)) {
      fwrite(hl_stdlib_files[i].bytes, 1, hl_stdlib_files[i].size, stdout);
      if (strcmp(wanted, "hubspot") == 0) rc = print_reference("");
      goto out;
    }
    if (n + 1 < HL_ARGS_MAX) names[n++] = hl_strndup(name.p, name.n);
  }
  if (hl_cmd_print_help(wanted)) goto out;
  const char *near = hl_str_nearest(hl_str_of(wanted), (const char *const *)names);
  rc = near ? hl_cmd_fail(HL_EXIT_MISUSE, "no help topic “%s”; did you mean “%s”?", wanted, near)
            : hl_cmd_fail(HL_EXIT_MISUSE, "no help topic “%s”; hubloop help lists them", wanted);
out:
  for (size_t i = 0; i < n; i++) hl_free(names[i]);
  return rc;
}

static int run(const hl_args *a) {
  if (a->n) return print_topic(a->positional[0]);
  puts("hubloop runs HubSpot automations written in Lua.\n\nCommands");
  for (const hl_command *const *c = hl_commands; *c; c++) {
    char left[48];
    snprintf(left, sizeof left, "%s %s", (*c)->name, (*c)->operands);
    hl_cmd_row(22, left, (*c)->summary);
  }
  fputs("\nTopics (hubloop help TOPIC)\n ", stdout);
  size_t column = 1;
  for (size_t i = 0; i < hl_stdlib_count; i++) {
    hl_str name;
    if (!topic_name(&hl_stdlib_files[i], &name)) continue;
    if (column + name.n + 1 > (size_t)hl_cmd_columns()) {
      fputs("\n ", stdout);
      column = 1;
    }
    printf(" " HL_STR_FMT, HL_STR_ARG(name));
    column += name.n + 1;
  }
  puts("\n\nhubloop COMMAND --help shows options and examples.");
  return HL_EXIT_OK;
}

const hl_command hl_cmd_help = {
    .name = "help", .operands = "[TOPIC]", .summary = "this list, or a topic",
    .examples = "  hubloop help\n  hubloop help routing\n  hubloop help hubspot.lists\n", .max = 1, .run = run,
};

static int run_version(const hl_args *a) {
  (void)a;
  puts("hubloop " HL_VERSION);
  return HL_EXIT_OK;
}

const hl_command hl_cmd_version = {
    .name = "version", .operands = "", .summary = "the version of this binary", .run = run_version,
};
