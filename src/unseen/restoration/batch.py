"""Restoration of many photographs: one after the other, small ones of one size together."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.atomic import flush_names, remove_leftovers
from ..core.errors import UserError
from ..core.progress import task, track
from ..data.file_jobs import FileJob, file_identity, output_folders
from ..evaluation.noise import Crop, sampled_crops
from ..models.card import Envelope
from ..models.files import DEFAULT, GRAY
from ..models.loading import Model
from .bands import banded, restored_bands
from .colour import MARGIN
from .decoding_ahead import CropReader
from .file_memory import tiling_within
from .guarded_model import Change, MonitoredModel, with_clear_errors
from .imagefiles.decode import FileFormat
from .imagefiles.image_file import ImageFile, open_image, open_pages
from .imagefiles.save import CHUNK_ROWS, copy_file, save
from .report import DiskUnusable, PhotoWarning, RestoredFile, RestoreReport
from .self_check import SelfCheck, self_check, with_change
from .tiles import Tiling, count_tiles, for_strips_of, restore_tiled, restored_strips, tiling_effect

MAX_BATCH = 32
"""The largest number of photographs in one batch."""

Image = NDArray[np.float32]
"""(H, W, 3) in [0, 1]."""


class NotWorthItsRisk(Exception):  # noqa: N818 (a state of affairs)
    """Signal that a photograph is to be left as it is, when all of its restoration is known."""


class RunStopped(Exception):  # noqa: N818 (a state of affairs)
    """Signal that the run is to end while a photograph is being restored."""


@dataclass(frozen=True)
class RestoreOptions:
    """The options that hold for every photograph of a run.

    Attributes:
        model: the model.
        tiling: the tiles into which photographs are cut for the model.
        format: format of the outputs; None for the format of each input.
        envelope: the noise levels at which the model is known to be safe; None if nothing is known.
        harm_check: whether photographs are left as they are whose restoration is not `worth_its_risk`.
        keep_colours: whether to take back shifts of colour of large areas (`with_colours_of`).
        keep_times: whether outputs get the file times of their inputs.
        pages: whether to restore each page of a file into a file of its own.
        clip: whether floating-point values far outside of [0, 1] are clipped; else the picture is refused as HDR.
        memory: bytes that the rows of one picture, its decoder and its encoder may take, beside the tiles.
        workers: threads of a network that takes bands of rows; 0 for tiles all the same.
        crops_of: function to the crops of a picture of several tiles, for its judgement.
    """

    model: Model
    tiling: Tiling
    format: FileFormat | None = None
    envelope: Envelope | None = None
    harm_check: bool = True
    keep_colours: bool = False
    keep_times: bool = False
    pages: bool = False
    clip: bool = False
    memory: int = 2**30
    workers: int = 0
    crops_of: CropReader = ImageFile.crops


@dataclass(frozen=True)
class FileTask:
    """One picture to restore.

    Attributes:
        name: name of the picture in messages.
        source: the picture, of which only the header has been read.
        target: the file to write.
        tiling: the tiles into which the picture is cut.
    """

    name: str
    source: ImageFile
    target: Path
    tiling: Tiling

    @property
    def tiles(self) -> int:
        """The number of tiles into which the picture is cut."""
        return count_tiles(self.source.height, self.source.width, self.tiling)


def restore_files(
    jobs: Sequence[FileJob], folder: Path, options: RestoreOptions, stop: Event, *, overwrite: bool = False
) -> RestoreReport:
    """Restore photographs into a folder.

    A photograph that cannot be read, restored or written is reported as failed, and the run goes on with the others,
    unless the disk is full or read-only.

    Args:
        jobs: the photographs, each with its output file.
        folder: folder of the outputs.
        options: the options that hold for every photograph.
        stop: once set, the run ends: the current photograph is not written, and the others are not restored.
        overwrite: whether to replace outputs that exist; otherwise they are left alone.
    """
    report, options = RestoreReport(), replace(options, model=with_clear_errors(options.model))
    if options.keep_colours:
        options = replace(options, tiling=options.tiling.widened(MARGIN, options.model.receptive_field.stride))
    model, tiling = options.model, options.tiling
    outputs = output_folders(jobs, folder)
    for output_folder in outputs:
        remove_leftovers(output_folder)
    file_tasks = list(pending_tasks(jobs, folder, options, overwrite, report, stop))
    unreadable = len(report.failed)
    if model.receptive_field.radius is None and any(file_task.tiles > 1 for file_task in file_tasks):
        report.model_notes.append(tiles_note(model, tiling))
    count = sum(file_task.tiles for file_task in file_tasks)
    with task("photographs", len(file_tasks)) as files, task("tiles", count) as tiles:
        for batch in batches_of(file_tasks, tiling):
            if stop.is_set():
                break
            files.describe(batch[0].name)
            try:
                if model.strength == 0:
                    for file_task in batch:
                        write_unchanged(file_task, options, report, SelfCheck(math.nan, 0.0))
                        tiles.advance(file_task.tiles)
                elif batch[0].tiles == 1:
                    restore_together(batch, options, report)
                    tiles.advance(len(batch))
                else:
                    (alone,) = batch
                    restore_by_tiles(alone, options, stop, tiles.advance, report)
            except RunStopped:
                break
            except DiskUnusable:
                report.untried = len(file_tasks) - len(report.restored) - (len(report.failed) - unreadable)
                break
            files.advance(len(batch))
    flush_names(outputs)
    if model.name == DEFAULT and (gray := sum(restored.colourless for restored in report.restored)):
        report.model_notes.append(gray_note(gray))
    return report


def pending_tasks(
    jobs: Sequence[FileJob],
    folder: Path,
    options: RestoreOptions,
    overwrite: bool,
    report: RestoreReport,
    stop: Event,
) -> Iterator[FileTask]:
    """Yield the pictures to restore, reading only the headers of their files.

    Files that cannot be opened, and outputs that exist, are counted in `report`. For the arguments see `restore_files`.
    """
    originals, taken = {file_identity(job.path) for job in jobs if os.path.exists(job.path)}, set[str]()
    for job in track(jobs, "reading headers", len(jobs)):
        if stop.is_set():
            break
        with report.collecting_failures([job.source]):
            for file_task in tasks_of(job, folder, options):
                target = file_task.target
                if str(target).casefold() in taken:
                    raise UserError(f"another photograph is written to {target}")
                taken.add(str(target).casefold())
                if os.path.exists(target) and file_identity(target) in originals:
                    raise UserError(f"{target} is a photograph itself, and would be replaced")
                if os.path.exists(target) and not overwrite:
                    report.existing += 1
                else:
                    yield file_task


def tasks_of(job: FileJob, folder: Path, options: RestoreOptions) -> list[FileTask]:
    """The picture of a file; on request, one picture for each page, under a name of its own: scan-p0001.tif."""
    target = folder / job.file
    pages = list(open_pages(job.path)) if options.pages else [open_image(job.path)]
    first = pages[0]
    if first.output_format != first.format and target.name == Path(job.source).name:  # the name is of what was read
        target = target.with_suffix(first.suffix)
    if first.pages == 1:
        return [FileTask(job.source, first, target, tiling_of(first, options))]
    return [
        FileTask(f"{job.source}, page {i}", page, target.with_stem(f"{target.stem}-p{i:04}"), tiling_of(page, options))
        for i, page in enumerate(pages, start=1)
    ]


def tiling_of(source: ImageFile, options: RestoreOptions) -> Tiling:
    """The tiles of a picture, lower where it is wide; raises UnreadableImage where the memory is too little.

    Bands are for pictures of several tiles: smaller ones are restored faster in batches.
    """
    tiling, field = options.tiling, options.model.receptive_field
    bands = options.model.takes_rows and options.workers
    if bands and count_tiles(source.height, source.width, tiling) > 1:
        tiling = banded(tiling, field, source.width, options.workers)
    return tiling_within(options.memory, source, tiling, field, options.format)


def tiles_note(model: Model, tiling: Tiling) -> str:
    """A warning for networks that see the whole image: the measured effect of tiles on the result."""
    effect = tiling_effect(model, tiling.tile)
    return (
        f"{model.name}: sees the whole image at once, so that tiles change what it makes: a test photograph by up "
        f"to {effect:.1f} gray levels of 255, and less the larger they are (--tile, --memory)"
    )


def gray_note(count: int) -> str:
    """A hint where pictures in black and white are given to the default model."""
    which = "1 picture is" if count == 1 else f"{count} pictures are"
    return f"{which} in black and white, whose noise {DEFAULT} mostly leaves; --model {GRAY} is for noisy ones"


def batches_of(file_tasks: Sequence[FileTask], tiling: Tiling) -> list[list[FileTask]]:
    """Group pictures of one tile and one size into batches of at most a tile's number of pixels; others stay alone."""
    batches: list[list[FileTask]] = []
    unfilled: dict[tuple[int, int], list[FileTask]] = {}
    for file_task in file_tasks:
        height, width = file_task.source.height, file_task.source.width
        if file_task.tiles > 1:
            batches.append([file_task])
            continue
        batch = unfilled.get((height, width))
        if batch is None or len(batch) >= min(MAX_BATCH, tiling.tile**2 // (height * width)):
            batch = unfilled[height, width] = []
            batches.append(batch)
        batch.append(file_task)
    return batches


def restore_together(file_tasks: Sequence[FileTask], options: RestoreOptions, report: RestoreReport) -> None:
    """Restore small pictures of one size as one batch."""
    images: list[tuple[FileTask, Image, list[str]]] = []
    for file_task in file_tasks:
        with report.collecting_failures([file_task.name]):
            remarks: list[str] = []
            read = file_task.source.reader(clip=options.clip, remarks=remarks)
            images.append((file_task, read(0, file_task.source.height), remarks))
    if not images:
        return
    restored: list[Image] = []
    with report.collecting_failures([file_task.name for file_task, _, _ in images]):
        stacked = torch.from_numpy(np.stack([image for _, image, _ in images])).permute(0, 3, 1, 2)
        checks = [
            self_check(
                crops_of(file_task.source, image),
                options.model.for_tiles_of(stacked[i : i + 1]),
                options.envelope,
            )
            for i, (file_task, image, _) in enumerate(images)
        ]
        monitored = monitored_model(options, options.model.for_tiles_of(stacked), checks)
        output = restore_tiled(monitored.model, stacked, options.tiling)
        monitored.measure(stacked, output)
        restored = list(output.permute(0, 2, 3, 1).numpy())
    for i, image in enumerate(restored):
        file_task, _, remarks = images[i]
        with report.collecting_failures([file_task.name]):
            write_judged(file_task, [image], checks[i], monitored.changes[i], remarks, options, report)


def crops_of(source: ImageFile, image: Image) -> list[Crop]:
    """The crops of a picture for its judgement, without decoding it again unless colours were spread in it."""
    if source.alpha:
        return source.crops()
    return sampled_crops(lambda top, bottom: image[top:bottom], source.height, source.width)


def restore_by_tiles(
    file_task: FileTask, options: RestoreOptions, stop: Event, advance: Callable[[int], None], report: RestoreReport
) -> None:
    """Restore one picture tile by tile, and call `advance` with 1 after each tile.

    Raises:
        RunStopped: `stop` was set; then nothing is written.
        DiskUnusable: the disk is full or read-only.
    """

    def tile_done(n: int) -> None:
        if stop.is_set():
            raise RunStopped
        advance(n)

    source = file_task.source
    with report.collecting_failures([file_task.name]):
        model = for_strips_of(options.model, lambda: source.reader(clip=options.clip), source.height)
        check = self_check(options.crops_of(source), model, options.envelope)
        monitored = monitored_model(options, model, [check])
        remarks: list[str] = []
        read = source.reader(clip=options.clip, remarks=remarks)
        size, tiling = (source.height, source.width), file_task.tiling
        if tiling.is_banded:
            strips = restored_bands(monitored.model, read, *size, tiling, options.workers, tile_done, monitored.measure)
        else:
            strips = restored_strips(monitored.model, read, *size, tiling, tile_done, monitored.measure)
        write_judged(file_task, strips, check, monitored.changes[0], remarks, options, report)


def write_judged(
    file_task: FileTask,
    strips: Iterable[Image],
    check: SelfCheck,
    change: Change,
    remarks: list[str],
    options: RestoreOptions,
    report: RestoreReport,
) -> None:
    """Write a restored picture, or the picture as it is where the restoration proves not to be worth its risk.

    Args:
        file_task: the picture.
        strips: the restoration from top to bottom; `change` is complete after the last.
        check: the judgement before the restoration.
        change: what the restoration changes.
        remarks: what reading has found in the file.
        options: the options that hold for every photograph.
        report: the report that gets the picture's record.
    """

    def judgement() -> SelfCheck:
        return with_change(check, change, options.harm_check, options.model.strength)

    def judged_strips() -> Iterator[Image]:
        yield from strips
        if not judgement().kept:
            raise NotWorthItsRisk

    try:
        remarks += write_output(file_task, judged_strips(), options)
    except NotWorthItsRisk:
        write_unchanged(file_task, options, report, replace(check, kept=0.0, warnings=()))
    else:
        report.restored.append(record_of(file_task, judgement(), 255 * change.mean, remarks))


def write_unchanged(file_task: FileTask, options: RestoreOptions, report: RestoreReport, judged: SelfCheck) -> None:
    """Write a picture as it is: the file itself, where it keeps its format and has one page."""
    source, target = file_task.source, file_task.target
    with report.collecting_failures([file_task.name]):
        remarks: list[str] = []
        if source.pages == 1 and options.format in (None, source.format) and source.output_format == source.format:
            copy_file(source.path, target, keep_times=options.keep_times)
        else:
            read = source.reader(clip=options.clip, remarks=remarks)
            tops = range(0, source.height, CHUNK_ROWS)
            strips = (read(top, min(top + CHUNK_ROWS, source.height)) for top in tops)
            remarks += write_output(file_task, strips, options)
        report.restored.append(record_of(file_task, judged, 0.0, remarks))


def monitored_model(options: RestoreOptions, model: Model, checks: Sequence[SelfCheck]) -> MonitoredModel:
    """The model for a batch of judged pictures, monitored."""
    return MonitoredModel(model, [check.noise_level for check in checks], options.keep_colours)


def record_of(file_task: FileTask, judged: SelfCheck, mean_change: float, remarks: Sequence[str] = ()) -> RestoredFile:
    """The record of a picture, from its judgement, its mean change in gray levels of 255, and remarks on its file."""
    source = file_task.source
    return RestoredFile(
        file_task.name,
        source.path,
        source.page,
        file_task.target,
        judged.shown_noise,
        judged.kept,
        mean_change,
        (*judged.warnings, *map(PhotoWarning, remarks)),
        judged.noise_range,
        judged.colourless,
    )


def write_output(file_task: FileTask, strips: Iterable[Image], options: RestoreOptions) -> list[str]:
    """Write the output of a task, strip by strip; returned is what the input has and the output has not."""
    scale, times = options.model.receptive_field.scale, options.keep_times
    return save(file_task.source, file_task.target, strips, format=options.format, scale=scale, keep_times=times)
