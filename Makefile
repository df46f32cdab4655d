# make help lists what there is.  Everything runs as root or as an ordinary user.
CELL ?= debian-12/x86_64
# Cells that differ most from it: no overlay for users, and everything newer.
OTHERS ?= --cell debian-11/x86_64 --cell debian-forky/x86_64
WORKERS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
# What the test bed broke is asked once more, as is what came too late; another answer never is.
AGAIN := --reruns 1 --only-rerun TestbedError --only-rerun RestoreError --only-rerun CommandTimeout

.DEFAULT_GOAL := help
.PHONY: help bootstrap extras smoke test lint unit vm negatives bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

bootstrap: ## install what this machine lacks, and the libraries into .venv
	@VENV=$(VENV) tools/bootstrap

extras: ## install also what aarch64, UEFI, disks to boot and RPM twins need
	@VENV=$(VENV) tools/bootstrap extras

smoke: bootstrap ## boot a real guest, start the rootless daemon, run the scenarios, show the matrix
	$(BIN)/harness run --cell $(CELL) -n $(WORKERS) -m "not nightly" $(AGAIN)

test: lint unit vm ## the harness's own tests, all of them

lint: bootstrap ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: bootstrap ## the tests that need no guest
	$(BIN)/pytest tests/unit -n $(WORKERS)

vm: bootstrap ## the scenarios on healthy guests, then the tests that break guests
	$(BIN)/pytest scenarios --cell $(CELL) -n $(WORKERS) -m "not nightly" $(AGAIN)
	$(BIN)/pytest scenarios $(OTHERS) -m "storage and not nightly" -n $(WORKERS) $(AGAIN)
	$(BIN)/pytest tests/vm -n $(WORKERS) -m "not nightly"

negatives: bootstrap ## every guest broken on purpose (an hour or two under emulation)
	$(BIN)/pytest tests/vm/test_negatives.py -n $(WORKERS)

bench: bootstrap ## how long things take here
	$(BIN)/python -m tools.bench

clean: ## what tools left in the checkout; images and saved states stay in the cache
	rm -rf .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
