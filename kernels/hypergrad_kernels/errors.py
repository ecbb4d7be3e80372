"""What can go wrong between the host and an OpenCL device. Does not import pyopencl."""


class DeviceNotFoundError(RuntimeError):
    """No OpenCL device answers to the description."""


class BuildError(RuntimeError):
    """A kernel did not compile; the message carries the compiler's log."""


class DeviceError(RuntimeError):
    """A device failed while it was at work."""


class DeviceWarning(UserWarning):
    """Another device than expected, or NumPy, runs the loops."""
