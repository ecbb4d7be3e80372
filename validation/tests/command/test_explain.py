"""`hypergrad explain`: the records of a saved optimizer and of one that streams them, printed, drawn and followed."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from recorded_runs import train

from hypergrad._core import checkpoint
from hypergrad.errors import CheckpointError
from hypergrad_command import explain_plot
from hypergrad_command.command import main
from hypergrad_command.explain import Run, Stream, draw_bars, read_run

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def saved(tmp_path):
    train(30).save(tmp_path / "run.npz")
    return str(tmp_path / "run.npz")


@pytest.mark.parametrize("suffix", explain_plot.SUFFIXES)
def test_plot_is_of_the_format_that_its_name_says(saved, suffix, tmp_path, capsys):
    out = tmp_path / f"rate{suffix}"
    assert main(["explain", saved, "--plot", str(out)]) == 0
    content = out.read_bytes()
    if suffix == ".svg":
        assert ElementTree.fromstring(content).tag == f"{SVG}svg"
    elif suffix == ".png":
        assert content.startswith(b"\x89PNG")
    else:
        page = content.decode()
        assert page.startswith("<!doctype html>")
        assert 'src="data:image/svg+xml;base64,' in page
        assert "http" not in page.replace("http://www.w3.org", "")
        assert "<td>warmup<td>10" in page


def test_page_says_the_group_of_each_record_and_its_reason_first(tmp_path):
    train(30, groups=2, lr_scope="group").save(tmp_path / "run.npz")
    assert main(["explain", str(tmp_path / "run.npz"), "--plot", str(tmp_path / "rate.html")]) == 0
    page = (tmp_path / "rate.html").read_text("utf-8")
    assert "<tr><th>step<th>group<th>reason<th>lr_before<th>lr" in page
    assert "<tr><td>30<td>0<td>limited<td>" in page
    assert "<tr><td>30<td>1<td>limited<td>" in page


def test_numbers_on_the_axis_of_the_hypergradient_do_not_lie_on_each_other():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = np.geomspace(1e-7, 1.0, 60) * np.tile([1, -1], 30)
    records = [
        [{**record._asdict(), "hypergradient": height}]
        for record, height in zip(train(60).records, heights, strict=True)
    ]
    figure = Figure(figsize=(explain_plot.WIDTH, 4.4), layout="constrained")
    explain_plot.draw(Run("", 60, None, records), figure)
    FigureCanvasAgg(figure).draw()
    labels = [label for label in figure.axes[1].get_yticklabels() if label.get_text()]
    assert len(labels) > 2
    edges = sorted((box.y0, box.y1) for box in (label.get_window_extent() for label in labels))
    assert all(below[1] < above[0] for below, above in pairwise(edges))


def test_plot_has_the_numbers_of_the_records():
    from matplotlib.figure import Figure

    opt = train(30)
    records = [[record._asdict()] for record in opt.records]
    figure = Figure()
    explain_plot.draw(explain_plot.Run("AutoHypergradientAdamW", 30, 0, records), figure)
    above, middle, below = figure.axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), [record.lr for record in opt.records])
    np.testing.assert_array_equal(middle.lines[0].get_ydata(), [record.hypergradient for record in opt.records])
    marked = {
        reason.get_text(): list(line.get_xdata())
        for reason, line in zip(below.get_yticklabels(), below.lines, strict=True)
    }
    assert marked["warmup"] == list(range(1, 11))
    assert sorted(step for steps in marked.values() for step in steps) == list(range(1, 31))


def test_plot_draws_every_group_that_has_a_rate_of_its_own():
    from matplotlib.figure import Figure

    opt = train(20, groups=3, lr_scope="group")
    figure = Figure()
    explain_plot.draw(explain_plot.Run("A", 20, 0, [[one._asdict() for one in step] for step in opt.records]), figure)
    assert [line.get_label() for line in figure.axes[0].lines] == ["group 0", "group 1", "group 2"]
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--plot", "rate.pdf"], "must end in .svg, .png or .html"),
        (["--plot", "no/such/folder.svg"], "does not exist"),
        (["--follow", "--json"], "goes without"),
        (["--follow", "--plot", "rate.svg"], "goes without"),
    ],
)
def test_plot_that_cannot_be_made_is_refused_with_the_remedy(saved, arguments, words, capsys):
    assert main(["explain", saved, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_run_without_records_is_refused(tmp_path, capsys):
    train(0).save(tmp_path / "run.npz")
    assert main(["explain", str(tmp_path / "run.npz"), "--plot", str(tmp_path / "a.svg")]) == 2
    assert "take some steps first" in capsys.readouterr().err
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("content", ["", "a model of torch"])
def test_file_of_something_else_is_refused_with_what_can_be_read_of_torch(content, tmp_path, capsys):
    name = tmp_path / "model.pt"
    name.touch()
    if content:
        with zipfile.ZipFile(name, "w") as file:  # as torch.save writes it
            file.writestr("model/data.pkl", content)
    assert main(["explain", str(name)]) == 2
    assert "hypergrad explain also reads one of records_to, and in torch that alone" in capsys.readouterr().err


def test_file_that_no_optimizer_streamed_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"some": "json"}\n')
    with pytest.raises(CheckpointError, match="give a file of records_to or of save"):
        read_run(str(tmp_path / "a.jsonl"))


FIELDS = ["step", "lr_before", "lr", "hypergradient", "reason"]
NO_RECORDS = {
    "no name": ({"fields": FIELDS}, [1, 0.5, 0.5, None, "a"]),
    "no fields": ({"kind": "A"}, [1, 0.5, 0.5, None, "a"]),
    "fields that are no list": ({"kind": "A", "fields": 7}, [1, 0.5, 0.5, None, "a"]),
    "the step alone": ({"kind": "A", "fields": ["step"]}, [1]),
    "no reason": ({"kind": "A", "fields": FIELDS[:-1]}, [1, 0.5, 0.5, None]),
    "a name that is a number": ({"kind": "A", "fields": [*FIELDS, 7]}, [1, 0.5, 0.5, None, "a", 2]),
    "a row that is too short": ({"kind": "A", "fields": FIELDS}, [1, 0.5]),
    "a step that is text": ({"kind": "A", "fields": FIELDS}, ["1", 0.5, 0.5, None, "a"]),
    "no step": ({"kind": "A", "fields": FIELDS}, [None, 0.5, 0.5, None, "a"]),
    "a rate that is text": ({"kind": "A", "fields": FIELDS}, [1, 0.5, "0.5", None, "a"]),
    "a rate that is a list": ({"kind": "A", "fields": FIELDS}, [1, 0.5, [0.5], None, "a"]),
    "a rate that is true": ({"kind": "A", "fields": FIELDS}, [1, 0.5, True, None, "a"]),
    "a rate past all floats": ({"kind": "A", "fields": FIELDS}, [1, 0.5, 10**400, None, "a"]),
    "a reason that is a number": ({"kind": "A", "fields": FIELDS}, [1, 0.5, 0.5, None, 3]),
    "an empty row": ({"kind": "A", "fields": FIELDS}, []),
}


@pytest.mark.parametrize("arguments", [[], ["--plot", "out.svg"], ["--follow"], ["--json"]])
@pytest.mark.parametrize("what", NO_RECORDS)
def test_line_that_no_optimizer_wrote_is_refused(what, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("run.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in NO_RECORDS[what]))
    assert main(["explain", "run.jsonl", *arguments]) == 2
    assert "is not what an optimizer streams" in capsys.readouterr().err
    assert not Path("out.svg").exists()


def test_saved_records_that_no_optimizer_wrote_are_refused(saved, capsys, monkeypatch):
    state = {**checkpoint.read(saved), "records": [{"step": 1}]}
    monkeypatch.setattr(checkpoint, "read", lambda path: state)
    assert main(["explain", saved]) == 2
    assert "has records that no optimizer wrote: give a file of records_to or of save" in capsys.readouterr().err


def test_rates_that_are_not_finite_are_left_out_of_the_bars():
    rates = [1e-4, float("nan"), 1e-3, float("inf"), 1e-2, 0.0, 1e-1]
    assert draw_bars(rates, 80) == draw_bars([1e-4, 1e-3, 1e-2, 1e-1], 80)
    assert draw_bars([1.0, 2.0], 0) == ""


def _follow(path, *options, **environment):
    """A child that follows a file. Ctrl-C ends it, even where a shell has started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what is ignored here, a child ignores as well
    try:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "hypergrad", "explain", str(path), "--follow", *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FORCE_COLOR": "1", "TERM": "xterm",
                 **environment},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def test_follow_shows_bars_that_the_terminal_has(tmp_path):
    path = tmp_path / "run.jsonl"
    train(30, records_to=path)
    child = _follow(path, PYTHONIOENCODING="ascii")
    shown = _read_until(child.stdout, "step 30")
    child.send_signal(signal.SIGINT)
    shown += child.communicate(timeout=60)[0]
    assert child.returncode == 0
    assert "_" in shown
    assert shown.isascii()


