"""What a restorer has to reach, measured for one model: fidelity, harmlessness, colours, brightness, bfloat16, size.

    python studies/restorer.py --model denoiser --data /path/to/data        # some minutes on two cores
    python studies/restorer.py --model runs/shipped/denoiser --data /path/to/data --quick --rows runs/restorer.jsonl

prints a table: each target, the value of the model that was shipped before, this model's, and whether it reaches the
target. Rows are kept by the weights' digest: what was measured is not measured again. `--quick` takes a part of the
photographs, and holds both models against each other on these. All noise is drawn by seed 0 and the photograph's name.

How each target is read
    σ            12 photographs of CBSD68 (sorted, number i·68//24 for even i), whole; noise clipped and rounded to 8
                 bits, the model not told its level, its output clipped and rounded; mean of their PSNR over RGB. A
                 photograph counts with 60 dB at most, since an output that equals the photograph has no finite PSNR.
    harmed       a pair or a compressed photograph: its PSNR falls by more than 0.05 dB. A clean photograph (Set14,
                 urban20, city12's sharp and city12's blurred pictures): what comes out has less than 54.95 dB to it.
    harm check   a photograph or frame that would hardly change is left as it is, as by `unseen restore`. The kept rows
                 are without the check, which is decided anew from them: where a value differs, both are printed.
    colours      216 flat colours, 64×64 pixels each, channels 0, 51, ... 255: the largest difference of a channel's
                 mean from the colour. Clipping alone moves the mean of the noisy image, which is printed beside.
    brightness   mean over a frame, less the truth's, in gray levels; the largest of all frames. Photon noise alone,
                 100 and 1000 photons at white, hardly clipped anywhere: dark frames (a twentieth of a photograph:
                 0 to 13), bright ones (178 to 230), microscopy (round green cells on black): restorer_frames.py.
    gray         gray copies of the 12 photographs under white noise, no target: PSNR of the gray result.
    bfloat16     mean PSNR in float32 less that in bfloat16, on three of the photographs; the largest of all levels.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from pages import RESULTS, table
from restorer_frames import frames
from restorer_measures import CONVENTION, bfloat16, gray_quality, moved_colours, moved_mean, quality_of
from torch import nn

from unseen.core.grouping import grouped
from unseen.core.jsonl import read_lines, write_lines
from unseen.core.number_text import number
from unseen.core.progress import progress_bars, track
from unseen.data.photo import Photo
from unseen.data.sources import load_test_set
from unseen.data.tensors import to_tensor
from unseen.evaluation.benchmark_sets import spread
from unseen.evaluation.inputs import distort
from unseen.models.backbones import DRUNetSmall
from unseen.models.checkpoint import CHECKPOINT
from unseen.models.files import located
from unseen.models.inference import on_device
from unseen.models.loading import load_network
from unseen.protocols.confounder import parse_confounder
from unseen.restoration.self_check import worth_its_risk

ROWS = RESULTS / "restorer.jsonl"
BEFORE = "fe398c5f7f25"
"""Digest of the weights that were shipped as `denoiser` before this study."""

SIGMAS = {0: 52.0, 2: 44.5, 5: 39.7, 10: 35.7, 15: 33.4, 25: 30.7, 50: 27.4, 75: 25.7}
"""Level of the noise → PSNR to reach, dB."""

GRAY_SIGMAS = (10, 25, 50)
CHECKED = ("bf16", "noise", "gray", "jpeg", "cc15", "city12", "urban20", "set14", "brightness")
"""Tests whose rows have what the harm check goes by."""
HARM = 0.05  # dB: a loss that is one
INVISIBLE = 55.0  # dB: what is as near to a clean photograph is no harm
PHOTONS = (100, 1000)


@dataclass(frozen=True)
class Row:
    """One measured value of a model, and the same of its input (in float32, for `bf16`).

    Attributes:
        weights: digest of the model's weights.
        test, level, image: what was measured, under what, on which image; a case is known by these three.
        before, after: of the input and of the output; PSNR in dB, differences of means in gray levels, or bytes.
        change, noise: what the harm check goes by, root mean square change and noise level (0 where none is read) in
            gray levels; None where there is no check.
    """

    weights: str
    test: str
    level: str
    image: str
    before: float
    after: float
    change: float | None = None
    noise: float | None = None

    @property
    def checked(self) -> Row:
        """The row of what `unseen restore` gives out."""
        if self.change is None or self.noise is None or worth_its_risk(self.change / 255, self.noise):
            return self
        return replace(self, after=self.before)


@dataclass(frozen=True)
class Case:
    """One measurement to make; `measure` returns the values of a `Row` from `before` on."""

    test: str
    level: str
    image: str
    measure: Callable[[nn.Module], tuple[float, ...]]

    @property
    def key(self) -> tuple[str, str, str]:
        """What a row of the same measurement has, too."""
        return self.test, self.level, self.image


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Attributes:
        name: in words.
        test, level: the rows that it is about; every level for an empty one.
        value: function from these rows to the number that is held against the goal.
        goal: the number to reach.
        at_most: whether the number may not be larger, instead of not smaller.
    """

    name: str
    test: str
    level: str
    value: Callable[[Sequence[Row]], float]
    goal: float
    at_most: bool = False

    def reached(self, value: float) -> bool:
        """Whether a value reaches the goal."""
        return value <= self.goal if self.at_most else value >= self.goal


