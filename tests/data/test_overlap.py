"""Whether one photograph is found again, and different ones are told apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from unseen.data.embedded import embedded_photos
from unseen.data.loading import SMALLEST_WINDOW, load_photos
from unseen.data.overlap import SAME, correlation, detail, overlaps, thumbnail
from unseen.data.pairs import load_pairs
from unseen.data.photo import THUMBNAIL, Photo, Pixels

pytestmark = pytest.mark.slow  # real sets are searched

ALL = [*embedded_photos("train"), *embedded_photos("validation"), *embedded_photos("test")]


def resized(photo: Photo, width: int, height: int) -> Photo:
    return Photo("again", np.array(Image.fromarray(photo.pixels).resize((width, height), Image.Resampling.BICUBIC)))


def compressed(photo: Photo, quality: int = 30) -> Photo:
    data = io.BytesIO()
    Image.fromarray(photo.pixels).save(data, "JPEG", quality=quality)
    return Photo("again", np.array(Image.open(data)))


def brighter(photo: Photo) -> Photo:
    return Photo("again", (photo.pixels * 0.7 + 50).astype(np.uint8))


def fraction(photo: Photo, n: int) -> Photo:
    return resized(photo, photo.pixels.shape[1] // n, photo.pixels.shape[0] // n)


@pytest.mark.parametrize("i", range(len(ALL)))
def test_a_photograph_is_found_again_in_other_sizes_and_none_else_is(i: int) -> None:
    for again in (resized(ALL[i], 97, 61), resized(ALL[i], 640, 640), resized(ALL[i], 40, 30)):
        assert [overlap.second for overlap in overlaps([again], ALL)] == [ALL[i]]


def test_brightness_and_contrast_do_not_hide_a_photograph() -> None:
    darker = Photo("darker", (ALL[0].pixels // 2 + 10).astype(np.uint8))
    assert overlaps([darker], ALL)[0].correlation > 0.999


def test_the_smallest_photographs_have_no_detail_to_confirm() -> None:
    small = [resized(photo, 20, 16) for photo in ALL]
    assert [overlap.second for overlap in overlaps([brighter(small[0])], small)] == [small[0]]


def test_plain_areas_are_like_nothing() -> None:
    plain = Photo("plain", np.full((50, 50, 3), 90, dtype=np.uint8))
    assert not thumbnail(plain).any()
    assert not overlaps([plain], [plain, *ALL])
    assert not overlaps([], ALL)


# ------------------------------------------------------------------------------ parts of photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All embedded photographs as files."""
    (tmp_path / "clean").mkdir()
    for photo in ALL:
        Image.fromarray(photo.pixels).save(tmp_path / "clean" / f"{photo.name}.png", compress_level=1)
    return tmp_path / "clean"


def test_a_window_is_known_by_the_whole_that_it_was_cut_out_of(folder: Path) -> None:
    windows, _ = load_photos(folder, memory=3 * SMALLEST_WINDOW**2 * len(ALL))
    assert {photo.pixels.shape for photo in windows} == {(SMALLEST_WINDOW, SMALLEST_WINDOW, 3)}
    for photo in ALL:
        again = brighter(fraction(photo, 2))
        assert [overlap.second.name for overlap in overlaps([again], windows)] == [f"{photo.name}.png"]


def test_a_window_of_a_pair_is_known_by_its_clean_picture(folder: Path) -> None:
    blank = folder.parent / "blank"
    blank.mkdir()
    for photo in ALL:
        Image.fromarray(np.zeros_like(photo.pixels)).save(blank / f"{photo.name}.png")
    windows, _ = load_pairs(blank, folder, memory=2 * 3 * SMALLEST_WINDOW**2 * len(ALL))
    assert {photo.pixels.shape for photo in windows} == {(SMALLEST_WINDOW, SMALLEST_WINDOW, 3)}
    assert [overlap.second.name for overlap in overlaps([ALL[0]], windows)] == [f"{ALL[0].name}.png"]


def test_a_part_of_a_part_is_known_by_the_whole() -> None:
    part = ALL[0].centre(100).window(10, 10, 30, 20)
    assert part.pixels.shape == (30, 20, 3)
    assert part.fingerprint is ALL[0].fingerprint
    assert [overlap.second for overlap in overlaps([part], ALL)] == [ALL[0]]
    assert not overlaps([Photo("a picture of its own", part.pixels)], ALL)


# --------------------------------------------------------------------------- different pictures that look alike


