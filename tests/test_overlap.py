"""Whether one photograph is found again, and different ones are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.data import Photo, embedded_photos, load_photos
from unseen.data.overlap import SAME, overlaps, thumbnail

ALL = [*embedded_photos("train"), *embedded_photos("validation"), *embedded_photos("test")]


def resized(photo: Photo, width: int, height: int) -> Photo:
    return Photo("again", np.array(Image.fromarray(photo.pixels).resize((width, height), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("i", range(len(ALL)))
def test_a_photograph_is_found_again_in_other_sizes_and_none_else_is(i: int) -> None:
    for again in (resized(ALL[i], 97, 61), resized(ALL[i], 640, 640)):
        assert [overlap.second for overlap in overlaps([again], ALL)] == [ALL[i]]


def test_brightness_and_contrast_do_not_hide_a_photograph() -> None:
    darker = Photo("darker", (ALL[0].pixels // 2 + 10).astype(np.uint8))
    assert overlaps([darker], ALL)[0].correlation > 0.999


def test_plain_areas_are_like_nothing() -> None:
    plain = Photo("plain", np.full((50, 50, 3), 90, dtype=np.uint8))
    assert not thumbnail(plain).any()
    assert not overlaps([plain], [plain, *ALL])
    assert not overlaps([], ALL)


def test_training_and_test_sets_at_hand_share_no_scene(real_images: Path) -> None:
    train, _ = load_photos(real_images / "train" / "bsds200")
    for name in ("cbsd68", "set5", "set14", "urban20", "rain30/target", "cc15/clean", "city12/hr"):
        test, _ = load_photos(real_images / "test" / name)
        assert not overlaps(test, train), name
    once_more = resized(train[7], 60, 40)
    found = overlaps([once_more], train)
    assert [overlap.second for overlap in found] == [train[7]]
    assert found[0].correlation > SAME
