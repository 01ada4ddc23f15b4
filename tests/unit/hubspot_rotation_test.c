#include "hubspot_model.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hubspot/stored.h"

/* A process dies at every step of a rotation, with the real store on the disk; the
 * next process has to get a token without a person. HubSpot outlives them all: it
 * is in memory that the processes share. */

typedef enum rotation { NEVER, ON_USE, AT_ONCE } rotation;

typedef struct server {
  rotation rotation;
  unsigned grants, asked;
  char refresh[32], before[32];   /* good; good until the newest access token is used */
  char access[32];
  bool die_asked, die_answering;  /* the client dies when its request arrives; when the answer leaves */
} server;

static server *hubspot;
static char file[64];

static bool has_form(const model_request *r, const char *name, const char *value) {
  char part[96];
  snprintf(part, sizeof part, "%s=%s&", name, value);
  return *value && memmem(r->raw.p, r->raw.n, part, strlen(part)) != NULL;
}

static void answer(model *m, model_request *r) {
  server *s = hubspot;
  (void)m;
  if (strcmp(r->path, "/oauth/2026-09/token") == 0) {
    s->asked++;
    if (s->die_asked) _exit(9);
    bool old = has_form(r, "refresh_token", s->before);
    if (!old && !has_form(r, "refresh_token", s->refresh)) {
      r->status = 400;
      hl_buf_puts(&r->answer, "{\"status\":\"BAD_REFRESH_TOKEN\",\"message\":\"missing or invalid refresh token\"}");
      return;
    }
    s->grants++;
    if (s->rotation != NEVER) {
      /* What was just used is the one before; a new one that never worked is forgotten. */
      if (s->rotation == ON_USE && !old) memcpy(s->before, s->refresh, sizeof s->before);
      snprintf(s->refresh, sizeof s->refresh, "refresh-%u", s->grants);
    }
    snprintf(s->access, sizeof s->access, "access-%u", s->grants);
    if (s->die_answering) _exit(9);
    hl_buf_printf(&r->answer, "{\"access_token\":\"%s\",\"refresh_token\":\"%s\",\"expires_in\":1800,\"hub_id\":7}",
                  s->access, s->refresh);
    return;
  }
  char wanted[64];
  snprintf(wanted, sizeof wanted, "Bearer %s", s->access);
  if (!r->auth || strcmp(r->auth, wanted) != 0) {
    r->status = 401;
    hl_buf_puts(&r->answer, "{\"category\":\"EXPIRED_AUTHENTICATION\",\"message\":\"expired\"}");
    return;
  }
  *s->before = 0;
  hl_buf_puts(&r->answer, "{}");
}

/* In virtual time each process begins at the same instant, so a stored end in the
 * past is made by hand: every process finds a token that ended. */
static int expire(hl_vault *v) {
  hl_stored s = {0};
  hl_error err;
  if (hl_stored_get(v, "shop", &s, &err)) return -1;
  s.grant.expires_at = 1;
  int rc = hl_stored_put(v, &s, &err);
  hl_stored_wipe(&s);
  return rc;
}

static int on_step(void *arg, const char *step) {
  if (strcmp(step, arg) == 0) _exit(9);
  return 0;
}

static void called(void *arg, const hl_api_result *r) { *(int *)arg = r->error ? 1 : 0; }

/* One process: a call with the stored account. 0: well. */
static int live(char *die_at) {
  hl_vault *v;
  hl_error err;
  hl_stored s = {0};
  hl_credential *c;
  hl_account *a;
  int result = 2;
  model *m = model_new("free", 5);
  m->answer = answer;
  if (hl_vault_new(file, &v, &err) || expire(v) || hl_stored_get(v, "shop", &s, &err)) return 3;
  if (die_at) hl_vault_on_step(v, on_step, die_at);
  if (hl_stored_credential(&s, m->loop, &m->t, v, &c, &err)) return 4;
  hl_account_options o = {.name = "shop", .credential = c};
  if (hl_hubspot_add_account(m->hubspot, &o, &a, &err)) return 5;
  hl_credential_unref(c);
  hl_api_call call = {.kind = HL_API_RAW, .script = "a.lua", .method = "GET", .path = "/crm/owners/{version}"};
  if (hl_api_send(a, &call, called, &result, NULL, &err)) return 6;
  hl_loop_run(m->loop);
  hl_stored_wipe(&s);
  hl_vault_free(v);
  model_free(m);
  return result;
}

