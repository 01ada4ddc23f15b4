/* The embedding API, used as a stranger would: only include/hubloop.h. Prints
 * one line a check; exit code 0 when all hold. */
#include <hubloop.h>
#include <stdio.h>
#include <string.h>

static int failures;

#define CHECK(cond, text)                                      \
  do {                                                         \
    int ok_ = (cond);                                          \
    printf("%s %s\n", ok_ ? "ok" : "FAIL", text);              \
    failures += !ok_;                                          \
  } while (0)

typedef struct seen {
  hubloop *h;
  int calls, fails, receipts, refused;
  char last_object[32], last_type[64];
} seen;

static int on_contact(void *arg, const hubloop_event *e, char *why, size_t why_size) {
  seen *s = arg;
  s->calls++;
  snprintf(s->last_object, sizeof s->last_object, "%s", e->object_id);
  snprintf(s->last_type, sizeof s->last_type, "%s", e->type);
  if (strcmp(e->object_id, "13") == 0 && e->attempt == 1) {
    s->fails++;
    snprintf(why, why_size, "thirteen needs a second try");
    return -1;
  }
  return 0;
}

static int on_stop_me(void *arg, const hubloop_event *e, char *why, size_t why_size) {
  (void)e;
  (void)why;
  (void)why_size;
  hubloop_stop(((seen *)arg)->h);
  return 0;
}

static void on_receipt(void *arg, int code, const char *text) {
  seen *s = arg;
  s->receipts++;
  if (code) s->refused++;
  (void)text;
}

static void inject(seen *s, const char *json) { hubloop_inject(s->h, json, strlen(json), on_receipt, s); }

static int on_seen(void *arg, const hubloop_event *e, char *why, size_t why_size) {
  seen *s = arg;
  snprintf(s->last_object, sizeof s->last_object, "%s", strstr(e->json, "\"contact\":\"77\"") ? "77" : e->json);
  (void)why;
  (void)why_size;
  s->calls++;
  return 0;
}

/* A script handles the event and emits one of its own, for C. */
static void with_project(const char *path, const char *loaded) {
  hubloop_error err = {0};
  seen s = {0};
  hubloop_options o = {.project = path, .simulator = 1, .quiet = 1};
  CHECK(hubloop_new(&o, &s.h, &err) == 0, loaded);
  if (!s.h) {
    printf("%s\n", err.text);
    return;
  }
  CHECK(hubloop_on(s.h, "seen", "collect", on_seen, &s, &err) == 0, "a C handler joins its scripts");
  inject(&s, "[{\"eventId\":1,\"subscriptionId\":1,\"portalId\":62515,\"occurredAt\":1564113600000,"
             "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":77}]");
  CHECK(hubloop_run(s.h, 1, &err) == 0 && s.calls == 1, "what the script emits reaches C");
  CHECK(strcmp(s.last_object, "77") == 0, "with its payload");
  hubloop_free(s.h);
}

int main(int argc, char **argv) {
  hubloop_error err = {0};
  seen s = {0};
  hubloop_counts n;
  hubloop_options o = {.store = argc > 1 ? argv[1] : NULL, .quiet = 1};

  hubloop_options bad = {.project = "/no/such/folder", .quiet = 1};
  CHECK(hubloop_new(&bad, &s.h, &err) != 0 && strstr(err.text, "/no/such/folder"), "a missing project is named");

  CHECK(hubloop_new(&o, &s.h, &err) == 0, "a runtime is created");
  if (!s.h) return 1;
  CHECK(hubloop_on(s.h, "contact.creatoin", "x", on_contact, &s, &err) != 0 && strstr(err.text, "contact.creation"),
        "a misspelt type gets the nearest name");
  CHECK(hubloop_on(s.h, "contact.creation", "greet", on_contact, &s, &err) == 0, "a C handler is registered");
  CHECK(hubloop_on(s.h, "enough", "stop", on_stop_me, &s, &err) == 0, "so is one for an event of our own");

  inject(&s, "[{\"eventId\":1,\"subscriptionId\":1,\"portalId\":1,\"occurredAt\":1564113600000,"
             "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":12},"
             "{\"eventId\":2,\"subscriptionId\":1,\"portalId\":1,\"occurredAt\":1564113600001,"
             "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":13}]");
  inject(&s, "{\"not\":\"an array\"}");
  CHECK(hubloop_run(s.h, 1, &err) == 0, "it runs until idle");
  CHECK(s.receipts == 2 && s.refused == 1, "one body is durable, the other refused");
  CHECK(s.calls >= 2 && s.fails == 1, "both events reached the handler");

  inject(&s, "[{\"subscriptionType\":\"enough\",\"occurredAt\":1564113600002,\"objectId\":1}]");
  CHECK(hubloop_run(s.h, 0, &err) == 0, "it runs until a handler stops it");
  hubloop_count(s.h, &n);
  CHECK(n.acknowledged == 3, "three events were acknowledged");
  CHECK(n.acknowledged == n.pending + n.ran + n.filtered + n.duplicate + n.waiting + n.dead + n.unhandled + n.orphaned + n.own + n.debounced + n.removed,
        "the states add up");
  hubloop_free(s.h);
  if (argc > 2) with_project(argv[2], "a project is loaded");
  if (argc > 3) with_project(argv[3], "a lone script is loaded");
  hubloop_options broken = {.project = argc > 4 ? argv[4] : "/no/such/script.lua", .simulator = 1, .quiet = 1};
  CHECK(hubloop_new(&broken, &s.h, &err) != 0 && strstr(err.text, "broken.lua:2:"), "one that does not load is an error, with its line");
  printf("%s\n", failures ? "embed: failed" : "embed: all well");
  return failures != 0;
}
