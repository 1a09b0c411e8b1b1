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
# make deploy
STAGE ?=
AT_ONCE ?=
# make reconcile, make ops-...
STACK ?= zhangben
ACCOUNT ?=
MONTH ?=
ENDPOINT ?=
# make simulate
SEEDS ?= 1-200
ACCOUNTS ?= 50
JOBS ?= 2
# make ops-...: docs/operations.md says which of them a command takes.
DAY ?=
FROM ?=
TO ?=
QUEUE ?=
MESSAGE ?=
FILE ?=
TASK ?=
TABLE ?=
RESTORED ?=
HOLD ?=
AT ?= latest
PREFIX ?= errors/
RATE ?= 50
PARALLEL ?= 4
WAIT ?= 60
DRY ?=
FRESH ?=
# make concurrency
ROUNDS ?= 10
PROCESSES ?= 16
# make attack
EXAMPLES ?= 500
SEED ?= 2
# Tests that may run side by side, and how many at once.
WORKERS ?= 2
PARALLEL_TESTS = $(wildcard tests/unit tests/property tests/adapters tests/template tests/faults tests/attacks \
	tests/simulation)
# Tests that start the local cloud or the Lambda runtime: one after another.
SERIAL_TESTS = $(wildcard tests/local_invoke tests/system tests/acceptance)

BIN = .venv/bin
DEV = .venv/.installed
CLOUD = .venv-cloud/.installed
SAM = .venv-sam/.installed
CHECKOV = .venv-checkov/.installed
SOURCES = layers functions local bench tests tools
CODE = $(wildcard $(SOURCES))
# Nothing here reaches AWS: no profile, no telemetry, a region only where a tool insists on one.
export SAM_CLI_TELEMETRY = 0
export AWS_DEFAULT_REGION ?= ap-southeast-1
export __SAM_CLI_APP_DIR = $(CURDIR)/.aws-sam/cli
export PORT CLOCK STATE

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 20

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

# For lint-template alone.
$(CHECKOV): requirements/checkov.txt tools/set_up.py
	@python=$$(tools/find-python) && exec "$$python" tools/set_up.py .venv-checkov $<

.PHONY: lock
lock: $(DEV)  ## resolve requirements/*.in and layers/*/requirements.in again (UPGRADE=1: to the newest)
	@for name in layers/runtime/requirements layers/api/requirements layers/export/requirements \
		requirements/dev requirements/cloud requirements/sam requirements/checkov; do \
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

.PHONY: deploy
deploy: setup  ## build and deploy a stage of samconfig.toml to AWS (STAGE=staging; AT_ONCE=1: no canary); docs/deploy.md
	@exec $(BIN)/python -m tools.deploy $(STAGE) $(if $(AT_ONCE),--at-once)

# --- Checks -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: setup  ## style, types, direction of imports, the template with the house rules and checkov
	@$(MAKE) --jobs=2 --output-sync=target lint-code lint-template

.PHONY: lint-code
lint-code: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

.PHONY: lint-template
lint-template: setup $(CHECKOV)
	PYTHONPATH=layers/rating:layers/platform:functions $(BIN)/lint-imports
	PYTHONPATH=. $(BIN)/cfn-lint --append-rules tools/house_rules --regions $(AWS_DEFAULT_REGION) --template template.yaml
	.venv-sam/bin/sam validate --lint
	$(BIN)/python -m tools.check_template

.PHONY: format
format: setup  ## lay out the code as `lint` wants it
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: test
test: setup  ## every check that must pass before a change lands
	@$(MAKE) --jobs=2 --output-sync=target lint-code lint-template build
	@$(MAKE) --jobs=2 --output-sync=target test-side-by-side test-in-turn

