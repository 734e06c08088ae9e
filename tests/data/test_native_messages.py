"""What C libraries print of broken files does not reach standard error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from unseen.data.native_messages import silence_glib
from unseen.data.reading import UnreadableImage, read_photo
from unseen.restoration.imagefiles.image_file import open_image


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4", "packbits"])
def test_broken_tiff_is_told_by_its_error_alone(
    compression: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8))
    file = io.BytesIO()
    noise.convert("1" if compression == "group4" else "RGB").save(file, "TIFF", compression=compression)
    content, broken = file.getvalue(), 0
    for at in range(10, len(content), max(1, len(content) // 40)):
        (tmp_path / "a.tif").write_bytes(content[:at] + b"\xff\0\x7f" + content[at + 3 :])
        try:
            read_photo(tmp_path / "a.tif")
            source = open_image(tmp_path / "a.tif")
            source.reader()(0, source.height)
        except UnreadableImage:
            broken += 1
    assert broken or compression in ("group4", "packbits")
    assert capfd.readouterr().err == ""


def test_glib_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    silence_glib()
    with pytest.raises(pyvips.Error):
        pyvips.Image.rawload("/dev/null", 2**31 - 1, 1, 1)
    assert capfd.readouterr().err == ""
