"""Image results on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from support.results import RESULT, result

from unseen.core.atomic import write_text
from unseen.core.errors import UserError
from unseen.evaluation.results import ImageResult, read_results, write_results


def test_the_fields_come_in_the_agreed_order() -> None:
    assert " ".join(field.name for field in fields(ImageResult)) == (
        "run protocol protocol_hash data convention method backbone seed budget select tuned split distortion degree "
        "dataset image psnr ssim input_psnr input_ssim invariance"
    )


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = [
        RESULT,
        result(image="ünï\u2028code\n.png", degree="severe"),
        result(image="b", psnr=math.inf, split="held-out"),
        result(image="c", psnr=1 / 3, split="seen", degree=5),
        result(image="caf\udce9.png", dataset="\U0001f600\\ud800"),  # a name in Latin-1, as Python reads it
    ]
    write_results(tmp_path / "new" / "results.jsonl", results)
    assert read_results(tmp_path / "new" / "results.jsonl") == results


def test_infinity_and_nan_are_valid_json(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [result(psnr=math.inf, ssim=math.nan, invariance=math.nan)])
    text = path.read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    written = json.loads(text)
    assert written["psnr"] == "inf"
    assert written["ssim"] is None
    assert written["invariance"] is None
    (read,) = read_results(path)
    assert read.psnr == math.inf
    assert math.isnan(read.ssim)
    assert math.isnan(read.invariance)


def test_a_degree_without_place_on_an_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gaussian_noise"):
        write_results(tmp_path / "results.jsonl", [result(degree=math.nan)])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [RESULT])

    def broken() -> Iterator[ImageResult]:
        yield result(image="b")
        raise RuntimeError("the network failed")

    with pytest.raises(RuntimeError):
        write_results(path, broken())
    assert read_results(path) == [RESULT]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_cannot_be_finished_removes_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [RESULT])

    def refuse(self: Path, target: Path) -> Path:
        assert self.parent == target.parent  # a rename is atomic only within one file system
        assert self.read_text() == "new"
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UserError, match=r"results\.jsonl: cannot be written: disk full"):
        write_text(path, "new")
    assert read_results(path) == [RESULT]
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_results(tmp_path / "results.jsonl", [RESULT])
    assert (tmp_path / "results.jsonl").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("\n" + json.dumps(asdict(RESULT)) + "\r\n\n")
    assert read_results(path) == [RESULT]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"psnr": "high"}, "psnr"),
        ({"psnr": True}, "psnr"),
        ({"psnr": 10**400}, "psnr"),
        ({"psnr": [1]}, "psnr"),
        ({"budget": 100}, "budget"),
        ({"select": None}, "select"),
        ({"tuned": "8"}, "tuned"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"split": "test"}, "split"),
        ({"degree": None}, "degree"),
        ({"method": 3}, "method"),
        ({"psnrr": 3}, "psnrr"),
    ],
)
def test_a_bad_line_is_named_with_file_number_and_field(tmp_path: Path, change: dict[str, object], field: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(asdict(RESULT)) + "\n" + json.dumps({**asdict(RESULT), **change}) + "\n")
    with pytest.raises(UserError) as error:
        read_results(path)
    message = str(error.value)
    assert f"{path}, line 2" in message
    assert f"'{field}'" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", [field.name for field in fields(ImageResult)])
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    values = asdict(RESULT)
    del values[name]
    (tmp_path / "results.jsonl").write_text(json.dumps(values))
    with pytest.raises(UserError, match=f"line 1: field '{name}' is missing"):
        read_results(tmp_path / "results.jsonl")


@pytest.mark.parametrize("line", ["{", "[1]", '{"psnr": NaN}', '{"psnr": Infinity}', "[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "results.jsonl").write_text(line)
    with pytest.raises(UserError, match=r"results\.jsonl, line 1: "):
        read_results(tmp_path / "results.jsonl")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl"):
        read_results(tmp_path / "absent.jsonl")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=r"picture\.png, line 1: not JSON lines: not UTF-8 text at byte 0"):
        read_results(tmp_path / "picture.png")
