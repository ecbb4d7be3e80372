"""What is kept of a run, and that it goes on from there to the bit."""

import io
import json
import os
import pickle
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from problems import CASES

from hypergrad.errors import ArgumentError, CheckpointError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW


def make_model(dtype=torch.float32):
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).to(dtype)


def train(model, optimizer, first, last):
    for step in range(first, last):
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x.to(next(model.parameters()).dtype)).float().square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def save_in_memory(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("scope", ["global", "group", "tensor"])
@pytest.mark.parametrize("name", CASES)
def test_a_state_saved_with_weights_only_goes_on_bit_for_bit(name, scope):
    kind, _, options = CASES[name]
    model = make_model()
    optimizer = kind(model.parameters(), lr_scope=scope, **options)
    train(model, optimizer, 0, 15)
    twin = make_model()
    resumed = kind(twin.parameters(), lr_scope=scope, **options)
    twin.load_state_dict(save_in_memory(model.state_dict()))
    resumed.load_state_dict(save_in_memory(optimizer.state_dict()))
    for mine, other in zip(train(model, optimizer, 15, 30), train(twin, resumed, 15, 30), strict=True):
        assert torch.equal(mine, other)
    assert optimizer.learned_lr == resumed.learned_lr


def test_a_run_goes_on_bit_for_bit_in_another_process(tmp_path):
    model = make_model()
    optimizer = AutoHypergradientAdamW(model.parameters(), lr=0.01)
    train(model, optimizer, 0, 20)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "run.pt")
    program = f"""
import sys
sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
import torch
from hypergrad.torch import AutoHypergradientAdamW
from test_states import make_model, train
saved = torch.load({str(tmp_path / "run.pt")!r}, weights_only=True)
model = make_model()
optimizer = AutoHypergradientAdamW(model.parameters(), lr=0.01)
model.load_state_dict(saved["model"])
optimizer.load_state_dict(saved["optimizer"])
torch.save([train(model, optimizer, 20, 40), optimizer.learned_lr], {str(tmp_path / "after.pt")!r})
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the code that is tested here
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, env=environment)
    params, rate = torch.load(tmp_path / "after.pt", weights_only=True)
    for mine, other in zip(train(model, optimizer, 20, 40), params, strict=True):
        assert torch.equal(mine, other)
    assert optimizer.learned_lr == rate


def test_float32_moments_of_bfloat16_parameters_survive_load_state_dict():
    model = make_model(torch.bfloat16)
    optimizer = HypergradientAdamW(model.parameters(), lr=0.01, stochastic_rounding=True)
    train(model, optimizer, 0, 10)
    twin = deepcopy(model)
    resumed = HypergradientAdamW(twin.parameters(), lr=0.01, stochastic_rounding=True)
    resumed.load_state_dict(optimizer.state_dict())
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        for name in ("exp_avg", "exp_avg_sq"):
            assert resumed.state[q][name].dtype == torch.float32
            assert torch.equal(resumed.state[q][name], optimizer.state[p][name])
    cast = next(iter(optimizer.state.values()))["exp_avg"]
    assert not torch.equal(cast, cast.bfloat16().float())  # a cast would have lost something


@pytest.mark.parametrize("copy", [deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"])
def test_a_copy_goes_on_by_itself_and_leaves_the_original_alone(copy):
    model = make_model()
    optimizer = AutoHypergradientAdamW(model.parameters(), lr=0.01, lr_scope="group")
    train(model, optimizer, 0, 15)
    twin, other = copy((model, optimizer))
    assert other.lr_histories[0].tolist() == optimizer.lr_histories[0].tolist()
    before = [p.detach().clone() for p in model.parameters()]
    after = train(twin, other, 15, 25)
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)
    for mine, its in zip(train(model, optimizer, 15, 25), after, strict=True):
        assert torch.equal(mine, its)


def test_a_state_of_torch_adamw_is_taken_over_and_its_rate_is_the_start():
    model = make_model()
    theirs = torch.optim.AdamW(model.parameters(), lr=0.003, betas=(0.8, 0.99))
    train(model, theirs, 0, 10)
    ours = HypergradientAdamW(model.parameters(), lr=0.01, hyper_lr=0.0)
    ours.load_state_dict(deepcopy(theirs.state_dict()))
    assert ours.learned_lr == ours.param_groups[0]["lr"] == 0.003
    twin = deepcopy(model)
    other = torch.optim.AdamW(twin.parameters(), lr=0.003, betas=(0.8, 0.99))
    other.load_state_dict(deepcopy(theirs.state_dict()))
    for mine, its in zip(train(model, ours, 10, 20), train(twin, other, 10, 20), strict=True):
        torch.testing.assert_close(mine, its)


@pytest.mark.parametrize("kind", [SGDHD, HypergradientAdamW])
def test_a_state_from_before_an_option_was_there_takes_its_default_and_steps_may_be_plain_numbers(kind):
    model = make_model()
    optimizer = kind(model.parameters(), lr=1e-3)
    train(model, optimizer, 0, 5)
    state = deepcopy(optimizer.state_dict())
    for group in state["param_groups"]:
        del group["maximize"], group["capturable"]
    for entry in state["state"].values():
        entry["step"] = entry["step"].item()
    twin = deepcopy(model)
    resumed = kind(twin.parameters(), lr=1e-3)
    resumed.load_state_dict(state)
    for mine, other in zip(train(model, optimizer, 5, 20), train(twin, resumed, 5, 20), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("scope", ["global", "group"])
def test_a_file_gets_the_record_of_each_step_and_goes_on_where_a_run_is_resumed(scope, tmp_path):
    model, path = make_model(), tmp_path / "run.jsonl"
    optimizer = HypergradientAdamW(model.parameters(), lr=0.01, lr_scope=scope)
    optimizer.records_to = path
    train(model, optimizer, 0, 5)
    twin = deepcopy(optimizer)
    assert twin.records_to is None
    optimizer.records_to = None
    train(model, optimizer, 5, 6)
    optimizer.records_to = path
    train(model, optimizer, 6, 8)
    heads, steps = [], []
    for line in map(json.loads, optimizer.records_to.read_text().splitlines()):
        (heads if isinstance(line, dict) else steps).append(line)
    record = optimizer.records[0] if scope == "global" else optimizer.records[0][0]
    assert heads == [{"kind": "HypergradientAdamW", "fields": list(record._fields)}] * 2
    written = [line if scope == "global" else line[0] for line in steps]
    assert [line[0] for line in written] == [1, 2, 3, 4, 5, 7, 8]
    assert written[-1][2] == (optimizer.learned_lr if scope == "global" else optimizer.learned_lr[0])


def test_a_file_of_records_is_refused_where_a_step_has_none_for_it(tmp_path):
    p = torch.nn.Parameter(torch.ones(2))
    for options in ({"capturable": True, "nonfinite": "skip"}, {"lr_scope": "tensor"}):
        optimizer = HypergradientAdamW([p], **options)
        with pytest.raises(ArgumentError, match="read `records`"):
            optimizer.records_to = tmp_path / "run.jsonl"
        assert optimizer.records_to is None


def test_a_state_of_another_rule_or_scope_is_refused_and_nothing_changes():
    model = make_model()
    optimizer = HypergradientAdamW(model.parameters(), lr=0.01)
    train(model, optimizer, 0, 5)
    before = deepcopy(optimizer.state_dict())
    sgd = SGDHD(model.parameters(), lr=0.01)
    train(make_model(), sgd, 0, 1)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    sgd.step()
    per_tensor = HypergradientAdamW(model.parameters(), lr=0.01, lr_scope="tensor")
    per_tensor.step()
    for state, words in ((sgd.state_dict(), "exp_avg"), (per_tensor.state_dict(), "lr_scope")):
        with pytest.raises(CheckpointError, match=words):
            optimizer.load_state_dict(state)
    assert str(optimizer.state_dict()) == str(before)


SPOILED = {
    "shorter": lambda array: array.reshape(-1)[:-1],
    "longer": lambda array: torch.cat([array.reshape(-1), torch.ones(1)]),
    "of another shape": lambda array: array.reshape(-1),
    "without elements": lambda array: array.reshape(-1)[:0],
    "of whole numbers": lambda array: array.to(torch.int64),
    "complex": lambda array: array.to(torch.complex64),
    "a number": lambda array: 1.0,
    "a list": lambda array: array.tolist(),
    "an array of NumPy": lambda array: array.numpy(),
    "None": lambda array: None,
}


@pytest.mark.filterwarnings("ignore::hypergrad.errors.AveragesWarning")
@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("kind", [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW, TuningFreeAdamW])
def test_a_state_whose_arrays_are_not_those_of_the_parameters_is_refused_by_name(kind, spoil):
    model = make_model()
    optimizer = kind(model.parameters())
    train(model, optimizer, 0, 3)
    before = deepcopy(optimizer.state_dict())
    names = [name for name, value in before["state"][0].items() if getattr(value, "shape", ()) == (6, 4)]
    assert names
    for name in names:
        state = deepcopy(before)
        state["state"][0][name] = SPOILED[spoil](state["state"][0][name])
        with pytest.raises(CheckpointError, match=f"{name!r} of parameter 0 as .*: load a state of the same model"):
            optimizer.load_state_dict(state)
        assert str(optimizer.state_dict()) == str(before)
    optimizer.load_state_dict(before)
    train(model, optimizer, 3, 5)


@pytest.mark.parametrize(("eps", "words"), [(1e60, "inf in float32: give less"), (1e-60, "0 in float32: give more")])
@pytest.mark.parametrize("kind", [AdamHD, HypergradientAdamW, AutoHypergradientAdamW, TuningFreeAdamW])
def test_an_eps_that_leaves_float32_is_refused(kind, eps, words):
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(ArgumentError, match=words):
            kind([torch.ones(3, dtype=dtype, requires_grad=True)], eps=eps)
    optimizer = kind([torch.ones(3, requires_grad=True)])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
    optimizer.param_groups[0]["eps"] = eps
    with pytest.raises(ArgumentError, match=words):
        optimizer.step()
    kind([torch.ones(3, dtype=torch.float64, requires_grad=True)], eps=eps)


def test_a_group_that_is_added_steps_in_the_proportion_of_its_rate():
    model, more = make_model(), torch.nn.Parameter(torch.ones(3))
    optimizer = HypergradientAdamW(model.parameters(), lr=0.01, hyper_lr=1e-3)
    train(model, optimizer, 0, 10)
    learned = optimizer.learned_lr
    optimizer.add_param_group({"params": [more], "lr": 0.002})
    for p in (*model.parameters(), more):
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert learned != 0.01
    assert optimizer.effective_lrs()[1] == pytest.approx(optimizer.learned_lr * 0.2)
    assert optimizer.state[more]["step"] == 1


def test_a_group_that_is_added_learns_its_own_rate_from_its_lr():
    model, more = make_model(), torch.nn.Parameter(torch.ones(3))
    optimizer = HypergradientAdamW(model.parameters(), lr=0.01, lr_scope="group")
    train(model, optimizer, 0, 5)
    optimizer.add_param_group({"params": [more], "lr": 0.002})
    assert optimizer.learned_lr[1] == 0.002


def test_scheduler_and_optimizer_resume_together_bit_for_bit():
    def make(model):
        optimizer = HypergradientAdamW(model.parameters(), lr=0.01, hyper_lr=1e-4)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=40)

    def run(model, optimizer, scheduler, first, last):
        for step in range(first, last):
            train(model, optimizer, step, step + 1)
            scheduler.step()
        return [p.detach().clone() for p in model.parameters()]

    model, twin = make_model(), make_model()
    optimizer, scheduler = make(model)
    run(model, optimizer, scheduler, 0, 15)
    states = save_in_memory([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()])
    resumed, its_scheduler = make(twin)
    for thing, state in zip((twin, resumed, its_scheduler), states, strict=True):
        thing.load_state_dict(state)
    assert optimizer.param_groups[0]["base_lr"] == resumed.param_groups[0]["base_lr"] == 0.01
    for mine, its in zip(
        run(model, optimizer, scheduler, 15, 30), run(twin, resumed, its_scheduler, 15, 30), strict=True
    ):
        assert torch.equal(mine, its)