# The second of these waits for processes of its own most of the time, so both run at once; the first yields to it, so that
# neither ends long after the other. What the tests of a file share is made once, for they run in one process.
.PHONY: test-side-by-side
test-side-by-side: setup
	$(if $(PARALLEL_TESTS),nice -n 5 $(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope $(PARALLEL_TESTS))

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

# --- Operating --------------------------------------------------------------------------------------------------------
# STACK= and ENDPOINT= say which stack; DRY=1 only says what would be done.

OPS = PYTHONPATH=layers/rating:layers/platform:functions exec $(BIN)/python -m tools.ops --stack "$(STACK)" \
	--endpoint "$(ENDPOINT)" --account "$(ACCOUNT)" --day "$(DAY)" --from "$(FROM)" --to "$(TO)" --month "$(MONTH)" \
	$(if $(DRY),--dry)

.PHONY: ops-status
ops-status: setup  ## what waits, what failed, which alarms ring
	@$(OPS) status

.PHONY: ops-redrive
ops-redrive: setup  ## dead letters back to where they came from (QUEUE=, RATE=)
	@$(OPS) --queue "$(QUEUE)" --rate "$(RATE)" redrive

.PHONY: ops-take-out
ops-take-out: setup  ## one dead letter into a file, and out of its queue (QUEUE=, MESSAGE=, FILE=)
	@$(OPS) --queue "$(QUEUE)" --message "$(MESSAGE)" --file "$(FILE)" take-out

.PHONY: ops-settle
ops-settle: setup  ## settle one account now (ACCOUNT=; DAY= or FROM=, TO=: what no bill holds of these days)
	@$(OPS) --wait "$(WAIT)" settle

.PHONY: ops-settle-all
ops-settle-all: setup  ## plan the settlement again (FROM=, TO=: what no bill holds of these days, too)
	@$(OPS) settle-all

.PHONY: ops-run
ops-run: setup  ## what a schedule does, now (TASK=plan, check, verify or sweep)
	@$(OPS) --task "$(TASK)" run

.PHONY: ops-verify
ops-verify: setup  ## compute days again and print the differences (DAY= or MONTH=; ACCOUNT=, else all)
	@$(OPS) verify

.PHONY: ops-replay
ops-replay: setup  ## a day's calls again, out of the archive (DAY=; ACCOUNT=, else all; PARALLEL=)
	@$(OPS) --parallel "$(PARALLEL)" replay

.PHONY: ops-archive-errors
ops-archive-errors: setup  ## what Firehose could not lay into the archive, once more (PREFIX=)
	@$(OPS) --prefix "$(PREFIX)" archive-errors

.PHONY: ops-live
ops-live: setup  ## live totals made again (ACCOUNT=, else all; DAY= or FROM=, TO=; FRESH=1: from nothing)
	@$(OPS) $(if $(FRESH),--fresh) live

.PHONY: ops-republish
ops-republish: setup  ## notices on the bus again (ACCOUNT=, else all; DAY= or FROM=, TO=)
	@$(OPS) republish

.PHONY: ops-pause
ops-pause: setup  ## stop everything that writes
	@$(OPS) pause

.PHONY: ops-resume
ops-resume: setup  ## start it again, in new processes (HOLD=: this consumer stays off)
	@$(OPS) --hold "$(HOLD)" resume

.PHONY: ops-restore
ops-restore: setup  ## a table as it was, beside the live one (TABLE=ledger or usage, AT=)
	@$(OPS) --table "$(TABLE)" --at "$(AT)" --wait "$(WAIT)" restore

.PHONY: ops-compare
ops-compare: setup  ## what the live table has lost against a restored one (TABLE=, RESTORED=; ACCOUNT=, else all)
	@$(OPS) --table "$(TABLE)" --restored "$(RESTORED)" compare

.PHONY: ops-put-back
ops-put-back: setup  ## put that back (TABLE=, RESTORED=; ACCOUNT=, else all)
	@$(OPS) --table "$(TABLE)" --restored "$(RESTORED)" put-back

.PHONY: attack
attack: setup  ## what the OpenAPI document allows and forbids, sent by everybody, at length (EXAMPLES=500, SEED=2)
	@PYTHONPATH=layers/rating:layers/platform:functions exec $(BIN)/python -m tests.attacks "$(EXAMPLES)" "$(SEED)"

.PHONY: simulate
simulate: setup  ## simulated years under faults against an independent model (SEEDS=1-200, ACCOUNTS=50, JOBS=2)
	@PYTHONPATH=layers/rating:layers/platform:functions:. exec $(BIN)/python -m tests.simulation --seeds "$(SEEDS)" \
		--accounts "$(ACCOUNTS)" --jobs "$(JOBS)"

.PHONY: concurrency
concurrency: build  ## races on the local cloud, with more rounds and processes than in `test` (ROUNDS=10, PROCESSES=16)
	@CONCURRENCY_ROUNDS=$(ROUNDS) CONCURRENCY_PROCESSES=$(PROCESSES) exec $(BIN)/pytest tests/system/test_concurrency.py

.PHONY: bench
bench: build  ## the benchmarks, each figure beside its target
	@exec $(BIN)/python -m bench
