/* ? becomes $1 where it is a placeholder and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/sql_inside.h"

static void check(const char *text, const char *want, size_t places, const char *first) {
  hl_buf out;
  size_t n;
  char word[16];
  hl_buf_init(&out, 1 << 20);
  /* Of exactly its size, so that a sanitizer sees a look behind it. */
  size_t size = strlen(text);
  char *copy = hl_alloc(size ? size : 1);
  memcpy(copy, text, size);
  assert_int_equal(hl_sql_places((hl_str){copy, size}, &out, &n, word), 0);
  assert_string_equal(out.p ? out.p : "", want);
  assert_int_equal(n, places);
  assert_string_equal(word, first);
  hl_buf_deinit(&out);
  hl_free(copy);
}

static void places_are_numbered(void **state) {
  (void)state;
  check("SELECT ?, ? WHERE a=?", "SELECT $1, $2 WHERE a=$3", 3, "SELECT");
  check("?", "$1", 1, "");
  check("", "", 0, "");
  check("select a ?? b, c ??| d, e ??& ?", "select a ? b, c ?| d, e ?& $1", 1, "SELECT");
}

static void strings_names_and_comments_hold_none(void **state) {
  (void)state;
  check("SELECT '?', ?", "SELECT '?', $1", 1, "SELECT");
  check("SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1", 1, "SELECT");
  check("SELECT E'\\'?', ?", "SELECT E'\\'?', $1", 1, "SELECT");
  check("SELECT '\\', ?", "SELECT '\\', $1", 1, "SELECT"); /* a plain string knows no escapes */
  check("SELECT the'\\', ?", "SELECT the'\\', $1", 1, "SELECT"); /* and this e is a name's */
  check("SELECT \"a?\"\"?\", ?", "SELECT \"a?\"\"?\", $1", 1, "SELECT");
  check("SELECT ? -- ?\n, ?", "SELECT $1 -- ?\n, $2", 2, "SELECT");
  check("SELECT /* ? /* ? */ ? */ ?", "SELECT /* ? /* ? */ ? */ $1", 1, "SELECT");
  check("SELECT $$ ? $$, ?", "SELECT $$ ? $$, $1", 1, "SELECT");
  check("SELECT $a$ ? $b$ ? $a$, ?", "SELECT $a$ ? $b$ ? $a$, $1", 1, "SELECT");
  check("SELECT a$b$c, ?, $1", "SELECT a$b$c, $1, $1", 1, "SELECT");
  check("SELECT 1 - ? / ?", "SELECT 1 - $1 / $2", 2, "SELECT");
}

static void what_never_ends_is_left_alone(void **state) {
  (void)state;
  check("SELECT '?", "SELECT '?", 0, "SELECT");
  check("SELECT E'\\", "SELECT E'\\", 0, "SELECT");
  check("SELECT \"?", "SELECT \"?", 0, "SELECT");
  check("SELECT /* ?", "SELECT /* ?", 0, "SELECT");
  check("SELECT /", "SELECT /", 0, "SELECT");
  check("SELECT -- ?", "SELECT -- ?", 0, "SELECT");
  check("SELECT $a$ ?", "SELECT $a$ ?", 0, "SELECT");
  check("SELECT $", "SELECT $", 0, "SELECT");
  check("SELECT $a ?", "SELECT $a $1", 1, "SELECT");
}

static void the_first_word_is_found(void **state) {
  (void)state;
  check(" \n\t/* x */ -- y\n commit", " \n\t/* x */ -- y\n commit", 0, "COMMIT");
  check("(select 1)", "(select 1)", 0, "SELECT");
  check("set/**/x = 1", "set/**/x = 1", 0, "SET");
  check("1 begin", "1 begin", 0, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(places_are_numbered),
      cmocka_unit_test(strings_names_and_comments_hold_none),
      cmocka_unit_test(what_never_ends_is_left_alone),
      cmocka_unit_test(the_first_word_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
