# `make help` lists the targets. The environment is made again only when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev

.PHONY: help search test lint fuzz bench docs screenshots clean
.DEFAULT_GOAL := search

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

search: $(RUN) ## find a Pareto front on handwritten digits, from nothing but Python and make
	$(BIN)/metamixer search digits $(ARGS)

test: $(DEV) ## the whole test suite; a part of it: make test ARGS="tests/language -k parse"
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=10 $(ARGS)

lint: $(DEV) ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(DEV) ## 100,000 texts through parser, checker, costs, keys and spaces; METAMIXER_FUZZ_SEED=1 for others
	METAMIXER_FUZZ_INPUTS=100000 METAMIXER_SENTENCES=512 $(BIN)/python -m pytest -q -n 0 \
		tests/properties/test_fuzz.py tests/properties/test_sentences.py $(ARGS)

bench: $(DEV) ## every benchmark with its bar
	@failed=0; for file in benchmarks/*.py; do \
		test -e "$$file" || { echo "there are no benchmarks yet"; continue; }; \
		echo "== $$file --check"; \
		$(BIN)/python "$$file" --check || failed=1; \
	done; exit $$failed

docs: $(DEV) ## the documents as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

screenshots: $(DEV) ## pictures of the dashboard for the documents, of a real run
	$(BIN)/python docs/screenshots.py $(ARGS)

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "metamixer needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "this Python cannot make environments; on Debian and Ubuntu install python3-venv" >&2; exit 2; }

$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,vision]'
	@touch $@ $(RUN)
