# All a newcomer or a developer types. Needs: make, and Python 3.11 or newer with venv. The rest goes into .venv.

# The first Python that really runs, is new enough and can make environments; 3.11 first, as the tests run on it.
CAN = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c '$(CAN)' >/dev/null 2>&1 && { command -v $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check floors docs bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(READY)  ## learn and judge a recorded incident, into ./demo/
	$(BIN)/jamais demo --out demo

test: $(READY)  ## the default tests (under 10 minutes on two cores)
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-all: $(READY)  ## the slow tests, too
	$(BIN)/python -m pytest

check: $(READY)  ## style, types, floors, generated pages: all that needs no run
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m dev.docs --check

floors: $(READY)  ## imports go down only
	$(BIN)/lint-imports

docs: $(READY)  ## write docs/settings.md and docs/cli.md anew
	$(BIN)/python -m dev.docs

bench: $(READY)  ## every figure in the docs (needs the data sets: benchmarks/README.md)
	$(BIN)/python -m benchmarks.quality.logs
	$(BIN)/python -m benchmarks.speed.logs
	$(BIN)/python -m benchmarks.quality.persistence
	$(BIN)/python -m benchmarks.speed.persistence
	$(BIN)/python -m benchmarks.quality.detectors
	$(BIN)/python -m benchmarks.quality.memories
	$(BIN)/python -m benchmarks.quality.calibration
	$(BIN)/python -m benchmarks.speed.detectors
	$(BIN)/python -m benchmarks.quality.series
	$(BIN)/python -m benchmarks.quality.memto
	$(BIN)/python -m benchmarks.speed.series
	$(BIN)/python -m benchmarks.speed.memto

clean:  ## throw away the environment, caches and the demo's output
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests dev benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, so that an environment that was not finished is finished the next time.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "jamais needs Python 3.11 or newer with venv (Debian: apt install python3-venv)," \
		"found none: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "filling $(VENV): the first time downloads a few hundred MB" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@
