#!/usr/bin/env bash
# Builds the collector of manifest.yaml from published Go modules, once per manifest, into a cache outside
# the tree. The last line printed is the path of the program; everything else goes to standard error.
#
#   OPAMP_CACHE_DIR   where the cache lies (default: ~/.cache/opamp-rs)
#
# `build.sh --path` prints where the program would lie, and builds nothing. Ends with 3 where there is no Go.
set -euo pipefail

builder_version=v0.149.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest="$here/manifest.yaml"

say() { printf 'collector: %s\n' "$*" >&2; }

if command -v sha256sum >/dev/null 2>&1; then
  hash=$(sha256sum <"$manifest" | cut -c1-16)
else
  hash=$(shasum -a 256 <"$manifest" | cut -c1-16)
fi
cache="${OPAMP_CACHE_DIR:-$HOME/.cache/opamp-rs}/otelcol/$hash"
program="$cache/otelcol"

if [ "${1:-}" = "--path" ]; then
  printf '%s\n' "$program"
  exit 0
fi
if [ -x "$program" ]; then
  printf '%s\n' "$program"
  exit 0
fi
go=$("$here/../../scripts/go-path") || {
  status=$?
  say "the real collector cannot be built; mend that and run $0 again"
  exit "$status"
}
export PATH="$go:$PATH" GOTOOLCHAIN=local

mkdir -p "$cache"
# Two runs at once: the second waits for the first and finds its program. Without flock(1) both build,
# each in a directory of its own, and the later rename wins: wasteful, not wrong.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$cache/lock"
  if ! flock -n 9; then
    say "another build is under way; waiting for it"
    flock 9
  fi
  if [ -x "$program" ]; then
    printf '%s\n' "$program"
    exit 0
  fi
fi

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say "building with $(go version | cut -d' ' -f3) in $work (about 2 minutes on 2 cores)"
GOBIN="$work/bin" go install "go.opentelemetry.io/collector/cmd/builder@$builder_version" >&2
# The builder reads `dist.output_path` relative to where it runs. Strict versioning is off because the
# manifest mixes one older module in; the Go tool still checks every module against its checksum.
cp "$manifest" "$work/manifest.yaml"
(
  cd "$work"
  printf '\n' >>manifest.yaml
  sed -i.bak 's/^dist:$/dist:\n  output_path: .\/out/' manifest.yaml
  ./bin/builder --skip-strict-versioning --config manifest.yaml >&2
)
"$work/out/otelcol" --version >&2
mv -f "$work/out/otelcol" "$program"
say "built $(du -h "$program" | cut -f1) at $program"
printf '%s\n' "$program"
