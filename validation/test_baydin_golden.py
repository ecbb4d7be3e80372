"""The MNIST runs that the authors of Baydin et al. 2018 published, step for step, from the same weights and batches.

Tolerances. A published loss is a float32 of about 0.2 to 2.3, half an ulp of which is 1.2e-7; theirs and ours sum in
other orders, so a loss differs by a few ulp, and in logistic regression, which is well conditioned, by no more after
4690 steps: up to 6e-7 was seen, 2e-6 allowed. alpha moves by beta times inner products with the same relative error.
In the MLP rounding grows from step to step, so it is compared on the first 20 steps, then by the means of an epoch.
"""

from functools import cache

import numpy as np
import pytest

from hypergrad_validation import data, mnist_runs

STEPS_PER_EPOCH = 469

mnist = cache(data.mnist)


def needs(curve):
    missing = [name for name in ("mnist", f"baydin2018/{curve}") if not data.has(name)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: set HYPERGRAD_DATA")


def deviations(run, published, relative=False):
    """The largest difference of the losses of the steps, and of the rates."""
    losses = np.abs(run["loss"] - published["Loss"][: len(run["loss"])])
    rates = np.abs(run["alpha"] - published["Alpha"][: len(run["alpha"])])
    return losses.max(), (rates / np.abs(run["alpha"]) if relative else rates).max()


def check_epochs(run, published, tolerance):
    """The means of every epoch are those published, as closely as those of its steps."""
    last = np.arange(STEPS_PER_EPOCH, len(run["loss"]), STEPS_PER_EPOCH)
    assert len(last) == 10
    for ours, theirs in (("loss_epoch", "LossEpoch"), ("valid_loss_epoch", "ValidLossEpoch")):
        assert np.abs(run[ours][last] - published[theirs][last]).max() <= tolerance
        assert np.flatnonzero(~np.isnan(run[ours])).tolist() == [0, *last]


@pytest.mark.parametrize(
    ("name", "method", "hyper_lr", "loss", "alpha"),
    [
        pytest.param("sgd", "sgd", 0.0, 2e-6, 0.0, marks=needs("logreg/sgd"), id="sgd"),
        pytest.param("sgdn", "sgdn", 0.0, 2e-6, 0.0, marks=needs("logreg/sgdn"), id="sgdn"),
        pytest.param("adam", "adam", 0.0, 2e-6, 0.0, marks=needs("logreg/adam"), id="adam"),
        pytest.param("sgd_hd", "sgd_hd", 1e-3, 2e-6, 2e-7, marks=needs("logreg/sgd_hd"), id="sgd_hd"),
        pytest.param("sgdn_hd", "sgdn_hd", 1e-3, 2e-6, 2e-7, marks=needs("logreg/sgdn_hd"), id="sgdn_hd"),
        pytest.param("adam_hd", "adam_hd", 1e-7, 2e-6, 1e-8, marks=needs("logreg/adam_hd"), id="adam_hd"),
        # one rate for all tensors is not the program's way: 3.8e-6 was seen, and 1.2e-5 with the paper's epsilon too
        pytest.param("adam_hd", "adam_hd_lua", 1e-7, 2e-5, 1e-8, marks=needs("logreg/adam_hd"), id="adam_hd_lua"),
        pytest.param("adam_hd", "adam_hd_paper", 1e-7, 2e-5, 1e-8, marks=needs("logreg/adam_hd"), id="adam_hd_paper"),
    ],
)
def test_logistic_regression_is_the_published_run(name, method, hyper_lr, loss, alpha):
    published = data.curve(f"logreg/{name}")
    run = mnist_runs.run(mnist(), "logreg", mnist_runs.methods(hyper_lr)[method], epochs=10)
    assert np.array_equal(run["iteration"], published["Iteration"])
    assert np.array_equal(run["epoch"], published["Epoch"])
    worst_loss, worst_alpha = deviations(run, published)
    assert worst_loss <= loss
    assert worst_alpha <= alpha
    check_epochs(run, published, loss)


@pytest.mark.parametrize("name", [pytest.param(n, marks=needs(f"mlp/{n}"), id=n) for n in ("sgd_hd", "sgdn_hd")])
def test_mlp_begins_as_the_published_run_and_has_its_first_epoch(name):
    published = data.curve(f"mlp/{name}")
    run = mnist_runs.run(mnist(), "mlp", mnist_runs.methods(1e-3)[name], epochs=1)
    begin = {column: values[:21] for column, values in run.items()}
    worst_loss, worst_alpha = deviations(begin, published, relative=True)
    assert worst_loss <= 2e-6
    assert worst_alpha <= 2e-6
    [row] = np.flatnonzero((published["Epoch"] == 1) & ~np.isnan(published["LossEpoch"]))
    # 1e-5, 7e-5 and 9e-5 were seen: rounding, grown chaotically since about step 50
    assert run["loss_epoch"][-1] == pytest.approx(published["LossEpoch"][row], rel=1e-3)
    assert run["valid_loss_epoch"][-1] == pytest.approx(published["ValidLossEpoch"][row], rel=5e-3)
    assert run["alpha_epoch"][-1] == pytest.approx(published["AlphaEpoch"][row], rel=5e-3)


@needs("mlp/adam_hd_epochs_recovered")
def test_mlp_adam_hd_has_the_first_epoch_read_from_the_authors_plot():
    """In float64: in float32 the last bit of a single weight moves the validation loss by up to 6 %."""
    published = data.curve("mlp/adam_hd_epochs_recovered")
    run = mnist_runs.run(mnist(), "mlp", mnist_runs.methods(1e-7)["adam_hd"], epochs=1, dtype=np.float64)
    # theirs is a float32 run, so its scatter remains: five such runs of ours had 0.1926 to 0.1928, 0.107 to 0.114 and
    # 8.290e-4 to 8.305e-4
    assert run["loss_epoch"][-1] == pytest.approx(published["LossEpoch"][1], rel=1e-2)
    assert run["valid_loss_epoch"][-1] == pytest.approx(published["ValidLossEpoch"][1], rel=6e-2)
    assert run["alpha_epoch"][-1] == pytest.approx(published["AlphaEpoch"][1], rel=2e-3)
