#!/usr/bin/env bash
# Builds the fuzz targets and runs each for a while (SECONDS_PER_TARGET, default
# 60; arguments choose targets). Inputs found on the way are kept beside the
# build; one that breaks a rule is kept in fuzz/artifacts, and the run fails.
# With FUZZ_SEED a run starts from the committed seeds alone and tries the same
# inputs as every other run with that seed, as far as its time allows.
#
# The layout is cargo-fuzz's, but neither it nor a nightly compiler is needed:
# the flags below are those cargo-fuzz gives without a sanitizer, and the
# stable compiler knows them. The code under test has no unsafe blocks that a
# sanitizer could watch.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/setup.sh"

coverage=(
  -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
  -Clink-dead-code
  --cfg fuzzing
)
host=$(rustc --version --verbose | awk '/^host:/ { print $2 }')
built=$CARGO_TARGET_DIR/fuzz
say "building the fuzz targets into $built"
(cd "$ROOT/fuzz" && RUSTFLAGS=${coverage[*]} \
  cargo build --release --locked --quiet --target "$host" --target-dir "$built")

targets=("$@")
[ ${#targets[@]} -gt 0 ] || for file in "$ROOT"/fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
# Archives are unpacked thousands of times: in memory where that is possible.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
mkdir -p "$ROOT/fuzz/artifacts"
corpora=$built/corpus
[ -z "${FUZZ_SEED:-}" ] || corpora=$TMPDIR/corpus
for target in "${targets[@]}"; do
  corpus=$corpora/$target
  mkdir -p "$corpus" "$ROOT/fuzz/seeds/$target"
  log=$built/$target.log
  if ! "$built/$host/release/$target" -max_total_time="${SECONDS_PER_TARGET:-60}" -seed="${FUZZ_SEED:-0}" -max_len=4096 -len_control=0 \
    -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$ROOT/fuzz/artifacts/$target-" \
    "$corpus" "$ROOT/fuzz/seeds/$target" >"$log" 2>&1; then
    tail -n 60 "$log"
    die "$target found an input that breaks a rule; it is in fuzz/artifacts"
  fi
  say "fuzzed $target: $(awk '/^Done/ { print $2, "inputs in", $5, "s" }' "$log"), $(ls "$corpus" | wc -l) kept"
done
