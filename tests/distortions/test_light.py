"""Haze against Koschmieder's law, low light against linear light as scikit-image knows it and the noise's moments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2xyz
from torch import Tensor

from unseen.core.randomness import generator
from unseen.core.registry import build
from unseen.distortions import Distortion, Range
from unseen.distortions.air import Haze
from unseen.distortions.light import LowLight

ALL = [Haze((0.3, 2)), LowLight((0.05, 0.5))]


def distort(distortion: Distortion, clean: Tensor, seed: int = 0) -> Tensor:
    return distortion.apply(clean, distortion.sample(generator(seed, "test"), len(clean)))


def flat(value: float, n: int = 1, size: int = 64) -> Tensor:
    return torch.full((n, 3, size, size), value, dtype=torch.float64)


def linear(gray: Tensor) -> Tensor:
    """Linear light of sRGB values: Y of a gray, as scikit-image computes it."""
    values = gray.numpy().reshape(-1, 1).repeat(3, axis=1)
    return torch.from_numpy(rgb2xyz(values)[:, 1] / rgb2xyz(np.ones(3))[1]).view(gray.shape)


def test_no_haze_changes_nothing() -> None:
    clean = torch.rand(2, 3, 9, 14)
    assert torch.equal(distort(Haze(0), clean), clean)


def test_thick_haze_leaves_airlight() -> None:
    """Depth is at least 0.1: exp(-100 * 0.1) < 5e-5."""
    haze = Haze(100)
    parameters = haze.sample(generator(0), 4)
    airlight = parameters["airlight"].view(4, 1, 1, 1)
    assert float((haze.apply(torch.rand(4, 3, 32, 32).double(), parameters) - airlight).abs().max()) < 5e-5


def test_haze_follows_koschmieders_law() -> None:
    """White less black is t, black is A (1 - t), any scene J t + A (1 - t); twice the β squares t."""
    haze = Haze((0.5, 1.5))
    parameters = haze.sample(generator(1), 3)
    clean = torch.rand(3, 3, 24, 31, dtype=torch.float64)
    black = haze.apply(torch.zeros_like(clean), parameters)
    t = haze.apply(torch.ones_like(clean), parameters) - black
    airlight = parameters["airlight"].view(3, 1, 1, 1)
    assert torch.allclose(black, airlight * (1 - t), atol=1e-12)
    assert torch.allclose(haze.apply(clean, parameters), clean * t + airlight * (1 - t), atol=1e-12)
    thicker = parameters | {"beta": 2 * parameters["beta"]}
    assert torch.allclose(haze.apply(clean, thicker), clean * t**2 + airlight * (1 - t**2), atol=1e-12)
    assert torch.allclose(t[:, :1].expand_as(t), t, atol=1e-12)  # gray


def depths(size: int, n: int = 400) -> Tensor:
    """Depth as haze of β 1 shows it on white with black airlight, (n, size, size)."""
    return -distort(Haze(1, airlight=0), torch.ones(n, 1, size, size, dtype=torch.float64))[:, 0].log()


def test_depth_falls_from_far_to_near_about_a_mean_of_one() -> None:
    found = depths(20)
    assert float(found.min()) > 0.1
    assert float(found.max()) < 1.9
    rows = found.mean(dim=2)
    error = 4 * rows.std(dim=0) / math.sqrt(len(rows))
    expected = 1.5 - (torch.arange(20) + 0.5) / 20
    assert bool(((rows.mean(dim=0) - expected).abs() < error).all())
    assert float(error.max()) < 0.05
    assert float(found.std(dim=0).min()) > 0.03  # there are hills everywhere


def test_depth_is_smooth_and_spans_the_image_whatever_its_size() -> None:
    """One pixel apart it differs by at most the fall, 1/96, and the hills' steepest slope: 3 cells, of ±0.2."""
    fine, coarse = depths(96, 20), depths(32, 20)
    assert float(fine.diff(dim=1).abs().max()) < 1 / 96 + 3 / 95 * 0.4 * 2
    assert float(fine.diff(dim=2).abs().max()) < 3 / 95 * 0.4 * 2
    assert float((torch.nn.functional.avg_pool2d(fine, 3) - coarse).abs().max()) < 0.03


def test_full_exposure_without_noise_changes_nothing() -> None:
    clean = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    clean[0, 0, 0, :4] = torch.tensor([0, 0.002, 0.04, 1])
    assert torch.allclose(distort(LowLight(1, shot=0, read=0), clean), clean, atol=1e-6)


