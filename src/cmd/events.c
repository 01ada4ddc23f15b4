#include "cmd/events.h"

#include "base/mem.h"
#include "base/time.h"

enum { COLUMNS_MAX = 8, CELL_BYTES = 4096, WIDE = 28, WHY_MIN = 30 };

const char *hl_events_time(int64_t ms, char out[24]) {
  char iso[25];
  if (!ms) return "-";
  hl_time_iso(ms, iso);
  snprintf(out, 24, "%.10s %.8s", iso, iso + 11);
  return out;
}

static bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static int width_of(const char *s) {
  int n = 0;
  for (; *s; s++) n += !continues(*s);
  return n;
}

static const char *colour_of(const char *state) {
  if (strcmp(state, "dead") == 0 || strcmp(state, "uncertain") == 0) return "\033[31m";
  if (strcmp(state, "orphaned") == 0 || strcmp(state, "waiting") == 0 || strcmp(state, "unhandled") == 0) return "\033[33m";
  return "";
}

/* The first line of a text of outside, harmless on a terminal. */
static void first_line(const char *text, hl_buf *out) {
  hl_buf_clear(out);
  hl_buf_plain(out, (hl_str){text, strcspn(text, "\n")}, " ");
}

void hl_events_cell(FILE *out, const char *text, int width, bool last) {
  int n = width_of(text);
  const char *end = text;
  if (n <= width) {
    fputs(text, out);
    if (!last) fprintf(out, "%*s", width - n, "");
    return;
  }
  for (int i = 0; i < width - 1; i++)
    do end++;
    while (continues(*end));
  fprintf(out, "%.*s…", (int)(end - text), text);
}

/* ---- the table ---- */

typedef struct row {
  hl_buf cell[COLUMNS_MAX];
} row;

static const char *const log_heads[] = {"ID", "STATE", "RECEIVED (UTC)", "TYPE", "OBJECT", "SOURCE", NULL};
static const char *const parked_heads[] = {"ID", "STATE", "SINCE (UTC)", "TYPE", "OBJECT", "SCRIPT", "TRIES", "WHY", NULL};

static void fill(row *l, const cJSON *e, bool parked) {
  char when[24];
  bool waits = hl_json_int(e, "due", 0) != 0;
  int64_t since = hl_json_int(e, "failed", 0);
  const char *texts[COLUMNS_MAX] = {hl_json_str(e, "id", ""), hl_json_str(e, "state", ""), "", hl_json_str(e, "type", ""),
                                    hl_json_str(e, "object", ""), hl_json_str(e, parked ? "script" : "source", "")};
  texts[2] = hl_events_time(parked && since ? since : hl_json_int(e, "received", 0), when);
  for (int i = 0; i < COLUMNS_MAX; i++) {
    hl_buf_init(&l->cell[i], CELL_BYTES);
    first_line(texts[i] ? texts[i] : "", &l->cell[i]);
  }
  if (!parked) return;
  hl_buf_printf(&l->cell[6], "%lld", (long long)hl_json_int(e, "attempts", 0));
  if (waits) hl_buf_printf(&l->cell[7], "next %s ", hl_events_time(hl_json_int(e, "due", 0), when));
  hl_buf why;
  hl_buf_init(&why, 64 << 10);
  first_line(hl_json_str(e, "error", ""), &why);
  hl_buf_printf(&l->cell[7], "%.1000s", why.p ? why.p : "");
  hl_buf_deinit(&why);
}

static const char *text_of(const hl_buf *b) { return b->p ? b->p : ""; }

void hl_events_table(FILE *out, const cJSON *events, bool parked, bool header, int columns, bool colour) {
  const char *const *heads = parked ? parked_heads : log_heads;
  int n = cJSON_GetArraySize(events), k = 0, width[COLUMNS_MAX] = {0}, count = 0, used = 0;
  row *lines = hl_alloc(((size_t)n + 1) * sizeof *lines);
  for (const cJSON *e = events->child; e; e = e->next) fill(&lines[k++], e, parked);
  for (; heads[count]; count++) {
    width[count] = width_of(heads[count]);
    for (int i = 0; i < n; i++)
      if (width_of(text_of(&lines[i].cell[count])) > width[count]) width[count] = width_of(text_of(&lines[i].cell[count]));
    if (count > 2 && width[count] > WIDE) width[count] = WIDE;
    if (heads[count + 1]) used += width[count] + 2;
  }
  /* The last column takes what is left. When that is little, its text has a line of its own. */
  width[count - 1] = columns - used;
  bool below = parked && width[count - 1] < WHY_MIN;
  int last = below ? count - 2 : count - 1;
  static const int gives[] = {3, 5, 4};
  for (size_t g = 0; g < HL_COUNT(gives); g++)
    while (used - 2 > columns && gives[g] < last && width[gives[g]] > 8) width[gives[g]]--, used--;
  for (int i = header ? -1 : 0; i < n; i++) {
    for (int c = 0; c <= last; c++) {
      const char *text = i < 0 ? heads[c] : text_of(&lines[i].cell[c]), *paint = colour && i >= 0 && c == 1 ? colour_of(text) : "";
      fputs(paint, out);
      hl_events_cell(out, text, width[c], c == last);
      fputs(*paint ? "\033[0m" : "", out);
      fputs(c == last ? "\n" : "  ", out);
    }
    if (!below || i < 0 || !lines[i].cell[count - 1].n) continue;
    fputs("    ", out);
    hl_events_cell(out, text_of(&lines[i].cell[count - 1]), columns - 4, true);
    fputc('\n', out);
  }
  for (int i = 0; i < n; i++)
    for (int c = 0; c < COLUMNS_MAX; c++) hl_buf_deinit(&lines[i].cell[c]);
  hl_free(lines);
}

