"""Closed forms, laws and bounds."""

from hypergrad_papers.checks import Check, near, true
from hypergrad_papers.claims import Run, claim
from hypergrad_papers.hdm2025 import laws, regrets, spike, superlinear
from hypergrad_papers.hdm2025.published import (
    PAPER,
    PEAK_REL,
    SPIKE,
    STEPS,
    STEPS_ABS,
)

DERIVED = "derived; see hypergrad_papers.hdm2025.laws and osgm2025.convergence"


@claim(PAPER, "1", source=DERIVED, reason="2 K differences are multiplied, each of them rounded")
def scalar_quadratic(run: Run) -> list[Check]:
    """HDM on a/2 x^2 against its closed form."""
    *_, second, third = laws.end_at_second_step()
    return [
        laws.closed_form_error.judge(),
        true("eta = 1/a: not 0 after one step", second != 0),
        near("eta = 1/a: x after the second step", 0.0, third),
    ]


@claim(PAPER, "2", source=DERIVED, reason="proved; h, a difference of two values, is all that is rounded")
def laws_of_the_feedback(run: Run) -> list[Check]:
    """The eight laws of the hypergradient feedback."""
    return laws.law_slacks.judge_parts()


@claim(PAPER, "3", source=DERIVED, reason="proved; slack for rounding alone")
def regret_bounds(run: Run) -> list[Check]:
    """Regret, dynamic regret, AdaGrad's regret, and the constant regret with lookahead."""
    return regrets.regret_slacks.judge_parts()


@claim(PAPER, "4", source=f"Chu et al. 2025, equation (8); bounds {DERIVED}", reason="proved; f may not rise at all")
def null_step(run: Run) -> list[Check]:
    """The null step: f never rises, and the gap is below both bounds."""
    return [laws.null_step_rise.judge(), *laws.null_step_slacks.judge_parts()]


@claim(PAPER, "5", source=DERIVED, reason="the bound is strict; one step for what a rotated matrix rounds")
def superlinear_convergence(run: Run) -> list[Check]:
    """A full stepsize on a quadratic: the superlinear bound, and how many steps are needed."""
    return [
        *superlinear.superlinear_slacks.judge_parts(),
        *(
            near(
                f"{rule}, eigenvalues {spectrum}: steps",
                count,
                superlinear.count_steps(list(spectrum), rule),
                abs=STEPS_ABS,
            )
            for spectrum, counts in STEPS.items()
            for rule, count in counts.items()
        ),
    ]


@claim(PAPER, "6", source="another implementation, in 60 digits", reason="float64 and 60 digits agree to three or more")
def spike_and_cure(run: Run) -> list[Check]:
    """The spike of a scalar stepsize on two variables, and the null step that removes it."""
    curves = {rule: spike.spike(rule)[0] for rule in ("OGD", "AdaGrad", "OGD, null step", "AdaGrad, null step")}
    peaks = {rule: SPIKE[rule].peak for rule in ("OGD", "AdaGrad")}
    return [
        *(near(f"{rule}: k of the peak", k, float(curves[rule].argmax())) for rule, (_, k) in peaks.items()),
        *(near(f"{rule}: f_k / f_0 there", f, curves[rule].max(), rel=PEAK_REL) for rule, (f, _) in peaks.items()),
        *(near(f"{rule}, null step: peak", 1.0, curves[f"{rule}, null step"].max()) for rule in peaks),
    ]


@claim(PAPER, "7", source=DERIVED, reason="differences of step 1e-6; the bounds are proved, slack for rounding alone")
def heavy_ball_and_nesterov(run: Run) -> list[Check]:
    """HDM-HB's slopes, descent and telescoping, and HDM-AGD's rate 1/K^2."""
    return [
        laws.heavy_ball_slope_error.judge(),
        *laws.heavy_ball_slacks.judge_parts(),
        laws.agd_slack.judge(),
    ]
