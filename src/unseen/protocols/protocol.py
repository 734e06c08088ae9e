"""What an experiment is: its confounders in three parts, and the convention that it is measured under."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from .confounder import Confounder, Recorded, enlarged
from .convention import Convention
from .levels import Level, Split


@dataclass(frozen=True)
class Reported:
    """What the authors reported for this experiment, at their training scale: a table of its own."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Protocol:
    """One experiment.

    seen: the confounders that methods train on. held_out: for choosing checkpoints and settings, on
    photographs of the training side. unseen: only ever tested; the ceiling alone trains on them.
    convention: how PSNR and SSIM are taken. scale: by how much the network enlarges. enlarged_by: by how much its input
    was enlarged beforehand. tests: the test sets it is usually reported on. notes: what was chosen where the paper
    is silent, and why.
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
    tests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reported: tuple[Reported, ...] = ()

    def levels(self) -> list[tuple[Level, Confounder]]:
        """Every confounder with its level, seen levels first."""
        splits: list[tuple[Split, tuple[Confounder, ...]]] = [
            ("seen", self.seen),
            ("held-out", self.held_out),
            ("unseen", self.unseen),
        ]
        return [(c.level(split), c) for split, confounders in splits for c in confounders]

    def recorded(self) -> list[str]:
        """The names of the sets of recorded pairs among its confounders."""
        return [c.degree for _, c in self.levels() if isinstance(c, Recorded)]

    def training_confounders(self, sees_unseen: bool) -> tuple[Confounder, ...]:
        """The seen ones; for the ceiling, every one."""
        return self.seen + self.held_out + self.unseen if sees_unseen else self.seen

    def enlarged(self) -> Protocol:
        """The same at scale 1, the input enlarged bicubically: for networks that keep sizes, on small machines.

        Another experiment than with a network that enlarges, and its `hash` says so.
        """
        if self.scale == 1:
            return self
        seen, held_out, unseen = (tuple(map(enlarged, group)) for group in (self.seen, self.held_out, self.unseen))
        return replace(self, seen=seen, held_out=held_out, unseen=unseen, scale=1, enlarged_by=self.scale)

    @property
    def step(self) -> int:
        """What the sides of a clean image must be multiples of."""
        return self.scale * self.enlarged_by

    def hash(self) -> str:
        """Twelve hexadecimal digits that change with anything that changes a result."""
        names = [[c.name for c in group] for group in (self.seen, self.held_out, self.unseen)]
        parts = [self.name, self.version, names, self.convention.hash()]
        text = json.dumps(parts if self.scale == 1 else [*parts, self.scale])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
