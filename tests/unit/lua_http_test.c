/* Requests to other hosts inside a step, through the whole way in virtual time: what is made once, what again, and
 * what is left to a person. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/testrun.h"

/* `asked`: what came to the host. `answers` are given in turn, then 200; "cut" is one that comes too late. */
static const char head[] =
    "local asked, answers, attempts, seen, alert\n"
    "before_each(function()\n"
    "  asked, answers, attempts, seen, alert = {}, {}, 0, nil, nil\n"
    "  sim.http('api.example.com', function(request)\n"
    "    asked[#asked + 1] = request.method\n"
    "    local answer = answers[#asked]\n"
    "    if answer == 'cut' then task.sleep(20) end\n"
    "    if answer == 'break' then error 'broken' end\n"
    "    return type(answer) == 'table' and answer or { status = math.type(answer) and answer, json = { n = #asked },\n"
    "      headers = { ['X-N'] = tostring(#asked) } }\n"
    "  end)\n"
    "  on('hubloop.alert', function(event) alert = event.payload end)\n"
    "end)\n"
    "local URL = 'https://api.example.com/orders?key=1'\n"
    "local function handle(fn)\n"
    "  on('tried', { retries = 5, timeout = '10s' }, function() attempts = attempts + 1 fn() end)\n"
    "  emit('tried')\n"
    "  sim.advance('1h')\n"
    "end\n"
    "local function ordered(options)\n"
    "  handle(function() seen = step('order', function() return http.post(URL, options).json().n end) end)\n"
    "end\n"
    "local function state(n, tries, dead)\n"
    "  expect(#asked).to.equal(n)\n"
    "  expect(attempts).to.equal(tries)\n"
    "  expect(sim.events().dead).to.equal(dead)\n"
    "end\n";

static const char made_once[] =
    "it('a request whose answer has come is not made again', function()\n"
    "  handle(function()\n"
    "    seen = step('order', function()\n"
    "      local r = http.post(URL, { json = { at = attempts } })\n"
    "      if attempts < 3 then error 'not yet' end\n"
    "      return { r.status, r.headers['x-n'], r.json().n }\n"
    "    end)\n"
    "  end)\n"
    "  state(1, 3, 0)\n"
    "  expect(seen).to.equal { 200, '1', 1 }\n"
    "end)\n"
    "it('others of the same step are', function()\n"
    "  handle(function()\n"
    "    step('two', function()\n"
    "      http.post(URL)\n"
    "      if attempts == 1 then error 'not yet' end\n"
    "      http.post(URL)\n"
    "      http.post('https://api.example.com/other')\n"
    "      http.put(URL)\n"
    "    end)\n"
    "  end)\n"
    "  state(4, 2, 0)\n"
    "end)\n"
    "it('one that reads is made each time', function()\n"
    "  handle(function()\n"
    "    step('look', function()\n"
    "      http.get(URL)\n"
    "      if attempts < 3 then error 'not yet' end\n"
    "    end)\n"
    "  end)\n"
    "  state(3, 3, 0)\n"
    "end)\n";

static const char cut[] =
    "it('one that was cut on its way is left to a person', function()\n"
    "  for _, method in ipairs { 'post', 'patch' } do\n"
    "    answers, asked, attempts, alert = { 'cut' }, {}, 0, nil\n"
    "    on(method, { retries = 5, timeout = '10s' }, function()\n"
    "      attempts = attempts + 1\n"
    "      step('order', function() http[method](URL) end)\n"
    "    end)\n"
    "    emit(method)\n"
    "    sim.advance('1h')\n"
    "    state(1, 2, method == 'post' and 1 or 2)\n"
    "    expect(alert.kind).to.equal('uncertain_step')\n"
    "    expect(sim.log()).to.contain(('uncertain: %s https://api.example.com/orders: an earlier attempt was ended while it made this '\n"
    "      .. 'request'):format(method:upper()))\n"
    "  end\n"
    "  expect(sim.log():find('key=1', 1, true)).to.be_nil()\n"
    "end)\n"
    "it('is made again when that does no more', function()\n"
    "  answers = { 'cut' }\n"
    "  ordered { idempotent = true }\n"
    "  state(2, 2, 0)\n"
    "  expect(seen).to.equal(2)\n"
    "end)\n"
    "it('is made again with a key by which the host knows it', function()\n"
    "  answers = { 'cut' }\n"
    "  ordered { headers = { ['idempotency-KEY'] = 'order 7' } }\n"
    "  state(2, 2, 0)\n"
    "end)\n"
    "it('a put is made again, unless it is said to be none of that kind', function()\n"
    "  answers = { 'cut', [3] = 'cut' }\n"
    "  handle(function() step('put', function() http.put(URL) end) end)\n"
    "  state(2, 2, 0)\n"
    "  attempts = 0\n"
    "  on('other', { retries = 5, timeout = '10s' }, function()\n"
    "    attempts = attempts + 1\n"
    "    step('put', function() http.request { method = 'PUT', url = URL, idempotent = false } end)\n"
    "  end)\n"
    "  emit('other')\n"
    "  sim.advance('1h')\n"
    "  state(3, 2, 1)\n"
    "end)\n";

