"""Files of the schemas before this one load, and go on bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from snapshots import show

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import CheckpointError, CheckpointWarning

SCHEMA2, SCHEMA3 = (Path(__file__).with_name(name) for name in ("schema2", "schema3"))
BETAS = {"betas": (0.5, 0.75)}  # whose powers are exact, so that the numbers depend on no library of mathematics
RUNS = {
    "AdamW": (AdamW, {"lr": 0.5, "amsgrad": True, "weight_decay": 0.25, **BETAS}),
    "AdamW-shader": (AdamW, {"lr": 0.5, "scalar_convention": "shader", "nonfinite": "propagate", **BETAS}),
    "HypergradientAdamW": (
        HypergradientAdamW,
        {"lr": 0.125, "hyper_lr": 0.0625, "lr_scope": "group", "decay_in_hypergradient": True, **BETAS},
    ),
    "AutoHypergradientAdamW": (
        AutoHypergradientAdamW, {"lr": 0.125, "track_surprise": True, "warmup_steps": 2, **BETAS},
    ),
    "AutoHypergradientAdamW-derivative": (
        AutoHypergradientAdamW,
        {
            "lr": 0.125, "adapt_momentum": True, "momentum_rule": "derivative", "normalization": "cosine",
            "warmup_steps": 2, **BETAS,
        },
    ),
    "SGDHD": (SGDHD, {"lr": 0.125, "hyper_lr": 2**-10}),
    "SGDHD-nesterov": (
        SGDHD, {"lr": 0.125, "hyper_lr": 2**-10, "momentum": 0.5, "nesterov": True, "weight_decay": 0.25},
    ),
    "AdamHD": (
        AdamHD, {"lr": 0.125, "hyper_lr": 0.0625, "rule": "multiplicative", "weight_decay": 0.25, **BETAS},
    ),
}  # fmt: skip


def start_saved(folder, name, device="numpy", **more):
    """The optimizer of a run, and its parameters after 8 and after 16 steps."""
    kind, options = RUNS[name]
    with np.load(folder / "parameters.npz") as file:
        at8, at16 = ([file[f"{name}/{position}/at {steps}"] for position in range(2)] for steps in (8, 16))
    groups = [{"params": at8[:1]}, {"params": at8[1:], "lr": 0.25}]
    return kind(groups, device=device, **{**options, **more}), at8, at16


def go_on_from(folder, name, opt, thetas, at16, path, device):
    """Save in today's form, load that into a new optimizer, and arrive where the run was after 16 steps."""
    opt.save(path)
    opt = type(opt)([{"params": thetas[:1]}, {"params": thetas[1:]}], device=device, **RUNS[name][1])
    opt.load(path)
    for step in range(8, 16):
        gradients = [theta * 0.5 for theta in thetas]
        opt.step(gradients=[gradients[0], None if step % 4 == 3 else gradients[1]])
    assert [theta.tobytes() for theta in thetas] == [theta.tobytes() for theta in at16]


@pytest.mark.parametrize("name", RUNS)
def test_file_of_schema_2_loads_with_a_warning_and_goes_on_bit_for_bit(name, device, tmp_path):
    for where in ("numpy", device):
        opt, thetas, at16 = start_saved(SCHEMA2, name, where)
        with pytest.warns(CheckpointWarning, match="did not save all options: .*nonfinite=.*save again") as caught:
            opt.load(SCHEMA2 / f"{name}.npz")
        assert caught[0].filename == __file__
        go_on_from(SCHEMA2, name, opt, thetas, at16, tmp_path / "today.npz", where)


@pytest.mark.parametrize("name", RUNS)
def test_file_of_schema_3_loads_without_a_warning_and_goes_on_bit_for_bit(name, device, tmp_path):
    for where in ("numpy", device):
        opt, thetas, at16 = start_saved(SCHEMA3, name, where)
        opt.load(SCHEMA3 / f"{name}.npz")
        go_on_from(SCHEMA3, name, opt, thetas, at16, tmp_path / "today.npz", where)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("AdamW", {"amsgrad": False}, "amsgrad=True instead of False"),
        ("AdamW-shader", {"scalar_convention": "exact"}, "scalar_convention='shader' instead of 'exact'"),
        ("SGDHD-nesterov", {"nesterov": False}, "method='nesterov', the optimizer 'heavy_ball'"),
        ("SGDHD", {"momentum": 0.5}, "method='sgd', the optimizer 'heavy_ball'"),
        ("AutoHypergradientAdamW", {"track_surprise": False}, r"unknown entries \['grad_ema'\]"),
    ],
)
@pytest.mark.filterwarnings("ignore::hypergrad.errors.CheckpointWarning")
def test_file_of_schema_2_is_held_to_the_options_that_it_tells(name, more, words):
    opt, thetas, _ = start_saved(SCHEMA2, name, **more)
    before = show(thetas, opt)
    with pytest.raises(CheckpointError, match=words):
        opt.load(SCHEMA2 / f"{name}.npz")
    assert show(thetas, opt) == before


@pytest.mark.filterwarnings("ignore::hypergrad.errors.CheckpointWarning")
def test_file_of_schema_2_of_another_class_is_refused():
    for name in RUNS:
        opt, _, _ = start_saved(SCHEMA2, "AdamHD" if name.startswith("SGDHD") else "SGDHD-nesterov")
        if not isinstance(opt, RUNS[name][0]):
            with pytest.raises(CheckpointError, match=f"'kind'.* is '{RUNS[name][0].__name__}'"):
                opt.load(SCHEMA2 / f"{name}.npz")
