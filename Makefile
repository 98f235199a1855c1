# Nacre. `make help` lists the commands; none needs root or a global install.
.DEFAULT_GOAL := help
.PHONY: help setup ext demo test unit-test integration-test compiled-test sanitize long-test chaos fuzz compose-test bench lint lock up down logs clean
.PHONY: coverage format check

PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# This is outside .venv, so that whatever removes the loops removes it too.
COMPILED := build/.compiled
PYX := common/batches/compiled.pyx common/rows/compiled.pyx
PYTEST := $(BIN)/python -m pytest
# Most tests wait more than they work, so several run side by side. Those that measure seconds run first, one by one.
WORKERS := --numprocesses auto --dist loadgroup
SIDE_BY_SIDE := $(WORKERS) -m 'not alone and not long'
LONG := $(WORKERS) -m long
ONE_BY_ONE := -m alone
# Chaos tests run a broker, all services and a load of rows each: two at a time fill two cores.
CHAOS := --numprocesses 2 --dist loadgroup -m 'not alone'
# What `make bench` measures, in this order.
BENCHES := throughput many_categories many_files latency memory start_stop watching growth database file_to_file
# The least percentages that `make coverage` accepts: of all code, and of the pure packages.
COVERAGE := 71
PURE_COVERAGE := 98
PURE := common/protocol/*,common/rows/*,services/ingest/delivered/*,services/ingest/naming/*,services/ingest/parsing/*,services/sink/paths/*,services/sink/tallies/*,services/split/categories/*

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: $(COMPILED) ## make .venv with everything in it, nothing else

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Nacre needs Python 3.11 or newer; set PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install your system's python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

# Compiled once per change of a source. Where there is no compiler, each command tries again.
$(COMPILED): $(PYX) $(READY)
	@$(BIN)/python -W ignore -c 'from setuptools import setup; setup()' --quiet build_ext --inplace >/dev/null 2>$(VENV)/compiling.log || { cat $(VENV)/compiling.log >&2; exit 1; }
	@if $(BIN)/python -c 'import common.batches.compiled, common.rows.compiled' 2>/dev/null; then mkdir -p $(@D) && touch $@; \
	else echo "no C compiler ($(VENV)/compiling.log): the services do all, more slowly; with gcc, \`make ext\` compiles the loops" >&2; fi

ext: ## compile the loops over record batches and rows, nothing else
	@rm -f $(COMPILED)
	@$(MAKE) --no-print-directory $(COMPILED)

demo: setup ## 4,177 abalone rows through a real Kafka into one CSV per category; or ARGS=--kill
	@$(BIN)/nacre demo $(ARGS)

test: setup ## everything that a change must not break, in minutes: real Kafka, processes and signals; or ARGS, as pytest takes them
ifdef ARGS
	@# A selection alone, in one run and one process: ARGS='-k signals', ARGS=tests/unit/common.
	$(PYTEST) $(if $(filter tests tests/%,$(ARGS)),,tests/integration tests/unit) $(ARGS)
else
	$(PYTEST) tests/integration $(ONE_BY_ONE)
	$(PYTEST) tests/integration tests/unit $(SIDE_BY_SIDE)
endif

unit-test: setup ## the pure parts, without Kafka
	$(PYTEST) tests/unit $(SIDE_BY_SIDE)

integration-test: setup ## real Kafka, real processes and signals
	$(PYTEST) tests/integration $(ONE_BY_ONE)
	$(PYTEST) tests/integration $(SIDE_BY_SIDE)

compiled-test: setup ## the pure parts and the formats of rows in transit, with the compiled loops if there are any
	$(PYTEST) tests/unit tests/integration/test_formats.py tests/integration/test_record_batches.py $(SIDE_BY_SIDE)

sanitize: setup ## the tests of the compiled loops with address and undefined-behaviour sanitizers, where there is gcc
	.ci/sanitize

long-test: setup ## what takes longer: brokers of many kinds, kills, a short selection of chaos, and the containers
	$(PYTEST) tests/integration $(LONG)
	$(PYTEST) tests/chaos $(ONE_BY_ONE)
	$(PYTEST) tests/chaos tests/compose $(CHAOS)

coverage: setup ## how much of the code the unit tests run, by line and branch; fails if it is less than before
	$(PYTEST) tests/unit --cov --cov-report= $(SIDE_BY_SIDE)
	$(BIN)/python -m coverage report --fail-under $(COVERAGE)
	$(BIN)/python -m coverage report --fail-under $(PURE_COVERAGE) --include '$(PURE)'

chaos: setup ## kills and faults for CHAOS_MINUTES (60); CHAOS_SEED repeats a run
	CHAOS_MINUTES=$${CHAOS_MINUTES:-60} $(PYTEST) tests/chaos $(ONE_BY_ONE)
	CHAOS_MINUTES=$${CHAOS_MINUTES:-60} $(PYTEST) tests/chaos $(CHAOS)

fuzz: setup ## random bytes for the code that reads files, compared with Python's csv, for FUZZ_MINUTES (60); FUZZ_SEED repeats a run
	$(BIN)/python -m tests.fuzz

compose-test: setup ## the containers, with a real Docker
	$(PYTEST) tests/compose

bench: setup $(BENCH)/.ready ## Nacre beside others at the same work, what grows with what, plots; or ARGS='--only nacre go'
ifdef ARGS
	$(BIN)/python -m benchmarks.throughput $(ARGS)
else
	@began=$$(date +%s); \
	for name in $(BENCHES); do \
		at=$$(date +%s); \
		echo "$(BIN)/python -m benchmarks.$$name"; \
		$(BIN)/python -m benchmarks.$$name || exit; \
		echo "$$name took $$(($$(date +%s) - at)) s"; \
	done; \
	$(BENCH)/bin/python -m benchmarks.plots || exit; \
	took=$$(($$(date +%s) - began)); \
	echo "all of it took $$((took / 60)) min $$((took % 60)) s; on a quiet machine it takes at most 25 min"
endif

$(BENCH)/.ready: requirements-bench.txt
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

format: setup ## mend what ruff can: layout, order of imports
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: setup ## ruff, the arrows between packages, and mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

check: lint ## lint, spelling, and the Cython modules: what .pre-commit-config.yaml does before each commit
	$(BIN)/codespell
	PATH=$(BIN):$$PATH cython-lint $(wildcard common/*.pyx common/*/*.pyx)

lock: setup ## pin the newest versions that pyproject.toml allows, with hashes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --upgrade pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --upgrade pyproject.toml --extra ops --group dev -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --upgrade --group build -o requirements-build.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --upgrade --python-version 3.11 --group bench -o requirements-bench.txt

up: ## Kafka and the three services in containers; SPLIT_BY and more from the environment
	docker compose up --build --detach

down: ## stop and remove them; Kafka's data and out/ stay and go on with the next up
	docker compose down

logs: ## follow their logs
	docker compose logs --follow

clean: ## remove .venv, caches, compiled files, out/ and, with Docker, Kafka's data
	@if docker info >/dev/null 2>&1; then docker compose down --volumes; fi
	rm -rf $(VENV) $(BENCH) out .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	rm -rf build common/*/compiled.c common/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
