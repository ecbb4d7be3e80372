"""Rates are what they are said to be: from 0 in a warm-up, and always within their bounds."""

import re

import numpy as np
import pytest
from snapshots import BOUNDED, LEARNING, OPTIMIZERS, make, take_snapshot

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("lr_scope", ["global", "group"])
def test_warm_up_from_0_steps_with_the_rates_that_were_written(kind, groups, lr_scope, where):
    more = {} if kind is AdamW else {"lr_scope": lr_scope}
    more |= {"lr_min": 0.0} if kind in BOUNDED else {}
    pace = {HypergradientAdamW: "hyper_lr", AutoHypergradientAdamW: "hyper_lr"}.get(kind, "hyper_lr")
    more |= {} if kind is AdamW else {pace: 0.0}
    thetas = [np.ones(3) for _ in range(groups)]
    opt = make(kind, [{"params": [x]} for x in thetas], lr=0.0, device=where, **more)
    grads = [np.ones(3)] * groups
    opt.step(gradients=grads)
    assert all((x == 1).all() for x in thetas)
    for step in range(1, 5):
        wanted = [0.125 * step / (number + 1) for number in range(groups)]
        for group, lr in zip(opt.param_groups, wanted, strict=True):
            group["lr"] = lr
        opt.step(gradients=grads)
        assert [group["lr"] for group in opt.param_groups] == pytest.approx(wanted, rel=4e-16, abs=0)  # two roundings
        assert opt.current_lr == wanted[0]
    assert all((x < 1).all() for x in thetas)
    assert len({x.tobytes() for x in thetas}) == groups


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_rate_of_0_in_the_optimizer_leaves_groups_their_own(kind, where):
    bounds = {"lr_min": 0.0} if kind in BOUNDED else {}
    still, moving = np.ones(3), np.ones(3)
    opt = make(kind, [{"params": [still]}, {"params": [moving], "lr": 0.5}], lr=0.0, device=where, **bounds)
    opt.step(gradients=[np.ones(3)] * 2)
    assert (still == 1).all()
    assert (moving < 1).all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_warm_up_of_a_later_group_leaves_the_first_still(kind):
    bounds = {"lr_min": 0.0} if kind in BOUNDED else {}
    first, second = np.ones(3), np.ones(3)
    opt = make(kind, [{"params": [first]}, {"params": [second]}], lr=0.0, **bounds)
    opt.param_groups[1]["lr"] = 0.25
    opt.step(gradients=[np.ones(3)] * 2)
    assert (first == 1).all()
    assert (second < 1).all()
    opt.param_groups[0]["lr"] = 0.5
    opt.step(gradients=[np.ones(3)] * 2)
    assert (first < 1).all()


@pytest.mark.parametrize("kind", LEARNING)
def test_single_group_s_rate_is_the_rate_that_learns(kind):
    """A written rate is the base from then on: as an optimizer that began with it, moments aside."""
    more = {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}
    opt = make(kind, lr=0.01, **more)
    opt.step(gradients=[np.ones(3)])
    opt.param_groups[0]["lr"] = 0.5
    opt.step(gradients=[np.ones(3)])
    assert opt.current_lr == opt.param_groups[0]["lr"] == opt.defaults["lr"]
    assert opt.last_record.lr_before == 0.5


# Bounds.


def reload(opt, path):
    """Load what was saved a moment ago."""
    opt.save(path)
    opt.load(path)


