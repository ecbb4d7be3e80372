"""How far the rates of sharded training are from those of one process: `python validation/tests/torch/torch_meshes.py`.

Each row is a scenario of `ranks.py`, run by gloo on processes of this machine, as `test_sharding.py` runs it.
"""

import tempfile
from itertools import chain
from pathlib import Path

import ranks

HELD = {
    "ddp": ("none", "whole on each rank"),
    "ddp_broadcast": ("none", "whole on each rank, the numbers of rank 0 sent to all"),
    "fsdp2": ("1-D", "rows divided, some ranks without one"),
    "fsdp2_beside_plain": ("1-D", "one layer divided, the others plain tensors"),
    "tensor_parallel": ("1-D", "columns of one layer and rows of the next divided"),
    "fsdp1": ("none", "flat parts in plain tensors, `process_group=`"),
    "zero": ("none", "whole tensors dealt out to ranks, `process_group=`"),
    "hsdp": ("2-D, 2 x 2", "rows divided in pairs of ranks, two replicas"),
    "fsdp2_and_tensor_parallel": ("2-D, 2 x 2", "divided along both"),
}
"""The mesh of a scenario, and how its parameters are held."""


def write_table():
    """The table, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        found = ranks.run_all(Path(folder))
    lines = [
        "| scenario | mesh | parameters | ranks | rules | largest relative difference of rates | all ranks agree |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, scenarios in ranks.SCENARIOS.items():
        for scenario in scenarios:
            rules = ranks.RULES_OF.get(scenario, ranks.MOST)
            results = [[result[f"{scenario.__name__}: {rule}"] for result in found[size]] for rule in rules]
            largest = max(_compare(first) for first, *_ in results)
            agree = all(other["rates"] == first["rates"] for first, *others in results for other in others)
            mesh, held = HELD[scenario.__name__]
            lines.append(
                f"| {scenario.__name__} | {mesh} | {held} | {size} | {len(rules)} | {largest:.0e} | "
                f"{'to the bit' if agree else 'NO'} |"
            )
    return "\n".join(lines)


def _compare(result):
    """The largest relative difference between the rates of a run in parts and those of a run in one process."""
    found, wanted = (chain.from_iterable(result[name]) for name in ("rates", "plain"))
    return max(abs(mine - whole) / abs(whole) for mine, whole in zip(found, wanted, strict=True))


if __name__ == "__main__":
    print(write_table())
