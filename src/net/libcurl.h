/* libcurl, loaded by the first request (net/library.c). */
#ifndef HL_NET_LIBCURL_H
#define HL_NET_LIBCURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/err.h"

#define HL_CURL_CALLS(X)                                                                             \
  X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_setopt) X(easy_strerror) X(free)               \
  X(global_cleanup) X(global_init_mem) X(multi_add_handle) X(multi_cleanup) X(multi_info_read)           \
  X(multi_init) X(multi_remove_handle) X(multi_setopt) X(multi_socket_action)                        \
  X(url) X(url_cleanup) X(url_get) X(url_set) X(url_strerror) X(version_info)

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
typedef struct hl_curl {
#define HL_X(name) __typeof__(curl_##name) *name;
  HL_CURL_CALLS(HL_X)
#undef HL_X
} hl_curl;

extern hl_curl hl_libcurl;   /* valid after hl_curl_load */
/* Loads the library once. HL_EIO names the Debian package to install. */
int hl_curl_load(hl_error *err);

#define curl_easy_cleanup hl_libcurl.easy_cleanup
#define curl_easy_getinfo hl_libcurl.easy_getinfo
#define curl_easy_init hl_libcurl.easy_init
#define curl_easy_setopt hl_libcurl.easy_setopt
#define curl_easy_strerror hl_libcurl.easy_strerror
#define curl_free hl_libcurl.free
#define curl_global_cleanup hl_libcurl.global_cleanup
#define curl_global_init_mem hl_libcurl.global_init_mem
#define curl_multi_add_handle hl_libcurl.multi_add_handle
#define curl_multi_cleanup hl_libcurl.multi_cleanup
#define curl_multi_info_read hl_libcurl.multi_info_read
#define curl_multi_init hl_libcurl.multi_init
#define curl_multi_remove_handle hl_libcurl.multi_remove_handle
#define curl_multi_setopt hl_libcurl.multi_setopt
#define curl_multi_socket_action hl_libcurl.multi_socket_action
#define curl_url hl_libcurl.url
#define curl_url_cleanup hl_libcurl.url_cleanup
#define curl_url_get hl_libcurl.url_get
#define curl_url_set hl_libcurl.url_set
#define curl_url_strerror hl_libcurl.url_strerror
#define curl_version_info hl_libcurl.version_info

#endif
