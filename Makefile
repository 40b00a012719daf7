# Everything here works in a fresh clone on a machine that has Python 3.11 or newer, git and make.
#   make demo    a sample clinic, from an export to calendars and messages; nothing leaves the machine
#   make test    the tests            make check   format, lint, types, floors, generated pages
#   make crashlab  every point at which a sync can be killed, tried; ARGS="--store postgres"
#   make bench   the measurements     make lock    pin what pyproject.toml asks for (UPGRADE=1: the newest)
#   make site    the pages as a site, in site/
#   make audit   known holes in what is locked      make sbom   what an image holds, in dist/sbom.json
#   make generate   write the generated pages      make clean   start over
# ARGS is passed on: make test ARGS="tests/connectors -k quote"

SHELL := /bin/sh
IN := .venv/bin/python
ARGS ?=

# Pages and schemas that are written from the code: each module takes --check and says what is stale.
GENERATORS := clinicrelay.settings.reference commands._reference commands._plugin_page \
	commands._metrics_page sync.words.reference

.PHONY: demo test check site bench crashlab audit sbom lock generate clean

demo: .venv/runs
	@.venv/bin/clinicrelay demo $(ARGS)

test: .venv/checks
	@$(IN) -m pytest -n auto --maxprocesses=4 --dist worksteal $(ARGS)

check: .venv/checks
	$(IN) -m ruff format --check .
	$(IN) -m ruff check .
	$(IN) -m mypy
	.venv/bin/lint-imports --no-logo
	@for page in $(GENERATORS); do echo "$$page --check"; $(IN) -m $$page --check || exit 1; done
	$(if $(wildcard commands/map.py),.venv/bin/clinicrelay map --test)
	@$(MAKE) --no-print-directory site

# Strict: a link or an anchor that leads nowhere, or a page that no menu names, is an error. With
# --quiet it would not be: mkdocs counts only the warnings that it prints.
site: .venv/checks
	NO_MKDOCS_2_WARNING=1 $(IN) -m mkdocs build --strict

bench: .venv/bench
	@$(IN) -m bench $(ARGS)
	@$(IN) -m bench.fhir
	@$(IN) -m bench.sql
	@$(IN) -m bench.google
	@$(IN) -m bench.messages
	@$(IN) -m bench.claims
	@$(IN) -m bench.planning
	@$(IN) -m bench.service

crashlab: .venv/checks
	@PYTHONPATH=.:tests/calendars $(IN) tests/crash/lab.py $(ARGS)

# A known hole fails; where the service that knows them cannot be reached, that is said and is no failure
# (AUDIT_REQUIRED=1: it is one).
audit: .venv/audit/made
	@for lock in requirements.lock requirements-dev.lock requirements-audit.lock; do \
		echo "$$lock:"; rm -f .venv/audit/report.json; \
		.venv/audit/bin/pip-audit --requirement $$lock --require-hashes --disable-pip --format json \
			--output .venv/audit/report.json --progress-spinner off --timeout 10 2>/dev/null; \
		$(IN) .ci/audited.py .venv/audit/report.json || exit 1; \
	done

sbom: .venv/audit/made .venv/ships/made
	@mkdir -p dist
	@.venv/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file dist/sbom.json .venv/ships/bin/python
	@.venv/ships/bin/python .ci/sbom_is_whole.py dist/sbom.json requirements.lock

generate: .venv/checks
	@for page in $(GENERATORS); do $(IN) -m $$page || exit 1; done

# --- the environment ---------------------------------------------------------------------------

TRY := python3.13 python3.12 python3.11 python3 python
PYTHON ?= $(shell for p in $(TRY); do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && { command -v "$$p"; break; }; done)
TOO_OLD = clinicrelay needs Python 3.11 or newer, and none of $(TRY) here is that. Install one, or \
	name it: make $(firstword $(MAKECMDGOALS) demo) PYTHON=/path/to/python3.11

# Only wheels: building from source would run tools that no lock has pinned. The project itself is
# built by the locked hatchling, hence no isolation.
PIP := $(IN) -m pip -qq --disable-pip-version-check --no-input
FROM_LOCK := $(PIP) install --require-hashes --only-binary :all: --requirement
OURSELVES := $(PIP) install --no-deps --no-build-isolation --editable .

# A checkout that was moved or copied takes its environment along, full of the old place's paths.
ifneq ($(shell cat .venv/place 2>/dev/null),$(CURDIR))
.PHONY: .venv/place
endif

.venv/place:
	@"$(or $(PYTHON),$(error $(TOO_OLD)))" -m venv --clear .venv
	@printf '%s\n' '$(CURDIR)' > $@

.venv/runs: .venv/place requirements.lock pyproject.toml
	@echo "Installing what clinicrelay needs into .venv (once) ..."
	@$(FROM_LOCK) requirements.lock
	@$(OURSELVES)
	@touch $@

.venv/checks: .venv/runs requirements-dev.lock
	@echo "Adding what tests and checks need (once) ..."
	@$(FROM_LOCK) requirements-dev.lock
	@touch $@

.venv/audit/made: .venv/place requirements-audit.lock
	@.venv/bin/python -m venv --clear .venv/audit
	@.venv/audit/bin/python $(wordlist 2,99,$(FROM_LOCK)) requirements-audit.lock
	@touch $@

# What deploy/Dockerfile puts into an image, by the same steps.
.venv/ships/made: .venv/place requirements.lock pyproject.toml
	@.venv/bin/python -m venv --clear .venv/ships
	@.venv/ships/bin/python $(wordlist 2,99,$(FROM_LOCK)) requirements.lock
	@.venv/ships/bin/python $(wordlist 2,99,$(PIP)) install --no-deps --no-build-isolation .
	@.venv/ships/bin/python -m pip uninstall --quiet --yes hatchling setuptools pip
	@touch $@

.venv/bench: .venv/checks requirements-bench.lock
	@echo "Adding what is measured beside us (once) ..."
	@$(FROM_LOCK) requirements-bench.lock
	@touch $@

# --- the locks ---------------------------------------------------------------------------------

COMPILE_BARE := .venv/lock/bin/python -m piptools compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links $(if $(UPGRADE),--upgrade)
COMPILE := $(COMPILE_BARE) --all-build-deps

lock: .venv/place
	@test -x .venv/lock/bin/python || "$(PYTHON)" -m venv .venv/lock
	@.venv/lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(COMPILE) --extra all --extra dev --output-file requirements-dev.lock pyproject.toml
	@$(COMPILE) --extra all --extra dev --extra bench --constraint requirements-dev.lock \
		--output-file requirements-bench.lock pyproject.toml
	@$(COMPILE) --extra all --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	@$(COMPILE_BARE) --output-file requirements-audit.lock requirements-audit.in

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist site
