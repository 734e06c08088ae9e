"""The outcome of a run of `unseen restore`: restored, existing and failed photographs, with reasons."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ..core.errors import UserError
from ..core.grouping import grouped
from ..data.reading import SkippedFile, UnreadableImage

SINGLE_LINES = 5
"""The largest number of photographs of which each has a line, or its name in a summary."""
DISK_ERRORS = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]
"""Messages of disk errors that every further photograph would cause, too. Messages, as libvips passes no numbers on."""


class DiskUnusable(Exception):  # noqa: N818 (a state of affairs)
    """The disk is full or read-only: the next photograph would fail for the same reason."""


@dataclass(frozen=True)
class PhotoWarning:
    """A reason to look at a restored photograph.

    Attributes:
        text: the reason in one short sentence, without the photograph's name: `its gain map is gone`.
        summary: the reason in words that hold for many photographs, with what to look for; empty where `text` holds
            for all of them.
        of_colours: whether `keep_colours` guards against it.
    """

    text: str
    summary: str = ""
    of_colours: bool = False

    @property
    def kind(self) -> str:
        """The words under which like warnings are counted."""
        return self.summary or self.text


@dataclass(frozen=True)
class NoiseRange:
    """The noise that a network itself read in a photograph: deviations in gray levels of 255.

    Attributes:
        mean: the mean over the photograph's crops and the three colours.
        low: the deviation that 5 % of the crops' cells are below.
        high: the deviation that 5 % of them are above.
    """

    mean: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The range in words."""
        return f"{self.mean:.1f} gray levels ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True)
class RestoredFile:
    """The record of one restored photograph.

    Attributes:
        name: name of the photograph in messages.
        source: the file of the photograph.
        page: index of the photograph among the pages of `source`, from 0.
        target: the restored file.
        noise_level: estimated noise level of the photograph, gray levels of 255; nan where it cannot be estimated. The
            mean that the network itself read, where it reads noise.
        kept: share of the restoration in `target`: 1, or 0 where the photograph was left as it is.
        mean_change: mean absolute change of a value, gray levels of 255; infinite for a model that enlarges.
        warnings: reasons to look at the result, about the restoration as well as the file.
        noise_range: the noise that the network itself read; None where it reads none.
        colourless: whether its crops are in black and white, however its file holds them.
    """

    name: str
    source: Path
    page: int
    target: Path
    noise_level: float
    kept: float
    mean_change: float
    warnings: tuple[PhotoWarning, ...] = ()
    noise_range: NoiseRange | None = None
    colourless: bool = False

    @property
    def is_left(self) -> bool:
        """Whether the photograph was left as it is."""
        return self.kept == 0


@dataclass
class RestoreReport:
    """The outcome of a run.

    Attributes:
        restored: the photographs restored, or left as they are, in the order of the run.
        existing: number of photographs left alone, since their output already exists.
        untried: number of photographs not tried after the disk proved full or read-only.
        failed: the photographs that could not be restored, each with the reason.
        model_notes: warnings about the model.
    """

    restored: list[RestoredFile] = field(default_factory=list)
    existing: int = 0
    untried: int = 0
    failed: list[SkippedFile] = field(default_factory=list)
    model_notes: list[str] = field(default_factory=list)

    @contextmanager
    def collecting_failures(self, names: Sequence[str]) -> Iterator[None]:
        """Report the photographs `names` as failed if the `with` body raises UserError, or runs out of memory.

        Raises:
            DiskUnusable: all other photographs would fail for the same reason.
        """
        try:
            yield
            return
        except UnreadableImage as error:
            reason, disk_unusable = error.reason, False
        except UserError as error:
            reason = str(error)
            disk_unusable = isinstance(error.__cause__, OSError) and error.__cause__.strerror in DISK_ERRORS
        except MemoryError:
            reason, disk_unusable = "out of memory", False
        self.failed += [SkippedFile(name, reason) for name in names]
        if disk_unusable:
            raise DiskUnusable


def noise_lines(restored: Sequence[RestoredFile]) -> list[str]:
    """Word the noise that the network itself read: a line for each photograph, or one for more than `SINGLE_LINES`."""
    ranges = [(photo.name, photo.noise_range) for photo in restored if photo.noise_range]
    if len(ranges) <= SINGLE_LINES:
        return [f"{name}: noise of {noise.words}, as the network reads it" for name, noise in ranges]
    means = [noise.mean for _, noise in ranges]
    return [
        f"noise of {min(means):.1f} to {max(means):.1f} gray levels, {median(means):.1f} in the middle, as the network "
        "reads it"
    ]


def left_lines(restored: Sequence[RestoredFile]) -> list[str]:
    """Word which photographs the harm check left as they are: by name, or by number for more than `SINGLE_LINES`."""
    names = [photo.name for photo in restored if photo.is_left]
    if not names:
        return []
    which = ", ".join(names) if len(names) <= SINGLE_LINES else f"{len(names)} of {len(restored)}"
    return [f"left as {'it is' if len(names) == 1 else 'they are'}, so little would change: {which} (--no-harm-check)"]


def warning_lines(restored: Sequence[RestoredFile]) -> list[str]:
    """Word the warnings of a run in few lines.

    Returns:
        A line for each photograph to look at if these are at most `SINGLE_LINES`, else a line for each kind of warning,
        with the number of photographs, what to look for, and the names of those that changed most.
    """
    warned = [photo for photo in restored if photo.warnings]
    if len(warned) <= SINGLE_LINES:
        return [f"look at {photo.name}: {'; '.join(w.text for w in photo.warnings)}" for photo in warned]
    kinds = grouped(((w.kind, photo) for photo in warned for w in photo.warnings), lambda pair: pair[0])
    return [_summary(kind, [photo for _, photo in pairs], len(restored)) for kind, pairs in kinds.items()]


def _summary(kind: str, photos: Sequence[RestoredFile], total: int) -> str:
    by_change = sorted(photos, key=lambda photo: -photo.mean_change)
    names = ", ".join(photo.name for photo in by_change[:SINGLE_LINES])
    more = f" and {len(photos) - SINGLE_LINES} more" if len(photos) > SINGLE_LINES else ""
    return f"look at {len(photos)} of {total} ({names}{more}): {kind}"
