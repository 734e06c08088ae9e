"""What a checkpoint says of itself: how good it is at which severity, where it is safe, and all of it in words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from ..core.errors import UserError
from ..core.jsonl import Count, Finite, FiniteOrText, Number, Whole, WholeOrText, from_json, to_json
from ..core.statistics import estimate
from ..protocols.levels import Level, Split

VALIDATION = "validation"
"""The `dataset` of what was measured on photographs of the training side."""


@dataclass(frozen=True)
class Quality:
    """What one network does to the images of one data set under one level of distortion.

    input_psnr, psnr: mean PSNR in dB of the distorted images and of the restored ones; infinite where an image is
    exact, psnr nan where it was not measured. gain: the mean of what an image gains, dB. low, high: its 95 % interval
    over images (Student's t, of one training); nan where there is none, with one image or a gain that is not finite.
    noise: what the noise estimator reads on the distorted images, in the mean, gray levels of 255
    (`unseen.restoration.self_check.estimate_noise`); nan where it cannot tell.
    """

    split: Split
    distortion: str
    degree: FiniteOrText
    dataset: str
    images: Count
    input_psnr: Number
    psnr: Number
    gain: Number
    low: Number
    high: Number
    noise: Number

    @classmethod
    def of(cls, level: Level, dataset: str, psnrs: Sequence[tuple[float, float]], noise: float) -> Self:
        """From the PSNR of input and output of every image."""
        # inf - inf is no number, but an exact image left exact has gained nothing.
        gains = [0.0 if before == after else after - before for before, after in psnrs]
        gain, half = fmean(gains), estimate(gains).spread
        half = math.nan if half is None else half
        before, after = (fmean(values) for values in zip(*psnrs, strict=True))
        return cls(*level, dataset, len(psnrs), before, after, gain, gain - half, gain + half, noise)

    @property
    def level(self) -> Level:
        return Level(self.split, self.distortion, self.degree)

    @property
    def safe(self) -> bool:
        """Whether the network helps beyond chance: a nan is never above zero."""
        return self.low > 0


@dataclass(frozen=True)
class Envelope:
    """Readings of the noise estimator between which a network is safe, ends included, gray levels of 255.

    lowest, highest: what was tested and found safe at the ends.
    """

    low: Number
    high: Number
    lowest: Quality
    highest: Quality


def envelope(qualities: Iterable[Quality]) -> Envelope | None:
    """The safe envelope as the noise estimator sees it; None where fewer than two neighbouring levels are safe.

    All levels that have a reading are put in its order, whatever distorts, and the undistorted photographs with them:
    the estimator does not know either what it reads. The envelope is the longest run of levels that are all safe, and
    its ends are the mean readings of the outermost. So one level where the network does harm, or may do, ends it, and
    nothing is said beyond what was tested.
    """
    read = sorted((q for q in qualities if not math.isnan(q.noise)), key=lambda q: (q.noise, q.safe))
    runs = [list(run) for safe, run in groupby(read, key=lambda q: q.safe) if safe]
    longest = max(runs, key=len, default=[])
    if len(longest) < 2:
        return None
    return Envelope(longest[0].noise, longest[-1].noise, longest[0], longest[-1])


def safety(qualities: Sequence[Quality]) -> str:
    """The envelope in one sentence."""
    if not qualities:
        return "Where it is safe is not known: its card tells no quality."
    found = envelope(qualities)
    if found is None:
        few = " One image tells no interval." if all(q.images < 2 for q in qualities) else ""
        return f"Where it is safe is not known: there are no two neighbouring levels where the gain is sure.{few}"
    least = min(q.images for q in qualities if found.low <= q.noise <= found.high)
    return (
        f"Safe where the noise reads {found.low:.1f} to {found.high:.1f} gray levels of 255, from "
        f"{found.lowest.level.name} to {found.highest.level.name}: the gain over the input is above zero, by "
        f"the lower end of its 95 % interval, at every tested level that reads so ({least} images or more a level)."
    )


@dataclass(frozen=True)
class Card:
    """What a checkpoint says about itself.

    version: of the package that wrote it. config: the resolved configuration of the run. protocol_hash:
    of the protocol it was trained under. evaluations: gradient evaluations spent up to these weights. data: the digest
    of the photographs it was trained on, and photographs: how many these are, validation left out. levels: what the
    protocol calls seen, held out and unseen. quality: what was measured of these weights, by level. Empty, or 0, where
    that was not recorded: the last three are younger than the rest.
    """

    version: str
    config: dict[str, Any]
    protocol_hash: str
    evaluations: Finite
    data: str = ""
    photographs: Whole = 0
    levels: tuple[Level, ...] = ()
    quality: tuple[Quality, ...] = ()

    def to_json(self) -> str:
        """The card as a JSON object, in one line."""
        return json.dumps(asdict(self) | {"quality": [to_json(quality) for quality in self.quality]})


@dataclass(frozen=True)
class _Configured:
    """The fields of a configuration that evaluation needs."""

    backbone: str
    method: str
    protocol: str
    seed: Whole
    budget: WholeOrText
    data: list[str] = field(default_factory=list)
    pairs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Outline:
    config: _Configured


def read_card_json(text: str, path: Path) -> Card:
    """Read a card from its JSON, and check the fields that evaluation needs: files come from elsewhere.

    Args:
        text: what `Card.to_json` gave, in this version or an earlier one.
        path: the file that holds the card, for messages.

    Raises:
        UserError: naming the file and the field, where a field is missing, unknown or of another kind.
    """
    try:
        from_json(text, _Outline, extra="ignore")
        return from_json(text, Card)
    except ValueError as error:
        raise UserError(f"{path}: its card: {error}") from error
