"""What would have no effect is an error that names what to write instead; each remedy is tried here."""

import re

import numpy as np
import pytest
from snapshots import EVERY, FULL, OPTIMIZERS, Param, freeze, make, take_snapshot

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, ArrayTypeError, SettingError


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("gradients", [None, {}], ids=["none", "empty dict"])
def test_step_without_gradients_on_arrays_says_how_to_give_them(kind, gradients):
    opt = make(kind)
    with pytest.raises(ArgumentError, match=r"no parameter has a \.grad: call step\(gradients=\[\.\.\.\]\)"):
        opt.step(gradients=gradients)
    assert opt.state_dict()["steps"] == 0
    opt.step(gradients=[np.ones(3)])
    assert opt.state_dict()["steps"] == 1


@pytest.mark.parametrize("kind", EVERY)
def test_step_without_gradients_on_objects_without_grad_says_how_to_give_them(kind):
    class Bare:
        def __init__(self):
            self.data = np.ones(2)

    param = Bare()
    opt = make(kind, [param])
    with pytest.raises(ArgumentError, match=r"no parameter has a \.grad"):
        opt.step(closure=lambda: 1.0)
    opt.step(closure=lambda: setattr(param, "grad", np.ones(2)))
    assert (param.data < 1).all()


@pytest.mark.parametrize("kind", EVERY)
def test_step_without_gradients_on_objects_that_have_one_waits_as_in_torch(kind):
    params = [Param(np.ones(2)), np.ones(3)]
    opt = make(kind, params)
    assert opt.step() is None
    assert opt.step(closure=lambda: 2.0) == 2.0
    assert opt.state_dict()["steps"] == 0


@pytest.mark.parametrize("kind", EVERY)
def test_none_in_a_list_lets_arrays_sit_the_step_out(kind):
    opt = make(kind)
    opt.step(gradients=[None])
    assert opt.state_dict()["steps"] == 0


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("given", [[np.ones(3)], (np.ones(3),), {0: np.ones(3)}, np.ones(3), 0.5, "g"])
def test_gradients_instead_of_the_closure_are_told_their_name(kind, given):
    opt = make(kind)
    with pytest.raises(TypeError, match=r"closure is \w+: give gradients by name, step\(gradients=\[\.\.\.\]\)"):
        opt.step(given)
    assert opt.state_dict()["steps"] == 0
    opt.step(gradients=[np.ones(3)])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.ones(3), r"gradients is ndarray: give a list, \[g\] for a single one"),
        (1.0, r"gradients is float: give a list"),
        ("g", r"gradients is str: give a list"),
        ({1.0}, r"gradients is set: give a list"),
        ([np.ones(3)] * 2, "2 entries for 1 parameters: give one each, None for none"),
        ({0: np.ones(3)}, r"1 keys that are the id of no parameter: key it by id\(param\)"),
        ({"w": np.ones(3)}, r"1 keys that are the id of no parameter: key it by id\(param\)"),
    ],
)
def test_gradients_of_another_form_are_named(given, words):
    x = np.ones(3)
    opt = make(AdamW, [x])
    with pytest.raises((ArgumentError, ArrayTypeError), match=words):
        opt.step(gradients=given)
    assert x.tolist() == [1, 1, 1]
    opt.step(gradients={id(x): np.ones(3)})
    opt.step(gradients=(g for g in [np.ones(3)]))
    assert opt.state_dict()["steps"] == 2


# Attributes.


GROUP_OPTIONS = {"lr": 0.5, "current_lr": 0.5, "weight_decay": 0.5, "betas": (0.5, 0.75), "eps": 1.0}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in OPTIMIZERS
        for name in GROUP_OPTIONS
        if kind is not SGDHD or name not in ("betas", "eps")
    ],
)
def test_option_of_groups_that_is_written_to_the_optimizer_is_refused(kind, name):
    opt, option, value = make(kind), name.removeprefix("current_"), GROUP_OPTIONS[name]
    with pytest.raises(SettingError, match=re.escape(f"write opt.param_groups[0][{option!r}]")):
        setattr(opt, name, value)
    opt.param_groups[0][option] = value  # the remedy
    opt.step(gradients=[np.ones(3)])
    assert opt.state_dict()["groups"][0][option] == (list(value) if option == "betas" else value)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    "name",
    ["nonfinit", "momemtum", "learning_rate", "weightdecay", "hyperlr", "skipped", "records", "lr_history", "device",
     "param_groups", "defaults", "state", "last_record", "step", "zero_grad", "lr_scope", "clear_grad"],
)  # fmt: skip
def test_attribute_that_would_have_no_effect_is_refused(kind, name):
    opt = make(kind)
    before = take_snapshot(opt)
    with pytest.raises(SettingError, match=name):
        setattr(opt, name, 0.5)
    with pytest.raises(AttributeError):
        setattr(opt, name, None)
    assert take_snapshot(opt) == before


@pytest.mark.parametrize("kind", EVERY)
def test_misspelled_attribute_is_told_the_nearest(kind):
    with pytest.raises(SettingError, match=r"has no attribute 'nonfinit': did you mean 'nonfinite'\?"):
        make(kind).nonfinit = "skip"


