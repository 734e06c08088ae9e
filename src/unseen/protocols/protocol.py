"""An experiment: its confounders in three roles, and the convention by which images are compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from ..methods.method import TrainsOn
from .confounder import Confounder, Recorded, enlarged, widened
from .convention import Convention
from .levels import Level, Split


@dataclass(frozen=True)
class Reported:
    """A table of numbers that the authors of a paper reported for this experiment, at their training scale.

    Attributes:
        source: the paper and the table.
        columns: the headings.
        rows: the cells, as many in each row as there are columns.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Protocol:
    """One experiment.

    Attributes:
        name: the name of the experiment.
        version: a whole number that grows when anything that changes a result changes.
        about: the experiment in one sentence.
        seen: the confounders that methods train on.
        held_out: the confounders that checkpoints and settings are chosen on, with photographs of the training side.
        unseen: the confounders that are only tested; the ceiling alone trains on them.
        convention: the settings of PSNR and SSIM.
        scale: the factor by which the network enlarges.
        enlarged_by: the factor by which the input was enlarged before the network; 1 in files, see `enlarged`.
        gray: whether all photographs are gray, (H, W, 1) of BT.601 luma: those to train, to validate and to test on.
        gray_kept: whether RGB photographs without colour stay so under the synthetic confounders, see `GrayKept`.
        tests: the names of the test sets that the experiment is usually reported on.
        notes: choices made where the paper is silent, with reasons.
        reported: numbers that others reported for this experiment.
    """

    name: str
    version: int
    about: str
    seen: tuple[Confounder, ...]
    held_out: tuple[Confounder, ...]
    unseen: tuple[Confounder, ...]
    convention: Convention = field(default_factory=Convention)
    scale: int = 1
    enlarged_by: int = 1
    gray: bool = False
    gray_kept: bool = False
    tests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reported: tuple[Reported, ...] = ()

    def levels(self) -> list[tuple[Level, Confounder]]:
        """Return every confounder with its level: seen, then held out, then unseen."""
        splits: list[tuple[Split, tuple[Confounder, ...]]] = [
            ("seen", self.seen),
            ("held-out", self.held_out),
            ("unseen", self.unseen),
        ]
        return [(c.level(split), c) for split, confounders in splits for c in confounders]

    def recorded(self) -> list[str]:
        """Return the names of the sets of recorded pairs among the confounders."""
        return [c.degree for _, c in self.levels() if isinstance(c, Recorded)]

    def training_confounders(self, trains_on: TrainsOn) -> tuple[Confounder, ...]:
        """Return the confounders that a method trains on, by its `Method.trains_on`.

        Raises:
            UserError: `widened`, and no seen confounder can be applied to any image.
        """
        if trains_on == "all":
            return self.seen + self.held_out + self.unseen
        return widened(self.seen) if trains_on == "widened" else self.seen

    def enlarged(self) -> Protocol:
        """Return the experiment at scale 1 with the input enlarged bicubically, for networks that keep sizes.

        It is another experiment than the one with a network that enlarges, and has another `hash`.
        """
        if self.scale == 1:
            return self
        seen, held_out, unseen = (tuple(map(enlarged, group)) for group in (self.seen, self.held_out, self.unseen))
        return replace(self, seen=seen, held_out=held_out, unseen=unseen, scale=1, enlarged_by=self.scale)

    @property
    def step(self) -> int:
        """The number of pixels that the sides of a clean image must be multiples of."""
        return self.scale * self.enlarged_by

    @property
    def channels(self) -> int:
        """The number of channels of the photographs: 1 for gray, 3 for RGB."""
        return 1 if self.gray else 3

    def hash(self) -> str:
        """Return twelve hexadecimal digits that change with anything that changes a result."""
        names = [[c.name for c in group] for group in (self.seen, self.held_out, self.unseen)]
        identity = [self.name, self.version, names, self.convention.hash()]
        marks = [*["gray"] * self.gray, *["gray_kept"] * self.gray_kept]
        text = json.dumps([*identity, *[self.scale] * (self.scale > 1), *marks])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
