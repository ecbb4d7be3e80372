"""The problems on which HDM and its momentum forms are tried."""

from hypergrad_problems import quadratics, toys

QUADRATIC = quadratics.quadratic(
    [1.0, 0.5, 0.2, 0.05], rotation=quadratics.random_rotation(4), optimum=0.5, x0=2.0, name="quadratic"
)
HUBER = toys.huber([1.0, 0.5, 0.1])
