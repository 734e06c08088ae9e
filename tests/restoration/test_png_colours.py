"""Colours that a PNG states by chunks: kept in PNG, a profile elsewhere, refused where they are HDR."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.image_files import PHOTO, chunks_of, copied, png

from unseen.data.reading import UnreadableImage
from unseen.restoration.imagefiles.icc import D65, SRGB_PRIMARIES, is_hdr_profile, matrix_profile, srgb_curve
from unseen.restoration.imagefiles.image_file import open_image

WIDE = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)  # Display P3's
SRGB_CHROMATICITIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [128, 128, 128], [200, 90, 30]], np.uint8)


def gamma(exponent: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", exponent)


def lab(profile: bytes, colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """L*, a* and b* of colours under a profile, by Little CMS, with steps of 100/255, 1 and 1."""
    mode = "L" if colours.ndim == 1 else "RGB"
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    to_lab = ImageCms.buildTransform(
        source, ImageCms.createProfile("LAB"), mode, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    image = Image.fromarray(colours[None])
    values = np.asarray(ImageCms.applyTransform(image, to_lab)).astype(np.float64)[0]
    signed = np.where(values[:, 1:] > 127, values[:, 1:] - 256, values[:, 1:])
    return np.concatenate([values[:, :1] * 100 / 255, signed], axis=1)


def expected_lab(
    linear: NDArray[np.float64], primaries: Any = SRGB_PRIMARIES, white: tuple[float, float] = D65
) -> NDArray[np.float64]:
    """CIELAB of linear light, by the definitions of the CIE and Bradford's published matrix."""
    points = np.array([*primaries, white])
    xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(1)) / points[:, 1]])
    matrix = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1, 0.8249])
    cones = np.diag((bradford @ d50) / (bradford @ xyz[:, 3]))
    ratios = (np.linalg.inv(bradford) @ cones @ bradford @ matrix @ linear.T).T / d50
    f = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(100_000)],
        [gamma(55_555), (b"cHRM", WIDE)],
        [gamma(45_455), (b"cHRM", SRGB_CHROMATICITIES), (b"sRGB", b"\0")],
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [(b"cICP", bytes([1, 8, 0, 1])), (b"mDCV", bytes(24)), (b"cLLI", bytes(8))],
    ],
    ids=["gAMA", "gAMA, cHRM", "sRGB", "cICP", "cICP, light"],
)
def test_chunks_of_colours_stay_in_png(chunks: list[tuple[bytes, bytes]], tmp_path: Path) -> None:
    assert copied(png(tmp_path / "in.png", *chunks), tmp_path / "out.png") == []
    assert chunks_of(tmp_path / "out.png") == chunks
    gray = png(tmp_path / "gray.png", *chunks, image=PHOTO.convert("L"))
    assert copied(gray, tmp_path / "out.png") == []
    assert chunks_of(tmp_path / "out.png") == chunks


@pytest.mark.parametrize("format", ["jpeg", "tiff", "webp"])
@pytest.mark.parametrize(
    ("chunks", "exponent", "primaries"),
    [
        ([gamma(100_000)], 1.0, SRGB_PRIMARIES),
        ([gamma(55_555), (b"cHRM", WIDE)], 1.8, ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))),
        ([gamma(40_000)], 2.5, SRGB_PRIMARIES),
        ([(b"cICP", bytes([12, 4, 0, 1]))], 2.2, ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))),
        ([(b"cICP", bytes([9, 8, 0, 1])), gamma(45_455)], 1.0, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    ],
    ids=["linear", "wide", "2.5", "P3", "BT.2020"],
)
def test_elsewhere_they_become_a_profile(
    chunks: list[tuple[bytes, bytes]], exponent: float, primaries: Any, format: str, tmp_path: Path
) -> None:
    assert copied(png(tmp_path / "in.png", *chunks), tmp_path / "out", format) == []
    with Image.open(tmp_path / "out") as image:
        profile = image.info["icc_profile"]
    # Lab of 8 bits is rounded to 0.2 and 0.5, and clipped to ±127: vivid primaries of BT.2020 are beyond.
    linear = (COLOURS / 255) ** exponent
    assert lab(profile, COLOURS) == pytest.approx(expected_lab(linear, primaries).clip(-128, 127), abs=1.0)


def test_numbers_of_h_273_count_before_a_profile(tmp_path: Path) -> None:
    named = b"p\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    chunks = [(b"cICP", bytes([12, 8, 0, 1])), (b"iCCP", named)]
    assert copied(png(tmp_path / "in.png", *chunks), tmp_path / "out.png") == []
    assert chunks_of(tmp_path / "out.png") == chunks
    copied(tmp_path / "in.png", tmp_path / "out.jpg", "jpeg")
    with Image.open(tmp_path / "out.jpg") as image:
        found = lab(image.info["icc_profile"], COLOURS)
    assert found == pytest.approx(expected_lab(COLOURS / 255, ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))), abs=1.0)


