/* kv: a write-through cache in front of the store. An entry that no run has
 * committed yet, or that a run is about to add to, stays; the others leave when
 * the cache is full, the least recently used first. */
#include "base/mem.h"
#include "engine/inside.h"

static hl_kv_entry *of_lru(hl_link *link) { return HL_CONTAINER(link, hl_kv_entry, lru); }

typedef struct kv_key {
  const char *script, *account;
  size_t script_n, account_n;
  hl_str key;
} kv_key;

static kv_key key_of(hl_kv_scope scope, hl_str key) {
  const char *script = scope.script ? scope.script : "", *account = scope.account ? scope.account : "";
  return (kv_key){script, account, strlen(script), strlen(account), key};
}

static bool same_key(const hl_node *node, const void *arg) {
  const hl_kv_entry *x = HL_CONTAINER(node, hl_kv_entry, node);
  const kv_key *k = arg;
  return x->key_n == k->key.n && x->script_n == k->script_n && x->account_n == k->account_n &&
         memcmp(x->names + x->script_n + x->account_n + 2, k->key.p, x->key_n) == 0 &&
         memcmp(x->names, k->script, x->script_n) == 0 &&
         memcmp(x->names + x->script_n + 1, k->account, x->account_n) == 0;
}

static uint64_t hash_of(const hl_engine *e, const kv_key *k) {
  return hl_map_hash(&e->kv, k->key.p, k->key.n) * 31 + hl_map_hash(&e->kv, k->script, k->script_n) * 7 +
         hl_map_hash(&e->kv, k->account, k->account_n);
}

static void lru_out(hl_kv_entry *x) {
  x->lru.prev->next = x->lru.next;
  x->lru.next->prev = x->lru.prev;
}

static void lru_in(hl_engine *e, hl_kv_entry *x) {
  x->lru.next = &e->kv_lru;
  x->lru.prev = e->kv_lru.prev;
  x->lru.prev->next = &x->lru;
  e->kv_lru.prev = &x->lru;
}

static hl_kv_entry *find(hl_engine *e, const kv_key *k) {
  hl_node *node = hl_map_find(&e->kv, hash_of(e, k), same_key, k);
  if (!node) return NULL;
  hl_kv_entry *x = HL_CONTAINER(node, hl_kv_entry, node);
  lru_out(x);
  lru_in(e, x);
  return x;
}

static size_t weight(const hl_kv_entry *x) {
  return sizeof *x + x->script_n + x->account_n + x->key_n + x->value_n + 64;
}

static void drop(hl_engine *e, hl_kv_entry *x) {
  e->kv_bytes -= weight(x);
  hl_map_remove(&e->kv, &x->node);
  lru_out(x);
  hl_free(x->value);
  hl_free(x);
}

static void make_room(hl_engine *e) {
  hl_link *at = e->kv_lru.next;
  while (e->kv_bytes > MAX_KV_CACHE && at != &e->kv_lru) {
    hl_kv_entry *x = of_lru(at);
    at = at->next;
    if (!x->dirty && !x->pins && x->seq <= e->done_seq) drop(e, x);
  }
}

static void set_value(hl_engine *e, hl_kv_entry *x, hl_str value, int64_t expires) {
  e->kv_bytes -= weight(x);
  hl_free(x->value);
  x->value = value.p ? hl_strndup(value.p, value.n) : NULL;
  x->value_n = value.p ? value.n : 0;
  x->expires = value.p ? expires : 0;
  e->kv_bytes += weight(x);
}

static hl_kv_entry *add(hl_engine *e, const kv_key *k, hl_str value, int64_t expires) {
  make_room(e);
  hl_kv_entry *x = hl_alloc(sizeof *x + k->script_n + k->account_n + k->key.n + 3);
  x->script_n = k->script_n;
  x->account_n = k->account_n;
  x->key_n = k->key.n;
  memcpy(x->names, k->script, k->script_n);
  memcpy(x->names + k->script_n + 1, k->account, k->account_n);
  memcpy(x->names + k->script_n + k->account_n + 2, k->key.p, k->key.n);
  e->kv_bytes += weight(x);
  hl_map_add(&e->kv, &x->node, hash_of(e, k));
  lru_in(e, x);
  set_value(e, x, value, expires);
  return x;
}

