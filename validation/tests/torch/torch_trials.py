"""Optimizers of torch, and what happens with each when a feature is tried; see torch_features.py."""

import copy
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.optim.lr_scheduler import LambdaLR
from torch.overrides import TorchFunctionMode

from hypergrad.torch import AutoHypergradientAdamW


def make_ours(params, lr=1e-3, **options):
    return AutoHypergradientAdamW(params, lr=lr, **{"weight_decay": 0.0, "warmup_steps": 0, **options})


def make_adamw(params, lr=1e-3, **options):
    return torch.optim.AdamW(params, lr=lr, **{"weight_decay": 0.0, **options})


def make_prodigy(params, lr=1e-3, **options):
    from prodigyopt import Prodigy

    return Prodigy(params, d0=lr, **options)


def make_schedule_free(params, lr=1e-3, **options):
    from schedulefree import AdamWScheduleFree

    optimizer = AdamWScheduleFree(params, lr=lr, **options)
    optimizer.train()
    return optimizer


def make_dadapt(params, lr=1e-3, **options):
    from dadaptation import DAdaptAdam

    return DAdaptAdam(params, d0=lr, **options)


def make_pytorch_optimizer(params, lr=1e-3, **options):
    from pytorch_optimizer import Prodigy

    return Prodigy(params, d0=lr, **options)


class Package(NamedTuple):
    """An optimizer, made with a first rate: `lr`, or where the rate is a multiple of what is learned, `d0`."""

    module: str
    make: Callable[..., Any]
    learns: bool  # whether it learns a rate at all
    find_rate: Callable[[Any], float] = lambda optimizer: optimizer.param_groups[0]["d"]


PACKAGES = {
    "hypergrad.torch AutoHypergradientAdamW": Package("torch", make_ours, True, lambda optimizer: optimizer.learned_lr),
    "torch AdamW": Package("torch", make_adamw, False),
    "prodigyopt Prodigy": Package("prodigyopt", make_prodigy, True),
    "schedulefree AdamWScheduleFree": Package("schedulefree", make_schedule_free, False),
    "dadaptation DAdaptAdam": Package("dadaptation", make_dadapt, True),
    "pytorch_optimizer Prodigy": Package("pytorch_optimizer", make_pytorch_optimizer, True),
}
PATIENCE = 120
"""Seconds for processes that wait for each other; they need five."""
OURS = next(iter(PACKAGES))
NOTHING_LEARNED = "-"
"""The cell of an optimizer that learns no rate, where the feature is about one."""


def make_param(*numbers, dtype=torch.float64):
    return torch.nn.Parameter(torch.tensor(numbers, dtype=dtype))


def descend(optimizer, params, steps, scale=1.0):
    """Steps on half the sum of squares, times `scale`."""
    for _ in range(steps):
        for p in params:
            p.grad = scale * p.detach().clone()
        optimizer.step()


def say(holds, otherwise=""):
    return "yes" if holds else f"no{': ' if otherwise else ''}{otherwise}"


# One function per feature: what happens with an optimizer, in a few words.


def find_acting_rate(package):
    """Constant gradients, where a step is as long as the rate, under a schedule that halves it."""
    p = make_param(1.0, -2.0, 3.0)
    optimizer = package.make([p], lr=1e-2)
    half = LambdaLR(optimizer, lambda step: 0.5)
    for _ in range(30):
        before, p.grad = p.detach().clone(), torch.ones_like(p)
        optimizer.step()
        half.step()
    length = float((p.detach() - before).abs().max())
    shown = {k: v for k, v in optimizer.param_groups[0].items() if isinstance(v, float)}
    names = [name for name, value in shown.items() if math.isclose(value, length, rel_tol=0.01)]
    return say(names)


def keep_proportions(package):
    p, q = make_param(1.0), make_param(1.0)
    optimizer = package.make([{"params": [p]}, {"params": [q]}], lr=1e-3)
    optimizer.param_groups[1]["lr"] *= 0.1
    descend(optimizer, [p, q], 1)
    ratio = float((1 - p.detach()) / (1 - q.detach()))
    return say(math.isclose(ratio, 10, rel_tol=0.01), f"steps {ratio:.2g} to 1 for rates 10 to 1")


