"""What an optimizer raises. Each error names the argument, its value and the remedy."""

from hypergrad_kernels.errors import BuildError, DeviceError, DeviceNotFoundError, DeviceWarning

__all__ = [
    "ArgumentError",
    "ArrayTypeError",
    "AveragesWarning",
    "BrokenOptimizerError",
    "BuildError",
    "BusyOptimizerError",
    "CheckpointError",
    "CheckpointWarning",
    "DeviceError",
    "DeviceNotFoundError",
    "DeviceWarning",
    "NonFiniteError",
    "RecordError",
    "RoundingWarning",
    "SettingError",
    "SparseGradientError",
]


class ArgumentError(ValueError):
    """An argument is out of range, of the wrong shape, or at odds with another."""


class ArrayTypeError(TypeError):
    """An array, or what should be one, has a type or dtype that the optimizers do not take."""


class NonFiniteError(ArgumentError, FloatingPointError):
    """A gradient is NaN or infinite, or what a step would write or learn a rate from."""


class SettingError(AttributeError):
    """An attribute was written that would have no effect."""


class RecordError(OSError):
    """The record of a step cannot be written to the file that `records_to` names."""


class RoundingWarning(UserWarning):
    """Parameters of 16 bits lose updates that are small beside them."""


class SparseGradientError(RuntimeError):
    """A gradient of torch is sparse."""


class CheckpointError(ValueError):
    """A saved state is damaged, of another version, or of another optimizer."""


class CheckpointWarning(UserWarning):
    """A saved state of an earlier version lacks something that its optimizer had to complete."""


class AveragesWarning(UserWarning):
    """What was saved are points of training; the answer is their average."""


class BusyOptimizerError(RuntimeError):
    """A call was not carried out: a signal handler, or other code that it ran, has changed the optimizer meanwhile."""


class BrokenOptimizerError(RuntimeError):
    """A device failed in the middle of a step: parameters and state no longer belong together."""
