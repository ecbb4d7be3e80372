"""What the documents name is there: files, tests, methods."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from hypergrad._minimize.table import METHODS
from hypergrad_kernels.kernels import KERNELS
from hypergrad_validation.bench import count_bytes

ROOT = Path(__file__).resolve().parents[3]
RULES = (ROOT / "reference/README.md").read_text("utf-8")
TABLE = (ROOT / "kernels/README.md").read_text("utf-8")
FINDINGS = (ROOT / "validation/FINDINGS.md").read_text("utf-8")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "reference/hypergrad_reference").glob("[!_]*.py")), ids=lambda p: p.name
)
def test_rule_has_its_row(path):
    assert f"`{path.name}`" in RULES


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        (r"`(test_\w+\.py)", "validation/tests"),
        (r"`(\w+\.cl)`", "kernels/hypergrad_kernels"),
        (r"`((?!test_)\w+\.py)`", "reference/hypergrad_reference"),
    ],
)
def test_table_of_rules_names_files_that_exist(pattern, folder):
    named = set(re.findall(pattern, RULES))
    assert named
    assert named <= {path.name for path in (ROOT / folder).rglob("*")}


@pytest.mark.parametrize("name", METHODS)
def test_method_is_in_the_table_of_rules(name):
    assert f"`{name}`" in RULES


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_has_its_row_in_the_table_of_kernels(name):
    kernel = KERNELS[name]
    begin = f"| [{kernel.file}.cl](hypergrad_kernels/{kernel.file}.cl): `{kernel.kernel}` |"
    (row,) = (line for line in TABLE.splitlines() if line.startswith(begin))
    _, _, replaced, launch, moved, _, fraction, _ = (cell.strip() for cell in row.split("|"))
    assert re.fullmatch(r"[01]\.\d\d, [01]\.\d\d" if kernel.probe else "1", fraction)
    loops = re.findall(r"`(\w+)\.(\w+)`", replaced)
    assert bool(loops) == (kernel.reference is not None)
    assert all(hasattr(import_module(f"hypergrad_reference.{module}"), loop) for module, loop in loops)
    assert ("block" in launch or launch == "as sums") == kernel.blockwise
    assert str(count_bytes()[name]) in re.findall(r"\d+", moved)


def test_table_of_kernels_has_no_other_row():
    assert len(re.findall(r"^\| \[\w+\.cl\]", TABLE, re.MULTILINE)) == len(KERNELS)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:\w+\.py::)?(test_\w+)`", FINDINGS))))
def test_finding_has_its_test(name):
    tests = (ROOT / "validation/tests").rglob("test_*.py")
    assert any(f"def {name}(" in path.read_text("utf-8") for path in tests)