GO_ON = {
    "another option": lambda opt, path: opt.param_groups[-1].update(weight_decay=0.5),
    "another group": lambda opt, path: opt.add_param_group({"params": [np.ones(3)], "lr": 0.2}),
    "state_dict": lambda opt, path: opt.load_state_dict(opt.state_dict()),
    "file": reload,
}


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("lr_scope", ["global", "group"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rate", [50.0, 1.0000001, 1e-9, -0.5])
def test_rate_written_outside_its_bounds_is_refused(kind, lr_scope, groups, rate, where):
    thetas = [np.ones(3) for _ in range(groups)]
    opt = make(kind, [{"params": [x]} for x in thetas], lr=0.0625, lr_max=1.0, lr_scope=lr_scope, device=where)
    grads = [np.ones(3)] * groups
    opt.step(gradients=grads)
    before = take_snapshot(opt, thetas)
    opt.param_groups[-1]["lr"] = rate
    name = "lr=" if groups == 1 else r"param_groups\[1\]: lr="
    with pytest.raises(ArgumentError, match=name + re.escape(repr(rate)) + r": give a number in \[1e-06, 1\.0\]"):
        opt.step(gradients=grads)
    opt.param_groups[-1]["lr"] = 0.0625
    assert take_snapshot(opt, thetas) == before
    opt.param_groups[-1]["lr"] = 1.0
    opt.step(gradients=grads)
    with pytest.raises(ArgumentError, match="give a number in"):
        opt.add_param_group({"params": [np.ones(2)], "lr": rate})


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("lr_scope", ["global", "group"])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["up", "down"])
@pytest.mark.parametrize("shares", [(1.0, 3.0), (3.0, 1.0), (0.3, 0.7), (1.0, 0.0)])
def test_rate_of_every_group_stays_within_the_bounds(kind, lr_scope, sign, shares):
    """The base rate is within [lr_min, lr_max], and however the groups divide it, none steps with more than lr_max."""
    if lr_scope == "group":
        shares = tuple(share or 1.0 for share in shares)
    pace = {"hyper_lr": 0.5} if kind is HypergradientAdamW else {"hyper_lr": 0.5, "warmup_steps": 0}
    thetas = [np.ones(3), np.ones(3)]
    groups = [{"params": [x], "lr": 0.1 * share} for x, share in zip(thetas, shares, strict=True)]
    opt = make(kind, groups, lr=0.1, lr_min=0.01, lr_max=0.7, lr_scope=lr_scope, weight_decay=0.0, **pace)
    ends = set()
    for step in range(60):
        opt.step(gradients=[np.full(3, sign**step)] * 2)
        rates = [group["lr"] for group in opt.param_groups]
        assert all(0 <= rate <= 0.7 for rate in rates)
        assert all(rate >= 0.01 for rate, share in zip(rates, shares, strict=True) if share >= 1)
        assert 0.01 <= opt.current_lr <= 0.7
        ends |= {opt.current_lr, *rates}
    near = 0.7 if sign > 0 else 0.01
    assert min(abs(rate - near) for rate in ends) < 1e-12


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("goes_on", GO_ON.values(), ids=GO_ON)
def test_rate_that_came_below_its_bound_is_no_rate_that_was_written(kind, groups, goes_on, tmp_path, where):
    """A group with less than the base rate may come below lr_min. What else is written or loaded is taken as before."""
    pace = {"hyper_lr": 0.5} if kind is HypergradientAdamW else {"hyper_lr": 0.5, "warmup_steps": 0}
    thetas = [np.ones(3) for _ in range(groups)]
    params = [{"params": [x], "lr": 0.1 * (1 + number)} for number, x in enumerate(thetas)]
    opt = make(kind, params, lr=0.4, lr_min=0.1, lr_max=0.8, device=where, **pace)
    for step in range(3):
        opt.step(gradients=[np.full(3, (-1.0) ** step)] * groups)
    low = opt.param_groups[0]["lr"]
    assert low < 0.1
    goes_on(opt, tmp_path / "state")
    assert opt.param_groups[0]["lr"] == low
    opt.step(gradients=[np.ones(3)] * len(opt.param_groups))


@pytest.mark.parametrize("kind", BOUNDED)
def test_bounds_that_hold_no_rate_are_refused(kind):
    with pytest.raises(ArgumentError, match=r"lr_min=0\.5 is above lr_max=0\.25: exchange them"):
        make(kind, lr_min=0.5, lr_max=0.25, lr=0.3)
    with pytest.raises(ArgumentError, match=r"lr=0\.0: give a number in \[1e-06, 1\.0\]"):
        make(kind, lr=0.0)
    with pytest.raises(ArgumentError, match=r"param_groups\[1\]: lr=3\.0: give a number in \[1e-06, 1\.0\]"):
        make(kind, [{"params": [np.ones(1)]}, {"params": [np.ones(1)], "lr": 3.0}])
    opt = make(kind, lr=0.5)
    opt.param_groups[0]["lr"] = 0.0
    with pytest.raises(ArgumentError, match=r"lr=0\.0: give a number in \[1e-06, 1\.0\]"):
        opt.step(gradients=[np.ones(3)])


@pytest.mark.parametrize("kind", LEARNING)
def test_rates_too_far_apart_for_a_proportion_are_refused(kind):
    bounds = {"lr_min": 0.0, "lr_max": 1e300} if kind in BOUNDED else {}
    groups = [{"params": [np.ones(1)]}, {"params": [np.ones(1)], "lr": 1e200}]
    with pytest.raises(ArgumentError, match=r"lr=1e\+200 of group 1 is too far from the base rate 1e-100"):
        make(kind, groups, lr=1e-100, **bounds)
    make(kind, groups, lr=1e-100, lr_scope="group", **bounds)
