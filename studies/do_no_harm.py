"""What the self-checks of `unseen restore` buy and cost, on photographs with noise that is made and with real noise.

    UNSEEN_TEST_DATA=... python studies/do_no_harm.py --model denoiser

measures (some minutes; --images 10 for a quick look at so many of each set), and writes docs/results/do-no-harm.md;
without --model it writes the page again from the kept trials. The sentences are in pages/do-no-harm.md.jinja, by hand.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from pages import RESULTS, render

from unseen.core.atomic import write_text
from unseen.core.errors import UserError
from unseen.core.grouping import grouped
from unseen.core.number_text import signed
from unseen.core.progress import progress_bars, track
from unseen.core.statistics import estimate
from unseen.data.photo import Photo
from unseen.data.sources import load_test_set
from unseen.data.tensors import to_tensor
from unseen.evaluation.benchmark_sets import spread
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.evaluation.noise import Crop, photo_noise
from unseen.models.card import Envelope, envelope
from unseen.models.loading import Model, load_model
from unseen.protocols.confounder import Confounder, parse_confounder
from unseen.protocols.convention import Convention
from unseen.restoration.guarded_model import with_colours_kept
from unseen.restoration.self_check import envelope_warning, harmless_share

PAGE, ROWS = RESULTS / "do-no-harm.md", RESULTS / "do-no-harm.jsonl"
SIDE = 192  # of what is restored: the middle of each photograph
LEVELS = {
    "gaussian_noise:0": "none (the photograph itself)",
    "gaussian_noise:2": "Gaussian, σ 2",
    "gaussian_noise:5": "Gaussian, σ 5",
    "gaussian_noise:15": "Gaussian, σ 15",
    "gaussian_noise:25": "Gaussian, σ 25",
    "gaussian_noise:50": "Gaussian, σ 50",
    "gaussian_noise:75": "Gaussian, σ 75",
    "correlated_noise:15": "correlated, σ 15",
    "salt_and_pepper:0.02": "salt and pepper, 2 %",
    "jpeg:30": "JPEG, quality 30",
}
REAL = "cc15"
CONVENTION = Convention(round_input=True)
LARGEST = 60.0  # dB: what is nearer to the truth than that counts as so near; no file of 8 bits shows the difference
VISIBLE = 0.1  # dB: a gain or a loss below it is neither


@dataclass(frozen=True)
class Trial:
    """One photograph under one level.

    Attributes:
        dataset, image, level: which photograph, and what was done to it.
        reading: the estimated noise level of the input, gray levels of 255; nan where nothing can be estimated.
        warned: whether the noise level lies outside the envelope of the model's card.
        share: the share of the restoration that the self-check keeps.
        given, plain, harmless: PSNR of input, restoration, and blend (colours kept), dB, at most `LARGEST`.
    """

    dataset: str
    image: str
    level: str
    reading: float
    warned: bool
    share: float
    given: float
    plain: float
    harmless: float

    @property
    def inside(self) -> float:
        """PSNR of restoring only where no warning was given, dB."""
        return self.given if self.warned else self.plain

    @property
    def gain(self) -> float:
        """What the plain restoration gains over the input, dB."""
        return self.plain - self.given


@dataclass(frozen=True)
class About:
    """The model that the trials are of: its network, its envelope as readings, and on what that was measured."""

    model: str
    backbone: str
    method: str
    low: float
    high: float
    measured_on: str


# ----------------------------------------------------------------------------------------------- measuring


def measure(model: Model, data: Path, images: int) -> list[Trial]:
    """Photographs of CBSD68 under every level, and the pairs of CC; all of them for 0.

    Raises UserError where they are missing, and for a model without an envelope.
    """
    found = envelope(model.card.quality if model.card else ())
    if found is None:
        raise UserError(f"model: {model.name} has no safe envelope in its card; unseen evaluate --card true writes one")
    _, clean, _ = load_test_set(f"cbsd68={data}/cbsd68")
    _, real, _ = load_test_set(f"{REAL}={data}/{REAL}/noisy:{data}/{REAL}/clean")
    made = [parse_confounder(spec, "level") for spec in LEVELS]
    work = [("cbsd68", photo, confounder) for photo in spread(clean, images) for confounder in made]
    work += [(REAL, photo, parse_confounder(f"pairs:{REAL}", "level")) for photo in spread(real, images)]
    return [try_out(model, found, *item) for item in track(work, "restoring", len(work))]


def try_out(model: Model, safe: Envelope, dataset: str, photo: Photo, confounder: Confounder) -> Trial:
    """The noise is read from the whole photograph, the middle restored and judged."""
    whole = distort(photo, confounder, CONVENTION, 0, dataset)
    crop = photo.centre(SIDE)
    top, left = ((side - SIDE) // 2 for side in whole.shape[-2:])
    noisy = whole[..., top : top + SIDE, left : left + SIDE]
    reading = photo_noise([array_of(whole)])
    restored = model.run(noisy)
    known = replace(model, run=lambda image: restored if torch.equal(image, noisy) else model.run(image))
    guarded = with_colours_kept(known, photo_noise([array_of(noisy)]))
    share = harmless_share(guarded, [array_of(noisy)])
    given, plain, harmless = (
        min(LARGEST, float(psnr(image, to_tensor(crop.pixels), CONVENTION)))
        for image in (noisy, restored, noisy + share * (guarded.run(noisy) - noisy))
    )
    warned = envelope_warning(reading, safe) is not None
    return Trial(dataset, photo.name, confounder.name, reading, warned, share, given, plain, harmless)


def array_of(image: torch.Tensor) -> Crop:
    """(1, 3, H, W) as (H, W, 3)."""
    found: NDArray[np.float32] = image[0].permute(1, 2, 0).contiguous().numpy()
    return found


def about(model: Model, safe: Envelope) -> About:
    """What the page says of the model."""
    assert model.card is not None
    sets = dict.fromkeys(quality.dataset for quality in model.card.quality)
    config = model.card.config
    return About(model.name, config["backbone"], config["method"], safe.low, safe.high, ", ".join(sets))


# ------------------------------------------------------------------------------------------------- telling


def page(model: About, trials: Sequence[Trial]) -> str:
    """The whole page."""
    levels = grouped(trials, name_of)
    harmed, helped = harmed_in(trials), helped_in(trials)
    made = grouped((trial for trial in trials if trial.dataset != REAL), lambda trial: trial.level)
    return render(
        "do-no-harm",
        model=model,
        trials=len(trials),
        harmed=len(harmed),
        helped=len(helped),
        warned=sum(t.warned for t in harmed),
        wrongly=sum(t.warned for t in helped),
        prevented=len(prevented_in(trials)),
        cut=len(cut_in(trials)),
        differences={
            rule: {level: fmean(getattr(t, rule) - t.plain for t in group) for level, group in made.items()}
            for rule in ("harmless", "inside")
        },
        quality="\n".join(quality_table(levels)),
        rules="\n".join(rules_table(levels)),
    )


def name_of(trial: Trial) -> str:
    return f"real cameras ({REAL})" if trial.dataset == REAL else LEVELS[trial.level]


def quality_table(levels: dict[str, list[Trial]]) -> Iterator[str]:
    """PSNR by level and rule."""
    yield "| noise | reading | input | restored | blended | only inside | blending − restoring | warning − restoring |"
    yield "| :--- | ---: | ---: | ---: | ---: | ---: | :--- | :--- |"
    for name, level in levels.items():
        means = [fmean(getattr(t, rule) for t in level) for rule in ("given", "plain", "harmless", "inside")]
        cells = [f"{reading(level):.1f}", *(f"{mean:.2f}" for mean in means)]
        differences = [interval([getattr(t, rule) - t.plain for t in level]) for rule in ("harmless", "inside")]
        yield f"| {name} | {' | '.join([*cells, *differences])} |"


def reading(level: Sequence[Trial]) -> float:
    known = [t.reading for t in level if not math.isnan(t.reading)]
    return fmean(known) if known else math.nan


def interval(values: Sequence[float]) -> str:
    """`+0.31 [+0.12, +0.50]`; 0 where all are."""
    if not any(values):
        return "0"
    gain = estimate(values)
    if gain.spread is None:
        return signed(gain.mean)
    return f"{signed(gain.mean)} [{signed(gain.mean - gain.spread)}, {signed(gain.mean + gain.spread)}]"


def rules_table(levels: dict[str, list[Trial]]) -> Iterator[str]:
    """How often each rule stepped in, and whether rightly."""
    yield (
        "| noise | images | harmed | helped | warned | harmed and warned | helped and warned | mean share kept "
        "| harm prevented by the blend | gains cut by the blend |"
    )
    yield "| :--- |" + " ---: |" * 9
    for name, level in levels.items():
        harmed, helped = harmed_in(level), helped_in(level)
        cells = [
            f"{len(level)}",
            f"{len(harmed)}",
            f"{len(helped)}",
            f"{sum(t.warned for t in level)}",
            share_of(sum(t.warned for t in harmed), len(harmed)),
            share_of(sum(t.warned for t in helped), len(helped)),
            f"{fmean(t.share for t in level):.2f}",
            share_of(len(prevented_in(level)), len(harmed)),
            share_of(len(cut_in(level)), len(helped)),
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def harmed_in(level: Iterable[Trial]) -> list[Trial]:
    return [t for t in level if t.gain <= -VISIBLE]


def helped_in(level: Iterable[Trial]) -> list[Trial]:
    return [t for t in level if t.gain >= VISIBLE]


def prevented_in(level: Iterable[Trial]) -> list[Trial]:
    """Harmed by the plain restoration, and not by the blend."""
    return [t for t in harmed_in(level) if t.harmless - t.given > -VISIBLE]


def cut_in(level: Iterable[Trial]) -> list[Trial]:
    """Helped, and by the blend a good deal less."""
    return [t for t in helped_in(level) if t.harmless - t.plain <= -VISIBLE]


def share_of(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else "–"


# ------------------------------------------------------------------------------------------------- keeping


def write(model: About, trials: Sequence[Trial]) -> None:
    """The rows, the first line saying which model they are of."""
    lines = [asdict(model), *({**asdict(t), "reading": None if math.isnan(t.reading) else t.reading} for t in trials)]
    write_text(ROWS, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def read() -> tuple[About, list[Trial]]:
    """What `write` wrote."""
    first, *rest = (json.loads(line) for line in ROWS.read_text().splitlines())
    return About(**first), [
        Trial(**row | {"reading": math.nan if row["reading"] is None else row["reading"]}) for row in rest
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a model as `unseen restore` takes it; without it, the kept rows are used")
    parser.add_argument("--images", type=int, default=0, help="so many photographs of each set; 0 takes all")
    given = parser.parse_args()
    if given.model:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        model = load_model(given.model)
        with progress_bars():
            trials = measure(model, Path(os.environ["UNSEEN_TEST_DATA"]) / "test", given.images)
        safe = envelope(model.card.quality if model.card else ())
        assert safe is not None  # or nothing would have been measured
        write(about(model, safe), trials)
    write_text(PAGE, page(*read()))
    print(PAGE)


if __name__ == "__main__":
    main()
