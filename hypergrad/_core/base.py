"""The options that all AdamW optimizers share, and what they say of the update of the tensors."""

from hypergrad._core.options import ScalarConvention
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw import Base


class BaseOptions:
    """The options that all AdamW optimizers share, those of groups excepted."""

    amsgrad: bool
    maximize: bool
    grad_scale: float
    clear_grad: bool
    scalar_convention: ScalarConvention


def form_base(o: BaseOptions) -> Base:
    """The update that the options ask for. Raises ArgumentError for amsgrad in the shader convention."""
    if o.scalar_convention == "shader" and o.amsgrad:
        raise ArgumentError("amsgrad=True: the shader has no amsgrad, use scalar_convention='exact'")
    return Base(o.scalar_convention, o.amsgrad, -o.grad_scale if o.maximize else o.grad_scale)
