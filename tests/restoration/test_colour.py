"""Colours of large areas: what noise and clipping explain is no shift, and what they do not is measured and undone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support.commandline import CommandLine
from torch import Tensor
from torch.nn import functional as F

from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.colour import MARGIN, RADII, colour_shift, local_mean
from unseen.restoration.guarded_model import MonitoredModel
from unseen.restoration.tiles import Tiling, restore_tiled

SIGMA = torch.full((1, 1, 1, 1), 25.0)


def even(level: float, side: int = 96) -> Tensor:
    return torch.full((1, 3, side, side), level / 255)


def noisy(clean: Tensor, sigma: float = 25.0) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return ((clean + sigma / 255 * torch.randn(clean.shape, generator=draws)).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("size", [(1, 1), (5, 70), (33, 32), (90, 41)])
def test_local_means_are_over_what_of_the_square_lies_in_the_image(size: tuple[int, int], radius: int) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = F.avg_pool2d(images, 2 * radius + 1, 1, radius, count_include_pad=False)
    torch.testing.assert_close(local_mean(images, radius), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", [2, 20, 128, 240, 254])
def test_removed_noise_is_no_shift_of_colour_clipped_or_not(level: float) -> None:
    """Clipping at black moves the mean of what is left of the noise by up to ten levels at σ 25."""
    before = noisy(even(level, 192))
    moved = abs(float((even(level, 192) - before).mean()) * 255)
    assert (moved > 5) == (level in (2, 254))
    shift = colour_shift(before, even(level, 192), SIGMA)
    assert float((shift != 0).float().mean()) < 0.02
    assert float(shift.abs().max()) < 3 / 255


@pytest.mark.parametrize("step", [1, 4])
def test_a_moved_area_counts_in_full(step: int) -> None:
    after = even(200)
    after[..., 24:, 24:] += 30 / 255
    shift = 255 * colour_shift(noisy(even(200)), after, SIGMA, step=step)
    assert float(shift[..., 80 // step, 80 // step].mean()) == pytest.approx(30, abs=1.5)
    assert not shift[..., 0, 0].any()


def lamp_brightener(images: Tensor) -> Tensor:
    """Moves the green of what is blue, as a network does that never saw such a colour."""
    moved = images.clone()
    moved[:, 1] += 0.15 * F.avg_pool2d((images[:, 2:] - images[:, :1] > 0.2).float(), 3, 1, 1)[:, 0]
    return moved


def lamp(side: int = 160) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = even(40, side)
    image[:, 2, (y - 70) ** 2 + (x - 80) ** 2 < 45**2] = 220 / 255
    return image


def monitored(keep_colours: bool, sigma: float = 0.0) -> MonitoredModel:
    return MonitoredModel(Model("lamps", lamp_brightener, ReceptiveField(1)), [sigma], keep_colours)


def test_colours_are_kept_alike_in_tiles_and_whole() -> None:
    image = noisy(lamp(), 10)
    tiling = Tiling(32, 1).widened(MARGIN, 1)
    whole = restore_tiled(monitored(True, 10).model, image, Tiling(512, 1))
    tiled = restore_tiled(monitored(True, 10).model, image, tiling)
    assert (tiling.overlap, tiling.tile) == (1 + MARGIN, 16)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)
    core = (slice(None), 1, slice(60, 80), slice(70, 90))
    assert float((lamp_brightener(image) - lamp())[core].mean()) > 0.1
    assert abs(float((whole - lamp())[core].mean())) < 2 / 255


def test_where_no_colour_moves_not_a_bit_does() -> None:
    """What is removed has means of at most a level: a grid, and every colour lightened by a level."""
    grid = 8 / 255 * (1 - 2 * (torch.arange(160) % 2).float())
    model = Model("denoiser", lambda images: images - grid + 0.9 / 255, ReceptiveField(0))
    guarded = MonitoredModel(model, [10.0], keep_colours=True)
    assert torch.equal(guarded.model.run(lamp() + grid), model.run(lamp() + grid))


def test_the_largest_shift_is_measured_over_all_tiles_and_of_enlarged_outputs() -> None:
    for tiling in (Tiling(512, 1), Tiling(32, 1)):
        model = monitored(False)
        restore_tiled(model.model, lamp(), tiling)
        assert 255 * model.changes[0].colour == pytest.approx(0.15 * 255, abs=1.5)
    doubled = Model(
        "doubled", lambda x: lamp_brightener(x).repeat_interleave(2, 2).repeat_interleave(2, 3), ReceptiveField(1, 1, 2)
    )
    enlarging = MonitoredModel(doubled, [0.0])
    enlarging.model.run(lamp())
    assert 255 * enlarging.changes[0].colour == pytest.approx(0.15 * 255, abs=1.5)


def test_a_shipped_network_is_warned_of_where_it_moves_colours(unseen: CommandLine, tmp_path: Path) -> None:
    """A green lamp in the dark, noise of σ 25, which `erm` has not seen: moved by dozens of levels."""
    lamp = np.full((160, 160, 3), (40, 36, 44), dtype=float)
    y, x = np.mgrid[:160, :160]
    distance = np.hypot(y - 80, x - 80)
    lamp[distance < 45], core = (30, 220, 40), distance < 30
    scene = np.clip(np.rint(lamp + np.random.default_rng(0).normal(0, 25, lamp.shape)), 0, 255).astype(np.uint8)
    Image.fromarray(scene).save(tmp_path / "lamp.png")

    def restored(*words: str) -> tuple[str, NDArray[np.float64]]:
        words = ("--model", "erm", "--overwrite", *words)
        told = unseen("restore", tmp_path / "lamp.png", "-o", tmp_path / "out.png", *words)
        return told.err, np.asarray(Image.open(tmp_path / "out.png"))[core].mean(0)

    plain, moved = restored()
    assert len([line for line in plain.splitlines() if line.startswith("look at lamp.png")]) == 1
    assert "colours of large areas moved by up to" in plain
    assert "--keep-colours takes" in plain
    assert abs(moved - (30, 220, 40)).max() > 30
    kept, colours = restored("--keep-colours")
    assert "moved" not in kept
    assert abs(colours - (30, 220, 40)).max() < 6
