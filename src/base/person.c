#include "base/person.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char REMOVED[] = "[removed]";

int hl_person_check(const hl_person *who, hl_error *err) {
  size_t n = who->id ? strlen(who->id) : 0;
  if (!n || n > 18 || strspn(who->id, "0123456789") != n)
    return hl_fail(err, HL_EINVAL, "“%.60s” is no record's id: it is digits, as in the record's address in HubSpot", who->id ? who->id : "");
  const char *at = who->email ? strchr(who->email, '@') : NULL;
  if (who->email && (!at || at == who->email || !at[1] || strlen(who->email) > 320))
    return hl_fail(err, HL_EINVAL, "“%.60s” is no e-mail address", who->email);
  return 0;
}

static bool in_address(char c) { return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '+' || c == '-'; }

/* The length of the address at `p`, whose @ may be written %40; 0: it is not there. */
static size_t address_at(const char *email, const char *p, const char *end) {
  const char *start = p;
  for (; *email; email++) {
    if (*email == '@' && end - p >= 3 && memcmp(p, "%40", 3) == 0) p += 3;
    else if (p < end && tolower((unsigned char)*p) == tolower((unsigned char)*email)) p++;
    else return 0;
  }
  return (size_t)(p - start);
}

/* The next trace at or behind `from`: its place, and its length. */
static const char *next_trace(const hl_person *who, hl_str text, const char *from, size_t *n) {
  const char *end = text.p + text.n;
  size_t id_n = strlen(who->id);
  for (const char *p = from; p < end; p++) {
    char before = p > text.p ? p[-1] : ' ';
    if (*p == who->id[0] && (size_t)(end - p) >= id_n && memcmp(p, who->id, id_n) == 0 && !isdigit((unsigned char)before) &&
        !(p + id_n < end && isdigit((unsigned char)p[id_n]))) {
      *n = id_n;
      return p;
    }
    size_t mail = who->email && !in_address(before) ? address_at(who->email, p, end) : 0;
    if (!mail) continue;
    const char *after = p + mail;
    bool longer = after < end && (isalnum((unsigned char)*after) || *after == '-' || (*after == '.' && after + 1 < end && isalnum((unsigned char)after[1])));
    if (longer) continue;
    *n = mail;
    return p;
  }
  return NULL;
}

bool hl_person_in(const hl_person *who, hl_str text) {
  size_t n;
  return text.n && next_trace(who, text, text.p, &n) != NULL;
}

int hl_person_redact(const hl_person *who, hl_str text, hl_buf *out) {
  const char *from = text.p, *at;
  size_t n;
  int rc = 0;
  while (!rc && text.n && (at = next_trace(who, text, from, &n))) {
    rc = hl_buf_append(out, from, (size_t)(at - from));
    if (!rc) rc = hl_buf_append(out, REMOVED, sizeof REMOVED - 1);
    from = at + n;
  }
  return rc || !text.n ? rc : hl_buf_append(out, from, (size_t)(text.p + text.n - from));
}

bool hl_person_is(const hl_person *who, const cJSON *v) {
  int64_t number, id;
  if (cJSON_IsString(v)) return hl_person_in(who, hl_str_of(v->valuestring));
  return hl_json_is_int64(v, &number) && !hl_str_int64(hl_str_of(who->id), &id) && number == id;
}

static bool names_a_record(const char *key) {
  static const char *const names[] = {"id", "objectId", "contactId", "contact_id", "vid", "hs_object_id", "email"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(names[i], key) == 0) return true;
  return false;
}

hl_scrub hl_person_scrub(const hl_person *who, cJSON *json) {
  hl_scrub all = HL_SCRUB_CLEAN;
  bool object = cJSON_IsObject(json);
  if (!object && !cJSON_IsArray(json)) return hl_person_is(who, json) ? HL_SCRUB_GONE : HL_SCRUB_CLEAN;
  for (cJSON *v = json->child, *next; v; v = next) {
    next = v->next;
    bool named = object && hl_person_in(who, hl_str_of(v->string));
    hl_scrub one = named ? HL_SCRUB_GONE : hl_person_scrub(who, v);
    if (one == HL_SCRUB_GONE && object && !named && !cJSON_IsObject(v) && !cJSON_IsArray(v) && names_a_record(v->string)) return HL_SCRUB_GONE;
    if (one == HL_SCRUB_GONE) cJSON_Delete(cJSON_DetachItemViaPointer(json, v));
    if (one != HL_SCRUB_CLEAN) all = HL_SCRUB_CHANGED;
  }
  return all;
}
