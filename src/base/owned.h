/* Which files are hubloop's own: scripts neither read nor write them, under whatever name. Any thread; looks at
 * the disk. */
#ifndef HL_BASE_OWNED_H
#define HL_BASE_OWNED_H

#include <stdbool.h>
#include <sys/stat.h>

/* `own`: paths, NULL-terminated, or NULL. Each stands for itself and what SQLite keeps beside it (-wal, -shm,
 * -journal). By device and inode of `st` (NULL: there is no such file), so links are seen through; and by its
 * name in the folder `dir` (NULL: not asked), as it may not be there yet. */
bool hl_owned(const char *const *own, const struct stat *st, const struct stat *dir, const char *name);

#endif
