.PHONY: help setup check test laws lint docs readme golden live

help:  ## List these targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

setup:  ## Make .venv with everything for development
	python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[dev]'

check: lint test  ## What CI checks

test:  ## Run the tests
	.venv/bin/python -m pytest -n auto

laws:  ## Hold every law against many examples, others each time: for a night
	.venv/bin/python -m pytest -n auto -m hypothesis --hypothesis-profile laws

lint:  ## Lint, format check, types
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

docs:  ## Write docs/cli.md, the tables of docs/json.md and the JSON Schemas anew
	.venv/bin/python -m tools.cli_docs > docs/cli.md
	.venv/bin/python -m tools.json_docs
	.venv/bin/python -m tools.json_schemas

readme:  ## Write the answers and pictures shown in README.md anew; read the diff before you commit it
	.venv/bin/python -m tools.readme

golden:  ## Write the golden files anew; read the diff before you commit it
	TRACEQ_UPDATE_GOLDEN=1 .venv/bin/python -m pytest -n auto

live:  ## Run the contract against the server at TRACEQ_TEST_URL
	.venv/bin/python -m pytest -m live
