#!/usr/bin/env bash
# Writes the lock files from pyproject.toml: what the service needs, what building it needs, and what working on it needs.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
test -x "$uv" || .venv/bin/python -m pip install --quiet uv
common="--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate"
$uv pip compile $common pyproject.toml -o requirements.lock
$uv pip compile $common --extra dev --no-emit-package ghost-fleet pyproject.toml -o requirements-dev.lock
.venv/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
  $uv pip compile $common - -o requirements-build.lock
