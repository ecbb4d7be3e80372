"""What an installed wheel holds. `make check` runs this, and the kernel tests, away from the checkout."""

from importlib import import_module, metadata
from pathlib import Path

import pytest

from hypergrad_kernels.shapes import DEFAULT

PACKAGES = ("hypergrad", "hypergrad_command", "hypergrad_kernels", "hypergrad_reference", "hypergrad_validation")


def _list_files():
    try:
        return {str(file) for file in metadata.files("hypergrad-opencl") or ()}
    except metadata.PackageNotFoundError:
        return set()


FILES = _list_files()
pytestmark = pytest.mark.skipif("hypergrad/__init__.py" not in FILES, reason="needs an installed wheel: make check")


@pytest.mark.parametrize("name", sorted({"common", "plain", *(file for file, _, _ in DEFAULT)}))
def test_wheel_holds_the_kernel_file(name):
    assert f"hypergrad_kernels/{name}.cl" in FILES


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_says_that_the_package_is_typed(package):
    assert f"{package}/py.typed" in FILES


@pytest.mark.parametrize("package", PACKAGES)
def test_package_comes_from_the_wheel(package):
    installed = Path(str(metadata.distribution("hypergrad-opencl").locate_file(package)))
    assert Path(import_module(package).__file__).parent.samefile(installed)


def test_wheel_holds_the_packages_and_nothing_else():
    top = {name.partition("/")[0] for name in FILES if not name.startswith("..")}  # scripts lie above site-packages
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
