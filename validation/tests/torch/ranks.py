"""What test_sharding.py and torch_meshes.py run on several processes, `run_all`: one of them is `python ranks.py FOLDER
RANK SIZE`, by gloo, with its results in FOLDER.

Each scenario trains one model in parts and whole, on this process, with the same gradients, and gives the learned
rates of both and the largest difference between their parameters.
"""

import copy
import json
import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW

STEPS = 15
RULES = {
    "adamw_hd": partial(HypergradientAdamW, lr=0.01, hyper_lr=1e-3, weight_decay=0.1),
    "adamw_hd-tensor": partial(HypergradientAdamW, lr=0.01, hyper_lr=1e-3, lr_scope="tensor"),
    "adamw_auto": partial(AutoHypergradientAdamW, lr=0.01, warmup_steps=2),
    "adamw_auto-cosine": partial(AutoHypergradientAdamW, lr=0.01, warmup_steps=2, normalization="cosine"),
    "sgd_hd": partial(SGDHD, lr=0.01, hyper_lr=1e-5, momentum=0.9),
    "adam_hd-multiplicative": partial(AdamHD, lr=0.01, hyper_lr=0.02, rule="multiplicative"),
    "adamw_free": partial(TuningFreeAdamW, weight_decay=0.1),
    "adamw_free-delayed": partial(TuningFreeAdamW, delay=1, nonfinite="propagate"),
}


class Model(nn.Module):
    """Widths that two and four ranks cannot divide evenly, and a bias with less entries than ranks."""

    def __init__(self, width=7):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(5, width, dtype=torch.float64)
        self.norm = nn.LayerNorm(width, dtype=torch.float64)
        self.second = nn.Linear(width, 1, dtype=torch.float64)

    def forward(self, x):
        return self.second(self.norm(torch.tanh(self.first(x))))


def draw(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 5, dtype=torch.float64, generator=generator)


def find_loss(model, x):
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


def whole(tensor):
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def read(optimizer):
    rates = optimizer.learned_lr
    return rates if isinstance(rates, list) else [rates]


def compare(rule, model, plain, part=lambda x: x, params=None, wrap=None, gather=None):
    """Train in parts and whole. `gather` gives the parameters of the first as whole tensors."""
    make = wrap or RULES[rule]
    ours, theirs = make(params or model.parameters()), RULES[rule](plain.parameters())
    found, wanted = [], []
    for step in range(STEPS):
        for one, net, batch in ((ours, model, part(draw(step))), (theirs, plain, draw(step))):
            one.zero_grad()
            find_loss(net, batch).backward()
            one.step()
        found.append(read(ours.optim if hasattr(ours, "optim") else ours))
        wanted.append(read(theirs))
    averages = {}
    if isinstance(ours, TuningFreeAdamW) and gather is None:  # of the parameters that this process sees
        pairs = zip(ours.averages(), theirs.averages(), strict=True)
        averages = {"averages": max(float((whole(x) - y).abs().max()) for x, y in pairs)}
    shown = gather() if gather else [whole(p) for p in model.parameters()]
    largest = max(float((p - whole(q)).abs().max()) for p, q in zip(shown, plain.parameters(), strict=True))
    return {"rates": found, "plain": wanted, "parameters": largest, **averages}


def share(x):
    """The part of a batch of this rank."""
    return x.chunk(dist.get_world_size())[dist.get_rank()]


def ddp(rule):
    plain = Model()
    return compare(rule, DistributedDataParallel(copy.deepcopy(plain)), plain, share)


def ddp_broadcast(rule):
    plain, model = Model(), DistributedDataParallel(Model())
    return compare(rule, model, plain, share, wrap=partial(RULES[rule], broadcast=True))


def fsdp2(rule):
    plain, model = Model(), Model()
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (model.first, model.second, model):
        fully_shard(layer, mesh=mesh)
    return compare(rule, model, plain, share)


