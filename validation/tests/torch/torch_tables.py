"""The tables of docs/explanation/torch.md, measured again and written there: `make torch-tables`.

`python validation/tests/torch/torch_tables.py features digits` writes those that are named. Each stands in the page
between a line `<!-- NAME -->` and a line `<!-- end -->`.
"""

import re
import sys
from pathlib import Path

import torch
import torch_derivatives
import torch_digits
import torch_features
import torch_meshes

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/torch.md"
TABLES = {
    "features": torch_features.write_table,
    "derivatives": torch_derivatives.write_table,
    "meshes": torch_meshes.write_table,
    "digits": torch_digits.write_table,
}


def put(page, name, table):
    """The text of the page with another table."""
    found = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if len(found.findall(page)) != 1:
        raise SystemExit(f"{PAGE.name} has no place for the table {name!r}")
    return found.sub(lambda ends: f"{ends[1]}\n{table}\n\n{ends[2]}", page)


def main(names):
    """Write the tables into the page."""
    for name in names or TABLES:
        table = TABLES[name]()
        print(table, end="\n\n", flush=True)
        PAGE.write_text(put(PAGE.read_text("utf-8"), name, table), "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
