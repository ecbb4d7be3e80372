"""A load that raises names the entry that is wrong, and has changed nothing."""

import copy
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import freeze
from trajectories import TRAJECTORIES, find_gradient, start_run

from hypergrad.errors import CheckpointError

BY_NAME = {trajectory.name: trajectory for trajectory in TRAJECTORIES}
NAMES = (
    "SGDHD", "SGDHD-nesterov", "AdamHD-multiplicative", "AdamW-amsgrad", "AdamW-shader", "HypergradientAdamW",
    "HypergradientAdamW-own-rates", "AutoHypergradientAdamW", "AutoHypergradientAdamW-derivative",
    "AutoHypergradientAdamW-own-rates",
)  # fmt: skip
STEPS = 32  # the second tensor sat the latest one out


def run(name, device):
    trajectory, thetas = BY_NAME[name], start_run()
    opt = trajectory.optimizer(trajectory.group(thetas), device=device, **trajectory.options)
    for step in range(STEPS):
        opt.step(gradients=find_gradient(thetas, step))
    return thetas, opt


run_once = cache(run)


def look_at(thetas, opt):
    return freeze([thetas, opt.state_dict(), opt.param_groups, opt.defaults, list(opt.records), opt.lr_histories])


# Every way to spoil an entry.


def list_paths(state, path=()):
    """The entries of a state, and the entries of these."""
    inner = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from list_paths(value, (*path, name))


def find(state, path):
    for name in path:
        state = state[name]
    return state


class Subclass(np.ndarray):
    """An array that may do anything with its memory."""


NOTHING = object()
"""The entry is taken out."""


def spoil(path, value):
    """What cannot be there instead of a value, by a name for the report."""
    yield "missing", NOTHING
    strangers = ["x", b"x", [], {}, set(), object(), np.array(["a"]), np.float64, lambda: 0, 1j, [[1.0]], {"x": 1}]
    if path[-1] != "grad_sq_ema":  # None before the first surprise
        strangers.append(None)
    for other in strangers:
        if type(other) is tuple and type(value) is list and not value:
            continue  # as good as an empty list
        if type(other) is not type(value) or freeze(other) != freeze(value):
            yield f"{other!r}", other
    if isinstance(value, (bool, int, float)):
        numbers = [
            np.nan,
            np.inf,
            -np.inf,
            10**400,
            -(10**5000),
            str(value),
            [value],
            np.array(value),
            {"value": value},
        ]
        yield from ((str(type(other)), other) for other in numbers if type(other) is not type(value) or other != value)
    if isinstance(value, bool) or path[0] == "options":
        yield from ((repr(other), other) for other in (2, 0.5, -1.0) if other != value)
    elif isinstance(value, int):
        yield from ((repr(other), other) for other in (-1, 0.5, float(value), True, 1 << 63, np.float64(value)))
    elif isinstance(value, float):
        yield from ((repr(other), other) for other in (True, np.bool_(True)))
    if isinstance(value, dict):
        yield "an entry more", {**value, "more": 1.0}
        yield "a number as name", {**value, 0: 1.0}
        yield "the values alone", [*value.values(), 0]
    if isinstance(value, list):
        yield "one more", [*value, value[-1] if value else 1]
        yield "as a dict", dict(enumerate(value))
        if value:
            yield "one less", value[:-1]
    if isinstance(value, np.ndarray):
        yield from spoil_array(path, value)


NOT_NEGATIVE = ("exp_avg_sq", "max_exp_avg_sq", "grad_grad", "surprise", "s_bar", "beta1_0", "beta1_1")


def spoil_array(path, array):
    yield "a list", array.tolist()
    yield "memory alone", memoryview(array)
    for dtype in (np.float16, np.int32, np.int64, np.longdouble, np.complex128, object, bool, "S8"):
        yield f"of {dtype}", array.astype(dtype)
    yield "the other precision", array.astype(np.float32 if array.dtype == np.float64 else np.float64)
    yield "the other byte order", array.astype(array.dtype.newbyteorder())
    yield "bytes", array.view(np.uint8)
    yield "masked", np.ma.array(array)
    yield "a subclass", array.view(Subclass)
    yield "a record", array.view([("x", array.dtype)])
    yield "a row", array[None]
    yield "a column", array[:, None]
    yield "a number", array.sum()
    yield "far too long", np.resize(array if array.size else np.ones(1, array.dtype), array.size + 2 * STEPS)
    if array.size:
        yield "empty", array[:0] if path[-1] not in ("surprise", "s_bar") else array[None, :0]
    if array.size > 1:
        yield "with gaps", np.repeat(array, 2)[::2]
        yield "backwards in memory", array[::-1].copy()[::-1]
        if path[0] == "tensors":
            yield "too short", array[:-1]
    for bad in (np.nan, np.inf, -np.inf):
        for place in {0, array.size - 1} if array.size else ():
            spoiled = array.copy()
            spoiled[place] = bad
            yield f"{bad} at {place}", spoiled
    if array.size and path[-1] in NOT_NEGATIVE:
        yield "negative", -array - array.dtype.type(1)


