#!/bin/sh
# make lint: the house rules that a machine can check.
set -u
cd "$(dirname "$0")/.."
bad=0
say() { echo "lint: $*"; bad=1; }

# Includes point up the table of the house only.
rooms="base loop store net hubspot engine lua admin cmd"
allowed() { # room -> rooms it may include
  case $1 in
    base) echo base ;;
    loop) echo base loop ;;
    store) echo base loop store ;;
    net) echo base loop net ;;
    hubspot) echo base loop store net hubspot ;;
    engine) echo base loop store net hubspot engine ;;
    lua) echo base loop store net hubspot engine lua ;;
    admin) echo base loop store net hubspot engine admin ;;
    cmd) echo "$rooms" ;;
  esac
}
for room in $rooms; do
  ok=" $(allowed "$room") "
  for f in src/"$room"/*.[ch]; do
    [ -e "$f" ] || continue
    for inc in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$f" | sort -u); do
      case "$ok" in *" $inc "*) ;; *) say "$f includes $inc/, which is not above $room/" ;; esac
    done
  done
done

# One place reads the clock; one place resumes coroutines; no Lua in the core.
grep -nE '\b(clock_gettime|gettimeofday|uv_timer_start|uv_now|uv_hrtime)\(' -r src --include='*.c' |
  grep -vE '^src/(loop|base/log\.c)' | grep . && say "clocks and libuv timers belong to src/loop"
n=$(grep -nE '\blua_resume\(' -r src --include='*.c' | wc -l)
[ "$n" -eq 1 ] || say "lua_resume is called in $n places; one trampoline resumes"
grep -lE '#include <(lua|lauxlib|lualib)\.h>' -r src | grep -v '^src/lua/' | grep . && say "Lua's headers belong to src/lua"

# Every header compiles alone.
for h in $(find src include -name '*.h'); do
  # shellcheck disable=SC2046
  gcc -std=c11 -D_GNU_SOURCE -Isrc -Iinclude -include src/base/banned.h $(pkg-config --cflags lua5.4 libuv sqlite3 libpq 2>/dev/null) \
    -Wall -Wno-unused-function -fsyntax-only -x c "$h" || say "$h does not compile alone"
done

# Files keep to one idea.
find src stdlib scripts tests -name node_modules -prune -o \( -name '*.c' -o -name '*.h' -o -name '*.lua' -o -name '*.mjs' \) -print |
  while read -r f; do wc -l "$f"; done | awk '$1 > 1200 { print "lint: " $2 " has " $1 " lines"; bad = 1 } END { exit bad }' || bad=1

# No real-looking token anywhere; without git (or in an archive of the sources) every file is looked at.
sources() {
  git ls-files -z 2>/dev/null | grep -z . ||
    find . \( -name .git -o -name node_modules -o -name 'build*' \) -prune -o -type f -print0
}
sources | grep -zv 'package-lock\.json$' |
  xargs -0 grep -nE 'pat-(na|eu)[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}' && say "a real-shaped token"

luacheck --quiet --no-color . >/tmp/hubloop-luacheck.$$ 2>&1 || { cat /tmp/hubloop-luacheck.$$; say "luacheck found problems"; }
rm -f /tmp/hubloop-luacheck.$$
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad
