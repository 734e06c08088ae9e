"""Resizing against Pillow, block means and closed forms; MATLAB's against the published pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support.contract import check_contract
from torch import Tensor

from unseen.core.randomness import generator
from unseen.core.registry import build
from unseen.distortions import Distortion
from unseen.distortions.resampling import Downsample, Resample, ResizeMode, matlab_bicubic, resize

Floats = NDArray[np.float32]
MODES: list[ResizeMode] = ["area", "bilinear", "bicubic", "matlab"]
RESAMPLES = [
    Resample((1, 5)),
    Resample(3, "area", "bilinear"),
    Resample((1, 16), "bilinear", "area"),
    Resample((1, 4), "matlab", "matlab"),
]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def pillows(image: Floats, height: int, width: int, mode: str = "bicubic") -> Floats:
    """Pillow's resizing of floats (H, W), whose kernels are cut off at the border."""
    return np.asarray(Image.fromarray(image).resize((width, height), FILTERS[mode]))


def noise(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(size, generator=generator(0), dtype=dtype)


def load(path: Path) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", MODES)
def test_downsampling_keeps_the_contract(mode: ResizeMode, dtype: torch.dtype) -> None:
    for size, channels in (((4, 4), 3), ((4, 28), 1), ((36, 20), 3)):
        check_contract(Downsample(4, mode), size, channels, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((1, 7), 1), ((3, 5), 3), ((17, 33), 1), ((32, 24), 3)])
@pytest.mark.parametrize("resample", RESAMPLES, ids=repr)
def test_resampling_keeps_the_contract(
    resample: Distortion, size: tuple[int, int], channels: int, dtype: torch.dtype
) -> None:
    check_contract(resample, size, channels, dtype)


