"""The outcome of a run of `unseen restore`: restored, existing and failed photographs, with reasons."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..core.errors import UserError
from ..data.reading import SkippedFile, UnreadableImage

VISIBLE_CHANGE = 0.5 / 255
"""The smallest change, in units of the range, that is visible in a file of 8 bits."""
DISK_ERRORS = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]
"""Messages of disk errors that every further photograph would cause, too. Messages, as libvips passes no numbers on."""


class DiskUnusable(Exception):  # noqa: N818 (a state of affairs)
    """The disk is full or read-only: the next photograph would fail for the same reason."""


@dataclass
class RestoreReport:
    """The outcome of a run.

    Attributes:
        restored: number of photographs restored.
        existing: number of photographs left alone, since their output already exists.
        untried: number of photographs not tried after the disk proved full or read-only.
        failed: the photographs that could not be restored, each with the reason.
        warnings: names of restored photographs that the user should check, each with the reason.
        model_notes: warnings about the model.
    """

    restored: int = 0
    existing: int = 0
    untried: int = 0
    failed: list[SkippedFile] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
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

    def record_restored(self, name: str, warnings: Sequence[str], change: float) -> None:
        """Count a restored photograph.

        Args:
            name: name of the photograph.
            warnings: reasons to check the result.
            change: the largest change of a value, in units of the range.
        """
        self.restored += 1
        if change < VISIBLE_CHANGE:
            self.warnings.append((name, "the output equals the input, the model changed nothing"))
        self.warnings += [(name, warning) for warning in warnings]
