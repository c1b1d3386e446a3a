# What there is to do here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EVERYTHING := '.[train,teachers,offline,compare,search,dev]'
# Bytecode is written when a module is first imported: most of torch's and transformers' never are.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install train start prompt check collect test test-slow test-real test-install soak lint clean

help: ## List what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Make .venv with everything in it (an installed offline language model too)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e $(EVERYTHING) \
		|| $(PIP_INSTALL) -e $(EVERYTHING)
	@touch $@

train: $(INSTALLED) ## Train the HRM on the shipped decisions, judge it, switch (as python train_hrm.py)
	$(BIN)/python train_hrm.py

start: $(INSTALLED) ## Run the agent by itself, through all phases (as python start_training.py)
	$(BIN)/python start_training.py

prompt: $(INSTALLED) ## Talk to the agent (as python demo.py)
	$(BIN)/python demo.py

check: $(INSTALLED) ## Check data and model before training (as python test_hrm_training.py)
	$(BIN)/python test_hrm_training.py

collect: $(INSTALLED) ## Let a language model decide for the agent, and record 50 decisions
	$(BIN)/aegis collect --decisions 50

test: $(INSTALLED) ## Run the tests (no network, no GPU, no language model)
	$(BIN)/python -m pytest -q

test-slow: $(INSTALLED) ## The tests that take minutes: the gate against ten sets of shuffled labels
	$(BIN)/python -m pytest -q -m 'slow and not real'

test-real: $(INSTALLED) ## 20 decisions by the installed offline language model, end to end
	$(BIN)/python -m pytest -q -m real

test-install: $(INSTALLED) ## Install the built wheel alone in an empty environment, and decide there by an exported HRM
	$(BIN)/python -m pytest -q -s -m network

soak: $(INSTALLED) ## 100 kills of the agent at random moments, then 50,000 decisions at full pace (half an hour)
	$(BIN)/python -m benchmarks.soak kills
	$(BIN)/python -m benchmarks.soak decisions

lint: $(INSTALLED) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## Remove .venv and caches (never a workspace)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
