"""The commands `unseen restore`, `studio`, `models`, `card` and `export`. Slow imports wait until they are needed."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from ..core.atomic import remove_leftovers, require_writable
from ..core.config import Machine, check_values
from ..core.errors import UserError
from ..core.terminal import show, tell
from ..core.trust import Names
from ..models.files import located
from ..restoration.config import MODEL, RestoreConfig
from .exit_codes import ExitCode
from .options import OVERWRITE, TRUST, Argument, Command

ONE_SHEET = "compare: give one photo, and the name of a sheet that ends in .png: -o sheet.png"

if TYPE_CHECKING:
    from threading import Event

    from ..restoration.batch import RestoreOptions
    from ..restoration.decoding_ahead import CropReader
    from ..restoration.planning import RestorePlan
    from ..restoration.report import RestoreReport


def restore(config: RestoreConfig, flags: Namespace) -> ExitCode:
    """Restore copies of photographs."""
    from ..restoration.decoding_ahead import crops_ahead
    from ..restoration.planning import plan_restoration
    from ..restoration.report import RestoreReport

    config.check()
    located(config.model)
    if flags.compare and (len(flags.photo) > 1 or os.path.isdir(flags.photo[0])):
        raise UserError(ONE_SHEET)
    planned = plan_restoration(flags.photo, config.out, config.format)
    require_writable(planned.folder)
    if not planned.jobs:
        return _ended(RestoreReport(failed=planned.failed), planned, config, flags)
    if flags.compare:
        return _compare(config, flags, planned)
    with crops_ahead(planned.jobs, planned.folder, overwrite=flags.overwrite) as crops_of:
        return _restore(config, flags, planned, crops_of)


def _restore(config: RestoreConfig, flags: Namespace, planned: RestorePlan, crops_of: CropReader) -> ExitCode:
    """Restore the photographs of a plan. For `crops_of` see `RestoreOptions`."""
    import torch

    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..models.card import envelope, safety
    from ..models.loading import load_model
    from ..restoration.batch import RestoreOptions, restore_files
    from ..restoration.tiles import LARGEST_TILE_KEPT, tiling_for

    if flags.report:
        _require_no_page(planned.folder)
    config = config.resolved()
    torch.set_num_threads(config.threads)
    model = load_model(config.model, config.device, config.backbone, config.range, config.precision)
    if model.by_channel:
        tell(f"{model.name}: is a network for gray images; each colour channel is restored by itself")
    model = model.with_strength(config.strength)
    if flags.keep_colours and model.receptive_field.scale > 1:
        raise UserError(f"keep_colours: {model.name} enlarges, and its output cannot be compared with the input")
    qualities = model.card.quality if model.card else ()
    safe = envelope(qualities)
    if safe is None:
        tell(f"{model.name}: {safety(qualities)}")
    how = RestoreOptions(
        model,
        tiling_for(model, config.bytes, config.tile, LARGEST_TILE_KEPT),
        format=planned.format,
        envelope=safe,
        harm_check=not flags.no_harm_check,
        keep_colours=flags.keep_colours,
        keep_times=flags.keep_times,
        pages=flags.pages,
        clip=flags.clip,
        memory=config.bytes,
        workers=0 if config.tile else config.threads,
        crops_of=crops_of,
    )
    with interruptible() as stop, progress_bars():
        outcome = restore_files(planned.jobs, planned.folder, how, stop, overwrite=flags.overwrite)
        outcome.failed[:0] = planned.failed
        page = False
        if flags.report and not stop.is_set() and (outcome.restored or outcome.existing):
            page = _write_page(planned, outcome, how, config, stop)
    return _ended(outcome, planned, config, flags, page=page, interrupted=stop.is_set())


def _compare(config: RestoreConfig, flags: Namespace, planned: RestorePlan) -> ExitCode:
    """Write a sheet of one photograph at several strengths."""
    sheet = Path(config.out)
    others = [name for name in ("no_harm_check", "keep_colours", "report", "pages") if getattr(flags, name)]
    others += ["strength"] if "strength" in flags.explicit else []
    if others:
        raise UserError(f"{others[0]}: not together with --compare, which restores nothing but pieces for a sheet")
    if len(planned.jobs) != 1 or sheet.suffix.lower() != ".png":
        raise UserError(ONE_SHEET)
    if sheet.exists() and not flags.overwrite:
        raise UserError(f"{sheet}: is there already; give --overwrite, or another name")
    import torch

    from ..models.loading import load_model
    from ..restoration.guarded_model import with_clear_errors
    from ..restoration.imagefiles.image_file import open_image
    from ..restoration.strength_sheet import STRENGTHS, write_strength_sheet
    from ..restoration.tiles import LARGEST_TILE_KEPT, tiling_for

    config = config.resolved()
    torch.set_num_threads(config.threads)
    model = load_model(config.model, config.device, config.backbone, config.range, config.precision)
    model.with_strength(STRENGTHS[0])  # refused where the model takes none
    tiling = tiling_for(model, config.bytes, config.tile, LARGEST_TILE_KEPT)
    write_strength_sheet(open_image(planned.jobs[0].path), with_clear_errors(model), tiling, sheet)
    show(str(sheet))
    return ExitCode.DONE


def _ended(
    outcome: RestoreReport,
    planned: RestorePlan,
    config: RestoreConfig,
    flags: Namespace,
    page: bool = False,
    interrupted: bool = False,
) -> ExitCode:
    """Print what was restored and what was not, and say how the command ended."""
    from ..data.finding import left_out_text

    if planned.left_out:
        tell(left_out_text(planned.left_out))
    _print_report(outcome, config)
    if page:
        from ..restoration.report_page import REPORT

        show(str(planned.folder / REPORT))
    if interrupted:
        show("interrupted: the same command goes on with the rest")
        return ExitCode.INTERRUPTED
    if not outcome.failed and not planned.left_out:
        return ExitCode.DONE
    return ExitCode.PARTLY if outcome.restored or outcome.existing else ExitCode.REFUSED


def _require_no_page(folder: Path) -> None:
    """Raise UserError where the name of the page is taken by that of an evaluation."""
    from ..evaluation.results import RESULTS
    from ..restoration.report_page import REPORT

    if (folder / RESULTS).exists():
        raise UserError(f"report: {folder / REPORT} is the page of {RESULTS}, and stays; give another -o")


def _write_page(
    planned: RestorePlan, outcome: RestoreReport, how: RestoreOptions, config: RestoreConfig, stop: Event
) -> bool:
    """Write the page of all photographs, also of those that were restored before; return whether it is complete."""
    from ..core.provenance import command_line, machine_line
    from ..models.card import safety
    from ..restoration.batch import RunStopped
    from ..restoration.report_page import REPORT, records_of_existing, write_report_page

    existing = records_of_existing(planned.jobs, planned.folder, how, outcome.restored) if outcome.existing else []
    try:
        write_report_page(
            planned.folder / REPORT,
            [*outcome.restored, *existing],
            outcome.failed,
            safety=f"{how.model.name}: {safety(how.model.card.quality if how.model.card else ())}",
            command=command_line(),
            provenance=[
                ("model", f"{config.model}, in bfloat16" if how.model.exact else config.model),
                *([("strength", f"{config.strength:g}")] if how.model.takes_strength else []),
                ("machine", machine_line(config)),
            ],
            stop=stop,
        )
    except RunStopped:
        return False
    return True


def _print_report(outcome: RestoreReport, config: RestoreConfig) -> None:
    """Print what needs attention, and a line for all photographs."""
    from ..restoration.report import left_lines, noise_lines, warning_lines

    for note in outcome.model_notes:
        tell(note)
    for text in noise_lines(outcome.restored):
        tell(text)
    for text in left_lines(outcome.restored) if config.strength else []:
        tell(text)
    for text in warning_lines(outcome.restored):
        tell(text)
    if any(warning.of_colours for photo in outcome.restored for warning in photo.warnings):
        tell("--keep-colours takes such shifts back")
    for failure in outcome.failed:
        tell(f"failed {failure.name}: {failure.reason}")
    existing = f", {outcome.existing} there already (--overwrite restores them again)" if outcome.existing else ""
    left = sum(photo.is_left for photo in outcome.restored)
    left_alone = f", {left} left as {'it was' if left == 1 else 'they were'}" if left else ""
    count = sum(bool(photo.warnings) for photo in outcome.restored)
    warned = f", {count} to look at" if count else ""
    failed = f", {len(outcome.failed)} failed" if outcome.failed else ""
    untried = f", {outcome.untried} not tried" if outcome.untried else ""
    restored = len(outcome.restored) - left
    show(f"{config.out}: {restored} restored{left_alone}{warned}{existing}{failed}{untried}")


def models(config: None, flags: Namespace) -> ExitCode:
    """Print a paragraph on every model that comes with the package."""
    from ..core.console import Console, styled
    from ..models.card import safety
    from ..models.checkpoint import read_card
    from ..models.files import DEFAULT, shipped

    console = Console()
    for name, path in shipped().items():
        card = read_card(path)
        default = " (taken where none is named)" if name == DEFAULT else ""
        size = f"{default}, {path.stat().st_size / 1e6:.1f} MB"
        console.print(styled(name, "bold").append_text(styled(size)))
        console.print(
            f"    {card.config['backbone']}, trained by {card.config['method']} under {card.config['protocol']}"
        )
        console.print(f"    {safety(card.quality)}", soft_wrap=True)
    show("unseen card NAME tells all of one; --model also takes runs, .onnx, .pth and .safetensors by their paths")
    return ExitCode.DONE


def card(config: None, flags: Namespace) -> ExitCode:
    """Print the card of a checkpoint."""
    path = located(flags.checkpoint)
    from ..core.console import Console
    from ..models.checkpoint import read_card
    from ..models.onnx_file import open_onnx
    from .card_text import card_text

    model_card = open_onnx(path, "cpu").card if path.suffix.lower() == ".onnx" else read_card(path)
    if model_card is None:
        raise UserError(f"{path}: holds no card")
    Console().print(card_text(model_card))
    return ExitCode.DONE


def export(config: None, flags: Namespace) -> ExitCode:
    """Write a checkpoint as an ONNX file, and print by how much it differs from PyTorch."""
    path = Path(flags.file)
    if path.suffix.lower() != ".onnx" or path.is_dir():
        raise UserError(f"file: {path}: is no name of an ONNX file, such as {path.with_suffix('.onnx')}")
    if path.exists() and not flags.overwrite:
        raise UserError(f"{path}: is there already; give --overwrite, or another name")
    require_writable(path.parent)
    remove_leftovers(path.parent)
    located(flags.checkpoint)
    from ..models.onnx_export import export_checkpoint, lines

    for line in lines(export_checkpoint(flags.checkpoint, path, flags.backbone)):
        show(line)
    show(str(path))
    return ExitCode.DONE


def studio(config: StudioConfig, flags: Namespace) -> ExitCode:
    """Serve the page of the studio until Ctrl-C."""
    check_values(config)
    for name in config.models:
        located(name)
    import torch

    from ..models.loading import load_model
    from ..studio import serve

    config = config.resolved()
    torch.set_num_threads(config.threads)
    serve({name: load_model(name, config.device) for name in config.models}, config.port, not flags.no_browser)
    os._exit(ExitCode.DONE)  # else Python would wait for networks at work, and clear away all modules for seconds


@dataclass(frozen=True, kw_only=True)
class StudioConfig(Machine):
    """Options of the page on which models restore a photograph."""

    models: Annotated[list[str], f"side by side, each {MODEL}"] = field(
        default_factory=lambda: ["erm", "dil_sf", "denoiser"]
    )
    port: Annotated[int, Ge(0), Le(65535), "port on 127.0.0.1; 0 takes the first free one from 7860 on"] = 0


CHECKPOINT = Argument("checkpoint", "a run, its checkpoint, or a shipped model")

RESTORE = Command(
    "restore",
    restore,
    "restored copies of photos: files, folders, patterns; formats, depths and what the files say are kept",
    RestoreConfig,
    arguments=[Argument("photo", "photos, folders of them, or patterns: '*.png'", list[str], "PHOTOS"), TRUST],
    switches={
        "no_harm_check": "restore also what would change so slightly that it is left as it is otherwise",
        "keep_colours": "take back shifts of the colours of large areas",
        "keep_times": "give every output the file times of its input",
        "report": "write report.html beside the outputs: every photograph before and after, the worst first",
        "compare": "write a sheet of one photo's own pieces at four strengths to choose by eye, as -o sheet.png",
        "pages": "restore every page of a file of several, each into a file of its own",
        "clip": "clip floating-point values far outside of 0 to 1, which are refused as HDR otherwise",
        "overwrite": "replace outputs that are there already; otherwise they are left alone",
    },
)

STUDIO = Command(
    "studio",
    studio,
    "a page on this machine: a photo under a distortion of any degree, and what every model makes of it",
    StudioConfig,
    arguments=[TRUST],
    switches={"no_browser": "do not open a browser"},
)

MODELS = Command("models", models, "the models that come with the package, and where each is safe")

CARD = Command(
    "card",
    card,
    "what a checkpoint says of itself: how it was trained, how good it is at which severity, where it is safe",
    arguments=[CHECKPOINT],
)

EXPORT = Command(
    "export",
    export,
    "a checkpoint as an ONNX file for any size, kept only if it computes the same",
    arguments=[
        CHECKPOINT,
        Argument("file", "the .onnx file to write"),
        Argument(
            "--backbone",
            "the network, needed only for one of your own: my.module.Net",
            Annotated[str, Names()],
            default="",
        ),
        TRUST,
    ],
    switches=OVERWRITE,
)
