#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/events.h"
#include "cmd/replay.h"
#include "cmd/replay_print.h"
#include "cmd/target.h"
#include "loop/stop.h"

/* `hubloop events replay`: what a script would do with events that were received. They are first copied out of the
 * store into a file that has no name, so that it is nobody's but ours, and free again for whoever runs hubloop. */

enum { LIMIT_MAX = 1000 * 1000 * 1000, BAR_STEPS = 1000 };

static const hl_flag flags[] = {
    {"script", "FILE", "the script to try; needed"},
    {"against", "FILE", "print only where this script would do something else"},
    {"dry-run", NULL, "needed: a replay changes nothing"},
    {"since", "TIME", "received since: 15m, 1h, 2d ago; or an ISO time; default all that is kept"},
    {"until", "TIME", "received before that"},
    {"type", "TYPE", "of this type only: contact.creation, or a name of yours"},
    {"limit", "N", "the first N of them"},
    {"reads", NULL, "print also what is read from HubSpot and other hosts"},
    {"sim", NULL, "reads are answered by the built-in simulator, which is empty"},
    {"account", "NAME", "read with this stored account, when the project has no settings"},
    {"json", NULL, "one JSON object a line, the summary last"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

typedef struct replaying {
  const hl_args *a;
  hl_error err;
  hl_target t;                 /* closed once the events are copied */
  hl_runtime *rt;
  hl_replayer *replayer;
  FILE *copy;
  int64_t since, until, limit, first, events, kept;
  int64_t now;
  bool interrupted;
  int signum;
} replaying;

/* ---- the copy ---- */

static int open_copy(replaying *x) {
  const char *dir = getenv("TMPDIR");
  hl_buf path;
  hl_buf_init(&path, 4096);
  int rc = hl_buf_printf(&path, "%s/hubloop-replay-XXXXXX", dir && *dir ? dir : "/tmp");
  int fd = rc ? -1 : mkstemp(path.p);
  if (fd < 0) rc = hl_fail(&x->err, HL_EIO, "cannot make a file in %s for the copy of the events: %s; TMPDIR names another folder", dir && *dir ? dir : "/tmp", strerror(errno));
  else unlink(path.p);
  hl_buf_deinit(&path);
  if (!rc && !(x->copy = fdopen(fd, "w+"))) {
    close(fd);
    rc = hl_fail(&x->err, HL_EIO, "cannot write the copy of the events: %s", strerror(errno));
  }
  return rc;
}

static int copy_failed(replaying *x) {
  return hl_fail(&x->err, errno == ENOSPC ? HL_EFULL : HL_EIO, "cannot write the copy of the events: %s; TMPDIR names another folder, --since and --limit make it smaller",
                 strerror(errno));
}

static int copy_rows(replaying *x, cJSON *rows) {
  for (cJSON *row = rows ? rows->child : NULL; row && x->events < x->limit; row = row->next) {
    cJSON *events = cJSON_GetObjectItemCaseSensitive(row, "events");
    while (x->events + cJSON_GetArraySize(events) > x->limit) cJSON_DeleteItemFromArray(events, cJSON_GetArraySize(events) - 1);
    x->events += cJSON_GetArraySize(events);
    if (!x->first) x->first = hl_json_int(row, "received", 0);
    char *text = hl_json_print(row);
    bool well = fputs(text, x->copy) >= 0 && fputc('\n', x->copy) >= 0;
    hl_free(text);
    if (!well) return copy_failed(x);
  }
  return 0;
}

static int copy_events(replaying *x) {
  cJSON *answer = NULL;
  char *cursor = NULL;
  int64_t from = -1;
  int rc = open_copy(x);
  while (!rc) {
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "do", "events.read");
    if (cursor) cJSON_AddStringToObject(q, "cursor", cursor);
    if (hl_args_has(x->a, "type")) cJSON_AddStringToObject(q, "type", hl_args_get(x->a, "type"));
    cJSON_AddItemToObject(q, "since", hl_json_int64(x->since));
    cJSON_AddItemToObject(q, "until", hl_json_int64(x->until));
    cJSON_Delete(answer);
    answer = NULL;
    if ((rc = hl_target_ask(&x->t, q, &answer, &x->err))) break;
    if (!cursor) x->kept = hl_json_int(answer, "kept", 0);
    hl_free(cursor);
    cursor = hl_strdup(hl_json_str(answer, "cursor", NULL));
    int64_t at = hl_json_int(answer, "at", 0);
    if (from < 0) from = at;
    rc = copy_rows(x, cJSON_GetObjectItemCaseSensitive(answer, "rows"));
    if (!cursor || x->events >= x->limit) break;
    hl_target_progress(&x->t, "reading", at - from, hl_json_int(answer, "of", 0) - from + 1);
  }
  hl_target_progress(&x->t, "", 1, 1);
  cJSON_Delete(answer);
  hl_free(cursor);
  if (!rc && fflush(x->copy)) rc = copy_failed(x);
  if (!rc) rewind(x->copy);
  return rc;
}

/* ---- the replay ---- */

static void interrupt(void *arg, int signum) {
  replaying *x = arg;
  x->interrupted = true;
  x->signum = signum;
}

static int open_replayer(replaying *x) {
  const char *script = hl_args_get(x->a, "script"), *project = hl_args_get(x->a, "project");
  hl_runtime_options o = {.path = hl_args_has(x->a, "store") ? script : project ? project : ".", .account = hl_args_get(x->a, "account"),
                          .simulator = hl_args_has(x->a, "sim"), .offline = true, .log_level = HL_LOG_WARN};
  int rc = hl_runtime_new(&o, &x->rt, &x->err);
  if (rc || (rc = hl_stop_watch(x->rt->loop, 0, interrupt, x, &x->err))) return rc;
  hl_replayer_options ro = {.rt = x->rt, .scripts = {script, hl_args_get(x->a, "against")}, .start_ms = x->first, .reads = hl_args_has(x->a, "reads"),
                            .stop = &x->interrupted};
  return hl_replayer_new(&ro, &x->replayer, &x->err);
}

static void print_tales(replaying *x, hl_replay_print *p) {
  cJSON *tales = hl_replayer_tales(x->replayer, 0), *before = p->against ? hl_replayer_tales(x->replayer, 1) : NULL;
  if (cJSON_GetArraySize(tales) || cJSON_GetArraySize(before)) {
    hl_target_progress(&x->t, "", 1, 1);
    hl_replay_print_tales(p, tales, before);
  }
  cJSON_Delete(tales);
  cJSON_Delete(before);
}

static int replay_rows(replaying *x, hl_replay_print *p) {
  char *line = NULL;
  size_t size = 0;
  int64_t done = 0;
  ssize_t n;
  int rc = 0;
  while (!rc && !x->interrupted && !ferror(stdout) && (n = getline(&line, &size, x->copy)) > 0) {
    cJSON *row = NULL;
    rc = hl_json_parse((hl_str){line, (size_t)n}, &row, &x->err);
    if (!rc) rc = hl_replayer_show(x->replayer, row, &x->err);
    done += cJSON_GetArraySize(hl_json_get(row, "events"));
    cJSON_Delete(row);
    print_tales(x, p);
    hl_target_progress(&x->t, "replaying", done * BAR_STEPS / (x->events + 1), BAR_STEPS);
  }
  free(line);
  int64_t end = x->until < x->now ? x->until : x->now;
  if (!rc && !x->interrupted) rc = hl_replayer_end(x->replayer, end, &x->err);
  print_tales(x, p);
  hl_target_progress(&x->t, "", 1, 1);
  return rc;
}

static void summarise_json(const replaying *x, const hl_replay_print *p, const hl_engine_stats *s) {
  cJSON *json = cJSON_CreateObject(), *all = cJSON_AddObjectToObject(json, "summary");
  const struct { const char *name; int64_t v; } rows[] = {
      {"events", x->events}, {"ran", (int64_t)p->ran}, {"filtered", (int64_t)p->filtered}, {"failed", (int64_t)p->failed}, {"waits", (int64_t)p->waits},
      {"own", (int64_t)s->own}, {"unhandled", (int64_t)s->unhandled}, {"kept", x->kept},
  };
  for (size_t i = 0; i < HL_COUNT(rows); i++) cJSON_AddItemToObject(all, rows[i].name, hl_json_int64(rows[i].v));
  if (p->against) cJSON_AddItemToObject(all, "differ", hl_json_int64((int64_t)p->differ));
  char *text = hl_json_print(json);
  puts(text);
  hl_free(text);
  cJSON_Delete(json);
}

static void summarise(const replaying *x, const hl_replay_print *p) {
  hl_engine_stats s;
  hl_replayer_stats(x->replayer, 0, &s);
  if (p->json) {
    summarise_json(x, p, &s);
    return;
  }
  if (p->printed) putchar('\n');
  if (p->against) printf("%zu of %lld event%s differ%s", p->differ, (long long)x->events, x->events == 1 ? "" : "s", p->differ == 1 ? "s" : "");
  else printf("%lld event%s", (long long)x->events, x->events == 1 ? "" : "s");
  printf("; %zu handled", p->ran);
  const struct { size_t n; const char *what; } rest[] = {
      {p->failed, "raised"}, {p->filtered, "filtered"}, {p->waits, "waiting"}, {(size_t)s.own, "skipped as own writes"}, {(size_t)s.unhandled, "not listened to"}};
  for (size_t i = 0; i < HL_COUNT(rest); i++)
    if (rest[i].n) printf(", %zu %s", rest[i].n, rest[i].what);
  printf(". Nothing was changed.\n");
}

static void tell_kept(const replaying *x) {
  char when[24];
  if (hl_args_has(x->a, "json") || !x->kept || !x->since || x->since >= x->kept) return;
  fprintf(stderr, "kept since %s UTC: what was received before that is not in the store any more (retention, hubloop help operators)\n",
          hl_events_time(x->kept, when));
}

static int replay(replaying *x) {
  const hl_args *a = x->a;
  int rc = copy_events(x);
  hl_target_close(&x->t);
  if (rc) return hl_cmd_error(&x->err);
  tell_kept(x);
  if (!x->first) x->first = x->now;
  if ((rc = open_replayer(x))) return hl_cmd_error(&x->err);
  hl_replay_print p = {.out = stdout, .columns = hl_cmd_columns(), .colour = hl_cmd_is_tty(STDOUT_FILENO), .json = hl_args_has(a, "json"),
                       .against = hl_args_has(a, "against"), .log = hl_replayer_log(x->replayer)};
  if (!x->events && !p.json) fprintf(stderr, "no event matches\n");
  rc = replay_rows(x, &p);
  if (rc) return hl_cmd_error(&x->err);
  if (x->interrupted) return hl_cmd_fail(128 + x->signum, "stopped before the end");
  if (x->events || p.json) summarise(x, &p);
  if (ferror(stdout)) return hl_cmd_fail(HL_EXIT_FAILED, "not all could be printed: standard output cannot be written");
  return p.failed ? HL_EXIT_SOME : HL_EXIT_OK;
}

static int check(replaying *x) {
  const hl_args *a = x->a;
  struct stat st;
  static const char *const files[] = {"script", "against"};
  if (!hl_args_has(a, "script")) return hl_cmd_fail(HL_EXIT_MISUSE, "events replay needs --script FILE, the script to try");
  if (!hl_args_has(a, "dry-run"))
    return hl_cmd_fail(HL_EXIT_MISUSE, "events replay only tries: say --dry-run. To have events handled again for good: hubloop events retry (dead letters) or inject");
  for (size_t i = 0; i < HL_COUNT(files); i++) {
    const char *path = hl_args_get(a, files[i]);
    if (path && stat(path, &st)) return hl_cmd_fail(HL_EXIT_MISUSE, "--%s: cannot read %s: %s", files[i], path, strerror(errno));
  }
  return hl_args_int(a, "limit", 1, LIMIT_MAX, LIMIT_MAX, &x->limit);
}

static int run(const hl_args *a) {
  replaying x = {.a = a, .until = INT64_MAX};
  int rc = check(&x);
  if (rc) return rc;
  if (hl_target_find(&x.t, a, &x.err)) {
    rc = hl_cmd_error(&x.err);
    goto out;
  }
  x.now = hl_loop_now(x.t.loop);
  if ((rc = hl_args_time(a, "since", x.now, &x.since)) || (rc = hl_args_time(a, "until", x.now, &x.until))) goto out;
  if (x.until < x.since) {
    rc = hl_cmd_fail(HL_EXIT_MISUSE, "--until is before --since");
    goto out;
  }
  rc = hl_target_open(&x.t, HL_TARGET_LOOKS, &x.err) ? hl_cmd_error(&x.err) : replay(&x);
out:
  hl_target_close(&x.t);
  hl_replayer_free(x.replayer);
  hl_runtime_free(x.rt);
  if (x.copy) fclose(x.copy);
  return rc;
}

const hl_command hl_cmd_events_replay = {
    .name = "events replay", .operands = "--script FILE --dry-run", .summary = "what a script would do with events that were received", .flags = flags,
    .run = run,
    .examples = "  hubloop events replay --script leads.lua --since 2d --dry-run\n"
                "  hubloop events replay --script new.lua --against leads.lua --since 7d --dry-run\n"
                "  hubloop events replay --script new.lua --type contact.creation --limit 100 --dry-run --json\n"
                "\n"
                "Nothing is changed: what a script sees instead is in hubloop help operators, “Replay”.\n",
};
