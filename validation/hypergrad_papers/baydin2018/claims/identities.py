"""What holds on every run of the rules."""

from itertools import product

from hypergrad_papers.baydin2018 import law_runs, laws
from hypergrad_papers.baydin2018.runs import PAPER
from hypergrad_papers.checks import Check
from hypergrad_papers.claims import Run, claim


@claim(
    PAPER,
    "22",
    source="derived from the rules; section 5.1; Martinez Rubio's thesis, Oxford 2017",
    reason="identities: every bit where scaling is by powers of 2, else some rounding of float64",
)
def identities(run: Run) -> list[Check]:
    """What holds on every run: derivatives, base methods, scale laws, convergence and divergence of the theorems."""
    methods = [(method,) for method in law_runs.METHODS]
    every = list(product(law_runs.METHODS, law_runs.RULES))
    return [
        laws.derivative_error.judge_worst(methods),
        laws.is_base_without_hyper_lr.judge_worst(every),
        laws.is_base_at_first.judge_worst(every),
        laws.accumulation_error.judge_worst(methods),
        laws.error_from_zero.judge_worst(laws.FROM_ZERO.items()),
        *(
            laws.scales.judge_worst((method, rule, scaling) for method in law_runs.METHODS)
            for rule in law_runs.RULES
            for scaling in laws.SCALINGS
        ),
        laws.moves_by_no_more_than_hyper_lr.judge_worst(methods),
        laws.moves_towards_the_curvatures.judge_worst(product(law_runs.RULES, range(5))),
        laws.converges_in_one_dimension.judge_worst(laws.ONE_DIMENSION),
        *(laws.end_of_least_squares.judge(rows) for rows in (4, 12)),
        laws.growth_without_smoothness.judge(0.25),
        laws.use_of_the_bound.judge(),
        laws.transition_starts.judge(),
        laws.transition_finds.judge(),
        laws.plain_rule_loses.judge(),
        laws.transition_uses_its_bound.judge(),
    ]
