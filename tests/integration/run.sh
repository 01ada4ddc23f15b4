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
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rest=
for t in ./*.test.mjs; do
  case " $waiting " in *" $t "*) ;; *) rest="$rest $t" ;; esac
done
# shellcheck disable=SC2086
HL_COUNTS=$tmp/waiting sh ./node.sh "integration (waiting)" $waiting >"$tmp/log" 2>&1 &
rc=0
# shellcheck disable=SC2086
HL_COUNTS=$tmp/rest sh ./node.sh integration $rest || rc=1
wait $! || rc=1
cat "$tmp/log"
[ -z "${HL_COUNTS:-}" ] || cat "$tmp/waiting" "$tmp/rest" | awk '{p += $1; f += $2; s += $3} END {print p, f, s}' >>"$HL_COUNTS"
exit $rc
