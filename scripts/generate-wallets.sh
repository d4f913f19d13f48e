#!/bin/sh
# scripts/generate-wallets.sh COUNT DIR PROFILE [OPTION...]: new wallets in DIR, see `ghost-fleet wallets generate --help`.
# Paths in DIR/wallets.toml are absolute, so that it can be appended to a settings file anywhere on this machine.
set -eu
if [ "$#" -lt 3 ]; then
    echo "usage: $0 COUNT DIR PROFILE [OPTION...]" >&2
    exit 2
fi
count=$1 dir=$2 profile=$3
shift 3
here=$(dirname "$0")/..
if [ -x "$here/.venv/bin/ghost-fleet" ]; then
    command=$here/.venv/bin/ghost-fleet
else
    command=ghost-fleet
fi
exec "$command" wallets generate "$count" --out "$dir" --profile "$profile" "$@"
