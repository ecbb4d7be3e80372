"""What divisions and roots cost, beside something cheaper in their place: `python validation/bench_divisions.py`.

Where memory is fast, or all arrays are in a cache, a kernel waits for the part of the processor that divides and takes
roots. One with delay 1 needs it twice per element, for the direction of the last step and for the step itself, and both
quotients must have NumPy's bits. Arguments: the device, if it is not to be any, and powers of 2, of elements.
"""

import sys

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import Device, open_device
from hypergrad_kernels.kernels import KERNELS
from hypergrad_kernels.launcher import Launcher, read_text
from hypergrad_validation.timing import REPEATS, Row, Run, compare, take_turns
from hypergrad_validation.workload import Workload

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
    """Rows of times: each kernel without them / as it is, and with delay 1 / without, both ways."""
    workload = Workload(device, n)
    measured = workload.launcher.measured

    def bind(name: str, short: bool) -> Run:
        kernel, arguments = KERNELS[name], workload.draw_arguments(name)
        launcher = Launcher(Arrays(device), measured, (lambda _: cut(name)) if short else read_text)

        def run() -> None:
            launcher.launch(name, kernel.call(*arguments))
            device.finish()

        return run

    runs = {(name, short): bind(name, short) for name in CUTS for short in (False, True)}
    times = take_turns({f"{name} {short}": run for (name, short), run in runs.items()}, repeats)

    def ratio(what: str, over: str, under: str) -> Row:
        return Row(f"{what}, time, n = 2^{n.bit_length() - 1}", "-", compare(times[over], times[under]), True)

    return [
        *(ratio(f"{name} kernel without divisions and roots / with", f"{name} True", f"{name} False") for name in CUTS),
        ratio("adamw_delayed kernel / adamw kernel", "adamw_delayed False", "adamw False"),
        ratio("the same without divisions and roots", "adamw_delayed True", "adamw True"),
    ]


def main(named: str = "opencl", *powers: str) -> None:
    """Print the table."""
    device = open_device(named)
    print(f"{device.name}\n\n| time / time | median | quartiles |\n|---|---|---|")
    for power in map(int, powers or ("20", "24")):
        for what, _, (median, low, high), _ in measure_divisions(device, 1 << power):
            print(f"| {what} | {median:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
