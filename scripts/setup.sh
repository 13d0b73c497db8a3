#!/usr/bin/env bash
# Installs what a build needs and the machine lacks (Debian and Ubuntu), and
# nothing else. Arguments are further packages, for example `setup.sh wrk`.
set -euo pipefail
source "$(dirname "$0")/env.sh"

command -v cargo >/dev/null || die "cargo is not installed: get Rust from https://rustup.rs"

# g++ and cmake build zlib-ng and the TLS library; libclang and clang's own headers serve bindgen.
packages=(cmake g++ pkg-config clang-14 libclang-14-dev curl python3 "$@")

if ! command -v dpkg-query >/dev/null; then
  say "not a Debian system: make sure these are installed: ${packages[*]}"
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "missing packages and no sudo: install ${missing[*]}"
  root=(sudo)
fi
say "installing ${missing[*]}"
"${root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
