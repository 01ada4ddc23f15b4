#include "hubspot/mask.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

typedef enum kind { TEXT, NAME, SHAPE, BIRTH, DOMAIN_NAME, SECRET, KEEP } kind;

typedef struct count {
  char *property;
  uint64_t n;
} count;

struct hl_mask {
  unsigned char key[HL_MASK_KEY];
  char **keep;
  size_t n_keep;
  uint64_t *words;           /* of names seen: open addressing, 0 is free */
  size_t n_words, cap_words;
  count *counts;
  size_t n_counts;
};

/* ---- what a property's name says of its values ---- */

static const char *const SECRETS[] = {"access_token", "refresh_token", "client_secret", "token", "accessToken", "refreshToken", "clientSecret",
                                      "hapikey", "apiKey", "api_key", "password", NULL};
static const char *const NAMES[] = {"firstname", "lastname", "firstName", "lastName", "full_name", "fullName", "salutation", "hs_full_name_or_email",
                                    "hs_calculated_full_name", "twitterhandle", "linkedinbio", "userName", "sourceLabel", NULL};
static const char *const SHAPES[] = {"phone", "mobilephone", "fax", "phoneNumber", "zip", "postal_code", "ip", "hs_ip_timezone", "vat", "iban", NULL};
static const char *const BIRTHS[] = {"date_of_birth", "birthday", "birthdate", NULL};
static const char *const DOMAINS[] = {"domain", "hs_email_domain", "hs_additional_domains", "additional_domains", NULL};
/* HubSpot's own enumerations, and what names no person. */
static const char *const KEPT[] = {
    "lifecyclestage", "dealstage", "pipeline", "dealtype", "industry", "country", "state", "type", "currency", "hs_currency",
    "deal_currency_code", "numberofemployees", "jobfunction", "seniority", "hs_persona", "hs_language", "hs_timezone", "timezone",
    "hs_lead_status", "hs_pipeline", "hs_pipeline_stage", "hs_task_status", "hs_task_priority", "hs_task_type", "hs_ticket_priority",
    "hs_ticket_category", "hs_marketable_status", "hs_lead_type", "hs_lead_label", "hs_priority", "hs_status", "source_type",
    "hs_analytics_source", "hs_latest_source", "hs_object_source", "hs_object_source_label", "hs_country_region_code", "hs_buying_role",
    "recurringbillingfrequency", "hs_recurring_billing_period", "hs_product_type", "hs_sku", "hs_forecast_category", NULL};
static const char *const FREE_MAIL[] = {"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "icloud.com",
                                        "me.com", "aol.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "proton.me", "protonmail.com", NULL};

static bool listed(const char *const *list, const char *name) {
  for (; *list; list++)
    if (strcmp(*list, name) == 0) return true;
  return false;
}

static bool kept(const hl_mask *m, const char *property) {
  for (size_t i = 0; i < m->n_keep; i++)
    if (strcmp(m->keep[i], property) == 0) return true;
  return listed(KEPT, property);
}

static kind kind_of(const hl_mask *m, const char *property) {
  if (listed(SECRETS, property)) return SECRET;
  if (kept(m, property)) return KEEP;
  if (listed(NAMES, property)) return NAME;
  if (listed(SHAPES, property)) return SHAPE;
  if (listed(BIRTHS, property)) return BIRTH;
  if (listed(DOMAINS, property)) return DOMAIN_NAME;
  return TEXT;
}

/* ---- pseudonyms ---- */

static void digest(const hl_mask *m, hl_str s, unsigned char out[32]) {
  unsigned n = 32;
  char small[256], *lower = s.n <= sizeof small ? small : hl_alloc(s.n);
  for (size_t i = 0; i < s.n; i++) lower[i] = (char)tolower((unsigned char)s.p[i]);
  HMAC(EVP_sha256(), m->key, HL_MASK_KEY, (unsigned char *)lower, s.n, out, &n);
  if (lower != small) hl_free(lower);
}

static void put_hex(const hl_mask *m, const char *before, hl_str s, const char *after, hl_buf *out) {
  unsigned char d[32];
  digest(m, s, d);
  hl_buf_printf(out, "%s%02x%02x%02x%02x%02x%s", before, d[0], d[1], d[2], d[3], d[4], after);
}

static void put_domain(const hl_mask *m, hl_str domain, hl_buf *out) {
  for (const char *const *f = FREE_MAIL; *f; f++)
    if (hl_str_ieqz(domain, *f)) {
      hl_buf_puts(out, *f);
      return;
    }
  put_hex(m, "c", domain, ".example", out);
}

/* Digits become other digits, letters other letters. */
static void put_shape(const hl_mask *m, hl_str s, hl_buf *out) {
  unsigned char d[32];
  digest(m, s, d);
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i], r = (unsigned char)(d[i % 32] ^ (i / 32 * 37));
    char o = (char)(isdigit(c) ? '0' + r % 10 : isupper(c) ? 'A' + r % 26 : islower(c) ? 'a' + r % 26 : c < 0x80 ? c : 'x');
    hl_buf_append(out, &o, 1);
  }
}

