#include "net/http.h"

#include <strings.h>

#include "base/mem.h"

void hl_headers_add(hl_headers *h, hl_str name, hl_str value) {
  if (h->n == h->cap) {
    h->cap = h->cap ? h->cap * 2 : 24;
    h->v = hl_realloc(h->v, h->cap * sizeof *h->v);
  }
  char *text = hl_alloc(name.n + value.n + 2);
  memcpy(text, name.p, name.n);
  memcpy(text + name.n + 1, value.p, value.n);
  h->v[h->n++] = (struct hl_header){text, text + name.n + 1};
}

const char *hl_headers_get(const hl_headers *h, const char *name) {
  for (size_t i = 0; h && i < h->n; i++)
    if (((h->v[i].name[0] ^ name[0]) & ~0x20) == 0 && strcasecmp(h->v[i].name, name) == 0) return h->v[i].value;
  return NULL;
}

void hl_headers_deinit(hl_headers *h) {
  for (size_t i = 0; i < h->n; i++) hl_free(h->v[i].name);
  hl_free(h->v);
  *h = (hl_headers){0};
}

size_t hl_url_origin(const char *url) {
  size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
  size_t authority = scheme ? strcspn(url + scheme, "/?#") : 0; /* libcurl takes "http:///host" for host */
  return authority ? scheme + authority : 0;
}
