"""What a user may hand over and rely on; arithmetic is proven elsewhere."""

import gc
import signal
import weakref

import numpy as np
import pytest
from snapshots import EVERY, step_once

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import BrokenOptimizerError


class Param:
    """A parameter as frameworks have them."""

    def __init__(self, data, grad=None):
        self.data, self.grad = np.array(data), None if grad is None else np.array(grad)


def give(params, grads):
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad


# Parameters and gradients.


@pytest.mark.parametrize("kind", EVERY)
def test_gradients_come_as_list_dict_or_attribute(kind):
    grads = [np.array([1.0, -2.0]), np.array([[3.0]])]
    thetas = []
    for way in ("list", "dict", "attribute", "dict and attribute", "closure"):
        params = [Param([1.0, 2.0]), Param([[3.0]])]
        given = {
            "list": {"gradients": grads},
            "dict": {"gradients": {id(p): g for p, g in zip(params, grads, strict=True)}},
            "attribute": {},
            "dict and attribute": {"gradients": {id(params[0]): grads[0]}},
            "closure": {
                "closure": lambda params=params: [setattr(p, "grad", g) for p, g in zip(params, grads, strict=True)]
            },
        }[way]
        if way == "attribute":
            give(params, grads)
        if way == "dict and attribute":
            params[1].grad = grads[1]
        step_once(kind, params, **given)
        thetas.append([p.data.tobytes() for p in params])
    assert all(theta == thetas[0] for theta in thetas)
    assert thetas[0] != [np.array([1.0, 2.0]).tobytes(), np.array([[3.0]]).tobytes()]


@pytest.mark.parametrize("kind", EVERY)
def test_none_sits_the_step_out_entirely(kind):
    params = [np.array([1.0, 2.0]), np.array([3.0])]
    opt = step_once(kind, params, gradients=[None, np.array([1.0])])
    assert params[0].tolist() == [1.0, 2.0]
    assert list(opt.state) == [id(params[1])]
    assert opt.state[id(params[1])]["step"] == 1


@pytest.mark.parametrize("kind", EVERY)
def test_step_without_any_gradient_changes_nothing(kind):
    params = [Param([1.0, 2.0])]
    opt = kind(params, device="numpy")
    assert opt.step(closure=lambda: 7.0) == 7.0
    assert params[0].data.tolist() == [1.0, 2.0]
    assert opt.state_dict()["steps"] == 0
    assert opt.last_record is None


def test_none_entries_of_params_are_passed_over():
    x = np.array([1.0])
    opt = step_once(AdamW, [None, x, None], gradients=[np.array([2.0])])
    assert opt.param_groups[0]["params"] == [x]


def test_params_may_be_a_generator():
    params = [np.ones(2), np.ones(3)]
    opt = AdamW((p for p in params), device="numpy")
    assert len(opt.param_groups[0]["params"]) == 2


def test_strides_and_precision_of_a_gradient_do_not_matter():
    rng = np.random.default_rng(0)
    grad = rng.standard_normal((6, 8))
    thetas = []
    for given in (grad[::2, ::-2].astype(np.float32), grad[::2, ::-2], np.asfortranarray(grad[::2, ::-2])):
        theta = np.ones((3, 4), np.float32)
        step_once(AdamW, [theta], gradients=[given])
        thetas.append(theta.tobytes())
    assert len(set(thetas)) == 1


