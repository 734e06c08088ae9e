"""What a checkpoint says of itself: how good it is at which severity, where it is safe, and all of it in words."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from statistics import fmean
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..evaluation.results import SPLITS, Level, Row, Split
from ..study.entry_results import estimate
from ..study.summary import grouped, is_ceiling

if TYPE_CHECKING:  # a checkpoint holds what is here
    from .checkpoint import Card

VALIDATION = "validation"
"""The `dataset` of what was measured on photographs of the training side."""

Kind: TypeAlias = type | UnionType
NUMBER: Kind = int | float
"""As JSON has them."""

UNDISTORTED: Level = ("unseen", "undistorted", "")
"""No level of any protocol: the clean photographs themselves, that nothing can improve."""


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
    degree: float | str
    dataset: str
    images: int
    input_psnr: float
    psnr: float
    gain: float
    low: float
    high: float
    noise: float

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
        return (self.split, self.distortion, self.degree)

    @property
    def safe(self) -> bool:
        """Whether the network helps beyond chance: a nan is never above zero."""
        return self.low > 0

    def to_json(self) -> dict[str, Any]:
        """Infinity as the string "inf" and nan as null, as rows are written."""
        return {name: _to_json(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` made. Raises ValueError, naming the field, or TypeError for anything else."""
        numbers = [field.name for field in fields(cls) if field.type == "float"]
        require_kinds(values, {"dataset": str, "images": int} | dict.fromkeys(numbers, NUMBER | str | None))
        read: dict[str, Any] = dict(values)
        for name in numbers:
            try:
                read[name] = math.nan if read[name] is None else float(read[name])
            except ValueError as error:
                raise ValueError(f"{name}: {read[name]!r:.40} is no number") from error
        found = cls(**read)
        if found.images < 1:
            raise ValueError(f"images: {found.images} is below 1")
        read_level(found.level)
        return found


def read_level(values: Sequence[Any]) -> Level:
    """A level out of JSON. Raises ValueError, naming the field, or TypeError for anything else."""
    split, distortion, degree = values
    if split not in SPLITS:
        raise ValueError(f"split: {split!r:.40} is none of {', '.join(SPLITS)}")
    require_kinds({"distortion": distortion, "degree": degree}, {"distortion": str, "degree": NUMBER | str})
    return split, distortion, degree


def require_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind], of: str = "") -> None:
    """That fields out of JSON are there, and of these kinds; `of` goes before their names.

    Raises ValueError that names the field, also for truth values and for integers beyond floating point.
    """
    for name, kind in kinds.items():
        if name not in values:
            raise ValueError(f"{of}{name}: not told")
        value = values[name]
        beyond = isinstance(value, int) and abs(value) > sys.float_info.max
        if not isinstance(value, kind) or isinstance(value, bool) or beyond:
            raise ValueError(f"{of}{name}: {value!r:.40} is of another kind")


def _to_json(value: object) -> object:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def quality_of(rows: Iterable[Row], noise: Mapping[tuple[str, Level], float]) -> list[Quality]:
    """From the rows of one network, and what `readings.read_noise` read on the same tests; by data set and level."""
    found = [
        Quality.of(level, dataset, [(row.input_psnr, row.psnr) for row in group], noise.get((dataset, level), math.nan))
        for (dataset, level), group in grouped(rows, lambda row: (row.dataset, row.level)).items()
    ]
    sets = {quality.dataset: quality.images for quality in found}
    clean = [
        Quality.of(UNDISTORTED, name, [(math.inf, math.nan)] * images, noise[name, UNDISTORTED])
        for name, images in sets.items()
        if (name, UNDISTORTED) in noise
    ]
    return found + clean


def mean_reading(readings: Iterable[float]) -> float:
    """Over the images that could be read; nan if there is none."""
    known = [reading for reading in readings if not math.isnan(reading)]
    return fmean(known) if known else math.nan


