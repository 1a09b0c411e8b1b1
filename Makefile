# make help lists what there is to do. Set-up is a prerequisite of everything and costs nothing once done.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# Instruction set of what is built: this machine's unless told otherwise (the template's own default is arm64).
ARCHITECTURE ?= $(subst aarch64,arm64,$(shell uname -m))
# make local
PORT ?= 3000
CLOCK ?=
STATE ?=
# make reconcile
STACK ?= zhangben
ACCOUNT ?=
MONTH ?=
ENDPOINT ?=
# Tests that may run side by side, and how many at once.
WORKERS ?= 2
PARALLEL_TESTS = $(wildcard tests/unit tests/property tests/adapters tests/template tests/faults)
# Tests that start the local cloud or the Lambda runtime: one after another.
SERIAL_TESTS = $(wildcard tests/local_invoke tests/system tests/acceptance)

BIN = .venv/bin
DEV = .venv/.installed
CLOUD = .venv-cloud/.installed
SAM = .venv-sam/.installed
SOURCES = layers functions local bench tests tools
CODE = $(wildcard $(SOURCES))
# Nothing here reaches AWS: no profile, no telemetry, a region only where a tool insists on one.
export SAM_CLI_TELEMETRY = 0
export AWS_DEFAULT_REGION ?= ap-southeast-1
export __SAM_CLI_APP_DIR = $(CURDIR)/.aws-sam/cli
export PORT CLOCK STATE

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

# --- Set-up -----------------------------------------------------------------------------------------------------------

.PHONY: setup
setup:  ## find Python 3.13 and install the three environments from their locks
	@$(MAKE) --question $(DEV) $(CLOUD) $(SAM) || { tools/find-python >/dev/null && \
		$(MAKE) --silent --jobs=3 $(DEV) $(CLOUD) $(SAM); }

$(DEV): requirements/dev.txt tools/set_up.py
	@python=$$(tools/find-python) && exec "$$python" tools/set_up.py .venv $<

$(CLOUD): requirements/cloud.txt tools/set_up.py
	@python=$$(tools/find-python) && exec "$$python" tools/set_up.py .venv-cloud $<

$(SAM): requirements/sam.txt tools/set_up.py
	@python=$$(tools/find-python) && exec "$$python" tools/set_up.py .venv-sam $<

.PHONY: lock
lock: $(DEV)  ## resolve requirements/*.in and layers/*/requirements.in again (UPGRADE=1: to the newest)
	@for name in layers/runtime/requirements layers/api/requirements layers/export/requirements \
		requirements/dev requirements/cloud requirements/sam; do \
		echo "$$name.txt"; \
		$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.13 --generate-hashes \
			--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
			--output-file "$$name.txt" "$$name.in" || exit 1; \
	done

.PHONY: clean
clean:  ## remove what was built; the environments stay
	rm -rf .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .wheels

# --- Build ------------------------------------------------------------------------------------------------------------

.PHONY: build
build: setup  ## sam build of functions and layers, if anything that goes into them has changed
	@$(BIN)/python tools/build.py --architecture $(ARCHITECTURE)

# --- Checks -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: setup  ## style, types, direction of imports, the template with the house rules
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	PYTHONPATH=layers/rating:layers/platform:functions $(BIN)/lint-imports
	PYTHONPATH=. $(BIN)/cfn-lint --append-rules tools/house_rules --regions $(AWS_DEFAULT_REGION) --template template.yaml
	.venv-sam/bin/sam validate --lint

.PHONY: format
format: setup  ## lay out the code as `lint` wants it
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: test
test: lint build  ## every check that must pass before a change lands
	@$(MAKE) --jobs=2 --output-sync=target test-side-by-side test-in-turn

# The second of these waits for processes of its own most of the time, so both run at once.
.PHONY: test-side-by-side
test-side-by-side: setup
	$(if $(PARALLEL_TESTS),$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup $(PARALLEL_TESTS))

.PHONY: test-in-turn
test-in-turn: build
	$(if $(SERIAL_TESTS),$(BIN)/pytest $(SERIAL_TESTS))

# --- Running ----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: build  ## the story: from opening an account to the bill, on the local cloud
	@exec $(BIN)/python -m local.demo

.PHONY: local
local: build  ## the local cloud on 127.0.0.1:$PORT until Ctrl-C (CLOCK=time, STATE=folder)
	@exec $(BIN)/python -m local

.PHONY: reconcile
reconcile: setup  ## whether details, precision rows, resources and journal agree (STACK=, ACCOUNT=, MONTH=, ENDPOINT=)
	@PYTHONPATH=layers/rating:layers/platform exec $(BIN)/python -m tools.reconcile --stack "$(STACK)" \
		--account "$(ACCOUNT)" --month "$(MONTH)" --endpoint "$(ENDPOINT)"

.PHONY: bench
bench: build  ## the benchmarks, each figure beside its target
	@exec $(BIN)/python -m bench
