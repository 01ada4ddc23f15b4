#include "net/sql_inside.h"

int hl_sql_place(const char *url, bool entry, hl_buf *out, hl_error *err) {
  (void)url;
  (void)entry;
  (void)out;
  return hl_fail(err, HL_EINVAL, "this build has no PostgreSQL");
}

int hl_sql_password(const char *url, hl_buf *out, hl_error *err) {
  (void)url;
  (void)out;
  return hl_fail(err, HL_EINVAL, "this build has no PostgreSQL");
}

static void run(hl_sql_conn *c, hl_sql_call *call) {
  (void)c;
  hl_sql_fail(call, HL_EINVAL, "", "io", false, "this build has no PostgreSQL");
}

const hl_sql_engine hl_sql_postgres = {.run = run};
