#!/usr/bin/env bash
# Runs every test of the workspace against the release binaries: unit tests,
# the end-to-end plays, the conformance cases and, without arguments, the public
# HTTP cache test suite, in memory and on disk. Arguments go to nextest.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/build.sh"
"$ROOT/scripts/clients.sh"

cd "$ROOT"
layers=$("$SELVEDGE_BIN" check --sandbox) && whole=yes || whole=
if [ -z "$whole" ]; then
  say "this machine does not give the whole sandbox; NOT RUN are the tests that break out of it:"
  grep MISSING <<<"$layers" || say "$layers"
fi
if cargo nextest --version >/dev/null 2>&1; then
  say "testing with cargo nextest"
  if [ -n "$whole" ] || [ $# -gt 0 ]; then
    cargo nextest run --release --workspace --locked "$@"
  else
    cargo nextest run --release --workspace --locked -E 'not (test(/^sandbox::/) or (package(sandbox) and binary(native)))'
  fi
else
  say "testing with cargo test (cargo-nextest is not installed)"
  cargo test --release --workspace --locked "$@"
fi
if [ $# -eq 0 ]; then
  "$ROOT/scripts/cache-conformance.sh" --if-possible
  "$ROOT/scripts/cache-conformance.sh" --if-possible --on-disk
fi
