#!/bin/sh
# make test: unit, Lua, integration and interop tests, then one closing line.
# A part that fails does not hide the others.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
HUBLOOP=$PWD/$BUILD/hubloop
HL_COUNTS=$(mktemp)
export HUBLOOP HL_COUNTS BUILD
out=$(mktemp)
trap 'rm -f "$HL_COUNTS" "$out"' EXIT
broken=0

part() { echo; echo "== $*"; }

# A part that ends badly without a failed test counts as one failure.
check() { # exit code, failed tests of the part
  [ "$1" -eq 0 ] || [ "$2" -gt 0 ] || { echo "FAIL: this part ended with exit code $1"; broken=$((broken + 1)); }
}

last_failed() { tail -n 1 "$HL_COUNTS" | cut -d ' ' -f 2; }

part "unit tests (C)"
sh tests/unit/run.sh "$@"
rc=$?; check $rc "$(last_failed)"

part "Lua tests (hubloop test)"
"$HUBLOOP" test stdlib scripts >"$out" 2>&1
rc=$?; tail -n 40 "$out"
sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2 0/p' "$out" | tail -n 1 >>"$HL_COUNTS"
check $rc "$(last_failed)"

node_part() { # title, files
  part "$1"; shift
  node --test "$@" >"$out" 2>&1
  rc=$?
  number() { sed -n "s/^[#ℹ] $1 \([0-9]*\).*/\1/p" "$out" | tail -n 1; }
  p=$(number pass); f=$(number fail); s=$(number skipped)
  echo "${p:-0} ${f:-0} ${s:-0}" >>"$HL_COUNTS"
  [ $rc -eq 0 ] && grep -E '^(# |ℹ )?(SKIP|skipped aloud)|# SKIP|﹣' "$out"
  [ $rc -eq 0 ] || tail -n 150 "$out"
  echo "${p:-0} passed, ${f:-0} failed, ${s:-0} skipped"
  check $rc "${f:-0}"
}
node_part "integration tests (the binary as a user runs it)" tests/integration/*_test.mjs
node_part "interop tests (the official client and OpenAPI documents)" tests/interop/*_test.mjs

echo
awk -v b="$broken" '{p += $1; f += $2; s += $3} END {
  f += b; printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print ""; exit f > 0 }' "$HL_COUNTS"
