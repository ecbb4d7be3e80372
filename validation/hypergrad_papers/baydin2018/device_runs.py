"""The logistic regressions of Baydin et al. 2018 on MNIST with the OpenCL kernels in place of the reference."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from numpy.typing import DTypeLike

from hypergrad import SGDHD, AdamHD
from hypergrad_papers.baydin2018.mnist_runs import Columns, Method, methods, run
from hypergrad_papers.baydin2018.runs import HYPER_LR, load_images
from hypergrad_reference.types import Vector

CLASSES: dict[str, Callable[..., Any]] = {
    "sgd": SGDHD,
    "sgd_hd": SGDHD,
    "sgdn": partial(SGDHD, momentum=0.9, nesterov=True),
    "sgdn_hd": partial(SGDHD, momentum=0.9, nesterov=True),
    "adam": AdamHD,
    "adam_hd": AdamHD,
}
"""By method; Adam's epsilon is where the paper has it, and there is one rate for all tensors."""


class Trained(NamedTuple):
    """A run and where it ended."""

    log: Columns
    thetas: list[Vector]


def use_class(method: str, device: Any = "opencl") -> Method:
    """An optimizer of hypergrad on an OpenCL device as a method of `mnist_runs.run`; device as the class takes it."""

    def init(thetas: list[Vector], lr: float) -> Any:
        return CLASSES[method](thetas, lr=lr, weight_decay=1e-4, hyper_lr=HYPER_LR[method], device=device)

    def step(thetas: list[Vector], grads: list[Vector], opt: Any) -> tuple[list[Vector], Any, float]:
        opt.step(gradients=grads)
        return thetas, opt, opt.current_lr

    return Method(init, step)


def use_reference(method: str) -> Method:
    """The same method as the reference has it."""
    return methods(HYPER_LR[method])["adam_hd_paper" if method.startswith("adam") else method]


def train(method: Method, dtype: DTypeLike, dataset: str = "mnist", epochs: int = 10) -> Trained:
    """Logistic regression from the published weights on the published minibatches."""
    thetas: list[Vector] = []

    def step(*before: Any) -> tuple[list[Vector], Any, float]:
        thetas[:], state, alpha = method.step(*before)
        return list(thetas), state, alpha

    log = run(load_images(dataset), "logreg", Method(method.init, step), epochs, dtype=dtype)
    return Trained(log, thetas)


def equal(one: Trained, other: Trained) -> bool:
    """Whether two runs have the same bits: every loss, every rate, and the weights at the end."""
    columns = all(one.log[name].tobytes() == other.log[name].tobytes() for name in one.log)
    return columns and [theta.tobytes() for theta in one.thetas] == [theta.tobytes() for theta in other.thetas]