@pytest.mark.parametrize("kind", EVERY)
def test_policy_may_be_written_and_is_checked(kind):
    x = np.ones(3)
    opt = make(kind, [x])
    with pytest.raises(ArgumentError, match="nonfinite='ignore': give one of 'raise', 'skip', 'propagate'"):
        opt.nonfinite = "ignore"
    assert opt.nonfinite == "raise"
    opt.nonfinite = "skip"
    opt.step(gradients=[np.array([1.0, np.nan, 1.0])])
    assert opt.skipped == 1
    opt.nonfinite = "propagate"
    opt.step(gradients=[np.array([1.0, np.nan, 1.0])])
    assert np.isnan(x[1])


HYPER = {
    HypergradientAdamW: "hyper_lr",
    AutoHypergradientAdamW: "hyper_lr",
    SGDHD: "hyper_lr",
    AdamHD: "hyper_lr",
}


@pytest.mark.parametrize(("kind", "name"), HYPER.items())
def test_pace_of_the_rate_may_be_written_and_counts(kind, name):
    more = {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}
    rates = []
    for value in (0.0, np.float32(1e-3)):
        opt = make(kind, **{name: 1e-4, **more})
        opt.step(gradients=[np.ones(3)])
        setattr(opt, name, value)
        assert type(getattr(opt, name)) is float
        opt.step(gradients=[np.ones(3)])
        rates.append(opt.current_lr)
    assert rates[0] == 0.01
    assert rates[1] > 0.01
    with pytest.raises(ArgumentError, match=f"{name}=-1: give a number in"):
        setattr(opt, name, -1)


def test_scale_of_gradients_may_be_written_and_counts():
    params = [np.ones(3), np.ones(3)]
    opts = [make(AdamW, [x], eps=1.0) for x in params]
    opts[0].grad_scale = 0.5
    opts[0].step(gradients=[np.ones(3)])
    opts[1].step(gradients=[np.full(3, 0.5)])
    assert params[0].tobytes() == params[1].tobytes()
    with pytest.raises(ArgumentError, match="grad_scale=inf"):
        opts[0].grad_scale = float("inf")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(HypergradientAdamW, "lr_max", 0.5), (HypergradientAdamW, "log_scale", True), (AdamW, "amsgrad", True),
     (AutoHypergradientAdamW, "warmup_steps", 3), (AutoHypergradientAdamW, "beta_min", 0.75), (SGDHD, "momentum", 0.5),
     (SGDHD, "rule", "multiplicative"), (AdamHD, "rule", "multiplicative"), (AdamW, "maximize", True)],
)  # fmt: skip
def test_option_of_the_constructor_that_is_written_later_names_the_constructor(kind, name, value):
    opt = make(kind)
    before = getattr(opt, name)
    with pytest.raises(SettingError, match=re.escape(f"make a new optimizer, {kind.__name__}(..., {name}=...)")):
        setattr(opt, name, value)
    assert getattr(opt, name) == before
    assert getattr(make(kind, **{name: value}), name) == value


def test_subclass_may_declare_attributes():
    class Counting(AdamW):
        count: int
        label = ""

        def __init__(self, params):
            super().__init__(params, device="numpy")
            self.count, self.label = 0, "a"

    opt = Counting([np.ones(3)])
    opt.count += 1
    assert (opt.count, opt.label) == (1, "a")
    with pytest.raises(SettingError, match="a subclass may declare its own"):
        opt.other = 1


WRITES = {
    "set": lambda entries, key: entries.__setitem__(key, 0.5),
    "delete": lambda entries, key: entries.__delitem__(key),
    "clear": lambda entries, key: entries.clear(),
    "pop": lambda entries, key: entries.pop(key, None),
    "popitem": lambda entries, key: entries.popitem(),
    "setdefault": lambda entries, key: entries.setdefault("momentum", 0.5),
    "update": lambda entries, key: entries.update({key: 0.5}),
    "update by name": lambda entries, key: entries.update(lr=0.5),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_defaults_can_only_be_read(kind, write):
    opt = make(kind)
    with pytest.raises(SettingError, match=re.escape("write to param_groups, as in opt.param_groups[0]['lr']")):
        write(opt.defaults, "lr")
    assert dict(opt.defaults)["lr"] == 0.01


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_of_a_state_only_the_arrays_can_be_written_to(kind, write, where):
    thetas = [np.ones(3), np.ones(3)]
    opt, other = (kind([theta], device=where, **FULL[kind]) for theta in thetas)
    for one in (opt, other):
        one.step(gradients=[np.ones(3)])
    for entries, key in ((opt.state, id(thetas[0])), (opt.state[id(thetas[0])], "step")):
        with pytest.raises(SettingError, match="give load_state_dict an edited state_dict"):
            write(entries, key)
    assert freeze(opt.state_dict()) == freeze(other.state_dict())
    name = next(name for name in opt.state[id(thetas[0])] if name != "step")
    opt.state[id(thetas[0])][name][...] = 0
    state = other.state_dict()
    state["tensors"][0]["arrays"][name][...] = 0
    other.load_state_dict(state)
    for one in (opt, other):
        one.step(gradients=[np.ones(3)])
    assert freeze([thetas[0], opt.state_dict()]) == freeze([thetas[1], other.state_dict()])
