#!/usr/bin/env bash
# Load on four routes for DURATION (default 60) seconds while a random
# environment is killed every 100 ms, a template every second and the zygote
# every 10 s. Prints what each route lost: hits and hookless routes nothing, a
# hook at most one request for each killed environment, an idempotent hook
# nothing.
set -euo pipefail
source "$(dirname "$0")/edge.sh"
duration=${DURATION:-60}

for name in once again; do
  function_file "$name" <<'JS'
export const handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  return { status: '200', body: 'alive' };
};
JS
done
mkdir -p "$work/site"
head -c 10240 /dev/zero | tr '\0' x >"$work/site/page.html"
serve <<'TOML'
[functions.once]
code = "once"
[functions.again]
code = "again"
idempotent = true
[distributions.chaos]
domains = ["*"]
[distributions.chaos.origins.files]
directory = "site"
[[distributions.chaos.behaviors]]
path = "/once"
origin = "files"
hooks.viewer-request = "once"
[[distributions.chaos.behaviors]]
path = "/again"
origin = "files"
hooks.viewer-request = "again"
[[distributions.chaos.behaviors]]
path = "/page.html"
origin = "files"
[distributions.chaos.default_behavior]
origin = "files"
cache = "CachingDisabled"
TOML
cp "$work/site/page.html" "$work/site/plain.html"
curl --silent --fail --output /dev/null "$url/page.html"

declare -A path=([hit]=/page.html [hookless]=/plain.html [once]=/once [again]=/again) loads
for name in "${!path[@]}"; do
  run "${path[$name]}" 4 "$duration" >"$work/$name.report" &
  loads[$name]=$!
done
kill_one() { # of the pids on standard input; says 1 when it did
  local pid
  pid=$(shuf -n 1)
  [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null && echo 1 || echo 0
}
killed=0 templates_killed=0 zygotes_killed=0 tick=0
started=$SECONDS
while kill -0 "${loads[hit]}" 2>/dev/null && [ $((SECONDS - started)) -lt "$duration" ]; do
  tick=$((tick + 1))
  next=$((${EPOCHREALTIME/./} + 100000))
  killed=$((killed + $(all_environments | kill_one)))
  [ $((tick % 10)) -ne 0 ] || templates_killed=$((templates_killed + $(all_templates | kill_one)))
  [ $((tick % 100)) -ne 0 ] || zygotes_killed=$((zygotes_killed + $(zygote | kill_one)))
  left=$((next - ${EPOCHREALTIME/./}))
  [ "$left" -le 0 ] || sleep "$(printf '0.%06d' "$left")"
done
wait "${loads[@]}"
say "killed: $killed environments, $templates_killed templates, $zygotes_killed zygotes"
declare -A lost
for name in hit hookless once again; do
  lost[$name]=$(failures <"$work/$name.report")
  printf '%-9s %9s requests, %s lost\n' "$name" "$(requests <"$work/$name.report")" "${lost[$name]}"
done
[ "${lost[hit]}" -eq 0 ] && [ "${lost[hookless]}" -eq 0 ] || die "a route without a hook lost requests"
[ "${lost[once]}" -le "$killed" ] || die "the hook lost more than one request for each killed environment"
# One repetition is promised: to lose a request its second environment must be killed within milliseconds, too.
[ "${lost[again]}" -le 2 ] || die "the idempotent hook lost requests"
curl --silent --fail --output /dev/null "$url/once" || die "the edge does not answer afterwards"
