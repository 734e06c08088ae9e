"""Reading photographs, on real files of every kind, broken ones among them."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.scenes import noise, save, scene

from unseen.core.errors import UserError
from unseen.data.loading import load_photos
from unseen.data.reading import UnreadableImage, read_photo


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".TIFF"])
def test_lossless_formats_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    expected = scene()
    pixels = read_photo(save(tmp_path / f"a{suffix}", expected))
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_lossy_formats_are_read_closely(tmp_path: Path, suffix: str) -> None:
    pixels = read_photo(save(tmp_path / f"a{suffix}", scene(), quality=95))
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels.astype(int) - scene()).mean() < 3


def test_content_counts_more_than_the_suffix_but_only_among_known_formats(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "png_inside.jpg", format="PNG")
    Image.fromarray(scene()).save(tmp_path / "ppm_inside.png", format="PPM")
    np.testing.assert_array_equal(read_photo(tmp_path / "png_inside.jpg"), scene())
    with pytest.raises(UnreadableImage, match="not a PNG, JPEG"):
        read_photo(tmp_path / "ppm_inside.png")


def test_gray_is_replicated(tmp_path: Path) -> None:
    gray = scene()[..., 0]
    pixels = read_photo(save(tmp_path / "gray.png", gray))
    np.testing.assert_array_equal(pixels, np.repeat(gray[..., None], 3, axis=-1))


def test_bilevel_is_black_and_white(tmp_path: Path) -> None:
    bits = scene()[..., 0] > 128
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "bits.png")[..., 1], bits * np.uint8(255))


@pytest.mark.parametrize("name", ["wide.png", "wide.tif"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    ramp[-1, -1] = 65535
    Image.fromarray(ramp).save(tmp_path / name)
    pixels = read_photo(tmp_path / name)
    assert pixels.shape == (64, 64, 3)
    np.testing.assert_array_equal(pixels[..., 2], np.rint(ramp * (255 / 65535)).astype(np.uint8))


@pytest.mark.parametrize(
    ("dtype", "reason"), [(np.int32, "32-bit integer pixels"), (np.float32, "floating-point pixels")]
)
def test_pixels_without_a_known_white_are_refused(tmp_path: Path, dtype: type, reason: str) -> None:
    Image.fromarray(scene()[..., 0].astype(dtype)).save(tmp_path / "odd.tif")
    with pytest.raises(UnreadableImage, match=reason):
        read_photo(tmp_path / "odd.tif")


def test_rgba_is_composited_over_white(tmp_path: Path) -> None:
    colour = scene()
    alpha = np.zeros(colour.shape[:2], dtype=np.uint8)
    alpha[:, 20:40], alpha[:, 40:] = 128, 255
    pixels = read_photo(save(tmp_path / "rgba.png", np.dstack([colour, alpha])))
    share = alpha[..., None] / 255
    assert np.abs(pixels - (share * colour + (1 - share) * 255)).max() <= 1
    assert (pixels[:, :20] == 255).all()
    np.testing.assert_array_equal(pixels[:, 40:], colour[:, 40:])


def test_gray_with_alpha_is_composited_over_white(tmp_path: Path) -> None:
    gray = scene()[..., 0]
    alpha = np.where(np.arange(60) < 30, 0, 255).astype(np.uint8)[None].repeat(40, axis=0)
    pixels = read_photo(save(tmp_path / "la.png", np.dstack([gray, alpha])))
    assert (pixels[:, :30] == 255).all()
    np.testing.assert_array_equal(pixels[:, 30:, 0], gray[:, 30:])


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    indexed = Image.fromarray((np.arange(60, dtype=np.uint8) // 20)[None].repeat(40, axis=0), mode="P")
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    indexed.save(tmp_path / "opaque.png")
    indexed.save(tmp_path / "clear.png", transparency=1)
    opaque, clear = read_photo(tmp_path / "opaque.png"), read_photo(tmp_path / "clear.png")
    assert opaque[0, [0, 25, 50]].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert clear[0, [0, 25, 50]].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("name", ["cmyk.jpg", "cmyk.tif"])
def test_cmyk_is_converted(tmp_path: Path, name: str) -> None:
    inks = np.zeros((32, 64, 4), dtype=np.uint8)
    inks[:, :32, 0] = 255  # cyan on the left, bare paper on the right
    Image.fromarray(inks, mode="CMYK").save(tmp_path / name)
    pixels = read_photo(tmp_path / name)
    assert pixels.shape == (32, 64, 3)
    assert np.abs(pixels[16, 8].astype(int) - [0, 255, 255]).max() < 8
    assert np.abs(pixels[16, 56].astype(int) - 255).max() < 8


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_photo(save(tmp_path / f"turned{suffix}", scene(), exif=exif))
    np.testing.assert_array_equal(pixels, UPRIGHT[orientation](scene()))


def test_orientation_of_16_bit_gray(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = (np.arange(12, dtype=np.uint16) * 257).reshape(3, 4)
    Image.fromarray(wide).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png")[..., 0], np.rot90(wide // 257, -1))


def test_broken_exif_does_not_cost_the_photograph(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(), exif=b"Exif\x00\x00no such thing")
    np.testing.assert_array_equal(read_photo(path), scene())


# ---------------------------------------------------------------------------------------------- bad files


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def bomb(path: Path) -> Path:
    """A tiny PNG whose header claims 60000 x 60000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))
    return path


