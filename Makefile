# From a fresh clone to the book and to green tests. What is done is in tools/bootstrap.py, which runs
# without make too; GNU make 3.81 will do. Every target is safe to repeat, and quick when nothing changed.

PORT ?= 8000

# Named by hand (make PYTHON=python3.13 book), else the one .venv has, else the first on the path that fits;
# if none fits, python3 is told why.
PYTHON ?= $(shell for python in .venv/bin/python python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& { echo "$$python"; exit; }; done; echo python3)

BOOTSTRAP = @python="$(PYTHON)"; command -v "$$python" >/dev/null 2>&1 || { \
	echo "odyssey_kit: no program is called $$python: install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=python3.12 $@" >&2; \
	exit 2; }; "$$python" tools/bootstrap.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: book clean help lab lint serve test test-all

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

book: ## set up .venv (no torch) and build the interactive book; says where its first page is
	$(BOOTSTRAP) book

serve: ## serve the built book on 127.0.0.1, port 8000 (make serve PORT=8001)
	$(BOOTSTRAP) serve --port $(PORT)

lab: ## open the chapters in JupyterLab (make lab ODYSSEY_RERUN=1 trains a small live part)
	$(BOOTSTRAP) lab

test: ## add torch, numba and the tools to .venv; read the code, build the book, run the tests
	$(BOOTSTRAP) test

test-all: ## the same with the slow tests
	$(BOOTSTRAP) test-all

lint: ## read the code only: ruff, pyright, import-linter
	$(BOOTSTRAP) lint

clean: ## delete the built book and caches; .venv, runs/ and results_cache/ stay
	$(BOOTSTRAP) clean
