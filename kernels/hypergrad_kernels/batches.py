"""The two loops over batches of tensors.

What a launch needs besides its numbers is made once, and kept while the arrays of a batch stay: then no step looks at a
single tensor.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hypergrad_kernels import adamw_free, sums
from hypergrad_kernels.calls import Call, DType, Form
from hypergrad_kernels.delayed import UPDATERS, form_delayed
from hypergrad_kernels.launcher import Launch, Launcher
from hypergrad_reference.loops import Batch, Operands, Update
from hypergrad_reference.types import Vector


class Room:
    """Memory for the block sums of a batch: those of a tensor lie together, product after product.

    counts    block sums of each tensor
    """

    def __init__(self, counts: Sequence[int], products: int, dtype: DType) -> None:
        self.counts = counts
        total = sum(counts)
        self._memory = np.empty(products * total, dtype)
        ends = np.cumsum(counts)
        bounds = [0, *(products * ends).tolist()]
        self.outs = [self._memory[a:b].reshape(products, -1) for a, b in pairwise(bounds)]
        places = np.arange(total) + np.repeat((products - 1) * (ends - counts), counts)
        step = np.repeat(counts, counts)
        self._rows = [slice(row * total, (row + 1) * total) if len(counts) == 1 else places + row * step
                      for row in range(products)]  # fmt: skip

    def read(self) -> list[Vector]:
        """The block sums of each product, of all tensors in their order; of a single tensor not copied."""
        return [self._memory[row] for row in self._rows]


class Ready(NamedTuple):
    """A kernel over a batch, to be launched with the numbers of a step."""

    batch: Batch
    launches: list[Launch]
    room: Room | None  # for block sums


class Planned(NamedTuple):
    """The update of a batch with the numbers of this step."""

    ready: Ready
    reals: tuple[float, ...]
    products: tuple[str, ...]


Key = tuple[Any, ...]
"""A kernel without its numbers, and the position of the first tensor of a batch."""


class Batches:
    """Runs the loops over batches. What was made for one is kept while its lists of tensors are given again.

    Gradients are held of the latest launches alone: a kernel that was passed over gets those of its next launch.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._sums: dict[Key, Ready] = {}
        self._updates: dict[Key, Ready] = {}

    def inner_products(self, work: Sequence[tuple[Batch, tuple[str, ...], Operands]]) -> list[dict[str, Vector]]:
        """Block sums of the products asked for over each batch, with one wait for all.

        work    a batch, the products, and the operands of its first tensor; those of the others differ in arrays alone

        Returns one dict per batch with the block sums of all its tensors, one after another; the next call may write to
        the same memory. Raises BuildError.
        """
        planned = [self._plan_sums(*entry) for entry in work]
        for ready, reals, _ in planned:
            self._launcher.run(ready.launches, reals)
        self._launcher.arrays.collect()
        self._let_go(self._sums, planned)
        return [_read(one) for one in planned]

    def _plan_sums(self, batch: Batch, products: tuple[str, ...], o: Operands) -> Planned:
        lags = "grad_lag" in products
        form = adamw_free.form_lags(o) if lags else sums.form_sums(products, o)
        ready = self._find(self._sums, form, batch)
        if ready is None:
            others = [o._replace(**own) for own in batch.list_own()]
            arrays = [adamw_free.list_lags(one) if lags else sums.list_operands(products, one) for one in others]
            ready = self._make(self._sums, form, batch, arrays, len(products))
        return Planned(ready, form.reals, products)

    def plan_update(
        self, batch: Batch, u: Update, products: tuple[str, ...], o: Operands | None, clear_grad: bool
    ) -> Planned:
        """All that can fail before the update of a batch: compile, and find the arrays of small tensors.

        u, o    of its first tensor; with operands the products are formed in the same pass

        Raises BuildError.
        """
        updater = UPDATERS[type(u.scalars)]
        form = updater.form_update(u, clear_grad) if o is None else form_delayed(products, o, u, clear_grad)
        ready = self._find(self._updates, form, batch)
        if ready is None:
            others = [u._replace(**own) for own in batch.list_own()]
            arrays = [updater.list_arrays(one) for one in others]
            ready = self._make(self._updates, form, batch, arrays, len(products))
        return Planned(ready, form.reals, products)

    def update(self, work: Sequence[Planned]) -> list[dict[str, Vector]]:
        """Run what was planned, with one wait for all. Returns one dict per batch as inner_products does."""
        for ready, reals, _ in work:
            self._launcher.run(ready.launches, reals)
        self._launcher.arrays.collect()
        self._let_go(self._updates, work)
        return [_read(one) for one in work]

    def _find(self, kept: dict[Key, Ready], form: Form, batch: Batch) -> Ready | None:
        """What was made for a batch, led to its gradients where these alone are others; None where more has changed."""
        key = form[:4], batch.positions[0]
        ready = kept.get(key)
        if ready is None or ready.batch is batch:
            return ready
        if ready.batch.thetas is not batch.thetas or ready.batch.arrays is not batch.arrays:
            return None
        self._launcher.exchange(ready.launches, "grad", dict(zip(batch.positions, batch.grads, strict=True)))
        ready = kept[key] = Ready(batch, ready.launches, ready.room)
        return ready

    def _make(
        self,
        kept: dict[Key, Ready],
        form: Form,
        batch: Batch,
        arrays: Sequence[tuple[Vector, ...]],
        products: int,
    ) -> Ready:
        key = form[:4], batch.positions[0]
        known, room = kept.get(key), None
        if products:
            room, counts = None if known is None else known.room, batch.blocks
            if room is None or room.counts != counts:
                room = Room(counts, products, form.dtype)
        calls = []
        for number, (position, theta) in enumerate(zip(batch.positions, batch.thetas, strict=True)):
            if theta.size:
                sizes = (theta.size,) if form.per_item is None else (theta.size, -(-theta.size // form.per_item))
                out = () if room is None else (room.outs[number],)
                calls.append((position, Call(form, sizes, (*out, *arrays[number]))))
        ready = kept[key] = Ready(batch, self._launcher.plan(calls), room)
        return ready

    def _let_go(self, kept: dict[Key, Ready], latest: Sequence[Planned]) -> None:
        """Forget batches that are not given any more, and of other kernels over the latest ones the gradients."""
        given = {id(planned.ready.batch.thetas) for planned in latest}
        launched = {id(planned.ready) for planned in latest}
        for key, ready in list(kept.items()):
            if id(ready.batch.thetas) not in given:
                self._launcher.forget(ready.launches)
                del kept[key]
            elif id(ready) not in launched and ready.batch.grads:
                self._launcher.release(ready.launches, "grad")
                kept[key] = ready._replace(batch=ready.batch._replace(grads=()))


def _read(planned: Planned) -> dict[str, Vector]:
    room = planned.ready.room
    return {} if room is None else dict(zip(planned.products, room.read(), strict=True))
