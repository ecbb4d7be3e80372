"""Algebra and theorems."""

from hypergrad_papers.checks import Check, at_most
from hypergrad_papers.claims import Run, claim
from hypergrad_papers.osgm2025 import laws, runs

COLT = "COLT paper"


@claim("osgm2025", "1", source=f"{COLT}, section 3 and appendix", reason="exact algebra; central differences")
def slopes_of_the_feedback(run: Run) -> list[Check]:
    """Gradients of the three feedbacks in P, full, diagonal and scalar, against central differences."""
    (errors,) = run(laws.slope_errors, [{}])
    return laws.SLOPES.accept(errors)


@claim("osgm2025", "2", source="derived here", reason="exact algebra, which an update in the wrong order breaks")
def closed_forms(run: Run) -> list[Check]:
    """Closed forms on quadratics: x_3 = 0 exactly with eta = 1/a, and every iterate of the others."""
    (errors,) = run(laws.closed_form_errors, [{}])
    return [*laws.CLOSED_FORMS.accept(errors), laws.end_at_third_step.judge()]


@claim("osgm2025", "3", source="derived here", reason="the learner's eps, which small entries of g feel")
def first_step_of_adagrad(run: Run) -> list[Check]:
    """The first step of AdaGrad from P = 0 sets every p_i to its rate, and x stays."""
    (errors,) = run(laws.first_step, [{"hyper_lr": runs.HYPER_LR}])
    return [laws.FIRST_STEPSIZE.accept_one(errors["p"]), laws.FIRST_MOVE.accept_one(errors["x"])]


@claim("osgm2025", "4", source=f"{COLT}, lemmas 2 and 7, theorem 4", reason="cancellation near the optimum")
def theorems(run: Run) -> list[Check]:
    """Lemma 2, Lemma 7 and Theorem 4 hold at every step of real runs."""
    (slacks,), (bite,) = run(laws.published_slacks, [{}]), run(laws.bite, [{}])
    broken = bite["gradient descent, theorem 4"]
    return [
        *laws.PUBLISHED.accept(slacks),
        at_most("slack of gradient descent in the bound of theorem 4, which it breaks", broken, -1),
        at_most("f_(K+1) / f_K, last", bite["last ratio"], 1e-2),
    ]


@claim("osgm2025", "5", source="derived here, after the abstract of Part I", reason="cancellation near the optimum")
def derived_theorems(run: Run) -> list[Check]:
    """The bounds with lookahead, on full P, near an optimum and with heavy ball hold at every step of real runs."""
    (slacks,), (bite,) = run(laws.derived_slacks, [{}]), run(laws.bite, [{}])
    broken = bite["gradient descent, full P on a quadratic"]
    return [
        *laws.DERIVED.accept(slacks),
        at_most("slack of gradient descent in the bound on full P, which it breaks", broken, -1),
        at_most("the local bound at last, over the first gap", bite["local bound"], 0.1),
    ]
