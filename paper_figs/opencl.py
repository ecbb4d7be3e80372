"""The OpenCL device of this process, as an input of the cells whose results are its own."""

from typing import Any

import numpy as np

from hypergrad import AdamW


def describe_device() -> dict[str, Any]:
    """Name, driver, versions and launch shapes of the device that device="opencl" means, which is opened.

    Among a cell's inputs it keeps what one device did, or did at other shapes, from being read as what another would
    do. Raises DeviceNotFoundError or BuildError if there is none, now, whatever was run before.
    """
    AdamW([np.zeros(1, np.float32)], device="opencl")  # tells where pyopencl is missing, too
    from hypergrad_kernels.device import open_device
    from hypergrad_kernels.launcher import read_text
    from hypergrad_kernels.shape_cache import recall_shapes
    from hypergrad_validation.bench import describe

    device = open_device()
    shapes = {" ".join(key): shape._asdict() for key, shape in recall_shapes(device, read_text).items()}
    return describe(device) | {"shapes": shapes}
