"""Camera noise: variances of each convention, the filters of Malvar, He and Cutler, and sRGB's curve."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.contract import check_contract

from unseen.core.randomness import generator
from unseen.data.loading import load_photos
from unseen.data.tensors import to_tensor
from unseen.distortions import Range, normal_fields
from unseen.distortions.camera import (
    BAYER_PATTERNS,
    DEMOSAICKED,
    Bayer,
    CameraNoise,
    NoiseConvention,
    demosaic,
    inverse_response,
    mosaic,
    response,
    through_bayer,
)

ALL = [
    CameraNoise("paper", (0, 0.16), (0, 0.06)),
    CameraNoise("matlab", (0, 0.16), (0, 0.06), gamma=(1.6, 2.8)),
    CameraNoise("python", (1e-4, 0.16), (1e-4, 0.06), bayer="grbg"),
    CameraNoise("python", (1e-4, 0.012), 0.0, bayer="none"),
    CameraNoise("python", (1e-4, 0.012), (1e-6, 2e-4), gamma=(1.8, 2.6), errors=False),
]
SIZES = [(1, 1), (1, 7), (2, 2), (5, 1), (3, 2), (17, 32)]
# Figure 2 of Malvar, He and Cutler (2004), times 8: green at red; red at green in red's row and in blue's row; red at
# blue. Blue's are red's.
FILTERS = {
    "G at R": [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
    "beside": [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]],
    "above": [[0, 0, -1, 0, 0], [0, -1, 4, -1, 0], [0.5, 0, 5, 0, 0.5], [0, -1, 4, -1, 0], [0, 0, -1, 0, 0]],
    "R at B": [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]],
    "measured": [[0] * 5, [0] * 5, [0, 0, 8, 0, 0], [0] * 5, [0] * 5],
}


def draw(noise: CameraNoise, clean: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return noise.apply(clean, noise.sample(generator(seed, "test"), len(clean)))


def flat(value: float, *shape: int) -> torch.Tensor:
    return torch.full(shape, value, dtype=torch.float64)


def colour_at(pattern: str, row: int, column: int) -> str:
    return pattern[2 * (row % 2) + column % 2].upper()


def filter_of(wanted: str, pattern: str, row: int, column: int) -> NDArray[np.float64]:
    """The published filter for one colour at one pixel, found from the neighbours' colours."""
    here = colour_at(pattern, row, column)
    if here == wanted:
        name = "measured"
    elif wanted == "G":
        name = "G at R"
    elif here == "G":
        name = "beside" if colour_at(pattern, row, column + 1) == wanted else "above"
    else:
        name = "R at B"
    return np.array(FILTERS[name]) / 8


@pytest.mark.parametrize("noise", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_camera_noise_keeps_the_contract(noise: CameraNoise, size: tuple[int, int], dtype: torch.dtype) -> None:
    check_contract(noise, size, 3, dtype)


@pytest.mark.parametrize("noise", ALL, ids=repr)
def test_draws_differ(noise: CameraNoise) -> None:
    clean = torch.rand(1, 3, 6, 7, generator=generator(1))
    assert not torch.equal(draw(noise, clean, 0), draw(noise, clean, 1))


@pytest.mark.parametrize("light", [0.0, 0.1, 0.7])
@pytest.mark.parametrize(
    ("convention", "variance"),
    [
        ("paper", lambda light: light * 0.02**2 + 0.01**2),
        ("matlab", lambda light: (0.02 * light) ** 2 + 0.01**2),
        ("python", lambda light: 0.02 * light + 0.01),
    ],
)
def test_the_variance_on_the_sensor_is_the_convention_s(
    convention: NoiseConvention, variance: Callable[[float], float], light: float
) -> None:
    """Within 4 standard errors of a sample variance of Gaussian noise, and of its fourth moment."""
    noise = CameraNoise(convention, 0.02, 0.01, bayer="none", gamma=1, clip=False)
    found = draw(noise, flat(light, 2, 3, 150, 150)) - light
    n, expected = found.numel(), variance(light)
    assert abs(float(found.mean())) < 4 * math.sqrt(expected / n)
    assert float(found.var()) == pytest.approx(expected, abs=4 * expected * math.sqrt(2 / n))
    assert float((found**4).mean()) == pytest.approx(3 * expected**2, abs=4 * expected**2 * math.sqrt(96 / n))
    channels = found.permute(1, 0, 2, 3).reshape(3, -1)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 4 * math.sqrt(3 / n)


def test_matlab_s_channels_have_levels_of_their_own() -> None:
    noise = CameraNoise("matlab", (0, 0.16), (0, 0.06), bayer="none", gamma=1, clip=False)
    parameters = noise.sample(generator(0), 4)
    found = (noise.apply(flat(0.5, 4, 3, 128, 128), parameters) - 0.5).var(dim=(2, 3))
    expected = (parameters["shot"] * 0.5) ** 2 + parameters["read"] ** 2
    assert expected.shape == (4, 3)
    assert ((found / expected - 1).abs() < 4 * math.sqrt(2 / 128**2)).all()


@pytest.mark.parametrize("noise", ALL[:3], ids=repr)
def test_levels_are_drawn_as_the_convention_says(noise: CameraNoise) -> None:
    """Evenly, or evenly in the logarithm: the mean within 4 standard errors of a uniform law's, 1/√12 of its width."""
    parameters = noise.sample(generator(0), 4000)
    for name, levels in (("shot", noise.shot), ("read", noise.read)):
        assert isinstance(levels, tuple)
        low, high = levels
        values = parameters[name]
        assert values.shape == ((4000, 3) if noise.convention == "matlab" else (4000,))
        if noise.convention == "python":
            low, high, values = math.log(low), math.log(high), values.log()
        assert low <= float(values.min()) < float(values.max()) <= high
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=4 * (high - low) / math.sqrt(12 * 4000))
        quarter = float((values < low + (high - low) / 4).double().mean())
        assert quarter == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))


