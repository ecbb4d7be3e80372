"""Renders the docstrings of this project, which are plain text with a fixed layout, as reStructuredText.

    four spaces or more      an equation, or a table that keeps its columns: shown as it is
    NAME  TEXT               an argument and what it is; NAME and TEXT are two or more spaces apart
    - TEXT                   a point of a list
    anything else            prose; `NAME` is code, and a link where this project has a symbol of that name

Examples begin with the prompt of Python, and stay as they are.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

ROW = re.compile(r"(?P<name>\S+(?: \S+)*) {2,}(?P<text>\S.*)")
ALIAS = re.compile(r"Alias for field number \d+")
FIELD = re.compile(r"\s+(?P<name>\w+): [^#]*(?:#\s*(?P<comment>.*))?")
ENUMERATOR = re.compile(r"\(?\w{1,3}[.)]\s")
Find = Callable[[str], str | None]
"""The full name of a symbol that a docstring names, or None."""


class Block(NamedTuple):
    """Lines that belong together, without the empty line that ends them."""

    kind: str  # "example", "literal", "table", "list", "prose"
    lines: list[str]


def render(lines: list[str], find: Find = lambda name: None) -> list[str]:
    r"""The reStructuredText of a docstring.

    >>> print("\n".join(render(["One step.", "", "    x = x - lr g", "", "lr    >= 0, the `rate`"])))
    One step.
    <BLANKLINE>
    .. code-block:: text
       :class: equation
    <BLANKLINE>
       x = x - lr g
    <BLANKLINE>
    ``lr``
        >= 0, the ``rate``
    <BLANKLINE>
    >>> render(["x_t of |g|^2 * 2"])
    ['x\\_t of \\|g\\|^2 \\* 2', '']
    """
    writers = {"example": _write_example, "literal": _write_literal, "table": _write_table, "list": _write_list}
    return [
        line
        for block in _split(lines)
        for line in (*writers.get(block.kind, _write_prose)(block.lines, find), "")
    ]  # fmt: skip


def _split(lines: list[str]) -> Iterator[Block]:
    block: Block | None = None
    for line in [*lines, ""]:
        if block is not None and not _continues(block, line):
            yield Block(block.kind, _strip_end(block.lines))
            block = None
        if block is not None:
            block.lines.append(line)
        elif line.strip():
            block = Block(_classify(line), [line])
    if block is not None:
        yield Block(block.kind, _strip_end(block.lines))


def _classify(line: str) -> str:
    if line.startswith(">>>"):
        return "example"
    if line.startswith("    "):
        return "literal"
    if line.startswith("- "):
        return "list"
    return "table" if ROW.fullmatch(line) else "prose"


def _continues(block: Block, line: str) -> bool:
    if block.kind == "literal":  # an empty line within it does not end it
        return not line.strip() or line.startswith("    ")
    if not line.strip():
        return False
    if block.kind == "example":
        return True
    if block.kind == "prose":
        return _classify(line) == "prose"
    return _classify(line) in (block.kind, "literal") or (block.kind == "list" and line.startswith("  "))


def _strip_end(lines: list[str]) -> list[str]:
    while not lines[-1].strip():
        lines.pop()
    return lines


def _write_example(lines: list[str], find: Find) -> list[str]:
    return lines


def _write_literal(lines: list[str], find: Find) -> list[str]:
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return [".. code-block:: text", "   :class: equation", "", *(f"   {line[margin:]}".rstrip() for line in lines)]


def _write_table(lines: list[str], find: Find) -> list[str]:
    rows: list[tuple[str, list[str]]] = []
    for line in lines:
        if row := (None if line.startswith(" ") else ROW.fullmatch(line)):
            rows.append((row["name"], [row["text"]]))
        else:
            rows[-1][1].append(line.strip())
    written = []
    for name, text in rows:
        written += [", ".join(f"``{part}``" for part in name.split(", ")), f"    {escape(' '.join(text), find)}"]
    return written


def _write_list(lines: list[str], find: Find) -> list[str]:
    points: list[list[str]] = []
    for line in lines:
        if line.startswith("- "):
            points.append([line[2:]])
        else:
            points[-1].append(line.strip())
    return [f"- {escape(' '.join(point), find)}" for point in points]


def _write_prose(lines: list[str], find: Find) -> list[str]:
    text = escape(" ".join(line.strip() for line in lines), find)
    return [rf"\ {text}" if ENUMERATOR.match(text) else text]


def escape(text: str, find: Find) -> str:
    r"""Prose as reStructuredText shows it unchanged; `NAME` is code or a link.

    >>> escape("`a_` of b_", {"a_": "m.a_"}.get)
    ':py:obj:`a_ <m.a_>` of b\\_'
    >>> escape("raises SomeError", {"SomeError": "m.SomeError"}.get)
    'raises :py:obj:`SomeError <m.SomeError>`'
    >>> escape("`step`s of `some`", {}.get)  # what ends a piece of code is not followed by a letter
    '``step``\\ s of ``some``'
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick alone
        return re.sub(r"([\\*_|`])", r"\\\1", text)
    written = []
    for number, part in enumerate(parts):
        if number % 2:
            full = find(part)
            end = r"\ " if re.match(r"\w", parts[number + 1]) else ""
            written.append((f":py:obj:`{part} <{full}>`" if full else f"``{part}``") + end)
        else:
            plain = re.sub(r"([\\*_|])", r"\\\1", part)
            written.append(re.sub(r"\b[A-Z]\w+(?:Error|Warning)\b", lambda word: _link_error(word[0], find), plain))
    return "".join(written)


def _link_error(word: str, find: Find) -> str:
    full = find(word)
    return f":py:obj:`{word} <{full}>`" if full else word


def read_comments(kind: type) -> dict[str, str]:
    r"""What the comments beside the fields of a NamedTuple say.

    >>> class Point(NamedTuple):
    ...     x: float  # to the right
    >>> read_comments(Block)
    {'kind': '"example", "literal", "table", "list", "prose"'}
    """
    comments: dict[str, str] = {}
    for line in inspect.getsource(kind).splitlines():
        if (field := FIELD.fullmatch(line)) and field["comment"]:
            comments[field["name"]] = field["comment"]
    return comments


def describe_field(full_name: str, kinds: Mapping[str, type]) -> list[str]:
    """The docstring of a field of a NamedTuple: the comment beside it, if there is one."""
    owner, _, field = full_name.rpartition(".")
    comment = read_comments(kinds[owner]).get(field) if owner in kinds else None
    return [comment] if comment else []


def setup(app: Any) -> dict[str, Any]:
    """Connect to autodoc."""
    from extensions import reference

    def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        symbols = reference.list_symbols()
        if lines and ALIAS.fullmatch(lines[0]):
            lines[:] = describe_field(name, symbols.classes)
        lines[:] = render(lines, lambda word: symbols.find(word, name))

    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
