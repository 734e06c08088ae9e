"""Noise against moments, probabilities and correlations in closed form. Gaussian noise: test_confounders.py too."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from scipy import stats
from support.contract import check_contract

from unseen.core.randomness import generator
from unseen.distortions import Distortion, Range
from unseen.distortions.distortion import Spread
from unseen.distortions.noise import (
    CorrelatedNoise,
    GaussianNoise,
    PoissonNoise,
    SaltAndPepper,
    ScaledPoissonNoise,
    SpeckleNoise,
)

ALL: list[Distortion] = [
    GaussianNoise((5, 50)),
    GaussianNoise((5, 50), gray=True),
    PoissonNoise((10, 200)),
    PoissonNoise((10, 200), gray=True),
    ScaledPoissonNoise((0.05, 3)),
    ScaledPoissonNoise((0.05, 3), gray=True),
    SpeckleNoise((5, 50)),
    SaltAndPepper((0.1, 0.5)),
    CorrelatedNoise((5, 50)),
    CorrelatedNoise((5, 50), gray=True),
]
BLURRED = CorrelatedNoise((5, 50), blur=(0.4, 1.2))
LUMA = 0.299 * 0.6 + 0.587 * 0.3 + 0.114 * 0.9  # of COLOUR, by BT.601
COLOUR = torch.tensor([0.6, 0.3, 0.9], dtype=torch.float64).view(1, 3, 1, 1)


def draw(noise: Distortion, clean: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return noise.apply(clean, noise.sample(generator(seed, "test"), len(clean)))


def flat(value: float, *shape: int) -> torch.Tensor:
    return torch.full(shape, value, dtype=torch.float64)


@pytest.mark.parametrize("noise", [*ALL, BLURRED], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 5), (17, 33)])
def test_noise_keeps_the_contract(noise: Distortion, size: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
    check_contract(noise, size, channels, dtype)


@pytest.mark.parametrize("noise", ALL, ids=repr)
def test_draws_differ(noise: Distortion) -> None:
    clean = torch.rand(1, 3, 16, 17, generator=generator(1))
    assert not torch.equal(draw(noise, clean, 0), draw(noise, clean, 1))


def test_gaussian_seeds_mean_what_they_always_did() -> None:
    """Studies that are published replay from their seeds."""
    clean = torch.full((1, 3, 4, 5), 0.5)
    parameters = {"sigma": torch.tensor([25.0], dtype=torch.float64), "seed": torch.tensor([7])}
    field = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(7))
    assert torch.equal(GaussianNoise(25).apply(clean, parameters), (clean + field * (25 / 255)).clamp(0, 1))
    assert list(GaussianNoise(25).sample(generator(0), 1)) == ["sigma", "seed"]


@pytest.mark.parametrize("blur", [0, 0.8])
def test_gray_correlated_noise_is_that_of_a_gray_image_in_all_channels(blur: float) -> None:
    noise, clean = CorrelatedNoise(30, blur=blur, gray=True), flat(0.5, 2, 3, 9, 12)
    assert torch.equal(draw(noise, clean), draw(replace(noise, gray=False), clean[:, :1]).expand_as(clean))


def test_gray_gaussian_noise_is_one_field_for_all_channels() -> None:
    noise = draw(GaussianNoise(30, clip=False, gray=True), flat(0.5, 2, 3, 128, 128)) - 0.5
    assert torch.equal(noise[:, 0], noise[:, 1])
    assert torch.equal(noise[:, 0], noise[:, 2])
    n = noise[:, 0].numel()
    assert float(noise[:, 0].std() * 255 / 30) == pytest.approx(1, abs=4 / math.sqrt(2 * n))


@pytest.mark.parametrize(("photons", "value"), [(4, 0.5), (60, 0.9)])
def test_poisson_noise_counts_photons(photons: float, value: float) -> None:
    """Every count as often as scipy's probability mass function says, within 5 standard errors of a binomial."""
    clean = flat(value, 2, 3, 150, 150)
    counts = draw(PoissonNoise(photons, clip=False), clean) * photons
    assert torch.allclose(counts, counts.round(), atol=1e-9)
    found = np.bincount(counts.round().long().flatten().numpy(), minlength=120)
    probability = stats.poisson(photons * value).pmf(np.arange(len(found)))
    n = counts.numel()
    errors = np.sqrt(n * probability * (1 - probability))
    assert (np.abs(found - n * probability) < 5 * errors + 5).all()
    channels = (counts - photons * value).permute(1, 0, 2, 3).reshape(3, -1)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 5 * math.sqrt(3 / n)


def test_clipping_darkens_white_by_the_counts_above_it() -> None:
    """E min(N, λ) / λ = 1 - e^-λ λ^λ / λ! for N of Poisson's law with a whole λ."""
    white = flat(1, 2, 3, 200, 200)
    found = draw(PoissonNoise(9), white)
    expected = 1 - stats.poisson(9).pmf(9)
    assert float(found.mean()) == pytest.approx(expected, abs=4 / 3 / math.sqrt(found.numel()))
    assert float(draw(PoissonNoise(9, clip=False), white).max()) > 1


