# Sourced by the scripts that load one edge: a work directory, the edge itself,
# and the processes below it.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
"$ROOT/scripts/setup.sh" wrk procps
"$ROOT/scripts/build.sh"

work=$(mktemp -d)
edge=
finish() {
  [ -z "$edge" ] || { kill "$edge" 2>/dev/null || true; wait "$edge" 2>/dev/null || true; }
  rm -rf "$work"
}
trap finish EXIT
port=${PORT:-18090}
url=http://127.0.0.1:$port

# function_file NAME: the text of a function's index.mjs from standard input.
function_file() {
  mkdir -p "$work/$1"
  cat >"$work/$1/index.mjs"
}

# serve: the configuration's functions and behaviors from standard input.
serve() {
  mkdir -p "$work/site"
  {
    printf '[server]\nhttp = ["127.0.0.1:%s"]\ndata_dir = "data"\nconnections_per_address = 4096\nenvironments_max = 5000\n' "$port"
    cat
  } >"$work/selvedge.toml"
  pgrep 'js-(env|templ)' >"$work/before" || true
  SELVEDGE_LOG=${SELVEDGE_LOG:-error,functions=error} "$SELVEDGE_BIN" serve --config "$work/selvedge.toml" &
  edge=$!
  local attempts=0
  until curl --silent --output /dev/null "$url/"; do
    kill -0 "$edge" 2>/dev/null || die "selvedge ended before it was ready"
    attempts=$((attempts + 1))
    [ "$attempts" -lt 300 ] || die "$url did not answer within 30 seconds"
    sleep 0.1
  done
}

# below: "PID NAME" of every process below the edge. Without ps: on a busy machine that takes longer than the time between two looks.
below() {
  local waiting=("$edge") pid file children child name
  while [ "${#waiting[@]}" -gt 0 ]; do
    pid=${waiting[-1]}
    unset 'waiting[-1]'
    for file in /proc/"$pid"/task/*/children; do
      children=()
      read -r -a children 2>/dev/null <"$file" || true
      for child in "${children[@]}"; do
        # One that has ended and is not reaped yet has no program.
        [ -e "/proc/$child/exe" ] && read -r name 2>/dev/null <"/proc/$child/comm" || continue
        waiting+=("$child")
        printf '%s %s\n' "$child" "$name"
      done
    done
  done
}
environments() { below | awk '$2 == "js-environment" { print $1 }'; }
# all_environments: also those of templates that lost their zygote, which are nobody's children below the edge.
all_environments() { named js-environment; }
all_templates() { named js-template; }
# named NAME: every process of that name but those that were there before this edge.
named() { pgrep -x "$1" | grep -v -x -F -f "$work/before" || true; }
templates() { below | awk '$2 == "js-template" { print $1 }'; }
zygote() { ps -eo pid=,ppid= | awk -v edge="$edge" '$2 == edge { print $1; exit }'; }

# held PID: RSS and PSS in kB.
held() { awk '/^Rss:/ { rss = $2 } /^Pss:/ { pss = $2 } END { printf "%d %d", rss, pss }' "/proc/$1/smaps_rollup"; }

# run PATH CONNECTIONS SECONDS: wrk's report.
run() { wrk --latency --timeout 20s -t 1 -c "$2" -d "${3}s" "$url$1"; }
requests() { awk '/requests in/ { print $1 }'; }
failures() { awk '/Non-2xx/ { bad = $NF } /Socket errors/ { gsub(",", ""); bad += $4 + $6 + $8 + $10 } END { print bad + 0 }'; }
