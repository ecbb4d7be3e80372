"""The torch optimizers against the algorithms of the reference, step by step."""

import numpy as np
import pytest
import torch
from problems import CASES, STEPS, draw_gradient, start

# Both round every operation to float64, and all numbers are of the size of 1. Their sums differ in order alone, by a
# few units of 1e-16; 300 steps of these contracting problems add up to no more than this.
ROUNDING = 1e-11


def run_reference(of_rule, options, scopes):
    """The reference on its own for each set of tensors that share a rate: parameters, rates and records per step."""
    init, step, read = of_rule(**options)
    thetas = start()
    states = [init([thetas[i] for i in scope]) for scope in scopes]
    for t in range(1, STEPS + 1):
        grads = draw_gradient(t, thetas)
        rates, records = [], []
        for number, scope in enumerate(scopes):
            moved, states[number], record = step([thetas[i] for i in scope], [grads[i] for i in scope], states[number])
            for i, theta in zip(scope, moved, strict=True):
                thetas[i] = theta
            rates.append(read(states[number]))
            records.append(record)
        yield thetas, rates, records


def set_gradients(params, step):
    grads = draw_gradient(step, [p.detach().numpy() for p in params])
    for p, grad in zip(params, grads, strict=True):
        p.grad = None if grad is None else torch.from_numpy(grad)


def close(found, wanted):
    return np.max(np.abs(found - wanted), initial=0.0) <= ROUNDING


SCOPES = {"global": [[0, 1, 2, 3, 4]], "group": [[0, 1], [2, 3, 4]], "tensor": [[0], [1], [2], [3], [4]]}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", CASES)
def test_a_run_of_300_steps_is_that_of_the_reference_to_rounding(name, scope):
    kind, of_rule, options = CASES[name]
    params = [torch.nn.Parameter(torch.from_numpy(theta)) for theta in start()]
    groups = params if scope != "group" else [{"params": [params[i] for i in part]} for part in SCOPES["group"]]
    optimizer = kind(groups, lr_scope=scope, **options)
    for t, (thetas, rates, records) in enumerate(run_reference(of_rule, options, SCOPES[scope]), start=1):
        set_gradients(params, t)
        before = [p.detach().clone() for p in params]
        optimizer.step()
        for p, theta, old in zip(params, thetas, before, strict=True):
            assert close(p.detach().numpy(), theta)
            assert p.grad is not None or torch.equal(p, old)
        learned = optimizer.learned_lr if scope != "global" else [optimizer.learned_lr]
        assert learned == pytest.approx(rates, rel=ROUNDING)
        found = optimizer.last_record if scope != "global" else [optimizer.last_record]
        for mine, record in zip(found, records, strict=True):
            if mine is not None:
                assert mine.reason == record.reason
                assert mine.step == record.step
                assert mine.lr == pytest.approx(record.lr, rel=ROUNDING)


def test_surprise_is_that_of_the_reference_to_rounding():
    kind, of_rule, options = CASES["adamw_auto-surprise"]
    init, step, _ = of_rule(**options)
    thetas = start()
    state = init(thetas)
    params = [torch.nn.Parameter(torch.from_numpy(theta.copy())) for theta in thetas]
    optimizer = kind(params, **options)
    for t in range(1, 60):
        thetas, state, _ = step(thetas, draw_gradient(t, thetas), state)
        set_gradients(params, t)
        optimizer.step()
        for mine, exact in zip(optimizer.surprise, state.surprise, strict=True):
            assert mine is exact is None or mine == pytest.approx(exact, rel=ROUNDING)
    assert state.surprise.accumulated > 0.1
