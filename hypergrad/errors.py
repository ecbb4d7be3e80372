"""What an optimizer raises. Each error names the argument, its value and the remedy."""

from hypergrad_kernels.errors import BuildError, DeviceError, DeviceNotFoundError, DeviceWarning

__all__ = [
    "ArgumentError",
    "ArrayTypeError",
    "BrokenOptimizerError",
    "BuildError",
    "CheckpointError",
    "CheckpointWarning",
    "DeviceError",
    "DeviceNotFoundError",
    "DeviceWarning",
    "NonFiniteError",
]


class ArgumentError(ValueError):
    """An argument is out of range, of the wrong shape, or at odds with another."""


class ArrayTypeError(TypeError):
    """An array, or what should be one, has a type or dtype that the optimizers do not take."""


class NonFiniteError(ArgumentError, FloatingPointError):
    """A gradient, or a sum that a rate is to be learned from, is NaN or infinite."""


class CheckpointError(ValueError):
    """A saved state is damaged, of another version, or of another optimizer."""


class CheckpointWarning(UserWarning):
    """A saved state of an earlier version lacks something that its optimizer had to complete."""


class BrokenOptimizerError(RuntimeError):
    """A device failed in the middle of a step: parameters and state no longer belong together."""
