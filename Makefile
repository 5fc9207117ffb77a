# make search   find a Pareto front on handwritten digits, from nothing but Python and make
# make test     the whole test suite              (make test ARGS="tests/language -k parse" for a part)
# make lint     ruff and mypy
# make fuzz     100,000 texts through parser, checker, costs, keys and spaces (METAMIXER_FUZZ_SEED=1 for others)
# make bench    every benchmark with its bar
#
# The environment is made again only when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev

.PHONY: search test lint fuzz bench clean
.DEFAULT_GOAL := search

search: $(RUN)
	$(BIN)/metamixer search digits $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=10 $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(DEV)
	METAMIXER_FUZZ_INPUTS=100000 $(BIN)/python -m pytest -q -n 0 tests/properties/test_fuzz.py $(ARGS)

bench: $(DEV)
	@failed=0; for file in benchmarks/*.py; do \
		test -e "$$file" || { echo "there are no benchmarks yet"; continue; }; \
		echo "== $$file --check"; \
		$(BIN)/python "$$file" --check || failed=1; \
	done; exit $$failed

clean:
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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,vision]'
	@touch $@ $(RUN)
