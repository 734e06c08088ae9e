"""The command `unseen evaluate`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UserError
from ..core.folder_lock import WAIT, sole_use
from ..core.outputs import require_folder_name
from ..core.terminal import show
from ..core.units import Budget
from ..evaluation.config import EvaluateConfig
from ..models.files import require_checkpoint
from ..protocols.files import protocol_file
from .early_checks import check_test_sources
from .exit_codes import ExitCode
from .options import OVERWRITE, TRUST, Argument, Command
from .study import print_results

if TYPE_CHECKING:
    from threading import Event

    from torch import nn

    from ..evaluation.benchmark_sets import BenchmarkSets
    from ..evaluation.evaluate import TestedNetwork
    from ..evaluation.results import ImageResult
    from ..models.card import Bf16Loss, Card, Quality
    from ..protocols.protocol import Protocol
    from ..study.runs import RunRecord

COMMAND = "unseen evaluate"

ANOTHER_PROTOCOL = (
    "Trained under another protocol, or another version of this one: what is called seen and unseen here may not "
    "be what this network saw."
)

HELD = "out: {out} holds an evaluation, or another page; give --overwrite, or another --out"

UNCHECKED = "Whether a test image is among the photographs that this network was trained on was not checked: {reason}."

UNFINISHED = "The training was interrupted: {spent:g} of {amount:g} gradient evaluations were spent."


def evaluate(config: EvaluateConfig, flags: Namespace) -> ExitCode:
    """Test a checkpoint on photographs."""
    config.check()
    require_folder_name(config.out, "the report and its numbers")
    require_checkpoint(Path(flags.checkpoint))
    if config.protocol:
        protocol_file(config.protocol)
    check_test_sources(config)
    out, run = Path(config.out), Path(flags.checkpoint)
    run = run if run.is_dir() else run.parent
    # The card would else be written into a checkpoint that a training has replaced.
    holds_run = config.card and run.resolve() != out.resolve()
    with sole_use(out, COMMAND), sole_use(run, COMMAND, WAIT) if holds_run else nullcontext():
        return _evaluate(config, flags)


def _evaluate(config: EvaluateConfig, flags: Namespace) -> ExitCode:
    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..evaluation.benchmark_sets import BenchmarkSets
    from ..evaluation.evaluate import TestedNetwork, are_of_test, evaluate_network
    from ..evaluation.results import RESULTS, read_results, write_results
    from ..models.checkpoint import load_checkpoint, with_quality
    from ..models.inference import on_device, require_bf16
    from ..study.report.html_page import REPORT
    from ..study.report.study_page import write_evaluation_page
    from ..study.runs import RUNS, write_runs
    from ..training.training_data import trained_on

    config = config.resolved()
    out = Path(config.out)
    if (out / REPORT).exists() and not flags.overwrite:  # without rows beside it, the page is of another command
        raise UserError(HELD.format(out=out))
    network, card = load_checkpoint(Path(flags.checkpoint), config.backbone)
    protocol = _protocol_for(network, card, config)
    photos = trained_on(card, config.protocol, config.method)
    notes = [*_notes(card, protocol), *([] if isinstance(photos, list) else [UNCHECKED.format(reason=photos)])]
    tests = BenchmarkSets.load(config, protocol, photos if isinstance(photos, list) else [])
    file = Path(flags.checkpoint).resolve()
    run = file.name if file.is_dir() else file.parent.name
    trained = TestedNetwork(network, card, run, card.config["method"])
    begun = read_results(out / RESULTS) if (out / RESULTS).exists() and not flags.overwrite else []
    if not are_of_test(begun, trained, protocol, tests):
        raise UserError(HELD.format(out=out))
    if config.in_both:
        require_bf16(on_device(network, config.device), flags.checkpoint, config.device)
    facts: tuple[list[Quality], Bf16Loss | None] | None = None
    with interruptible() as stop, progress_bars():
        # First, since a file of kept weights may be missing, and the test of the network takes longer.
        records = _records(Path(flags.checkpoint), trained, protocol, tests, config, stop)
        results = evaluate_network(trained, protocol, tests, config, config.seed, stop)
        if config.card and not stop.is_set():
            facts = _facts_for_card(network, tests, protocol, config, results)
    if results:
        # The page comes last: its presence means that the rest is there. A test that was killed before is made again.
        (out / REPORT).unlink(missing_ok=True)
        write_results(out / RESULTS, results)
        (out / RUNS).unlink(missing_ok=True)
        if records:
            write_runs(out / RUNS, records)
        if facts:
            with_quality(Path(flags.checkpoint), *facts)
        write_evaluation_page(results, records, trained, protocol, tests, config, notes)
    print_results(results, [], tests.skipped, protocol, notes)
    if results:
        show(f"{out / REPORT}, {out / RESULTS}")
    if stop.is_set():
        images = {(result.dataset, result.image) for result in results}
        show(f"interrupted: {len(images)} of {len(tests.photos)} images")
        return ExitCode.INTERRUPTED
    return ExitCode.PARTLY if tests.skipped else ExitCode.DONE


def _protocol_for(network: nn.Module, card: Card, config: EvaluateConfig) -> Protocol:
    """The protocol of the test: the one that is named, or else that of the training; UserError if it does not fit."""
    from ..models.channels import require_channels
    from ..protocols.files import protocol_names
    from ..protocols.loading import load_protocol

    if not config.protocol and card.config["protocol"] not in protocol_names():
        raise UserError(f"protocol: trained under a file, {card.config['protocol']}; confirm it with --protocol")
    protocol = load_protocol(config.protocol or card.config["protocol"])
    protocol = protocol.enlarged() if card.config.get("enlarge") else protocol
    require_channels(network, card.config["backbone"], protocol)
    if config.card and protocol.hash() != card.protocol_hash:
        raise UserError("card: what another protocol calls seen is not what this network saw; test it under its own")
    return protocol


def _records(
    folder: Path,
    trained: TestedNetwork,
    protocol: Protocol,
    tests: BenchmarkSets,
    config: EvaluateConfig,
    stop: Event,
) -> list[RunRecord]:
    """The record of a training that kept weights on its way, with their test; none of others, and where stopped."""
    from ..study.kept_test import evaluated_record, kept_any, tested_kept

    if not kept_any(folder):
        return []
    kept_test = tested_kept(folder, trained, protocol, tests, config.device, config.seed, stop)
    return [evaluated_record(folder, trained, kept_test)] if kept_test else []


def _facts_for_card(
    network: nn.Module,
    tests: BenchmarkSets,
    protocol: Protocol,
    config: EvaluateConfig,
    results: list[ImageResult],
) -> tuple[list[Quality], Bf16Loss | None]:
    """What a test says for the card: the quality at every level, and what bfloat16 loses, where that is asked for."""
    from ..evaluation.quality import measured_bf16_loss, measured_quality

    device, seed = config.device, config.seed
    quality = measured_quality(network, tests.photos, protocol, device, seed=seed, results=results)
    lost = measured_bf16_loss(network, tests.photos, protocol, device, seed) if config.in_both else None
    return quality, lost


def _notes(card: Card, protocol: Protocol) -> Iterator[str]:
    """What a reader of the numbers must know of the training: another protocol, or a budget that was not spent."""
    if protocol.hash() != card.protocol_hash:
        yield ANOTHER_PROTOCOL
    limit = Budget.parse(card.config["budget"])
    if limit.unit == "evaluations" and card.selection == "last" and card.evaluations < 0.9 * limit.amount:
        yield UNFINISHED.format(spent=card.evaluations, amount=limit.amount)


EVALUATE = Command(
    "evaluate",
    evaluate,
    "test a checkpoint under every level of a protocol",
    EvaluateConfig,
    arguments=[Argument("checkpoint", "the folder of a run, or a checkpoint.safetensors"), TRUST],
    switches=OVERWRITE,
)
