"""What loads can be stepped, and what cannot be stepped has changed nothing."""

import math
from copy import deepcopy

import pytest
import torch

from hypergrad.errors import ArgumentError, ArrayTypeError, CheckpointError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW

pytestmark = pytest.mark.filterwarnings("ignore::hypergrad.errors.AveragesWarning")  # of reading a state

CAPTURABLE = {"capturable": True, "nonfinite": "skip"}
ADAMS = [AdamHD, HypergradientAdamW, AutoHypergradientAdamW]
KINDS = [SGDHD, *ADAMS, TuningFreeAdamW]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WORK = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.complex64: torch.complex64}


def run(kind, dtype=torch.float32, steps=2, **options):
    """Two parameters that have taken steps, and have gradients for the next."""
    params = [torch.nn.Parameter(torch.ones(3, dtype=dtype)) for _ in range(2)]
    halves = {"stochastic_rounding": False} if dtype in DTYPES[:2] else {}
    optimizer = kind(params, **halves, **options)
    for step in range(steps + 1):
        for param in params:
            param.grad = torch.arange(1.0, 4.0).to(dtype)
        if step < steps:
            optimizer.step()
    return optimizer, params


def read(optimizer):
    """Everything that a step changes."""
    parts = [p.detach().tolist() for group in optimizer.param_groups for p in group["params"]]
    return repr((parts, optimizer.state_dict(), optimizer.records))


# Steps.


def make_double(param):
    param.data = param.data.double()
    param.grad = torch.ones(3, dtype=torch.float64)


def make_longer(param):
    param.data, param.grad = torch.ones(5), torch.ones(5)


def make_shorter(param):
    param.data, param.grad = torch.ones(2), torch.ones(2)


def expand(param):
    param.data = torch.ones(1).expand(3)


def leave_the_gradient(param):
    param.data = torch.ones(5)


REPLACED = {
    "another precision": (
        make_double,
        r"of parameter 1 is .*float32\[3\], the parameter is now torch.float64\[3\]: opt",
    ),
    "longer": (make_longer, r"\[3\], the parameter is now .*\[5\]: make a new optimizer"),
    "shorter": (make_shorter, r"\[3\], the parameter is now .*\[2\]: make a new optimizer"),
    "in one place": (expand, r"parameter 1 has elements in the same memory, as expand makes them: give its clone\(\)"),
    "longer than its gradient": (leave_the_gradient, r"has shape \[5\] and its gradient \[3\]: call backward again"),
}


