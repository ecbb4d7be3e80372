"""What the options that all AdamW optimizers share say of the update of their tensors."""

from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw import Base


def form_base(scalar_convention: str, amsgrad: bool, maximize: bool, grad_scale: float) -> Base:
    """The update that the options ask for. Raises ArgumentError for amsgrad in the shader convention."""
    if scalar_convention == "shader" and amsgrad:
        raise ArgumentError("amsgrad=True: the shader has no amsgrad, use scalar_convention='exact'")
    return Base(scalar_convention, amsgrad, -grad_scale if maximize else grad_scale)
