/* Paths of calls, as a script or a page of HubSpot's gives them: what is built
 * keeps its shape, what is found in the table of operations has names, and the dated form of a
 * legacy path is no legacy path again. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "hubspot/operations.h"
#include "hubspot/paths.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  hl_str path = {(const char *)data, size};
  hl_buf built, dated, again, scopes;
  hl_error err;
  hl_buf_init(&built, 64 * 1024);
  hl_buf_init(&dated, 64 * 1024);
  hl_buf_init(&again, 64 * 1024);
  hl_buf_init(&scopes, 64 * 1024);
  if (hl_path_build(path, "2026-09", &built, &err) == 0) {
    assert(built.n > 0 && built.p[0] == '/' && (built.n == 1 || built.p[1] != '/'));
    assert(!memchr(built.p, '?', built.n) && !memchr(built.p, ' ', built.n) && !memchr(built.p, 0, built.n));
  }
  if (hl_operation_dated(path, "2026-09", &dated) == 0) {
    assert(dated.n > 0 && dated.p[0] == '/');
    assert(hl_operation_dated(hl_buf_str(&dated), "2026-09", &again) != 0);
  }
  for (size_t i = 0; i < HL_COUNT(methods); i++) {
    const char *versions[HL_OPERATION_VERSIONS];
    const hl_operation *op = hl_operation_find(methods[i], path);
    if (!op) continue;
    assert(strcmp(op->method, methods[i]) == 0 && op->path[0] == '/' && op->api[0]);
    assert(hl_operation_versions(op, versions, HL_OPERATION_VERSIONS) > 0);
    hl_buf_clear(&scopes);
    if (hl_operation_scopes(op, path, &scopes) == 0 && scopes.n)
      assert(scopes.p[0] != '|' && scopes.p[0] != '+' && scopes.p[0] != '*' && scopes.p[scopes.n - 1] != '|');
  }
  hl_buf_deinit(&built);
  hl_buf_deinit(&dated);
  hl_buf_deinit(&again);
  hl_buf_deinit(&scopes);
  return 0;
}
