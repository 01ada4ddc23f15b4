#!/bin/sh
# Runs each unit test program in a process and temporary directory of its own,
# with a timeout; prints its output only when it fails. Appends counts to
# $HL_COUNTS ("passed failed skipped" a line) for the closing line of make test.
p=0; f=0; s=0
for t in "$@"; do
  d=$(mktemp -d)
  out=$(cd "$d" && TMPDIR="$d" timeout "${HL_TEST_TIMEOUT:-120}" ${HL_TEST_WRAP:-} "$OLDPWD/$t" 2>&1); rc=$?
  n=$(printf '%s\n' "$out" | grep -c '^\[       OK \]')
  b=$(printf '%s\n' "$out" | grep '^\[  FAILED  \] [a-z_0-9]*$' | sort -u | wc -l)
  if [ $rc -ne 0 ]; then
    [ "$b" -gt 0 ] || b=1
    printf '%s\n' "$out" | tail -60; echo "FAIL $t (exit $rc)"
  else
    echo "ok   $t ($n)"
  fi
  k=$(printf '%s\n' "$out" | sed -n 's/^\[  SKIPPED \] \([a-z_0-9]*\)$/\1/p' | sort -u)
  for name in $k; do echo "SKIP $t $name"; s=$((s + 1)); done
  p=$((p + n)); f=$((f + b)); rm -rf "$d"
done
[ -z "${HL_COUNTS:-}" ] || echo "$p $f $s" >> "$HL_COUNTS"
echo "unit: $p passed, $f failed, $s skipped"
[ "$f" -eq 0 ]
