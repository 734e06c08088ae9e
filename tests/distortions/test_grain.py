"""Film grain against the moments of its stated model."""

from __future__ import annotations

import math

import pytest
import torch
from support.contract import check_contract

from unseen.core.randomness import generator
from unseen.distortions import FilmGrain


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((5, 1), 1), ((17, 33), 3)])
def test_grain_keeps_the_contract(size: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
    check_contract(FilmGrain((2, 20), (0.5, 1.2)), size, channels, dtype)


@pytest.mark.parametrize(("light", "share"), [(0.0, 0.25), (0.5, 1.0), (0.75, 0.8125), (1.0, 0.25)])
def test_grain_is_strongest_in_mid_gray_and_mostly_common_to_the_channels(light: float, share: float) -> None:
    n, side = 1500, 6
    noise = FilmGrain(10, clip=False)
    clean = torch.full((n, 3, side, side), light, dtype=torch.float64)
    grain = (noise.apply(clean, noise.sample(generator(0), n)) - light) * 25.5
    assert float(grain.std()) == pytest.approx(share, rel=0.02)
    assert abs(float(grain.mean())) < 0.02
    correlations = torch.corrcoef(grain.permute(1, 0, 2, 3).reshape(3, -1))
    assert torch.allclose(correlations, torch.eye(3).double() * 0.2 + 0.8, atol=0.02)
    one, other = grain[..., 1:], grain[..., :-1]
    expected = math.exp(-1 / (4 * 0.9**2))
    assert float((one * other).mean() / (grain**2).mean()) == pytest.approx(expected, abs=0.02)


def test_grain_depends_on_the_luma_and_refuses_what_has_none() -> None:
    noise = FilmGrain(10, clip=False)
    colours = torch.tensor([0.0, 0.3, 1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    grain = noise.apply(colours, noise.sample(generator(0), 1)) - colours
    light = 0.587 * 0.3 + 0.114
    mid = noise.apply(torch.full((1, 3, 8, 8), 0.5), noise.sample(generator(0), 1)) - 0.5
    assert torch.allclose(grain, mid * (0.25 + 3 * light * (1 - light)), atol=1e-6)
    with pytest.raises(ValueError, match="film grain is made of 1 or 3 channels, and not of 2"):
        noise.apply(torch.zeros(1, 2, 4, 4), noise.sample(generator(0), 1))
    with pytest.raises(ValueError, match=r"size 0 is not within 0\.1 to 10"):
        FilmGrain(10, 0)
