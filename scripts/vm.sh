#!/usr/bin/env bash
# Runs the tests of the sandbox, of limits and of control groups in virtual
# machines with Debian's kernels: what they promise of control groups of version 2
# and of landlock does not depend on the machine they were written on.
# Arguments are Debian releases (default: bookworm trixie). The machines are
# emulated, which takes about ten minutes each; where the processor can help,
# VM_ACCELERATION='-accel kvm -cpu host' is faster. VM_PARTS names parts of
# scripts/vm/tests.sh, VM_SECONDS bounds each machine, VM_MIRRORS are Debian's
# archive and its security archive where this machine's own sources are others'.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/setup.sh" qemu-system-x86 mmdebstrap genext2fs
"$ROOT/scripts/build.sh"

releases=("$@")
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie)
vm=$HOME/.cache/selvedge/vm
# One thread for both processors: with more, QEMU 7.2 loses changes that a kernel makes to its own code.
acceleration=${VM_ACCELERATION:--accel tcg,thread=single}
parts=${VM_PARTS:-check unit sandbox native cpu invocations groups files python custom limits hostile neighbour}
read -r archive security <<<"${VM_MIRRORS:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -E '/debian(-security)?/?$' | sort -u | xargs)}"
[ -n "${security:-}" ] || die "the sources of apt on this machine are not Debian's; VM_MIRRORS='ARCHIVE SECURITY-ARCHIVE' names them"
mkdir -p "$vm"
work=$(mktemp -d "$vm/run.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The tests' programs, by the names of their targets.
test_programs() {
  cargo test --release --workspace --locked --no-run --message-format=json | python3 -c '
import json, sys
wanted = {("sandbox", "lib"), ("native", "test"), ("functions", "lib"), ("invocations", "test"), ("plays", "test"), ("hostile", "test")}
for line in sys.stdin:
    about = json.loads(line)
    target = about.get("target", {})
    if about.get("executable") and (target["name"], target["kind"][0]) in wanted and about["profile"]["test"]:
        print(target["name"], about["executable"])'
}

# A disk with the programs and what the tests read. `native` alone is the name of a process that a test looks for.
write_programs() { # file
  local tree=$work/tree built=$CARGO_TARGET_DIR/release name path
  mkdir -p "$tree"/{bin,source,release/deps,release/examples}
  cp "$ROOT"/scripts/vm/{guest.sh,tests.sh} "$tree"
  cp "$ROOT/scripts/vm/in-own-group.sh" "$tree/bin"
  printf '#!/bin/sh\nexec /run/vm/bin/in-own-group.sh /run/vm/release/selvedge "$@"\n' >"$tree/bin/selvedge"
  chmod +x "$tree/bin/selvedge"
  cp "$built"/{selvedge,selvedge-js,selvedge-js.snapshot,selvedge-custom,libselvedge_python.so} "$tree/release"
  for name in selvedge-js selvedge-js.snapshot selvedge-custom libselvedge_python.so; do
    ln -s "../release/$name" "$tree/bin/$name"
  done
  say "building the tests"
  while read -r name path; do cp "$path" "$tree/release/deps/test-$name"; done < <(test_programs)
  cp "$built/examples/native" "$tree/release/examples"
  (cd "$ROOT" && git ls-files -z | tar --null -T - -cf -) | tar -xf - -C "$tree/source"
  printf 'ROOT=%q\nPARTS=%q\n' "$ROOT" "$parts" >"$tree/settings.sh"
  local kilobytes
  kilobytes=$(du -s --apparent-size "$tree" | cut -f1)
  genext2fs -B 4096 -b $((kilobytes / 3 + 20000)) -N 40000 -z -U -d "$tree" "$1" 2>"$work/log" || die "no disk: $(tail -n 1 "$work/log")"
}

# Debian with its kernel, kept between runs.
write_debian() { # release
  local directory=$vm/$1 new=$work/$1
  local wanted="2 $(sha256sum "$ROOT/scripts/vm/selvedge-vm.service" | cut -c 1-16)"
  [ "$(cat "$directory/made" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing Debian $1 into $directory"
  mkdir -p "$new/own/etc/systemd/system"
  cp "$ROOT/scripts/vm/selvedge-vm.service" "$new/own/etc/systemd/system"
  mmdebstrap --quiet --variant=minbase \
    --include=systemd-sysv,udev,curl,python3,ca-certificates,tzdata,linux-image-amd64,initramfs-tools,zstd "$1" "$new/debian.tar" \
    "deb $archive $1 main" "deb $security $1-security main"
  genext2fs -B 4096 -b 600000 -N 150000 -z -a "$new/debian.tar" -d "$new/own" "$new/disk" 2>"$new/log" || die "no disk: $(tail -n 1 "$new/log")"
  tar -xf "$new/debian.tar" -C "$new" --wildcards './boot/vmlinuz-*' './boot/initrd.img-*'
  rm -rf "$directory"
  mkdir "$directory"
  mv "$new"/boot/vmlinuz-* "$directory/kernel"
  mv "$new"/boot/initrd.img-* "$directory/initrd"
  mv "$new/disk" "$directory/disk"
  echo "$wanted" >"$directory/made"
}

boot() { # release
  # shellcheck disable=SC2086 # several words
  timeout "${VM_SECONDS:-3600}" qemu-system-x86_64 $acceleration -smp 2 -m 3072 -nodefaults -display none -no-reboot \
    -kernel "$vm/$1/kernel" -initrd "$vm/$1/initrd" \
    -append 'console=ttyS0 root=/dev/vda rw systemd.unit=selvedge-vm.service panic=-1' \
    -drive "file=$vm/$1/disk,format=raw,if=virtio,snapshot=on" \
    -drive "file=$work/programs,format=raw,if=virtio,readonly=on" \
    -serial "file:$vm/$1.boot.log" -serial stdio </dev/null
}

write_programs "$work/programs"
failed=
for release in "${releases[@]}"; do
  write_debian "$release"
  say "starting Debian $release in a virtual machine"
  boot "$release" | tee "$vm/$release.log" || true
  if ! tail -n 1 "$vm/$release.log" | grep -Eq '^-- [1-9][0-9]* passed, 0 failed'; then
    say "Debian $release: FAILED; $vm/$release.log, and $vm/$release.boot.log for what the kernel said"
    failed=yes
  fi
done
[ -z "$failed" ]
