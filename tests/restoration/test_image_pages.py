"""Image files of several pages, large ones and many at once: what is read of them, and what that takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.made_images import ALPHA, COLOURED, GRAY, copied, seen_by_magick, whole
from support.programs import magick, program, set_tags, tags

from unseen.data.reading import UnreadableImage
from unseen.evaluation.noise import sampled_crops
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save

# ------------------------------------------------------------------------------------------ pages, windows


@pytest.mark.programs
def test_pages_one_by_one(tmp_path: Path) -> None:
    pages = [tmp_path / "a.tif", tmp_path / "b.tif"]
    magick(*COLOURED, "-depth", "16", pages[0])
    magick(*GRAY, "-depth", "8", "-resize", "50%", pages[1])
    program("tiffcp", *pages, tmp_path / "both.tif")
    with pytest.raises(UnreadableImage, match=r"holds 2 pages; ask for them page by page \(--pages\), or"):
        open_image(tmp_path / "both.tif")
    for i, page in enumerate(pages):
        picture = open_image(tmp_path / "both.tif", i)
        assert (picture.page, picture.pages) == (i, 2)
        out = copied(tmp_path / "both.tif", tmp_path / "out.tif", page=i)
        assert seen_by_magick(out) == seen_by_magick(page)
        assert open_image(out).pages == 1
    with pytest.raises(UnreadableImage):
        open_image(tmp_path / "both.tif", 2)


@pytest.mark.programs
def test_animations_are_refused_with_their_number_of_frames(tmp_path: Path) -> None:
    for colour in ("red", "green", "blue"):
        magick("-size", "20x10", f"xc:{colour}", tmp_path / f"{colour}.png")
    frames = [tmp_path / f"{colour}.png" for colour in ("red", "green", "blue")]
    program("img2webp", "-lossless", *frames, "-o", tmp_path / "a.webp")
    with pytest.raises(UnreadableImage, match="holds 3 frames"):
        open_image(tmp_path / "a.webp")
    last = open_image(tmp_path / "a.webp", 2)
    assert last.lossless
    assert np.allclose(whole(last), [0, 0, 1])
    first, *others = [Image.open(frame) for frame in frames]
    first.save(tmp_path / "a.png", save_all=True, append_images=others)
    for page in (None, 0):
        with pytest.raises(UnreadableImage, match="an animation of 3 frames"):
            open_image(tmp_path / "a.png", page)


@pytest.mark.parametrize(("size", "count", "side", "found"), [
    ((100, 80), 9, 20, 9), ((100, 80), 9, 40, 4), ((30, 200), 4, 32, 4), ((10, 12), 4, 16, 1), ((1, 1), 9, 8, 1)
])  # fmt: skip
def test_windows_are_spread_over_the_picture(
    size: tuple[int, int], count: int, side: int, found: int, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    source = open_image(tmp_path / "in.png")
    crops = sampled_crops(source.reader(), source.height, source.width, count, side)
    assert len(crops) == found
    height, width = min(side, size[0]), min(side, size[1])
    every = np.lib.stride_tricks.sliding_window_view(pixels, (height, width, 3))[:, :, 0]
    places = []
    for crop in crops:
        where = np.argwhere((every == np.rint(crop * 255).astype(np.uint8)).all(axis=(2, 3, 4)))
        assert len(where) == 1
        places.append(tuple(where[0]))
    assert len(set(places)) == found
    middle = np.mean(places, axis=0) + np.array([height, width]) / 2
    assert np.abs(middle - np.array(size) / 2).max() <= 1


# ------------------------------------------------------------------------------------------ memory


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_large_pictures_stream(suffix: str, tmp_path: Path) -> None:
    """25 megapixels of RGB are 300 MB as float32, 75 or 150 MB as they are.

    What is allocated counts, and not the pages of files that the system may take back.
    """
    import pyvips

    waves = (pyvips.Image.sines(512, 512, hfreq=3, vfreq=2) * 100 + 128).cast("uchar").replicate(10, 10)
    image = waves.bandjoin([waves.invert(), waves]).copy(interpretation="srgb")
    if suffix == "tif":
        image = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    image.write_to_file(str(tmp_path / f"in.{suffix}"))
    script = f"""
import re, threading, time
from pathlib import Path
import pyvips
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save
def allocated():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, allocated())
        time.sleep(0.002)
picture = open_image(Path({str(tmp_path / f"in.{suffix}")!r}))
read = picture.reader()
before = allocated()
threading.Thread(target=watch, daemon=True).start()
strips = (read(top, min(top + 128, picture.height)) for top in range(0, picture.height, 128))
save(picture, Path({str(tmp_path / f"out.{suffix}")!r}), strips)
print(peak - before)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 140
    assert open_image(tmp_path / f"out.{suffix}").width == 5120


@pytest.mark.programs
def test_large_tiff_is_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseen.restoration.imagefiles.encode._CLASSIC_TIFF", 1000)
    magick(*COLOURED, "-depth", "16", tmp_path / "in.tif")
    set_tags(tmp_path / "in.tif", "-Make=Maker", "-FNumber=2.8")
    out = copied(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(out) as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), tifffile.imread(tmp_path / "in.tif"))
    assert set(tags(out, "Make", "FNumber").values()) == {"Maker", 2.8}


@pytest.mark.programs
def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    magick(*COLOURED, *ALPHA, "-depth", "8", tmp_path / "in.png")
    copied(tmp_path / "in.png", tmp_path / "out.png")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        copied(tmp_path / "in.png", tmp_path / "out.png")
        with pytest.raises(ValueError, match="rows for a picture"):
            save(open_image(tmp_path / "in.png"), tmp_path / "out.png", [])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.programs
def test_many_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    magick(*COLOURED, *ALPHA, "-depth", "8", tmp_path / "in.png")
    copy: Callable[[int], Path] = lambda i: copied(tmp_path / "in.png", tmp_path / f"{i}.png")  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        outs = list(pool.map(copy, range(24)))
    assert len({out.read_bytes() for out in outs}) == 1


@pytest.mark.parametrize("tag", [(254, 1), (255, 2), (254, 5)], ids=["reduced", "old tag", "mask of a reduced one"])
def test_a_preview_beside_the_picture_is_no_page(tag: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    mark = [(tag[0], 4 if tag[0] == 254 else 3, 1, tag[1], True)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels[::4, ::4], photometric="rgb", metadata=None, extratags=mark)
        file.write(pixels, photometric="rgb", metadata=None)
        file.write(pixels[::8, ::8], photometric="rgb", metadata=None, extratags=mark)
        file.write(pixels[::-1], photometric="rgb", metadata=None, subifds=1)
        file.write(pixels[::2, ::2], photometric="rgb", metadata=None)
    assert open_image(tmp_path / "a.tif", page=0).pages == 2
    for page, expected in ((0, pixels), (1, pixels[::-1])):
        source = open_image(tmp_path / "a.tif", page=page)
        read = source.reader()(0, source.height)
        assert np.array_equal(np.rint(read * 255).astype(np.uint8), expected)
    with pytest.raises(UnreadableImage, match="holds 2 pages"):
        open_image(tmp_path / "a.tif")
