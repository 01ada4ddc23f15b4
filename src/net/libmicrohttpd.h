/* libmicrohttpd, loaded by the first server (net/library.c). */
#ifndef HL_NET_LIBMICROHTTPD_H
#define HL_NET_LIBMICROHTTPD_H

#include <microhttpd.h>

#include "base/err.h"

#define HL_MHD_CALLS(X)                                                                              \
  X(add_response_header) X(create_response_from_buffer) X(create_response_from_callback)             \
  X(destroy_response) X(get_connection_info) X(get_connection_values) X(get_daemon_info)             \
  X(get_timeout) X(lookup_connection_value) X(queue_response) X(quiesce_daemon)                      \
  X(resume_connection) X(run) X(set_panic_func) X(start_daemon) X(stop_daemon) X(suspend_connection)

typedef struct hl_mhd {
#define HL_X(name) __typeof__(MHD_##name) *name;
  HL_MHD_CALLS(HL_X)
#undef HL_X
} hl_mhd;

extern hl_mhd hl_libmhd;   /* valid after hl_mhd_load */
/* Loads the library once. HL_EIO names the Debian package to install. */
int hl_mhd_load(hl_error *err);

#define MHD_add_response_header hl_libmhd.add_response_header
#define MHD_create_response_from_buffer hl_libmhd.create_response_from_buffer
#define MHD_create_response_from_callback hl_libmhd.create_response_from_callback
#define MHD_destroy_response hl_libmhd.destroy_response
#define MHD_get_connection_info hl_libmhd.get_connection_info
#define MHD_get_connection_values hl_libmhd.get_connection_values
#define MHD_get_daemon_info hl_libmhd.get_daemon_info
#define MHD_get_timeout hl_libmhd.get_timeout
#define MHD_lookup_connection_value hl_libmhd.lookup_connection_value
#define MHD_queue_response hl_libmhd.queue_response
#define MHD_quiesce_daemon hl_libmhd.quiesce_daemon
#define MHD_resume_connection hl_libmhd.resume_connection
#define MHD_run hl_libmhd.run
#define MHD_set_panic_func hl_libmhd.set_panic_func
#define MHD_start_daemon hl_libmhd.start_daemon
#define MHD_stop_daemon hl_libmhd.stop_daemon
#define MHD_suspend_connection hl_libmhd.suspend_connection

#endif