/* ---- words of names ---- */

static uint64_t word_hash(const hl_mask *m, hl_str word) {
  unsigned char d[32];
  uint64_t h;
  digest(m, word, d);
  memcpy(&h, d, sizeof h);
  return h ? h : 1;
}

static uint64_t *slot(uint64_t *words, size_t cap, uint64_t h) {
  size_t i = h & (cap - 1);
  while (words[i] && words[i] != h) i = (i + 1) & (cap - 1);
  return &words[i];
}

static void add_word(hl_mask *m, hl_str word) {
  if (2 * m->n_words >= m->cap_words) {
    size_t cap = m->cap_words ? 2 * m->cap_words : 256;
    uint64_t *words = hl_alloc(cap * sizeof *words);
    memset(words, 0, cap * sizeof *words);
    for (size_t i = 0; i < m->cap_words; i++)
      if (m->words[i]) *slot(words, cap, m->words[i]) = m->words[i];
    hl_free(m->words);
    m->words = words;
    m->cap_words = cap;
  }
  uint64_t h = word_hash(m, word), *at = slot(m->words, m->cap_words, h);
  if (!*at) m->n_words++;
  *at = h;
}

static bool is_word(unsigned char c) { return isalnum(c) || c >= 0x80 || c == '\''; }

enum { LEAST_WORD = 3 };

static void learn(hl_mask *m, hl_str s) {
  for (size_t i = 0, n; i < s.n; i += n + 1) {
    for (n = 0; i + n < s.n && is_word((unsigned char)s.p[i + n]);) n++;
    if (n >= LEAST_WORD) add_word(m, (hl_str){s.p + i, n});
  }
}

/* ---- texts ---- */

static bool in_address(unsigned char c) { return isalnum(c) || c >= 0x80 || strchr("._%+-'", c); }

/* The e-mail address around the '@' at `at`, between `from` and the end. */
static bool address(hl_str s, size_t from, size_t at, size_t *begin, size_t *end) {
  size_t b = at, e = at + 1;
  bool dot = false;
  while (b > from && s.p[b - 1] && in_address((unsigned char)s.p[b - 1])) b--;
  for (; e < s.n && s.p[e] && (isalnum((unsigned char)s.p[e]) || (unsigned char)s.p[e] >= 0x80 || s.p[e] == '-' || s.p[e] == '.'); e++)
    if (s.p[e] == '.' && e + 1 < s.n) dot = true;
  while (e > at + 1 && s.p[e - 1] == '.') e--;
  *begin = b;
  *end = e;
  return b < at && e > at + 1 && dot;
}

static void put_address(const hl_mask *m, hl_str a, hl_buf *out) {
  const char *at = memchr(a.p, '@', a.n);
  put_hex(m, "p", a, "@", out);
  put_domain(m, (hl_str){at + 1, a.n - (size_t)(at + 1 - a.p)}, out);
}

/* Words of names get pseudonyms, the rest stays. */
static void put_words(const hl_mask *m, hl_str s, hl_buf *out) {
  for (size_t i = 0, n; i < s.n; i += n) {
    for (n = 0; i + n < s.n && is_word((unsigned char)s.p[i + n]);) n++;
    if (n >= LEAST_WORD && m->n_words && *slot(m->words, m->cap_words, word_hash(m, (hl_str){s.p + i, n}))) put_hex(m, "n", (hl_str){s.p + i, n}, "", out);
    else if (n) hl_buf_append(out, s.p + i, n);
    else hl_buf_append(out, s.p + i, n = 1);
  }
}

