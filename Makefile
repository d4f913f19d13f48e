# Two commands matter: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 300
START ?= 1
SEED ?= 1
KILLS ?= 200
MINUTES ?= 60

.PHONY: setup demo test check lint types layers contracts bench sim sim-seed soak crashtest lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/ghost-fleet demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests $(ARGS)

check: setup lint types layers

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

contracts: setup
	node scripts/compile-contracts.mjs

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

sim: setup
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --start $(START) $(ARGS)

sim-seed: setup
	$(BIN)/python -m tests.simulation --seed $(SEED) $(ARGS)

crashtest: setup
	$(BIN)/python -m tests.crashtest --kills $(KILLS) $(ARGS)

soak: setup
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

lock: setup
	scripts/lock.sh

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache demo out
