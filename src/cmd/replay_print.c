#include "cmd/replay_print.h"

#include "base/mem.h"
#include "cmd/events.h"

enum { TEXT_MAX = 64 << 10, TABLE_MAX = 4 << 20 };

/* ---- lines ---- */

typedef struct line {
  char *text, *key;          /* key: what is compared */
} line;

typedef struct lines {
  line *v;
  size_t n;
} lines;

static void free_lines(lines *l) {
  for (size_t i = 0; i < l->n; i++) {
    hl_free(l->v[i].text);
    hl_free(l->v[i].key);
  }
  hl_free(l->v);
}

static void add(lines *l, const hl_buf *text, const char *key) {
  l->v = hl_realloc(l->v, (l->n + 1) * sizeof *l->v);
  l->v[l->n++] = (line){hl_strndup(text->p ? text->p : "", text->n), hl_strdup(key)};
}

static void put_value(hl_buf *b, const char *what, const cJSON *with) {
  char *text = cJSON_IsString(with) && strcmp(what, "log") == 0 ? hl_strdup(with->valuestring) : hl_json_print(with);
  (void)hl_buf_printf(b, " %s", text);
  hl_free(text);
}

/* "lead.lua:14: no owner" without the place, which another version has elsewhere. */
static const char *without_place(const char *error) {
  const char *lua = strstr(error, ".lua:"), *end = strchr(error, '\n');
  if (!lua || (end && lua > end)) return error;
  const char *p = lua + 5 + strspn(lua + 5, "0123456789");
  return *p == ':' && p > lua + 5 ? p + 1 + (p[1] == ' ') : error;
}

static void add_tale(lines *l, const cJSON *tale) {
  const cJSON *does = hl_json_get(tale, "does");
  const char *outcome = hl_json_str(tale, "outcome", "");
  hl_buf b;
  hl_buf_init(&b, TEXT_MAX);
  for (const cJSON *a = does ? does->child : NULL; a; a = a->next) {
    const char *what = hl_json_str(a, "what", ""), *held = hl_json_str(a, "held", NULL);
    const cJSON *with = hl_json_get(a, "with");
    hl_buf_clear(&b);
    (void)hl_buf_printf(&b, "%-9s %s", what, hl_json_str(a, "on", ""));
    if (held) (void)hl_buf_printf(&b, " as %s", held);
    if (with) put_value(&b, what, with);
    add(l, &b, b.p);
  }
  if (strcmp(outcome, "failed") == 0 || strcmp(outcome, "cut") == 0) {
    const char *error = hl_json_str(tale, "error", "");
    hl_buf_clear(&b);
    (void)hl_buf_printf(&b, "%-9s %.*s", "raises", (int)strcspn(error, "\n"), error);
    char *first = hl_strndup(error, strcspn(error, "\n"));
    add(l, &b, without_place(first));
    hl_free(first);
  }
  hl_buf_deinit(&b);
}

/* ---- one event ---- */

/* Tales of one event, in the order in which they were told; `before` are those of the other script. */
typedef struct told {
  const cJSON *tale;
  int64_t row, index;
  size_t number;
  bool before;
} told;

typedef struct group {
  const told *v;
  size_t n;
} group;

static const char *event_of(const cJSON *tale) { return hl_json_str(tale, "event", ""); }

static void set_place(told *t) {
  const char *id = event_of(t->tale), *dot = strchr(id, '.');
  t->row = t->index = -1;
  if (dot) (void)hl_str_int64((hl_str){id, (size_t)(dot - id)}, &t->row), (void)hl_str_int64(hl_str_of(dot + 1), &t->index);
}

static bool same_event(const told *a, const told *b) { return a->row == b->row && a->index == b->index; }

/* In the order of the log. */
static int compare(const void *x, const void *y) {
  const told *a = x, *b = y;
  if (a->row != b->row) return a->row < b->row ? -1 : 1;
  if (a->index != b->index) return a->index < b->index ? -1 : 1;
  return a->number < b->number ? -1 : a->number > b->number;
}

static lines lines_of(const group *g, bool before) {
  lines l = {0};
  for (size_t i = 0; i < g->n; i++)
    if (g->v[i].before == before) add_tale(&l, g->v[i].tale);
  return l;
}

static void put(hl_replay_print *p, const char *mark, const char *paint, const char *text) {
  hl_buf redacted, plain;
  hl_buf_init(&redacted, 2 * TEXT_MAX);
  hl_buf_init(&plain, 8 * TEXT_MAX);
  (void)hl_log_redact(p->log, hl_str_of(text), &redacted);
  (void)hl_buf_plain(&plain, hl_buf_str(&redacted), " ");
  int margin = *mark ? 4 : 0;
  if (p->colour) fputs(paint, p->out);
  fputs(mark, p->out);
  hl_events_cell(p->out, plain.p ? plain.p : "", p->columns - margin, true);
  fputs(p->colour && *paint ? "\033[0m\n" : "\n", p->out);
  hl_buf_deinit(&redacted);
  hl_buf_deinit(&plain);
}

static void head(hl_replay_print *p, const cJSON *tale) {
  char when[24], more[40] = "", text[600];
  int64_t events = hl_json_int(tale, "events", 1);
  if (events > 1) snprintf(more, sizeof more, " and %lld more", (long long)events - 1);
  if (*event_of(tale))
    snprintf(text, sizeof text, "%s%s  %.200s  %.60s  %s", event_of(tale), more, hl_json_str(tale, "type", ""), hl_json_str(tale, "object", "-"),
             hl_events_time(hl_json_int(tale, "received", 0), when));
  else snprintf(text, sizeof text, "while it loads");
  put(p, "", "\033[1m", text);
}