/* ---- one event ---- */

/* A text of several lines, each behind `indent` blanks. */
static void block(FILE *out, const char *text, int indent) {
  hl_buf b;
  char newline[16];
  hl_buf_init(&b, 256 << 20);
  snprintf(newline, sizeof newline, "\n%*s", indent, "");
  hl_buf_plain(&b, hl_str_of(text), newline);
  fprintf(out, "%*s%s\n", indent, "", text_of(&b));
  hl_buf_deinit(&b);
}

static void plain(FILE *out, const char *text) {
  hl_buf b;
  hl_buf_init(&b, 1 << 20);
  hl_buf_plain(&b, hl_str_of(text), " ");
  fputs(text_of(&b), out);
  hl_buf_deinit(&b);
}

static void json_block(FILE *out, const cJSON *json, int indent) {
  char *text = cJSON_Print(json);
  hl_buf spaced;
  if (!text) hl_mem_ended();
  hl_buf_init(&spaced, 64 << 20);
  /* The tabs are cJSON's: those in strings are escaped. */
  for (const char *p = text; *p; p++)
    if (*p == '\t') hl_buf_puts(&spaced, p[-1] == ':' ? " " : "  ");
    else hl_buf_append(&spaced, p, 1);
  block(out, text_of(&spaced), indent);
  hl_buf_deinit(&spaced);
  cJSON_free(text);
}

static void print_step(FILE *out, const cJSON *step) {
  const cJSON *result = hl_json_get(step, "result"), *write = hl_json_get(step, "write"), *why = hl_json_get(step, "why");
  hl_buf line;
  hl_buf_init(&line, 64 << 10);
  hl_buf_printf(&line, "    %s “%.200s” %s", write ? "write in step" : hl_json_bool(step, "wait", false) ? "wait" : "step", hl_json_str(step, "name", ""),
                strcmp(hl_json_str(step, "state", ""), "intended") == 0 ? "was about to be made: nobody knows whether it was" : hl_json_str(step, "state", ""));
  const cJSON *shown[] = {write, result, why};
  for (size_t i = 0; i < HL_COUNT(shown); i++) {
    char *text = shown[i] ? hl_json_print(shown[i]) : NULL;
    if (text) hl_buf_printf(&line, "  %.300s%s", text, strlen(text) > 300 ? "…" : "");
    hl_free(text);
  }
  block(out, text_of(&line), 0);
  hl_buf_deinit(&line);
}

static void print_handler(FILE *out, const cJSON *h, bool colour) {
  char when[24];
  hl_buf line;
  int64_t failed = hl_json_int(h, "failed", 0), due = hl_json_int(h, "due", 0);
  const char *state = hl_json_str(h, "state", ""), *error = hl_json_str(h, "error", "");
  long long attempts = hl_json_int(h, "attempts", 0);
  hl_buf_init(&line, 64 << 10);
  hl_buf_printf(&line, "  %s “%s”", *hl_json_str(h, "script", "") ? hl_json_str(h, "script", "") : "(no handler)", hl_json_str(h, "handler", ""));
  plain(out, text_of(&line));
  fprintf(out, "  %s%s%s", colour ? colour_of(state) : "", state, colour && *colour_of(state) ? "\033[0m" : "");
  if (attempts) fprintf(out, " after %lld attempt%s", attempts, attempts == 1 ? "" : "s");
  if (failed) fprintf(out, ", failed first %s", hl_events_time(failed, when));
  if (due) fprintf(out, ", next %s", hl_events_time(due, when));
  fputc('\n', out);
  if (*error) block(out, error, 4);
  for (const cJSON *s = hl_json_get(h, "steps") ? hl_json_get(h, "steps")->child : NULL; s; s = s->next) print_step(out, s);
  hl_buf_deinit(&line);
}

void hl_events_whole(FILE *out, const cJSON *e, bool colour) {
  static const struct { const char *label, *key; bool time; } fields[] = {
      {"type", "type", false}, {"object", "object", false}, {"account", "account", false}, {"source", "source", false},
      {"occurred", "occurred", true}, {"received", "received", true}, {"due", "due", true},
  };
  char when[24];
  const char *state = hl_json_str(e, "state", "");
  const cJSON *handlers = hl_json_get(e, "handlers");
  fprintf(out, "event %s  %s%s%s\n", hl_json_str(e, "id", ""), colour ? colour_of(state) : "", state, colour && *colour_of(state) ? "\033[0m" : "");
  for (size_t i = 0; i < HL_COUNT(fields); i++) {
    int64_t ms = fields[i].time ? hl_json_int(e, fields[i].key, 0) : 0;
    const char *text = fields[i].time ? ms ? hl_events_time(ms, when) : "" : hl_json_str(e, fields[i].key, "");
    if (!*text) continue;
    fprintf(out, "  %-9s ", fields[i].label);
    plain(out, text);
    fputc('\n', out);
  }
  if (handlers && handlers->child) fputs("\nhandlers\n", out);
  for (const cJSON *h = handlers ? handlers->child : NULL; h; h = h->next) print_handler(out, h, colour);
  fputs("\nas it came\n", out);
  json_block(out, hl_json_get(e, "event"), 2);
}
