"""What to test on: what `unseen evaluate` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ..core.config import Machine
from ..core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to test on."""

    test: Annotated[list[str], "test sets as NAME=DIR, pairs as NAME=INPUT_DIR:TARGET_DIR; or embedded"] = field(
        default_factory=lambda: ["embedded"]
    )
    crop: Annotated[int, "test on the centre of each photo, at most so many pixels a side; 0 takes all of it"] = 0
    images: Annotated[int, "test on so many photos of each set, spread evenly over its names; 0 takes all"] = 0

    def check_tests(self) -> None:
        """Raises UserError, naming the field, for what cannot be."""
        if not self.test:
            raise UserError("test: none given")
        for name in ("crop", "images"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: {getattr(self, name)} is below 0")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Machine, EvaluationOptions):
    """A checkpoint on test photographs."""

    protocol: Annotated[str, "a protocol by name or file; the checkpoint's own if left out"] = ""
    backbone: Annotated[str, "the network, needed only for one of your own: my.module.Net"] = ""
    method: Annotated[str, "the method, needed only for one of your own, to tell what it was trained on"] = ""
    seed: Annotated[int, "seed of the test distortions"] = 0
    card: Annotated[bool, "write what was measured into the checkpoint's card, in place of what it told before"] = False
    out: Annotated[str, "folder for results.jsonl and report.html"] = "runs/evaluation"