@pytest.mark.parametrize("kind", EVERY)
def test_gradients_are_never_written_to(kind):
    grad = np.array([1.0, -2.0])
    grad.setflags(write=False)
    step_once(kind, [np.ones(2)], gradients=[grad])
    param = Param([1.0], [2.0])
    step_once(kind, [param])
    assert param.grad.tolist() == [2.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clear_grad_leaves_zeros(dtype, device):
    for where in ("numpy", device):
        grads = [np.ones(5, dtype), np.ones((4, 6))[:, ::2].astype(np.float64)]
        opt = AdamW([np.ones(5, dtype), np.ones((4, 3), dtype)], clear_grad=True, device=where)
        opt.step(gradients=grads if dtype == np.float32 else [grads[0], grads[1]])
        assert not grads[0].any()
        assert not grads[1].any()


def test_memory_that_was_replaced_is_noticed(device):
    for where in ("numpy", device):
        param = Param([1.0, 2.0], [1.0, 1.0])
        opt = AdamW([param], lr=0.5, device=where)
        opt.step()
        first, param.data = param.data, np.array([5.0, 6.0])
        kept = first.copy()
        opt.step()
        assert first.tolist() == kept.tolist()
        assert (param.data < [5.0, 6.0]).all()
        param.data = np.ones(3)
        with pytest.raises(ValueError, match="make a new optimizer"):
            opt.step()


def test_empty_tensor_takes_its_steps(device):
    for where in ("numpy", device):
        params = [np.empty((0, 3), np.float32), np.ones(2, np.float32)]
        opt = HypergradientAdamW(params, device=where)
        for _ in range(2):
            opt.step(gradients=[np.empty((0, 3), np.float32), np.ones(2, np.float32)])
        assert opt.state[id(params[0])]["step"] == 2


# Rates and groups.


def test_group_keeps_its_own_constants(device):
    for where in ("numpy", device):
        slow, fast = np.ones(4), np.ones(4)
        opt = AdamW(
            [{"params": [slow], "lr": 0.25}, {"params": [fast], "weight_decay": 0.5, "betas": (0.5, 0.75)}],
            lr=0.5, weight_decay=0.0, device=where,
        )  # fmt: skip
        alone = [np.ones(4), np.ones(4)]
        single = [
            AdamW([alone[0]], lr=0.25, weight_decay=0.0, device="numpy"),
            AdamW([alone[1]], lr=0.5, weight_decay=0.5, betas=(0.5, 0.75), device="numpy"),
        ]
        for t in range(5):
            grad = np.array([1.0, -2.0, 0.5, t])
            opt.step(gradients=[grad, grad])
            for one in single:
                one.step(gradients=[grad])
        assert [slow.tobytes(), fast.tobytes()] == [x.tobytes() for x in alone]


@pytest.mark.parametrize("kind", [HypergradientAdamW, AutoHypergradientAdamW])
def test_group_steps_with_its_share_of_one_base_rate(kind):
    options = {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {"hyper_lr": 1e-3}
    params = [np.ones(2), np.ones(3), np.ones(1)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.25}, {"params": [params[2]], "lr": 0.0}]
    opt = kind(groups, lr=0.5, lr_max=2.0, device="numpy", **options)
    for _ in range(4):
        opt.step(gradients=[np.ones(2), np.ones(3), np.ones(1)])
        base = opt.current_lr
        assert [group["lr"] for group in opt.param_groups] == [base, 0.5 * base, 0.0]
    assert opt.current_lr != 0.5
    assert params[2].tolist() == [1.0]
    opt.param_groups[1]["lr"] = 2 * opt.current_lr
    opt.step(gradients=[np.ones(2), np.ones(3), np.ones(1)])
    assert opt.param_groups[1]["lr"] == 2 * opt.current_lr


@pytest.mark.parametrize("kind", [HypergradientAdamW, AutoHypergradientAdamW])
def test_scope_group_is_one_optimizer_a_group(kind):
    # a hyper_lr of 0.01 moves a rate of 0.01 by its limit of a tenth whatever h is
    options = {"warmup_steps": 0, "hyper_lr": 1e-5} if kind is AutoHypergradientAdamW else {"hyper_lr": 1e-3}
    together, alone = [np.ones(4), np.full(3, 2.0)], [np.ones(4), np.full(3, 2.0)]
    opt = kind([{"params": [x]} for x in together], lr=0.01, lr_scope="group", device="numpy", **options)
    single = [kind([x], lr=0.01, device="numpy", **options) for x in alone]
    for _ in range(20):
        opt.step(gradients=[x / 2 for x in together])
        for one, x in zip(single, alone, strict=True):
            one.step(gradients=[x / 2])
    assert [x.tobytes() for x in together] == [x.tobytes() for x in alone]
    rates = [history.tolist() for history in opt.lr_histories]
    assert rates == [one.lr_history.tolist() for one in single]
    assert rates[0] != rates[1]


# Whole or not at all.


class Failing:
    """A backend that fails while it writes."""

    def __init__(self, backend, error):
        self.backend, self.error, self.name = backend, error, backend.name
        self.begin, self.fetch = backend.begin, backend.fetch
        self.inner_products, self.prepare = backend.inner_products, backend.prepare

    def update(self, work, clear_grad):
        self.backend.update(work[:1], clear_grad)
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("device lost"), MemoryError()], ids=["lost", "memory"])
def test_failure_after_the_first_write_breaks_the_optimizer_until_load(error, tmp_path):
    params = [np.ones(2), np.ones(3)]
    opt = HypergradientAdamW(params, device="numpy")
    grads = [np.ones(2), np.ones(3)]
    opt.step(gradients=grads)
    opt.save(tmp_path / "good.npz")
    good = [x.copy() for x in params]
    whole, opt._run.backend = opt._run.backend, Failing(opt._run.backend, error)
    for _ in range(2):
        with pytest.raises(BrokenOptimizerError, match="the last good step is 1: restore the parameters and load"):
            opt.step(gradients=grads)
    opt._run.backend = whole
    with pytest.raises(BrokenOptimizerError):
        opt.step(gradients=grads)
    for x, kept in zip(params, good, strict=True):
        x[:] = kept
    opt.load(tmp_path / "good.npz")
    opt.step(gradients=grads)
    assert opt.state_dict()["steps"] == 2


class Interrupted(Failing):
    """A backend that is interrupted between two batches."""

    def update(self, work, clear_grad):
        first = self.backend.update(work[:1], clear_grad)
        signal.raise_signal(signal.SIGINT)
        return [*first, *self.backend.update(work[1:], clear_grad)]


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the process was started with it ignored, as background jobs are."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_waits_for_the_commit():
    params, calm, grads = ([np.ones(2), np.ones(3, np.float32)] for _ in range(3))
    opt, other = AdamW(params, device="numpy"), AdamW(calm, device="numpy")
    opt._run.backend = Interrupted(opt._run.backend, None)
    with pytest.raises(KeyboardInterrupt):
        opt.step(gradients=grads)
    other.step(gradients=grads)
    assert [x.tobytes() for x in params] == [x.tobytes() for x in calm]
    assert opt.state_dict()["steps"] == 1


def test_optimizer_and_its_arrays_can_be_collected(device):
    opt = AutoHypergradientAdamW([np.ones(4)], device=device)
    opt.step(gradients=[np.ones(4)])
    gone = weakref.ref(opt)
    del opt
    gc.collect()
    assert gone() is None
