"""Configuration of a test: the test sets, and the options of `unseen evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from ..core.config import Machine, check_values
from ..core.errors import UserError
from ..core.precision import native_bf16
from ..core.trust import Names


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of every command that tests a network: the test sets, and limits on their photographs."""

    test: Annotated[list[str], MinLen(1), "test sets as NAME=DIR, pairs as NAME=INPUT_DIR:TARGET_DIR; or embedded"] = (
        field(default_factory=lambda: ["embedded"])
    )
    crop: Annotated[
        int, Ge(0), "test on the centre of each photo, at most N pixels a side; 0 takes the whole photo"
    ] = 0
    images: Annotated[int, Ge(0), "test on N photos of each set, spread evenly over its names; 0 takes all"] = 0


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Machine, EvaluationOptions):
    """Configuration of `unseen evaluate`: a checkpoint tested on photographs."""

    protocol: Annotated[str, "a protocol by name or file; the checkpoint's own if left out"] = ""
    backbone: Annotated[str, Names(), "the network, needed only for one of your own: my.module.Net"] = ""
    method: Annotated[str, Names(), "the method, needed only for one of your own, to find the training photos"] = ""
    seed: Annotated[int, Ge(0), "seed of the test distortions"] = 0
    card: Annotated[bool, "write the measured quality into the checkpoint's card, in place of the former one"] = False
    precision: Annotated[
        Literal["fp32", "both", "auto"],
        "for the card: fp32, or both, to tell what bf16 loses (imitated by the device: on centres of 8 photos a set); "
        "auto: both where the device has bf16",
    ] = "auto"
    out: Annotated[str, "folder for results.jsonl and report.html"] = "runs/evaluation"

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit."""
        check_values(self)
        if self.precision == "both" and not self.card:
            raise UserError("precision: both is measured for the card; give --card true as well")

    @property
    def in_both(self) -> bool:
        """Whether the card is to tell what bfloat16 loses; `device` is no longer `auto`."""
        return self.card and (self.precision == "both" or (self.precision == "auto" and native_bf16(self.device)))