def test_gray_becomes_a_profile_of_gray(tmp_path: Path) -> None:
    path = png(tmp_path / "in.png", gamma(100_000), image=PHOTO.convert("L"))
    for format in ("jpeg", "tiff"):
        assert copied(path, tmp_path / "out", format) == []
        with Image.open(tmp_path / "out") as image:
            profile = image.info["icc_profile"]
        levels = np.array([0, 30, 128, 255], np.uint8)
        expected = expected_lab(np.repeat(levels[:, None] / 255, 3, 1))
        assert lab(profile, levels) == pytest.approx(expected, abs=1.0)
    assert copied(path, tmp_path / "out.webp", "webp") == []  # WebP has no gray
    with Image.open(tmp_path / "out.webp") as image:
        assert image.info["icc_profile"][16:20] == b"RGB "


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [(b"sRGB", b"\0")],
        [gamma(45_455), (b"cHRM", SRGB_CHROMATICITIES)],
        [(b"cICP", bytes([1, 13, 0, 1]))],
    ],
    ids=["none", "sRGB", "the same in numbers", "the same in cICP"],
)
def test_srgb_needs_no_profile(chunks: list[tuple[bytes, bytes]], tmp_path: Path) -> None:
    for format in ("jpeg", "tiff", "webp", "bmp"):
        assert copied(png(tmp_path / "in.png", *chunks), tmp_path / "out", format) == []
        with Image.open(tmp_path / "out") as image:
            assert "icc_profile" not in image.info


def test_the_curve_of_srgb_is_that_of_other_programs() -> None:
    ours = matrix_profile("test", SRGB_PRIMARIES, D65, srgb_curve(), gray=False)
    theirs = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert lab(ours, COLOURS) == pytest.approx(lab(theirs, COLOURS), abs=1.0)


@pytest.mark.parametrize(
    "chunk",
    [gamma(0), gamma(2**32 - 1), (b"gAMA", b"\0"), (b"cHRM", bytes(32)), (b"cHRM", b"\0" * 5),
     (b"cHRM", struct.pack(">8I", *[30000] * 8)), (b"cHRM", b"\xff" * 32), (b"cICP", bytes([200, 13, 0, 1]))],
)  # fmt: skip
def test_colours_of_no_sense_are_remarked_on(chunk: tuple[bytes, bytes], tmp_path: Path) -> None:
    assert copied(png(tmp_path / "in.png", chunk), tmp_path / "out.jpg", "jpeg") == [
        "colours that its PNG states cannot be understood, and are left out"
    ]


@pytest.mark.parametrize(
    ("cicp", "reason"),
    [
        ((9, 16, 0, 1), "is HDR (PQ"),
        ((9, 18, 0, 1), "is HDR (HLG"),
        ((1, 1, 1, 1), "no RGB"),
        ((1, 13, 0, 0), "no RGB"),
    ],
)
def test_hdr_is_refused(cicp: tuple[int, ...], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage) as refusal:
        open_image(png(tmp_path / "in.png", (b"cICP", bytes(cicp))))
    assert reason in refusal.value.reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_broken_profile_is_left_out_and_remarked_on(suffix: str, tmp_path: Path) -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    beyond = whole[:136] + struct.pack(">I", 2**31) + whole[140:]
    for broken in (whole[:-100], beyond, whole[:140], b"no profile"):
        PHOTO.save(tmp_path / f"in.{suffix}", icc_profile=broken)
        assert copied(tmp_path / f"in.{suffix}", tmp_path / "out") == ["its profile is broken, and left out"]
        with Image.open(tmp_path / "out") as image:
            assert "icc_profile" not in image.info


def hdr_profile(transfer: int) -> bytes:
    """sRGB's profile with the tag `cicp` in the place of the description."""
    profile = bytearray(matrix_profile("test", SRGB_PRIMARIES, D65, 2.2, gray=False))
    at = profile.index(b"desc")
    start = struct.unpack_from(">I", profile, at + 4)[0]
    profile[at : at + 4] = b"cicp"
    profile[start : start + 12] = b"cicp" + bytes(4) + bytes([9, transfer, 0, 1])
    return bytes(profile)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_hdr_by_profile_is_refused(suffix: str, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / f"sdr.{suffix}", icc_profile=hdr_profile(13))
    assert open_image(tmp_path / f"sdr.{suffix}").width == 64
    for transfer in (16, 18):
        PHOTO.save(tmp_path / f"in.{suffix}", icc_profile=hdr_profile(transfer))
        with pytest.raises(UnreadableImage, match="is HDR"):
            open_image(tmp_path / f"in.{suffix}")


def test_no_bytes_of_a_profile_stop_the_search_for_hdr() -> None:
    profile = hdr_profile(16)
    assert is_hdr_profile(profile)
    for end in range(len(profile)):
        is_hdr_profile(profile[:end])
    assert not is_hdr_profile(profile[:128] + b"\xff" * 40)


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (1, 13), (12, 1), (9, 8)])
def test_the_colours_of_avif_are_stated_in_the_output(primaries: int, transfer: int, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "in.avif", icc_profile=b"")
    content = (tmp_path / "in.avif").read_bytes()
    at = content.index(b"colrnclx") + 8
    stated = struct.pack(">HH", primaries, transfer)
    (tmp_path / "in.avif").write_bytes(content[:at] + stated + content[at + 4 :])
    assert copied(tmp_path / "in.avif", tmp_path / "out.png") == []
    curve = 13 if transfer == 1 else transfer
    expected = [] if primaries == 1 else [(b"cICP", bytes([primaries, curve, 0, 1]))]
    assert [chunk for chunk in chunks_of(tmp_path / "out.png") if chunk[0] != b"eXIf"] == expected