def test_gray_poisson_noise_is_that_of_the_luma() -> None:
    clean = COLOUR.expand(2, 3, 150, 150)
    noise = draw(PoissonNoise(50, clip=False, gray=True), clean) - clean
    assert torch.allclose(noise[:, 0], noise[:, 2], atol=1e-12)
    counts = (noise[:, 0] + LUMA) * 50
    assert torch.allclose(counts, counts.round(), atol=1e-9)
    rate, n = 50 * LUMA, counts.numel()
    assert float(counts.mean()) == pytest.approx(rate, abs=4 * math.sqrt(rate / n))
    # The variance of a sample variance is (μ4 - σ⁴) / n, and μ4 = λ + 3λ² for Poisson's law.
    assert float(counts.var()) == pytest.approx(rate, abs=4 * math.sqrt((rate + 2 * rate**2) / n))


def test_darkness_stays_dark_under_photon_noise() -> None:
    black = flat(0, 1, 3, 20, 20)
    assert torch.equal(draw(PoissonNoise(5), black), black)
    assert torch.equal(draw(PoissonNoise(5, clip=False), black - 0.1), black - 0.1)  # no rate is negative


@pytest.mark.parametrize(("levels", "photons"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (200, 256)])
def test_scaled_poisson_noise_takes_its_count_from_the_levels(levels: int, photons: int) -> None:
    whole = torch.arange(3 * 90 * 90).remainder(levels).view(3, 1, 90, 90).permute(1, 0, 2, 3)
    clean = (whole + 20.3).double() / 255  # off the 8-bit grid, to which the noise is drawn and not the result
    rounded = (whole + 20).double() / 255
    strength = 1.5
    noise = (draw(ScaledPoissonNoise(strength, clip=False), clean) - clean) / strength
    counts = (noise + rounded) * photons
    assert torch.allclose(counts, counts.round(), atol=1e-9)
    expected, n = float(rounded.mean()) / photons, noise.numel()
    # var of the mean of squares: E d⁴ = (λ + 3λ²) / photons⁴, averaged over the levels' own rates λ
    fourth = (rounded * photons + 3 * (rounded * photons) ** 2).mean() / photons**4
    assert float((noise**2).mean()) == pytest.approx(expected, abs=4 * math.sqrt(float(fourth) / n))


def test_gray_scaled_poisson_noise_counts_the_levels_of_the_luma() -> None:
    """A level in each channel makes three for four photons; their luma is one level, for a single photon."""
    clean = COLOUR.expand(1, 3, 60, 60)
    noise = (draw(ScaledPoissonNoise(2, clip=False, gray=True), clean) - clean) / 2
    assert torch.allclose(noise[:, 0], noise[:, 2], atol=1e-12)
    counts = noise[:, 0] + round(255 * LUMA) / 255
    assert torch.allclose(counts, counts.round(), atol=1e-9)
    assert float(counts.max()) >= 2
    coloured = (draw(ScaledPoissonNoise(1, clip=False), clean) - clean + (COLOUR * 255).round() / 255) * 4
    assert torch.allclose(coloured, coloured.round(), atol=1e-9)  # three levels make four photons
    assert not torch.allclose(coloured / 2, (coloured / 2).round(), atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.2, 0.9])
def test_speckle_grows_with_the_signal(value: float) -> None:
    noise = draw(SpeckleNoise(50, clip=False), flat(value, 2, 3, 128, 128)) - value
    n = noise.numel()
    sigma = value * 50 / 255
    assert abs(float(noise.mean())) <= 4 * sigma / math.sqrt(n)
    assert float(noise.var()) == pytest.approx(sigma**2, abs=4 * sigma**2 * math.sqrt(2 / n))
    assert float((noise**4).mean()) == pytest.approx(3 * sigma**4, abs=4 * sigma**4 * math.sqrt(96 / n))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_salt_and_pepper_fall_on_whole_pixels_with_half_the_share_each(share: float) -> None:
    clean = torch.rand(2, 3, 150, 150, generator=generator(5)) * 0.8 + 0.1
    found = draw(SaltAndPepper(share), clean)
    n = 2 * 150 * 150
    white, black = ((found == value).all(dim=1) for value in (1, 0))
    error = 4 * math.sqrt(n * share / 2 * (1 - share / 2))
    assert abs(int(white.sum()) - n * share / 2) <= error
    assert abs(int(black.sum()) - n * share / 2) <= error
    kept = ~(white | black).unsqueeze(1).expand_as(clean)
    assert torch.equal(found[kept], clean[kept])
    if share == 1:
        assert not kept.any()


