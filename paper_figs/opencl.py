"""The OpenCL device of this process, as an input of the cells whose results are its own."""

import numpy as np

from hypergrad import AdamW


def describe_device() -> dict[str, str | int]:
    """Name, driver and versions of the device that device="opencl" means, which is opened.

    Among a cell's inputs it keeps what one device did from being read as what another would do. Raises
    DeviceNotFoundError or BuildError if there is none, now, whatever was run before.
    """
    AdamW([np.zeros(1, np.float32)], device="opencl")  # tells where pyopencl is missing, too
    from hypergrad_kernels.device import open_device
    from hypergrad_validation.bench import describe

    return describe(open_device())
