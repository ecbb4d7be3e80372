"""One word for one thing: the pace of a rate, the device and the fields of a record have one name in every class."""

import copy
import json
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from snapshots import EVERY, FULL, OPTIMIZERS, freeze, get_record
from trajectories import TRAJECTORIES

import hypergrad
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, CheckpointError, SettingError
from hypergrad_command import command

LEARNING = [kind for kind in OPTIMIZERS if kind is not AdamW]
ALIASES = {HypergradientAdamW: "beta_hyper", SGDHD: "hypergrad_lr", AdamHD: "hypergrad_lr"}
BASE = ("step", "lr_before", "lr", "hypergradient", "reason")
SCHEMA3 = Path(__file__).with_name("schema3")


def make(kind, **options):
    return kind([np.ones(3)], **({"device": "numpy", "lr": 0.01} | options))


def test_optimizer_that_users_import_is_tried_by_every_test_of_the_interface():
    classes = [getattr(hypergrad, name) for name in hypergrad.__all__ if name[0].isupper() and name != "Optimizer"]
    assert len(classes) == len(EVERY)
    for tried in (EVERY, FULL, {trajectory.optimizer for trajectory in TRAJECTORIES}):
        assert {kind.__name__ for kind in tried} == {kind.__name__ for kind in classes}


# hyper_lr and its aliases.


@pytest.mark.parametrize("kind", LEARNING)
def test_pace_of_the_rate_is_hyper_lr_in_every_class(kind):
    opt = make(kind, hyper_lr=0.25)
    assert opt.hyper_lr == opt.state_dict()["options"]["hyper_lr"] == 0.25
    shown = "beta_hyper" if kind is HypergradientAdamW else "hyper_lr"  # that of its source says beta_hyper
    assert f"{shown}=0.25" in repr(opt)
    opt.hyper_lr = 0.5
    assert opt.hyper_lr == 0.5


@pytest.mark.parametrize(("kind", "alias"), ALIASES.items())
def test_alias_does_what_hyper_lr_does(kind, alias):
    opts = [make(kind, **{name: 1e-3}) for name in ("hyper_lr", alias)]
    for opt in opts:
        opt.step(gradients=[np.ones(3)])
    assert [getattr(opt, alias) for opt in opts] == [opt.hyper_lr for opt in opts] == [1e-3, 1e-3]
    opts[0].hyper_lr = 2e-3
    setattr(opts[1], alias, np.float32(2e-3))
    assert type(opts[1].hyper_lr) is float
    opts[1].hyper_lr = opts[0].hyper_lr
    for opt in opts:
        opt.step(gradients=[np.ones(3)])
    assert freeze(opts[0].state_dict()) == freeze(opts[1].state_dict())
    assert alias not in opts[1].state_dict()["options"]
    assert repr(opts[0]) == repr(opts[1])


@pytest.mark.parametrize(("kind", "alias"), ALIASES.items())
def test_hyper_lr_and_its_alias_at_once_are_refused_even_where_one_is_the_default(kind, alias):
    default = float(make(kind).hyper_lr)
    for value in (default, 0.5):
        with pytest.raises(
            ArgumentError, match=rf"hyper_lr={value} and {alias}=0\.25 are the same option: give hyper_lr alone"
        ):
            make(kind, hyper_lr=value, **{alias: 0.25})
    assert make(kind, hyper_lr=0.25).hyper_lr == 0.25  # the remedy


@pytest.mark.parametrize(("kind", "alias"), ALIASES.items())
def test_alias_out_of_range_is_refused_under_the_name_that_was_used(kind, alias):
    with pytest.raises(ArgumentError, match=rf"^{alias}=-1: give a number in"):
        make(kind, **{alias: -1})
    opt = make(kind)
    with pytest.raises(ArgumentError, match=rf"^{alias}=nan: give a number in"):
        setattr(opt, alias, float("nan"))
    with pytest.raises(ArgumentError, match=r"^hyper_lr=nan: give a number in"):
        opt.hyper_lr = float("nan")


@pytest.mark.parametrize("kind", ALIASES)
def test_published_order_of_the_arguments_still_holds(kind):
    options = (0.01, 0.5, 0.0, 0.25, False) if kind is SGDHD else (0.01, (0.5, 0.75), 1.0, 0.25)
    assert kind([np.ones(3)], *options, 0.125, device="numpy").hyper_lr == 0.125


def test_alias_of_another_class_is_no_attribute():
    with pytest.raises(SettingError, match="has no attribute 'beta_hyper'"):
        make(SGDHD).beta_hyper = 0.5
    with pytest.raises(AttributeError):
        make(AutoHypergradientAdamW).hypergrad_lr  # noqa: B018
    with pytest.raises(TypeError):
        make(AutoHypergradientAdamW, beta_hyper=0.5)


