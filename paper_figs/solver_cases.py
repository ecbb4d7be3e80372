"""What the figures of the solver table share: the name of a case, and one fixed setting of HDM-Best."""

from hypergrad_papers.hdm2025.solver_grids import Case
from hypergrad_papers.hdm2025.solver_table import (
    hdm_grid,
)

FIXED = [(s["hyper_lr"], s["hyper_lr_beta"]) for s in hdm_grid(1.0)].index((10, 10))
"""A setting of HDM-Best that is not chosen problem by problem: hyper_lr = 10 / L, hyper_lr_beta = 10."""


def name_case(case: Case) -> str:
    """A panel's title."""
    return f"{'SVM' if case.task == 'svm' else case.task}, {case.name}"
