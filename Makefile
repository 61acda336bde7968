PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt
COMPILE := $(BIN)/python -c 'from muat_exp.generation.pipeline import ensure_compiled; ensure_compiled(print)'

STRESS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test stress lint docs bench examples clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.setup ## create .venv and install the package (does nothing when it is up to date)

setup-dev: $(VENV)/.setup-dev ## the same, with what tests and lint need

demo: setup ## make a dataset of 200 examples in outputs/demo
	$(BIN)/python -m muat_exp dataset.num_examples=200 hydra.run.dir=outputs/demo

test: setup-dev ## run the tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

stress: setup-dev ## try interrupts, kills, damage and mistakes by the hundred (half an hour): docs/reliability.md
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m stress $(STRESS)

lint: setup-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: setup-dev ## write what is generated: docs/architecture.md and the base files of conf/
	$(BIN)/python docs/make.py
	$(BIN)/python -m muat_exp.config.base_files

bench: setup-dev ## measure the speed beside training one subject at a time (minutes)
	$(BIN)/python -m muat_exp.benchmark

examples: setup-dev ## run the sweeps of multirun_examples and keep their tables and plots there (minutes)
	$(BIN)/python -m muat_exp +sweep=medium hydra.sweep.dir=outputs/examples/corruption
	$(BIN)/python -m muat_exp +sweep=medium training=robust,published corruption.rate=0,0.15,0.45 hydra.sweep.dir=outputs/examples/recipes
	for name in corruption recipes; do mkdir -p multirun_examples/$$name && \
		cp outputs/examples/$$name/sweep.* outputs/examples/$$name/*.png multirun_examples/$$name/; done

clean: ## remove caches and builds; datasets stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find muat_exp tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.setup: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[datasets,hub,safetensors,tokenizer]'
	$(COMPILE)
	@touch $@

$(VENV)/.setup-dev: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(COMPILE)
	@touch $@ $(VENV)/.setup