@dataclass(frozen=True)
class Envelope:
    """Readings of the noise estimator between which a network is safe, ends included, gray levels of 255.

    lowest, highest: what was tested and found safe at the ends.
    """

    low: float
    high: float
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
        f"{_named(found.lowest.level)} to {_named(found.highest.level)}: the gain over the input is above zero, by "
        f"the lower end of its 95 % interval, at every tested level that reads so ({least} images or more a level)."
    )


def card_text(card: Card) -> Group:
    """The whole card for a terminal: who, what, how, how good, where safe, and what it was never tested on."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _facts(card):
        facts.add_row(Text(name, style="bold"), Text(value))
    return Group(facts, Text(), *_quality_tables(card.quality), *(Text(f"{line}\n") for line in _remarks(card)))


def _facts(card: Card) -> Iterable[tuple[str, str]]:
    config = card.config
    yield "network", config["backbone"]
    ceiling = ", which trains on the unseen levels too: a yardstick" if is_ceiling(config["method"]) else ""
    yield "method", f"{config['method']}{ceiling}"
    yield "protocol", f"{config['protocol']} ({card.protocol_hash})"
    for split in SPLITS:
        names = [_named(level) for level in card.levels if level[0] == split]
        yield split, ", ".join(names) or ("none" if card.levels else "not recorded")
    sources = ", ".join([*config.get("data", ()), *config.get("pairs", ())]) or "not recorded"
    count = f"; {card.photographs} photographs" if card.photographs else ""
    yield "trained on", f"{sources}{count}; digest {card.data or 'not recorded'}"
    recipe = [f"{name} {config[name]}" for name in ("batch", "patch", "loss", "lr", "select", "seed") if name in config]
    yield "budget", f"{config['budget']}: {card.evaluations:g} gradient evaluations spent; {', '.join(recipe)}"
    yield "written by", f"unseen {card.version}"


def _quality_tables(qualities: Sequence[Quality]) -> Iterable[Table]:
    """One for each data set, narrow enough for a terminal."""
    for dataset, found in grouped(qualities, lambda quality: quality.dataset).items():
        counts = sorted({quality.images for quality in found})
        images = (
            f"{counts[0]} image{'s' * (counts[-1] > 1)}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} images"
        )
        table = Table(
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            title=f"{dataset}, {images}",
            title_justify="left",
            title_style="bold",
        )
        table.add_column("PSNR in dB")
        table.add_column("")
        for heading in ("input", "output", "gain", "95 % interval", "reads", "safe"):
            table.add_column(heading, justify="right", no_wrap=True)
        for q in found:
            interval = "" if math.isnan(q.low) else f"[{_number(q.low, '+.2f')}, {_number(q.high, '+.2f')}]"
            measured = (_number(q.input_psnr, ".2f"), _number(q.psnr, ".2f"), _number(q.gain, "+.2f"), interval)
            cells = (_named(q.level), "" if q.level == UNDISTORTED else q.split, *measured, _number(q.noise, ".1f"))
            table.add_row(*map(Text, cells), Text("yes" if q.safe else "", style="bold green"))
        yield table


def _remarks(card: Card) -> Iterable[str]:
    yield safety(card.quality)
    if any(q.dataset == VALIDATION for q in card.quality):
        chosen = card.config.get("select", "last")
        also = "" if chosen == "last" else f" The weights were chosen on some of them (select: {chosen})."
        yield (
            "Measured at the end of the training on centres of validation photographs, which are few and of the "
            f"training side; they chose nothing else.{also} `unseen evaluate --card true` measures it on test sets."
        )
    tested = {q.level for q in card.quality}
    untested = [_named(level) for level in card.levels if level not in tested]
    listed = f"{', '.join(untested)}; nor on " if untested and card.quality else ""
    if card.quality:
        yield f"Never tested on {listed}any distortion, degree or camera that is not in the table."
    else:
        yield "On what it was tested is not recorded."


def _named(level: Level) -> str:
    """`gaussian noise 25`."""
    from ..study.report.columns import level_name

    return level_name(level, " ").strip()


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form).replace("-", "−").replace("inf", "∞")
