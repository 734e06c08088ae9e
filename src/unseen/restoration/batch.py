"""Photographs in, restored photographs out: one after the other, small ones of a size together."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import UserError
from ..core.progress import task, track
from ..data.file_jobs import FileJob, file_identity
from ..data.reading import SkippedFile, UnreadableImage
from ..evaluation.noise import PLACES, SIDE, estimate_noise
from ..models.card import Envelope
from ..models.loading import Model
from .imagefiles.decode import FileFormat
from .imagefiles.image_file import ImageFile, open_image
from .imagefiles.save import save
from .self_check import HALF_A_LEVEL, harmless_share, outside
from .tiles import Tiling, count_tiles, restore_tiled, restored_strips, tiling_effect

MOST_AT_ONCE = 32
HOPELESS = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]
"""What a disk says that would say so of the next photograph, too. In words: through libvips no number comes."""

Image = NDArray[np.float32]
"""(H, W, 3) in [0, 1]."""


class Stopped(Exception):  # noqa: N818 (a state of affairs, as the next one)
    """The photograph in hand was given up, since the run was asked to end."""


class Hopeless(Exception):  # noqa: N818
    """The next photograph would fail for the same reason."""


@dataclass(frozen=True)
class RestoreOptions:
    """What is done with every photograph.

    format: of the outputs; None for that of each input. envelope: the readings between which the model is known to be
    safe. harmless: blend back towards the input where
    the self-check says so. keep_times: give outputs the file times of their inputs. pages: restore the pages of one
    file into files of their own.
    """

    model: Model
    tiling: Tiling
    format: FileFormat | None = None
    envelope: Envelope | None = None
    harmless: bool = False
    keep_times: bool = False
    pages: bool = False


@dataclass
class RestoreReport:
    """What became of the photographs: counts, the ones that failed, and those to look at, each with the reason.

    notes: what is to be told of the model.
    untried: how many were left when the disk was found to be full, or read-only.
    """

    restored: int = 0
    there: int = 0
    untried: int = 0
    failed: list[SkippedFile] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FileTask:
    """One picture to restore: its name for people, its header, and the file to write."""

    name: str
    picture: ImageFile
    target: Path


# ------------------------------------------------------------------------------------------ all of them


def restore_files(
    jobs: Sequence[FileJob], folder: Path, how: RestoreOptions, stop: Event, *, overwrite: bool = False
) -> RestoreReport:
    """Restore every photograph into `folder`, fewer if `stop` was set; outputs that are there already are left alone
    unless `overwrite`. What cannot be read, restored or written is among the failed, and the others go on, unless the
    disk is full or read-only.
    """
    outcome, how = RestoreReport(), replace(how, model=with_clear_errors(how.model))
    work = list(opened(jobs, folder, how.pages, overwrite, outcome, stop))
    unreadable = len(outcome.failed)
    if how.model.receptive_field.radius is None and any(tiles_of(one.picture, how.tiling) > 1 for one in work):
        outcome.notes.append(tile_notes(how))
    count = sum(tiles_of(one.picture, how.tiling) for one in work)
    with task("photographs", len(work)) as files, task("tiles", count) as tiles:
        for group in batches_of(work, how.tiling):
            if stop.is_set():
                break
            files.describe(group[0].name)
            try:
                if tiles_of(group[0].picture, how.tiling) == 1:
                    restore_small(group, how, outcome)
                    tiles.advance(len(group))
                else:
                    restore_large(group[0], how, stop, tiles.advance, outcome)
            except Stopped:
                break
            except Hopeless:
                outcome.untried = len(work) - outcome.restored - (len(outcome.failed) - unreadable)
                break
            files.advance(len(group))
    return outcome


def opened(
    jobs: Sequence[FileJob],
    folder: Path,
    pages: bool,
    overwrite: bool,
    outcome: RestoreReport,
    stop: Event,
) -> Iterator[FileTask]:
    """What is to be done, by the headers; what cannot be opened has failed, what is there already is counted."""
    originals, taken = {file_identity(job.path) for job in jobs if os.path.exists(job.path)}, set[str]()
    for job in track(jobs, "looking at photographs", len(jobs)):
        if stop.is_set():
            break
        with collecting_failures([job.source], outcome):
            for work in tasks_of(job, folder, pages):
                if str(work.target).casefold() in taken:
                    raise UserError(f"another photograph is written to {work.target}")
                taken.add(str(work.target).casefold())
                if os.path.exists(work.target) and file_identity(work.target) in originals:
                    raise UserError(f"{work.target} is a photograph itself, and would be replaced")
                if os.path.exists(work.target) and not overwrite:
                    outcome.there += 1
                else:
                    yield work


def tasks_of(job: FileJob, folder: Path, pages: bool) -> list[FileTask]:
    """The picture of a file; with `pages`, of several pages each, under a name of its own: scan-p0001.tif."""
    target = folder / job.file
    first = open_image(job.path, page=0 if pages else None)
    if first.pages == 1:
        return [FileTask(job.source, first, target)]
    numbered = [(i + 1, open_image(job.path, page=i)) for i in range(first.pages)]
    return [
        FileTask(f"{job.source}, page {i}", page, target.with_stem(f"{target.stem}-p{i:04}")) for i, page in numbered
    ]


def tile_notes(how: RestoreOptions) -> str:
    """What is to be told of a network that sees the whole image, where it is shown parts."""
    effect = tiling_effect(how.model, how.tiling.tile)
    return (
        f"{how.model.name}: sees the whole image at once, so that tiles change what it makes: a test photograph by up "
        f"to {effect:.1f} gray levels of 255, and less the larger they are (--tile, --memory)"
    )


def tiles_of(picture: ImageFile, tiling: Tiling) -> int:
    """How many tiles a picture is restored in."""
    return count_tiles(picture.height, picture.width, tiling)


def batches_of(work: Sequence[FileTask], tiling: Tiling) -> list[list[FileTask]]:
    """Small pictures of equal size together, as many as make a tile; all others alone."""
    groups: list[list[FileTask]] = []
    unfilled: dict[tuple[int, int], list[FileTask]] = {}
    for one in work:
        height, width = one.picture.height, one.picture.width
        group = unfilled.get((height, width))
        if group is None or len(group) >= min(MOST_AT_ONCE, tiling.tile**2 // (height * width)):
            group = unfilled[height, width] = []
            groups.append(group)
        group.append(one)
    return groups


@contextmanager
def collecting_failures(names: Sequence[str], outcome: RestoreReport) -> Iterator[None]:
    """Enter what goes wrong with photographs among the failed. Raises Hopeless if it will go wrong with all others."""
    try:
        yield
        return
    except UnreadableImage as error:
        reason, hopeless = error.reason, False
    except UserError as error:
        reason = str(error)
        hopeless = isinstance(error.__cause__, OSError) and error.__cause__.strerror in HOPELESS
    except MemoryError:
        reason, hopeless = "out of memory", False
    outcome.failed += [SkippedFile(name, reason) for name in names]
    if hopeless:
        raise Hopeless


def with_clear_errors(model: Model) -> Model:
    """The same, whose failures are told as those of the photograph in hand."""

    def run(images: Tensor) -> Tensor:
        try:
            return model.run(images)
        except UserError:
            raise
        except Exception as error:  # torch, onnxruntime and networks of others raise what they like
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                raise UserError("out of memory; give a smaller --memory or --tile") from error
            reason = " ".join(str(error).split())
            raise UserError(f"{model.name} fails on it: {type(error).__name__}: {reason}") from error

    return replace(model, run=run)


# ------------------------------------------------------------------------------------------ one, or some


@dataclass(frozen=True)
class SelfCheck:
    """What is known of a photograph before it is restored: how much of the restoration to keep, and what to tell."""

    share: float = 1.0
    warnings: tuple[str, ...] = ()


def self_check(picture: ImageFile, how: RestoreOptions) -> SelfCheck:
    """Judge a photograph by parts of it."""
    if not (how.harmless or how.envelope):
        return SelfCheck()
    crops = picture.crops(PLACES, SIDE)
    warning = outside(estimate_noise(crops), how.envelope) if how.envelope else None
    share = harmless_share(how.model, crops) if how.harmless else 1.0
    kept = f"{share:.0%} of the restoration kept, so as to do no harm" if share < 1 else None
    return SelfCheck(share, tuple(line for line in (warning, kept) if line))


class MonitoredModel:
    """A model that is watched while it restores: it keeps to the shares, and what it changes is noted.

    shares: for each image of a batch, how far to go from the input to the restoration. changes: by how much a value
    of each image was changed at most, so far; infinite for a model that enlarges.
    """

    def __init__(self, model: Model, shares: Sequence[float]) -> None:
        self.model = replace(model, run=self._run)
        self.changes = [math.inf if model.receptive_field.scale > 1 else 0.0] * len(shares)
        self._plain = model.run
        self._shares = torch.tensor(shares).view(-1, 1, 1, 1)

    def _run(self, images: Tensor) -> Tensor:
        restored = self._plain(images)
        if restored.shape != images.shape:
            return restored
        if bool((self._shares < 1).any()):
            restored = images + self._shares * (restored - images)
        changed = (restored - images).abs().amax((1, 2, 3)).tolist()
        self.changes = [max(pair) for pair in zip(self.changes, changed, strict=True)]
        return restored


def restore_small(group: Sequence[FileTask], how: RestoreOptions, outcome: RestoreReport) -> None:
    """Restore pictures of one size at once."""
    whole: list[tuple[FileTask, Image]] = []
    for work in group:
        with collecting_failures([work.name], outcome):
            whole.append((work, work.picture.reader()(0, work.picture.height)))
    if not whole:
        return
    restored: list[Image] = []
    with collecting_failures([work.name for work, _ in whole], outcome):
        looks = [self_check(work.picture, how) for work, _ in whole]
        watched = MonitoredModel(how.model, [seen.share for seen in looks])
        stacked = torch.from_numpy(np.stack([image for _, image in whole])).permute(0, 3, 1, 2)
        restored = list(restore_tiled(watched.model, stacked, how.tiling).permute(0, 2, 3, 1).numpy())
    for i, image in enumerate(restored):
        work, _ = whole[i]
        with collecting_failures([work.name], outcome):
            write(work, [image], how)
            record_success(work, looks[i], watched.changes[i], outcome)


def restore_large(
    work: FileTask, how: RestoreOptions, stop: Event, done: Callable[[int], None], outcome: RestoreReport
) -> None:
    """Restore one picture tile by tile. Raises Stopped if `stop` was set; then nothing is written."""

    def tile_done(n: int) -> None:
        if stop.is_set():
            raise Stopped
        done(n)

    picture = work.picture
    with collecting_failures([work.name], outcome):
        seen = self_check(picture, how)
        watched = MonitoredModel(how.model, [seen.share])
        strips = restored_strips(
            watched.model, picture.reader(), picture.height, picture.width, how.tiling, advance=tile_done
        )
        write(work, strips, how)
        record_success(work, seen, watched.changes[0], outcome)


def write(work: FileTask, strips: Iterable[Image], how: RestoreOptions) -> None:
    """The output."""
    scale = how.model.receptive_field.scale
    save(work.picture, work.target, strips, format=how.format, scale=scale, keep_times=how.keep_times)


def record_success(work: FileTask, seen: SelfCheck, change: float, outcome: RestoreReport) -> None:
    """Count a photograph that was restored, and note what is to be told of it."""
    outcome.restored += 1
    if change < HALF_A_LEVEL:
        outcome.remarks.append((work.name, "the output equals the input, the model changed nothing"))
    outcome.remarks += [(work.name, warning) for warning in seen.warnings]
