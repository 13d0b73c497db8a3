#!/usr/bin/env bash
# Criterion's runs: writing events, reading results, a warm invocation. Their
# history is kept beside the build, the medians with their confidence interval
# in bench/results.md. Arguments go to criterion; then nothing is written there.
set -euo pipefail
source "$(dirname "$0")/../scripts/env.sh"
"$ROOT/scripts/build.sh"
export SELVEDGE_JS=$SELVEDGE_JS_BIN
CARGO_TARGET_DIR=$CARGO_TARGET_DIR/bench cargo bench --manifest-path "$ROOT/bench/Cargo.toml" --locked -- --noplot "$@" |
  tee "$CARGO_TARGET_DIR/bench.txt"
[ $# -eq 0 ] || exit 0
{
  echo "## Parts of a hook"
  echo
  echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores; \`bench/micro.sh\`: criterion;"
  echo "$(date -u +%Y-%m-%d), $(git -C "$ROOT" rev-parse --short HEAD). A browser's GET, a page with nine headers."
  echo
  echo "| Part | Time | 95 % interval |"
  echo "|---|---|---|"
  # A long name has a line of its own before its time.
  awk '
    /time: +\[/ {
      if ($1 != "time:") { name = $0; sub(/ +time:.*/, "", name) }
      split(substr($0, index($0, "[") + 1), t, /[ \]]+/)
      printf "| %s | %s %s | %s %s to %s %s |\n", name, t[3], t[4], t[1], t[2], t[5], t[6]
    }
    { name = $0 }' "$CARGO_TARGET_DIR/bench.txt"
} | "$ROOT/bench/section.sh" "Parts of a hook"
