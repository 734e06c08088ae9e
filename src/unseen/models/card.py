"""Cards of checkpoints: the training of a network, its quality by severity, and the noise levels where it is safe."""

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

LARGEST_CARD = 2**20
"""Most characters of a card: thousands of measured levels."""

MOST_LOST = 0.05
"""Largest loss by bfloat16, dB, at which a network is taken to be as good in it as in float32."""

INVISIBLE = 55.0
"""PSNR to a lossless input, dB, from which nothing visible is lost: half a gray level of 255, root mean square."""

EXACT = 60.0
"""PSNR, dB, with which an output that equals its lossless input counts in the mean with others that do not."""

VALIDATION = "validation"
"""The `dataset` of qualities measured on the validation photographs of the training."""


@dataclass(frozen=True)
class Quality:
    """The quality of one network on the images of one data set under one level of distortion.

    Attributes:
        split: role of the level in the protocol.
        distortion: name of the distortion.
        degree: degree of the level, a number or words.
        dataset: name of the data set.
        images: number of images measured.
        input_psnr: mean PSNR of the distorted images, dB; infinite where an image is exact.
        psnr: mean PSNR of the restored images, dB; infinite where an image is exact, but of lossless inputs only where
            all are (`EXACT`); nan in older cards for undistorted photographs, which were not restored then.
        gain: mean over images of PSNR after restoration minus PSNR before, dB.
        low: lower end of the 95 % interval of `gain` over images (Student's t, of one training); nan for one image, or
            a gain that is not finite.
        high: upper end of the interval.
        noise: mean estimated noise level of the distorted images (`evaluation.noise.estimate_noise`), gray levels of
            255; nan where it cannot be estimated.
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
        """Compute the quality from the images' results.

        Args:
            level: the level.
            dataset: name of the data set.
            psnrs: PSNR before and after restoration of every image, dB.
            noise: mean noise level of the distorted images, gray levels of 255.
        """
        # inf - inf is nan, but the gain of an image that was exact and stays exact is 0.
        gains = [0.0 if before == after else after - before for before, after in psnrs]
        gain, half = fmean(gains), estimate(gains).spread
        half = math.nan if half is None else half
        before, after = (fmean(values) for values in zip(*psnrs, strict=True))
        if math.isinf(before) and gain:
            after = fmean(EXACT if math.isinf(after) else after for _, after in psnrs)
        return cls(*level, dataset, len(psnrs), before, after, gain, gain - half, gain + half, noise)

    @property
    def level(self) -> Level:
        """The level that was measured."""
        return Level(self.split, self.distortion, self.degree)

    @property
    def safe(self) -> bool:
        """Whether the gain is above zero beyond chance, or a lossless input loses nothing visible, in the mean.

        By itself: see `envelope`.
        """
        return self.low > 0 or (math.isinf(self.input_psnr) and self.psnr >= INVISIBLE)


@dataclass(frozen=True)
class Envelope:
    """The range of noise levels within which a network is safe.

    Attributes:
        low: lowest noise level, included, gray levels of 255; 0 where undistorted photographs are safe, too.
        high: highest noise level, included.
        lowest: the tested level at the lower end, which is safe.
        highest: the tested level at the upper end, which is safe.
    """

    low: float
    high: float
    lowest: Quality
    highest: Quality

    def holds(self, noise_level: float) -> bool:
        """Whether a noise level is within the range; false for nan."""
        return self.low <= noise_level <= self.high


def envelope(qualities: Iterable[Quality]) -> Envelope | None:
    """Find the range of estimated noise levels in which a network is safe.

    All levels with a known noise level are sorted by it, whatever the distortion, the undistorted photographs among
    them, because the estimator does not know the distortion either. The envelope is the longest run of levels that are
    all safe; its ends are the mean noise levels of the first and the last of these. So one level where the network does
    harm, or may do harm, ends the envelope, which never goes beyond the tested levels, except down to 0 where all that
    reads least is safe, undistorted photographs among it: there is no less noise than none.

    Args:
        qualities: the quality under every tested level.

    Returns:
        The envelope; None where fewer than two neighbouring levels are safe.
    """
    by_noise = sorted((q for q in qualities if not math.isnan(q.noise)), key=lambda q: (q.noise, q.safe))
    runs = [list(run) for safe, run in groupby(by_noise, key=lambda q: q.safe) if safe]
    longest = max(runs, key=len, default=[])
    if len(longest) < 2:
        return None
    to_zero = longest[0] == by_noise[0] and any(math.isinf(q.input_psnr) for q in longest)
    return Envelope(0.0 if to_zero else longest[0].noise, longest[-1].noise, longest[0], longest[-1])


def safety(qualities: Sequence[Quality]) -> str:
    """Say in one sentence where a network is safe (`envelope`)."""
    if not qualities:
        return "Where it is safe is not known: its card has no measured quality."
    safe = envelope(qualities)
    if safe is None:
        few = " One image gives no interval." if all(q.images < 2 for q in qualities) else ""
        return f"Where it is safe is not known: there are no two neighbouring levels where the gain is sure.{few}"
    within = [q for q in qualities if safe.holds(q.noise)]
    least = min(q.images for q in within)
    lossless = any(math.isinf(q.input_psnr) for q in within)
    clean = "; undistorted photographs that read so lose nothing visible" if lossless else ""
    return (
        f"Safe where the noise level is {safe.low:.1f} to {safe.high:.1f} gray levels of 255, from "
        f"{safe.lowest.level.name} to {safe.highest.level.name}: the gain over the input is above zero, by "
        f"the lower end of its 95 % interval, at every tested level with such noise ({least} images or more a "
        f"level){clean}."
    )


@dataclass(frozen=True)
class Bf16Loss:
    """The loss of quality by bfloat16 in place of float32, at that level of a data set where it is largest.

    Attributes:
        loss: mean over images of PSNR in float32 minus PSNR in bfloat16, dB; of all levels and the undistorted
            photographs the largest; infinite where an image is exact in float32 alone.
        level: name of the level.
        dataset: name of the data set.
        images: number of images measured there.
        side: largest side in pixels of the centres that were measured; 0 for whole images.
    """

    loss: Number
    level: str
    dataset: str
    images: Count
    side: Whole = 0


@dataclass(frozen=True)
class EarlierTraining:
    """The training with whose weights another one began.

    Attributes:
        method: its method, with settings.
        budget: its budget, as its options gave it.
        evaluations: gradient evaluations spent.
        data: what its photographs were named by, pairs of folders among them.
        photographs: number of its training photographs; 0 where that was not recorded.
        share: share of the weights of `earlier` in the weights that it kept.
        earlier: the training with whose weights it began itself; None where it began with random ones.
    """

    method: str
    budget: WholeOrText
    evaluations: Finite
    data: tuple[str, ...]
    photographs: Whole
    share: Finite = 0.0
    earlier: EarlierTraining | None = None

    @classmethod
    def of(cls, card: Card) -> Self:
        """The training that a card tells of."""
        data = (*card.config.get("data", ()), *card.config.get("pairs", ()))
        share = card.config.get("init_share", 0.0)
        spent = card.config["method"], card.config["budget"], card.evaluations
        return cls(*spent, data, card.photographs, share, card.earlier)


@dataclass(frozen=True)
class Card:
    """The facts about a checkpoint: the training of its weights, and their measured quality.

    Attributes:
        version: version of the package that wrote the checkpoint.
        config: the resolved configuration of the run.
        protocol_hash: hash of the protocol of the training.
        evaluations: gradient evaluations spent up to these weights.
        data: digest of the training photographs.
        photographs: number of training photographs, validation left out; 0 in old checkpoints, which did not record it.
        levels: the seen, held-out and unseen levels of the protocol; empty in old checkpoints.
        quality: the measured quality by level; empty in old checkpoints, and before it is measured.
        bf16: the measured loss by bfloat16; None where it was not measured.
        earlier: the training with whose weights this one began; None where it began with random ones, and in old cards.
    """

    version: str
    config: dict[str, Any]
    protocol_hash: str
    evaluations: Finite
    data: str = ""
    photographs: Whole = 0
    levels: tuple[Level, ...] = ()
    quality: tuple[Quality, ...] = ()
    bf16: Bf16Loss | None = None
    earlier: EarlierTraining | None = None

    @property
    def selection(self) -> str:
        """The rule by which the weights were chosen: `last`, or the levels on which the options or the method chose."""
        chosen: str = self.config.get("chosen_on") or self.config.get("select", "last")
        return chosen

    def to_json(self) -> str:
        """The card as a JSON object, in one line; without what older versions refuse where it is None."""
        values = asdict(self) | {"quality": [to_json(quality) for quality in self.quality]}
        newer = {"bf16": self.bf16, "earlier": self.earlier}
        for name, record in newer.items():
            values.pop(name)
            values |= {name: to_json(record)} if record else {}
        return json.dumps(values)


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
    select: str = "last"
    chosen_on: str = ""
    lr: Finite = 0.0
    init: str = ""
    init_share: Finite = 0.0
    enlarge: bool = False
    shrink: Finite = 1.0
    credits: str = ""


@dataclass(frozen=True)
class _Outline:
    """A card of which only the configuration is read."""

    config: _Configured


def read_card_json(text: str, path: Path) -> Card:
    """Read a card from its JSON, and check the fields that evaluation needs, since the file may be anyone's.

    Args:
        text: JSON of `Card.to_json`, of this version or an earlier one.
        path: the file that holds the card, for messages.

    Raises:
        UserError: naming the file and the field, where a field is missing, unknown or of another kind.
    """
    try:
        if len(text) > LARGEST_CARD:
            raise ValueError(f"larger than {LARGEST_CARD >> 20} MiB")
        from_json(text, _Outline, extra="ignore")
        return from_json(text, Card)
    except ValueError as error:
        raise UserError(f"{path}: its card: {error}") from error