@pytest.mark.parametrize("size", [(10, 7), (40, 33), (19, 61), (80, 10)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resizing_equals_pillows(mode: ResizeMode, size: tuple[int, int]) -> None:
    image = noise(40, 33)
    found = resize(image[None, None], *size, mode)[0, 0]
    np.testing.assert_allclose(found.numpy(), pillows(image.numpy(), *size, mode), atol=2e-6)


def test_area_is_the_mean_of_what_a_pixel_touches() -> None:
    image = noise(2, 3, 12, 20)
    blocks = image.numpy().reshape(2, 3, 3, 4, 4, 5).mean(axis=(3, 5))
    np.testing.assert_allclose(resize(image, 3, 4, "area").numpy(), blocks, atol=1e-6)
    line = torch.tensor([0.1, 0.4, 0.9, 0.2, 0.6])
    thirds = torch.tensor([0.5 / 2, 1.5 / 3, 0.8 / 2])  # 0 to 5/3, 5/3 to 10/3, 10/3 to 5
    assert torch.allclose(resize(line.expand(1, 1, 5, 5), 5, 3, "area")[0, 0, 0], thirds)


@pytest.mark.parametrize("mode", MODES)
def test_ramps_stay_ramps_and_the_finest_stripes_turn_gray(mode: ResizeMode) -> None:
    """Away from the border, and within half a level of rounding after each direction for MATLAB's."""
    tolerance = 1.01 / 255 if mode == "matlab" else 1e-6
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    expected = ramp[0, 0, 0].view(16, 4).mean(dim=1)
    assert float((resize(ramp, 16, 16, mode)[0, 0, 0] - expected)[2:-2].abs().max()) < tolerance
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    assert float((resize(stripes, 16, 16, mode)[..., 2:-2] - 0.5).abs().max()) < tolerance + 0.5 / 255


@pytest.mark.parametrize("size", [(20, 30), (10, 15), (30, 20), (67, 91), (20, 120)])
def test_matlabs_bicubic_is_pillows_rounded_after_each_direction(size: tuple[int, int]) -> None:
    """Within the border, where both use the kernel of Keys 1981; Pillow in float32 may round the odd half elsewhere."""
    height, width = size
    levels = (noise(40, 60) * 255).round().numpy()
    steps = [(0, height), (1, width)] if height / 40 <= width / 60 else [(1, width), (0, height)]
    expected = levels
    for axis, length in steps:
        now = [*expected.shape]
        now[axis] = length
        expected = np.floor(pillows(expected, *now) + 0.5).clip(0, 255)
    found = matlab_bicubic(torch.from_numpy(levels)[None, None] / 255, *size)[0, 0].numpy() * 255
    rows, columns = (2 * math.ceil(max(1, new / old)) for new, old in ((height, 40), (width, 60)))
    differences = np.abs(found - expected)[rows:-rows, columns:-columns]
    assert differences.max() < 1.01
    assert (differences > 0.01).mean() < 0.01


def test_matlabs_bicubic_repeats_the_edge() -> None:
    """An image with its edges repeated by hand has the same inner pixels."""
    image = (noise(2, 3, 16, 24, dtype=torch.float64) * 255).round() / 255
    wide = torch.nn.functional.pad(image, (16, 16, 16, 16), mode="replicate")
    assert torch.equal(matlab_bicubic(wide, 12, 14)[..., 4:-4, 4:-4], matlab_bicubic(image, 4, 6))


@pytest.mark.parametrize("name", ["set5_x4", "set14_x4"])
def test_matlabs_bicubic_makes_the_published_pairs(real_images: Path, name: str) -> None:
    """Every gray level of the 5 and of the 14 low-resolution images, to the border."""
    paths = sorted((real_images / "test" / name / "hr").iterdir())
    assert len(paths) == {"set5_x4": 5, "set14_x4": 14}[name]
    for path in paths:
        published = load(real_images / "test" / name / "lr" / path.name)
        assert torch.equal(Downsample(4).apply(load(path), {}), published), path


def test_downsampling_tells_its_scale_and_refuses_what_it_cannot_divide() -> None:
    assert Downsample(3).scale == Downsample(3).degree == 3
    for mode in MODES:
        assert Downsample(3, mode).apply(noise(2, 3, 9, 12), {}).shape == (2, 3, 3, 4)
    with pytest.raises(ValueError, match="10 x 12 pixels cannot be divided by 3"):
        Downsample(3).apply(noise(1, 3, 10, 12), {})


@pytest.mark.parametrize("mode", ["bicubic", "matlab"])
def test_overshoot_is_clipped(mode: ResizeMode) -> None:
    edge = (torch.arange(32) < 16).float().expand(1, 1, 32, 32)
    assert float(resize(edge, 64, 64, "bicubic").max()) > 1.02
    for found in (
        Downsample(2, mode).apply(edge, {}),
        Resample(2.3, mode).apply(edge, {"factor": torch.tensor([2.3])}),
    ):
        assert (float(found.min()), float(found.max())) == (0, 1)


@pytest.mark.parametrize(("down", "up"), [("bilinear", "bicubic"), ("bicubic", "bilinear")])
def test_resampling_equals_pillows_way_down_and_up(down: ResizeMode, up: ResizeMode) -> None:
    """Each image by its own factor: 23 x 30 becomes 23 x 30, 12 x 15, 8 x 10, 2 x 3 and 1 x 1, and back."""
    images = noise(5, 1, 23, 30)
    factors = torch.tensor([1.0, 2.0, 2.95, 11.0, 16.0 * 2], dtype=torch.float64)
    found = Resample((1, 16), down, up).apply(images, {"factor": factors})
    for image, result, size in zip(
        images[:, 0], found[:, 0], [(23, 30), (12, 15), (8, 10), (2, 3), (1, 1)], strict=True
    ):
        expected = pillows(pillows(image.numpy(), *size, down), 23, 30, up).clip(0, 1)
        np.testing.assert_allclose(result.numpy(), expected, atol=3e-6)
    assert torch.allclose(found[0], images[0], atol=1e-6)


def test_a_range_of_factors_is_drawn_evenly() -> None:
    factors = Resample((1, 5)).sample(generator(0), 4000)["factor"]
    assert 1 <= float(factors.min()) < 1.02
    assert 4.98 < float(factors.max()) <= 5
    assert float(factors.mean()) == pytest.approx(3, abs=4 * 4 / math.sqrt(12 * 4000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(Downsample, 1), "factor"),
        (partial(Downsample, 17), "factor"),
        (partial(Downsample, 2, cast(ResizeMode, "nearest")), "mode 'nearest'"),
        (partial(Resample, 0.5), "factor"),
        (partial(Resample, (4, 2)), "factor"),
        (partial(Resample, 2, cast(ResizeMode, "lanczos")), "down 'lanczos'"),
        (partial(Resample, 2, "area", cast(ResizeMode, "lanczos")), "up 'lanczos'"),
        (partial(resize, torch.zeros(1, 1, 2, 2), 1, 1, cast(ResizeMode, "nearest")), "mode 'nearest'"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_other_kernels_are_other_types_and_can_be_told_apart() -> None:
    for kinds in ([Downsample(4, mode) for mode in MODES], [Resample((2, 4), a, b) for a in MODES for b in MODES]):
        assert all(one.overlaps(other) is (one == other) for one in kinds for other in kinds)
        assert len({one.degree for one in kinds}) == len(kinds)
    assert Resample((2, 4), "area").overlaps(Resample(3, "area"))
    assert not Resample((2, 4), "area").overlaps(Resample(5, "area"))
    assert (Downsample(4).degree, Resample((2, 4)).degree) == (4, (2, 4))  # as numbers, on an axis
    assert Downsample(4, "area").degree == "4, area"
    assert Resample((2, 4), "area").degree == "2-4, area down, bicubic up"


def test_resampling_is_made_from_words() -> None:
    known = {"downsample": Downsample, "resample": Resample}
    assert build("downsample:4", known, "seen", Distortion) == Downsample(4, "matlab")
    assert build("resample:[2,4],down=area", known, "seen", Distortion) == Resample((2, 4), "area", "bicubic")
