"""What torch's own tests ask of an optimizer, in bodies of our own, on the inputs of torch's OptimizerInfo.

Rates per step, tensors of other dtypes, sparse gradients, copies, states and steps without gradients are in the files
beside this one.
"""

from copy import deepcopy

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, OneCycleLR, ReduceLROnPlateau, StepLR

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW

# What torch imports for its tests is checked here with the warnings that it gives turned off.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::hypergrad.errors.AveragesWarning")

KINDS = {
    SGDHD: [
        {},
        {"lr": 0.002, "momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.9},
        {"rule": "multiplicative", "hyper_lr": 0.02},
        {"maximize": True},
        {"lr_scope": "tensor", "hyper_lr": 1e-8},
    ],
    AdamHD: [
        {},
        {"lr": 0.01, "weight_decay": 0.1},
        {"rule": "multiplicative", "hyper_lr": 0.02},
        {"maximize": True},
        {"lr_scope": "group"},
    ],
    HypergradientAdamW: [
        {},
        {"lr": 0.01},
        {"weight_decay": 0.1, "amsgrad": True},
        {"log_scale": True, "hyper_lr": 1e-3},
        {"maximize": True},
        {"lr_scope": "tensor"},
        {"capturable": True, "nonfinite": "skip"},
    ],
    AutoHypergradientAdamW: [
        {},
        {"lr": 0.01, "normalization": "cosine"},
        {"adapt_momentum": True, "hyper_lr_beta": 1e-3},
        {"track_surprise": True},
        {"weight_decay": 0.1, "maximize": True},
        {"lr_scope": "group"},
        {"capturable": True, "nonfinite": "propagate"},
    ],
    TuningFreeAdamW: [
        {},
        {"variant": "K", "lr_start": 1e-3},
        {"delay": 1, "every": 8, "weight_decay": 0.1},
        {"maximize": True},
    ],
}
INPUTS = [(kind, options) for kind, inputs in KINDS.items() for options in inputs]
IDS = [f"{kind.__name__}-{'-'.join(map(str, options)) or 'default'}" for kind, options in INPUTS]
of_every_input = pytest.mark.parametrize(("kind", "options"), INPUTS, ids=IDS)
of_every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, options, dtype=torch.float64):
    torch.manual_seed(0)
    weight, bias = (torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in ((2, 3), (2,)))
    return weight, bias, kind([weight, bias], **options)


def find_loss(weight, bias, maximize=False):
    loss = (weight @ torch.arange(1.0, 4.0, dtype=weight.dtype) + bias).square().sum()
    return -loss if maximize else loss


def walk(weight, bias, optimizer, steps, maximize=False, schedulers=()):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = find_loss(weight, bias, maximize)
        loss.backward()
        optimizer.step()
        losses.append(-loss.item() if maximize else loss.item())
        for scheduler in schedulers:
            scheduler.step(*([loss.detach()] if isinstance(scheduler, ReduceLROnPlateau) else []))
    return losses


SCHEDULERS = {
    "none": lambda o: [],
    "steps": lambda o: [StepLR(o, gamma=0.9, step_size=10)],
    "linear": lambda o: [LinearLR(o, start_factor=0.4, end_factor=0.8, total_iters=4)],
    "plateau": lambda o: [ReduceLROnPlateau(o)],
    "plateau and exponential": lambda o: [ExponentialLR(o, gamma=0.99), ReduceLROnPlateau(o)],
    "one cycle": lambda o: [OneCycleLR(o, max_lr=0.002, total_steps=60)],
    "cosine": lambda o: [CosineAnnealingLR(o, T_max=60)],
}


@pytest.mark.parametrize("schedule", SCHEDULERS)
@of_every_input
def test_the_loss_moves_in_the_right_direction_under_every_scheduler(kind, options, schedule):
    weight, bias, optimizer = make(kind, options)
    maximize = options.get("maximize", False)
    losses = walk(weight, bias, optimizer, 50, maximize, SCHEDULERS[schedule](optimizer))
    assert losses[-1] < losses[0]


@of_every_input
def test_groups_with_their_own_rate_and_decay_step_with_them(kind, options):
    weight, bias, _ = make(kind, options)
    rate = {} if kind is TuningFreeAdamW else {"lr": 0.004}
    optimizer = kind([{"params": [weight]}, {"params": [bias], "weight_decay": 0.0, **rate}], **options)
    if not rate:  # it takes none: as a scheduler writes one
        optimizer.param_groups[1]["lr"] *= 4
    maximize = options.get("maximize", False)
    losses = walk(weight, bias, optimizer, 30, maximize)
    assert losses[-1] < losses[0]
    rates = optimizer.effective_lrs()
    assert len(rates) == 2
    assert rates[0] != rates[1]


