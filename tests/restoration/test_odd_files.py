"""Files that are a little out of order: restored with a remark where nothing is missing, else refused."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from support.commandline import CommandLine

from unseen.data.reading import UnreadableImage
from unseen.restoration.imagefiles.image_file import CLIPPED_REMARK, open_image
from unseen.restoration.imagefiles.save import save

NOISE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def read(path: Path) -> NDArray[np.float32]:
    source = open_image(path)
    return source.reader()(0, source.height)


def jpeg(*, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", quality=90, progressive=progressive)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_whole_where_all_pixels_are_there(progressive: bool, tmp_path: Path) -> None:
    content = jpeg(progressive=progressive)
    (tmp_path / "whole.jpg").write_bytes(content)
    (tmp_path / "open.jpg").write_bytes(content[:-2])
    assert np.array_equal(read(tmp_path / "open.jpg"), read(tmp_path / "whole.jpg"))
    source = open_image(tmp_path / "open.jpg")
    remarks = save(source, tmp_path / "out.jpg", [source.reader()(0, source.height)])
    assert remarks == ["its JPEG lacks the mark of its end, and nothing else"]
    assert open_image(tmp_path / "whole.jpg").remarks == ()
    for lost in (40, len(content) // 2):
        (tmp_path / "cut.jpg").write_bytes(content[:-lost])
        with pytest.raises(UnreadableImage):
            read(tmp_path / "cut.jpg")


def test_what_comes_after_the_end_of_a_jpeg_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    for rest in (bytes(1000), b"anything", b"\xff\xd8\xff" + bytes(100)):
        (tmp_path / "b.jpg").write_bytes(jpeg() + rest)
        assert np.array_equal(read(tmp_path / "b.jpg"), read(tmp_path / "a.jpg"))


@pytest.mark.parametrize(("low", "high"), [(0, 1.02), (-0.1, 1.0), (-0.05, 1.1)])
def test_floats_a_little_out_of_range_are_clipped_with_a_remark(low: float, high: float, tmp_path: Path) -> None:
    values = (NOISE / np.float32(255)).astype(np.float32)
    values[0, 0], values[1, 1] = low, high
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", metadata=None)
    source = open_image(tmp_path / "a.tif")
    remarks: list[str] = []
    rows = source.reader(remarks=remarks)(0, source.height)
    assert np.array_equal(rows, values.clip(0, 1))
    assert remarks == [CLIPPED_REMARK]


def test_floats_far_out_of_range_are_clipped_on_request_alone(tmp_path: Path, unseen: CommandLine) -> None:
    values = (NOISE / np.float32(255)).astype(np.float32)
    values[3, 4] = 7.5
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", metadata=None)
    words = ["restore", tmp_path / "a.tif", "-o", tmp_path / "out", "--model", "erm", "--device", "cpu"]
    told = unseen(*words, code=2)
    assert "holds values from 0 to 7.5 (HDR); scale it to 0 to 1, or clip it (--clip)" in told.err
    assert CLIPPED_REMARK in unseen(*words, "--clip").err
    values[3, 4] = np.inf
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", metadata=None)
    assert "not finite" in unseen(*words, "--clip", "--overwrite", code=2).err


def test_lab_is_refused_by_its_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="cielab", metadata=None)
    with pytest.raises(UnreadableImage, match="holds Lab colours, which no network here takes; save it as RGB"):
        open_image(tmp_path / "a.tif")


def test_large_directories_of_a_tiff_that_overlap_make_little_work(tmp_path: Path) -> None:
    count, length = 60_000, 0x5050  # every two bytes are the number of entries of a directory
    table = 8 + 2 + 12 * length
    links = struct.pack(f"<{count}I", *(8 + 4 * i for i in range(1, count)), 0)
    start = struct.pack("<2sHI", b"II", 42, 8).ljust(table, b"\x50")
    (tmp_path / "a.tif").write_bytes(start + links + b"\x50" * table)
    began = time.process_time()
    with pytest.raises(UnreadableImage):
        open_image(tmp_path / "a.tif")
    assert time.process_time() - began < 5
