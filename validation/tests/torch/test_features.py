"""The tables of the page about torch: our column is what is promised, and each test that it names exists."""

import re
from pathlib import Path

import pytest
import torch_tables
from torch_features import FEATURES, try_out
from torch_trials import OURS, PACKAGES

PAGE = torch_tables.PAGE.read_text("utf-8")


@pytest.mark.parametrize("feature", [f for f in FEATURES if f.ranks == 1], ids=lambda feature: feature.words)
def test_a_feature_that_the_table_promises_is_there(feature):
    assert try_out(feature, PACKAGES[OURS]) == feature.promised


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.words)
def test_a_row_of_the_page_promises_the_feature_and_names_a_test_that_exists(feature):
    assert f"| {feature.words} | {feature.promised} |" in PAGE
    sources = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    assert any(f"def {feature.test}(" in source for source in sources)


@pytest.mark.parametrize("name", torch_tables.TABLES)
def test_a_table_of_the_page_stands_where_the_command_writes_it(name):
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert table.count("\n|") > 4
    assert torch_tables.put(PAGE, name, table.strip()) == PAGE
