"""A model card for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from ..core.console import styled
from ..core.grouping import grouped
from ..core.number_text import number
from ..models.card import INVISIBLE, MOST_LOST, VALIDATION, Bf16Loss, EarlierTraining, Quality, envelope, safety
from ..protocols.levels import SPLITS, UNDISTORTED
from ..study.entry_names import is_ceiling, is_widened

if TYPE_CHECKING:
    from ..models.card import Card


def card_text(card: Card) -> Group:
    """Lay out a card for a terminal.

    Returns:
        How the network was trained, the measured quality by data set and level, where the network is safe, and what it
        was never tested on.
    """
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _facts(card):
        facts.add_row(styled(name, "bold"), styled(value))
    notes = [line for note in _notes(card) for line in (styled(note), "")]
    return Group(facts, "", *_quality_tables(card.quality), *notes)


def _more_than_seen(method: str) -> str:
    """What a method trains on beside the seen levels, in words; empty for most."""
    if is_ceiling(method):
        return ", which trains on the unseen levels too: a yardstick"
    return ", which trains on degrees made of the seen ones too" if is_widened(method) else ""


def _facts(card: Card) -> Iterable[tuple[str, str]]:
    config = card.config
    yield "network", config["backbone"]
    yield "method", f"{config['method']}{_more_than_seen(config['method'])}"
    yield "protocol", f"{config['protocol']} ({card.protocol_hash})"
    for split in SPLITS:
        names = [level.name for level in card.levels if level.split == split]
        yield split, ", ".join(names) or ("none" if card.levels else "not recorded")
    sources = ", ".join([*config.get("data", ()), *config.get("pairs", ())]) or "not recorded"
    count = f"; {card.photographs} photographs" if card.photographs else ""
    shrunk = f", shrunk by up to {config['shrink']:g}" if config.get("shrink", 1) > 1 else ""
    yield "trained on", f"{sources}{count}{shrunk}; digest {card.data or 'not recorded'}"
    if config.get("credits"):
        yield "credits", config["credits"]
    if card.earlier:
        yield from _earlier(card.earlier, config.get("init_share", 0))
    elif config.get("init"):
        yield "training before", f"{config['init']}: how that was trained is not recorded"
    recipe = [f"{name} {config[name]}" for name in ("batch", "patch", "loss", "lr", "select", "seed") if name in config]
    yield "budget", f"{config['budget']}: {card.evaluations:g} gradient evaluations spent; {', '.join(recipe)}"
    if card.bf16:
        yield "bfloat16", _bf16_text(card.bf16)
    yield "written by", f"unseen {card.version}"


def _earlier(training: EarlierTraining, share: float) -> Iterable[tuple[str, str]]:
    """The trainings with whose weights others began, the first one first; `share`: of the last in what came after."""
    if training.earlier:
        yield from _earlier(training.earlier, training.share)
    count = f"; {training.photographs} photographs" if training.photographs else ""
    spent = f"{training.budget}: {training.evaluations:g} gradient evaluations spent"
    kept = f"; its weights have a share of {share:g} in the next" if share else ""
    yield "training before", f"{training.method}, {spent}, on {', '.join(training.data) or 'not recorded'}{count}{kept}"


def _bf16_text(measured: Bf16Loss) -> str:
    """What bfloat16 loses, and what `--precision auto` makes of it."""
    images = f"{measured.images} image{'s' * (measured.images > 1)}"
    taken = "bf16 where the device has it" if measured.loss <= MOST_LOST else "fp32"
    centres = f", centres of {measured.side} pixels" if measured.side else ""
    where = f"{measured.level}, {measured.dataset}, {images}{centres}"
    return f"loses {number(measured.loss, '.3f')} dB at most ({where}); --precision auto takes {taken}"


def _quality_tables(qualities: Sequence[Quality]) -> Iterable[Table]:
    """One table for each data set, narrow enough for a terminal; safe is what reads within the envelope."""
    safe = envelope(qualities)
    for dataset, tested in grouped(qualities, lambda quality: quality.dataset).items():
        counts = sorted({quality.images for quality in tested})
        images = (
            f"{counts[0]} image{'s' * (counts[-1] > 1)}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} images"
        )
        table = Table(
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            title=styled(f"{dataset}, {images}"),
            title_justify="left",
            title_style="bold",
        )
        table.add_column("PSNR in dB")
        table.add_column("")
        for heading in ("input", "output", "gain", "95 % interval", "reads", "safe"):
            table.add_column(heading, justify="right", no_wrap=True)
        for q in (q for q in tested if not _is_undistorted_twice(q, tested)):
            interval = "" if math.isnan(q.low) else f"[{number(q.low, '+.2f')}, {number(q.high, '+.2f')}]"
            gain = "loss" if q.gain == -math.inf else number(q.gain, "+.2f")
            measured = (number(q.input_psnr, ".2f"), number(q.psnr, ".2f"), gain, interval)
            cells = (q.level.name, "" if q.level == UNDISTORTED else q.split, *measured, number(q.noise, ".1f"))
            table.add_row(*map(styled, cells), styled("yes" if safe and safe.holds(q.noise) else "", "bold green"))
        yield table


def _is_undistorted_twice(quality: Quality, tested: Sequence[Quality]) -> bool:
    """Whether a level of the protocol distorts nothing, so that undistorted photographs have its numbers, too."""
    clean = [(q.images, q.psnr, q.noise) for q in tested if q.level == UNDISTORTED]
    is_lossless = math.isinf(quality.input_psnr) and quality.level != UNDISTORTED
    return is_lossless and (quality.images, quality.psnr, quality.noise) in clean


def _notes(card: Card) -> Iterable[str]:
    yield safety(card.quality)
    clean = [q for q in card.quality if q.level == UNDISTORTED and math.isfinite(q.psnr)]
    if clean:
        harmed = [q for q in clean if q.psnr < INVISIBLE]
        outputs = ", ".join(f"{q.psnr:.1f} dB ({q.dataset})" for q in harmed or clean)
        verdict = "is harmed" if harmed else "loses nothing visible in the mean"
        yield f"What needs no restoration {verdict}: lossless input; output {outputs}."
    if any(q.dataset == VALIDATION for q in card.quality):
        chosen = card.selection
        also = "" if chosen == "last" else f" The weights were chosen on some of them (select: {chosen})."
        yield (
            "Measured at the end of the training on centres of validation photographs, which are few and of the "
            f"training side; they chose nothing else.{also} `unseen evaluate --card true` measures it on test sets."
        )
    tested = {q.level for q in card.quality}
    untested = [level.name for level in card.levels if level not in tested]
    listed = f"{', '.join(untested)}; nor on " if untested and card.quality else ""
    if card.quality:
        yield f"Never tested on {listed}any distortion, degree or camera that is not in the table."
    else:
        yield "On what it was tested is not recorded."
