#!/usr/bin/env bash
# Criterion's runs: writing events, reading results, a warm invocation. Their
# history is kept beside the build. Arguments go to criterion.
set -euo pipefail
source "$(dirname "$0")/../scripts/env.sh"
"$ROOT/scripts/build.sh"
export SELVEDGE_JS=$SELVEDGE_JS_BIN
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/bench
cargo bench --manifest-path "$ROOT/bench/Cargo.toml" --locked -- "$@"
