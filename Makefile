# make figures   reproduce and draw: out/report.html        make test    every test
#     FULL=1     every data set that is there (HYPERGRAD_DATA)  FULL=mlp   the networks of 100 epochs too
#     FETCH=1    download the data sets that are missing first
# make bench     speed, as ratios inside one run             make check   ruff, mypy, the documents, the built wheel
# make arena     without tuning: out/selection.html        SEEDS=N  FULL=1 every data set
# make docs      the site: out/docs/index.html               make figures comes first; seconds if they are drawn
# make mutants   break the code on purpose: tests go red     make test-runtimes   kernels on every OpenCL runtime
# make release   dist/: wheel and sdist, both tested on PYTHONS, away from the checkout
# make gpu       a GPU: bits, and speed as ratios; a bare machine and its driver will do     DEVICE=opencl:PART another
# make test-torch, make test-optax   the tests of hypergrad.torch and of hypergrad.optax, in environments of their own
# make torch-suite TORCH_TESTS=.../pytorch/test   torch's own test_optim.py against them
# make torch-tables      features, derivatives, meshes and a network, beside other packages: docs/explanation/torch.md
#
# Each works in a fresh clone with Python >= 3.11, make and a package index. PYTHON names the interpreter.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV   := .venv
BIN    := $(abspath $(VENV))/bin
PYTEST := $(BIN)/python -m pytest

.DELETE_ON_ERROR:
.PHONY: figures arena docs test test-data test-torch test-optax torch-suite torch-tables bench gpu check lint test-runtimes \
        on-intel on-pip on-debian on-oclgrind bench-torch bench-intel bench-pip bench-debian mutants release clean

figures: $(VENV)/ready
	$(BIN)/python -m paper_figs $(if $(FULL),--full $(FULL)) $(if $(FETCH),--fetch)

# Optimizers that nobody tunes beside tuned ones, and the published packages, in an environment with torch.
arena: .cache/arena/ready
	.cache/arena/bin/python -m paper_figs --only tuning --only tuning_rates \
	    $(if $(FULL),--full 1) $(if $(FETCH),--fetch) $(if $(SEEDS),--seeds $(SEEDS))

# Warnings are errors, as is a reference to nothing. The site needs no network, neither to be built nor to be read.
docs: figures $(VENV)/docs-ready
	$(BIN)/python -m sphinx --fail-on-warning --jobs auto docs out/docs

test: $(VENV)/ready
	$(PYTEST) -n auto

# The files with tests that read MNIST and the authors' logs, and are skipped without them.
DATA := $(addprefix validation/tests/,problems/test_data.py figures/test_figures_baydin.py \
        papers/test_findings_baydin.py papers/test_verdicts.py)

test-data: $(VENV)/ready
	$(PYTEST) -n auto $(DATA) -k "not hdm2025 and not osgm2025"

test-torch: .cache/torch/ready
	OMP_NUM_THREADS=1 .cache/torch/bin/python -m pytest -n auto --dist loadgroup validation/tests/torch hypergrad/torch
	.cache/torch/bin/python -m pytest -n auto docs -k torch

test-optax: .cache/optax/ready
	OMP_NUM_THREADS=1 .cache/optax/bin/python -m pytest -n auto validation/tests/optax hypergrad/optax
	.cache/optax/bin/python -m pytest -q -n 0 docs -k optax

torch-suite: .cache/torch/ready
	@test -e "$(TORCH_TESTS)/test_optim.py" || \
	    { echo "TORCH_TESTS='$(TORCH_TESTS)': name the folder test of a checkout of torch"; exit 1; }
	.cache/torch/bin/python validation/tests/torch/torch_suite.py $(TORCH_TESTS)

# Optimizers of torch from other packages, for what is shown beside them.
RIVALS = .cache/torch/bin/python -m pip install --quiet --constraint constraints.txt \
    prodigyopt schedulefree dadaptation pytorch_optimizer scikit-learn

torch-tables: .cache/torch/ready
	$(RIVALS)
	OMP_NUM_THREADS=1 .cache/torch/bin/python validation/tests/torch/torch_tables.py

bench: $(VENV)/ready
	mkdir -p out
	$(PYTEST) validation/bench_steps.py validation/bench_reference.py --benchmark-only --benchmark-json=out/bench.json
	for runtime in intel pip debian; do $(MAKE) --no-print-directory bench-$$runtime || exit 1; done
	$(MAKE) --no-print-directory bench-torch

bench-torch: .cache/torch/ready
	$(RIVALS)
	.cache/torch/bin/python validation/bench_torch.py
	OMP_WAIT_POLICY=PASSIVE .cache/torch/bin/python validation/bench_torch.py

# A GPU and its driver, within eight minutes: bits, each kernel beside a copy, steps of all sizes; out/gpu.json.
gpu:
	$(PYTHON) validation/gpu.py $(if $(DEVICE),--device "$(DEVICE)")

check: lint build/wheel/ready
	$(PYTEST) -q -n 0 README.md docs

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

mutants: $(VENV)/ready .cache/torch/ready .cache/optax/ready
	$(BIN)/python validation/mutate.py
	.cache/torch/bin/python validation/mutate.py torch
	.cache/optax/bin/python validation/mutate.py optax

# One process per runtime: OCL_ICD_VENDORS names its one file. Intel's comes with this package, PoCL 3.0 with its extra
# pocl; Debian's packages are pocl-opencl-icd and oclgrind. PoCL 3.0 alone may compile nothing: it knows no new processor.
SUITE    := $(addprefix validation/tests/,kernels/test_kernels.py kernels/test_sums.py kernels/test_processes.py \
            optimizers/test_trajectories.py optimizers/test_sgd_adam_hd.py command/test_command.py \
            kernels/test_runtime_from_pip.py)
