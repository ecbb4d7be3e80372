"""Where TuningFreeAdamW fails, as its page says: held by tests, so that nobody forgets it, and sees when it changes."""

import numpy as np

from hypergrad import TuningFreeAdamW
from hypergrad_problems.arena.contenders import FreeRunner
from hypergrad_problems.arena.problems import make_problem
from hypergrad_problems.arena.rivals import Adam
from hypergrad_problems.arena.runs import run


def test_rosenbrock_from_afar_is_solved_by_g_and_not_by_k():
    """The valley takes a large rate to the end, and that of K anneals before it."""
    problem = make_problem("Rosenbrock, far", 0)
    ours, plain = (
        run(problem, FreeRunner(name, problem.start), 0).endings[name].train for name in ("TuningFreeAdamW", "K")
    )
    tuned = run(problem, Adam(problem.start, 0.3, problem.steps, cosine=True), 0).endings["cosine"].train
    assert plain > 1000 * tuned > 1000 * ours


def test_loss_of_an_exact_fit_is_the_penalty_of_its_weights():
    """Rates climb while the data are not fitted; the weights grow with them, and shrink slowly afterwards."""
    problem = make_problem("digits 100", 1)
    runner = FreeRunner("TuningFreeAdamW", problem.start)
    train = run(problem, runner, 1).endings["TuningFreeAdamW"].train
    tuned = run(problem, Adam(problem.start, 1e-2, problem.steps, cosine=True), 1).endings["cosine"].train
    weights = runner.answers["TuningFreeAdamW"]
    assert 1e-5 / 2 * weights @ weights > 0.9 * train
    assert train > 1.2 * tuned


def test_point_of_training_is_not_the_answer():
    problem = make_problem("quadratic", 0)
    runner = FreeRunner("K", problem.start)  # whose points are the iterates
    run(problem, runner, 0)
    assert problem.loss(runner.point) > 1.2 * problem.loss(runner.answers["K"])


def test_annealed_model_without_the_state_of_its_optimizer_keeps_the_rate_of_the_start():
    rng = np.random.default_rng(0)
    theta = np.zeros(200)  # the optimum of what follows
    opt = TuningFreeAdamW([theta], device="numpy", lr_start=1e-5)
    for _ in range(300):
        opt.step(gradients=[theta + rng.standard_normal(200)])
    assert max(opt.lr_history) < 1e-3
