"""What the harm check of `unseen restore` buys and costs, and how its three thresholds are chosen.

    python studies/do_no_harm.py --model denoiser --photos runs/shipped/photos --data "$UNSEEN_TEST_DATA"

measures (some five minutes of one core), prints the thresholds that the rule chooses beside those of self_check.py, and
writes docs/results/do-no-harm.md; without --model it does the same from the kept trials. The sentences are in
pages/do-no-harm.md.jinja, by hand.

The rule (`chosen`): on validation photographs, under kinds of noise that are seen or held out in training, as few
restorations as possible may harm, where no kind may lose more than `MOST_LOST` dB in the mean by what is left as it is.
Photographs to test on choose nothing.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from pages import RESULTS, render, table

from unseen.core.atomic import write_text
from unseen.core.grouping import grouped
from unseen.core.number_text import number
from unseen.core.progress import progress_bars, track
from unseen.data.photo import Photo
from unseen.data.sources import load_test_set, training_photos
from unseen.data.tensors import as_levels, to_tensor
from unseen.evaluation.benchmark_sets import spread
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.models.loading import Model, load_model
from unseen.protocols.confounder import parse_confounder
from unseen.protocols.convention import Convention
from unseen.restoration.restorer import noise_of
from unseen.restoration.self_check import QUIET, SLIGHT, SLIGHT_WHERE_QUIET

PAGE, ROWS = RESULTS / "do-no-harm.md", RESULTS / "do-no-harm.jsonl"
SIDE = 256  # of what is restored: the middle of each photograph
IMAGES = 20  # photographs at most of each set
CLEAN = "gaussian_noise:0"
CAMERA = "camera_noise:python,[1e-4,0.012],[1e-6,2e-4],gamma=[1.8,2.6],errors=false"
CHOICE_LEVELS = {
    CLEAN: "none (the photograph itself)",
    "gaussian_noise:2": "Gaussian, σ 2",
    "gaussian_noise:5": "Gaussian, σ 5",
    "gaussian_noise:15": "Gaussian, σ 15",
    "gaussian_noise:50": "Gaussian, σ 50",
    "gaussian_noise:[0.5,3],spread=log > jpeg_transform:[40,95]": "Gaussian, σ 0.5 to 3, then JPEG 40 to 95",
    CAMERA: "a camera's",
    f"{CAMERA} > jpeg_transform:[40,95]": "a camera's, then JPEG 40 to 95",
    "correlated_noise:[2,8],blur=[0.4,1.2],spread=log": "correlated, σ 2 to 8",
    "speckle_noise:10": "speckle, σ 10",
    "poisson_noise:300": "Poisson, 300 photons",
}
"""Level → name, of what the thresholds are chosen on: seen and held-out kinds of `restore-noise`."""
LEVELS = {
    CLEAN: "none (the photograph itself)",
    **{f"gaussian_noise:{sigma}": f"Gaussian, σ {sigma}" for sigma in (1, 2, 5, 15, 25, 50, 75)},
    "correlated_noise:15": "correlated, σ 15",
    "salt_and_pepper:0.02": "salt and pepper, 2 %",
    "film_grain:6": "film grain, 6",
    "jpeg:85": "JPEG, quality 85",
    "jpeg:30": "JPEG, quality 30",
}
"""Level → name, of what CBSD68 is tested under."""
REAL = "cc15"
CONVENTION = Convention(round_input=True)
LARGEST = 60.0  # dB: what is nearer to the truth than that counts as so near; no file of 8 bits shows the difference
INVISIBLE = 55.0  # dB: what is as near to a clean photograph is no harm
HARM = 0.05  # dB: a loss that is one
MOST_LOST = {"gaussian_noise:2": 0.02, "gaussian_noise:5": 0.02, "gaussian_noise:15": 0.02, "gaussian_noise:50": 0.02}
OTHERWISE_LOST = 0.05  # dB, of every other kind


@dataclass(frozen=True)
class Trial:
    """One photograph under one level.

    Attributes:
        dataset, image, level: which photograph, and what was done to it.
        noise: the noise level that wavelets read in the input, gray levels of 255; nan where they read none.
        change: root mean square change by the network, gray levels of 255.
        before, after: PSNR of input and restoration, dB, at most `LARGEST`.
    """

    dataset: str
    image: str
    level: str
    noise: float
    change: float
    before: float
    after: float

    @property
    def harmed(self) -> bool:
        """Whether the restoration is worse than the input, beyond what is invisible."""
        return self.after < min(self.before, INVISIBLE) - HARM

    @property
    def helped(self) -> bool:
        """Whether the restoration is better than the input."""
        return self.after > self.before + HARM


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of `worth_its_risk`, gray levels of 255."""

    slight: float
    quiet: float
    slight_where_quiet: float

    def leave(self, trial: Trial) -> bool:
        """Whether the harm check leaves the photograph as it is."""
        return trial.change < (self.slight if trial.noise >= self.quiet else self.slight_where_quiet)

    def checked(self, trial: Trial) -> float:
        """PSNR of what comes out, dB."""
        return trial.before if self.leave(trial) else trial.after


