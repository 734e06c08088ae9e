"""Methods and seeds under one protocol at one budget: train, test, gather the rows, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from rich.progress import Progress, TaskID

from .checkpoints import CHECKPOINT, Card, load_checkpoint
from .config import CompareConfig, Entry, EvaluateConfig, Machine, TrainConfig, load_config, save_config
from .errors import UserError
from .evaluation import Trained, evaluate, judge_input, levels_of
from .exports import write_summary
from .gallery import pictures
from .material import materials, protocol_of
from .methods import METHODS, Method
from .parts import build
from .protocols import Protocol
from .provenance import command_line, machine_line
from .records import RECORDS, Record, read_records, write_records
from .report import write_report
from .rows import ROWS, Level, Row, read_rows, write_rows
from .summary import Study, grouped
from .testing import Tests
from .training import CONFIG, Diverged, holds_a_run, is_finished, position_of, spent, train
from .tuning import TRIALS, read_trials, tuned

REPORT = "report.html"
TEST_SEED = 0  # of the test distortions in a study: one for all, so that every network is given the same


@dataclass(frozen=True)
class Outcome:
    """What `compare` found: rows and records of the finished runs, whether these are all, what was left out.

    skipped: test files that could not be read. failed: runs that diverged.
    """

    rows: list[Row]
    records: list[Record]
    complete: bool
    skipped: list[str]
    failed: list[str]


def compare(
    config: CompareConfig,
    stop: Event,
    bar: Progress,
    *,
    title: str,
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> Outcome:
    """Train and test every method with every seed, into `config.out`: rows, records, summary and page.

    A study that was interrupted goes on where it stopped, and a finished one runs nothing again; rows and records of
    finished runs are enough to go on, wherever they were made. Setting `stop` ends it after the step in hand; the
    report then covers the finished runs. A run that diverges is left out, and said to be.
    Raises UserError where something named cannot be used, or where the folder holds another study.
    """
    plan = Plan.of(config)
    out, budget, entries = Path(config.out), config.limit, config.entries()
    _refuse_another_study(out, config, overwrite)
    save_config(out / CONFIG, config)
    book = Book(out, fresh=overwrite)
    count = len(entries) * config.seeds
    whole = bar.add_task(f"all of {count} runs", total=(count + len(entries) * config.tune) * budget.amount)
    if config.tune:
        entries = tuned(config, entries, stop, bar, whole, overwrite=overwrite)
    finished: list[Run] = []
    failed: list[str] = []
    for run in [Run(entry, config.run(entry, config.seed + i)) for i in range(config.seeds) for entry in entries]:
        try:
            if stop.is_set() or not settle(plan, run, book, stop, bar, whole, overwrite=overwrite):
                break
        except Diverged as error:
            failed.append(f"{run.name}: {error}")
        else:
            finished.append(run)
    left = count - len(finished) - len(failed)
    so_far = [f"Unfinished: {left} of {count} runs are yet to come."] if left else []
    so_far += [f"Left out: {name}." for name in failed]
    rows = [row for run in finished for row in book.rows_of(run.name)]
    records = [book.records[run.name] for run in finished if run.name in book.records]
    if finished:
        report(plan, finished, Study(rows, records), title, [*so_far, *notes])
    return Outcome(rows, records, not left, plan.tests.skipped, failed)


@dataclass(frozen=True)
class Plan:
    """What all runs share: what was asked for, what is tested, and by entry the digest of what it learns from."""

    config: CompareConfig
    protocol: Protocol
    tests: Tests
    data: dict[str, str]

    @classmethod
    def of(cls, config: CompareConfig) -> Plan:
        """Raises UserError where something named cannot be used."""
        config.check()
        protocol = protocol_of(config)
        methods = {entry.name: build(entry.method, METHODS, "methods", Method) for entry in config.entries()}
        learnt = materials(config, protocol, list(methods.values()))
        tests = Tests.load(config, protocol, [photo for m in learnt.values() for photo in m.photos()])
        digests = {sees_unseen: material.digest() for sees_unseen, material in learnt.items()}
        return cls(config, protocol, tests, {name: digests[method.sees_unseen] for name, method in methods.items()})


def settle(plan: Plan, run: Run, book: Book, stop: Event, bar: Progress, whole: TaskID, *, overwrite: bool) -> bool:
    """See to it that a run is trained, tested and in the book; False if `stop` was set before it was.

    Raises Diverged, and UserError where the folder holds another training.
    """
    out, data = Path(plan.config.out), plan.data[run.entry.name]
    begun = not overwrite and holds_a_run(run.folder) and _is_of_this_study(run.training)
    trained_before = begun and is_finished(run.folder)
    kept = standing_rows(book.rows_of(run.name), plan.protocol, plan.tests, data)
    if kept and not holds_a_run(run.folder):  # the rows of a finished run came without its folder
        bar.advance(whole, plan.config.limit.amount)
        return True
    if trained_before:
        bar.advance(whole, plan.config.limit.amount)
    else:
        train(run.training, stop, bar, resume=begun, whole=whole)
    if stop.is_set():
        return False
    network, card = load_checkpoint(run.folder, run.training.backbone)
    _refuse_other_training(run.training, card, plan.protocol, data)
    if not kept or not trained_before or not _is_newer(out / ROWS, run.folder / CHECKPOINT):
        trained = Trained(network, card, run.name, run.entry.method, plan.config.tune)
        kept = evaluate(trained, plan.protocol, plan.tests, plan.config, TEST_SEED, stop, bar)
    if stop.is_set():
        return False
    book.enter(kept, record_of(run, plan.config))
    return True


@dataclass(frozen=True)
class Run:
    """One training of a study: the entry that it is of, and its configuration."""

    entry: Entry
    training: TrainConfig

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return self.training.folder

    @property
    def name(self) -> str:
        """What its rows and its record call it."""
        return self.folder.name


class Book:
    """The rows and records of a study's folder, by run, in the order in which they were entered.

    Those of runs that are not asked for stay in the files. `fresh` forgets what is there.
    """

    def __init__(self, folder: Path, *, fresh: bool):
        self.folder = folder
        rows = read_rows(folder / ROWS) if (folder / ROWS).exists() and not fresh else []
        self._rows = grouped(rows, lambda row: row.run)
        self.records = {} if fresh else {record.run: record for record in read_records(folder / RECORDS)}

    def rows_of(self, run: str) -> list[Row]:
        """The rows of a run, none if it has not been tested."""
        return self._rows.get(run, [])

    def enter(self, rows: list[Row], record: Record) -> None:
        """Take up a run that is finished, and write all that is known."""
        self._rows[record.run], self.records[record.run] = rows, record
        write_rows(self.folder / ROWS, [row for of_run in self._rows.values() for row in of_run])
        write_records(self.folder / RECORDS, self.records.values())


def record_of(run: Run, machine: Machine) -> Record:
    """What a finished run was and what it took."""
    position = position_of(run.folder)
    return Record(
        run=run.name,
        method=run.entry.method,
        backbone=run.entry.backbone,
        seed=run.training.seed,
        spec=run.entry.spec,
        lr=run.entry.lr,
        evaluations=spent(position, run.training),
        steps=position.step,
        seconds=position.seconds,
        memory=position.memory,
        machine=machine_line(machine),
        curve=position.log,
        diagnoses=position.diagnoses,
    )


def standing_rows(rows: Sequence[Row], protocol: Protocol, tests: Tests, data: str) -> list[Row]:
    """These rows of a run, if they are of these very tests, levels and training photographs; else none.

    Whether a test image is still the same is seen by what it measures undone, under one of its levels.
    """
    found = [row for row in rows if (row.protocol_hash, row.data) == (protocol.hash(), data)]
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


def report(plan: Plan, finished: Sequence[Run], study: Study, title: str, notes: Sequence[str]) -> None:
    """The page and the summary of a study, pictures from the first seed of each method."""
    config, protocol, tests = plan.config, plan.protocol, plan.tests
    out = Path(config.out)
    firsts = [r for r in finished if r.training.seed == config.seed and (r.folder / CHECKPOINT).exists()]
    networks = [(r, load_checkpoint(r.folder, r.training.backbone)[0].to(config.device)) for r in firsts]
    labelled = [(study.label(r.entry.method, r.entry.backbone), network) for r, network in networks]
    missing = len([r for r in finished if r.training.seed == config.seed]) - len(firsts)
    gone = f"Not among the pictures: {missing} networks whose folders are not here, their rows alone are."
    write_summary(out, study)
    write_report(
        out / REPORT,
        study,
        pictures(labelled, study, protocol, tests, config.device, TEST_SEED),
        title=title,
        command=command_line(),
        machine=machine_line(config),
        notes=[*notes, *[gone] * bool(missing)],
        trials=read_trials(out / TRIALS) if config.tune else [],
        reported=protocol.reported,
        definitions=definitions(protocol),
    )


def definitions(protocol: Protocol) -> dict[Level, str]:
    """Every level as the protocol has it, with all its settings."""
    return {(split, c.kind, c.degree): c.name for split, c in protocol.levels()}


def write_evaluation(
    rows: Sequence[Row],
    trained: Trained,
    protocol: Protocol,
    tests: Tests,
    config: EvaluateConfig,
    notes: Sequence[str],
) -> None:
    """The rows and the page of one network."""
    out, study = Path(config.out), Study(rows)
    write_rows(out / ROWS, rows)
    write_report(
        out / REPORT,
        study,
        pictures([(trained.method, trained.network)], study, protocol, tests, config.device, config.seed),
        title=f"{trained.method} under {protocol.name}",
        command=command_line(),
        machine=machine_line(config),
        notes=notes,
        trials=[],
        reported=protocol.reported,
        definitions=definitions(protocol),
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
    begun = any((out / name).exists() for name in (ROWS, TRIALS)) or any(out.glob("*/resume.safetensors"))
    for name in now if begun and not overwrite else ():
        if name not in ("methods", "gap", "seeds", "test", "out") and saved.get(name) != now[name]:
            raise UserError(
                f"{out / CONFIG}: {name} is {saved.get(name)!r} there and {now[name]!r} here; "
                "choose another --out, or --overwrite"
            )
