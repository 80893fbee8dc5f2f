# Every target sets up what it needs. On a bare machine: Python 3.11 and make are enough.
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup demo test check ceph-test benchmark benchmark-quick clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make setup            a virtual environment in .venv with exactly the pinned versions
setup: .venv/complete

# uv installs in seconds what takes pip minutes: it is used when it is there, or can be installed, and answers.
# It leaves libraries uncompiled unless told; Prefect then takes twice as long to load where nobody may write them.
INSTALL := --quiet --constraint constraints.txt --editable '.[dev]'

.venv/complete: pyproject.toml constraints.txt
	@"$$(command -v $(PYTHON) || command -v python3)" -m venv .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
	@PATH="$$PATH:$(CURDIR)/$(BIN)" env $${PIP_CERT:+"SSL_CERT_FILE=$$PIP_CERT"} \
		uv pip install --compile-bytecode --python $(BIN)/python $(INSTALL) \
		|| $(BIN)/python -m pip install --disable-pip-version-check $(INSTALL)
	@touch $@

## make demo             four releases of a real forecasting model, under live requests
demo: setup
	@$(BIN)/python examples/demo.py

## make test             all tests that need nothing but this machine
test: setup
	@$(PYTEST) -q -m "not ceph and not alone" --numprocesses 2 --dist loadfile $(PYTEST_FLAGS)
	@$(PYTEST) -q -m alone $(PYTEST_FLAGS) tests/browser tests/journeys

## make check            ruff, mypy --strict, layers, dead code, docstrings
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/interrogate --quiet headgate flows tasks deployments

## make ceph-test        the store's contract on a Ceph RGW from Debian's packages (root)
ceph-test: setup
	infra/ceph/test

## make benchmark-quick  ten releases judged live, a tenth of the decisions below, and 64 faults that must break nothing
benchmark-quick: setup
	$(BIN)/python -m benchmarks.releases --quick
	$(BIN)/python -m benchmarks.decisions --quick
	$(BIN)/python -m benchmarks.faults --quick

## make benchmark        how fast and how often wrongly this and other engines decide (about 6 minutes on two free cores)
benchmark: setup
	$(BIN)/python -m benchmarks.decisions

clean:
	rm -rf .venv .headgate build dist *.egg-info
