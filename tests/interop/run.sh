#!/bin/sh
# Installs the npm packages of this folder once a lockfile, then runs its tests;
# last the check of all records, those of the integration tests included.
# Appends "passed failed skipped" to $HL_COUNTS, as the unit tests do.
# `run.sh fidelity …`: the report alone (make fidelity).
set -eu
cd "$(dirname "$0")"
sum=$(cksum package-lock.json)
if [ "$(cat node_modules/.hubloop 2>/dev/null || true)" != "$sum" ]; then
  echo "interop: installing npm packages (@hubspot/api-client, ajv, playwright-core)"
  npm ci --omit=dev --no-progress --loglevel=error
  printf '%s' "$sum" > node_modules/.hubloop
fi
if [ "${1:-}" = fidelity ]; then
  shift
  exec node fidelity.mjs "$@"
fi
HL_RECORDS=${HL_RECORDS:-$(cd ../.. && pwd)/build/records}
HL_RECORD_DIR=$HL_RECORDS/interop
export HL_RECORDS HL_RECORD_DIR
rm -rf "$HL_RECORD_DIR"
exec sh ../integration/node.sh interop openapi.test.mjs client.test.mjs oauth.test.mjs browser.test.mjs errors.test.mjs requests.test.mjs apis.test.mjs journal.test.mjs fidelity.test.mjs odd.test.mjs records.test.mjs
