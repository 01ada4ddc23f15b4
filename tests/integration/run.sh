#!/bin/sh
# Runs the integration tests of the binary in $HUBLOOP (default build/hubloop).
# No npm packages; Node 18 or newer. Those that mostly wait for time to pass go
# beside the others. What simulators answered meanwhile is kept for
# tests/interop to validate.
set -eu
cd "$(dirname "$0")"
HL_RECORD_DIR=${HL_RECORDS:-$(cd ../.. && pwd)/build/records}/integration
export HL_RECORD_DIR
rm -rf "$HL_RECORD_DIR"
waiting="./auth.test.mjs ./journal.test.mjs ./supervisor.test.mjs ./webhook_door.test.mjs"
waiting2="./hubspot_faults.test.mjs ./reload.test.mjs ./wait.test.mjs ./watch.test.mjs"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rest=
for t in ./*.test.mjs; do
  case " $waiting $waiting2 " in *" $t "*) ;; *) rest="$rest $t" ;; esac
done
rc=0
# shellcheck disable=SC2086
{
  HL_COUNTS=$tmp/1 sh ./node.sh "integration (waiting)" $waiting >"$tmp/log1" 2>&1 & one=$!
  HL_COUNTS=$tmp/2 sh ./node.sh "integration (waiting)" $waiting2 >"$tmp/log2" 2>&1 & two=$!
  HL_COUNTS=$tmp/rest sh ./node.sh integration $rest || rc=1
}
wait $one || rc=1
wait $two || rc=1
cat "$tmp/log1" "$tmp/log2"
[ -z "${HL_COUNTS:-}" ] || cat "$tmp/1" "$tmp/2" "$tmp/rest" | awk '{p += $1; f += $2; s += $3} END {print p, f, s}' >>"$HL_COUNTS"
exit $rc
