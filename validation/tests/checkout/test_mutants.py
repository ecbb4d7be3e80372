"""The mutants of mutate.py still fit the code, and its verdicts are right; `make mutants` tries them."""

import pytest

import mutate
from mutate import ROOT, Mutant, judge, read_mutants

MUTANTS = read_mutants()
TARGET = "target.py"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_mutant_applies_to_one_place(mutant):
    places = (ROOT / mutant.file).read_text("utf-8").count(mutant.old)
    assert places == 1, f"its text stands {places} times in {mutant.file}: adapt it to the code of today"
    assert mutant.new != mutant.old
    assert (ROOT / mutant.tests.split()[0]).is_file()


FAILED = "E   assert 1 == 2\nFAILED test_a.py::test_sum[f32] - assert 1 == 2"


@pytest.mark.parametrize(
    ("old", "survives", "run", "good", "verdict"),
    [
        ("1", "", (1, FAILED), True, "killed: test_sum[f32]"),
        ("1", "", (-6, ""), True, "killed: signal 6"),
        ("1", "", (0, "3 passed"), False, "SURVIVES"),
        ("1", "a comment", (0, "3 passed"), True, "survives: a comment"),
        ("1", "a comment", (1, FAILED), False, "KILLED"),
        ("1", "", (1, "E   BuildError: adamw.cl does not compile on x\n" + FAILED), False, "PROVES NOTHING"),
        ("1", "", (1, "E   NameError: name 'x'\n" + FAILED), False, "PROVES NOTHING"),
        ("1", "", (1, "ERROR test_a.py - ModuleNotFoundError"), False, "PROVES NOTHING"),
        ("1", "", (4, "file not found"), False, "PROVES NOTHING"),
        ("1", "", (5, "no tests ran"), False, "PROVES NOTHING"),
        ("x", "", (1, FAILED), False, "NOT APPLIED"),
        ("3", "", (1, FAILED), False, "NOT APPLIED"),
    ],
)
def test_verdict_asks_for_a_failing_test(tmp_path, monkeypatch, old, survives, run, good, verdict):
    (tmp_path / TARGET).write_text("x = 1 + x\n")
    seen = []

    def run_tests(tree, tests):
        seen.append((tree / TARGET).read_text())
        return run

    monkeypatch.setattr(mutate, "run_tests", run_tests)
    got, text = judge(tmp_path, Mutant("a mutant", TARGET, old, "2", "test_a.py", survives))
    assert (got, text.startswith(verdict)) == (good, True), text
    assert set(seen) <= {"x = 2 + x\n"}
    assert (tmp_path / TARGET).read_text() == "x = 1 + x\n"


def test_mutant_whose_tests_need_what_is_missing_is_named_and_not_tried(monkeypatch, capsys):
    here = Mutant("here", TARGET, "1", "2", "test_a.py")
    monkeypatch.setattr(mutate, "read_mutants", lambda: [here, here._replace(name="there", needs="no_such")])
    monkeypatch.setattr(mutate, "run_tests", lambda tree, tests: (0, "3 passed"))
    monkeypatch.setattr(mutate, "judge", lambda tree, mutant: (True, f"killed: {mutant.name}"))
    assert mutate.main() == 0
    told = capsys.readouterr().out
    assert "NOT TRIED: no_such is not installed here" in told
    assert "killed: here" in told
    assert "killed: there" not in told
    assert told.endswith("1 mutants, 0 not as they should be, 1 not tried\n")
