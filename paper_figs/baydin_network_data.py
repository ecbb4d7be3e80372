"""A network of two hidden layers by SGD, SGDN and Adam and by their HD, and the authors' logs beside them."""

from hypergrad_papers.claims import Extent
from paper_figs.baydin import choose, collect
from paper_figs.cells import Runner
from paper_figs.store import Result


def compute(runner: Runner) -> Result:
    """On MNIST the authors' network, 100 epochs or the first two; on the digits a smaller one for 40."""
    if choose(runner) == "digits":
        return collect(runner, "small mlp", "mlp", 40)
    return collect(runner, "mlp", "mlp", 100 if runner.extent >= Extent.NETWORKS else 2)
