/* hubloop, embedded: create a runtime, load a project, register handlers written
 * in C beside those of the scripts, inject events, run, stop.
 *
 * One runtime belongs to one thread; every call is made from it, except
 * hubloop_stop, which any thread and a signal handler may call. Functions return
 * 0 or a negative number and leave a text in `error` (may be NULL). Nothing here
 * blocks but hubloop_run. Link with libhubloop.a and the libraries that
 * pkg-config names for lua5.4 libuv libcurl libcjson libmicrohttpd sqlite3
 * libcrypto. */
#ifndef HUBLOOP_H
#define HUBLOOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hubloop hubloop;

typedef struct hubloop_error {
  int code;
  char text[1024];
} hubloop_error;

typedef struct hubloop_options {
  const char *project;    /* a folder with hubloop.lua and scripts, or one script; NULL: C handlers only */
  const char *store;      /* database file; NULL: the project's, in memory without a project */
  int simulator;          /* 1: HubSpot is the built-in simulator */
  int quiet;              /* 1: no log on standard error */
} hubloop_options;

/* Opens the store, reads the settings and loads the scripts. options may be NULL.
 * A script that does not load is an error here. Free with hubloop_free. */
int hubloop_new(const hubloop_options *options, hubloop **out, hubloop_error *error);
void hubloop_free(hubloop *h);

typedef struct hubloop_event {   /* valid inside the handler */
  const char *id, *type, *account, *source;
  const char *object_type, *object_id;
  const char *json;              /* HubSpot's own object */
  int64_t occurred_at;           /* epoch ms */
  unsigned attempt;              /* 1 for the first */
} hubloop_event;

/* 0: done, committed with the event. Anything else: retried with backoff, then
 * parked as a dead letter with the text left in `why`. */
typedef int (*hubloop_handler)(void *arg, const hubloop_event *event, char *why, size_t why_size);

/* `type`: "contact.creation" …, or a name of your own without a dot. `name` is
 * the handler's durable name. Before the first hubloop_run. */
int hubloop_on(hubloop *h, const char *type, const char *name, hubloop_handler handler, void *arg,
               hubloop_error *error);

/* Appends events, a JSON array as HubSpot posts it, to the inbox. `done` (may be
 * NULL) is called from hubloop_run when they are durable (code 0) or refused. */
void hubloop_inject(hubloop *h, const char *json, size_t n,
                    void (*done)(void *arg, int code, const char *text), void *arg);

/* Runs until hubloop_stop; with until_idle, until no event is pending and no
 * script's task lives. Drains on the way out; can be called again. */
int hubloop_run(hubloop *h, int until_idle, hubloop_error *error);
void hubloop_stop(hubloop *h);

typedef struct hubloop_counts {   /* their sum is `acknowledged` */
  uint64_t acknowledged, pending, ran, filtered, duplicate, waiting, dead, unhandled, orphaned, own, debounced, removed;
} hubloop_counts;
void hubloop_count(hubloop *h, hubloop_counts *out);

#ifdef __cplusplus
}
#endif
#endif
