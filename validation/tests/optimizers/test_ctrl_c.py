"""Ctrl-C and other signals: answered between two steps, and never half a step."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from snapshots import take_snapshot

from hypergrad import AdamW, HypergradientAdamW
from hypergrad.errors import BrokenOptimizerError


def run(script):
    """The output of a script in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_step_leaves_a_handler_written_in_c_where_it_is():
    code, out, err = run("""
        import ctypes, signal, sys
        import numpy as np
        libc = ctypes.CDLL(None)
        libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
        harmless = ctypes.cast(libc.abs, ctypes.c_void_p).value
        libc.signal(signal.SIGINT, harmless)
        del sys.modules["_signal"]
        import _signal  # looks at the handlers again, as where Python is embedded
        assert signal.getsignal(signal.SIGINT) is None
        from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
        for kind in (SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW):
            x = np.ones(2)
            opt = kind([x], device="numpy")
            for _ in range(2):
                opt.step(gradients=[np.ones(2)])
            assert opt.state_dict()["steps"] == 2 and (x < 1).all()
        print(libc.signal(signal.SIGINT, harmless) == harmless)
    """)
    assert (code, out, err) == (0, "True\n", "")


def interrupt_steps(opt):
    """Take steps until Ctrl-C comes."""
    sent = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    sent.start()
    try:
        for _ in range(100_000):
            opt.step(gradients=[np.ones(2)])
    finally:
        sent.join()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("where_run", ["main", "thread"])
@pytest.mark.parametrize("kind_of_handler", ["default_int_handler", "SIG_IGN", "SIG_DFL", "quiet"])
def test_handler_of_ctrl_c_is_as_before_after_a_step(kind_of_handler, where_run):
    previous = signal.getsignal(signal.SIGINT)
    calls = []
    handler = {
        "default_int_handler": signal.default_int_handler,
        "SIG_IGN": signal.SIG_IGN,
        "SIG_DFL": signal.SIG_DFL,
        "quiet": lambda number, frame: calls.append(number),
    }[kind_of_handler]
    signal.signal(signal.SIGINT, handler)
    try:
        opt = AdamW([np.ones(2)], device="numpy")
        if where_run == "main":
            opt.step(gradients=[np.ones(2)])
        else:
            thread = threading.Thread(target=lambda: opt.step(gradients=[np.ones(2)]))
            thread.start()
            thread.join()
        assert signal.getsignal(signal.SIGINT) is handler
        assert opt.state_dict()["steps"] == 1
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_during_many_steps_is_answered_between_two():
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    x, calm = np.ones(2), np.ones(2)
    opt, other = AdamW([x], device="numpy"), AdamW([calm], device="numpy")
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_steps(opt)
    finally:
        signal.signal(signal.SIGINT, previous)
    steps = opt.state_dict()["steps"]
    for _ in range(steps):
        other.step(gradients=[np.ones(2)])
    assert x.tobytes() == calm.tobytes()
    opt.step(gradients=[np.ones(2)])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_process_that_leaves_it_to_the_system():
    code, out, _ = run("""
        import signal, threading, os
        import numpy as np
        from hypergrad import AdamW
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        opt = AdamW([np.ones(2)], device="numpy")
        opt.step(gradients=[np.ones(2)])
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        print("ready", flush=True)
        for _ in range(10**7):
            opt.step(gradients=[np.ones(2)])
    """)
    assert (code, out) == (-signal.SIGINT, "ready\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_other_signal_that_raises_never_leaves_half_a_step():
    class LateError(Exception):
        pass

    def ring(number, frame):
        raise LateError

    previous = signal.signal(signal.SIGALRM, ring)
    broken = 0
    try:
        for round_ in range(60):
            x, calm = np.ones(3), np.ones(3)
            opt, other = HypergradientAdamW([x], device="numpy"), HypergradientAdamW([calm], device="numpy")
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.00007 * round_)
            try:
                for _ in range(100_000):
                    opt.step(gradients=[np.ones(3)])
            except (LateError, BrokenOptimizerError):
                signal.setitimer(signal.ITIMER_REAL, 0)
            try:
                opt.step(gradients=[None])
            except BrokenOptimizerError:
                broken += 1
                continue
            for _ in range(opt.state_dict()["steps"]):
                other.step(gradients=[np.ones(3)])
            assert take_snapshot(opt, x) == take_snapshot(other, calm)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert broken < 60
