"""`hypergrad explain` says which weights are the answer, where these are not the parameters."""

import numpy as np
import pytest

from hypergrad import AdamW, TuningFreeAdamW
from hypergrad.errors import AveragesWarning
from hypergrad_command import command


def test_explain_says_that_the_answer_is_an_average(tmp_path, capsys):
    opt = TuningFreeAdamW([np.ones(3)], device="numpy")
    for _ in range(3):
        opt.step(gradients=[np.ones(3)])
    with pytest.warns(AveragesWarning):
        opt.save(tmp_path / "free.npz")
    assert command.main(["explain", str(tmp_path / "free.npz")]) == 0
    shown = capsys.readouterr().out
    assert "TuningFreeAdamW, 3 steps, 0 skipped; the weights to use are opt.averages()" in shown
    assert "climbing" in shown
    plain = AdamW([np.ones(3)], device="numpy")
    plain.save(tmp_path / "plain.npz")
    assert command.main(["explain", str(tmp_path / "plain.npz")]) == 0
    assert "averages" not in capsys.readouterr().out
