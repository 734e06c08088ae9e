"""Passages of the documents that are made from the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.docs_tables import DocsTables, markdown_table

PAGE = """\
# Page

<!-- generated: one -->

old

<!-- end -->

Text

<!-- generated: two -->
else
<!-- end -->
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_a_passage_that_is_out_of_date_fails_and_is_written_on_request(page: Path) -> None:
    tables = DocsTables(write=False, root=page.parent)
    tables.check("page.md", "one", "old\n")
    with pytest.raises(AssertionError, match=r"page\.md: one is out of date: run pytest --write-docs"):
        tables.check("page.md", "one", "new\n")
    assert page.read_text() == PAGE
    DocsTables(write=True, root=page.parent).check("page.md", "one", "new\n")
    assert page.read_text() == PAGE.replace("old", "new")
    tables.check("page.md", "one", "new\n")
    assert tables.read("page.md", "two") == "else"


def test_a_document_without_the_markers_is_named(page: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md: has 0 passages <!-- generated: three -->"):
        DocsTables(write=True, root=page.parent).check("page.md", "three", "text")


def test_a_table_in_markdown() -> None:
    assert markdown_table({"a": ":---", "b": "---:"}, [["x", "1"]]) == "| a | b |\n| :--- | ---: |\n| x | 1 |\n"
