"""Pixels of image files that other programs made: what is read, and what is written again, by other programs' eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.made_images import ALPHA, COLOURED, GRAY, copied, seen_by_magick, strips_of, whole
from support.programs import magick, program, set_tags, tags

from unseen.core.errors import UserError
from unseen.data.reading import UnreadableImage
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save

FLOATING = [
    "-define",
    "quantum:format=floating-point",
    "-define",
    "tiff:predictor=1",
    "-compress",
    "zip",
    "-depth",
    "32",
]


# ------------------------------------------------------------------------------------------ identity

MADE_BY_MAGICK: dict[str, list[str]] = {
    "rgb8.png": [*COLOURED, "-depth", "8"],
    "rgb16.png": [*COLOURED, "-depth", "16"],
    "gray8.png": [*GRAY, "-depth", "8"],
    "gray16.png": [*GRAY, "-depth", "16"],
    "rgba8.png": [*COLOURED, *ALPHA, "-depth", "8"],
    "rgba16.png": [*COLOURED, *ALPHA, "-depth", "16"],
    "graya16.png": [*GRAY, *ALPHA, "-depth", "16", "-define", "png:color-type=4"],
    "interlaced.png": [*COLOURED, "-depth", "8", "-interlace", "PNG"],
    "rgb8.tif": [*COLOURED, "-depth", "8", "-compress", "lzw"],
    "rgb16.tif": [*COLOURED, "-depth", "16"],
    "gray8.tif": [*GRAY, "-depth", "8"],
    "gray16.tif": [*GRAY, "-depth", "16", "-endian", "MSB"],
    "rgba16.tif": [*COLOURED, *ALPHA, "-depth", "16"],
    "graya8.tif": [*GRAY, *ALPHA, "-depth", "8"],
    "lossless.webp": [*COLOURED, *ALPHA, "-depth", "8", "-define", "webp:lossless=true", "-define", "webp:exact=true"],
    "rgb8.bmp": [*COLOURED, "-depth", "8", "-type", "TrueColor"],
    "gray8.bmp": [*GRAY, "-depth", "8", "-type", "Palette"],
    "rgba8.bmp": [*COLOURED, *ALPHA, "-depth", "8"],
}


def kind(name: str) -> tuple[str, bool, bool]:
    depth = "uint16" if "16" in name else "uint8"
    return depth, name.startswith("gray"), "rgba" in name or "graya" in name or "lossless" in name


@pytest.mark.programs
@pytest.mark.parametrize("name", MADE_BY_MAGICK)
def test_a_network_that_changes_nothing_changes_nothing(name: str, tmp_path: Path) -> None:
    magick(*MADE_BY_MAGICK[name], tmp_path / name)
    picture = open_image(tmp_path / name)
    assert (picture.depth, picture.gray, picture.alpha) == kind(name)
    out = copied(tmp_path / name, tmp_path / f"out-{name}")
    assert seen_by_magick(out) == seen_by_magick(tmp_path / name)
    assert open_image(out).format == picture.format
    depth, gray, alpha = kind(name)
    channels = (1 if gray else 3) + alpha
    found = tags(out, "BitDepth", "BitsPerSample", "ColorType", "SamplesPerPixel")
    match out.suffix:
        case ".png":
            kinds = {
                "PNG:BitDepth": 16 if depth == "uint16" else 8,
                "PNG:ColorType": {1: 0, 2: 4, 3: 2, 4: 6}[channels],
            }
            assert found == kinds
        case ".tif":
            bits = str(found["IFD0:BitsPerSample"]).split()
            assert bits == ["16" if depth == "uint16" else "8"] * channels
        case ".bmp":
            assert found["File:BitDepth"] == 8 * channels


@pytest.mark.programs
@pytest.mark.parametrize("options", ["-t -c zip:2", "-s -r 3 -c lzw", "-p separate", "-8 -c packbits", "-B"])
@pytest.mark.parametrize("depth", ["8", "16", "float"])
def test_tiff_of_any_arrangement(options: str, depth: str, tmp_path: Path) -> None:
    plain, arranged = tmp_path / "plain.tif", tmp_path / "arranged.tif"
    magick(*COLOURED, *(FLOATING if depth == "float" else ["-depth", depth]), plain)
    if options == "-p separate" and depth != "8":  # tiffcp declines
        tifffile.imwrite(
            arranged, tifffile.imread(plain).transpose(2, 0, 1), photometric="rgb", planarconfig="separate"
        )
    else:
        program("tiffcp", *options.split(), plain, arranged)
    out = copied(arranged, tmp_path / "out.tif")
    found, expected = tifffile.imread(out), tifffile.imread(plain)
    assert found.dtype == expected.dtype == {"8": np.uint8, "16": np.uint16, "float": np.float32}[depth]
    assert np.array_equal(found, expected)
    assert b"Compression Scheme: AdobeDeflate" in program("tiffinfo", out)


@pytest.mark.parametrize("gray", [False, True])
def test_floating_point_is_kept_to_the_last_bit(gray: bool, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((33, 20) if gray else (33, 20, 3), dtype=np.float32)
    values.flat[:4] = 0, 1, 1e-30, np.nextafter(np.float32(1), np.float32(0))
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="minisblack" if gray else "rgb")
    picture = open_image(tmp_path / "in.tif")
    assert (picture.depth, picture.gray) == ("float32", gray)
    assert np.array_equal(tifffile.imread(copied(picture.path, tmp_path / "out.tif")), values)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].photometric.name == ("MINISBLACK" if gray else "RGB")  # type: ignore[union-attr]


@pytest.mark.programs
@pytest.mark.parametrize("size", ["1x1", "1x37", "37x1"])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "jpg"])
def test_the_smallest_pictures(size: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    magick("-size", size, "xc:rgb(128,128,128)", "-type", "TrueColor", "-depth", "8", path)
    out = copied(path, tmp_path / f"out.{suffix}")
    width, height = map(int, size.split("x"))
    assert whole(open_image(out)).shape == (height, width, 3)
    assert whole(open_image(out)) == pytest.approx(128 / 255, abs=2 / 255)


# ------------------------------------------------------------------------------------------ conversions


@pytest.mark.programs
@pytest.mark.parametrize(
    "name", ["palette.png", "palette.tif", "palette.bmp", "transparent.png", "bits.png", "bits.tif"]
)
def test_palettes_and_bits_become_what_they_show(name: str, tmp_path: Path) -> None:
    made = ["-depth", "8", "-colors", "20", "-type", "Palette"]
    if name == "transparent.png":
        made = [*ALPHA, *made, "-type", "PaletteAlpha"]
    if name.startswith("bits"):
        made = ["-monochrome", "-depth", "1"]
    prefix = "PNG8:" if name in ("palette.png", "transparent.png") else ""
    magick(*COLOURED, *made, f"{prefix}{tmp_path / name}")
    picture = open_image(tmp_path / name)
    assert (picture.depth, picture.gray, picture.alpha) == ("uint8", "bits" in name, "transparent" in name)
    out = copied(picture.path, tmp_path / f"out{picture.suffix}")
    found, expected = (np.frombuffer(seen_by_magick(path), "<u2") for path in (out, picture.path))
    assert np.abs(found.astype(int) - expected).max() <= (257 if name == "palette.tif" else 0)  # it has 16 bits


@pytest.fixture
def cmyk_profile(tmp_path: Path) -> Path:
    """The one that libvips brings along, as a file."""
    import pyvips

    image = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb").icc_transform("cmyk")
    (tmp_path / "cmyk.icc").write_bytes(image.get("icc-profile-data"))
    return tmp_path / "cmyk.icc"


@pytest.mark.programs
@pytest.mark.parametrize("name", ["in.jpg", "in.tif"])
def test_cmyk_goes_through_its_profile(name: str, cmyk_profile: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    magick(*COLOURED, "-colorspace", "CMYK", "-depth", "8", "-quality", "100", "-profile", cmyk_profile, path)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
        srgb = ImageCms.createProfile("sRGB")
        expected: Any = ImageCms.profileToProfile(
            image, str(cmyk_profile), srgb, outputMode="RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    picture = open_image(path)
    assert (picture.depth, picture.gray, picture.alpha) == ("uint8", False, False)
    assert np.abs(whole(picture) * 255 - np.asarray(expected)).max() <= 3
    out = copied(path, tmp_path / f"out{picture.suffix}")
    found = tags(out, "ColorComponents", "SamplesPerPixel", "ProfileDescription", "ColorSpaceData")
    assert 3 in found.values()
    assert "sRGB" in found["ICC_Profile:ProfileDescription"]
    assert "RGB " in found["ICC-header:ColorSpaceData"]


@pytest.mark.programs
@pytest.mark.parametrize("damage", ["cut", "unmarked", "without tables", "of sRGB"])
def test_cmyk_with_a_profile_of_no_use_is_refused(damage: str, cmyk_profile: Path, tmp_path: Path) -> None:
    magick(*COLOURED, "-colorspace", "CMYK", "-depth", "8", tmp_path / "plain.jpg")
    sound = cmyk_profile.read_bytes()
    profile = {
        "cut": sound[:200],
        "unmarked": sound[:36] + bytes(4) + sound[40:],
        "without tables": sound[:128] + bytes(len(sound) - 128),
        "of sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }[damage]
    with Image.open(tmp_path / "plain.jpg") as image:
        image.save(tmp_path / "sound.jpg", icc_profile=sound)
        image.save(tmp_path / "in.jpg", icc_profile=profile)
    assert not open_image(tmp_path / "sound.jpg").gray
    with pytest.raises(UnreadableImage, match="CMYK without a profile of CMYK"):
        open_image(tmp_path / "in.jpg")


def refused(name: str, *made: str) -> tuple[str, list[str]]:
    return name, [*COLOURED, *made]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("name", "made", "reason"),
    [
        (*refused("cmyk.jpg", "-colorspace", "CMYK"), "CMYK without a profile"),
        (*refused("lab.tif", "-colorspace", "Lab", "-depth", "16"), "holds Lab colours"),
        (*refused("int.tif", "-depth", "32"), "pixels of type uint have no known white"),
        (*refused("double.tif", *FLOATING, "-depth", "64"), "of an unknown kind"),
    ],
)
def test_pixels_without_a_known_white_are_refused(name: str, made: list[str], reason: str, tmp_path: Path) -> None:
    magick(*made, tmp_path / name)
    with pytest.raises(UnreadableImage) as refusal:
        open_image(tmp_path / name)
    assert reason in refusal.value.reason


@pytest.mark.parametrize("bad", [1.5, -0.2, np.nan, np.inf])
def test_floats_outside_of_the_unit_range_are_found_on_the_way(bad: float, tmp_path: Path) -> None:
    values = np.zeros((40, 5, 3), np.float32)
    values[37, 2, 1] = bad
    tifffile.imwrite(tmp_path / "hdr.tif", values, photometric="rgb")
    with pytest.raises(UnreadableImage, match=r"HDR|not finite"):
        copied(tmp_path / "hdr.tif", tmp_path / "out" / "hdr.tif")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.programs
@pytest.mark.parametrize(
    ("name", "format", "bits"),
    [("rgb16.png", "jpeg", 8), ("rgb16.png", "webp", 8), ("gray16.png", "bmp", 8), ("rgba16.png", "tiff", 16),
     ("float.tif", "png", 16), ("rgba16.png", "bmp", 8), ("gray16.png", "webp", 8)],
)  # fmt: skip
def test_another_format_keeps_what_it_can_hold(name: str, format: Any, bits: int, tmp_path: Path) -> None:
    magick(*(MADE_BY_MAGICK.get(name) or [*COLOURED, *FLOATING]), tmp_path / name)
    out = copied(tmp_path / name, tmp_path / f"out.{format}", format=format)
    picture = open_image(out)
    assert picture.format == format
    assert picture.alpha == ("rgba" in name)
    assert picture.depth == f"uint{bits}"
    error = np.abs(whole(picture) - whole(open_image(tmp_path / name))).max()
    assert error <= (0.1 if format == "jpeg" else 0.501 / (2**bits - 1))


@pytest.mark.programs
def test_transparency_does_not_vanish_into_jpeg(tmp_path: Path) -> None:
    magick(*MADE_BY_MAGICK["rgba8.png"], tmp_path / "in.png")
    with pytest.raises(UserError, match=r"out.jpg: JPEG holds no transparency, which .*in.png has"):
        copied(tmp_path / "in.png", tmp_path / "out.jpg", format="jpeg")


@pytest.mark.programs
def test_jpeg_and_lossy_webp_are_written_well(tmp_path: Path) -> None:
    for made in (COLOURED, GRAY):
        magick(*made, "-quality", "80", "-sampling-factor", "2x2", "-interlace", "JPEG", tmp_path / "in.jpg")
        out = copied(tmp_path / "in.jpg", tmp_path / "out.jpg")
        assert program("identify-im6.q16", "-format", "%Q", out) == b"95"
        found = tags(out, "ColorComponents", "YCbCrSubSampling")
        assert found["File:ColorComponents"] == (1 if made == GRAY else 3)
        assert found.get("File:YCbCrSubSampling", "1 1") == "1 1"
        error = np.asarray(Image.open(out)).astype(float) - np.asarray(Image.open(tmp_path / "in.jpg"))
        assert np.sqrt((error**2).mean()) < 2
    magick(*COLOURED, tmp_path / "in.png")
    program("cwebp", "-quiet", "-q", "60", tmp_path / "in.png", "-o", tmp_path / "in.webp")
    assert not open_image(tmp_path / "in.webp").lossless
    assert not open_image(copied(tmp_path / "in.webp", tmp_path / "out.webp")).lossless


# ------------------------------------------------------------------------------------------ turned pictures


@pytest.mark.programs
@pytest.mark.parametrize(
    ("name", "orientation"),
    [("in.png", turn) for turn in range(1, 9)] + [(f"in.{suffix}", 5) for suffix in ("tif", "jpg", "webp")],
)
def test_the_orientation_is_applied_once(name: str, orientation: int, tmp_path: Path) -> None:
    lossless = ["-define", "webp:lossless=true"] if name == "in.webp" else []
    magick(*COLOURED, "-depth", "8", "-quality", "100", *lossless, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        expected: NDArray[Any] = np.asarray(image.convert("RGB"))
    set_tags(tmp_path / name, f"-Orientation#={orientation}")
    # Turned by numpy, as EXIF 2.3 describes the eight.
    if orientation in (2, 4, 5, 7):
        expected = expected[:, ::-1]
    expected = np.rot90(expected, {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation])
    picture = open_image(tmp_path / name)
    assert (picture.height, picture.width) == expected.shape[:2]
    tolerance = 2 if name == "in.jpg" else 0  # decoders of JPEG differ
    assert np.abs(whole(picture) * 255 - expected).max() <= tolerance + 1e-4
    out = copied(picture.path, tmp_path / f"out-{name}")
    assert set(tags(out, "Orientation").values()) <= {1}
    with Image.open(out) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - expected).mean() <= 2 * tolerance


# ------------------------------------------------------------------------------------------ values


def test_values_are_clipped_and_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    levels = np.linspace(-20, 275, 600, dtype=np.float32).reshape(10, 60, 1).repeat(3, axis=2)
    Image.new("RGB", (60, 10)).save(tmp_path / "in.png")
    picture = open_image(tmp_path / "in.png")
    save(picture, tmp_path / "out.png", np.split(levels / np.float32(255), [4]))
    found = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    assert np.abs(found - levels.clip(0, 255)).max() <= 0.5 + 1e-4
    assert found.min() == 0
    assert found.max() == 255


def test_gray_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / "in.png")
    picture = open_image(tmp_path / "in.png")
    strip = np.broadcast_to(np.array([0.2, 0.4, 0.9], np.float32), (8, 8, 3))
    save(picture, tmp_path / "out.png", [strip])
    image = Image.open(tmp_path / "out.png")
    assert image.mode == "L"
    assert np.all(np.asarray(image) == round(0.5 * 255 + 1e-6))


def test_a_value_that_is_not_finite_is_no_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    with pytest.raises(UserError, match=r"in\.png: the model gave values that are not finite"):
        save(open_image(tmp_path / "in.png"), tmp_path / "out.png", [np.full((8, 8, 3), np.nan, np.float32)])
    assert not (tmp_path / "out.png").exists()


@pytest.mark.programs
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("name", ["rgba8.png", "rgba16.tif", "graya16.png"])
def test_alpha_is_untouched_beside_other_colours(name: str, orientation: int, tmp_path: Path) -> None:
    magick(*MADE_BY_MAGICK[name], tmp_path / name)
    set_tags(tmp_path / name, f"-Orientation#={orientation}")
    picture = open_image(tmp_path / name)
    save(picture, tmp_path / f"out-{name}", (1 - strip for strip in strips_of(picture)))
    upright = tmp_path / f"upright{picture.suffix}"
    magick(tmp_path / name, "-rotate", "0" if orientation == 1 else "90", upright)
    assert seen_by_magick(tmp_path / f"out-{name}")[6::8] == seen_by_magick(upright)[6::8]
    assert seen_by_magick(tmp_path / f"out-{name}")[7::8] == seen_by_magick(upright)[7::8]
    assert np.allclose(whole(open_image(tmp_path / f"out-{name}")), 1 - whole(picture), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3])
def test_alpha_is_enlarged_bilinearly(scale: int, tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (20, 31), dtype=np.uint8)
    rgba = np.dstack([np.zeros((20, 31, 3), np.uint8), alpha])
    Image.fromarray(rgba).save(tmp_path / "in.png")
    strips = (np.full((height * scale, 31 * scale, 3), 0.5, np.float32) for height in (7, 13))
    save(open_image(tmp_path / "in.png"), tmp_path / "out.png", strips, scale=scale)
    found = np.asarray(Image.open(tmp_path / "out.png"))
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(alpha)[None, None].float(), scale_factor=scale, mode="bilinear", align_corners=False
    )
    assert found.shape == (20 * scale, 31 * scale, 4)
    assert np.all(found[..., :3] == 128)
    assert np.abs(found[..., 3] - enlarged.numpy()[0, 0]).max() <= 1.01
