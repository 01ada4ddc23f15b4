#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "hubspot/operations.h"
#include "hubspot/paths.h"

static void finds(const char *method, const char *path, const char *template, const char *scopes) {
  const hl_operation *op = hl_operation_find(method, hl_str_of(path));
  hl_buf b;
  if (!op) fail_msg("%s %s is not found", method, path);
  assert_string_equal(op->path, template);
  hl_buf_init(&b, 4096);
  assert_int_equal(hl_operation_scopes(op, hl_str_of(path), &b), 0);
  assert_string_equal(b.p ? b.p : "", scopes);
  hl_buf_deinit(&b);
}

static void operations_are_found(void **state) {
  (void)state;
  finds("GET", "/crm/objects/2026-09/deals/7", "/crm/objects/{version}/{objectType}/{objectId}", "crm.objects.deals.read");
  finds("GET", "/crm/objects/{version}/0-3/7", "/crm/objects/{version}/{objectType}/{objectId}", "crm.objects.deals.read");
  finds("POST", "/crm/objects/2026-03/deals/search", "/crm/objects/{version}/{objectType}/search", "crm.objects.deals.read");
  finds("POST", "/crm/objects/2026-03/deals/batch/read", "/crm/objects/{version}/{objectType}/batch/read", "crm.objects.deals.read");
  finds("POST", "/crm/objects/2026-03/deals/batch/upsert", "/crm/objects/{version}/{objectType}/batch/upsert", "crm.objects.deals.write");
  finds("PATCH", "/crm/objects/2026-09/tickets/7/", "/crm/objects/{version}/{objectType}/{objectId}", "tickets");
  finds("GET", "/crm/objects/2026-09/2-44", "/crm/objects/{version}/{objectType}", "crm.objects.custom.read");
  finds("GET", "/crm/objects/2026-09/p_cars", "/crm/objects/{version}/{objectType}", "crm.objects.custom.read");
  finds("GET", "/crm/owners/2026-09", "/crm/owners/{version}", "crm.objects.owners.read|contacts");
  finds("GET", "/crm/owners/2026-09/12", "/crm/owners/{version}/{ownerId}", "crm.objects.owners.read|contacts");
  finds("PUT", "/crm/lists/2026-09/5/memberships/add", "/crm/lists/{version}/{listId}/memberships/add",
        "crm.lists.read+crm.lists.write|cms.membership.access_groups.write+crm.lists.read");
  finds("GET", "/account-info/2026-09/details", "/account-info/{version}/details", "");
  finds("GET", "/marketing/v3/forms/abc", "/marketing/v3/forms/{formId}", "forms");
  finds("GET", "/cms/source-code/2026-09/draft/content/a/b/c.html", "/cms/source-code/{version}/{environment}/content/{path}", "content");
  assert_null(hl_operation_find("DELETE", HL_STR("/crm/owners/2026-09")));
  assert_null(hl_operation_find("GET", HL_STR("/crm/objects/v3/deals")));
  assert_null(hl_operation_find("GET", HL_STR("/crm/objects/2026-09")));
  assert_null(hl_operation_find("GET", HL_STR("/")));
  assert_null(hl_operation_find("GET", HL_STR("")));
  assert_null(hl_operation_find("GET", HL_STR("/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z")));
}

static void types_in_the_path_decide(void **state) {
  (void)state;
  finds("GET", "/crm/properties/2026-09/deals", "/crm/properties/{version}/{objectType}", "crm.schemas.deals.read|crm.objects.deals.read");
  finds("POST", "/crm/properties/2026-09/deals", "/crm/properties/{version}/{objectType}", "crm.schemas.deals.write");
  finds("GET", "/crm/pipelines/2026-09/tickets", "/crm/pipelines/{version}/{objectType}", "tickets");
  finds("POST", "/crm/associations/2026-09/contacts/companies/batch/read",
        "/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/read", "crm.objects.contacts.read+crm.objects.companies.read");
  finds("POST", "/crm/associations/2026-09/notes/contacts/batch/create",
        "/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/create", "crm.objects.contacts.write");
  finds("PUT", "/crm/objects/2026-09/deals/1/associations/default/emails/2",
        "/crm/objects/{version}/{objectType}/{objectId}/associations/default/{toObjectType}/{toObjectId}",
        "crm.objects.deals.write+crm.objects.contacts.write+sales-email-read");
  const hl_operation *op = hl_operation_find("GET", HL_STR("/crm/objects/{version}/{objectType}"));
  hl_buf b;
  hl_buf_init(&b, 4096);
  assert_non_null(op);
  assert_int_equal(hl_operation_scopes(op, HL_STR("/crm/objects/{version}/{objectType}"), &b), HL_ENOTFOUND);
  assert_int_equal(hl_operation_scopes(op, HL_STR("/crm/objects/2026-09/0-9999"), &b), HL_ENOTFOUND);
  op = hl_operation_find("GET", HL_STR("/crm/limits/2026-09/records"));
  assert_non_null(op);
  assert_int_equal(hl_operation_scopes(op, HL_STR("/crm/limits/2026-09/records"), &b), 0);
  assert_true(hl_str_starts(hl_buf_str(&b), "crm.objects.contacts.read|"));
  hl_buf_deinit(&b);
}

