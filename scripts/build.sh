#!/usr/bin/env bash
# Builds the release binaries, then the snapshot of JavaScript built-ins that
# selvedge-js starts from. A first build takes about half an hour on two cores.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/setup.sh"
"$ROOT/scripts/v8.sh"

cd "$ROOT"
say "building the workspace into $CARGO_TARGET_DIR"
cargo build --release --workspace --locked

snapshot=$CARGO_TARGET_DIR/release/selvedge-js.snapshot
if [ "$SELVEDGE_JS_BIN" -nt "$snapshot" ]; then
  say "writing $snapshot"
  "$SELVEDGE_JS_BIN" snapshot "$snapshot.part"
  mv "$snapshot.part" "$snapshot"
fi
