"""What a deterministic method asks of the function that it minimises."""

from typing import NamedTuple, Protocol

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


class Quadratic(NamedTuple):
    """f(x) = 1/2 <x - c, H (x - c)>, the objective of the examples.

    hessian   (n, n)  H, symmetric
    optimum   (n,)    c

    >>> import numpy as np
    >>> Quadratic(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, 1.0])).value_and_gradient(np.array([3.0, 0.0]))
    (6.0, array([ 4., -4.]))
    """

    hessian: Vector
    optimum: Vector

    def value(self, x: Vector) -> float:
        """f(x)."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Vector) -> Vector:
        """H (x - c)."""
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and its gradient."""
        gradient = self.hessian @ (x - self.optimum)
        return float((x - self.optimum) @ gradient) / 2, gradient

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """H v."""
        return self.hessian @ v