# ----------------------------------------------------------------------------------------------- what is measured


def cases(data: Path, quick: bool) -> Iterator[Case]:
    """Everything that is measured on the test sets below `data`; a part of it where `quick`."""
    clean = spread(photos_of(f"cbsd68={data}/cbsd68"), 24)[::2]
    for photo in clean[::4] if quick else clean:
        for sigma in SIGMAS:
            yield Case("noise", str(sigma), photo.name, quality_of(photo, f"gaussian_noise:{sigma}", "cbsd68"))
        for quality in (85, 30):
            yield Case("jpeg", str(quality), photo.name, quality_of(photo, f"jpeg:{quality}", "cbsd68"))
        for sigma in GRAY_SIGMAS:
            yield Case("gray", str(sigma), photo.name, partial(gray_quality, photo, sigma))
    for photo in clean[1::8] if quick else clean[1::4]:
        for sigma in (0, 15, 50) if quick else SIGMAS:
            noisy = distort(photo, parse_confounder(f"gaussian_noise:{sigma}", "level"), CONVENTION, 0, "cbsd68")
            yield Case("bf16", str(sigma), photo.name, partial(bfloat16, noisy, to_tensor(photo.pixels)))
    for photo in photos_of(f"cc15={data}/cc15/noisy:{data}/cc15/clean"):
        yield Case("cc15", "pairs", photo.name, quality_of(photo))
    for photo in photos_of(f"city12={data}/city12/lr:{data}/city12/hr")[:: 4 if quick else 1]:
        assert photo.recorded is not None
        yield Case("city12", "pairs", photo.name, quality_of(photo))
        yield Case("city12", "sharp", photo.name, quality_of(Photo(photo.name, photo.pixels)))
        yield Case("city12", "blurred", photo.name, quality_of(Photo(photo.name, photo.recorded)))
    for dataset, step in (("urban20", 7), ("set14", 3)):
        for photo in photos_of(f"{dataset}={data}/{dataset}")[:: step if quick else 1]:
            yield Case(dataset, "clean", photo.name, quality_of(photo))
    for sigma in (15, 25):
        yield Case("colours", str(sigma), "cube", partial(moved_colours, sigma))
    for scene, photo in frames(clean[::6] if quick else clean[::3]):
        for photons in PHOTONS:
            yield Case("brightness", scene, f"{photo.name}, {photons} photons", partial(moved_mean, photo, photons))


def photos_of(source: str) -> list[Photo]:
    """The photographs of a test set, sorted by name."""
    return load_test_set(source)[1]


# ------------------------------------------------------------------------------------------------------ the targets


def mean_psnr(rows: Sequence[Row]) -> float:
    """Mean of the outputs."""
    return fmean(row.after for row in rows)


def mean_gain(rows: Sequence[Row]) -> float:
    """Mean of what the outputs gain over the inputs."""
    return fmean(row.after - row.before for row in rows)


def harmed(rows: Sequence[Row]) -> float:
    """How many lose more than `HARM`; above `INVISIBLE` nothing does."""
    return sum(row.after < min(row.before, INVISIBLE) - HARM for row in rows)


def largest_move(rows: Sequence[Row]) -> float:
    """The largest of the differences, without sign."""
    return max(abs(row.after) for row in rows)


def largest_loss(rows: Sequence[Row]) -> float:
    """The largest mean loss of a level."""
    return max(-mean_gain(level) for level in grouped(rows, lambda row: row.level).values())


TARGETS = (
    *(Target(f"σ {sigma}, dB", "noise", str(sigma), mean_psnr, goal) for sigma, goal in SIGMAS.items()),
    Target("CC15, dB", "cc15", "", mean_psnr, 36.9),
    Target("CC15, harmed", "cc15", "", harmed, 0, at_most=True),
    Target("city12, pairs harmed", "city12", "pairs", harmed, 0, at_most=True),
    Target("city12, sharp pictures harmed", "city12", "sharp", harmed, 0, at_most=True),
    Target("city12, blurred pictures harmed", "city12", "blurred", harmed, 0, at_most=True),
    Target("urban20, harmed", "urban20", "", harmed, 0, at_most=True),
    Target("Set14, harmed", "set14", "", harmed, 0, at_most=True),
    Target("JPEG 85, harmed", "jpeg", "85", harmed, 0, at_most=True),
    Target("JPEG 30, gain, dB", "jpeg", "30", mean_gain, 0.5),
    Target("flat colours under σ 15, largest move", "colours", "15", largest_move, 4, at_most=True),
    Target("flat colours under σ 25, largest move", "colours", "25", largest_move, 4, at_most=True),
    *(
        Target(f"brightness, {scene} frames, largest move", "brightness", scene, largest_move, 0.2, at_most=True)
        for scene in ("dark", "bright", "microscopy")
    ),
    Target("file of the weights, MB", "size", "", lambda rows: rows[0].after / 1e6, 8, at_most=True),
    Target("loss by bfloat16, dB", "bf16", "", largest_loss, 0.05, at_most=True),
)