def page(seed: int, width: int, height: int, columns: int, size: int) -> Photo:
    """A white page of lines of words of random letters, always in the same places."""
    draws = np.random.default_rng(seed)
    picture, font = Image.new("L", (width, height), 255), ImageFont.load_default(size)
    margin = width // 10
    column = (width - 2 * margin) // columns
    for left in range(margin, margin + columns * column, column):
        for top in range(margin, height - margin - size, round(1.4 * size)):
            letters = draws.integers(97, 123, 3 * column // size).astype(np.uint8)
            ends = np.cumsum(draws.integers(3, 11, len(letters)))
            letters[ends[ends < len(letters)]] = ord(" ")
            line = Image.new("L", (column - 2 * size, 2 * size), 255)
            ImageDraw.Draw(line).text((0, 0), letters.tobytes().decode(), font=font, fill=0)
            picture.paste(line, (left, top))
    return Photo(f"page {seed}", np.array(picture.convert("RGB")))


PAGES = [(620, 877, 1, 9), (620, 877, 2, 9), (700, 500, 2, 8), (310, 440, 1, 5)]


@pytest.mark.parametrize("layout", PAGES)
@pytest.mark.slow
def test_pages_of_text_are_told_apart_and_found_again(layout: tuple[int, int, int, int]) -> None:
    pages = [page(seed, *layout) for seed in range(6)]
    for one, other in combinations(map(thumbnail, pages), 2):
        assert float(one @ other) > SAME  # else nothing would be tested
    for first, second in combinations([detail(one, THUMBNAIL) for one in pages], 2):
        assert correlation(first, second) < 0.4
    assert not overlaps(pages[:3], pages[3:])
    for again in (compressed(pages[0]), brighter(pages[0]), compressed(fraction(pages[0], 2))):
        assert [overlap.second for overlap in overlaps([again], pages)] == [pages[0]]


def gradient(seed: int, shape: Callable[[Pixels, Pixels], Pixels], noise: float) -> Photo:
    """From one colour to another, dark to bright, as skies are."""
    draws = np.random.default_rng(seed)
    rows, columns = np.mgrid[:300, :400] / 300
    level = shape(rows, columns)[..., None]
    pixels = draws.integers(0, 120, 3) * (1 - level) + draws.integers(150, 256, 3) * level
    return Photo(f"sky {seed}", (pixels + draws.normal(0, noise, (300, 400, 3))).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("noise", [0, 3, 15])
@pytest.mark.parametrize(
    "shape", [lambda y, x: y, lambda y, x: (x + y) / 2.4, lambda y, x: np.hypot(x - 0.6, y - 0.6), lambda y, x: x * y]
)
def test_gradients_are_told_apart_and_their_copies_found(
    shape: Callable[[Pixels, Pixels], Pixels], noise: float
) -> None:
    skies = [gradient(seed, shape, noise) for seed in range(10)]
    for some in (skies, [compressed(sky) for sky in skies]):
        alike = [float(one @ other) for one, other in combinations(map(thumbnail, some), 2)]
        assert max(alike) > SAME
        assert not any(overlaps([one], [other]) for one, other in combinations(some, 2))
    copy = Photo("copy", skies[0].pixels.copy())
    assert [overlap.second for overlap in overlaps([copy.centre(50)], skies)] == [skies[0]]


# ----------------------------------------------------------------------------------------------- real sets


@pytest.fixture(scope="module")
def bsds200(real_images: Path) -> list[Photo]:
    """The photographs to train on, read once."""
    return load_photos(real_images / "train" / "bsds200")[0]


TEST_SETS = ("cbsd68", "set5", "set14", "urban20", "rain30/target", "cc15/clean", "city12/hr")


@pytest.mark.slow
def test_training_and_test_sets_at_hand_share_no_scene(real_images: Path, bsds200: list[Photo]) -> None:
    test = [photo for name in TEST_SETS for photo in load_photos(real_images / "test" / name)[0]]
    assert not overlaps(test, bsds200)
    ours, theirs = (np.stack([thumbnail(photo) for photo in photos]) for photos in (bsds200, test))
    assert (ours @ theirs.T).size == 32_800
    assert (ours @ theirs.T).max() == pytest.approx(0.875, abs=0.0005)
    fine, finer = (np.stack([detail(photo, THUMBNAIL) for photo in photos]) for photos in (bsds200, test))
    assert np.einsum("iak,jak->ija", fine, finer).min(axis=-1).max() == pytest.approx(0.072, abs=0.0005)


@pytest.mark.parametrize(
    "change",
    [
        compressed,
        brighter,
        lambda photo: resized(photo, 97, 61),
        lambda photo: fraction(photo, 2),
        lambda photo: compressed(fraction(photo, 3)),
    ],
)
@pytest.mark.slow
def test_every_photograph_at_hand_is_found_again(change: Callable[[Photo], Photo], bsds200: list[Photo]) -> None:
    again = [change(photo) for photo in bsds200]
    found = {overlap.first: overlap.second for overlap in overlaps(again, bsds200)}
    assert [found.get(photo) for photo in again] == bsds200
    sides = [min(THUMBNAIL, *photo.pixels.shape[:2]) for photo in again]
    alike = [correlation(detail(a, n), detail(b, n)) for a, b, n in zip(again, bsds200, sides, strict=True)]
    assert min(alike) > 0.68