def test_broken_files_among_good_ones_are_skipped_and_named(tmp_path: Path) -> None:
    save(tmp_path / "a_good.png", scene(seed=1))
    save(tmp_path / "z/good.jpg", scene(seed=2))
    cut(save(tmp_path / "cut.jpg", noise()), 0.5)
    cut(save(tmp_path / "cut.png", noise()), 0.5)
    cut(save(tmp_path / "cut.webp", noise()), 0.5)
    cut(save(tmp_path / "cut.bmp", noise()), 0.5)
    cut(save(tmp_path / "cut.tif", noise()), 0.5)
    (tmp_path / "text.png").write_text("I am no picture\n")
    (tmp_path / "zero.jpg").touch()
    bomb(tmp_path / "bomb.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of Pillow's would fail the test
        photos, skipped = load_photos(tmp_path)
    assert [photo.name for photo in photos] == ["a_good.png", "z/good.jpg"]
    reasons = {skip.name: skip.reason for skip in skipped}
    assert list(reasons) == sorted(
        ["bomb.png", "cut.bmp", "cut.jpg", "cut.png", "cut.tif", "cut.webp", "text.png", "zero.jpg"]
    )
    assert "truncated" in reasons["cut.jpg"]
    assert "bomb" in reasons["bomb.png"]
    assert reasons["text.png"].startswith("not a PNG, JPEG, TIFF, WebP or BMP image")
    assert reasons["zero.jpg"] == "the file is empty"
    assert not any("\n" in reason or str(tmp_path) in reason or reason == "" for reason in reasons.values())


def test_reading_one_bad_file_names_it_in_one_line(tmp_path: Path) -> None:
    path = cut(save(tmp_path / "cut.png", noise()), 0.5)
    with pytest.raises(UnreadableImage) as caught:
        read_photo(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    refused = 0
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp"):
        path = save(tmp_path / f"a{suffix}", scene())
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
        where = rng.integers(0, min(200, len(data)), size=12)
        data[where] = rng.integers(0, 256, size=12)
        path.write_bytes(data.tobytes())
        try:
            assert read_photo(path).shape[2] == 3
        except UnreadableImage:
            refused += 1
    assert refused > 0  # else the bytes did no harm and nothing was tested


def test_a_large_photograph_below_the_bomb_limit_gives_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", scene())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(path).shape == (40, 60, 3)
        assert len(load_photos(tmp_path)[0]) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 // 2 - 1)
    with pytest.raises(UnreadableImage, match="bomb"):
        read_photo(path)


def test_nothing_readable_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    (tmp_path / "b.png").touch()
    with pytest.raises(UserError, match=r"none of 2 photographs .* first, a\.png: not a PNG") as caught:
        load_photos(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
