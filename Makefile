# Two commands for a newcomer: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run test coverage check compiled bench fuzz clean install

run: $(STAMP)
	$(BIN)/pomona build recipes/sample.yaml
	$(BIN)/pomona train recipes/sample.yaml

test: $(STAMP)
	$(MAKE) -j 2 check compiled
	$(BIN)/python -m pytest

coverage: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

# Kernels are compiled once, beside the checks, and not by every process that the first tests start at the same time.
compiled: $(STAMP)
	$(BIN)/python -m tests.compiled

fuzz: $(STAMP)
	POMONA_FUZZ=100 $(BIN)/python -m pytest tests/fuzz/test_pages.py tests/fuzz/test_files.py -n 0 --timeout 0

bench: $(STAMP)
	$(BIN)/python -m benchmarks

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt requirements-nodeps.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2], "Pomona needs Python 3.11 or newer, found " + sys.version'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e '.[train,curate,ray,beam,s3,sample,dev]'
	$(PIP) install -q --no-deps -r requirements-nodeps.txt
	touch $(STAMP)

clean:
	rm -rf $(VENV) .bench runs build *.egg-info
