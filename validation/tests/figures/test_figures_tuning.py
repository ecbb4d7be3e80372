"""The arena's figures: what a ratio is of, which rate is the best, what is said of what cannot be run."""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("joblib")

from hypergrad_papers.claims import Extent
from hypergrad_problems import arena
from hypergrad_problems.arena.contenders import OURS
from hypergrad_problems.arena.packages import PACKAGES, find_missing
from hypergrad_problems.arena.problems import PROBLEMS
from hypergrad_problems.arena.runs import RATES, run_grid
from hypergrad_reference import adamw
from paper_figs import tuning_data, tuning_plot, tuning_rates_data, tuning_rates_plot, variants

FEW = ("quadratic", "diabetes", "Rosenbrock", "random rows")


class ShortRunner:
    """Every cell with few steps."""

    extent, seeds = Extent.BUNDLED, 2

    def run(self, cell, inputs):
        return [cell(**{**one, "steps": 20}) for one in inputs]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(tuning_data, "PROBLEMS", {name: PROBLEMS[name] for name in FEW})


def test_ratios_are_of_the_best_cosine(few):
    result = tuning_data.compute(ShortRunner())
    found = tuning_data.collect(ShortRunner(), list(FEW), 2)
    for i, name in enumerate(FEW):
        losses = found[name]
        assert result.arrays["train/TuningFreeAdamW"][i] == losses["TuningFreeAdamW"].train / losses["cosine"].train
        for guess, (method, _) in tuning_data.GUESSES.items():
            assert losses[method].train <= losses[guess].train
    assert set(OURS) <= set(result.arrays["methods"].tolist())
    assert math.isnan(result.arrays["test/K"][0])  # a function has no test data
    assert result.facts["seeds"] == 2


def test_packages_that_are_missing_are_named(few):
    facts = tuning_data.compute(ShortRunner()).facts
    assert facts["packages not run"] == (", ".join(find_missing()) or "none")


def test_problems_whose_data_are_missing_are_named_with_the_command(monkeypatch):
    problems, others = tuning_data.choose_problems(ShortRunner())
    assert [name for name in PROBLEMS if name not in problems] == [n for n, e in PROBLEMS.items() if e.needs]
    assert "make arena FULL=1" in others


def test_pictures_show_every_method_and_every_problem(few):
    result = tuning_data.compute(ShortRunner())
    axis = tuning_plot.draw(result.arrays, result.facts).axes[0]
    assert len(axis.get_yticklabels()) == len(result.arrays["methods"])
    marks = [line.get_xdata().size for line in axis.get_lines() if line.get_linestyle() == "None"]
    assert sum(marks) == len(FEW) * len(result.arrays["methods"])
    rates = tuning_rates_data.compute(ShortRunner())
    figure = tuning_rates_plot.draw(rates.arrays, rates.facts)
    assert len(figure.axes) == len(tuning_rates_data.PROBLEMS)
    assert all(best in RATES for best in rates.arrays["best"])


def test_picture_says_the_worst_of_the_problems_that_it_sums_up(few):
    result = tuning_data.compute(ShortRunner())
    ratios = result.arrays["train/TuningFreeAdamW"]
    ratios[:] = 1, 2, 4321, 8765  # the last is an exact fit
    written = {text.get_text() for text in tuning_plot.draw(result.arrays, result.facts).axes[0].texts}
    assert {"median", "worst", "2.00", "4321"} <= written
    assert "8765" not in written


PAGE = Path(__file__).parents[3] / "docs/explanation/tuning.md"
GROUP = "{http://www.w3.org/2000/svg}g"


def read_table():
    """The training losses of the page, as they are written: of each row worst and median by group."""
    rows = PAGE.read_text("utf-8").split("\nTraining loss over that of the best cosine:\n\n")[1].split("\n\n")[0]
    return [[cell.split(" / ") for cell in row.strip("| ").split(" | ")[1:]] for row in rows.splitlines()[2:]]


def read_picture():
    """Of each row the ratios at which the picture has marks, by kind; and its texts."""
    builder = ElementTree.TreeBuilder(insert_comments=True)  # matplotlib writes what a text says as a comment
    root = ElementTree.parse(PAGE.with_suffix(".svg"), ElementTree.XMLParser(target=builder)).getroot()
    axes = next(group for group in root.iter(GROUP) if group.get("id") == "axes_1")
    ticks = {text: places[0] for group in axes.iter(GROUP) if "xtick" in group.get("id", "")
             if (places := read_places(group)) for text in read_texts(group)}  # fmt: skip
    decade = (ticks["1000"] - ticks["1"]) / 3
    lines = [[10 ** ((x - ticks["1"]) / decade) for x in read_places(group)]
             for group in axes.findall(GROUP) if group.get("id").startswith("line2d")]  # fmt: skip
    marks = [line for line in lines if line]  # the others are bars
    kinds = len(tuning_plot.KINDS)
    return [marks[row : row + kinds] for row in range(0, len(marks), kinds)], read_texts(axes)


