"""Brightness that a restored image keeps: closed forms of clipped noise, noise with and without clipping, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from unseen.models.backbones.brightness import (
    BEYOND,
    RADIUS,
    SIDE,
    added_by_clipping,
    light_change,
    unclipped_deviation,
    with_kept_brightness,
)
from unseen.models.backbones.carried_rows import WHOLE
from unseen.models.backbones.drunet import DRUNetSmall

DISTANCES = np.linspace(-0.2, 6, 621)
"""Distances of the light from black, in deviations of the noise before it is clipped."""
BIAS = norm.pdf(DISTANCES) - DISTANCES * norm.sf(DISTANCES)
LEFT = np.sqrt(norm.cdf(DISTANCES) - DISTANCES * norm.pdf(DISTANCES) + DISTANCES**2 * norm.sf(DISTANCES))


def test_what_clipping_adds_and_takes_is_near_the_closed_forms_of_normal_noise() -> None:
    seen = torch.from_numpy(DISTANCES / LEFT)
    within = DISTANCES >= 0
    np.testing.assert_allclose(added_by_clipping(seen), BIAS / LEFT, rtol=0, atol=0.03)
    np.testing.assert_allclose(added_by_clipping(seen)[within], (BIAS / LEFT)[within], rtol=0, atol=0.003)
    deviation = torch.from_numpy(LEFT / 20)
    light = torch.from_numpy(DISTANCES / 20)
    np.testing.assert_allclose(20 * unclipped_deviation(light, deviation)[within], 1, rtol=0, atol=0.005)


def noised(light: Tensor, deviation: Tensor | float, seed: int = 0) -> Tensor:
    """The light under normal noise, clipped."""
    draws = torch.Generator().manual_seed(seed)
    return (light + deviation * torch.randn(light.shape, generator=draws, dtype=light.dtype)).clamp(0, 1)


def kept(image: Tensor, restored: Tensor) -> Tensor:
    return with_kept_brightness(image, restored, WHOLE)


@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
@pytest.mark.parametrize("wrong_by", [-0.3, 0.0, 0.4])  # in deviations of the noise
def test_light_that_clipping_or_a_network_moved_is_set_right(sigma: int, wrong_by: float) -> None:
    levels = torch.tensor([0.0, 0.2, 1.0], dtype=torch.float64)
    light = levels.view(1, 3, 1, 1).expand(1, 3, 256, 256)
    image = noised(light, sigma / 255)
    moved_by_noise = (image.mean((0, 2, 3)) - levels).abs().max()
    restored = (light + wrong_by * sigma / 255).clamp(0, 1)
    for output in (restored, image.mean((2, 3), keepdim=True).expand_as(light)):  # wrong, and as noise left it
        moved = (kept(image, output).clamp(0, 1).mean((0, 2, 3)) - levels).abs().max()
        assert moved < 0.25 * moved_by_noise


def test_photon_noise_in_the_dark_is_not_taken_for_clipped() -> None:
    light = torch.linspace(0, 0.5, 256, dtype=torch.float64).expand(1, 3, 256, 256)
    photons = 100
    image = torch.poisson(photons * light, generator=torch.Generator().manual_seed(0)) / photons
    deviation = (light / photons).sqrt() + 1e-6
    as_clipped = deviation * added_by_clipping(light / deviation)
    dark = slice(4, 32)  # up to six photons
    wrong = as_clipped[..., dark].mean()
    for output in (light, light - as_clipped, light + as_clipped):
        assert (kept(image, output) - light)[..., dark].mean().abs() < 0.75 * wrong


@pytest.mark.parametrize("level", [0.0, 0.1, 0.2, 0.5, 1.0, 127.0, 254.9, 255.0])
def test_without_noise_nothing_is_changed(level: float) -> None:
    image = torch.full((1, 3, 24, 40), level / 255, dtype=torch.float64)
    assert (kept(image, image) - image).abs().max() < 0.02 / 255


def test_photons_on_an_evenly_dark_frame_are_taken_for_clipped_noise() -> None:
    """One photon a pixel: without contrast nothing tells, and what was right is made darker."""
    light = torch.full((1, 3, 128, 128), 25.5 / 255, dtype=torch.float64)
    image = torch.poisson(10 * light, generator=torch.Generator().manual_seed(0)) / 10
    assert -7 < 255 * (kept(image, light) - light).mean() < -4


def test_a_correction_at_an_edge_is_shared_by_both_sides() -> None:
    """Black, ten levels too bright, beside gray that is right, under σ 25: means over eight pixels at the edge."""
    light = torch.zeros(1, 3, 128, 256, dtype=torch.float64)
    light[..., 128:] = 0.5
    output = light + (light == 0) * 10 / 255
    wrong = 255 * (kept(noised(light, 25 / 255), output) - light).mean((0, 1, 2))
    assert 4 < wrong[120:128].mean() < 6
    assert -4.5 < wrong[128:136].mean() < -2.5
    assert wrong[:64].mean() < 2.5
    assert abs(wrong[192:].mean()) < 0.1


def test_what_differs_within_a_cell_is_hardly_set_right() -> None:
    """Every fourth row black, the rest white and ten levels too dark, under σ 25: a fifth is taken back."""
    light = torch.ones(1, 3, 128, 128, dtype=torch.float64)
    light[..., ::4, :] = 0
    restored = kept(noised(light, 25 / 255), light - light * 10 / 255)
    assert -9 < 255 * (restored - light)[light == 1].mean() < -7


def test_impulses_come_back_as_light() -> None:
    """A twentieth of the pixels white, all gone from the output: most of the light that they were is put back."""
    clean = torch.full((1, 3, 128, 128), 0.3, dtype=torch.float64)
    image = clean.clone()
    image[torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) < 0.05] = 1
    added, of = (255 * (images - clean).mean() for images in (kept(image, clean), image))
    assert 0.8 < added / of < 1


def test_a_change_reaches_as_far_as_is_stated() -> None:
    rows = (2 * RADIUS + 4) * SIDE
    light = torch.linspace(0, 0.5, 6 * SIDE, dtype=torch.float64).expand(1, 3, rows, 6 * SIDE)
    image = noised(
        light, (0.002 + 0.03 * light).sqrt()
    )  # where clipping moves the mean, and noise depends on the light
    restored = 0.9 * light
    other = restored.clone()
    middle = (RADIUS + 2) * SIDE
    other[..., middle : middle + SIDE, :] *= 0.5
    changed = (kept(image, restored) != kept(image, other)).amax((0, 1, 3)).nonzero()
    assert middle - RADIUS * SIDE <= int(changed.min()) < middle - (RADIUS - 1) * SIDE
    assert middle + RADIUS * SIDE <= int(changed.max()) < middle + (RADIUS + 1) * SIDE


def test_its_gradient_is_that_of_finite_differences() -> None:
    image = noised(torch.full((1, 3, 16, 24), 0.15, dtype=torch.float64), 0.1)
    restored = noised(torch.full_like(image, 0.15), 0.01, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kept(image, x), (restored,))


def test_the_light_of_a_cell_stays_near_the_range() -> None:
    draws = torch.Generator().manual_seed(0)
    image, restored = torch.rand(2, 1, 3, 8, 8, generator=draws)
    restored = 3 * restored - 1
    squares = (image - restored).square() + torch.rand(1, 3, 8, 8, generator=draws)
    light = restored + light_change(image, restored, squares)
    assert light.isfinite().all()
    assert -2 * BEYOND <= float(light.min()) <= float(light.max()) <= 1 + 2 * BEYOND


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (33, 70)])
def test_a_network_keeps_any_size_and_in_bfloat16_nearly_the_light_of_float32(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = DRUNetSmall(features=4, levels=2, kept_brightness=True).eval()
    with torch.no_grad():
        network.last.weight.normal_(0, 0.02)
    image = noised(torch.full((1, 3, *size), 0.1), 0.1)
    restored = network(image)
    assert restored.shape == image.shape
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(image)
    assert (rounded - restored).mean().abs() < 0.1 / 255


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_light_is_kept_at_every_strength(strength: float) -> None:
    torch.manual_seed(0)
    network = DRUNetSmall(features=4, levels=2, kept_brightness=True).eval()
    with torch.no_grad():
        network.last.weight.normal_(0, 0.02)
    image = noised(torch.full((1, 3, 128, 128), 0.5), 0.1)
    restored = network(image, torch.tensor(strength))
    network.kept_brightness = False
    moved, before = (
        (output.mean((2, 3)) - image.mean((2, 3))).abs().max()
        for output in (restored, network(image, torch.tensor(strength)))
    )
    assert moved < 0.3 * before
