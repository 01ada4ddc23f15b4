#include "cmd/cmd.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"

/* In the order of help. */
const hl_command *const hl_commands[] = {
    &hl_cmd_new,
    &hl_cmd_run,
    &hl_cmd_serve,
    &hl_cmd_test,
    &hl_cmd_sim,
    &hl_cmd_record,
    &hl_cmd_demo,
    &hl_cmd_check,
    &hl_cmd_migrate,
    &hl_cmd_webhooks,
    &hl_cmd_route,
    &hl_cmd_events,
    &hl_cmd_backup,
    &hl_cmd_restore,
    &hl_cmd_forget,
    &hl_cmd_calls,
    &hl_cmd_auth,
    &hl_cmd_scopes,
    &hl_cmd_help,
    &hl_cmd_version,
    NULL,
};

/* Commands of the design that this version does not have: said so, by name. */
static const char *const later[] = {
    "repl",
    "doctor",
    "bench",
    NULL,
};

bool hl_cmd_is_tty(int fd) { return isatty(fd) && !getenv("NO_COLOR"); }

int hl_cmd_columns(void) {
  int64_t asked;
  const char *columns = getenv("COLUMNS");
  if (columns && hl_str_int64(hl_str_of(columns), &asked) == 0 && asked >= 20 && asked <= 1000) return (int)asked;
  struct winsize w;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20) return w.ws_col;
  return 80;
}

int hl_cmd_fail(int code, const char *fmt, ...) {
  va_list ap;
  char text[64 * 1024];
  hl_buf plain;
  fflush(stdout);
  fputs(hl_cmd_is_tty(STDERR_FILENO) ? "\033[31mhubloop:\033[0m " : "hubloop: ", stderr);
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  /* Names and HubSpot's words are in it. */
  hl_buf_init(&plain, 4 * sizeof text);
  hl_buf_plain(&plain, hl_str_of(text), "\n");
  fprintf(stderr, "%s\n", plain.p ? plain.p : "");
  hl_buf_deinit(&plain);
  return code;
}

int hl_cmd_error(const hl_error *err) {
  return hl_cmd_fail(err->code == HL_EINVAL ? HL_EXIT_MISUSE : HL_EXIT_FAILED, "%s", err->text);
}

const char *hl_args_get(const hl_args *a, const char *flag) {
  const char *found = NULL;
  for (size_t i = 0; i < a->n_flags; i++)
    if (strcmp(a->flag[i], flag) == 0) found = a->value[i];
  return found;
}

bool hl_args_has(const hl_args *a, const char *flag) { return hl_args_get(a, flag) != NULL; }

int hl_args_int(const hl_args *a, const char *flag, int64_t min, int64_t max, int64_t fallback, int64_t *out) {
  const char *text = hl_args_get(a, flag);
  *out = fallback;
  if (!text || (hl_str_int64(hl_str_of(text), out) == 0 && *out >= min && *out <= max)) return 0;
  return hl_cmd_fail(HL_EXIT_MISUSE, "--%s takes a number from %lld to %lld, not “%s”", flag, (long long)min,
                     (long long)max, text);
}

int hl_args_time(const hl_args *a, const char *flag, int64_t now, int64_t *out) {
  const char *text = hl_args_get(a, flag);
  int64_t ms;
  if (!text) return 0;
  if (!hl_duration_parse(hl_str_of(text), &ms, NULL)) *out = now - ms;
  else if (hl_time_parse(hl_str_of(text), out, NULL))
    return hl_cmd_fail(HL_EXIT_MISUSE, "--%s takes a duration such as 15m, 1h or 2d, or a time such as 2026-09-01T08:00Z, not “%s”", flag, text);
  return 0;
}

void hl_cmd_row(int width, const char *left, const char *right) {
  for (const char *p = left; *p; p++) width -= ((unsigned char)*p & 0xc0) != 0x80;
  printf("  %s%*s %s\n", left, width > 0 ? width : 0, "", right);
}

static void print_help(const hl_command *c) {
  printf("hubloop %s %s\n  %s\n", c->name, c->operands, c->summary);
  for (size_t i = 0; c->subs && c->subs[i]; i++) printf("%s  %-16s %s\n", i ? "" : "\n", c->subs[i]->name, c->subs[i]->summary);
  if (c->flags && c->flags[0].name) puts("\nOptions");
  for (const hl_flag *f = c->flags; f && f->name; f++) {
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
    hl_cmd_row(22, left, f->help);
  }
  if (c->examples) printf("\nExamples\n%s", c->examples);
}

bool hl_cmd_print_help(const char *name) {
  for (const hl_command *const *c = hl_commands; *c; c++) {
    if (strcmp((*c)->name, name) != 0) continue;
    print_help(*c);
    return true;
  }
  return false;
}

static const hl_flag *find_flag(const hl_command *c, hl_str name) {
  for (const hl_flag *f = c->flags; f && f->name; f++)
    if (hl_str_eqz(name, f->name)) return f;
  return NULL;
}