static int in_a_process(const char *die_at) {
  char step[32];
  int status;
  if (die_at) snprintf(step, sizeof step, "%s", die_at);
  pid_t pid = fork();
  if (pid == 0) _exit(live(die_at ? step : NULL));
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void begin(rotation r) {
  static int n;
  hl_vault *v;
  hl_error err;
  char name[] = "shop", id[] = "app", secret[] = "hush", refresh[] = "refresh-0";
  *hubspot = (server){.rotation = r};
  snprintf(hubspot->refresh, sizeof hubspot->refresh, "refresh-0");
  snprintf(file, sizeof file, "./rotation-%d-%d", (int)getpid(), n++);
  hl_stored s = {.name = name,
                 .kind = HL_CREDENTIAL_OAUTH,
                 .client_id = id,
                 .client_secret = secret,
                 .grant = {.refresh = refresh}};
  assert_int_equal(hl_vault_new(file, &v, &err), 0);
  if (hl_stored_put(v, &s, &err)) fail_msg("%s", err.text);
  hl_vault_free(v);
}

static void dying_at_each_step_of_a_rotation(void **state) {
  (void)state;
  static const char *const steps[] = {"write", "sync", "rename", "folder"};
  static const rotation kinds[] = {NEVER, ON_USE};
  for (size_t k = 0; k < HL_COUNT(kinds); k++) {
    begin(kinds[k]);
    for (int round = 0; round < 3; round++) {
      for (size_t i = 0; i < HL_COUNT(steps); i++) {
        assert_int_equal(in_a_process(steps[i]), 9);
        assert_int_equal(in_a_process(NULL), 0);
      }
      hubspot->die_asked = true;
      assert_int_equal(in_a_process(NULL), 9);
      hubspot->die_asked = false;
      assert_int_equal(in_a_process(NULL), 0);
      hubspot->die_answering = true;
      assert_int_equal(in_a_process(NULL), 9);
      hubspot->die_answering = false;
      assert_int_equal(in_a_process(NULL), 0);
    }
    /* Twice in a row, at every pair of steps. */
    for (size_t i = 0; i < HL_COUNT(steps); i++)
      for (size_t j = 0; j < HL_COUNT(steps); j++) {
        assert_int_equal(in_a_process(steps[i]), 9);
        assert_int_equal(in_a_process(steps[j]), 9);
        assert_int_equal(in_a_process(NULL), 0);
      }
  }
}

/* A server that ends the old refresh token at once: what was stored is never lost. */
static void what_is_stored_survives_the_strictest_server(void **state) {
  (void)state;
  begin(AT_ONCE);
  for (int round = 0; round < 5; round++) {
    assert_int_equal(in_a_process("folder"), 9); /* renamed, and gone before anybody was told */
    assert_int_equal(in_a_process(NULL), 0);
  }
}

static void a_copy_of_an_older_store_says_what_to_do(void **state) {
  (void)state;
  begin(AT_ONCE);
  assert_int_equal(in_a_process(NULL), 0);
  assert_int_equal(in_a_process(NULL), 0);
  unsigned before = hubspot->asked;
  snprintf(hubspot->refresh, sizeof hubspot->refresh, "elsewhere"); /* renewed by a restored backup */
  assert_int_equal(in_a_process(NULL), 1);
  assert_int_equal(hubspot->asked, before + 2); /* both were tried, once */
}

int main(void) {
  hubspot = mmap(NULL, sizeof *hubspot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (hubspot == MAP_FAILED) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dying_at_each_step_of_a_rotation),
      cmocka_unit_test(what_is_stored_survives_the_strictest_server),
      cmocka_unit_test(a_copy_of_an_older_store_says_what_to_do),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
