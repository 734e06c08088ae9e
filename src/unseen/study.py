"""Methods and seeds under one protocol at one budget: train, test, gather the rows, report."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Event

import torch
from rich.progress import Progress
from torch import nn

from . import __version__
from .checkpoints import CHECKPOINT, Card, load_checkpoint
from .config import CompareConfig, EvaluateConfig, Machine, Recipe, Testing, TrainConfig, load_config, save_config
from .data import Photo
from .data.overlap import overlaps
from .data.sources import load_test_set, training_photos
from .errors import UserError
from .evaluation import at_size_of, levels_of, measure, on_device, to_pixels
from .methods import METHODS, Method
from .parts import build
from .protocols import Protocol, load_protocol
from .report import LearningCurve, Picture, write_report
from .rows import Row, read_rows, write_rows
from .training import CONFIG, LOG, holds_a_run, is_finished, protocol_of, train, training_pairs

ROWS = "results.jsonl"
REPORT = "report.html"
TEST_SEED = 0  # of the test distortions in a study: one for all, so that every network is given the same
CROP = 160  # side of a picture in the report, pixels


@dataclass(frozen=True)
class Tests:
    """Test photographs, each with the name of its set; and the files that could not be read."""

    photos: list[tuple[str, Photo]]
    skipped: list[str]

    @classmethod
    def load(cls, wanted: Testing, protocol: Protocol, enlarge: int, trained_on: Sequence[Photo]) -> Tests:
        """What the configuration wants, for a protocol.

        enlarge: by how much smaller inputs are to be enlarged beforehand. trained_on: photographs that must not
        be among them. Raises UserError where a set is missing, empty, named twice, or of pairs that the protocol
        has no line for; where nothing unseen would be tested; and where a test image was trained on.
        """
        wanted.check_tests()
        if wanted.crop % protocol.scale:
            raise UserError(
                f"crop: {wanted.crop} is no multiple of {protocol.scale}, by which {protocol.name} enlarges"
            )
        found = [load_test_set(source, protocol.scale, enlarge) for source in wanted.test]
        names = [name for name, _, _ in found]
        if len(set(names)) < len(names):
            raise UserError(f"test: two sets have one name ({', '.join(names)}); give them as NAME=DIR")
        whole = [(name, photo) for name, photos, _ in found for photo in spread(photos, wanted.images)]
        refuse_trained_on(whole, trained_on)
        refuse_untestable(whole, protocol)
        photos = [(name, photo.centre(wanted.crop) if wanted.crop else photo) for name, photo in whole]
        return cls(photos, [f"{name}/{s.name}: {s.reason}" for name, _, skipped in found for s in skipped])

    def excerpts(self) -> list[tuple[str, Photo]]:
        """The centre of the first photograph of each set, for pictures."""
        firsts = {name: photo for name, photo in reversed(self.photos)}
        return [(name, photo.centre(CROP)) for name, photo in reversed(firsts.items())]


def spread(photos: list[Photo], most: int) -> list[Photo]:
    """At most so many, spread evenly over their order; all for 0."""
    count = min(most or len(photos), len(photos))
    return [photos[i * len(photos) // count] for i in range(count)]


def refuse_trained_on(tests: Sequence[tuple[str, Photo]], trained_on: Sequence[Photo]) -> None:
    """A test image that is also a training image, by content, would be no test."""
    for same in overlaps([photo for _, photo in tests], trained_on)[:1]:
        name = next(name for name, photo in tests if photo is same.first)
        raise UserError(
            f"test: {name}/{same.first.name} is the training photograph {same.second.name} (thumbnails correlate "
            f"{same.correlation:.3f}); take it out of one of the two"
        )


def refuse_untestable(tests: Sequence[tuple[str, Photo]], protocol: Protocol) -> None:
    """Pairs for which the protocol has no line, and tests that would leave all of the unseen untested."""
    splits = set()
    for name, photo in tests:
        levels = levels_of(photo, name, protocol)
        if not levels:
            known = ", ".join(protocol.recorded()) or "none"
            raise UserError(f"test: {name} is of recorded pairs, and {protocol.name} has such lines for {known}")
        splits |= {split for split, _ in levels}
    if "unseen" not in splits:
        sets = [c.degree for split, c in protocol.levels() if split == "unseen"]
        raise UserError(
            f"test: nothing unseen of {protocol.name} is among the tests; give --test {sets[0]}=INPUT_DIR:TARGET_DIR"
            + (f" or another of {', '.join(map(str, sets))}" if len(sets) > 1 else "")
        )


def training_photographs(config: Recipe, protocol: Protocol, methods: Sequence[Method]) -> list[Photo]:
    """Everything that the methods are going to see, to keep it out of the tests."""
    sees_unseen = any(method.sees_unseen for method in methods)
    pairs = training_pairs(config, protocol, protocol.training_confounders(sees_unseen))
    sources = [training_photos(config.data), *pairs.values()]
    return [photo for source in sources for photo in (*source.train, *source.validation)]


def trained_on(card: Card) -> list[Photo] | None:
    """The photographs that a network was trained on; None where they are not all at hand, or have changed."""
    config = Recipe(**{f.name: card.config[f.name] for f in fields(Recipe) if f.name in card.config})
    try:
        return training_photographs(
            config, protocol_of(config), [build(card.config["method"], METHODS, "method", Method)]
        )
    except (UserError, TypeError):
        return None


def evaluate(
    network: nn.Module,
    card: Card,
    run: str,
    protocol: Protocol,
    tests: Tests,
    machine: Machine,
    seed: int,
    stop: Event,
    bar: Progress,
) -> list[Row]:
    """Restore every test image under every level: a row each, fewer if `stop` was set.

    `seed` is that of the test distortions, the same for all networks; the rows carry the training's.
    """
    torch.set_num_threads(machine.threads)
    network = on_device(network, machine.device)
    trained = {name: card.config[name] for name in ("method", "seed", "budget")}
    task = bar.add_task(f"testing {trained['method']}, seed {trained['seed']}", total=len(tests.photos))
    rows: list[Row] = []
    for dataset, photo in tests.photos:
        if stop.is_set():
            break
        levels = levels_of(photo, dataset, protocol)
        for found in measure(network, photo, levels, protocol.convention, machine.device, seed, dataset):
            rows.append(
                Row(
                    run=run,
                    protocol=protocol.name,
                    protocol_hash=protocol.hash(),
                    convention=protocol.convention.hash(),
                    **trained,
                    split=found.split,
                    distortion=found.confounder.kind,
                    degree=found.confounder.degree,
                    dataset=dataset,
                    image=photo.name,
                    psnr=found.psnr,
                    ssim=found.ssim,
                    input_psnr=found.input_psnr,
                    input_ssim=found.input_ssim,
                )
            )
        bar.advance(task)
    bar.remove_task(task)
    return rows


def pictures(
    networks: Sequence[tuple[str, nn.Module]], protocol: Protocol, tests: Tests, device: str, seed: int
) -> list[Picture]:
    """Excerpts under the last level listed of each split: clean, input, and every network's output."""
    shown: dict[tuple[str, str], list[Picture]] = {}
    for dataset, photo in tests.excerpts():
        last = {split: confounder for split, confounder in levels_of(photo, dataset, protocol)}.items()
        for label, network in networks:
            for found in measure(network, photo, last, protocol.convention, device, seed, dataset):
                name = f"{dataset}/{photo.name}"
                about = (name, found.confounder.kind, found.confounder.degree, found.split)
                strip = shown.setdefault((name, found.confounder.name), [])
                if not strip:
                    strip.append(Picture(*about, "clean", None, photo.pixels))
                    given = at_size_of(found.restored, found.distorted)
                    strip.append(Picture(*about, "input", found.input_psnr, to_pixels(given)))
                strip.append(Picture(*about, label, found.psnr, to_pixels(found.restored)))
    return [picture for strip in shown.values() for picture in strip]


