"""The commands `unseen demo`, `unseen compare` and `unseen rank`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.config import check_values
from ..core.folder_lock import sole_use
from ..core.outputs import require_folder_name
from ..core.terminal import show, tell
from ..study.config import CompareConfig, DemoConfig, require_answer
from .early_checks import check_component, check_test_sources, check_training_sources
from .exit_codes import ExitCode
from .options import OVERWRITE, TRUST, Argument, Command

if TYPE_CHECKING:
    from ..evaluation.results import ImageResult
    from ..protocols.protocol import Protocol
    from ..study.runs import RunRecord
    from ..study.summary import StudySummary


def demo(config: DemoConfig, flags: Namespace) -> ExitCode:
    """Train and compare ERM, DIL_sf, ERM without biases and the ceiling on embedded photographs."""
    from ..study.demo import NOTES, TITLE, study_config, verdict

    check_values(config)
    require_folder_name(config.out, "the study")
    with sole_use(Path(config.out), "unseen demo"):
        return _compare(study_config(config), flags.overwrite, TITLE, lambda study: [*verdict(study), *NOTES])


def compare(config: CompareConfig, flags: Namespace) -> ExitCode:
    """Compare methods under one protocol, each with several seeds."""
    names = ", ".join(config.methods)
    check_study(config)
    with sole_use(Path(config.out), "unseen compare"):
        return _compare(config, flags.overwrite, f"{names} under {Path(config.protocol).stem}", lambda study: [])


def check_study(config: CompareConfig) -> None:
    """Refuse before PyTorch is imported what can be seen to be wrong."""
    config.check()
    require_folder_name(config.out, "the study")
    for entry in config.entries():
        check_component(entry.method, "methods", "methods")
        check_component(entry.backbone, "backbones", "backbone")
    require_answer(config.ray)
    check_training_sources(config)
    check_test_sources(config)


def _compare(
    config: CompareConfig, overwrite: bool, title: str, notes_on: Callable[[StudySummary], Sequence[str]]
) -> ExitCode:
    """Run a study, write its page and print its tables, with the notes that `notes_on` makes of its finished runs."""
    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..evaluation.results import RESULTS
    from ..protocols.loading import load_protocol
    from ..study.compare import run_study
    from ..study.report.html_page import REPORT
    from ..study.report.study_page import write_study_page

    with interruptible() as stop, progress_bars():
        outcome = run_study(config.resolved(), stop, overwrite=overwrite)
        notes = notes_on(outcome.summary) if outcome.summary else []
        write_study_page(outcome, title, notes)
    if outcome.refusal is not None:
        raise outcome.refusal
    skipped = outcome.plan.tests.skipped
    if outcome.left:
        show(f"interrupted: the same command{' without --overwrite' * overwrite} goes on from here")
        if outcome.finished:
            show(f"{outcome.left} runs are yet to come; the tables are of the {len(outcome.finished)} finished ones:")
    print_results(outcome.results, outcome.records, skipped, load_protocol(config.protocol), notes)
    if outcome.results:
        show(f"{config.out}/{REPORT}, {config.out}/{RESULTS}")
    for failure in outcome.failed:
        tell(f"left out {failure}")
    if outcome.left:
        return ExitCode.INTERRUPTED
    return ExitCode.PARTLY if skipped or outcome.failed else ExitCode.DONE


def rank(config: None, flags: Namespace) -> ExitCode:
    """Print several studies side by side: the rank of every entry in each, and its mean rank."""
    from ..core.console import Console
    from ..study.ranking import print_ranks

    print_ranks([Path(name) for name in flags.studies], Console())
    return ExitCode.DONE


def print_results(
    results: list[ImageResult],
    records: list[RunRecord],
    skipped: Iterable[str],
    protocol: Protocol,
    notes: Iterable[str],
) -> None:
    """Print the tables of a study or a test.

    Args:
        results: the measured numbers; none if the work was interrupted early.
        records: how the networks were trained; none for the test of a checkpoint.
        skipped: test images that could not be read, with reasons; printed on standard error.
        protocol: the experiment, whose reported numbers are printed apart.
        notes: sentences below the tables.
    """
    from ..core.console import Console
    from ..study.report.terminal import print_table
    from .protocol_text import print_reported_tables

    console = Console()
    if results:
        print_table(results, console, records)
    print_reported_tables(protocol.reported, {result.dataset for result in results}, console)
    for note in notes:
        console.print(f"\n{note}")
    for reason in skipped:
        tell(f"not tested: {reason}")


DEMO = Command(
    "demo",
    demo,
    "a network that breaks on unseen noise and one that does not: a table and a page in minutes",
    DemoConfig,
    switches=OVERWRITE,
)

COMPARE = Command(
    "compare",
    compare,
    "several methods and seeds at an equal budget; given again, goes on",
    CompareConfig,
    arguments=[TRUST],
    switches=OVERWRITE,
)

RANK = Command(
    "rank",
    rank,
    "several finished studies side by side: how every method ranks on what is unseen",
    arguments=[Argument("studies", "folders of studies, or their rows", list[str], "STUDY")],
)
