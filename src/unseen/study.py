"""Methods and seeds under one protocol at one budget: train, test, gather the rows, report."""

from __future__ import annotations

import json
import math
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
from .config import CompareConfig, EvaluateConfig, Machine, Recipe, TrainConfig, load_config, save_config
from .data import Photo
from .errors import UserError
from .evaluation import at_size_of, judge_input, levels_of, measure, on_device, to_pixels
from .methods import METHODS, Method
from .parts import build, name_of
from .protocols import Protocol, protocol_names
from .report import LearningCurve, Picture, write_report
from .rows import Row, read_rows, write_rows
from .testing import Tests
from .training import CONFIG, LOG, Material, holds_a_run, is_finished, protocol_of, train

ROWS = "results.jsonl"
REPORT = "report.html"
TEST_SEED = 0  # of the test distortions in a study: one for all, so that every network is given the same


def materials(config: Recipe, protocol: Protocol, methods: Sequence[Method]) -> dict[bool, Material]:
    """What is trained on, by whether a method sees the unseen levels too."""
    if not protocol.recorded():  # then all see the same photographs
        methods = [*methods][:1]
    found = {method.sees_unseen: Material.of(config, protocol, method) for method in methods}
    one = next(iter(found.values()))
    return {sees_unseen: found.get(sees_unseen, one) for sees_unseen in (False, True)}


def trained_on(card: Card, protocol_confirmed: str) -> list[Photo] | None:
    """The photographs that a network was trained on; None where they are not all at hand, or have changed.

    Code that a card names is not imported on its word: a method of the user's own, or a protocol file other than the
    one confirmed, count as not at hand.
    """
    known = {f.name: card.config[f.name] for f in fields(Recipe) if f.name in card.config}
    known_protocols = (*protocol_names(), protocol_confirmed)
    if name_of(card.config["method"]) not in METHODS or known["protocol"] not in known_protocols:
        return None
    try:
        config = Recipe(**known)
        method = build(card.config["method"], METHODS, "method", Method)
        material = Material.of(config, protocol_of(config), method)
    except (UserError, TypeError):
        return None
    return material.photos() if material.digest() == card.data else None


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
                    data=card.data,
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
    for dataset, photo in tests.excerpts(protocol.step):
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
    methods = {method: build(method, METHODS, "methods", Method) for method in config.methods}
    learnt = materials(config, protocol, list(methods.values()))
    tests = Tests.load(config, protocol, [photo for m in learnt.values() for photo in m.photos()])
    out = Path(config.out)
    _refuse_another_study(out, config, overwrite)
    save_config(out / CONFIG, config)

    runs = [config.run(method, config.seed + i) for i in range(config.seeds) for method in config.methods]
    finished: list[TrainConfig] = []
    rows: list[Row] = []
    others = read_rows(out / ROWS) if (out / ROWS).exists() and not overwrite else []
    whole = bar.add_task(f"all of {len(runs)} runs", total=len(runs) * config.budget)
    for run in runs:
        data = learnt[methods[run.method].sees_unseen].digest()
        begun = not overwrite and holds_a_run(run.folder) and _is_of_this_study(run)
        trained_before = begun and is_finished(run.folder)
        kept = standing_rows(others, run, protocol, tests, data)
        elsewhere = bool(kept) and not holds_a_run(run.folder)  # the rows of a finished run came without its folder
        if trained_before or elsewhere:
            bar.advance(whole, config.budget)
        else:
            train(run, stop, bar, resume=begun, whole=whole)
        if stop.is_set():
            break
        if not elsewhere:
            network, card = load_checkpoint(run.folder, run.backbone)
            _refuse_other_training(run, card, protocol, data)
            if not kept or not trained_before or not _is_newer(out / ROWS, run.folder / CHECKPOINT):
                kept = evaluate(network, card, run.folder.name, protocol, tests, config, TEST_SEED, stop, bar)
        if stop.is_set():
            break
        rows += kept
        finished.append(run)
        others = [row for row in others if row.run != run.folder.name]
        write_rows(out / ROWS, [*rows, *others])  # what is yet to be looked at, or was not asked for, stays
        left = len(runs) - len(finished)
        so_far = [f"Unfinished: {left} of {len(runs)} runs are yet to come."] if left else []
        report(out, config, protocol, tests, finished, rows, title, [*so_far, *notes])
    return Outcome(rows, len(finished) == len(runs), tests.skipped)


def standing_rows(rows: Sequence[Row], run: TrainConfig, protocol: Protocol, tests: Tests, data: str) -> list[Row]:
    """The rows of a run, if they are of these very tests, levels and training photographs; else none.

    Whether a test image is still the same is seen by what it measures undone, under one of its levels.
    """
    found = [row for row in rows if (row.run, row.protocol_hash, row.data) == (run.folder.name, protocol.hash(), data)]
    inputs = {(row.dataset, row.image, row.level): row.input_psnr for row in found}
    wanted = [
        (dataset, photo, [(split, c.kind, c.degree) for split, c in levels_of(photo, dataset, protocol)])
        for dataset, photo in tests.photos
    ]
    if inputs.keys() != {(dataset, photo.name, level) for dataset, photo, levels in wanted for level in levels}:
        return []
    for dataset, photo, levels in wanted:
        _, confounder = levels_of(photo, dataset, protocol)[0]
        measured, _ = judge_input(photo, confounder, protocol.convention, TEST_SEED, dataset)
        if not math.isclose(measured, inputs[dataset, photo.name, levels[0]], abs_tol=1e-3):  # dB
            return []
    return found


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


def _refuse_other_training(run: TrainConfig, card: Card, protocol: Protocol, data: str) -> None:
    """A run that was trained under another protocol, or on other photographs, is none of this study."""
    for what, changed in (
        (run.protocol, card.protocol_hash != protocol.hash()),
        (f"what is in {', '.join([*run.data, *run.pairs])}", card.data != data),
    ):
        if changed:
            raise UserError(f"{run.folder}: trained before {what} changed; choose another --out, or --overwrite")


def _refuse_another_study(out: Path, config: CompareConfig, overwrite: bool) -> None:
    """Methods, seeds and test sets may be added to a study; what the runs share may not change under it."""
    if not (out / CONFIG).exists():
        if (out / ROWS).exists() and not overwrite:
            raise UserError(f"out: {out / ROWS} is there without its {CONFIG}; choose another --out, or --overwrite")
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
