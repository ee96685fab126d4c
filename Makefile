# Dockbell's commands. A fresh machine needs python3 (3.11 or later) and make: each command first builds .venv when a lock
# file has changed. `make demo ARGS="--port 9000"` hands arguments on; `make test ARGS="tests/unit -k retry"` picks tests.

.DEFAULT_GOAL := help
.PHONY: help demo serve test check format bench defences faults faults-full fuzz kill kill-outbox mutants reference pictures lock clean venv venv-dev

BIN := .venv/bin
CODE := src tests $(wildcard bench scripts/*.py)
# More than there are cores: tests wait for disks and databases more than they compute.
WORKERS ?= 4

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: venv ## run Dockbell with a demonstration warehouse, two goods owners and a receiver
	@$(BIN)/dockbell demo $(ARGS)

serve: venv ## run Dockbell as configured (dockbell.toml, DOCKBELL_... variables)
	@$(BIN)/dockbell serve $(ARGS)

test: check ## all a commit needs: check, then every suite but faults, on SQLite, a real PostgreSQL and a real Chromium
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations 8 --durations-min 1 \
		--ignore tests/faults $(ARGS)

check: venv-dev ## layout, lint, unsafe calls, types, import rules, spelling; no tests
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive src
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell $(wildcard *.md) Makefile .ci scripts docs src  # tests misspell on purpose

format: venv-dev ## lay the code out and mend what can be mended without judgement
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format $(CODE)

bench: venv-dev ## measure throughput and latency against the figures in the documentation
	@$(BIN)/python -m bench $(ARGS)

mutants: venv-dev ## put small mistakes into the SQL one by one and see the contract tests catch each
	@$(BIN)/python tests/contract/mutants.py $(ARGS)

defences: venv-dev ## the tests of every line of docs/explanation/defences.md, and the result of each line
	@$(BIN)/python scripts/defences.py $(ARGS)

faults: venv-dev ## the short set of faults under load, some 20 minutes, with an account of every event
	@$(BIN)/python -m tests.faults $(ARGS)

faults-full: venv-dev ## every fault at its full size, hours; writes docs/explanation/faults.md
	@$(BIN)/python -m tests.faults --full --page docs/explanation/faults.md $(ARGS)

fuzz: venv-dev ## parsers against a coverage-guided fuzzer, 10 minutes each; brings atheris for this alone
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "build/fuzz/atheris"); import atheris' 2>/dev/null || \
		$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --target build/fuzz/atheris atheris==3.0.0
	@PYTHONPATH=build/fuzz/atheris $(BIN)/python -m tests.faults.fuzz $(ARGS)

kill: venv-dev ## kill -9 alone, on both databases, and account for every event
	@$(BIN)/python -m tests.faults --only T1,T2 $(ARGS)

kill-outbox: venv-dev ## kill -9 on both sides of the outbox, and account for every transaction
	@$(BIN)/python -m tests.faults.outbox $(ARGS)

reference: venv-dev ## write docs/reference anew from the code
	@$(BIN)/python scripts/reference.py $(ARGS)

pictures: venv-dev ## take the pictures of the pages anew (docs/pictures)
	@$(BIN)/python scripts/pictures.py

lock: ## write both lock files anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	@bash scripts/lock $(ARGS)

clean: ## remove .venv and everything that commands left behind
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@bash scripts/venv run

venv-dev:
	@bash scripts/venv dev
