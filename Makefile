# Each target sets up .venv by itself and re-uses it. PYTHON may name another interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cksum < pyproject.toml | cut -d' ' -f1)

.PHONY: demo test lab docs lint bench clean help

help:
	@echo "make demo   simulate, train and evaluate headlessly; the report is data/runs/demo/report.html"
	@echo "make test   run the tests"
	@echo "make lab    open JupyterLab on your copies of the notebooks, in data/lab"
	@echo "make docs   render the pages of labkit's public names into data/docs"
	@echo "make lint   ruff, mypy and the docstring rules"
	@echo "make bench  run the benchmarks of tests/benchmarks and print their figures"
	@echo "make clean  remove .venv, caches and everything computed; data/lab stays"

$(READY):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; name another one: make PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,docs,lint]'
	@rm -f $(VENV)/.ready-* && touch $@

demo: $(READY)
	$(BIN)/labkit run notebooks/demo.toml --run data/runs/demo

# one process a core, up to four; a file's tests share what they prepare
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# on copies that git does not see; those that were changed or run are kept
lab: $(READY)
	$(BIN)/labkit notebooks data/lab --data data
	$(BIN)/jupyter lab --ServerApp.root_dir=. data/lab/01_data_exploration.ipynb

docs: $(READY)
	$(BIN)/pdoc --docformat numpy --math --no-include-undocumented --output-directory data/docs labkit '!labkit\..*'
	@echo "the pages are data/docs/index.html"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(git ls-files 'labkit/*.py')

bench: $(READY)
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis data/samples data/runs data/cache data/docs
	find labkit tests -name __pycache__ -prune -exec rm -rf {} +
