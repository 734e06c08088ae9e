"""The first photograph's crops, read ahead: the same as otherwise, and only where nothing speaks against it."""

from __future__ import annotations

from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import pytest
from PIL import Image

from unseen.data.file_jobs import FileJob
from unseen.data.reading import UnreadableImage
from unseen.evaluation.noise import Crop
from unseen.restoration import decoding_ahead
from unseen.restoration.decoding_ahead import crops_ahead
from unseen.restoration.imagefiles.image_file import ImageFile, open_image


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who has read crops so far."""
    names: list[str] = []
    crops = ImageFile.crops

    def recorded(source: ImageFile) -> list[Crop]:
        names.append("main" if current_thread() is main_thread() else "ahead")
        return crops(source)

    monkeypatch.setattr(ImageFile, "crops", recorded)
    return names


def photograph(path: Path, *, progressive: bool = False) -> FileJob:
    values = np.random.default_rng(0).integers(0, 256, (300, 600, 3), np.uint8)
    Image.fromarray(values).save(path, progressive=progressive)
    return FileJob(path, path.name, f"out-{path.name}")


def test_the_first_photograph_is_read_ahead_and_the_second_in_its_turn(tmp_path: Path, readers: list[str]) -> None:
    jobs = [photograph(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    crops_of = crops_ahead(jobs, tmp_path, overwrite=False)
    for job in jobs:
        source = open_image(job.path)
        for ahead, read in zip(crops_of(source), source.crops(), strict=True):
            np.testing.assert_array_equal(ahead, read)
    assert readers == ["ahead", "main", "main", "main"]


def test_an_output_that_is_there_is_no_reason_to_read_its_photograph(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    (tmp_path / job.file).touch()
    crops_ahead([job], tmp_path, overwrite=False)
    assert not readers
    crops_ahead([job], tmp_path, overwrite=True)(open_image(job.path))
    assert readers == ["ahead"]


@pytest.mark.parametrize("reason", ["held whole", "many pixels"])
def test_what_may_take_much_memory_or_time_waits_for_its_turn(
    tmp_path: Path, readers: list[str], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "many pixels":
        monkeypatch.setattr(decoding_ahead, "MOST_PIXELS", 600 * 300 - 1)
    job = photograph(tmp_path / "a.jpg", progressive=reason == "held whole")
    crops_ahead([job], tmp_path, overwrite=False)(open_image(job.path))
    assert readers == ["main"]


def test_a_broken_photograph_is_refused_in_its_turn(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: len(whole) // 8])
    crops_of = crops_ahead([job], tmp_path, overwrite=False)
    with pytest.raises(UnreadableImage, match=r"a\.jpg"):
        crops_of(open_image(job.path))
    assert readers == ["ahead", "main"]


def test_a_photograph_that_is_exchanged_meanwhile_is_read_again(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    crops_of = crops_ahead([job], tmp_path, overwrite=False)
    Image.new("RGB", (64, 64)).save(tmp_path / "black.jpg")
    (tmp_path / "black.jpg").replace(job.path)
    assert not np.any(crops_of(open_image(job.path))[0])
