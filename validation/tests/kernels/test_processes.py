"""Forks, workers and threads: OpenCL works where it can, and elsewhere says why at once, never by hanging."""

import os
import threading

import numpy as np
import pytest

from hypergrad import SGDHD, AdamW

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

CHILD = """
    import os, sys, time, warnings
    import numpy as np
    from hypergrad import AdamW, SGDHD

    def try_all(devices):
        for device in devices:
            for kind in (AdamW, SGDHD):
                x = np.ones(3)
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    try:
                        opt = kind([x], device=device)
                        opt.step(gradients=[np.ones(3)])
                        print(opt.device, x[0] < 1, *(one.message for one in told), flush=True)
                    except Exception as error:
                        print(type(error).__name__, x[0] == 1, error, flush=True)

    def name_library():  # pyopencl alone does not find what pip installed
        from hypergrad_kernels.runtime import find_library
        if library := find_library():
            os.environ.setdefault("OCL_ICD_VENDORS", str(library))

    def in_fork(run):
        sys.stdout.flush()
        child = os.fork()
        if not child:
            run()
            os._exit(0)
        for _ in range(600):
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(0.05)
        os.kill(child, 9)
        print("HANGS")
    """
AFTER = "this process was forked after OpenCL was used"
USES = {
    "an-optimizer": "AdamW([np.ones(3)], device='opencl')",
    "an-optimizer-that-is-gone": "opt = AdamW([np.ones(3)], device='opencl'); del opt",
    "a-list": "from hypergrad_kernels.device import list_devices; list_devices()",
    "pyopencl-alone": "name_library(); import pyopencl; [p.get_devices() for p in pyopencl.get_platforms()]",
}


@needs_fork
@pytest.mark.parametrize("run", ["{}", "lambda: in_fork({})"], ids=["child", "grandchild"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_fork_after_opencl_was_used_gets_numpy_or_a_refusal(use, run, some_device, run_script):
    run = run.format("lambda: try_all((None, 'opencl', 'opencl:o'))")
    done = run_script(f"{CHILD}\n    {use}\n    in_fork({run})\n")
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stdout + done.stderr
    assert all(line.startswith(f"numpy True NumPy does the work: {AFTER}") for line in lines[:2])
    assert all(line.startswith(f"DeviceError True {AFTER}") and "get_context('spawn')" in line for line in lines[2:])


UNUSED = {
    "hypergrad-imported": "pass",
    "pyopencl-imported": "import pyopencl, pyopencl.array",
    "kernels-imported": "import hypergrad_kernels.device, hypergrad_kernels.launcher",
    "numpy-used": "AdamW([np.ones(3)], device='numpy')",
}


@needs_fork
@pytest.mark.parametrize("prepare", UNUSED.values(), ids=UNUSED)
def test_fork_before_opencl_was_used_has_it(prepare, some_device, run_script):
    done = run_script(
        f"{CHILD}\n    {prepare}\n    in_fork(lambda: try_all((None, 'opencl')))\n    try_all(('opencl',))"
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stdout + done.stderr
    assert all(line.startswith("opencl: ") and " True" in line for line in lines)


@needs_fork
def test_inherited_optimizer_raises_and_changes_nothing(some_device, run_script):
    script = (
        CHILD
        + """
    x = np.ones(3)
    opt = AdamW([x], device="opencl")
    opt.step(gradients=[np.ones(3)])

    def step():
        before, state = x.copy(), str(opt.state_dict())
        for _ in range(2):
            try:
                opt.step(gradients=[np.ones(3)])
            except Exception as error:
                print(type(error).__name__, error, (x == before).all(), str(opt.state_dict()) == state, flush=True)
        other = AdamW([x], device="numpy")  # the remedy that the message names
        other.load_state_dict(opt.state_dict())
        other.step(gradients=[np.ones(3)])
        print("numpy", x.tolist(), flush=True)

    in_fork(step)
    opt.step(gradients=[np.ones(3)])
    print("opencl", x.tolist())
    """
    )
    lines = run_script(script).stdout.splitlines()
    assert len(lines) == 4, lines
    assert all(line.startswith("DeviceError") and line.endswith("True True") for line in lines[:2])
    assert lines[2].split(" ", 1)[1] == lines[3].split(" ", 1)[1]


WORKERS = """
    import multiprocessing, sys
    import numpy as np
    from hypergrad import AdamW

    def work(_):
        x = np.ones(3)
        opt = AdamW([x], device="opencl")
        opt.step(gradients=[np.ones(3)])
        return opt.device.partition(":")[0], x.tolist()

    if __name__ == "__main__":
        here = work(0)
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            print(pool.map(work, range(3)) == [here] * 3)
    """


@needs_fork
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_remedy_for_a_fork_works(method, some_device, run_script):
    done = run_script(WORKERS.replace("{method!r}", repr(method)))
    assert done.stdout == "True\n", done.stderr


THREADS = """
    import threading
    import numpy as np
    from hypergrad import SGDHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
    kinds = [SGDHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW]
    barrier, results = threading.Barrier(8), []

    def work(number):
        kind, device = kinds[number % 4], "numpy" if number >= {opencl} else "opencl"
        x = np.linspace(-1, 1, 5000)
        barrier.wait()
        for _ in range(50 if device == "numpy" else 1):
            opt = kind([x.copy()], device=device)
        opt = kind([x], device=device)
        for _ in range(3):
            opt.step(gradients=[np.ones(5000)])
        results.append((kind.__name__, x.tobytes()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(len(results), len(set(results)))
    """


@pytest.mark.parametrize("opencl", [8, 4, 1], ids=["all-opencl", "half-numpy", "one-opencl"])
def test_first_use_by_several_threads_at_once_gives_numpys_bits(opencl, some_device, run_script):
    done = run_script(THREADS.replace("{opencl}", str(opencl)), timeout=300)
    assert (done.stdout, done.stderr) == ("8 4\n", "")


def test_threads_share_one_opened_device(device):
    opened, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        opened.append(AdamW([np.ones(3)], device=device)._run.backend.device)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert len(set(map(id, opened))) == 1


def test_module_that_another_thread_imports_is_no_reason_to_fail(monkeypatch):
    import sys
    import types

    monkeypatch.setitem(sys.modules, "pyopencl.array", types.ModuleType("pyopencl.array"))
    x = np.ones(3)
    SGDHD([x], device="numpy").step(gradients=[np.ones(3)])
    assert x[0] < 1