PRESENT = Thresholds(round(255 * SLIGHT, 3), QUIET, round(255 * SLIGHT_WHERE_QUIET, 3))


# ----------------------------------------------------------------------------------------------- measuring


def measure(model: Model, photos: Path, data: Path) -> tuple[list[Trial], list[Trial]]:
    """The trials to choose by, and those to test by."""
    choice = [
        (folder, photo, level)
        for folder in ("kept", "coded")
        for photo in spread(training_photos([str(photos / folder)]).validation, IMAGES)
        for level in CHOICE_LEVELS
    ]
    tests = [("cbsd68", photo, level) for photo in test_set(f"cbsd68={data}/cbsd68") for level in LEVELS]
    tests += [(REAL, photo, "pairs:cc15") for photo in test_set(f"{REAL}={data}/{REAL}/noisy:{data}/{REAL}/clean")]
    for name, folder in (("city12", "city12/hr"), ("urban20", "urban20"), ("set14", "set14")):
        tests += [(name, photo, CLEAN) for photo in test_set(f"{name}={data}/{folder}")]
    both = [try_out(model, *item) for item in track([*choice, *tests], "restoring", len(choice) + len(tests))]
    return both[: len(choice)], both[len(choice) :]


def test_set(source: str) -> Sequence[Photo]:
    """Photographs of a set, at most `IMAGES`."""
    return spread(load_test_set(source)[1], IMAGES)


def try_out(model: Model, dataset: str, photo: Photo, level: str) -> Trial:
    """Restore the middle of a photograph under a level, and read its noise."""
    crop = photo.centre(SIDE)
    noisy, clean = distort(crop, parse_confounder(level, "level"), CONVENTION, 0, dataset), to_tensor(crop.pixels)
    restored = model.run(noisy)
    change = 255 * float((restored - noisy).square().mean().sqrt())
    before, after = (
        min(LARGEST, float(psnr(image, clean, CONVENTION))) for image in (noisy, as_levels(restored) / 255)
    )
    return Trial(dataset, photo.name, level, noise_of(noisy[0]), change, before, after)


# ------------------------------------------------------------------------------------------------ choosing


def chosen(trials: Sequence[Trial]) -> Thresholds:
    """The thresholds that the rule finds on validation photographs.

    Of equally good ones the present ones, else those that leave least.
    """
    candidates = [
        Thresholds(round(float(slight), 1), round(float(quiet), 1), round(float(more), 1))
        for quiet in np.arange(0, 2.01, 0.2)
        for more in np.arange(0.4, 2.41, 0.1)
        for slight in np.arange(0.4, more + 0.01, 0.1)
    ]
    allowed = [thresholds for thresholds in candidates if lost_too_much(trials, thresholds) is None]
    return min(
        allowed,
        key=lambda t: (
            harms_left(trials, t),
            t != PRESENT,
            sum(map(t.leave, trials)),
            t.slight_where_quiet,
            t.quiet,
            t.slight,
        ),
    )


def lost_too_much(trials: Sequence[Trial], thresholds: Thresholds) -> str | None:
    """A level that loses more by the thresholds than it may; None where there is none."""
    for level, group in grouped(trials, lambda trial: trial.level).items():
        if level != CLEAN and lost(group, thresholds) > MOST_LOST.get(level, OTHERWISE_LOST):
            return level
    return None


