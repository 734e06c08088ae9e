"""What each command does, from its configuration to its exit code. Slow imports wait until they are needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic import require_writable
from ..core.config import CompareConfig, DegradeConfig, DemoConfig, EvaluateConfig, TrainConfig
from ..core.errors import UserError
from ..core.units import Budget

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from ..evaluation.results import Row
    from ..protocols.protocol import Protocol
    from ..study.runs import Record
    from ..training.loop import Position

DONE, PARTLY, REFUSED, INTERRUPTED = 0, 1, 2, 130
ANOTHER_PROTOCOL = (
    "Trained under another protocol, or another version of this one: what is called seen and unseen here may not "
    "be what this network saw."
)
UNCHECKED = "Whether a test image is among the photographs that this network was trained on was not checked: {reason}."
UNFINISHED = "The training was interrupted: {spent:g} of {amount:g} gradient evaluations were spent."
KINDS = ("methods", "distortions", "backbones", "protocols")


def demo(config: DemoConfig, told: Namespace) -> int:
    """ERM, DIL_sf and the ceiling on embedded photographs."""
    from ..study.demo import NOTES, TITLE, study_config

    return _compare(study_config(config), told.overwrite, TITLE, NOTES)


def compare(config: CompareConfig, told: Namespace) -> int:
    """Methods and seeds under one protocol."""
    names = ", ".join(config.methods)
    return _compare(config, told.overwrite, f"{names} under {Path(config.protocol).stem}", ())


def _compare(config: CompareConfig, overwrite: bool, title: str, notes: Sequence[str]) -> int:
    from ..core.interruption import interruptible
    from ..core.progress import progress_bar
    from ..evaluation.results import ROWS
    from ..protocols.loading import load_protocol
    from ..study import compare as study

    require_writable(Path(config.out))
    with interruptible() as stop, progress_bar() as bar:
        outcome = study.compare(config.resolved(), stop, bar, title=title, notes=notes, overwrite=overwrite)
    _show(outcome.rows, outcome.records, outcome.skipped, load_protocol(config.protocol), notes)
    if outcome.rows:
        print(f"{config.out}/{study.REPORT}, {config.out}/{ROWS}")
    for line in outcome.failed:
        print(f"left out {line}", file=sys.stderr)
    if not outcome.complete:
        print(f"interrupted: the same command{' without --overwrite' * overwrite} goes on from here")
        return INTERRUPTED
    return PARTLY if outcome.skipped or outcome.failed else DONE


def train(config: TrainConfig, told: Namespace) -> int:
    """One network by one method."""
    from ..core.interruption import interruptible
    from ..core.progress import progress_bar
    from ..training import loop as training

    if told.resume and told.overwrite:
        raise UserError("give --resume or --overwrite, not both")
    require_writable(config.folder)
    if told.resume:
        config = _resumed(config.resolved(), told.explicit)
    elif any(config.folder.glob("*/config.yaml")):
        raise UserError(f"out: {config.folder} holds a study; give another --out")
    elif not told.overwrite and training.holds_a_run(config.folder):
        raise UserError(f"out: {config.folder} holds a run; give --resume, --overwrite, or another --out")
    config = replace(config.resolved(), out=str(config.folder))
    with interruptible() as stop, progress_bar() as bar:
        position = training.train(config, stop, bar, resume=told.resume)
    if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
        _tell(config, position)
    return DONE if position.finished else INTERRUPTED


def _tell(config: TrainConfig, position: Position) -> None:
    """What a run came to."""
    from ..training.loop import spent

    waiting = position.waiting / max(position.seconds, 1e-9)
    print(
        f"{config.folder}: {spent(position, config):g} gradient evaluations (budget: {config.limit}), "
        f"{position.step} steps, {position.seconds:.0f} s of training, {waiting:.1%} of them waiting for data"
    )
    if position.log:
        last = position.log[-1]
        print(f"validation: seen {last['seen_psnr']:.2f} dB, held-out {last['held_out_psnr']:.2f} dB")
    if not position.finished:
        print(f"interrupted: unseen train --resume --out {config.folder} goes on from here")


def _resumed(config: TrainConfig, explicit: Iterable[str]) -> TrainConfig:
    """The configuration that the run was started with; an option that contradicts it is refused."""
    from ..core.config import CONFIG
    from .main import read_file

    path = config.folder / CONFIG
    if not path.exists():
        raise UserError(f"out: {config.folder} holds no run to resume")
    saved = TrainConfig(**read_file(TrainConfig, path))
    for name, value in asdict(config).items():
        if name in explicit and name != "out" and getattr(saved, name) != value:
            raise UserError(f"{name}: {value!r}, but the run in {config.folder} has {getattr(saved, name)!r}")
    return replace(saved, out=str(config.folder))


def evaluate(config: EvaluateConfig, told: Namespace) -> int:
    """A checkpoint on test photographs."""
    from ..core.interruption import interruptible
    from ..core.progress import progress_bar
    from ..evaluation.benchmark_sets import Tests
    from ..evaluation.evaluate import Trained
    from ..evaluation.evaluate import evaluate as evaluate_network
    from ..evaluation.quality import read_noise
    from ..evaluation.results import ROWS
    from ..models.card import quality_of
    from ..models.checkpoint import load_checkpoint, with_quality
    from ..protocols.loading import load_protocol, protocol_names
    from ..study import compare as study
    from ..training.training_data import trained_on

    config = config.resolved()
    out = Path(config.out)
    require_writable(out)
    if (out / ROWS).exists() and not told.overwrite:
        raise UserError(f"out: {out} holds an evaluation; give --overwrite, or another --out")
    network, card = load_checkpoint(Path(told.checkpoint), config.backbone)
    if not config.protocol and card.config["protocol"] not in protocol_names():
        raise UserError(f"protocol: trained under a file, {card.config['protocol']}; confirm it with --protocol")
    protocol = load_protocol(config.protocol or card.config["protocol"])
    protocol = protocol.enlarged() if card.config.get("enlarge") else protocol
    if config.card and protocol.hash() != card.protocol_hash:
        raise UserError("card: what another protocol calls seen is not what this network saw; test it under its own")
    notes = [] if protocol.hash() == card.protocol_hash else [ANOTHER_PROTOCOL]
    limit = Budget.parse(card.config["budget"])
    if (
        limit.unit == "evaluations"
        and card.config.get("select", "last") == "last"
        and card.evaluations < 0.9 * limit.amount
    ):
        notes.append(UNFINISHED.format(spent=card.evaluations, amount=limit.amount))
    learnt = trained_on(card, config.protocol, config.method)
    notes += [] if isinstance(learnt, list) else [UNCHECKED.format(reason=learnt)]
    tests = Tests.load(config, protocol, learnt if isinstance(learnt, list) else [])
    file = Path(told.checkpoint).resolve()
    run = file.name if file.is_dir() else file.parent.name
    trained = Trained(network, card, run, card.config["method"])
    with interruptible() as stop, progress_bar() as bar:
        rows = evaluate_network(trained, protocol, tests, config, config.seed, stop, bar)
        if config.card and not stop.is_set():
            with_quality(Path(told.checkpoint), quality_of(rows, read_noise(tests.photos, protocol, config.seed)))
    if rows:
        study.write_evaluation(rows, trained, protocol, tests, config, notes)
    _show(rows, [], tests.skipped, protocol, notes)
    if rows:
        print(f"{out / study.REPORT}, {out / ROWS}")
    if stop.is_set():
        print(f"interrupted: {len({(row.dataset, row.image) for row in rows})} of {len(tests.photos)} images")
        return INTERRUPTED
    return PARTLY if tests.skipped else DONE


def degrade(config: DegradeConfig, told: Namespace) -> int:
    """Degraded copies, the same once more from their sidecar, or pictures of several degrees."""
    import torch

    from ..core.interruption import interruptible
    from ..core.progress import progress_bar
    from ..data.file_jobs import refuse_existing, refuse_outputs
    from ..distortions import copies as degradation

    config.check(told.grid)
    photos, out = [Path(name) for name in told.photo], Path(config.out)
    require_writable(out)
    config = config.resolved()
    torch.set_num_threads(config.threads)
    if config.replay:
        records = degradation.read_records(Path(config.replay), config.distortion)
        jobs = degradation.plan_replay(photos, records)
        work = partial(degradation.replay_copies, jobs, records)
    elif told.grid:
        from ..evaluation import grid

        levels = grid.levels_from(config.distortion, config.protocol)
        if config.protocol and (line := grid.left_out(config.protocol)):
            print(line, file=sys.stderr)
        jobs = degradation.plan(photos, grid.ENDING)
        work = partial(grid.make_grids, jobs, levels, seed=config.seed)
    else:
        jobs = degradation.plan(photos)
        work = partial(degradation.make_copies, jobs, config.distortion[0], seed=config.seed)
    refuse_outputs(photos, jobs, out)
    if not told.overwrite:
        refuse_existing(jobs, out)
    with interruptible() as stop, progress_bar():
        outcome = work(out=out, device=config.device, stop=stop)
    for skipped in outcome.skipped:
        print(f"skipped {skipped.name}: {skipped.reason}", file=sys.stderr)
    print(f"{out}: {outcome.written} of {outcome.wanted} {'grids' if told.grid else 'copies'}")
    if stop.is_set():
        print("interrupted: the same command with --overwrite makes them all")
        return INTERRUPTED
    return PARTLY if outcome.skipped else DONE


def list_parts(config: None, told: Namespace) -> int:
    """Each part of a kind: its settings, what it is, and where it comes from."""
    from textwrap import fill

    from rich.console import Console
    from rich.text import Text

    from ..core.registry import about, signature
    from ..distortions import DISTORTIONS
    from ..methods import METHODS
    from ..models.backbones import BACKBONES
    from ..protocols.loading import load_protocol, protocol_names

    parts: dict[str, Mapping[str, Callable[..., Any]]] = {
        "methods": METHODS,
        "distortions": DISTORTIONS,
        "backbones": BACKBONES,
    }
    lines: list[tuple[str, str, str]] = []
    for name, part in parts.get(told.kind, {}).items():
        lines.append((name, signature(part), about(part)))
    for name in protocol_names() if told.kind == "protocols" else ():
        lines.append((name, "", load_protocol(name).about))
    console = Console(highlight=False, markup=False)
    for name, settings, line in lines:
        console.print(Text.assemble((name, "bold"), ":" if settings else "", settings), soft_wrap=True)
        console.print(fill(line, console.width, initial_indent="    ", subsequent_indent="    "), soft_wrap=True)
    return DONE


def describe(config: None, told: Namespace) -> int:
    """Everything a protocol says, for people."""
    from rich.console import Console

    from ..protocols.loading import load_protocol
    from ..study.report.terminal import print_protocol

    print_protocol(load_protocol(told.protocol), Console(highlight=False, markup=False))
    return DONE


def check_data(config: None, told: Namespace) -> int:
    """What is missing from the folders of known data sets."""
    from ..data.known_sets import check_data_source

    wrong = 0
    for source in told.sets:
        check = check_data_source(source)
        print(check.summary)
        for problem in check.problems:
            print(f"  {problem}")
        wrong += bool(check.problems)
    return PARTLY if wrong else DONE


def rank(config: None, told: Namespace) -> int:
    """Studies side by side: every line's place in each, and its mean place."""
    from rich.console import Console

    from ..study.ranking import print_ranks

    print_ranks([Path(name) for name in told.studies], Console(highlight=False, markup=False))
    return DONE


def _show(
    rows: list[Row], records: list[Record], skipped: Iterable[str], protocol: Protocol, notes: Iterable[str]
) -> None:
    """Tables of what was measured; apart from them, what others reported; in words, what it is worth."""
    from rich.console import Console

    from ..study.report.terminal import print_reported_tables, print_table

    console = Console(highlight=False, markup=False)
    if rows:
        print_table(rows, console, records)
    print_reported_tables(protocol.reported, {row.dataset for row in rows}, console)
    for note in notes:
        console.print(f"\n{note}")
    for line in skipped:
        print(f"not tested: {line}", file=sys.stderr)