def put(state, path, value):
    """A copy of the state with another value, or none, at a path."""
    state = copy.deepcopy(state)
    *outer, name = path
    if value is NOTHING:
        del find(state, outer)[name]
    else:
        find(state, outer)[name] = value
    return state


def is_named(path, message):
    """Whether the message names the entry, or what holds it where it is one of a list."""
    return next(name for name in reversed(path) if isinstance(name, str)) in message


def refuse(thetas, opt, state, path):
    """Load a state that cannot be, and see the error and that nothing else has come of it."""
    before = look_at(thetas, opt)
    with pytest.raises(CheckpointError) as caught:
        opt.load_state_dict(state)
    assert path is None or is_named(path, str(caught.value)), str(caught.value)
    assert look_at(thetas, opt) == before


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(data=st.data())
def test_state_with_one_bad_entry_is_refused_by_name_and_changes_nothing(name, data):
    thetas, opt = run_once(name, "numpy")
    state = opt.state_dict()
    path = data.draw(st.sampled_from(list(list_paths(state))), "path")
    ways = list(spoil(path, find(state, path)))
    way = data.draw(st.sampled_from(range(len(ways))), "way")
    refuse(thetas, opt, put(state, path, ways[way][1]), path)


@pytest.mark.parametrize("name", ["SGDHD-nesterov", "AutoHypergradientAdamW-derivative"])
def test_optimizer_on_a_device_goes_on_after_refusals_as_if_there_were_none(name, device):
    thetas, opt = run(name, device)
    state = opt.state_dict()
    for path in list_paths(state):
        for _, value in list(spoil(path, find(state, path)))[:: 1 if "arrays" in path else 7]:
            with pytest.raises(CheckpointError):
                opt.load_state_dict(put(state, path, value))
    calm, other = run(name, "numpy")
    for step in range(STEPS, STEPS + 4):
        opt.step(gradients=find_gradient(thetas, step))
        other.step(gradients=find_gradient(calm, step))
    assert look_at(thetas, opt) == look_at(calm, other)


@pytest.mark.parametrize("stranger", [None, 1, "w.npz", [], [("kind", "AdamW")], {}, {1: 2}, np.ones(3)], ids=repr)
def test_what_is_no_state_is_refused(stranger):
    refuse(*run_once("AdamW-amsgrad", "numpy"), stranger, None)


def swap_moved(state):
    state["tensors"][0].update(step=0, moved=True)


def outrun(state):
    state["tensors"][0]["step"] = state["steps"] + 1


def count_less(state):
    state["steps"] = 3


def unstep(state):
    state["tensors"][4].update(step=0, moved=False)


def mix_beta1(state):
    state["groups"][1]["betas"][0] = 0.25


def vanish_eps(state):
    state["groups"][0]["eps"] = 1e-60


def leave_bounds(state):
    state["schedule"]["lr0"] = 800.0


def descend(state):
    state["groups"][0]["lr"] = -1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swap_moved, r"\['tensors'\]\[0\]\['moved'\]"),
        (outrun, r"\['tensors'\]\[0\]\['step'\]"),
        (count_less, "step|histories"),
        (unstep, r"\['tensors'\]\[4\]\['numbers'\]"),
        (mix_beta1, r"\['groups'\]: adapt_momentum=True adapts one beta1"),
        (vanish_eps, r"\['groups'\].*eps=1e-60 is 0 in float32"),
        (leave_bounds, r"\['schedule'\]\['lr0'\] is 800.0, not a finite number from 1e-06 to 1"),
        (descend, r"\['groups'\]: param_groups\[0\]: lr=-1.0"),
    ],
)
def test_entries_that_are_good_alone_and_at_odds_with_each_other_are_refused(change, words):
    thetas, opt = run_once("AutoHypergradientAdamW-groups", "numpy")
    state = opt.state_dict()
    change(state)
    with pytest.raises(CheckpointError, match=words):
        opt.load_state_dict(state)
    refuse(thetas, opt, state, None)


@pytest.mark.parametrize("name", ["SGDHD", "AutoHypergradientAdamW-own-rates"])
def test_history_that_is_held_hinders_no_load_and_stays_as_it_was(name, device):
    for where in ("numpy", device):
        thetas, opt = run(name, where)
        state = opt.state_dict()
        names = [name for name in dir(opt) if name.endswith("_history") and name[0] != "_"]
        held = [np.asarray(getattr(opt, name)) for name in names]
        views = [memoryview(getattr(opt, name)) for name in names]
        before = [array.tobytes() for array in held]
        for step in range(STEPS, STEPS + 90):
            opt.step(gradients=find_gradient(thetas, step))
        opt.load_state_dict(state)
        assert [getattr(opt, name).tobytes() for name in names] == before
        opt.step(gradients=find_gradient(thetas, STEPS))
        assert [view.tobytes() for view in views] == [array.tobytes() for array in held] == before
