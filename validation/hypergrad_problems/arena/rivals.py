"""Optimizers with a tuned rate, on one vector in float64: AdamW at a constant rate, by cosine, and schedule-free."""

import math
from typing import Protocol

import numpy as np

from hypergrad_reference.types import Vector

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Runner(Protocol):
    """An optimizer in the middle of a run."""

    rate: float  # of the latest step

    @property
    def point(self) -> Vector:
        """Where the next gradient is taken."""
        ...

    @property
    def answers(self) -> dict[str, Vector]:
        """What would be handed over now, by the name of the optimizer that hands it over."""
        ...

    def step(self, gradient: Vector) -> None:
        """Take a step."""
        ...


class Adam:
    """AdamW (Loshchilov and Hutter 2019) without decay, its rate constant or falling by half a cosine to 0.

    At a constant rate the average of the iterates with weight 9 / (t + 9) for the newest is an answer, too (Shamir and
    Zhang 2013, section 4).
    """

    def __init__(self, start: Vector, rate: float, steps: int, cosine: bool, beta2: float = BETA2) -> None:
        self.theta, self.average = start.copy(), start.copy()
        self.m, self.v = np.zeros_like(start), np.zeros_like(start)
        self.base, self.steps, self.cosine, self.beta2 = rate, steps, cosine, beta2
        self.rate, self.t = rate, 0

    @property
    def point(self) -> Vector:
        """The iterate."""
        return self.theta

    @property
    def answers(self) -> dict[str, Vector]:
        """The iterate, and at a constant rate the average."""
        return {"cosine": self.theta} if self.cosine else {"constant": self.theta, "averaged": self.average}

    def step(self, gradient: Vector) -> None:
        """m_hat / (sqrt(v_hat) + eps), times the rate."""
        if self.cosine:
            self.rate = self.base * (1 + math.cos(math.pi * self.t / self.steps)) / 2
        self.t += 1
        self.m += (1 - BETA1) * (gradient - self.m)
        self.v += (1 - self.beta2) * (gradient * gradient - self.v)
        root = np.sqrt(self.v / (1 - self.beta2**self.t)) + EPS
        self.theta -= self.rate / (1 - BETA1**self.t) * self.m / root
        if not self.cosine:
            self.average += 9 / (self.t + 9) * (self.theta - self.average)


class ScheduleFree:
    """Schedule-free AdamW (Defazio et al. 2024), momentum 0.9, without warm-up and decay.

    y = (1 - beta) z + beta x,   z -= rate g / (sqrt(v_hat) + eps),   x += (z - x) / t
    """

    def __init__(self, start: Vector, rate: float) -> None:
        self.z, self.x = start.copy(), start.copy()
        self.v, self.rate, self.t = np.zeros_like(start), rate, 0

    @property
    def point(self) -> Vector:
        """Between z and x: y."""
        return (1 - BETA1) * self.z + BETA1 * self.x

    @property
    def answers(self) -> dict[str, Vector]:
        """The average x."""
        return {"schedule-free": self.x}

    def step(self, gradient: Vector) -> None:
        """Move z, then x."""
        self.t += 1
        self.v += (1 - BETA2) * (gradient * gradient - self.v)
        self.z -= self.rate * gradient / (np.sqrt(self.v / (1 - BETA2**self.t)) + EPS)
        self.x += (self.z - self.x) / self.t
