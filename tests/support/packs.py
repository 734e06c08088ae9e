"""Photographs to pack, and packs of them."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from unseen.data import packing
from unseen.data.packing import Packing, PackSource
from unseen.data.photo import Pixels


def noise(seed: int, height: int = 30, width: int = 41) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def packed(source: object, out: Path, licence: str = "", stop: Event | None = None) -> Packing:
    out.mkdir(exist_ok=True)
    making = Packing(out)
    making.write(PackSource.of(str(source)), licence, stop or Event())
    return making


def photographs_to_pack(folder: Path) -> Path:
    """Twelve photographs, one smaller than a patch, one twice, one in a folder of its own; and a broken one."""
    for i in range(11):
        write(folder / f"{i:02}.png", noise(i, 30 + i, 50 - i) if i else noise(0, 12, 60))
    write(folder / "deep" / "copy.png", noise(3, 33, 47))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def pack_of_several_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of the folder, in several shards."""
    monkeypatch.setattr(packing, "SHARD", 15_000)
    making = packed(folder, folder.parent / "photos.pack")
    assert [file.name for file in making.skipped] == ["broken.png"]
    return making.out
