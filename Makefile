# make figures   reproduce and draw: out/report.html        make test    every test
# make bench     speed, as ratios inside one run             make check   ruff, mypy, tests on the built wheel
# make mutants   break the code on purpose: tests go red
#
# Each works in a fresh clone with Python >= 3.11, make and a package index. PYTHON names the interpreter.

PYTHON ?= python3
VENV   := .venv
BIN    := $(abspath $(VENV))/bin
PYTEST := $(BIN)/python -m pytest

.DELETE_ON_ERROR:
.PHONY: figures test bench check mutants clean

figures: $(VENV)/ready
	$(BIN)/python -m paper_figs

test: $(VENV)/ready
	$(PYTEST) -n auto

bench: $(VENV)/ready
	mkdir -p out
	$(PYTEST) validation/bench_steps.py validation/bench_reference.py --benchmark-only --benchmark-json=out/bench.json

check: $(VENV)/ready build/wheel/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd build/wheel && venv/bin/python -m pytest -q .

mutants: $(VENV)/ready
	$(BIN)/python validation/mutate.py

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,figures,dask]'
	touch $@

# The kernel tests, away from the checkout, on the wheel alone.
build/wheel/ready: $(VENV)/ready $(shell git ls-files hypergrad reference kernels validation pyproject.toml)
	rm -rf build/wheel
	mkdir -p build/wheel out
	$(BIN)/python -m build --wheel --installer pip --outdir build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt \
	    hypothesis pytest pytest-timeout build/wheel/*.whl
	cp validation/conftest.py validation/test_kernels.py validation/test_wheel.py build/wheel/
	printf '[pytest]\nfilterwarnings = error\n    ignore:Non-empty compiler output\n' > build/wheel/pytest.ini
	touch $@

clean:
	rm -rf $(VENV) build dist out paper_figs/data .pytest_cache .mypy_cache .ruff_cache
