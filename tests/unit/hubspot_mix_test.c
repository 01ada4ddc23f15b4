#include "hubspot_model.h"

/* Random mixes of all kinds against a small CRM that refuses, leaves out, loses and
 * delays. What must hold whatever comes: every caller gets one answer, its own; no
 * batch holds an object twice; writes of an object are carried out in the order in
 * which they were asked for, and reads see them; nothing is made twice. */

enum { CONTACTS = 30, BY_EMAIL = 20, COMPANIES = 12, JOBS = 700 }; /* contacts from BY_EMAIL on are only known by e-mail */

typedef struct job {
  asked a;
  model *m;
  hl_timer timer;
  hl_api_kind kind;
  int contact, company;   /* which; -1: none */
  int seq;                /* in the order of asking */
  int raw;                /* PATCH 1, GET 2 */
  char spice;             /* 's' plain, 'r' a row that is refused, 'p' one that makes its batch be refused */
  bool labelled, cancel;
  hl_api_op *op;
} job;

static struct {
  job jobs[JOBS];
  int asked;
  bool gone[CONTACTS];
  int x[CONTACTS];                    /* seq of the last write */
  int written[CONTACTS], linked[CONTACTS], company_linked[COMPANIES];
  int pair_seq[CONTACTS][COMPANIES];
  bool pair[CONTACTS][COMPANIES];
  int made[JOBS + 1];                     /* by seq: how often */
  int fate;                           /* of 100 requests, trouble */
  size_t batches, rows;
} w;

static int number(const char *s) { return (int)strtol(s, NULL, 10); }
static bool chance(model *m, int of_100) { return (int)hl_rng_below(&m->rng, 100) < of_100; }

static int contact_of(const char *id) {
  int i = id[0] == 'c' || id[0] == 'C' ? number(id + 1) : number(id) - 100;
  return i >= 0 && i < CONTACTS ? i : -1;
}

static void show(model *m, hl_buf *b, int i, const cJSON *names, const char *trace) {
  const cJSON *n;
  hl_buf_printf(b, chance(m, 50) ? "{\"id\":\"%d\"," : "{\"id\":%d,", 100 + i);
  if (trace) hl_buf_printf(b, "\"objectWriteTraceId\":\"%s\",", trace);
  hl_buf_printf(b, "\"properties\":{\"x\":\"%d\",\"email\":\"c%d@x\"", w.x[i], i);
  cJSON_ArrayForEach(n, names)
    if (strcmp(n->valuestring, "x") != 0 && strcmp(n->valuestring, "email") != 0) hl_buf_printf(b, ",\"%s\":\"v\"", n->valuestring);
  hl_buf_puts(b, "}}");
}

/* A write of object i with this value is carried out: the order must hold. */
static void carry_out(int i, int seq) {
  if (seq < w.written[i] || seq < w.linked[i]) fail_msg("contact %d: write %d after %d, links %d", i, seq, w.written[i], w.linked[i]);
  w.written[i] = seq;
}

/* The seq of "s12"; its spice. */
static int seq_of(const cJSON *properties, char *spice) {
  const char *x = hl_json_str(properties, "x", "s0");
  *spice = x[0];
  return number(x + 1);
}

static int update(int i, int seq, char spice) {
  if (i < 0 || w.gone[i]) return 404;
  if (spice != 's') return 400;
  carry_out(i, seq);
  w.x[i] = seq;
  return 0;
}

/* The seq is not in the request of an archive or a link: it is that of the oldest unanswered job that fits. */
static job *job_of(hl_api_kind kind, int contact, int company) {
  for (int s = 0; s < w.asked; s++) {
    for (int k = 0; k < JOBS; k++) {
      job *j = &w.jobs[k];
      if (j->seq == s + 1 && !j->a.done && j->kind == kind && j->contact == contact && j->company == company && !(j->cancel && !j->op)) return j;
    }
  }
  return NULL;
}

static void refuse(model_request *r, int status) {
  r->status = status;
  hl_buf_clear(&r->answer);
  hl_buf_printf(&r->answer, "{\"status\":\"error\",\"category\":\"%s\",\"message\":\"no\"}", status == 404 ? "OBJECT_NOT_FOUND" : "VALIDATION_ERROR");
}

