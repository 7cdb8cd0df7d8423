# Each target sets up .venv first, once; nothing is installed outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
# Of the Dagster UI: make dev PORT=3001
PORT ?= 3000
# Three at a time on two cores: many tests wait for sockets and other processes.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-all test-thorough check

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

demo: $(VENV)/installed ## Run everything on simulated messages and print delivery rates
	@$(BIN)/sms-delivery demo

dev: $(VENV)/installed ## Open the Dagster UI on http://127.0.0.1:3000 (PORT=…)
	@$(BIN)/python -m assets.dev --port $(PORT)

test: $(VENV)/installed-dev ## Run the quick tests
	@$(PYTEST) -m 'not slow and not thorough'

test-all: $(VENV)/installed-dev ## Run the slow tests too
	@$(PYTEST) -m 'not thorough'

test-thorough: $(VENV)/installed-dev ## Repeat kills, signals and random worlds by the hundred
	@$(PYTEST) -m thorough

check: $(VENV)/installed-dev ## Run ruff, mypy and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
