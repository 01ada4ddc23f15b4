#include "hubspot/paths.h"

#include <ctype.h>

#include "base/mem.h"

/* Legacy prefix -> dated prefix, for the APIs whose dated operations
 * hubspot/endpoints.tsv lists (collected 2026-11). `newest` is set where the
 * newest dated release is older than 2026-09. APIs without a dated form
 * (forms v3, automation flows v4, ...) are absent and pass. The first match
 * wins, so longer prefixes stand before shorter ones. */
static const struct legacy {
  const char *old, *dated, *newest;
} legacies[] = {
  {"/crm/v3/objects", "/crm/objects", NULL},
  {"/crm/v4/objects", "/crm/objects", NULL},
  {"/crm/objects/v3", "/crm/objects", NULL},
  {"/crm/v3/owners", "/crm/owners", NULL},
  {"/crm/v3/pipelines", "/crm/pipelines", NULL},
  {"/crm/v3/properties", "/crm/properties", NULL},
  {"/crm/v3/associations", "/crm/associations", NULL},
  {"/crm/v4/associations", "/crm/associations", NULL},
  {"/crm/associations/v4", "/crm/associations", NULL},
  {"/crm/v3/lists", "/crm/lists", NULL},
  {"/crm/v3/imports", "/crm/imports", NULL},
  {"/crm/v3/exports", "/crm/exports", NULL},
  {"/crm/v3/limits", "/crm/limits", NULL},
  {"/crm/v3/schemas", "/crm-object-schemas", NULL},
  {"/crm-object-schemas/v3/schemas", "/crm-object-schemas", NULL},
  {"/crm/v3/property-validations", "/crm/property-validations", NULL},
  {"/crm/v3/object-library", "/crm/object-library", NULL},
  {"/crm/v3/extensions/calling", "/crm/extensions/calling", NULL},
  {"/crm/extensions/calling/v3", "/crm/extensions/calling", NULL},
  {"/crm/v3/extensions/videoconferencing", "/crm/extensions/videoconferencing", NULL},
  {"/account-info/v3", "/account-info", NULL},
  {"/automation/v4/actions", "/automation/actions", NULL},
  {"/automation/v4/sequences", "/automation/sequences", NULL},
  {"/business-units/v3/business-units", "/business-units/public", NULL},
  {"/cms/v3/audit-logs", "/cms/audit-logs", NULL},
  {"/cms/audit-logs/v3", "/cms/audit-logs", NULL},
  {"/cms/v3/blog-settings", "/cms/blog-settings", NULL},
  {"/cms/v3/blogs", "/cms/blogs", NULL},
  {"/cms/v3/domains", "/cms/domains", NULL},
  {"/cms/v3/hubdb", "/cms/hubdb", "2026-03"},
  {"/cms/v3/pages", "/cms/pages", "2026-03"},
  {"/cms/pages/v3", "/cms/pages", "2026-03"},
  {"/cms/v3/site-search", "/cms/site-search", NULL},
  {"/cms/site-search/v3", "/cms/site-search", NULL},
  {"/cms/v3/source-code", "/cms/source-code", NULL},
  {"/cms/v3/url-redirects", "/cms/url-redirects", NULL},
  {"/cms/url-redirects/v3", "/cms/url-redirects", NULL},
  {"/communication-preferences/v3", "/communication-preferences", NULL},
  {"/communication-preferences/v4", "/communication-preferences", NULL},
  {"/conversations/v3/conversations", "/conversations/conversations", NULL},
  {"/conversations/conversations/v3", "/conversations/conversations", NULL},
  {"/conversations/v3/custom-channels", "/conversations/custom-channels", NULL},
  {"/conversations/custom-channels/v3", "/conversations/custom-channels", NULL},
  {"/events/v3/send", "/events/custom", NULL},
  {"/events/v3/event-definitions", "/events/custom", NULL},
  {"/events/v3/events", "/events/event-occurrences", NULL},
  {"/feature-flags/v3", "/feature-flags", "2026-03"},
  {"/files/v3", "/files", NULL},
  {"/forecast-settings/v3", "/forecast-settings", NULL},
  {"/marketing/v3/campaigns", "/marketing/campaigns", NULL},
  {"/marketing/v3/emails", "/marketing/emails", NULL},
  {"/marketing/v3/marketing-events", "/marketing/marketing-events", NULL},
  {"/marketing/marketing-events/v3", "/marketing/marketing-events", NULL},
  {"/marketing/v3/transactional", "/marketing/transactional", NULL},
  {"/media-bridge/v1", "/media-bridge", NULL},
  {"/oauth/v1", "/oauth", NULL},
  {"/oauth/v3", "/oauth", NULL},
  {"/scheduler/v3", "/scheduler", NULL},
  {"/settings/v3/currencies", "/settings/currencies", NULL},
  {"/settings/v3/users", "/settings/users", "2026-03"},
  {"/settings/users/v3", "/settings/users", "2026-03"},
  {"/tax-rates/v1", "/tax-rates", NULL},
  {"/url-mappings/v3", "/url-mappings", NULL},
  {"/visitor-identification/v3", "/visitor-identification", NULL},
  {"/contacts/v1", "/crm/objects/{version}/contacts", ""},
  {"/companies/v2", "/crm/objects/{version}/companies", ""},
  {"/deals/v1", "/crm/objects/{version}/deals", ""},
  {"/crm-objects/v1", "/crm/objects", ""},
  {"/crm-associations/v1", "/crm/associations", ""},
  {"/crm-pipelines/v1", "/crm/pipelines", ""},
  {"/owners/v2", "/crm/owners", ""},
  {"/owners/v3", "/crm/owners", ""},
  {"/properties/v1", "/crm/properties", ""},
  {"/properties/v2", "/crm/properties", ""},
  {"/engagements/v1", "/crm/objects/{version}/notes", ""},
};