def test_reader_leaves_a_line_that_is_being_written_for_the_next_time(tmp_path):
    path = tmp_path / "run.jsonl"
    train(4, records_to=path)
    text = path.read_bytes()
    path.write_bytes(text[:-5])
    stream = Stream(path)
    assert stream.read().steps == 3
    path.write_bytes(text)
    assert stream.read().steps == 4


def test_bars_rise_with_the_logarithm():
    assert draw_bars([1.0, 10.0, 100.0], 3) == "▁▄█"
    assert len(draw_bars(np.geomspace(1, 2, 500).tolist(), 60)) == 60


def _read_until(stream, words):
    """What comes until the words have come; the time limit of a test ends it if they never do."""
    shown = ""
    while words not in shown:
        new = os.read(stream.fileno(), 4096)
        assert new, shown
        shown += new.decode()
    return shown


def test_follow_shows_a_run_as_it_goes_on_and_ends_by_ctrl_c(tmp_path):
    path = tmp_path / "run.jsonl"
    child = _follow(path, "--last", "2")
    shown = _read_until(child.stdout, "waiting for")
    path.touch()  # as an optimizer does before its first step
    train(12, records_to=path)
    shown = _read_until(child.stdout, "step 12")
    child.send_signal(signal.SIGINT)
    shown += child.communicate(timeout=60)[0]
    assert child.returncode == 0
    assert "limited 2" in shown or "adapted 2" in shown
