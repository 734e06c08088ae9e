"""What is tested on: test sets as a protocol wants them, and what must not be among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import UserError
from ..core.registry import did_you_mean
from ..data.overlap import overlaps
from ..data.photo import Photo
from ..data.sources import load_test_set
from ..protocols.confounder import Recorded
from ..protocols.protocol import Protocol
from .config import EvaluationOptions
from .inputs import levels_of

CROP = 160  # side of a picture in the report, pixels


@dataclass(frozen=True)
class BenchmarkSets:
    """Test photographs, each with the name of its set; and the files that could not be read."""

    photos: list[tuple[str, Photo]]
    skipped: list[str]

    @classmethod
    def load(cls, wanted: EvaluationOptions, protocol: Protocol, trained_on: Sequence[Photo]) -> BenchmarkSets:
        """What the configuration wants, for a protocol.

        trained_on: photographs that must not be among them. Raises UserError where a set is missing, empty, named
        twice, or of pairs that the protocol has no line for; where nothing unseen would be tested; and where a test
        image was trained on.
        """
        wanted.check_tests()
        if wanted.crop % protocol.step:
            raise UserError(f"crop: {wanted.crop} is no multiple of {protocol.step}, the scale of {protocol.name}")
        found = [load_test_set(source, protocol.step, protocol.enlarged_by) for source in wanted.test]
        names = [name for name, _, _ in found]
        if len(set(names)) < len(names):
            raise UserError(f"test: two sets have one name ({', '.join(names)}); give them as NAME=DIR")
        whole = [(name, photo) for name, photos, _ in found for photo in spread(photos, wanted.images)]
        refuse_trained_on(whole, trained_on)
        refuse_untestable(whole, protocol)
        photos = [(name, photo.centre(wanted.crop) if wanted.crop else photo) for name, photo in whole]
        return cls(photos, [f"{name}/{s.name}: {s.reason}" for name, _, skipped in found for s in skipped])

    def excerpts(self, step: int) -> list[tuple[str, Photo]]:
        """The centre of each photograph, for pictures; sides are multiples of `step`."""
        return [(name, photo.centre(CROP - CROP % step)) for name, photo in self.photos]


def spread(photos: list[Photo], most: int) -> list[Photo]:
    """At most so many, spread evenly over their order; all for 0."""
    count = min(most or len(photos), len(photos))
    return [photos[i * len(photos) // count] for i in range(count)]


def refuse_trained_on(tests: Sequence[tuple[str, Photo]], trained_on: Sequence[Photo]) -> None:
    """A test image that is also a training image, by content, would be no test."""
    for same in overlaps([photo for _, photo in tests], trained_on)[:1]:
        name = next(name for name, photo in tests if photo is same.first)
        raise UserError(
            f"test: {name}/{same.first.name} is the training photograph {same.second.name} (thumbnails correlate "
            f"{same.correlation:.3f}); take it out of one of the two"
        )


def refuse_untestable(tests: Sequence[tuple[str, Photo]], protocol: Protocol) -> None:
    """Tests that the protocol has no line for, and those that would leave all of the unseen untested."""
    splits = set()
    for name, photo in tests:
        levels = levels_of(photo, name, protocol)
        if not levels and photo.recorded is None:
            raise UserError(
                f"test: {name} is of clean photographs, and {protocol.name} distorts none; pairs are given as "
                f"{name}=INPUT_DIR:TARGET_DIR"
            )
        if not levels:
            known = protocol.recorded()
            lines = f"pairs for {', '.join(known)} alone{did_you_mean(name, known)}" if known else "no line for pairs"
            raise UserError(f"test: {name} is of recorded pairs, and {protocol.name} has {lines}")
        splits |= {level.split for level, _ in levels}
    if "unseen" not in splits:
        sets = [c.degree for c in protocol.unseen if isinstance(c, Recorded)]
        give = f"--test {sets[0]}=INPUT_DIR:TARGET_DIR" if sets else "clean photographs, --test NAME=DIR"
        more = f", or another of {', '.join(sets)}" if len(sets) > 1 else ""
        raise UserError(f"test: nothing unseen of {protocol.name} is among the tests; give {give}{more}")
