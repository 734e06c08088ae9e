"""Rain against the moments of a Poisson field of streaks, its direction, and the formula of Li, Cheong and Tan."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseen.core.randomness import generator
from unseen.core.registry import build
from unseen.distortions import Distortion, Range
from unseen.distortions.air import Haze
from unseen.distortions.rain import DenseRain, HeavyRain, RainStreaks

# One streak differs from the next by factors that are even in these ranges.
LENGTHS, WIDTHS, BRIGHTNESSES = (np.linspace(*span, 2001) for span in ((0.5, 1.5), (0.75, 1.25), (0.5, 1.5)))
ALL = [RainStreaks((0, 0.05)), DenseRain((0, 0.02)), HeavyRain((0, 0.02))]


def rain(distortion: RainStreaks, n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """What n images of rain add to black, float64 (n, height, width)."""
    black = torch.zeros(n, 1, height, width, dtype=torch.float64)
    return distortion.apply(black, distortion.sample(generator(seed, "rain"), n))[:, 0]


def close_on_average(found: Tensor, expected: float, bias: float = 0.0) -> None:
    """One value an independent image: their mean is within four standard errors, and a share `bias`, of `expected`."""
    error = 4 * float(found.std()) / math.sqrt(len(found)) + bias * expected
    assert float(found.mean()) == pytest.approx(expected, abs=error)
    assert error < 0.2 * expected  # or the comparison says nothing


def trapezium(s: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """1 within a quarter of the length, falling linearly to 0 at three quarters."""
    return np.interp(np.abs(s) / length, [0.25, 0.75], [1, 0])


@pytest.mark.parametrize("distortion", [RainStreaks(0), DenseRain(0), HeavyRain(0, transmission=1)])
def test_no_rain_changes_nothing(distortion: Distortion) -> None:
    clean = torch.rand(2, 3, 20, 31)
    assert torch.equal(distortion.apply(clean, distortion.sample(generator(0), 2)), clean)


@pytest.mark.parametrize("angle", [0.0, 30.0, -44.0, -60.0, 90.0])
@pytest.mark.parametrize(("length", "width"), [(15.0, 1.5), (40.0, 0.5), (3.0, 4.0)])
def test_the_mean_is_density_times_length_times_width_times_brightness(
    angle: float, length: float, width: float
) -> None:
    """Campbell's theorem. Cutting the sides off loses less than 0.2 %."""
    streaks = RainStreaks(0.02, length, angle, 0.01, width)
    close_on_average(rain(streaks, 60, 48, 64).mean(dim=(1, 2)), 0.02 * length * width * 0.01, bias=0.002)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 200)])