static bool is_of(const hl_effect *f, const kv_key *k) {
  return (f->kind == EF_SET || f->kind == EF_INCR) && f->name_n == k->key.n && memcmp(f->name, k->key.p, k->key.n) == 0 &&
         strcmp(f->script, k->script) == 0 && strcmp(f->account, k->account) == 0;
}

static hl_effect *own_write(hl_run *run, const kv_key *k) {
  for (hl_effect *f = run->effects.prev; f != &run->effects; f = f->prev)
    if (is_of(f, k)) return f;
  return NULL;
}

static hl_str value_of(const hl_engine *e, const hl_kv_entry *x) {
  if (!x->value || (x->expires && x->expires <= hl_loop_now(e->loop))) return (hl_str){0};
  return (hl_str){x->value, x->value_n};
}

int hl_kv_get(hl_run *run, hl_kv_scope scope, hl_str key, hl_str *value) {
  hl_engine *e = run->e;
  kv_key k = key_of(scope, key);
  const hl_effect *f = own_write(run, &k);
  if (f) {
    bool gone = !f->text || (f->kind == EF_SET && f->at && f->at <= hl_loop_now(e->loop));
    *value = gone ? (hl_str){0} : (hl_str){f->text, f->text_n};
    return 0;
  }
  const hl_kv_entry *x = find(e, &k);
  if (!x) return HL_EBUSY;
  *value = value_of(e, x);
  return 0;
}

/* A question that is out at the store. */
typedef struct ask {
  hl_link link;               /* e->kv_asks */
  hl_engine *e;
  char *script, *account, *key;   /* key, or prefix */
  size_t key_n;
  unsigned max;
  struct over { char *key; size_t n; bool gone; } *own; /* the run's own writes, copied: it may end first */
  size_t n_own;
  void (*on_load)(void *arg, int code);
  void (*on_list)(void *arg, const hl_str *keys, size_t n);
  void *arg;
} ask;

static ask *new_ask(hl_engine *e, const kv_key *k, void *arg) {
  ask *a = HL_NEW(ask);
  a->e = e;
  a->script = hl_strdup(k->script);
  a->account = hl_strdup(k->account);
  a->key = hl_strndup(k->key.p ? k->key.p : "", k->key.n);
  a->key_n = k->key.n;
  a->arg = arg;
  a->link.next = &e->kv_asks;
  a->link.prev = e->kv_asks.prev;
  a->link.prev->next = a->link.next->prev = &a->link;
  return a;
}

static void free_ask(ask *a) {
  a->link.prev->next = a->link.next;
  a->link.next->prev = a->link.prev;
  for (size_t i = 0; i < a->n_own; i++) hl_free(a->own[i].key);
  hl_free(a->own);
  hl_free(a->script);
  hl_free(a->account);
  hl_free(a->key);
  hl_free(a);
}

static void on_loaded(void *arg, int code, hl_str value, int64_t expires) {
  ask *a = arg;
  void (*cb)(void *, int) = a->on_load;
  void *cb_arg = a->arg;
  if (!code) {
    kv_key k = key_of((hl_kv_scope){a->script, a->account}, (hl_str){a->key, a->key_n});
    /* A run may have written it meanwhile: that is newer. */
    if (!find(a->e, &k)) add(a->e, &k, value, expires);
  }
  free_ask(a);
  cb(cb_arg, code);
}

void hl_kv_load(hl_engine *e, hl_kv_scope scope, hl_str key, void (*cb)(void *arg, int code), void *arg) {
  kv_key k = key_of(scope, key);
  ask *a = new_ask(e, &k, arg);
  a->on_load = cb;
  hl_store_kv_get(e->store, k.script, k.account, key, hl_loop_now(e->loop), on_loaded, a);
}

static int check_key(hl_str key, hl_error *err) {
  if (key.n >= 1 && key.n <= MAX_KV_KEY) return 0;
  return hl_fail(err, HL_EINVAL, "kv: a key has 1 to %d bytes, this one has %zu", MAX_KV_KEY, key.n);
}

static hl_effect *add_write(hl_run *run, hl_effect_kind kind, const kv_key *k, hl_str text) {
  hl_effect *f = hl_run_add_effect(run, kind);
  f->script = hl_strdup(k->script);
  f->account = hl_strdup(k->account);
  f->name = hl_strndup(k->key.p, k->key.n);
  f->name_n = k->key.n;
  f->text = text.p ? hl_strndup(text.p, text.n) : NULL;
  f->text_n = text.p ? text.n : 0;
  return f;
}

