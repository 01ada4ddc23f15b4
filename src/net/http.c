#include "net/http.h"

#include <strings.h>

#include "base/mem.h"

void hl_headers_add(hl_headers *h, hl_str name, hl_str value) {
  if (h->n == h->cap) {
    h->cap = h->cap ? h->cap * 2 : 16;
    h->v = hl_realloc(h->v, h->cap * sizeof *h->v);
  }
  h->v[h->n++] = (struct hl_header){hl_strndup(name.p, name.n), hl_strndup(value.p, value.n)};
}

const char *hl_headers_get(const hl_headers *h, const char *name) {
  for (size_t i = 0; h && i < h->n; i++)
    if (strcasecmp(h->v[i].name, name) == 0) return h->v[i].value;
  return NULL;
}

void hl_headers_deinit(hl_headers *h) {
  for (size_t i = 0; i < h->n; i++) {
    hl_free(h->v[i].name);
    hl_free(h->v[i].value);
  }
  hl_free(h->v);
  *h = (hl_headers){0};
}
