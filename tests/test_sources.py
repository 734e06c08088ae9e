"""Where clean photographs come from, and the split that keeps validation apart from training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.data.sources import Clean, load_test_set, training_photos
from unseen.errors import UserError


def make_folder(folder: Path, n: int) -> Path:
    folder.mkdir()
    draws = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(draws.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return folder


def test_a_tenth_of_a_folder_validates_and_never_trains(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", 25)
    clean = training_photos([str(folder)])
    train, validation = ({photo.name for photo in part} for part in (clean.train, clean.validation))
    assert (len(train), len(validation)) == (23, 2)
    assert not train & validation
    again = training_photos([str(folder)])
    assert {photo.name for photo in again.validation} == validation


def test_what_validates_never_trains_under_another_name_either(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", 12)
    (held,) = training_photos([str(folder)]).validation
    (tmp_path / "more").mkdir()
    for name in ("copy.png", "other.png"):
        (tmp_path / "more" / name).write_bytes((folder / held.name).read_bytes())
    both = training_photos([str(folder), str(tmp_path / "more")])
    assert not any(np.array_equal(photo.pixels, held.pixels) for photo in both.train)


def test_the_digest_changes_with_a_photograph_and_with_its_side(tmp_path: Path) -> None:
    clean = training_photos([str(make_folder(tmp_path / "photos", 4))])
    assert clean.digest() == training_photos([str(tmp_path / "photos")]).digest()
    swapped = Clean(clean.validation, clean.train, [])
    fewer = Clean(clean.train[1:], clean.validation, [])
    moved = Clean(clean.train[:-1], [clean.train[-1], *clean.validation], [])
    assert len({c.digest() for c in (clean, swapped, fewer, moved)}) == 4


def test_one_photograph_is_too_few(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "one", 1)
    with pytest.raises(UserError, match=r"data: .*needs two photographs at least"):
        training_photos([str(folder)])


def test_sources_add_up_and_share_the_embedded_validation_photograph() -> None:
    both = training_photos(["embedded", "dead_leaves:3"])
    leaves = training_photos(["dead_leaves:3"])
    assert len(both.train) == 5
    assert [photo.name for photo in both.validation] == [photo.name for photo in leaves.validation] == ["camera"]


@pytest.mark.parametrize("source", ["dead_leaves:x", "dead_leaves:0", "dead_leaves:-3"])
def test_an_impossible_count_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=f"data: '{source}': expected dead_leaves:COUNT"):
        training_photos([source])


def test_test_sets_by_name_by_folder_and_embedded(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "holiday", 2)
    assert load_test_set(f"mine={folder}")[0] == "mine"
    assert load_test_set(str(folder))[0] == "holiday"
    name, photos, skipped = load_test_set("embedded")
    assert (name, [photo.name for photo in photos], skipped) == ("embedded", ["astronaut", "chelsea", "coffee"], [])


def test_real_sets_are_read_whole(real_images: Path) -> None:
    _, photos, skipped = load_test_set(f"cbsd68={real_images / 'test' / 'cbsd68'}")
    assert len(photos) == 68
    assert not skipped
    assert {photo.pixels.shape[:2] for photo in photos} == {(321, 481), (481, 321)}
