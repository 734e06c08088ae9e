"""What the gallery of the page shows, in which order, and how it is stored."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.fake_study import CAMERAS, METHODS, NOISE, pictures, study

from unseen.evaluation.results import ImageResult
from unseen.study.report import gallery as page_pictures
from unseen.study.report.gallery import by_severity, gallery, worst_then_median
from unseen.study.summary import StudySummary


def pixels_of(source: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def with_gains(gains: dict[tuple[str, str], float]) -> list[ImageResult]:
    """Rows of one method and one unseen level in which each image gains so much; the ceiling gains the contrary."""
    erm, ceiling = (next(row for row in study().results if row.method == name) for name in ("erm", "ceiling"))
    return [
        replace(row, split="unseen", dataset=dataset, image=image, psnr=row.input_psnr + sign * gain)
        for (dataset, image), gain in gains.items()
        for row, sign in ((erm, 1), (ceiling, -1))
    ]


def test_the_worst_of_every_set_comes_first_then_the_median() -> None:
    gains = {("a", "1"): 3.0, ("a", "2"): 1.0, ("a", "3"): 2.0, ("a", "4"): 5.0, ("b", "1"): 0.0, ("b", "2"): 4.0}
    rows = with_gains(gains) + [replace(row, split="seen", psnr=-99.0) for row in with_gains({("a", "4"): 1.0})]
    assert worst_then_median(rows) == {
        ("b", "1"): "worst of 2",
        ("a", "2"): "worst of 4",
        ("a", "1"): "median of 4",
        ("a", "3"): "",
        ("b", "2"): "",
        ("a", "4"): "",
    }
    assert [*worst_then_median(rows)] == [("b", "1"), ("a", "2"), ("a", "1"), ("a", "3"), ("b", "2"), ("a", "4")]


def test_gains_that_are_not_finite_are_left_out() -> None:
    rows = with_gains({("a", "1"): math.inf, ("a", "2"): 1.0, ("a", "3"): -1.0})
    assert [image for _, image in worst_then_median(rows)] == ["3", "1", "2"]


def test_severity_goes_by_what_was_left_of_the_image() -> None:
    rows = study(levels=NOISE[::-1] + CAMERAS[3:]).results
    order = by_severity(rows)
    given = {row.level: row.input_psnr for row in rows}
    assert [given[level] for level in order] == sorted(given.values(), reverse=True)


def test_every_picture_is_stored_once_and_found_again() -> None:
    of = study()
    taken = pictures(of, images=2, side=8)
    found = gallery(of, taken)
    assert found is not None
    assert found.quality is None
    assert len(set(found.sources)) == len(found.sources) < len(taken)  # the clean ones are the same at every level
    for picture in taken:
        image = [one["name"] for one in found.images].index(picture.image)
        level = [one["degree"] for one in found.levels].index(f"{picture.degree:g}")
        shown = found.pictures[image][level][picture.label]
        np.testing.assert_array_equal(pixels_of(found.sources[shown.source]), picture.pixels)
        assert (shown.width, shown.height) == (8, 8)
        assert shown.psnr == ("" if picture.psnr is None else f"{picture.psnr:.2f} dB")


def test_much_is_stored_with_loss_and_its_colours_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    of = study()
    taken = pictures(of, images=1, side=48)
    lossless = gallery(of, taken)
    assert lossless is not None
    monkeypatch.setattr(page_pictures, "ROOM", sum(map(len, lossless.sources)) // 2)
    found = gallery(of, taken)
    assert found is not None
    assert found.quality in page_pictures.QUALITIES
    assert sum(map(len, found.sources)) <= page_pictures.ROOM
    noisy = next(picture for picture in taken if picture.label == "input" and picture.degree == 50)
    stored = pixels_of(found.sources[found.pictures[0][-1]["input"].source]).astype(float)
    residual = stored - noisy.pixels
    colour = noisy.pixels.astype(float) - noisy.pixels.mean(axis=2, keepdims=True)
    assert np.square(residual - residual.mean(axis=2, keepdims=True)).mean() < 0.2 * colour.var()
    monkeypatch.setattr(page_pictures, "ROOM", 1)
    least = gallery(of, taken)
    assert least is not None
    assert least.quality == page_pictures.QUALITIES[-1]


def test_erm_starts_against_the_best_other_and_a_single_method_against_the_input() -> None:
    of = study((*METHODS, "zzz"))
    assert (found := gallery(of, pictures(of, side=8))) is not None
    assert found.start == {"left": "erm", "right": "zzz", "level": len(NOISE) - 1}
    alone = study(("dil_sf",))
    assert (found := gallery(alone, pictures(alone, side=8))) is not None
    assert found.start == {"left": "input", "right": "dil_sf", "level": len(NOISE) - 1}


def test_an_image_that_was_not_taken_under_a_level_has_nothing_there() -> None:
    of = study(levels=CAMERAS)
    taken = [p for p in pictures(of, images=2, side=8) if (p.distortion == "pairs") == (p.image == "embedded/1.png")]
    found = gallery(of, taken)
    assert found is not None
    kinds = [level["distortion"] for level in found.levels]
    for image, at_levels in zip(found.images, found.pictures, strict=True):
        there = {kind for kind, shown in zip(kinds, at_levels, strict=True) if shown}
        assert there == {"recorded pairs" if image["name"] == "embedded/1.png" else "camera noise"}


def test_no_pictures_make_no_gallery() -> None:
    assert gallery(StudySummary(study().results), []) is None
