/* Tells when the Lua files below a folder change, by libuv's fs events (inotify).
 * Editors write in several ways (over the file, beside it and renamed, emptied
 * first), so it is told once, when nothing more has come for a moment. Folders
 * are looked for again each time: those that come later count too. Loop thread. */
#ifndef HL_LOOP_FILES_H
#define HL_LOOP_FILES_H

#include "loop/loop.h"

typedef struct hl_files hl_files;

typedef struct hl_files_options {
  const char *root;            /* a folder */
  const char *except;          /* a folder that is left out, as all are whose name begins with '.', and node_modules; NULL: none */
  bool tests;                  /* *_test.lua count too */
} hl_files_options;

/* HL_EIO: the system watches no more, HL_ELIMIT: more than 500 folders. */
int hl_files_new(hl_loop *loop, const hl_files_options *o, void (*changed)(void *arg), void *arg, hl_files **out, hl_error *err);
/* Its handles close later: the loop has to turn. */
void hl_files_free(hl_files *f);

#endif