static void releases_are_named(void **state) {
  (void)state;
  const char *v[HL_OPERATION_VERSIONS];
  assert_int_equal(hl_operation_versions(hl_operation_find("GET", HL_STR("/crm/owners/2026-09")), v, HL_OPERATION_VERSIONS), 2);
  assert_string_equal(v[0], "2026-09");
  assert_string_equal(v[1], "2026-03");
  assert_int_equal(hl_operation_versions(hl_operation_find("GET", HL_STR("/marketing/v3/forms")), v, HL_OPERATION_VERSIONS), 1);
  assert_string_equal(v[0], "v3");
}

static void object_types(void **state) {
  (void)state;
  assert_string_equal(hl_object_type_find(HL_STR("deal"))->id, "0-3");
  assert_string_equal(hl_object_type_find(HL_STR("company"))->name, "companies");
  assert_string_equal(hl_object_type_find(HL_STR("line_item"))->name, "line_items");
  assert_string_equal(hl_object_type_find(HL_STR("0-136"))->name, "leads");
  assert_string_equal(hl_object_type_find(HL_STR("2-5"))->name, "custom");
  assert_null(hl_object_type_find(HL_STR("0-5000")));
  assert_null(hl_object_type_find(HL_STR("{objectType}")));
  assert_null(hl_object_type_find(HL_STR("")));
}

/* ---- the whole of the data ---- */

enum { ROWS_MAX = 8000, WIDTH = 512 };
typedef struct row { char version[16], api[64], method[8], path[WIDTH], real[WIDTH], words[WIDTH]; } row;
static row *rows;
static size_t n_rows;

static bool versioned(const char *s, size_t n) {
  return (n == 2 && s[0] == 'v' && s[1] >= '1' && s[1] <= '4') || (n >= 7 && s[0] == '2' && s[1] == '0' && s[4] == '-');
}

/* `real`: each {…} replaced by a value; `words`: the literal segments without versions and trailing '/'. */
static void prepare(row *r) {
  size_t real = 0, words = 0;
  for (const char *p = r->path; *p;) {
    size_t n = strcspn(p + 1, "/");
    const char *s = p + 1;
    bool type = n > 2 && s[0] == '{' && memmem(s, n, "bjectType", 9);
    const char *value = type ? "contacts" : "x1";
    if (s[0] == '{') real += (size_t)snprintf(r->real + real, WIDTH - real, "/%s", value);
    else real += (size_t)snprintf(r->real + real, WIDTH - real, "/%.*s", (int)n, s);
    if (n && !versioned(s, n)) words += (size_t)snprintf(r->words + words, WIDTH - words, "/%.*s", s[0] == '{' ? 2 : (int)n, s[0] == '{' ? "{}" : s);
    p = s + n;
  }
}

static int load(void **state) {
  char at[WIDTH];
  (void)state;
  ssize_t n = readlink("/proc/self/exe", at, sizeof at - 64);
  assert_true(n > 0);
  at[n] = 0;
  for (int up = 0; up < 3; up++) *strrchr(at, '/') = 0; /* ROOT/build/tests/… */
  const char *named = getenv("HL_HUBSPOT");
  if (named) snprintf(at, sizeof at, "%s/endpoints.tsv", named);
  else memcpy(at + strlen(at), "/../shared/hubspot/endpoints.tsv", 33);
  FILE *f = fopen(at, "r");
  if (!f) return 0;
  rows = hl_alloc(ROWS_MAX * sizeof *rows);
  char line[4096];
  assert_non_null(fgets(line, sizeof line, f));
  while (fgets(line, sizeof line, f)) {
    assert_true(n_rows < ROWS_MAX);
    row *r = &rows[n_rows];
    memset(r, 0, sizeof *r);
    if (sscanf(line, "%15[^\t]\t%63[^\t]\t%7[^\t]\t%511[^\t\n]", r->version, r->api, r->method, r->path) != 4) continue;
    prepare(r);
    n_rows++;
  }
  fclose(f);
  return 0;
}

