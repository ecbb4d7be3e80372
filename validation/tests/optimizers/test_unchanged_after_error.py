"""A step or an add_param_group that raises has changed nothing, or says at every later step that it broke off."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from snapshots import EVERY, FULL, OPTIMIZERS, Param, freeze, make_stepped, take_snapshot

import hypergrad
import hypergrad_reference
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, BrokenOptimizerError, NonFiniteError

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


def test_squares_of_a_gradient_are_kept_only_once_its_step_is_taken(monkeypatch):
    opt = AutoHypergradientAdamW([np.ones(3)], device="numpy")
    opt.step(gradients=[np.ones(3)])
    before = take_snapshot(opt)

    def fail(work, clear_grad):
        raise MemoryError

    monkeypatch.setattr(opt._run.backend, "prepare", fail)  # the last thing that may fail before the first write
    with pytest.raises(MemoryError):
        opt.step(gradients=[np.full(3, 2.0)])
    assert take_snapshot(opt) == before


# Refusals.


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
    "nan in the last": (None, lambda g: [g[0], g[1] * np.nan], NonFiniteError),
    "overflow in the last": (None, lambda g: [g[0], g[1] * 1e308], NonFiniteError),
    "shape of the last": (None, lambda g: [g[0], np.ones(3)], ArgumentError),
    "dtype of the last": (None, lambda g: [g[0], g[1].astype(np.float32)], TypeError),
    "read-only parameter": (freeze_second, lambda g: g, ArgumentError),
    "lr below": (write(0, lr=-1.0), lambda g: g, ArgumentError),
    "lr is nan": (write(0, lr=np.nan), lambda g: g, ArgumentError),
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


@pytest.mark.parametrize("kind", EVERY)
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


@pytest.mark.parametrize("kind", EVERY)
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
