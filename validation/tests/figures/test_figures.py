"""The figures' command: nothing drawn twice, a page that stands alone, refusals in one line."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("joblib")

from hypergrad.errors import DeviceNotFoundError
from hypergrad_papers import claims as verdicts
from hypergrad_papers.checks import at_most, near
from hypergrad_papers.claims import Claim, Extent, Outcome, evaluate
from hypergrad_problems.training import train
from paper_figs import __main__, command, rates_data, rates_plot, report, store
from paper_figs.cells import Runner
from paper_figs.figures import ARENA, FIGURES
from paper_figs.trial import Device, Verdict


def test_picture_shows_the_data_and_the_plot_of_the_run(figures_folder, monkeypatch):
    shown = []
    draw = rates_plot.draw
    monkeypatch.setattr(rates_plot, "draw", lambda arrays, facts: shown.append(facts) or draw(arrays, facts))
    monkeypatch.setattr(rates_data, "STEPS", 5)
    figure = next(figure for figure in FIGURES if figure.name == "rates")
    (figures_folder / "out").mkdir()
    first = command.make(figure, Runner())
    assert (figures_folder / "out" / "rates.svg").read_bytes() == first.svg
    compute = rates_data.compute
    monkeypatch.setattr(
        rates_data, "compute", lambda runner: compute(runner)._replace(facts=compute(runner).facts | {"new": 1})
    )
    command.make(figure, Runner())
    assert ["new" in facts for facts in shown] == [False, True]
    monkeypatch.setattr(rates_plot, "draw", lambda arrays, facts: draw({k: v[:3] for k, v in arrays.items()}, facts))
    assert command.make(figure, Runner()).svg != first.svg


def test_data_file_tells_where_it_comes_from(tmp_path):
    arrays = {"a/b": np.arange(3.0)}
    store.save(tmp_path / "x", store.Result(arrays, {"seed": 1}), {"rule": "ab12"})
    loaded, document = store.load(tmp_path / "x")
    assert loaded["a/b"].tobytes() == arrays["a/b"].tobytes()
    assert document["facts"] == {"seed": 1}
    assert document["command"]
    assert document["code"] == {"rule": "ab12"}
    assert document["environment"]["numpy"] == np.__version__


def test_command_writes_pictures_and_a_page_that_stands_alone(figures_folder, monkeypatch, capsys, device):
    monkeypatch.setattr(rates_data, "STEPS", 30)
    assert command.main(["--only", "rates", "--jobs", "1"]) == 0
    page = (figures_folder / "out" / "selection.html").read_text()
    assert str(figures_folder / "out" / "selection.html") in capsys.readouterr().out
    assert {path.suffix for path in (figures_folder / "out").glob("rates.*")} == {".svg", ".pdf", ".png"}
    assert "all 14 runs equal in every bit" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert len(re.findall(r'<img [^>]*alt="[^"]{40,}"', page)) == page.count("<img ") == 1


def count_rows(page, verdict):
    """Rows of the tables with this verdict, or waiting for the same."""
    return page.count(f'<b class="verdict {verdict}">')


def test_page_shows_claims_with_what_became_of_them(figures_folder, monkeypatch):
    def compute(run):
        """Two and three, squared."""
        return [near("of two", 4.0, run(square, [{"value": 2}])[0]), near("of three", 8.0, 9.0, abs=0.5)]

    facts = ("hdm2025", "1", "a table", "none is needed", ())
    claims = [
        Claim(compute, *facts, Extent.BUNDLED, ""),
        Claim(compute, *facts, Extent.FULL, ""),
        Claim(compute, *facts, Extent.BUNDLED, "it takes a machine that nobody has"),
    ]
    monkeypatch.setattr(command, "list_claims", lambda: claims)
    assert command.main(["--only", "claims", "--jobs", "1"]) == 0
    page = (figures_folder / "out" / "selection.html").read_text()
    assert (count_rows(page, "not-run"), count_rows(page, "not-reproduced")) == (2, 1)
    assert "1 of 2 checks hold" in page
    assert "of three: published 8, ours 9, accepted 7.5 to 8.5" in page
    assert "<code>make figures FULL=1</code>" in page
    assert "It takes a machine that nobody has" in page
    assert command.main(["--only", "claims", "--jobs", "1", "--full"]) == 0
    page = (figures_folder / "out" / "selection.html").read_text()
    assert (count_rows(page, "not-run"), count_rows(page, "not-reproduced")) == (1, 2)


def test_claim_shows_the_check_nearest_to_its_limit_and_digits_that_tell():
    checks = [at_most("tiny", 1e-12, 2e-6), at_most("close", 1.9e-6, 2e-6), near("exact", 3.0, 3.0)]
    claim = Claim(lambda _: checks, "hdm2025", "1", "a table", "none is needed", (), Extent.BUNDLED, "")
    claim.compute.__doc__ = "It holds."
    rows = report.describe(evaluate(claim))["checks"]
    assert [row["what"] for row in rows] == ["close", "tiny", "exact"]
    assert rows[0] | {"ours": "1.9e-06", "accepted": "at most 2e-06"} == rows[0]
    fine = report.describe(
        Outcome(claim, [near("x", 313.129, 313.1290001, rel=1e-10)], verdicts.Verdict.NOT_REPRODUCED, "")
    )
    assert fine["checks"][0]["ours"] == "313.1290001"
    assert fine["checks"][0]["accepted"] == "313.12899997 to 313.12900003"


def test_error_ends_one_figure_and_one_claim_and_is_told(figures_folder, monkeypatch, capsys):
    def fail(_):
        """Two numbers of a list of one."""
        return [1.0][1]

    facts = ("hdm2025", "1", "a table", "none is needed", (), Extent.BUNDLED, "")
    claims = [Claim(fail, *facts), Claim(lambda _: [near("of two", 4.0, 4.0)], *facts)]
    claims[1].compute.__doc__ = "It holds."
    monkeypatch.setattr(command, "list_claims", lambda: claims)
    monkeypatch.setattr(rates_data, "compute", fail)
    assert command.main(["--only", "claims", "--only", "rates", "--only", "spike", "--jobs", "1"]) == 1
    told = capsys.readouterr().err
    assert told.count("IndexError") == 2
    assert "failed: rates, hdm2025, row 1;" in told
    page = (figures_folder / "out" / "selection.html").read_text()
    assert '<h2 id="rates">' not in page
    assert '<h2 id="spike">' in page
    assert "its computation failed" in page
    assert (count_rows(page, "reproduced"), count_rows(page, "not-reproduced")) == (1, 1)


def square(value):
    """A cell of a claim."""
    return value**2


def test_verdict_tells_runs_that_differ_apart(figures_folder, monkeypatch):
    monkeypatch.setattr(rates_data, "STEPS", 5)
    monkeypatch.setattr(rates_data, "have_equal_bits", lambda *_: False)
    monkeypatch.setattr(rates_data, "describe_device", lambda: {"device": "one"})
    monkeypatch.setattr(rates_data, "RATES", (1e-3,))
    monkeypatch.setattr(rates_data, "train", lambda *given, device, **options: train(*given, device="numpy", **options))
    assert rates_data.compute(Runner()).facts["OpenCL against NumPy"].startswith("runs differ: [{")


def test_verdict_is_not_kept_when_the_device_is_gone(figures_folder, monkeypatch):
    def refuse():
        raise DeviceNotFoundError("no OpenCL device was found")

    monkeypatch.setattr(rates_data, "STEPS", 5)
    monkeypatch.setattr(rates_data, "RATES", (1e-3,))
    monkeypatch.setattr(rates_data, "train", lambda *given, device, **options: train(*given, device="numpy", **options))
    monkeypatch.setattr(rates_data, "describe_device", lambda: {"device": "one"})
    assert rates_data.compute(Runner()).facts["OpenCL against NumPy"].endswith("equal in every bit")
    monkeypatch.setattr(rates_data, "describe_device", refuse)
    assert rates_data.compute(Runner()).facts["OpenCL against NumPy"] == "not run: no OpenCL device was found"


def test_one_devices_runs_are_not_taken_for_anothers(figures_folder, monkeypatch):
    devices = []

    def note(*given, device, **options):
        devices.append(device)
        return train(*given, device="numpy", **options)

    monkeypatch.setattr(rates_data, "STEPS", 5)
    monkeypatch.setattr(rates_data, "RATES", (1e-3,))
    monkeypatch.setattr(rates_data, "train", note)
    for name, runs in (("one", 12), ("one", 0), ("other", 6)):  # NumPy and OpenCL, none, OpenCL
        devices.clear()
        monkeypatch.setattr(rates_data, "describe_device", lambda name=name: {"device": name})
        rates_data.compute(Runner())
        assert len(devices) == runs
    assert set(devices) == {"opencl"}


def test_list_names_every_figure(capsys):
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        *(figure.name for figure in (*FIGURES, *ARENA)),
        "claims",
    ]


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ("--only nonsense", "choose from rates, baydin_logistic"),
        ("--only", "expected one argument"),
        ("--only=", "choose from rates"),
        ("--only RATES", "choose from rates"),
        ("--only rates,spike", "choose from rates"),
        ("--jobs 0", "give 1 or more"),
        ("--jobs -1", "give 1 or more"),
        ("--jobs 1.5", "give 1 or more"),
        ("--jobs many", "give 1 or more"),
        ("--jobs=", "give 1 or more"),
        ("--data=", "name the one that holds libsvm/"),
        ("--data ~/none", "name the one that holds libsvm/"),
        ("--data /none", "name the one that holds libsvm/"),
        ("--data /dev/null", "name the one that holds libsvm/"),
        ("--full x", "give 1 or mlp"),
        ("--full 2", "give 1 or mlp"),
        ("--full=", "give 1 or mlp"),
        ("--dask nowhere", "give the HOST:PORT of `dask scheduler`"),
        ("--dask 127.0.0.1:1", "give the HOST:PORT of `dask scheduler`"),
        ("--dask tcp://127.0.0.1:x", "give the HOST:PORT of `dask scheduler`"),
        ("--dask=", "give the HOST:PORT of `dask scheduler`"),
        ("--nonsense", "--nonsense"),
        ("rates", "rates"),
    ],
)
def test_argument_that_cannot_be_is_refused_in_one_line_with_the_remedy(arguments, remedy, capsys):
    if "--dask" in arguments:
        pytest.importorskip("distributed")
    with pytest.raises(SystemExit) as refusal:
        command.main(arguments.split())
    told = capsys.readouterr()
    assert (refusal.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert remedy in told.err


def test_data_folder_that_the_environment_names_must_exist(monkeypatch, capsys):
    monkeypatch.setenv("HYPERGRAD_DATA", "/none")
    with pytest.raises(SystemExit):
        command.main(["--only", "spike"])
    assert "/none is no folder: name the one that holds libsvm/" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["~", "~/sets", "~/sets/"])
def test_data_folder_may_be_named_from_home(name, tmp_path, monkeypatch):
    (tmp_path / "sets").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.parse_arguments(["--data", name]).data == Path(name.replace("~", str(tmp_path)))


def test_folder_that_cannot_be_written_is_refused_in_one_line(figures_folder, monkeypatch):
    (figures_folder / "out").write_text("a file of this name")
    with pytest.raises(SystemExit, match=r"out cannot be written: .*; run from a folder of your own$"):
        command.main(["--only", "spike"])


def test_command_names_the_device_first_and_the_report_the_verdicts_and_the_time_last(
    figures_folder, capsys, monkeypatch
):
    monkeypatch.setattr(command, "list_claims", lambda: [Claim(square, "hdm2025", "1", "", "", (), Extent.FULL, "")])
    monkeypatch.setattr(command.trial, "find_device", lambda: Device("A device, OpenCL 3.0"))
    monkeypatch.setattr(command.trial, "compare_bits", lambda: Verdict(10, ()))
    assert command.main(["--only", "claims", "--jobs", "1"]) == 0
    first, second, *_, place, counts, time = capsys.readouterr().out.splitlines()
    assert first == "OpenCL: the kernels run on A device, OpenCL 3.0"
    assert second == "kernels against NumPy: all 10 runs equal NumPy's in every bit"
    assert place == f"report: {figures_folder / 'out' / 'selection.html'}"
    assert counts == "claims: 0 reproduced, 0 not reproduced, 1 not run, 0 no published value"
    assert re.fullmatch(r"took \d+ min \d+ s", time)


def test_command_without_a_device_says_so_first_and_on_the_page(figures_folder, capsys, monkeypatch):
    def refuse(*given, device="auto", **options):
        raise DeviceNotFoundError("device='opencl': no OpenCL device was found;\n  install one")

    monkeypatch.setattr(command.trial, "AdamW", refuse)
    monkeypatch.setenv("OCL_ICD_VENDORS", "/nowhere")
    assert command.main(["--only", "spike", "--jobs", "1"]) == 0
    trouble = "no OpenCL device was found; install one OCL_ICD_VENDORS is set to /nowhere."
    assert capsys.readouterr().out.startswith(
        f"OpenCL: NO DEVICE, NumPy runs the loops. {trouble} What to do: .venv/bin/hypergrad"
    )
    page = (figures_folder / "out" / "selection.html").read_text()
    assert "No OpenCL device: no kernel ran" in page
    assert trouble in page


def test_kernels_that_differ_or_fail_are_told_and_the_exit_code_is_1(figures_folder, capsys, monkeypatch):
    monkeypatch.setattr(command.trial, "find_device", lambda: Device("A device, OpenCL 3.0"))
    monkeypatch.setattr(command.trial, "compare_bits", lambda: Verdict(10, ("AdamW in float32",)))
    assert command.main(["--only", "spike", "--jobs", "1"]) == 1
    told = capsys.readouterr()
    assert "kernels against NumPy: 1 of 10 runs differ from NumPy's: AdamW in float32" in told.out
    assert "failed: kernels against NumPy;" in told.err
    assert "do not give NumPy's bits" in (figures_folder / "out" / "selection.html").read_text()
    monkeypatch.setattr(command.trial, "compare_bits", lambda: 1 / 0)
    assert command.main(["--only", "spike", "--jobs", "1"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert "The kernels failed on this device" in (figures_folder / "out" / "selection.html").read_text()


def test_interrupt_ends_the_command_in_one_line(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "main", interrupt)
    assert __main__.run() == 130
    assert capsys.readouterr().err == "interrupted: what is done is kept, the same command continues from there\n"
