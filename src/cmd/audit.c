#include "cmd/audit.h"

#include "base/mem.h"
#include "base/time.h"

static size_t columns(const char *z) {
  size_t n = 0;
  for (; *z; z++) n += ((unsigned char)*z & 0xc0) != 0x80;
  return n;
}

static void pad(hl_buf *out, const char *text, size_t width) {
  hl_buf_puts(out, text);
  for (size_t n = columns(text); n < width; n++) hl_buf_puts(out, " ");
}

static void field(hl_buf *out, const char *name, const char *value) {
  if (!value[0]) return;
  hl_buf_puts(out, "  ");
  pad(out, name, 9);
  hl_buf_printf(out, "%s\n", value);
}

/* Owners are named by id or by e-mail, as the script did. */
static bool names(const char *owner, const char *id, const char *email) {
  return owner[0] && (strcmp(owner, id) == 0 || strcmp(owner, email) == 0);
}

static const char *verdict(const cJSON *c, const char *id, const char *email, bool *picked) {
  const char *gate = hl_json_str(c, "gate", "");
  if (gate[0]) return gate;
  if (!*picked && names(hl_json_str(c, "owner", ""), id, email)) {
    *picked = true;
    return "picked";
  }
  return "could have";
}

static void candidate_table(const cJSON *list, const char *id, const char *email, hl_buf *out) {
  static const char *const outside[] = {"preferred", "sticky", "fallback"};   /* of the turns */
  size_t width = columns("candidate");
  bool picked = false;
  for (const cJSON *c = list->child; c; c = c->next) {
    size_t n = columns(hl_json_str(c, "owner", ""));
    if (n > width) width = n;
  }
  hl_buf_puts(out, "\n  ");
  pad(out, "candidate", width);
  hl_buf_puts(out, "  weight  \n");
  for (const cJSON *c = list->child; c; c = c->next) {
    const cJSON *weight = hl_json_get(c, "weight");
    char text[32] = "-";
    if (cJSON_IsNumber(weight)) snprintf(text, sizeof text, "%g", weight->valuedouble);
    hl_buf_puts(out, "  ");
    pad(out, hl_json_str(c, "owner", "?"), width);
    hl_buf_printf(out, "  %6s  %s", text, verdict(c, id, email, &picked));
    for (size_t i = 0; i < HL_COUNT(outside); i++)
      if (hl_json_bool(c, outside[i], false)) hl_buf_printf(out, " (%s)", outside[i]);
    if (hl_json_str(c, "pool", "")[0]) hl_buf_printf(out, " (pool %s)", hl_json_str(c, "pool", ""));
    hl_buf_puts(out, "\n");
  }
}

/* Which company the lead was taken to be of. One alone is told by its reason. */
static void company_table(const cJSON *match, hl_buf *out) {
  const cJSON *list = hl_json_get(match, "candidates");
  const char *id = hl_json_str(match, "id", "");
  size_t width = columns("company");
  if (!cJSON_IsArray(list) || !list->child || (id[0] && !list->child->next)) return;
  for (const cJSON *c = list->child; c; c = c->next) {
    size_t n = columns(hl_json_str(c, "name", "")) + columns(hl_json_str(c, "id", "")) + 3;
    if (n > width) width = n;
  }
  hl_buf_puts(out, "\n  ");
  pad(out, "company", width);
  hl_buf_puts(out, "  score  \n");
  for (const cJSON *c = list->child; c; c = c->next) {
    const char *its = hl_json_str(c, "id", "?"), *name = hl_json_str(c, "name", "");
    const cJSON *score = hl_json_get(c, "score");
    hl_buf_printf(out, "  %s (%s)", name, its);
    for (size_t n = columns(name) + columns(its) + 3; n < width; n++) hl_buf_puts(out, " ");
    hl_buf_printf(out, "   %4.2f  by %s%s\n", cJSON_IsNumber(score) ? score->valuedouble : 0.0, hl_json_str(c, "how", "?"),
                  id[0] && strcmp(id, its) == 0 ? ", picked" : "");
  }
}

void hl_audit_explain(const cJSON *audit, hl_buf *out) {
  const cJSON *r = hl_json_get(audit, "record"), *candidates = hl_json_get(r, "candidates");
  const cJSON *match = hl_json_get(r, "match");
  const char *email = hl_json_str(r, "email", "");
  char id[40] = "", when[25];
  if (!hl_json_id(r, "pick", id, sizeof id)) id[0] = 0;
  hl_time_iso(hl_json_int(audit, "at", 0), when);
  hl_buf_printf(out, "%s -> ", hl_json_str(audit, "key", ""));
  if (!id[0]) hl_buf_puts(out, "nobody\n");
  else if (email[0]) hl_buf_printf(out, "%s (owner %s)\n", email, id);
  else hl_buf_printf(out, "owner %s\n", id);
  field(out, "when", when);
  field(out, "because", hl_json_str(r, "reason", ""));
  field(out, "company", hl_json_str(match, "explanation", ""));
  field(out, "by", hl_json_str(r, "by", ""));
  field(out, "pool", hl_json_str(r, "pool", ""));
  field(out, "rule", hl_json_str(r, "rule", ""));
  field(out, "script", hl_json_str(audit, "script", ""));
  field(out, "account", hl_json_str(audit, "account", ""));
  if (cJSON_IsArray(candidates) && candidates->child) candidate_table(candidates, id, email, out);
  if (match) company_table(match, out);
}
