# `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
PORT ?= 3000
TYPESCRIPT := .cache/typescript

.PHONY: help demo test check bench bench-sfu fmt lock docs clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Start a call cluster on this machine and print a join link (CHECK=1: place calls, then exit)
	@requirements/system turnserver=coturn redis-server=redis-server
	@requirements/bootstrap run
	@requirements/plane-beside $$$$ && exec .venv/bin/callcluster up $(if $(CHECK),--check) $(ARGS) examples/local.yaml

test: ## Run every tier that this machine can run, and print one table
	@requirements/system turnserver=coturn redis-server=redis-server chromium=chromium node=nodejs ip=iproute2
	@requirements/bootstrap dev
	@$(PY) tests/run.py $(ARGS)

check: ## Format, lint, types, walls and unit tests, in under a minute
	@requirements/bootstrap dev
	@$(PY) tests/run.py --only static,unit $(ARGS)

bench: ## Measure, print the figures and write docs/benchmarks.md
	@requirements/system turnserver=coturn redis-server=redis-server chromium=chromium
	@requirements/bootstrap dev
	@$(PY) tests/bench/run.py $(ARGS)

bench-sfu: ## Measure the SFU beside Janus and LiveKit (needs cargo and go)
	@requirements/system janus=janus
	@requirements/bootstrap dev
	@$(PY) tests/bench/run.py --only sfu $(ARGS)

fmt: ## Format the code
	@requirements/bootstrap dev
	@.venv/bin/ruff check --fix -q . ; .venv/bin/ruff format -q .

docs: ## Regenerate what is generated in docs/
	@requirements/bootstrap dev
	@$(PY) -m callcluster_signaling.tools.asyncapi
	@$(PY) -m callcluster_operator.tools.apidocs

lock: ## Recompile the hashed requirements
	@requirements/bootstrap dev
	@requirements/lock

clean: ## Remove what the commands above made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
