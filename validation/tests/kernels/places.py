"""Places and variables by which a runtime is found."""

from pathlib import Path

import pytest

from hypergrad_kernels import runtime

ROOT = Path(__file__).resolve().parents[3]
NOTHING = "/nonexistent"
VARIABLES = (*runtime.VARIABLES, "PYOPENCL_CTX")
needs_intel = pytest.mark.skipif(runtime.find_library() is None, reason=f"needs {runtime.PACKAGE} from pip")