@pytest.mark.parametrize("exposure", [0.5, 0.1, 0.01])
def test_exposure_scales_linear_light(exposure: float) -> None:
    clean = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    dark = distort(LowLight(exposure, shot=0, read=0), clean)
    assert torch.allclose(linear(dark), exposure * linear(clean), atol=1e-6)


@pytest.mark.parametrize(("exposure", "shot", "read"), [(0.5, 1e-3, 0), (0.2, 0, 5e-3), (0.3, 5e-4, 3e-3)])
def test_noise_has_its_moments_in_linear_light(exposure: float, shot: float, read: float) -> None:
    """Far from both ends nothing is clipped: mean e x, variance shot · e x + read², no skew, white."""
    clean = flat(0.7, 4)
    light = exposure * float(linear(clean[:1, 0, 0, 0]))
    found = linear(distort(LowLight(exposure, shot, read), clean))
    variance = shot * light + read**2
    assert light > 5 * math.sqrt(variance)
    noise = (found - light) / math.sqrt(variance)
    n = noise.numel()
    assert abs(float(noise.mean())) < 4 / math.sqrt(n) + 1e-3
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / n)
    assert abs(float((noise**3).mean())) < 4 * math.sqrt(15 / n)
    assert abs(float((noise[..., 1:] * noise[..., :-1]).mean())) < 4 / math.sqrt(n)
    assert abs(float((noise[:, 0] * noise[:, 1]).mean())) < 4 / math.sqrt(n / 3)


def test_black_holds_the_upper_half_of_the_read_noise() -> None:
    """E max(0, σz) = σ/√2π, and its second moment σ²/2."""
    found = linear(distort(LowLight(0.5, shot=0.01, read=0.002), flat(0, 4)))
    n = found.numel()
    assert float(found.mean()) == pytest.approx(0.002 / math.sqrt(2 * math.pi), abs=4 * 0.002 * math.sqrt(0.341 / n))
    assert float((found == 0).double().mean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(n))


@pytest.mark.parametrize("distortion", ALL, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (17, 33), (64, 48)])
def test_a_draw_is_replayed_and_a_batch_equals_its_images(distortion: Distortion, size: tuple[int, int]) -> None:
    clean = torch.rand(5, 3, *size)
    before = clean.clone()
    parameters = distortion.sample(generator(3), 5)
    first = distortion.apply(clean, parameters)
    assert torch.equal(clean, before)
    assert first.shape == clean.shape
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert torch.equal(first, distortion.apply(clean, distortion.sample(generator(3), 5)))
    assert not torch.equal(first, distortion.apply(clean, distortion.sample(generator(4), 5)))
    assert torch.equal(first, distortion.apply(clean.contiguous(memory_format=torch.channels_last), parameters))
    for i in range(5):
        single = {name: value[i : i + 1] for name, value in parameters.items()}
        assert torch.equal(first[i : i + 1], distortion.apply(clean[i : i + 1], single))


@pytest.mark.parametrize("distortion", ALL, ids=lambda d: type(d).__name__)
def test_dtypes_are_kept_and_agree(distortion: Distortion) -> None:
    clean = 0.2 + 0.8 * torch.rand(2, 1, 30, 30, dtype=torch.float64)
    parameters = distortion.sample(generator(0), 2)
    single, double = (distortion.apply(clean.to(dtype), parameters) for dtype in (torch.float32, torch.float64))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(single.double(), double, atol=1e-5)
    assert {value.dtype for value in parameters.values()} == {torch.float64, torch.int64}
    assert {value.shape for value in parameters.values()} == {(2,)}


def test_they_are_made_from_a_protocol_line() -> None:
    haze = build("unseen.distortions.air.Haze:1.5,airlight=0.9", {}, "seen", Distortion)
    assert haze == Haze(1.5, 0.9)
    dark = build("unseen.distortions.light.LowLight:[0.05,0.2],shot=[0.0001,0.01]", {}, "seen", Distortion)
    assert dark == LowLight((0.05, 0.2), (0.0001, 0.01))
    assert (haze.degree, dark.degree) == (1.5, (0.05, 0.2))


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Haze, "beta", -1),
        (Haze, "beta", math.inf),
        (Haze, "airlight", (0.9, 1.2)),
        (LowLight, "exposure", 0),
        (LowLight, "exposure", (0.5, 0.1)),
        (LowLight, "shot", math.nan),
        (LowLight, "read", -0.001),
    ],
)
def test_impossible_settings_are_refused(kind: type[Haze | LowLight], name: str, value: Range) -> None:
    with pytest.raises(ValueError, match=rf"^{name} .* is not within"):
        kind(**{"beta" if kind is Haze else "exposure": 0.5, name: value})
