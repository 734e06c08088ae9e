"""When not to trust a restoration: readings of known noise, Stein's estimate against filters in closed form."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unseen.core.errors import UserError
from unseen.core.statistics import estimate
from unseen.data.embedded import embedded_photos
from unseen.evaluation.noise import estimate_noise, photo_noise, sampled_crops
from unseen.models.card import Envelope, Quality
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.self_check import envelope_warning, harmless_share, self_check

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


# ------------------------------------------------------------------------------------------- do no harm


def closed_form(noise: Image, output: Image, centre: float) -> float:
    """t of a linear filter whose matrix has `centre` everywhere on its diagonal: its divergence is N · centre."""
    variance = (estimate_noise([noise]) / 255) ** 2
    return min(1.0, variance * (1 - centre) / float(np.mean((output.astype(np.float64) - noise) ** 2)))


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("sigma", [4, 12])
def test_the_share_of_a_linear_filter_is_that_of_the_closed_form(side: int, sigma: float) -> None:
    image = noisy(photo(), sigma)
    output = blur(torch.from_numpy(image).permute(2, 0, 1)[None], side)[0].permute(1, 2, 0).numpy()
    expected = closed_form(image, output, 1 / side**2)
    assert 0.05 < expected < 0.95
    assert harmless_share(model(lambda x: blur(x, side)), [image]) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("sigma", [4, 12, 30])
def test_the_share_is_nearly_the_best_there_is(sigma: float) -> None:
    """Against the least squares that only who knows the clean photograph can do."""
    clean = photo()
    image = noisy(clean, sigma)
    output = blur(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    move = output - image
    best = min(1.0, max(0.0, float(np.sum((clean - image) * move) / np.sum(move * move))))
    share = harmless_share(model(blur), [image])
    errors = {t: float(np.mean((image + t * move - clean) ** 2)) for t in (0, share, best, 1)}
    assert share == pytest.approx(best, abs=0.2)
    assert errors[share] < 1.1 * errors[best]
    assert errors[share] < errors[0]
    assert errors[share] < 1.02 * errors[1]


def test_a_model_that_only_does_harm_is_left_out() -> None:
    """It adds a constant: the divergence is N, the risk grows with the share."""
    assert harmless_share(model(lambda x: x + 0.1), [noisy(photo(), 10)]) == pytest.approx(0, abs=1e-3)


def test_a_model_that_does_nothing_is_kept() -> None:
    assert harmless_share(model(lambda x: x.clone()), [noisy(photo(), 10)]) == 1


def test_a_model_that_restores_all_is_kept() -> None:
    """It knows the photograph: no divergence, and it moves by the noise."""
    clean = photo()
    answer = torch.from_numpy(clean).permute(2, 0, 1)[None]
    assert harmless_share(model(lambda x: answer), [noisy(clean, 20)]) > 0.95


def test_crops_of_different_sizes_are_judged_together_and_alike_each_time() -> None:
    crops = [noisy(photo(side), 8, seed=side) for side in (65, 96)]
    first, again = (harmless_share(model(blur), crops) for _ in range(2))
    assert first == again
    assert 0 < first < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 30)])
def test_where_nothing_can_be_read_the_input_is_kept(size: tuple[int, int]) -> None:
    assert harmless_share(model(lambda x: x * 0), [gray(*size)]) == 0


@pytest.mark.parametrize("paper", [1.0, 0.94, 0.12, 0.0], ids=["white", "gray", "dark", "black"])
def test_what_is_drawn_is_not_judged_by_its_lines(paper: float) -> None:
    """Text on even paper reads as noise, or not at all; either way it is left alone, and said."""
    page = drawn(paper)
    assert math.isnan(photo_noise([page]))
    check = self_check([page], model(blur), SAFE, do_no_harm=True)
    assert (check.kept, len(check.warnings)) == (0, 1)
    assert "left as it is" in check.warnings[0].text
    assert self_check([page], model(blur), SAFE, do_no_harm=False).kept == 1


def drawn(paper: float) -> Image:
    """Lines of letters, made up of random strokes with soft rims, on even paper."""
    draws = np.random.default_rng(3)
    page = gray(192, 192, paper)
    for top in range(4, 180, 14):
        ink = draws.random((8, 184)) < 0.35
        strokes = np.where(ink, abs(paper - 0.9), paper) * 0.7 + np.where(np.roll(ink, 1, 1), 0.5, paper) * 0.3
        page[top : top + 8, 4:188] = strokes[..., None]
    return page


def test_the_share_is_judged_in_float32_where_the_model_multiplies_in_bfloat16() -> None:
    image = noisy(photo(), 10)
    rounding = replace(model(lambda x: blur(x).bfloat16().float()), exact=blur)
    shares = [self_check([image], m, SAFE, do_no_harm=True).kept for m in (rounding, model(blur))]
    assert shares[0] == shares[1] < 1


@pytest.mark.parametrize("sigma", [2, 10, 40])
def test_a_photograph_with_noise_is_no_drawing(sigma: float) -> None:
    image = np.rint(noisy(photo(), sigma).clip(0, 1) * 255).astype(np.float32) / 255
    assert photo_noise([image]) == estimate_noise([image])


def test_a_model_that_enlarges_has_no_input_to_blend_with() -> None:
    with pytest.raises(UserError, match="a filter"):
        harmless_share(model(lambda x: x, scale=2), [photo(64)])


# ------------------------------------------------------------------------------------------- what they are worth


def test_the_page_of_what_they_buy_is_what_its_rows_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "studies")
    study = importlib.import_module("do_no_harm")
    assert study.page(*study.read()) == study.PAGE.read_text()


def test_what_the_page_of_what_they_buy_claims_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rule is better or worse than restoring stands in sentences that were written by hand."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "studies")
    study = importlib.import_module("do_no_harm")
    model, trials = study.read()
    assert {"cbsd68", study.REAL} & set(model.measured_on.split(", "))
    better: dict[str, set[str]] = {"harmless": set(), "inside": set()}
    worse: dict[str, set[str]] = {"harmless": set(), "inside": set()}
    for level in study.LEVELS:
        for rule in better:
            gain = estimate(
                [getattr(t, rule) - t.plain for t in trials if t.dataset != study.REAL and t.level == level]
            )
            if gain.spread is not None and abs(gain.mean) > gain.spread:
                (better if gain.mean > 0 else worse)[rule].add(level)
    weak = {"gaussian_noise:0", "gaussian_noise:2"}
    others = {"gaussian_noise:75", "correlated_noise:15", "salt_and_pepper:0.02", "jpeg:30"}
    assert better == {"harmless": weak | {"gaussian_noise:5", "gaussian_noise:15"}, "inside": weak}
    assert worse == {"harmless": others | {"gaussian_noise:50"}, "inside": others}
    for rule in better:
        real = estimate([getattr(t, rule) - t.plain for t in trials if t.dataset == study.REAL])
        assert real.spread is not None
        assert abs(real.mean) < real.spread
