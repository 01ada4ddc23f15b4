/* CSV: rows are the same in whichever pieces they come, wrong rows say so and reading goes on, and what was read is
 * read again from its quoted form. The first byte picks the delimiter, the second the size of the pieces. */
#include <assert.h>
#include <string.h>

#include "base/csv.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 22 };

/* Every row as quoted CSV with commas, and a line for each error. */
static void rows(hl_str text, char delimiter, size_t piece, hl_buf *out) {
  hl_csv c;
  hl_error err;
  uint64_t line = 0;
  hl_csv_init(&c, delimiter);
  for (bool more = true; more;) {
    hl_str in = {text.p, text.n < piece ? text.n : piece};
    size_t given = in.n;
    int rc = given ? hl_csv_read(&c, &in, &err) : hl_csv_end(&c, &err);
    more = given || rc == 1;
    text.p += given - in.n;
    text.n -= given - in.n;
    assert(rc != 0 || in.n == 0);
    if (rc == 1) {
      assert(c.n && c.row_line > line);
      line = c.row_line;
      for (size_t i = 0; i < c.n; i++) {
        hl_str f = hl_csv_field(&c, i);
        (void)hl_buf_puts(out, i ? ",\"" : "\"");
        for (size_t k = 0; k < f.n; k++) (void)hl_buf_append(out, f.p[k] == '"' ? "\"\"" : &f.p[k], f.p[k] == '"' ? 2 : 1);
        (void)hl_buf_puts(out, "\"");
      }
      (void)hl_buf_puts(out, "\n");
    } else if (rc < 0) {
      assert(rc == HL_EINVAL && strncmp(err.text, "line ", 5) == 0);
    }
    if (!given && rc != 1) break;
  }
  hl_csv_deinit(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  hl_str text = {(const char *)data + 2, size - 2};
  char delimiter = ",;\t|"[data[0] & 3];
  hl_buf whole, pieces, again;
  hl_buf_init(&whole, OUT_MAX);
  hl_buf_init(&pieces, OUT_MAX);
  hl_buf_init(&again, OUT_MAX);
  rows(text, delimiter, SIZE_MAX, &whole);
  rows(text, delimiter, 1 + data[1] % 7, &pieces);
  assert(hl_str_eq(hl_buf_str(&whole), hl_buf_str(&pieces)));
  rows(hl_buf_str(&whole), ',', SIZE_MAX, &again);
  assert(hl_str_eq(hl_buf_str(&whole), hl_buf_str(&again)));
  assert(strchr(",;\t|", hl_csv_delimiter(text)));
  hl_buf_deinit(&whole);
  hl_buf_deinit(&pieces);
  hl_buf_deinit(&again);
  return 0;
}
