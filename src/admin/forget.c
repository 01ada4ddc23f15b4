/* Forgetting a person: begun by one request, looked at by others. It goes on to its end also when nobody looks. */
#include "admin/inside.h"
#include "base/mem.h"

void hl_do_forget(hl_act *c) {
  hl_actions *a = c->a;
  hl_person who = {hl_act_text(c, "id"), hl_act_text(c, "email")};
  hl_forgotten was = {.done = true};
  hl_error err;
  if (a->forget) hl_forget_look(a->forget, &was);
  if (!was.done) {
    hl_act_fail(c, HL_EBUSY, "somebody is being forgotten already; wait for its end");
    return;
  }
  hl_forget_free(a->forget);
  a->forget = NULL;
  if (hl_forget_new(a->e, &who, hl_act_text(c, "account"), hl_json_bool(c->request, "dry_run", false), NULL, NULL, &a->forget, &err)) hl_act_refuse(c, &err);
  else hl_act_answer(c, cJSON_CreateObject());
}

void hl_do_forget_look(hl_act *c) {
  hl_forgotten f;
  if (!c->a->forget) {
    hl_act_fail(c, HL_ENOTFOUND, "nobody is being forgotten");
    return;
  }
  hl_forget_look(c->a->forget, &f);
  if (f.err.code) {
    hl_act_refuse(c, &f.err);
    return;
  }
  const struct { const char *name; int64_t n; } counts[] = {
      {"at", f.at}, {"of", f.of}, {"events", f.events}, {"parked", f.parked}, {"steps", f.steps}, {"records", f.records},
      {"keys", f.keys}, {"calls", f.calls}, {"synced", f.synced}, {"in_hand", f.in_hand},
  };
  cJSON *answer = cJSON_CreateObject();
  cJSON_AddStringToObject(answer, "phase", f.phase);
  cJSON_AddBoolToObject(answer, "done", f.done);
  cJSON_AddBoolToObject(answer, "residue", f.residue);
  for (size_t i = 0; i < HL_COUNT(counts); i++) cJSON_AddItemToObject(answer, counts[i].name, hl_json_int64(counts[i].n));
  hl_act_answer(c, answer);
}