@pytest.mark.parametrize(("kind", "alias"), ALIASES.items())
def test_copies_know_the_alias(kind, alias):
    opt = make(kind, **{alias: 0.5})
    for twin in (copy.copy(opt), copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert getattr(twin, alias) == twin.hyper_lr == 0.5


# device and use_gpu.


@pytest.mark.parametrize("kind", EVERY)
def test_use_gpu_is_an_alias_of_device(kind, device):
    def run(**options):
        return kind([np.ones(3)], **options).device

    assert run(use_gpu=False) == run(device="numpy") == run(use_gpu=False, device="numpy") == "numpy"
    assert run(use_gpu=True) == run(device="auto") == run() == run(device=None)
    assert run(use_gpu=True, device=device) == run(device=device)


@pytest.mark.parametrize(
    ("use_gpu", "device"), [(True, "numpy"), (False, "auto"), (False, "opencl"), (False, "opencl:pocl:0")]
)
@pytest.mark.parametrize("kind", EVERY)
def test_use_gpu_in_conflict_with_the_device_is_refused(kind, use_gpu, device):
    with pytest.raises(
        ArgumentError, match=f"use_gpu={use_gpu} and device='{device}' are in conflict: give device alone"
    ):
        kind([np.ones(3)], use_gpu=use_gpu, device=device)


def test_use_gpu_in_conflict_with_a_device_itself_is_refused(device):
    with pytest.raises(ArgumentError, match=r"use_gpu=False and device=.* are in conflict: give device alone"):
        AdamW([np.ones(3)], use_gpu=False, device=device)


# Records.


@pytest.mark.parametrize("lr_scope", ["global", "group"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_records_of_all_rules_begin_with_the_same_fields(kind, lr_scope):
    more = {} if kind is AdamW else {"lr_scope": lr_scope}
    more |= {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}
    opt = kind(
        [{"params": [np.ones(3)]}, {"params": [np.ones(2)], "lr": 0.25}],
        lr=0.5,
        nonfinite="skip",
        device="numpy",
        **more,
    )
    for value in (1.0, 1.0, np.nan, 1.0):
        opt.step(gradients=[np.full(3, value), np.ones(2)])
    several = lr_scope == "group" or kind is AdamW  # whose groups have rates of their own
    assert opt.skipped == 1
    assert [isinstance(entry[0], tuple) for entry in opt.records] == [several] * 4
    for number in range(2 if several else 1):
        records = [entry[number] if several else entry for entry in opt.records]
        assert all(record._fields[:5] == BASE for record in records)
        assert [record.step for record in records] == [1, 2, 3, 3]  # the third was skipped, then taken
        assert all(type(value) is float for record in records for value in record[1:4])
        assert all(after.lr_before == before.lr for before, after in pairwise(records))
        first, second, skipped, _ = records
        assert np.isnan([first.hypergradient, skipped.hypergradient]).all()
        assert skipped.lr_before == skipped.lr == second.lr
        assert skipped.reason == "the gradient of params[0] holds nan at [0]"


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["alike", "opposed"])
def test_hypergradient_is_negative_where_a_larger_rate_would_have_helped(kind, sign):
    """The loss is g.x: along its gradient a longer step lowers it, and h is its derivative for the rate."""
    more = {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}
    more |= {} if kind is SGDHD else {"betas": (0.0, 0.0), "eps": 1.0}
    opt = make(kind, weight_decay=0.0, **more)
    g = np.array([1.0, 2.0, -3.0])
    opt.step(gradients=[g])
    opt.step(gradients=[sign * g])
    direction = g if kind is SGDHD else g / (np.abs(g) + 1)
    assert opt.last_record.hypergradient == pytest.approx(-sign * (g @ direction), rel=1e-15)
    assert (opt.last_record.lr > opt.last_record.lr_before) == (sign > 0)


# What earlier versions saved.


@pytest.mark.parametrize("name", ["HypergradientAdamW", "SGDHD", "AdamHD", "AutoHypergradientAdamW"])
def test_state_dict_of_schema_3_is_taken_in_today_s_words(name):
    with np.load(SCHEMA3 / f"{name}.npz") as file:
        options = json.loads(str(file["document"]))["options"]
    kind = next(kind for kind in OPTIMIZERS if kind.__name__ == name)
    state = make(kind).state_dict()
    assert "momentum_rule" not in options or options["momentum_rule"] == "seed"
    state = {**state, "schema": 3, "options": options}
    told = {"hyper_lr" if key in ALIASES.values() else key: value for key, value in options.items()}
    told |= {"momentum_rule": "published"} if "momentum_rule" in told else {}
    same, other = make(kind, **told), make(kind, **{**told, "hyper_lr": 0.375})
    same.load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"other options: hyper_lr=.* instead of 0\.375"):
        other.load_state_dict(state)
    assert state["options"] is options  # what was given stays as it was


def test_published_rule_has_no_other_name_in_a_constructor():
    with pytest.raises(ArgumentError, match="momentum_rule='seed': give one of 'published', 'derivative'"):
        make(AutoHypergradientAdamW, momentum_rule="seed")


@pytest.mark.parametrize("schema", ["schema2", "schema3"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_explain_shows_old_records_as_today_s(kind, schema, capsys):
    path = Path(__file__).with_name(schema) / f"{kind.__name__}.npz"
    assert command.main(["explain", str(path), "--json", "--last", "8"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert len(records) in (8, 16)
    opt = make(kind, warmup_steps=0) if kind is AutoHypergradientAdamW else make(kind)
    for _ in range(2):
        opt.step(gradients=[np.ones(3)])
    assert all(tuple(record) == get_record(opt)._fields for record in records)
    adapted = [record for record in records if record["reason"] in ("adapted", "limited") and record["hypergradient"]]
    assert adapted or kind is AdamW
    # a rate that grew had a negative derivative
    assert all((record["lr"] > record["lr_before"]) == (record["hypergradient"] < 0) for record in adapted)
