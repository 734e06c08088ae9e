"""When not to trust a restoration: readings of known noise, and changes that are not worth their risk."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unseen.data.embedded import embedded_photos
from unseen.evaluation.noise import estimate_noise, photo_noise, sampled_crops
from unseen.models.card import Envelope, Quality
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.guarded_model import Change, MonitoredModel
from unseen.restoration.report import PhotoWarning
from unseen.restoration.self_check import (
    QUIET,
    SLIGHT,
    SLIGHT_WHERE_QUIET,
    SelfCheck,
    envelope_warning,
    self_check,
    with_change,
    worth_its_risk,
)
from unseen.restoration.tiles import Tiling, restored_strips

Image = NDArray[np.float32]
QUALITY = Quality("seen", "gaussian_noise", 5.0, "set", 3, 30, 31, 1, 0.5, 1.5, 5)
SAFE = Envelope(2.0, 50.0, QUALITY, QUALITY)


def noisy(clean: Image, sigma: float, seed: int = 0) -> Image:
    field = np.random.default_rng(seed).normal(0, sigma / 255, clean.shape)
    found: Image = (clean + field).astype(np.float32)
    return found


def gray(height: int, width: int, value: float = 0.5) -> Image:
    return np.full((height, width, 3), value, dtype=np.float32)


def photo(side: int = 256) -> Image:
    return embedded_photos("test")[0].centre(side).pixels.astype(np.float32) / np.float32(255)


def model(run: Callable[[Tensor], Tensor], scale: int = 1) -> Model:
    return Model("a filter", run, ReceptiveField(None, 1, scale))


def blur(image: Tensor, side: int = 3) -> Tensor:
    """The mean over a square, wrapped around: a linear map, with 1/side² everywhere on its diagonal."""
    padded = F.pad(image, [side // 2] * 4, mode="circular")
    return F.avg_pool2d(padded, side, stride=1)


# ------------------------------------------------------------------------------------------------ readings


@pytest.mark.parametrize("sigma", [1, 5, 25, 60])
@pytest.mark.parametrize("size", [(256, 256), (70, 300), (64, 64)])
def test_white_noise_is_read_as_what_it_is(sigma: float, size: tuple[int, int]) -> None:
    assert estimate_noise([noisy(gray(*size), sigma)]) == pytest.approx(sigma, rel=0.07)


def test_a_photograph_with_noise_is_read_to_within_its_texture() -> None:
    for sigma in (10, 25):
        assert sigma * 0.95 < estimate_noise([noisy(photo(), sigma)]) < sigma + 2


def test_texture_in_half_of_an_image_is_not_taken_for_noise() -> None:
    image = gray(256, 256)
    image[:, 100:] = np.random.default_rng(1).choice([0.2, 0.8], (256, 156, 1))
    image[:64] = 0.5
    assert estimate_noise([noisy(image, 5)]) == pytest.approx(5, rel=0.1)


def test_noise_is_not_looked_for_where_it_is_clipped() -> None:
    image = noisy(gray(128, 256), 20)
    image[:, 64:] = 1  # three quarters are a blown-out sky
    assert estimate_noise([image]) == pytest.approx(20, rel=0.07)


def test_crops_are_read_together() -> None:
    weak, strong = noisy(gray(64, 64), 5), noisy(gray(64, 64), 50)
    assert estimate_noise([weak, weak, weak, strong]) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (15, 64), (0, 0)])
def test_too_small_to_be_read(size: tuple[int, int]) -> None:
    assert math.isnan(estimate_noise([noisy(gray(*size), 20)]))
    assert math.isnan(estimate_noise([]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_what_is_flat_has_no_noise_unless_it_is_clipped(value: float) -> None:
    reading = estimate_noise([gray(80, 80, value)])
    assert math.isnan(reading) if value in (0, 1) else reading < 1e-3


@pytest.mark.filterwarnings("error")
def test_stripes_without_noise_are_read_without_a_warning() -> None:
    stripes = np.tile(np.array([0.25, 0.75], dtype=np.float32), (64, 32))[..., None].repeat(3, axis=2)
    assert estimate_noise([stripes]) < 1e-3


def test_crops_of_a_wide_picture_are_read_a_few_rows_at_a_time() -> None:
    asked: list[tuple[int, int]] = []

    def read(top: int, bottom: int) -> Image:
        asked.append((top, bottom))
        return gray(bottom - top, 3000)

    assert [crop.shape for crop in sampled_crops(read, 300, 3000)] == [(256, 256, 3)] * 9
    assert max(bottom - top for top, bottom in asked) <= 16
    assert asked == sorted(asked)


# ------------------------------------------------------------------------------------------------ warnings


@pytest.mark.parametrize("reading", [2.0, 10.0, 50.0])
def test_no_warning_inside_its_ends_included(reading: float) -> None:
    assert envelope_warning(reading, SAFE) is None


@pytest.mark.parametrize("reading", [0.0, 1.9, 50.1])
def test_a_warning_outside_names_the_reading_and_the_envelope(reading: float) -> None:
    warning = envelope_warning(reading, SAFE)
    assert warning is not None
    assert all(f"{value:.1f}" in warning.text for value in (reading, 2, 50))
    assert "\n" not in warning.text
    assert ("texture that is gone" if reading < 2 else "noise that is left") in warning.summary


def test_what_cannot_be_read_is_warned_of_and_what_is_not_known_is_not() -> None:
    warning = envelope_warning(math.nan, SAFE)
    assert warning is not None
    assert "cannot be estimated" in warning.text
    assert envelope_warning(3.0, None) is None
    assert envelope_warning(math.nan, None) is None


# ------------------------------------------------------------------------------------------- worth its risk


@pytest.mark.parametrize(
    ("noise", "least"), [(math.nan, SLIGHT_WHERE_QUIET), (0, SLIGHT_WHERE_QUIET), (QUIET, SLIGHT), (40, SLIGHT)]
)
def test_a_restoration_is_worth_its_risk_from_a_change_on_that_depends_on_noise(noise: float, least: float) -> None:
    assert [worth_its_risk(change, noise) for change in (0, 0.99 * least, least, math.inf)] == [
        False,
        False,
        True,
        True,
    ]


def test_less_of_a_restoration_is_judged_as_the_whole_of_it() -> None:
    assert worth_its_risk(0.6 * SLIGHT, 40, strength=0.5)
    assert not worth_its_risk(0.4 * SLIGHT, 40, strength=0.5)
    assert not worth_its_risk(0.9 * SLIGHT, 40, strength=2)
    half = Change(0.6 * SLIGHT, 0.0, square=(0.6 * SLIGHT) ** 2)
    assert with_change(SelfCheck(40, 1.0), half, harm_check=True, strength=0.5).kept
    assert not with_change(SelfCheck(40, 1.0), half, harm_check=True).kept


def test_a_change_that_is_not_worth_its_risk_is_not_kept_and_not_warned_of() -> None:
    check = SelfCheck(40, 1.0, (PhotoWarning("above"),))
    slight = Change(0.9 * SLIGHT, 1.0, colour=1.0, square=(0.9 * SLIGHT) ** 2)
    assert with_change(check, slight, harm_check=True) == SelfCheck(40, 0.0)
    assert len(with_change(check, slight, harm_check=False).warnings) == 2
    assert with_change(check, Change(), harm_check=True) == check


@pytest.mark.parametrize("tile", [16, 64])
def test_the_change_is_that_of_the_whole_image_whatever_the_tiles(tile: int) -> None:
    """Also where tiles overlap, whose common pixels are restored twice."""
    image = photo(64)
    image[:20] *= 0.3
    monitored = MonitoredModel(Model("squares", torch.square, ReceptiveField(0)), [0.0])
    tiles = Tiling(tile, 8)
    strips = restored_strips(
        monitored.model, lambda top, bottom: image[top:bottom], 64, 64, tiles, measure=monitored.measure
    )
    (change,), whole = monitored.changes, np.concatenate(list(strips)) - image
    assert change.values == image.size
    assert change.rms == pytest.approx(float(np.sqrt(np.square(whole).mean())), rel=1e-5)
    assert change.mean == pytest.approx(float(np.abs(whole).mean()), rel=1e-5)
    assert 0 < change.mean < change.rms < change.largest == np.abs(whole).max()


@pytest.mark.parametrize("paper", [1.0, 0.94, 0.12, 0.0], ids=["white", "gray", "dark", "black"])
def test_what_is_drawn_is_not_judged_by_its_lines(paper: float) -> None:
    """Text on even paper reads as noise, or not at all."""
    page = drawn(paper)
    assert math.isnan(photo_noise([page]))
    assert math.isnan(self_check([page], model(blur), SAFE).noise_level)


def drawn(paper: float) -> Image:
    """Lines of letters, made up of random strokes with soft rims, on even paper."""
    draws = np.random.default_rng(3)
    page = gray(192, 192, paper)
    for top in range(4, 180, 14):
        ink = draws.random((8, 184)) < 0.35
        strokes = np.where(ink, abs(paper - 0.9), paper) * 0.7 + np.where(np.roll(ink, 1, 1), 0.5, paper) * 0.3
        page[top : top + 8, 4:188] = strokes[..., None]
    return page


@pytest.mark.parametrize("sigma", [2, 10, 40])
def test_a_photograph_with_noise_is_no_drawing(sigma: float) -> None:
    image = np.rint(noisy(photo(), sigma).clip(0, 1) * 255).astype(np.float32) / 255
    assert photo_noise([image]) == estimate_noise([image])


# ------------------------------------------------------------------------------------------- what they are worth


def test_the_page_of_what_they_buy_is_what_its_rows_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "studies")
    study = importlib.import_module("do_no_harm")
    assert study.page(*study.read()) == study.PAGE.read_text()


def test_the_thresholds_are_those_that_the_rule_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "studies")
    study = importlib.import_module("do_no_harm")
    _, choice, _ = study.read()
    assert study.chosen(choice) == study.PRESENT
    assert study.lost_too_much(choice, study.PRESENT) is None
    assert {trial.dataset for trial in choice} == {"kept", "coded"}


def test_the_change_of_many_pixels_is_summed_exactly_enough() -> None:
    before = torch.zeros(3, 1500, 1500)
    after = torch.rand(before.shape, generator=torch.Generator().manual_seed(0)) / 100
    assert Change.between(before, after).square == pytest.approx(float(after.double().square().mean()), rel=1e-6)
