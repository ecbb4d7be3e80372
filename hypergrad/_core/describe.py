"""The tables in the docstring of an optimizer: its arguments and its attributes, from their one description."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from textwrap import wrap
from typing import Any, TypeVar

from hypergrad._core.checks import Choice, show_range
from hypergrad._core.options import OPTIONS

WIDTH = 116
NAMES = 24

OTHERS = {
    "params": 'arrays, objects with `.data` and `.grad`, or group dicts {"params": [...], "lr": ...}: any shape, '
    "float32 or float64, C-contiguous, updated in place. None entries are passed over. Arrays are those of NumPy, or "
    "of pyopencl: these never leave their device, as gradients neither",
    "use_gpu": 'an alias of device: True is "auto", False is "numpy"',
    "records_to": "a file to which each step appends its record, for `hypergrad explain FILE --follow`. A path, "
    "default None: no file",
    "device": 'who runs the loops: "auto": OpenCL where a device is found, else NumPy with one warning; "numpy" | '
    '"opencl" | "opencl:PART[:INDEX]" | a pyopencl Device or Context: exactly that. Default "auto"',
}
"""What the arguments mean that are no options of a run."""

ATTRIBUTES = "Attributes, which can be read at any time:"

RAISES = (
    "Raises ArgumentError or ArrayTypeError for what cannot be used, DeviceNotFoundError for a device that is not "
    "there."
)

DELAY = """\
With delay=1 h_t is summed in the pass that takes step t, and moves the rate of step t+1: one pass over the arrays,
as without a rate to learn. It is another rule: `hypergrad_reference.delay_bounds` says how far its rates can be from
those of delay=0. A sum that is not finite, though every gradient is, is known after the step only: the step
stays taken, the rate stays as it is, and under "raise" and "stop" NonFiniteError says so. nonfinite="stop" reads
nothing twice: an element that the step would not leave finite keeps all that it had, the rest takes the step,
NonFiniteError says which, and the rate learns again from the step after the next."""
"""What the option means for the rules that learn from their hypergradient."""

Class = TypeVar("Class", bound=type)


def describe(**meanings: str) -> Callable[[Class], Class]:
    """Complete the docstring of a class, before its example.

    meanings    of options that mean something special there
    """

    def complete(kind: Class) -> Class:
        if kind.__doc__ is None:  # as under python -OO
            return kind
        # Python 3.13 leaves out the margin of a docstring, earlier ones keep it.
        head, prompt, example = inspect.cleandoc(kind.__doc__).partition("\n\n>>>")
        delay = f"{DELAY}\n\n" if "delay" in inspect.signature(kind).parameters and "delay" not in meanings else ""
        tables = "\n\n".join((
            _tabulate(_list_arguments(kind, meanings)), ATTRIBUTES, _tabulate(_list_attributes(kind)), RAISES
        ))  # fmt: skip
        kind.__doc__ = f"{head}\n\n{delay}{tables}{prompt}{example}"
        return kind

    return complete


def _list_arguments(kind: Any, meanings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    named = {name: alias for alias, name in kind.aliases.items()}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in kind.aliases:
            continue
        if name in OTHERS:
            yield name, meanings.get(name, OTHERS[name])
            continue
        check, meaning = OPTIONS[name]
        if parameter.default is None:  # not to be given
            yield name, f"{meanings[name]}."
            continue
        facts = [] if isinstance(check, Choice) else [show_range(check)]  # the meaning of a choice tells its words
        facts += [f"default {_show(parameter.default)}"]
        facts += [f"alias {named[name]}"] if name in named else []
        yield name, f"{meanings.get(name, meaning)}. {_begin(', '.join(facts))}"


def _begin(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _show(default: Any) -> str:
    return f'"{default}"' if isinstance(default, str) else repr(default)


def _list_attributes(kind: Any) -> Iterator[tuple[str, str]]:
    hidden = [name for name in ("params", "use_gpu", "lr_start") if name in inspect.signature(kind).parameters]
    yield (
        "settable",
        f"{', '.join((*kind.settable, *_list_written(kind)))}: what may be written between steps. All arguments but "
        f"{', '.join(hidden)} and those in param_groups are attributes as well",
    )
    if kind.aliases:
        yield "aliases", "; ".join(f"{alias} is {name}" for alias, name in kind.aliases.items())
    for name, value in _list_properties(kind):
        yield name, (inspect.getdoc(value) or "").partition("\n")[0]


def _list_properties(kind: Any) -> list[tuple[str, property]]:
    return inspect.getmembers(kind, lambda value: isinstance(value, property))


def _list_written(kind: Any) -> list[str]:
    return [name for name, value in _list_properties(kind) if value.fset is not None]


def _tabulate(rows: Iterator[tuple[str, str]]) -> str:
    lines = []
    for name, text in rows:
        first, *more = wrap(text, WIDTH - NAMES, break_on_hyphens=False)
        lines += [f"{name:<{NAMES}}{first}", *(" " * NAMES + line for line in more)]
    return "\n".join(lines)
