# `make demo` and `make test` work from a fresh clone with Python 3.11 or newer and make.
# Without a GPU, read the first lines of constraints.txt before the first run: they save a large download.

PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage check fmt docs docs-check wheel-check ci bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: $(STAMP)  ## create .venv and install Veridical with the pinned packages, once

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Veridical needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Say which to use: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,world,studio,judge,dev]"
	@touch $@
	@echo "Veridical is installed in $(VENV). To put it on your path: . $(VENV)/bin/activate"

demo: $(STAMP)  ## the whole loop on two cores: measure, correct, align, measure again; report in demo/report.html
	$(BIN)/veridical demo --out $(OUT)

# One thread per process: two processes with two threads each on two cores wait for each other. A
# file stays in one process, since its tests share what is costly to make.
test: $(STAMP)  ## all tests, in two processes (WORKERS=1: one)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

coverage: $(STAMP)  ## tests with branch coverage; lists lines that no test reaches
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage report --show-missing --skip-covered

check: $(STAMP)  ## lint, format, types and layers; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(STAMP)  ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## generate docs/reference, the benchmarks' pages and CONTRIBUTING's map
	$(BIN)/python docs/generate.py

docs-check: $(STAMP)  ## fail if a generated page is out of date
	$(BIN)/python docs/generate.py --check

wheel-check: $(STAMP)  ## build the wheel and check that every file is inside
	$(BIN)/python .ci/wheel_contents.py

ci: check docs-check test wheel-check  ## what CI runs

bench:  ## time the preference step against TRL; see benchmarks/preference_step/README.md
	PYTHON=$(PYTHON) sh benchmarks/preference_step/run.sh

clean:  ## remove caches and build files; keeps .venv and runs
	rm -rf build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests docs benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
