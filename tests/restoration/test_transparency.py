"""Colours under what is transparent never reach the rim of what is visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save
from unseen.restoration.imagefiles.transparency import SPREAD, spread_colours, spreading_reader
from unseen.restoration.restorer import Restorer
from unseen.restoration.tiles import Tiling, restored_strips

SIDE = 48
RED = (220, 30, 40)


def disc() -> NDArray[np.uint8]:
    """A red disc with a soft rim on transparent black."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    alpha = ((SIDE / 3 - np.hypot(rows, columns)).clip(-1, 1) + 1) / 2
    colours = np.where(alpha[..., None] > 0, np.array(RED), 0)
    return np.concatenate([colours, np.rint(255 * alpha)[..., None]], axis=2).astype(np.uint8)


def smearing(scale: int) -> Model:
    """A network that mixes each pixel with those five away, and enlarges bicubically."""

    def run(images: torch.Tensor) -> torch.Tensor:
        blurred = F.avg_pool2d(F.pad(images, (5, 5, 5, 5), mode="replicate"), 11, 1)
        return F.interpolate(blurred, scale_factor=scale, mode="bicubic").clamp(0, 1) if scale > 1 else blurred

    return Model("smearing", run, ReceptiveField(8, 1, scale))


def over_white(layers: NDArray[np.uint8]) -> NDArray[np.float64]:
    alpha = layers[..., -1:] / 255
    composite: NDArray[np.float64] = layers[..., :-1] * alpha + 255 * (1 - alpha)
    return composite


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("way", ["file", "array"])
def test_no_rim_is_darker_than_the_disc_and_the_page(way: str, scale: int, tmp_path: Path) -> None:
    model, layers = smearing(scale), disc()
    if way == "array":
        restored = Restorer(model, Tiling(16, 8)).restore(layers)
    else:
        Image.fromarray(layers).save(tmp_path / "a.png")
        source = open_image(tmp_path / "a.png")
        strips = restored_strips(model, source.reader(), SIDE, SIDE, Tiling(16, 8))
        save(source, tmp_path / "b.png", strips, scale=scale)
        restored = np.asarray(Image.open(tmp_path / "b.png"))
    assert restored.shape == (scale * SIDE, scale * SIDE, 4)
    exact = over_white(np.concatenate([np.broadcast_to(RED, (*restored.shape[:2], 3)), restored[..., 3:]], axis=2))
    assert (exact - over_white(restored)).max() <= 2
    if scale == 1:  # what nobody sees stays what it was
        hidden = layers[..., 3] == 0
        assert np.array_equal(restored[hidden], layers[hidden])


def test_visible_colours_and_far_ones_stay_and_the_nearest_are_spread() -> None:
    colours = np.zeros((3, 100, 3), np.float32)
    alpha = np.zeros((3, 100, 1), np.float32)
    colours[:, 10], alpha[:, 10] = (0.2, 0.4, 0.6), 0.5
    colours[:, 12], alpha[:, 12] = (0.6, 0.4, 0.2), 1.0
    spread = spread_colours(colours, alpha)
    assert np.array_equal(spread[:, [10, 12]], colours[:, [10, 12]])
    assert np.allclose(spread[1, 9], (0.2, 0.4, 0.6), atol=1e-6)
    assert np.allclose(spread[1, 11], (0.2 / 3 + 0.6 * 2 / 3, 0.4, 0.6 / 3 + 0.2 * 2 / 3), atol=1e-6)
    assert (spread[1, 12 + 1 : 12 + SPREAD + 1] > 0.1).all()
    assert (spread[1, 12 + SPREAD + 1 :] == 0).all()
    assert spread_colours(colours, np.ones_like(alpha)) is colours


def test_any_number_of_rows_at_a_time_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = np.random.default_rng(0).random((150, 37, 4), np.float32)
    layers[..., 3] = np.where(layers[..., 3] < 0.9, 0, layers[..., 3])
    whole = spread_colours(layers[..., :3], layers[..., 3:])
    for step in (1, 7, 64, 150):
        read = spreading_reader(lambda top, bottom: layers[top:bottom], 150)
        rows = np.concatenate([read(top, min(top + step, 150)) for top in range(0, 150, step)])
        assert np.allclose(rows[..., :3], whole, atol=1e-5)
        assert np.array_equal(rows[..., 3], layers[..., 3])
    monkeypatch.setattr("unseen.restoration.imagefiles.transparency._COLUMNS", 10)
    assert np.allclose(spread_colours(layers[..., :3], layers[..., 3:]), whole, atol=1e-5)
