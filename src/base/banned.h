/* Included before every source file (see CFLAGS): calls that have a bounded or
 * checked counterpart do not compile. base/mem.c alone lifts the last three. */
#ifndef HL_BASE_BANNED_H
#define HL_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HL_BANNED(name) hl_banned_##name##_see_base_banned_h
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef strdup
#undef strndup
#define strcpy(...) HL_BANNED(strcpy)
#define strcat(...) HL_BANNED(strcat)
#define sprintf(...) HL_BANNED(sprintf)
#define vsprintf(...) HL_BANNED(vsprintf)
#define strtok(...) HL_BANNED(strtok)
#define atoi(...) HL_BANNED(atoi)
#define strdup(...) HL_BANNED(strdup)
#define strndup(...) HL_BANNED(strndup)
#define malloc(...) HL_BANNED(malloc)
#define calloc(...) HL_BANNED(calloc)
#define realloc(...) HL_BANNED(realloc)

#endif
