#!/usr/bin/env bash
# Load runs with wrk, medians of three: a cached hit of 10 kB by selvedge and by
# nginx in the same minutes, the same hit through a viewer-request and through a
# viewer-response hook, and a response generated in viewer-request. Prints
# requests per second and ratios, and what a hook adds to the median time of a
# request when nothing else runs; writes them to bench/results.md with the
# machine and the command.
#
# SECONDS_PER_RUN (default 5), CONNECTIONS (default 32).
set -euo pipefail
source "$(dirname "$0")/../scripts/env.sh"
"$ROOT/scripts/setup.sh" wrk nginx-light
"$ROOT/scripts/build.sh"

seconds=${SECONDS_PER_RUN:-5}
connections=${CONNECTIONS:-32}
work=$(mktemp -d)
pids=()
finish() {
  stop
  rm -rf "$work"
}
trap finish EXIT

mkdir "$work/nginx"
source "$ROOT/bench/hooks.sh"
{
  cat <<'TOML'
[server]
http = ["127.0.0.1:18080"]
data_dir = "data"
connections_per_address = 4096
TOML
  cat "$work/hooks.toml"
} >"$work/selvedge.toml"
cat >"$work/nginx.conf" <<CONF
worker_processes $(nproc);
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path $work/nginx/body;
  proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi;
  uwsgi_temp_path $work/nginx/uwsgi;
  scgi_temp_path $work/nginx/scgi;
  proxy_cache_path $work/nginx/cache keys_zone=hits:10m;
  server {
    listen 127.0.0.1:18081;
    location / {
      proxy_pass http://127.0.0.1:18080;
      proxy_cache hits;
      proxy_cache_valid 200 1h;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      add_header X-Stamp 1;
    }
  }
}
CONF

# Started by root, nginx would give its workers to a user who may not read $work.
nginx_user=
[ "$(id -u)" -ne 0 ] || nginx_user="user root;"
start() {
  SELVEDGE_LOG=warn "${on[@]}" "$SELVEDGE_BIN" serve --config "$work/selvedge.toml" & pids+=($!)
  "${on[@]}" nginx -e "$work/nginx/error.log" -c "$work/nginx.conf" -g "daemon off; $nginx_user" & pids+=($!)
  for url in http://127.0.0.1:18080/{page.html,stamped/page.html,looked/page.html,answer} http://127.0.0.1:18081/page.html; do
    curl --silent --show-error --fail --output /dev/null --retry 100 --retry-delay 1 --retry-connrefused "$url"
    curl --silent --fail --output /dev/null "$url"
  done
}
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  pids=()
}

# load URL OPTIONS: the report of one run with a browser's headers; every answer must be a success.
load() {
  local report url=$1
  shift
  report=$("${on[@]}" wrk --latency "${headers[@]}" "$@" "$url")
  ! grep -q 'Non-2xx' <<<"$report" || die "$url answered with errors: $report"
  echo "$report"
}
headers=(
  -H "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
  -H "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
  -H "Accept-Language: en-US,en;q=0.5" -H "Accept-Encoding: gzip, deflate, br"
  -H "Referer: http://127.0.0.1/" -H "Cookie: session=0123456789abcdef0123456789abcdef; group=b"
)
rate() { awk '/^Requests\/sec:/ { print int($2) }'; }
# The median in whole microseconds.
median_us() { awk '$1 == "50%" { unit = $2 ~ /us$/ ? 1 : $2 ~ /ms$/ ? 1000 : 1000000; print int($2 * unit + 0.5) }'; }

declare -A runs medians
names=(nginx hit request response generated)
declare -A urls=(
  [nginx]=http://127.0.0.1:18081/page.html
  [hit]=http://127.0.0.1:18080/page.html
  [request]=http://127.0.0.1:18080/looked/page.html
  [response]=http://127.0.0.1:18080/stamped/page.html
  [generated]=http://127.0.0.1:18080/answer
)
on=()
start
for round in 1 2 3; do
  for name in "${names[@]}"; do
    say "round $round: $name"
    runs[$name]+="$(load "${urls[$name]}" -t 2 -c "$connections" -d "${seconds}s" | rate) "
  done
done
stop
# One connection is measured with all on one processor: where the system puts the processes, and how long a processor
# that sleeps takes to wake, makes more of a difference than a hook does.
on=(taskset --cpu-list 0)
start
for round in 1 2 3; do
  for name in "${names[@]}"; do
    say "one connection, round $round: $name"
    medians[$name]+="$(load "${urls[$name]}" -t 1 -c 1 -d 3s | median_us) "
  done
done

median() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n 2p; }
spread() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n '1p;3p' | paste -sd- ; }
base=$(median "${runs[nginx]}")
alone=$(median "${medians[hit]}")
row() { # NAME LABEL
  local rate ratio added=
  rate=$(median "${runs[$1]}")
  ratio=$(awk "BEGIN { printf \"%.2f\", $rate / $base }")
  case $1 in nginx | hit) ;; *) added=$(($(median "${medians[$1]}") - alone)) ;; esac
  printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$2" "$rate" "$(spread "${runs[$1]}")" "$ratio" \
    "$(median "${medians[$1]}")" "$(spread "${medians[$1]}")" "$added"
}
others=$(awk '/^## / { keep = 1 } keep' "$ROOT/bench/results.md")
{
  echo "# Results"
  echo
  echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores; load generator on the same machine;"
  echo "\`bench/run.sh\`: wrk, 2 threads, $connections connections, $seconds s, median of 3; $(date -u +%Y-%m-%d), $(git -C "$ROOT" rev-parse --short HEAD)."
  echo
  echo "Times are the median of a request on one connection, in µs, viewer, edge and environment on one processor; \"added\" is what it has over the cached hit."
  echo
  echo "| Case | Requests/s | Spread | To nginx | Time | Spread | Added |"
  echo "|---|---|---|---|---|---|---|"
  row nginx "nginx: cached hit, 10 kB, one header added"
  row hit "selvedge: cached hit, 10 kB"
  row request "selvedge: cached hit, a viewer-request function leaves the request alone"
  row response "selvedge: cached hit, a viewer-response function adds a header"
  row generated "selvedge: response made by a viewer-request function"
  [ -z "$others" ] || printf '\n%s\n' "$others"
} | tee "$ROOT/bench/results.md"
