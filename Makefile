# Each target sets up .venv first, once; nothing is installed outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip --disable-pip-version-check install -qq --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
# The peers of the benchmark have an environment of their own.
PEERS := .venv-peers
# To measure a part: make bench MESSAGES=20000,200000 LATENCY=0,50 ROUNDS=1 CONTENDERS=pipeline,floor
BENCH = $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(LATENCY),--latency $(LATENCY)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
  $(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(HUGE),--huge) \
  $(if $(MESSAGES)$(LATENCY)$(CONTENDERS),,--write)
# Of the Dagster UI: make dev PORT=3001
PORT ?= 3000
# Three at a time on two cores: many tests wait for sockets and other processes.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo dev docs test test-all test-thorough check bench bench-growth bench-parts

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about two minutes the first time"
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --editable '.[dev]'
	@touch $@

$(PEERS)/installed: benchmarks/peers/requirements.txt constraints.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing into $(PEERS), once"
	@$(PEERS)/bin/python $(INSTALL) --requirement benchmarks/peers/requirements.txt
	@touch $@

demo: $(VENV)/installed ## Run everything on simulated messages and print delivery rates
	@$(BIN)/sms-delivery demo

dev: $(VENV)/installed ## Open the Dagster UI on http://127.0.0.1:3000 (PORT=…)
	@$(BIN)/sms-delivery ui --port $(PORT)

test: $(VENV)/installed-dev ## Run the quick tests, and print the 15 slowest
	@$(PYTEST) --durations=15 -m 'not slow and not thorough'

test-all: $(VENV)/installed-dev ## Run the slow tests too
	@$(PYTEST) -m 'not thorough'

test-thorough: $(VENV)/installed-dev ## Repeat kills, signals and random worlds by the hundred
	@$(PYTEST) -m thorough

check: $(VENV)/installed-dev ## Run ruff, mypy, the import contract, load Dagster's definitions, audit pinned versions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/dg check defs
	@$(BIN)/python -m tests.support.advisories

docs: $(VENV)/installed-dev ## Write the generated parts of README and docs
	@$(BIN)/python -m tests.support.readme

bench: $(VENV)/installed-dev $(PEERS)/installed ## Measure whole runs against peers and a floor: half an hour (MESSAGES=20000 ROUNDS=1: a minute)
	@$(BIN)/python -m benchmarks.end_to_end $(BENCH)

bench-growth: $(VENV)/installed-dev ## Measure refreshes, publications and queries as the lake grows: half an hour, 3 GB
	@$(BIN)/python -m benchmarks.growth $(if $(QUICK),--quick)

bench-parts: $(VENV)/installed-dev ## Measure each part of the pipeline against its floor: two minutes
	@$(BIN)/python -m benchmarks.parts
