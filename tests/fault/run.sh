#!/bin/sh
# Faults against the real binary in $HUBLOOP (default build/hubloop): kill -9, a full
# disk, a clock that steps, some seconds of everything at once (make soak: long). HL_FAULT=full for all of them (make fault), else a sample.
# HL_SEED chooses the moments.
set -eu
cd "$(dirname "$0")"
build=$(cd ../.. && pwd)/${BUILD:-build}
mkdir -p "$build/tests"
HL_FAULT_SHIM=$build/tests/fault.so
export HL_FAULT_SHIM
${CC:-cc} -shared -fPIC -O1 -g -Wall -Wextra -o "$HL_FAULT_SHIM" shim.c
exec sh ../integration/node.sh fault kill.test.mjs store.test.mjs clock.test.mjs outage.test.mjs soak.test.mjs
