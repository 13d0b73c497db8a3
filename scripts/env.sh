# Sourced by every script: where things are, and two ways to speak.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/selvedge/target}
export SELVEDGE_BIN=$CARGO_TARGET_DIR/release/selvedge
export SELVEDGE_JS_BIN=$CARGO_TARGET_DIR/release/selvedge-js
TOOLS=$HOME/.cache/selvedge/tools
export PATH="$CARGO_HOME/bin:$TOOLS/bin:$PATH"

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
