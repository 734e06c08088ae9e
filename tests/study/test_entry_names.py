"""What lines of tables are called."""

from __future__ import annotations

import pytest

from unseen.core.errors import UserError
from unseen.study.config import CompareConfig
from unseen.study.entry_names import entry_name

OWN = "plain:features=16,depth=6"


@pytest.mark.parametrize(
    ("backbone", "label"),
    [
        (OWN, "erm"),
        ("plain:features=16,depth=6,bias=false", "erm @ bias=false"),
        ("plain:depth=6, features=16,bias=false", "erm @ bias=false"),
        ("plain:depth=6,features=16", "erm"),
        ("plain:features=8,depth=6", "erm @ plain:features=8,depth=6"),
        ("plain:bias=false", "erm @ plain:bias=false"),
        ("plain", "erm @ plain"),
        ("plain_ne:features=16,depth=6", "erm @ plain_ne"),
        ("wne:plain:depth=6,features=16", "erm @ wne"),
        ("wne:plain:features=16,depth=6,bias=false", "erm @ wne:bias=false"),
        ("wne:plain:depth=6", "erm @ wne:plain:depth=6"),
        ("wne:plain", "erm @ wne:plain"),
        ("wne:unet:features=16,depth=6", "erm @ wne:unet:features=16,depth=6"),
        ("unet:features=16,widths=[1,2]", "erm @ unet:features=16,widths=[1,2]"),
    ],
)
def test_a_backbone_is_named_by_what_differs(backbone: str, label: str) -> None:
    assert entry_name("erm", backbone, OWN) == label


def test_two_spellings_of_one_network_are_one_entry() -> None:
    methods = [f"erm @ wne:{OWN}", "erm @ wne:plain:depth=6,features=16"]
    with pytest.raises(UserError, match=r"^methods: 'erm @ wne' is listed twice$"):
        CompareConfig(backbone=OWN, methods=methods, out="study").check()
