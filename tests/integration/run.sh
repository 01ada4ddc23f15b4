#!/bin/sh
# Runs the integration tests of the binary in $HUBLOOP (default build/hubloop).
# No npm packages; Node 18 or newer.
set -eu
cd "$(dirname "$0")"
exec sh ./node.sh integration ./*.test.mjs
