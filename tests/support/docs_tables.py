"""Passages of the documents that are made from the code, such as the tables of built-ins.

A passage stands between `<!-- generated: NAME -->` and `<!-- end -->`, each on a line of its own. A test makes its text
from the code and hands it to `DocsTables.check`; `pytest --write-docs` writes the text instead of comparing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DocsTables:
    """The generated passages of the documents below one folder.

    Attributes:
        write: whether `check` writes a passage that is out of date, instead of failing.
        root: the folder that document names are relative to.
    """

    write: bool
    root: Path = ROOT

    def read(self, document: str, name: str) -> str:
        """The passage as the document has it. Raises AssertionError where the document has no such markers."""
        return self._split(document, name)[1]

    def check(self, document: str, name: str, text: str) -> None:
        """Compare a passage with what the code says, or write it.

        Args:
            document: the file, such as `docs/backbones.md`.
            name: the name in the opening marker.
            text: what has to stand between the markers, apart from the white space around it.

        Raises:
            AssertionError: where the document has no such markers, or another text between them.
        """
        before, passage, after = self._split(document, name)
        if self.write and passage != text.strip():
            (self.root / document).write_text(f"{before}\n\n{text.strip()}\n\n{after}", encoding="utf-8")
            return
        assert passage == text.strip(), f"{document}: {name} is out of date: run pytest --write-docs on this test"

    def _split(self, document: str, name: str) -> tuple[str, str, str]:
        markers = rf"<!-- generated: {re.escape(name)} -->(\s*(.*?)\s*)<!-- end -->"
        whole = (self.root / document).read_text(encoding="utf-8")
        passages = list(re.finditer(markers, whole, re.DOTALL))
        assert len(passages) == 1, f"{document}: has {len(passages)} passages <!-- generated: {name} -->, not one"
        start, end = passages[0].span(1)
        return whole[:start], passages[0][2], whole[end:]


def markdown_table(columns: Mapping[str, str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, a line each for headings, alignment and every row.

    Args:
        columns: heading → alignment, `:---` or `---:`.
        rows: the cells of each row, in the order of `columns`.
    """
    return "".join(f"| {' | '.join(cells)} |\n" for cells in ([*columns], [*columns.values()], *rows))
