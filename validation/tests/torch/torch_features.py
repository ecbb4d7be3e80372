"""What optimizers of torch can do, tried out: a row per feature, a column per optimizer.

Run it as `python validation/tests/torch/torch_features.py`. Each cell is what happened when the feature was tried; a
package that is not installed is named and left out. `test_features.py` holds our column to what is promised.
"""

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import torch
import torch_trials as trials

SHARDED = "test_sharded_training_learns_the_rates_of_one_process_and_all_ranks_agree"


class Feature(NamedTuple):
    """A row: the feature, how it is tried, what is promised of ours, and the test that shows it in depth."""

    words: str
    find: Callable[[trials.Package], str]
    promised: str
    test: str
    ranks: int = 1  # processes that it takes


FEATURES = [
    Feature(
        "the rate that acts stands in the group, under a schedule too",
        trials.find_acting_rate,
        "yes",
        "test_effective_lr_is_the_learned_rate_times_what_the_scheduler_says",
    ),
    Feature(
        "rates of groups act as proportions",
        trials.keep_proportions,
        "yes",
        "test_groups_with_their_own_rate_and_decay_step_with_them",
    ),
    Feature(
        "a learned rate of its own per group",
        trials.own_rate,
        "yes",
        "test_a_captured_run_is_that_of_the_host_to_rounding",
    ),
    Feature(
        "the learned rate rises",
        trials.rise,
        "yes",
        "test_a_cosine_with_warm_up_from_0_as_trainers_set_it_trains_and_scales_the_learned_rate",
    ),
    Feature(
        "the learned rate falls", trials.fall, "yes", "test_a_run_of_300_steps_is_that_of_the_reference_to_rounding"
    ),
    Feature(
        "learns under warm-up from 0 and a cosine to 0",
        trials.learn_under_schedule,
        "yes",
        "test_the_hypergradient_is_the_derivative_of_the_next_loss_for_the_learned_rate",
    ),
    Feature(
        "publishes the derivative of the loss with respect to the rate",
        trials.publish_derivative,
        "yes",
        "test_the_hypergradient_is_the_derivative_of_the_next_loss_for_the_learned_rate",
    ),
    Feature(
        "gives a reason for each change of the rate",
        trials.give_reason,
        "yes",
        "test_a_captured_run_is_that_of_the_host_to_rounding",
    ),
    Feature(
        "numbers that the host reads in a step of 20 tensors",
        trials.count_reads,
        "1",
        "test_a_step_reads_from_the_device_once",
    ),
    Feature(
        "numbers of state per parameter",
        trials.count_state,
        "2",
        "test_a_step_needs_no_more_memory_than_its_state_and_64_mebibytes",
    ),
    Feature("learns the same on two ranks (FSDP2) as on one", partial(trials.shard, ranks=2), "yes", SHARDED, ranks=2),
    Feature(
        "learns the same on a 2 x 2 mesh (HSDP) as on one", partial(trials.shard, ranks=4), "yes", SHARDED, ranks=4
    ),
    Feature(
        "goes on bit for bit from a saved state",
        trials.resume,
        "yes",
        "test_a_state_saved_with_weights_only_goes_on_bit_for_bit",
    ),
    Feature(
        "moments of bfloat16 parameters are float32, in a loaded state too",
        trials.keep_moments,
        "yes",
        "test_float32_moments_of_bfloat16_parameters_survive_load_state_dict",
    ),
    Feature(
        "small updates of bfloat16 parameters count (ours: stochastic_rounding=True)",
        trials.keep_small_updates,
        "yes",
        "test_stochastic_rounding_keeps_small_updates_of_bfloat16_on_average",
    ),
    Feature(
        "a gradient that is NaN leaves the parameters alone",
        trials.survive_nan,
        "yes",
        "test_a_gradient_that_is_not_finite_is_refused_before_anything_is_written",
    ),
    Feature(
        "weight decay leaves `p.grad` alone",
        trials.leave_gradient,
        "yes",
        "test_a_step_leaves_the_gradients_as_they_are",
    ),
    Feature(
        "no train and eval modes to forget",
        trials.need_no_mode,
        "yes",
        "test_the_loss_moves_in_the_right_direction_under_every_scheduler",
    ),
    Feature(
        "a complex parameter is a pair of reals",
        trials.take_complex,
        "yes",
        "test_a_complex_parameter_is_a_pair_of_reals",
    ),
    Feature("zero gradients move nothing", trials.stand_still, "yes", "test_zero_gradients_move_no_rate"),
    Feature(
        "takes up parameters in the middle of a run",
        trials.grow,
        "yes",
        "test_a_group_that_is_added_steps_in_the_proportion_of_its_rate",
    ),
    Feature(
        "a deep copy goes on as the original",
        trials.copy_deeply,
        "yes",
        "test_a_copy_goes_on_by_itself_and_leaves_the_original_alone",
    ),
]


def try_out(feature, package):
    """The cell of a feature and an optimizer."""
    torch.manual_seed(0)
    try:
        return feature.find(package)
    except Exception as error:  # what happens is the answer, whatever it is
        return f"no: {type(error).__name__}"


def write_table():
    """The table, in Markdown."""
    found = {name: package for name, package in trials.PACKAGES.items() if find_spec(package.module)}
    for name in trials.PACKAGES.keys() - found.keys():
        print(f"{name} is not installed: not tried", file=sys.stderr)
    releases = {package.module: version(package.module) for package in found.values()}
    lines = ["Tried with " + ", ".join(f"{module} {release}" for module, release in releases.items()) + ".", ""]
    lines += [f"| | {' | '.join(found)} | shown by |", f"|---|{'---|' * (len(found) + 1)}"]
    with contextlib.redirect_stdout(sys.stderr):  # some packages print
        for feature in FEATURES:
            cells = " | ".join(try_out(feature, package) for package in found.values())
            lines.append(f"| {feature.words} | {cells} | `{feature.test}` |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(write_table())
