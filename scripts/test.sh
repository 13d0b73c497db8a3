#!/usr/bin/env bash
# Runs every test of the workspace against the release binaries: unit tests,
# the end-to-end plays and the conformance cases. Arguments go to nextest.
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
