"""What a deterministic method asks of the function that it minimises."""

from typing import Protocol

from hypergrad_reference.types import Vector


class Objective(Protocol):
    """A smooth function f: R^n -> R, float64.

    Every call counts as work: a method that needs f and its gradient at the same point asks for both at once.
    """

    def value(self, x: Vector) -> float:
        """f(x); x is (n,)."""
        ...

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f at x, shape (n,)."""
        ...

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and its gradient, sharing what the two have in common."""
        ...


class TwiceDifferentiable(Objective, Protocol):
    """An objective that also knows the product of its Hessian with a vector."""

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """The Hessian of f at x times v; x, v and the result are (n,)."""
        ...
