"""Sharded training by gloo on 2 and 4 ranks: the learned rates are those of one process, and all ranks agree."""

import pytest
import ranks
import torch

# A sum over ranks is added in another order than the sum of one process: a few units of 1e-16 per step, over 15 steps
# that do not amplify them much.
ROUNDING = 1e-12

pytestmark = pytest.mark.xdist_group("ranks")  # one worker starts the processes

CASES = [
    (size, f"{scenario.__name__}: {rule}")
    for size, scenarios in ranks.SCENARIOS.items()
    for scenario in scenarios
    for rule in ranks.RULES_OF.get(scenario, ranks.MOST)
]


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """What each rank found, by the number of ranks."""
    return ranks.run_all(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize(("size", "name"), CASES, ids=lambda value: str(value).replace(": ", "-"))
def test_sharded_training_learns_the_rates_of_one_process_and_all_ranks_agree(results, size, name):
    first, *others = (result[name] for result in results[size])
    assert all(other["rates"] == first["rates"] for other in others)
    assert first["parameters"] <= ROUNDING
    assert first.get("averages", 0.0) <= ROUNDING
    for found, wanted in zip(first["rates"], first["plain"], strict=True):
        assert found == pytest.approx(wanted, rel=ROUNDING)
    start, end = first["plain"][0], first["plain"][-1]
    assert all(abs(b - a) > 0.05 * a for a, b in zip(start, end, strict=True))


def test_a_checkpoint_goes_from_two_ranks_to_one_and_back_without_a_change_of_the_run(results):
    for result in results[2]:
        assert result["resharded"] == result["uninterrupted"]
    assert set(results[2][0]["resharded"]) == {f"{rule}-{flat}" for rule, flat in ranks.CHECKPOINTS}


def test_broadcast_and_process_group_at_once_are_refused():
    with pytest.raises(ValueError, match="broadcast=True with process_group"):
        ranks.HypergradientAdamW([torch.nn.Parameter(torch.ones(1))], process_group=object(), broadcast=True)
