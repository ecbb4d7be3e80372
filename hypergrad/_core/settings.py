"""What may be written to an optimizer: a setting that would have no effect is refused, and the right place named."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from hypergrad._core.checks import show
from hypergrad._core.options import OPTIONS
from hypergrad.errors import SettingError


class ReadOnly(Mapping[Any, Any]):
    """A dict to look at.

    >>> dict(ReadOnly({"lr": 0.5}, "writing here has no effect"))
    {'lr': 0.5}
    """

    def __init__(self, values: Mapping[Any, Any], refusal: str) -> None:
        self._values, self._refusal = values, refusal

    def __getitem__(self, name: Any) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def _refuse(self, *given: Any, **named: Any) -> NoReturn:
        raise SettingError(self._refusal)

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


class Guarded:
    """Attributes that may be written are those of `settable`, which are checked; a subclass may declare more."""

    settable: tuple[str, ...] = ()

    @property
    def group_options(self) -> tuple[str, ...]:
        """The names of the options that each group has."""
        return ()

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            if name in self.settable:
                value = OPTIONS[name].check(name, value)
            elif not (self._is_declared(name) or self._has_setter(name)):
                raise SettingError(self._explain(name, value))
        object.__setattr__(self, name, value)

    def _is_declared(self, name: str) -> bool:
        """Whether a subclass outside this package has the attribute."""
        return any(
            name in vars(kind) or name in vars(kind).get("__annotations__", {})
            for kind in type(self).__mro__
            if not kind.__module__.startswith("hypergrad.")
        )

    def _has_setter(self, name: str) -> bool:
        attribute = getattr(type(self), name, None)
        return isinstance(attribute, property) and attribute.fset is not None

    def _explain(self, name: str, value: Any) -> str:
        kind = type(self).__name__
        if name in (*self.group_options, "current_lr"):
            option = "lr" if name == "current_lr" else name
            return f"{name} = {show(value)} would change no group: write opt.param_groups[0][{option!r}] = ..."
        if name in OPTIONS and hasattr(self, name):
            return f"{name} = {show(value)} comes too late: make a new optimizer, {kind}(..., {name}=...)"
        if name == "param_groups":
            return "param_groups = ... would be ignored: write to its groups, or call add_param_group"
        if hasattr(self, name):
            return f"{name} = {show(value)}: {kind}.{name} is read-only; settable are {', '.join(self.settable)}"
        options = [*self.settable, *self.group_options]
        near = difflib.get_close_matches(name, options, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"{kind} has no attribute {name!r}: {hint}settable are {', '.join(self.settable)}; groups have "
            f"{', '.join(self.group_options)}; a subclass may declare its own, as in `{name}: object`"
        )
