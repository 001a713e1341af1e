# `make` is lint and test; `make demo` is the product in one command. Everything installs into .venv.
SHELL := /bin/bash
PY ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: all demo test lint bench golden grafana clean up
all: lint test

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PY) -m venv .venv 2>/dev/null || python3 -m venv .venv
	@echo "installing spanwatch into .venv ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/spanwatch demo

test: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile   # half of the long ones wait for a broker, a store or a kill

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# make bench PARTS=secrets DATA=folder PEERS=1 PAGE=1 OUT=file: one part, on recorded sessions, beside other scanners;
# NAB=folder: a copy of the Numenta Anomaly Benchmark for PARTS=anomaly
bench: $(STAMP)
	$(BIN)/python -m tests.bench $(PARTS) $(if $(DATA),--data $(DATA)) $(if $(PEERS),--peers) $(if $(PAGE),--page) \
	  $(if $(NAB),--nab $(NAB)) $(if $(OUT),--json $(OUT))

golden: $(STAMP)
	$(BIN)/pytest tests/test_golden.py --update-golden

grafana: $(STAMP)
	$(BIN)/python grafana/build.py

up:
	docker compose -f deploy/compose.yaml up --build

clean:
	rm -rf .venv .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
