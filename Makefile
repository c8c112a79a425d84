# Everything runs from .venv in this checkout; nothing but Python 3.11 to 3.14 (with venv) is needed.
# PYTHON chooses the interpreter that .venv is made from.
PYTHON ?= python3
BIN := .venv/bin
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help demo ui stop test attack lint bench lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

# One stamp a lock file: an unchanged checkout installs nothing.
.venv/.uv: requirements-build.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
	  { echo "crm-rollout needs Python 3.11 to 3.14; '$(PYTHON)' is $$($(PYTHON) -V). Set PYTHON=python3.12, say." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-build.lock
	@touch $@

.venv/.runtime: .venv/.uv requirements.lock pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.runtime requirements-test.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-test.lock
	@touch $@

demo: .venv/.runtime ## the main job on the made-up company: legacy files to a verified CRM
	@$(BIN)/python ops/demo.py

ui: .venv/.runtime ## PostgreSQL, Prefect with all deployments, a worker and the testbed CRM, until Ctrl-C
	@$(BIN)/python ops/ui.py

stop: .venv/.runtime ## end what make demo left running
	@$(BIN)/python ops/stop.py

test: .venv/.test lint ## everything but the long ones (under 10 minutes)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not attack" --durations=15

attack: .venv/.test ## the long ones: kills, browsers, large volumes
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m "attack and not alone" --durations=15
	@$(BIN)/python -m pytest -m "attack and alone" --durations=5

lint: .venv/.test ## style, types, import direction
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.test ## ratios within one run, see benchmarks/README.md
	@$(BIN)/python -m benchmarks

lock: .venv/.uv ## resolve the dependencies anew (hashes, every platform, no index addresses)
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header ops/requirements-build.in -o requirements-build.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c ops/constraints.in pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra test -c requirements.lock pyproject.toml -o requirements-test.lock

clean: ## remove .venv and caches; a rollout's workspace stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
