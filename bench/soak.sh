#!/usr/bin/env bash
# Makes and ends ENVIRONMENTS (default 100,000) execution environments and prints
# what the edge, the zygote and the template hold before and after: resident
# and proportional memory, descriptors, threads; and what was left over. Fails
# when the memory of one of them has grown by more than GROWTH_KB_MAX (4,000).
set -euo pipefail
source "$(dirname "$0")/edge.sh"
environments=${ENVIRONMENTS:-100000}
growth_max=${GROWTH_KB_MAX:-4000}

function_file f <<'JS'
import fs from 'node:fs';
export const handler = async () => {
  fs.writeFileSync('/tmp/left-behind', 'x'.repeat(1000));
  return { status: '200', body: 'alive' };
};
JS
serve <<'TOML'
[functions.f]
code = "f"
environment_idle_timeout = "0s"
environments_burst = 1000000
[distributions.soak]
domains = ["*"]
[distributions.soak.origins.files]
directory = "site"
[distributions.soak.default_behavior]
origin = "files"
hooks.viewer-request = "f"
TOML

show() { # NAME PID
  printf '%-9s rss %s kB, pss %s kB, %s descriptors, %s threads\n' "$1" $(held "$2") \
    "$(ls "/proc/$2/fd" | wc -l)" "$(ls "/proc/$2/task" | wc -l)"
}
declare -A pids first
settle() {
  local attempts=0
  while [ -n "$(environments)" ]; do
    attempts=$((attempts + 1))
    [ "$attempts" -lt 100 ] || die "environments are left 10 seconds after the last request: $(environments | wc -l)"
    sleep 0.1
  done
  pids=([edge]=$edge [zygote]=$(zygote) [template]=$(templates | head -1))
}
anonymous() { awk '/^RssAnon:/ { print $2 }' "/proc/$1/status"; }

made=$(run / 4 2 | requests)
settle
say "after $made environments"
for name in edge zygote template; do
  show "$name" "${pids[$name]}"
  first[$name]=$(anonymous "${pids[$name]}")
done
started=$SECONDS
failed=0
while [ "$made" -lt "$environments" ]; do
  report=$(run / 4 10)
  made=$((made + $(requests <<<"$report")))
  failed=$((failed + $(failures <<<"$report")))
done
settle
say "after $made environments, $failed requests failed, $((SECONDS - started)) s"
for name in edge zygote template; do
  show "$name" "${pids[$name]}"
done
printf 'zombies %s, private directories %s\n' "$(ps -eo ppid=,stat= | awk '$2 ~ /^Z/' | grep -c -w -e "$edge" -e "${pids[zygote]}" -e "${pids[template]}" || true)" \
  "$(find "$work/data/tmp" -mindepth 3 -maxdepth 3 -type d | wc -l)"
[ "$failed" -eq 0 ] || die "$failed requests failed"
for name in edge zygote template; do
  grown=$(($(anonymous "${pids[$name]}") - first[$name]))
  [ "$grown" -le "$growth_max" ] || die "anonymous memory of the $name grew by $grown kB"
  say "anonymous memory of the $name grew by $grown kB"
done
