"""A step is taken as a whole: wherever it fails, nothing was changed, or the optimizer says that it is broken."""

import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from snapshots import freeze

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, BrokenOptimizerError, BusyOptimizerError
from hypergrad_reference import adamw_auto_rule

ROOT = Path(__file__).resolve().parents[3]
TRACED = tuple(str(ROOT / name) for name in ("hypergrad", "reference", "kernels"))

OPTIMIZERS = {
    "SGDHD": partial(SGDHD, lr=1e-2, momentum=0.5, hyper_lr=1e-3),
    "AdamHD": partial(AdamHD, hyper_lr=1e-6),
    "AdamW": partial(AdamW, clear_grad=True),
    "HypergradientAdamW": partial(HypergradientAdamW, hyper_lr=1e-4, decay_in_hypergradient=True),
    "AutoHypergradientAdamW": partial(
        AutoHypergradientAdamW, warmup_steps=1, adapt_momentum=True, momentum_rule="derivative", track_surprise=True
    ),
    "SGDHD, delay 1": partial(SGDHD, lr=1e-2, momentum=0.5, hyper_lr=1e-3, delay=1),
    "HypergradientAdamW, delay 1": partial(
        HypergradientAdamW, hyper_lr=1e-4, decay_in_hypergradient=True, delay=1, nonfinite="propagate"
    ),
    "AutoHypergradientAdamW, delay 1": partial(
        AutoHypergradientAdamW, warmup_steps=1, adapt_momentum=True, momentum_rule="derivative", track_surprise=True,
        clear_grad=True, delay=1, nonfinite="stop",
    ),
}  # fmt: skip


def start():
    return [np.linspace(1, 2, 5, dtype=np.float32), np.linspace(-1, 1, 3)]


def find_gradients(thetas):
    return [theta * theta.dtype.type(0.5) for theta in thetas]


def look(opt, thetas):
    """Everything that a step may change."""
    read = (opt.state_dict(), opt.param_groups, opt.records, opt.lr_histories, dict(opt.defaults), opt.skipped)
    return freeze([thetas, *read])


class Fault(Exception):  # noqa: N818
    """What the tracer raises."""


