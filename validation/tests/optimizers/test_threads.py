"""Optimizers in several threads: made at the same time as OpenCL is first opened, and stepped side by side."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from snapshots import EVERY, FULL, freeze


def run(script):
    """A script in a process of its own, where nothing of OpenCL was imported yet."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:Non-empty compiler output", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    return done.stdout.strip(), done.stderr


def run_threads(*targets):
    """Run functions in threads of their own, and raise what they raise."""
    errors = []

    def guard(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def test_optimizer_is_made_while_another_thread_is_importing_pyopencl():
    """The import stops where its module has no array yet, as it does for a moment in any import."""
    out, err = run("""
        import importlib.abc, importlib.machinery, sys, threading
        import numpy as np
        from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW

        begun, go_on = threading.Event(), threading.Event()

        class Slow(importlib.abc.Loader):
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                begun.set()
                assert go_on.wait(60)
                class Array: pass
                module.Array = Array

        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "pyopencl":
                    return importlib.machinery.ModuleSpec(name, Package(), is_package=True)
                if name == "pyopencl.array":
                    return importlib.machinery.ModuleSpec(name, Slow())

        class Package(importlib.abc.Loader):
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                pass

        sys.meta_path.insert(0, Finder())
        def bring():
            import pyopencl.array
        thread = threading.Thread(target=bring)
        thread.start()
        assert begun.wait(60)
        for kind in (SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW):
            x = np.ones(3)
            opt = kind([x], device="numpy")
            opt.step(gradients=[np.ones(3)])
            opt.add_param_group({"params": [np.ones(2)]})
        go_on.set()
        thread.join()
        print("made")
    """)
    assert (out, err) == ("made", "")


def test_first_optimizers_of_a_process_are_made_in_many_threads(device):
    out, err = run("""
        import threading
        import numpy as np
        from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW

        errors, names, start = [], [], threading.Barrier(10)
        def make(kind, device):
            try:
                start.wait()
                for _ in range(3):
                    x = np.ones(50, np.float32)
                    opt = kind([x], device=device)
                    for _ in range(3):
                        opt.step(gradients=[np.ones(50, np.float32)])
                    names.append(x.tobytes())
            except BaseException as error:
                errors.append(repr(error))
        kinds = (SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW)
        pairs = [(kind, device) for kind in kinds for device in ("opencl", "numpy")]
        threads = [threading.Thread(target=make, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(names), errors)
    """)
    assert (out, err) == ("30 []", "")


@pytest.mark.parametrize("kind", EVERY)
def test_two_threads_step_their_own_optimizers_as_one_would(kind, where):
    def make(seed):
        rng = np.random.default_rng(seed)
        thetas = [rng.standard_normal(n).astype(np.float32) for n in (5000, 3, 60, 700, 8)]
        return thetas, kind(thetas, lr=0.01, device=where, **FULL[kind]), rng

    def step(thetas, opt, rng):
        for _ in range(25):
            opt.step(gradients=[rng.standard_normal(theta.size).astype(np.float32) for theta in thetas])

    alone = [make(seed) for seed in range(3)]
    for one in alone:
        step(*one)
    together = [make(seed) for seed in range(3)]
    run_threads(*[lambda one=one: step(*one) for one in together])
    for (thetas, opt, _), (others, other, _) in zip(alone, together, strict=True):
        assert freeze([thetas, opt.state_dict()]) == freeze([others, other.state_dict()])


@pytest.mark.parametrize("kind", EVERY)
def test_thread_that_steps_meets_readers_and_a_maker(kind, where):
    """While one thread steps, others read histories and make optimizers of their own."""
    x = np.ones(100)
    opt = kind([x], lr=0.01, device=where, **FULL[kind])
    done = threading.Event()

    def step():
        try:
            for _ in range(50):
                opt.step(gradients=[np.ones(100)])
        finally:
            done.set()

    def read():
        while not done.is_set():
            history = opt.lr_history
            assert (history > -np.inf).all()
            assert opt.current_lr > -np.inf

    def make():
        while not done.is_set():
            kind([np.ones(3)], lr=0.01, device=where).step(gradients=[np.ones(3)])

    run_threads(step, read, make)
    assert opt.state_dict()["steps"] == 50


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("size", [3, 70_000])
def test_threads_that_step_one_optimizer_take_turns(kind, size, where):
    """Whatever the order, the gradients are alike: the run is that of one thread."""
    x, alone = np.ones(size, np.float32), np.ones(size, np.float32)
    opt, calm = (kind([theta], lr=0.01, device=where, **FULL[kind]) for theta in (x, alone))
    gradient, states = np.full(size, 0.001, np.float32), []

    def step():
        for _ in range(8):
            opt.step(gradients=[gradient])

    def save():
        states.extend(opt.state_dict() for _ in range(8))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(step, step, step, save)
    finally:
        sys.setswitchinterval(interval)
    whole = {0: freeze(calm.state_dict())}
    for steps in range(1, 25):
        calm.step(gradients=[gradient])
        whole[steps] = freeze(calm.state_dict())
    assert freeze([x, opt.state_dict()]) == freeze([alone, calm.state_dict()])
    assert all(freeze(state) == whole[state["steps"]] for state in states)
