/* Libraries that are loaded when they are first needed. Linking libcurl,
 * libmicrohttpd and libpq costs every start of the program more than all else it does
 * (they bring forty others along), and a script that calls nobody needs
 * none. The tables are filled once and constant from then on. */
#include <dlfcn.h>

#include "base/mem.h"
#include "net/libcurl.h"
#include "net/libmicrohttpd.h"
#include "net/libpq.h"

hl_curl hl_libcurl;
hl_mhd hl_libmhd;
hl_pq hl_libpq;

static int load(const char *soname, const char *package, const char *const *names, size_t n, void **out,
                hl_error *err) {
  void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
  if (!library) return hl_fail(err, HL_EIO, "cannot load %s (%s); install Debian's package %s", soname, dlerror(), package);
  for (size_t i = 0; i < n; i++) {
    out[i] = dlsym(library, names[i]);
    if (!out[i]) return hl_fail(err, HL_EIO, "%s has no %s: it is too old; install Debian's package %s", soname, names[i], package);
  }
  return 0;
}

int hl_curl_load(hl_error *err) {
#define HL_X(name) "curl_" #name,
  static const char *const names[] = {HL_CURL_CALLS(HL_X)};
#undef HL_X
  _Static_assert(sizeof hl_libcurl == HL_COUNT(names) * sizeof(void *), "a table of pointers");
  if (hl_libcurl.easy_init) return 0;
  hl_curl table;
  int rc = load("libcurl.so.4", "libcurl4", names, HL_COUNT(names), (void **)&table, err);
  if (rc == 0) hl_libcurl = table;
  return rc;
}

int hl_mhd_load(hl_error *err) {
#define HL_X(name) "MHD_" #name,
  static const char *const names[] = {HL_MHD_CALLS(HL_X)};
#undef HL_X
  _Static_assert(sizeof hl_libmhd == HL_COUNT(names) * sizeof(void *), "a table of pointers");
  if (hl_libmhd.run) return 0;
  hl_mhd table;
  int rc = load("libmicrohttpd.so.12", "libmicrohttpd12", names, HL_COUNT(names), (void **)&table, err);
  if (rc == 0) hl_libmhd = table;
  return rc;
}

int hl_pq_load(hl_error *err) {
#define HL_X(name) "PQ" #name,
  static const char *const names[] = {HL_PQ_CALLS(HL_X)};
#undef HL_X
  _Static_assert(sizeof hl_libpq == HL_COUNT(names) * sizeof(void *), "a table of pointers");
  if (hl_libpq.status) return 0;
  hl_pq table;
  int rc = load("libpq.so.5", "libpq5", names, HL_COUNT(names), (void **)&table, err);
  if (rc == 0) hl_libpq = table;
  return rc;
}
