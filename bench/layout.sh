#!/usr/bin/env bash
# Finds out which functions of the edge and of V8 run for requests (hits and
# hooks; HTTP/1.1, TLS, HTTP/2), by single-stepping them, and writes cli/hot.ld
# and js-runtime/hot.symbols, by which the next build puts them together. Run it
# after changes of what a request goes through.
set -euo pipefail
source "$(dirname "$0")/edge.sh"
"$ROOT/scripts/setup.sh" binutils
CARGO_TARGET_DIR=$CARGO_TARGET_DIR/bench cargo build --release --manifest-path "$ROOT/bench/Cargo.toml" --locked
steps=$CARGO_TARGET_DIR/bench/release/steps
secure=https://127.0.0.1:18091

source "$ROOT/bench/hooks.sh"
"$SELVEDGE_BIN" certs init --dir "$work/certs" >"$work/said"
serve < <(
  printf 'threads = 1\nhttps = ["%s"]\ncertificates = "certs"\n' "${secure#https://}"
  cat "$work/hooks.toml"
)

mkdir "$work/edge" "$work/environment"
worker=$(basename "$(dirname "$(grep -l tokio-rt-worker /proc/"$edge"/task/*/comm | head -n 1)")")

# traced KIND THREAD URL [ARGUMENT...]: single-steps a thread while curl asks four times.
traced() {
  local file=$work/$1 thread=$2 address=$3 nth urls=()
  shift 3
  for nth in {1..4}; do urls+=(--output /dev/null "$address?$nth"); done
  # Each step is two switches between them: much slower from one processor to another.
  taskset --pid 1 "$thread" >"$work/said"
  taskset 1 "$steps" "$thread" "$file" &
  local tracer=$!
  sleep 1
  curl --silent --fail --insecure "$@" "${urls[@]}"
  kill "$tracer"
  curl --silent --fail --insecure --output /dev/null "$address"
  wait "$tracer"
  say "${file#"$work/"}: $(($(stat -c %s "$file") / 8 / 4)) instructions for a request"
}
ticks() { for pid in $(environments); do awk '{ print $1, $14 + $15 }' "/proc/$pid/stat"; done; }
# busiest BEFORE: the environment that has run for a third of a second or more since.
busiest() { { echo "$1"; ticks; } | awk '$1 in was && $2 - was[$1] > 33 { print $1 } { was[$1] = $2 }'; }

cookie=(--header 'Cookie: session=0123456789abcdef; group=b')
nth=0
for path in /page.html /stamped/page.html /looked/page.html /answer; do
  nth=$((nth + 1))
  kind=$nth${path//\//-}
  curl --silent --output /dev/null "$url$path"
  before=$(ticks)
  run "$path" 1 2 >"$work/report"
  for environment in $(busiest "$before"); do
    traced "environment/$kind" "$environment" "$url$path" "${cookie[@]}"
  done
  traced "edge/$kind" "$worker" "$url$path" "${cookie[@]}"
done
traced edge/5-tls "$worker" "$secure/stamped/page.html" --http1.1
traced edge/6-h2 "$worker" "$secure/stamped/page.html" --http2

ordered() { python3 "$ROOT/bench/layout.py" "$@" >"$work/list"; }
ordered script "$SELVEDGE_BIN" "$work/edge"
mv "$work/list" "$ROOT/cli/hot.ld"
# V8's sections have no names of their own; its symbols have no hashes.
ordered symbols "$SELVEDGE_JS_BIN" "$work/environment"
grep '^_ZN\(K\?2v8\|K\?St4__Cr\)' "$work/list" >"$ROOT/js-runtime/hot.symbols"
say "$(grep -c text. "$ROOT/cli/hot.ld") functions of the edge, $(wc -l <"$ROOT/js-runtime/hot.symbols") of V8"
