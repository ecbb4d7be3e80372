"""A problem to minimise: it knows its value, derivatives, start, constants, optimum and source.

Every problem meets `hypergrad_reference.objective.TwiceDifferentiable`. All arithmetic is float64; arrays of a problem
are read-only.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from hypergrad_reference.types import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem(ABC):
    """A function f: R^n -> R to minimise.

    x0                (n,)  the start
    smoothness        L, the smallest known Lipschitz constant of the gradient; inf if there is none
    strong_convexity  mu, the largest known number such that f - mu/2 |x|^2 is convex; 0 if f is merely convex, negative
                      if it is not, -inf if there is none
    optimum           (n,)  a minimiser, None if unknown
    optimal_value     min f, None if unknown, -inf if f is unbounded below
    source            where the problem comes from
    """

    name: str
    x0: Vector
    smoothness: float
    strong_convexity: float
    optimum: Vector | None = None
    optimal_value: float | None = None
    source: str

    def __post_init__(self) -> None:
        for array in (self.x0, self.optimum):
            if array is not None:
                array.setflags(write=False)

    @abstractmethod
    def value(self, x: Vector) -> float:
        """f(x); x is (n,)."""

    @abstractmethod
    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and its gradient, sharing what the two have in common."""

    @abstractmethod
    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """The Hessian of f at x times v; x, v and the result are (n,)."""

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f at x, shape (n,)."""
        return self.value_and_gradient(x)[1]
