"""The option device of hypergrad.minimize: whole runs have the same bits whoever runs the loops."""

import textwrap

import numpy as np
import pytest
import scipy.optimize

import hypergrad
from hypergrad.errors import ArgumentError, DeviceNotFoundError
from hypergrad.methods import NAMES
from hypergrad_problems import data, quadratics, set_models
from hypergrad_problems.runs import solve
from hypergrad_reference import hdm_best, hdm_best_loops
from hypergrad_reference.sums import BLOCK

METHODS = ["hdm_best", "hdm_best_corrected"]
QUADRATIC = quadratics.quadratic(np.geomspace(2e-4, 2.0, 30), optimum=0.5, x0=np.linspace(-2.0, 3.0, 30))


def valley(n):
    """Rosenbrock's function, where many steps are refused."""
    return scipy.optimize.rosen, scipy.optimize.rosen_der, np.linspace(-1.0, 1.0, n), {"maxiter": 120}


def guessed(n):
    """The quadratic of test_hdm_best.py, where the curvature is guessed on the way."""
    return QUADRATIC.value, QUADRATIC.gradient, QUADRATIC.x0, {"smoothness": 2.0, "hyper_lr": 0.5, "maxiter": 80}


def margin(n):
    """The SVM of the papers."""
    problem = set_models.hdm_svm(data.load("a1a", reading="authors"))
    return problem.value, problem.gradient, problem.x0, {"smoothness": problem.smoothness_estimate}


RUNS = {
    "n2": (valley, 2), "n17": (valley, 17), "n4096": (valley, BLOCK), "n9001": (valley, 2 * BLOCK + 809),
    "guess": (guessed, 30), "a1a": (margin, 123),
}  # fmt: skip


def run(method, device, name):
    make, n = RUNS[name]
    fun, jac, x0, options = make(n)
    told = []

    def tell(intermediate_result):
        told.append((intermediate_result.x.tobytes(), intermediate_result.jac.tobytes()))

    result = hypergrad.minimize(
        fun, x0, jac=jac, method=method, callback=tell,
        options={**options, "device": device, "history": True, "return_all": True},
    )  # fmt: skip
    return result, told


def show(result, told):
    """All that a run leaves behind; arrays as bytes."""
    history = {name: values.tobytes() for name, values in result.history.items()}
    plain = {name: result[name] for name in ("fun", "nit", "nfev", "njev", "status", "message")}
    return result.x.tobytes(), result.jac.tobytes(), history, [x.tobytes() for x in result.allvecs], plain, told


@pytest.fixture
def described(device):
    """The description of each OpenCL device there is, in turn."""
    from hypergrad_kernels.device import name_device

    return name_device(device)


@pytest.fixture
def launches(monkeypatch):
    """The names of the kernels that are launched."""
    pytest.importorskip("pyopencl")
    from hypergrad_kernels.launcher import Launcher

    names, launch = [], Launcher.launch

    def count(self, name, call):
        names.append(call.form.kernel)
        launch(self, name, call)

    monkeypatch.setattr(Launcher, "launch", count)
    return names


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("method", METHODS)
def test_device_changes_no_bit_of_a_whole_run(method, name, described, launches):
    result, told = run(method, described, name)
    assert launches.count("inner_products") == result.nit
    assert launches.count("adapt") == result.nit + (
        method == "hdm_best_corrected"
    )  # its first P is adapted at the start
    assert show(result, told) == show(*run(method, "numpy", name))


def test_runs_meet_refusals_and_the_guess():
    """So that the comparison of the bits sees both."""
    for method in METHODS:
        _, told = run(method, "numpy", "n9001")
        points = [x for x, _ in told]
        assert len(set(points)) < len(points)
        result, _ = run(method, "numpy", "guess")
        assert len(set(result.history["smoothness"])) == 2


def test_device_that_copies_changes_no_bit(device, described, monkeypatch):
    """A device of which nothing is known but that it has memory of its own."""
    from hypergrad_kernels.device import open_device

    monkeypatch.setattr(open_device(device), "in_place", False)
    assert show(*run("hdm_best_corrected", described, "guess")) == show(*run("hdm_best_corrected", "numpy", "guess"))


def test_numpy_runs_the_reference():
    problem = set_models.hdm_svm(data.load("a1a", reading="authors"))
    result, _ = run("hdm_best", "numpy", "a1a")

    class Reference:
        init = staticmethod(lambda *given: hdm_best_loops.init(hdm_best_loops.NUMPY, *given))
        step = staticmethod(lambda *given: hdm_best_loops.step(hdm_best_loops.NUMPY, *given))

    states = solve(Reference, problem, hdm_best.Constants(problem.smoothness_estimate), gtol=1e-5)
    assert [state.x.tobytes() for state in states] == [x.tobytes() for x in result.allvecs]