static void link_pair(int c, int co, int seq, bool on) {
  if (seq < w.pair_seq[c][co]) fail_msg("pair %d-%d: %d after %d", c, co, seq, w.pair_seq[c][co]);
  if (seq < w.written[c]) fail_msg("contact %d: link %d after write %d", c, seq, w.written[c]);
  w.pair_seq[c][co] = seq;
  if (seq > w.linked[c]) w.linked[c] = seq;
  w.pair[c][co] = on;
}

static void note(hl_buf *errors, const char *category, const char *key, const char *value) {
  hl_buf_printf(errors, "%s{\"status\":\"error\",\"category\":\"%s\",\"message\":\"row\",\"context\":{\"%s\":[\"%s\"]}}",
                errors->n ? "," : "", category, key, value);
}

static void objects_batch(model *m, model_request *r, const char *verb) {
  const cJSON *inputs = hl_json_get(r->body, "inputs"), *in, *other;
  hl_buf errors;
  bool first = true;
  int n = cJSON_GetArraySize(inputs);
  assert_in_range(n, 1, 100);
  w.batches++;
  w.rows += (size_t)n;
  cJSON_ArrayForEach(in, inputs) {
    char spice;
    for (other = in->next; other; other = other->next) {
      const char *a = hl_json_str(in, "id", NULL), *b = hl_json_str(other, "id", NULL);
      if (a && b && strcasecmp(a, b) == 0) fail_msg("%s holds %s twice", r->path, a);
      if (strcmp(verb, "create") == 0)
        assert_true(!hl_json_str(hl_json_get(in, "properties"), "email", NULL) ||
                    strcmp(hl_json_str(hl_json_get(in, "properties"), "email", ""), hl_json_str(hl_json_get(other, "properties"), "email", "")) != 0);
    }
    seq_of(hl_json_get(in, "properties"), &spice);
    if (spice != 'p') continue;
    refuse(r, 400);
    return;
  }
  if (strcmp(verb, "archive") == 0) {
    cJSON_ArrayForEach(in, inputs) {
      int i = contact_of(hl_json_str(in, "id", ""));
      job *j = job_of(HL_API_ARCHIVE, i, -1);
      if (j) carry_out(i, j->seq);
      w.gone[i] = true;
    }
    r->status = 204;
    return;
  }
  hl_buf_init(&errors, 1 << 20);
  hl_buf_puts(&r->answer, "{\"results\":[");
  /* The order of results is not promised. */
  for (in = inputs->child->prev; in; in = in == inputs->child ? NULL : in->prev) {
    char spice;
    const cJSON *p = hl_json_get(in, "properties");
    const char *id = hl_json_str(in, "id", ""), *trace = hl_json_str(in, "objectWriteTraceId", NULL);
    int seq = seq_of(p, &spice), i = contact_of(id);
    if (strcmp(verb, "read") == 0) {
      if (i < 0 || w.gone[i]) {
        if (chance(m, 50)) note(&errors, "OBJECT_NOT_FOUND", "ids", id); /* or it is left out */
        continue;
      }
    } else if (strcmp(verb, "create") == 0) {
      if (spice != 's') {
        note(&errors, "VALIDATION_ERROR", "objectWriteTraceId", trace);
        continue;
      }
      w.made[seq]++;
      hl_buf_printf(&r->answer, "%s{\"id\":\"9%d\",\"objectWriteTraceId\":\"%s\",\"properties\":{\"x\":\"%d\"}}", first ? "" : ",", seq, trace, seq);
      first = false;
      continue;
    } else {
      int status = update(i, seq, spice);
      if (status) {
        if (chance(m, 50)) note(&errors, status == 404 ? "OBJECT_NOT_FOUND" : "VALIDATION_ERROR", "objectWriteTraceId", trace);
        else note(&errors, status == 404 ? "OBJECT_NOT_FOUND" : "VALIDATION_ERROR", "ids", id);
        continue;
      }
    }
    if (!first) hl_buf_puts(&r->answer, ",");
    first = false;
    show(m, &r->answer, i, hl_json_get(r->body, "properties"), trace && chance(m, 80) ? trace : NULL);
  }
  hl_buf_puts(&r->answer, "]");
  if (errors.n) {
    r->status = 207;
    hl_buf_printf(&r->answer, ",\"errors\":[%s]", errors.p);
  }
  hl_buf_puts(&r->answer, "}");
  hl_buf_deinit(&errors);
}

