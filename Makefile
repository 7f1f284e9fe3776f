# From a fresh clone: `make demo` shows it, `make test` proves it, `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV ?= .venv
# The Python that $(VENV) is made with: python3 if it is new enough, else the newest one found.
PYTHON ?= $(shell tools/interpreters --one)
# Test processes. Tests of one file stay together, in one process.
WORKERS ?= 1
# How long `make fuzz` fuzzes each target by coverage.
SECONDS_EACH ?= 60
# make simulate: how many seeds, how many steps each; or one seed to replay.
SEEDS ?= 1000
STEPS ?= 300
SEED ?=
# More words for pytest: make test PYTEST_ARGS="-k webhook -x"
PYTEST_ARGS ?=

# More words for the benchmarks: make bench BENCH_ARGS="--only verify"
BENCH_ARGS ?=

export PATH := $(abspath $(VENV))/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint test-all bench bench-check fuzz soak failover crash-points simulate interleavings asset npm screenshots clean pytest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-package ## run a host application and a local ChatArchitect; open the URL it prints
	python -m ca_embed demo

test: ## set up everything, check the code, run all the tests
	@tools/debian-packages
	@$(MAKE) lint
	@$(MAKE) pytest

# The cache of import-linter overlooks modules that come or go.
lint: $(VENV)/.stamp-dev js/node_modules/.stamp ## check style, types, layers, and that the asset is current
	ruff check
	ruff format --check
	mypy
	pyright
	python tools/type_completeness.py
	lint-imports --no-cache
	npm --prefix js run --silent check

test-all: ## run the tests on every Python that is present
	@tools/debian-packages
	@failed=""; while read -r version python; do \
	    echo "== Python $$version"; \
	    $(MAKE) pytest VENV=".venv-$$version" PYTHON="$$python" </dev/null || failed+=" $$version"; \
	done < <(tools/interpreters); \
	[[ -z "$$failed" ]] || { echo "failed on Python$$failed" >&2; exit 1; }

bench: $(VENV)/.stamp-dev ## measure, print the figures, and write docs/performance.md
	python -m benchmarks $(BENCH_ARGS)

bench-check: $(VENV)/.stamp-dev ## measure, and name what has become slower or faster
	python -m benchmarks --check $(BENCH_ARGS)

fuzz: $(VENV)/.stamp-dev ## fuzz for some minutes, and write the figures into docs/reliability.md
	python -m pip install --quiet --group fuzz
	python -m tests.fuzz --seconds $(SECONDS_EACH)

asset: js/node_modules/.stamp ## build ca_embed/assets/ca-embed.js from js/src
	npm --prefix js run build

npm: $(VENV)/.stamp-dev ## build the npm package in build/npm, and pack it into build
	node npm/build.mjs build/npm
	cd build/npm && npm pack --pack-destination ..

soak: $(VENV)/.stamp-dev ## record 100,000 calls of each storage under faults, and fail over real clusters
	python -m tests.history.soak
	@$(MAKE) failover

failover: $(VENV)/.stamp-dev ## deliver 2,000 webhooks to each cluster across real failovers
	python -m tests.failover.failover

crash-points: $(VENV)/.stamp-dev ## end one webhook at every system call, and let each fail
	python -m tests.crash.points

# make simulate SEED=17 STEPS=300 replays one, with its trace.
simulate: $(VENV)/.stamp-dev ## simulate whole deployments with faults, and put the figures into the docs
	python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --write) --steps $(STEPS)

interleavings: $(VENV)/.stamp-dev ## try every order of a few workers' storage calls, likewise
	python -m tests.interleavings --write

screenshots: $(VENV)/.stamp-dev ## picture every state and theme of the element, in build/screenshots
	python -m tests.browser.screenshots build/screenshots
	python -m tests.browser.theme_screenshots build/screenshots/themes

clean: ## remove what make and the tools have made
	rm -rf .venv .venv-* build dist *.egg-info .coverage* .hypothesis .import_linter_cache \
	    .mypy_cache .pytest_cache .ruff_cache js/node_modules npm/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# WebKit draws on a screen only; xvfb-run lends one.
pytest: $(VENV)/.stamp-dev js/node_modules/.stamp npm/node_modules/.stamp
	$$(command -v xvfb-run >/dev/null && echo xvfb-run -a) \
	    python -m pytest $(if $(filter-out 1,$(WORKERS)),-n $(WORKERS) --dist loadfile) $(PYTEST_ARGS)

# ------------------------------------------------------------------------ what the targets need

$(VENV)/bin/python:
	@tools/make-venv "$(PYTHON)" "$(VENV)"

$(VENV)/.stamp-package: setup.cfg pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable .
	touch $@

$(VENV)/.stamp-dev: setup.cfg pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable . --group dev
	touch $@ $(VENV)/.stamp-package

# npm is the machine's own or the one that the development dependencies bring.
js/node_modules/.stamp npm/node_modules/.stamp: %/node_modules/.stamp: %/package-lock.json | $(VENV)/.stamp-dev
	cd $* && npm ci --no-audit --no-fund
	touch $@
