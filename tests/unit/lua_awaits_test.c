/* What a script's text waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/awaits.h"

static hl_buf seen;

static void note(void *arg, hl_str type, hl_str property) {
  (void)arg;
  assert_int_equal(hl_buf_printf(&seen, HL_STR_FMT ":" HL_STR_FMT " ", HL_STR_ARG(type), property.p ? (int)property.n : 1, property.p ? property.p : "-"), 0);
}

static void check(const char *text, const char *want) {
  hl_buf_init(&seen, 1000);
  char *copy = hl_strndup(text, strlen(text)); /* its end is the buffer's end, for the sanitizers */
  char *exact = hl_realloc(NULL, strlen(text) ? strlen(text) : 1);
  memcpy(exact, copy, strlen(text));
  hl_awaited_types((hl_str){exact, strlen(text)}, note, NULL);
  if (strcmp(seen.p ? seen.p : "", want) != 0) fail_msg("%s\nsaid “%s”, not “%s”", text, seen.p ? seen.p : "", want);
  hl_free(copy);
  hl_free(exact);
  hl_buf_deinit(&seen);
}

static void calls_are_found(void **state) {
  (void)state;
  check("local e = wait(\"signed\", \"deal.propertyChange\", { key = id })", "deal.propertyChange:- ");
  check("wait('a','b') x = wait ( 'c' , -- comment\n 'd' , { timeout = \"3d\", property = 'dealstage' } )", "b:- d:dealstage ");
  check("wait('a', 'b', { key = { property = 'no', x = { } }, property = \"yes\", value = 1 })", "b:yes ");
  check("wait('a', 'b', { property = name })", "b:- ");
  check("local function f() return (wait('a', 'b', opts)) end wait('c', 'd',{property='p'", "b:- d:p ");
  check("pcall(wait, 'a', 'b')", "");
}

static void what_is_none(void **state) {
  (void)state;
  check("", "");
  check("-- wait('a', 'b')\n--[[ wait('a', 'b') ]] --[==[ ]] wait('a','b') ]==] [[ wait('a', 'b') ]] '\\' wait(\"a\", \"b\")'", "");
  check("handle:wait('a', 'b') cell.wait('a', 'b') await('a', 'b') wait2('a', 'b')", "");
  check("wait('a', { ['for'] = '2d' }) wait('a', kind) wait(name, 'b') wait('a\\n', 'b') wait 'a'", "");
  check("wait(", "");
  check("wait('a", "");
  check("wait('a', 'b", "");
  check("wait('a', 'b\nc')", "");
  check("x = t[wait('a', 'b')] y = [=", "b:- ");
  check("--[", "");
  check("--[==", "");
  check("'\\", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calls_are_found), cmocka_unit_test(what_is_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
