"""Published results of Baydin et al. 2018.

Published values are quoted from the paper's figures and from the authors' logs (GitHub gbaydin/hypergradient-descent,
results/). A rerun is T. Liu's of 2025 with the authors' program and a later PyTorch: other minibatches, same weights.
"""

from hypergrad_papers.baydin2018.claims import counts, curves, identities, logistic, networks

__all__ = ["counts", "curves", "identities", "logistic", "networks"]
