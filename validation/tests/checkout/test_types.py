"""What a type checker says of the words that options take, of attributes and of records."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RIGHT = """
import numpy as np
import hypergrad
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW, Optimizer

x = [np.ones(3)]
AdamW(x, nonfinite="propagate", scalar_convention="shader", device="opencl:cpu", use_gpu=None)
sgd = SGDHD(x, rule="multiplicative", lr_scope="group", hypergrad_lr=0.5)
adam = AdamHD(x, hyper_lr=0.5)
hd = HypergradientAdamW(x, beta_hyper=1e-3, lr_scope="global")
opt = AutoHypergradientAdamW(x, normalization="cosine", momentum_rule="published")
optimizers: list[Optimizer] = [sgd, adam, hd, opt]
rates: tuple[float, float, float, float] = (sgd.hyper_lr, sgd.hypergrad_lr, adam.hyper_lr, hd.beta_hyper)
opt.hyper_lr, opt.nonfinite = 0.5, "skip"
version: str = hypergrad.__version__
result = hypergrad.minimize(lambda x: float(x @ x), [1.0], method=hypergrad.methods.hdm_best)
reasons = [entry.reason for entry in opt.records if not isinstance(entry, tuple)]
"""
WRONG = {
    'AdamW(x, nonfinite="ignore")': "nonfinite",
    'AdamW(x, scalar_convention="glsl")': "scalar_convention",
    'SGDHD(x, rule="linear")': "rule",
    'SGDHD(x, lr_scope="tensor")': "lr_scope",
    'AutoHypergradientAdamW(x, normalization="sine")': "normalization",
    'AutoHypergradientAdamW(x, momentum_rule="seed")': "momentum_rule",
    'opt.nonfinite = "ignore"': "propagate",
    "AdamW(x).hyper_lr": "hyper_lr",
    "sgd.beta_hyper": "beta_hyper",
    "AdamHD(x, momentum=0.5)": "momentum",
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What mypy says, by line of the script; empty for one without complaint."""
    script = tmp_path_factory.mktemp("types") / "script.py"
    script.write_text("\n".join([RIGHT, *WRONG]))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--cache-dir", str(ROOT / ".mypy_cache/tests")]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == ""
    lines = RIGHT.count("\n") + 1 + len(WRONG)
    found = dict.fromkeys(range(1, lines + 1), "")
    for line in done.stdout.splitlines():
        if "script.py:" in line:
            found[int(line.split(":")[1])] += line
    return found


def test_right_words_are_no_mistake(complaints):
    last = RIGHT.count("\n")
    assert [text for number, text in complaints.items() if number <= last and text] == []


@pytest.mark.parametrize("number", range(len(WRONG)), ids=list(WRONG))
def test_wrong_word_is_a_mistake(complaints, number):
    line = RIGHT.count("\n") + 2 + number
    assert "error:" in complaints[line]
    assert list(WRONG.values())[number] in complaints[line]