/* ---- what differs ---- */

/* Marks what of the two lists is not in their longest common part. */
static void differ(const lines *a, const lines *b, bool *gone, bool *come) {
  size_t w = b->n + 1;
  for (size_t i = 0; i < a->n; i++) gone[i] = true;
  for (size_t k = 0; k < b->n; k++) come[k] = true;
  if ((a->n + 1) * w > TABLE_MAX) return;
  unsigned *table = hl_alloc((a->n + 1) * w * sizeof *table);
  for (size_t i = a->n; i-- > 0;)
    for (size_t k = b->n; k-- > 0;) {
      unsigned down = table[(i + 1) * w + k], right = table[i * w + k + 1];
      table[i * w + k] = strcmp(a->v[i].key, b->v[k].key) == 0 ? table[(i + 1) * w + k + 1] + 1 : down > right ? down : right;
    }
  for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
    if (strcmp(a->v[i].key, b->v[k].key) == 0) gone[i++] = come[k++] = false;
    else if (table[(i + 1) * w + k] >= table[i * w + k + 1]) i++;
    else k++;
  }
  hl_free(table);
}

static void print_json(hl_replay_print *p, const cJSON *json) {
  char *text = hl_json_print(json);
  hl_buf redacted;
  hl_buf_init(&redacted, SIZE_MAX / 4);
  (void)hl_log_redact(p->log, hl_str_of(text), &redacted);
  fprintf(p->out, "%s\n", redacted.p ? redacted.p : "");
  hl_buf_deinit(&redacted);
  hl_free(text);
}

static void add_tales(cJSON *json, const char *name, const group *g, bool before) {
  cJSON *list = cJSON_AddArrayToObject(json, name);
  for (size_t i = 0; i < g->n; i++)
    if (g->v[i].before == before) cJSON_AddItemToArray(list, cJSON_Duplicate(g->v[i].tale, true));
}

/* True: they differ. */
static bool print_difference(hl_replay_print *p, const group *g) {
  lines old = lines_of(g, true), new = lines_of(g, false);
  bool *gone = hl_alloc(old.n + 1), *come = hl_alloc(new.n + 1), any = false;
  differ(&old, &new, gone, come);
  for (size_t i = 0; i < old.n; i++) any = any || gone[i];
  for (size_t k = 0; k < new.n; k++) any = any || come[k];
  if (any && p->json) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "event", event_of(g->v->tale));
    add_tales(json, "old", g, true);
    add_tales(json, "new", g, false);
    print_json(p, json);
    cJSON_Delete(json);
  } else if (any) {
    head(p, g->v->tale);
    /* In the order of the two, what goes before what comes. */
    for (size_t i = 0, k = 0; i < old.n || k < new.n;) {
      if (i < old.n && gone[i]) put(p, "  - ", "\033[31m", old.v[i++].text);
      else if (k < new.n && come[k]) put(p, "  + ", "\033[32m", new.v[k++].text);
      else i++, k++;
    }
  }
  free_lines(&old);
  free_lines(&new);
  hl_free(gone);
  hl_free(come);
  return any;
}

static bool print_event(hl_replay_print *p, const group *g) {
  bool any = false;
  for (size_t i = 0; p->json && i < g->n; i++) {
    if (strcmp(hl_json_str(g->v[i].tale, "outcome", ""), "filtered") == 0) continue;
    print_json(p, g->v[i].tale);
    any = true;
  }
  if (p->json) return any;
  lines l = lines_of(g, false);
  if (l.n) head(p, g->v->tale);
  for (size_t i = 0; i < l.n; i++) put(p, "    ", strncmp(l.v[i].text, "raises ", 7) == 0 ? "\033[31m" : "", l.v[i].text);
  any = l.n > 0;
  free_lines(&l);
  return any;
}

static void count(hl_replay_print *p, const cJSON *tales) {
  for (const cJSON *t = tales->child; t; t = t->next) {
    const char *outcome = hl_json_str(t, "outcome", "");
    if (!*event_of(t)) continue;
    if (strcmp(outcome, "ran") == 0) p->ran++;
    else if (strcmp(outcome, "filtered") == 0) p->filtered++;
    else if (strcmp(outcome, "waits") == 0) p->waits++;
    else p->failed++;
  }
}

bool hl_replay_print_tales(hl_replay_print *p, const cJSON *tales, const cJSON *before) {
  size_t n = (size_t)cJSON_GetArraySize(tales) + (size_t)cJSON_GetArraySize(before), k = 0;
  told *v = hl_alloc((n + 1) * sizeof *v);
  const cJSON *lists[] = {tales, before};
  bool any = false;
  count(p, tales);
  for (size_t i = 0; i < HL_COUNT(lists); i++)
    for (const cJSON *t = lists[i] ? lists[i]->child : NULL; t; t = t->next, k++) {
      v[k] = (told){.tale = t, .number = k, .before = i == 1};
      set_place(&v[k]);
    }
  qsort(v, n, sizeof *v, compare);
  for (size_t i = 0; i < n; i += k) {
    for (k = 1; i + k < n && same_event(&v[i], &v[i + k]);) k++;
    group g = {&v[i], k};
    bool printed = p->against ? print_difference(p, &g) : print_event(p, &g);
    if (printed && v[i].row >= 0) p->differ++;
    any = any || printed;
  }
  hl_free(v);
  if (any) p->printed++;
  return any;
}
