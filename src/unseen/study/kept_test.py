"""The test of the weights that a training kept on its way, beside those that it chose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from ..evaluation.benchmark_sets import BenchmarkSets
from ..evaluation.evaluate import TestedNetwork
from ..evaluation.excerpt_test import ExcerptTest
from ..evaluation.results import KeptResult, LevelPsnr
from ..models.inference import on_device
from ..protocols.protocol import Protocol
from ..training.kept_weights import kept_results
from ..training.provenance import machine_of
from ..training.state import holds_a_run, state_of
from .runs import RunRecord


@dataclass(frozen=True)
class KeptTest:
    """The test of the weights that one training kept; empty where it kept no weights.

    Attributes:
        kept: the quality of the weights at each point.
        chosen: the quality of the weights that the training chose, on the same excerpts.
    """

    kept: list[KeptResult] = field(default_factory=list)
    chosen: list[LevelPsnr] = field(default_factory=list)


def tested_kept(
    folder: Path, trained: TestedNetwork, protocol: Protocol, tests: BenchmarkSets, device: str, seed: int, stop: Event
) -> KeptTest | None:
    """Test the weights that a training kept, and those that it chose.

    Args:
        folder: the folder of the training.
        trained: the network with the weights that it chose.
        protocol: the protocol of the test.
        tests: the test sets.
        device: the device by its name in PyTorch.
        seed: seed of the test distortions.
        stop: once set, the test ends after the current weights.

    Returns:
        The test; None if `stop` was set before it was complete.

    Raises:
        UserError: the state or a file of kept weights is missing or damaged.
    """
    points = state_of(folder).kept
    if not points:
        return KeptTest()
    test = ExcerptTest.of(tests, protocol, device, seed)
    kept = kept_results(folder, points, trained.card.config["backbone"], test, stop)
    complete = len(kept) == len(points)
    return KeptTest(kept, test.levels_psnr(on_device(trained.network, device))) if complete else None


def evaluated_record(folder: Path, trained: TestedNetwork, kept_test: KeptTest) -> RunRecord:
    """The run record of an evaluated training, as a study would write it.

    Args:
        folder: the folder of the training.
        trained: its network.
        kept_test: the test of the weights that it kept.
    """
    state, config, last = state_of(folder), trained.card.config, kept_test.kept[-1]
    return RunRecord(
        run=trained.run,
        method=trained.method,
        backbone=config["backbone"],
        seed=config["seed"],
        spec=config["method"],
        lr=config.get("lr", 0.0),
        evaluations=last.evaluations,
        steps=last.steps,
        seconds=last.seconds,
        memory=state.memory,
        machine=machine_of(folder),
        curve=state.log,
        diagnoses=state.diagnoses,
        kept=kept_test.kept,
        chosen=kept_test.chosen,
    )


def kept_any(folder: Path) -> bool:
    """Whether the folder is that of a training that kept weights on its way."""
    return folder.is_dir() and holds_a_run(folder) and bool(state_of(folder).kept)
