#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/events.h"
#include "cmd/target.h"

/* `hubloop events`: what an operator sees of events, and does to them. A running `serve` does it at once, asked
 * through its control socket; otherwise it is done in its store. */

enum { LIMIT = 50, LIMIT_MAX = 10 * 1000 * 1000, PAGE = 500, TOLD_MAX = 20 };
enum { FILE_MAX_BYTES = 1 << 30, CHUNK_EVENTS = 1000, CHUNK_BYTES = 1 << 20 };

#define CHOICE_FLAGS                                                         \
  {"type", "TYPE", "of this type only: contact.creation, or a name of yours"}, \
  {"script", "NAME", "of this script's handlers only"},                      \
  {"object", "ID", "about this object only"},                                \
  {"since", "TIME", "received since: 15m, 1h, 2d ago; or an ISO time"}

/* ---- requests ---- */

static cJSON *request_of(const char *action, const char *cursor) {
  cJSON *q = cJSON_CreateObject();
  cJSON_AddStringToObject(q, "do", action);
  if (cursor) cJSON_AddStringToObject(q, "cursor", cursor);
  return q;
}

typedef struct asking {
  hl_target t;
  const hl_args *a;
  hl_error err;
  cJSON *answer;             /* the last one */
  char *cursor;              /* NULL: there is no more */
  int64_t since, before;     /* of --since and --older-than; 0: not given */
  int64_t looked_at;
} asking;

static void add_choice(const asking *x, cJSON *q) {
  static const char *const flags[] = {"state", "type", "script", "object"};
  for (size_t i = 0; i < HL_COUNT(flags); i++)
    if (hl_args_has(x->a, flags[i])) cJSON_AddStringToObject(q, flags[i], hl_args_get(x->a, flags[i]));
  if (x->since) cJSON_AddItemToObject(q, "since", hl_json_int64(x->since));
}

/* x->answer, and where to go on. */
static int ask(asking *x, cJSON *request) {
  cJSON_Delete(x->answer);
  x->answer = NULL;
  int rc = hl_target_ask(&x->t, request, &x->answer, &x->err);
  hl_free(x->cursor);
  x->cursor = rc ? NULL : hl_strdup(hl_json_str(x->answer, "cursor", NULL));
  if (!rc) x->looked_at += hl_json_int(x->answer, "looked_at", 0);
  return rc;
}

/* 0, or the exit code after saying why. */
static int begin(asking *x, const hl_args *a, hl_target_use use) {
  *x = (asking){.a = a};
  int rc = hl_target_find(&x->t, a, &x->err);
  if (rc) return hl_cmd_error(&x->err);
  int64_t now = hl_loop_now(x->t.loop);
  if ((rc = hl_args_time(a, "since", now, &x->since)) || (rc = hl_args_time(a, "older-than", now, &x->before))) return rc;
  return hl_target_open(&x->t, use, &x->err) ? hl_cmd_error(&x->err) : 0;
}

static int end(asking *x, int rc) {
  hl_target_progress(&x->t, "", 1, 1);
  hl_target_close(&x->t);
  cJSON_Delete(x->answer);
  hl_free(x->cursor);
  return rc;
}

/* ---- list ---- */

