"""The command `unseen degrade`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Predicate

from ..core.atomic import flush_names, remove_leftovers
from ..core.config import Machine, check_values, is_device
from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.outputs import require_folder_name
from ..core.terminal import show, tell
from ..core.trust import Names
from ..protocols.files import protocol_file
from .early_checks import check_distortions
from .exit_codes import ExitCode
from .options import OVERWRITE, TRUST, Argument, Command

if TYPE_CHECKING:
    from ..data.reading import SkippedFile


def degrade(config: DegradeConfig, flags: Namespace) -> ExitCode:
    """Make degraded copies, repeat them from their sidecar, or draw pictures of several degrees."""
    config.check(flags.grid)
    require_folder_name(config.out, "grids" if flags.grid else "copies")
    check_values(config)
    check_distortions(config.distortion, "distortion")
    if config.protocol:
        protocol_file(config.protocol)
    if config.replay and not Path(config.replay).exists():
        raise UserError(f"{config.replay}: cannot be read: No such file or directory")
    with sole_use(Path(config.out), "unseen degrade"):
        return _degrade(config, flags)


def _degrade(config: DegradeConfig, flags: Namespace) -> ExitCode:
    import torch

    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..data.file_jobs import output_folders, refuse_existing, refuse_outputs
    from ..distortions import copies
    from ..distortions.sidecar import read_sidecar

    photos, out = [Path(name) for name in flags.photo], Path(config.out)
    config = config.resolved()
    torch.set_num_threads(config.threads)
    left_out: list[SkippedFile] = []
    if config.replay:
        records = read_sidecar(Path(config.replay), config.distortion)
        jobs = copies.plan_replay(photos, records)
        work = partial(copies.replay_copies, jobs, records)
    elif flags.grid:
        from ..evaluation import grid

        levels = grid.levels_from(config.distortion, config.protocol)
        if config.protocol and (notice := grid.left_out(config.protocol)):
            tell(notice)
        jobs, left_out = copies.plan_copies(photos, grid.ENDING)
        work = partial(grid.make_grids, jobs, levels, seed=config.seed)
    else:
        jobs, left_out = copies.plan_copies(photos)
        work = partial(copies.make_copies, jobs, config.distortion[0], seed=config.seed)
    refuse_outputs(photos, jobs, out)
    if not flags.overwrite:
        refuse_existing(jobs, out)
    folders = output_folders(jobs, out)
    for folder in folders:
        remove_leftovers(folder)
    with interruptible() as stop, progress_bars():
        outcome = work(out=out, device=config.device, stop=stop)
    flush_names(folders)
    for skipped in (*outcome.skipped, *left_out):
        tell(f"skipped {skipped.name}: {skipped.reason}")
    show(f"{out}: {outcome.written} of {outcome.wanted} {'grids' if flags.grid else 'copies'}")
    if stop.is_set():
        show("interrupted: the same command with --overwrite makes them all")
        return ExitCode.INTERRUPTED
    return ExitCode.PARTLY if outcome.skipped or left_out else ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class DegradeConfig(Machine):
    """Options of degraded copies. One thread is the default, so that the number of cores makes no difference."""

    device: Annotated[str, Predicate(is_device), "cpu, cuda, cuda:1, mps, or auto; equal bits need an equal one"] = (
        "cpu"
    )
    threads: Annotated[int, "processor threads; 0 takes all; equal bits need equally many"] = 1
    distortion: Annotated[
        list[str], Names(), "what to do, such as gaussian_noise:30, or 'gaussian_blur:2 > jpeg:40'"
    ] = field(default_factory=list)
    protocol: Annotated[str, "with --grid, in place of distortions: all that this protocol makes"] = ""
    replay: Annotated[str, "make the copies again that this degradation.jsonl describes"] = ""
    seed: Annotated[int, Ge(0), "seed of what is drawn"] = 0
    out: Annotated[str, "folder for the copies and degradation.jsonl, or for the grids"] = ""

    def check(self, grid: bool) -> None:
        """Check which options go together.

        Args:
            grid: whether pictures of several degrees are wanted (--grid).

        Raises:
            UserError: naming the field, for options that are missing or contradict each other.
        """
        if not self.out:
            raise UserError("out: no folder given")
        if self.replay and grid:
            raise UserError("give --replay or --grid, not both")
        if self.protocol and not grid:
            raise UserError("protocol: is for --grid; for copies, give a --distortion")
        if self.protocol and self.distortion:
            raise UserError("give --protocol or --distortion, not both")
        if not (self.distortion or self.protocol or self.replay):
            raise UserError("distortion: none given; one is gaussian_noise:30, unseen list distortions has them all")
        if len(self.distortion) > 1 and not (grid or self.replay):
            raise UserError("distortion: several given; ' > ' joins them to one for a copy, --grid shows each")


DEGRADE = Command(
    "degrade",
    degrade,
    "degraded copies of photos, with a sidecar that replays them bit for bit; or every degree in one picture",
    DegradeConfig,
    arguments=[Argument("photo", "folders of photos, or single ones", list[str], "PHOTOS"), TRUST],
    switches={"grid": "draw one picture of each photo: clean, and under every one of the distortions", **OVERWRITE},
)
