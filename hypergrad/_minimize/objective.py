"""The function that a user gave, as the methods ask for it: arguments copied, results checked, evaluations counted."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from hypergrad._minimize.differences import SCHEMES, estimate_gradient, estimate_hessian_product
from hypergrad.errors import ArgumentError
from hypergrad_reference.types import Vector


class Point(NamedTuple):
    """A point, and f and its gradient there."""

    x: Vector  # (n,)
    value: float
    gradient: Vector  # (n,)

    def is_finite(self) -> bool:
        """Whether x, f and its gradient are numbers."""
        return math.isfinite(self.value) and _is_finite(self.x) and _is_finite(self.gradient)


class Function:
    """What the user gave. Every call gets a copy of x, and what it returns is copied: the memory is never shared.

    At an x that is not finite f and its derivatives are NaN, and the user is not asked.

    nfev, njev, nhev    evaluations of f, of its gradient and of Hessian products. An estimated derivative counts once,
                        and so does every evaluation that it is made of.
    is_asking           whether the user's code runs, or has raised
    """

    def __init__(self, fun: Any, args: Any, jac: Any, hess: Any = None, hessp: Any = None) -> None:
        if not callable(fun):
            raise ArgumentError(f"fun={fun!r}: give a function of x")
        self.nfev = self.njev = self.nhev = 0
        self.is_asking = False
        self._fun = fun
        self._args = args if isinstance(args, tuple) else (args,)
        self._jac = _read_jac(jac)
        self._hess, self._hessp = hess, hessp
        self._known: Point | None = None

    def start(self, x: Vector) -> Point:
        """Evaluate the start. The next `value_and_gradient` there is free."""
        self._known = Point(x, *self.value_and_gradient(x))
        return self._known

    def value(self, x: Vector) -> float:
        """f(x). With jac=True its gradient comes along, and is not counted since nobody asked for it."""
        if not _is_finite(x):
            return math.nan
        return self._take_value(self._call(x))

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f at x."""
        if not _is_finite(x):
            return np.full_like(x, math.nan)
        if self._jac is not True:
            return self._differentiate(x, None)
        return self._take_gradient(self._ask(self._fun, x), x)

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and its gradient, from one call with jac=True."""
        if self._known is not None and np.array_equal(x, self._known.x):
            known, self._known = self._known, None
            return known.value, known.gradient.copy()
        if not _is_finite(x):
            return math.nan, np.full_like(x, math.nan)
        returned = self._call(x)
        value = self._take_value(returned)
        if self._jac is True:
            return value, self._take_gradient(returned, x)
        return value, self._differentiate(x, value)

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """The Hessian of f at x times v; by central differences of the gradient where the user gave no Hessian."""
        if not _is_finite(x) or not _is_finite(v):
            return np.full_like(x, math.nan)
        self.nhev += 1
        if callable(self._hessp):
            return read_gradient("hessp", self._ask(self._hessp, x, v), x)
        if callable(self._hess):
            return read_gradient("hess times a vector", _as_operator(self._ask(self._hess, x), x) @ v, x)
        return estimate_hessian_product(self.gradient, x, v)

    def _ask(self, given: Any, *vectors: Vector) -> Any:
        self.is_asking = True
        returned = given(*(vector.copy() for vector in vectors), *self._args)
        self.is_asking = False
        return returned

    def _call(self, x: Vector) -> Any:
        self.nfev += 1
        return self._ask(self._fun, x)

    def _take_value(self, returned: Any) -> float:
        return read_value(_split(returned)[0] if self._jac is True else returned)

    def _take_gradient(self, returned: Any, x: Vector) -> Vector:
        self.njev += 1
        return read_gradient("the gradient of fun", _split(returned)[1], x)

    def _differentiate(self, x: Vector, value: float | None) -> Vector:
        """The gradient by jac, a function or a scheme; `value` is f(x) where it is known."""
        self.njev += 1
        if callable(self._jac):
            return read_gradient("jac", self._ask(self._jac, x), x)
        if value is None and self._jac == SCHEMES[0]:
            value = self.value(x)
        return estimate_gradient(self._jac, self.value, self._imaginary, x, value or 0.0)

    def _imaginary(self, z: Any) -> float:
        returned = np.asarray(self._call(z))
        if returned.size != 1 or returned.dtype.kind != "c":
            raise ArgumentError(
                f"fun returned {_describe(returned)} at a complex x, which jac='cs' needs: "
                "return a complex number, or give jac='3-point'"
            )
        return float(returned.imag.item())


def _is_finite(x: Vector) -> bool:
    return bool(np.isfinite(x).all())


def _read_jac(jac: Any) -> Any:
    """True, a function, or a scheme; None and False are "2-point", as in SciPy."""
    if isinstance(jac, (bool, np.bool_)):
        jac = bool(jac)
    if jac is None or jac is False:
        return SCHEMES[0]
    if jac is True or callable(jac) or (isinstance(jac, str) and jac in SCHEMES):
        return jac
    raise ArgumentError(
        f"jac={jac!r}: give the gradient as a function, jac=True if fun returns (f, gradient), or one of "
        f"{', '.join(map(repr, SCHEMES))} to estimate it"
    )


def _split(returned: Any) -> tuple[Any, Any]:
    try:
        return returned[0], returned[1]
    except (TypeError, IndexError, KeyError):
        raise ArgumentError(
            f"fun returned {_describe(returned)} with jac=True: return the pair of f and its gradient"
        ) from None


def read_start(x0: Any) -> Vector:
    """x0 as a new vector of float64. Raises ArgumentError unless it has one dimension, or none, and is finite."""
    array = _as_real(x0)
    if array is None:
        raise ArgumentError(f"x0 is {_describe(x0)}: give a vector of real numbers")
    if array.ndim > 1:
        raise ArgumentError(f"x0 has shape {array.shape}: give a vector, such as np.ravel(x0)")
    start = np.array(array, ndmin=1)
    if not start.size:
        raise ArgumentError("x0 is empty: give one number per variable")
    if not np.isfinite(start).all():
        where = int(np.flatnonzero(~np.isfinite(start))[0])
        raise ArgumentError(f"x0[{where}] is {start[where]}: start at finite numbers")
    return start


def read_value(returned: Any) -> float:
    """What fun returned as a float: a number of any real type, or an array of one. Raises ArgumentError for others."""
    array = _as_real(returned)
    if array is not None and array.size == 1:
        return float(array.item())
    more = ", or give jac=True if it returns (f, gradient)" if isinstance(returned, tuple) else ""
    raise ArgumentError(f"fun returned {_describe(returned)}: return one real number{more}")


def read_gradient(name: str, returned: Any, x: Vector) -> Vector:
    """A gradient as a new array of float64. Raises ArgumentError unless it is real and has one entry per variable."""
    array = _as_real(returned)
    if array is not None and x.size == array.size == 1:
        array = array.reshape(1)
    if array is None or array.shape != x.shape:
        raise ArgumentError(
            f"{name} returned {_describe(returned)} at an x of shape {x.shape}: return one real number per variable"
        )
    return array


def _as_real(given: Any) -> Vector | None:
    """A new array of float64; None for what is not real, is masked in part, or is no array at all."""
    if given is None or np.ma.is_masked(given):
        return None
    try:
        array = np.asarray(given)
        if array.dtype.kind == "O":  # NumPy would take None for NaN
            array = np.array([float(entry) for entry in array.flat]).reshape(array.shape)
        with np.errstate(over="ignore"):
            return np.array(array, dtype=np.float64) if array.dtype.kind in "biuf" else None
    except (TypeError, ValueError, OverflowError):
        return None


def _as_operator(hessian: Any, x: Vector) -> Any:
    if not (sparse.issparse(hessian) or isinstance(hessian, LinearOperator)):
        hessian = _as_real(hessian)
    if hessian is None or hessian.shape != (x.size, x.size):
        raise ArgumentError(f"hess returned no real matrix of shape {(x.size, x.size)}: give the Hessian, or hessp")
    return hessian


def _describe(returned: Any) -> str:
    """What a function returned, in a few words."""
    if returned is None:
        return "None"
    if isinstance(returned, np.ma.MaskedArray) and returned.size != 1:
        return f"a masked array of shape {returned.shape}"
    if isinstance(returned, np.ndarray) and returned.size != 1:
        return f"shape {returned.shape} of {returned.dtype}"
    if isinstance(returned, (list, tuple)):
        return f"a {type(returned).__name__} of {len(returned)}"
    text = " ".join(repr(returned).split())
    return f"{text if len(text) < 60 else text[:57] + '...'} ({type(returned).__name__})"
