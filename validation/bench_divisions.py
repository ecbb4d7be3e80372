"""What divisions and roots cost, beside something cheaper in their place: `python validation/bench_divisions.py`.

Each kernel is timed as it is and with multiplications for its divisions and roots, beside a probe of the same traffic,
which computes nothing; where torch is installed, the kernel and the step of AdamW also beside torch's fused AdamW.
That one moves the same 28 bytes per element and has two divisions and a root, as correctly rounded, where adamw.cl has
one of each: it also divides the root by that of the bias correction. Where the step takes longer than torch's and the
kernel does not, the Python around the launch is the reason, and neither the traffic nor what is divided.

Where memory is fast, or all arrays are in a cache, a kernel waits for the part of the processor that divides and takes
roots. One with delay 1 needs it twice per element, for the direction of the last step and for the step itself, and both
quotients must have NumPy's bits. Arguments: the device, if it is not to be any, and powers of 2, of elements.
"""

import sys
from collections.abc import Sequence

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import Device, open_device
from hypergrad_kernels.kernels import KERNELS
from hypergrad_kernels.launcher import Launcher, read_text
from hypergrad_validation.bench import count_bytes
from hypergrad_validation.timing import REPEATS, Row, Run, compare, take_turns
from hypergrad_validation.workload import Workload, list_torch_steps

ROOT = ("#define SQRT(x) sqrt(x)", "#define SQRT(x) (x)")
WIDE_ROOT = ("#define SQRT(x) ((vec)(sqrt((x).lo), sqrt((x).hi)))", "#define SQRT(x) (x)")
STEP = ("(a * m_t) / (", "(a * m_t) * (")
DIRECTION = ("last_m_hat / last_root", "last_m_hat * last_root")
CUTS = {
    "adamw": (ROOT, WIDE_ROOT, STEP), "adamw_delayed": (ROOT, WIDE_ROOT, STEP, DIRECTION),
    "sums": (ROOT, WIDE_ROOT, DIRECTION),
}  # fmt: skip
"""What is replaced in the text of a kernel, by key of KERNELS."""


def cut(kernel: str) -> str:
    """The text of a kernel's file without the divisions and roots of its step; it computes nonsense.

    Raises ValueError if it has no such place any more.
    """
    text = read_text(KERNELS[kernel].file)
    for old, new in CUTS[kernel]:
        if old not in text:
            raise ValueError(f"{KERNELS[kernel].file}.cl has no {old!r}: adapt CUTS to the text of today")
        text = text.replace(old, new)
    return text


def measure_divisions(device: Device, n: int, repeats: int = REPEATS) -> list[Row]:
    """Rows of times: each kernel without them / as it is, with delay 1 / without, and a probe and torch beside them."""
    workload, moved = Workload(device, n), count_bytes()
    measured = workload.launcher.measured

    def bind(name: str, short: bool, owner: str = "") -> Run:
        kernel, arguments = KERNELS[name], workload.draw_arguments(name, owner)
        launcher = Launcher(Arrays(device), measured, (lambda _: cut(name)) if short else read_text)

        def run() -> None:
            launcher.launch(name, kernel.call(*arguments))
            device.finish()

        return run

    def ratio(what: str, over: Sequence[float], under: Sequence[float], scale: float = 1.0) -> Row:
        figure = compare([scale * seconds for seconds in over], under)
        return Row(f"{what}, time, n = 2^{n.bit_length() - 1}", "-", figure, True)

    def pair(what: str, over: Run, under: Run, scale: float = 1.0) -> Row:
        """Two runs in turn with arrays of their own, so that neither finds in a cache what a third has left there."""
        times = take_turns({"over": over, "under": under}, repeats)
        return ratio(what, times["over"], times["under"], scale)

    times = take_turns({f"{name} {short}": bind(name, short) for name in CUTS for short in (False, True)}, repeats)
    rows = [
        *(
            ratio(f"{name} kernel without divisions and roots / with", times[f"{name} True"], times[f"{name} False"])
            for name in CUTS
        ),
        ratio("adamw_delayed kernel / adamw kernel", times["adamw_delayed False"], times["adamw False"]),
        ratio("the same without divisions and roots", times["adamw_delayed True"], times["adamw True"]),
    ]
    for name in CUTS:
        probe = KERNELS[name].probe
        if probe is not None:
            run, share = workload.wait(workload.bind_kernel(probe, "probe ")), moved[name] / moved[probe]
            rows.append(pair(f"probe of the same bytes / {name} kernel", run, bind(name, False), share))
            rows.append(pair("the same without divisions and roots", run, bind(name, True), share))
    fused = list_torch_steps([workload.theta], [workload.grad], device.cl_device.max_compute_units).get("torch fused")
    if fused:
        (step,) = workload.list_steps(workload.open_optimizers(["AdamW"])).values()
        rows.append(pair("AdamW step / torch fused", step, fused))
        rows.append(pair("adamw kernel / torch fused", bind("adamw", False, "kernel "), fused))
        rows.append(pair("the same without divisions and roots", bind("adamw", True, "kernel "), fused))
    return rows


def main(named: str = "opencl", *powers: str) -> None:
    """Print the table."""
    device = open_device(named)
    print(f"{device.name}\n\n| time / time | median | quartiles |\n|---|---|---|")
    for power in map(int, powers or ("20", "24")):
        for what, _, (median, low, high), _ in measure_divisions(device, 1 << power):
            print(f"| {what} | {median:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
