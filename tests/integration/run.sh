#!/bin/sh
# Runs the integration tests of the binary in $HUBLOOP (default build/hubloop).
# No npm packages; Node 18 or newer. What simulators answered meanwhile is kept
# for tests/interop to validate.
set -eu
cd "$(dirname "$0")"
HL_RECORD_DIR=${HL_RECORDS:-$(cd ../.. && pwd)/build/records}/integration
export HL_RECORD_DIR
rm -rf "$HL_RECORD_DIR"
exec sh ./node.sh integration ./*.test.mjs
