/* The flags that say what the simulated account is like: of `hubloop sim` and `hubloop run --sim`. */
#ifndef HL_CMD_POPULATION_H
#define HL_CMD_POPULATION_H

#include "base/json.h"
#include "cmd/cmd.h"

#define HL_POPULATION_FLAGS \
  {"tier", "NAME", "free, starter, professional (default), enterprise: the limits"}, \
  {"contacts", "N", "start with N contacts"}, \
  {"companies", "N", "start with N companies; default a sixth of the contacts"}, \
  {"deals", "N", "start with N deals; default an eighth of the contacts"}, \
  {"owners", "N", "start with N owners; default 12"}, \
  {"seed", "N", "another seed, another population; default 7"}, \
  {"portal", "N", "the account's id; default 62515"}, \
  {"time-zone", "ZONE", "where the account is, which is when its day ends; default UTC"}, \
  {"latency", "MS", "answer after MS milliseconds; 20..200: between the two; p50:80,p99:900: lognormal with these percentiles"}, \
  {"fault", "SPEC", "what goes wrong, such as \"status=503 times=3\"; may be given again; hubloop help sim lists the words"}, \
  {"fixture", "FILE", "answer as the account did whose traffic hubloop record kept, and 501 to all else"}

bool hl_population_flag(const char *name);

/* Adds to the simulator's options. 0, or HL_EXIT_MISUSE after saying why. */
int hl_population_options(const hl_args *a, cJSON *json);

#endif