@of_every_input
def test_a_deterministic_state_gives_a_deterministic_run(kind, options):
    weight, bias, optimizer = make(kind, options)
    maximize = options.get("maximize", False)
    walk(weight, bias, optimizer, 5, maximize)
    twins = [torch.nn.Parameter(p.detach().clone()) for p in (weight, bias)]
    other = kind(twins, **options)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    walk(weight, bias, optimizer, 12, maximize)
    walk(*twins, other, 12, maximize)
    for mine, its in zip((weight, bias), twins, strict=True):
        assert torch.equal(mine, its)


@of_every_input
def test_the_printed_form_names_the_class_and_the_options(kind, options):
    *_, optimizer = make(kind, options)
    shown = repr(optimizer)
    assert shown.startswith(kind.__name__)
    for name in ("lr:", "weight_decay:", "effective_lr:"):
        assert name in shown


@of_every_kind
def test_named_parameters_are_taken_and_their_names_are_saved(kind):
    weight, bias, _ = make(kind, {})
    optimizer = kind([("weight", weight), ("bias", bias)])
    walk(weight, bias, optimizer, 3)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    other = kind([("weight", weight), ("bias", bias)])
    other.load_state_dict(optimizer.state_dict())
    assert other.learned_lr == optimizer.learned_lr


@of_every_kind
def test_hooks_of_the_step_and_of_states_are_called(kind):
    weight, bias, optimizer = make(kind, {})
    calls = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after"))
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("state"))
    optimizer.register_state_dict_post_hook(lambda o, state: calls.append("given"))
    optimizer.register_load_state_dict_pre_hook(lambda o, state: calls.append("load"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    walk(weight, bias, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["before", "after", "state", "given", "load", "loaded"]


@of_every_kind
def test_parameters_of_several_dtypes_step_together_with_one_rate(kind):
    params = [
        torch.nn.Parameter(torch.ones(4, dtype=dtype)) for dtype in (torch.float64, torch.float32, torch.bfloat16)
    ]
    rate = {} if kind is TuningFreeAdamW else {"lr": 0.01}
    optimizer = kind(params, stochastic_rounding=True, **rate)
    for _ in range(15):
        for p in params:
            p.grad = p.detach().clone()
        optimizer.step()
    assert all(bool((p < 1).all()) for p in params)
    assert [p.dtype for p in params] == [torch.float64, torch.float32, torch.bfloat16]
    assert isinstance(optimizer.learned_lr, float)


@of_every_kind
def test_a_parameter_of_a_frozen_layer_is_left_alone(kind):
    weight, bias, optimizer = make(kind, {})
    bias.requires_grad_(False)
    before = bias.detach().clone()
    walk(weight, bias, optimizer, 5)
    assert torch.equal(bias, before)
    assert bias not in optimizer.state


@of_every_kind
def test_what_torch_refuses_is_refused_with_an_error_of_the_same_kind(kind):
    p = torch.nn.Parameter(torch.ones(2))
    for params, options, error in (
        ([], {}, ValueError),
        (p, {}, TypeError),
        ([p, "x"], {}, TypeError),
        ([{"params": [p]}, {"params": [p]}], {}, ValueError),
        ([p], {"lr": -1.0}, ValueError),
        ([p], {"weight_decay": -1.0}, ValueError),
        ([p], {"differentiable": True}, TypeError),
        ([p.detach() * 2], {}, None),
        ([(p * 2)], {}, ValueError),
    ):
        if error is None:
            kind(params, **options)
        else:
            with pytest.raises(error):
                kind(params, **options)
    with pytest.warns(UserWarning, match="duplicate"):
        kind([p, p])


def test_torch_s_error_inputs_for_adamw_are_refused_with_the_same_kind():
    common = pytest.importorskip("torch.testing._internal.common_optimizers", reason="needs expecttest")
    for case in common.optim_error_inputs_func_adamw("cpu", torch.float32):
        arguments = case.optimizer_error_input
        options = {name: value for name, value in arguments.kwargs.items() if name not in ("foreach", "fused")}
        if options == arguments.kwargs and not isinstance(options.get("lr"), torch.Tensor):
            with pytest.raises(case.error_type):
                HypergradientAdamW(arguments.params, **options)
