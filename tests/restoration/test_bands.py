"""Bands of rows, whose columns several threads restore: the same as the whole image, errors, Ctrl-C, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseen.core.errors import UserError
from unseen.data.file_jobs import FileJob
from unseen.models.backbones import DRUNetSmall
from unseen.models.loading import Model, model_of
from unseen.restoration.bands import banded, restored_bands
from unseen.restoration.batch import RestoreOptions, restore_files
from unseen.restoration.report import RestoreReport
from unseen.restoration.tiles import Strip, Tiling, count_tiles, row_spans, spans

LEVEL = 1 / 255
OVERLAP = 64


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    network = DRUNetSmall(features=4, levels=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, parameter[0].numel() ** -0.5)
    return model_of(network, "small")


def noise(height: int, width: int) -> NDArray[np.uint8]:
    levels = np.random.default_rng(0).normal(128, 25, (height, width, 3))
    return levels.clip(0, 255).round().astype(np.uint8)


def tiles_of(model: Model, width: int, window: int = 400, workers: int = 2) -> Tiling:
    return banded(Tiling(window - 2 * OVERLAP, OVERLAP), model.receptive_field, width, workers)


@pytest.mark.parametrize("height", [7, 40, 161, 300])
def test_columns_in_bands_make_what_the_whole_image_makes(model: Model, height: int) -> None:
    image: Strip = (noise(height, 401) / 255).astype(np.float32)
    tiling = replace(tiles_of(model, 401), height=48)
    assert len(spans(401, tiling)) == 2
    whole = model.run(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    done: list[int] = []

    def read(top: int, bottom: int) -> Strip:
        return image[top:bottom]

    strips = list(restored_bands(model, read, height, 401, tiling, 2, done.append))
    assert np.abs(np.concatenate(strips) - whole).max() < 1e-3 * LEVEL * max(1, np.abs(whole).max())
    assert sum(done) == count_tiles(height, 401, tiling)


def test_a_thread_that_is_done_with_a_band_goes_on_with_the_next(model: Model) -> None:
    image: Strip = (noise(160, 401) / 255).astype(np.float32)
    begun, is_ahead = list[object](), Event()

    def run(images: Tensor, rows: object) -> Tensor:
        begun.append(rows)
        if sum(column is not begun[0] for column in begun) == 2:
            is_ahead.set()
        assert rows is not begun[0] or is_ahead.wait(20)
        return model.run(images, rows=rows)

    waiting = replace(model, run=lambda images, rows: run(images, rows))
    tiling = replace(tiles_of(model, 401), height=48)
    assert sum(map(len, restored_bands(waiting, lambda top, bottom: image[top:bottom], 160, 401, tiling, 2))) == 160


def test_bands_are_as_high_as_memory_allows_and_the_last_one_is_low(model: Model) -> None:
    field = model.receptive_field
    for width, window, workers in [(6000, 1300, 2), (20000, 1300, 2), (1000, 4000, 1), (700, 400, 8)]:
        tiling = tiles_of(model, width, window, workers)
        assert tiling.is_banded
        sides = [span.size for span in spans(width, tiling)]
        assert max(sides) * tiling.height * workers <= window**2
        bands = row_spans(1234, tiling)
        assert [band.begin for band in bands[1:]] == [band.end for band in bands[:-1]]
        assert all(band.begin % field.stride == 0 and band.size <= tiling.height for band in bands)
        assert field.stride <= bands[-1].size < 2 * tiling.height
    assert not tiles_of(model, 6000, 2 * OVERLAP + 8, 8).is_banded


def restored_file(model: Model, folder: Path, stop: Event | None = None, **options: object) -> RestoreReport:
    Image.fromarray(noise(420, 500)).save(folder / "a.png")
    job = FileJob(folder / "a.png", "a.png", "b.png")
    how = replace(RestoreOptions(model, Tiling(240, OVERLAP)), **options)  # type: ignore[arg-type]
    return restore_files([job], folder, how, stop or Event(), overwrite=True)


@pytest.mark.parametrize("keep_colours", [False, True])
def test_a_file_gets_the_same_pixels_by_bands_as_by_tiles(model: Model, tmp_path: Path, keep_colours: bool) -> None:
    reports, pixels = [], []
    for workers in (0, 3):
        reports.append(restored_file(model, tmp_path, keep_colours=keep_colours, workers=workers))
        pixels.append(np.asarray(Image.open(tmp_path / "b.png")).astype(int))
    assert (pixels[0] != pixels[1]).mean() < 1e-3  # roundings on the edge between two levels
    assert np.abs(pixels[0] - pixels[1]).max() <= 1
    records = [report.restored[0] for report in reports]
    assert records[0].kept == records[1].kept
    assert records[0].mean_change == pytest.approx(records[1].mean_change, rel=1e-4)


def changed(model: Model, run: Callable[[Callable[..., Tensor], Tensor, object], Tensor]) -> Model:
    return replace(model, run=lambda images, rows=None: run(model.run, images, rows))


def test_what_a_thread_raises_fails_the_file_and_no_other(model: Model, tmp_path: Path) -> None:
    def broken(run: Callable[..., Tensor], images: Tensor, rows: object) -> Tensor:
        if rows is not None:
            assert current_thread().name.startswith("restoring")
            raise UserError("the network broke")
        return run(images)

    report = restored_file(changed(model, broken), tmp_path, workers=2)
    assert [failure.reason for failure in report.failed] == ["the network broke"]
    assert not (tmp_path / "b.png").exists()


def test_a_stop_ends_the_file_after_the_current_band(model: Model, tmp_path: Path) -> None:
    stop, calls = Event(), []

    def stopping(run: Callable[..., Tensor], images: Tensor, rows: object) -> Tensor:
        calls.append(images.shape)
        stop.set()
        return run(images, rows=rows) if rows else run(images)

    report = restored_file(changed(model, stopping), tmp_path, stop, workers=2)
    assert not report.restored
    assert not (tmp_path / "b.png").exists()
    assert len([shape for shape in calls if shape[-1] != 256]) <= 4


@pytest.mark.parametrize("window", [100, 4000])
def test_every_picture_of_a_folder_is_restored_where_several_have_one_size(
    model: Model, tmp_path: Path, window: int
) -> None:
    """Small ones in a batch and larger ones in bands each; a broken one among them is named."""
    jobs = []
    for i in range(4):
        path = tmp_path / f"{i}.png"
        Image.fromarray(np.roll(noise(150, 200), i, axis=0)).save(path)
        jobs.append(FileJob(path, path.name, f"out{i}.png"))
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    options = RestoreOptions(model, Tiling(window, OVERLAP), workers=2, harm_check=False)
    report = restore_files(jobs, tmp_path, options, Event())
    assert [photo.name for photo in report.restored] == ["0.png", "1.png", "3.png"]
    assert [failure.name for failure in report.failed] == ["2.png"]
    for i in (0, 1, 3):
        source = np.asarray(Image.open(tmp_path / f"{i}.png"))
        expected = model.run(torch.from_numpy(source / np.float32(255)).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
        restored = np.asarray(Image.open(tmp_path / f"out{i}.png")).astype(float)
        assert np.abs(restored - 255 * expected.clamp(0, 1).numpy()).max() < 1