static const char answers[] =
    "it('that the host has refused is made again, and 502 is left to a person', function()\n"
    "  local statuses = { 400, 429, 503, 500, 502 }\n"
    "  answers = table.move(statuses, 1, #statuses, 1, {})\n"
    "  handle(function()\n"
    "    step('order', function()\n"
    "      local r = http.post(URL)\n"
    "      if r.status >= 400 then error('status ' .. r.status) end\n"
    "    end)\n"
    "  end)\n"
    "  state(5, 5, 1)\n"
    "  expect(sim.log()).to.contain('uncertain:')\n"
    "  expect(alert.kind).to.equal('uncertain_step')\n"
    "end)\n"
    "it('that brought no answer is left to a person, in a step and without', function()\n"
    "  answers = { 'break', 'break', 'cut', 'break' }\n"
    "  handle(function() step('order', function() http.post(URL) end) end)\n"
    "  state(1, 1, 1)\n"
    "  expect(alert.kind).to.equal('uncertain_step')\n"
    "  expect(function() http.post(URL) end).to.raise { kind = 'uncertain', retryable = false }\n"
    "  expect(function() http.post(URL, { timeout = '5s' }) end).to.raise('idempotent = true')\n"
    "  expect(function() http.post(URL, { idempotent = true }) end).to.raise { kind = 'network', retryable = true }\n"
    "end)\n"
    "it('that could not leave is made again', function()\n"
    "  local ok\n"
    "  handle(function()\n"
    "    step('order', function()\n"
    "      ok = pcall(http.post, 'https://down.example.com/')\n"
    "      if attempts < 3 then error 'not yet' end\n"
    "    end)\n"
    "  end)\n"
    "  state(0, 3, 0)\n"
    "  expect(ok).to.equal(false)\n"
    "end)\n"
    "it('whose answer cannot be kept counts as made', function()\n"
    "  local kind\n"
    "  for i, body in ipairs { ('x'):rep(300 * 1024), 'a\\0b', '\\xff' } do\n"
    "    asked, attempts, answers = {}, 0, { { body = body } }\n"
    "    on('no ' .. i, { retries = 5 }, function()\n"
    "      attempts = attempts + 1\n"
    "      step('order', function()\n"
    "        local ok, r = pcall(http.post, URL)\n"
    "        kind = not ok and r.kind\n"
    "        if attempts == 1 then expect(r.body).to.equal(body) error 'not yet' end\n"
    "      end)\n"
    "    end)\n"
    "    emit('no ' .. i)\n"
    "    sim.advance('1h')\n"
    "    state(1, 2, 0)\n"
    "    expect(kind).to.equal('unstorable')\n"
    "  end\n"
    "  asked, attempts, answers = {}, 0, { { body = '\\xff' } }\n"
    "  handle(function()\n"
    "    step('put', function()\n"
    "      http.put(URL)\n"
    "      if attempts == 1 then error 'not yet' end\n"
    "    end)\n"
    "  end)\n"
    "  state(2, 2, 0)\n"
    "end)\n"
    "it('misuse is told', function()\n"
    "  expect(function() http.post(URL, { idempotent = 'yes' }) end).to.raise('idempotent must be true or false')\n"
    "  expect(#asked).to.equal(0)\n"
    "end)\n";

static void on_result(void *arg, const hl_test_result *r) {
  if (r->outcome != HL_TEST_PASSED) hl_buf_printf(arg, "%s:%d\n%s\n", r->name, r->line, r->message);
}

static void requests_of_a_step(void **state) {
  (void)state;
  static const char *const hosts[] = {"api.example.com", "down.example.com", NULL};
  hl_permissions p = {.hosts = hosts};
  hl_testrun_options o = {.permissions = &p};
  hl_test_counts counts = {0};
  hl_buf failed;
  hl_error err;
  hl_buf_init(&failed, 1 << 20);
  FILE *f = fopen("http_test.lua", "w");
  assert_non_null(f);
  fputs(head, f);
  fputs(made_once, f);
  fputs(cut, f);
  fputs(answers, f);
  fclose(f);
  hl_test_reporter reporter = {on_result, &failed};
  if (hl_testrun_file("http_test.lua", &o, &reporter, &counts, &err)) fail_msg("%s", err.text);
  if (failed.n) fail_msg("%.*s", (int)failed.n, failed.p);
  assert_int_equal(counts.passed, 12);
  hl_buf_deinit(&failed);
}

int main(void) {
  const struct CMUnitTest all[] = {cmocka_unit_test(requests_of_a_step)};
  return cmocka_run_group_tests(all, NULL, NULL);
}