def test_correlated_noise_has_its_variance_and_correlation_up_to_the_edge() -> None:
    """Box of 3 by 3: correlation (1 - |dy|/3)(1 - |dx|/3). 6000 small fields, every pair of pixels."""
    n, height, width = 6000, 4, 5
    field = (draw(CorrelatedNoise(20, clip=False), flat(0.5, n, 3, height, width)) - 0.5) * 255 / 20
    pixels = field.reshape(3 * n, height * width)
    found = pixels.T @ pixels / (3 * n)
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in (height, width))
    down, across = ((1 - (x[:, None] - x).abs() / 3).clamp(min=0) for x in (rows, columns))
    expected = torch.kron(down, across)
    # The variance of a mean product of normals is (1 + ρ²) / n, at most 2 / n; 400 entries, hence 4.5 and not 4.
    assert (found - expected).abs().max() < 4.5 * math.sqrt(2 / (3 * n))
    channels = field.permute(1, 0, 2, 3).reshape(3, -1)
    # Neighbours are alike, so that fewer than their number are independent: Σρ² of one pixel, at most 3.61, to one.
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 4 * math.sqrt(3.61 / (n * height * width))


@pytest.mark.parametrize("blur", [0.4, 1.2, (0.4, 1.2)])
def test_noise_under_a_gaussian_has_its_deviation_up_to_the_edge_and_its_correlation(blur: Range) -> None:
    """Of 9000 small fields; neighbours correlate as the Gaussian's own values do with themselves, moved."""
    n, height, width = 3000, 4, 5
    noise = CorrelatedNoise(20, clip=False, blur=blur)
    parameters = noise.sample(generator(0), n)
    field = (noise.apply(flat(0.5, n, 3, height, width), parameters) - 0.5) * 255 / 20
    assert float((field.square().mean(dim=(0, 1)) - 1).abs().max()) < 4.5 * math.sqrt(2 / (3 * n))
    places = torch.arange(-30, 31)
    weights = torch.exp(-((places / parameters["blur"][:, None]) ** 2) / 2)
    for step, (one, other) in {
        1: (field[..., 1:], field[..., :-1]),
        2: (field[..., 2:, :], field[..., :-2, :]),
    }.items():
        expected = (weights[:, step:] * weights[:, :-step]).sum(dim=1) / (weights**2).sum(dim=1)
        assert float((one * other).mean()) == pytest.approx(float(expected.mean()), abs=0.01)


@pytest.mark.parametrize("kind", [GaussianNoise, SpeckleNoise, CorrelatedNoise])
def test_levels_can_be_drawn_evenly_in_their_logarithm(kind: Callable[..., Distortion]) -> None:
    values = kind((2, 32), spread="log").sample(generator(0), 4000)["sigma"]
    assert 2 <= float(values.min()) < float(values.max()) <= 32
    counts = torch.histc(values.log2().float(), bins=4, min=1, max=5)
    assert float((counts / 4000 - 0.25).abs().max()) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    even = kind((2, 32)).sample(generator(0), 3)["sigma"]
    assert torch.equal(kind((2, 32), spread="even").sample(generator(0), 3)["sigma"], even)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonNoise(0), "photons 0 is not within 1 to 1e"),
        (lambda: PoissonNoise((20, 10)), "photons"),
        (lambda: PoissonNoise(math.nan), "photons"),
        (lambda: ScaledPoissonNoise(-1), "strength"),
        (lambda: ScaledPoissonNoise((0, math.inf)), "strength"),
        (lambda: SpeckleNoise(300), "sigma"),
        (lambda: SaltAndPepper(1.1), "share"),
        (lambda: CorrelatedNoise((3, 2)), "sigma"),
        (lambda: CorrelatedNoise(3, blur=11), "blur 11 is not within 0 to 10"),
        (lambda: CorrelatedNoise(3, blur=(0, 1)), r"blur \(0, 1\) has to start above 0, which stands for the box"),
        (
            lambda: GaussianNoise((0, 5), spread="log"),
            r"sigma \(0, 5\) is drawn log-uniformly and has to start above 0",
        ),
        (lambda: GaussianNoise(5, spread=cast(Spread, "wide")), "spread 'wide' is none of even, log"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Distortion], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("noise", ALL, ids=repr)
def test_ranges_are_drawn_evenly_and_are_the_degree(noise: Distortion) -> None:
    (name,) = set(noise.sample(generator(0), 1)) - {"seed"}
    span = noise.spans[0]
    assert isinstance(span, tuple)
    in_words = isinstance(noise, GaussianNoise | CorrelatedNoise) and noise.gray
    assert noise.degree == ("5-50, gray" if in_words else span)
    low, high = span
    values = noise.sample(generator(0), 4000)[name]
    assert values.dtype == torch.float64
    assert low <= float(values.min()) < float(values.max()) <= high
    assert float(values.mean()) == pytest.approx((low + high) / 2, abs=4 * (high - low) / math.sqrt(12 * 4000))