/* A text of which most may stay. */
static void put_loose(const hl_mask *m, hl_str s, hl_buf *out) {
  size_t from = 0, begin, end;
  for (size_t at = 0; at < s.n; at++) {
    if (s.p[at] != '@' || !address(s, from, at, &begin, &end)) continue;
    put_words(m, (hl_str){s.p + from, begin - from}, out);
    put_address(m, (hl_str){s.p + begin, end - begin}, out);
    from = at = end;
  }
  put_words(m, (hl_str){s.p + from, s.n - from}, out);
}

/* Numbers, dates and truth say little of a person. */
static bool is_plain(hl_str s) {
  size_t digits = 0;
  if (hl_str_eqz(s, "true") || hl_str_eqz(s, "false")) return true;
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (isdigit(c)) digits++;
    else if (!strchr("+-.:TZ", c)) return false;
  }
  return digits > 0 || !s.n;
}

/* ids with ';' between: owners, lists, choices of numbers. */
static bool is_plain_list(hl_str s) {
  for (size_t i = 0, n; i <= s.n; i += n + 1) {
    const char *semi = i < s.n ? memchr(s.p + i, ';', s.n - i) : NULL;
    n = semi ? (size_t)(semi - s.p) - i : s.n - i;
    if (!is_plain((hl_str){s.p + i, n})) return false;
  }
  return true;
}

static void tally(hl_mask *m, const char *property) {
  size_t i = 0;
  while (i < m->n_counts && strcmp(m->counts[i].property, property) != 0) i++;
  if (i == m->n_counts) {
    m->counts = hl_realloc(m->counts, (i + 1) * sizeof *m->counts);
    m->counts[m->n_counts++] = (count){hl_strdup(property), 0};
  }
  m->counts[i].n++;
}

static bool is_address(hl_str s) {
  size_t begin, end;
  const char *at = memchr(s.p, '@', s.n);
  return at && address(s, 0, (size_t)(at - s.p), &begin, &end) && begin == 0 && end == s.n;
}

/* The value of a property. */
static void put_value(hl_mask *m, const char *property, hl_str s, hl_buf *out) {
  kind k = kind_of(m, property);
  if (k == SECRET) hl_buf_puts(out, "[secret]");
  else if (!s.n) return;
  else if (k == KEEP) put_loose(m, s, out);
  else if (is_address(s)) put_address(m, s, out);
  else if (k == SHAPE) put_shape(m, s, out);
  else if (k == BIRTH) hl_buf_puts(out, "1980-01-01");
  else if (k == DOMAIN_NAME) put_domain(m, s, out);
  else if (k == NAME) {
    learn(m, s);
    put_hex(m, "n", s, "", out);
  } else if (is_plain_list(s)) hl_buf_append(out, s.p, s.n);
  else {
    tally(m, property);
    put_hex(m, "text-", s, "", out);
  }
}

/* ---- trees ---- */

static void set_text(cJSON *item, hl_buf *b) {
  cJSON_SetValuestring(item, b->p ? b->p : "");
  hl_buf_deinit(b);
}

static void mask_text(hl_mask *m, const char *property, cJSON *item) {
  hl_buf b;
  hl_buf_init(&b, SIZE_MAX / 4);
  if (property) put_value(m, property, hl_str_of(item->valuestring), &b);
  else put_loose(m, hl_str_of(item->valuestring), &b);
  set_text(item, &b);
}

static bool is_of_person(const char *name) {
  return listed(SECRETS, name) || listed(NAMES, name) || listed(SHAPES, name) || listed(BIRTHS, name);
}

/* Everything below is the value of `property`. */
static void mask_values(hl_mask *m, const char *property, cJSON *item) {
  if (cJSON_IsString(item)) mask_text(m, property, item);
  for (cJSON *c = item->child; c; c = c->next)
    if (!c->string || strcmp(c->string, "value") == 0 || strcmp(c->string, "values") == 0) mask_values(m, property, c);
    else if (cJSON_IsString(c)) mask_text(m, is_of_person(c->string) ? c->string : NULL, c);
}

static void mask_members(hl_mask *m, cJSON *object) {
  for (cJSON *c = object->child; c; c = c->next)
    if (c->string) mask_values(m, c->string, c);
}

static bool is_value(const char *name) {
  return strcmp(name, "value") == 0 || strcmp(name, "values") == 0 || strcmp(name, "highValue") == 0 || strcmp(name, "propertyValue") == 0;
}

