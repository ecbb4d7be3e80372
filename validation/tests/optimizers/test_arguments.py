"""Every argument becomes a plain Python value, or is refused by name; rates are what they are said to be."""

import inspect
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from snapshots import FULL, OPTIMIZERS, freeze, take_snapshot

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core.checks import OPTIONS
from hypergrad.errors import ArgumentError

BOUNDED = [HypergradientAdamW, AutoHypergradientAdamW]
LEARNING = [*BOUNDED, SGDHD, AdamHD]


def make(kind, params=None, **options):
    return kind([np.ones(3)] if params is None else params, **({"device": "numpy"} | options))


def is_one_of(value, types):
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def list_options(kind, *types):
    """The options of a class whose defaults are of these types."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if is_one_of(p.default, types) and p.name not in ("device", "use_gpu")]


NUMBERS = [(kind, name) for kind in OPTIMIZERS for name in list_options(kind, float, int)]
FLAGS = [(kind, name) for kind in OPTIMIZERS for name in list_options(kind, bool)]
WORDS = [(kind, name) for kind in OPTIMIZERS for name in list_options(kind, str)]


def test_every_option_of_every_class_has_its_check():
    named = {p for kind in OPTIMIZERS for p in inspect.signature(kind).parameters} - {"params", "device"}
    aliases = {alias for kind in OPTIMIZERS for alias in kind.aliases}
    assert named - aliases == set(OPTIONS)
    assert {name for kind in OPTIMIZERS for name in kind.aliases.values()} == {"hyper_lr"}


NO_NUMBERS = {
    "text": "0.5", "text of NumPy": np.str_("0.5"), "none": None, "true": True, "true of NumPy": np.True_,
    "list": [0.5],
    "array": np.array([0.5]), "complex": 0.5 + 0j, "complex of NumPy": np.complex128(0.5), "nan": float("nan"),
    "nan of NumPy": np.float32("nan"), "inf": float("inf"), "minus inf": -np.inf,
    "huge": 10**400, "very huge": 10**5000,
    "long inf": np.longdouble("1e4000"), "dict": {}, "type": float,
}  # fmt: skip


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_what_is_no_number_is_refused_by_name(kind, name, value):
    with pytest.raises(ArgumentError, match=rf"^{name}=.*: give a (whole )?number"):
        make(kind, **{name: NO_NUMBERS[value]})


@pytest.mark.parametrize("convert", [np.float32, np.float64, np.float16, np.longdouble, np.array, Fraction])
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_number_of_another_type_becomes_a_plain_one(kind, name, convert, tmp_path):
    value = {"warmup_steps": 2, "lr_max": 1.0, "lr_min": 0.0, "beta_max": 0.9375, "beta_min": 0.75}.get(name, 0.5)
    more = {"momentum": 0.5} if kind is SGDHD and name != "momentum" else {}
    opts = [make(kind, **{name: given, **more}) for given in (convert(value), value)]
    for opt in opts:
        for _ in range(3):
            opt.step(gradients=[np.array([1.0, 2.0, -3.0])])
    opt = opts[0]
    assert freeze(opt.state_dict()) == freeze(opts[1].state_dict())
    held = opt.param_groups[0].get(name, getattr(opt, name, None))
    assert type(held) in (float, int)
    json.dumps(opt.state_dict()["groups"] + [opt.state_dict()["schedule"]])
    opt.save(tmp_path / "state.npz")


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_number_written_to_a_group_becomes_a_plain_one(kind, tmp_path, where):
    opts = [make(kind, device=where) for _ in range(2)]
    for opt, convert in zip(opts, (np.float32, lambda value: float(np.float32(value))), strict=True):
        for name in set(opt.param_groups[0]) - {"params", "betas"}:
            opt.param_groups[0][name] = convert(0.1)
        if "betas" in opt.param_groups[0]:
            betas = [convert(0.9), convert(0.99)]
            opt.param_groups[0]["betas"] = np.array(betas) if convert is np.float32 else betas
        opt.save(tmp_path / "before.npz")
        opt.step(gradients=[np.array([1.0, 2.0, -3.0])])
        opt.save(tmp_path / "after.npz")
    assert freeze(opts[0].state_dict()) == freeze(opts[1].state_dict())
    group = opts[0].param_groups[0]
    assert all(type(group[name]) is float for name in set(group) - {"params", "betas"})
    assert [type(beta) for beta in group.get("betas", (0.5,))] == [float] * len(group.get("betas", (0.5,)))


@pytest.mark.parametrize("value", [1, 0, "yes", None, np.array(True), [True], 1.0], ids=repr)
@pytest.mark.parametrize(("kind", "name"), FLAGS)
def test_what_is_no_flag_is_refused_by_name(kind, name, value):
    with pytest.raises(ArgumentError, match=f"^{name}=.*: give True or False"):
        make(kind, **{name: value})


def test_flags_of_numpy_are_flags():
    for kind, name in FLAGS:
        more = {"momentum": 0.5} if name == "nesterov" else {}
        assert getattr(make(kind, **{name: np.True_, **more}), name) is True
    assert AdamW([np.ones(1)], use_gpu=np.False_).device == "numpy"
    with pytest.raises(ArgumentError, match="use_gpu='cuda': give True or False"):
        AdamW([np.ones(1)], use_gpu="cuda")


@pytest.mark.parametrize(
    "value", ["Raise", "", None, 1, b"raise", ["raise"], np.array(["raise", "skip"]), True], ids=repr
)
@pytest.mark.parametrize(("kind", "name"), WORDS)
def test_word_that_is_unknown_is_refused_with_those_that_are_known(kind, name, value):
    with pytest.raises(ArgumentError, match=f"^{name}=.*: give one of '") as caught:
        make(kind, **{name: value})
    for known in re.findall("'([a-z_]+)'", str(caught.value).split("give one of")[1]):
        make(kind, **{name: known})


@pytest.mark.parametrize("kind", [AdamW, HypergradientAdamW, AutoHypergradientAdamW, AdamHD])
@pytest.mark.parametrize(
    "betas",
    [[0.5, 0.75], np.array([0.5, 0.75]), np.array([0.5, 0.75], np.float32), (np.float64(0.5), Fraction(3, 4)),
     (beta for beta in (0.5, 0.75)), range(1)],
    ids=["list", "array", "float32", "mixed", "generator", "too few"],
)  # fmt: skip
def test_betas_of_any_sequence_become_two_floats(kind, betas):
    if isinstance(betas, range):
        with pytest.raises(ArgumentError, match=r"betas=range\(0, 1\): give two numbers, as in \(0\.9, 0\.999\)"):
            make(kind, betas=betas)
        return
    betas = (0.5, 0.75) if inspect.isgenerator(betas) else betas
    opt = make(kind, betas=betas)
    assert opt.param_groups[0]["betas"] == (0.5, 0.75)
    assert [type(beta) for beta in opt.param_groups[0]["betas"]] == [float, float]


@pytest.mark.parametrize(
    "betas", [0.9, "ab", None, {0.5, 0.75}, {0.5: 0.75, 0.75: 0.5}, (True, 0.5), ("0.5", 0.5), np.ones((2, 2)) / 2,
              (0.5, 1.0), (0.5, -0.5), (0.5, float("nan")), np.array(0.5), b"\0\0", bytearray(2), memoryview(b"\0\0")],
    ids=lambda betas: "memoryview" if isinstance(betas, memoryview) else repr(betas),
)  # fmt: skip
def test_what_are_no_betas_is_refused_by_name(betas):
    with pytest.raises(ArgumentError, match=r"^betas.*: give (two numbers|a number)"):
        make(AdamW, betas=betas)
    opt = make(AdamW)
    opt.param_groups[0]["betas"] = betas
    with pytest.raises(ArgumentError, match=r"^betas.*: give (two numbers|a number)"):
        opt.step(gradients=[np.ones(3)])


# A rate of 0 at first, and a warm-up.


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


# Constants written later that a rule cannot work with.


def test_decay_that_leaves_nothing_of_a_parameter_has_no_derivative(where):
    x = np.ones(3)
    opt = HypergradientAdamW([x], lr=0.5, decay_in_hypergradient=True, device=where)
    opt.step(gradients=[np.ones(3)])
    opt.param_groups[0].update(weight_decay=2.0, lr=1.0, betas=(0.5, 0.5))
    opt.step(gradients=[np.zeros(3)])
    opt.param_groups[0].update(weight_decay=1.0, lr=1.0)
    before = freeze([x, opt.state_dict()["tensors"]])
    with pytest.raises(ArgumentError, match=r"weight_decay=1\.0 times lr=1\.0 is 1.*write another weight_decay"):
        opt.step(gradients=[np.zeros(3)])
    assert freeze([x, opt.state_dict()["tensors"]]) == before
    opt.param_groups[0]["weight_decay"] = 0.5
    opt.step(gradients=[np.zeros(3)])


def test_beta1_of_0_has_no_derivative():
    opt = make(AutoHypergradientAdamW, **FULL[AutoHypergradientAdamW])
    opt.step(gradients=[np.ones(3)])
    opt.param_groups[0]["betas"] = (0.0, 0.999)
    with pytest.raises(ArgumentError, match=r"momentum_rule='derivative' needs beta1=0\.0 above 0"):
        opt.step(gradients=[np.ones(3)])
    with pytest.raises(ArgumentError, match=r"needs beta1=0\.0 above 0"):
        make(AutoHypergradientAdamW, betas=(0.0, 0.9), **FULL[AutoHypergradientAdamW])


def test_beta1_of_several_groups_is_one_where_it_is_adapted():
    groups = [{"params": [np.ones(1)]}, {"params": [np.ones(1)], "betas": (0.5, 0.9)}]
    with pytest.raises(
        ArgumentError, match=r"adapts one beta1, the groups have \[0\.9, 0\.5\]: make them equal, or lr_"
    ):
        make(AutoHypergradientAdamW, groups, adapt_momentum=True)
    make(AutoHypergradientAdamW, groups, adapt_momentum=True, lr_scope="group")
    opt = make(AutoHypergradientAdamW, adapt_momentum=True)
    with pytest.raises(ArgumentError, match="adapts one beta1"):
        opt.add_param_group({"params": [np.ones(1)], "betas": (0.5, 0.9)})
    opt.step(gradients=[np.ones(3)])


# Parameters.


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (np.ones(3), r"params is ndarray: give a list of arrays or of dicts, \[x\] for a single one"),
        ({"params": [np.ones(3)]}, r"params is dict: give a list of arrays or of dicts, .*\[group\] for a single dict"),
        (3.0, "params is float: give a list"),
        (None, "params is NoneType: give a list"),
        ({1.0}, "params is a set, which has no order for a list of gradients to follow: give a list"),
        ([{"params": {1.0}}], r"params\[0\]\['params'\] is a set"),
        (["w"], r"params\[0\] is str: give a NumPy or pyopencl array"),
    ],
)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_params_of_another_form_are_refused_by_name(kind, params, words):
    with pytest.raises(TypeError, match=words):
        kind(params, device="numpy")
    make(kind, [{"params": np.ones(3)}])
    make(kind, ({"params": (np.ones(3),)} for _ in range(2)))
