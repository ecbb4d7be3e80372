"""
Torch: sharded training on two ranks
====================================

FSDP2 divides every parameter over the ranks. The inner products of a rule are added over them, so both ranks learn the
rate of a run in one process. Started alone, the script calls ``torch.distributed.run`` with two ranks.
"""

import os
import subprocess
import sys

import torch.distributed.fsdp

from hypergrad.torch import AutoHypergradientAdamW


def train(shard: bool) -> float:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 33), torch.nn.Tanh(), torch.nn.Linear(33, 1))
    X = torch.randn(64, 20)
    if shard:
        torch.distributed.fsdp.fully_shard(model, mesh=torch.distributed.init_device_mesh("cpu", (2,)))
    opt = AutoHypergradientAdamW(model.parameters(), lr=1e-3)
    for _ in range(50):
        opt.zero_grad()
        ((model(X)[:, 0] - X.sum(1)) ** 2).mean().backward()
        opt.step()
    return opt.learned_lr


if "RANK" in os.environ:
    torch.distributed.init_process_group("gloo")
    rank, alone, sharded = torch.distributed.get_rank(), train(False), train(True)
    print(f"rank {rank}: alone {alone:.6f}, sharded {sharded:.6f}\n", end="", flush=True)
    torch.distributed.destroy_process_group()
else:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", __file__]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
