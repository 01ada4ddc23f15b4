/* CSV (RFC 4180), read row by row from pieces of any size. Our own: libcsv calls back for each field and knows no
 * line numbers, and what is wrong with a row must say where and leave the next one readable. Quotes, doubled
 * quotes, delimiters and line ends inside of them; CR LF, LF or CR between rows; empty lines are none. A quote
 * inside an unquoted field is a character like others. Any thread; never blocks. */
#ifndef HL_BASE_CSV_H
#define HL_BASE_CSV_H

#include "base/err.h"
#include "base/str.h"

enum { HL_CSV_ROW_MAX = 1 << 20, HL_CSV_FIELDS_MAX = 1 << 14 };

typedef enum { HL_CSV_BETWEEN, HL_CSV_FIELD, HL_CSV_PLAIN, HL_CSV_QUOTED, HL_CSV_QUOTE, HL_CSV_SKIP } hl_csv_state;

typedef struct hl_csv {
  char delimiter;
  hl_csv_state state;
  bool complete;            /* the row has been given out */
  bool cr;                  /* the last byte was a CR */
  hl_buf text;              /* the row's fields, one behind the other */
  size_t *ends, n, cap;     /* where each of the n fields ends in text */
  uint64_t line, row_line;  /* of the next byte; of the row's first */
} hl_csv;

void hl_csv_init(hl_csv *c, char delimiter);
void hl_csv_deinit(hl_csv *c);
/* Takes bytes from the front of *in. 1: a row is complete, until the next call; 0: all was taken and more is
 * needed; HL_EINVAL: the row from row_line is wrong, the next call goes on behind it; HL_ELIMIT: the end. */
int hl_csv_read(hl_csv *c, hl_str *in, hl_error *err);
/* After the last byte: 1, 0 (nothing is left) or HL_EINVAL. */
int hl_csv_end(hl_csv *c, hl_error *err);
hl_str hl_csv_field(const hl_csv *c, size_t i);
/* Of comma, semicolon, tab and bar the one that divides the first rows alike into most fields; a comma, if none does. */
char hl_csv_delimiter(hl_str sample);

#endif
