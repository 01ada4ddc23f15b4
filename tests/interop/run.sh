#!/bin/sh
# Installs the npm packages of this folder once a lockfile, then runs its tests.
# Appends "passed failed skipped" to $HL_COUNTS, as the unit tests do.
set -eu
cd "$(dirname "$0")"
sum=$(cksum package-lock.json)
if [ "$(cat node_modules/.hubloop 2>/dev/null || true)" != "$sum" ]; then
  echo "interop: installing npm packages (@hubspot/api-client, ajv)"
  npm ci --omit=dev --no-progress --loglevel=error
  printf '%s' "$sum" > node_modules/.hubloop
fi
exec sh ../integration/node.sh interop ./*.test.mjs