static const struct { const char *name, *id; } types[] = {
  {"contacts", "0-1"}, {"companies", "0-2"}, {"deals", "0-3"}, {"tickets", "0-5"},
  {"products", "0-7"}, {"line_items", "0-8"}, {"quotes", "0-14"}, {"communications", "0-18"},
  {"feedback_submissions", "0-19"}, {"tasks", "0-27"}, {"notes", "0-46"}, {"meetings", "0-47"},
  {"calls", "0-48"}, {"emails", "0-49"}, {"invoices", "0-53"}, {"goal_targets", "0-74"},
  {"orders", "0-123"}, {"leads", "0-136"}, {"carts", "0-142"},
};

const char *hl_path_type_id(const char *type) {
  for (size_t i = 0; i < HL_COUNT(types); i++)
    if (strcmp(types[i].name, type) == 0) return types[i].id;
  return type;
}

/* "." and "..", also written with %2e: a server may resolve them. */
static bool is_dot_segment(hl_str s) {
  size_t dots = 0;
  for (size_t i = 0; i < s.n; dots++) {
    if (s.p[i] == '.') i++;
    else if (i + 3 <= s.n && s.p[i] == '%' && s.p[i + 1] == '2' && (s.p[i + 2] | 32) == 'e') i += 3;
    else return false;
  }
  return dots == 1 || dots == 2;
}

static int check(hl_str path, hl_error *err) {
  if (path.n == 0 || path.p[0] != '/' || (path.n > 1 && path.p[1] == '/'))
    return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" must begin with one '/' and have no host: "
                   "the host comes from the account", HL_STR_ARG(path));
  size_t from = 1;
  for (size_t i = 1; i <= path.n; i++) {
    unsigned char c = i < path.n ? (unsigned char)path.p[i] : '/';
    if (c == '?')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a '?': give the query apart (query=)",
                     HL_STR_ARG(path));
    if (c <= ' ' || c == 0x7f || c == '#' || c == '\\')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a character that a path cannot have "
                     "(byte %zu): percent-encode it", HL_STR_ARG(path), i + 1);
    if (c != '/') continue;
    if (is_dot_segment((hl_str){path.p + from, i - from}))
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a dot segment", HL_STR_ARG(path));
    if (i > from && i < path.n && path.p[i - 1] == ':')
      return hl_fail(err, HL_EINVAL, "the path \"" HL_STR_FMT "\" holds a scheme: the host comes from the account",
                     HL_STR_ARG(path));
    from = i + 1;
  }
  return 0;
}

static int refuse_legacy(hl_str path, const char *version, hl_error *err) {
  for (size_t i = 0; i < HL_COUNT(legacies); i++) {
    const struct legacy *l = &legacies[i];
    size_t n = strlen(l->old);
    if (!hl_str_starts(path, l->old) || (path.n > n && path.p[n] != '/')) continue;
    hl_str rest = {path.p + n, path.n - n};
    /* v1 and v2 APIs were other APIs: their rests mean nothing in the dated one. */
    if (l->newest && !*l->newest) rest = HL_STR("/…");
    const char *mark = strstr(l->dated, "{version}");
    hl_buf dated;
    hl_buf_init(&dated, 4096);
    const char *v = l->newest && *l->newest ? l->newest : version;
    int rc = mark ? hl_buf_printf(&dated, "%.*s%s%s", (int)(mark - l->dated), l->dated, v, mark + 9)
                  : hl_buf_printf(&dated, "%s/%s", l->dated, v);
    if (!rc) rc = hl_buf_append(&dated, rest.p, rest.n);
    hl_fail(err, HL_EINVAL, "HubSpot ends support for the path " HL_STR_FMT " in 2027: use %s instead",
            HL_STR_ARG(path), rc ? l->dated : dated.p);
    hl_buf_deinit(&dated);
    return HL_EINVAL;
  }
  return 0;
}

int hl_path_build(hl_str path, const char *version, hl_buf *out, hl_error *err) {
  int rc = check(path, err);
  if (!rc) rc = refuse_legacy(path, version, err);
  for (size_t i = 0; i < path.n && !rc;) {
    hl_str rest = {path.p + i, path.n - i};
    if (hl_str_starts(rest, "{version}")) {
      rc = hl_buf_puts(out, version);
      i += 9;
    } else {
      rc = hl_buf_append(out, path.p + i, 1);
      i++;
    }
    if (rc) hl_fail(err, rc, "the path is too long");
  }
  return rc;
}

static bool ends(hl_str path, const char *tail) {
  size_t n = strlen(tail);
  return path.n >= n && memcmp(path.p + path.n - n, tail, n) == 0;
}

bool hl_path_is_search(const char *method, hl_str path) {
  return strcmp(method, "POST") == 0 && hl_str_starts(path, "/crm/") && ends(path, "/search");
}

bool hl_path_is_safe(const char *method, hl_str path) {
  if (strcmp(method, "POST") != 0) return true;
  return ends(path, "/search") || ends(path, "/batch/read") || ends(path, "/batch/update") ||
         ends(path, "/batch/upsert") || ends(path, "/batch/archive");
}
