#!/usr/bin/env bash
# Writes the two lock files from pyproject.toml: what the service needs, and what working on it needs.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
test -x "$uv" || .venv/bin/python -m pip install --quiet uv
common="--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate"
$uv pip compile $common pyproject.toml -o requirements.lock
$uv pip compile $common --extra dev --no-emit-package ghost-fleet pyproject.toml -o requirements-dev.lock