def read_places(group):
    return [float(use.get("x")) for use in group.iter(GROUP.replace("}g", "}use")) if use.get("x")]


def read_texts(group):
    return [comment.text.strip() for comment in group.iter(ElementTree.Comment)]


def test_picture_of_the_page_shows_the_numbers_of_its_table():
    table, (picture, texts) = read_table(), read_picture()
    assert len(table) == len(picture)
    columns = zip(texts[-2 * len(table) - 2 : -2 : 2], texts[-2 * len(table) - 1 : -2 : 2], strict=True)
    for cells, (known, exact, later), (middle, worst) in zip(table, picture, columns, strict=True):
        *groups, (of_exact,) = cells
        worsts, medians = zip(*groups, strict=True)
        assert_shown(max(worsts, key=float), [max(known)])
        assert_shown(of_exact, [max(exact)])
        for ratio in worsts:
            assert_shown(ratio, known)
        assert (len(known), len(exact), len(later)) == (15, 2, 1)
        assert worst == tuning_plot.write(float(max(worsts, key=float)))
        half = 0.5 * 10.0 ** -len(middle.partition(".")[2])  # the picture writes fewer decimals than the table
        assert float(min(medians, key=float)) - half <= float(middle) <= float(max(medians, key=float)) + half


def assert_shown(written, ratios):
    """Whether a mark stands where a number of the table belongs, as exactly as that is written."""
    decimals = len(written.partition(".")[2])
    place = np.clip(float(written), tuning_plot.LEAST, tuning_plot.LARGEST)
    edge = 1e-5 * place  # the picture has six decimals of a point
    assert min(abs(ratio - place) for ratio in ratios) <= 0.5 * 10.0**-decimals + edge, written


def test_variants_are_compared_with_the_best_cosine(monkeypatch):
    monkeypatch.setattr(variants, "CHOSEN", list(FEW))
    ratios = variants.find_ratios(ShortRunner(), 1, None)
    losses = tuning_data.collect(ShortRunner(), list(FEW), 1)
    expected = [losses[name]["TuningFreeAdamW"].train / losses[name]["cosine"].train for name in FEW]
    assert ratios["TuningFreeAdamW"].tolist() == pytest.approx(expected, rel=1e-12)  # another order of sums
    assert not np.allclose(ratios[variants.COSINE], 1.0, rtol=1e-6)  # another beta2


def test_cosine_of_the_variants_is_that_of_the_arena_with_another_beta2(monkeypatch):
    monkeypatch.setattr(arena.variants, "ADAMW_G", adamw.Constants(beta2=0.999))
    one = {"name": "quadratic", "seed": 0, "rate": 0.01, "steps": 20}
    assert tuple(arena.variants.run_cosine(**one)) == pytest.approx(run_grid(**one)["cosine"], nan_ok=True)


def test_table_of_variants_keeps_exact_fits_apart():
    ratios = {"one": np.array([1.0, 4.0, 9.0])}
    lines = list(variants.tabulate(ratios, {"one": np.array([2.0, 8.0, 99.0])}, np.array([False, False, True])))
    assert lines[2:] == ["| one | 4.000 | 2.000 | 8.000 | 4.000 | 9.000 |"]


def test_description_passes_over_losses_that_are_not_there():
    assert tuning_data.describe(np.array([np.nan, 1.0, 4.0])) == {"worst": "4.000", "median": "2.500", "mean": "2.000"}
    assert tuning_data.describe(np.array([np.nan]))["worst"] == "-"


@pytest.mark.parametrize("name", PACKAGES)
def test_package_learns_something(name):
    if name in find_missing():
        pytest.skip(f"{name} is not installed: `make arena` installs it")
    from hypergrad_problems.arena.contenders import run_untuned
    from hypergrad_problems.arena.problems import make_problem

    outcome = run_untuned("softmax digits", 0, name, steps=300)
    problem = make_problem("softmax digits", 0)
    assert outcome.endings[name].train < problem.loss(problem.start)
    assert outcome.rates.shape == (300,)