ICD_intel    = $(shell $(BIN)/python -c "from hypergrad_kernels.runtime import find_library; print(find_library() or '/nonexistent')")
ICD_pip      = $(shell ls $(abspath .cache/pip-pocl)/pyopencl/.libs/libpocl-*.so 2> /dev/null || echo /nonexistent)
ICD_debian   = /etc/OpenCL/vendors/pocl.icd
ICD_oclgrind = /usr/lib/oclgrind/liboclgrind-rt-icd.so
# What the runtime has no part in is left to make test, and so are groups of 128 items: those of 512 are tested.
OF_A_RUNTIME = not (is_the_reference or leaves_its_inputs or resumed_run or names_the_arrays or 4097-128 or n17-128)
SMALL        = (test_kernels and (n1 or n17) and not n1000003) or (short_run and delayed)

test-runtimes:
	status=0; for runtime in intel pip debian oclgrind; do $(MAKE) --no-print-directory on-$$runtime || status=1; done; exit $$status

on-pip bench-pip: .cache/pip-pocl/ready
on-intel on-pip on-debian: on-%: $(VENV)/ready
	@test -e $(ICD_$*) || { echo "== $*: NOT FOUND, not tested"; exit 0; }; echo "== $*"; \
	OCL_ICD_VENDORS=$(ICD_$*) POCL_CACHE_DIR=$(abspath .cache/pocl-$*) $(PYTEST) -q -n auto \
	    $(if $(filter-out pip,$*),--need-device) $(SUITE) -k "$(OF_A_RUNTIME)"

# A simulator: slow, so small arrays, and every race, stray access and uninitialised read is a failure.
on-oclgrind: $(VENV)/ready
	@test -e $(ICD_oclgrind) || { echo "== oclgrind: NOT FOUND, not tested"; exit 0; }; echo "== oclgrind"; \
	OCL_ICD_VENDORS=$(ICD_oclgrind) OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 OCLGRIND_MAX_ERRORS=1000 \
	PYOPENCL_NO_CACHE=1 $(PYTEST) -q -n auto validation/tests/kernels/test_kernels.py \
	    validation/tests/optimizers/test_trajectories.py -k "$(SMALL)"

# A table of targets for each runtime, beside torch, at launch shapes measured first, in a cache of its own.
BENCH = hypergrad bench --tune --sizes --save out/bench-$*.json
bench-intel bench-pip bench-debian: bench-%: $(VENV)/ready .cache/torch/ready
	@test -e $(ICD_$*) || { echo "== $*: NOT FOUND, not measured"; exit 0; }; echo "== $*"; mkdir -p out; \
	OCL_ICD_VENDORS=$(ICD_$*) POCL_CACHE_DIR=$(abspath .cache/pocl-$*) XDG_CACHE_HOME=$(abspath .cache/$*) \
	PYTHONWARNINGS=ignore OMP_WAIT_POLICY=PASSIVE .cache/torch/bin/$(BENCH) || echo "== $*: NOT MEASURED"

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,figures,dask]'
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

.cache/arena/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .cache/arena
	.cache/arena/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[figures,arena]'
	touch $@

# An environment of its own: the others show that nothing else needs torch. With what torch's own checks need, and the
# trainer of an example.
.cache/torch/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .cache/torch
	.cache/torch/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,figures,torch,bench]' \
	    expecttest transformers accelerate
	touch $@

.cache/optax/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .cache/optax
	.cache/optax/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,optax]'
	touch $@

# Beside the environment, where it would be one more device in every test; the wheel is for Linux on x86-64.
.cache/pip-pocl/ready: $(VENV)/ready
	rm -rf .cache/pip-pocl
	$(BIN)/python -m pip install --quiet --target .cache/pip-pocl --no-deps --constraint constraints.txt \
	    pocl-binary-distribution || echo "== pip: NOT INSTALLED"
	mkdir -p .cache/pip-pocl && touch $@

# Tests of the wheel, away from the checkout; again when a file that it depends on has changed. Each variant of a kernel
# runs once per device: all sizes and launch shapes are make test's, on the same files.
build/wheel/ready: export PYTEST_ADDOPTS = -k "not (shape or many_tensors or names_the_arrays or leaves_its_inputs) \
    and (not leaves_the_bits or n17)"
build/wheel/ready: $(VENV)/ready $(shell git ls-files .ci hypergrad hypergrad_command reference kernels validation README.md)
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --installer pip --outdir build/wheel
	.ci/try_archive $(PYTHON) build/wheel/*.whl build/wheel/trial
	touch $@

release: .cache/release/ready
	rm -rf dist build/release
	.cache/release/bin/python -m build --installer pip --outdir dist
	.cache/release/bin/python -m twine check --strict dist/*
	for python in $(PYTHONS); do for kind in whl tar.gz; do \
	    .ci/try_archive $$python dist/*.$$kind build/release/$$(basename $$python)-$$kind || exit 1; done; done

.cache/release/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .cache/release
	.cache/release/bin/python -m pip install --quiet --constraint constraints.txt build twine
	touch $@

clean:
	rm -rf $(VENV) .cache build dist out paper_figs/data docs/gallery docs/examples docs/rules/pictures docs/reference/generated docs/static/mathjax docs/static/licences .pytest_cache .mypy_cache .ruff_cache
