"""What a built-in distortion says of itself: its row in the documents, and the unit of its degree."""

from __future__ import annotations

import pytest
import torch
from support.docs_tables import DocsTables, markdown_table
from torch import Tensor

from unseen.core.registry import signature, summary_line
from unseen.distortions import DISTORTIONS, Distortion, Parameters
from unseen.distortions.spec import PAIRS, degree_unit

WORDED = ("hybrid", "real_esrgan")  # whose degrees are words


def test_the_documents_list_every_distortion_with_what_its_class_says(docs_tables: DocsTables) -> None:
    columns = dict.fromkeys(("distortion", "settings", "degree", "what it does, and its source"), ":---")
    rows = [
        (f"`{name}`", f"`{signature(part)}`", degree_unit(name) or "in words", summary_line(part))
        for name, part in DISTORTIONS.items()
    ]
    docs_tables.check("docs/protocols.md", "distortions", markdown_table(columns, rows))


@pytest.mark.parametrize("name", [*(name for name in DISTORTIONS if name not in WORDED), PAIRS])
def test_every_degree_on_an_axis_has_its_unit(name: str) -> None:
    assert degree_unit(name)


class Fog(Distortion):
    """A distortion of one's own, which says nothing of its degree."""

    degree = 1.0

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return clean


@pytest.mark.parametrize("name", [*WORDED, "test_built_ins.Fog", "gaussian_blur > jpeg", "unknown"])
def test_a_degree_that_no_class_describes_has_no_unit(name: str) -> None:
    assert Fog.degree_unit == degree_unit(name) == ""
