PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test lint bench clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.setup ## create .venv and install the package (does nothing when it is up to date)

setup-dev: $(VENV)/.setup-dev ## the same, with what tests and lint need

demo: setup ## make a dataset of 200 examples in outputs/demo
	$(BIN)/python -m muat_exp dataset.num_examples=200 hydra.run.dir=outputs/demo

test: setup-dev ## run the tests
	$(BIN)/python -m pytest -q

lint: setup-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup-dev ## measure the speed beside training one subject at a time (minutes)
	$(BIN)/python -m muat_exp.benchmark

clean: ## remove caches and builds; datasets stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find muat_exp tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.setup: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.setup-dev: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.setup
