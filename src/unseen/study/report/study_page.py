"""The pages that commands write: of a study's finished runs, and of one evaluated network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.provenance import command_line, machine_line
from ...evaluation.benchmark_sets import BenchmarkSets
from ...evaluation.config import EvaluateConfig
from ...evaluation.evaluate import TestedNetwork
from ...evaluation.results import ImageResult
from ...models.checkpoint import CHECKPOINT, load_checkpoint
from ...protocols.levels import Level
from ...protocols.protocol import Protocol
from ..compare import StudyOutcome
from ..ledger import TEST_SEED
from ..runs import RunRecord
from ..summary import StudySummary
from ..tuning import TRIALS, read_trials
from .excerpts import pictures
from .html_page import REPORT, write_report


def write_study_page(outcome: StudyOutcome, title: str, notes: Sequence[str]) -> None:
    """Write the page of a study's finished runs, with pictures from the first seed of each entry.

    Args:
        outcome: the result of `run_study`; nothing is written where no run is finished.
        title: heading of the page.
        notes: paragraphs on what the study can and cannot show. Sentences on runs that are missing are put before them.

    Raises:
        UserError: if the page cannot be written.
    """
    if outcome.summary is None:
        return
    config, protocol, study = outcome.plan.config, outcome.plan.protocol, outcome.summary
    out = Path(config.out)
    first_seed = [run for run in outcome.finished if run.training.seed == config.seed]
    stored = [run for run in first_seed if (run.folder / CHECKPOINT).exists()]
    networks = [
        (
            study.entry_name(run.entry.method, run.entry.backbone),
            load_checkpoint(run.folder, run.training.backbone)[0].to(config.device),
        )
        for run in stored
    ]
    missing = len(first_seed) - len(stored)
    gone = f"Not among the pictures: {missing} networks whose folders are not here, their rows alone are."
    write_report(
        out / REPORT,
        study,
        pictures(networks, study, protocol, outcome.plan.tests, config.device, TEST_SEED),
        title=title,
        command=command_line(),
        machine=machine_line(config),
        notes=[*outcome.shortcomings, *notes, *[gone] * bool(missing)],
        trials=read_trials(out / TRIALS) if config.tune else [],
        reported=protocol.reported,
        definitions=level_definitions(protocol),
    )


def write_evaluation_page(
    results: Sequence[ImageResult],
    records: Sequence[RunRecord],
    tested: TestedNetwork,
    protocol: Protocol,
    tests: BenchmarkSets,
    config: EvaluateConfig,
    notes: Sequence[str],
) -> None:
    """Write the page of one evaluated network into `config.out`.

    Args:
        results: the results of this network alone.
        records: the record of its training, where the trajectory of that was tested; else none.
        tested: the network.
        protocol: the protocol of the test.
        tests: the test images, of which pictures are taken.
        config: the options of the command.
        notes: paragraphs on what the numbers can and cannot show.

    Raises:
        UserError: if the page cannot be written.
    """
    study = StudySummary(results, records)
    write_report(
        Path(config.out) / REPORT,
        study,
        pictures([(tested.method, tested.network)], study, protocol, tests, config.device, config.seed),
        title=f"{tested.method} under {protocol.name}",
        command=command_line(),
        machine=machine_line(config),
        notes=notes,
        trials=[],
        reported=protocol.reported,
        definitions=level_definitions(protocol),
    )


def level_definitions(protocol: Protocol) -> dict[Level, str]:
    """Every level's distortion with all its settings, as the protocol's file has it."""
    return {level: confounder.name for level, confounder in protocol.levels()}
