"""Tiles: tiled against untiled, what of an image is read, and the memory that a restoration takes."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.known_reach import OURS, Blocks, Mean, Shifted, drawn, small
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import UserError
from unseen.models.backbones import NormalisationEquivariantCNN, PlainCNN, UNet, rrdb_small
from unseen.models.inference import restore_batch
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField, receptive_field_of
from unseen.restoration.tiles import (
    LARGEST_TILE_KEPT,
    Strip,
    Tiling,
    count_tiles,
    restore_tiled,
    restored_strips,
    spans,
    tiling_effect,
    tiling_for,
)

MIB = 2**20
LEVEL = 1 / 255


def model_of(network: nn.Module, name: str = "a network") -> Model:
    return Model(name, lambda images: restore_batch(network, images, "cpu"), receptive_field_of(network))


FINITE = {"drunet": 8, "swinir": 4, "safmn": 8, "compact": 1, "ditn": 8}
"""Name → stride, in the small form."""


@pytest.mark.parametrize("name", FINITE)
def test_networks_of_others_with_an_end_are_exact_in_tiles(name: str) -> None:
    model = model_of(small(name))
    assert model.receptive_field.radius is not None
    assert model.receptive_field.stride == FINITE[name]
    tiling = tiling_for(model, 0, 16)
    image = noise(2 * tiling.overlap + 19, 2 * tiling.overlap + 37)
    assert count_tiles(image.shape[-2], image.shape[-1], tiling) > 3
    assert (restore_tiled(model, image, tiling) - model.run(image)).abs().max() < 0.01 * LEVEL


def noise(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def in_strips(model: Model, image: Tensor, tiling: Tiling) -> Tensor:
    """`restored_strips` of (1, 3, H, W), each row given once, in order."""
    pixels: Strip = image[0].permute(1, 2, 0).numpy()
    height, width, _ = pixels.shape
    given = 0
    tiles: list[int] = []

    def read(top: int, bottom: int) -> Strip:
        nonlocal given
        assert top == given < bottom
        given = bottom
        return pixels[top:bottom]

    strips = list(restored_strips(model, read, height, width, tiling, tiles.append))
    assert given == height
    assert sum(tiles) == len(tiles) == count_tiles(height, width, tiling)
    assert all(strip.dtype == np.float32 for strip in strips)
    return torch.from_numpy(np.concatenate(strips)).permute(2, 0, 1)[None]


SIZES = [(1, 1), (1, 97), (97, 1), (3, 5), (2, 130), (61, 83), (128, 128)]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "×".join(map(str, size)))
def test_tiled_equals_untiled(name: str, size: tuple[int, int]) -> None:
    model = model_of(drawn(OURS[name]()))
    image = noise(*size)
    whole = model.run(image)
    largest = whole.abs().max()
    for tile in (16, 64):
        tiling = tiling_for(model, 0, tile)
        for tiled in (in_strips(model, image, tiling), restore_tiled(model, image, tiling)):
            assert tiled.shape == whole.shape
            assert (tiled - whole).abs().max() <= 1e-5 * largest


def test_less_overlap_would_show() -> None:
    """The other side of equality: a network whose farthest input counts, given a pixel less."""
    model = model_of(Shifted(0, 9))
    image = noise(64, 64)
    exact, short = Tiling(16, 9), Tiling(16, 8)
    assert torch.equal(restore_tiled(model, image, exact), model.run(image))
    assert (restore_tiled(model, image, short) - model.run(image)).abs().max() > LEVEL
    blocks = model_of(Blocks(8))
    assert (restore_tiled(blocks, image, Tiling(12, 10)) - blocks.run(image)).abs().max() > LEVEL  # not aligned


def test_windows_cover_a_side_once_and_stay_within_their_size() -> None:
    for stride in (1, 4, 64):
        for tile, overlap in ((1, 1), (1, 5), (3, 1), (8, 2)):
            tiling = Tiling(tile * stride, overlap * stride)
            for length in (*range(1, 200), 1000, 1001):
                found = spans(length, tiling)
                assert [found[0].first, found[-1].last] == [0, length]
                assert all(before.last == after.first for before, after in pairwise(found))
                for span in found:
                    assert span.begin % stride == 0
                    assert span.last > span.first
                    assert span.size <= tiling.window
                    assert span.size >= min(length, 2 * tiling.overlap)
                    assert span.begin == 0 or span.first - span.begin >= tiling.overlap
                    assert span.end == length or span.end - span.last >= tiling.overlap
                assert (len(found) == 1) == (length <= tiling.window)


class Seen:
    """A network that notes the shapes that it is given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return images


def test_what_fits_into_a_window_is_run_as_it_is() -> None:
    seen = Seen()
    model = Model("a copy", seen, ReceptiveField(4))
    images = noise(24, 20, count=3)
    assert restore_tiled(model, images, Tiling(40, 4)) is images
    in_strips(model, images[:1], Tiling(16, 4))
    assert seen.shapes == [(3, 3, 24, 20), (1, 3, 24, 20)]


def test_no_run_is_larger_than_the_largest_window() -> None:
    seen = Seen()
    images, tiling = noise(20, 30, count=7), Tiling(16, 8)
    assert torch.equal(restore_tiled(Model("a copy", seen, ReceptiveField(8)), images, tiling), images)
    assert seen.shapes == [(1, 3, 20, 30)] * 7  # of 600 pixels, two are more than 32×32
    seen.shapes.clear()
    images = noise(10, 300, count=7)
    assert torch.equal(restore_tiled(Model("a copy", seen, ReceptiveField(8)), images, tiling), images)
    assert {shape[0] for shape in seen.shapes} == {3, 1}
    assert all(count * height * width <= tiling.window**2 for count, _, height, width in seen.shapes)