static int unknown_flag(const hl_command *c, const char *given, hl_str name) {
  const char *names[HL_ARGS_MAX] = {"help"};
  size_t n = 1;
  for (const hl_flag *f = c->flags; f && f->name && n + 1 < HL_ARGS_MAX; f++) names[n++] = f->name;
  const char *near = hl_str_nearest(name, names);
  if (near) return hl_cmd_fail(HL_EXIT_MISUSE, "%s: no option %s; did you mean --%s?", c->name, given, near);
  return hl_cmd_fail(HL_EXIT_MISUSE, "%s: no option %s; hubloop %s --help lists them", c->name, given, c->name);
}

static int run_command(const hl_command *c, int argc, char **argv);

static int run_sub(const hl_command *group, int argc, char **argv) {
  const char *names[HL_ARGS_MAX] = {NULL}, *given = argc ? argv[0] : "--help";
  size_t skip = strlen(group->name) + 1;
  if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
    print_help(group);
    return argc ? HL_EXIT_OK : HL_EXIT_MISUSE;
  }
  for (size_t i = 0; group->subs[i] && i + 1 < HL_ARGS_MAX; i++) {
    names[i] = group->subs[i]->name + skip;
    if (strcmp(names[i], given) == 0) return run_command(group->subs[i], argc - 1, argv + 1);
  }
  const char *near = hl_str_nearest(hl_str_of(given), names);
  if (near) return hl_cmd_fail(HL_EXIT_MISUSE, "%s: no command “%s”; did you mean “%s”?", group->name, given, near);
  return hl_cmd_fail(HL_EXIT_MISUSE, "%s: no command “%s”; hubloop %s --help lists them", group->name, given, group->name);
}

static int run_command(const hl_command *c, int argc, char **argv) {
  if (c->subs) return run_sub(c, argc, argv);
  hl_args a = {.command = c};
  bool options = true;
  for (int i = 0; i < argc; i++) {
    const char *arg = argv[i];
    if (options && strcmp(arg, "--") == 0) {
      options = false;
    } else if (options && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
      print_help(c);
      return HL_EXIT_OK;
    } else if (options && arg[0] == '-' && arg[1]) {
      size_t dashes = arg[1] == '-' ? 2 : 1;
      const char *eq = strchr(arg, '=');
      hl_str name = {arg + dashes, eq ? (size_t)(eq - arg) - dashes : strlen(arg + dashes)};
      const hl_flag *f = dashes == 2 ? find_flag(c, name) : NULL;
      if (!f) return unknown_flag(c, arg, name);
      if (!f->value && eq) return hl_cmd_fail(HL_EXIT_MISUSE, "%s: --%s takes no value", c->name, f->name);
      const char *value = eq ? eq + 1 : !f->value ? "" : i + 1 < argc ? argv[++i] : NULL;
      if (!value) return hl_cmd_fail(HL_EXIT_MISUSE, "%s: --%s needs %s", c->name, f->name, f->value);
      if (a.n_flags == HL_ARGS_MAX) return hl_cmd_fail(HL_EXIT_MISUSE, "%s: too many options", c->name);
      a.flag[a.n_flags] = f->name;
      a.value[a.n_flags++] = value;
    } else if (a.n == HL_ARGS_MAX) {
      return hl_cmd_fail(HL_EXIT_MISUSE, "%s: too many arguments", c->name);
    } else {
      a.positional[a.n++] = arg;
    }
  }
  if (a.n < c->min || a.n > c->max)
    return hl_cmd_fail(HL_EXIT_MISUSE, "%s takes %s; hubloop %s --help shows examples", c->name,
                       c->max ? c->operands : "no arguments", c->name);
  return c->run(&a);
}

int hl_cmd_main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes fails a write, not the program */
  /* A core file would hold tokens. 1 is less than any core and keeps one from being piped to a collector, which 0 does not. */
  struct rlimit core;
  if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur > 1) setrlimit(RLIMIT_CORE, &(struct rlimit){1, core.rlim_max});
  setenv("UV_THREADPOOL_SIZE", "12", 0); /* four would be too few for databases that are slow, and files beside them */
  setvbuf(stdout, NULL, _IOLBF, 0); /* whoever reads a pipe sees each line when it is printed */
  if (argc < 2) return run_command(&hl_cmd_help, 0, NULL);
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
  if (strcmp(name, "--version") == 0) name = "version";
  const char *names[HL_ARGS_MAX] = {NULL};
  size_t n = 0;
  for (const hl_command *const *c = hl_commands; *c; c++) {
    if (strcmp((*c)->name, name) == 0) return run_command(*c, argc - 2, argv + 2);
    names[n++] = (*c)->name;
  }
  for (const char *const *l = later; *l; l++)
    if (strcmp(*l, name) == 0)
      return hl_cmd_fail(HL_EXIT_MISUSE, "“%s” is planned but not in this version; hubloop help lists what is", name);
  const char *near = hl_str_nearest(hl_str_of(name), names);
  if (near) return hl_cmd_fail(HL_EXIT_MISUSE, "no command “%s”; did you mean “%s”?", name, near);
  return hl_cmd_fail(HL_EXIT_MISUSE, "no command “%s”; hubloop help lists them", name);
}
