# Everything a newcomer needs; `make` alone lists it. Python 3.11 to 3.13 is all that must be there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPOSE_SPEC := vendor.compose-spec
# `make check FAST_TESTS=no` leaves the tests to a `make test` that follows.
FAST_TESTS ?= yes
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install demo up check static test test-all format clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything in it (once)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo "Pretrainer needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is not one of them." >&2; \
	    echo "Name one: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "This Python cannot make virtual environments: its venv module is missing." >&2; \
	    echo "On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time this downloads PyTorch and takes minutes."
	@$(PIP) install --quiet --constraint constraints.txt torch==2.13.0
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,demo]'
	@touch $@

demo: $(STAMP) ## text in, two small models out, with proof that they learned
	@$(BIN)/pretrainer demo

up: $(STAMP) ## run the whole service on this machine
	@$(BIN)/pretrainer up

check: static ## what to run before every commit: format, lint, types, layers, fast tests
ifeq ($(FAST_TESTS),yes)
	$(BIN)/pytest -m 'not slow and not exhaustive'
endif

static: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema $(COMPOSE_SPEC) docker-compose.yml

test: $(STAMP) ## every test but those that take many minutes
	$(BIN)/pytest -m 'not exhaustive'

test-all: $(STAMP) ## every test there is
	$(BIN)/pytest

format: $(STAMP) ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was installed, built and cached; data stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
	    .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
