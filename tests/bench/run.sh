#!/bin/sh
# run.sh [NAME…]: builds the load generator, installs the peers once a lockfile
# (better-sqlite3 is built from source where no prebuilt one can be had), then
# measures.
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
mkdir -p "$BUILD/bench"
for p in load spawn answer; do
  cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla -O2 -g -Isrc \
    -include src/base/banned.h -o "$BUILD/bench/$p" "tests/bench/$p.c" src/base/mem.c -lcrypto
done
BUILD_DIR=$(cd "$BUILD" && pwd)
export BUILD_DIR
cd tests/bench
sum=$(cksum package-lock.json)
if [ "$(cat node_modules/.hubloop 2>/dev/null || true)" != "$sum" ]; then
  echo "# installing the peers (npm: better-sqlite3, undici, @hubspot/api-client)"
  # Debian's headers (libnode-dev) serve where Node's site cannot be reached.
  if [ -e /usr/include/node/node.h ]; then npm_config_nodedir=/usr; export npm_config_nodedir; fi
  npm ci --omit=dev --no-progress --loglevel=error
  printf '%s' "$sum" > node_modules/.hubloop
fi
exec node run.mjs "$@"