void hl_mask_json(hl_mask *m, cJSON *json) {
  if (cJSON_IsString(json)) mask_text(m, NULL, json);
  if (!cJSON_IsObject(json) && !cJSON_IsArray(json)) return;
  const char *property = cJSON_IsObject(json) ? hl_json_str(json, "propertyName", hl_json_str(json, "name", NULL)) : NULL;
  for (cJSON *c = json->child; c; c = c->next) {
    const char *name = c->string;
    if (name && cJSON_IsObject(c) && (strcmp(name, "properties") == 0 || strcmp(name, "propertiesWithHistory") == 0)) mask_members(m, c);
    else if (name && property && is_value(name)) mask_values(m, property, c);
    else if (name && strcmp(name, "query") == 0 && cJSON_IsString(c)) mask_text(m, "query", c);
    else if (name && is_of_person(name)) mask_values(m, name, c);
    else hl_mask_json(m, c);
  }
}

/* ---- targets ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

static void decode(hl_str s, bool plus, hl_buf *out) {
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '%' && i + 2 < s.n && hex_digit(s.p[i + 1]) >= 0 && hex_digit(s.p[i + 2]) >= 0) {
      c = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    hl_buf_append(out, &c, 1);
  }
}

/* A part that nothing changes stays as it was sent. */
static void put_part(hl_mask *m, const char *property, hl_str part, bool query, hl_buf *out) {
  hl_buf plain, masked;
  hl_buf_init(&plain, SIZE_MAX / 4);
  hl_buf_init(&masked, SIZE_MAX / 4);
  decode(part, query, &plain);
  if (property && is_of_person(property)) put_value(m, property, hl_buf_str(&plain), &masked);
  else put_loose(m, hl_buf_str(&plain), &masked);
  bool same = masked.n == plain.n && (!plain.n || memcmp(masked.p, plain.p, plain.n) == 0);
  if (same) hl_buf_append(out, part.p, part.n);
  else hl_buf_urlencode(out, hl_buf_str(&masked));
  hl_buf_deinit(&plain);
  hl_buf_deinit(&masked);
}

int hl_mask_target(hl_mask *m, hl_str target, hl_buf *out) {
  const char *q = memchr(target.p, '?', target.n);
  size_t path = q ? (size_t)(q - target.p) : target.n;
  for (size_t i = 0, n; i < path; i += n) {
    for (n = 0; i + n < path && target.p[i + n] != '/';) n++;
    if (n) put_part(m, NULL, (hl_str){target.p + i, n}, false, out);
    else hl_buf_append(out, target.p + i, n = 1);
  }
  for (size_t i = path; i < target.n;) {
    hl_buf_append(out, target.p + i++, 1); /* '?' or '&' */
    size_t end = i, eq;
    while (end < target.n && target.p[end] != '&') end++;
    for (eq = i; eq < end && target.p[eq] != '=';) eq++;
    hl_buf_append(out, target.p + i, eq - i);
    if (eq < end) {
      char *name = hl_strndup(target.p + i, eq - i);
      hl_buf_puts(out, "=");
      put_part(m, name, (hl_str){target.p + eq + 1, end - eq - 1}, true, out);
      hl_free(name);
    }
    i = end;
  }
  return hl_buf_puts(out, "");
}

/* ---- life ---- */

hl_mask *hl_mask_new(const unsigned char key[HL_MASK_KEY]) {
  hl_mask *m = HL_NEW(hl_mask);
  memcpy(m->key, key, HL_MASK_KEY);
  return m;
}

void hl_mask_free(hl_mask *m) {
  if (!m) return;
  for (size_t i = 0; i < m->n_keep; i++) hl_free(m->keep[i]);
  for (size_t i = 0; i < m->n_counts; i++) hl_free(m->counts[i].property);
  hl_free(m->keep);
  hl_free(m->counts);
  hl_free(m->words);
  OPENSSL_cleanse(m->key, sizeof m->key);
  hl_free(m);
}

void hl_mask_keep(hl_mask *m, const char *property) {
  m->keep = hl_realloc(m->keep, (m->n_keep + 1) * sizeof *m->keep);
  m->keep[m->n_keep++] = hl_strdup(property);
}

void hl_mask_each(const hl_mask *m, void (*each)(void *arg, const char *property, uint64_t n), void *arg) {
  for (size_t i = 0; i < m->n_counts; i++) each(arg, m->counts[i].property, m->counts[i].n);
}
