"""Choosing who runs the loops: exactly what was asked for, or an error or one warning that says why."""

import os
import re
import textwrap

import numpy as np
import pytest

import hypergrad
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, BuildError, DeviceError, NonFiniteError

STEP = """
    import warnings
    warnings.simplefilter("always")
    import numpy as np
    from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
    x = [np.ones(3)]
    opt = AdamW(x, lr=0.5, use_gpu=True)
    opt.step(gradients=[np.ones(3)])
    print(opt.device, x[0][0] < 1)
    for device in ("opencl", "opencl:pocl"):
        try:
            AdamW(x, device=device)
        except Exception as error:
            print(type(error).__name__, error)
    """


@pytest.mark.parametrize(
    ("name", "script", "environment", "reason"),
    [
        ("no platform", STEP, {"OCL_ICD_VENDORS": "/nonexistent"}, "no OpenCL device was found"),
        (
            "no pyopencl",
            "import sys; sys.modules['pyopencl'] = sys.modules['pytools'] = None\n" + textwrap.dedent(STEP),
            {},
            "pyopencl is not installed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("no ") and len(value) < 12 else "",
)
def test_without_opencl_numpy_serves_with_one_warning(name, script, environment, reason, run_script):
    done = run_script(script, "-W", "default", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeviceWarning") == 1
    assert reason in done.stderr
    assert "device='numpy' asks for it" in done.stderr
    first, *refusals = done.stdout.splitlines()
    assert first == "numpy True"
    assert len(refusals) == 2
    assert all(line.startswith("DeviceNotFoundError") and reason in line for line in refusals)


def test_import_touches_no_device_and_no_large_library(run_script):
    large = ("pyopencl", "scipy", "sklearn", "matplotlib", "torch")
    script = f"import sys, hypergrad; print([name for name in {large} if name in sys.modules])"
    done = run_script(script, OCL_ICD_VENDORS="/nonexistent")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_what_is_imported_late_is_listed_and_a_wrong_name_is_not():
    assert {"minimize", "methods", "AdamW"} <= set(dir(hypergrad))
    with pytest.raises(AttributeError, match="no attribute 'minimise'"):
        hypergrad.__getattr__("minimise")


def test_device_and_context_serve_as_they_are(device):
    cl = pytest.importorskip("pyopencl")
    names = {AdamW([np.ones(3)], device=given).device for given in (device, cl.Context([device]))}
    assert names == {f"opencl: {device.platform.name.strip()}: {device.name.strip()}"}


def test_part_of_a_name_finds_a_device(device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    part = device.platform.name.split()[0].lower()
    assert AdamW([np.ones(3)], device=f"opencl:{part}:0").device.startswith("opencl: ")
    words = f"the devices with '{re.escape(part)}' in their names are numbered from 0 to 0: "
    with pytest.raises(RuntimeError, match=words):
        AdamW([np.ones(3)], device=f"opencl:{part}:1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_raises_instead_of_hanging(device):
    opt = AdamW([np.ones(3)], device=device)
    opt._run.backend.device.process += 1  # what a child sees: the device was opened by another process
    try:
        with pytest.raises(DeviceError, match="spawn or forkserver"):
            opt.step(gradients=[np.ones(3)])
    finally:
        opt._run.backend.device.process -= 1


def test_kernel_that_does_not_compile_shows_the_log_and_changes_nothing(device, monkeypatch):
    x = np.ones(3)
    opt = AdamW([x], device=device)
    launcher = opt._run.backend._launcher
    text = launcher.read("adamw").replace("const vec m_t =", "const vec m_t = nonsense *")
    monkeypatch.setattr(launcher, "read", lambda name: text)
    # a program that was built before is kept: this one is new
    monkeypatch.setattr(opt._run.backend.device, "_programs", {})
    before = opt.state_dict()
    with pytest.raises(BuildError, match="nonsense"):
        opt.step(gradients=[np.ones(3)])
    assert x.tolist() == [1, 1, 1]
    assert str(opt.state_dict()) == str(before)


OPTIMIZERS = {
    "AdamW": lambda params, **more: AdamW(params, **more),
    "amsgrad": lambda params, **more: AdamW(params, amsgrad=True, **more),
    "HypergradientAdamW": lambda params, **more: HypergradientAdamW(params, decay_in_hypergradient=True, **more),
    "AutoHypergradientAdamW": lambda params, **more: AutoHypergradientAdamW(
        params, adapt_momentum=True, momentum_rule="derivative", track_surprise=True, warmup_steps=1, **more
    ),
    "SGDHD": lambda params, **more: SGDHD(params, momentum=0.5, nesterov=True, **more),
    "AdamHD": lambda params, **more: AdamHD(params, weight_decay=0.1, **more),
}


@pytest.fixture
def copying(device, monkeypatch):
    """A device of which nothing is known but that it has memory of its own."""
    from hypergrad_kernels.device import open_device

    opened = open_device(device)
    monkeypatch.setattr(opened, "in_place", False)
    return opened


def run_steps(opt, thetas, steps, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        opt.step(gradients=[rng.standard_normal(theta.shape).astype(theta.dtype) for theta in thetas])


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_memory_of_its_own_changes_no_bit(make, copying):
    runs = []
    for where in ("numpy", copying.cl_device):
        thetas = [np.linspace(-1, 1, 5000, dtype=np.float32), np.ones((3, 4), np.float32)]
        opt = make(thetas, device=where)
        run_steps(opt, thetas, 4)
        for kept in opt.state[id(thetas[1])].values():
            kept *= 2  # what the host changes counts in the next step
        run_steps(opt, thetas, 3)
        thetas[0][7] = 3.0  # and a parameter may be changed at any time
        run_steps(opt, thetas, 2)
        state = opt.state_dict()
        run_steps(opt, thetas, 2)
        opt.load_state_dict(state)
        run_steps(opt, thetas, 2)
        runs.append((thetas, [entry["arrays"] for entry in opt.state_dict()["tensors"]], list(opt.lr_history)))
    (thetas, arrays, rates), (others, other_arrays, other_rates) = runs
    assert [theta.tobytes() for theta in thetas] == [other.tobytes() for other in others]
    assert rates == other_rates
    for mine, theirs in zip(arrays, other_arrays, strict=True):
        assert {name: array.tobytes() for name, array in mine.items()} == {k: v.tobytes() for k, v in theirs.items()}


@pytest.mark.parametrize("in_place", [True, False], ids=["in-place", "copying"])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_pyopencl_arrays_do_not_cross_and_change_no_bit(make, in_place, device, monkeypatch):
    from pyopencl import array as cl_array

    from hypergrad_kernels.device import open_device

    opened = open_device(device)
    monkeypatch.setattr(opened, "in_place", opened.in_place and in_place)
    shapes = [(5000,), (3, 4), (60,)]
    hosts = [np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n, shape in enumerate(shapes)]
    thetas = [cl_array.to_device(opened.queue, host) for host in hosts[:2]] + [hosts[2].copy()]
    on_numpy, on_device = make(hosts, device="numpy"), make(thetas, device=opened.cl_device)
    on_device.step(gradients=[None, None, hosts[2]])
    on_numpy.step(gradients=[None, None, hosts[2]])
    for step in range(4):
        grads = [host * (step + 1) for host in hosts]
        sent = on_device._run.backend._launcher.arrays.sent
        on_device.step(gradients=[cl_array.to_device(opened.queue, grads[0]), grads[1], grads[2]])
        if not opened.in_place and step:
            assert on_device._run.backend._launcher.arrays.sent - sent < 4 * 5000  # not the first tensor
        on_numpy.step(gradients=grads)
    for host, theta in zip(hosts, thetas, strict=True):
        assert host.tobytes() == (theta if isinstance(theta, np.ndarray) else theta.get()).tobytes()
    assert list(on_numpy.lr_history) == list(on_device.lr_history)


def test_pyopencl_array_chooses_its_device_and_is_refused_elsewhere(device):
    cl = pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    context, other = cl.Context([device]), cl.Context([device])
    theta = cl_array.to_device(cl.CommandQueue(context), np.ones((2, 6), np.float32))
    opt = AdamW([theta])
    assert opt.device.startswith("opencl: ")
    opt.step(gradients=[np.ones((2, 6), np.float32)])
    assert (theta.get() < 1).all()
    elsewhere = cl_array.to_device(cl.CommandQueue(other), np.ones((2, 6), np.float32))
    with pytest.raises(ArgumentError, match=r"the gradient of params\[0\] is a pyopencl array of another context"):
        opt.step(gradients=[elsewhere])
    with pytest.raises(
        ArgumentError, match=r"params\[0\] is a pyopencl array of another context.*device=array.context"
    ):
        AdamW([theta], device=other)
    for more in ({"device": "numpy"}, {"use_gpu": False}):
        with pytest.raises(
            ArgumentError, match=r"params\[0\] is a pyopencl array and NumPy does the work: give its .get"
        ):
            AdamW([theta], **more)
    with pytest.raises(ArgumentError, match=r"params\[0\] and params\[1\] share memory"):
        AdamW([theta, theta])
    with pytest.raises(ArgumentError, match="strided or shifted view of a pyopencl array"):
        AdamW([theta[:, 1:3]])
    with pytest.raises(TypeError, match="is a pyopencl array of float64: convert it"):
        opt.step(gradients=[cl_array.to_device(cl.CommandQueue(context), np.ones((2, 6)))])
    with pytest.raises(NonFiniteError, match=r"holds nan at \[1, 2\]"):
        opt.step(gradients=[cl_array.to_device(cl.CommandQueue(context), np.where(np.arange(12) == 8, np.nan, 1)
                 .astype(np.float32).reshape(2, 6))])  # fmt: skip
    clearing = AdamW([theta], clear_grad=True)
    grad = cl_array.to_device(cl.CommandQueue(context), np.ones((2, 6), np.float32))
    clearing.step(gradients=[grad])
    assert not grad.get().any()


def test_parameters_and_gradients_cross_once_a_step_and_moments_stay(copying):
    n = 5000
    theta = np.ones(n, np.float32)
    opt = HypergradientAdamW([theta], decay_in_hypergradient=True, device=copying.cl_device)
    run_steps(opt, [theta], 3)
    arrays = opt._run.backend._launcher.arrays
    sent, received = arrays.sent, arrays.received
    run_steps(opt, [theta], 10)
    sums = 3 * 2 * 4  # products, blocks, bytes: the read-back of a step, whose place crosses as well
    assert arrays.sent - sent == 10 * (2 * 4 * n + sums)
    assert arrays.received - received == 10 * (4 * n + sums)
    opt.state_dict()
    assert arrays.received - received == 10 * (4 * n + sums) + 2 * 4 * n
