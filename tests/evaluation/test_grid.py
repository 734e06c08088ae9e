"""Pictures of several degrees: what they show, and what their labels say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.transforms import Bbox
from PIL import Image
from skimage import metrics as skimage_metrics
from support.commandline import CommandLine, contents, leftovers, photographs

from unseen.data.photo import Photo, Pixels
from unseen.evaluation import grid
from unseen.protocols.loading import load_protocol

ORACLE: Any = skimage_metrics


def places(picture: Pixels, part: Pixels) -> list[tuple[int, int]]:
    """Where a part, as it is, lies in a picture: rows and columns."""
    height, width = part.shape[:2]
    corners = np.argwhere(
        (picture[: picture.shape[0] - height + 1, : picture.shape[1] - width + 1] == part[0, 0]).all(-1)
    )
    return [(int(y), int(x)) for y, x in corners if np.array_equal(picture[y : y + height, x : x + width], part)]


def test_a_grid_shows_the_middle_of_the_copies_pixel_by_pixel(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", size=(300, 420))
    specs = ["gaussian_noise:5", "gaussian_noise:50", "jpeg:10", "downsample:4", "gaussian_noise:20 > jpeg:30"]
    told = unseen("degrade", folder, "--grid", "--distortion", *specs, "--seed", "3", "--out", tmp_path / "grids")
    assert told.out == f"{tmp_path / 'grids'}: 1 of 1 grids\n"
    assert contents(tmp_path / "grids").keys() == {"a-grid.png"}
    picture = np.asarray(Image.open(tmp_path / "grids" / "a-grid.png").convert("RGB"))
    found = places(picture, np.asarray(Image.open(folder / "a.png"))[22:278, 82:338])
    for i, spec in enumerate(specs):
        unseen("degrade", folder, "--distortion", spec, "--seed", "3", "--out", tmp_path / str(i))
        copy = np.asarray(Image.open(tmp_path / str(i) / "a.png"))
        if spec == "downsample:4":  # shown from 20 and 80 on, the multiples of 4 below 22 and 82
            shown = np.kron(copy[5:69, 20:84], np.ones((4, 4, 1), dtype=np.uint8))
        else:
            shown = copy[22:278, 82:338]
        found += places(picture, shown)
    rows, columns = (sorted({place[axis] for place in found}) for axis in (0, 1))
    assert found == [(row, column) for row in rows for column in columns]  # in order, two rows of three
    assert (len(rows), len(columns)) == (2, 3)
    assert min(np.diff(columns)) > 256
    assert min(np.diff(rows)) > 256 + 2 * 16  # room for two lines of text


@pytest.mark.parametrize("spec", ["gaussian_noise:30", "jpeg:10"])
def test_labels_state_the_psnr_of_what_is_shown(spec: str) -> None:
    pixels = np.random.default_rng(0).integers(60, 200, (40, 50, 3), dtype=np.uint8)
    (level,) = grid.levels_from([spec], "")
    panel = grid.level_panel(Photo("a.png", pixels), level, 0, "cpu")
    assert panel.title == spec
    expected = ORACLE.peak_signal_noise_ratio(pixels, panel.pixels, data_range=255)
    assert panel.note == f"PSNR {expected:.2f} dB"


def test_labels_lie_within_the_picture_and_apart() -> None:
    """Long ones too, beneath pictures of several sizes: none is cut, none touches another or a picture."""
    titles = ["blur:2 > noise:[10,20],clip=false > jpeg:40", "a" * 70, "x:" + "1," * 40 + "2", "jpeg:1", "$y$"]
    remark = "PSNR 24.13 dB · pixels ×4 · held-out"
    sizes = [(10 + 60 * i, 250 - 50 * i, 3) for i in range(len(titles))]
    figure = grid.draw(
        [grid.GridPanel(np.zeros(size, np.uint8), title, remark) for size, title in zip(sizes, titles, strict=True)]
    )
    texts = [text.get_window_extent() for text in figure.texts]
    images: list[Any] = figure.images  # get_extent is that of a FigureImage
    pictures = [Bbox.from_extents(*np.reshape(image.get_extent(), (2, 2)).T.flat) for image in images]
    assert [(box.height, box.width, 3) for box in pictures] == sizes
    for i, box in enumerate(texts):
        assert not any(box.overlaps(other) for other in [*texts[:i], *pictures])
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    assert "".join(text.get_text() for text in figure.texts).replace(" ", "") == "".join(
        title + remark for title in titles
    ).replace(" ", "")


def test_no_label_is_broken_at_a_hyphen() -> None:
    panel = grid.GridPanel(np.zeros((8, 8, 3), np.uint8), "jpeg:1", "PSNR 24.13 dB · pixels ×4 · held-out")
    for width in range(100, 400, 10):
        lines = [line for line, _ in grid._lines(panel, width)]
        assert any("held-out" in line for line in lines), width


def test_levels_that_no_picture_can_show_are_told() -> None:
    assert grid.left_out("denoise") == ""
    assert len(grid.levels_from([], "derain")) == 1
    assert grid.left_out("derain") == (
        "derain: 7 levels are not shown, as recorded pairs cannot be made: pairs:did-mdn, pairs:rain14000, "
        "pairs:heavy-rain, pairs:rain100l, pairs:rain30, pairs:rain12, pairs:rain800"
    )


def test_a_grid_of_a_protocol_with_pairs_says_what_it_lacks(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png")
    told = unseen("degrade", folder, "--grid", "--protocol", "derain", "--out", tmp_path / "out")
    assert told.err == grid.left_out("derain") + "\n"


def test_a_protocol_is_shown_level_by_level(unseen: CommandLine, tmp_path: Path) -> None:
    levels = grid.levels_from([], "denoise")
    assert [level.confounder.name for level in levels] == [c.name for _, c in load_protocol("denoise").levels()]
    assert [level.split for level in levels] == ["seen"] * 4 + ["held-out"] + ["unseen"] * 3
    folder = photographs(tmp_path / "photos", "a.png", "a.jpg")
    (folder / "broken.png").write_text("no picture")
    told = unseen("degrade", folder, "--grid", "--protocol", "denoise", "--out", tmp_path / "out", code=1)
    assert told.err.startswith("skipped broken.png: ")
    assert contents(tmp_path / "out").keys() == {"a-grid.png", "a.jpg-grid.png"}
    assert leftovers(tmp_path) == []
