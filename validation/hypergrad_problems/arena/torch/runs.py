"""Train a network by an optimizer of torch, and say how it ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from hypergrad.torch import TuningFreeAdamW
from hypergrad_problems.arena.contenders import OURS
from hypergrad_problems.arena.packages import PACKAGES
from hypergrad_problems.arena.runs import list_looks
from hypergrad_problems.arena.torch.tasks import TASKS, Batch, Task, find_loss, find_misses
from hypergrad_reference.types import Vector

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
"""Of the cosine schedules, of which the best by training loss is what the others are measured by."""
COSINES = {f"cosine {rate:g}": rate for rate in RATES}
METHODS = (*OURS, *(name for name in PACKAGES if name != "mechanic"), *COSINES)
"""Every optimizer by its name in the table."""
STATISTICS = 20
"""Batches from which the statistics of batch normalisation are formed at the averages."""


class Ending(NamedTuple):
    """Losses and shares of wrong classes, on training data and on data that training never sees."""

    train: float
    validation: float
    train_misses: float
    validation_misses: float


class Outcome(NamedTuple):
    """A run."""

    ending: Ending  # means of five looks in the last twentieth of the steps
    path: tuple[Ending, ...]  # at every tenth of the steps
    rates: Vector  # of every step
    parameters: int
    seconds: float


class Trainer(NamedTuple):
    """An optimizer at its own defaults, and what goes with it."""

    optimizer: Any
    find_rate: Callable[[dict[str, Any]], float]
    schedule: Any = None
    averages: bool = False  # its answer is what `lend` puts into the parameters

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Inside, the parameters hold the answer."""
        if isinstance(self.optimizer, TuningFreeAdamW):
            with self.optimizer.averaged_weights():
                yield
        elif self.averages:
            self.optimizer.eval()
            yield
            self.optimizer.train()
        else:
            yield


def make_trainer(method: str, params: list[Any], steps: int, weight_decay: float) -> Trainer:
    """The optimizer of a name in METHODS."""
    groups = [{"params": params, "weight_decay": weight_decay}]
    if method in OURS:
        ours = TuningFreeAdamW(groups, nonfinite="propagate", **OURS[method])
        return Trainer(ours, lambda group: float(group["effective_lr"]), averages=True)
    if method in COSINES:
        optimizer = torch.optim.AdamW(groups, lr=COSINES[method])
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return Trainer(optimizer, lambda group: float(group["lr"]), cosine)
    package = PACKAGES[method]
    optimizer = package.make(groups)
    if package.averages:
        optimizer.train()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps) if package.cosine else None
    return Trainer(optimizer, package.find_rate, schedule, package.averages)


def run(name: str, method: str, seed: int, steps: int | None = None) -> Outcome:
    """A run of an optimizer on a task; start and batches depend on the seed alone."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task, began = TASKS[name].task, time.perf_counter()
    steps = steps or task.steps
    model = task.make()
    params = list(model.parameters())
    trainer = make_trainer(method, params, steps, task.weight_decay)
    generator = torch.Generator().manual_seed(1000 + seed)
    rates, looks, tenths = np.empty(steps), list_looks(steps), [steps * i // 10 for i in range(1, 11)]
    look = partial(_look, task, model, trainer, (task.train(), task.validation()))
    ends, path = [], []
    for t in range(1, steps + 1):
        trainer.optimizer.zero_grad()
        find_loss(model, task.draw(generator)).backward()
        trainer.optimizer.step()
        rates[t - 1] = trainer.find_rate(trainer.optimizer.param_groups[0])
        if trainer.schedule is not None:
            trainer.schedule.step()
        if t in looks or t in tenths:
            seen = look()
            ends += [seen] if t in looks else []
            path += [seen] if t in tenths else []
    count = sum(p.numel() for p in params)
    return Outcome(Ending(*np.mean(ends, axis=0).tolist()), tuple(path), rates, count, time.perf_counter() - began)


def _look(task: Task, model: nn.Module, trainer: Trainer, parts: tuple[list[Batch], list[Batch]]) -> Ending:
    """The losses at the answer. Statistics of batch normalisation are formed for averages, as update_bn does."""
    with trainer.lend():
        buffers = [buffer.clone() for buffer in model.buffers()]
        if trainer.averages and buffers:
            generator = torch.Generator().manual_seed(0)
            update_bn((task.draw(generator).inputs for _ in range(STATISTICS)), model)
        model.eval()
        with torch.no_grad():
            losses, misses = (
                [float(torch.stack([find(model, batch) for batch in part]).mean()) for part in parts]
                for find in (find_loss, find_misses)
            )
        model.train()
        for buffer, kept in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(kept)
    return Ending(*losses, *misses)
