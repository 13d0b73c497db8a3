#!/usr/bin/env bash
# Puts the V8 static library where the crate `v8` looks for it before it
# downloads, and says which of five sources it took:
#   1 the crate's cache, 2 $SELVEDGE_V8_DIR, 3 ../shared/v8 beside the repository,
#   4 the crate's own release page, 5 a build from source (scripts/build-v8.sh).
set -euo pipefail
source "$(dirname "$0")/env.sh"

if [ -n "${RUSTY_V8_ARCHIVE:-}" ]; then
  say "V8: RUSTY_V8_ARCHIVE is set, the build uses $RUSTY_V8_ARCHIVE"
  exit 0
fi
version=$(awk '/^name = "v8"$/ { getline; gsub(/"/, ""); print $3 }' "$ROOT/Cargo.lock")
[ -n "$version" ] || die "Cargo.lock names no crate v8"
file=librusty_v8_simdutf_release_$(uname -m)-unknown-linux-gnu.a.gz
url=https://github.com/denoland/rusty_v8/releases/download/v$version/$file
cached=$CARGO_HOME/.rusty_v8/$(printf %s "$url" | tr -c 'a-zA-Z0-9' _)

# store FILE: into the cache in one step, so that an interrupted copy is never used.
store() {
  mkdir -p "$(dirname "$cached")"
  cp "$1" "$cached.part"
  mv "$cached.part" "$cached"
}

if [ -s "$cached" ]; then
  say "V8 $version: already in the crate's cache ($cached)"
  exit 0
fi
for directory in "${SELVEDGE_V8_DIR:-}" "$ROOT/../shared/v8"; do
  [ -n "$directory" ] && [ -f "$directory/$file" ] || continue
  if [ -f "$directory/SHA256SUMS" ] && (cd "$directory" && grep -F "$file" SHA256SUMS | sha256sum --check --quiet -); then
    store "$directory/$file"
    say "V8 $version: not in the cache; taken from $directory, checksum matches"
    exit 0
  fi
  say "V8 $version: $directory/$file does not match SHA256SUMS there (or there is none), not used"
done

say "V8 $version: no archive on this machine, downloading $url"
download=$(mktemp)
trap 'rm -f "$download"' EXIT
if curl --fail --location --silent --show-error --connect-timeout 20 --retry 2 --output "$download" "$url" && gzip --test "$download"; then
  store "$download"
  say "V8 $version: downloaded"
  exit 0
fi
say "V8 $version: the download failed; building it from source takes about 90 minutes on 2 cores"
"$ROOT/scripts/build-v8.sh" "$version" "$cached"