class Tracer:
    """Counts the lines of this package that are run, and raises at one of them."""

    def __init__(self, fault=None):
        self.fault, self.lines = fault, 0

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.fault:
                raise Fault(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return self


def run_traced(tracer, call):
    previous = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(previous)


@pytest.fixture(autouse=True)
def _handler():
    """A fault may strike before the handler of Ctrl-C is put back."""
    previous = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fault_at_any_line_of_a_step_changes_nothing_or_breaks_the_optimizer(name):
    def make():
        thetas = start()
        opt = OPTIMIZERS[name](thetas, device="numpy")
        for _ in range(3):
            opt.step(gradients=find_gradients(thetas))
        return opt, thetas

    opt, thetas = make()
    before, saved, good = look(opt, thetas), opt.state_dict(), [theta.copy() for theta in thetas]
    tracer = Tracer()
    gradients = find_gradients(thetas)
    run_traced(tracer, lambda: opt.step(gradients=gradients))
    after = look(opt, thetas)
    assert after != before
    outcomes = []
    for line in range(1, tracer.lines + 1):
        opt, thetas = make()
        gradients = find_gradients(thetas)
        with pytest.raises((Fault, BrokenOptimizerError)) as caught:
            run_traced(Tracer(line), lambda opt=opt, gradients=gradients: opt.step(gradients=gradients))
        now = look(opt, thetas)
        if now in (before, after) and not isinstance(caught.value, BrokenOptimizerError):
            outcomes.append("before" if now == before else "after")
            continue
        outcomes.append("broken")
        with pytest.raises(BrokenOptimizerError, match="the last good step is 3"):
            opt.step(gradients=find_gradients(thetas))
        for theta, kept in zip(thetas, good, strict=True):
            theta[...] = kept
        opt.load_state_dict(saved)
        opt.step(gradients=find_gradients(thetas))
        assert freeze([thetas, opt.state_dict()]) == [after[0], after[1]]
    # nothing is written, then everything, then all is there
    order = [
        outcome for outcome, following in zip(outcomes, [*outcomes[1:], None], strict=True) if outcome != following
    ]
    assert order == ["before", "broken", "after"]
    assert outcomes.count("broken") > 20


@pytest.mark.parametrize("call", ["add_param_group", "load_state_dict"])
def test_fault_at_any_line_of_a_change_of_state_changes_nothing_or_breaks_the_optimizer(call):
    def make():
        thetas = start()
        opt = OPTIMIZERS["AutoHypergradientAdamW"](thetas, device="numpy")
        opt.step(gradients=find_gradients(thetas))
        saved = opt.state_dict()
        opt.step(gradients=find_gradients(thetas))
        argument = saved if call == "load_state_dict" else {"params": [np.ones(2)], "lr": 1e-4}
        return opt, thetas, lambda: getattr(opt, call)(argument)

    opt, thetas, change = make()
    before, tracer = look(opt, thetas), Tracer()
    run_traced(tracer, change)
    after, outcomes = look(opt, thetas), []
    for line in range(1, tracer.lines + 1):
        opt, thetas, change = make()
        with pytest.raises((Fault, BrokenOptimizerError)):
            run_traced(Tracer(line), change)
        if opt._run.state.broken is not None:
            outcomes.append("broken")
            with pytest.raises(BrokenOptimizerError):
                opt.step(gradients=[None] * len(opt._run.tensors))
        else:
            now = look(opt, thetas)
            assert now in (before, after)
            outcomes.append("before" if now == before else "after")
    order = [
        outcome for outcome, following in zip(outcomes, [*outcomes[1:], None], strict=True) if outcome != following
    ]
    assert order == ["before", "broken", "after"]


class Interrupter:
    """Counts the functions that are entered and the lines that are run, and steps once at one of these places."""

    def __init__(self, step, place):
        self.step, self.place, self.places = step, place, 0

    def __call__(self, frame, event, argument):
        # _swap neither calls nor loops after its first instruction, so that Python runs no signal handler there
        if event == "call" or (event == "line" and frame.f_code.co_name != "_swap"):
            self.places += 1
            if self.places == self.place:
                self.step()
        return self if frame.f_code.co_filename.startswith(TRACED) else None


@pytest.mark.parametrize("kept", ["the same memory", "another memory"])
def test_step_taken_anywhere_within_a_step_is_taken_whole_or_refused(kept):
    """A signal handler may run wherever Python enters a function or begins a line."""

    def make():
        theta = np.ones(3)
        owner = SimpleNamespace(data=theta, grad=np.ones(3))
        opt = AdamW([owner], device="numpy")
        opt.step()
        if kept == "another memory":
            owner.data = owner.data.copy()
        return opt, owner

    def run(place):
        opt, owner = make()
        taken = []

        def step():
            try:
                opt.step()
                taken.append(True)
            except (BusyOptimizerError, BrokenOptimizerError):
                taken.append(False)

        tracer = Interrupter(step, place)
        run_traced(tracer, step)
        return tracer.places, taken, freeze([owner.data, opt.state_dict(), opt.records])

    after = {0: None}
    opt, owner = make()
    for steps in (1, 2):
        opt.step()
        after[steps] = freeze([owner.data, opt.state_dict(), opt.records])
    places, _, state = run(None)
    assert state == after[1]
    seen = set()
    for place in range(1, places + 1):
        _, taken, state = run(place)
        assert state == after[sum(taken)], place
        seen.add(tuple(taken))
    assert seen == {(True, True), (True, False), (False, True)}


# What tensors share.


def test_tensors_that_step_together_share_one_formation_of_scalars(monkeypatch):
    formed = []
    scalars = adamw_auto_rule.Rule.scalars

    def count(rule, options, history):
        formed.append(history)
        return scalars(rule, options, history)

    monkeypatch.setattr(adamw_auto_rule.Rule, "scalars", count)
    thetas = [np.ones(2) for _ in range(500)]
    opt = AutoHypergradientAdamW(thetas, device="numpy")
    grads = [np.ones(2)] * 500
    for missing, histories in ((0, 1), (0, 1), (3, 1), (0, 2), (0, 2)):
        formed.clear()
        opt.step(gradients=[None] * missing + grads[missing:])
        assert len(formed) == histories  # the three that sat one out have a count of their own from then on
    formed.clear()
    opt.step(gradients=grads[:3] + [None] * 497)  # the others sit one out, too
    opt.step(gradients=grads)
    opt.step(gradients=grads)
    assert len(formed) == 1 + 2 + 1  # and so all have the same past again except for their latest rates


# A run whose groups grow.


@pytest.mark.parametrize("scope", ["global", "group"])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "AdamW"])
def test_group_added_in_the_middle_of_a_run_goes_on_after_loading(name, scope, tmp_path):
    def grow(opt, thetas):
        thetas.append(np.ones((2, 2)))
        opt.add_param_group({"params": thetas[-1], "weight_decay": 0.5})

    thetas = start()
    opt = OPTIMIZERS[name](thetas, lr_scope=scope, device="numpy")
    for step in range(12):
        if step == 4:
            grow(opt, thetas)
        if step == 7:
            opt.save(tmp_path / "state.npz")
            kept = [theta.copy() for theta in thetas]
        opt.step(gradients=find_gradients(thetas))
    for at_once in (False, True):
        params = [theta.copy() for theta in kept]
        groups = [{"params": params[:2]}, {"params": params[2]}] if at_once else params[:2]
        resumed = OPTIMIZERS[name](groups, lr_scope=scope, device="numpy")
        if not at_once:
            resumed.add_param_group({"params": params[2]})
        resumed.load(tmp_path / "state.npz")
        for _ in range(7, 12):
            resumed.step(gradients=find_gradients(params))
        assert [theta.tobytes() for theta in params] == [theta.tobytes() for theta in thetas]
        assert freeze(resumed.state_dict()) == freeze(opt.state_dict())
        assert resumed.param_groups[1]["weight_decay"] == 0.5
    assert opt.state[id(thetas[-1])]["step"] == 8


def test_added_group_steps_as_a_fresh_optimizer_of_its_own():
    x, y, z = np.ones(3), np.full(2, 4.0), np.full(2, 4.0)
    opt = AdamW([x], lr=0.5, device="numpy")
    for _ in range(3):
        opt.step(gradients=[x / 2])
    opt.add_param_group({"params": [y], "lr": 0.25})
    alone = AdamW([z], lr=0.25, device="numpy")
    for _ in range(3):
        opt.step(gradients=[x / 2, y / 2])
        alone.step(gradients=[z / 2])
    assert y.tobytes() == z.tobytes()


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"params": []}, "holds no parameter"),
        ({"lr": 0.5}, "has no key 'params'"),
        ({"params": [np.ones(2)], "lr": -1.0}, "lr=-1.0"),
        ({"params": [np.ones(2)], "momentum": 0.5}, "unknown keys"),
    ],
)
def test_group_that_cannot_be_added_changes_nothing(group, words):
    thetas = start()
    opt = HypergradientAdamW(thetas, device="numpy")
    opt.step(gradients=find_gradients(thetas))
    before = look(opt, thetas)
    with pytest.raises(ArgumentError, match=words):
        opt.add_param_group(group)
    with pytest.raises(ArgumentError, match="share memory"):
        opt.add_param_group({"params": thetas[0][2:]})
    assert look(opt, thetas) == before