def own_rate(package):
    """A group learns as it does alone, whatever stands in the other."""
    if not package.learns:
        return NOTHING_LEARNED
    option = {"lr_scope": "group"} if package.make is make_ours else {}
    p, q, other = make_param(1.0, 2.0), make_param(1.0, 2.0), make_param(500.0)
    alone, together = package.make([q], **option), package.make([{"params": [p]}, {"params": [other]}], **option)
    descend(alone, [q], 30)
    descend(together, [p, other], 30)
    return say(torch.equal(p, q))


def fall(package):
    """From a rate that is far too large."""
    if not package.learns:
        return NOTHING_LEARNED
    p = make_param(1.0, -1.0)
    optimizer = package.make([p], lr=0.9)
    descend(optimizer, [p], 150)
    return say(package.find_rate(optimizer) < 0.45)


def rise(package):
    if not package.learns:
        return NOTHING_LEARNED
    p = make_param(10.0, -10.0)
    optimizer = package.make([p], lr=1e-5)
    descend(optimizer, [p], 150)
    return say(package.find_rate(optimizer) > 1e-3)


def learn_under_schedule(package):
    """Warm-up from 0, then a cosine to 0, with the learned rate far too small at first."""
    if not package.learns:
        return NOTHING_LEARNED
    p = make_param(10.0, -10.0)
    optimizer = package.make([p], lr=1e-5)
    schedule = LambdaLR(optimizer, lambda t: t / 10 if t < 10 else (1 + math.cos(math.pi * (t - 10) / 291)) / 2)
    for _ in range(300):
        descend(optimizer, [p], 1)
        schedule.step()
    loss = float(p.detach().square().sum() / 2)
    return say(math.isfinite(loss) and loss < 50, "no progress")


def publish_derivative(package):
    """The derivative of the next loss with respect to the rate, beside what the optimizer publishes."""
    p = make_param(1.0, -2.0)
    optimizer = package.make([p], lr=0.1)
    descend(optimizer, [p], 1)
    moved, rate = p.detach().clone(), 0.1
    direction = (make_param(1.0, -2.0).detach() - moved) / rate
    descend(optimizer, [p], 1)
    record = getattr(optimizer, "last_record", None)
    if record is None:
        return "no"
    return say(math.isclose(record.hypergradient, -float(moved @ direction), rel_tol=1e-12))


def give_reason(package):
    p = make_param(1.0)
    optimizer = package.make([p])
    descend(optimizer, [p], 2)
    return say(getattr(getattr(optimizer, "last_record", None), "reason", ""))


class Reads(TorchFunctionMode):
    """Counts how often the host asks a tensor for numbers, its own counters of steps left out."""

    def __init__(self, counters):
        super().__init__()
        self.counters, self.count = {id(counter) for counter in counters}, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        names = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy", "is_nonzero")
        if getattr(func, "__name__", "") in names and id(args[0]) not in self.counters:
            self.count += 1
        return func(*args, **(kwargs or {}))


def count_reads(package):
    """Of a step of 20 tensors."""
    params = [make_param(1.0, 2.0) for _ in range(20)]
    optimizer = package.make(params)
    descend(optimizer, params, 3)
    for p in params:
        p.grad = p.detach().clone()
    with Reads([state["step"] for state in optimizer.state.values() if "step" in state]) as reads:
        optimizer.step()
    return str(reads.count)


def count_state(package):
    p = torch.nn.Parameter(torch.ones(1000))
    optimizer = package.make([p])
    descend(optimizer, [p], 2)
    arrays = [value for value in optimizer.state[p].values() if isinstance(value, torch.Tensor) and value.numel() > 1]
    return f"{sum(array.numel() for array in arrays) / 1000:g}"


def resume(package):
    p = make_param(10.0, -10.0)
    optimizer = package.make([p], lr=1e-4)
    descend(optimizer, [p], 20)
    q = torch.nn.Parameter(p.detach().clone())
    other = package.make([q], lr=1e-4)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    descend(optimizer, [p], 20)
    descend(other, [q], 20)
    return say(torch.equal(p, q))


def _step_bfloat16(package, steps, **options):
    if package.make is make_ours:
        options["stochastic_rounding"] = True
    p = torch.nn.Parameter(torch.ones(4000, dtype=torch.bfloat16))
    optimizer = package.make([p], **options)
    for _ in range(steps):
        p.grad = torch.ones_like(p)
        optimizer.step()
    return p, optimizer