def lost(trials: Sequence[Trial], thresholds: Thresholds) -> float:
    """The mean PSNR that is lost by what the thresholds leave as it is, dB; negative where some is won."""
    return fmean(trial.after - thresholds.checked(trial) for trial in trials)


def harms_left(trials: Iterable[Trial], thresholds: Thresholds) -> int:
    """The number of harms that the thresholds do not prevent."""
    return sum(trial.harmed and not thresholds.leave(trial) for trial in trials)


# ------------------------------------------------------------------------------------------------- telling


def page(model: str, choice: Sequence[Trial], tests: Sequence[Trial]) -> str:
    """The whole page."""
    return render(
        "do-no-harm",
        model=model,
        present=PRESENT,
        trials=len(tests),
        harmed=sum(trial.harmed for trial in tests),
        harms_left=harms_left(tests, PRESENT),
        helped=sum(trial.helped for trial in tests),
        cut=len(cut(tests)),
        choice="\n".join(results_table(choice, CHOICE_LEVELS)),
        tests="\n".join(results_table(tests, LEVELS)),
    )


def cut(trials: Iterable[Trial]) -> list[Trial]:
    """The restorations that helped and are not made."""
    return [trial for trial in trials if trial.helped and PRESENT.leave(trial)]


def results_table(trials: Sequence[Trial], names: dict[str, str]) -> Iterator[str]:
    """One line for each level: PSNR, and how often the harm check stepped in, and whether rightly."""
    headings = ["noise", "images", "input", "restored", "with the check", "left", "harmed", "still", "gains given up"]

    def name(trial: Trial) -> str:
        if trial.level == CLEAN and trial.dataset not in ("kept", "coded", "cbsd68"):
            return f"none ({trial.dataset} as it is)"
        return names.get(trial.level, f"real cameras ({REAL})")

    yield table(headings, [[level, *cells(group)] for level, group in grouped(trials, name).items()])


def cells(trials: Sequence[Trial]) -> Iterator[str]:
    """The numbers of one line."""
    yield f"{len(trials)}"
    yield from (number(fmean(trial.before for trial in trials)), number(fmean(trial.after for trial in trials)))
    yield number(fmean(map(PRESENT.checked, trials)))
    yield f"{sum(map(PRESENT.leave, trials))}"
    yield f"{sum(trial.harmed for trial in trials)}"
    yield f"{harms_left(trials, PRESENT)}"
    yield f"{len(cut(trials))} of {sum(trial.helped for trial in trials)}"


# ------------------------------------------------------------------------------------------------- keeping


def write(model: str, choice: Sequence[Trial], tests: Sequence[Trial]) -> None:
    """The rows, the first line saying which model they are of and how many are to choose by."""
    lines = [{"model": model, "choice": len(choice)}, *map(as_row, (*choice, *tests))]
    write_text(ROWS, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def as_row(trial: Trial) -> dict[str, object]:
    """A trial for JSON, of as many digits as count."""
    row = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(trial).items()}
    return row | {"noise": None if math.isnan(trial.noise) else row["noise"]}


def read() -> tuple[str, list[Trial], list[Trial]]:
    """What `write` wrote."""
    first, *rows = (json.loads(line) for line in ROWS.read_text().splitlines())
    trials = [Trial(**row | {"noise": math.nan if row["noise"] is None else row["noise"]}) for row in rows]
    return first["model"], trials[: first["choice"]], trials[first["choice"] :]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a model as `unseen restore` takes it; without it, the kept rows are used")
    parser.add_argument("--photos", type=Path, help="what `make free-photos` writes")
    parser.add_argument("--data", type=Path, help="folder of data sets, whose `test` has cbsd68, cc15, ...")
    given = parser.parse_args()
    if given.model:
        with progress_bars():
            write(given.model, *measure(load_model(given.model), given.photos, given.data / "test"))
    model, choice, tests = read()
    best = chosen(choice)
    print(f"the rule chooses {best}")
    print(f"self_check.py has {PRESENT}" + ("" if best == PRESENT else ": edit it, and run this without --model"))
    write_text(PAGE, page(model, choice, tests))
    print(PAGE)


if __name__ == "__main__":
    main()
