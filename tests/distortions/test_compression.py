"""Codecs against Pillow's own files, and JPEG's quantisation of a flat block against its closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from io import BytesIO
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
from unseen.data.embedded import embedded_photos
from unseen.distortions import Distortion
from unseen.distortions.compression import JPEG, Subsampling, WebP

CODECS: list[Distortion] = [JPEG((5, 100)), JPEG((5, 100), "4:4:4"), WebP((1, 100))]


def photo(height: int, width: int) -> NDArray[np.uint8]:
    return embedded_photos("test")[0].pixels[30 : 30 + height, 180 : 180 + width]


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).copy()).permute(2, 0, 1)[None] / 255


def once(codec: Distortion, clean: Tensor) -> Tensor:
    return codec.apply(clean, codec.sample(generator(0), len(clean)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((1, 7), 1), ((3, 5), 3), ((17, 33), 1), ((32, 24), 3)])
@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_codecs_keep_the_contract(codec: Distortion, size: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
    check_contract(codec, size, channels, dtype)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("quality", [3, 40, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_equals_a_file_of_pillows(tmp_path: Path, subsampling: Subsampling, quality: int, gray: bool) -> None:
    pixels = photo(61, 75)[..., 0] if gray else photo(61, 75)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    expected = as_tensor(np.asarray(Image.open(tmp_path / "a.jpg")))
    assert torch.equal(once(JPEG(quality, subsampling), as_tensor(pixels)), expected)


def test_every_quality_is_that_of_a_file() -> None:
    pixels = photo(16, 24)
    for quality in range(1, 101):
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        assert torch.equal(once(JPEG(quality), as_tensor(pixels)), as_tensor(np.asarray(Image.open(file)))), quality


@pytest.mark.parametrize("quality", [3, 80])
def test_webp_equals_a_file_of_pillows(tmp_path: Path, quality: int) -> None:
    pixels = photo(61, 75)
    Image.fromarray(pixels).save(tmp_path / "a.webp", quality=quality)
    expected = as_tensor(np.asarray(Image.open(tmp_path / "a.webp")))
    assert torch.equal(once(WebP(quality), as_tensor(pixels)), expected)

    gray = pixels[..., 0]
    Image.fromarray(np.stack([gray] * 3, axis=2)).save(tmp_path / "gray.webp", quality=quality)
    colours = as_tensor(np.asarray(Image.open(tmp_path / "gray.webp")))
    assert float((once(WebP(quality), as_tensor(gray)) - colours.mean(dim=1)).abs().max()) < 1.5 / 255


@pytest.mark.parametrize("quality", [10, 20, 60])
def test_jpeg_rounds_a_flat_block_to_its_quantisation_step(quality: int) -> None:
    """The one coefficient of a flat 8 x 8 block is 8 (v − 128); its step is 16, scaled by libjpeg's 5000/quality below
    50 and 200 − 2 quality above, in percent (ITU-T T.81, A.3.3 and table K.1).
    """
    step = (16 * (5000 // quality if quality < 50 else 200 - 2 * quality) + 50) // 100
    levels = torch.arange(256, dtype=torch.float64)
    coefficients = 8 * (levels - 128) / step
    decided = (coefficients.frac().abs() - 0.5).abs() > 1e-9  # halves are rounded to one side or the other
    expected = 128 + coefficients.round() * step / 8
    found = once(JPEG(quality), (levels / 255).view(-1, 1, 1, 1).expand(-1, 1, 8, 8))[:, 0] * 255
    assert float(found.std(dim=(1, 2)).max()) == 0
    assert float((found[:, 0, 0] - expected.clamp(0, 255))[decided].abs().max()) <= 0.5 + 1e-9


def test_subsampling_costs_colour_and_no_gray() -> None:
    """Two colours of about one luminance in turn, one pixel each: 4:2:0 mixes them, 4:4:4 does not."""
    columns = torch.arange(32) % 2
    colours = torch.tensor([[0.8, 0.3], [0.3, 0.55], [0.5, 0.5]])[:, columns]
    image = colours[None, :, None, :].expand(1, 3, 32, 32)
    errors = [float((once(JPEG(95, kind), image) - image).abs().mean()) for kind in ("4:4:4", "4:2:2", "4:2:0")]
    assert errors[0] < 0.03
    assert min(errors[1:]) > 0.1
    assert torch.equal(once(JPEG(50, "4:2:0"), image[:, :1]), once(JPEG(50, "4:4:4"), image[:, :1]))


@pytest.mark.parametrize("codec", [JPEG, WebP])
def test_lower_quality_is_stronger(codec: Callable[[float], Distortion]) -> None:
    clean = as_tensor(photo(96, 96))
    errors = [float((once(codec(quality), clean) - clean).square().mean()) for quality in (5, 20, 50, 80, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 4 * errors[-1]


def test_images_are_clipped_and_rounded_before() -> None:
    codec, levels = JPEG(90), torch.randint(256, (2, 3, 16, 16), generator=generator(1)) / 255
    nudged = levels + 0.4 / 255 * (2 * torch.rand(levels.shape, generator=generator(2)) - 1)
    assert torch.equal(once(codec, nudged), once(codec, levels))
    assert torch.equal(once(codec, 3 * levels - 1), once(codec, (3 * levels - 1).clamp(0, 1)))


def test_qualities_are_whole_numbers_drawn_evenly() -> None:
    """Rounded from an even draw: the ends have half a share each."""
    found = JPEG((30, 34)).sample(generator(0), 8000)["quality"]
    counts = torch.bincount(found, minlength=35)
    shares = torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125])
    assert counts.sum() == counts[30:].sum() == 8000
    assert torch.all((counts[30:] - 8000 * shares).abs() < 4 * (8000 * shares * (1 - shares)).sqrt())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(JPEG, 0), "quality"),
        (partial(JPEG, 101), "quality"),
        (partial(JPEG, (90, 20)), "quality"),
        (partial(WebP, math.nan), "quality"),
        (partial(JPEG, 40.5), r"quality 40\.5: expected a whole number, or a range of two"),
        (partial(WebP, (30, 60.5)), r"quality \(30, 60\.5\): expected a whole number, or a range of two"),
        (partial(JPEG, 50, cast(Subsampling, "4:1:1")), "subsampling '4:1:1'"),
        (partial(once, JPEG(50), torch.zeros(1, 2, 8, 8)), "JPEG codes images of 1 or 3 channels, and not of 2"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_codecs_are_made_from_words() -> None:
    known = {"jpeg": JPEG}
    assert build("jpeg:[30,95],subsampling=4:4:4", known, "seen", Distortion) == JPEG((30, 95), "4:4:4")
    assert build("jpeg:10", known, "seen", Distortion).degree == 10