def test_only_the_rows_of_a_window_are_read_ahead() -> None:
    read_rows: list[int] = []

    def read(top: int, bottom: int) -> Strip:
        read_rows.append(bottom - top)
        return np.zeros((bottom - top, 50, 3), np.float32)

    tiling, made = Tiling(16, 4), 0
    for strip in restored_strips(Model("a copy", Seen(), ReceptiveField(4)), read, 1000, 50, tiling):
        made += len(strip)
        assert sum(read_rows) - made <= tiling.overlap
        assert len(strip) <= tiling.tile + tiling.overlap
    assert made == 1000


def test_several_threads_restore_as_one_does() -> None:
    model = model_of(drawn(UNet(features=4, levels=2)))
    image, tiling = noise(70, 90), tiling_for(model, 0, 16)
    expected = restore_tiled(model, image, tiling)
    found: list[Tensor] = []
    threads = [threading.Thread(target=lambda: found.append(in_strips(model, image, tiling))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.allclose(each, expected, atol=1e-6) for each in found)


def test_the_effect_of_tiles_is_none_for_a_network_with_an_end_and_that_of_the_mean_for_one_without() -> None:
    assert tiling_effect(model_of(drawn(UNet(features=4, levels=2)))) < 0.01
    model = model_of(Mean())
    # 0.01 of how far the mean of a tile is from that of the photograph, at most 255 · 0.01
    for tile in (64, 128, 512):  # the last is more than the photograph holds
        assert 0.05 < tiling_effect(model, tile) < 2.55


def test_tiles_set_by_hand_are_rounded_up_to_the_stride() -> None:
    run = Seen()
    assert tiling_for(Model("a copy", run, ReceptiveField(10, 8)), 1, 100) == Tiling(104, 16)
    assert tiling_for(Model("a copy", run, ReceptiveField(0)), 1, 1) == Tiling(1, 1)
    assert tiling_for(Model("a copy", run, ReceptiveField(None, 16)), 1, 100) == Tiling(112, 64)
    assert not run.shapes
    with pytest.raises(UserError, match=r"^tile: -3 "):
        tiling_for(Model("a copy", run, ReceptiveField(0)), 1, -3)


def test_a_model_that_does_not_enlarge_as_it_says_is_refused_by_name() -> None:
    images = torch.rand(1, 3, 40, 30)
    pixels = images[0].permute(1, 2, 0).numpy()
    for run, scale in ((lambda x: x, 2), (lambda x: F.interpolate(x, scale_factor=2), 1), (lambda x: x[:, :1], 1)):
        model = Model("liar", run, ReceptiveField(1, 1, scale))
        with pytest.raises(UserError, match=rf"^liar: makes .*, but states a scale of {scale}$"):
            list(restored_strips(model, lambda top, bottom: pixels[top:bottom], 40, 30, Tiling(16, 2)))
        for tiling in (Tiling(16, 2), Tiling(64, 2)):
            with pytest.raises(UserError, match=r"^liar: "):
                restore_tiled(model, images, tiling)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process takes")
def test_more_memory_makes_larger_tiles_up_to_a_limit() -> None:
    model = model_of(NormalisationEquivariantCNN(features=16, depth=4).eval())
    tiles = [tiling_for(model, memory * MIB).tile for memory in (48, 96, 4096)]
    assert tiles[0] < tiles[1] < tiles[2] == 512 < tiling_for(model, 4096 * MIB, largest=LARGEST_TILE_KEPT).tile
    enlarging = model_of(rrdb_small(features=4, growth=3, blocks=1, scale=4).eval())
    assert tiling_for(enlarging, 4096 * MIB).tile == 128


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process takes")
def test_too_little_memory_is_refused_with_how_much_would_do() -> None:
    network = PlainCNN(features=16, depth=3).eval()
    model = Model("far", lambda images: restore_batch(network, images, "cpu"), ReceptiveField(200))
    with pytest.raises(
        UserError, match=r"^memory: 20MiB is too little for tiles of far, which overlap by 200"
    ) as error:
        tiling_for(model, 20 * MIB)
    enough = int(str(error.value).split("give ")[1].split("MiB")[0])
    assert tiling_for(model, 2 * enough * MIB).tile >= 100


PEAK = """
import numpy as np, torch, unseen
unseen.keep_freed_memory()
from unseen.models.backbones import {part}
from unseen.models.inference import on_device, restore_batch
from unseen.core.memory import Memory
from unseen.models.loading import Model
from unseen.models.receptive_field import receptive_field_of
from unseen.restoration.tiles import restored_strips, tiling_for

torch.set_num_threads(1)
network = on_device({part}({settings}).eval(), "cpu")
model = Model("a network", lambda images: restore_batch(network, images, "cpu"), receptive_field_of(network))
model.run(torch.zeros(1, 3, 64, 64))
row = np.random.default_rng(0).random((1, 2000, 3), np.float32)
memory = Memory(torch.device("cpu"))
tiling = tiling_for(model, 256 * 2**20)
rows = 0
for strip in restored_strips(model, lambda top, bottom: row.repeat(bottom - top, 0), 1500, 2000, tiling):
    rows += len(strip)
print(rows, tiling.tile, memory.peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process takes")
@pytest.mark.parametrize(("part", "settings"), [("PlainCNN", "features=16, depth=3"), ("UNet", "features=8, levels=2")])
@pytest.mark.slow
def test_three_megapixels_stay_within_the_memory(part: str, settings: str) -> None:
    """Strips included, in a process that keeps what it frees, as the program does; and the memory is put to use."""
    code = PEAK.format(part=part, settings=settings)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows, tile, peak = done.stdout.split()
    assert int(rows) == 1500
    assert int(tile) > 200
    assert 32 < float(peak) < 256
