"""What Chu et al. 2025 (HDM) report, and what their code gives, against our runs.

The tables of the paper were not available. Counts come from the README of the authors' code, or from their code run
unchanged (see `authors_counts`); bounds are derived in `convergence`.
"""

from hypergrad_papers.hdm2025.claims import adult, sets, theory

__all__ = ["adult", "sets", "theory"]