static void links_batch(model_request *r, const char *verb) {
  const cJSON *inputs = hl_json_get(r->body, "inputs"), *in;
  bool first = true, end = strcmp(verb, "archive") == 0 || strcmp(verb, "labels/archive") == 0;
  int n = cJSON_GetArraySize(inputs);
  assert_in_range(n, 1, end ? 100 : strcmp(verb, "read") == 0 ? 1000 : 2000);
  w.batches++;
  w.rows += (size_t)n;
  bool seen[CONTACTS][COMPANIES] = {{0}};
  hl_buf_puts(&r->answer, "{\"results\":[");
  cJSON_ArrayForEach(in, inputs) {
    if (strcmp(verb, "read") == 0) {
      int c = contact_of(hl_json_str(in, "id", ""));
      hl_buf_printf(&r->answer, "%s{\"from\":{\"id\":\"%d\"},\"to\":[", first ? "" : ",", 100 + c);
      for (int co = 0, k = 0; co < COMPANIES; co++)
        if (w.pair[c][co]) hl_buf_printf(&r->answer, "%s{\"toObjectId\":\"%d\"}", k++ ? "," : "", 200 + co);
      hl_buf_puts(&r->answer, "]}");
      first = false;
      continue;
    }
    const cJSON *to = hl_json_get(in, "to");
    if (cJSON_IsArray(to)) to = to->child;
    int c = contact_of(hl_json_str(hl_json_get(in, "from"), "id", "")), co = number(hl_json_str(to, "id", "")) - 200;
    assert_false(seen[c][co]);
    seen[c][co] = true;
    job *j = job_of(end ? HL_API_DISASSOCIATE : HL_API_ASSOCIATE, c, co);
    link_pair(c, co, j ? j->seq : w.pair_seq[c][co], !end);
    if (end) continue;
    if (strcmp(verb, "create") == 0)
      hl_buf_printf(&r->answer, "%s{\"fromObjectId\":\"%d\",\"toObjectId\":%d,\"labels\":[]}", first ? "" : ",", 100 + c, 200 + co);
    else
      hl_buf_printf(&r->answer, "%s{\"from\":{\"id\":\"%d\"},\"to\":{\"id\":\"%d\"}},{\"from\":{\"id\":\"%d\"},\"to\":{\"id\":\"%d\"}}",
                    first ? "" : ",", 100 + c, 200 + co, 200 + co, 100 + c);
    first = false;
  }
  hl_buf_puts(&r->answer, "]}");
}

static void single(model *m, model_request *r, const char *id) {
  const char *slash = strchr(id, '/');
  int i = contact_of(id);
  char spice;
  int seq = seq_of(hl_json_get(r->body, "properties"), &spice);
  if (slash) {
    int co = number(strrchr(id, '/') + 1) - 200;
    bool on = strcmp(r->method, "PUT") == 0;
    job *j = job_of(on ? HL_API_ASSOCIATE : HL_API_DISASSOCIATE, i, co);
    link_pair(i, co, j ? j->seq : w.pair_seq[i][co], on);
    if (!on) r->status = 204;
    else if (strstr(id, "/default/")) hl_buf_puts(&r->answer, "{\"results\":[]}");
    else hl_buf_puts(&r->answer, "{\"labels\":[]}");
  } else if (strcmp(r->method, "DELETE") == 0) {
    job *j = job_of(HL_API_ARCHIVE, i, -1);
    if (j) carry_out(i, j->seq);
    w.gone[i] = true;
    r->status = 204;
  } else if (strcmp(r->method, "GET") == 0) {
    if (i < 0 || w.gone[i]) refuse(r, 404);
    else show(m, &r->answer, i, NULL, NULL);
  } else {
    int status = update(i, seq, spice);
    if (status) refuse(r, status);
    else show(m, &r->answer, i, NULL, NULL);
  }
}