def test_any_pattern_is_drawn_evenly() -> None:
    counts = torch.bincount(ALL[0].sample(generator(0), 4000)["pattern"], minlength=4)
    assert all(abs(count - 1000) < 4 * math.sqrt(4000 * 0.25 * 0.75) for count in counts.tolist())
    assert set(ALL[2].sample(generator(0), 9)["pattern"].tolist()) == {1}
    assert "pattern" not in ALL[3].sample(generator(0), 9)


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
def test_each_pixel_measures_the_colour_that_the_pattern_spells(pattern: Bayer) -> None:
    """Red is 1, green 2, blue 3; and a fixed `bayer` is this pattern."""
    images = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 5, 6)
    number = CameraNoise("paper", 0, 0, bayer=pattern).sample(generator(0), 1)["pattern"]
    found = mosaic(images, number)[0, 0]
    expected = [[" RGB".index(colour_at(pattern, row, column)) for column in range(6)] for row in range(5)]
    assert found.tolist() == expected


def test_demosaicking_is_that_of_malvar_he_and_cutler() -> None:
    """Noise through the published filters, pixel by pixel; every pattern in one batch."""
    height, width = 5, 6
    raw = torch.rand(4, 1, height + 4, width + 4, dtype=torch.float64, generator=generator(0))
    found = demosaic(raw, torch.arange(4))
    for i, pattern in enumerate(BAYER_PATTERNS):
        for row in range(height):
            for column in range(width):
                window = raw[i, 0, row : row + 5, column : column + 5].numpy()
                expected = [float((filter_of(c, pattern, row, column) * window).sum()) for c in "RGB"]
                assert found[i, :, row, column].tolist() == pytest.approx(expected, abs=1e-12)


def test_demosaicking_leaves_eleven_twelfths_of_the_variance() -> None:
    weights = [(filter_of(c, "rggb", row, column) ** 2).sum() for c in "RGB" for row in (0, 1) for column in (0, 1)]
    assert pytest.approx(float(np.mean(weights)), abs=1e-12) == DEMOSAICKED


@pytest.mark.parametrize("size", SIZES)
def test_flat_colours_come_through_up_to_the_edge(size: tuple[int, int]) -> None:
    images = torch.rand(4, 3, 1, 1, dtype=torch.float64, generator=generator(2)).expand(4, 3, *size)
    assert torch.allclose(through_bayer(images, torch.arange(4)), images, atol=1e-14)


def test_the_scene_is_mirrored_about_its_outermost_pixels() -> None:
    images = torch.rand(4, 3, 5, 6, dtype=torch.float64, generator=generator(2))
    raw = torch.nn.functional.pad(mosaic(images, torch.arange(4)), (2, 2, 2, 2), mode="reflect")
    assert torch.equal(through_bayer(images, torch.arange(4)), demosaic(raw, torch.arange(4)))


def test_planes_come_through_and_an_impulse_does_not() -> None:
    """A plane of its own for each colour, two pixels from the edge, where it is mirrored and no plane."""
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    slopes = torch.tensor([[0.03, -0.02], [-0.01, 0.04], [0.02, 0.05]]).double()
    planes = 0.3 + slopes[:, :1, None] * rows + slopes[:, 1:, None] * columns
    images = planes.expand(4, 3, 9, 11)
    found = through_bayer(images, torch.arange(4))
    assert torch.allclose(found[..., 2:-2, 2:-2], images[..., 2:-2, 2:-2], atol=1e-14)
    assert not torch.allclose(found, images, atol=1e-3)
    impulse = torch.zeros(4, 3, 9, 11)
    impulse[..., 4, 5] = 1
    assert not torch.allclose(through_bayer(impulse, torch.arange(4)), impulse, atol=0.1)


