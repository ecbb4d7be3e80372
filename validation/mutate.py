"""Break the code on purpose and see the tests go red: `python validation/mutate.py [PART OF A NAME]`.

The mutants are the tables [[mutant]] of mutants/*.toml:

    name        what is broken
    file        path from the root
    old, new    text that stands in the file exactly once, and what takes its place
    tests       arguments of pytest, for the few tests that should notice; the file's own `tests` where left out
    survives    why no test can notice, for a mutant that changes nothing; it must then survive
    needs       a module without which its tests are skipped; where it is missing the mutant is not tried

Works on copies of the checkout. Ends with 1 if a mutant is not what it should be: killed by a failing test, or a
declared survivor. A mutant that cannot be applied, imported or compiled proves nothing, and counts as a failure.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
JOBS = os.cpu_count() or 1
TIMEOUT = 600
RED, GREEN = 1, 0  # pytest's exit codes; the others mean that no test had its say

NO_VERDICT = r"^E .*(does not compile on|ImportError|ModuleNotFoundError|NameError|SyntaxError)"
"""How pytest marks the line of an error that is none of the tests'."""


class Mutant(NamedTuple):
    """A row of the lists."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    survives: str = ""
    needs: str = ""


def read_mutants() -> list[Mutant]:
    """All lists, in the order of their names."""
    lists = [tomllib.loads(path.read_text("utf-8")) for path in sorted((ROOT / "validation/mutants").glob("*.toml"))]
    mutants = [
        Mutant(**{"tests": known["tests"], "needs": known.get("needs", ""), **row})
        for known in lists for row in known["mutant"]
    ]  # fmt: skip
    twice = [name for name, count in Counter(mutant.name for mutant in mutants).items() if count > 1]
    if twice:
        raise SystemExit(f"more than one mutant is called {twice}: give each its own name")
    return mutants


def copy_checkout(target: Path) -> Path:
    """Copy every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def run_tests(tree: Path, tests: str) -> tuple[int | None, str]:
    """The exit code of pytest (negative for a signal, None if it took too long), and what it printed."""
    environment = os.environ | {
        "POCL_CACHE_DIR": str(tree.parent / "pocl"),
        "XDG_CACHE_HOME": str(tree.parent / "cache"),  # kernels are kept by their text: a mutant's is another
        "PYTHONDONTWRITEBYTECODE": "1",  # a mutant of the same size and second would be taken for the original
    }
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(tests)]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return None, f"it takes more than {TIMEOUT} s"
    return done.returncode, done.stdout + done.stderr


def judge(tree: Path, mutant: Mutant) -> tuple[bool, str]:
    """Whether a mutant is what it should be, and the verdict in words."""
    path = tree / mutant.file
    text = path.read_text("utf-8")
    places = text.count(mutant.old)
    if places != 1 or mutant.old == mutant.new:
        return False, f"NOT APPLIED: its text stands {places} times in {mutant.file}"
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        code, output = run_tests(tree, mutant.tests)
    finally:
        path.write_text(text, "utf-8")
    if code is None:
        return False, f"NO VERDICT: {output}"
    if code == GREEN:
        return bool(mutant.survives), f"survives: {mutant.survives}" if mutant.survives else "SURVIVES"
    if code < 0:
        return not mutant.survives, f"killed: signal {-code}"
    test = re.search(r"^(?:FAILED|ERROR) .*?::(.*?)(?: - |$)", output, re.MULTILINE)
    if code != RED or test is None or re.search(NO_VERDICT, output, re.MULTILINE):
        last_lines = "\n".join(output.splitlines()[-15:])
        return False, f"PROVES NOTHING: pytest ended with {code}\n{last_lines}"
    if mutant.survives:
        return False, "KILLED though declared a survivor"
    return True, f"killed: {test[1]}"


def main(part: str = "") -> int:
    """Judge the mutants whose names contain `part`."""
    named = [mutant for mutant in read_mutants() if part in mutant.name]
    mutants = [mutant for mutant in named if not mutant.needs or find_spec(mutant.needs)]
    for mutant in sorted(set(named) - set(mutants)):
        print(f"  {mutant.name:<55} NOT TRIED: {mutant.needs} is not installed here")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(JOBS) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for job in range(JOBS):
            trees.put(copy_checkout(Path(folder) / f"tree{job}"))

        def in_a_tree(work: Callable[[Path, Any], Any], argument: Any) -> Any:
            tree = trees.get()
            try:
                return work(tree, argument)
            finally:
                trees.put(tree)

        selections = sorted({mutant.tests for mutant in mutants})
        originals = dict(zip(selections, pool.map(partial(in_a_tree, run_tests), selections), strict=True))
        failing = {tests: output for tests, (code, output) in originals.items() if code != GREEN}
        for tests, output in failing.items():
            print(f"! the original does not pass, so its mutants are not tried: pytest {tests}\n{output}", flush=True)
        judged = [mutant for mutant in mutants if mutant.tests not in failing]
        bad = len(mutants) - len(judged)
        for mutant, (good, verdict) in zip(judged, pool.map(partial(in_a_tree, judge), judged), strict=True):
            print(f"{'  ' if good else '! '}{mutant.name:<55} {verdict}", flush=True)
            bad += not good
    print(f"{len(mutants)} mutants, {bad} not as they should be, {len(named) - len(mutants)} not tried")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
