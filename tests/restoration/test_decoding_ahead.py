"""The first photograph's crops, read ahead: the same as otherwise, and only where nothing speaks against it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Timer, current_thread, main_thread

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
    reader = ImageFile.reader

    def recorded(source: ImageFile, **options: bool) -> Callable[[int, int], Crop]:
        names.append("main" if current_thread() is main_thread() else "ahead")
        return reader(source, clip=options["clip"], spread=options["spread"])

    monkeypatch.setattr(ImageFile, "reader", recorded)
    return names


def photograph(path: Path, *, progressive: bool = False) -> FileJob:
    values = np.random.default_rng(0).integers(0, 256, (300, 600, 3), np.uint8)
    Image.fromarray(values).save(path, progressive=progressive)
    return FileJob(path, path.name, f"out-{path.name}")


def test_the_first_photograph_is_read_ahead_and_the_second_in_its_turn(tmp_path: Path, readers: list[str]) -> None:
    jobs = [photograph(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    with crops_ahead(jobs, tmp_path, overwrite=False) as crops_of:
        for job in jobs:
            source = open_image(job.path)
            for ahead, read in zip(crops_of(source), source.crops(), strict=True):
                np.testing.assert_array_equal(ahead, read)
    assert readers == ["ahead", "main", "main", "main"]


def test_an_output_that_is_there_is_no_reason_to_read_its_photograph(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    (tmp_path / job.file).touch()
    with crops_ahead([job], tmp_path, overwrite=False):
        pass
    assert not readers
    with crops_ahead([job], tmp_path, overwrite=True) as crops_of:
        crops_of(open_image(job.path))
    assert readers == ["ahead"]


def test_an_output_whose_name_is_too_long_is_left_to_its_turn(tmp_path: Path) -> None:
    job = FileJob(photograph(tmp_path / "a.jpg").path, "a.jpg", 251 * "x" + ".webp")
    with crops_ahead([job], tmp_path, overwrite=False) as crops_of:
        assert len(crops_of(open_image(job.path))) > 0


def test_a_photograph_that_is_exchanged_for_one_of_the_same_size_is_read_anew(tmp_path: Path) -> None:
    job, other = photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg"
    Image.new("RGB", (600, 300), "red").save(other)
    with crops_ahead([job], tmp_path, overwrite=False) as crops_of:
        other.replace(job.path)
        source = open_image(job.path)
        for ahead, read in zip(crops_of(source), source.crops(), strict=True):
            np.testing.assert_array_equal(ahead, read)


def test_what_a_decoder_holds_whole_waits_for_its_turn(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg", progressive=True)
    with crops_ahead([job], tmp_path, overwrite=False) as crops_of:
        crops_of(open_image(job.path))
    assert readers == ["main"]


def test_a_run_that_is_interrupted_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, begun, has_left, rows = photograph(tmp_path / "a.jpg"), Event(), Event(), list[int]()

    def reader(source: ImageFile, **options: bool) -> Callable[[int, int], Crop]:
        def read(top: int, bottom: int) -> Crop:
            rows.append(top)
            begun.set()
            assert has_left.wait(20)
            return np.zeros((bottom - top, source.width, 3), np.float32)

        return read

    monkeypatch.setattr(ImageFile, "reader", reader)
    monkeypatch.setattr(decoding_ahead, "STEP", 4)
    with suppress(KeyboardInterrupt), crops_ahead([job], tmp_path, overwrite=False):
        assert begun.wait(20)
        Timer(0.05, has_left.set).start()
        raise KeyboardInterrupt
    assert rows == [0]


def test_a_broken_photograph_is_refused_in_its_turn(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    whole = job.path.read_bytes()
    job.path.write_bytes(whole[: len(whole) // 8])
    with (
        crops_ahead([job], tmp_path, overwrite=False) as crops_of,
        pytest.raises(UnreadableImage, match=r"a\.jpg"),
    ):
        crops_of(open_image(job.path))
    assert readers == ["ahead", "main"]


def test_a_photograph_that_is_exchanged_meanwhile_is_read_again(tmp_path: Path, readers: list[str]) -> None:
    job = photograph(tmp_path / "a.jpg")
    with crops_ahead([job], tmp_path, overwrite=False) as crops_of:
        Image.new("RGB", (64, 64)).save(tmp_path / "black.jpg")
        (tmp_path / "black.jpg").replace(job.path)
        assert not np.any(crops_of(open_image(job.path))[0])
