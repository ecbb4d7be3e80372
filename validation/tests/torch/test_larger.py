"""Larger models through torch: what is run, that it is run alike, and how it is told."""

from importlib.util import find_spec

import pytest
import torch

pytest.importorskip("sklearn")
pytest.importorskip("joblib")

from hypergrad_problems.arena.packages import PACKAGES
from hypergrad_problems.arena.torch import runs, tasks
from hypergrad_problems.arena.torch.runs import METHODS, Ending, Outcome, make_trainer, run
from hypergrad_problems.arena.torch.tasks import TASKS, find_loss, load_small_digits, load_small_mnist
from paper_figs import larger

HERE = [name for name in METHODS if name not in PACKAGES or find_spec(PACKAGES[name].module)]


def test_a_task_says_which_data_it_reads(monkeypatch):
    """Its runs are kept by its name: they must not depend on what is there."""

    def refuse(*_):
        raise AssertionError("MNIST is read")

    monkeypatch.setattr(tasks, "load_pooled", refuse)
    load_small_mnist.cache_clear()
    for entry in TASKS.values():
        if "mnist" not in entry.needs:
            entry.task.draw(torch.Generator().manual_seed(0))
    with pytest.raises(AssertionError, match="MNIST is read"):
        TASKS["residual, batch norm"].task.draw(torch.Generator().manual_seed(0))


def test_training_and_validation_images_are_different_ones():
    train, validation = load_small_digits()
    assert (len(train.targets), len(validation.targets)) == (1437, 360)
    seen = {image.numpy().tobytes() for image in train.inputs}
    assert not any(image.numpy().tobytes() in seen for image in validation.inputs)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("convolution", 134_826), ("perceptron", 669_706), ("residual, batch norm, digits", 77_754)],
)
def test_a_network_has_the_parameters_that_are_told(name, parameters):
    assert sum(p.numel() for p in TASKS[name].task.make().parameters()) == parameters


@pytest.mark.parametrize("name", [name for name, entry in TASKS.items() if not entry.needs])
def test_a_task_is_differentiable_and_sees_targets_that_belong_to_its_inputs(name):
    task = TASKS[name].task
    model, batch = task.make(), task.draw(torch.Generator().manual_seed(0))
    find_loss(model, batch).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    if batch.targets.dim() > 1:  # of a text the next characters
        assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])


@pytest.mark.parametrize("method", HERE)
def test_a_run_depends_on_its_seed_alone(method):
    first, again, other = (run("residual, batch norm, digits", method, seed, steps=8) for seed in (0, 0, 1))
    assert first.ending == again.ending != other.ending
    assert first.rates.tolist() == again.rates.tolist()
    assert all(rate > 0 for rate in first.rates[:7])


@pytest.mark.parametrize("method", [name for name in HERE if name in runs.OURS or name == "schedulefree"])
def test_a_look_at_the_averages_leaves_parameters_and_statistics_alone(method):
    task = TASKS["residual, batch norm, digits"].task
    model = task.make()
    trainer = make_trainer(method, list(model.parameters()), 10, 0.0)
    for seed in range(3):
        trainer.optimizer.zero_grad()
        find_loss(model, task.draw(torch.Generator().manual_seed(seed))).backward()
        trainer.optimizer.step()
    before = [value.clone() for value in model.state_dict().values()]
    runs._look(task, model, trainer, (task.train(), task.validation()))
    # schedulefree goes to the averages and back by arithmetic in float32
    rounding = {} if method in runs.OURS else {"rtol": 1e-5, "atol": 1e-6}
    for value, old in zip(model.state_dict().values(), before, strict=True):
        torch.testing.assert_close(value, old, **(rounding or {"rtol": 0, "atol": 0}))


def test_the_table_is_over_the_best_cosine_by_training_loss():
    def end(train, validation):
        return [Outcome(Ending(train, validation, 0.0, 0.25), (), torch.ones(2).numpy(), 5, 1.0)]

    found = {method: end(3.0, 4.0) for method in METHODS}
    found["cosine 0.01"] = end(2.0, 8.0)
    found["cosine 0.001"] = end(float("nan"), 1.0)
    head, _, first, *_ = larger.describe("GRU", found)
    assert "best cosine 0.01, loss 2 in training and 8 in validation, 25.00 % wrong" in head
    assert first.split() == ["TuningFreeAdamW", "1.50", "0.50", "25.00", "%", "1"]
