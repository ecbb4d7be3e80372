"""The dtypes of parameters, and those of the arithmetic and the arrays that belong to them."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from hypergrad.errors import ArgumentError, RoundingWarning

HALF = (torch.float16, torch.bfloat16)


def find_work_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the arithmetic of a tensor of reals: float32 for 16 bits, else its own."""
    return torch.float32 if dtype in HALF else dtype


def find_kept_dtype(param: Tensor) -> torch.dtype:
    """The dtype of the arrays that are kept of a parameter."""
    return param.dtype if param.is_complex() else find_work_dtype(param.dtype)


def check_dtypes(params: Sequence[Tensor]) -> None:
    """Raise ArgumentError for parameters that have no gradient."""
    for number, param in enumerate(params):
        if not (param.is_floating_point() or param.is_complex()):
            raise ArgumentError(f"params[{number}] has dtype {param.dtype}: give floating point numbers, as x.float()")


def check_rounding(stochastic: bool | None, dtypes: set[torch.dtype]) -> None:
    """Warn of 16-bit parameters whose small updates would be lost. Raises ArgumentError for what cannot be rounded."""
    if stochastic and torch.float16 in dtypes:
        raise ArgumentError("stochastic_rounding=True rounds bfloat16, not float16: keep such parameters in float32")
    if stochastic is None and dtypes & set(HALF):
        warnings.warn(
            "parameters of 16 bits lose updates that are small beside them, and the learned rate then rises for no "
            "effect: give stochastic_rounding=True, or keep float32 parameters with autocast; False says it is known",
            RoundingWarning,
            stacklevel=4,
        )