int hl_kv_set(hl_run *run, hl_kv_scope scope, hl_str key, hl_str value, int64_t expires_at, hl_error *err) {
  int rc = check_key(key, err);
  if (rc) return rc;
  if (value.p && value.n > MAX_KV_VALUE)
    return hl_fail(err, HL_ELIMIT, "kv: the value of “" HL_STR_FMT "” has %zu bytes, at most %d are allowed", HL_STR_ARG(key),
                   value.n, MAX_KV_VALUE);
  kv_key k = key_of(scope, key);
  add_write(run, EF_SET, &k, value)->at = expires_at;
  return 0;
}

static bool integer(hl_str text, int64_t *out) {
  if (!text.p) {
    *out = 0;
    return true;
  }
  return hl_str_int64(text, out) == 0;
}

int hl_kv_incr(hl_run *run, hl_kv_scope scope, hl_str key, int64_t delta, int64_t *out, hl_error *err) {
  hl_engine *e = run->e;
  kv_key k = key_of(scope, key);
  hl_str seen;
  int64_t base, sum;
  char text[24];
  int rc = check_key(key, err);
  if (rc) return rc;
  hl_effect *own = own_write(run, &k);
  hl_kv_entry *x = find(e, &k);
  rc = hl_kv_get(run, scope, key, &seen);
  if (rc) return rc;
  if (!integer(seen, &base))
    return hl_fail(err, HL_EINVAL, "kv: “" HL_STR_FMT "” holds no integer, so nothing can be added to it", HL_STR_ARG(key));
  if (__builtin_add_overflow(base, delta, &sum))
    return hl_fail(err, HL_EINVAL, "kv: “" HL_STR_FMT "” would leave the range of integers", HL_STR_ARG(key));
  int n = snprintf(text, sizeof text, "%lld", (long long)sum);
  hl_str value = {text, (size_t)n};
  if (own && own->kind == EF_SET) {
    /* Nobody else's additions count after a set of our own. */
    add_write(run, EF_SET, &k, value)->at = own->at;
  } else {
    hl_effect *f = add_write(run, EF_INCR, &k, value);
    f->number = delta;
    f->pinned = x;
    x->pins++;
  }
  *out = sum;
  return 0;
}

void hl_kv_unpin(hl_engine *e, hl_kv_entry *x) {
  (void)e;
  x->pins--;
}

void hl_kv_write(hl_engine *e, const hl_effect *f) {
  kv_key k = key_of((hl_kv_scope){f->script, f->account}, (hl_str){f->name, f->name_n});
  hl_kv_entry *x = find(e, &k);
  hl_str value = {f->text, f->text_n};
  int64_t expires = f->at, base, sum;
  char text[24];
  if (f->kind == EF_INCR) {
    /* Made again from what finished runs have written since. If one of them put
     * something else there, what this run saw stands. */
    x = f->pinned;
    expires = x->value && value_of(e, x).p ? x->expires : 0;
    if (integer(value_of(e, x), &base) && !__builtin_add_overflow(base, f->number, &sum))
      value = (hl_str){text, (size_t)snprintf(text, sizeof text, "%lld", (long long)sum)};
  }
  if (!x) x = add(e, &k, value, expires);
  else set_value(e, x, value, expires);
  if (x->dirty) return;
  x->dirty = true;
  x->dirty_next = e->kv_dirty;
  e->kv_dirty = x;
}

/* A key written a thousand times since the last commit is one write. */
void hl_kv_flush(hl_engine *e) {
  while (e->kv_dirty) {
    hl_kv_entry *x = e->kv_dirty;
    e->kv_dirty = x->dirty_next;
    x->dirty = false;
    x->seq = e->seq;
    hl_tx_kv(e->tx, x->names, x->names + x->script_n + 1, (hl_str){x->names + x->script_n + x->account_n + 2, x->key_n},
             (hl_str){x->value, x->value_n}, x->expires);
  }
}

void hl_kv_deinit(hl_engine *e) {
  while (e->kv_asks.next != &e->kv_asks) free_ask(HL_CONTAINER(e->kv_asks.next, ask, link));
  hl_node *node;
  while ((node = hl_map_pop(&e->kv))) {
    hl_kv_entry *x = HL_CONTAINER(node, hl_kv_entry, node);
    hl_free(x->value);
    hl_free(x);
  }
}

