"""YAML files: what earlier versions wrote is read as it was, and what is written now is the same text."""

from __future__ import annotations

import math

import pytest
from ruamel.yaml.error import YAMLError

from unseen.core.yaml12 import dump, load

WRITTEN_BEFORE = """\
device: cpu
data:
- embedded
- "caf\\xE9 \\uDC80"
pairs: []
enlarge: false
budget: 30min
lr: 1.0e-05
method: dil_sf:inner_lr=1e-3,order=1
out: 'yes'
"""


def test_a_configuration_of_an_earlier_version_is_read_and_written_again_as_it_was() -> None:
    values = load(WRITTEN_BEFORE)
    assert values["lr"] == 1e-5
    assert values["out"] == "yes"
    plain = {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
    assert plain["data"] == ["embedded", "café \udc80"]
    assert dump(plain) == WRITTEN_BEFORE


def test_lists_and_mappings_know_the_lines_of_their_items() -> None:
    values = load("a: 1\nb:\n  - x\n  - y\n")
    assert values.lc.data["b"][0] == 1
    assert values["b"].lc.data[1][0] == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "found duplicate key"),
        ("a: &a [*a]", "an alias stands for a value that contains the alias"),
        ("a: &a {b: [1, {c: *a}]}", "an alias stands for a value that contains the alias"),
        ("a: !mine 1", "could not determine a constructor"),
        ("a: !mine [1]", "could not determine a constructor"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
    ],
)
def test_what_yaml_would_let_pass_is_refused(text: str, problem: str) -> None:
    with pytest.raises(YAMLError, match=problem):
        load(text)


def test_numbers_are_decimal_and_everything_else_is_text() -> None:
    texts = ["1:30", "010", "0x10", "0o7", "1_000", "1_0.5", "2001-01-01", "1e", "e3", ".", "+", "-", "1.2.3", "y", "="]
    numbers = [0, -2, 4, 1.0, 0.5, 1e-3, 1e5, -0.5, math.inf]
    assert load(f"[{', '.join(texts)}]") == texts
    assert load("[0, -2, +4, 1., .5, 1e-3, 1.0e+5, -.5, .inf]") == numbers
    assert load(dump(texts + numbers)) == texts + numbers
