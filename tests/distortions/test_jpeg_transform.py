"""JPEG by tensor operations against Pillow's codec, and its grid of blocks at any phase."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from support.contract import check_contract
from torch import Tensor

from unseen.core.randomness import generator
from unseen.data.embedded import embedded_photos
from unseen.data.tensors import to_tensor
from unseen.distortions import JPEG, Distortion, JPEGTransform
from unseen.distortions.compression import Subsampling
from unseen.distortions.jpeg_transform import TransformSubsampling

ALL = [JPEGTransform((5, 100)), JPEGTransform((5, 100), "any"), JPEGTransform((5, 100), "4:4:4", aligned=True)]


def photo(height: int, width: int, i: int = 0) -> Tensor:
    return to_tensor(embedded_photos("test")[i].pixels[30 : 30 + height, 40 : 40 + width])


def psnr(one: Tensor, other: Tensor) -> float:
    return float(-10 * (one - other).square().mean().log10())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((1, 7), 1), ((17, 33), 3), ((32, 24), 3)])
@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_the_transform_keeps_the_contract(
    transform: Distortion, size: tuple[int, int], channels: int, dtype: torch.dtype
) -> None:
    check_contract(transform, size, channels, dtype)


@pytest.mark.parametrize("size", [(96, 128), (61, 75), (66, 90)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [10, 40, 75, 95])
def test_it_loses_what_pillows_codec_loses(quality: int, subsampling: Subsampling, size: tuple[int, int]) -> None:
    """Up to the edge, where blocks and halves of colours are filled up."""
    clean, parameters = photo(*size), {"quality": torch.tensor([quality])}
    expected = JPEG(quality, subsampling).apply(clean, parameters)
    transform = JPEGTransform(quality, cast(TransformSubsampling, subsampling), aligned=True)
    found = transform.apply(clean, parameters)
    assert float((found - expected).abs().mean()) * 255 < 0.2
    assert psnr(found, expected) > max(50, psnr(expected, clean) + 12)
    assert psnr(found[..., -3:, -3:], expected[..., -3:, -3:]) > 40
    gray = transform.apply(clean[:, :1], parameters)
    assert psnr(gray, JPEG(quality).apply(clean[:, :1], parameters)) > 50


def test_flat_gray_is_rounded_as_the_codec_rounds_it() -> None:
    """Halves of steps, which floating point reaches from either side."""
    flat = (torch.arange(256) / 255).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    for quality in (10, 20, 60):
        parameters = {"quality": torch.full((256,), quality)}
        found = JPEGTransform(quality, aligned=True).apply(flat, parameters)
        assert torch.equal(found, JPEG(quality).apply(flat, parameters))


def test_the_grid_of_blocks_begins_where_it_was_drawn() -> None:
    """An image that begins some rows and columns into a larger one is coded as it would be within it."""
    whole, quality = photo(80, 96), torch.tensor([30])
    inside = JPEGTransform(30, aligned=True).apply(whole, {"quality": quality})
    for top, left in ((5, 11), (0, 3), (15, 8)):
        offset = torch.tensor([[top, left]])
        found = JPEGTransform(30).apply(whole[..., top:, left:], {"quality": quality, "offset": offset})
        assert torch.equal(found[..., 16:48, 16:64], inside[..., top + 16 : top + 48, left + 16 : left + 64])
    offsets = JPEGTransform(30).sample(generator(0), 4000)["offset"]
    counts = torch.stack([torch.bincount(column, minlength=16) for column in offsets.unbind(dim=1)])
    assert counts.shape == (2, 16)
    assert float((counts - 250).abs().max()) < 4.5 * (4000 / 16 * 15 / 16) ** 0.5


def test_either_subsampling_is_drawn_for_each_image() -> None:
    clean = photo(48, 48).expand(2, -1, -1, -1)
    parameters = {"quality": torch.tensor([60, 60]), "halved": torch.tensor([0, 1])}
    found = JPEGTransform(60, "any", aligned=True).apply(clean, parameters)
    for i, subsampling in enumerate(("4:4:4", "4:2:0")):
        single = JPEGTransform(60, subsampling, aligned=True).apply(clean, parameters)  # type: ignore[arg-type]
        assert torch.equal(found[i], single[i])
    assert not torch.equal(found[0], found[1])


def test_its_qualities_and_the_codecs_are_compared_for_leaks() -> None:
    assert JPEGTransform((40, 95)).overlaps(JPEG(60))
    assert JPEG(60).overlaps(JPEGTransform((40, 95)))
    assert not JPEGTransform((40, 95)).overlaps(JPEG(30))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="subsampling '4:2:2' is none of 4:4:4, 4:2:0, any"):
        JPEGTransform(50, cast(TransformSubsampling, "4:2:2"))
    with pytest.raises(ValueError, match="JPEGTransform codes images of 1 or 3 channels, and not of 2"):
        JPEGTransform(50, aligned=True).apply(torch.zeros(1, 2, 8, 8), {"quality": torch.tensor([50])})
