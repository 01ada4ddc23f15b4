#!/bin/sh
# node.sh NAME FILE…: runs test files under Node's runner, one after the other
# (they share two cores and measure nothing), and appends "passed failed
# skipped" to $HL_COUNTS. Skipped tests are listed with their reason.
set -u
name=$1; shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
p=0; f=0; s=0; rc=0
for t in "$@"; do
  node --test --test-reporter=tap "$t" > "$log" 2>&1 || rc=1
  n() { sed -n "s/^# $1 \([0-9]*\)\$/\1/p" "$log" | tail -1; }
  np=$(n pass); nf=$(n fail); nc=$(n cancelled); ns=$(n skipped)
  if [ -z "$np" ]; then np=0; nf=1; nc=0; ns=0; fi
  nf=$((nf + nc))
  p=$((p + np)); f=$((f + nf)); s=$((s + ns))
  if [ "$nf" -gt 0 ]; then echo "FAIL $name/$(basename "$t")"; rc=1; grep -v duration_ms "$log"; else echo "ok   $name/$(basename "$t") ($np)"; fi
  # Lines that tests print on purpose (figures, what was counted apart).
  [ "$nf" -gt 0 ] || sed -n 's/^# note: /     /p' "$log"
  sed -n 's/^ *ok [0-9]* - \(.*\) # SKIP *\(.*\)/SKIP \1: \2/p' "$log"
done
[ -z "${HL_COUNTS:-}" ] || echo "$p $f $s" >> "$HL_COUNTS"
echo "$name: $p passed, $f failed, $s skipped"
[ $rc -eq 0 ] && [ "$f" -eq 0 ]
