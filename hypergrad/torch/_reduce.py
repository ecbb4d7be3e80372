"""From the inner products of the pieces on each device to the numbers that the schedule reads, in one read-back.

DTensors         added over the dimensions of their mesh along which they are divided; replicas count once
plain tensors    added over the ranks of `process_group`, if one is given; else this process has them whole
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.errors import ArgumentError
from hypergrad.torch._items import SHARDED, Item

COUNT, LAST = "count", "last_grad_grad"
"""Columns beside the inner products where rows belong to a process group: how many tensors, and their ||g_{t-1}||^2."""

Cells = Mapping[int, Mapping[str, Sequence[Tensor]]]
"""For the index of an item and the name of an inner product, its pieces."""


class Reach(NamedTuple):
    """Who else has a part of the plain tensors."""

    process_group: Any = None  # ranks with other parts, to be added
    broadcast: bool = False  # the numbers of the first rank count for all


class Row(NamedTuple):
    """The tensors that are read back as one."""

    group: int
    position: int  # of the parameter; of a whole group -1
    moved: bool
    indices: list[int]  # of the items


class Reading(NamedTuple):
    """What was read back of a row."""

    row: Row
    values: dict[str, float]
    blocks: Mapping[str, Any] | None = None  # in place of the values, block sums, from the loops of the NumPy classes


def form_rows(items: Sequence[Item], groups: Sequence[Mapping[str, Any]], per_tensor: bool, reach: Reach) -> list[Row]:
    """One row per tensor. With a process group the rows are the same on all ranks: two per group, or per parameter.

    per_tensor    each tensor has its own rate
    """
    if reach.process_group is None:
        return [Row(item.group, item.position, item.moved, [index]) for index, item in enumerate(items)]
    found: dict[tuple[int, int, bool], list[int]] = {}
    for index, item in enumerate(items):
        found.setdefault((item.group, item.position if per_tensor else -1, item.moved), []).append(index)
    units, first = [], 0
    for number, group in enumerate(groups):
        count = len(group["params"])
        units += [(number, position) for position in range(first, first + count)] if per_tensor else [(number, -1)]
        first += count
    return [Row(*unit, moved, found.get((*unit, moved), [])) for unit in units for moved in (True, False)]


def read_back(
    items: Sequence[Item], cells: Cells, rows: Sequence[Row], columns: Sequence[str], reach: Reach, home: torch.device
) -> tuple[list[Reading], list[float]]:
    """The inner products of each row over all ranks. This is where the host waits for the devices, once.

    home    the device that the numbers are collected on

    Returns the readings, and ||g_t||^2 of each item; with a process group of this rank's part of it.
    """
    shared = reach.process_group is not None
    if shared:
        columns = (*columns, LAST, COUNT)
    width = len(columns)
    vectors = _lay_out(items, cells, rows, columns, reach, home)
    if shared:
        own = [_add_up(cells.get(index, {}).get("grad_grad", ()), home) for index in range(len(items))]
        vectors.append(([len(rows) * width + index for index in range(len(items))], _stack(own, home)))
    numbers = _arrange(vectors, reach, home).tolist()
    readings = [
        Reading(row, dict(zip(columns, numbers[i * width : (i + 1) * width], strict=True)))
        for i, row in enumerate(rows)
    ]
    if shared:
        return [reading for reading in readings if reading.values[COUNT]], numbers[len(rows) * width :]
    return readings, [reading.values.get("grad_grad", math.nan) for reading in readings]


def tabulate(
    items: Sequence[Item], cells: Cells, rows: Sequence[Row], columns: Sequence[str], reach: Reach, home: torch.device
) -> Tensor:
    """The inner products of each row, in columns, as float64 on the device `home`. The host waits for nothing."""
    return _arrange(_lay_out(items, cells, rows, columns, reach, home), reach, home).view(len(rows), len(columns))


def _arrange(vectors: Sequence[tuple[list[int], Tensor]], reach: Reach, home: torch.device) -> Tensor:
    """The numbers of all vectors, each at its place."""
    if not vectors:
        return _zero(home).expand(0)
    vector = torch.cat([vector.to(home) for _, vector in vectors])
    if reach.broadcast:
        torch.distributed.broadcast(vector, src=0)
    places = [place for found, _ in vectors for place in found]
    if places == sorted(places):
        return vector
    order = sorted(range(len(places)), key=places.__getitem__)
    return torch.stack([vector[index] for index in order])


def _lay_out(
    items: Sequence[Item], cells: Cells, rows: Sequence[Row], columns: Sequence[str], reach: Reach, home: torch.device
) -> list[tuple[list[int], Tensor]]:
    """Vectors in float64, each with the places of its numbers in the table of rows and columns."""
    buckets: dict[Any, list[int]] = {}
    for number, row in enumerate(rows):
        param = items[row.indices[0]].param if row.indices else None
        sharding = (param.device_mesh, param.placements) if isinstance(param, SHARDED) else None
        device = home if param is None or reach.process_group is not None else param.device
        buckets.setdefault((sharding, device), []).append(number)
    width, vectors = len(columns), []
    for (sharding, device), numbers in buckets.items():
        vector = _stack(
            [_fill(items, cells, rows[number], column, device) for number in numbers for column in columns], device
        )
        if sharding is not None:
            vector = add_over_mesh(vector, *sharding)
        elif reach.process_group is not None:
            torch.distributed.all_reduce(vector, group=reach.process_group)
        vectors.append(([number * width + i for number in numbers for i in range(width)], vector))
    return vectors


def _fill(items: Sequence[Item], cells: Cells, row: Row, column: str, device: torch.device) -> Tensor:
    """The number of this process for a row and a column."""
    if column == COUNT:
        return torch.tensor(float(len(row.indices)), dtype=torch.float64, device=device)
    if column == LAST:
        kept = sum(items[index].state.get("grad_sq", 0.0) for index in row.indices) if row.moved else 0.0
        return torch.tensor(kept, dtype=torch.float64, device=device)
    return _add_up([piece for index in row.indices for piece in cells.get(index, {}).get(column, ())], device)


def _add_up(pieces: Sequence[Tensor], device: torch.device) -> Tensor:
    if len(pieces) == 1:
        return pieces[0].to(device)
    return torch.stack([piece.to(device, torch.float64) for piece in pieces]).sum() if pieces else _zero(device)


def _zero(device: torch.device) -> Tensor:
    return torch.zeros((), dtype=torch.float64, device=device)


def _stack(numbers: Sequence[Tensor], device: torch.device) -> Tensor:
    """Numbers without dimensions as one vector in float64."""
    if not numbers:
        return _zero(device).expand(0)
    if any(number.dtype != numbers[0].dtype for number in numbers):
        numbers = [number.double() for number in numbers]
    return torch.stack(list(numbers)).double()


def add_over_mesh(vector: Tensor, mesh: Any, placements: Iterable[Any]) -> Tensor:
    """The sum over the parts of a mesh: along a dimension with replicas nothing is added."""
    for dimension, placement in enumerate(placements):
        if not placement.is_replicate():
            torch.distributed.all_reduce(vector, group=mesh.get_group(dimension))
    return vector


def check_reach(process_group: Any, broadcast: bool) -> Reach:
    """Who else has a part of the plain tensors. Raises ArgumentError for both at once."""
    if process_group is not None and broadcast:
        raise ArgumentError("broadcast=True with process_group: the ranks of a group hold different parts, give one")
    return Reach(process_group, broadcast)
