#!/usr/bin/env bash
# What environments cost, through the edge: the first answer when no environment
# is idle (a trivial handler; the npm package cognito-at-edge beside Node.js
# loading it), a warm answer for comparison, and memory of 1,000 idle
# environments. Writes the section "Environments" of bench/results.md.
#
# SECONDS_PER_RUN (default 5), three runs of each; needs npm.
set -euo pipefail
source "$(dirname "$0")/edge.sh"
seconds=${SECONDS_PER_RUN:-5}
idle=${IDLE:-1000}

function_file answer <<'JS'
export const handler = async () => ({ status: '200', statusDescription: 'OK', body: 'made here' });
JS
function_file waits <<'JS'
export const handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 4000));
  return { status: '200', body: 'waited' };
};
JS
function_file cognito <<'JS'
import { Authenticator } from 'cognito-at-edge';
const authenticator = new Authenticator({
  region: 'us-east-1', userPoolId: 'us-east-1_tyo1a1FHH', userPoolAppId: '63gcbm2jmskokurt5ku9fhejc6',
  userPoolDomain: 'example.auth.us-east-1.amazoncognito.com',
});
export const handler = async (event) => authenticator.handle(event);
JS
say "installing cognito-at-edge with npm"
(cd "$work/cognito" && npm init --yes >/dev/null && npm install --silent --no-audit --no-fund cognito-at-edge@1 >/dev/null)

for name in answer cognito; do cp -r "$work/$name" "$work/$name-cold"; done
config() {
  local name
  for name in answer answer-cold cognito cognito-cold waits; do
    printf '[functions.%s]\ncode = "%s"\nenvironments_burst = 1000000\n' "$name" "$name"
    case $name in
      *-cold) echo 'environment_idle_timeout = "0s"' ;;
      waits) echo 'timeout = "30s"' ;;
    esac
  done
  printf '[distributions.bench]\ndomains = ["*"]\n[distributions.bench.origins.files]\ndirectory = "site"\n'
  for name in answer answer-cold cognito cognito-cold waits; do
    printf '[[distributions.bench.behaviors]]\npath = "/%s"\norigin = "files"\nhooks.viewer-request = "%s"\n' "$name" "$name"
  done
  printf '[distributions.bench.default_behavior]\norigin = "files"\n'
}
serve < <(config)

to_ms() { awk '{ value = $1 + 0; if ($1 ~ /us$/) value /= 1000; else if ($1 ~ /[0-9]s$/) value *= 1000; printf "%.2f\n", value }'; }
quantile() { awk -v wanted="$1" '$1 == wanted { print $2 }' | to_ms; }
median() { sort -n | sed -n 2p; }
spread() { sort -n | sed -n '1p;3p' | paste -sd-; }

rows=()
latency() { # LABEL PATH: one connection, so that nothing waits for anything else
  local p50=() p99=() round report
  for round in 1 2 3; do
    report=$(run "$2" 1 "$seconds")
    p50+=("$(quantile 50% <<<"$report")")
    p99+=("$(quantile 99% <<<"$report")")
  done
  rows+=("$(printf '| %s | %s (%s) | %s (%s) |' "$1" "$(printf '%s\n' "${p50[@]}" | median)" "$(printf '%s\n' "${p50[@]}" | spread)" \
    "$(printf '%s\n' "${p99[@]}" | median)" "$(printf '%s\n' "${p99[@]}" | spread)")")
  say "${rows[-1]}"
}
latency "trivial handler, idle environment" /answer
latency "trivial handler, no environment: fork to first answer" /answer-cold
latency "cognito-at-edge, idle environment" /cognito
latency "cognito-at-edge, no environment: fork to first answer" /cognito-cold

say "Node.js loading cognito-at-edge"
node_ms=$(for round in 1 2 3; do
  (cd "$work/cognito" && node -e '
    const started = performance.now();
    import("./index.mjs").then(() => console.log((performance.now() - started).toFixed(0)))')
done)

say "$idle environments at once"
before=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
run /waits "$idle" 15 >/dev/null
count=$(environments | wc -l)
pss=$(for pid in $(environments); do held "$pid"; echo; done | awk '{ pss += $2 } END { printf "%.2f", pss / 1048576 }')
after=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
available=$(awk "BEGIN { printf \"%.2f\", ($before - $after) / 1048576 }")
rows_memory="$count idle environments, all but 2 of one function: $pss GB in proportional shares; the system's available memory went down by $available GB."
say "$rows_memory"

section=$(mktemp)
{
  echo "## Environments"
  echo
  echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, Linux $(uname -r); load generator on the same machine;"
  echo "\`bench/environments.sh\`: wrk, 1 connection, $seconds s, median of 3 and spread, milliseconds; $(date -u +%Y-%m-%d), $(git -C "$ROOT" rev-parse --short HEAD)."
  echo
  echo "| Request through the edge | p50 | p99 |"
  echo "|---|---|---|"
  printf '%s\n' "${rows[@]}"
  echo
  echo "Node.js $(node --version) takes $(median <<<"$node_ms") ms ($(spread <<<"$node_ms")) to load cognito-at-edge, after its own start."
  echo
  echo "$rows_memory"
} >"$section"
"$ROOT/bench/section.sh" Environments <"$section"
rm -f "$section"