def test_the_mean_depends_on_neither_size_nor_place(size: tuple[int, int]) -> None:
    field = rain(RainStreaks(0.03, 30.0, 35.0, 0.01, 2.0), 400, *size)
    corners = field[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    for values in (field.mean(dim=(1, 2)), *corners.T):
        close_on_average(values, 0.03 * 30 * 2 * 0.01, bias=0.002)


@pytest.mark.parametrize("angle", [0.0, 25.0, -70.0])
def test_the_variance_is_that_of_streaks_with_the_stated_profile(angle: float) -> None:
    """Campbell: density · E ∫∫ light². Across: ∫ exp(-2π (a/w)²) da = w/√2; along: L (1/2 + 1/3)."""
    density, length, brightness, width = 0.01, 20.0, 0.02, 2.5
    field = rain(RainStreaks(density, length, angle, brightness, width), 80, 64, 64)
    square = brightness**2 * (1 + 1 / 12) * length * 5 / 6 * width / math.sqrt(2)
    mean = density * length * width * brightness
    close_on_average(((field - mean) ** 2).mean(dim=(1, 2)), density * square, bias=0.005)


@pytest.mark.parametrize(
    ("angle", "length", "width", "down", "right"),
    [
        *[(0, 20, 3, 0, 1), (0, 20, 3, 0, 3), (0, 20, 3, 10, 0), (0, 20, 3, 16, 0)],
        *[
            (45, 8, 6, 6, 0),
            (45, 8, 6, 0, 6),
            (30, 8, 6, 5, 3),
            (30, 8, 6, 3, -5),
            (-70, 8, 6, 2, 5),
            (-70, 8, 6, 2, -5),
        ],
    ],
)
def test_streaks_are_as_long_and_as_wide_as_told(
    angle: float, length: float, width: float, down: int, right: int
) -> None:
    """Covariance at a lag: density · E b² · E ∫ across · E ∫ along, by numerical integration."""
    density, brightness = 0.01, 0.02
    field = rain(RainStreaks(density, length, angle, brightness, width), 300, 64, 64)
    field = field - density * length * width * brightness
    here, there = slice(max(-right, 0), 64 - max(right, 0)), slice(max(right, 0), 64 - max(-right, 0))
    product = (field[:, : 64 - down, here] * field[:, down:, there]).mean(dim=(1, 2))
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    w = width * WIDTHS
    across = np.mean(w / np.sqrt(2) * np.exp(-np.pi * (right * cosine - down * sine) ** 2 / (2 * w**2)))
    lag, s = down * cosine + right * sine, np.linspace(-60, 60, 6001)
    step = s[1] - s[0]
    along = np.mean([np.sum(trapezium(s, length * u) * trapezium(s + lag, length * u)) * step for u in LENGTHS[::20]])
    expected = density * brightness**2 * np.mean(BRIGHTNESSES**2) * across * along
    close_on_average(product, float(expected), bias=0.01)


@pytest.mark.parametrize("angle", [-80.0, -45.0, -20.0, 0.0, 10.0, 46.0, 75.0, 90.0])
def test_streaks_lie_at_their_angle(angle: float) -> None:
    """By the structure tensor: at (sin, cos) of the angle, rightwards and downwards, gradients vanish."""
    field = rain(RainStreaks(0.003, 40.0, angle, 0.1, 4.0), 6, 128, 128).numpy()
    dy, dx = np.gradient(field, axis=(1, 2))
    normal = 0.5 * math.atan2(2 * np.mean(dx * dy), np.mean(dx * dx) - np.mean(dy * dy))
    off = (-math.degrees(normal) - angle + 90) % 180 - 90
    assert abs(off) < 2


def test_a_range_of_angles_is_drawn_once_an_image() -> None:
    """All streaks of an image are parallel: with one angle for each, directions would mix within it."""
    field = rain(RainStreaks(0.003, 40.0, (-90.0, 90.0), 0.1, 4.0), 8, 128, 128).numpy()
    dy, dx = np.gradient(field, axis=(1, 2))
    xx, xy, yy = (np.mean(product, axis=(1, 2)) for product in (dx * dx, dx * dy, dy * dy))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy)
    assert coherence.min() > 0.9
    assert np.ptp(np.arctan2(2 * xy, xx - yy)) > 1


def test_rain_is_gray_and_is_clipped() -> None:
    clean = torch.rand(2, 3, 40, 40) * 0.2
    streaks = RainStreaks(0.02, brightness=0.3)
    added = streaks.apply(clean, streaks.sample(generator(0), 2)) - clean
    unclipped = (added + clean).amax(dim=1, keepdim=True) < 1
    assert torch.allclose(torch.where(unclipped, added, 0)[:, :1], torch.where(unclipped, added, 0), atol=1e-6)
    drenched = RainStreaks(0.5, brightness=1).apply(clean, streaks.sample(generator(0), 2) | {"density": torch.ones(2)})
    assert float(drenched.max()) == 1


def test_dense_rain_is_longer_and_more_oblique() -> None:
    plain, dense = (kind(0.01).sample(generator(0), 500) for kind in (RainStreaks, DenseRain))
    assert float(dense["length"].min()) > float(plain["length"].max())
    assert float(dense["angle"].abs().max()) > 55 > 20 >= float(plain["angle"].abs().max())


def test_heavy_rain_adds_as_much_light_in_every_layer() -> None:
    heavy = HeavyRain(0.005, 12.0, 15.0, 0.01, 3.0, layers=3, transmission=1)
    for layers in (1, 2, 3):
        light = rain(replace(heavy, layers=layers), 60, 64, 64).mean(dim=(1, 2))
        close_on_average(light, layers * 0.005 * 12 * 3 * 0.01, bias=0.003)


def test_heavy_rain_follows_its_formula() -> None:
    """I = T (J + S) + (1 - T) A: S by T = 1 on black, T by the difference between a light and a dark scene."""
    heavy = HeavyRain(0.01, brightness=0.05, transmission=0.6, airlight=0.8)
    parameters = heavy.sample(generator(2), 3)
    dark, clean = torch.zeros(3, 3, 33, 40, dtype=torch.float64), torch.rand(3, 3, 33, 40, dtype=torch.float64) / 2
    streaks = heavy.apply(dark, parameters | {"transmission": torch.ones(3)})
    transmission = (heavy.apply(dark + 0.25, parameters) - heavy.apply(dark, parameters)) / 0.25
    assert float(transmission.min()) > 0
    assert float(transmission.max()) < 1
    expected = transmission * (clean + streaks) + (1 - transmission) * 0.8
    assert float(expected.max()) < 1  # nothing is clipped
    assert torch.allclose(heavy.apply(clean, parameters), expected, atol=1e-12)


