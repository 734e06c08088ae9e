"""Small files that claim much, and wide pictures: refused, or restored, within the memory allowed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import CommandLine
from support.image_bombs import black_png, bmp, jpeg, png, tiff, webp

from unseen.core.errors import UserError
from unseen.core.memory import Memory
from unseen.data.reading import UnreadableImage, read_photo
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.restoration.file_memory import tiling_within
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save
from unseen.restoration.tiles import Tiling, restored_strips

MIB = 2**20
FIELD = ReceptiveField(8)
CLAIMS = {
    "tall.bmp": bmp(48, 9563013),
    "wide.png": png(16777272, 40, 4, 3),
    "high.png": png(40, 16777272, 4, 3),
    "deep.png": png(8000000, 60, 16, 6),
    "interlaced.png": png(32000, 32000, interlaced=True),
    "wide.tif": tiff(16000000, 60, 1),
    "strip.tif": tiff(30000, 30000, 30000),
    "tile.tif": tiff(1000, 1000, tile=65520),
    "baseline.jpg": jpeg(65500, 16000),
    "progressive.jpg": jpeg(65500, 16000, progressive=True),
    "a.webp": webp(16383, 16383),
    "a.bmp": bmp(32000, 32000),
}
"""Files of a few bytes that claim 100 MB or more."""


@cache
def bombs() -> dict[str, bytes]:
    """Files of at most half a megabyte: `CLAIMS`, and whole pictures, which take a second to make."""
    whole = {
        "true-wide.png": black_png(700_000, 40),
        "true-interlaced.png": black_png(9000, 9000, interlaced=True),
    }
    return CLAIMS | whole


def test_no_small_file_takes_more_than_the_memory_allowed(tmp_path: Path, unseen: CommandLine) -> None:
    for name, content in bombs().items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
        assert len(content) < MIB
    words = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", "erm", "--device", "cpu", "--threads", "1"]
    unseen(*words, "--memory", "64MiB", code=2)  # what the first call leaves in memory does not count
    memory = Memory(torch.device("cpu"))
    told = unseen(*words, "--memory", "64MiB", code=2)
    assert memory.peak() < 128
    assert "0 restored" in told.out
    assert list((tmp_path / "out").rglob("*")) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wide.png", "claims 16777272×40 pixels, which its 129 bytes cannot hold: cut short, or a decompression bomb"),
        ("progressive.jpg", "claims 65500×16000 pixels, which its 200 bytes cannot hold"),
        ("tall.bmp", "claims 48×9563013 pixels, which its 154 bytes cannot hold"),
        ("true-wide.png", "must be read in rows of 700000 pixels, and takes 1"),
        ("true-interlaced.png", "must be decoded or encoded whole, and takes 2"),
        ("strip.tif", "must be decoded or encoded whole, and takes 5"),
    ],
)
def test_what_would_take_too_much_is_refused_by_its_header(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bombs()[name])
    with pytest.raises(UnreadableImage) as refusal:
        tiling_within(64 * MIB, open_image(tmp_path / name), Tiling(128, 8), FIELD, None)
    assert refusal.value.reason.startswith(reason)


@pytest.mark.parametrize("name", CLAIMS)
def test_reading_for_training_refuses_them_without_their_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bombs()[name])
    memory = Memory(torch.device("cpu"))
    with pytest.raises(UnreadableImage):
        read_photo(tmp_path / name)
    assert memory.peak() < 64


def test_a_wide_picture_is_restored_in_lower_strips_to_the_same_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 6000, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = open_image(tmp_path / "a.png")
    kernel = torch.ones(3, 1, 17, 17) / 289

    def blurred(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(images, kernel, padding=8, groups=3)

    model, tiling, written = Model("blur", blurred, FIELD), Tiling(256, 8), []
    lower = tiling_within(24 * MIB, source, tiling, FIELD, None)
    assert 0 < lower.height < 256
    assert tiling_within(100 * MIB, source, tiling, FIELD, None) is tiling
    for tiles in (tiling, lower):
        memory = Memory(torch.device("cpu"))
        out = tmp_path / f"{tiles.height}.png"
        save(source, out, restored_strips(model, source.reader(), source.height, source.width, tiles))
        written.append((np.asarray(Image.open(out)), memory.peak()))
    assert np.array_equal(written[0][0], written[1][0])


def test_the_memory_that_is_asked_for_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(black_png(20_000, 50))
    source, tiling = open_image(tmp_path / "a.png"), Tiling(64, 8)
    with pytest.raises(UserError, match=r"give --memory (\d+)MiB or more") as refusal:
        tiling_within(MIB, source, tiling, FIELD, None)
    amount = int(str(refusal.value).rsplit("MiB", 1)[0].rsplit(" ", 1)[1])
    assert tiling_within(amount * MIB, source, tiling, FIELD, None).height == 4  # half the overlap
    memory = Memory(torch.device("cpu"))
    model = Model("same", lambda images: images, FIELD)
    lower = tiling_within(amount * MIB, source, tiling, FIELD, None)
    save(source, tmp_path / "b.png", restored_strips(model, source.reader(), source.height, source.width, lower))
    assert memory.peak() < amount + 32  # libvips's own threads
