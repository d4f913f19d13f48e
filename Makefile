# Two commands matter: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 300
START ?= 1
SEED ?= 1
# crashtest, soak and longrun take KILLS, MINUTES and WALLETS, bench-extract WALLETS; what is left out is each one's own default.
LENGTH = $(if $(WALLETS),--wallets $(WALLETS)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: setup demo test test-long check lint types layers contracts bench bench-extract sim sim-seed soak crashtest crashtest-money longrun image lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/ghost-fleet demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not long" tests $(ARGS)

test-long: setup
	$(BIN)/python -m pytest -n 2 --dist load -m long tests $(ARGS)

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

bench-extract: setup
	$(BIN)/python -m benchmarks.extract $(if $(WALLETS),--wallets $(WALLETS)) $(ARGS)

sim: setup
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --start $(START) $(ARGS)

sim-seed: setup
	$(BIN)/python -m tests.simulation --seed $(SEED) $(ARGS)

crashtest: setup
	$(BIN)/python -m tests.crashtest $(if $(KILLS),--kills $(KILLS)) $(if $(WALLETS),--wallets $(WALLETS)) $(ARGS)

crashtest-money: setup
	$(BIN)/python -m tests.crashtest.money $(ARGS)

soak: setup
	$(BIN)/python -m tests.soak $(LENGTH) $(ARGS)

longrun: setup
	$(BIN)/python -m tests.longrun $(LENGTH) $(if $(KILLS),--kills $(KILLS)) $(ARGS)

image:
	scripts/image.sh $(ARGS)

lock: setup
	scripts/lock.sh

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache demo out