def test_exponent_2_4_is_srgb_and_1_is_linear() -> None:
    """IEC 61966-2-1 with its rounded constants 12.92 and 0.0031308: within 1e-4."""
    light = torch.linspace(0, 1, 4001, dtype=torch.float64).view(1, 1, 1, -1)
    standard = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert torch.allclose(response(light, torch.tensor([2.4]).double()), standard, atol=1e-4)
    for curve in (response, inverse_response):
        assert torch.allclose(curve(light, torch.ones(1).double()), light, rtol=0, atol=1e-15)


@pytest.mark.parametrize("gamma", [1.0, 1.05, 1.8, 2.2, 2.4, 5.0])
def test_the_response_is_smooth_increasing_and_has_its_inverse(gamma: float) -> None:
    exponent = torch.tensor([gamma], dtype=torch.float64)
    light = torch.linspace(-0.2, 1.3, 30001, dtype=torch.float64).view(1, 1, 1, -1)
    developed = response(light, exponent)
    assert torch.allclose(inverse_response(developed, exponent), light, atol=1e-12)
    assert torch.allclose(response(inverse_response(light, exponent), exponent), light, atol=1e-12)
    slopes = developed.diff() / light.diff()
    assert (slopes > 0).all()
    assert (slopes.diff() < 1e-6 * slopes[..., :-1]).all()  # concave, so no step where line and power meet
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64).view(1, 1, 1, 2)
    assert torch.allclose(response(ends, exponent), ends, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("convention", ["paper", "matlab", "python"])
def test_without_noise_and_mosaic_nothing_happens(convention: NoiseConvention, dtype: torch.dtype) -> None:
    clean = torch.rand(3, 3, 16, 15, dtype=dtype, generator=generator(0))
    clean[0, :, 0, :2] = torch.tensor([0.0, 1.0])
    noise = CameraNoise(convention, 0, 0, bayer="none", gamma=(1, 3))
    assert torch.allclose(draw(noise, clean), clean, rtol=0, atol=16 * torch.finfo(dtype).eps)


def test_without_noise_a_flat_image_is_returned_and_an_edge_is_not() -> None:
    clean = torch.rand(6, 3, 1, 1, dtype=torch.float64, generator=generator(0)).repeat(1, 1, 8, 9)
    noise = CameraNoise("paper", 0, 0)
    assert torch.allclose(draw(noise, clean), clean, atol=1e-12)
    clean[..., 4:, :] = 0
    assert not torch.allclose(draw(noise, clean), clean, atol=0.01)


def test_without_errors_the_image_is_whole_and_the_noise_is_what_development_makes_of_it() -> None:
    clean = torch.rand(6, 3, 12, 13, dtype=torch.float64, generator=generator(0))
    silent = CameraNoise("paper", 0, 0, errors=False)
    assert torch.allclose(draw(silent, clean), clean, rtol=0, atol=1e-14)
    whole, damaged = (CameraNoise("paper", 0.05, 0.01, clip=False, errors=errors) for errors in (False, True))
    undisturbed = draw(CameraNoise("paper", 0, 0, clip=False), clean)  # draws the same patterns
    noise = draw(damaged, clean) - undisturbed
    assert torch.allclose(draw(whole, clean) - clean, noise, rtol=0, atol=1e-14)
    assert float((undisturbed - clean).abs().mean()) > 0.1


@pytest.mark.parametrize("bayer", ["none", "any"])
@pytest.mark.parametrize(
    ("convention", "shot", "read"), [("paper", 0.01, 0.004), ("matlab", 0.01, 0.002), ("python", 1e-4, 1e-5)]
)
@pytest.mark.parametrize("gamma", [1.0, 2.4])
def test_the_degree_is_what_a_flat_gray_gets(
    bayer: Bayer, convention: NoiseConvention, shot: float, read: float, gamma: float
) -> None:
    """To first order; 1 % is 6 standard errors of the deviation of 180 000 values and leaves room for the second."""
    noise = CameraNoise(convention, shot, read, bayer=bayer, gamma=gamma, clip=False)
    found = draw(noise, flat(0.5, 15, 3, 64, 64)) - 0.5
    assert isinstance(noise.degree, float)
    assert float(found.std()) * 255 == pytest.approx(noise.degree, rel=0.01, abs=0.005)


def test_ranges_have_a_range_for_their_degree() -> None:
    noise = CameraNoise("paper", (0, 0.16), (0, 0.06), bayer="none", gamma=1)
    assert noise.degree == (0.0, round(255 * math.sqrt(0.5 * 0.16**2 + 0.06**2), 2))


@pytest.mark.parametrize(
    ("changed", "overlapping"),
    [
        ({}, True),
        ({"clip": False}, True),
        ({"shot": 0.1, "read": 0.03}, True),
        ({"shot": 0.17}, False),
        ({"read": (0.061, 0.2)}, False),
        ({"gamma": 2.0}, True),
        ({"gamma": 3.0}, False),
        ({"convention": "matlab"}, False),
        ({"bayer": "rggb"}, True),
        ({"bayer": "grbg"}, False),
        ({"bayer": "any"}, True),
        ({"bayer": "none"}, False),
    ],
)
def test_camera_noise_overlaps_where_convention_pattern_and_all_ranges_meet(
    changed: dict[str, object], overlapping: bool
) -> None:
    settings: dict[str, object] = {
        "convention": "paper",
        "shot": (0, 0.16),
        "read": (0, 0.06),
        "bayer": "rggb",
        "gamma": (1.6, 2.8),
    }
    noise, other = (CameraNoise(**s) for s in (settings, settings | changed))  # type: ignore[arg-type]
    assert noise.overlaps(other) is other.overlaps(noise) is overlapping


def test_equal_degrees_of_other_levels_are_no_overlap() -> None:
    """To two decimals: 255 · sqrt(0.5 · 0.1²) = 255 · 0.07071."""
    shot, read = (CameraNoise("paper", *levels, bayer="none", gamma=1) for levels in ((0.1, 0.0), (0.0, 0.07071)))
    assert shot.degree == read.degree
    assert not shot.overlaps(read)


@pytest.mark.parametrize("clip", [True, False])
def test_the_order_is_sensor_mosaic_response(clip: bool) -> None:
    noise = CameraNoise("paper", 0, 0.2, clip=clip)
    clean = torch.rand(4, 3, 12, 13, dtype=torch.float64, generator=generator(2))
    parameters = noise.sample(generator(0), 4)
    measured = inverse_response(clean, parameters["gamma"]) + 0.2 * normal_fields(parameters["seed"], clean)
    if clip:
        measured = measured.clamp(0, 1)
    through = through_bayer(measured, parameters["pattern"])
    expected = response(through.clamp(0, 1) if clip else through, parameters["gamma"])
    assert torch.allclose(noise.apply(clean, parameters), expected, atol=1e-14)


def test_the_sensor_clips_at_black() -> None:
    """E max(0, σz) = σ/√2π, on linear light; unclipped, the curve goes on below black."""
    black = flat(0, 2, 3, 200, 200)
    for clip, expected in ((True, 0.05 / math.sqrt(2 * math.pi)), (False, 0.0)):
        found = draw(CameraNoise("paper", 0.1, 0.05, bayer="none", gamma=1, clip=clip), black)
        assert float(found.mean()) == pytest.approx(expected, abs=4 * 0.05 / math.sqrt(found.numel()))
        assert (float(found.min()) >= 0) is clip
    found = draw(CameraNoise("paper", 0.1, 0.05, clip=False), black)
    assert bool(found.isfinite().all())
    assert float(found.min()) < 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"convention": "cbdnet"}, "convention 'cbdnet' is none of paper, matlab, python"),
        ({"bayer": "rgbg"}, "bayer 'rgbg' is none of any, rggb, grbg, gbrg, bggr, none"),
        ({"shot": -0.1}, "shot -0.1 is not within 0 to 1"),
        ({"read": (0.2, 0.1)}, "read"),
        ({"read": math.nan}, "read"),
        ({"gamma": 0.9}, "gamma"),
        ({"convention": "python", "shot": (0, 0.1)}, "shot .* log-uniformly"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Range], message: str) -> None:
    good: dict[str, object] = {"convention": "paper", "shot": 0.1, "read": 0.1}
    with pytest.raises(ValueError, match=message):
        CameraNoise(**{**good, **settings})  # type: ignore[arg-type]


def test_gray_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 colour channels, not of 1"):
        draw(ALL[0], flat(0.5, 1, 1, 4, 4))


@pytest.mark.parametrize(("folder", "images", "decibels"), [("cbsd68", 8, 31.0), ("cc15/clean", 15, 39.7)])
def test_a_mosaic_alone_costs_what_the_notes_of_real_denoise_say(
    folder: str, images: int, decibels: float, real_images: Path
) -> None:
    """Without noise, at the default response: mean PSNR over the first photographs by name."""
    camera = CameraNoise("paper", 0, 0)
    photos, _ = load_photos(real_images / "test" / folder)
    found = []
    for photo in photos[:images]:
        clean = to_tensor(photo.pixels)
        marked = camera.apply(clean, camera.sample(generator(0), 1))
        found.append(float(-10 * (marked - clean).square().mean().log10()))
    assert sum(found) / len(found) == pytest.approx(decibels, abs=0.1)
