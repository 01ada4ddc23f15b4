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

part "integration tests (the binary as a user runs it)"
sh tests/integration/run.sh
rc=$?; check $rc "$(last_failed)"

part "fault tests (a sample; make fault has them all)"
sh tests/fault/run.sh
rc=$?; check $rc "$(last_failed)"

part "interop tests (the official client and OpenAPI documents)"
sh tests/interop/run.sh
rc=$?; check $rc "$(last_failed)"

echo
awk -v b="$broken" '{p += $1; f += $2; s += $3} END {
  f += b; printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print ""; exit f > 0 }' "$HL_COUNTS"
