"""A step or an add_param_group that raises has changed nothing, or says at every later step that it broke off."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from snapshots import FULL, OPTIMIZERS, Param, freeze, take_snapshot

import hypergrad
import hypergrad_reference
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, BrokenOptimizerError, BusyOptimizerError, NonFiniteError

OURS = tuple(str(Path(package.__file__).parent) for package in (hypergrad, hypergrad_reference))


class Fault(BaseException):
    """What no code expects."""


def fail_at(line, call):
    """Run a call that raises Fault before the given line of ours that it executes; whether it came to that line."""
    left = [line]

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                raise Fault
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except (Fault, BrokenOptimizerError):
        pass
    finally:
        sys.settrace(before)
    return left[0] <= 0


@pytest.fixture
def handler():
    """The handler of Ctrl-C is put back: a fault may strike where it is about to be."""
    previous = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, previous)


def make_stepped(kind, steps=2, **options):
    """An optimizer in the middle of a run, its parameters, and gradients for the next step."""
    params = [np.array([1.0, 2.0, 3.0], np.float32), np.array([[4.0, 5.0]])]
    opt = kind(params, lr=0.01, device="numpy", **(FULL[kind] | options))
    grads = [np.array([0.5, -1.0, 2.0]), np.array([[1.0, -1.0]])]  # the first is rounded: a copy
    for _ in range(steps):
        opt.step(gradients=grads)
    return opt, params, grads


def add_group(opt, grads):
    opt.add_param_group({"params": [np.ones(2)]})


def step_on(opt, grads):
    opt.step(gradients=grads)


def step_over(opt, grads):
    opt.step(gradients=[grads[0], np.array([[1.0, np.nan]])])


CALLS = {
    "step": (step_on, {}, OPTIMIZERS),
    "skipped step": (step_over, {"nonfinite": "skip"}, OPTIMIZERS),
    "clearing step": (step_on, {"clear_grad": True}, [AdamW, AutoHypergradientAdamW]),
    "add_param_group": (add_group, {"lr_scope": "group"}, [HypergradientAdamW, AutoHypergradientAdamW]),
}


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize(
    ("call", "options", "kind"),
    [(call, options, kind) for call, options, kinds in CALLS.values() for kind in kinds],
    ids=[f"{name}-{kind.__name__}" for name, (_, _, kinds) in CALLS.items() for kind in kinds],
)
def test_fault_on_any_line_leaves_the_old_state_the_new_or_a_broken_optimizer(kind, call, options):
    opt, params, grads = make_stepped(kind, **options)
    before = take_snapshot(opt, params, grads)
    call(opt, grads)
    after = take_snapshot(opt, params, grads)
    assert before != after
    outcomes, line, reached = [], 0, True
    while reached:
        line += 1
        opt, params, grads = make_stepped(kind, **options)
        reached = fail_at(line, lambda opt=opt, grads=grads: call(opt, grads))
        try:
            opt.step(gradients=[None] * sum(len(group["params"]) for group in opt.param_groups))
        except BrokenOptimizerError:
            outcomes.append("broken")
            continue
        found = take_snapshot(opt, params, grads)
        assert found in (before, after), f"half a change after a fault before line {line}"
        outcomes.append("old" if found == before else "new")
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert outcomes.count("old") > 20


# Refusals.

NAN, INF = float("nan"), float("inf")


class Failing(Param):
    """A parameter whose gradient cannot be had."""

    @property
    def grad(self):
        raise OSError("no such batch")

    @grad.setter
    def grad(self, value):
        pass


def freeze_second(opt, params, grads):
    params[1].setflags(write=False)


def write(group, **options):
    return lambda opt, params, grads: opt.param_groups[group].update(options)


REFUSALS = {
    "nan in the last": (None, lambda g: [g[0], g[1] * NAN], NonFiniteError),
    "overflow in the last": (None, lambda g: [g[0], g[1] * 1e308], NonFiniteError),
    "shape of the last": (None, lambda g: [g[0], np.ones(3)], ArgumentError),
    "dtype of the last": (None, lambda g: [g[0], g[1].astype(np.float32)], TypeError),
    "read-only parameter": (freeze_second, lambda g: g, ArgumentError),
    "lr below": (write(0, lr=-1.0), lambda g: g, ArgumentError),
    "lr is nan": (write(0, lr=NAN), lambda g: g, ArgumentError),
    "decay is text": (write(0, weight_decay="much"), lambda g: g, ArgumentError),
    "another option": (write(0, momemtum=0.5), lambda g: g, ArgumentError),
    "params gone": (write(0, params=[]), lambda g: g, ArgumentError),
}


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (kind, refusal)
        for kind in OPTIMIZERS
        for refusal in REFUSALS
        if refusal != "lr below" or kind not in (SGDHD, AdamHD)  # their rates may be negative
    ],
)
def test_refused_step_changes_nothing_anywhere(kind, refusal, where):
    prepare, spoil, error = REFUSALS[refusal]
    params = [np.array([1.0, 2.0, 3.0]), np.array([[4.0, 5.0]])]
    opt = kind(params, lr=0.01, device=where, **FULL[kind])
    grads = [np.array([0.5, -1.0, 2.0]), np.array([[1.0, -1.0]])]
    for _ in range(2):
        opt.step(gradients=grads)
    before, groups = take_snapshot(opt, params), [dict(group) for group in opt.param_groups]
    if prepare is not None:
        prepare(opt, params, grads)
    spoilt = freeze(opt.param_groups)
    bits = freeze(params)
    with pytest.raises(error) as caught:
        opt.step(gradients=spoil(grads))
    assert not isinstance(caught.value, BrokenOptimizerError)
    assert freeze([params, opt.param_groups]) == [bits, spoilt]
    for group, kept in zip(opt.param_groups, groups, strict=True):
        group.clear()
        group.update(kept)
    params[1].setflags(write=True)
    assert take_snapshot(opt, params) == before
    opt.step(gradients=grads)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_gradient_that_cannot_be_read_changes_nothing(kind):
    params = [Param(np.ones(2), np.ones(2)), Failing.__new__(Failing)]
    params[1].data = np.ones(3)
    opt = kind(params, lr=0.01, device="numpy")
    before = freeze([params[0], params[1].data, opt.state_dict()])
    with pytest.raises(OSError, match="no such batch"):
        opt.step()
    assert freeze([params[0], params[1].data, opt.state_dict()]) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_closure_that_is_interrupted_changes_nothing(error):
    def closure():
        raise error

    opt, params, grads = make_stepped(AdamW)
    before = take_snapshot(opt, params, grads)
    with pytest.raises(error):
        opt.step(closure, gradients=grads)
    assert take_snapshot(opt, params, grads) == before
    opt.step(gradients=grads)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(
    "group",
    [
        {"params": []},
        {"params": [np.ones(2, np.float16)]},
        {"params": [np.ones(2)], "lr": -1.0, "weight_decay": -1.0},
        {"params": [np.ones(2)], "speed": 1.0},
        {"lr": 1.0},
        {"params": {1, 2}},
        [np.ones(2)],
        None,
    ],
    ids=["empty", "dtype", "range", "key", "no params", "set", "list", "none"],
)
def test_refused_group_changes_nothing(kind, group):
    opt, params, grads = make_stepped(kind)
    before = take_snapshot(opt, params, grads)
    with pytest.raises((ArgumentError, TypeError)):
        opt.add_param_group(group)
    assert take_snapshot(opt, params, grads) == before
    opt.step(gradients=grads)


def test_parameter_of_the_optimizer_cannot_be_added_again():
    opt, params, grads = make_stepped(AdamW)
    before = take_snapshot(opt, params, grads)
    for again in (params[0], params[0][1:], params[1].T):
        with pytest.raises(ArgumentError, match=r"params\[2\] share memory|share memory"):
            opt.add_param_group({"params": [again]})
    assert take_snapshot(opt, params, grads) == before


# What the user holds of the histories.


@pytest.mark.parametrize("hold", [np.asarray, memoryview, list, lambda history: np.frombuffer(history.data)])
def test_histories_that_are_held_neither_stop_a_step_nor_change(hold, tmp_path):
    opt, _, grads = make_stepped(AutoHypergradientAdamW, steps=5)
    names = ("lr_history", "beta1_history", "surprise_history", "s_bar_history")
    held = {name: hold(getattr(opt, name)) for name in names}
    before = {name: list(history) for name, history in held.items()}
    assert all(before.values())
    opt.save(tmp_path / "state.npz")
    for _ in range(200):
        opt.step(gradients=grads)
    longer = {name: len(getattr(opt, name)) for name in names}
    opt.load(tmp_path / "state.npz")
    opt.step(gradients=grads)
    assert {name: list(history) for name, history in held.items()} == before
    assert all(longer[name] == len(before[name]) + 200 for name in names)


def test_histories_cannot_be_made_writable():
    opt, _, _ = make_stepped(AutoHypergradientAdamW, steps=5)
    for name in ("lr_history", "beta1_history", "surprise_history", "s_bar_history"):
        history = getattr(opt, name)
        for array in (history, history[1:], np.asarray(history.base)):
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.setflags(write=True)


# Ctrl-C.


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


# Calls from within a call.


class Calling:
    """A gradient that calls its optimizer when it is looked at."""

    def __init__(self, call, scale):
        self.call, self.scale = call, scale

    @property
    def data(self):
        self.call()
        return np.full(3, self.scale)


WITHIN = {
    "step": lambda opt, state: opt.step(gradients=[np.ones(3)]),
    "skipped step": lambda opt, state: opt.step(gradients=[np.full(3, NAN)]),
    "load": lambda opt, state: opt.load_state_dict(state),
    "group": lambda opt, state: opt.add_param_group({"params": [np.ones(2)]}),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("call", WITHIN.values(), ids=WITHIN)
@pytest.mark.parametrize("scale", [1.0, NAN], ids=["step", "skipped step"])
def test_step_that_meets_a_change_from_within_is_not_taken(kind, call, scale, where):
    thetas = [np.ones(3), np.ones(3)]
    opt, other = (kind([theta], device=where, nonfinite="skip", **FULL[kind]) for theta in thetas)
    state = opt.state_dict()
    with pytest.raises(BusyOptimizerError, match="let a signal handler set a flag"):
        opt.step(gradients=[Calling(lambda: call(opt, state), scale)])
    call(other, state)
    assert freeze([thetas[0], opt.state_dict(), opt.records]) == freeze([thetas[1], other.state_dict(), other.records])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_generator_of_gradients_or_a_closure_may_take_steps_of_its_own(kind, where):
    thetas = [np.ones(3), np.ones(3)]
    opt, other = (kind([theta], device=where, **FULL[kind]) for theta in thetas)

    def generate():
        opt.step(gradients=[np.ones(3)])
        yield np.ones(3)

    opt.step(gradients=generate())
    opt.step(lambda: opt.step(gradients=[np.ones(3)]), gradients=[np.ones(3)])
    for _ in range(4):
        other.step(gradients=[np.ones(3)])
    assert freeze([thetas[0], opt.state_dict()]) == freeze([thetas[1], other.state_dict()])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_steps_of_a_signal_handler_are_taken_whole_or_not_at_all(kind):
    x, calm = np.ones(3), np.ones(3)
    opt, other = (kind([theta], device="numpy", **FULL[kind]) for theta in (x, calm))
    taken, refused = [], []

    def step():
        try:
            opt.step(gradients=[np.ones(3)])
            taken.append(True)
        except (BusyOptimizerError, BrokenOptimizerError):
            refused.append(True)

    previous = signal.signal(signal.SIGALRM, lambda number, frame: step())
    try:
        while len(refused) < 10:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 + 0.00001 * (len(taken) % 100))
            step()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    for _ in taken:
        other.step(gradients=[np.ones(3)])
    assert freeze([x, opt.state_dict()]) == freeze([calm, other.state_dict()])