def test_scipy_passes_the_device_on(described, launches):
    result = scipy.optimize.minimize(
        scipy.optimize.rosen, [-1.2, 1.0], jac=scipy.optimize.rosen_der, method=hypergrad.methods.hdm_best,
        options={"device": described, "maxiter": 50},
    )  # fmt: skip
    assert launches.count("inner_products") == result.nit == 50


@pytest.mark.parametrize("method", METHODS)
def test_what_the_user_gives_is_not_written_to(method, described):
    x0, gradient = np.array([3.0, 4.0]), np.array([6.0, 8.0])
    hypergrad.minimize(
        lambda x: (float(gradient @ x), gradient), x0, jac=True, method=method,
        options={"device": described, "maxiter": 9, "smoothness": 1.0},
    )  # fmt: skip
    assert (x0.tolist(), gradient.tolist()) == ([3.0, 4.0], [6.0, 8.0])


def fall(x):
    """Linear: the curvature that is guessed after 21 steps is 0."""
    return float(x.sum()), np.ones_like(x)


def cliff(x):
    """Its gradient is NaN where f is lower than 1."""
    value = float(x @ x)
    return value, 2 * x if value >= 1 else np.full_like(x, np.nan)


@pytest.mark.parametrize("device", [None, "numpy", "opencl"])
@pytest.mark.parametrize("fun", [fall, cliff], ids=["fall", "cliff"])
@pytest.mark.parametrize("method", METHODS)
def test_lost_run_ends_at_the_last_good_point(method, fun, device, some_device):
    points = {fun(np.array([3.0, 4.0]))[0]: [3.0, 4.0]}

    def tell(intermediate_result):
        points[intermediate_result.fun] = intermediate_result.x.tolist()

    result = hypergrad.minimize(
        fun, [3.0, 4.0], jac=True, method=method, callback=tell,
        options={"device": device, "smoothness": 2.0, "maxiter": 80},
    )  # fmt: skip
    assert result.status == 3
    assert result.nit > 1
    assert result.x.tolist() == points[result.fun]
    assert fun(result.x)[0] == result.fun == min(points)
    assert result.jac.tobytes() == fun(result.x)[1].tobytes()


@pytest.mark.parametrize("method", sorted(set(NAMES) - set(METHODS)))
def test_method_without_kernels_is_named_with_those_that_have_some(method):
    with pytest.raises(ArgumentError) as caught:
        hypergrad.minimize(scipy.optimize.rosen, [1.0, 2.0], method=method, options={"device": "opencl"})
    assert str(caught.value) == (
        f"device='opencl': method={method!r} has no kernels: leave the option out, or take one of hdm_best, "
        "hdm_best_corrected"
    )


@pytest.mark.parametrize("device", ["", "cuda", "opencl:a:b", "OPENCL", 3, b"numpy", ["numpy"], np.array(["numpy"])])
def test_other_description_is_named_with_the_possible(device):
    with pytest.raises(ArgumentError) as caught:
        hypergrad.minimize(scipy.optimize.rosen, [1.0, 2.0], method="hdm_best", options={"device": device})
    assert str(caught.value) == (
        f"device={device!r}: give 'auto', 'numpy', 'opencl', 'opencl:PART' or 'opencl:PART:INDEX'"
    )


def test_device_that_is_not_there_is_named(some_device):
    words = "device='opencl:no such': no device has 'no such' in its name; give a part of one of these: "
    with pytest.raises(DeviceNotFoundError, match=words):
        hypergrad.minimize(scipy.optimize.rosen, [1.0, 2.0], method="hdm_best", options={"device": "opencl:no such"})


def test_device_without_float64_is_refused_with_the_remedy(some_device, monkeypatch):
    class Facts:
        double_fp_config, max_mem_alloc_size = 0, 1 << 40

    from hypergrad_kernels.device import open_device

    monkeypatch.setattr(open_device("opencl"), "cl_device", Facts)
    with pytest.raises(DeviceNotFoundError, match=r"x0 is float64 and .* has no float64: use device='numpy'"):
        hypergrad.minimize(scipy.optimize.rosen, [1.0, 2.0], method="hdm_best", options={"device": "opencl"})


WITHOUT = """
    import warnings
    warnings.simplefilter("always")
    from scipy.optimize import rosen, rosen_der
    import hypergrad

    def run(device):
        options = {"device": device, "maxiter": 30}
        return hypergrad.minimize(rosen, [-1.2, 1.0], jac=rosen_der, method="hdm_best", options=options).x.tolist()

    print(run("auto") == run("numpy"))
    try:
        run("opencl")
    except Exception as error:
        print(type(error).__name__, error)
    """


def test_auto_takes_numpy_with_one_warning_where_there_is_no_device(run_script):
    done = run_script(textwrap.dedent(WITHOUT), "-W", "default", OCL_ICD_VENDORS="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeviceWarning") == 1
    assert "script.py:9: DeviceWarning: NumPy does the work: no OpenCL device was found" in done.stderr
    first, refusal = done.stdout.splitlines()
    assert first == "True"
    assert refusal.startswith("DeviceNotFoundError no OpenCL device was found")
