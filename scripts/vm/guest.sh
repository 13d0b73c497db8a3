#!/bin/bash
# Runs in the virtual machine of scripts/vm.sh: says what the sandbox finds here,
# then runs the tests of it. What it prints is what that script prints; the last
# line counts.
set -u
exec </dev/null >/dev/ttyS1 2>&1
source /run/vm/settings.sh # ROOT, PARTS
say() { printf -- '-- %s\n' "$*"; }
passed=0 failed=0
count() { # "yes" or "no", what
  if [ "$1" = yes ]; then passed=$((passed + 1)); else failed=$((failed + 1)); say "FAILED: $2"; fi
}

# Each test and each edge is alone in a group below this one.
SELVEDGE_VM_GROUPS=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
export SELVEDGE_VM_GROUPS
mkdir "$SELVEDGE_VM_GROUPS/runner"
echo $$ >"$SELVEDGE_VM_GROUPS/runner/cgroup.procs"
echo '+cpu +memory' >"$SELVEDGE_VM_GROUPS/cgroup.subtree_control"

# The tests find their data where they were built.
mkdir -p "$ROOT"
mount --bind /run/vm/source "$ROOT"
export SELVEDGE_BIN=/run/vm/bin/selvedge HOME=/root TMPDIR=/tmp
# There is no network: a name that is not here is unknown at once.
echo '127.0.0.1 localhost' >/etc/hosts
echo 'nameserver 127.0.0.1' >/etc/resolv.conf

say "Linux $(uname -r), $(. /etc/os-release && echo "$PRETTY_NAME"), $(getconf GNU_LIBC_VERSION), $(python3 --version), $(nproc) processors"

# What an operator sees: in a unit as docs/operations.md says, of root and of a user, and in one without a group.
checked() { # what it must say of the processor, lines of the unit
  local wanted=$1 line text; shift
  { echo '[Service]'; echo 'Type=oneshot'; printf '%s\n' "$@"
    echo 'StandardOutput=truncate:/run/checked'; echo 'ExecStart=/run/vm/release/selvedge check --sandbox'; } >/run/systemd/system/checked.service
  systemctl daemon-reload && systemctl start checked.service
  local rc=$?
  say "selvedge check --sandbox, in a unit with: $*"
  cat /run/checked
  line=$(grep '^cpu ' /run/checked)
  if [ $rc = 0 ] && [[ $line == *"$wanted"* ]]; then count yes; else count no "check --sandbox: exit code $rc, $*"; fi
}
if [[ $PARTS == *check* ]]; then
  checked 'a control group for each environment that uses more' Delegate=cpu
  checked 'a control group for each environment that uses more' Delegate=cpu User=www-data LimitNICE=+0
  checked 'environments that use more are stopped' User=www-data
fi

# An edge as a service: killed and started anew it takes over its group again.
answers() { # seconds
  python3 - "$1" <<'PYTHON'
import sys, time, urllib.request
until = time.time() + int(sys.argv[1])
while time.time() < until:
    try:
        sys.exit(urllib.request.urlopen("http://127.0.0.1:8080/").read() != b"alive")
    except OSError:
        time.sleep(0.2)
sys.exit(1)
PYTHON
}
served() { # lines of the unit
  local group='by a control group in /sys/fs/cgroup/system.slice/served.service' starts all=no
  mkdir -p /srv/f && chmod 755 /srv /srv/f
  echo "export const handler = async () => ({ status: '200', body: 'alive' });" >/srv/f/index.mjs
  cat >/srv/selvedge.toml <<'CONFIG'
[server]
http = ["127.0.0.1:8080"]
data_dir = "/var/lib/served"
[functions.f]
code = "f"
[distributions.site]
domains = ["*"]
[distributions.site.origins.o]
url = "http://192.0.2.1"
[distributions.site.default_behavior]
origin = "o"
hooks.viewer-request = "f"
CONFIG
  { echo '[Service]'; printf '%s\n' 'Restart=always' 'StateDirectory=served' 'StandardError=truncate:/run/served' "$@"
    echo 'ExecStart=/run/vm/release/selvedge serve --require-sandbox --config /srv/selvedge.toml'; } >/run/systemd/system/served.service
  systemctl daemon-reload && systemctl start served.service
  say "selvedge serve, killed and started anew, in a unit with: $*"
  if answers 120; then
    mv /run/served /run/served.first
    systemctl kill --signal=KILL --kill-whom=main served.service
    sleep 1
    answers 120 && starts=$(cat /run/served /run/served.first | grep -c "$group") && [ "$starts" = 2 ] && all=yes
  fi
  systemctl stop served.service
  for _ in $(seq 50); do [ -e /sys/fs/cgroup/system.slice/served.service ] || break; sleep 0.1; done
  [ -e /sys/fs/cgroup/system.slice/served.service ] && all=no
  [ $all = yes ] || cat /run/served /run/served.first
  count $all "serve: $*"
}
if [[ $PARTS == *unit* ]]; then
  served 'Delegate=cpu' 'TasksMax=infinity'
  served 'Delegate=cpu' 'TasksMax=infinity' 'User=www-data' 'LimitNICE=+0'
fi

run() { # name, seconds, program, arguments
  local name=$1 seconds=$2 program=$3 log=/tmp/$1.log ok bad; shift 3
  [[ " $PARTS " == *" $name "* ]] || return 0
  say "$name: ${program##*/} $*"
  timeout -k 5 "$seconds" /run/vm/bin/in-own-group.sh "$program" --test-threads=1 "$@" 2>&1 | tee "$log" |
    grep --line-buffered -E '^(test |p99 )'
  local rc=${PIPESTATUS[0]}
  ok=$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$log")
  bad=$(sed -n 's/^test result: .* \([0-9]*\) failed.*/\1/p' "$log")
  if [ -z "$ok" ] || [ "$((ok + bad))" = 0 ]; then bad=1; say "$name: no result, exit code $rc"; fi
  if [ "$bad" != 0 ]; then sed -n '/^failures:/,$p' "$log" | head -n 300; fi
  passed=$((passed + ${ok:-0})) failed=$((failed + bad))
}
source /run/vm/tests.sh

say "$passed passed, $failed failed"
