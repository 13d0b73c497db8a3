#!/usr/bin/env bash
# Runs the public HTTP cache test suite (npm package http-cache-tests) against a
# plain pass-through behavior of the real program, and prints its verdicts beside
# those the suite publishes for other caches. Takes about 30 seconds.
# Usage: cache-conformance.sh [--if-possible] [--on-disk] [--id TEST | --json FILE]
# With --if-possible it says what is missing, and that nothing was tested, instead of failing.
# With --on-disk no body fits memory: each is written to the cache's disk and read from there.
set -euo pipefail
source "$(dirname "$0")/env.sh"

SUITE_VERSION=0.4.5
# Required tests that pass today; fewer is a regression.
REQUIRED_MIN=158

[ -x "$SELVEDGE_BIN" ] || die "$SELVEDGE_BIN is not built: run scripts/build.sh"

missing=die
if [ "${1:-}" = --if-possible ]; then
  missing=skip
  shift
fi
on_disk=
if [ "${1:-}" = --on-disk ]; then
  on_disk=yes
  shift
fi
skip() { say "cache conformance skipped: $*"; exit 0; }
command -v node >/dev/null && command -v npm >/dev/null ||
  $missing "node and npm are not installed: the suite needs Node.js 18 or newer"

suite=$HOME/.cache/selvedge/http-cache-tests-$SUITE_VERSION
package=$suite/node_modules/http-cache-tests
if [ ! -f "$package/cli.mjs" ]; then
  say "installing http-cache-tests $SUITE_VERSION into $suite"
  mkdir -p "$suite"
  npm install --prefix "$suite" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
    "http-cache-tests@$SUITE_VERSION" || $missing "the package could not be installed"
fi

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
  rm -rf "$work"
}
trap cleanup EXIT

# Two free ports; others may take them before we do, which is said below.
read -r origin_port edge_port < <(node -e '
  const { createServer } = require("net")
  const servers = [createServer().listen(0, "127.0.0.1"), createServer().listen(0, "127.0.0.1")]
  setImmediate(() => {
    console.log(servers.map(server => server.address().port).join(" "))
    servers.forEach(server => server.close())
  })')

# listening PORT NAME PID LOG: returns once it accepts connections.
listening() {
  local attempts=0
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { cat "$4" >&2; die "$2 ended before it was ready"; }
    attempts=$((attempts + 1))
    [ "$attempts" -lt 150 ] || die "$2 did not listen on port $1 within 30 seconds"
    read -r -t 0.2 <> <(:) || true
  done
}

# The suite's origin takes its settings the way npm passes them to scripts.
(cd "$package" && exec env npm_config_protocol=http npm_config_port="$origin_port" \
  npm_config_pidfile="$work/origin.pid" node server/server.mjs) >"$work/origin.log" 2>&1 &
pids+=($!)
listening "$origin_port" "the suite's origin" "$!" "$work/origin.log"

sed -e "s/EDGE_PORT/$edge_port/" -e "s/ORIGIN_PORT/$origin_port/" \
  "$ROOT/tests/cache-conformance/selvedge.toml" >"$work/selvedge.toml"
if [ -n "$on_disk" ]; then
  tiers='cache_object_size_max = "1 B"\ncache_disk = { directory = "cache", size = "1 GB" }'
  sed -i "s/^\[server\]$/&\n$tiers/" "$work/selvedge.toml"
fi
"$SELVEDGE_BIN" serve --config "$work/selvedge.toml" >"$work/edge.log" 2>&1 &
pids+=($!)
listening "$edge_port" selvedge "$!" "$work/edge.log"
# The disk takes nothing before it was read, which for an empty one is a matter of milliseconds.
until [ -z "$on_disk" ] || grep -q "the cache has read" "$work/edge.log"; do
  kill -0 "${pids[-1]}" 2>/dev/null || { cat "$work/edge.log" >&2; die "selvedge ended before it was ready"; }
  read -r -t 0.1 <> <(:) || true
done

node --no-warnings "$ROOT/tests/cache-conformance/run.mjs" "$package" "http://127.0.0.1:$edge_port" \
  --required "$REQUIRED_MIN" "$@"
