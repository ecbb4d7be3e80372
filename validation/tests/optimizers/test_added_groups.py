"""A group that is added takes part as if it had been there and waited."""

import numpy as np
import pytest
from snapshots import FULL, OPTIMIZERS, Param, freeze, make

from hypergrad import AdamW, AutoHypergradientAdamW
from hypergrad.errors import ArgumentError, DeviceNotFoundError


@pytest.mark.parametrize("lr_scope", ["global", "group"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_added_group_steps_as_if_it_had_been_there_and_waited(kind, lr_scope, where, tmp_path):
    more = {} if kind is AdamW else {"lr_scope": lr_scope}
    options = FULL[kind] | more | {"device": where}
    rng = np.random.default_rng(0)
    grads = [[rng.standard_normal(5), rng.standard_normal((2, 3)).astype(np.float32)] for _ in range(9)]
    thetas = [np.ones(5), np.ones((2, 3), np.float32)]
    waiting = [np.ones(5), np.ones((2, 3), np.float32)]
    opt = make(kind, thetas[:1], **options)
    other = make(kind, [{"params": [x]} for x in waiting], **options)
    for grad, _ in grads[:3]:
        opt.step(gradients=[grad])
        other.step(gradients=[grad, None])
    if lr_scope == "group" and kind is not AdamW:  # while it waits a rate of its own stays where it began
        opt.add_param_group({"params": thetas[1:], "lr": 0.01})
    else:
        opt.add_param_group({"params": thetas[1]})
    if opt.defaults.get("betas") is not None:
        other.param_groups[1]["betas"] = opt.param_groups[1]["betas"]
    assert opt.param_groups[1]["params"] == [thetas[1]]
    for grad in grads[3:6]:
        opt.step(gradients=grad)
        other.step(gradients=grad)
    assert freeze(thetas) == freeze(waiting)
    assert opt.state[id(thetas[1])]["step"] == 3

    opt.save(tmp_path / "state.npz")
    resumed = [theta.copy() for theta in thetas]
    fresh = make(kind, [{"params": [x]} for x in resumed], **options)
    fresh.load(tmp_path / "state.npz")
    for grad in grads[6:]:
        opt.step(gradients=grad)
        fresh.step(gradients=grad)
    assert freeze(thetas) == freeze(resumed)
    assert freeze(opt.state_dict()) == freeze(fresh.state_dict())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_added_group_has_options_of_its_own_and_present_defaults(kind):
    opt = make(kind, weight_decay=0.25, **({"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}))
    for _ in range(3):
        opt.step(gradients=[np.ones(3)])
    opt.add_param_group({"params": (Param(np.ones(2)) for _ in range(2)), "lr": np.float32(0.5)})
    opt.add_param_group({"params": [np.ones(4), None], "weight_decay": 0.5})
    lrs = [group["lr"] for group in opt.param_groups]
    assert lrs == [lrs[0], 0.5, opt.current_lr]
    assert [group["weight_decay"] for group in opt.param_groups] == [0.25, 0.25, 0.5]
    assert type(lrs[1]) is float
    opt.step(gradients=[np.ones(3), None, np.ones(2), np.ones(4)])
    assert opt.state_dict()["steps"] == 4


def test_group_that_is_added_keeps_its_dict_apart():
    group = {"params": [np.ones(2)]}
    opt = make(AdamW)
    opt.add_param_group(group)
    assert group == {"params": group["params"]}
    opt.param_groups[1]["lr"] = 0.5
    opt.step(gradients=[np.ones(3), np.ones(2)])


def test_group_for_another_device_is_refused(device):
    pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    from hypergrad_kernels.device import open_device

    on_device = cl_array.to_device(open_device(device).queue, np.ones(3))
    opt = make(AdamW)
    with pytest.raises((ArgumentError, DeviceNotFoundError), match=r"params\[1\] is a pyopencl array"):
        opt.add_param_group({"params": [on_device]})
    opt = make(AdamW, device=device)
    opt.add_param_group({"params": [on_device]})
    opt.step(gradients=[np.ones(3), np.ones(3)])
    assert (on_device.get() < 1).all()
