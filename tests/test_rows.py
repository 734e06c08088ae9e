"""Rows on disk, and the means over them checked against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from unseen.errors import UserError
from unseen.rows import (
    Row,
    gap_closed,
    is_ceiling,
    levels_of,
    methods_of,
    read_rows,
    split_means,
    summarise,
    write_atomically,
    write_rows,
)

ROW = Row(
    run="run-1",
    protocol="noise-1",
    convention="c0ffee",
    method="erm",
    seed=0,
    budget=100,
    split="unseen",
    distortion="gaussian_noise",
    degree=30.0,
    dataset="embedded",
    image="coffee.png",
    psnr=20.0,
    ssim=0.5,
    input_psnr=10.0,
    input_ssim=0.25,
)


def row(method: str = "erm", seed: int = 0, image: str = "a", psnr: float = 20.0, **others: Any) -> Row:
    return replace(ROW, method=method, seed=seed, image=image, psnr=psnr, **others)


def test_the_fields_come_in_the_agreed_order() -> None:
    assert " ".join(field.name for field in fields(Row)) == (
        "run protocol convention method seed budget split distortion degree dataset image "
        "psnr ssim input_psnr input_ssim"
    )


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        ROW,
        row(image="ünï\u2028code\n.png", degree="severe"),
        row(image="b", psnr=math.inf, split="held-out"),
        row(image="c", psnr=1 / 3, split="seen", degree=5),
    ]
    write_rows(tmp_path / "new" / "rows.jsonl", rows)
    assert read_rows(tmp_path / "new" / "rows.jsonl") == rows


def test_infinity_and_nan_are_valid_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row(psnr=math.inf, ssim=math.nan)])
    text = path.read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    written = json.loads(text)
    assert written["psnr"] == "inf"
    assert written["ssim"] is None
    (read,) = read_rows(path)
    assert read.psnr == math.inf
    assert math.isnan(read.ssim)


def test_a_degree_without_place_on_an_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gaussian_noise"):
        write_rows(tmp_path / "rows.jsonl", [row(degree=math.nan)])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [ROW])

    def broken() -> Iterator[Row]:
        yield row(image="b")
        raise RuntimeError("the network failed")

    with pytest.raises(RuntimeError):
        write_rows(path, broken())
    assert read_rows(path) == [ROW]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_cannot_be_finished_removes_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [ROW])

    def refuse(self: Path, target: Path) -> Path:
        assert self.parent == target.parent  # a rename is atomic only within one file system
        assert self.read_text() == "new"
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert read_rows(path) == [ROW]
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_rows(tmp_path / "rows.jsonl", [ROW])
    assert (tmp_path / "rows.jsonl").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n" + json.dumps(asdict(ROW)) + "\r\n\n")
    assert read_rows(path) == [ROW]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"psnr": "high"}, "psnr"),
        ({"psnr": True}, "psnr"),
        ({"psnr": 10**400}, "psnr"),
        ({"psnr": [1]}, "psnr"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"split": "test"}, "split"),
        ({"degree": None}, "degree"),
        ({"method": 3}, "method"),
        ({"psnrr": 3}, "psnrr"),
    ],
)
def test_a_bad_line_is_named_with_file_number_and_field(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(asdict(ROW)) + "\n" + json.dumps({**asdict(ROW), **change}) + "\n")
    with pytest.raises(UserError) as error:
        read_rows(path)
    message = str(error.value)
    assert f"{path}, line 2" in message
    assert f"'{field}'" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", [field.name for field in fields(Row)])
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    values = asdict(ROW)
    del values[name]
    (tmp_path / "rows.jsonl").write_text(json.dumps(values))
    with pytest.raises(UserError, match=f"line 1: field '{name}' is missing"):
        read_rows(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("line", ["{", "[1]", '{"psnr": NaN}', '{"psnr": Infinity}', "[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(line)
    with pytest.raises(UserError, match=r"rows\.jsonl, line 1: "):
        read_rows(tmp_path / "rows.jsonl")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl"):
        read_rows(tmp_path / "absent.jsonl")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=r"picture\.png: not a file of rows"):
        read_rows(tmp_path / "picture.png")


def test_a_cell_is_the_mean_over_seeds_of_means_over_images() -> None:
    rows = [
        row(seed=0, image="a", psnr=20, ssim=0.5),
        row(seed=0, image="b", psnr=22, ssim=0.7),
        row(seed=1, image="a", psnr=23, ssim=0.6),
        row(seed=1, image="b", psnr=25, ssim=0.8),
    ]
    (cell,) = summarise(rows)
    assert (cell.method, cell.split, cell.distortion, cell.degree) == ("erm", *ROW.level)
    # Seeds 21 and 24: mean 22.5, deviation 3 / sqrt(2); the four images would give 2.08.
    assert cell.psnr.mean == pytest.approx(22.5)
    assert cell.psnr.spread == pytest.approx(2.1213203)
    assert cell.ssim.mean == pytest.approx(0.65)
    assert cell.ssim.spread == pytest.approx(0.0707107)
    assert (cell.input_psnr.mean, cell.input_psnr.spread) == (10.0, 0.0)
    assert (cell.input_ssim.mean, cell.input_ssim.spread) == (0.25, 0.0)
    assert (cell.seeds, cell.images) == (2, 2)


def test_one_seed_has_no_spread() -> None:
    (cell,) = summarise([row(image="a"), row(image="b")])
    assert cell.psnr.spread is None
    assert (cell.seeds, cell.images) == (1, 2)


def test_methods_may_have_different_numbers_of_seeds() -> None:
    cells = summarise([row(seed=0), row(seed=1), row("dil", seed=7)])
    assert [cell.seeds for cell in cells] == [2, 1]


def test_every_confounder_of_a_split_weighs_the_same_whatever_its_images() -> None:
    rows = [
        row(image="a", psnr=30, degree=30),
        row(image="b", psnr=32, degree=30),
        row(image="a", psnr=34, degree=30, dataset="other"),  # same name, another data set: another image
        row(image="a", psnr=10, degree=40),
        row(image="a", psnr=50, degree=5, split="seen"),
    ]
    seen, unseen = split_means(rows)
    assert (seen.split, seen.psnr.mean, seen.levels, seen.images) == ("seen", 50, 1, 1)
    # (mean of 30, 32, 34) and 10, one half each: 21; pooled images would give 26.5.
    assert (unseen.split, unseen.psnr.mean, unseen.levels, unseen.images) == ("unseen", 21, 2, 3)


def test_spread_of_a_split_is_that_of_the_seeds_split_means() -> None:
    rows = [
        row(seed=seed, degree=degree, psnr=psnr)
        for seed, degree, psnr in [
            (0, 30, 20),
            (0, 40, 10),
            (1, 30, 21),
            (1, 40, 11),
            (2, 30, 25),
            (2, 40, 9),
        ]
    ]
    (unseen,) = split_means(rows)
    # Seeds 15, 16, 17.
    assert unseen.psnr.mean == pytest.approx(16)
    assert unseen.psnr.spread == pytest.approx(1)


def test_methods_and_levels_keep_their_order_of_appearance() -> None:
    rows = [row(method, degree=degree) for method in ("z", "a") for degree in (50.0, 5.0, "severe")]
    assert methods_of(rows) == ["z", "a"]
    assert [level[2] for level in levels_of(rows)] == [50.0, 5.0, "severe"]
    assert [(cell.method, cell.degree) for cell in summarise(rows)] == [
        (method, degree) for method in ("z", "a") for degree in (50.0, 5.0, "severe")
    ]


def test_infinity_and_nan_reach_the_mean_and_leave_no_spread() -> None:
    infinite, unknown = summarise(
        [
            row("exact", seed=0, psnr=math.inf),
            row("exact", seed=1),
            row("broken", seed=0, psnr=math.nan),
            row("broken", seed=1),
        ]
    )
    assert (infinite.psnr.mean, infinite.psnr.spread) == (math.inf, None)
    assert math.isnan(unknown.psnr.mean)
    assert unknown.psnr.spread is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"convention": "other"}, "conventions"),
        ({"protocol": "noise-2"}, "protocols"),
        ({"budget": 200}, "budgets"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(change: dict[str, Any], what: str) -> None:
    rows = [row(), row("dil", **change)]
    for table in (summarise, split_means):
        with pytest.raises(UserError, match=what):
            table(rows)


def test_no_rows_are_refused() -> None:
    with pytest.raises(UserError, match="no rows"):
        summarise([])


def test_an_image_counted_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"embedded/a under gaussian_noise 30\.0 \(unseen\) appears twice"):
        summarise([row(), row(psnr=21, run="run-2")])


def test_networks_measured_on_different_images_are_refused() -> None:
    rows = [row(image="a"), row(image="hard"), row("dil", image="a")]
    with pytest.raises(
        UserError, match=r"dil, seed 0 was not measured on embedded/hard .* but erm, seed 0 was"
    ):
        summarise(rows)
    with pytest.raises(UserError, match="erm, seed 1 was not measured"):
        split_means([row(seed=0, degree=30), row(seed=0, degree=40), row(seed=1, degree=30)])


def test_the_gap_closed_is_a_share_of_the_way_to_the_ceiling() -> None:
    rows = [row("erm", psnr=20), row("dil", psnr=23), row("worse", psnr=19), row("ceiling", psnr=24)]
    assert gap_closed(split_means(rows)) == pytest.approx({"dil": 0.75, "worse": -0.25})


@pytest.mark.parametrize(
    "rows",
    [
        [row("erm", psnr=20), row("dil", psnr=23)],
        [row("dil", psnr=20), row("ceiling", psnr=23)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=20.05)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=math.inf)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=15)],
    ],
)
def test_there_is_no_gap_to_close_without_a_ceiling_above_erm(rows: list[Row]) -> None:
    assert gap_closed(split_means(rows)) == {}


def test_the_ceiling_goes_by_its_name_alone() -> None:
    assert is_ceiling("ceiling")
    assert is_ceiling("Ceiling")
    assert not is_ceiling("erm")