# --------------------------------------------------------------------------------------------- measuring, printing


def digest_of(network: nn.Module) -> str:
    """Twelve hexadecimal digits that change with any weight, and where brightness is kept, which has none."""
    digest = hashlib.sha256(b"kept brightness" if getattr(network, "kept_brightness", False) else b"")
    for name, values in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def measure(
    model: str, data: Path, quick: bool, rows: Path, kept_brightness: str | None
) -> tuple[list[Row], list[Row]]:
    """Measure a model, keep the rows, and return the model's and those of the model before, of the same cases."""
    network, _ = load_network(model)
    if kept_brightness is not None:
        if not isinstance(network, DRUNetSmall):
            raise SystemExit(f"--kept-brightness: {model} is no drunet_small")
        network.kept_brightness = kept_brightness == "true"
    on_device(network.eval(), "cpu")
    weights = digest_of(network)
    path = located(model)
    size = float((path / CHECKPOINT if path.is_dir() else path).stat().st_size)
    wanted = [Case("size", "", "", lambda _: (size, size)), *cases(data / "test", quick)]
    kept = kept_rows(rows)
    unchecked = {key for key, row in kept.items() if row.change is None and row.test in CHECKED}
    missing = [case for case in wanted if (weights, *case.key) not in kept.keys() - unchecked]
    for case in track(missing, model, len(missing)):
        kept[weights, *case.key] = Row(weights, *case.key, *case.measure(network))
    if missing:
        rows.parent.mkdir(parents=True, exist_ok=True)
        write_lines(rows, kept.values())
    everything = kept_rows(ROWS) | kept
    own, before = (
        [everything[digest, *case.key] for case in wanted if (digest, *case.key) in everything]
        for digest in (weights, BEFORE)
    )
    return own, before


def kept_rows(path: Path) -> dict[tuple[str, str, str, str], Row]:
    """The rows of a file, by weights and case; none where there is no file."""
    return {
        (row.weights, row.test, row.level, row.image): row for row in (read_lines(path, Row) if path.exists() else [])
    }


def results_table(own: Sequence[Row], before: Sequence[Row]) -> str:
    """The table of all targets, as Markdown."""
    return table(["target", "to reach", "before", "reached", ""], [list(line_of(t, own, before)) for t in TARGETS])


def line_of(target: Target, own: Sequence[Row], before: Sequence[Row]) -> Iterator[str]:
    """The cells of one target."""
    rows = rows_of(target, own)
    value, plain = target.value([row.checked for row in rows]), target.value(rows)
    yield target.name
    yield f"{'≤' if target.at_most else '≥'} {target.goal:g}"
    yield shown(target, target.value(rows_of(target, before))) if before else "–"
    yield shown(target, value) + (f" ({shown(target, plain)} without the check)" if plain != value else "")
    yield "yes" if target.reached(value) else "no"


def missed(own: Sequence[Row]) -> list[str]:
    """The targets that a model does not reach, each with its value."""
    checked = [row.checked for row in own]
    values = [(target, target.value(rows_of(target, checked))) for target in TARGETS]
    return [f"{target.name}: {shown(target, value)}" for target, value in values if not target.reached(value)]


def rows_of(target: Target, rows: Sequence[Row]) -> list[Row]:
    """The rows that a target is about."""
    return [row for row in rows if row.test == target.test and target.level in ("", row.level)]


def shown(target: Target, value: float) -> str:
    """A value as the table shows it: a count whole."""
    return number(value, ".0f" if target.value is harmed else ".2f")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="a model as `unseen restore` takes it")
    parser.add_argument(
        "--data", required=True, type=Path, help="folder of data sets, whose `test` has cbsd68, cc15, ..."
    )
    parser.add_argument("--quick", action="store_true", help="a part of the photographs")
    parser.add_argument("--rows", type=Path, default=ROWS, help="file of the kept rows")
    parser.add_argument("--kept-brightness", choices=("true", "false"), help="as the model has it if left out")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with progress_bars():
        own, before = measure(given.model, given.data, given.quick, given.rows, given.kept_brightness)
    print(results_table(own, before))


if __name__ == "__main__":
    main()