/* ---- listing: the store's keys, with what is not committed yet laid over them ---- */

typedef struct keys {
  hl_str *v;
  size_t n, cap;
} keys;

static int compare(hl_str a, hl_str b) {
  size_t n = a.n < b.n ? a.n : b.n;
  int c = n ? memcmp(a.p, b.p, n) : 0;
  return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Puts a key in or takes it out; the list stays sorted. */
static void lay(keys *ks, hl_str key, bool gone) {
  size_t lo = 0, hi = ks->n;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (compare(ks->v[mid], key) < 0) lo = mid + 1;
    else hi = mid;
  }
  bool there = lo < ks->n && compare(ks->v[lo], key) == 0;
  if (there && gone) {
    memmove(ks->v + lo, ks->v + lo + 1, (ks->n - lo - 1) * sizeof *ks->v);
    ks->n--;
  } else if (!there && !gone) {
    if (ks->n == ks->cap) {
      ks->cap = ks->cap ? 2 * ks->cap : 64;
      ks->v = hl_realloc(ks->v, ks->cap * sizeof *ks->v);
    }
    memmove(ks->v + lo + 1, ks->v + lo, (ks->n - lo) * sizeof *ks->v);
    ks->v[lo] = key;
    ks->n++;
  }
}

static bool has_prefix(hl_str key, const ask *a) {
  return key.n >= a->key_n && memcmp(key.p, a->key, a->key_n) == 0;
}

static bool uncommitted(const hl_engine *e, const hl_kv_entry *x) { return x->dirty || x->seq > e->done_seq; }

static void on_listed(void *arg, int code, const hl_str *found, size_t n) {
  ask *a = arg;
  hl_engine *e = a->e;
  keys ks = {hl_alloc((n + 1) * sizeof(hl_str)), code ? 0 : n, n + 1};
  if (!code && n) memcpy(ks.v, found, n * sizeof *found);
  size_t script_n = strlen(a->script), account_n = strlen(a->account);
  for (hl_link *at = e->kv_lru.next; at != &e->kv_lru; at = at->next) {
    hl_kv_entry *x = of_lru(at);
    hl_str key = {x->names + x->script_n + x->account_n + 2, x->key_n};
    if (uncommitted(e, x) && x->script_n == script_n && x->account_n == account_n && strcmp(x->names, a->script) == 0 &&
        strcmp(x->names + script_n + 1, a->account) == 0 && has_prefix(key, a))
      lay(&ks, key, !value_of(e, x).p);
  }
  for (size_t i = 0; i < a->n_own; i++) lay(&ks, (hl_str){a->own[i].key, a->own[i].n}, a->own[i].gone);
  a->on_list(a->arg, ks.v, ks.n < a->max ? ks.n : a->max);
  free_ask(a);
  hl_free(ks.v);
}

void hl_kv_list(hl_run *run, hl_kv_scope scope, hl_str prefix, unsigned max,
                void (*cb)(void *arg, const hl_str *keys, size_t n), void *arg) {
  hl_engine *e = run->e;
  kv_key k = key_of(scope, prefix);
  ask *a = new_ask(e, &k, arg);
  size_t cap = 0, gone = 0;
  a->max = max;
  a->on_list = cb;
  for (const hl_effect *f = run->effects.next; f != &run->effects; f = f->next) {
    hl_str key = {f->name, f->name_n};
    if ((f->kind != EF_SET && f->kind != EF_INCR) || strcmp(f->script, k.script) || strcmp(f->account, k.account) ||
        !has_prefix(key, a))
      continue;
    if (a->n_own == cap) {
      cap = cap ? 2 * cap : 16;
      a->own = hl_realloc(a->own, cap * sizeof *a->own);
    }
    a->own[a->n_own++] = (struct over){hl_strndup(key.p, key.n), key.n, !f->text};
    gone += !f->text;
  }
  /* What is laid over may hide some of the store's keys: that many more are asked for. */
  for (hl_link *at = e->kv_lru.next; at != &e->kv_lru; at = at->next)
    if (uncommitted(e, of_lru(at)) && !of_lru(at)->value) gone++;
  hl_store_kv_list(e->store, k.script, k.account, prefix, (size_t)max + gone, hl_loop_now(e->loop), on_listed, a);
}
