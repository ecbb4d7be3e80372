"""What noise between batches does to the stepsize that a method learns (derived here).

Batch i has f_i(x) = a_i/2 x^2 with a random curvature a_i > 0. P = p is a scalar, and its feedback is taken on the
batch of the step. Online gradient descent is p_{k+1} = p_k - eta slope_i(p_k). Since a_i and p_k are independent, E[p]
settles where the mean slope is 0, if eta is small enough: eta s < 2.

    hypergradient      -p + a p^2 / 2    slope -1 + a p          limit 1 / E[a]         s = E[a]
    ratio with f* = 0  (1 - a p)^2       slope -2 a (1 - a p)    limit E[a] / E[a^2]    s = 2 E[a^2]

    E[p_{k+1}] - limit = (1 - eta s) (E[p_k] - limit)

With v = Var[a] / E[a]^2 the hypergradient's limit is E[a^2] / E[a]^2 = 1 + v times the ratio's. A step has

    E[x+^2] = c(p) x^2,    c(p) = E[(1 - a p)^2] = 1 - 2 p E[a] + p^2 E[a^2]

The ratio's limit has the least c, v / (1 + v). The hypergradient's has c = v, so that from v = 1 on a step with it does
not lower E[x^2]. Batches of B independent rows have v / B.

Not known: what the authors do about it. Their stochastic paper (arXiv:2609.11751) has not been read; it is reported to
take its null step on an independent batch.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from hypergrad_problems.quadratics import scalar_quadratic
from hypergrad_reference import osgm
from hypergrad_reference.action import Action, vanilla
from hypergrad_reference.feedback import Feedback
from hypergrad_reference.learner import ogd
from hypergrad_reference.stepsize import SCALAR
from hypergrad_reference.types import Vector


class Batches(NamedTuple):
    """The curvatures that a batch may have, each as likely as the others; exact."""

    curvatures: tuple[Fraction, ...]

    def moment(self, power: int) -> Fraction:
        """Returns E[a^power]."""
        return sum((a**power for a in self.curvatures), Fraction(0)) / len(self.curvatures)

    def spread(self) -> Fraction:
        """Returns v = Var[a] / E[a]^2."""
        return self.moment(2) / self.moment(1) ** 2 - 1

    def contraction(self, p: Fraction) -> Fraction:
        """Returns c(p) = E[x+^2] / x^2."""
        return 1 - 2 * p * self.moment(1) + p**2 * self.moment(2)

    def find_hypergradient_limit(self) -> Fraction:
        """Returns 1 / E[a]."""
        return 1 / self.moment(1)

    def find_ratio_limit(self) -> Fraction:
        """Returns E[a] / E[a^2]."""
        return self.moment(1) / self.moment(2)

    def runs(self, steps: int) -> list[tuple[float, ...]]:
        """All sequences of so many curvatures. Each is as likely as the others, so their mean is the expectation."""
        return list(product(map(float, self.curvatures), repeat=steps))


class Path(NamedTuple):
    """A run over K batches."""

    p: Vector  # (K + 1,)
    x: Vector  # (K + 1,)


def run_on_batches(
    feedback: Feedback, curvatures: Sequence[float], hyper_lr: float, first: float = 0.0, action: Action = vanilla
) -> Path:
    """OSGM with a scalar P = p, one step on each batch, from p_1 = first and x_1 = 1."""
    constants = osgm.Constants(hyper_lr, bound=0.0, feedback=feedback, shape=SCALAR, learner=ogd, action=action)
    xs, ps = [1.0], [first]
    for curvature in curvatures:
        batch = scalar_quadratic(curvature)
        # No feedback depends on the scale of x, and a long run would leave the range of float64.
        x = xs[-1] if 1e-9 < abs(xs[-1]) < 1e9 else 1.0
        start = osgm.init(batch, np.array([x]), constants._replace(stepsize=np.array(ps[-1])))
        state = osgm.step(batch, start, constants)
        xs.append(float(state.x[0]))
        ps.append(float(state.P))
    return Path(np.array(ps), np.array(xs))
