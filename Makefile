# `make` alone prints the targets. Everything is installed into .venv, once for each change of
# pyproject.toml or constraints.txt; pip uses whatever index it is configured with.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.bench-installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Processes that run the tests; `make test WORKERS=auto` takes one for each core.
WORKERS ?= 2

# As `rederive generate`, but works when generated/ cannot be imported.
GENERATE := $(BIN)/python tools/bootstrap.py generate

.DEFAULT_GOAL := help
.PHONY: help install run test generate check check-generated bench clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

run: install ## generate the code, check every gradient, train on the digits
	$(BIN)/rederive generate
	$(BIN)/rederive gradcheck
	$(BIN)/python examples/digits.py

test: install ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS)

generate: install ## write generated/ from derivatives.yaml
	$(GENERATE)

# mypy cannot follow the import hook of an editable installation, so the package's real name is
# laid out for it as a link.
check: install check-generated ## compare generated/, check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@mkdir -p build/types/rederive && ln -sfn ../../../codegen build/types/rederive/codegen
	MYPYPATH=build/types $(BIN)/mypy --strict -p rederive.codegen

check-generated: install ## compare generated/ with derivatives.yaml
	$(GENERATE) --check

bench: install $(BENCH_INSTALLED) ## compare speed with PyTorch (installs it into .venv)
	$(BIN)/rederive bench

clean: ## remove .venv and everything that building or testing left
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(INSTALLED)

# The interpreters are tried by running them: a version manager's shim may exist and refuse to run.
$(BIN)/python:
	@for python in $${PYTHON:-python3.11 python3}; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    $$python -m venv $(VENV) && exit 0; \
	    echo "make: $$python could not create $(VENV) (on Debian: install python3-venv)" >&2; \
	    rm -rf $(VENV); exit 1; \
	  fi; \
	done; \
	echo "make: Python 3.11 or newer is needed; name one with 'make PYTHON=/path/to/python'" >&2; \
	exit 1

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[test]'
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -e '.[bench]'
	@touch $@
