"""Photographs shrunk for training: their copies, their names and digests, the bound of memory, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commandline import TINY, CommandLine
from support.trainings import TINY as SMALL

from unseen.core.errors import UserError
from unseen.data.loading import load_photos
from unseen.data.overlap import overlaps
from unseen.data.photo import Photo, Pixels
from unseen.data.shrinking import shrunk
from unseen.data.sources import training_photos
from unseen.training.config import Draws
from unseen.training.run import TrainingRun
from unseen.training.state import TrainingState, card_of

WIDTH, HEIGHT = 60, 45


def scene(i: int) -> Pixels:
    """A smooth picture, no two alike."""
    coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(12):
        Image.fromarray(scene(i)).save(photos / f"{i:02}.png")
    return photos


def test_a_photograph_becomes_three_copies_in_equal_ratios_that_are_known_as_the_photograph() -> None:
    original = Photo("a.jpg", scene(0))
    copies = shrunk(original, 2.0).copies
    assert [copy.pixels.shape for copy in copies] == [(22, 30, 3), (28, 38, 3), (36, 48, 3)]
    for copy in copies:
        assert (copy.name, copy.digest, copy.fingerprint.digest) == (
            "a.jpg", original.digest, original.fingerprint.digest,
        )  # fmt: skip
        assert len(overlaps([copy], [original])) == 1
    assert shrunk(Photo("dot", scene(0)[:1, :2]), 8.0).pixels.shape == (1, 1, 3)
    assert shrunk(original, 1.0) is original


def test_shrinking_averages_noise_away() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (96, 96, 3)).round().clip(0, 255).astype(np.uint8)
    small = shrunk(Photo("noise", noise), 2.0).pixels.astype(float)
    assert small.mean() == pytest.approx(noise.mean(), abs=0.3)
    assert small.std() < 0.6 * noise.std()


def test_split_and_digest_are_those_of_the_photographs_themselves(folder: Path) -> None:
    sources = [str(folder), "embedded", "dead_leaves:1"]
    plain, small = training_photos(sources), training_photos(sources, shrink=2.0)
    for side in ("train", "validation"):
        pairs = list(zip(getattr(plain, side), getattr(small, side), strict=True))
        assert [one.name for one, _ in pairs] == [other.name for _, other in pairs]
        assert all(other.pixels.shape[0] == round(one.pixels.shape[0] / 2) for one, other in pairs)
    assert small.digest() == plain.digest()
    assert {len(photo.copies) for photo in small.train} == {3}
    assert {len(photo.copies) for photo in small.validation} == {1}


def test_copies_stay_within_the_memory_as_copies_of_windows(folder: Path) -> None:
    whole = sum(copy.pixels.nbytes for photo in load_photos(folder, shrink=1.5)[0] for copy in photo.copies)
    assert whole > 12 * 3 * WIDTH * HEIGHT  # more than the photographs themselves
    Image.fromarray(np.tile(scene(0), (5, 5, 1))).save(folder / "large.png")
    memory = whole + 3 * 170**2
    photos, _ = load_photos(folder, shrink=1.5, memory=memory)
    total = sum(copy.pixels.nbytes for photo in photos for copy in photo.copies)
    assert 0.97 * memory < total <= memory
    assert photos[-1].fingerprint.thumbnail.shape == (96, 96)  # of the whole
    with pytest.raises(
        UserError, match=r"leave a window of 91 pixels for each of 13 photographs; allow at least 1 MiB$"
    ):
        load_photos(folder, shrink=1.5, memory=whole + 3 * 122**2)  # shrunk it would be smaller than 64


@pytest.mark.parametrize("draws", ["exact", "device"])
def test_every_copy_is_trained_on_and_the_card_counts_photographs(folder: Path, draws: Draws) -> None:
    run = TrainingRun.of(replace(SMALL, data=[str(folder)], shrink=1.5, draws=draws, method="erm"))
    assert [copy.shape for copy in run.episodes.patches.clean] == [(30, 40), (34, 46), (39, 52)] * 11
    card = card_of(run, TrainingState())
    assert (card.config["shrink"], card.photographs) == (1.5, 11)
    assert card.data == training_photos([str(folder)]).digest()
    if run.episodes.photographs is not None:
        assert len(run.episodes.photographs.table) == 33
    with pytest.raises(UserError, match=r"shrink: .*(1|8)"):
        replace(run.config, shrink=0.5).check()


def test_a_pack_is_not_shrunk(unseen: CommandLine, folder: Path, tmp_path: Path) -> None:
    pack = tmp_path / "all.pack"
    unseen("pack", folder, "-o", pack)
    refusal = unseen.refusal("train", *TINY, "--data", pack, "--shrink", "2", "--out", tmp_path / "run")
    assert refusal == f"shrink: {pack}: a pack is used as it is; give the folder of its photographs in its place"
    with pytest.raises(UserError, match=r"shrink: .*a pack is used as it is"):
        training_photos([str(pack)], shrink=2.0)