def test_heavy_rain_without_a_veil_is_additive_and_without_light_is_airlight() -> None:
    clean = torch.rand(2, 3, 21, 20, dtype=torch.float64)
    streaks = RainStreaks(0.01)
    parameters = HeavyRain(0.01).sample(generator(5), 2)
    clear, opaque = (parameters | {"transmission": torch.full((2,), t).double()} for t in (1.0, 0.0))
    assert torch.equal(HeavyRain(0.01, layers=1).apply(clean, clear), streaks.apply(clean, parameters))
    airlight = parameters["airlight"].view(2, 1, 1, 1).expand_as(clean)
    assert torch.equal(HeavyRain(0.01).apply(clean, opaque), airlight)


def test_far_rain_veils_as_haze_does() -> None:
    haze = Haze((0.5, 1.5))
    parameters = haze.sample(generator(0), 3)
    clean = torch.rand(3, 3, 20, 30, dtype=torch.float64)
    veiled = HeavyRain(0).sample(generator(0), 3) | parameters | {"transmission": (-parameters["beta"]).exp()}
    assert torch.allclose(HeavyRain(0).apply(clean, veiled), haze.apply(clean, parameters), atol=1e-12)


def test_a_transmission_holds_at_the_mean_depth() -> None:
    heavy = HeavyRain(0, transmission=0.5, airlight=0)
    clean = torch.ones(300, 1, 15, 15, dtype=torch.float64)
    depths = heavy.apply(clean, heavy.sample(generator(0), 300)).log() / math.log(0.5)
    close_on_average(depths.mean(dim=(1, 2, 3)), 1.0)


@pytest.mark.parametrize("distortion", ALL, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (17, 33), (64, 48)])
def test_rain_is_replayed_and_a_batch_equals_its_images(distortion: Distortion, size: tuple[int, int]) -> None:
    clean = torch.rand(5, 3, *size)
    before = clean.clone()
    parameters = distortion.sample(generator(3), 5)
    first = distortion.apply(clean, parameters)
    assert torch.equal(clean, before)
    assert first.shape == clean.shape
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert torch.equal(first, distortion.apply(clean, distortion.sample(generator(3), 5)))
    assert torch.equal(first, distortion.apply(clean.contiguous(memory_format=torch.channels_last), parameters))
    for i in range(5):
        single = {name: value[i : i + 1] for name, value in parameters.items()}
        assert torch.equal(first[i : i + 1], distortion.apply(clean[i : i + 1], single))
    if size == (64, 48):
        assert not torch.equal(first, distortion.apply(clean, distortion.sample(generator(4), 5)))


@pytest.mark.parametrize("distortion", ALL, ids=lambda d: type(d).__name__)
def test_dtypes_are_kept_and_agree(distortion: Distortion) -> None:
    clean = torch.rand(2, 1, 30, 30, dtype=torch.float64)
    parameters = distortion.sample(generator(0), 2)
    single, double = (distortion.apply(clean.to(dtype), parameters) for dtype in (torch.float32, torch.float64))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(single.double(), double, atol=1e-6)
    assert {value.dtype for value in parameters.values()} == {torch.float64, torch.int64}
    assert {value.shape for value in parameters.values()} == {(2,)}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("RainStreaks:0.01,length=15", RainStreaks(0.01, 15)),
        ("DenseRain:[0.005,0.02],angle=[30,60]", DenseRain((0.005, 0.02), angle=(30, 60))),
        ("HeavyRain:0.01,transmission=0.4,layers=4", HeavyRain(0.01, transmission=0.4, layers=4)),
    ],
)
def test_rain_is_made_from_a_protocol_line(spec: str, expected: Distortion) -> None:
    assert build(f"unseen.distortions.rain.{spec}", {}, "seen", Distortion) == expected


def test_kinds_of_rain_are_families_of_their_own() -> None:
    assert not RainStreaks(0.01).overlaps(DenseRain(0.01))
    assert RainStreaks(0.01).overlaps(RainStreaks((0.005, 0.02), length=30))
    assert HeavyRain((0.01, 0.02)).degree == (0.01, 0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", -0.1),
        ("density", (0.2, 0.1)),
        ("density", math.nan),
        ("length", 0.5),
        ("angle", 91),
        ("brightness", 1.5),
        ("width", 0),
        ("layers", 0),
        ("transmission", (0.5, 1.1)),
        ("airlight", -1),
    ],
)
def test_impossible_settings_are_refused(name: str, value: Range) -> None:
    with pytest.raises(ValueError, match=rf"^{name} .* is not within"):
        HeavyRain(**{"density": 0.01, name: value})  # type: ignore[arg-type]
