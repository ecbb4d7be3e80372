"""The hypergradient against the derivative of the next loss by float64 autograd: schedulers, groups and scopes."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW

# h and the derivative are sums of the same few hundred products, rounded to float64 in another order: 1e-16 each, and
# the sums lose two to four digits to cancellation.
ROUNDING = 1e-10

SCHEDULERS = {
    "none": lambda optimizer: LambdaLR(optimizer, lambda step: 1.0),
    "warm-up from 0": lambda optimizer: LambdaLR(optimizer, lambda step: min(1.0, step / 8)),
    "one cycle": lambda optimizer: OneCycleLR(optimizer, max_lr=[0.03, 0.01], total_steps=40),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, T_max=30, eta_min=1e-4),
}

RULES = {
    "sgd_hd": lambda groups, scope: SGDHD(
        groups, lr=0.02, hyper_lr=1e-4, momentum=0.9, weight_decay=0.1, lr_scope=scope
    ),
    "sgd_hd-nesterov": lambda groups, scope: SGDHD(
        groups, lr=0.02, hyper_lr=1e-4, momentum=0.9, nesterov=True, weight_decay=0.1, lr_scope=scope
    ),
    "adam_hd": lambda groups, scope: AdamHD(groups, lr=0.02, hyper_lr=1e-4, weight_decay=0.1, lr_scope=scope),
    "adamw_hd": lambda groups, scope: HypergradientAdamW(
        groups, lr=0.02, hyper_lr=1e-4, weight_decay=0.3, lr_scope=scope
    ),
    "adamw_auto": lambda groups, scope: AutoHypergradientAdamW(
        groups, lr=0.02, hyper_lr=1e-3, weight_decay=0.3, warmup_steps=0, lr_scope=scope
    ),
}


class Model(torch.nn.Module):
    """A small network, whose second half is a group with another rate and decay."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(5, 8, dtype=torch.float64)
        self.second = torch.nn.Linear(8, 3, dtype=torch.float64)
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def groups(self, decays):
        head = [*self.second.parameters(), self.scale]
        return [
            {"params": list(self.first.parameters())},
            {"params": head, "lr": 0.005, **({"weight_decay": 0.7} if decays else {})},
        ]

    def loss(self, step, values=None):
        """Of the batch of a step; `values` replace the parameters."""
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 5, dtype=torch.float64, generator=generator)
        y = torch.randn(16, 3, dtype=torch.float64, generator=generator)
        if values is None:
            values = list(self.parameters())
        w1, b1, w2, b2, scale = (values[i] for i in self.order())
        return ((torch.tanh(x @ w1.T + b1) @ w2.T + b2) * scale - y).square().mean()

    def order(self):
        names = [name for name, _ in self.named_parameters()]
        return [names.index(n) for n in ("first.weight", "first.bias", "second.weight", "second.bias", "scale")]


class Replay:
    """What a step did to a parameter, written out again: theta as a function of the learned rate."""

    def __init__(self):
        self.m = self.v = self.velocity = 0.0
        self.power1 = self.power2 = 1.0
        self.steps = 0

    def move(self, optimizer, group, theta, grad, alpha):
        """theta after the step, with the rate alpha times what the scheduler says."""
        theta, ratio, decay = theta.clone(), group["lr"] / group["base_lr"], group["weight_decay"]
        self.steps += 1
        if isinstance(optimizer, (SGDHD, AdamHD)):
            grad, decay = grad + decay * theta, 0.0
        if isinstance(optimizer, SGDHD):
            self.velocity = group["momentum"] * self.velocity + grad
            d = grad + group["momentum"] * self.velocity if optimizer._plan.rule.nesterov else self.velocity
        else:
            beta1, beta2 = group["betas"]
            self.power1, self.power2 = self.power1 * beta1, self.power2 * beta2
            self.m = beta1 * self.m + (1 - beta1) * grad
            self.v = beta2 * self.v + (1 - beta2) * grad**2
            d = (self.m / (1 - self.power1)) / ((self.v / (1 - self.power2)).sqrt() + group["eps"])
        return theta * (1 - alpha * ratio * decay) - alpha * ratio * d


def read_derivatives(optimizer):
    """dL/dalpha as the records of the latest step have it."""
    records = optimizer.last_record
    records = records if isinstance(records[0], (tuple, type(None))) else (records,)
    return [record.hypergradient for record in records]


def walk(model, optimizer, scheduler, scope, steps=40, clip=None):
    """For each step from the second: the hypergradients, and the derivatives of the loss by autograd."""
    params = list(model.parameters())
    groups = [next(g for g in optimizer.param_groups if any(q is p for q in g["params"])) for p in params]
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    replays = [Replay() for _ in params]
    numbers = {"global": lambda p, g: 0, "group": lambda p, g: optimizer.param_groups.index(g)}
    find = numbers.get(scope, lambda p, g: next(i for i, q in enumerate(ordered) if q is p))
    owners = [find(p, g) for p, g in zip(params, groups, strict=True)]
    alphas, moved = None, None
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        model.loss(step).backward()
        share = 1.0
        if clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(params, clip)
            share = min(1.0, clip / (float(norm) + 1e-6))
        derivatives = None
        if moved is not None:
            loss = share * model.loss(step, moved)
            if isinstance(optimizer, (SGDHD, AdamHD)):  # coupled decay is the gradient of a penalty
                loss = loss + sum(
                    group["weight_decay"] / 2 * theta.square().sum() for group, theta in zip(groups, moved, strict=True)
                )
            derivatives = torch.autograd.grad(loss, alphas)
        before, grads = [p.detach().clone() for p in params], [p.grad.clone() for p in params]
        optimizer.step()
        if derivatives is not None:
            yield read_derivatives(optimizer), [float(d) for d in derivatives]
        learned = optimizer.learned_lr if scope != "global" else [optimizer.learned_lr]
        alphas = [torch.tensor(rate, dtype=torch.float64, requires_grad=True) for rate in learned]
        moved = [
            replay.move(optimizer, group, theta, grad, alphas[owner])
            for replay, group, theta, grad, owner in zip(replays, groups, before, grads, owners, strict=True)
        ]
        for mine, p in zip(moved, params, strict=True):
            torch.testing.assert_close(mine.detach(), p.detach(), rtol=1e-12, atol=1e-12)
        scheduler.step()


def find_largest_error(pairs):
    largest = 0.0
    for found, wanted in pairs:
        scale = max(map(abs, wanted))
        for mine, exact in zip(found, wanted, strict=True):
            assert math.isfinite(mine)
            largest = max(largest, abs(mine - exact) / scale if scale else abs(mine))
    return largest


@pytest.mark.parametrize("scope", ["global", "group", "tensor"])
@pytest.mark.parametrize("schedule", SCHEDULERS)
@pytest.mark.parametrize("rule", RULES)
def test_the_hypergradient_is_the_derivative_of_the_next_loss_for_the_learned_rate(rule, schedule, scope):
    model = Model()
    optimizer = RULES[rule](model.groups(decays=True), scope)
    error = find_largest_error(walk(model, optimizer, SCHEDULERS[schedule](optimizer), scope))
    assert error <= ROUNDING


@pytest.mark.parametrize("rule", RULES)
def test_clipped_gradients_scale_the_hypergradient_by_their_share(rule):
    model = Model()
    optimizer = RULES[rule](model.groups(decays=True), "global")
    pairs = walk(model, optimizer, SCHEDULERS["cosine"](optimizer), "global", clip=0.1)
    assert find_largest_error(pairs) <= ROUNDING
