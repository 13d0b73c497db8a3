#!/usr/bin/env bash
# Runs every test of the workspace against the release binaries: unit tests,
# the end-to-end plays, the conformance cases and, without arguments, the public
# HTTP cache test suite. Arguments go to nextest.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/build.sh"

cd "$ROOT"
if cargo nextest --version >/dev/null 2>&1; then
  say "testing with cargo nextest"
  cargo nextest run --release --workspace --locked "$@"
else
  say "testing with cargo test (cargo-nextest is not installed)"
  cargo test --release --workspace --locked "$@"
fi
[ $# -gt 0 ] || "$ROOT/scripts/cache-conformance.sh" --if-possible
