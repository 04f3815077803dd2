# The commands of this project. Each sets up what it needs; `make` alone prints this list.
BIN := .venv/bin
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/.ready  ## make .venv from the lock file (done by the others when needed)

demo: .venv/.ready  ## one real training: on this machine, on a cluster, over SSH
	@scripts/openssh
	@$(BIN)/python examples/demo.py

test: .venv/.ready  ## all tests; ARGS="-k name" is passed on to pytest
	@scripts/openssh
	@test -z "$$CI" || scripts/docker  # elsewhere tests of containers say what they lack
	@test -z "$$CI" || scripts/slurm
	@test -z "$$CI" || scripts/chromium
	@scripts/test $(ARGS)

check: .venv/.ready  ## format, lint, types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: .venv/.ready  ## measure against plain Python and the peers; QUICK=1, N=runs
	@scripts/openssh
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(N),--runs $(N))

docs: .venv/.ready  ## write docs/reference anew from the code
	@$(BIN)/python scripts/reference.py

.venv/.ready: pyproject.toml uv.lock scripts/setup
	@scripts/setup
	@touch $@

.PHONY: help setup demo test check bench docs
.DEFAULT_GOAL := help