def keep_moments(package):
    """Of bfloat16 parameters, through a state that is loaded."""
    _, optimizer = _step_bfloat16(package, 2)
    q = torch.nn.Parameter(torch.ones(4000, dtype=torch.bfloat16))
    other = package.make([q], **({"stochastic_rounding": True} if package.make is make_ours else {}))
    other.load_state_dict(optimizer.state_dict())
    dtypes = {value.dtype for value in other.state[q].values() if isinstance(value, torch.Tensor) and value.numel() > 1}
    return say(dtypes == {torch.float32}, ", ".join(sorted(str(d).removeprefix("torch.") for d in dtypes)))


def keep_small_updates(package):
    """20 steps of a thousandth each, from 1, where neighbours are 1/256 apart."""
    p, _ = _step_bfloat16(package, 20, **({"hyper_lr": 0.0} if package.make is make_ours else {}))
    return say(bool((p < 1).any()))


def survive_nan(package):
    p = make_param(1.0, 2.0)
    optimizer = package.make([p])
    descend(optimizer, [p], 3)
    before, p.grad = p.detach().clone(), torch.full_like(p, math.nan)
    try:
        optimizer.step()
    except ArithmeticError:
        return say(torch.equal(p, before))
    return say(torch.equal(p, before), "not finite" if p.isnan().any() else "they moved")


def leave_gradient(package):
    p = make_param(1.0, 2.0)
    optimizer = package.make([p], weight_decay=0.1)
    p.grad = torch.ones_like(p)
    optimizer.step()
    return say(torch.equal(p.grad, torch.ones_like(p)))


def need_no_mode(package):
    p = make_param(1.0, 2.0)
    return say(not hasattr(package.make([p]), "train"))


def take_complex(package):
    numbers = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    z, x = torch.nn.Parameter(torch.view_as_complex(numbers.clone())), torch.nn.Parameter(numbers.clone())
    of_z, of_x = package.make([z], lr=1e-2), package.make([x], lr=1e-2)
    descend(of_z, [z], 20)
    descend(of_x, [x], 20)
    return say(torch.allclose(torch.view_as_real(z.detach()), x, rtol=1e-12))


def stand_still(package):
    p = make_param(1.0, 2.0)
    optimizer = package.make([p])
    descend(optimizer, [p], 20, scale=0.0)
    return say(torch.equal(p, make_param(1.0, 2.0)))


def grow(package):
    p, q = make_param(1.0, 2.0), make_param(3.0)
    optimizer = package.make([p])
    descend(optimizer, [p], 5)
    optimizer.add_param_group({"params": [q]})
    descend(optimizer, [p, q], 5)
    return say(bool(torch.isfinite(q).all()) and q.item() != 3.0)


def copy_deeply(package):
    p = make_param(1.0, 2.0)
    optimizer = package.make([p])
    descend(optimizer, [p], 5)
    twin = copy.deepcopy(optimizer)
    q = twin.param_groups[0]["params"][0]
    descend(optimizer, [p], 5)
    descend(twin, [q], 5)
    return say(torch.equal(p, q))


def shard(package, ranks):
    """Trained in parts and whole, by the processes that this starts."""
    name = next(name for name, one in PACKAGES.items() if one is package)
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", __file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    started = subprocess.Popen(
        [*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        answer, errors = started.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        return "no: it hangs"
    kinds = re.findall(r"^(?:\[rank\d\]: ?)*(\w+Error)\b", errors, re.MULTILINE)
    return answer.split("\n")[0] if started.returncode == 0 else f"no: {kinds[0] if kinds else 'it fails'}"


def train_sharded(name):
    """What one of the processes does; the first says whether the parameters are those of one process."""
    dist.init_process_group("gloo")
    size = dist.get_world_size()
    names = ("replicas", "shards")[-1 if size == 2 else 0 :]
    mesh = init_device_mesh("cpu", (2,) * len(names), mesh_dim_names=names)
    models = []
    for sharded in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(5, 7, dtype=torch.float64), torch.nn.Linear(7, 1, dtype=torch.float64)
        )
        if sharded:
            fully_shard(model, mesh=mesh)
        optimizer = PACKAGES[name].make(model.parameters(), lr=1e-3)
        for step in range(15):
            x = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            optimizer.step()
        models.append([p.full_tensor() if sharded else p for p in model.parameters()])
    alike = all(torch.allclose(p, q, rtol=1e-9, atol=1e-9) for p, q in zip(*models, strict=True))
    if dist.get_rank() == 0:
        print(say(alike, "other parameters"), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    train_sharded(sys.argv[1])
