# Each verb does all the set-up that it needs: on a fresh machine `make run` or `make test` is the first command.
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' --quiet $(LOCKFLAGS)
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
LOCKS := deploy/requirements

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
setup: $(READY) ## make .venv from the lock (PYTHON=python3.12 chooses the Python)
run: setup ## start the service; without TOKENLIFE_REDIS_URL with a store of its own
	$(VENV)/bin/tokenlife serve
test: setup ## run the tests
	$(VENV)/bin/python -m pytest
check: lint types ## all that judges the code without running it
lint: setup ## style
	$(VENV)/bin/ruff check && $(VENV)/bin/ruff format --check
types: setup ## mypy --strict
	$(VENV)/bin/mypy
bench: setup ## measure
	$(VENV)/bin/python -m tests.bench
lock: ## pin all dependencies anew (needs uv; LOCKFLAGS=--upgrade moves every pin)
	$(LOCK) -o $(LOCKS)/run.txt pyproject.toml $(LOCKS)/run.in
	$(LOCK) -o $(LOCKS)/dev.txt -c $(LOCKS)/run.txt pyproject.toml $(LOCKS)/run.in $(LOCKS)/dev.in
clean: ## remove what these verbs made, but no data
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

$(READY): pyproject.toml $(LOCKS)/dev.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) must be Python 3.11 or later with its venv module (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r $(LOCKS)/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help setup run test check lint types bench lock clean