static void answer(model *m, model_request *r) {
  static const char objects[] = "/crm/objects/2026-09/contacts", links[] = "/crm/associations/2026-09/contacts/companies/batch/";
  const char *tail = r->path + sizeof objects - 1;
  bool trouble = chance(m, w.fate);
  int how = (int)hl_rng_below(&m->rng, 4);
  if (trouble && how == 0) { /* lost on the way there */
    r->lost = true;
    return;
  }
  if (trouble && how == 1) {
    r->status = 503;
    return;
  }
  if (strncmp(r->path, links, sizeof links - 1) == 0) {
    links_batch(r, r->path + sizeof links - 1);
  } else if (strncmp(tail, "/batch/", 7) == 0) {
    objects_batch(m, r, tail + 7);
  } else if (*tail) {
    single(m, r, tail + 1);
  } else {
    char spice;
    int seq = seq_of(hl_json_get(r->body, "properties"), &spice);
    if (spice != 's') {
      refuse(r, 400);
    } else {
      w.made[seq]++;
      r->status = 201;
      hl_buf_printf(&r->answer, "{\"id\":\"9%d\",\"properties\":{\"x\":\"%d\"}}", seq, seq);
    }
  }
  if (trouble && how == 2) r->lost = true; /* lost on the way back */
  if (trouble && how == 3 && r->status < 400) {
    r->status = 504;
    hl_buf_clear(&r->answer);
  }
}

static void go(hl_timer *timer, void *arg) {
  (void)timer;
  job *j = arg;
  static const char *const scripts[] = {"a.lua", "b.lua"};
  static const char *const names[] = {"x", "city", NULL}, *const less[] = {"x", NULL};
  char id[32], to[16], body[96], path[64];
  j->seq = ++w.asked;
  if (j->contact >= BY_EMAIL) snprintf(id, sizeof id, "%c%d@x", j->seq % 2 ? 'c' : 'C', j->contact);
  else snprintf(id, sizeof id, "%d", 100 + j->contact);
  snprintf(to, sizeof to, "%d", 200 + j->company);
  snprintf(body, sizeof body, "{\"properties\":{\"x\":\"%c%d\"}}", j->spice, j->seq);
  snprintf(path, sizeof path, "/crm/objects/{version}/contacts/%s", id);
  hl_api_call call = {.kind = j->kind, .klass = (hl_api_class)hl_rng_below(&j->m->rng, 3), .script = scripts[j->seq % 2],
                      .no_batch = chance(j->m, 10), .type = "contacts", .id = id};
  if (j->contact >= BY_EMAIL) call.id_property = "email";
  if (j->company >= 0) call.to_type = "companies", call.to_id = to;
  switch (j->kind) {
  case HL_API_GET: call.properties = chance(j->m, 50) ? names : less; break;
  case HL_API_CREATE: call.id = call.id_property = NULL; call.type = "contacts"; call.body = hl_str_of(body); break;
  case HL_API_UPDATE: case HL_API_UPSERT: call.body = hl_str_of(body); break;
  case HL_API_ASSOCIATE: case HL_API_DISASSOCIATE:
    if (j->labelled) call.body = HL_STR("[{\"associationCategory\":\"HUBSPOT_DEFINED\",\"associationTypeId\":279}]");
    break;
  case HL_API_ASSOCIATIONS: call.to_type = "companies"; break;
  case HL_API_RAW:
    call = (hl_api_call){.kind = HL_API_RAW, .klass = call.klass, .script = call.script, .method = j->raw == 1 ? "PATCH" : "GET", .path = path};
    if (j->raw == 1) call.body = hl_str_of(body);
    break;
  default: break;
  }
  j->op = ask(j->m, &j->a, &call);
}

static void cancel(hl_timer *timer, void *arg) {
  (void)timer;
  job *j = arg;
  if (!j->op || j->a.done) return;
  hl_api_cancel(j->op);
  j->op = NULL;
}

static bool writes_x(const job *j) {
  return (j->kind == HL_API_UPDATE || j->kind == HL_API_UPSERT || (j->kind == HL_API_RAW && j->raw == 1)) && j->contact >= 0;
}

