"""Typed records as JSON: what comes back, what is refused, and in which words."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from unseen.core.errors import UserError
from unseen.core.jsonl import Count, Finite, FiniteOrText, Number, Whole, from_json, read_lines, to_json, write_lines


class Place(NamedTuple):
    side: Literal["left", "right"]
    name: str


@dataclass(frozen=True)
class Nested:
    count: Count


@dataclass(frozen=True)
class Record:
    name: str
    seed: Whole = 0
    lr: Finite = 1.0
    psnr: Number = 0.0
    degree: FiniteOrText = 5
    facts: dict[str, Any] | None = None
    places: tuple[Place, ...] = ()
    parts: tuple[Nested, ...] = ()


LATIN_1 = "caf\udce9"
"""A file name that is no text, as Python reads it."""


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [
        Record("a", seed=2**70, lr=1e-308, psnr=-math.inf, degree="words"),
        Record("b\u2028\n", facts={"x": [1, 2.5, None, "inf"], "big": 10**400}, places=(Place("left", "ü"),)),
        Record(LATIN_1, facts={LATIN_1: [LATIN_1]}, places=(Place("right", LATIN_1),), parts=(Nested(3),)),
    ]
    write_lines(tmp_path / "a.jsonl", records)
    assert read_lines(tmp_path / "a.jsonl", Record) == records
    before = (tmp_path / "a.jsonl").read_bytes()
    write_lines(tmp_path / "a.jsonl", read_lines(tmp_path / "a.jsonl", Record))
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_nan_is_null_and_infinity_a_word() -> None:
    values = to_json(Record("a", psnr=math.nan))
    assert values["psnr"] is None
    assert to_json(Record("a", psnr=math.inf))["psnr"] == "inf"
    assert math.isnan(from_json(json.dumps(values), Record).psnr)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": 3}, "field 'name': expected text, got 3"),
        ({"seed": True}, "field 'seed': expected a whole number, got True"),
        ({"seed": "3"}, "field 'seed': expected a whole number, got '3'"),
        ({"seed": 3.0}, "field 'seed': expected a whole number, got 3.0"),
        ({"lr": "inf"}, "field 'lr': expected a finite number, got 'inf'"),
        ({"lr": 10**400}, "field 'lr': expected a finite number, got 1000000"),
        ({"lr": math.nan}, "field 'lr': expected a finite number, got nan"),
        ({"psnr": "high"}, "field 'psnr': expected a number, \"inf\" or null, got 'high'"),
        ({"psnr": math.inf}, "field 'psnr': expected a number, \"inf\" or null, got inf"),
        ({"degree": None}, "field 'degree': expected text or a finite number, got None"),
        ({"places": [["up", "x"]]}, "field 'places.0.0': expected 'left' or 'right', got 'up'"),
        ({"places": 3}, "field 'places': expected a list, got 3"),
        ({"parts": [{"count": 0}]}, "field 'parts.0.count': expected a whole number of 1 or more, got 0"),
        ({"parts": [{}]}, "field 'parts.0.count' is missing"),
        ({"nane": "x"}, "unknown field 'nane' (did you mean 'name'?)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"name": "a"}) + "\n" + json.dumps({"name": "a"} | values))
    with pytest.raises(UserError) as error:
        read_lines(tmp_path / "a.jsonl", Record, hint="remove the line")
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'a.jsonl'}, line 2: {message}")
    assert text.endswith("; remove the line")
    assert "\n" not in text


def test_fields_that_are_not_asked_for_are_passed_over_on_request() -> None:
    assert from_json('{"name": "a", "more": 1}', Record, extra="ignore") == Record("a")


def test_a_check_of_one_s_own_is_told_with_the_line(tmp_path: Path) -> None:
    def refuse_b(record: Record) -> None:
        if record.name == "b":
            raise ValueError("name: b is taken")

    write_lines(tmp_path / "a.jsonl", [Record("a"), Record("b")])
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: name: b is taken$"):
        read_lines(tmp_path / "a.jsonl", Record, check=refuse_b)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": ' + "[" * 100_000, "line 2: not valid JSON (recursion limit exceeded"),
        ('{"name": ' + '{"a":' * 100_000, "line 2: not valid JSON (recursion limit exceeded"),
        ('{"name": "a", "seed": ' + "9" * 5000 + "}", "line 2: not valid JSON (number out of range at column 4324)"),
        ('{"name": "' + "x" * 2**20 + '"}', "line 2: longer than 1 MiB"),
        ('{"name": "a", "' + "x" * 100_000 + '": 1}', "line 2: unknown field 'xxx"),
    ],
)
def test_a_line_bounds_the_work_that_it_makes(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"name": "a"}\n' + line + "\n")
    began = time.process_time()
    with pytest.raises(UserError, match=re.escape(f"{path}, {message}")) as caught:
        read_lines(path, Record)
    assert time.process_time() - began < 1
    assert len(str(caught.value)) < 1000


def test_a_file_of_many_lines_may_be_large(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = '{"name": "' + "x" * 2**18 + '"}\n'
    path.write_text(line * 8)
    assert len(read_lines(path, Record)) == 8


def test_a_device_is_read_no_further_than_a_line() -> None:
    with pytest.raises(UserError, match="/dev/zero, line 1: longer than 1 MiB"):
        read_lines(Path("/dev/zero"), Record)
