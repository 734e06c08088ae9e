"""Degraded copies of photographs, with a sidecar from which every copy can be made again bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import torch
from PIL import Image
from torch import Tensor

from ..core.atomic import replacing
from ..core.errors import one_line
from ..core.progress import track
from ..core.randomness import generator
from ..core.version import __version__
from ..data.file_jobs import FileJob, jobs_for
from ..data.finding import list_folder
from ..data.photo import Pixels
from ..data.reading import SkippedFile, UnreadableImage, read_photo
from ..data.tensors import to_pixels, to_tensor
from . import Distortion, Parameters
from .sidecar import SIDECAR, CopyRecord, append_record, recorded_distortion, refuse_outside, to_parameters
from .spec import parse_distortion


@dataclass(frozen=True)
class DegradeReport:
    """The result of making degraded copies.

    Attributes:
        written: number of files written.
        wanted: number of files to be written.
        skipped: the photographs that could not be used.
    """

    written: int
    wanted: int
    skipped: list[SkippedFile]


# ------------------------------------------------------------------------------------------ one photograph


def digest(pixels: Pixels) -> str:
    """Return the SHA-256 of an image, in hexadecimal digits.

    Hashed are the shape, such as "(480, 640, 3)", and then the bytes, row by row, as RGB.
    """
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def degrade_pixels(
    pixels: Pixels, distortion: Distortion, draws: torch.Generator, device: str = "cpu"
) -> tuple[Pixels, Parameters]:
    """Make a degraded copy of a photograph.

    Args:
        pixels: uint8 (H, W, 3) RGB. Where the distortion shrinks, the photograph is first cut to a multiple of its
            scale at right and bottom.
        distortion: the distortion to apply.
        draws: generator of the parameters.
        device: device of the computation.

    Returns:
        The copy, uint8 (H', W', 3), smaller where the distortion shrinks; and the parameters that were drawn.

    Raises:
        ValueError: where the distortion cannot be applied to a photograph of this size.
    """
    parameters = distortion.sample(draws, 1)
    return to_pixels(distort_pixels(distortion, pixels, parameters, device)), parameters


def distort_pixels(distortion: Distortion, pixels: Pixels, parameters: Parameters, device: str) -> Tensor:
    """Distort a photograph without rounding: float32 (1, 3, H', W') on the CPU. Raises as `degrade_pixels` does."""
    scale = distortion.scale
    height, width = (side // scale * scale for side in pixels.shape[:2])
    if not height * width:
        raise ValueError(f"smaller than {scale}×{scale} pixels, the size that shrinks to one pixel")
    return distortion.apply(to_tensor(pixels[:height, :width]).to(device), parameters).cpu()


def replay(pixels: Pixels, record: CopyRecord, device: str = "cpu") -> Pixels:
    """Make the copy that a record describes, from its parameters alone.

    Raises:
        ValueError: where the photograph has changed, where the parameters do not fit the distortion, and where the copy
            differs from the recorded one in any bit.
        UserError: for an unknown distortion.
    """
    if digest(pixels) != record.source_sha256:
        raise ValueError("has changed since it was degraded: its pixels have another SHA-256")
    distortion = recorded_distortion(record.distortion)
    parameters = to_parameters(record.parameters, distortion)
    refuse_outside(parameters, distortion)
    try:
        copy = to_pixels(distort_pixels(distortion, pixels, parameters, device))
    except Exception as error:  # numbers that someone changed may make a distortion raise nearly anything
        raise ValueError(f"{record.distortion} cannot be applied with the recorded parameters: {error}") from error
    if digest(copy) != record.sha256:
        raise ValueError(
            f"comes out otherwise than recorded, by unseen {record.version} (this is {__version__}); versions, devices "
            "and numbers of threads can change the last bit"
        )
    return copy


# ------------------------------------------------------------------------------------------ many photographs


def plan_copies(photos: Sequence[Path], ending: str = ".png") -> tuple[list[FileJob], list[SkippedFile]]:
    """List a job for every photograph in folders and files, the tree kept, and what the folders leave out.

    Raises UserError as `jobs_for` and `list_folder` do.
    """
    contents = [list_folder(folder) for folder in photos]
    jobs = jobs_for([photo for folder in contents for photo in folder.named_photos()], ending)
    return jobs, [skipped for folder in contents for skipped in folder.skipped()]


def make_copies(jobs: Sequence[FileJob], spec: str, out: Path, seed: int, device: str, stop: Event) -> DegradeReport:
    """Write a degraded copy of each photograph and its line of the sidecar.

    The draws for a photograph depend on the seed and its name alone, not on the other photographs.

    Args:
        jobs: photographs, and the files to write.
        spec: the distortion, see `parse_distortion`.
        out: output folder.
        seed: seed of all draws.
        device: device of the computation.
        stop: once set, the work ends before the next photograph.

    Raises:
        UserError: for a spec that cannot be understood, and where `out` cannot be written.
    """
    distortion = parse_distortion(spec, "distortion")

    def make(job: FileJob) -> None:
        pixels = read_photo(job.path)
        copy, drawn = degrade_pixels(pixels, distortion, copy_generator(job.source, seed), device)
        parameters = {name: value[0].tolist() for name, value in drawn.items()}
        record = CopyRecord(job.file, job.source, digest(pixels), digest(copy), spec, __version__, parameters)
        _write(out, record, copy)

    return run_jobs(jobs, make, stop)


def copy_generator(source: str, seed: int) -> torch.Generator:
    """Return the generator of the draws for the photograph named `source`."""
    return generator(seed, "degrade", source)


def replay_copies(
    jobs: Sequence[FileJob], records: Mapping[str, CopyRecord], out: Path, device: str, stop: Event
) -> DegradeReport:
    """Write every recorded copy again, and its line of a new sidecar.

    Args:
        jobs: one for each record with a photograph; `file` is that of the record.
        records: the records by file.
        out: output folder.
        device: device of the computation.
        stop: once set, the work ends before the next photograph.

    Returns:
        A report whose skipped files include records without a photograph, photographs that have changed, and copies
        that differ from the recorded ones in any bit.
    """

    def make(job: FileJob) -> None:
        _write(out, records[job.file], replay(read_photo(job.path), records[job.file], device))

    outcome = run_jobs(jobs, make, stop)
    planned = {job.file for job in jobs}
    absent = [
        SkippedFile(r.source, "is recorded, and not among the photographs")
        for r in records.values()
        if r.file not in planned
    ]
    return DegradeReport(outcome.written, len(records), outcome.skipped + absent)


def plan_replay(photos: Sequence[Path], records: Mapping[str, CopyRecord]) -> list[FileJob]:
    """List a job for each record whose photograph is, by name, among the folders and files in `photos`."""
    paths = {job.source: job.path for job in plan_copies(photos)[0]}
    return [FileJob(paths[r.source], r.source, r.file) for r in records.values() if r.source in paths]


def run_jobs(jobs: Sequence[FileJob], make: Callable[[FileJob], None], stop: Event) -> DegradeReport:
    """Do all jobs until `stop` is set; skip photographs for which UnreadableImage or ValueError is raised."""
    written, skipped = 0, []
    for job in track(jobs, "degrading", len(jobs)):
        if stop.is_set():
            break
        try:
            make(job)
        except UnreadableImage as error:
            skipped.append(SkippedFile(job.source, error.reason))
        except ValueError as error:
            skipped.append(SkippedFile(job.source, one_line(error)))
        else:
            written += 1
    return DegradeReport(written, len(jobs), skipped)


def _write(out: Path, record: CopyRecord, copy: Pixels) -> None:
    """Write the copy, then its line of the sidecar, so that every copy with a line exists."""
    path = out / record.file
    with replacing(path, flush_name=False) as temporary:
        Image.fromarray(copy).save(temporary, format="PNG")
    append_record(out / SIDECAR, record)
