# `make help` lists the targets. Everything lives in .venv, .venv-beam and var/; `make clean` takes them away.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
BEAM_INSTALL := .venv-beam/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-compile
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes

.DEFAULT_GOAL := help
# What a failed step leaves behind is not taken for done the next time.
.DELETE_ON_ERROR:
.PHONY: help serve emulator demo test check load bench format lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

# The demo is what is served unless KEYSCORE_BUNDLE names something else.
ifeq ($(KEYSCORE_BUNDLE),)
DEMO := var/demo/serving.yaml var/features.sqlite
endif

# STORE=emulator reads the same rows over gRPC: the emulator runs the service, and ends when it ends.
EMULATOR_PORT ?= 8070
EMULATOR_REST_PORT ?= 8071
EMULATOR := $(BIN)/keyscore emulator --port $(EMULATOR_PORT) --rest-port $(EMULATOR_REST_PORT)
BESIDE_emulator := $(EMULATOR) --

serve: .venv/runtime $(DEMO) ## install what is needed, build the demo if there is none, serve on PORT (8080); STORE=emulator reads over gRPC
	$(if $(filter-out sqlite emulator,$(STORE)),$(error STORE is sqlite or emulator; for Vertex AI itself set KEYSCORE_STORE=vertex))
	@exec $(BESIDE_$(STORE)) $(BIN)/python -m service

emulator: .venv/runtime $(DEMO) ## speak Vertex AI Feature Store's protocol on EMULATOR_PORT (8070) and EMULATOR_REST_PORT (8071)
	@exec $(EMULATOR)

demo: .venv/runtime ## build the demo anew: simulate payments, train, fill the embedded store
	@$(BIN)/keyscore demo

# PROFILE=locust is the same without the page; any other is judged by its objectives. ARGS are handed on: ARGS=--short.
# A HOST in the environment may be somebody else's (conda has one): it counts if it is a URL.
LOAD_HOST := $(if $(filter command,$(origin HOST)),$(HOST),$(filter http://% https://%,$(HOST)))
LOAD_ := load_tests.locusting $(addprefix --host ,$(LOAD_HOST))
LOAD_locust := $(LOAD_) --headless
load: .venv/dev $(DEMO) ## locust's page on a service of its own or on HOST=http://…; PROFILE=overload: see load_tests/README.md
	$(if $(LOAD_$(PROFILE)),,$(if $(LOAD_HOST),$(error PROFILE=$(PROFILE) starts a service of its own: it takes no HOST)))
	@$(BIN)/python -m $(or $(LOAD_$(PROFILE)),load_tests $(PROFILE)) $(ARGS)

# ARGS are handed on: ARGS=--short, ARGS="--only warm-plain cold-one".
bench: .venv/dev $(DEMO) ## measure against hello world, the obvious service and CatBoost alone; table in var/bench/REPORT.md
	@$(BIN)/python -m load_tests.benchmark $(ARGS)

test: check .venv-beam/dev ## everything that CI runs: the checks, then all tests with branch coverage
	.venv-beam/bin/python -m pytest tests/beam --cov --cov-report= --cov-fail-under 0 --durations 5
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-append --cov-report term --durations 10

check: .venv/dev ## format, lint, types, import contracts, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: .venv/dev ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group build -o requirements.lock --upgrade $(LOCK_OPTIONS)
	uv pip compile pyproject.toml --extra admin --group build --group dev -c requirements.lock -o requirements-dev.lock --upgrade $(LOCK_OPTIONS)
	uv pip compile pyproject.toml --extra admin -c requirements-dev.lock -o requirements-admin.lock --upgrade $(LOCK_OPTIONS)
	uv pip compile --no-config --group load -c requirements-dev.lock -o requirements-load.lock --upgrade $(LOCK_OPTIONS)
	uv pip compile pyproject.toml --extra beam --group build -o requirements-beam.lock --upgrade $(LOCK_OPTIONS)
	uv pip compile --no-config --group beam -c requirements-beam.lock -o requirements-beam-dev.lock --upgrade $(LOCK_OPTIONS)

clean: ## remove .venv, .venv-beam and var
	rm -rf .venv .venv-beam var

# No host of a package index is recorded: the lock files say what, the machine says from where.
LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.venv/runtime: requirements.lock pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing what the service needs (about half a minute)"
	@$(PIP_INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.venv/dev: requirements-dev.lock requirements-load.lock pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing what the service, its tests and load_tests/ need (about a minute)"
	@$(PIP_INSTALL) --quiet -r requirements-dev.lock
	@$(PIP_INSTALL) --quiet -r requirements-load.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@ .venv/runtime

# Apache Beam holds others back, so it has an environment of its own. Bytecode is compiled where it is used: to compile
# all of Google's clients takes longer than to install them.
.venv-beam/dev: requirements-beam.lock requirements-beam-dev.lock pyproject.toml | .venv-beam/pyvenv.cfg
	@echo "Installing what model/beam/ and its tests need (about half a minute)"
	@$(BEAM_INSTALL) --require-hashes -r requirements-beam.lock -r requirements-beam-dev.lock
	@$(BEAM_INSTALL) --no-build-isolation --no-index --editable .
	@touch $@

.venv/pyvenv.cfg .venv-beam/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Keyscore needs Python 3.11; name it with PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv --clear $(@D)

# Both come from one build; the store is written first, so a bundle that is there has its rows.
var/demo/serving.yaml var/features.sqlite &: | .venv/runtime
	@$(BIN)/keyscore demo
