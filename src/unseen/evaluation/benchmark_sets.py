"""Test sets: loaded as a protocol needs them, and refused where they would test nothing unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.config import check_values
from ..core.errors import UserError
from ..core.wording import did_you_mean
from ..data.gray import grayed
from ..data.overlap import overlaps
from ..data.photo import Photo
from ..data.sources import load_test_set
from ..protocols.confounder import Recorded
from ..protocols.protocol import Protocol
from .config import EvaluationOptions
from .inputs import levels_of

CROP = 160
"""Side of a picture in the report, pixels."""


@dataclass(frozen=True)
class BenchmarkSets:
    """The photographs of all test sets of one test.

    Attributes:
        photos: pairs of the name of a set and one of its photographs.
        skipped: files that could not be read, each as `SET/NAME: REASON`.
    """

    photos: list[tuple[str, Photo]]
    skipped: list[str]

    @classmethod
    def load(cls, options: EvaluationOptions, protocol: Protocol, trained_on: Sequence[Photo]) -> BenchmarkSets:
        """Load the test sets of a configuration.

        Args:
            options: the sets, and limits on the number and size of their photographs.
            protocol: the protocol of the test.
            trained_on: training photographs, which must not be in the test sets.

        Raises:
            UserError: where a set is missing, is empty, is named twice, or has pairs without a level in the protocol;
                where nothing unseen would be tested; and where a test image was trained on.
        """
        check_values(options)
        if options.crop % protocol.step:
            raise UserError(f"crop: {options.crop} is no multiple of {protocol.step}, the scale of {protocol.name}")
        sets = [load_test_set(source, protocol.step, protocol.enlarged_by) for source in options.test]
        names = [name for name, _, _ in sets]
        if len(set(names)) < len(names):
            raise UserError(f"test: two sets have one name ({', '.join(names)}); give them as NAME=DIR")
        whole = [(name, photo) for name, photos, _ in sets for photo in spread(photos, options.images)]
        refuse_trained_on(whole, trained_on)
        refuse_untestable(whole, protocol)
        photos = [(name, photo.centre(options.crop) if options.crop else photo) for name, photo in whole]
        if protocol.gray:
            photos = [(name, grayed(photo)) for name, photo in photos]
        return cls(photos, [f"{name}/{s.name}: {s.reason}" for name, _, skipped in sets for s in skipped])

    def excerpts(self, step: int) -> list[tuple[str, Photo]]:
        """Cut out the centre of each photograph, for the pictures of a report; sides are multiples of `step`."""
        return [(name, photo.centre(CROP - CROP % step)) for name, photo in self.photos]


def spread(photos: list[Photo], most: int) -> list[Photo]:
    """Choose at most `most` photographs, spread evenly over their order; all of them if `most` is 0."""
    count = min(most or len(photos), len(photos))
    return [photos[i * len(photos) // count] for i in range(count)]


def refuse_trained_on(tests: Sequence[tuple[str, Photo]], trained_on: Sequence[Photo]) -> None:
    """Raise UserError for a test image that is also a training image, by content."""
    for same in overlaps([photo for _, photo in tests], trained_on)[:1]:
        name = next(name for name, photo in tests if photo is same.first)
        raise UserError(
            f"test: {name}/{same.first.name} is the training photograph {same.second.name} (thumbnails correlate "
            f"{same.correlation:.3f}); take it out of one of the two"
        )


def refuse_untestable(tests: Sequence[tuple[str, Photo]], protocol: Protocol) -> None:
    """Raise UserError for a test set without a level in the protocol, and where no unseen level would be tested."""
    splits = set()
    for name, photo in tests:
        levels = levels_of(photo, name, protocol)
        if not levels and photo.recorded is None:
            raise UserError(
                f"test: {name} is of clean photographs, and {protocol.name} distorts none; pairs are given as "
                f"{name}=INPUT_DIR:TARGET_DIR"
            )
        if not levels:
            sets = protocol.recorded()
            its_pairs = f"pairs for {', '.join(sets)} alone{did_you_mean(name, sets)}" if sets else "no pairs"
            raise UserError(f"test: {name} is of recorded pairs, and {protocol.name} has {its_pairs}")
        splits |= {level.split for level, _ in levels}
    if "unseen" not in splits:
        sets = [c.degree for c in protocol.unseen if isinstance(c, Recorded)]
        give = f"--test {sets[0]}=INPUT_DIR:TARGET_DIR" if sets else "clean photographs, --test NAME=DIR"
        more = f", or another of {', '.join(sets)}" if len(sets) > 1 else ""
        raise UserError(f"test: nothing unseen of {protocol.name} is among the tests; give {give}{more}")
