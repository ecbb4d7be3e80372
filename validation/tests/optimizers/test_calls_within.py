"""What is called from within a call of the same optimizer is taken whole, or refused."""

import signal
import sys

import numpy as np
import pytest
from snapshots import EVERY, FULL, freeze

from hypergrad.errors import BrokenOptimizerError, BusyOptimizerError


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
    "skipped step": lambda opt, state: opt.step(gradients=[np.full(3, np.nan)]),
    "load": lambda opt, state: opt.load_state_dict(state),
    "group": lambda opt, state: opt.add_param_group({"params": [np.ones(2)]}),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("call", WITHIN.values(), ids=WITHIN)
@pytest.mark.parametrize("scale", [1.0, np.nan], ids=["step", "skipped step"])
def test_step_that_meets_a_change_from_within_is_not_taken(kind, call, scale, where):
    thetas = [np.ones(3), np.ones(3)]
    opt, other = (kind([theta], device=where, nonfinite="skip", **FULL[kind]) for theta in thetas)
    state = opt.state_dict()
    with pytest.raises(BusyOptimizerError, match="let a signal handler set a flag"):
        opt.step(gradients=[Calling(lambda: call(opt, state), scale)])
    call(other, state)
    assert freeze([thetas[0], opt.state_dict(), opt.records]) == freeze([thetas[1], other.state_dict(), other.records])


@pytest.mark.parametrize("kind", EVERY)
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
@pytest.mark.parametrize("kind", EVERY)
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
