"""`unseen restore --compare`: a sheet of a photograph's own pieces at four strengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.commandline import CommandLine, photographs
from support.networks import save_noise_reader

from unseen.models.loading import load_model
from unseen.restoration import strength_sheet
from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.restorer import Restorer
from unseen.restoration.strength_sheet import (
    BACKGROUND,
    GAP,
    LINE,
    STRENGTHS,
    Place,
    cell_statistics,
    places_of,
    write_strength_sheet,
)
from unseen.restoration.tiles import Tiling

SINGLE = ["--device", "cpu", "--threads", "1"]
SPEC = "wne:drunet_small:features=4,levels=2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a network that reads noise, and changes much."""
    path = tmp_path_factory.mktemp("model") / "a.safetensors"
    save_noise_reader(SPEC, path)
    return path


def photo() -> NDArray[np.float32]:
    """Six cells of 40 pixels: stripes of three strengths, a dark one, a black one, and a flat one."""
    pixels = np.full((80, 130, 3), 0.5, np.float32)
    pixels[:40, :40] += 0.4 * np.sign(np.sin(np.arange(40) / 3))[:, None].astype(np.float32)
    pixels[:40, 40:80] += 0.2 * np.sign(np.sin(np.arange(40) / 3))[:, None].astype(np.float32)
    pixels[:40, 80:120] = 0
    pixels[40:, :40] = 0.1 + 0.05 * np.sign(np.sin(np.arange(40) / 3))[:, None, None].astype(np.float32)
    pixels[40:, 40:80] += 0.1 * np.sign(np.sin(np.arange(40) / 3))[:, None].astype(np.float32)
    return pixels


def reader_of(pixels: NDArray[np.float32]) -> Callable[[int, int], NDArray[np.float32]]:
    return lambda top, bottom: pixels[top:bottom]


def test_places_are_of_the_most_detail_the_flattest_and_the_darkest_that_is_not_clipped() -> None:
    cells = cell_statistics(reader_of(photo()), 80, 130, 40)
    assert len(cells.tops) == 6  # the ten columns on the right are left over
    assert places_of(cells) == [Place("most detail", 0, 0), Place("flattest", 40, 80), Place("darkest", 40, 0)]


def test_small_photographs_have_fewer_places() -> None:
    for height, width, count in ((1, 1, 1), (5, 13, 2), (30, 31, 1)):
        pixels = np.random.default_rng(0).random((height, width, 3), np.float32)
        side = min(height, width)
        cells = cell_statistics(reader_of(pixels), height, width, side)
        assert len(places_of(cells)) == count


def test_the_sheet_holds_what_the_whole_photograph_becomes_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strength_sheet, "SIDE", 136)  # not a multiple of the network's stride
    pixels = np.random.default_rng(0).integers(0, 256, (140, 560, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    loaded, tiling = load_model(str(model)), Tiling(64, 64)
    assert (loaded.receptive_field.radius or 0) <= tiling.overlap
    write_strength_sheet(open_image(tmp_path / "a.png"), loaded, tiling, tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.info["icc_profile"] == profile
    drawn, restorer = np.asarray(sheet).astype(int), Restorer(loaded, Tiling(1024, 64))
    whole = [pixels, *(restorer.restore(pixels, strength=strength) for strength in STRENGTHS)]
    places = places_of(cell_statistics(reader_of((pixels / 255).astype(np.float32)), 140, 560, 136))
    assert len({place.left for place in places}) == 3
    for row, place in enumerate(places):
        top = LINE + row * (LINE + 136 + GAP) + LINE
        for column, expected in enumerate(whole):
            left = GAP + column * (136 + GAP)
            shown = drawn[top : top + 136, left : left + 136]
            there = expected[place.top : place.top + 136, place.left : place.left + 136]
            assert np.abs(shown - there).max() <= 1  # rounding after tiles
    assert (drawn[:LINE] != BACKGROUND).any()  # the heads are drawn


def test_the_command_writes_a_sheet_of_one_photograph_alone(model: Path, tmp_path: Path, unseen: CommandLine) -> None:
    folder, sheet = photographs(tmp_path / "photos", "a.png", "b.jpg"), tmp_path / "sheet.png"
    words = ["restore", folder / "b.jpg", "--compare", "--model", model, *SINGLE]
    assert unseen(*words, "-o", sheet).out == f"{sheet}\n"
    assert Image.open(sheet).size[0] > 5 * 24
    assert unseen.refusal(*words, "-o", sheet).startswith(f"{sheet}: is there already; give --overwrite")
    unseen(*words, "-o", sheet, "--overwrite")
    refused = {
        "compare: give one photo, and the name of a sheet": [folder, "-o", tmp_path / "sheets"],
        "report: not together with --compare": [folder / "a.png", "-o", tmp_path / "s.png", "--report"],
        "strength: not together with --compare": [folder / "a.png", "-o", tmp_path / "s.png", "--strength", "1"],
        "strength: erm takes none": [folder / "a.png", "-o", tmp_path / "s.png", "--model", "erm"],
    }
    for line, more in refused.items():
        assert unseen.refusal("restore", "--compare", "--model", model, *SINGLE, *more).startswith(line)
    assert not (tmp_path / "s.png").exists()
