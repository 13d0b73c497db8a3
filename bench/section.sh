#!/usr/bin/env bash
# Puts a section of bench/results.md, read from standard input, in the place of
# the one with the same title, or at the end. Usage: section.sh TITLE
set -euo pipefail
file=$(dirname "$0")/results.md
section=$(cat)
rest=$(awk -v title="## $1" '/^## / { skip = ($0 == title) } !skip' "$file")
printf '%s\n\n%s\n' "$rest" "$section" >"$file"
printf '%s\n' "$section"