static int unload(void **state) {
  (void)state;
  hl_free(rows);
  return 0;
}

static bool is_dated(const row *r) { return strstr(r->path, "/20") != NULL; }

static void every_dated_operation_is_known(void **state) {
  (void)state;
  if (!rows) skip();
  for (size_t i = 0; i < n_rows; i++) {
    if (!is_dated(&rows[i])) continue;
    const hl_operation *op = hl_operation_find(rows[i].method, hl_str_of(rows[i].path));
    if (!op) fail_msg("%s %s is not in the table", rows[i].method, rows[i].path);
    const char *v[HL_OPERATION_VERSIONS];
    size_t n = hl_operation_versions(op, v, HL_OPERATION_VERSIONS);
    bool has = false;
    for (size_t j = 0; j < n; j++) has = has || strstr(rows[i].path, v[j]);
    if (!has) fail_msg("%s %s: the table's row does not have that release", rows[i].method, rows[i].path);
    op = hl_operation_find(rows[i].method, hl_str_of(rows[i].real));
    if (!op) fail_msg("%s %s is not found", rows[i].method, rows[i].real);
  }
}

/* The words of an object's path, its type left open: 2026-09 has one path for all. */
static void generic(const char *words, char *out) {
  static const char start[] = "/crm/objects/";
  size_t n = strlen(start);
  if (strncmp(words, start, n) != 0) {
    snprintf(out, WIDTH, "%s", words);
    return;
  }
  snprintf(out, WIDTH, "%s{}%s", start, words + n + strcspn(words + n, "/"));
}

static void every_legacy_path_names_its_dated_form(void **state) {
  (void)state;
  if (!rows) skip();
  size_t refused = 0, passed = 0;
  for (size_t i = 0; i < n_rows; i++) {
    const row *r = &rows[i];
    if (is_dated(r)) continue;
    const row *same = NULL;
    char mine[WIDTH], other[WIDTH];
    generic(r->words, mine);
    for (size_t j = 0; j < n_rows && !same; j++) {
      if (!is_dated(&rows[j]) || strcmp(rows[j].method, r->method) != 0) continue;
      generic(rows[j].words, other);
      if (strcmp(mine, other) == 0) same = &rows[j];
    }
    hl_buf built;
    hl_error err = {0};
    hl_buf_init(&built, 4096);
    int rc = hl_path_build(hl_str_of(r->real), "2026-09", &built, &err);
    hl_buf_deinit(&built);
    if (same && rc != HL_EINVAL) fail_msg("%s %s passes, though there is %s", r->method, r->real, same->path);
    if (rc == 0) {
      passed++;
      continue;
    }
    refused++;
    char *named = strstr(err.text, ": use ");
    assert_non_null(named);
    named += 6;
    char *end = strstr(named, " instead");
    assert_non_null(end);
    *end = 0;
    const hl_operation *op = hl_operation_find(r->method, hl_str_of(named));
    if (!op) fail_msg("%s %s: the named %s is no operation", r->method, r->real, named);
    const char *v[HL_OPERATION_VERSIONS];
    size_t n = hl_operation_versions(op, v, HL_OPERATION_VERSIONS);
    bool has = false;
    for (size_t j = 0; j < n; j++) has = has || strstr(named, v[j]);
    if (!has) fail_msg("%s %s: that release has no %s", r->method, r->real, named);
  }
  print_message("%zu legacy operations refused, %zu without a dated form\n", refused, passed);
  assert_true(refused > 1000 && passed > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operations_are_found), cmocka_unit_test(types_in_the_path_decide),
      cmocka_unit_test(releases_are_named),   cmocka_unit_test(object_types),
      cmocka_unit_test(every_dated_operation_is_known), cmocka_unit_test(every_legacy_path_names_its_dated_form),
  };
  return cmocka_run_group_tests(tests, load, unload);
}
