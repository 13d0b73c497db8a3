#!/usr/bin/env bash
# Load runs with wrk, medians of three: a cached hit of 10 kB by selvedge and by
# nginx in the same minutes, the same hit through a viewer-response hook, and a
# response generated in viewer-request. Prints requests per second and ratios,
# and writes them to bench/results.md with the machine and the command.
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
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

mkdir -p "$work/site" "$work/stamp" "$work/answer" "$work/nginx"
head -c 10240 /dev/zero | tr '\0' x >"$work/site/page.html"
cat >"$work/stamp/index.mjs" <<'JS'
export const handler = async (event) => {
  const { response } = event.Records[0].cf;
  response.headers['x-stamp'] = [{ key: 'X-Stamp', value: '1' }];
  return response;
};
JS
cat >"$work/answer/index.mjs" <<'JS'
export const handler = async () => ({ status: '200', statusDescription: 'OK', body: 'made here' });
JS
cat >"$work/selvedge.toml" <<'TOML'
[server]
http = ["127.0.0.1:18080"]
data_dir = "data"
connections_per_address = 4096
[functions.stamp]
code = "stamp"
[functions.answer]
code = "answer"
[distributions.bench]
domains = ["*"]
[distributions.bench.origins.files]
directory = "site"
[[distributions.bench.behaviors]]
path = "/stamped/*"
origin = "files"
hooks.viewer-response = "stamp"
[[distributions.bench.behaviors]]
path = "/answer"
origin = "files"
hooks.viewer-request = "answer"
[distributions.bench.default_behavior]
origin = "files"
TOML
mkdir -p "$work/site/stamped"
cp "$work/site/page.html" "$work/site/stamped/"
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
SELVEDGE_LOG=warn "$SELVEDGE_BIN" serve --config "$work/selvedge.toml" & pids+=($!)
nginx -e "$work/nginx/error.log" -c "$work/nginx.conf" -g "daemon off; $nginx_user" & pids+=($!)
for url in http://127.0.0.1:18080/page.html http://127.0.0.1:18080/stamped/page.html http://127.0.0.1:18081/page.html; do
  curl --silent --show-error --fail --output /dev/null --retry 100 --retry-delay 1 --retry-connrefused "$url"
  curl --silent --fail --output /dev/null "$url"
done

# rate URL: requests per second of one run; every answer must be a success.
rate() {
  local report
  report=$(wrk -t 2 -c "$connections" -d "${seconds}s" "$1")
  ! grep -q 'Non-2xx' <<<"$report" || die "$1 answered with errors: $report"
  awk '/^Requests\/sec:/ { print int($2) }' <<<"$report"
}

declare -A runs
names=(nginx hit hook generated)
declare -A urls=(
  [nginx]=http://127.0.0.1:18081/page.html
  [hit]=http://127.0.0.1:18080/page.html
  [hook]=http://127.0.0.1:18080/stamped/page.html
  [generated]=http://127.0.0.1:18080/answer
)
for round in 1 2 3; do
  for name in "${names[@]}"; do
    say "round $round: $name"
    runs[$name]+="$(rate "${urls[$name]}") "
  done
done

median() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n 2p; }
spread() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n '1p;3p' | paste -sd- ; }
base=$(median "${runs[nginx]}")
row() { # NAME LABEL
  local rate
  rate=$(median "${runs[$1]}")
  printf '| %s | %s | %s | %s |\n' "$2" "$rate" "$(spread "${runs[$1]}")" "$(awk "BEGIN { printf \"%.2f\", $rate / $base }")"
}
others=$(awk '/^## / { keep = 1 } keep' "$ROOT/bench/results.md")
{
  echo "# Results"
  echo
  echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores; load generator on the same machine;"
  echo "\`bench/run.sh\`: wrk, 2 threads, $connections connections, $seconds s, median of 3; $(date -u +%Y-%m-%d), $(git -C "$ROOT" rev-parse --short HEAD)."
  echo
  echo "| Case | Requests/s | Spread | To nginx |"
  echo "|---|---|---|---|"
  row nginx "nginx: cached hit, 10 kB, one header added"
  row hit "selvedge: cached hit, 10 kB"
  row hook "selvedge: cached hit through a viewer-response function"
  row generated "selvedge: response made by a viewer-request function"
  [ -z "$others" ] || printf '\n%s\n' "$others"
} | tee "$ROOT/bench/results.md"