def fsdp2_beside_plain(rule):
    """One parameter is no DTensor: whole on each rank, its gradient averaged by hand."""
    plain, model = Model(), Model()
    fully_shard(model.first, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    for p in (*model.norm.parameters(), *model.second.parameters()):
        p.register_post_accumulate_grad_hook(lambda p: dist.all_reduce(p.grad.div_(dist.get_world_size())))
    return compare(rule, model, plain, share)


def hsdp(rule):
    plain, model = Model(), Model()
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicas", "shards"))
    for layer in (model.first, model.second, model):
        fully_shard(layer, mesh=mesh)
    return compare(rule, model, plain, share)


def tensor_parallel(rule):
    plain, model = Model(8), Model(8)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    plan = {"first": ColwiseParallel(output_layouts=Replicate()), "second": RowwiseParallel(input_layouts=Replicate())}
    return compare(rule, parallelize_module(model, mesh, plan), plain)


def fsdp2_and_tensor_parallel(rule):
    plain, model = Model(8), Model(8)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    plan = {"first": ColwiseParallel(output_layouts=Replicate()), "second": RowwiseParallel(input_layouts=Replicate())}
    model = parallelize_module(model, mesh["tensor"], plan)
    for layer in (model.first, model.second, model):
        fully_shard(layer, mesh=mesh["data"])
    return compare(rule, model, plain, lambda x: x.chunk(2)[mesh["data"].get_local_rank()])


def fsdp1(rule):
    plain = Model()
    model = FullyShardedDataParallel(copy.deepcopy(plain), use_orig_params=True, device_id=torch.device("cpu"))

    def gather():
        with FullyShardedDataParallel.summon_full_params(model, writeback=False):
            return [p.detach().clone() for p in model.parameters()]

    return compare(rule, model, plain, share, wrap=partial(RULES[rule], process_group=dist.group.WORLD), gather=gather)


def zero(rule):
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns when it is imported

    plain, model = Model(), DistributedDataParallel(Model())
    of_rank = partial(RULES[rule], process_group=dist.group.WORLD)
    return compare(rule, model, plain, share, wrap=partial(ZeroRedundancyOptimizer, optimizer_class=of_rank))


SCENARIOS = {
    2: [ddp, ddp_broadcast, fsdp2, fsdp2_beside_plain, tensor_parallel, fsdp1, zero],
    4: [ddp, fsdp2, hsdp, fsdp2_and_tensor_parallel, zero],
}
MOST = ["adamw_hd", "adamw_auto", "adamw_free"]
RULES_OF = {
    ddp: [*RULES],
    fsdp2: [*RULES],
    fsdp1: ["adamw_hd", "adamw_hd-tensor", "adamw_auto", "adamw_auto-cosine", "adamw_free", "adamw_free-delayed"],
}


CHECKPOINTED = {
    "adamw_auto": partial(AutoHypergradientAdamW, lr=0.01, warmup_steps=2),
    "adamw_free": TuningFreeAdamW,
    "adamw_free-delayed": partial(TuningFreeAdamW, delay=1),
}
"""Rules whose runs are saved and resumed on another number of ranks."""


CHECKPOINTS = [(rule, flat) for rule in CHECKPOINTED for flat in (False, True)]
"""Each of them, in nested and in flattened states."""


def build(rule, sharded):
    model = Model()
    if sharded:
        for layer in (model.first, model.second, model):
            fully_shard(layer, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    return model, CHECKPOINTED[rule](model.parameters())


def go(model, optimizer, first, last, part):
    for step in range(first, last):
        optimizer.zero_grad()
        find_loss(model, part(draw(step))).backward()
        optimizer.step()
    return read(optimizer)


def checkpoint(folder, rule, flat, sharded, load=None, save=None):
    """Load a checkpoint into a new model, if one is named, and save one."""
    model, optimizer = build(rule, sharded)
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    if load is not None:
        of_model, of_optimizer = get_state_dict(model, optimizer, options=options)
        dcp.load({"model": of_model, "optimizer": of_optimizer}, checkpoint_id=folder / f"{load}-{rule}-{flat}")
        set_state_dict(model, optimizer, model_state_dict=of_model, optim_state_dict=of_optimizer, options=options)
    if save is not None:
        of_model, of_optimizer = get_state_dict(model, optimizer, options=options)
        dcp.save({"model": of_model, "optimizer": of_optimizer}, checkpoint_id=folder / f"{save}-{rule}-{flat}")
    return model, optimizer


def start_checkpoints(folder):
    """Ten steps on all ranks, a checkpoint, and five more without a break."""
    result = {}
    for rule, flat in CHECKPOINTS:
        model, optimizer = build(rule, sharded=True)
        go(model, optimizer, 0, 10, share)
        options = StateDictOptions(flatten_optimizer_state_dict=flat)
        of_model, of_optimizer = get_state_dict(model, optimizer, options=options)
        dcp.save({"model": of_model, "optimizer": of_optimizer}, checkpoint_id=folder / f"first-{rule}-{flat}")
        result[f"{rule}-{flat}"] = go(model, optimizer, 10, STEPS, share)
    return result


def end_checkpoints(folder):
    """The last five steps, from what one process has read and written in between."""
    return {
        f"{rule}-{flat}": go(*checkpoint(folder, rule, flat, True, load="second"), 10, STEPS, share)
        for rule, flat in CHECKPOINTS
    }


def main(folder, rank, size):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{size}", rank=rank, world_size=size)
    results = {}
    for scenario in SCENARIOS[size]:
        for rule in RULES_OF.get(scenario, MOST):
            results[f"{scenario.__name__}: {rule}"] = scenario(rule)
    if size == 2:
        results["uninterrupted"] = start_checkpoints(folder)
        dist.barrier()
        if rank == 0:
            alone(folder)
        dist.barrier()
        results["resharded"] = end_checkpoints(folder)
    (folder / f"result-{size}-{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def alone(folder):
    """One process reads what the ranks wrote, as whole tensors, and writes it again."""
    subprocess.run([sys.executable, __file__, str(folder), "alone"], check=True)


def run_all(folder):
    """What each rank found, by the number of ranks: all of them, as processes of this machine."""
    program = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the code that is tested here
    runs = {
        (size, rank): subprocess.Popen(
            [*program, str(rank), str(size)], stderr=subprocess.PIPE, text=True, env=environment
        )
        for size in SCENARIOS
        for rank in range(size)
    }
    for key, run in runs.items():
        _, errors = run.communicate(timeout=500)
        assert run.returncode == 0, f"rank {key}: {errors[-3000:]}"
    return {
        size: [json.loads((folder / f"result-{size}-{rank}.json").read_text()) for rank in range(size)]
        for size in SCENARIOS
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    where = Path(sys.argv[1])
    if sys.argv[2] == "alone":
        for rule, flat in CHECKPOINTS:
            checkpoint(where, rule, flat, False, load="first", save="second")
    else:
        main(where, int(sys.argv[2]), int(sys.argv[3]))
