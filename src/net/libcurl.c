#include "net/libcurl.h"

#include <dlfcn.h>

hl_curl hl_libcurl;

int hl_curl_load(hl_error *err) {
  static bool loaded;
  if (loaded) return 0;
  void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return hl_fail(err, HL_EIO, "HTTP needs libcurl: %s; install Debian's package libcurl4", dlerror());
#define HL_X(name)                                                                                   \
  *(void **)&hl_libcurl.name = dlsym(library, "curl_" #name);                                        \
  if (!hl_libcurl.name) return hl_fail(err, HL_EIO, "this libcurl has no curl_" #name ": it is too old");
  HL_CURL_CALLS(HL_X)
#undef HL_X
  loaded = true;
  return 0;
}
