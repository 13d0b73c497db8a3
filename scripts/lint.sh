#!/usr/bin/env bash
# Format, clippy, documentation and dependency rules; any finding is an error.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/setup.sh"
"$ROOT/scripts/v8.sh"

cd "$ROOT"
say "cargo fmt"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
say "cargo clippy"
cargo clippy --release --workspace --all-targets --locked --quiet -- -D warnings
say "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked --quiet

if ! cargo deny --version >/dev/null 2>&1; then
  say "cargo deny is not installed, building it (about five minutes)"
  cargo install cargo-deny --locked --quiet --root "$TOOLS" || {
    say "SKIPPED: cargo deny could not be installed, licences and advisories are unchecked"
    exit 0
  }
fi
say "cargo deny: bans, licences, sources"
cargo deny --locked check bans licenses sources
if timeout 60 cargo deny --locked fetch db >/dev/null 2>&1; then
  say "cargo deny: advisories"
  cargo deny --locked check advisories
else
  say "SKIPPED: the advisory database cannot be fetched from here"
fi