@pytest.mark.parametrize("options", [{}, CAPTURABLE, {"delay": 1}], ids=["exact", "capturable", "delayed"])
@pytest.mark.parametrize(("replace", "words"), REPLACED.values(), ids=REPLACED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_parameter_that_was_replaced_is_refused_and_changes_nothing(kind, replace, words, options):
    if kind is TuningFreeAdamW and options is CAPTURABLE:
        return
    optimizer, params = run(kind, **options)
    replace(params[1])
    before = read(optimizer)
    with pytest.raises(ArrayTypeError, match=words):
        optimizer.step()
    assert read(optimizer) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_made_in_inference_mode_is_refused_and_its_clone_is_taken(kind):
    with torch.inference_mode():
        made = torch.ones(3)
    params = [torch.ones(3, requires_grad=True), made]
    optimizer = kind(params)
    for param in params:
        param.grad = torch.ones(3)
    with pytest.raises(ArrayTypeError, match=r"parameter 1 was made in torch\.inference_mode: make it outside, as its"):
        optimizer.step()
    assert torch.equal(params[0].detach(), torch.ones(3))
    copy = made.clone().requires_grad_()
    optimizer = kind([copy])
    copy.grad = torch.ones(3)
    optimizer.step()
    assert (copy < 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_remedy_for_a_model_of_another_precision_works(kind):
    optimizer, params = run(kind)
    steps = optimizer.steps
    for param in params:
        make_double(param)
    with pytest.raises(ArrayTypeError, match=r"opt.load_state_dict\(opt.state_dict\(\)\) makes them alike"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.steps == steps + 1
    assert {
        x.dtype for state in optimizer.state.values() for x in state.values() if torch.is_tensor(x) and x.dim()
    } == {torch.float64}


@pytest.mark.parametrize("value", ["x", None, [0.5], math.nan, math.inf, 1j, True, torch.ones(2)], ids=str)
@pytest.mark.parametrize("name", ["lr", "betas", "eps", "weight_decay", "momentum", "maximize"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_option_that_is_written_and_is_none_is_named(kind, name, value):
    optimizer, params = run(kind)
    if name not in optimizer.param_groups[0] or (name == "maximize" and value is True):
        return
    known, optimizer.param_groups[0][name] = optimizer.param_groups[0][name], value
    before = [param.clone() for param in params]
    with pytest.raises(ArgumentError, match=name):
        optimizer.step()
    assert all(map(torch.equal, params, before))
    optimizer.param_groups[0][name] = known
    optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_that_was_appended_or_lost_its_rate_is_told_the_remedy(kind):
    optimizer, _ = run(kind)
    optimizer.param_groups.append({"params": [torch.ones(2, requires_grad=True)]})
    with pytest.raises(ArgumentError, match="group 1 has no 'lr': put it back; add_param_group takes up more"):
        optimizer.step()
    optimizer.add_param_group(optimizer.param_groups.pop())
    optimizer.step()
    rate = optimizer.param_groups[0].pop("lr")
    with pytest.raises(ArgumentError, match="group 0 has no 'lr'"):
        optimizer.step()
    optimizer.param_groups[0]["lr"] = rate
    optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_without_derivatives_are_refused_and_a_refused_group_is_not_added(kind):
    with pytest.raises(ArgumentError, match=r"params\[1\] has dtype torch.int32: give floating point numbers"):
        kind([torch.ones(3, requires_grad=True), torch.ones(3, dtype=torch.int32)])
    optimizer, _ = run(kind)
    before = read(optimizer)
    with pytest.raises(ArgumentError, match=r"params\[0\] has dtype torch.bool"):
        optimizer.add_param_group({"params": [torch.ones(3, dtype=torch.bool)]})
    assert read(optimizer) == before
    optimizer.step()


def test_a_group_whose_rate_is_out_of_bounds_is_not_added():
    optimizer, _ = run(HypergradientAdamW, lr_scope="group", lr_max=1.0)
    before = read(optimizer)
    with pytest.raises(ArgumentError, match="lr=50"):
        optimizer.add_param_group({"params": [torch.ones(2, requires_grad=True)], "lr": 50.0})
    assert read(optimizer) == before


# States.


@pytest.mark.parametrize("saved", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_any_precision_are_taken_up_in_that_of_the_step(kind, dtype, saved):
    optimizer, _ = run(kind, dtype)
    state = deepcopy(optimizer.state_dict())
    for entry in state["state"].values():
        for name, array in entry.items():
            if torch.is_tensor(array) and array.dim():
                entry[name] = array.to(saved)
    optimizer.load_state_dict(state)
    optimizer.step()
    arrays = [x for entry in optimizer.state.values() for x in entry.values() if torch.is_tensor(x) and x.dim()]
    assert {array.dtype for array in arrays} == {WORK.get(dtype, dtype)}


@pytest.mark.parametrize("kind", ADAMS)
def test_moments_of_torch_s_adamw_of_16_bits_are_taken_up(kind):
    param = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    param.grad = torch.arange(1.0, 4.0).bfloat16()
    other = torch.optim.AdamW([param])
    other.step()
    optimizer = kind([param], stochastic_rounding=True)
    optimizer.load_state_dict(other.state_dict())
    assert optimizer.state[param]["exp_avg"].dtype == torch.float32
    optimizer.step()
    assert param.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_complex_parameters_take_up_their_own_state(kind):
    runs = []
    for reload in (False, True):
        optimizer, params = run(kind, torch.complex64)
        if reload:
            optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
        optimizer.step()
        runs.append(params)
    assert all(map(torch.equal, *runs))
    with pytest.raises(CheckpointError, match=r"of parameter 0 as torch\.float32"):
        optimizer.load_state_dict(run(kind)[0].state_dict())


def list_entries(value, path=()):
    """The places of all entries of a state."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in pairs:
        yield (*path, name)
        yield from list_entries(entry, (*path, name))


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_state_of_a_step_that_waits_is_gone_on_from_by_one_that_does_not(kind):
    waits, (_, param) = run(kind)
    other, (_, twin) = run(kind, **CAPTURABLE)
    other.load_state_dict({**deepcopy(waits.state_dict()), "param_groups": other.state_dict()["param_groups"]})
    with torch.no_grad():
        twin.copy_(param)
    waits.step()
    other.step()
    assert torch.allclose(param, twin, rtol=1e-6, atol=0)  # the bias corrections are rounded elsewhere


WRONG = (None, "x", {}, math.nan, -5, 1j, torch.ones(7), True)


@pytest.mark.parametrize("options", [{}, {"lr_scope": "tensor"}, CAPTURABLE], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_with_a_wrong_entry_is_refused_by_name_or_can_be_stepped(kind, options):
    if kind is TuningFreeAdamW and options:
        return  # which has neither
    state = deepcopy(run(kind, **options)[0].state_dict())
    optimizer, params = run(kind, **options)
    for path in list(list_entries(state)):
        for wrong in (*WRONG, "missing"):
            spoilt = deepcopy(state)
            home = spoilt
            for name in path[:-1]:
                home = home[name]
            home[path[-1]] = deepcopy(wrong)
            if wrong == "missing":
                del home[path[-1]]
            before, refusal = read(optimizer), None
            try:
                optimizer.load_state_dict(spoilt)
            except ValueError as error:
                refusal = error
            if refusal is None:
                optimizer.step()
                assert all(param.isfinite().all() for param in params), (path, wrong)
                optimizer, params = run(kind, **options)
                continue
            named = wrong == "missing" or any(str(name) in str(refusal) for name in path)
            ours = isinstance(refusal, CheckpointError) and named
            # torch's own refusal is of another number of groups or parameters
            assert ours or str(refusal).startswith("loaded state dict"), (path, wrong, refusal)
            assert read(optimizer) == before, (path, wrong)
