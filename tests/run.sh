#!/bin/sh
# make test: unit, Lua, integration, fault and interop tests, then one closing line.
# They go in two rows at once, one a core; the second row's output comes after the
# first's. A part that fails does not hide the others.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
HUBLOOP=$PWD/$BUILD/hubloop
export HUBLOOP BUILD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# TITLE COMMAND…: a command that ends badly without a failed test counts as one failure.
part() {
  echo; echo "== $1"; shift
  "$@"
  rc=$?
  [ $rc -eq 0 ] || [ "$(tail -n 1 "$HL_COUNTS" | cut -d ' ' -f 2)" -gt 0 ] ||
    { echo "FAIL: this part ended with exit code $rc"; echo "0 1 0" >>"$HL_COUNTS"; }
}

lua() {
  "$HUBLOOP" test stdlib scripts >"$tmp/lua" 2>&1
  rc=$?
  tail -n 40 "$tmp/lua"
  sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2 0/p' "$tmp/lua" | tail -n 1 >>"$HL_COUNTS"
  return $rc
}

row() { # its name; the parts are run by what comes behind
  HL_COUNTS=$tmp/counts.$1; shift
  export HL_COUNTS
  echo "0 0 0" >"$HL_COUNTS"
  "$@"
}

own() {
  part "unit tests (C)" sh tests/unit/run.sh "$@"
  part "Lua tests (hubloop test)" lua
  part "fault tests (a sample; make fault has them all)" sh tests/fault/run.sh
}

whole() {
  part "integration tests (the binary as a user runs it)" sh tests/integration/run.sh
  part "interop tests (the official client and OpenAPI documents)" sh tests/interop/run.sh
}

row whole whole >"$tmp/whole" 2>&1 &
row own own "$@"
wait
cat "$tmp/whole"

echo
awk '{p += $1; f += $2; s += $3} END {
  printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print ""; exit f > 0 }' "$tmp"/counts.*
