# Everything runs in .venv, which make builds itself: Python 3.11 or newer, make and git are enough.
# `make` alone lists the targets.

PYTHON ?= python3
SECONDS ?=
SEEDS ?= 4
HOURS ?= 0.5
LAYER ?= both
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages
READY := $(VENV)/.ready
CODE := $(wildcard src plugins tests bench)

.DELETE_ON_ERROR:
.PHONY: help demo sim test test-real test-long lint format bench bench-oversell etc lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## run the daemon against simulated shops (SECONDS=45 for a short one)
	@$(BIN)/syncd demo $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

sim: $(READY) ## play seeded worlds against the daemon (SEEDS=40 HOURS=0.5 LAYER=whole)
	@$(BIN)/syncd sim --layer $(LAYER) --seeds $(SEEDS) --hours $(HOURS) $(ARGS)

test: $(READY) ## run the tests (ARGS='tests/config -x' for some)
	@$(BIN)/python -m pytest $(ARGS)

test-real: $(READY) ## run the tests that talk to a real server process
	@$(BIN)/python -m pytest -m real $(ARGS)

test-long: $(READY) ## run the dense plays of the whole daemon in virtual time
	@$(BIN)/python -m pytest -m long $(ARGS)

lint: $(READY) ## check style, types and import directions
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## write all files in house style
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

bench: $(READY) ## measure
	@$(BIN)/python -m bench $(ARGS)

bench-oversell: $(READY) ## count oversold units under eight ways of working (ARGS=--quick for a small run)
	@$(BIN)/python -m bench oversell $(ARGS)

etc: $(READY) ## write the sample settings and the settings page anew
	@$(BIN)/python -m syncd.config sample > etc/syncd.toml
	@$(BIN)/python -m syncd.config page > docs/settings.md

# No index address may get into the file: it names versions and hashes, each machine its own index.
lock: $(READY) ## pin all versions anew (ARGS=--upgrade for newer ones)
	@$(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install -qq --disable-pip-version-check pip-tools
	@CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/lock/bin/pip-compile --quiet --generate-hashes --strip-extras \
		--allow-unsafe --all-extras --all-build-deps --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--output-file constraints.txt $(ARGS) pyproject.toml

clean: ## remove everything that make and the tools built
	@rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PACKAGES): constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "syncd needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "building $(VENV), once …" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r constraints.txt
	@touch $@

$(READY): $(PACKAGES) pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
