# Two commands for a newcomer: `make book` and `make test`. Each makes what it needs.
# Others: page (one lesson), lab, dist (zip and PDF), check (the quick part), lock, newest, release, grade, clean.

PYTHON ?= python3
SHELL  := /bin/bash
BIN    := .venv/bin
BOOK   := _build/html/index.html
SUBMISSIONS ?= submissions
# processes that run tests, of one thread each; 0: this one
WORKERS ?= 2

# `make TORCH=cpu book` takes PyTorch's CPU build and leaves out several GB of CUDA (Linux).
ifeq ($(TORCH),cpu)
install = grep -vE '^(nvidia|cuda|triton)' $(1) > .venv/$(1) && \
  $(BIN)/uv pip install -q --python $(BIN)/python --torch-backend cpu -r .venv/$(1)
else
install = $(BIN)/uv pip install -q --python $(BIN)/python -r $(1)
endif

.PHONY: book page lab dist test check lock newest release grade clean bench

# ---- the environment: made when missing, made again when its lock changed ----
.venv/run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mmcourse needs Python 3.11 or newer: make PYTHON=python3.11 book" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv==0.13.9
	$(call install,requirements.txt)
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

.venv/test: requirements-test.txt .venv/run
	$(call install,requirements-test.txt)
	@touch $@

# ---- what people use ----
# (Neither makes the sheets anew: what a learner has filled in stays. `make release` does.)
book: .venv/run
	$(BIN)/jupyter-book build . --toc book/_toc.yml -W --keep-going
	@echo "The book: file://$(CURDIR)/$(BOOK)"

# one lesson by itself, for its writer: `make page LESSON=54`. Links to other pages stay open.
page: .venv/run
	mkdir -p _build/page
	printf 'format: jb-book\nroot: book/preface\nchapters:\n  - file: %s\n' \
	  $(basename $(wildcard notebooks/$(LESSON)_*.md)) > _build/page/_toc.yml
	$(BIN)/jupyter-book build . --toc _build/page/_toc.yml --path-output _build/page
	@echo "The page: file://$(CURDIR)/_build/page/_build/html/$(basename $(wildcard notebooks/$(LESSON)_*.md)).html"

lab: .venv/run
	$(BIN)/jupyter lab --ServerApp.root_dir=.

# the book for offline use and for paper, in dist/
dist: .venv/test book
	$(BIN)/uv build -q --wheel --out-dir _build/wheel
	$(BIN)/python book/_dist

grade: .venv/run
	$(BIN)/mmcourse grade $(SUBMISSIONS) --out reports

# ---- what keeps it right ----
check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/pyright
	$(BIN)/mmcourse release --check
	$(BIN)/pytest -q -m "not browser and not notebook and not slow"

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/pyright
	$(BIN)/mmcourse release --check
	$(BIN)/jupyter-book build . --toc book/_toc.yml -W --keep-going
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal

bench: .venv/test
	for file in benchmarks/bench_*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$file || exit 1; done

lock: .venv/run
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-annotate --all-extras \
	  pyproject.toml -o requirements-test.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-annotate \
	  -c requirements-test.txt pyproject.toml -o requirements.txt

# the locks of the newest releases of everything, for `make test` after it: never to be committed
newest: .venv/run
	mkdir -p _build/newest
	sed -E '/"(jupyter-book|sphinx|sphinx-book-theme)==/! s/==[^"]*"/"/' pyproject.toml > _build/newest/pyproject.toml
	cp README.md LICENSE _build/newest
	$(BIN)/uv pip compile -q --universal --upgrade --no-annotate --all-extras \
	  _build/newest/pyproject.toml -o requirements-test.txt
	$(BIN)/uv pip compile -q --universal --upgrade --no-annotate \
	  -c requirements-test.txt _build/newest/pyproject.toml -o requirements.txt

release: .venv/run
	$(BIN)/mmcourse release

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis reports
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
