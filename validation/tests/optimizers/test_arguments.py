"""Every argument becomes a plain Python value, or is refused by name."""

import inspect
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from snapshots import EVERY, FULL, OPTIMIZERS, freeze, make

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW
from hypergrad._core.describe import OTHERS
from hypergrad._core.options import OPTIONS
from hypergrad.errors import ArgumentError


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
    named = {p for kind in (*OPTIMIZERS, TuningFreeAdamW) for p in inspect.signature(kind).parameters}
    aliases = {alias for kind in OPTIMIZERS for alias in kind.aliases}
    assert named - aliases == {*OPTIONS, *OTHERS}
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
    value = {"warmup_steps": 2, "delay": 1, "lr_max": 1.0, "lr_min": 0.0, "beta_max": 0.9375, "beta_min": 0.75}.get(
        name, 0.5
    )
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
        more = {"delay": 1} if known == "stop" and "delay" in inspect.signature(kind).parameters else {}
        if known != "stop" or more:
            make(kind, **{name: known, **more})


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
@pytest.mark.parametrize("kind", EVERY)
def test_params_of_another_form_are_refused_by_name(kind, params, words):
    with pytest.raises(TypeError, match=words):
        kind(params, device="numpy")
    make(kind, [{"params": np.ones(3)}])
    make(kind, ({"params": (np.ones(3),)} for _ in range(2)))
