"""The page of a restored folder, `report.html`: every photograph before and after, the worst first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from threading import Event

import numpy as np

from ..core.errors import UserError
from ..core.html_page import shared_text, write_page
from ..core.progress import track
from ..core.terminal import harmless
from ..data.file_jobs import FileJob
from ..data.reading import SkippedFile
from .batch import RestoreOptions, RunStopped, record_of, tasks_of
from .before_after import MOST_WIDE, BeforeAfter, pictures_of, strips
from .imagefiles.image_file import ImageFile, open_image
from .report import RestoredFile
from .self_check import self_check
from .tiles import for_strips_of

REPORT = "report.html"
ROOM = 40_000_000
"""Characters that all pictures of a page may take together."""
PHOTO_ROOM = 1_500_000
"""Characters that the pictures of one photograph may take."""
MOST_SHOWN = 500
"""The number of photographs with pictures; others are listed without."""
MOST_LISTED = 2000
"""The number of photographs in each list without pictures; others are counted."""
UNKNOWN = "not known"


@dataclass(frozen=True)
class ShownPhoto:
    """A photograph on the page.

    Attributes:
        name: name of the photograph.
        facts: names and values.
        warnings: reasons to look at it.
        pictures: before and after; None where these cannot be shown.
        obstacle: why there are no pictures; empty where there are.
    """

    name: str
    facts: list[tuple[str, str]]
    warnings: list[str]
    pictures: BeforeAfter | None
    obstacle: str


@dataclass(frozen=True)
class ReportPage:
    """What the page's template prints, in the order of the page.

    Attributes:
        title: heading of the page.
        finding: how many photographs there are, how many to look at, and how many were left as they were.
        safety: where the model is safe.
        photos: the photographs with pictures, the worst first; made one by one.
        others: names and facts of the photographs without pictures.
        unlisted: number of photographs that are not even in `others`.
        failed: names of photographs that were not restored, with the reasons.
        command: the command that wrote the page.
        provenance: names and values.
    """

    title: str
    finding: str
    safety: str
    photos: Iterator[ShownPhoto]
    others: list[tuple[str, str]]
    unlisted: int
    failed: list[tuple[str, str]]
    command: str
    provenance: list[tuple[str, str]]


def write_report_page(
    path: Path,
    restored: Sequence[RestoredFile],
    failed: Sequence[SkippedFile],
    *,
    safety: str,
    command: str,
    provenance: Sequence[tuple[str, str]],
    stop: Event,
) -> None:
    """Write the page of a run, atomically. Its size is bounded, and memory does not grow with the photographs.

    Args:
        path: the file to write.
        restored: the photographs, in any order.
        failed: the photographs that could not be restored.
        safety: one sentence on where the model is safe.
        command: the command that writes the page.
        provenance: names and values of what made the photographs.
        stop: once set, nothing is written.

    Raises:
        RunStopped: `stop` was set.
        UserError: if the file cannot be written.
    """
    photos = worst_first(restored)
    shown, others = photos[:MOST_SHOWN], photos[MOST_SHOWN:]
    page = ReportPage(
        f"Before and after: {len(photos)} photograph{'s' * (len(photos) != 1)}",
        finding_of(photos, failed),
        safety,
        shown_photos(shown, stop),
        [(harmless(photo.name), facts_text(photo)) for photo in others[:MOST_LISTED]],
        max(0, len(others) - MOST_LISTED),
        [(harmless(failure.name), harmless(failure.reason)) for failure in failed[:MOST_LISTED]],
        harmless(command),
        [(name, harmless(text)) for name, text in provenance],
    )
    folder = files(__package__) / "page"
    style = (folder / "report.css").read_text("utf-8")
    scripts = [shared_text("divider.js")]
    write_page(path, __package__, "page", "report.html.jinja", page, style=style, scripts=scripts)


def finding_of(photos: Sequence[RestoredFile], failed: Sequence[SkippedFile]) -> str:
    """How many photographs there are to look at, were left as they were, and failed."""
    warned, left = sum(bool(photo.warnings) for photo in photos), sum(photo.is_left for photo in photos)
    left_alone = f"; {left} left as {'it was' if left == 1 else 'they were'}, so little would change" if left else ""
    return f"{warned or 'None'} of {len(photos)} to look at{left_alone}{f'; {len(failed)} failed' if failed else ''}."


def worst_first(restored: Sequence[RestoredFile]) -> list[RestoredFile]:
    """Order photographs: those with warnings first; among each, those that changed most.

    Where a model enlarges, no change is known: then the noisiest first.
    """

    def key(photo: RestoredFile) -> tuple[bool, float, float, str]:
        change = photo.mean_change if math.isfinite(photo.mean_change) else 0.0
        noise = 0.0 if math.isnan(photo.noise_level) else photo.noise_level
        return not photo.warnings, -change, -noise, photo.name

    return sorted(restored, key=key)


def shown_photos(photos: Sequence[RestoredFile], stop: Event) -> Iterator[ShownPhoto]:
    """Make the pictures of the photographs, one by one. Raises RunStopped if `stop` is set."""
    room = min(PHOTO_ROOM, ROOM // max(1, len(photos)))
    for photo in track(photos, "report", len(photos)):
        if stop.is_set():
            raise RunStopped
        pictures, obstacle = None, ""
        try:
            pictures = pictures_of(open_image(photo.source, photo.page), open_image(photo.target), room)
        except (UserError, ValueError, MemoryError) as error:
            obstacle = f"No pictures: {harmless(str(error)) or 'out of memory'}."
        yield ShownPhoto(
            harmless(photo.name), facts_of(photo), [harmless(w.text) for w in photo.warnings], pictures, obstacle
        )


def facts_of(photo: RestoredFile) -> list[tuple[str, str]]:
    """The numbers of a photograph, with their names."""
    noise, change = photo.noise_level, photo.mean_change
    changed = f"{change:.1f} gray levels" if math.isfinite(change) else "enlarged"
    estimate = ("noise level", UNKNOWN if math.isnan(noise) else f"{noise:.1f} gray levels")
    return [
        ("noise as the network reads it", photo.noise_range.words) if photo.noise_range else estimate,
        ("mean change", "none, left as it was" if photo.is_left else changed),
    ]


def facts_text(photo: RestoredFile) -> str:
    """The numbers and warnings of a photograph in one line."""
    facts = ", ".join(f"{name} {value}" for name, value in facts_of(photo))
    return "; ".join([facts, *(harmless(warning.text) for warning in photo.warnings)])


def records_of_existing(
    jobs: Sequence[FileJob], folder: Path, options: RestoreOptions, restored: Sequence[RestoredFile]
) -> list[RestoredFile]:
    """Judge the photographs whose outputs were there before the run, as far as the files tell.

    What cannot be read is left out. A photograph whose output has its very pixels was left as it is.

    Args:
        jobs: the photographs of the run.
        folder: folder of the outputs.
        options: the options of the run.
        restored: the photographs that the run itself restored.
    """
    done, records = {photo.target for photo in restored}, list[RestoredFile]()
    for job in track(jobs, "earlier photographs", len(jobs)):
        with suppress(UserError, ValueError):
            for task in tasks_of(job, folder, options):
                if task.target in done or not task.target.is_file():
                    continue
                source = task.source
                model = for_strips_of(options.model, source.reader, source.height)
                check = self_check(source.crops(), model, options.envelope)
                change = mean_change(source, open_image(task.target))
                if not change:
                    check = replace(check, kept=0.0, warnings=())
                records.append(record_of(task, check, change))
    return records


def mean_change(source: ImageFile, target: ImageFile) -> float:
    """Mean absolute difference of two files, gray levels of 255; infinite for unequal sizes, and for too wide files."""
    if (source.width, source.height) != (target.width, target.height) or source.width > MOST_WIDE:
        return math.inf
    total = sum(float(np.abs(after - before).sum(dtype=np.float64)) for _, before, after in strips(source, target, 1))
    return 255 * total / (3 * source.width * source.height)
