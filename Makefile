# mta-sts-lab. `make help` lists what there is. Nothing needs to be installed beforehand but Python 3.11 or newer.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TARGET ?= reference
ARGS ?=
JOBS ?= $(shell echo $$((2 * $$(nproc))))
MINUTES ?= 10

# Compiled modules are kept, whatever the surroundings say. The tests start some hundred programs, and pytest rewrites
# each of its own files: collecting the tests took 12 s of processor time without them, 5 s with them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup test checks test-fast test-images test-docker test-nightly \
        nightly-process nightly-docker nightly-whole test-thorough targets images base-image documents soak bench mutants clean

help: ## Show what make can do
	@grep -hE '^[a-z%.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 26

setup: $(VENV)/.ready ## Set up the virtual environment in .venv

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mta-sts-lab needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "this Python makes no virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

scenario-%: $(VENV)/.ready ## Show an attack: make scenario-strip [TARGET=postfix]
	@$(BIN)/sts-lab demo '$*' --target '$(TARGET)' $(ARGS)

lesson-%: $(VENV)/.ready ## Make a page that plays an attack in a browser: make lesson-strip [TARGET=postfix]
	@$(BIN)/sts-lab demo '$*' --target '$(TARGET)' --html 'lesson-$*.html' $(ARGS)

test: $(VENV)/.ready ## Run the checks, and the tests that end within ten minutes (without an engine those with Docker are skipped)
	@echo "checks; what building the images of the tests prints comes behind them"
	@$(MAKE) --no-print-directory --jobs 2 timed-checks beside-test-images
	@$(MAKE) --no-print-directory timed-test-fast
	@$(MAKE) --no-print-directory timed-test-docker

timed-%:
	@began=$$SECONDS; $(MAKE) --no-print-directory $*; echo "make $* took $$((SECONDS - began)) s"

beside-%:
	@log=$$(mktemp); status=0; $(MAKE) --no-print-directory timed-$* >"$$log" 2>&1 || status=$$?; \
	  cat "$$log"; rm "$$log"; exit $$status

checks: $(VENV)/.ready ## Run the linters, and compare the documents with what the program prints
	$(BIN)/ruff check lab tests docker docs
	$(BIN)/ruff format --check lab tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sts-lab lint
	$(BIN)/python docs/print_outputs.py --check

# Where ARGS select tests of one kind only, the other parts have none (status 5).
PYTEST = $(BIN)/python -m pytest
OR_NONE = $(if $(ARGS),|| [ $$? -eq 5 ])

# Tests wait more than they work, those with Docker most of all: two processes for each processor, and one more there.
test-fast: $(VENV)/.ready ## Run the tests of `make test` that need no Docker
	$(PYTEST) --numprocesses $(JOBS) --dist loadgroup -m 'not docker and not nightly and not thorough' $(ARGS) $(OR_NONE)

test-images: $(VENV)/.ready ## Build the images that the tests need
	$(BIN)/python -m tests.build_images

# The longest first: what begins last is waited for. No other file has such tests (tests/test_required_engine.py).
DOCKER_TESTS = $(if $(findstring tests/,$(ARGS)),,tests/test_wheel.py tests/backends/docker tests/exercises tests/runs/test_several.py)

DOCKER_PYTEST = $(PYTEST) --numprocesses $$(($(JOBS) + 1)) --dist loadgroup --maxschedchunk 1

test-docker: test-images ## Run the tests of `make test` that need Docker
	$(DOCKER_PYTEST) -m 'docker and not alone and not nightly and not thorough' $(DOCKER_TESTS) $(ARGS) $(OR_NONE)

test-nightly: test-images ## Run what `make test` leaves: what takes longest of each kind, and three mail servers whole
	@status=0; for part in process docker whole; do \
	  $(MAKE) --no-print-directory timed-nightly-$$part || status=2; done; exit $$status

nightly-process:
	$(PYTEST) --numprocesses $(JOBS) --dist loadgroup -m 'nightly and not docker and not thorough' $(ARGS) $(OR_NONE)

nightly-docker:
	$(DOCKER_PYTEST) -m 'nightly and docker and not alone and not thorough' $(DOCKER_TESTS) $(ARGS) $(OR_NONE)

# Tests marked `alone` play the whole catalogue against a mail server, which waits for half of that time: two at once.
nightly-whole:
	$(PYTEST) --numprocesses 2 --dist loadfile -m 'docker and alone and not thorough' $(DOCKER_TESTS) $(ARGS) $(OR_NONE)

test-thorough: $(VENV)/.ready ## Run what takes long of the tests without Docker: all cases of each flaw, kills at more moments
	$(PYTEST) --numprocesses $(JOBS) --dist loadgroup -m 'thorough and not docker' $(ARGS)

targets: test-images ## Play the whole catalogue against every target, and all else that takes minutes of Docker
	$(PYTEST) --numprocesses 2 --maxschedchunk 1 -m 'docker and (thorough or target_postfix or target_exim or target_chasquid)' $(DOCKER_TESTS) $(ARGS)

images: $(VENV)/.ready ## Build the Docker images
	$(BIN)/sts-lab targets --build

base-image: ## Make the base image from Debian's archive (as root; only where no registry is reachable)
	docker/base/make-base.sh

documents: $(VENV)/.ready ## Put the program's own output into the documents (needs Docker)
	$(BIN)/python docs/print_outputs.py --once

soak: $(VENV)/.ready ## Play 10,000 cases under changing load; or make soak CASES='starttls/*' ROUNDS=20 LOAD=1
	@set -f; $(BIN)/python -m tests.soak $(CASES) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LOAD),--load $(LOAD)) \
	  --target '$(TARGET)'

bench: $(VENV)/.ready ## Measure the time budgets, 10,000 cases, each target; ARGS=exim: only that; ARGS="--scale": only the cases
	$(BIN)/python -m mta_sts_lab.bench $(ARGS)

mutants: $(VENV)/.ready ## Change decisions of the reference sender and list what no case finds; MINUTES=10, goes on next time
	$(BIN)/python -m tests.mutants --minutes '$(MINUTES)' --jobs $(JOBS) $(ARGS)

clean: ## Remove the virtual environment, caches, and what killed runs left
	-@[ ! -x $(BIN)/sts-lab ] || $(BIN)/sts-lab clean
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
