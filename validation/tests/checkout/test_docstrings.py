"""Every argument, attribute, option and field that a user meets is said in a docstring, with its range and default."""

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import hypergrad
from hypergrad import adamw_free, methods
from hypergrad._core import options
from hypergrad._core.checks import Choice
from hypergrad._core.describe import describe
from hypergrad._core.options import OPTIONS
from hypergrad._core.state import Skipped
from hypergrad._minimize.table import list_options
from hypergrad_reference import adamw, adamw_auto, adamw_free_schedule, adamw_hd, adamw_rule, hypergradient, rule

KINDS = [hypergrad.SGDHD, hypergrad.AdamHD, hypergrad.AdamW, hypergrad.HypergradientAdamW]
KINDS += [hypergrad.AutoHypergradientAdamW, hypergrad.TuningFreeAdamW]


def read_rows(thing):
    """The rows of the tables in a docstring, by name, the first of each: names, two or more spaces, text."""
    rows, names = {}, []
    for line in (thing if isinstance(thing, str) else inspect.getdoc(thing)).splitlines():
        if match := re.fullmatch(r"(\S+(?:, \S+)*) {2,}(\S.*)", line):
            names = [name for name in match[1].split(", ") if name not in rows]
            rows |= dict.fromkeys(names, match[2])
        elif line.startswith("     "):
            rows |= {name: f"{rows[name]} {line.strip()}" for name in names}
        else:
            names = []
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_of_a_class_says_every_argument_with_its_range_and_default(kind):
    rows = read_rows(kind)
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in kind.aliases:
            assert f"alias {name}" in rows[kind.aliases[name]]
            continue
        text, default = rows[name], parameter.default
        if name in ("params", "use_gpu") or (name in OPTIONS and default is None):
            assert len(text) > 40
            continue
        assert re.search(rf"[Dd]efault {re.escape(repr(default).replace(chr(39), chr(34)))}", text), name
        if name in OPTIONS and not isinstance(OPTIONS[name].check, Choice):
            assert re.search(r"A number in [\[(]|A whole number|Two numbers|True or False|0 or 1", text), name
    for words in ("any shape", "float32 or float64", "C-contiguous", "updated in place"):
        assert words in rows["params"]
    assert "Raises ArgumentError" in kind.__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_of_a_class_says_every_attribute(kind):
    rows = read_rows(kind)
    opt = kind([np.ones(1)], device="numpy")
    public = {name for name in (*dir(kind), *opt.state_dict()["options"]) if not name.startswith("_")}
    attributes = {name for name in public if not callable(getattr(kind, name, None))}
    assert attributes - (set() if kind.aliases else {"aliases"}) - set(kind.aliases) <= set(rows)


@pytest.mark.parametrize("margin", ["", "    "], ids=["as Python 3.13 compiles it", "as earlier ones do"])
def test_tables_of_a_docstring_stand_before_its_example(margin):
    doc = f"A rule.\n\n{margin}As in the paper.\n\n{margin}>>> 1\n{margin}1\n{margin}"
    kind = describe()(type("Rule", (hypergrad.AdamW,), {"__doc__": doc}))
    text = inspect.getdoc(kind)
    assert re.fullmatch(r"A rule\.\n\nAs in the paper\.\n\nparams {2,}.*\n\nRaises .*\n\n>>> 1\n1", text, re.DOTALL)


@pytest.mark.parametrize("kind", [*KINDS, hypergrad.Optimizer])
def test_methods_and_properties_have_a_docstring(kind):
    for name, member in inspect.getmembers(kind):
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
            assert inspect.getdoc(member), name
            if inspect.isroutine(member) and f"`Optimizer.{name}`" not in inspect.getdoc(member):
                for argument in list(inspect.signature(member).parameters)[1:]:
                    assert re.search(rf"\b{argument}\b", inspect.getdoc(member)), (name, argument)


def list_torch_classes():
    """The public classes of hypergrad.torch, from their source, since torch may be missing."""
    files = sorted((Path(hypergrad.__file__).parent / "torch").glob("[!_]*.py"))
    nodes = [node for file in files for node in ast.parse(file.read_text()).body]
    return [node for node in nodes if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("node", list_torch_classes(), ids=lambda node: node.name)
def test_docstring_of_a_class_of_torch_says_every_argument_with_its_default(node):
    rows = read_rows(ast.get_docstring(node))
    signature = next(member.args for member in node.body if getattr(member, "name", "") == "__init__")
    places = [*signature.args[len(signature.args) - len(signature.defaults) :], *signature.kwonlyargs]
    assert rows.keys() >= {"params", "nonfinite", "process_group"}
    for argument, default in zip(places, [*signature.defaults, *signature.kw_defaults], strict=True):
        name = argument.arg
        if name in ("beta_hyper", "hypergrad_lr"):
            assert f"alias {name}" in rows["hyper_lr"]
            continue
        if rows[name].startswith("is not taken"):
            continue
        literal = default.args[0] if isinstance(default, ast.Call) else default
        of_numpy = isinstance(literal, ast.Name)  # a name from the NumPy class
        value = getattr(adamw_free, literal.id) if of_numpy else ast.literal_eval(literal)
        assert re.search(rf"[Dd]efault {re.escape(repr(value).replace(chr(39), chr(34)))}", rows[name]), name


def test_arguments_of_minimize_are_said():
    text = inspect.getdoc(hypergrad.minimize)
    for name in inspect.signature(hypergrad.minimize).parameters:
        assert re.search(rf"^(\w+, )*{name}\b.*\S  +\S|^(\w+, )*{name}(, \w+)* {{2,}}\S", text, re.M), name


@pytest.mark.parametrize("name", methods.NAMES)
def test_docstring_of_a_method_is_its_own_and_says_every_option(name):
    method = getattr(methods, name)
    rows = read_rows(method)
    assert [row.option.name for row in list_options(name)] == [key for key in rows if key in rows][: len(rows)]
    for row in list_options(name):
        assert row.option.range.words[1:] in rows[row.option.name]
        assert row.words in rows[row.option.name]
    others = [inspect.getdoc(getattr(methods, other)) for other in methods.NAMES if other != name]
    assert inspect.getdoc(method) not in others
    assert "Source: " in inspect.getdoc(method)


RECORDS = [adamw_rule.Record, adamw_hd.Record, adamw_auto.Record, hypergradient.Record, Skipped]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__module__)
def test_docstring_of_a_record_says_the_fields_that_are_its_own(record):
    base = [name for name, member in vars(rule.Record).items() if isinstance(member, property)]
    assert record._fields[:5] == tuple(base)
    assert all(inspect.getdoc(getattr(rule.Record, name)) for name in base)
    assert set(record._fields[5:]) <= set(read_rows(record))
    assert "hypergrad_reference.rule.Record" in record.__doc__
    rows = read_rows(hypergrad.Optimizer.records)
    assert set(base) <= set(rows)


def test_words_of_an_option_are_said_and_are_those_of_the_reference():
    for name, option in OPTIONS.items():
        if isinstance(option.check, Choice):
            assert all(f'"{word}"' in option.meaning for word in option.check.words), name
    assert get_args(adamw_auto.Normalization) == tuple(adamw_auto.NORMALIZERS)
    assert get_args(adamw_auto.MomentumRule) == tuple(adamw_auto.MOMENTUM_RULES)
    assert get_args(options.ScalarConvention) == tuple(adamw.CONVENTIONS)
    assert get_args(options.Variant) == tuple(adamw_free_schedule.VARIANTS)
    assert get_args(options.RateRule) == tuple(hypergradient.SCHEDULES)