static void check(const job *j) {
  if (j->cancel && !j->op) return;
  if (!j->a.done) fail_msg("job %d (kind %d) has no answer", j->seq, (int)j->kind);
  if (j->spice == 'r' || j->spice == 'p') {
    if (j->kind == HL_API_UPDATE || j->kind == HL_API_UPSERT || j->kind == HL_API_CREATE) assert_non_null(j->a.kind);
  }
  if (j->kind == HL_API_CREATE) {
    assert_true(w.made[j->seq] <= 1);
    if (!j->a.kind) assert_int_equal(w.made[j->seq], 1);
    else if (w.made[j->seq]) assert_string_equal(j->a.kind, "uncertain");
  }
  if (j->a.kind || !j->a.json) return;
  cJSON *json = NULL;
  char id[32];
  assert_int_equal(hl_json_parse(hl_str_of(j->a.json), &json, NULL), 0);
  if (writes_x(j) || j->kind == HL_API_GET || (j->kind == HL_API_RAW && j->raw == 2)) {
    assert_true(hl_json_id(json, "id", id, sizeof id));
    if (number(id) != 100 + j->contact) fail_msg("job %d asked for %d and got %s", j->seq, 100 + j->contact, id);
  }
  if (j->kind == HL_API_GET || (j->kind == HL_API_RAW && j->raw == 2)) {
    int got = number(hl_json_str(hl_json_get(json, "properties"), "x", "0"));
    for (int k = 0; k < JOBS; k++) { /* it sees every earlier write that went well */
      const job *o = &w.jobs[k];
      if (o->seq < j->seq && o->contact == j->contact && writes_x(o) && o->a.done && !o->a.kind && got < o->seq)
        fail_msg("job %d read %d, but write %d was before it", j->seq, got, o->seq);
    }
    if (j->kind == HL_API_GET) assert_int_equal(cJSON_GetArraySize(hl_json_get(json, "properties")) >= 1, 1);
  }
  if (j->kind == HL_API_ASSOCIATIONS) assert_true(cJSON_IsArray(hl_json_get(json, "to")));
  cJSON_Delete(json);
}

static void run_seed(uint64_t seed) {
  model *m = model_new("professional", seed);
  memset(&w, 0, sizeof w);
  m->answer = answer;
  m->limit = 190;
  m->latency = (int64_t)hl_rng_below(&m->rng, 300);
  w.fate = seed % 3 == 0 ? 0 : (int)hl_rng_below(&m->rng, 12);
  bool bursts = seed % 2;
  for (int k = 0; k < JOBS; k++) {
    job *j = &w.jobs[k];
    static const hl_api_kind kinds[] = {HL_API_GET, HL_API_GET, HL_API_UPDATE, HL_API_UPDATE, HL_API_UPSERT, HL_API_CREATE,
                                        HL_API_ASSOCIATE, HL_API_DISASSOCIATE, HL_API_ASSOCIATIONS, HL_API_RAW};
    *j = (job){.m = m, .kind = kinds[hl_rng_below(&m->rng, HL_COUNT(kinds))], .contact = (int)hl_rng_below(&m->rng, CONTACTS),
               .company = -1, .spice = chance(m, 5) ? 'r' : chance(m, 3) ? 'p' : 's', .labelled = chance(m, 50), .cancel = chance(m, 4),
               .raw = 1 + (int)hl_rng_below(&m->rng, 2)};
    if (chance(m, 1)) j->kind = HL_API_ARCHIVE;
    if (j->kind == HL_API_UPSERT) j->contact = BY_EMAIL + j->contact % (CONTACTS - BY_EMAIL);
    if (j->kind >= HL_API_ARCHIVE || j->kind == HL_API_RAW) j->contact %= BY_EMAIL;
    if (j->kind == HL_API_CREATE) j->contact = -1;
    if (j->kind == HL_API_ASSOCIATE || j->kind == HL_API_DISASSOCIATE) j->company = (int)hl_rng_below(&m->rng, COMPANIES);
    if (j->kind == HL_API_DISASSOCIATE || j->kind == HL_API_ASSOCIATE || j->kind == HL_API_ARCHIVE) j->cancel = false;
    int64_t at = bursts ? (int64_t)hl_rng_below(&m->rng, 8) * 700 : (int64_t)hl_rng_below(&m->rng, 30000);
    hl_timer_start(m->loop, &j->timer, at, go, j);
  }
  static hl_timer timers[JOBS];
  memset(timers, 0, sizeof timers);
  for (int k = 0; k < JOBS; k++)
    if (w.jobs[k].cancel) hl_timer_start(m->loop, &timers[k], (int64_t)hl_rng_below(&m->rng, 30000), cancel, &w.jobs[k]);
  hl_loop_run(m->loop);
  assert_int_equal(m->refused, 0);
  for (int k = 0; k < JOBS; k++) check(&w.jobs[k]);
  if (bursts && w.rows < w.batches * 2) fail_msg("%zu rows in %zu batches", w.rows, w.batches);
  for (int k = 0; k < JOBS; k++) asked_free(&w.jobs[k].a);
  hl_api_stats s;
  hl_account_stats(m->account, &s);
  assert_int_equal(s.queued + s.in_flight, 0);
  model_free(m);
}

static void every_caller_gets_its_own(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) run_seed(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_caller_gets_its_own)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