@dataclass(frozen=True)
class Outcome:
    """What `compare` found: the rows of the finished runs, whether these are all, and files left out."""

    rows: list[Row]
    complete: bool
    skipped: list[str]


def compare(
    config: CompareConfig,
    stop: Event,
    bar: Progress,
    *,
    title: str,
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> Outcome:
    """Train and test every method with every seed, into `config.out`: results.jsonl and report.html.

    A study that was interrupted goes on where it stopped, and a finished one runs nothing again. Setting
    `stop` ends it after the step in hand; the report then covers the finished runs.
    Raises UserError where something named cannot be used, or where the folder holds another study.
    """
    config.check()
    protocol = protocol_of(config)
    enlarge = load_protocol(config.protocol).scale // protocol.scale
    methods = [build(method, METHODS, "methods", Method) for method in config.methods]
    tests = Tests.load(config, protocol, enlarge, training_photographs(config, protocol, methods))
    out = Path(config.out)
    _refuse_another_study(out, config, overwrite)
    save_config(out / CONFIG, config)

    runs = [config.run(method, config.seed + i) for i in range(config.seeds) for method in config.methods]
    finished: list[TrainConfig] = []
    rows: list[Row] = []
    before = read_rows(out / ROWS) if (out / ROWS).exists() and not overwrite else []
    images = {(dataset, photo.name) for dataset, photo in tests.photos}
    whole = bar.add_task(f"all of {len(runs)} runs", total=len(runs) * config.budget)
    for run in runs:
        begun = not overwrite and holds_a_run(run.folder) and _is_of_this_study(run)
        trained_before = begun and is_finished(run.folder)
        kept = [row for row in before if row.run == run.folder.name and row.protocol_hash == protocol.hash()]
        if {(row.dataset, row.image) for row in kept} != images:
            kept = []
        elsewhere = bool(kept) and not holds_a_run(run.folder)  # the rows of a finished run came without its folder
        if trained_before or elsewhere:
            bar.advance(whole, config.budget)
        else:
            train(run, stop, bar, resume=begun, whole=whole)
        if stop.is_set():
            break
        if not elsewhere:
            network, card = load_checkpoint(run.folder, run.backbone)
            if card.protocol_hash != protocol.hash():
                raise UserError(
                    f"{run.folder}: trained before {config.protocol} changed; choose another --out, or --overwrite"
                )
            if not kept or not trained_before or not _is_newer(out / ROWS, run.folder / CHECKPOINT):
                kept = evaluate(network, card, run.folder.name, protocol, tests, config, TEST_SEED, stop, bar)
        if stop.is_set():
            break
        rows += kept
        finished.append(run)
        write_rows(out / ROWS, rows)
        left = len(runs) - len(finished)
        so_far = [f"Unfinished: {left} of {len(runs)} runs are yet to come."] if left else []
        report(out, config, protocol, tests, finished, rows, title, [*so_far, *notes])
    return Outcome(rows, len(finished) == len(runs), tests.skipped)


def report(
    out: Path,
    config: CompareConfig,
    protocol: Protocol,
    tests: Tests,
    finished: Sequence[TrainConfig],
    rows: Sequence[Row],
    title: str,
    notes: Sequence[str],
) -> None:
    """The page of a study, pictures from the first seed of each method."""
    finished = [run for run in finished if (run.folder / CHECKPOINT).exists()]  # of others there are rows alone
    firsts = [run for run in finished if run.seed == config.seed]
    networks = [(run.method, load_checkpoint(run.folder, run.backbone)[0].to(config.device)) for run in firsts]
    write_report(
        out / REPORT,
        rows,
        pictures(networks, protocol, tests, config.device, TEST_SEED),
        title=title,
        command=command_line(),
        machine=machine_line(config),
        notes=notes,
        curves=[learning_curve(run) for run in finished],
        reported=protocol.reported,
    )


def write_evaluation(
    out: Path,
    rows: Sequence[Row],
    network: nn.Module,
    card: Card,
    protocol: Protocol,
    tests: Tests,
    config: EvaluateConfig,
    notes: Sequence[str],
) -> None:
    """The rows and the page of one network."""
    write_rows(out / ROWS, rows)
    write_report(
        out / REPORT,
        rows,
        pictures([(card.config["method"], network)], protocol, tests, config.device, config.seed),
        title=f"{card.config['method']} under {protocol.name}",
        command=command_line(),
        machine=machine_line(config),
        notes=notes,
        curves=[],
        reported=protocol.reported,
    )


def learning_curve(run: TrainConfig) -> LearningCurve:
    """A run's validations, from its log."""
    log = [json.loads(line) for line in (run.folder / LOG).read_text().splitlines()]
    keys = ("evaluations", "seconds", "seen_psnr", "held_out_psnr")
    return LearningCurve(run.method, run.seed, *([line[key] for line in log] for key in keys))


def command_line() -> str:
    """The command that is running, as one could type it again."""
    return shlex.join(["unseen", *sys.argv[1:]])


def machine_line(machine: Machine) -> str:
    """Where a number was measured."""
    device = torch.cuda.get_device_name(machine.device) if machine.device.startswith("cuda") else machine.device
    return (
        f"{device}, {machine.threads} threads, {platform.machine()} {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, unseen {__version__}"
    )


def _is_newer(rows: Path, checkpoint: Path) -> bool:
    """Whether rows can be of this checkpoint: a run may have been trained again, and stopped before its test."""
    return rows.exists() and rows.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns


def _is_of_this_study(run: TrainConfig) -> bool:
    """Whether the run's folder holds this very run, begun or finished; an overwritten study may have left others."""
    path = run.folder / CONFIG
    return path.exists() and load_config(path) | {"out": run.out} == asdict(run)


def _refuse_another_study(out: Path, config: CompareConfig, overwrite: bool) -> None:
    """Methods, seeds and test sets may be added to a study; what the runs share may not change under it."""
    if not (out / CONFIG).exists():
        return
    saved, now = load_config(out / CONFIG), asdict(config)
    if "method" in saved:
        raise UserError(f"out: {out} holds a single run; choose another --out")
    # A study that was refused before its first run is no other study.
    begun = any(out.glob("*/resume.safetensors")) or (out / ROWS).exists()
    for name in now if begun and not overwrite else ():
        if name not in ("methods", "seeds", "test", "out") and saved.get(name) != now[name]:
            raise UserError(
                f"{out / CONFIG}: {name} is {saved.get(name)!r} there and {now[name]!r} here; "
                "choose another --out, or --overwrite"
            )
