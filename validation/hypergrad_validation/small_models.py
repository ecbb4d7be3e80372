"""Steps of small models beside those of torch: what a step costs besides its arithmetic."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hypergrad import AdamW, AutoHypergradientAdamW
from hypergrad_kernels.device import Device
from hypergrad_validation.timing import Row, Run, compare, take_turns
from hypergrad_validation.workload import Shapes, bind_step, draw_model, list_torch_steps


class Model(NamedTuple):
    """The shapes of a model, and what a step of AutoHypergradientAdamW with delay 1 may take of torch's fused AdamW."""

    shapes: Shapes
    limit: float


MODELS: Mapping[str, Model] = {
    "n = 1000": Model(((1000,),), 1.0),
    "64-128-10 network": Model(((64, 128), (128,), (128, 10), (10,)), 1.0),
    "60 tensors, 740 010 elements": Model(((24411,), (256,)) * 30, 0.5),
}

DELAYED = "AutoHypergradientAdamW, delay=1"
STEPS: Mapping[str, tuple[type[Any], dict[str, Any]]] = {
    "AdamW": (AdamW, {}),
    "AutoHypergradientAdamW": (AutoHypergradientAdamW, {"warmup_steps": 1}),
    DELAYED: (AutoHypergradientAdamW, {"warmup_steps": 1, "delay": 1, "nonfinite": "propagate"}),
}  # fmt: skip
"""What takes the steps; without a look ahead a delayed step is one pass."""


def measure_small(device: Device, repeats: int = 201) -> list[Row]:
    """Steps on the device and by NumPy beside torch's, where torch is installed; else beside those of AdamW."""
    rows = []
    for name, model in MODELS.items():
        times = take_turns(_list_steps(device, model.shapes), repeats)
        fused = "torch fused" in times
        under = "torch fused" if fused else "AdamW"
        for what in times:
            if what == under:
                continue
            figure = compare(times[what], times[under])
            judged = fused and what == DELAYED
            target, met = (f"<= {model.limit:g}", figure.median <= model.limit) if judged else ("-", True)
            rows.append(Row(f"{what} / {under}, time, {name}", target, figure, met))
    return rows


def _list_steps(device: Device, shapes: Shapes) -> dict[str, Run]:
    runs = {name: bind_step(kind, shapes, device.context, **options) for name, (kind, options) in STEPS.items()}
    kind, options = STEPS[DELAYED]
    runs[f"{DELAYED}, NumPy"] = bind_step(kind, shapes, "numpy", **options)
    return runs | list_torch_steps(*draw_model(shapes), device.cl_device.max_compute_units)
