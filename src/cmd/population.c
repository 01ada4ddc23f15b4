#include "cmd/population.h"

#include "base/mem.h"

bool hl_population_flag(const char *name) {
  static const hl_flag flags[] = {HL_POPULATION_FLAGS, {NULL, NULL, NULL}};
  for (const hl_flag *f = flags; f->name; f++)
    if (strcmp(f->name, name) == 0) return true;
  return false;
}

int hl_population_options(const hl_args *a, cJSON *json) {
  static const struct { const char *name; int64_t max; } numbers[] = {
      {"contacts", 1000000}, {"companies", 1000000}, {"deals", 1000000}, {"owners", 10000}, {"seed", INT32_MAX}, {"portal", INT32_MAX},
  };
  static const struct { const char *flag, *option; } texts[] = {
      {"tier", "tier"}, {"time-zone", "time_zone"}, {"latency", "latency_ms"}, {"fixture", "fixture"},
  };
  for (size_t i = 0; i < HL_COUNT(numbers); i++) {
    int64_t v;
    int rc = hl_args_int(a, numbers[i].name, 0, numbers[i].max, -1, &v);
    if (rc) return rc;
    if (v >= 0) cJSON_AddItemToObject(json, numbers[i].name, hl_json_int64(v));
  }
  /* People have firms, and some of them buy. */
  int64_t contacts = hl_json_int(json, "contacts", 0);
  if (contacts && !hl_args_has(a, "companies")) cJSON_AddItemToObject(json, "companies", hl_json_int64(contacts / 6));
  if (contacts && !hl_args_has(a, "deals")) cJSON_AddItemToObject(json, "deals", hl_json_int64(contacts / 8));
  for (size_t i = 0; i < HL_COUNT(texts); i++)
    if (hl_args_has(a, texts[i].flag)) cJSON_AddStringToObject(json, texts[i].option, hl_args_get(a, texts[i].flag));
  cJSON *faults = cJSON_AddArrayToObject(json, "faults");
  for (size_t i = 0; i < a->n_flags; i++)
    if (strcmp(a->flag[i], "fault") == 0) cJSON_AddItemToArray(faults, cJSON_CreateString(a->value[i]));
  return 0;
}