static const hl_flag list_flags[] = {
    {"state", "STATE", "pending, waiting, delayed, dead, uncertain, orphaned, unhandled, ran, filtered, own, debounced, duplicate"},
    CHOICE_FLAGS,
    {"limit", "N", "so many; default 50"},
    {"json", NULL, "one JSON object a line"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static bool is_parked_state(const char *state) {
  static const char *const parked[] = {"dead", "uncertain", "orphaned", "waiting", "delayed"};
  for (size_t i = 0; state && i < HL_COUNT(parked); i++)
    if (strcmp(parked[i], state) == 0) return true;
  return false;
}

static void print_json_lines(const cJSON *events) {
  for (const cJSON *e = events->child; e; e = e->next) {
    char *text = hl_json_print(e);
    puts(text);
    hl_free(text);
  }
}

static int list(const hl_args *a) {
  asking x;
  int64_t limit, printed = 0;
  int rc = hl_args_int(a, "limit", 1, LIMIT_MAX, LIMIT, &limit);
  if (rc) return rc;
  if ((rc = begin(&x, a, HL_TARGET_LOOKS))) return end(&x, rc);
  bool parked = is_parked_state(hl_args_get(a, "state"));
  do {
    cJSON *q = request_of("events.list", x.cursor);
    add_choice(&x, q);
    cJSON_AddNumberToObject(q, "limit", (double)(limit - printed < PAGE ? limit - printed : PAGE));
    if (ask(&x, q)) return end(&x, hl_cmd_error(&x.err));
    const cJSON *events = hl_json_get(x.answer, "events");
    int n = cJSON_GetArraySize(events);
    if (n) hl_target_progress(&x.t, "", 1, 1);
    if (n && hl_args_has(a, "json")) print_json_lines(events);
    else if (n) hl_events_table(stdout, events, parked, printed == 0, hl_cmd_columns(), hl_cmd_is_tty(STDOUT_FILENO));
    printed += n;
    if (x.cursor && !n) hl_target_progress(&x.t, "looking", hl_json_int(x.answer, "at", 0), hl_json_int(x.answer, "of", 0) + 1);
  } while (x.cursor && printed < limit && !ferror(stdout));
  if (!hl_args_has(a, "json") && x.cursor) fprintf(stderr, "there may be more; --limit %lld shows them\n", (long long)limit * 10);
  if (!printed && !hl_args_has(a, "json")) fprintf(stderr, "no event matches\n");
  return end(&x, HL_EXIT_OK);
}

static const hl_command events_list = {
    .name = "events list", .operands = "", .summary = "events, the newest first; what waits, the next one first", .flags = list_flags, .run = list,
    .examples = "  hubloop events list                              what came last, and what became of it\n"
                "  hubloop events list --state dead --script leads.lua\n"
                "  hubloop events list --state waiting              retries, waits, debounced events\n"
                "  hubloop events list --object 151 --since 2d\n"
                "  hubloop events list --state dead --limit 100000 --json > dead.jsonl\n",
};

/* ---- show ---- */

static const hl_flag show_flags[] = {
    {"json", NULL, "as JSON; its `event` can be injected again"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static int show(const hl_args *a) {
  asking x;
  int failed = 0, rc = begin(&x, a, HL_TARGET_LOOKS);
  if (rc) return end(&x, rc);
  for (size_t i = 0; i < a->n; i++) {
    cJSON *q = request_of("events.show", NULL);
    cJSON_AddStringToObject(q, "id", a->positional[i]);
    if (ask(&x, q)) {
      rc = hl_cmd_error(&x.err);
      failed++;
      continue;
    }
    const cJSON *event = hl_json_get(x.answer, "event");
    if (hl_args_has(a, "json")) {
      char *text = hl_json_print(event);
      puts(text);
      hl_free(text);
    } else {
      if (i) putchar('\n');
      hl_events_whole(stdout, event, hl_cmd_is_tty(STDOUT_FILENO));
    }
  }
  return end(&x, failed && (size_t)failed < a->n ? HL_EXIT_SOME : rc);
}

static const hl_command events_show = {
    .name = "events show", .operands = "ID…", .summary = "an event: its states, attempts, tracebacks, steps, and the event itself", .flags = show_flags,
    .min = 1, .max = HL_ARGS_MAX, .run = show,
    .examples = "  hubloop events show 151.0\n"
                "  hubloop events show 151.0 --json\n",
};

/* ---- retry ---- */

static const hl_flag retry_flags[] = {
    {"state", "STATE", "all that are dead, uncertain or orphaned"},
    CHOICE_FLAGS,
    {"again", NULL, "of uncertain ones: the write was not made, make it"},
    {"done", NULL, "of uncertain ones: the write was made, its step counts as done"},
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

typedef struct tally {
  int64_t done, left;
  cJSON *reasons;            /* the first of them */
} tally;

static void take(tally *n, asking *x, const char *name) {
  cJSON *one, *left = cJSON_GetObjectItemCaseSensitive(x->answer, "left");
  n->done += hl_json_int(x->answer, name, 0);
  n->left += hl_json_int(x->answer, "left_alone", 0);
  while (cJSON_GetArraySize(n->reasons) < TOLD_MAX && (one = cJSON_DetachItemFromArray(left, 0))) cJSON_AddItemToArray(n->reasons, one);
}

static void tell_left(const tally *n) {
  for (const cJSON *e = n->reasons->child; e; e = e->next) {
    const char *script = hl_json_str(e, "script", "");
    hl_cmd_fail(0, "event %s%s%s: %s", hl_json_str(e, "id", ""), *script ? " " : "", script, hl_json_str(e, "why", ""));
  }
  if (n->left > cJSON_GetArraySize(n->reasons)) fprintf(stderr, "and %lld more\n", (long long)n->left - cJSON_GetArraySize(n->reasons));
}

/* 0 all, 1 none, 3 some. */
static int code_of(int64_t done, int64_t failed) { return !failed ? HL_EXIT_OK : done ? HL_EXIT_SOME : HL_EXIT_FAILED; }

static int tell_retried(const asking *x, const tally *n, int64_t failed) {
  if (hl_args_has(x->a, "json")) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "retried", hl_json_int64(n->done));
    cJSON_AddItemToObject(json, "left_alone", hl_json_int64(n->left));
    cJSON_AddItemToObject(json, "left", cJSON_Duplicate(n->reasons, true));
    char *text = hl_json_print(json);
    puts(text);
    hl_free(text);
    cJSON_Delete(json);
  } else {
    tell_left(n);
    if (n->done || !n->left)
      printf("%lld to run again%s\n", (long long)n->done, x->t.fd >= 0 || !n->done ? "" : ", when hubloop serve is started");
  }
  return code_of(n->done, n->left + failed);
}

static int retry(const hl_args *a) {
  asking x;
  tally n = {0};
  int64_t failed = 0;
  const char *state = hl_args_get(a, "state");
  if ((a->n > 0) == (state != NULL)) return hl_cmd_fail(HL_EXIT_MISUSE, "retry takes ids, or --state dead, uncertain or orphaned");
  if (hl_args_has(a, "again") && hl_args_has(a, "done")) return hl_cmd_fail(HL_EXIT_MISUSE, "retry takes --again or --done, not both");
  int rc = begin(&x, a, HL_TARGET_LOOKS);
  if (rc) return end(&x, rc);
  n.reasons = cJSON_CreateArray();
  size_t i = 0;
  do {
    cJSON *q = request_of("events.retry", state ? x.cursor : NULL);
    add_choice(&x, q);
    if (!state) cJSON_AddStringToObject(q, "id", a->positional[i]);
    if (hl_args_has(a, "again") || hl_args_has(a, "done")) cJSON_AddStringToObject(q, "settle", hl_args_has(a, "again") ? "again" : "done");
    if (ask(&x, q)) {
      rc = hl_cmd_error(&x.err);
      failed++;
      if (state) break;
    } else {
      take(&n, &x, "retried");
      hl_target_progress(&x.t, "retrying", x.looked_at, x.cursor ? x.looked_at + PAGE : x.looked_at);
    }
  } while (state ? x.cursor != NULL : ++i < a->n);
  if (!rc || n.done || n.left) rc = tell_retried(&x, &n, failed);
  cJSON_Delete(n.reasons);
  return end(&x, rc);
}

static const hl_command events_retry = {
    .name = "events retry", .operands = "ID… | --state STATE", .summary = "dead letters to work again, their finished steps kept",
    .flags = retry_flags, .max = HL_ARGS_MAX, .run = retry,
    .examples = "  hubloop events retry 151.0 152.3\n"
                "  hubloop events retry --state dead --script leads.lua --since 2d\n"
                "  hubloop events retry 151.0 --done            its write was made after all\n",
};

/* ---- inject ---- */

static const hl_flag inject_flags[] = {
    {"account", "NAME", "the account they are of; default the project's only one"},
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static int read_file(const char *path, hl_buf *out, hl_error *err) {
  char piece[64 << 10];
  size_t n;
  FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!f) return hl_fail(err, HL_ENOTFOUND, "cannot read %s: %s", path, strerror(errno));
  int rc = 0;
  while (!rc && (n = fread(piece, 1, sizeof piece, f)) > 0) rc = hl_buf_append(out, piece, n);
  if (!rc && ferror(f)) rc = hl_fail(err, HL_EIO, "cannot read %s: %s", path, strerror(errno));
  else if (rc) rc = hl_fail(err, HL_ELIMIT, "%s is larger than %d MiB; split it", path, FILE_MAX_BYTES >> 20);
  if (f != stdin) fclose(f);
  return rc;
}

/* An array of events; one event alone will do. */
static int read_events(const char *path, cJSON **out, hl_error *err) {
  hl_buf text;
  cJSON *json = NULL;
  hl_buf_init(&text, FILE_MAX_BYTES);
  int rc = read_file(path, &text, err);
  if (!rc && hl_json_parse((hl_str){text.p ? text.p : "", text.n}, &json, err)) rc = hl_fail_in(err, "%s", path);
  hl_buf_deinit(&text);
  if (rc) return rc;
  if (cJSON_IsObject(json)) {
    *out = cJSON_CreateArray();
    cJSON_AddItemToArray(*out, json);
    return 0;
  }
  if (cJSON_IsArray(json)) {
    *out = json;
    return 0;
  }
  cJSON_Delete(json);
  return hl_fail(err, HL_EINVAL, "%s holds neither an array of events nor one event", path);
}

static int inject(const hl_args *a) {
  static const char *const counts[] = {"accepted", "duplicates", "malformed", "unhandled"};
  asking x;
  int64_t n[HL_COUNT(counts)] = {0}, done = 0;
  cJSON *events = NULL;
  int rc = begin(&x, a, HL_TARGET_INJECTS);
  if (rc) return end(&x, rc);
  if (read_events(a->positional[0], &events, &x.err)) return end(&x, hl_cmd_error(&x.err));
  int64_t total = cJSON_GetArraySize(events);
  const char *account = hl_args_has(a, "account") ? hl_args_get(a, "account") : *x.t.account ? x.t.account : NULL;
  while (events->child && !rc) {
    cJSON *q = request_of("events.inject", NULL), *chunk = cJSON_AddArrayToObject(q, "events");
    size_t bytes = 0;
    for (int i = 0; i < CHUNK_EVENTS && bytes < CHUNK_BYTES && events->child; i++) {
      cJSON *event = cJSON_DetachItemViaPointer(events, events->child);
      char *text = hl_json_print(event);
      bytes += strlen(text);
      hl_free(text);
      cJSON_AddItemToArray(chunk, event);
      done++;
    }
    if (account) cJSON_AddStringToObject(q, "account", account);
    if ((rc = ask(&x, q))) break;
    for (size_t i = 0; i < HL_COUNT(counts); i++) n[i] += hl_json_int(x.answer, counts[i], 0);
    hl_target_progress(&x.t, "injecting", done, total);
  }
  cJSON_Delete(events);
  int64_t stored = n[0] + n[1] + n[2];
  if (rc) {
    rc = hl_cmd_error(&x.err);
    if (stored) rc = hl_cmd_fail(HL_EXIT_SOME, "the first %lld of %lld events are stored, the others are not", (long long)stored, (long long)total);
    return end(&x, rc);
  }
  hl_target_progress(&x.t, "", 1, 1);
  if (hl_args_has(a, "json")) {
    printf("{\"accepted\":%lld,\"duplicates\":%lld,\"malformed\":%lld,\"unhandled\":%lld}\n", (long long)n[0], (long long)n[1], (long long)n[2],
           (long long)n[3]);
  } else {
    printf("%lld event%s stored%s\n", (long long)n[0], n[0] == 1 ? "" : "s", x.t.fd >= 0 ? "" : "; they run when hubloop serve is started");
    if (n[1]) printf("%lld dropped: they were received before (without eventId and occurredAt an event is never a duplicate)\n", (long long)n[1]);
    if (n[2]) printf("%lld malformed, kept as dead letters: an event needs a subscriptionType\n", (long long)n[2]);
    if (n[3]) printf("%lld of a type that no handler listens to, kept as unhandled\n", (long long)n[3]);
  }
  return end(&x, n[2] ? HL_EXIT_SOME : HL_EXIT_OK);
}

static const hl_command events_inject = {
    .name = "events inject", .operands = "FILE|-", .summary = "events into the inbox, from a JSON file or standard input", .flags = inject_flags,
    .min = 1, .max = 1, .run = inject,
    .examples = "  hubloop events inject events.json\n"
                "  echo '[{\"subscriptionType\":\"contact.creation\",\"objectId\":151}]' | hubloop events inject -\n"
                "  hubloop events show 151.0 --json | jq .event | hubloop events inject -\n",
};

/* ---- prune ---- */

static const hl_flag prune_flags[] = {
    {"older-than", "TIME", "received (dead ones: failed) before: 7d, or an ISO time; needed"},
    {"state", "STATE", "dead, uncertain or orphaned ones, instead of what is finished"},
    CHOICE_FLAGS,
    {"dry-run", NULL, "only count"},
    {"json", NULL, "what was done as JSON"},
    HL_TARGET_FLAGS,
    {NULL, NULL, NULL},
};

static int prune(const hl_args *a) {
  asking x;
  int64_t removed = 0;
  bool dry_run = hl_args_has(a, "dry-run");
  if (!hl_args_has(a, "older-than")) return hl_cmd_fail(HL_EXIT_MISUSE, "prune needs --older-than TIME, such as 7d");
  int rc = begin(&x, a, HL_TARGET_LOOKS);
  if (rc) return end(&x, rc);
  do {
    cJSON *q = request_of("events.prune", x.cursor);
    add_choice(&x, q);
    cJSON_AddItemToObject(q, "before", hl_json_int64(x.before));
    if (dry_run) cJSON_AddTrueToObject(q, "dry_run");
    if ((rc = ask(&x, q))) break;
    removed += hl_json_int(x.answer, "removed", 0);
    if (x.cursor) hl_target_progress(&x.t, "removing", hl_json_int(x.answer, "at", x.looked_at), hl_json_int(x.answer, "of", x.looked_at + PAGE) + 1);
  } while (x.cursor);
  hl_target_progress(&x.t, "", 1, 1);
  if (rc) {
    rc = hl_cmd_error(&x.err);
    if (removed) rc = hl_cmd_fail(HL_EXIT_SOME, "%lld events were removed before that", (long long)removed);
    return end(&x, rc);
  }
  if (hl_args_has(a, "json")) printf("{\"removed\":%lld,\"dry_run\":%s}\n", (long long)removed, dry_run ? "true" : "false");
  else printf("%lld event%s %s\n", (long long)removed, removed == 1 ? "" : "s", dry_run ? "would be removed" : "removed");
  return end(&x, HL_EXIT_OK);
}

static const hl_command events_prune = {
    .name = "events prune", .operands = "--older-than TIME", .summary = "removes old events that are finished, or dead letters", .flags = prune_flags,
    .run = prune,
    .examples = "  hubloop events prune --older-than 3d              finished ones, before their retention ends\n"
                "  hubloop events prune --older-than 30d --state dead --dry-run\n",
};

static const hl_command *const subs[] = {&events_list, &events_show, &events_retry, &hl_cmd_events_replay, &events_inject, &events_prune, NULL};

const hl_command hl_cmd_events = {
    .name = "events", .operands = "COMMAND", .summary = "look at events, retry dead letters, replay, inject, prune", .subs = subs,
    .examples = "  hubloop events list --state dead\n"
                "  hubloop events show 151.0\n"
                "  hubloop events retry 151.0\n"
                "  hubloop events replay --script leads.lua --since 2d --dry-run\n",
};
